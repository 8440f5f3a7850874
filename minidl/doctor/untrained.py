"""The loss of a net that knows nothing yet, and what makes it another one (L501)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minidl.checking.naming.findings import Finding, found
from minidl.data import Batch
from minidl.doctor.parts import mask_of_output
from minidl.inputs import Array, cast_input
from minidl.layer import Layer
from minidl.losses import BinaryCrossEntropy, ClassLoss, CrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from minidl.objective import loss_value

FAR, TWICE = 1.75, 2.0  # times what it must be, and the same for an error
LEAST, LEAST_SQUARED = 1.5, 10.0  # by so much at least: usual initializers give scores of up to 2, squares of up to 8
NOISE = 3.0  # more, over the square root of the positions
NEAR, FEWEST = 0.3, 32  # of what it must be, over so many positions
SOME = 4  # batches that are looked at
TOO_LARGE, SCALED = 4.0, 10.0  # parameters against their usual size, inputs against 1


class Start(NamedTuple):
    """The loss as it is and as it must be, over some batches, how far the outputs reach, and how many there are."""

    value: float
    due: float
    reach: float
    positions: int

    def too_high(self, loss: Loss) -> bool:
        """Whether that is more than the usual initializers and chance can give."""
        least = LEAST_SQUARED if isinstance(loss, MeanSquaredError) else LEAST
        return self.value > max(FAR * self.due, self.due + least + NOISE / math.sqrt(max(self.positions, 1)))


def first_loss(net: Layer, loss: Loss, batches: Sequence[Batch], trained: bool | None) -> list[Finding]:
    """L501, for a loss that is far above what an untrained net must have, or, where it is one, far below."""
    if trained or neutral(net, loss) is None:
        return []
    start = measured(net, loss, batches[:SOME])
    if not (math.isfinite(start.value) and math.isfinite(start.due)) or start.due <= 0:
        return []
    due = f"a net that knows nothing has {start.due:.3g}, {words_of(net, loss)}"
    if start.too_high(loss):
        where, cause, remedy = source(net, loss, batches[0], start)
        evidence = f"the loss is {start.value:.3g}, {due}: {start.value / start.due:.1f} times as much"
        finding = found("L501", where, evidence, "it is too high", cause=cause, remedy=remedy)
        return [finding._replace(severity="error" if start.value > TWICE * start.due else "warning")]
    if (
        trained is False
        and isinstance(loss, ClassLoss)
        and start.positions >= FEWEST
        and start.value < NEAR * start.due
    ):
        return [
            found(
                "L501",
                f"the loss of {loss.title} before the first step",
                f"the loss is {start.value:.3g}, {due}",
                "it is too low",
                severity="warning",
                cause="the net was trained before, or what is to be predicted goes from x to the output as it is",
                remedy="look which entries of x the target was made from, and leave them out; build a new net",
            )
        ]
    return []


def neutral(net: Layer, loss: Loss) -> float | None:
    """The output that says nothing, as the loss sees it; None for losses that are not known."""
    body, seen = loss.on(net)
    if isinstance(seen, SoftmaxCrossEntropy | MeanSquaredError):
        return 0.0
    if isinstance(seen, BinaryCrossEntropy):
        return 0.0 if seen.from_logits else 0.5
    if isinstance(seen, CrossEntropy) and body.out_shape and isinstance(body.out_shape[-1], int):
        return 1 / body.out_shape[-1]
    return None


def words_of(net: Layer, loss: Loss) -> str:
    """Where the loss of a net that knows nothing comes from."""
    if isinstance(loss, MeanSquaredError):
        return "the mean of t^2"
    return "ln 2" if isinstance(loss, BinaryCrossEntropy) else f"ln {(net.out_shape or (0,))[-1]}"


def measured(net: Layer, loss: Loss, batches: Sequence[Batch]) -> Start:
    """The loss of the outputs and that of outputs that say nothing, each batch from the initial state."""
    said = neutral(net, loss)
    _, seen = loss.on(net)
    value = due = total = reach = 0.0
    positions = 0
    with np.errstate(all="ignore"):
        for batch in batches:
            mine, weight, y, _ = loss_value(net, loss, batch)
            mask = mask_of_output(net, batch)
            none = seen(np.full_like(y, said), batch.t, batch.weight, mask)[0]
            value, due, total = value + float(mine) * weight, due + float(none) * weight, total + weight
            positions += int(np.prod(y.shape[:-1]))
            reach = max(reach, float(abs(y).max(initial=0)))
    return Start(value / total, due / total, reach, positions) if total else Start(0.0, 0.0, 0.0, 0)


def source(net: Layer, loss: Loss, batch: Batch, start: Start) -> tuple[str, str, str]:
    """Where a loss that is too high comes from, as far as it can be seen, and what to do: (where, cause, remedy)."""
    outputs = f"outputs within ±{start.reach:.3g}"
    x = cast_input(batch.x, net.dtype)
    sizes = {
        f"x[{k}]" if isinstance(x, tuple) else "x": rms(a) for k, a in enumerate(x if isinstance(x, tuple) else (x,))
    }
    name = max(sizes, key=lambda key: sizes[key])
    if sizes[name] > SCALED:
        told = f"the data are not scaled: {name} has a root mean square of {sizes[name]:.3g}, which gives {outputs}"
        return name, told, f"{name} = ({name} - mean) / std, with the mean and std of the training data by column"
    ratios = {name: rms(p.value) / usual(name, p.value) for name, p in net.params.items()}
    name = max(ratios, key=lambda key: ratios[key]) if ratios else ""
    if name and ratios[name] > TOO_LARGE:
        size, fit = rms(net.params[name].value), usual(name, net.params[name].value)
        told = f"parameter {name!r} has a root mean square of {size:.3g}, usual is {fit:.2g}; it gives {outputs}"
        return f"parameter {name!r}", told, "leave its initializer out (init=...), or take one that goes by the size"
    where = f"the loss of {loss.title} before the first step"
    cause = f"{outputs}: they are large from the start, or not what the loss expects"
    return where, cause, "print(net.predict(batch.x)): look at its range, and put in front of the loss what it expects"


def rms(a: Array) -> float:
    """Root mean square of an array's finite numbers; 0 for ids."""
    numbers = a.dtype.kind == "f" or (a.dtype.kind in "iu" and a.ndim > 2)
    finite = a[np.isfinite(a)].astype(np.float64) if numbers else np.zeros(0)
    return float(np.sqrt((finite**2).mean())) if finite.size else 0.0


def usual(name: str, value: Array) -> float:
    """The root mean square that a parameter of its shape begins with: Glorot's for what is multiplied, else 1."""
    last = name.rpartition(".")[-1]
    if value.ndim < 2 or last in ("E", "g"):
        return 1.0
    return float(np.sqrt(2 / (math.prod(value.shape[:-1]) + value.shape[-1])))
