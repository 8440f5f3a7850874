"""The checks of the conformance suite: what every layer promises, as plain functions.

Each takes a `Subject` and returns None, or one sentence that says what is broken, or `DOES_NOT_APPLY`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from minidl.checking.gradcheck import gradcheck
from minidl.checking.report import GradientReport
from minidl.checking.structure import is_numeric, leaves, map_arrays
from minidl.checking.subject import Subject, differing, parts, same
from minidl.inputs import Array

DOES_NOT_APPLY = ""  # windows of a layer without memory, padding where there are no steps
ROUNDING = 1e-9  # float64 results that are computed in another order agree to this


def check_shapes(s: Subject) -> str | None:
    """y has the shape that build announced, dx the shape of x, dstate that of the state; with one row as well."""
    return shapes_of(s) or shapes_of(s.small())


def shapes_of(s: Subject) -> str | None:
    """`check_shapes` for one size of input."""
    y, state, cache = s.layer.forward_with_state(s.x, s.state)
    expected = (s.batch, *(s.time if n is None else n for n in s.out_shape))
    if isinstance(y, np.ndarray) and y.shape != expected:
        return f"build announced outputs of shape {expected} (from {s.out_shape}), but forward returned {y.shape}."
    if not same(map_arrays(np.zeros_like, state), map_arrays(np.zeros_like, s.first)):
        return "the state after the last step has another structure or other shapes than the initial state."
    dx, dstate = s.layer.backward_with_state(s.dy, s.dafter, cache)
    for name, x in leaves(s.x, "x").items():
        came = leaves(dx, "x").get(name)
        if is_numeric(x) and (came is None or came.shape != x.shape):
            return f"backward must return d{name} of shape {x.shape}, got {None if came is None else came.shape}."
        if not is_numeric(x) and came is not None:
            return f"{name} holds integers, which have no gradient: backward must return None for it, got an array."
    if s.state is not None and not same(map_arrays(np.zeros_like, dstate), map_arrays(np.zeros_like, s.state)):
        return "backward must return a gradient for the incoming state, with the same structure and shapes."
    return None


def check_linear(s: Subject) -> str | None:
    """Gradients are linear in dy: twice dy gives twice the gradients."""
    one = parts(s.run())
    two = parts(s.run(dy=map_arrays(lambda a: 2 * a, s.dy), dafter=map_arrays(lambda a: 2 * a, s.dafter)))
    names = [n for n in one if n.startswith("d") and not same(map_arrays(lambda a: 2 * a, one[n]), two[n], ROUNDING)]
    if names:
        return (
            f"twice the incoming gradient must give twice the outgoing one, but {', '.join(names)} is not doubled: "
            f"backward ignores dy there, or uses it otherwise than as a factor."
        )
    return None


def check_gradients(s: Subject) -> str | None:
    """Every gradient agrees with numeric derivatives: plain, in training, with a mask, with rows that start anew."""
    settings: list[tuple[str, Subject, dict[str, Any]]] = [("", s, {"training": False})]
    if s.random:
        settings.append(("in a training pass (rng given), ", s, {}))
    if s.takes_mask:
        settings.append(("with a mask, ", s, {"mask": s.mask()}))
    if s.state is not None:
        settings.append(("with start=True in one row, ", s, {"training": False, "start": np.arange(s.batch) == 0}))
    settings.append(("with one row and one step, ", s.small(), {}))
    for words, subject, options in settings:
        report = gradcheck(
            subject.layer, subject.x, state=subject.state, jitter=0.0, max_entries=60, seed=s.seed, **options
        )
        if not report.ok:
            return words + describe(report)
    return None


def describe(report: GradientReport) -> str:
    """The wrong rows of a gradient check as one sentence."""
    wrong = [row for row in report.rows if not row.ok]
    told = [
        f"the gradient of {row.name} is wrong{'' if row.verdict == 'wrong' else f' ({row.verdict})'}: at "
        f"{row.name}[{', '.join(map(str, row.worst))}] numeric {row.numeric:.6g}, backward {row.analytic:.6g}"
        for row in wrong[:3]
    ]
    right = [row.name for row in report.rows if row.ok]
    rest = f"; right are {', '.join(right)}" if right else ""
    more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return "; ".join(told) + more + rest + "."


def check_adds(s: Subject) -> str | None:
    """backward adds to the gradients: called twice, it adds twice; and the cache stays valid."""
    s.layer.zero_grads()
    _, _, cache = s.layer.forward_with_state(s.x, s.state)
    first_dx = s.layer.backward_with_state(s.dy, s.dafter, cache)
    once = {f"d{name}": p.grad.copy() for name, p in s.layer.params.items()}
    second_dx = s.layer.backward_with_state(s.dy, s.dafter, cache)
    if not same(first_dx, second_dx):
        return "a second backward with the same cache returns another dx: backward changes its cache, or self."
    twice = {f"d{name}": p.grad for name, p in s.layer.params.items()}
    if all(same(twice[n], once[n]) for n in once) and any(once[n].any() for n in once):
        return (
            "a second backward must add to the gradients, but they stayed as they were: "
            "backward overwrites. Write p.grad += dW, not p.grad[...] = dW."
        )
    names = [n for n in once if not same(twice[n], 2 * once[n], ROUNDING)]
    return f"backward twice must give twice the gradients, which fails for {', '.join(names)}." if names else None


def check_keeps_inputs(s: Subject) -> str | None:
    """A pass writes neither to x, state, mask nor to dy, dstate."""
    given: dict[str, Any] = {"x": s.x, "state": s.state, "dy": s.dy, "dstate": s.dafter}
    options: dict[str, Any] = {}
    if s.takes_mask:
        given["mask"] = options["mask"] = s.mask()
    before = {name: map_arrays(np.copy, value) for name, value in given.items()}
    s.run(**options)
    names = differing(given, before)
    return (
        f"a pass must not write to what it is given, but {', '.join(names)} changed: copy it first." if names else None
    )


def contents(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """What an attribute holds, in a form that can be compared; gradients apart, for backward adds to them."""
    if id(value) in seen:
        return "..."
    seen = (*seen, id(value))
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    if isinstance(value, dict):
        return {key: contents(v, seen) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [contents(v, seen) for v in value]
    if hasattr(value, "grad") and hasattr(value, "trainable"):
        return contents(value.value, seen), value.trainable
    if hasattr(value, "__dict__"):
        return {"": id(value)} | contents(vars(value), seen)
    return repr(value)


def check_keeps_self(s: Subject) -> str | None:
    """Nothing on self changes in a pass, gradients apart."""
    before = contents(s.layer)
    s.run()
    after = contents(s.layer)
    names = sorted(n for n in after if after[n] != before.get(n, "missing"))
    if names:
        return (
            f"a pass must leave nothing on self, but {', '.join('self.' + n for n in names)} changed: return it in the "
            f"cache, for the same layer may be used twice before backward, or by two threads."
        )
    return None


def check_interleaved(s: Subject) -> str | None:
    """Two passes at once do not disturb each other, whichever is taken back first."""
    other = map_arrays(lambda a: a[::-1].copy(), s.x)
    dother = map_arrays(lambda a: a[::-1].copy(), s.dy)
    alone = [s.run(), s.run(x=other, dy=dother)]
    for order in (0, 1), (1, 0):
        caches = [s.layer.forward_with_state(x, s.state)[2] for x in (s.x, other)]
        for k in order:
            s.layer.zero_grads()
            dx, dstate = s.layer.backward_with_state((s.dy, dother)[k], s.dafter, caches[k])
            grads = {name: p.grad for name, p in s.layer.params.items()}
            if not same((dx, dstate, grads), (alone[k].dx, alone[k].dstate, alone[k].grads)):
                return (
                    "two forward passes, then their backward passes, give other gradients than one after the other: "
                    "something of a pass is kept outside of its cache."
                )
    return None


def check_random(s: Subject) -> str | None:
    """The same rng state gives the same pass; without rng there is nothing random."""
    if not same(parts(s.run()), parts(s.run())):
        return "two passes without rng differ: inference must not be random."
    one, two = (parts(s.run(rng=np.random.default_rng(7))) for _ in range(2))
    if not same(one, two):
        return "two passes with the same rng state differ: draw from the rng that is passed in, from nothing else."
    return None


def check_inference(s: Subject) -> str | None:
    """keep_cache=False and predict compute the same y, also from 8 threads at once."""
    y, state, _ = s.layer.forward_with_state(s.x, s.state)
    y_, state_, _ = s.layer.forward_with_state(s.x, s.state, keep_cache=False)
    if not same((y, state), (y_, state_)):
        return "keep_cache=False must compute the same y and state."
    alone = s.layer.predict(s.x)
    if not same(alone, s.layer.forward_with_state(s.x)[0]):
        return "predict(x) must be forward(x) from the initial state."
    inputs = [map_arrays(lambda a, k=k: np.roll(a, k, axis=0), s.x) for k in range(8)]
    expected = [s.layer.predict(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for got, wanted in zip(pool.map(s.layer.predict, inputs * 4), expected * 4, strict=True):
            if not same(got, wanted):
                return "8 threads that predict at once get other results than one: something of a pass is shared."
    return None


def check_float32(s: Subject) -> str | None:
    """In float32 everything stays float32, and agrees with float64."""
    single = s.layer.copy(np.float32)

    def cast(tree: Any) -> Any:
        return map_arrays(lambda a: a.astype(np.float32) if is_numeric(a) else a, tree)

    wide = s.run()
    low = s.run(single, cast(s.x), cast(s.dy), state=cast(s.state), dafter=cast(s.dafter))
    for name, value in parts(low).items():
        for array in leaves(value).values():
            if is_numeric(array) and array.dtype != np.float32:
                return f"in float32, {name} comes out as {array.dtype}: some constant or array is float64."
    names = differing(parts(low), parts(wide), 1e-3)
    return f"in float32, {', '.join(names)} is far from the float64 result." if names else None


def check_memory_layout(s: Subject) -> str | None:
    """Arrays in another memory order give the same results."""

    def strided(tree: Any) -> Any:
        return map_arrays(lambda a: np.repeat(np.asfortranarray(a), 2, axis=-1)[..., ::2], tree)

    plain = parts(s.run())
    other = parts(s.run(x=strided(s.x), dy=strided(s.dy), state=strided(s.state), dafter=strided(s.dafter)))
    names = differing(plain, other, ROUNDING)
    return f"with arrays that are not contiguous, {', '.join(names)} differ." if names else None


def check_copy(s: Subject) -> str | None:
    """A copy computes the same, and is independent."""
    before = s.run()
    for twin in copy.deepcopy(s.layer), s.layer.copy(), s.layer.copy(np.float64):
        if any(np.shares_memory(p.value, q.value) for p in s.layer.params.values() for q in twin.params.values()):
            return "changing a copy changes the layer: arrays are shared."
        if not same(parts(s.run(twin)), parts(before)):
            return "a copy of the layer computes something else."
        if list(twin.params) != list(s.layer.params):
            return "a copy of the layer has other parameters."
    return None


def check_rebuild(s: Subject) -> str | None:
    """Building what is built already keeps the parameters; the same seed gives the same ones."""
    before = contents(s.layer)
    s.layer.build(s.in_shape, seed=s.seed + 1, dtype=s.layer.dtype or np.float64)
    if contents(s.layer) != before:
        return "building a layer again must keep what it has, but it changed."
    return None


def check_windows(s: Subject) -> str | None:
    """A sequence cut into windows, with the state carried (and dstate handed back), equals one pass."""
    if s.state is None or not s.layer.streams or not s.free_time or s.time < 2:
        return DOES_NOT_APPLY
    whole = s.run()
    cut = s.time // 2
    s.layer.zero_grads()
    y1, middle, cache1 = s.layer.forward_with_state(s.x[:, :cut], s.state)
    y2, state, cache2 = s.layer.forward_with_state(s.x[:, cut:], middle)
    if not same(state, whole.state, ROUNDING) or (
        s.y_has_steps and not same(np.concatenate([y1, y2], axis=1), whole.y, ROUNDING)
    ):
        return "a sequence cut into two windows with carried state gives another result than one pass."
    if not s.y_has_steps:
        return None
    dx2, dmiddle = s.layer.backward_with_state(s.dy[:, cut:], s.dafter, cache2)
    dx1, dstate = s.layer.backward_with_state(s.dy[:, :cut], dmiddle, cache1)
    grads = {name: p.grad for name, p in s.layer.params.items()}
    dx = None if dx1 is None else np.concatenate([dx1, dx2], axis=1)
    if not same((dx, dstate, grads), (whole.dx, whole.dstate, whole.grads), ROUNDING):
        return "gradients over two windows, with dstate handed back, differ from those of one pass."
    return None


def check_start(s: Subject) -> str | None:
    """Rows with start=True begin from the initial state, and nothing flows back from them."""
    if s.state is None:
        return DOES_NOT_APPLY
    rows = np.arange(s.batch) % 2 == 0
    fresh, carried, mixed = s.run(state=None), s.run(), s.run(start=rows)

    def choose(a: Array, b: Array) -> Array:
        return np.where(rows.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    if not same(
        (mixed.y, mixed.state), map_arrays(choose, (fresh.y, fresh.state), (carried.y, carried.state)), ROUNDING
    ):
        return "rows with start=True must begin from the initial state, and the other rows from the state given."
    if not same(mixed.dstate, map_arrays(lambda d: choose(np.zeros_like(d), d), carried.dstate), ROUNDING):
        return "the gradient of the incoming state must be 0 in rows with start=True, and as it was in the others."
    if not same(
        parts(s.run(start=True)),
        parts(s.run(state=None)) | {"dstate": map_arrays(np.zeros_like, mixed.dstate)},
        ROUNDING,
    ):
        return "start=True must be the same as no state at all."
    return None


def check_padding(s: Subject) -> str | None:
    """With a mask, neither content nor amount of the padding changes a result."""
    if not s.takes_mask:
        return DOES_NOT_APPLY
    mask = s.mask()
    real = mask.reshape(*mask.shape, *(1,) * (s.x.ndim - 2))
    plain = s.run(mask=mask)
    fillings = (0, -1, 10**6) if not is_numeric(s.x) else (0.0, 1e6, np.nan, np.inf)
    for filling in fillings:
        filled = s.run(x=np.where(real, s.x, filling), mask=mask)
        names = differing(parts(plain), parts(filled))
        if names:
            return f"what stands in the padding must not matter, but with {filling} there, {', '.join(names)} differ."
    if plain.dx is not None and plain.dx[~mask].any():
        return "dx must be 0 in the steps that are padding."
    if not s.free_time:
        return None
    for side in "right", "left":
        width = (0, 2) if side == "right" else (2, 0)

        def pad(a: Array, width: tuple[int, int] = width) -> Array:
            return np.pad(a, ((0, 0), width, *((0, 0),) * (a.ndim - 2)))

        dy = pad(s.dy) if s.y_has_steps else s.dy
        longer = s.run(x=pad(s.x), dy=dy, mask=pad(mask))
        inside = slice(width[0], width[0] + s.time)
        cut = longer._replace(
            y=longer.y[:, inside] if s.y_has_steps else longer.y,
            dx=None if longer.dx is None else longer.dx[:, inside],
        )
        names = differing(parts(plain), parts(cut), ROUNDING)
        if names:
            return f"two more steps of padding on the {side} must not matter, but {', '.join(names)} differ."
    return None


CHECKS: tuple[Callable[[Subject], str | None], ...] = (
    check_copy,
    check_shapes,
    check_keeps_self,
    check_keeps_inputs,
    check_random,
    check_linear,
    check_adds,
    check_gradients,
    check_interleaved,
    check_inference,
    check_float32,
    check_memory_layout,
    check_rebuild,
    check_windows,
    check_start,
    check_padding,
)
