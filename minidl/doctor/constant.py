"""The best output that does not look at the inputs: what any net has to beat."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minidl.data import Batch
from minidl.doctor.parts import Part, mask_of_output, targets_of
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.losses import BinaryCrossEntropy, ClassLoss, CrossEntropy, Loss, MeanSquaredError
from minidl.objective import loss_value


def best_constant(net: Layer, loss: Loss, batches: Sequence[Batch]) -> float:
    """The loss of the best output that does not look at x: frequencies, means; of an own loss, of the mean output.

    It is nan where there are no targets that it can read.

    Example:
        >>> from minidl.doctor.constant import best_constant
        >>> net = minidl.Dense(3)
        >>> _ = net.build((2,))
        >>> batch = minidl.Batch(np.ones((4, 2)), np.array([0, 0, 2, 2]))
        >>> round(best_constant(net, minidl.SoftmaxCrossEntropy(), [batch]), 4)
        0.6931
    """
    t = targets_of(net, loss, list(batches)) if batches else None
    if (
        t is None
        or not any(real.any() for real in t.real)
        or len({a.shape[r.ndim :] for a, r in zip(t.arrays, t.real, strict=True)}) > 1
    ):
        return math.nan
    seen, total, weights = loss.on(net)[1], 0.0, 0.0
    with np.errstate(all="ignore"):
        fixed = fixed_output(seen, t)
        for batch, real in zip(batches, t.real, strict=True):
            y = fixed
            if y is None:
                outputs = loss_value(net, loss, batch)[2]
                if not isinstance(outputs, np.ndarray) or outputs.shape[: real.ndim] != real.shape or not real.any():
                    return math.nan
                y = outputs[real].mean(axis=0, dtype=np.float64)
            y = np.broadcast_to(y, (*real.shape, *y.shape)).copy()
            value, _, weight = seen(y, batch.t, batch.weight, mask_of_output(net, batch))
            total, weights = total + float(value) * float(weight), weights + float(weight)
    return total / weights + 0.0 if weights else math.nan  # -0.0 becomes 0


def lowest(loss: Loss, net: Layer, batch: Batch) -> float:
    """The loss of outputs that equal the targets, where these are shares; 0 for others."""
    if isinstance(batch.t, tuple | dict):
        return 0.0
    seen, t = loss.on(net)[1], np.asarray(batch.t)
    soft = (
        isinstance(seen, ClassLoss | BinaryCrossEntropy)
        and t.dtype.kind == "f"
        and t.ndim == 1 + len(net.out_shape or ())
    )
    if not soft or not ((t >= 0) & (t <= 1)).all():
        return 0.0
    y = np.clip(t.astype(np.float64), 1e-7, 1 - 1e-7)
    if isinstance(seen, BinaryCrossEntropy):
        y = np.log(y / (1 - y)) if seen.from_logits else y
    elif not isinstance(seen, CrossEntropy):
        y = np.log(y)
    return float(seen(y, t, batch.weight, mask_of_output(net, batch))[0])


def fixed_output(seen: Loss, t: Part) -> Array | None:
    """What the best of such outputs is, for the losses of minidl; None for others."""
    values = np.concatenate([a[real] for a, real in zip(t.arrays, t.real, strict=True)])
    if isinstance(seen, ClassLoss):
        if t.size is None:
            return None
        share = np.bincount(values, minlength=t.size) / len(values) if t.whole else values.mean(axis=0)
        share = np.maximum(share, 1e-12)
        return share if isinstance(seen, CrossEntropy) else np.log(share)
    if not isinstance(seen, MeanSquaredError | BinaryCrossEntropy):
        return None
    mean = values.astype(np.float64).mean(axis=0)
    if isinstance(seen, BinaryCrossEntropy):
        mean = np.clip(mean, 1e-6, 1 - 1e-6)
        mean = np.log(mean / (1 - mean)) if seen.from_logits else mean
    return mean
