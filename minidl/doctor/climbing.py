"""Whether a loss climbs because of the net, or because later batches are harder than those before."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minidl.data import Batch
from minidl.doctor.constant import best_constant
from minidl.doctor.course import KEPT, Course
from minidl.doctor.examining import put
from minidl.doctor.given import Step
from minidl.doctor.training_findings import Beginning, ends_high, leaps
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.objective import loss_value

WORSE = 0.1  # of the earlier loss on the same batches, and of that at the beginning: so much more is worse


def beginning_of(net: Layer, loss: Loss, batches: Sequence[Batch]) -> Beginning:
    """Return the losses of a net on the first of some batches, before it is trained."""
    with np.errstate(all="ignore"):
        losses = [float(loss_value(net, loss, batch)[0]) for batch in batches[:KEPT]]
    return Beginning.of(losses, best_constant(net, loss, batches))


def climbs(course: Course, begun: Layer, net: Layer, loss: Loss, seed: int, beginning: Beginning) -> str | None:
    """Describe in numbers how the loss climbs or leaps, where it is the net that became worse; None otherwise.

    The loss of the last batches, and of the one with the highest loss, is computed again with earlier parameters: those
    before the first update, and the best ones. Where it is as high with these, the data changed, not the net.

    Args:
        course: of the run so far.
        begun, net: the net before the run, and the trained net; neither is changed.
        seed: of the run, for the dropout of its batches.
    """

    def worse(now: float, steps: Sequence[Step], *earlier: Layer) -> bool:
        before = min(mean_loss(steps, one, loss, seed) for one in earlier)
        return not now <= before + WORSE * max(beginning.scale, abs(before))

    high = ends_high(course, beginning)
    if high is not None:
        best = begun.copy()
        put(best, course.best)
        if worse(mean_loss(course.recent, net, loss, seed), course.recent, begun, best):
            return high
    leap = leaps(course, beginning)
    if leap is None or course.highest is None or worse(course.highest.value, [course.highest], begun):
        return leap
    return None


def mean_loss(steps: Sequence[Step], net: Layer, loss: Loss, seed: int) -> float:
    """Return the mean loss of a net on the batches of some steps; inf where it is not finite."""
    with np.errstate(all="ignore"):
        losses = [given.loss(net, loss, seed) for step in steps for given in step.given]
    mean = sum(losses) / len(losses) if losses else math.nan
    return mean if math.isfinite(mean) else math.inf
