"""The long short-term memory layer, with or without peepholes: `LSTM`, and its state `LSTMState`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from minidl.arguments import flag, positive_int, positive_real, real
from minidl.errors import ArgumentError
from minidl.initializers import Initializer, choose, drawn_blocks, drawn_rows, glorot_uniform, normal, orthogonal, zeros
from minidl.inputs import Array, Shape
from minidl.kernels import lstm_backward, lstm_backward_reference, lstm_forward, lstm_forward_reference
from minidl.layers.activations import HardSigmoid, Sigmoid, gate, gate_activation
from minidl.layers.dropout import dropout_mask
from minidl.layers.recurrent import RecurrentCache, Stateful, stop_at_start
from minidl.layers.tracing import trace_lstm


class LSTMState(NamedTuple):
    """What an LSTM remembers between two steps: output h and cell c, both [B, H]. A tuple (h, c) serves too."""

    h: Array
    c: Array


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
        recurrent_activation: what opens the gates instead of the sigmoid, HardSigmoid(slope=0.2) for one.
        cell_clip: c is kept within ± this number, before o looks at it; where it was beyond, no gradient passes.
            HardSigmoid and cell_clip run on the plain kernel: with 128 units, training takes 2 to 4 times as long on
            32 rows, and 10 to 20 times on a single one.

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

    trace = trace_lstm
    blocks: ClassVar[str] = "ifog"  # whose are the blocks of Wx, Wh and b; the rows of p are the same without g

    def __init__(
        self,
        units: int,
        *,
        peephole: bool | Literal["diagonal", "full"] = False,
        return_sequences: bool = False,
        go_backwards: bool = False,
        forget_bias: float = 1.0,
        recurrent_dropout: float = 0.0,
        init: Mapping[str, Initializer] | None = None,
        recurrent_activation: Sigmoid | HardSigmoid | None = None,
        cell_clip: float | None = None,
    ) -> None:
        owner = type(self).__name__
        if not isinstance(peephole, bool) and not (isinstance(peephole, str) and peephole in ("diagonal", "full")):
            raise ArgumentError(f"{owner} expects peephole to be False, True, 'diagonal' or 'full', got {peephole!r}.")
        self.units = positive_int(owner, "units", units)
        self.peephole = peephole
        self.return_sequences = flag(owner, "return_sequences", return_sequences)
        self.go_backwards = flag(owner, "go_backwards", go_backwards)
        self.forget_bias = real(owner, "forget_bias", forget_bias)
        self.recurrent_dropout = real(owner, "recurrent_dropout", recurrent_dropout, 0, 1)
        self.recurrent_activation = gate_activation(owner, recurrent_activation)
        self.cell_clip = None if cell_clip is None else positive_real(owner, "cell_clip", cell_clip)
        p = glorot_uniform if peephole == "full" else normal(0.1)  # from 0 they learn precise timing less often
        self.init = choose(owner, init, Wx=glorot_uniform, Wh=orthogonal, b=zeros, p=p)

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        T, D = self.check_in_shape(in_shape)
        H, init, k = self.units, self.init, self.blocks
        self.Wx = self.add_param("Wx", drawn_blocks(init["Wx"], (D, H), k, rng, dtype))
        self.Wh = self.add_param("Wh", drawn_blocks(init["Wh"], (H, H), k, rng, dtype))
        self.b = self.add_param("b", drawn_blocks(init["b"], (H,), k, rng, dtype, f=self.forget_bias))
        if self.peephole:
            shape = (H, H) if self.peephole == "full" else (H,)
            self.p = self.add_param("p", drawn_rows(init["p"], shape, len(k) - 1, rng, dtype))
        if self.recurrent_activation is not None:
            self.recurrent_activation.build((H,), rng, dtype)
        return (T, H) if self.return_sequences else (H,)

    def weights(self) -> tuple[Array, Array, Array, Array | None]:
        """Wx, Wh, b and p as the kernels take them, blocks i f o g."""
        return self.Wx.value, self.Wh.value, self.b.value, self.p.value if self.peephole else None

    def rare_options(self) -> dict[str, Any]:
        """What only the plain kernel knows; nothing where the fast one serves."""
        usual = self.cell_clip is None and type(self.recurrent_activation) in (type(None), Sigmoid)
        return {} if usual else {"gate": gate(self.recurrent_activation), "cell_clip": self.cell_clip}

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
    ) -> tuple[Array, LSTMState, RecurrentCache]:
        Wx, Wh, b, p = self.weights()
        x = self.check_input(x, mask, len(Wx))
        h0, c0 = self.begin(x, state, start)
        r = dropout_mask(h0.shape, self.recurrent_dropout, rng, Wx.dtype)
        rare = self.rare_options()
        run = lstm_forward_reference if rare else lstm_forward
        y, h, c, cache = run(x, h0, c0, Wx, Wh, b, p, mask, r, self.go_backwards, keep_cache, **rare)
        return y if self.return_sequences else h.copy(), LSTMState(h, c), RecurrentCache(cache, start)

    def backward_with_state(self, dy: Array, dstate: Any, cache: RecurrentCache) -> tuple[Array, LSTMState]:
        kernel = self.check_cache(cache)
        dh, dc = self.initial_state(len(dy)) if dstate is None else dstate
        run = lstm_backward_reference if self.rare_options() else lstm_backward
        dx, dh0, dc0, grads = run(*self.flows_in(dy, dh), dc, kernel)
        self.add_gradients(grads)
        return dx, LSTMState(*stop_at_start((dh0, dc0), cache.start))
