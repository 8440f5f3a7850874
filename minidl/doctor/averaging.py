"""Whether a loss and its gradient are a mean over rows and steps, or a sum (L504)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.checking.naming.findings import Finding, found
from minidl.data import Batch
from minidl.doctor.parts import mask_of_output
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.objective import loss_value

EXACT = 0.01  # how far a ratio may be from a whole one
AXES = "B", "T"
REMEDY = "write positions(y, t) in place of __call__: the base class Loss averages, values and gradients alike"


class Asked(NamedTuple):
    """What a loss is asked about: outputs in float64, and what belongs to them."""

    loss: Loss
    y: Array
    t: Array
    weight: Any
    mask: Any

    def value(self) -> float:
        """The loss."""
        return float(self.loss(self.y, self.t, self.weight, self.mask)[0])

    def twice(self, axis: int) -> Asked:
        """The same, with all rows (axis 0) or all steps (axis 1) standing there twice."""
        shape = self.y.shape

        def doubled(a: Any) -> Any:
            if a is None or np.ndim(a) <= axis or np.shape(a)[axis] != shape[axis]:
                return a
            return np.concatenate([a, a], axis=axis)

        return Asked(self.loss, *(doubled(a) for a in self[1:]))


def summed(net: Layer, loss: Loss, batches: list[Batch]) -> list[Finding]:
    """L504, where the loss doubles as the rows or the steps do, or the gradient is that many times the derivative."""
    asked = question(net, loss, batches[0])
    if asked is None:
        return []
    axes = [axis for axis in range(min(asked.y.ndim - 1, 2)) if asked.y.shape[axis] > 1 and doubles(asked, axis)]
    ratio = gradient_ratio(asked)
    if axes:
        return [of_value(loss, asked, axes, ratio)]
    over = factor_of(asked, ratio)
    return [] if over is None else [of_gradient(loss, asked, over, ratio)]


def question(net: Layer, loss: Loss, batch: Batch) -> Asked | None:
    """The loss with the net's outputs for a batch; None where it is 0 or not finite, or of several outputs."""
    with np.errstate(all="ignore"):
        value, _, y, _ = loss_value(net, loss, batch)
    if not isinstance(y, np.ndarray) or y.ndim < 2 or not np.isfinite(y).all() or not np.isfinite(value) or not value:
        return None
    weight = None if batch.weight is None else np.asarray(batch.weight)
    seen = loss.on(net)[1]
    return Asked(seen, y.astype(np.float64), np.asarray(batch.t), weight, mask_of_output(net, batch))


def doubles(asked: Asked, axis: int) -> bool:
    """Whether the loss of everything twice is twice the loss: a mean would stay as it is."""
    try:
        ratio = asked.twice(axis).value() / asked.value()
    except Exception:  # a loss of somebody's own may know how many rows or steps there are
        return False
    return abs(ratio - 2) < EXACT


def gradient_ratio(asked: Asked) -> float:
    """The gradient that the loss returns, against the derivative of its value along it; 1 is right, 0 not known."""
    dy = np.asarray(asked.loss(asked.y, asked.t, asked.weight, asked.mask)[1], np.float64)
    largest = abs(dy).max(initial=0)
    if dy.shape != asked.y.shape or not np.isfinite(largest) or not largest:
        return 0.0
    along = dy / largest
    step = 1e-6 * (1 + abs(asked.y).max())
    try:
        ahead, behind = (asked._replace(y=asked.y + sign * step * along).value() for sign in (1, -1))
    except Exception:  # probabilities at the very edge of what a loss accepts
        return 0.0
    derivative = (ahead - behind) / (2 * step)
    return float((dy * along).sum() / derivative) if derivative else 0.0


def counts(asked: Asked) -> dict[str, float]:
    """How many positions a mean over some axes is made from: rows, steps (of a row, where some are padding), both."""
    B = asked.y.shape[0]
    if asked.y.ndim < 3:
        return {"B": B}
    inside = np.ones(asked.y.shape[:2], bool)
    if asked.mask is not None and asked.mask.shape == inside.shape:
        inside = asked.mask
    both = float(inside.sum())
    return {"B": B, "T": both / B, "B and T": both}


def factor_of(asked: Asked, ratio: float) -> str | None:
    """Over which axes the gradient is a sum, where it is too large by just so much."""
    fitting = {over: n for over, n in counts(asked).items() if n > 1 and abs(ratio / n - 1) < EXACT}
    return next(iter(fitting), None)


def of_value(loss: Loss, asked: Asked, axes: list[int], ratio: float) -> Finding:
    """The finding for a loss that is a sum."""
    over = " and ".join(AXES[axis] for axis in axes)
    n = counts(asked).get(over, float(asked.y.shape[axes[0]]))
    things = " and ".join(("rows", "steps")[axis] for axis in axes)
    evidence = (
        f"with all {things} standing there twice the loss is {asked.value():.4g} x {2 ** len(axes)}, of a mean x 1; "
        f"it is {number(n)} times too large"
    )
    cause = f"a sum over {things}: loss and gradient, and with them each step, are {number(n)} times those of the mean"
    if abs(ratio * n - 1) < EXACT:
        evidence += ", its gradient is that of the mean"
        cause = f"a sum over {things}, with the gradient of the mean: the number that is shown is not what is trained"
    remedy = f"divide value and gradient by {sizes_of(asked, over)}; {REMEDY}"
    return found("L504", f"{loss.title}, summed over {over}", evidence, cause=cause, remedy=remedy)


def of_gradient(loss: Loss, asked: Asked, over: str, ratio: float) -> Finding:
    """The finding for a loss that is a mean, with the gradient of the sum."""
    times = over.replace(" and ", " x ")
    evidence = f"the gradient is {ratio:.4g} times the derivative of the value along it; {times} is {number(ratio)}"
    return found(
        "L504",
        f"{loss.title}, gradient summed over {over}",
        evidence,
        "the value is a mean, its gradient is that of the sum",
        cause=f"the value is divided by {sizes_of(asked, over)}, dy is not: steps are {number(ratio)} times too long",
        remedy=f"dy /= {sizes_of(asked, over)}; {REMEDY}",
    )


def sizes_of(asked: Asked, over: str) -> str:
    """What to divide by, as it is written."""
    if asked.mask is not None and over != "B":
        return "mask.sum()" if over != "T" else "mask.sum() / len(y)"
    first, second = "y.shape[0]", "y.shape[1]"
    return {"B": first, "T": second}.get(over, f"({first} * {second})")


def number(n: float) -> str:
    """A factor, whole where it is."""
    return f"{round(n):,}" if abs(n - round(n)) < EXACT * n else f"{n:.4g}"
