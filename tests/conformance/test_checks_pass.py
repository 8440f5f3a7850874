"""Layers that are right, each in a way that a check might take for a mistake: none may be flagged."""

import numpy as np
import pytest

from minidl import LSTM, CrossEntropy, Dense, Layer, Sequential, Sigmoid, Softmax, Tanh, normal
from minidl.checking import check_layer, gradcheck
from minidl.checking.report import fingerprint
from tests.parameters import slow


class BatchNorm(Layer):
    """Of [B, D] over the rows; the gradient of a bias in front of it is 0."""

    def setup(self, in_shape, rng, dtype):
        self.g = self.add_param("g", np.ones(in_shape[-1], dtype))
        self.shift = self.add_param("shift", np.zeros(in_shape[-1], dtype), trainable=False)  # a frozen running mean
        return in_shape

    def forward(self, x, *, rng=None):
        deviation = x - x.mean(axis=0) - self.shift.value + self.shift.value
        spread = np.sqrt((deviation * deviation).mean(axis=0) + 1e-5)
        xn = deviation / spread
        return xn * self.g.value, (xn, spread)

    def backward(self, dy, cache):
        xn, spread = cache
        self.g.grad += (dy * xn).sum(axis=0)
        dxn = dy * self.g.value
        return (dxn - dxn.mean(axis=0) - xn * (dxn * xn).mean(axis=0)) / spread


class Frozen(Layer):
    """A constant that is a parameter, so that it is cast and saved; backward gives it no gradient."""

    def setup(self, in_shape, rng, dtype):
        self.mean = self.add_param("mean", np.full(in_shape[-1], 0.3, dtype), trainable=False)
        return in_shape

    def forward(self, x, *, rng=None):
        return (x - self.mean.value) * 2, None

    def backward(self, dy, cache):
        return dy * 2


class Steep(Sigmoid):
    def forward(self, x, *, rng=None):
        return super().forward(50 * x)

    def backward(self, dy, y):
        return 50 * super().backward(dy, y)


class RefusesComplex(Tanh):
    def forward(self, x, *, rng=None):
        if x.dtype.kind == "c":
            raise self.error
        return super().forward(x)


class KeyErrorOnComplex(RefusesComplex):
    error = KeyError("complex128")


class AssertionErrorOnComplex(RefusesComplex):
    error = AssertionError("float only")


