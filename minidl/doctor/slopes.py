"""Whether the gradients of a net are those of its loss, roughly: what no data and no rate can make good."""

from __future__ import annotations

import math

import numpy as np

from minidl.checking.judging import Conditioning
from minidl.checking.naming.findings import Finding, found
from minidl.checking.numeric import SWEEP, Problem, central_slope, slope
from minidl.data import Batch
from minidl.gradients import trainable
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.objective import loss_and_grads, loss_value

FAR = 0.1  # the relative error from which on a slope is another one
FLAT = 1e-5  # of the loss for a step of the size of the parameter: too little to be measured
DIRECTIONS = 3


def wrong_gradients(net: Layer, loss: Loss, batch: Batch, seed: int = 0) -> Finding | None:
    """G101, where going along a parameter changes the loss by something else than its gradient says.

    Each parameter is moved in three random directions, in float64; it counts as wrong where all of them say so. This
    finds what is grossly wrong, a sign, a factor, a forgotten path; `gradcheck` proves each entry. Where the net
    amplifies rounding so much that no slope can be measured, nothing is said.

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
        arrays = {name: p.value for name, p in twin.params.items()}
        problem = Problem(arrays, lambda: loss_value(twin, loss, batch)[0])
        for name, p in trainable(twin.params):
            size = float(np.sqrt((p.value**2).mean())) or 1.0
            ways = list(size * rng.standard_normal((DIRECTIONS, *p.value.shape)))
            looks = (wrong_slope(problem, name, d, float((p.grad * d).sum()), FLAT * abs(value)) for d in ways)
            apart = [pair for pair in looks if pair is not None]
            if len(apart) == DIRECTIONS:
                wrong.append((name, *apart[0]))
        if not wrong or Conditioning(problem, False, rng).chaotic:
            return None
    name, measured, says = wrong[0]
    seen = (
        f"a small step along {name!r} changes the loss by {measured:.3g} a unit, its gradient says {says:.3g}"
        f"{f'; likewise {len(wrong) - 1} more of {len(twin.params)}' if len(wrong) > 1 else ''}"
    )
    remedy = "minidl check proves each entry and names the mistake; gradcheck(layer) does so for a layer of your own"
    return found("G101", f"parameter {name!r}", seen, remedy=remedy)


def wrong_slope(
    problem: Problem, name: str, direction: Array, expected: float, flat: float
) -> tuple[float, float] | None:
    """Return the slope along a direction and the expected one, where it can be measured and they differ."""
    size = float(abs(direction).max())

    def differs(measured: float) -> bool:
        largest = max(abs(measured), abs(expected))
        return math.isfinite(largest) and largest > flat and abs(measured - expected) > FAR * largest

    if not differs(slope(problem, {name: direction}, False, SWEEP[0] * size)):
        return None
    measured, doubt = central_slope(problem, {name: direction}, size)
    certain = doubt <= FAR * max(abs(measured), abs(expected))
    return (measured, expected) if certain and differs(measured) else None
