"""What a hand-written training loop carries from one window into the next: a state, or by mistake its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.checking.handwritten import LossFunction, Values
from minidl.checking.naming.findings import Finding, found
from minidl.checking.report import relative_error
from minidl.checking.structure import arrays_of
from minidl.inputs import Array

STEP, CLOSE = 1e-5, 1e-3  # of a central difference, and the relative error up to which two arrays are the same
ENTRIES = 200  # of a state whose gradient is worth the calls


def carried_gradient(code: LossFunction, v: Values) -> Finding | None:
    """G115, where the state that a loss function returns is the gradient of the state that it got."""
    before, after = arrays_of(v.state), arrays_of(code.run(v.copied()).after)
    if not after or sum(a.size for a in before) > ENTRIES:
        return None
    slopes = [slope(code, v, k) for k in range(len(before))]
    for k, a in enumerate(after):
        for j, d in enumerate(slopes):
            if a.shape == d.shape and d.any() and float(relative_error(d, np.asarray(a).real).max(initial=0)) < CLOSE:
                seen = (
                    f"array {k} of the state that comes out is dL/d(array {j} of the state that went in), to "
                    f"{float(abs(a - d).max()):.1g}; it is {float(abs(a).max()):.2g} at most"
                )
                return found("G115", "the state that the function returns", seen)
    return None


def slope(code: LossFunction, v: Values, k: int) -> Array:
    """The gradient of the loss by array k of the state, by central differences."""
    shape = arrays_of(v.state)[k].shape
    d = np.empty(shape)
    for index in np.ndindex(shape):
        values = []
        for step in STEP, -STEP:
            moved: Any = v.copied()
            arrays_of(moved.state)[k][index] += step
            values.append(float(np.asarray(code.run(moved).y).real.sum()))
        d[index] = (values[0] - values[1]) / (2 * STEP)
    return d
