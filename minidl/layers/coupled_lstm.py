"""The LSTM with coupled gates: what it forgets makes room for what comes in, `CoupledLSTM`."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from minidl.inputs import Array
from minidl.layers.lstm import LSTM


class CoupledLSTM(LSTM):
    """An LSTM without an input gate of its own: i = 1 - f.

        f = sigmoid(x Wx_f + h' Wh_f + b_f [+ p_f c'])
        g = tanh   (x Wx_g + h' Wh_g + b_g)
        c = f * c' + (1 - f) * g
        o = sigmoid(x Wx_o + h' Wh_o + b_o [+ p_o c ])
        h = o * tanh(c)

    Since 1 - sigmoid(z) = sigmoid(-z), it is an LSTM whose i has the weights of f with the other sign, and runs on the
    same kernels. Arguments, shapes and state are those of `LSTM`.

    Params:
        Wx [D, 3H], Wh [H, 3H], b [3H]: blocks f o g. p: [2, H], or [2, H, H] used as c @ p[k]; rows f o.

    Notes:
        A quarter fewer parameters than an LSTM, in the same time. TensorFlow Lite calls it CIFG.

    Source:
        Greff et al. 2017, LSTM: a search space odyssey (coupled input and forget gate).

    Example:
        >>> lstm = minidl.CoupledLSTM(4, peephole=True)
        >>> _ = lstm.build((None, 3))
        >>> {name: p.value.shape for name, p in lstm.params.items()}
        {'Wx': (3, 12), 'Wh': (4, 12), 'b': (12,), 'p': (2, 4)}
    """

    blocks: ClassVar[str] = "fog"

    def weights(self) -> tuple[Array, Array, Array, Array | None]:
        Wx, Wh, b, p = super().weights()
        H = self.units

        def with_i(a: Array) -> Array:
            return np.concatenate([-a[..., :H], a], axis=-1)

        return with_i(Wx), with_i(Wh), with_i(b), None if p is None else np.concatenate([-p[:1], p])

    def add_gradients(self, grads: dict[str, Array]) -> None:
        H = self.units
        for name, grad in grads.items():
            if name == "p":
                self.p.grad += grad[1:]
                self.p.grad[0] -= grad[0]
            else:
                self.params[name].grad += grad[..., H:]
                self.params[name].grad[..., :H] -= grad[..., :H]
