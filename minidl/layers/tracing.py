"""`trace` of the recurrent layers: every quantity of a pass by its letter, from the plain twin of the kernel.

A layer of one's own may offer a method of the same form; whoever looks inside a pass takes what it names, in its order.

    trace(x, state=None, dy=None, dstate=None, *, start=None, mask=None, rng=None) -> {letter: [B, T, ...]}

The arguments are those of `forward_with_state` and `backward_with_state`; with dy or dstate the gradients are there
too. The steps are those of x, whichever way the layer runs, and the padding is 0. The names stand in the order in which
a step computes them, those of the forward pass first. Nothing is added to the gradients of the parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.inputs import Array
from minidl.kernels import (
    gru_backward_reference,
    gru_forward_reference,
    lstm_backward_reference,
    lstm_forward_reference,
    simple_rnn_backward_reference,
    simple_rnn_forward_reference,
)
from minidl.layers.activations import ReLU
from minidl.layers.dropout import dropout_mask

if TYPE_CHECKING:
    from minidl.layers.gru import GRU
    from minidl.layers.lstm import LSTM
    from minidl.layers.simple_rnn import SimpleRNN

Generator = np.random.Generator


class Noted:
    """The quantities of the steps that were noted so far, [B, T, H] by name.

    Args:
        like: [B, T, H], an array of the shape and dtype of each of them.
        mask: [B, T], True where a step is real; what is noted of the padding is left out.

    Example:
        >>> from minidl.layers.tracing import Noted
        >>> noted = Noted(np.zeros((1, 2, 1)), None, "h")
        >>> noted(1, h=np.array([[5.0]]))
        >>> noted.arrays["h"].ravel()
        array([0., 5.])
    """

    def __init__(self, like: Array, mask: Array | None, *names: str) -> None:
        self.mask = mask
        self.like = like
        self.arrays = {name: np.zeros_like(like) for name in names}

    def add(self, *names: str) -> None:
        """Expect these as well."""
        self.arrays |= {name: np.zeros_like(self.like) for name in names}

    def __call__(self, t: int, **values: Array) -> None:
        real = True if self.mask is None else self.mask[:, t, None]
        for name, value in values.items():
            if name in self.arrays:
                self.arrays[name][:, t] = np.where(real, value, 0)


def trace_lstm(
    layer: LSTM,
    x: Array,
    state: Any = None,
    dy: Array | None = None,
    dstate: Any = None,
    *,
    start: Any = None,
    mask: Array | None = None,
    rng: Generator | None = None,
) -> dict[str, Array]:
    """Trace i f g c o h; with gradients dh dz_o dc dz_i dz_f dz_g too, dz_i being that of what the sigmoid of i gets.

    dh and dc are all that flows into h and c of a step, from y and from the steps behind it. With coupled gates,
    i = 1 - f has no weights of its own, and dz_f is the gradient by both ways.

    Example:
        >>> lstm = minidl.LSTM(4, return_sequences=True)
        >>> _ = lstm.build((None, 3))
        >>> x = np.ones((2, 5, 3), np.float32)
        >>> list(lstm.trace(x))
        ['i', 'f', 'g', 'c', 'o', 'h']
        >>> lstm.trace(x, dy=np.ones((2, 5, 4)))["dz_f"].shape
        (2, 5, 4)
    """
    Wx, Wh, b, p = layer.weights()
    x = layer.check_input(x, mask, len(Wx))
    h0, c0 = layer.begin(x, state, start)
    drop = dropout_mask(h0.shape, layer.recurrent_dropout, rng, Wx.dtype)
    rare = layer.rare_options()
    y, _, _, cache = lstm_forward_reference(x, h0, c0, Wx, Wh, b, p, mask, drop, layer.go_backwards, True, **rare)
    assert cache is not None  # for it was asked for
    noted = Noted(y, mask, *"ifgcoh")
    for step in cache.steps:
        noted(step.t, i=step.i, f=step.f, g=step.g, c=step.c, o=step.o, h=y[:, step.t])
    if dy is None and dstate is None:
        return noted.arrays
    noted.add("dh", "dz_o", "dc", "dz_i", "dz_f", "dz_g")
    dh, dc = layer.initial_state(len(x)) if dstate is None else dstate
    lstm_backward_reference(*layer.flows_in(dy, dh), dc, cache, noted)
    if "i" not in layer.blocks:
        noted.arrays["dz_f"] -= noted.arrays.pop("dz_i")
    return noted.arrays


def trace_gru(
    layer: GRU,
    x: Array,
    state: Any = None,
    dy: Array | None = None,
    dstate: Any = None,
    *,
    start: Any = None,
    mask: Array | None = None,
    rng: Generator | None = None,
) -> dict[str, Array]:
    """Trace r z n h; with gradients dh da_z da_n ds da_r too, da_r being that of what the sigmoid of r gets.

    ds is that of what r multiplies, h' Wh_n + bh; without reset_after there is none.

    Example:
        >>> gru = minidl.GRU(4, return_sequences=True)
        >>> _ = gru.build((None, 3))
        >>> list(gru.trace(np.ones((2, 5, 3), np.float32), dy=np.ones((2, 5, 4))))
        ['r', 'z', 'n', 'h', 'dh', 'da_z', 'da_n', 'ds', 'da_r']
    """
    Wx, Wh, b = layer.Wx.value, layer.Wh.value, layer.b.value
    bh = layer.bh.value if layer.reset_after else None
    x = layer.check_input(x, mask, len(Wx))
    (h0,) = layer.begin(x, state, start)
    drop = dropout_mask(h0.shape, layer.recurrent_dropout, rng, Wx.dtype)
    y, _, steps = gru_forward_reference(x, h0, Wx, Wh, b, bh, mask, drop, layer.go_backwards)
    noted = Noted(y, mask, *"rznh")
    for step in steps:
        noted(step.t, r=step.r, z=step.z, n=step.n, h=y[:, step.t])
    if dy is None and dstate is None:
        return noted.arrays
    noted.add("dh", "da_z", "da_n", *(["ds"] if layer.reset_after else []), "da_r")
    (dh,) = layer.initial_state(len(x)) if dstate is None else dstate
    gru_backward_reference(*layer.flows_in(dy, dh), steps, Wx, Wh, bh, drop=drop, note=noted)
    return noted.arrays


def trace_simple_rnn(
    layer: SimpleRNN,
    x: Array,
    state: Any = None,
    dy: Array | None = None,
    dstate: Any = None,
    *,
    start: Any = None,
    mask: Array | None = None,
    rng: Generator | None = None,
) -> dict[str, Array]:
    """Trace h; with gradients dh and dz too, dz being that of what the activation gets.

    Example:
        >>> rnn = minidl.SimpleRNN(4, return_sequences=True)
        >>> _ = rnn.build((None, 3))
        >>> list(rnn.trace(np.ones((2, 5, 3), np.float32), dy=np.ones((2, 5, 4))))
        ['h', 'dh', 'dz']
    """
    Wx, Wh, b = layer.Wx.value, layer.Wh.value, layer.b.value
    x = layer.check_input(x, mask, len(Wx))
    (h0,) = layer.begin(x, state, start)
    drop = dropout_mask(h0.shape, layer.recurrent_dropout, rng, Wx.dtype)
    relu = isinstance(layer.activation, ReLU)
    y, _, steps = simple_rnn_forward_reference(x, h0, Wx, Wh, b, relu, mask, drop, layer.go_backwards)
    noted = Noted(y, mask, "h")
    for step in steps:
        noted(step.t, h=y[:, step.t])
    if dy is None and dstate is None:
        return noted.arrays
    noted.add("dh", "dz")
    (dh,) = layer.initial_state(len(x)) if dstate is None else dstate
    simple_rnn_backward_reference(*layer.flows_in(dy, dh), steps, Wx, Wh, relu, r=drop, note=noted)
    return noted.arrays
