"""One step of an LSTM as machine code, for generation: one call in place of a dozen.

What and why: a step of a small net takes a few microseconds of arithmetic; each call of NumPy adds half of one. Where
the weights are larger than a core's own cache, reading them is all that counts, and a BLAS with two threads reads
faster: `PAYS` is the size up to which this step is used.

Gain: 1x100 cells step in half of the NumPy step's time (`python tests/benchmarks/kernels.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl.inputs import Array
from minidl.kernels.compiled.lstm import cell
from minidl.kernels.compiled.rows import given, kernel_on_disk
from minidl.kernels.compiled.tiles import add_packed, packed, padded, scratch

BUILT_ON = "d3545c87"  # lstm.py, rows.py, tiles.py and tanh.py, see lstm.py
PAYS = 2**20  # bytes of weights


@kernel_on_disk
def step_rows(xh: Array, c: Array, z: Array, W: Array, b: Array, p: Array, tanh_c: Array, edge: Array) -> None:
    """From x and h side by side in xh [B, D + H], and c [B, H], compute the next h and c, in place."""
    B, H = c.shape
    for row in range(B):
        z[row, : 4 * H] = b
    add_packed(xh, 0, B, W, z, edge)
    for row in range(B):
        cell(z[row, : 4 * H], c[row], c[row], xh[row, -H:], tanh_c, p)


def lstm_stepper(h0: Array, c0: Array, Wx: Array, Wh: Array, b: Array, p: Array | None) -> Callable[[Array], Array]:
    """As `minidl.kernels.lstm_stepper`."""
    D, (B, H) = len(Wx), h0.shape
    W, b, (_, p) = packed(np.concatenate([Wx, Wh])), b.copy(), given(Wh.dtype, None, None if p is None else p.copy())
    xh, c, z, edge, tanh_c = np.empty((B, D + H), W.dtype), c0.copy(), padded(B, W), scratch(W), np.empty(H, W.dtype)
    x_, h = xh[:, :D], xh[:, D:]
    h[:] = h0

    def step(x: Array) -> Array:
        x_[:] = x
        step_rows(xh, c, z, W, b, p, tanh_c, edge)
        return h

    return step
