"""What the conformance table cannot say of the GRU and the SimpleRNN: their words, values known by hand, states."""

import numpy as np
import pytest

import minidl
from minidl import GRU, ReLU, Sequential, SimpleRNN, Tanh
from minidl.errors import ArgumentError, ShapeError


class OtherTanh(Tanh):
    """A subclass, that may compute something else."""


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GRU(0), "GRU expects units to be a positive integer, got 0."),
        (lambda: GRU(2, reset_after="no"), "GRU expects reset_after to be True or False, got 'no'."),
        (lambda: GRU(2, recurrent_dropout=1.0), "GRU expects recurrent_dropout to be a number in [0, 1), got 1.0."),
        (lambda: GRU(2, init={"p": minidl.zeros}), "GRU has no parameter 'p' to initialize: it has Wh, Wx, b, bh."),
        (lambda: SimpleRNN(-1), "SimpleRNN expects units to be a positive integer, got -1."),
        (lambda: SimpleRNN(2, activation="relu"), "SimpleRNN expects activation to be Tanh() or ReLU(), got 'relu'."),
        (lambda: SimpleRNN(2, activation=ReLU), f"SimpleRNN expects activation to be Tanh() or ReLU(), got {ReLU!r}."),
        (
            lambda: SimpleRNN(2, activation=OtherTanh()),
            "SimpleRNN expects activation to be Tanh() or ReLU(), got OtherTanh().",
        ),
    ],
)
def test_arguments_out_of_range(make, said):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value) == said


@pytest.mark.parametrize("layer", [GRU(4), SimpleRNN(4)], ids=repr)
def test_a_state_that_does_not_fit(layer):
    name = type(layer).__name__
    layer.build((None, 3))
    x, h = np.zeros((2, 5, 3), np.float32), np.full((2, 4), 0.5, np.float32)
    y, state, _ = layer.forward_with_state(x, (h,))
    np.testing.assert_array_equal(y, state.h)
    with pytest.raises(ShapeError, match=rf"{name} expects a state of arrays \[\(2, 4\)\], got \[\(3, 4\)\]: another"):
        layer.forward_with_state(x, (np.zeros((3, 4)),))
    with pytest.raises(ShapeError, match="give a tuple of 1 arrays"):
        layer.forward_with_state(x, h)
    _, _, cache = layer.forward_with_state(x, keep_cache=False)
    with pytest.raises(ArgumentError, match=f"{name} expects the cache of a pass that kept one"):
        layer.backward_with_state(y, None, cache)


def test_what_they_start_from():
    gru, rnn = GRU(5), SimpleRNN(5)
    gru.build((None, 3))
    rnn.build((None, 3))
    assert {n: p.value.shape for n, p in gru.params.items()} == {"Wx": (3, 15), "Wh": (5, 15), "b": (15,), "bh": (5,)}
    assert {n: p.value.shape for n, p in rnn.params.items()} == {"Wx": (3, 5), "Wh": (5, 5), "b": (5,)}
    for block in *np.split(gru.Wh.value, 3, axis=1), rnn.Wh.value:
        np.testing.assert_allclose(block @ block.T, np.eye(5), atol=1e-5)  # orthogonal, gate by gate; float32
    assert not gru.b.value.any() and not gru.bh.value.any() and not rnn.b.value.any()
    before = GRU(5, reset_after=False)
    before.build((None, 3))
    assert list(before.params) == ["Wx", "Wh", "b"]


def test_the_reset_before_and_after_differ_where_r_does_something():
    """One unit: x = 0, h = 1, Wh_n = 2, r = 1/2; after: tanh(r (2 + bh)), before: tanh(r 2)."""
    for after, n in (True, np.tanh(0.5 * (2 + 3))), (False, np.tanh(0.5 * 2)):
        gru = GRU(1, reset_after=after)
        gru.build((None, 1), dtype=np.float64)
        for p in gru.params.values():
            p.value[...] = 0
        gru.Wh.value[0, 2] = 2
        if after:
            gru.bh.value[0] = 3
        y, _, _ = gru.forward_with_state(np.zeros((1, 1, 1)), (np.ones((1, 1)),))
        np.testing.assert_allclose(y, 0.5 * n + 0.5, rtol=1e-12)  # z = 1/2


@pytest.mark.parametrize("make", [lambda: GRU(4), lambda: GRU(4, reset_after=False), lambda: SimpleRNN(4)])
def test_saved_and_loaded(make, tmp_path):
    net = Sequential([make(), minidl.Dense(2)])
    net.build((None, 3), seed=1)
    net.save(tmp_path / "net.npz")
    again = minidl.load(tmp_path / "net.npz")
    x = np.random.default_rng(0).standard_normal((2, 6, 3), np.float32)
    np.testing.assert_array_equal(net(x), again(x))
    assert repr(net) == repr(again)


def test_the_activation_is_in_the_file(tmp_path):
    rnn = SimpleRNN(3, activation=ReLU())
    rnn.build((None, 2))
    rnn.save(tmp_path / "rnn.npz")
    assert isinstance(minidl.load(tmp_path / "rnn.npz").activation, ReLU)
    assert repr(SimpleRNN(3)) == "SimpleRNN(units=3, activation=Tanh())"
