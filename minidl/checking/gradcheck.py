"""`gradcheck`: every gradient of a layer, a net, or a net with its loss, against numeric derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.checking.judging import compare_gradients
from minidl.checking.naming.looks import look_alikes
from minidl.checking.numeric import Problem, takes_complex
from minidl.checking.report import GradientReport
from minidl.checking.structure import inner, is_finite, is_numeric, largest
from minidl.data import Batch
from minidl.errors import ArgumentError, NotBuiltError
from minidl.inputs import Array, Shape, as_mask, cast_input
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.nested import leaves, map_arrays
from minidl.objective import loss_and_grads, loss_value


def gradcheck(
    layer: Layer,
    x: Any = None,
    loss: Loss | None = None,
    target: Any = None,
    *,
    state: Any = None,
    start: Any = None,
    mask: Array | None = None,
    weight: Any = None,
    training: bool = True,
    jitter: float = 1.0,
    max_entries: int = 50,
    every_entry: bool = False,
    tolerance: float | None = None,
    seed: int = 0,
) -> GradientReport:
    """Compare what `backward` computes with numeric derivatives: for x, the state, and every parameter.

    It works on a float64 copy, with random cotangents on the outputs and on the final state, from a random
    state that is not zero, and at weights moved away from their initial values: a check at zeros or ones
    passes code that is wrong. The layer itself is not changed.

    Args:
        layer: a built layer or net.
        x: inputs; random ones by default.
        loss, target: check the gradient of this loss; without, of a random linear function of the outputs.
        state, start, mask: as for `forward_with_state`; the state is random by default.
        weight: as in `Batch`, for the loss.
        training: whether dropout is active (the same units in every evaluation).
        jitter: how far the weights are moved, relative to a fresh initialization; 0 checks at the very weights.
        max_entries: arrays with more entries than this are checked along random directions, which see every
            entry, and by a sample of single entries; a wrong entry is searched for and shown.
        every_entry: check every scalar, and list each when printed.
        tolerance: the relative error up to which a gradient is right; 1e-10 with complex steps, else 1e-5.
        seed: for everything random.

    Returns:
        A report with `.ok`, `.rows` (a `Row` per array), `.findings` (what is wrong, by code) and a table when printed.

    Raises:
        NotBuiltError: for a layer that is not built. ArgumentError: for what is no layer, for a loss without a
            target, for a state that is not like the layer's.

    Notes:
        Takes about one forward pass per entry checked. An entry is right when it agrees to `tolerance`, relative to
        itself or to a thousandth of the array's largest, or when the difference is rounding: 1e-12 (central
        differences: 1e-9) of the largest gradient of the whole pass, what comes in through y included.

    Example:
        >>> lstm = minidl.LSTM(3, peephole=True)
        >>> _ = lstm.build((None, 2))
        >>> report = minidl.checking.gradcheck(lstm)
        >>> report.ok, [row.name for row in report.rows]
        (True, ['x', 'h0', 'c0', 'Wx', 'Wh', 'b', 'p'])
    """
    require_layer("gradcheck", layer)
    if layer.in_shape is None and x is None:
        raise NotBuiltError(f"gradcheck expects a built {type(layer).__name__}: call build(in_shape) first, or give x.")
    if (loss is None) != (target is None):
        raise ArgumentError("gradcheck expects a loss together with its target, got only one of them.")
    rng, mask = np.random.default_rng(seed), as_mask(mask)
    x = random_input(layer, layer.in_shape or (), rng) if x is None else cast_input(x, np.float64)
    twin = moved_copy(layer, rng, jitter, x, mask)
    first = twin.initial_state(len(next(iter(leaves(x).values()))))
    if state is None:
        state = map_arrays(lambda a: 0.5 * rng.standard_normal(a.shape), first)
    else:
        state = fitting_state(layer, state, first)

    def fresh() -> np.random.Generator | None:
        return np.random.default_rng(seed) if training else None

    # the analytic side
    if loss is not None:
        batch = Batch(x, target, weight=weight, mask=mask, start=False if start is None else start)
        result = loss_and_grads(twin, loss, batch, state, fresh())
        dx, dstate = result.dx, result.dstate
        scale = 1 / max(result.weight, 1.0)  # a loss is a mean: so much of it each position has
    else:
        y, after, cache = twin.forward_with_state(x, state, start=start, mask=mask, rng=fresh())
        dy = map_arrays(lambda a: rng.standard_normal(a.shape), y)
        dafter = map_arrays(lambda a: rng.standard_normal(a.shape), after)
        dx, dstate = twin.backward_with_state(dy, dafter, cache)
        scale = largest((dy, dafter))
    analytic = coming_in(dx, dstate, twin)
    analytic |= {name: p.grad for name, p in twin.params.items()}

    # the numeric side: the same function of live arrays
    def problem(dtype: Any) -> Problem:
        net = twin.copy(dtype)
        x_, state_ = map_arrays(lambda a: a.astype(dtype) if is_numeric(a) else a, (x, state))
        live = coming_in(x_, state_, net)
        live |= {name: p.value for name, p in net.params.items()}

        def value() -> Any:
            if loss is not None:
                return loss_value(net, loss, batch._replace(x=x_), state_, fresh())[0]
            y, after, _ = net.forward_with_state(x_, state_, start=start, mask=mask, rng=fresh(), keep_cache=False)
            return inner(y, dy) + inner(after, dafter)

        return Problem({name: a for name, a in live.items() if is_numeric(a)}, value)

    real, complex_ = problem(np.float64), problem(np.complex128)
    complex_step = takes_complex(complex_, real, rng)
    chosen = complex_ if complex_step else real
    tolerance = tolerance if tolerance is not None else 1e-10 if complex_step else 1e-5
    count = 2**62 if every_entry else max_entries
    constants = {name for name, p in twin.params.items() if not p.trainable}
    rows = compare_gradients(chosen, analytic, complex_step, tolerance, count, rng, scale=scale, constants=constants)
    method = "complex steps" if complex_step else "central differences"
    report = GradientReport(rows, method, tolerance, every_entry)
    report.findings = look_alikes([row for row in rows if not row.ok], [])
    return report


def require_layer(owner: str, layer: Any) -> None:
    """Refuse what is no layer; a class is one that lacks its parentheses."""
    if not isinstance(layer, Layer):
        hint = f": write {layer.__name__}(...)" if isinstance(layer, type) and issubclass(layer, Layer) else ""
        raise ArgumentError(f"{owner} expects a layer, got {layer!r}{hint}.")


def random_input(layer: Layer, in_shape: Shape, rng: np.random.Generator, batch: int = 3, time: int = 5) -> Any:
    """The layer's own example, in which an id occurs twice: its two gradients have to add up."""
    x = map_arrays(np.array, layer.example(in_shape, rng, batch, time))
    for ids in leaves(x).values():
        if ids.dtype.kind in "iu":
            column = (0,) * (ids.ndim - 1)  # each column may have a vocabulary of its own
            ids[(-1, *column)] = ids[(0, *column)]
    return x


