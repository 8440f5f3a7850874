"""A net one step at a time, for generation: each built-in layer as a plain function that carries its own state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.inputs import Array
from minidl.kernels import gru_stepper, lstm_stepper, simple_rnn_stepper
from minidl.layer import Layer
from minidl.layers import (
    GRU,
    LSTM,
    CoupledLSTM,
    Dense,
    Embedding,
    GRUState,
    LearnedState,
    LSTMState,
    ReLU,
    SimpleRNN,
    SimpleRNNState,
)
from minidl.sequential import Sequential

Step = Callable[[Any], Any]  # x of one step, [B, 1, ...] -> its y


def stepper(layer: Layer, state: Any) -> Step:
    """A function from x of one step, [B, 1, ...], to its y, that carries the state on from `state`.

    It saves the checks of a whole pass, which take longer than the step itself, and works with the parameters as they
    are now. Its y may be overwritten by the next call. A layer of another class, a subclass too, runs as it is.

    Example:
        >>> lstm = minidl.LSTM(4, return_sequences=True)
        >>> _ = lstm.build((None, 3))
        >>> x = np.ones((2, 5, 3), np.float32)
        >>> y, state, _ = lstm.forward_with_state(x[:, :4])
        >>> step = stepper(lstm, state)
        >>> np.allclose(step(x[:, 4:]), lstm(x)[:, 4:], atol=1e-6)
        True
    """
    make = STEPPERS.get(type(layer))  # no subclasses: they may compute something else
    return make(layer, state) if make else whole_pass(layer, state)


def whole_pass(layer: Layer, state: Any) -> Step:
    """Any layer, by a pass over one step."""

    def step(x: Any) -> Any:
        nonlocal state
        y, state, _ = layer.forward_with_state(x, state, keep_cache=False)
        return y

    return step


def of_sequential(net: Sequential, state: dict[str, Any] | None) -> Step:
    """One layer after the other."""
    steps = [stepper(layer, None if state is None else state.get(name)) for name, layer in net.layers.items()]

    def step(x: Any) -> Any:
        for layer_step in steps:
            x = layer_step(x)
        return x

    return step


def of_lstm(lstm: LSTM, state: LSTMState) -> Step:
    """The step kernel; it knows no rare options."""
    if lstm.rare_options():
        return whole_pass(lstm, state)
    Wx, Wh, b, p = lstm.weights()
    step = lstm_stepper(*state, Wx, Wh, b, p)
    return of_steps(step, lstm.return_sequences)


def of_gru(gru: GRU, state: GRUState) -> Step:
    """The step kernel."""
    bh = gru.bh.value if gru.reset_after else None
    return of_steps(gru_stepper(*state, gru.Wx.value, gru.Wh.value, gru.b.value, bh), gru.return_sequences)


def of_simple_rnn(rnn: SimpleRNN, state: SimpleRNNState) -> Step:
    """The step kernel."""
    step = simple_rnn_stepper(*state, rnn.Wx.value, rnn.Wh.value, rnn.b.value, isinstance(rnn.activation, ReLU))
    return of_steps(step, rnn.return_sequences)


def of_steps(step: Step, return_sequences: bool) -> Step:
    """A kernel's step [B, D] -> [B, H], of x with its axis of time."""
    return (lambda x: step(x[:, 0])[:, None]) if return_sequences else lambda x: step(x[:, 0])


def of_learned_state(learned: LearnedState, state: Any) -> Step:
    """The layer inside, once there is a state: only the first step could begin from the one that was learned."""
    return whole_pass(learned, state) if state is None else stepper(learned.layer, state)


def of_dense(dense: Dense, state: None) -> Step:
    """y = x W + b."""
    W = dense.W.value if dense.tie is None else np.ascontiguousarray(dense.W.value.T)
    b = dense.b.value if dense.bias else W.dtype.type(0)
    return lambda x: x @ W + b


def of_embedding(embedding: Embedding, state: None) -> Step:
    """y = E[x]."""
    E = embedding.E.value

    def step(x: Array) -> Array:
        try:
            return E[x]
        except IndexError:
            return whole_pass(embedding, None)(x)  # says which id it was

    return step


STEPPERS: dict[type[Layer], Callable[[Any, Any], Step]] = {
    Sequential: of_sequential,
    LSTM: of_lstm,
    GRU: of_gru,
    SimpleRNN: of_simple_rnn,
    CoupledLSTM: of_lstm,
    LearnedState: of_learned_state,
    Dense: of_dense,
    Embedding: of_embedding,
}
