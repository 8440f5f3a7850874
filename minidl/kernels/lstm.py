"""The LSTM over a whole sequence, fast: time-major inside, large GEMMs, one tanh for all gates, in place.

All input projections are one GEMM, each step is one GEMM, each weight gradient is one GEMM. With
sigmoid(z) = 0.5 tanh(z / 2) + 0.5, i, f and o share the tanh of g; the inner 0.5 is folded into a copy of
the weights (exact in binary floating point). The backward pass computes what does not depend on later steps
for all steps at once; only seven small operations and a GEMM remain in its loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minidl.inputs import Array


class LSTMCache(NamedTuple):
    """What the backward pass needs; time-major, in the order in which the steps ran."""

    x: Array  # [T, B, D]
    h: Array  # [T + 1, B, H], h[0] is the state before the first step
    c: Array  # [T + 1, B, H]
    gates: Array  # [T, B, 4H], activated, blocks i f o g
    tanh_c: Array  # [T, B, H]
    mask: Array | None  # [T, B, 1]
    r: Array | None  # [B, H]
    weights: tuple[Array, Array, Array | None]
    go_backwards: bool


def lstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    p: Array | None = None,
    mask: Array | None = None,
    r: Array | None = None,
    go_backwards: bool = False,
    keep_cache: bool = True,
) -> tuple[Array, Array, Array, LSTMCache | None]:
    """Run an LSTM over a sequence; arguments and letters as in `lstm_forward_reference`.

    x has to be 0 where the mask says padding (or at least finite).

    Returns:
        (y [B, T, H], h [B, H], c [B, H], cache or None).

    Notes:
        The cache holds T * B * (D + 7H) numbers. `y` shares its memory with it.
    """
    B, T, D = x.shape
    H = len(Wh)
    dtype = np.result_type(x, h0, Wx)
    order = slice(None, None, -1) if go_backwards else slice(None)
    xt = np.ascontiguousarray(x.transpose(1, 0, 2)[order])
    real = None if mask is None or mask.all() else mask.T[order, :, None]

    # the inner 0.5 of the sigmoids: folded into copies of the weights, unless copying takes longer than using them
    folded = T * B > H
    Wx_, Wh_, b_, p_ = Wx, Wh, b, p
    if folded:
        half = np.ones(4 * H, dtype)
        half[: 3 * H] = 0.5
        Wx_, Wh_, b_, p_ = Wx * half, Wh * half, b * half, None if p is None else p * 0.5
    p_if = None if p_ is None else p_[:2] if p_.ndim == 2 else np.concatenate(p_[:2], axis=1)

    gates = (xt.reshape(T * B, D) @ Wx_).reshape(T, B, 4 * H)
    gates += b_
    h_all, c_all = np.empty((T + 1, B, H), dtype), np.empty((T + 1, B, H), dtype)
    h_all[0], c_all[0] = h0, c0
    tanh_c = np.empty((T, B, H), dtype)
    z_h, ig = np.empty((B, 4 * H), dtype), np.empty((B, H), dtype)

    for t in range(T):
        z, h_, c_, c, h = gates[t], h_all[t], c_all[t], c_all[t + 1], h_all[t + 1]
        i, f, o, g = z[:, :H], z[:, H : 2 * H], z[:, 2 * H : 3 * H], z[:, 3 * H :]
        np.matmul(h_ if r is None else h_ * r, Wh_, out=z_h)
        z += z_h
        sigmoids = z[:, : (3 if p_ is None else 2) * H]  # with peepholes, o has to wait for c
        if p_ is not None:
            sigmoids += (c_[:, None] * p_if).reshape(B, 2 * H) if p_.ndim == 2 else c_ @ p_if
        if not folded:
            sigmoids *= 0.5
        if p_ is None:
            np.tanh(z, out=z)
        else:
            np.tanh(sigmoids, out=sigmoids)
            np.tanh(g, out=g)
        sigmoids *= 0.5
        sigmoids += 0.5
        np.multiply(f, c_, out=c)
        np.multiply(i, g, out=ig)
        c += ig
        if p_ is not None:
            o += c * p_[2] if p_.ndim == 2 else c @ p_[2]
            if not folded:
                o *= 0.5
            np.tanh(o, out=o)
            o *= 0.5
            o += 0.5
        np.tanh(c, out=tanh_c[t])
        np.multiply(o, tanh_c[t], out=h)
        if real is not None:
            padding = ~real[t]
            np.copyto(c, c_, where=padding)
            np.copyto(h, h_, where=padding)

    y = h_all[1:] if real is None else np.where(real, h_all[1:], 0)
    cache = LSTMCache(xt, h_all, c_all, gates, tanh_c, real, r, (Wx, Wh, p), go_backwards) if keep_cache else None
    return y[order].transpose(1, 0, 2), h_all[T].copy(), c_all[T].copy(), cache


def lstm_backward(
    dy: Array | None, dh: Array, dc: Array, cache: LSTMCache
) -> tuple[Array, Array, Array, dict[str, Array]]:
    """The gradients of `lstm_forward`; arguments and results as in `lstm_backward_reference`.

    Notes:
        Needs T * B * 6H numbers of its own. What is handed in stays as it is.
    """
    x, h_all, c_all, gates, tanh_c, real, r, (Wx, Wh, p), go_backwards = cache
    T, B, D = x.shape
    H = len(Wh)
    dtype = np.result_type(gates, dh)
    order = slice(None, None, -1) if go_backwards else slice(None)
    i, f, o, g = (gates[:, :, k * H : (k + 1) * H] for k in range(4))

    # dz starts as the derivative of c (of h, for o) by each pre-activation; the loop multiplies dc (dh) into it
    dz = np.empty((T, B, 4 * H), dtype)
    dz_if, dz_o, dz_g = dz[:, :, : 2 * H], dz[:, :, 2 * H : 3 * H], dz[:, :, 3 * H :]
    sigmoids = gates[:, :, : 3 * H]
    np.subtract(1, sigmoids, out=dz[:, :, : 3 * H])
    dz[:, :, : 3 * H] *= sigmoids
    dz[:, :, :H] *= g
    dz[:, :, H : 2 * H] *= c_all[:T]
    dz_o *= tanh_c
    np.multiply(g, g, out=dz_g)
    np.subtract(1, dz_g, out=dz_g)
    dz_g *= i
    dc_dh = tanh_c * tanh_c
    np.subtract(1, dc_dh, out=dc_dh)
    dc_dh *= o
    if real is not None:  # a step that is padding: no gradient into its gates, c and h handed on whole
        np.copyto(dz, 0, where=~real)
        np.copyto(dc_dh, 0, where=~real)
        f = np.where(real, f, 1)

    if dy is not None:
        dy = dy.transpose(1, 0, 2)[order]
        if real is not None:
            dy = np.where(real, dy, 0)
    WhT = np.ascontiguousarray(Wh.T)
    dh, dc = dh.astype(dtype), dc.astype(dtype)  # copies: the loop works in place
    for t in reversed(range(T)):
        if dy is not None:
            dh += dy[t]
        dz_o[t] *= dh
        dc_dh[t] *= dh
        dc += dc_dh[t]
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
            dh = np.where(real[t], 0, dh) + (dhr if r is None else dhr * r)
        dc *= f[t]
        if p is not None:
            dc += (two * p[:2]).sum(axis=1) if p.ndim == 2 else two[:, 0] @ p[0].T + two[:, 1] @ p[1].T

    dz2 = dz.reshape(T * B, 4 * H)
    hr = (h_all[:T] if r is None else h_all[:T] * r).reshape(T * B, H)
    grads = {"Wx": x.reshape(T * B, D).T @ dz2, "Wh": hr.T @ dz2, "b": dz2.sum(axis=0)}
    if p is not None:
        pairs = (c_all[:T], dz[:, :, :H]), (c_all[:T], dz[:, :, H : 2 * H]), (c_all[1:], dz_o)
        if p.ndim == 2:
            grads["p"] = np.stack([(seen * d).sum(axis=(0, 1)) for seen, d in pairs])
        else:
            grads["p"] = np.stack([seen.reshape(T * B, H).T @ d.reshape(T * B, H) for seen, d in pairs])
    dx = (dz2 @ Wx.T).reshape(T, B, D)[order].transpose(1, 0, 2)
    return dx, dh, dc, grads
