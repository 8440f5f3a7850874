"""`wrong_gradients`: what is grossly wrong is found, by parameter; what is right is left alone, in float32 code too."""

import numpy as np
import pytest

import minidl
from minidl import Batch, Dense, MeanSquaredError, Sequential
from minidl.doctor.slopes import wrong_gradients
from minidl.doctor.trials import smaller
from tests.unit.healthy_data import HEALTHY

X = np.random.default_rng(0).standard_normal((4, 6, 3))


class Wrong(Dense):
    """A dense layer whose gradient of W is `factor` times what it should be."""

    def __init__(self, units, factor):
        super().__init__(units)
        self.factor = factor

    def backward(self, dy, x):
        before = self.params["W"].grad.copy()
        dx = super().backward(dy, x)
        self.params["W"].grad[...] = before + self.factor * (self.params["W"].grad - before)
        return dx


class InSingle(minidl.Layer):
    """A layer that computes in float32, whatever comes in."""

    def setup(self, in_shape, rng, dtype):
        self.W = self.add_param("W", rng.normal(0, 0.5, (in_shape[-1], in_shape[-1])).astype(dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        x = x.astype(np.float32)
        return x @ self.W.value.astype(np.float32), x

    def backward(self, dy, x):
        self.W.grad += x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
        return dy @ self.W.value.T


def found(*layers):
    net = Sequential(layers)
    net.build((None, 3), seed=1)
    before = {name: p.value.copy() for name, p in net.params.items()}
    finding = wrong_gradients(net, MeanSquaredError(), Batch(X, X[:, -1, :1]))
    assert all((p.value == before[name]).all() and not p.grad.any() for name, p in net.params.items())
    return finding


@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.5, 1.5, 6.0])
def test_a_factor_is_found_where_it_is(factor):
    finding = found(minidl.LSTM(5), Wrong(4, factor), minidl.Tanh(), Dense(1))
    assert finding.code == "G101" and finding.where == "parameter 'wrong.W'"
    assert "likewise" not in finding.evidence


def test_a_factor_of_1_is_none_and_neither_is_code_in_float32():
    assert found(minidl.LSTM(5), Wrong(4, 1.0), minidl.Tanh(), Dense(1)) is None
    assert found(minidl.LSTM(5), InSingle(), Dense(1)) is None


def test_what_lies_below_is_wrong_as_well():
    class Flipped(minidl.Layer):
        def forward(self, x, *, rng=None):
            return x, None

        def backward(self, dy, cache):
            return -dy

    finding = found(minidl.LSTM(5), Flipped(), Dense(1))
    assert finding.where == "parameter 'lstm.Wx'" and "likewise 2 more of 5" in finding.evidence


@pytest.mark.parametrize("name", HEALTHY)
def test_right_gradients_are_left_alone(name):
    net, loss, batches, _ = HEALTHY[name]()
    assert wrong_gradients(net, loss, smaller(net, loss, batches[0])[0]) is None
