"""Whether the gradients of a net are those of its loss, roughly: what no data and no rate can make good."""

from __future__ import annotations

import numpy as np

from minidl.checking.naming.findings import Finding, found
from minidl.data import Batch
from minidl.gradients import trainable
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.objective import loss_and_grads, loss_value

STEPS = 1e-3, 1e-5  # of the size of a parameter: wide enough for code in float32, short enough for a sharp bend
FAR = 0.1  # the relative error from which on a slope is another one
FLAT = 1e-5  # of the loss for a step of the size of the parameter: too little to be measured
DIRECTIONS = 3


def wrong_gradients(net: Layer, loss: Loss, batch: Batch, seed: int = 0) -> Finding | None:
    """G101, where going along a parameter changes the loss by something else than its gradient says.

    Each parameter is moved in three random directions, in float64; it counts as wrong where all of them say so. This
    finds what is grossly wrong, a sign, a factor, a forgotten path; `gradcheck` proves each entry.

    Example:
        >>> from minidl.doctor.slopes import wrong_gradients
        >>> net = minidl.Sequential([minidl.LSTM(4), minidl.Dense(1)])
        >>> _ = net.build((None, 3))
        >>> wrong_gradients(net, minidl.MeanSquaredError(), minidl.Batch(np.ones((2, 5, 3)), np.ones((2, 1)))) is None
        True
    """
    rng, wrong = np.random.default_rng(seed), []
    with np.errstate(all="ignore"):
        twin = net.copy(dtype=np.float64)
        twin.zero_grads()
        value = float(loss_and_grads(twin, loss, batch).value)
        for name, p in trainable(twin.params):
            size = float(np.sqrt((p.value**2).mean())) or 1.0
            ways = list(size * rng.standard_normal((DIRECTIONS, *p.value.shape)))
            told = [float((p.grad * d).sum()) for d in ways]
            far = [
                all(is_far(slope(twin, loss, batch, p.value, d, step), t, FLAT * abs(value)) for step in STEPS)
                for d, t in zip(ways, told, strict=True)
            ]
            if all(far):
                wrong.append((name, slope(twin, loss, batch, p.value, ways[0], STEPS[0]), told[0]))
    if not wrong:
        return None
    name, measured, says = wrong[0]
    seen = (
        f"a small step along {name!r} changes the loss by {measured:.3g} a unit, its gradient says {says:.3g}"
        f"{f'; likewise {len(wrong) - 1} more of {len(twin.params)}' if len(wrong) > 1 else ''}"
    )
    remedy = "minidl check proves each entry and names the mistake; gradcheck(layer) does so for a layer of your own"
    return found("G101", f"parameter {name!r}", seen, remedy=remedy)


def slope(net: Layer, loss: Loss, batch: Batch, p: Array, d: Array, step: float) -> float:
    """How the loss changes along a direction."""
    before, values = p.copy(), []
    for sign in 1, -1:
        p[...] = before + sign * step * d
        values.append(float(loss_value(net, loss, batch)[0]))
    p[...] = before
    return (values[0] - values[1]) / (2 * step)


def is_far(measured: float, told: float, flat: float) -> bool:
    """Whether two slopes are different ones; what is too flat to be measured is not."""
    largest = max(abs(measured), abs(told))
    return bool(np.isfinite(largest)) and largest > flat and abs(measured - told) > FAR * largest
