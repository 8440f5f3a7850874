"""minidl.GRU against torch.nn.GRU, in float64: both passes, rows of different length, reverse, stacks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import GRU
from tests.oracles.recurrent import check, shapes
from tests.oracles.shapes import Shape

torch = pytest.importorskip("torch")
BIG = {name: minidl.normal(0.8) for name in ("Wx", "Wh", "b", "bh")}  # the gates should differ


def to_torch(gru: GRU) -> dict[str, Any]:
    """Blocks r z n stand in the same order; of PyTorch's second bias only n's is not the first one's double."""
    H, bh = gru.units, gru.bh.value
    return {
        "weight_ih": gru.Wx.value.T,
        "weight_hh": gru.Wh.value.T,
        "bias_ih": gru.b.value,
        "bias_hh": np.concatenate([np.zeros(2 * H), bh]),
    }


def from_torch(grads: dict[str, Any]) -> dict[str, Any]:
    """The gradients in minidl's names and layout."""
    H = grads["weight_hh"].shape[1]
    return {
        "Wx": grads["weight_ih"].T,
        "Wh": grads["weight_hh"].T,
        "b": grads["bias_ih"],
        "bh": grads["bias_hh"][2 * H :],
    }


def check_gru(shape: Shape, lengths: Any = None, start: Any = None, seed: int = 0, **options: Any) -> None:
    layers = options.pop("layers", 1)
    sequences = options.pop("return_sequences", True)
    grus = [GRU(shape.H, return_sequences=sequences or k < layers - 1, init=BIG, **options) for k in range(layers)]
    check(torch.nn.GRU, grus, to_torch, from_torch, shape, lengths, start, seed)


@shapes
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_gru(shape, masked, go_backwards, return_sequences):
    lengths = shape.lengths if masked else None
    check_gru(shape, lengths, go_backwards=go_backwards, return_sequences=return_sequences)


@shapes
@pytest.mark.parametrize("masked", [False, True])
def test_two_stacked_grus(shape, masked):
    check_gru(shape, shape.lengths if masked else None, layers=2)


@shapes
@pytest.mark.parametrize("layers", [1, 2])
def test_rows_that_begin_anew(shape, layers):
    check_gru(shape, start=np.arange(shape.B) % 2 == 0, layers=layers)


sizes = st.integers(1, 6)


@given(sizes, sizes, sizes, sizes, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1), st.data())
def test_gru_of_any_size(B, T, D, H, go_backwards, masked, seed, data):
    lengths = tuple(data.draw(st.lists(st.integers(1, T), min_size=B, max_size=B)))
    start = np.array(data.draw(st.lists(st.booleans(), min_size=B, max_size=B)))
    check_gru(Shape(B, T, D, H, lengths), lengths if masked else None, start, seed, go_backwards=go_backwards)
