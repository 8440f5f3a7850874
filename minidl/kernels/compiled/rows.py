"""What the compiled recurrent kernels do with a row, and how the options come to them.

The loops over rows and steps are each kernel's own; these are compiled into them. `kernel` and `kernel_on_disk` are
the ways in which all of them are compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from minidl.inputs import Array
from minidl.kernels.compiled.tanh import tanh

kernel = njit(nogil=True, error_model="numpy", fastmath={"contract"})
kernel_on_disk = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


@kernel
def sigmoid_row(z: Array) -> None:
    """z = sigmoid(z), in place: 0.5 tanh(z / 2) + 0.5."""
    half = z.dtype.type(0.5)
    for j in range(len(z)):
        z[j] = half * tanh(half * z[j]) + half


@kernel
def tanh_row(z: Array) -> None:
    """z = tanh(z), in place."""
    for j in range(len(z)):
        z[j] = tanh(z[j])


@kernel
def add(z: Array, d: Array) -> None:
    """z += d."""
    for j in range(len(z)):
        z[j] += d[j]


@kernel
def add_times(z: Array, a: Array, b: Array) -> None:
    """z += a b, number by number."""
    for j in range(len(z)):
        z[j] += a[j] * b[j]


def given(dtype: Any, real: Array | None, *options: Array | None) -> tuple[Array, ...]:
    """`real` and other options; one that is not used has no entries, so that one compilation serves all of them."""
    none = np.empty((0, 1), dtype)
    arrays = (none if a is None else np.ascontiguousarray(a) for a in options)
    return np.empty((0, 1), bool) if real is None else real, *arrays
