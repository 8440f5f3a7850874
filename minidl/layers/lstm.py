"""The long short-term memory layer, with or without peepholes: `LSTM`, and its state `LSTMState`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from minidl.arguments import flag, positive_int, real
from minidl.errors import ArgumentError
from minidl.initializers import Drawn, Initializer, choose, draw, glorot_uniform, normal, orthogonal, zeros
from minidl.inputs import Array, Shape
from minidl.kernels import lstm_backward, lstm_forward
from minidl.layers.dropout import dropout_mask
from minidl.layers.recurrent import Stateful, stop_at_start


class LSTMState(NamedTuple):
    """What an LSTM remembers between two steps: output h and cell c, both [B, H]. A tuple (h, c) serves too."""

    h: Array
    c: Array


class LSTMPass(NamedTuple):
    """The cache of a pass: the kernel's, and which rows began anew."""

    kernel: Any
    start: Any


class LSTM(Stateful):
    """Long short-term memory with forget gate, and peepholes on request.

        i = sigmoid(x Wx_i + h' Wh_i + b_i [+ p_i c'])        h', c': the state of step t-1
        f = sigmoid(x Wx_f + h' Wh_f + b_f [+ p_f c'])
        g = tanh   (x Wx_g + h' Wh_g + b_g)
        c = f * c' + i * g
        o = sigmoid(x Wx_o + h' Wh_o + b_o [+ p_o c ])
        h = o * tanh(c)

    Args:
        units: the number of cells, H.
        peephole: True or "diagonal" lets the gates see the cell through a weight per cell and gate;
            "full" through a matrix per gate.
        return_sequences: y is h of every step; otherwise h of the final state alone.
        go_backwards: run from the last step to the first; y[:, t] still belongs to x[:, t].
        forget_bias: what b_f starts from; 1 keeps the gradients of the first updates alive.
        recurrent_dropout: the share of h' that the gates do not see in a training pass, the same
            units in all steps of a sequence and in all gates.
        init: initializers by parameter, {"Wh": minidl.normal(0.1)}; drawn per gate.

    Shapes:
        x [B, T, D] -> y [B, T, H], or [B, H] without return_sequences. State: h [B, H], c [B, H].
        With a mask [B, T], a step that is padding keeps the state, and its y is 0.

    Params:
        Wx [D, 4H], Wh [H, 4H], b [4H]: blocks i f o g. p: [3, H], or [3, H, H] used as c @ p[k]; rows i f o.

    Raises:
        ArgumentError: for an argument out of range. ShapeError: for x or a state that does not fit.

    Source:
        Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000 (forget gate); Gers, Schraudolph &
        Schmidhuber 2002 (peepholes); Gal & Ghahramani 2016 (recurrent dropout).

    Example:
        >>> lstm = minidl.LSTM(4, peephole=True, return_sequences=True)
        >>> lstm.build((None, 3))
        (None, 4)
        >>> y, state, cache = lstm.forward_with_state(np.ones((2, 5, 3), np.float32))
        >>> y.shape, state.c.shape
        ((2, 5, 4), (2, 4))
    """

    def __init__(
        self,
        units: int,
        peephole: bool | Literal["diagonal", "full"] = False,
        return_sequences: bool = False,
        go_backwards: bool = False,
        forget_bias: float = 1.0,
        recurrent_dropout: float = 0.0,
        init: Mapping[str, Initializer] | None = None,
    ) -> None:
        if not isinstance(peephole, bool) and not (isinstance(peephole, str) and peephole in ("diagonal", "full")):
            raise ArgumentError(f"LSTM expects peephole to be False, True, 'diagonal' or 'full', got {peephole!r}.")
        self.units = positive_int("LSTM", "units", units)
        self.peephole = peephole
        self.return_sequences = flag("LSTM", "return_sequences", return_sequences)
        self.go_backwards = flag("LSTM", "go_backwards", go_backwards)
        self.forget_bias = real("LSTM", "forget_bias", forget_bias)
        self.recurrent_dropout = real("LSTM", "recurrent_dropout", recurrent_dropout, 0, 1)
        p = glorot_uniform if peephole == "full" else normal(0.1)  # from 0 they learn precise timing less often
        self.init = choose("LSTM", init, Wx=glorot_uniform, Wh=orthogonal, b=zeros, p=p)

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        T, D = self.check_in_shape(in_shape)
        H = self.units

        def gate(name: str, *shape: int) -> Array:
            return draw(self.init[name], shape, rng, dtype)

        def gates(name: str, *shape: int) -> Array:
            return np.concatenate([gate(name, *shape) for _ in range(4)], axis=-1)

        def biases() -> Array:
            b = gates("b", H)
            b[H : 2 * H] += self.forget_bias
            return b

        self.Wx = self.add_param("Wx", Drawn((D, 4 * H), dtype, lambda: gates("Wx", D, H)))
        self.Wh = self.add_param("Wh", Drawn((H, 4 * H), dtype, lambda: gates("Wh", H, H)))
        self.b = self.add_param("b", Drawn((4 * H,), dtype, biases))
        if self.peephole:
            shape = (H, H) if self.peephole == "full" else (H,)
            rows = partial(gate, "p", *shape)
            self.p = self.add_param("p", Drawn((3, *shape), dtype, lambda: np.stack([rows() for _ in range(3)])))
        return (T, H) if self.return_sequences else (H,)

    def initial_state(self, batch: int) -> LSTMState:
        shape, dtype = (batch, self.units), self.Wx.value.dtype
        return LSTMState(np.zeros(shape, dtype), np.zeros(shape, dtype))

    def forward_with_state(
        self,
        x: Array,
        state: Any = None,
        *,
        start: Any = None,
        mask: Array | None = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Array, LSTMState, LSTMPass]:
        Wx, Wh, b = self.Wx.value, self.Wh.value, self.b.value
        p = self.p.value if self.peephole else None
        x = self.check_input(x, mask, len(Wx))
        h0, c0 = self.begin(x, state, start)
        r = dropout_mask(h0.shape, self.recurrent_dropout, rng, Wx.dtype)
        y, h, c, cache = lstm_forward(x, h0, c0, Wx, Wh, b, p, mask, r, self.go_backwards, keep_cache)
        return y if self.return_sequences else h.copy(), LSTMState(h, c), LSTMPass(cache, start)

    def backward_with_state(self, dy: Array, dstate: Any, cache: LSTMPass) -> tuple[Array, LSTMState]:
        if cache.kernel is None:
            raise ArgumentError("LSTM expects the cache of a pass that kept one: run it with keep_cache=True.")
        dh, dc = (np.zeros_like(cache.kernel.h[0]),) * 2 if dstate is None else dstate
        sequence, dh = (dy, dh) if self.return_sequences else (None, dh + dy)
        dx, dh0, dc0, grads = lstm_backward(sequence, dh, dc, cache.kernel)
        for name, grad in grads.items():
            self.params[name].grad += grad
        return dx, LSTMState(*stop_at_start((dh0, dc0), cache.start))
