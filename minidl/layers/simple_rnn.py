"""The plain recurrent layer, without gates: `SimpleRNN`, and its state `SimpleRNNState`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minidl.arguments import flag, positive_int, real
from minidl.errors import ArgumentError
from minidl.initializers import Initializer, choose, drawn, glorot_uniform, orthogonal, zeros
from minidl.inputs import Array, Shape
from minidl.kernels import simple_rnn_backward, simple_rnn_forward
from minidl.layers.activations import ReLU, Tanh
from minidl.layers.dropout import dropout_mask
from minidl.layers.recurrent import RecurrentCache, Stateful, stop_at_start
from minidl.layers.tracing import trace_simple_rnn


class SimpleRNNState(NamedTuple):
    """What a SimpleRNN remembers between two steps: its output h [B, H]. A tuple (h,) serves too."""

    h: Array


class SimpleRNN(Stateful):
    """The recurrent net of Elman: what it saw comes back as an input, without gates.

        h = tanh(x Wx + h' Wh + b)        h': the state of step t-1

    Args:
        units: the size of h, H.
        activation: Tanh(), or ReLU() in its place.
        return_sequences: y is h of every step; otherwise h of the final state alone.
        go_backwards: run from the last step to the first; y[:, t] still belongs to x[:, t].
        recurrent_dropout: the share of h' that is not seen in a training pass, the same units in all steps
            of a sequence.
        init: initializers by parameter, {"Wh": minidl.normal(0.1)}.

    Shapes:
        x [B, T, D] -> y [B, T, H], or [B, H] without return_sequences. State: h [B, H].
        With a mask [B, T], a step that is padding keeps the state, and its y is 0.

    Params:
        Wx [D, H], Wh [H, H], b [H].

    Raises:
        ArgumentError: for an argument out of range. ShapeError: for x or a state that does not fit.

    Source:
        Elman 1990; Le, Jaitly & Hinton 2015 (ReLU); Gal & Ghahramani 2016 (recurrent dropout).

    Example:
        >>> rnn = minidl.SimpleRNN(4, activation=minidl.ReLU(), return_sequences=True)
        >>> rnn.build((None, 3))
        (None, 4)
        >>> y, state, cache = rnn.forward_with_state(np.ones((2, 5, 3), np.float32))
        >>> y.shape, state.h.shape
        ((2, 5, 4), (2, 4))
    """

    trace = trace_simple_rnn

    def __init__(
        self,
        units: int,
        *,
        activation: Tanh | ReLU | None = None,
        return_sequences: bool = False,
        go_backwards: bool = False,
        recurrent_dropout: float = 0.0,
        init: Mapping[str, Initializer] | None = None,
    ) -> None:
        activation = Tanh() if activation is None else activation
        if type(activation) not in (Tanh, ReLU):  # no subclasses: they may compute something else
            raise ArgumentError(f"SimpleRNN expects activation to be Tanh() or ReLU(), got {activation!r}.")
        self.units = positive_int("SimpleRNN", "units", units)
        self.activation = activation
        self.return_sequences = flag("SimpleRNN", "return_sequences", return_sequences)
        self.go_backwards = flag("SimpleRNN", "go_backwards", go_backwards)
        self.recurrent_dropout = real("SimpleRNN", "recurrent_dropout", recurrent_dropout, 0, 1)
        self.init = choose("SimpleRNN", init, Wx=glorot_uniform, Wh=orthogonal, b=zeros)

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        T, D = self.check_in_shape(in_shape)
        H = self.units
        self.activation.build((H,), rng, dtype)
        self.Wx = self.add_param("Wx", drawn(self.init["Wx"], (D, H), rng, dtype))
        self.Wh = self.add_param("Wh", drawn(self.init["Wh"], (H, H), rng, dtype))
        self.b = self.add_param("b", drawn(self.init["b"], (H,), rng, dtype))
        return (T, H) if self.return_sequences else (H,)

    def initial_state(self, batch: int) -> SimpleRNNState:
        return SimpleRNNState(np.zeros((batch, self.units), self.Wx.value.dtype))

    def forward_with_state(
        self,
        x: Array,
        state: Any = None,
        *,
        start: Any = None,
        mask: Array | None = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Array, SimpleRNNState, RecurrentCache]:
        Wx, Wh, b = self.Wx.value, self.Wh.value, self.b.value
        x = self.check_input(x, mask, len(Wx))
        (h0,) = self.begin(x, state, start)
        r = dropout_mask(h0.shape, self.recurrent_dropout, rng, Wx.dtype)
        relu = isinstance(self.activation, ReLU)
        y, h, cache = simple_rnn_forward(x, h0, Wx, Wh, b, relu, mask, r, self.go_backwards, keep_cache)
        return y if self.return_sequences else h.copy(), SimpleRNNState(h), RecurrentCache(cache, start)

    def backward_with_state(self, dy: Array, dstate: Any, cache: RecurrentCache) -> tuple[Array, SimpleRNNState]:
        kernel = self.check_cache(cache)
        (dh,) = self.initial_state(len(dy)) if dstate is None else dstate
        dx, dh0, grads = simple_rnn_backward(*self.flows_in(dy, dh), kernel)
        self.add_gradients(grads)
        return dx, SimpleRNNState(*stop_at_start((dh0,), cache.start))
