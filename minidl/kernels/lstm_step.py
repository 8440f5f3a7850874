"""The LSTM one step at a time, for generation: nothing is allocated, checked or kept from step to step.

x, h and a 1 stand side by side in one row, Wx, Wh and b on top of each other in one matrix, so that a step is one GEMM
and a few operations in place. A character then costs about a third of a pass of `lstm_forward` over one step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl.inputs import Array
from minidl.kernels.backend import machine_code


def lstm_stepper(
    h0: Array, c0: Array, Wx: Array, Wh: Array, b: Array, p: Array | None = None
) -> Callable[[Array], Array]:
    """A function from x [B, D] to h [B, H] that carries h and c from call to call.

    Arguments and letters as in `lstm_forward_reference`. The weights are copied. The h that it returns is overwritten
    by the next call.
    """
    fast = machine_code("lstm_step", Wx.dtype) if p is None or p.ndim == 2 else None
    if fast and Wx.nbytes + Wh.nbytes <= fast.PAYS:
        return fast.lstm_stepper(h0, c0, Wx, Wh, b, p)
    B, H = h0.shape
    D = len(Wx)
    half = np.repeat(np.array([0.5, 1], Wx.dtype), [3 * H, H])  # sigmoid(z) = 0.5 tanh(z / 2) + 0.5
    W = np.concatenate([Wx, Wh, b[None]]) * half
    p_ = None if p is None else p * Wx.dtype.type(0.5)
    xh1 = np.ones((B, D + H + 1), Wx.dtype)
    x_, h, c = xh1[:, :D], xh1[:, D:-1], np.array(c0)
    h[:] = h0
    z, ig, tanh_c = np.empty((B, 4 * H), Wx.dtype), np.empty_like(c), np.empty_like(c)
    i, f, o, g = (z[:, k * H : (k + 1) * H] for k in range(4))
    sigmoids = z[:, : (3 if p is None else 2) * H]  # with peepholes, o has to wait for c

    def step(x: Array) -> Array:
        x_[:] = x
        np.matmul(xh1, W, out=z)
        if p_ is None:
            np.tanh(z, out=z)
        else:
            np.add(i, c * p_[0] if p_.ndim == 2 else c @ p_[0], out=i)
            np.add(f, c * p_[1] if p_.ndim == 2 else c @ p_[1], out=f)
            np.tanh(sigmoids, out=sigmoids)
            np.tanh(g, out=g)
        np.multiply(sigmoids, 0.5, out=sigmoids)
        np.add(sigmoids, 0.5, out=sigmoids)
        np.multiply(f, c, out=c)
        np.multiply(i, g, out=ig)
        np.add(c, ig, out=c)
        if p_ is not None:
            np.add(o, c * p_[2] if p_.ndim == 2 else c @ p_[2], out=o)
            np.tanh(o, out=o)
            np.multiply(o, 0.5, out=o)
            np.add(o, 0.5, out=o)
        np.tanh(c, out=tanh_c)
        np.multiply(o, tanh_c, out=h)
        return h

    return step