class Root(Layer):
    """x sqrt(v), for v above 0."""

    def setup(self, in_shape, rng, dtype):
        self.v = self.add_param("v", np.full(in_shape[-1], 0.1, dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        assert (self.v.value.real > 0).all()
        root = np.sqrt(self.v.value)
        return x * root, (x, root)

    def backward(self, dy, cache):
        x, root = cache
        self.v.grad += (dy * x / (2 * root)).sum(axis=tuple(range(x.ndim - 1)))
        return dy * root


class RootWithoutCheck(Root):
    def forward(self, x, *, rng=None):
        root = np.sqrt(self.v.value)
        return x * root, (x, root)


class Helper:
    def __init__(self, size):
        self.size = size


class WithHelpers(Tanh):
    """What setup makes anew is as it was."""

    def setup(self, in_shape, rng, dtype):
        self.helper, self.function, self.rows = Helper(in_shape[-1]), lambda x: x, object()
        return in_shape


class Absolute(Layer):
    """Complex steps do not see |w|, and a large term hides that."""

    def setup(self, in_shape, rng, dtype):
        self.w = self.add_param("w", np.ones(in_shape[-1], dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        return 1e6 * x + np.abs(self.w.value), x

    def backward(self, dy, x):
        self.w.grad += np.sign(self.w.value) * dy.sum(axis=tuple(range(dy.ndim - 1)))
        return 1e6 * dy


class PlainSigmoid(Tanh):
    """exp overflows at -1e4, and the result is right all the same."""

    def forward(self, x, *, rng=None):
        with np.errstate(over="ignore"):
            y = 1 / (1 + np.exp(-x))
        return y, y

    def backward(self, dy, y):
        return dy * y * (1 - y)


class Exponential(Tanh):
    """exp(1e4) is infinite: that is what exp is."""

    def forward(self, x, *, rng=None):
        y = np.exp(x)
        return y, y

    def backward(self, dy, y):
        return dy * y


class Logarithm(Tanh):
    """Not defined at -1e4."""

    def forward(self, x, *, rng=None):
        with np.errstate(invalid="ignore"):
            return np.log(x + 20), x

    def backward(self, dy, x):
        return dy / (x + 20)


class OnlyRows(Tanh):
    """Written for [B, D]: on [B, T, D] backward breaks, which is no mistake of a layer built for (3,)."""

    def setup(self, in_shape, rng, dtype):
        self.W = self.add_param("W", rng.standard_normal((in_shape[-1], 2)).astype(dtype))
        return (*in_shape[:-1], 2)

    def forward(self, x, *, rng=None):
        return x @ self.W.value, x

    def backward(self, dy, x):
        self.W.grad += x.T @ dy
        return dy @ self.W.value.T


class TwoOutputs(Tanh):
    def forward(self, x, *, rng=None):
        return (x, 2 * x), None

    def backward(self, dy, cache):
        return dy[0] + 2 * dy[1]


class Features(Layer):
    """Ids [B, 4] of features with a vocabulary each, side by side: no steps."""

    def example(self, in_shape, rng, batch=3, time=5):
        return rng.integers(0, np.array([2, 3, 4, 50]), (batch, 4))

    def setup(self, in_shape, rng, dtype):
        self.E = self.add_param("E", rng.standard_normal((4, 50)).astype(dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        assert (x < [2, 3, 4, 50]).all()
        return self.E.value[np.arange(4), x], x

    def backward(self, dy, x):
        np.add.at(self.E.grad, (np.broadcast_to(np.arange(4), x.shape), x), dy)


RIGHT = [
    (BatchNorm(), (3,)),
    (Sequential([Dense(4), BatchNorm()]), (3,)),
    (Sequential([Dense(4, init={"W": normal(1e-3)}), BatchNorm(), Dense(2), Softmax()]), (3,)),
    (Frozen(), (3,)),
    (Sequential([LSTM(3, return_sequences=True), Frozen(), Dense(2)]), (None, 2)),
    (Steep(), (4,)),
    (Steep(), (None, 4)),
    (KeyErrorOnComplex(), (3,)),
    (AssertionErrorOnComplex(), (3,)),
    (Root(), (8,)),
    (RootWithoutCheck(), (8,)),
    (WithHelpers(), (3,)),
    (Absolute(), (4,)),
    (PlainSigmoid(), (4,)),
    (Exponential(), (4,)),
    (Logarithm(), (4,)),
    (OnlyRows(), (3,)),
    (TwoOutputs(), (None, 3)),
    (Features(), (4,)),
    (Sequential([Dense(4), LSTM(3).freeze()]), (None, 3)),
]


@pytest.mark.parametrize(("layer", "in_shape"), RIGHT, ids=[f"{type(layer).__name__}-{s}" for layer, s in RIGHT])
@pytest.mark.parametrize("seed", [0, slow(1)])
@pytest.mark.filterwarnings("ignore:invalid value encountered in sqrt")
@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
def test_a_layer_that_is_right_passes(layer, in_shape, seed):
    report = check_layer(layer, in_shape, seed=seed)
    assert report.ok, report


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scale", [1, 3, 10, 30, 100, 300, 1e4])
@pytest.mark.parametrize("layer", [Softmax(), Steep(), Sigmoid()], ids=repr)
def test_what_is_saturated_is_right(layer, scale, seed):
    """Gradients of 1e-30 come out as 1e-17."""
    layer.build((6,))
    x = scale * np.random.default_rng(seed).standard_normal((4, 6))
    report = gradcheck(layer, x, seed=seed)
    assert report.ok, report


@pytest.mark.parametrize("scale", [1, 10, 100])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("loss", [None, CrossEntropy()], ids=["outputs", "loss"])
def test_a_confident_net_at_its_very_weights_is_right(loss, scale, seed):
    net = Sequential([Dense(5, init={"W": normal(scale)}), Softmax()])
    net.build((6,), seed=seed, dtype=np.float64)
    x = np.random.default_rng(seed).standard_normal((4, 6))
    target = None if loss is None else net(x).argmax(axis=-1)
    report = gradcheck(net, x, loss, target, jitter=0.0, seed=seed)
    assert report.ok, report


def test_a_constant_is_named_and_a_trainable_parameter_is_not_excused():
    layer = Frozen()
    layer.build((3,))
    report = gradcheck(layer)
    assert report.ok and report["mean"].verdict == "ok (constant)" and "ok (constant)" in str(report)
    layer.mean.trainable = True
    assert "gradient is forgotten" in gradcheck(layer)["mean"].verdict


def test_a_point_outside_of_the_domain_is_left():
    layer = Root()
    layer.build((20,))
    assert gradcheck(layer).ok and gradcheck(layer, jitter=10.0).ok


def test_complex_steps_are_not_trusted_where_one_array_contradicts():
    layer = Absolute()
    layer.build((4,))
    report = gradcheck(layer)
    assert report.ok and report.method == "central differences"


@pytest.mark.parametrize("seed", range(20))
def test_noise_has_no_fingerprint(seed):
    rng = np.random.default_rng(seed)
    assert fingerprint(1e-17 * rng.standard_normal((4, 3)), 1e-17 * rng.standard_normal((4, 3))) == ("G101", "wrong")


def test_exchanged_rows_are_told_beside_rows_of_zeros():
    numeric = np.array([[1.0, 2], [0, 0], [3, 4], [1e-18, 0]])
    analytic = np.array([[3.0, 4], [0, 0], [1, 2], [-1e-18, 0]])
    assert fingerprint(numeric, analytic) == (
        "G108",
        "rows exchanged: row 0 holds what belongs into row 2, row 2 holds what belongs into row 0",
    )
