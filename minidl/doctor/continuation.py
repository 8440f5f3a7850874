"""Whether the rows of a window go on where those of the window before ended, as its `start` says (D404)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.checking.naming.findings import Finding, found
from minidl.data import Batch
from minidl.doctor.parts import Part
from minidl.doctor.shifts import is_next, share_words
from minidl.inputs import Array, start_rows
from minidl.layer import Layer

MARKS = 0.8  # of the seams agree by chance: they tell nothing
GOES_ON, BREAKS = 0.95, 0.5  # shares of the rows, less what agrees by chance


class Seams(NamedTuple):
    """Where a row of one window meets the same row of the next: whether it goes on, and whether it is said to."""

    goes_on: Array
    carried: Array
    window: Array
    row: Array
    before: Array  # the last target of the one
    behind: Array  # the first input of the other

    @property
    def chance(self) -> float:
        """How often they agree where rows have nothing to do with each other: all may begin and end with one mark."""
        if not len(self.before):
            return 0.0
        both = np.concatenate([self.before, self.behind])
        _, codes = np.unique(both.reshape(len(both), -1), axis=0, return_inverse=True)
        first, second = np.split(codes.reshape(-1), 2)
        size = int(codes.max()) + 1
        return float(np.bincount(first, minlength=size) @ np.bincount(second, minlength=size)) / len(first) ** 2


def continuation(net: Layer, x: Part, t: Part | None, batches: list[Batch]) -> list[Finding]:
    """D404, for rows that do not go on though state is carried, or go on though it is thrown away."""
    streams = steps_of(x, t)
    if streams is None or len(batches) < 2:
        return []
    seams = seams_of(*streams, batches)
    chance = max(seams.chance, chance_of(streams[0]))
    if chance > MARKS:
        return []
    carried = seams.goes_on[seams.carried]
    if carried.size > 1 and beyond(carried.mean(), chance) < BREAKS:
        return [broken(seams, chance, inside_a_window(*streams))]
    keeps = net.streams and net.initial_state(1) is not None
    if keeps and not carried.size and seams.goes_on.size > 3 and beyond(seams.goes_on.mean(), chance) > GOES_ON:
        return [thrown_away(seams)]
    return []


def steps_of(x: Part, t: Part | None) -> tuple[list[Array], list[Array], list[Array]] | None:
    """Inputs, targets and what counts of them, [B, T, ...], where the targets are the inputs of the next step."""
    if t is None:
        return None
    if is_next(x, t):
        return x.ids or [], t.ids or [], [a & b for a, b in zip(x.real, t.real, strict=True)]
    if x.ids is not None or t.ids is not None:
        return None
    same = pairs = 0
    for a, b, marks in zip(x.arrays, t.arrays, x.real, strict=True):
        if a.ndim != 3 or a.shape != b.shape or marks.shape != a.shape[:2]:
            return None
        both = marks[:, 1:] & marks[:, :-1]
        same += int((equal(b[:, :-1], a[:, 1:]) & both).sum())
        pairs += int(both.sum())
    return (x.arrays, t.arrays, x.real) if pairs and same > GOES_ON * pairs else None


def equal(a: Array, b: Array) -> Array:
    """Which steps [B, T] are the same, in all their features."""
    same = a == b
    return same.all(axis=-1) if same.ndim > 2 else same


def seams_of(x: list[Array], t: list[Array], real: list[Array], batches: list[Batch]) -> Seams:
    """All places where a row of a window meets the same row of the next one."""
    rows: list[tuple[Array, ...]] = []
    for k in range(1, len(x)):
        if x[k].shape[0] != x[k - 1].shape[0] or not x[k].shape[1] or not x[k - 1].shape[1]:
            continue
        meets = np.flatnonzero(real[k - 1][:, -1] & real[k][:, 0])
        goes_on = equal(t[k - 1][meets, -1:], x[k][meets, :1])[:, 0]
        carried = ~start_rows(batches[k].start, len(x[k]))[meets, 0]
        rows.append((goes_on, carried, np.full(len(meets), k), meets, t[k - 1][meets, -1], x[k][meets, 0]))
    if not rows:
        return Seams(*(np.zeros(0, kind) for kind in (bool, bool, int, int, int, int)))
    return Seams(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def chance_of(x: list[Array]) -> float:
    """How often two steps that have nothing to do with each other agree."""
    steps = np.concatenate([a.reshape(-1, *a.shape[2:]) for a in x])
    _, counts = np.unique(steps, axis=0, return_counts=True)
    return float(((counts / counts.sum()) ** 2).sum())


def beyond(share: Any, chance: float) -> float:
    """A share, less what agrees by chance: 0 is chance, 1 is always."""
    return (float(share) - chance) / (1 - chance) if chance < 1 else 1.0


def inside_a_window(x: list[Array], t: list[Array], real: list[Array]) -> bool:
    """Whether row r + 1 goes on where row r of the same window ended: the text was cut the other way round."""
    ends = [equal(b[:-1, -1:], a[1:, :1])[:, 0] for a, b in zip(x, t, strict=True) if len(a) > 1 and a.shape[1]]
    joined = np.concatenate(ends) if ends else np.zeros(0, bool)
    return joined.size > 0 and beyond(joined.mean(), chance_of(x)) > GOES_ON


def broken(seams: Seams, chance: float, other_way: bool) -> Finding:
    """The error for rows that do not go on."""
    carried = seams.goes_on[seams.carried]
    first = int(np.flatnonzero(seams.carried & ~seams.goes_on)[0])
    evidence = (
        f"with start=False, x[:, 0] is the last target of the window before at "
        f"{share_words(float(carried.mean()), carried.size, 'rows')}; by chance it is {100 * chance:.1f} %"
    )
    own: dict[str, Any] = {}
    if other_way:
        evidence += "; row r + 1 goes on where row r ended"
        own["cause"] = "the text was cut into windows, and these were stacked: row r + 1 goes on where row r ended"
    where = f"window {seams.window[first]}, row {seams.row[first]}"
    return found("D404", where, evidence, "rows do not continue, but their state is carried", **own)


def thrown_away(seams: Seams) -> Finding:
    """The warning for rows that go on without their state."""
    share = share_words(float(seams.goes_on.mean()), seams.goes_on.size, "rows")
    return found(
        "D404",
        f"window {seams.window[0]}, row {seams.row[0]}",
        f"x[:, 0] is the last target of the window before at {share}, and start is True each time",
        "rows continue, but their state is thrown away",
        severity="warning",
        cause="each window begins from the initial state: nothing that is farther back than a window can be learned",
        remedy="start=False from the second window on: Batch(x, t, start=k == 0), or TextStream, which says so",
    )
