"""The steps of an LSTM in NumPy: few, large calls, one tanh for all gates, in place.

Each step is one GEMM. With sigmoid(z) = 0.5 tanh(z / 2) + 0.5, i, f and o share the tanh of g; the inner 0.5 is folded
into a copy of the weights (exact in binary floating point). The backward pass computes what does not depend on later
steps for as many steps at once as stay in the cache; only seven small operations and a GEMM remain in its loop. In a
team, each thread has its rows of the batch.
"""

from __future__ import annotations

import numpy as np

from minidl.inputs import Array
from minidl.kernels.buffers import empty
from minidl.kernels.products import product
from minidl.kernels.threads import CELLS, one_blas_thread, share

BLOCK = 2**17  # gates of some steps that stay in the cache


def forward(
    xt: Array, gates: Array, h_all: Array, c_all: Array, tanh_c: Array,
    Wx: Array, Wh: Array, b: Array, p: Array | None, real: Array | None, r: Array | None,
) -> None:  # fmt: skip
    """Fill gates [T, B, 4H], h_all and c_all [T + 1, B, H] behind their first entries, and tanh_c [T, B, H]."""
    T, B, D = xt.shape
    H = len(Wh)
    dtype = gates.dtype
    # the inner 0.5 of the sigmoids: folded into copies of the weights, unless copying takes longer than using them
    folded = T * B > H
    Wx_, Wh_, b_, p_ = Wx, Wh, b, p
    if folded:
        half = np.ones(4 * H, dtype)
        half[: 3 * H] = 0.5
        Wx_, Wh_, b_, p_ = Wx * half, Wh * half, b * half, None if p is None else p * 0.5

    product(xt.reshape(T * B, D), Wx_, out=gates.reshape(T * B, 4 * H))
    gates += b_

    def rows(first: int, last: int) -> None:
        row = slice(first, last)
        forward_rows(
            gates[:, row], h_all[:, row], c_all[:, row], tanh_c[:, row], Wh_, p_, folded,
            None if real is None else ~real[:, row, None], None if r is None else r[row],
        )  # fmt: skip

    with one_blas_thread():
        share(rows, B, B * H // CELLS)


def forward_rows(
    gates: Array, h_all: Array, c_all: Array, tanh_c: Array,
    Wh: Array, p: Array | None, folded: bool, padding: Array | None, r: Array | None,
) -> None:  # fmt: skip
    """From gates = x Wx + b, fill gates, h_all, c_all and tanh_c for some rows; padding: [T, B, 1]."""
    T, B, H = tanh_c.shape
    p_if = None if p is None else p[:2] if p.ndim == 2 else np.concatenate(p[:2], axis=1)
    z_h, ig = np.empty((B, 4 * H), gates.dtype), np.empty((B, H), gates.dtype)
    for t in range(T):
        z, h_, c_, c, h = gates[t], h_all[t], c_all[t], c_all[t + 1], h_all[t + 1]
        i, f, o, g = z[:, :H], z[:, H : 2 * H], z[:, 2 * H : 3 * H], z[:, 3 * H :]
        np.matmul(h_ if r is None else h_ * r, Wh, out=z_h)
        z += z_h
        sigmoids = z[:, : (3 if p is None else 2) * H]  # with peepholes, o has to wait for c
        if p is not None:
            sigmoids += (c_[:, None] * p_if).reshape(B, 2 * H) if p.ndim == 2 else c_ @ p_if
        if not folded:
            sigmoids *= 0.5
        if p is None:
            np.tanh(z, out=z)
        else:
            np.tanh(sigmoids, out=sigmoids)
            np.tanh(g, out=g)
        sigmoids *= 0.5
        sigmoids += 0.5
        np.multiply(f, c_, out=c)
        np.multiply(i, g, out=ig)
        c += ig
        if p is not None:
            o += c * p[2] if p.ndim == 2 else c @ p[2]
            if not folded:
                o *= 0.5
            np.tanh(o, out=o)
            o *= 0.5
            o += 0.5
        np.tanh(c, out=tanh_c[t])
        np.multiply(o, tanh_c[t], out=h)
        if padding is not None:
            np.copyto(c, c_, where=padding[t])
            np.copyto(h, h_, where=padding[t])


def backward(
    dy: Array | None, dh: Array, dc: Array, gates: Array, c_all: Array, tanh_c: Array,
    Wx: Array, Wh: Array, p: Array | None, real: Array | None, r: Array | None,
) -> tuple[Array, Array, Array, Array | None]:  # fmt: skip
    """Turn dh and dc into the gradients of h0 and c0, in place; return (dz [T, B, 4H], dx [T, B, D], db, dp)."""
    T, B, H = tanh_c.shape
    dz, WhT = empty((T, B, 4 * H), dh.dtype), np.ascontiguousarray(Wh.T)

    def rows(first: int, last: int) -> None:
        row = slice(first, last)
        some = None if real is None else real[:, row, None]
        backward_rows(
            None if dy is None else dy[:, row], dh[row], dc[row], gates[:, row], c_all[:T, row], tanh_c[:, row],
            dz[:, row], WhT, p, some, None if r is None else r[row],
        )  # fmt: skip

    with one_blas_thread():
        share(rows, B, B * H // CELLS)
    dp = None
    if p is not None:
        pairs = (c_all[:T], dz[:, :, :H]), (c_all[:T], dz[:, :, H : 2 * H]), (c_all[1:], dz[:, :, 2 * H : 3 * H])
        if p.ndim == 2:
            dp = np.stack([(seen * d).sum(axis=(0, 1)) for seen, d in pairs])
        else:
            dp = np.stack([seen.reshape(T * B, H).T @ d.reshape(T * B, H) for seen, d in pairs])
    dz2 = dz.reshape(T * B, 4 * H)
    return dz, product(dz2, Wx.T).reshape(T, B, len(Wx)), dz2.sum(axis=0), dp


def backward_rows(
    dy: Array | None, dh: Array, dc: Array, gates: Array, c_all: Array, tanh_c: Array, dz: Array,
    WhT: Array, p: Array | None, real: Array | None, r: Array | None,
) -> None:  # fmt: skip
    """Fill dz, and turn dh and dc into the gradients of h0 and c0, for some rows; real: [T, B, 1]."""
    T, B, H = tanh_c.shape
    steps = max(1, BLOCK // max(1, B * 4 * H))
    room = np.empty((min(steps, T), B, H), dz.dtype)
    dz_if, dz_o, dz_g = dz[:, :, : 2 * H], dz[:, :, 2 * H : 3 * H], dz[:, :, 3 * H :]
    for last in range(T, 0, -steps):
        first = max(0, last - steps)
        part = slice(first, last)
        f, dc_dh = derivatives(
            gates[part], c_all[part], tanh_c[part], dz[part], room[: last - first], None if real is None else real[part]
        )
        for t in reversed(range(first, last)):
            if dy is not None:
                dh += dy[t] if real is None else np.where(real[t], dy[t], 0)
            dz_o[t] *= dh
            dc_dh[t - first] *= dh
            dc += dc_dh[t - first]
            if p is not None:
                dc += dz_o[t] * p[2] if p.ndim == 2 else dz_o[t] @ p[2].T
            two = dz_if[t].reshape(B, 2, H)
            two *= dc[:, None]
            dz_g[t] *= dc
            if real is None:
                np.matmul(dz[t], WhT, out=dh)
                if r is not None:
                    dh *= r
            else:
                dhr = dz[t] @ WhT
                np.copyto(dh, 0, where=real[t])
                dh += dhr if r is None else dhr * r
            dc *= f[t - first]
            if p is not None:
                dc += (two * p[:2]).sum(axis=1) if p.ndim == 2 else two[:, 0] @ p[0].T + two[:, 1] @ p[1].T


def derivatives(
    gates: Array, c_before: Array, tanh_c: Array, dz: Array, dc_dh: Array, real: Array | None
) -> tuple[Array, Array]:
    """What does not depend on later steps, for some steps; returns how c depends on the c before it, and h on c.

    Fills dz with the derivative of c (of h, for o) by each pre-activation.
    """
    H = tanh_c.shape[2]
    i, f, o, g = (gates[:, :, k * H : (k + 1) * H] for k in range(4))
    sigmoids, dz_g = gates[:, :, : 3 * H], dz[:, :, 3 * H :]
    np.subtract(1, sigmoids, out=dz[:, :, : 3 * H])
    dz[:, :, : 3 * H] *= sigmoids
    dz[:, :, :H] *= g
    dz[:, :, H : 2 * H] *= c_before
    dz[:, :, 2 * H : 3 * H] *= tanh_c
    np.multiply(g, g, out=dz_g)
    np.subtract(1, dz_g, out=dz_g)
    dz_g *= i
    np.multiply(tanh_c, tanh_c, out=dc_dh)
    np.subtract(1, dc_dh, out=dc_dh)
    dc_dh *= o
    if real is not None:  # a step that is padding: no gradient into its gates, c and h handed on whole
        np.copyto(dz, 0, where=~real)
        np.copyto(dc_dh, 0, where=~real)
        f = np.where(real, f, 1)
    return f, dc_dh
