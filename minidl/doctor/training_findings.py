"""What the figures of a run say: a loss that climbs, updates of the wrong size, clipping, what stands still."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minidl.callbacks.clipping import ClipNorm, Clipping, ClipValue
from minidl.checking.naming.findings import Finding, found
from minidl.doctor.course import Course
from minidl.doctor.diagnosis import sparkline
from minidl.parameter import Parameter

ENOUGH = 20  # updates that a verdict on a run takes
CLIMB = 0.1  # of the loss at the beginning: what it ends above it
LOST = 0.5  # of what was gained
LEAP = 0.3  # of the loss at the beginning: how far a few in a row may be above it
HEALED = 10.0  # times that, where half of the loss is gone at the end
LARGE, HEALTHY, SMALL = 0.2, 1e-3, 1e-6  # the median of |update| / |value|
ALWAYS, FAR = 0.98, 100.0  # the share of updates that are clipped; how many times the norms are below a threshold
DRIFT = 0.95  # the cosine between a gradient and that of some steps before
EPOCHS = 4  # that the curves take to tell
APART = 0.05  # of the best validation loss: what the last one is above it


class Beginning(NamedTuple):
    """The losses before the first update, over some batches, and the loss of the best constant output."""

    mean: float
    spread: float  # standard deviation: how much batches differ by themselves
    constant: float  # NaN where it is not known

    @property
    def scale(self) -> float:
        """The mean or the constant, whichever is larger: a trained net climbs where it loses much of the constant."""
        return max(abs(self.mean), 0.0 if math.isnan(self.constant) else self.constant)

    @classmethod
    def of(cls, losses: Sequence[float], constant: float = math.nan) -> Beginning:
        """Summarize losses; those that are not finite are left out, and without any the mean is NaN."""
        finite = [loss for loss in losses if math.isfinite(loss)]
        return cls(statistics.fmean(finite), statistics.pstdev(finite), constant) if finite else cls(*[math.nan] * 3)


def ends_high(course: Course, beginning: Beginning) -> str | None:
    """Describe in numbers how the loss of a run ends far above where it was; None where it does not.

    Example:
        >>> from minidl.doctor.training_findings import Beginning, ends_high
        >>> from minidl.doctor.course import Course
        >>> course = Course()
        >>> for value in range(40):
        ...     course.losses.add(float(value))
        >>> print(ends_high(course, Beginning.of([0.1, 0.2])))
        the loss goes from 0.15 up to 37 in 40 updates
    """
    losses, first, scale, noise = course.losses, beginning.mean, beginning.scale, beginning.spread
    if losses.count < ENOUGH:
        return None
    last, best = losses.last, losses.best
    if last > first + CLIMB * scale + 3 * noise:
        return f"the loss goes from {first:.3g} up to {last:.3g} in {losses.count} updates"
    if last > best + LOST * (first - best) + 3 * noise and first - best > CLIMB * scale:
        return f"the loss fell from {first:.3g} to {best:.3g} and climbed to {last:.3g} again"
    return None


def leaps(course: Course, beginning: Beginning) -> str | None:
    """Describe in numbers how the loss of a run leaps; None where it does not."""
    first, last, peak = beginning.mean, course.losses.last, course.losses.peak
    healed = HEALED if last < LOST * first else 1.0  # a first step that was too long, and is made good
    if peak > first + healed * LEAP * beginning.scale + 6 * beginning.spread:
        return f"the loss leaps from {first:.3g} up to {peak:.3g}, and is {last:.3g} at the end"
    return None


def rate_finding(course: Course, seen: str, rule: str, largest: float | None) -> Finding:
    """L503, with the largest rate that is stable, where a range test told one."""
    where, tried = f"{rule}, rate {course.highest_rate:.3g}", "a range test from the same parameters"
    if largest is None:
        return found("L503", where, f"{seen}; {tried} finds no rate that is stable")
    rate = round_number(largest)
    remedy = f"lr={rate}, the largest stable rate of the range test, or a half of it; a warm-up helps"
    return found("L503", where, f"{seen}; {tried} is stable at {rate}", remedy=remedy)


def round_number(value: float) -> str:
    """Two digits, as a person would write them.

    Example:
        >>> from minidl.doctor.training_findings import round_number
        >>> round_number(948.7), round_number(0.00316)
        ('950', '0.0032')
    """
    return f"{float(f'{value:.2g}'):g}"


def motion_findings(
    course: Course, params: Mapping[str, Parameter], factors: Mapping[str, float] | None = None
) -> list[Finding]:
    """T604, where a weight matrix moves too fast or too slowly, and T606, where a parameter never moves or drifts."""
    motion, findings = course.motion, []
    still = [name for name, count in motion.still.items() if motion.samples >= ENOUGH and count == motion.samples]
    fixed = {name for name, factor in (factors or {}).items() if not factor}  # they are not to move
    still = [name for name in still if name not in fixed and motion.silent[name] == motion.samples]
    if still:
        seen = f"{told(still)}: the gradient is 0 in all {motion.samples} updates that were looked at"
        findings.append(found("T606", ", ".join(map(repr, still[:3])), seen, title="a parameter never moves"))
    learned = course.losses.first - course.losses.last > CLIMB * abs(course.losses.first)
    turns = {name: curve for name, curve in motion.turns.items() if curve.count >= ENOUGH and name not in still}
    drifting = [name for name, curve in turns.items() if min(curve.values) > DRIFT]
    if drifting and not learned and len(drifting) == len(turns):
        least = min(min(turns[name].values) for name in drifting)
        seen = (
            f"the gradients of {told(drifting)} point the same way at all {course.updates} updates (cosine with the "
            f"sample before at least {least:.3f}), and the loss does not fall ({course.losses.first:.4g} to "
            f"{course.losses.last:.4g})"
        )
        findings.append(
            found(
                "T606", ", ".join(map(repr, drifting[:3])), seen, title="the parameters drift in a constant direction"
            )
        )
    ratios = {
        name: float(np.median(curve.values))
        for name, curve in motion.ratios.items()
        if curve.count >= ENOUGH and params[name].value.ndim > 1 and name not in still and name not in fixed
    }
    for fault, wrong in (
        ("too large", {name: r for name, r in ratios.items() if r > LARGE and not learned}),
        ("too small", {name: r for name, r in ratios.items() if r < SMALL and not course.warming_up}),
    ):
        if wrong:
            worst = max(wrong, key=lambda name: abs(math.log(max(wrong[name], 1e-30) / HEALTHY)))
            others = f"; likewise of {told([name for name in wrong if name != worst])}" if len(wrong) > 1 else ""
            seen = (
                f"the median of |update| / |value| is {wrong[worst]:.1e} for {worst!r}; about 1e-3 is healthy{others}"
            )
            toward = "lower" if fault == "too large" else "raise"
            most = float(f"{max(wrong[worst] / HEALTHY, HEALTHY / wrong[worst]):.1g}") if wrong[worst] else 0.0
            times = f", by up to {most:,.0f} times" if most else ""
            remedy = f"{toward} the learning rate, {course.rate:.2g} now{times}"
            findings.append(
                found(
                    "T604",
                    f"parameter {worst!r}",
                    seen,
                    title=f"the updates are {fault} beside the weights",
                    remedy=remedy,
                )
            )
    return findings


def told(names: Sequence[str]) -> str:
    """Some names, and how many there are more."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more


