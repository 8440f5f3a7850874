"""The contract of hand-written code (C301): nothing that comes in is changed, and no call remembers an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.checking.handwritten import Functions, LossFunction, Result, Values, cast, pairs, random_like, snapshot
from minidl.checking.naming.findings import Finding, found
from minidl.checking.structure import arrays_of, contents
from minidl.errors import ArgumentError
from minidl.inputs import Array


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


def contract_of_functions(code: Functions, v: Values, dy: Any, dafter: Any, first: Result) -> list[Finding]:
    """What the pair of functions breaks, one finding at most; `first` is what its very first calls gave."""
    try:
        return list(breaches(code, v, dy, dafter, first))[:1]
    except ArgumentError as error:
        evidence = f"the first call works, a later one does not: {error}"
        return [found("C301", "forward and backward", evidence, "a call depends on an earlier one")]


def breaches(code: Functions, v: Values, dy: Any, dafter: Any, first: Result) -> Iterator[Finding]:
    """What the pair of functions changes that is not its own, and what it remembers."""
    at = v.copied()
    y, after, cache = code.run(at)
    for what, change in changed(v, at):
        yield told_change("forward", what, change)
    other = elsewhere(v)  # a call in between, at another point: neither results nor the cache may know of it
    y2, after2, other_cache = code.run(other.copied())
    change = max(differ(first.y, y), differ(first.after, after))
    if change:
        yield told_memory("forward", "y or the state, overwritten by the next call", change)
    rng = np.random.default_rng(7)
    code.back(other.copied(), random_like(y2, rng), random_like(after2, rng), other_cache)
    kept, arrays = contents(cache), numbers_of(cache)
    at, dy_, dafter_ = v.copied(), cast(dy, np.float64), cast(dafter, np.float64)
    result = snapshot(code.back(at, dy_, dafter_, cache))
    again = code.run(v.copied())
    change = max(differ(first.y, again[0]), differ(first.after, again[1]))
    if change:
        yield told_memory("forward", "y or the state", change)
    for what, change in changed(v, at):
        yield told_change("backward", what, change)
    for what, before, now in ("dy", dy, dy_), ("dstate", dafter, dafter_):
        if differ(before, now):
            yield told_change("backward", what, differ(before, now))
    alone = first.dx, first.dstate, first.grads
    late = differ(alone, result)
    if late > 1e-12 * size_of(alone):
        yield told_memory("backward", "gradients, after another pass in between", late)
    elif contents(cache) != kept:
        change = differ(arrays, numbers_of(cache))
        if not change:  # an object in it may hold its own gradients, which each call overwrites
            twice = code.back(v.copied(), cast(dy, np.float64), cast(dafter, np.float64), cache)
            change = differ(result, twice)
            change = change if change > 1e-12 * size_of(alone) else 0.0
        if change:
            yield told_change("backward", "the cache", change)


def numbers_of(cache: Any) -> list[Array]:
    """Return copies of the arrays in a cache; those that objects in it hold are not among them."""
    return [a.copy() for a in arrays_of(cache) if a.dtype.kind in "fciub"]


def elsewhere(v: Values) -> Values:
    """The same code at other parameters."""
    rng = np.random.default_rng(7)
    moved = {n: a + 0.1 * rng.standard_normal(a.shape) if a.dtype.kind == "f" else a for n, a in v.params.items()}
    return v.copied()._replace(params=moved)


def contract_of_loss(code: LossFunction, v: Values) -> list[Finding]:
    """What the function breaks, one finding at most."""
    at = v.copied()
    first = code.run(at)
    findings = [told_change("function", what, change) for what, change in changed(v, at)]
    kept = snapshot((first.y, first.after, dict(first.grads) if isinstance(first.grads, dict) else first.grads))
    code.run(elsewhere(v))
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
