"""The steps of a plain recurrent net in NumPy: one GEMM and an activation each, in place.

h of all steps is x Wx + b first, in one GEMM. In a team, each thread has its rows of the batch.
"""

from __future__ import annotations

import numpy as np

from minidl.inputs import Array
from minidl.kernels.buffers import empty
from minidl.kernels.products import product
from minidl.kernels.threads import CELLS, one_blas_thread, share


def forward(
    xt: Array, h_all: Array, Wx: Array, Wh: Array, b: Array, relu: bool, real: Array | None, r: Array | None
) -> None:
    """Fill h_all [T + 1, B, H] behind its first entry."""
    T, B, D = xt.shape
    H = len(Wh)
    product(xt.reshape(T * B, D), Wx, out=h_all[1:].reshape(T * B, H))
    h_all[1:] += b

    def rows(first: int, last: int) -> None:
        hr = np.empty((last - first, H), h_all.dtype)
        for t in range(T):
            h_, h = h_all[t, first:last], h_all[t + 1, first:last]
            h += np.matmul(h_ if r is None else h_ * r[first:last], Wh, out=hr)
            if relu:
                h[h.real <= 0] = 0  # a NaN stays a NaN
            else:
                np.tanh(h, out=h)
            if real is not None:
                np.copyto(h, h_, where=~real[t, first:last, None])

    with one_blas_thread():
        share(rows, B, B * H // CELLS)


def backward(
    dy: Array | None, dh: Array, h_all: Array, Wx: Array, Wh: Array, relu: bool, real: Array | None, r: Array | None
) -> tuple[Array, Array, Array]:
    """Turn dh into the gradient of h0, in place; return (dz [T, B, H], dx [T, B, D], db)."""
    (B, H), T = dh.shape, len(h_all) - 1
    dz, WhT = empty((T, B, H), dh.dtype), np.ascontiguousarray(Wh.T)
    h = h_all[1:]
    if relu:
        dz[...] = ~(h.real <= 0)  # a NaN stays a NaN
    else:
        np.multiply(h, h, out=dz)
        np.subtract(1, dz, out=dz)
    if real is not None:  # a step that is padding: no gradient into it, h handed on whole
        np.copyto(dz, 0, where=~real[:, :, None])

    def rows(first: int, last: int) -> None:
        row = slice(first, last)
        for t in reversed(range(T)):
            here, dh_t = None if real is None else real[t, row, None], dh[row]
            if dy is not None:
                dh_t += dy[t, row] if here is None else np.where(here, dy[t, row], 0)
            dz[t, row] *= dh_t
            dhr = dz[t, row] @ WhT
            if r is not None:
                dhr *= r[row]
            if here is None:
                dh_t[...] = dhr
            else:
                np.copyto(dh_t, 0, where=here)
                dh_t += dhr

    with one_blas_thread():
        share(rows, B, B * H // CELLS)
    dz2 = dz.reshape(T * B, H)
    return dz, product(dz2, Wx.T).reshape(T, B, len(Wx)), dz2.sum(axis=0)
