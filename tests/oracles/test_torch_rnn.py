"""minidl.SimpleRNN against torch.nn.RNN, in float64: both passes, rows of different length, reverse, stacks."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ReLU, SimpleRNN, Tanh
from tests.oracles.recurrent import check, shapes
from tests.oracles.shapes import Shape

torch = pytest.importorskip("torch")
BIG = {name: minidl.normal(0.6) for name in ("Wx", "Wh", "b")}  # the units should differ
ACTIVATIONS = {"tanh": Tanh, "relu": ReLU}
activations = pytest.mark.parametrize("activation", ACTIVATIONS)


def to_torch(rnn: SimpleRNN) -> dict[str, Any]:
    """Two biases add up; minidl's b is the first of them."""
    b = rnn.b.value
    return {"weight_ih": rnn.Wx.value.T, "weight_hh": rnn.Wh.value.T, "bias_ih": b, "bias_hh": np.zeros_like(b)}


def from_torch(grads: dict[str, Any]) -> dict[str, Any]:
    """The gradients in minidl's names and layout."""
    return {"Wx": grads["weight_ih"].T, "Wh": grads["weight_hh"].T, "b": grads["bias_ih"]}


def check_rnn(
    activation: str, shape: Shape, lengths: Any = None, start: Any = None, seed: int = 0, **options: Any
) -> None:
    layers = options.pop("layers", 1)
    sequences = options.pop("return_sequences", True)
    kind = ACTIVATIONS[activation]
    rnns = [
        SimpleRNN(shape.H, activation=kind(), return_sequences=sequences or k < layers - 1, init=BIG, **options)
        for k in range(layers)
    ]
    module = partial(torch.nn.RNN, nonlinearity=activation)
    check(module, rnns, to_torch, from_torch, shape, lengths, start, seed)


@shapes
@activations
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_simple_rnn(activation, shape, masked, go_backwards, return_sequences):
    lengths = shape.lengths if masked else None
    check_rnn(activation, shape, lengths, go_backwards=go_backwards, return_sequences=return_sequences)


@shapes
@activations
@pytest.mark.parametrize("masked", [False, True])
def test_two_stacked_rnns(activation, shape, masked):
    check_rnn(activation, shape, shape.lengths if masked else None, layers=2)


@shapes
@activations
@pytest.mark.parametrize("layers", [1, 2])
def test_rows_that_begin_anew(activation, shape, layers):
    check_rnn(activation, shape, start=np.arange(shape.B) % 2 == 0, layers=layers)


sizes = st.integers(1, 6)


@given(
    st.sampled_from(list(ACTIVATIONS)), sizes, sizes, sizes, sizes, st.booleans(), st.booleans(),
    st.integers(0, 2**32 - 1), st.data(),
)  # fmt: skip
def test_simple_rnn_of_any_size(activation, B, T, D, H, go_backwards, masked, seed, data):
    lengths = tuple(data.draw(st.lists(st.integers(1, T), min_size=B, max_size=B)))
    start = np.array(data.draw(st.lists(st.booleans(), min_size=B, max_size=B)))
    lengths_or_none = lengths if masked else None
    check_rnn(activation, Shape(B, T, D, H, lengths), lengths_or_none, start, seed, go_backwards=go_backwards)