def clipping_findings(course: Course, callbacks: Sequence[Any]) -> list[Finding]:
    """T605: clipping that always fires, or is so far from it that it would let a catastrophe pass."""
    bounds = [c.max_norm for c in callbacks if isinstance(c, ClipNorm)]
    clips = [c for c in callbacks if isinstance(c, Clipping)]
    norms = [norm for norm in course.recent_norms if math.isfinite(norm)]
    if not clips or len(norms) < ENOUGH:
        return []
    who, high = type(clips[0]).__name__, float(np.percentile(norms, 90))
    middle = statistics.median(norms)
    share = course.fired / course.updates
    typical = f"the last {len(norms)} norms have the median {middle:.3g} and the 90th percentile {high:.3g}"
    remedy = f"ClipNorm({round_number(high)}), the 90th percentile of the norms so far"
    value = isinstance(clips[0], ClipValue)
    if share >= ALWAYS and (value or (bounds and middle > 3 * bounds[0])):
        seen = f"{course.fired} of {course.updates} updates were clipped; {typical}"
        return [found("T605", who, seen, title="clipping always fires: it sets the rate, not a limit", remedy=remedy)]
    highest = course.lengths.highest
    if course.begun == 0 and course.fired == 0 and bounds and highest * FAR < bounds[0]:  # late, gradients are short
        seen = f"none of {course.updates} updates was clipped at {bounds[0]:g}; {typical}, the largest is {highest:.3g}"
        return [found("T605", who, seen, title="clipping never fires", remedy=remedy)]
    return []


