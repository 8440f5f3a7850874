"""`gradcheck`: every gradient of a layer, a net, or a net with its loss, against numeric derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.checking.numeric import Problem, entry_slope, suspects, takes_complex
from minidl.checking.report import GradientReport, Row, fingerprint, relative_error
from minidl.checking.structure import inner, is_numeric, leaves, map_arrays
from minidl.data import Batch
from minidl.errors import ArgumentError, NotBuiltError
from minidl.inputs import Array, cast_input
from minidl.layer import Layer
from minidl.losses import Loss
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
        A report with `.ok`, `.rows` (a `Row` per array) and a table when printed.

    Raises:
        NotBuiltError: for a layer that is not built. ArgumentError: for a loss without a target.

    Notes:
        Takes about one forward pass per entry checked.

    Example:
        >>> lstm = minidl.LSTM(3, peephole=True)
        >>> _ = lstm.build((None, 2))
        >>> report = minidl.checking.gradcheck(lstm)
        >>> report.ok, [row.name for row in report.rows]
        (True, ['x', 'h0', 'c0', 'Wx', 'Wh', 'b', 'p'])
    """
    if layer.in_shape is None and x is None:
        raise NotBuiltError(f"gradcheck expects a built {type(layer).__name__}: call build(in_shape) first, or give x.")
    if (loss is None) != (target is None):
        raise ArgumentError("gradcheck expects a loss together with its target, got only one of them.")
    rng = np.random.default_rng(seed)
    twin = moved_copy(layer, rng, jitter)
    x = twin.example(layer.in_shape or (), rng) if x is None else cast_input(x, np.float64)
    batch_size = len(next(iter(leaves(x).values())))
    first = twin.initial_state(batch_size)
    if state is None:
        state = map_arrays(lambda a: 0.5 * rng.standard_normal(a.shape), first)
    else:
        state = map_arrays(lambda a, given: np.array(given, np.float64), first, state)

    def fresh() -> np.random.Generator | None:
        return np.random.default_rng(seed) if training else None

    # the analytic side
    if loss is not None:
        batch = Batch(x, target, weight, mask, False if start is None else start)
        result = loss_and_grads(twin, loss, batch, state, fresh())
        dx, dstate = result.dx, result.dstate
    else:
        y, after, cache = twin.forward_with_state(x, state, start=start, mask=mask, rng=fresh())
        dy = map_arrays(lambda a: rng.standard_normal(a.shape), y)
        dafter = map_arrays(lambda a: rng.standard_normal(a.shape), after)
        dx, dstate = twin.backward_with_state(dy, dafter, cache)
    analytic = {**leaves(dx, "x"), **leaves(dstate, suffix="0")}
    analytic |= {name: p.grad for name, p in twin.params.items()}

    # the numeric side: the same function of live arrays
    def problem(dtype: Any) -> Problem:
        net = twin.copy(dtype)
        x_, state_ = map_arrays(lambda a: a.astype(dtype) if is_numeric(a) else a, (x, state))
        live = {**leaves(x_, "x"), **leaves(state_, suffix="0")}
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
    rows = [
        check_array(name, chosen, analytic.get(name), count, complex_step, tolerance, rng) for name in chosen.arrays
    ]
    method = "complex steps" if complex_step else "central differences"
    return GradientReport(rows, method, tolerance, every_entry)


def moved_copy(layer: Layer, rng: np.random.Generator, jitter: float) -> Layer:
    """A float64 copy with zero gradients and weights at a random point nearby, where no gradient is 0 by accident."""
    twin = layer.copy(np.float64)
    twin.zero_grads()
    for p in twin.params.values():
        spread = 0.3 if p.value.ndim < 2 else 0.5 / math.sqrt(min(p.value.shape[-2:]))
        p.value += jitter * spread * rng.standard_normal(p.value.shape)
    return twin


def check_array(
    name: str,
    problem: Problem,
    analytic: Array | None,
    count: int,
    complex_step: bool,
    tolerance: float,
    rng: np.random.Generator,
) -> Row:
    """Compare one array's gradient, entry by entry or by sample, and say what is wrong with it."""
    shape = problem.arrays[name].shape
    if analytic is None or analytic.shape != shape:
        came = "nothing" if analytic is None else f"an array of shape {analytic.shape}"
        return Row(name, shape, math.inf, (), math.nan, math.nan, f"backward gives {came}", [])
    if not np.isfinite(analytic).all():
        at = tuple(int(k) for k in np.argwhere(~np.isfinite(analytic))[0])
        numeric = entry_slope(problem, name, at, complex_step)
        return Row(name, shape, math.inf, at, numeric, float(analytic[at]), "backward gives NaN or infinity", [])
    places = suspects(problem, name, analytic, count, complex_step, rng)
    numeric_at = np.array([entry_slope(problem, name, at, complex_step) for at in places])
    analytic_at = np.array([analytic[at] for at in places])
    errors = relative_error(numeric_at, analytic_at)
    right = errors <= tolerance
    entries = [
        (at, float(n), float(a), bool(ok)) for at, n, a, ok in zip(places, numeric_at, analytic_at, right, strict=True)
    ]
    if not places:
        return Row(name, shape, 0.0, (), 0.0, 0.0, "ok", [])
    worst = int(np.argmax(errors))
    verdict = "ok"
    if not right.all():
        whole = len(places) == analytic.size
        verdict = fingerprint(numeric_at.reshape(shape), analytic) if whole else fingerprint(numeric_at, analytic_at)
    return Row(name, shape, float(errors[worst]), places[worst], entries[worst][1], entries[worst][2], verdict, entries)
