"""The steps of a GRU in NumPy: few, large calls, in place.

The inner 0.5 of sigmoid(z) = 0.5 tanh(z / 2) + 0.5 is folded into a copy of the weights. The backward pass computes
what does not depend on later steps for as many steps at once as stay in the cache: what is left of a step is a product
with dh and a GEMM. In a team, each thread has its rows of the batch.
"""

from __future__ import annotations

import numpy as np

from minidl.inputs import Array
from minidl.kernels.buffers import empty
from minidl.kernels.products import product
from minidl.kernels.threads import CELLS, one_blas_thread, share

BLOCK = 2**17  # gradients of some steps that stay in the cache


def forward(
    xt: Array, gates: Array, h_all: Array, s: Array,
    Wx: Array, Wh: Array, b: Array, bh: Array | None, real: Array | None, drop: Array | None,
) -> None:  # fmt: skip
    """Fill gates [T, B, 3H], h_all [T + 1, B, H] behind its first entry, and s [T, B, H]."""
    T, B, D = xt.shape
    H = len(Wh)
    half = np.repeat(np.array([0.5, 0.5, 1], gates.dtype), H)
    product(xt.reshape(T * B, D), Wx * half, out=gates.reshape(T * B, 3 * H))
    gates += b * half
    Wh = Wh * half

    def rows(first: int, last: int) -> None:
        row = slice(first, last)
        forward_rows(
            gates[:, row], h_all[:, row], s[:, row], Wh, bh,
            None if real is None else ~real[:, row, None], None if drop is None else drop[row],
        )  # fmt: skip

    with one_blas_thread():
        share(rows, B, B * H // CELLS)


def forward_rows(
    gates: Array, h_all: Array, s: Array, Wh: Array, bh: Array | None, padding: Array | None, drop: Array | None
) -> None:
    """From gates = x Wx + b, halved for r and z as Wh is, fill gates, h_all and s for some rows; padding: [T, B, 1]."""
    T, B, H = s.shape
    W, W_n = Wh if bh is not None else Wh[:, : 2 * H], Wh[:, 2 * H :]
    z_h, rs = np.empty((B, W.shape[1]), gates.dtype), np.empty((B, H), gates.dtype)
    for t in range(T):
        h_, h, s_t = h_all[t], h_all[t + 1], s[t]
        rz, n = gates[t, :, : 2 * H], gates[t, :, 2 * H :]
        r, z = rz[:, :H], rz[:, H:]
        hd = h_ if drop is None else h_ * drop
        np.matmul(hd, W, out=z_h)
        rz += z_h[:, : 2 * H]
        np.tanh(rz, out=rz)
        rz *= 0.5
        rz += 0.5
        if bh is not None:
            np.add(z_h[:, 2 * H :], bh, out=s_t)
            np.multiply(r, s_t, out=rs)
        else:
            np.multiply(r, hd, out=s_t)
            np.matmul(s_t, W_n, out=rs)
        n += rs
        np.tanh(n, out=n)
        np.subtract(h_, n, out=h)
        h *= z
        h += n
        if padding is not None:
            np.copyto(h, h_, where=padding[t])


def backward(
    dy: Array | None, dh: Array, gates: Array, h_all: Array, s: Array,
    Wx: Array, Wh: Array, reset_after: bool, real: Array | None, drop: Array | None,
) -> tuple[Array, Array]:  # fmt: skip
    """Turn dh into the gradient of h0, in place; return (da, dx [T, B, D]).

    da, the gradients of what the activations get, has the blocks r z n, and with reset_after s in front of them, the
    gradient of h' Wh_n: so h' and x each have three blocks side by side.
    """
    T, B, H = s.shape
    da = empty((T, B, (4 if reset_after else 3) * H), dh.dtype)
    WhT = np.concatenate([Wh[:, -H:], Wh[:, : 2 * H]], axis=1).T.copy()  # blocks n r z

    def rows(first: int, last: int) -> None:
        row = slice(first, last)
        backward_rows(
            None if dy is None else dy[:, row], dh[row], gates[:, row], h_all[:T, row], s[:, row], da[:, row],
            WhT, reset_after, None if real is None else real[:, row, None], None if drop is None else drop[row],
        )  # fmt: skip

    with one_blas_thread():
        share(rows, B, B * H // CELLS)
    dx = product(da.reshape(T * B, da.shape[2])[:, -3 * H :], Wx.T)
    return da, dx.reshape(T, B, len(Wx))


def backward_rows(
    dy: Array | None, dh: Array, gates: Array, h_before: Array, s: Array, da: Array,
    WhT: Array, reset_after: bool, real: Array | None, drop: Array | None,
) -> None:  # fmt: skip
    """Fill da, and turn dh into the gradient of h0, for some rows; real: [T, B, 1]."""
    T, B, H = s.shape
    steps = max(1, BLOCK // max(1, B * da.shape[2]))
    for last in range(T, 0, -steps):
        first = max(0, last - steps)
        part = slice(first, last)
        z = derivatives(gates[part], h_before[part], s[part], da[part], None if real is None else real[part], drop)
        for t in reversed(range(first, last)):
            if dy is not None:
                dh += dy[t] if real is None else np.where(real[t], dy[t], 0)
            if reset_after:
                blocks = da[t].reshape(B, 4, H)
                blocks *= dh[:, None]
                dhd = da[t, :, : 3 * H] @ WhT
            else:
                zn = da[t].reshape(B, 3, H)[:, 1:]
                zn *= dh[:, None]
                ds = da[t, :, 2 * H :] @ WhT[:H]
                da[t, :, :H] *= ds
                ds *= gates[t, :, :H]
                dhd = da[t, :, : 2 * H] @ WhT[H:]
                dhd += ds
            dh *= z[t - first]
            dh += dhd if drop is None else dhd * drop


def derivatives(gates: Array, h_before: Array, s: Array, da: Array, real: Array | None, drop: Array | None) -> Array:
    """What does not depend on later steps, for some steps; returns how h depends on the h before it directly.

    Fills da with the derivative of h by each of its blocks; without s in front of them, r's is that of r * h' by r's.
    """
    H = s.shape[2]
    rz, r, z, n = gates[:, :, : 2 * H], gates[:, :, :H], gates[:, :, H : 2 * H], gates[:, :, 2 * H :]
    da_rz, da_r, da_z, da_n = da[:, :, -3 * H : -H], da[:, :, -3 * H : -2 * H], da[:, :, -2 * H : -H], da[:, :, -H:]
    np.multiply(n, n, out=da_n)
    np.subtract(1, da_n, out=da_n)
    da_n *= 1 - z
    np.subtract(1, rz, out=da_rz)
    da_rz *= rz
    da_z *= h_before - n
    if da.shape[2] == 4 * H:
        np.multiply(da_n, r, out=da[:, :, :H])
        da_r *= s
        da_r *= da_n
    else:
        da_r *= h_before if drop is None else h_before * drop
    if real is None:
        return z
    np.copyto(da, 0, where=~real)  # a step that is padding: no gradient into its gates, h handed on whole
    return np.where(real, z, 1)
