"""Whether a loss climbs because of the net, or because batches come that are harder than those before."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minidl.doctor.course import Course
from minidl.doctor.examining import put
from minidl.doctor.given import Step
from minidl.doctor.training_findings import ends_high, leaps, scale_of
from minidl.layer import Layer
from minidl.losses import Loss

WORSE = 0.1  # of the earlier loss on the same batches, and of that at the beginning: so much more is worse


def climbs(
    course: Course, begun: Layer, net: Layer, loss: Loss, seed: int, before: Sequence[float], constant: float
) -> str | None:
    """How the loss climbs or leaps, in numbers, where it is the net that became worse; None otherwise.

    The last batches, and the one with the highest loss, are given to the net as it began, and as it was when it was at
    its best: where these have losses as high, the data changed, not the net.

    Args:
        course: of the run, up to now.
        begun, net: the net before the run, and as it is; neither is changed.
        before, constant: as for `ends_high`.
    """
    scale = scale_of(before, constant)
    high = ends_high(course, before, constant)
    if high is not None:
        best = begun.copy()
        put(best, course.best)
        now, *others = (mean_loss(course.recent, one, loss, seed) for one in (net, begun, best))
        earlier = min(others)
        if not now <= earlier + WORSE * max(scale, abs(earlier)):
            return high
    leap = leaps(course, before, constant)
    if leap is None or course.highest is None:
        return leap
    earlier = mean_loss([course.highest], begun, loss, seed)
    return leap if course.highest.value > earlier + WORSE * max(scale, abs(earlier)) else None


def mean_loss(steps: Sequence[Step], net: Layer, loss: Loss, seed: int) -> float:
    """The mean loss of a net on the batches of some steps; inf for what is not finite."""
    with np.errstate(all="ignore"):
        losses = [given.loss(net, loss, seed) for step in steps for given in step.given]
    mean = sum(losses) / len(losses) if losses else math.nan
    return mean if math.isfinite(mean) else math.inf
