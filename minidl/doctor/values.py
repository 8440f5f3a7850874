"""Entries that no net can learn from: not finite, ids that there are not (D403)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.checking.naming.findings import Finding, found
from minidl.data import Batch
from minidl.doctor.parts import Part

REMEDY_MISSING = (
    "leave such rows out, fill them (x = np.nan_to_num(x)), or take single steps out with a mask; look for a division "
    "by a standard deviation of 0"
)


def not_finite(part: Part, dtype: Any) -> list[Finding]:
    """D403, for NaN and infinity where they count, also for what becomes infinite in the net's dtype."""
    first, many, size = None, 0, 0
    for k, (a, real) in enumerate(zip(part.arrays, part.real, strict=True)):
        size += int(real.sum()) * (a.size // max(real.size, 1))
        if a.dtype.kind not in "fc":
            continue
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(a if dtype is None or a.dtype.kind == "c" else a.astype(dtype, copy=False))
        bad &= real.reshape(real.shape + (1,) * (a.ndim - real.ndim))
        many += int(bad.sum())
        if first is None and bad.any():
            at = np.unravel_index(int(bad.argmax()), a.shape)
            first = f"{part.name}, {place(k, part, at)}", a[at]
    if first is None:
        return []
    where, value = first
    told = f"{value:g}" if not np.isfinite(value) else f"{value:g}, which is infinite in {np.dtype(dtype)}"
    evidence = f"the entry is {told}; {many:,} of {size:,} entries are not finite"
    cause = "missing values, or an overflow or a division by 0 when the data were prepared"
    return [found("D403", where, evidence, "NaN or infinity", cause=cause, remedy=REMEDY_MISSING)]


def nothing_counts(t: Part) -> list[Finding]:
    """D403, where masks, weights and ids to be ignored leave no target at all."""
    if any(real.any() for real in t.real):
        return []
    size = sum(real.size for real in t.real)
    evidence = f"none of {size:,} targets counts: each is padding, of weight 0, or to be ignored"
    remedy = "print(batch.mask, batch.weight): a mask is True where a step is real"
    cause = "a mask the wrong way round, weights that are all 0, rows that are empty"
    return [found("D403", "t", evidence, "there is nothing to be learned", cause=cause, remedy=remedy)]


def weights_not_finite(batches: list[Batch], t: Part | None) -> list[Finding]:
    """D403, for weights that are NaN, infinite or negative."""
    given = [(k, np.asarray(b.weight)) for k, b in enumerate(batches) if b.weight is not None]
    for k, weight in given:
        with np.errstate(invalid="ignore"):
            bad = ~(np.isfinite(weight) & (weight >= 0))
        if t is not None and bad.shape == t.real[k].shape:
            bad &= t.real[k]
        if bad.any():
            at = np.unravel_index(int(bad.argmax()), bad.shape)
            names = ", ".join(f"{name} {int(i)}" for name, i in zip(("row", "step"), at, strict=False))
            evidence = f"the weight is {weight[at]:g}; {int(bad.sum()):,} of {bad.size:,} weights of this batch are bad"
            where = ", ".join(filter(None, ["weight", f"batch {k}", names]))
            cause, remedy = "a weight says how much a position counts", "weights are finite and at least 0"
            return [found("D403", where, evidence, "a weight that cannot be", cause=cause, remedy=remedy)]
    return []


def out_of_range(part: Part) -> list[Finding]:
    """D403, for ids that the net has no row or no output for."""
    if part.size is None or not part.whole:
        return []
    first, many, count = None, 0, 0
    for k, (a, real) in enumerate(zip(part.arrays, part.real, strict=True)):
        bad = ((a < 0) | (a >= part.size)) & real.reshape(real.shape + (1,) * (a.ndim - real.ndim))
        many, count = many + int(bad.sum()), count + int(real.sum())
        if first is None and bad.any():
            at = np.unravel_index(int(bad.argmax()), a.shape)
            first = f"{part.name}, {place(k, part, at)}", int(a[at])
    if first is None:
        return []
    where, value = first
    target = part.name == "t"
    has = f"the net has {part.size} outputs" if target else f"the Embedding has {part.size} rows"
    largest = max(int(a[real].max()) for a, real in zip(part.arrays, part.real, strict=True) if real.any())
    evidence = f"the id is {value}, {has}: 0 to {part.size - 1}; {many:,} of {count:,} ids are out of range"
    cause = "another vocabulary than the one that the net was made for, ids that begin at 1, or an id for padding"
    layer = f"Dense({largest + 1})" if target else f"Embedding({largest + 1}, units)"
    remedy = "take the padding out with a mask" + (" or ignore_index" if target else "")
    if largest >= part.size:
        remedy = f"{layer}, len(vocab) at least, or encode with the net's own vocabulary"
    return [found("D403", where, evidence, "ids out of range", cause=cause, remedy=remedy)]


def place(batch: int, part: Part, at: tuple[Any, ...]) -> str:
    """Where an entry stands, counted from 0: batch, row, step, feature."""
    steps = part.real[batch].ndim > 1
    names = ("row", "step", "feature") if steps else ("row", "feature")
    told = [f"{name} {int(k)}" for name, k in zip(names, at, strict=False)]
    return ", ".join([f"batch {batch}", *told])
