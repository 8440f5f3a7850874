"""One update of Adam as machine code: each entry is read and written once.

What and why: in NumPy the update is a dozen calls, and each goes through its arrays from end to end. Here an entry's
four numbers are fetched together, and all is done before the next.

Gain: a quarter of the NumPy update's time at 2 million entries (`python tests/benchmarks/kernels.py`).
"""

from __future__ import annotations

import math

from numba import njit

from minidl.inputs import Array


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def adam(
    x: Array, g: Array, m: Array, v: Array, beta1: float, beta2: float, rate: float, eps: float, keep: float
) -> None:
    """m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  x = keep x - rate m / (sqrt(v) + eps), in place."""
    kind = x.dtype.type
    b1, b2, r, e, k = kind(beta1), kind(beta2), kind(rate), kind(eps), kind(keep)
    a1, a2 = kind(1 - beta1), kind(1 - beta2)
    for j in range(len(x)):
        m[j] = b1 * m[j] + a1 * g[j]
        v[j] = b2 * v[j] + a2 * (g[j] * g[j])
        x[j] = k * x[j] - r * (m[j] / (math.sqrt(v[j]) + e))
