"""The plain recurrent net one step at a time, for generation: as in `lstm_step.py`, on NumPy.

x, h and a 1 stand side by side in one row, the weights and the bias on top of each other in one matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl.inputs import Array


def simple_rnn_stepper(h0: Array, Wx: Array, Wh: Array, b: Array, relu: bool = False) -> Callable[[Array], Array]:
    """A function from x [B, D] to h [B, H] that carries h from call to call.

    Arguments and letters as in `simple_rnn_forward_reference`. The weights are copied. The h that it returns is
    overwritten by the next call.
    """
    (B, H), D = h0.shape, len(Wx)
    W = np.concatenate([Wx, Wh, b[None]])
    xh1, z = np.ones((B, D + H + 1), W.dtype), np.empty((B, H), W.dtype)
    x_, h = xh1[:, :D], xh1[:, D:-1]
    h[:] = h0

    def step(x: Array) -> Array:
        x_[:] = x
        np.matmul(xh1, W, out=z)
        if relu:
            np.maximum(z, 0, out=h)
        else:
            np.tanh(z, out=h)
        return h

    return step