def moved_copy(layer: Layer, rng: np.random.Generator, jitter: float, x: Any, mask: Array | None = None) -> Layer:
    """A float64 copy with zero gradients and weights at a random point nearby, where no gradient is 0 by accident.

    Where its pass fails or is not finite (a parameter that has to be positive), the point is nearer, at last the
    very weights.
    """
    for distance in jitter, 0.1 * jitter, 0.0:
        twin = layer.copy(np.float64)
        twin.zero_grads()
        for p in twin.params.values():
            spread = 0.3 if p.value.ndim < 2 else 0.5 / math.sqrt(max(1, min(p.value.shape[-2:])))
            p.value += distance * spread * rng.standard_normal(p.value.shape)
        if distance == 0 or runs(twin.copy(), x, mask):  # a copy, for a pass may leave traces
            break
    return twin


def runs(layer: Layer, x: Any, mask: Array | None) -> bool:
    """Whether a pass gives finite results."""
    try:
        with np.errstate(all="ignore"):
            y, state, _ = layer.forward_with_state(map_arrays(np.copy, x), mask=mask)
    except Exception:
        return False
    return is_finite(y) and is_finite(state)


def fitting_state(layer: Layer, state: Any, first: Any) -> Any:
    """The state that is given, in float64, refused where it is not like the layer's own."""

    def told(tree: Any) -> str:
        return ", ".join(f"{name} {array.shape}".strip() for name, array in leaves(tree).items()) or "none"

    given = tuple(state) if isinstance(state, list) else state
    try:
        fitted = map_arrays(lambda a, b: np.array(b, np.float64), first, given)
    except (KeyError, TypeError, ValueError):
        fitted = None
    if fitted is None or told(fitted) != told(first):
        raise ArgumentError(
            f"gradcheck expects the state of {type(layer).__name__} to be {told(first)}, got {told(given)}: "
            f"leave it out for {'a random one' if first is not None else 'a layer without memory'}."
        )
    return fitted


def coming_in(x: Any, state: Any, layer: Layer) -> dict[str, Array]:
    """The arrays of the input and the state by name; one that is called like a parameter, a learned h0, says so."""
    states = leaves(state) if isinstance(state, np.ndarray) else leaves(state, suffix="0")
    found = {**leaves(x, "x"), **{name or "state": array for name, array in states.items()}}
    return {f"{name} (coming in)" if name in layer.params else name: array for name, array in found.items()}
