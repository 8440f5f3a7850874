"""The contract of hand-written code (C301): nothing that comes in is changed, and no call remembers an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.checking.handwritten import Functions, LossFunction, Values, cast, pairs, random_like, snapshot
from minidl.checking.naming.findings import Finding, found
from minidl.checking.structure import arrays_of, contents


def differ(one: Any, two: Any) -> float:
    """The largest difference of two structures; infinity where they are not of one shape."""
    worst = 0.0
    for a, b in pairs(one, two):
        if a.shape != b.shape:
            return float("inf")
        with np.errstate(all="ignore"):
            same = (a == b) | (np.isnan(a) & np.isnan(b)) if a.dtype.kind in "fc" else a == b
        if not np.all(same):
            worst = max(worst, float(np.nan_to_num(abs(a - b)[~same], nan=np.inf).max()))
    return worst


def changed(before: Values, after: Values) -> Iterator[tuple[str, float]]:
    """What a call changed of its arguments, and by how much."""
    for name, value in before.params.items():
        change = differ(value, after.params.get(name))
        if change:
            yield f"params[{name!r}]", change
    for what in "x", "state", "target":
        change = differ(getattr(before, what), getattr(after, what))
        if change:
            yield what, change


def told_change(function: str, what: str, change: float) -> Finding:
    """A finding about an argument that is not what it was."""
    return found("C301", what, f"{function} changes {what}: by up to {change:.3g}", f"{function} changes {what}")


def told_memory(function: str, what: str, change: float) -> Finding:
    """A finding about a result that is not the same at the second call."""
    return found(
        "C301", what, f"{what}: two calls with the same arguments differ by up to {change:.3g}",
        f"{function} depends on an earlier call",
    )  # fmt: skip


def contract_of_functions(code: Functions, v: Values, dy: Any, dafter: Any) -> list[Finding]:
    """What the pair of functions breaks, one finding each."""
    findings = []
    at = v.copied()
    y, after, cache = code.run(at)
    findings += [told_change("forward", what, change) for what, change in changed(v, at)]
    first = cast(y, np.float64), cast(after, np.float64)

    # another call in between, at another point: neither results nor the cache may know of it
    rng = np.random.default_rng(7)
    other = v.copied()._replace(params={n: a + 0.1 * rng.standard_normal(a.shape) for n, a in v.params.items()})
    alone = code.back(v.copied(), cast(dy, np.float64), cast(dafter, np.float64), code.run(v.copied())[2])
    alone = snapshot(alone)
    y2, after2, other_cache = code.run(other.copied())
    change = max(differ(first[0], y), differ(first[1], after))
    if change:
        findings.append(told_memory("forward", "y or the state, overwritten by the next call", change))
    code.back(other.copied(), random_like(y2, rng), random_like(after2, rng), other_cache)
    kept = contents(cache)
    at, dy_, dafter_ = v.copied(), cast(dy, np.float64), cast(dafter, np.float64)
    result = snapshot(code.back(at, dy_, dafter_, cache))
    again = code.run(v.copied())
    change = max(differ(first[0], again[0]), differ(first[1], again[1]))
    if change:
        findings.append(told_memory("forward", "y or the state", change))
    findings += [told_change("backward", what, change) for what, change in changed(v, at)]
    for what, before, now in ("dy", dy, dy_), ("dstate", dafter, dafter_):
        if differ(before, now):
            findings.append(told_change("backward", what, differ(before, now)))
    late = differ(alone, result)
    if late > 1e-12 * size_of(alone):
        findings.append(told_memory("backward", "gradients, after another pass in between", late))
    elif contents(cache) != kept:
        twice = code.back(v.copied(), cast(dy, np.float64), cast(dafter, np.float64), cache)
        findings.append(told_change("backward", "the cache", differ(result, twice)))
    return findings[:1]


def contract_of_loss(code: LossFunction, v: Values) -> list[Finding]:
    """What the function breaks, one finding."""
    at = v.copied()
    first = code.run(at)
    findings = [told_change("function", what, change) for what, change in changed(v, at)]
    kept = snapshot((first.y, first.after, dict(first.grads) if isinstance(first.grads, dict) else first.grads))
    rng = np.random.default_rng(7)
    other = v.copied()._replace(params={n: a + 0.1 * rng.standard_normal(a.shape) for n, a in v.params.items()})
    code.run(other)
    if differ(kept, (first.y, first.after, first.grads)):
        findings.append(
            told_memory(
                "function", "results, overwritten by the next call", differ(kept, (first.y, first.after, first.grads))
            )
        )
    again = code.run(v.copied())
    for what, before, now in (
        ("the loss", kept[0], again.y),
        ("the state", kept[1], again.after),
        ("gradients", kept[2], again.grads),
    ):
        change = differ(before, now)
        if change > 1e-12 * size_of(before):
            findings.append(told_memory("function", what, change))
    return findings[:1]


def size_of(tree: Any) -> float:
    """The largest entry of a structure, at least 1e-300."""
    return max((float(abs(np.nan_to_num(a)).max(initial=0.0)) for a in arrays_of(tree)), default=0.0) + 1e-300
