"""Softmax and cross-entropy as machine code: a row of scores is read once and its gradient written once.

Gain: a quarter of the time of NumPy's calls at 400 rows of 10,000 (`python tests/benchmarks/kernels.py`).
"""

from __future__ import annotations

import math

from numba import njit

from minidl.inputs import Array
from minidl.kernels.compiled.exp import exp

BUILT_ON = "2cc8c072"  # exp.py, see lstm.py


@njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def total_of(z: Array) -> float:
    """The sum of a row, in whatever order is fastest."""
    total = z.dtype.type(0)
    for j in range(len(z)):
        total += z[j]
    return total


@njit(nogil=True, error_model="numpy")
def peak_of(y: Array) -> float:
    """The largest of a row; a NaN, where there is one in front of it."""
    peaks = y[0]
    for j in range(1, len(y)):
        peaks = y[j] if y[j] > peaks else peaks
    return peaks


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def softmax_cross_entropy_rows(
    first: int, last: int, y: Array, t: Array, weight: Array, each: Array, dy: Array
) -> None:
    """As in `minidl/kernels/softmax.py`."""
    for row in range(first, last):
        y_row, z, peak = y[row], dy[row], peak_of(y[row])
        for j in range(len(z)):
            z[j] = exp(y_row[j] - peak)
        total = total_of(z)
        each[row] = math.log(total) - (y_row[t[row]] - peak)
        scale = weight[row] / total
        for j in range(len(z)):
            z[j] *= scale
        z[t[row]] -= weight[row]
