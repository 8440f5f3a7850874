"""The gated recurrent unit: `GRU`, and its state `GRUState`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minidl.arguments import flag, positive_int, real
from minidl.initializers import Initializer, choose, drawn, drawn_blocks, glorot_uniform, orthogonal, zeros
from minidl.inputs import Array, Shape
from minidl.kernels import gru_backward, gru_forward
from minidl.layers.dropout import dropout_mask
from minidl.layers.recurrent import RecurrentCache, Stateful, stop_at_start
from minidl.layers.tracing import trace_gru


class GRUState(NamedTuple):
    """What a GRU remembers between two steps: its output h [B, H]. A tuple (h,) serves too."""

    h: Array


class GRU(Stateful):
    """Gated recurrent unit: r resets what is remembered for the new value n, z keeps the old value.

        r = sigmoid(x Wx_r + h' Wh_r + b_r)                   h': the state of step t-1
        z = sigmoid(x Wx_z + h' Wh_z + b_z)
        n = tanh   (x Wx_n + b_n + r * (h' Wh_n + bh))        with reset_after
        n = tanh   (x Wx_n + b_n + (r * h') Wh_n)             without
        h = (1 - z) * n + z * h'

    Args:
        units: the size of h, H.
        reset_after: r multiplies what the matrix makes of h' (PyTorch, Keras), which is faster; False: it
            multiplies h' itself (Cho et al.).
        return_sequences: y is h of every step; otherwise h of the final state alone.
        go_backwards: run from the last step to the first; y[:, t] still belongs to x[:, t].
        recurrent_dropout: the share of h' that r, z and n do not see in a training pass, the same units in
            all steps of a sequence and in all gates; z * h' is whole.
        init: initializers by parameter, {"Wh": minidl.normal(0.1)}; drawn per gate.

    Shapes:
        x [B, T, D] -> y [B, T, H], or [B, H] without return_sequences. State: h [B, H].
        With a mask [B, T], a step that is padding keeps the state, and its y is 0.

    Params:
        Wx [D, 3H], Wh [H, 3H], b [3H]: blocks r z n. bh [H]: with reset_after.

    Raises:
        ArgumentError: for an argument out of range. ShapeError: for x or a state that does not fit.

    Source:
        Cho et al. 2014; the reset after the product: Appleyard, Kocisky & Blunsom 2016 (cuDNN);
        Gal & Ghahramani 2016 (recurrent dropout).

    Example:
        >>> gru = minidl.GRU(4, return_sequences=True)
        >>> gru.build((None, 3))
        (None, 4)
        >>> y, state, cache = gru.forward_with_state(np.ones((2, 5, 3), np.float32))
        >>> y.shape, state.h.shape
        ((2, 5, 4), (2, 4))
    """

    trace = trace_gru

    def __init__(
        self,
        units: int,
        *,
        reset_after: bool = True,
        return_sequences: bool = False,
        go_backwards: bool = False,
        recurrent_dropout: float = 0.0,
        init: Mapping[str, Initializer] | None = None,
    ) -> None:
        self.units = positive_int("GRU", "units", units)
        self.reset_after = flag("GRU", "reset_after", reset_after)
        self.return_sequences = flag("GRU", "return_sequences", return_sequences)
        self.go_backwards = flag("GRU", "go_backwards", go_backwards)
        self.recurrent_dropout = real("GRU", "recurrent_dropout", recurrent_dropout, 0, 1)
        self.init = choose("GRU", init, Wx=glorot_uniform, Wh=orthogonal, b=zeros, bh=zeros)

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        T, D = self.check_in_shape(in_shape)
        H, init = self.units, self.init
        self.Wx = self.add_param("Wx", drawn_blocks(init["Wx"], (D, H), "rzn", rng, dtype))
        self.Wh = self.add_param("Wh", drawn_blocks(init["Wh"], (H, H), "rzn", rng, dtype))
        self.b = self.add_param("b", drawn_blocks(init["b"], (H,), "rzn", rng, dtype))
        if self.reset_after:
            self.bh = self.add_param("bh", drawn(init["bh"], (H,), rng, dtype))
        return (T, H) if self.return_sequences else (H,)

    def initial_state(self, batch: int) -> GRUState:
        return GRUState(np.zeros((batch, self.units), self.Wx.value.dtype))

    def forward_with_state(
        self,
        x: Array,
        state: Any = None,
        *,
        start: Any = None,
        mask: Array | None = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Array, GRUState, RecurrentCache]:
        Wx, Wh, b = self.Wx.value, self.Wh.value, self.b.value
        bh = self.bh.value if self.reset_after else None
        x = self.check_input(x, mask, len(Wx))
        (h0,) = self.begin(x, state, start)
        drop = dropout_mask(h0.shape, self.recurrent_dropout, rng, Wx.dtype)
        y, h, cache = gru_forward(x, h0, Wx, Wh, b, bh, mask, drop, self.go_backwards, keep_cache)
        return y if self.return_sequences else h.copy(), GRUState(h), RecurrentCache(cache, start)

    def backward_with_state(self, dy: Array, dstate: Any, cache: RecurrentCache) -> tuple[Array, GRUState]:
        kernel = self.check_cache(cache)
        (dh,) = self.initial_state(len(dy)) if dstate is None else dstate
        dx, dh0, grads = gru_backward(*self.flows_in(dy, dh), kernel)
        self.add_gradients(grads)
        return dx, GRUState(*stop_at_start((dh0,), cache.start))
