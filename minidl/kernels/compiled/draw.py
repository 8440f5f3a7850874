"""Draw a symbol by its scores as machine code: one call in place of eight, for generation.

Gain: 2 microseconds instead of 8 with 100 symbols (`python tests/benchmarks/kernels.py`).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from minidl.inputs import Array


@njit(cache=True, nogil=True, error_model="numpy")
def draw(scores: Array, temperature: float, u: float) -> int:
    """The symbol at the share u of p = softmax(scores / temperature); -1 for scores that are not finite."""
    best = scores[0]
    for score in scores:
        if math.isnan(score):
            return -1
        best = max(best, score)
    if not math.isfinite(best):
        return -1
    up_to = np.empty(len(scores))
    total = 0.0
    for j in range(len(scores)):
        total += math.exp(max(float(scores[j]) - best, -1000 * temperature) / temperature)
        up_to[j] = total
    for j in range(len(scores)):
        if up_to[j] > u * total:
            return j
    return len(scores) - 1
