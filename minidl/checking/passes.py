"""Checks of a pass: shapes and gradients are right, nothing is written to, nothing is kept outside of the cache.

Each takes a `Subject` and returns None, or one sentence that says what is broken.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from minidl.checking.gradcheck import gradcheck
from minidl.checking.report import GradientReport
from minidl.checking.structure import contents, is_finite, is_numeric
from minidl.checking.subject import ROUNDING, Subject, differing, parts, same, setting
from minidl.inputs import shape_text
from minidl.nested import leaves, map_arrays


def check_shapes(s: Subject) -> str | None:
    """y has the shape that build announced, dx the shape of x, dstate that of the state; at other sizes as well."""
    return shapes_of(s) or shapes_of(s.small()) or shapes_of(s.other())


def shapes_of(s: Subject) -> str | None:
    """`check_shapes` for one size of input."""
    y, state, cache = s.layer.forward_with_state(s.x, s.state)
    if not leaves(y):
        return "forward must return (y, cache), but y is None."
    if not is_finite((y, state)):
        return (
            "forward gives NaN or infinity for random inputs: if they have to lie in a range, define example "
            "to return such inputs."
        )
    expected = (s.batch, *(s.time if n is None else n for n in s.out_shape))
    if s.y_has_other_steps:  # how many is told where the length of x is known
        lengths = map_arrays(lambda a: a.shape[1:], s.x)
        expected = (s.batch, *s.layer.copy().build(lengths, dtype=np.float64))
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
    """Gradients are linear in what comes in: twice dy gives twice the gradients, and dstate=None counts as 0."""

    def twice(tree: Any) -> Any:
        return map_arrays(lambda a: 2 * a, tree)

    for words, options in s.settings:
        one = {name: value for name, value in parts(s.run(**options)).items() if name.startswith("d")}
        two = parts(s.run(dy=twice(s.dy), dafter=twice(s.dafter), **options))
        names = differing({name: twice(value) for name, value in one.items()}, two, ROUNDING)
        if names:
            return (
                f"{words}twice the incoming gradient must give twice the outgoing one, but {', '.join(names)} is not "
                f"doubled: backward ignores dy there, or uses it otherwise than as a factor."
            )
        if s.dafter is None:
            continue
        zero = parts(s.run(dafter=map_arrays(np.zeros_like, s.dafter), **options))
        expected = "dstate=None means that nothing flows in from the future, as zeros do"
        try:
            names = differing(parts(s.run(dafter=None, **options)), zero, ROUNDING)
        except Exception as error:
            return f"{words}{expected}, but backward_with_state raised {type(error).__name__}: {error}."
        if names:
            return f"{words}{expected}, but it gives another {', '.join(names)}."
    return None


def check_gradients(s: Subject) -> str | None:
    """Every gradient agrees with numeric derivatives: plain, with each option of a pass and all, at other sizes."""
    alone = [{name: value} for name, value in s.everything.items()]
    options = [*alone, s.everything] if len(alone) > 1 else alone
    cases = [("", s, {}), *((words, s, given) for words, given in map(setting, options))]
    cases += [("with one row and one step, ", s.small(), {}), ("with 5 rows and 4 steps, ", s.other(), {})]
    longer = s.on_sequences()
    if longer is not None and shapes_of(longer) is None:
        cases.append((f"built for {longer.in_shape}, on inputs {shape_text(longer.in_shape)}, ", longer, {}))
    for k, (words, subject, given) in enumerate(cases):
        report = gradcheck(
            subject.layer,
            subject.x,
            state=subject.state,
            jitter=0.0,
            max_entries=10 if k else 40,
            seed=s.seed,
            **{"training": False} | given,
        )
        if not report.ok:
            return words + describe(report)
    return None


def describe(report: GradientReport) -> str:
    """The wrong rows of a gradient check as one sentence."""
    wrong = [row for row in report.rows if not row.ok]
    told = []
    for row in wrong[:3]:
        words = f"the gradient of {row.name} is wrong{'' if row.verdict == 'wrong' else f' ({row.verdict})'}"
        place = f"{row.name}[{', '.join(map(str, row.worst))}]"
        numbers = f": at {place} numeric {row.numeric:.6g}, backward {row.analytic:.6g}"
        told.append(words + (numbers if row.entries else ""))
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
    names = differing(twice, {name: 2 * grad for name, grad in once.items()}, ROUNDING)
    return f"backward twice must give twice the gradients, which fails for {', '.join(names)}." if names else None


def check_keeps_inputs(s: Subject) -> str | None:
    """A pass writes neither to x, state, start, mask nor to dy, dstate; one without a cache does not either."""
    given: dict[str, Any] = {"x": s.x, "state": s.state, "dy": s.dy, "dstate": s.dafter}
    given |= {name: value for name, value in s.everything.items() if isinstance(value, np.ndarray | tuple)}
    before = {name: map_arrays(np.copy, value) for name, value in given.items()}
    for words, options in s.settings:
        s.run(**options)
        names = differing(given, before)
        if not names:
            words += "with keep_cache=False (as predict does), "
            s.infer(**options)
            names = differing(given, before)
        if names:
            return f"{words}a pass must not write to what it is given, but {', '.join(names)} changed: copy it first."
    return None


def check_keeps_self(s: Subject) -> str | None:
    """Nothing on self changes in a pass, gradients apart."""
    before = contents(s.layer)
    for _, options in s.settings:
        s.run(**options)
        s.infer(**options)
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
    if not same(parts(s.run(training=True)), parts(s.run(training=True))):
        return "two passes with the same rng state differ: draw from the rng that is passed in, from nothing else."
    return None


def check_inference(s: Subject) -> str | None:
    """keep_cache=False and predict compute the same y, also from 8 threads at once."""
    for words, options in s.settings:
        kept = s.run(**options)
        if not same((kept.y, kept.state), s.infer(**options)):
            return f"{words}keep_cache=False must compute the same y and state."
    for mask in [None, s.mask()] if s.takes_mask else [None]:
        if not same(s.layer.predict(s.x, mask=mask), s.run(state=None, mask=mask).y):
            return "predict(x) must be forward(x) from the initial state, with a mask as well."
    inputs = [map_arrays(lambda a, k=k: np.roll(a, k, axis=0), s.x) for k in range(8)]
    expected = [s.layer.predict(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for got, wanted in zip(pool.map(s.layer.predict, inputs * 4), expected * 4, strict=True):
            if not same(got, wanted):
                return "8 threads that predict at once get other results than one: something of a pass is shared."
    return None


def check_memory_layout(s: Subject) -> str | None:
    """Arrays in another memory order give the same results."""

    def strided(tree: Any) -> Any:
        return map_arrays(lambda a: np.repeat(np.asfortranarray(a), 2, axis=-1)[..., ::2], tree)

    plain = parts(s.run())
    other = parts(s.run(x=strided(s.x), dy=strided(s.dy), state=strided(s.state), dafter=strided(s.dafter)))
    names = differing(other, plain, ROUNDING)
    return f"with arrays that are not contiguous, {', '.join(names)} differ." if names else None
