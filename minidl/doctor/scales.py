"""Features that say nothing, because they never change, or too much, because of their size (D403)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minidl.checking.naming.findings import Finding, found
from minidl.doctor.parts import Part
from minidl.inputs import Array

HOPELESS = 1e3  # a mean or standard deviation with which no usual net learns
LARGE, SMALL = 30.0, 1e-3  # standard deviations beyond which a feature is not scaled
FAR = 10.0  # a mean so many standard deviations from 0, and of that size itself
FEWEST = 8  # positions to judge by
NAMED = 3  # features in a message
SHOWN = 12  # classes in a message


class Feature(NamedTuple):
    """The size of one feature over all positions that count."""

    column: int
    low: float
    high: float
    mean: float
    std: float

    @property
    def unscaled(self) -> bool:
        """Whether a net would have to scale it first; what never changes, and yes or no, is another matter."""
        if self.low == self.high:
            return False
        far = abs(self.mean) > FAR * self.std and abs(self.mean) > FAR
        return self.std > LARGE or self.std < SMALL or far


def constant(parts: list[Part]) -> list[Finding]:
    """D403, for inputs that never change: an error where all of them do not."""
    held = [values_of(part) for part in parts]
    still = [values is not None and bool((values == values[0]).all()) for values in held]
    if held[0] is not None and all(still):
        told = ", ".join(f"{v:g}" for v in held[0][0, :NAMED])
        where = ", ".join(part.name for part in parts)
        evidence = f"all {len(held[0]):,} steps are {told}{', ...' * (held[0].shape[1] > NAMED)}"
        cause = "an array that was never filled, or one entry that was read again and again"
        remedy = "look at the first batch, print(batch.x), and at the line that fills it"
        return [found("D403", where, evidence, "the inputs never change", cause=cause, remedy=remedy)]
    findings = []
    for part, values, same in zip(parts, held, still, strict=True):
        if values is None or same or part.ids is not None or is_binary(values):
            continue
        features = [f for f in features_of(values) if f.low == f.high != 1]  # ones are a bias
        if features:
            evidence = f"{named(features)}: the same at all {len(values):,} steps of these {len(part.arrays)} batches"
            where = f"{part.name}, {count(features)}"
            cause = "a column that was never filled, or one that changes later in data that are not shuffled"
            columns = [f.column for f in features[:NAMED]]
            remedy = (
                f"see whether it changes anywhere in your data: where it does, keep it; where it never does, "
                f"np.delete({part.name}, {columns}, axis=-1) leaves it out"
            )
            finding = found("D403", where, evidence, "a feature never changes", cause=cause, remedy=remedy)
            findings.append(finding._replace(severity="warning"))
    return findings


def unscaled(part: Part) -> list[Finding]:
    """D403, for features (or targets that are numbers) far from mean 0 and standard deviation 1."""
    values = values_of(part)
    if values is None or part.ids is not None or is_binary(values):
        return []
    features = [f for f in features_of(values) if f.unscaled]
    if not features:
        return []
    evidence = f"{named(features)}; mean 0 and standard deviation 1 suit a net"
    remedy = (
        f"{part.name} = ({part.name} - mean) / std, with the mean and std of the training data by column "
        f"(feature {features[0].column}: {features[0].mean:.3g} and {features[0].std:.3g})"
    )
    cause = "the numbers came as they were measured: large ones saturate the gates, small ones do not move them"
    if part.name == "t":
        cause = "the targets came as they were measured: the outputs, and with them gradients and steps, follow them"
    what = "targets that are not scaled" if part.name == "t" else "features that are not scaled"
    where = f"{part.name}, {count(features)}"
    finding = found("D403", where, evidence, what, cause=cause, remedy=remedy)
    hopeless = any(max(abs(f.mean), f.std) > HOPELESS for f in features)
    return [finding._replace(severity="error" if hopeless else "warning")]


def same_targets(t: Part) -> list[Finding]:
    """D403, for targets that never change, and for classes that come one after the other."""
    if t.ids is not None and in_turn(t.ids, t.real):
        kinds = [int(ids[real][0]) for ids, real in zip(t.ids, t.real, strict=True) if real.any()]
        runs = ", ".join(f"{k}" for k in kinds[:SHOWN]) + ", ..." * (len(kinds) > SHOWN)
        evidence = f"the classes of the batches are {runs}: each batch holds one class"
        cause = "rows that are sorted by their class, and not shuffled: the net learns one class and forgets the others"
        remedy = "leave out shuffle=False, so that each epoch is shuffled"
        what = "the rows are sorted by their target"
        return [found("D403", "t", evidence, what, cause=cause, remedy=remedy)]
    values = values_of(t)
    if values is None or not bool((values == values[0]).all()) or (is_binary(values) and t.ids is None):
        return []
    told = ", ".join(f"{v:g}" for v in values[0].ravel()[:NAMED])
    evidence = f"all {len(values):,} targets are {told} in these {len(t.arrays)} batches"
    cause = "rows that are sorted by their target and not shuffled, or targets that were never filled"
    remedy = "leave out shuffle=False, or look at the line that fills t"
    what = "the targets never change"
    return [found("D403", "t", evidence, what, severity="warning", cause=cause, remedy=remedy)]


def in_turn(ids: list[Array], real: list[Array]) -> bool:
    """Whether the rows, with one target each, are sorted by class, so that most batches hold one class."""
    if any(a.ndim != 1 for a in ids):
        return False
    batches = [a[marks] for a, marks in zip(ids, real, strict=True) if marks.any()]
    rows = np.concatenate(batches) if batches else np.zeros(0)
    kinds = len(np.unique(rows))
    alone = sum(bool((a == a[0]).all()) for a in batches)
    turns = int((rows[1:] != rows[:-1]).sum())
    return kinds > 1 and len(rows) >= FEWEST * len(batches) and alone >= len(batches) / 2 and turns < 2 * kinds


def values_of(part: Part) -> Array | None:
    """The steps [N, D] that count, as float64, without what a net would take for infinite; None for less than a few."""
    if any(a.dtype.kind not in "fiub" for a in part.arrays) or len({a.shape[2:] for a in part.arrays}) > 1:
        return None
    rows = [
        a[real].reshape(int(real.sum()), math.prod(a.shape[real.ndim :]))
        for a, real in zip(part.arrays, part.real, strict=True)
    ]
    if len({row.shape[1] for row in rows}) > 1:
        return None
    values = np.concatenate(rows).astype(np.float64)
    values = values[(abs(values) < np.finfo(np.float32).max).all(axis=-1)]
    return values if len(values) >= FEWEST and values.shape[1] else None


def is_binary(values: Array) -> bool:
    """Whether all of it is yes or no: keys of a piano, marks, one-hot vectors."""
    return bool(((values == 0) | (values == 1)).all())


def features_of(values: Array) -> list[Feature]:
    """The features that are not yes or no, with their sizes."""
    low, high = values.min(axis=0), values.max(axis=0)
    mean, std = values.mean(axis=0), values.std(axis=0)
    marks = ((values == 0) | (values == 1)).all(axis=0) & (low < high)
    return [
        Feature(k, float(low[k]), float(high[k]), float(mean[k]), float(std[k]))
        for k in np.flatnonzero(~marks).tolist()
    ]


def named(features: list[Feature]) -> str:
    """The first features with their numbers."""
    words = [
        f"feature {f.column} is {f.low:g}"
        if f.low == f.high
        else f"feature {f.column} has mean {f.mean:.3g}, standard deviation {f.std:.3g}"
        for f in features[:NAMED]
    ]
    more = f", and {len(features) - NAMED} more" if len(features) > NAMED else ""
    return "; ".join(words) + more


def count(features: list[Feature]) -> str:
    """Which features, in short."""
    indexes = ", ".join(str(f.column) for f in features[:NAMED])
    return f"feature{'s' * (len(features) > 1)} {indexes}{', ...' * (len(features) > NAMED)}"
