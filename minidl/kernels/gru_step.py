"""The GRU one step at a time, for generation: as in `lstm_step.py`, on NumPy.

x, h and a 1 stand side by side in one row, the weights and biases on top of each other in one matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl.inputs import Array


def gru_stepper(h0: Array, Wx: Array, Wh: Array, b: Array, bh: Array | None = None) -> Callable[[Array], Array]:
    """A function from x [B, D] to h [B, H] that carries h from call to call.

    Arguments and letters as in `gru_forward_reference`. The weights are copied. The h that it returns is overwritten
    by the next call.
    """
    (B, H), D, dtype = h0.shape, len(Wx), Wx.dtype
    xh1, xs1 = np.ones((2, B, D + H + 1), dtype)
    x_, h, s = xh1[:, :D], xh1[:, D:-1], xs1[:, D:-1]
    h[:] = h0
    W = np.concatenate([Wx, Wh, b[None]])
    W_n = W[:, 2 * H :].copy()
    W[:, : 2 * H] *= dtype.type(0.5)  # sigmoid(a) = 0.5 tanh(a / 2) + 0.5
    if bh is None:
        W = W[:, : 2 * H].copy()
    else:  # what n sees of x and of h has to come apart: blocks r z n s
        W = np.concatenate([W, W[:, 2 * H :]], axis=1)
        W[D:-1, 2 * H : 3 * H] = W[:D, 3 * H :] = 0
        W[-1, 3 * H :] = bh
    a, n = np.empty((B, W.shape[1]), dtype), np.empty((B, H), dtype)
    rz, r, z = a[:, : 2 * H], a[:, :H], a[:, H : 2 * H]

    def step(x: Array) -> Array:
        x_[:] = x
        np.matmul(xh1, W, out=a)
        np.tanh(rz, out=rz)
        np.multiply(rz, 0.5, out=rz)
        np.add(rz, 0.5, out=rz)
        if bh is None:
            xs1[:, :D] = x
            np.multiply(r, h, out=s)
            np.matmul(xs1, W_n, out=n)
        else:
            np.multiply(r, a[:, 3 * H :], out=n)
            np.add(n, a[:, 2 * H : 3 * H], out=n)
        np.tanh(n, out=n)
        np.subtract(h, n, out=h)
        np.multiply(h, z, out=h)
        np.add(h, n, out=h)
        return h

    return step