def curve_findings(rows: Sequence[Mapping[str, Any]], constant: float = math.nan) -> list[Finding]:
    """T607: what the losses of training and validation say from epoch to epoch.

    Args:
        rows: of a history.
        constant: the loss of the best constant output, where it is known.

    Example:
        >>> from minidl.doctor.training_findings import curve_findings
        >>> losses = [(3.0, 3.0), (2.0, 2.2), (1.0, 2.4), (0.5, 2.9), (0.2, 3.5)]
        >>> finding, = curve_findings([{"loss": train, "valid_loss": valid} for train, valid in losses])
        >>> finding.title
        'the curves tell of overfitting'
    """
    rows = [row for row in rows if math.isfinite(row.get("loss", math.nan))]
    if len(rows) < EPOCHS:
        return []
    train = [row["loss"] for row in rows]
    valid = [row["valid_loss"] for row in rows if math.isfinite(row.get("valid_loss", math.nan))]
    if len(valid) == len(train):
        best = min(range(len(valid)), key=valid.__getitem__)
        rise, gap = valid[-1] - valid[best], valid[-1] - train[-1]
        of_three = statistics.median(valid[-3:]) - valid[best]  # a single bad epoch says nothing
        swings = statistics.median(abs(b - a) for a, b in pairwise(valid))
        rises = rise > 2 * swings and min(rise, of_three) > APART * abs(valid[best])
        if best < len(valid) - 2 and rises and gap > 2 * APART * abs(valid[-1]):
            seen = (
                f"validation was best in epoch {best + 1} of {len(rows)} at {valid[best]:.4g} and is {valid[-1]:.4g} "
                f"now, while training went on from {train[best]:.4g} to {train[-1]:.4g}  {sparkline(valid)}"
            )
            remedy = "EarlyStopping(patience=3), which brings the best weights back; Dropout, more data, fewer units"
            return [found("T607", "validation", seen, title="the curves tell of overfitting", remedy=remedy)]
    half = train[len(train) // 2 :]
    flat = max(half) - min(half) < 0.01 * abs(train[0])
    close = not valid or abs(valid[-1] - train[-1]) < APART * abs(train[-1])
    if flat and close and math.isfinite(constant) and train[-1] > 0.9 * constant:
        seen = (
            f"the training loss stays at {train[-1]:.4g} from epoch {len(train) - len(half) + 1} to {len(train)}, where"
            f" a constant output has {constant:.4g}{f', and validation is {valid[-1]:.4g}' if valid else ''}"
        )
        updates = rows[-1].get("step")
        so_far = f" than the {updates:,} updates so far" if isinstance(updates, int) else ""
        remedy = (
            f"a longer training{so_far} first; then a higher learning rate, more units or layers, longer windows; see "
            f"that x says anything about t"
        )
        return [found("T607", "training", seen, title="the curves tell of underfitting", remedy=remedy)]
    return []
