"""Step by step is what a whole pass gives: for every layer that has a step of its own, and for those that have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.inputs import Array
from minidl.layer import Layer
from minidl.layers import (
    GRU,
    LSTM,
    Conv1D,
    CoupledLSTM,
    Dense,
    Dropout,
    Embedding,
    HardSigmoid,
    LastStep,
    LayerNorm,
    LearnedState,
    ReLU,
    Sigmoid,
    SimpleRNN,
    Softmax,
    Tanh,
)  # fmt: skip
from minidl.sequential import Sequential
from minidl.stepping import STEPPERS, stepper


class OtherLSTM(LSTM):
    """A subclass that computes something else: the step of its parent would be wrong."""

    def forward_with_state(self, x: Array, *args: Any, **options: Any) -> Any:
        y, state, cache = super().forward_with_state(x, *args, **options)
        return 2 * y, state, cache


embedding = Embedding(9, 4)
NETS = {
    "lstm": [LSTM(5, return_sequences=True)],
    "last h": [LSTM(5)],
    "diagonal": [LSTM(5, peephole=True, return_sequences=True)],
    "full": [LSTM(5, peephole="full", return_sequences=True)],
    "gru": [GRU(5, return_sequences=True)],
    "gru, reset before": [GRU(5, reset_after=False), Dense(2)],
    "simple rnn": [SimpleRNN(5, return_sequences=True), SimpleRNN(4, activation=ReLU(), recurrent_dropout=0.5)],
    "recurrent dropout": [LSTM(5, recurrent_dropout=0.5, return_sequences=True)],
    "hard gates": [LSTM(5, recurrent_activation=HardSigmoid(slope=0.2), peephole=True, return_sequences=True)],
    "sigmoid gates": [LSTM(5, recurrent_activation=Sigmoid(), return_sequences=True)],
    "clipped": [LSTM(5, cell_clip=0.2, return_sequences=True)],
    "coupled": [CoupledLSTM(5, return_sequences=True)],
    "coupled, with peepholes": [
        CoupledLSTM(5, peephole="diagonal", return_sequences=True),
        CoupledLSTM(4, peephole="full"),
    ],
    "coupled and clipped": [CoupledLSTM(5, cell_clip=0.2, return_sequences=True)],
    "learned state": [LearnedState(LSTM(5, return_sequences=True)), LearnedState(CoupledLSTM(4))],
    "stack": [LSTM(5, return_sequences=True), Dropout(0.5), LSTM(3, peephole=True, return_sequences=True), Dense(4)],
    "nested": [Sequential([LSTM(5, return_sequences=True), Tanh()]), Dense(4, bias=False), Softmax()],
    "subclass": [OtherLSTM(5, return_sequences=True)],
    "pooled": [LSTM(5, return_sequences=True), LastStep(), Dense(2)],
    "convolution": [
        Conv1D(5, 3, padding="causal"),
        LayerNorm(),
        LSTM(5, return_sequences=True),
        Conv1D(2, 1, padding="causal"),
    ],
    "tied": [Dense(4), LSTM(4, return_sequences=True), Dense(9, tie=embedding)],
}


def built(layers: list[Layer], in_shape: tuple[int | None, ...], dtype: Any) -> Sequential:
    net = Sequential(layers).copy()
    net.build(in_shape, dtype=dtype)
    rng = np.random.default_rng(1)
    for p in net.params.values():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    return net


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-14), (np.float32, 2e-6)])
@pytest.mark.parametrize("name", NETS)
def test_steps_are_what_passes_over_one_step_give(name: str, dtype: Any, error: float, batch: int) -> None:
    tied = [embedding] if name == "tied" else []
    net = built([*tied, *NETS[name]], (None,) if tied else (None, 6), dtype)
    rng = np.random.default_rng(2)
    x = rng.integers(0, 9, (batch, 8)) if tied else rng.standard_normal((batch, 8, 6)).astype(dtype)
    _, state, _ = net.forward_with_state(x[:, :3])
    kept = [np.array(a) for s in state.values() for a in (s if isinstance(s, tuple) else s["lstm"])]
    step = stepper(net, state)
    after = state
    for t in range(3, 8):
        y, after, _ = net.forward_with_state(x[:, t : t + 1], after)
        one = step(x[:, t : t + 1])
        assert one.shape == y.shape and one.dtype == y.dtype
        np.testing.assert_allclose(one, y, rtol=0, atol=error)
    for a, b in zip(kept, [a for s in state.values() for a in (s if isinstance(s, tuple) else s["lstm"])], strict=True):
        np.testing.assert_array_equal(a, b)  # the state that was handed in is as it was


def test_the_first_step_of_a_learned_state_begins_from_it() -> None:
    net = built([LearnedState(LSTM(5, return_sequences=True))], (None, 6), np.float64)
    x = np.random.default_rng(0).standard_normal((2, 3, 6))
    step = stepper(net, None)
    for t in range(3):
        np.testing.assert_allclose(step(x[:, t : t + 1]), net(x[:, : t + 1])[:, t:], rtol=0, atol=1e-14)


def test_two_steppers_do_not_meet() -> None:
    net = built([LSTM(5, return_sequences=True), Dense(3)], (None, 6), np.float64)
    x = np.random.default_rng(0).standard_normal((1, 6, 6))
    _, state, _ = net.forward_with_state(x[:, :1])
    alone = [stepper(net, state)(x[:, 1:2]).copy()]
    one, two = stepper(net, state), stepper(net, state)
    first = one(x[:, 1:2]).copy()
    two(x[:, 3:4])
    np.testing.assert_array_equal(first, alone[0])
    np.testing.assert_allclose(one(x[:, 2:3]), net(x[:, :3])[:, 2:], rtol=0, atol=1e-14)


def test_what_has_a_step_of_its_own_is_tried_here() -> None:
    tried = {type(layer) for layers in NETS.values() for layer in layers} | {Sequential, Embedding}
    assert set(STEPPERS) <= tried
