"""Deliberately broken layers: each must fail the public checks, with words that say what is wrong."""

import re

import numpy as np
import pytest

from minidl import LSTM, Dense, Dropout, Embedding, Layer, LSTMState, ReLU, Sequential, Softmax, Tanh
from minidl.checking import CHECKS, check_layer, gradcheck
from tests.conformance.cases import finding

CHECK = {check.__name__: check for check in CHECKS}


class ZeroGradientSoftmax(Softmax):
    """Passes a check with an all-ones cotangent."""

    def backward(self, dy, y):
        return np.zeros_like(dy)


class ForgottenH0(LSTM):
    def backward_with_state(self, dy, dstate, cache):
        dx, (dh, dc) = super().backward_with_state(dy, dstate, cache)
        return dx, LSTMState(np.zeros_like(dh), dc)


class SwappedPeepholes(LSTM):
    """The forget gate's peephole gets the input gate's gradient, and the reverse."""

    def backward_with_state(self, dy, dstate, cache):
        before = self.p.grad.copy()
        result = super().backward_with_state(dy, dstate, cache)
        self.p.grad[...] = before + (self.p.grad - before)[[1, 0, 2]]
        return result


class OffByOneInDWh(LSTM):
    """dWh pairs the gates' errors of step t with h of step t, not of t - 1 (only dWh reads h in the kernel)."""

    def backward_with_state(self, dy, dstate, cache):
        h = cache.kernel.h
        shifted = cache.kernel._replace(h=np.concatenate([h[1:], h[-1:]]))
        return super().backward_with_state(dy, dstate, cache._replace(kernel=shifted))


class NoPathThroughH(LSTM):
    """dh of step t + 1 is not handed through Wh to step t."""

    def backward_with_state(self, dy, dstate, cache):
        Wx, Wh, p = cache.kernel.weights
        cut = cache._replace(kernel=cache.kernel._replace(weights=(Wx, np.zeros_like(Wh), p)))
        return super().backward_with_state(dy, dstate, cut)


class ForgottenPeepholeInDc(LSTM):
    def backward_with_state(self, dy, dstate, cache):
        Wx, Wh, p = cache.kernel.weights
        cut = cache._replace(kernel=cache.kernel._replace(weights=(Wx, Wh, np.zeros_like(p))))
        return super().backward_with_state(dy, dstate, cut)


class OverwritingDense(Dense):
    def backward(self, dy, x):
        self.W.grad[...] = x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
        self.b.grad[...] = dy.reshape(-1, dy.shape[-1]).sum(axis=0)
        return dy @ self.W.value.T


class CachedOnSelf(Tanh):
    def forward(self, x, *, rng=None):
        self.y = np.tanh(x)
        return self.y, None

    def backward(self, dy, cache):
        return dy * (1 - self.y**2)


class HiddenOutside(Tanh):
    """Keeps the pass in a place that vars(self) does not show."""

    kept: list = []  # noqa: RUF012

    def forward(self, x, *, rng=None):
        self.kept[:] = [np.tanh(x)]
        return self.kept[0], None

    def backward(self, dy, cache):
        return dy * (1 - self.kept[0] ** 2)


class WritesDy(ReLU):
    def backward(self, dy, positive):
        dy[~positive] = 0
        return dy


class WritesCache(Tanh):
    def backward(self, dy, y):
        np.multiply(y, y, out=y)
        return dy * (1 - y)


class WritesX(ReLU):
    def forward(self, x, *, rng=None):
        x[x.real < 0] = 0
        return x, x.real > 0


class OwnRandomness(Dropout):
    def forward(self, x, *, rng=None):
        return super().forward(x, rng=None if rng is None else np.random.default_rng())


class AlwaysRandom(Dropout):
    def forward(self, x, *, rng=None):
        return super().forward(x, rng=np.random.default_rng() if rng is None else rng)


class OnlyLastId(Embedding):
    """E.grad[x] += dy: of an id that occurs twice, only one occurrence counts."""

    def backward(self, dy, x):
        self.E.grad[x] += dy


class IgnoresDy(Tanh):
    """The error entering is the constant 1."""

    def backward(self, dy, y):
        return 1 - y * y


class WrongSide(Tanh):
    """The derivative written for pre-activations, applied to the activation."""

    def backward(self, dy, y):
        return dy * (1 - np.tanh(y) ** 2)


class Doubles(Tanh):
    def backward(self, dy, y):
        return 2 * super().backward(dy, y)


class Transposed(Dense):
    def backward(self, dy, x):
        before = self.W.grad.copy()
        dx = super().backward(dy, x)
        self.W.grad[...] = before + (self.W.grad - before).T
        return dx


class Announces(Dense):
    def setup(self, in_shape, rng, dtype):
        return (*super().setup(in_shape, rng, dtype)[:-1], self.units + 1)


class WrongDxShape(Tanh):
    def backward(self, dy, y):
        return super().backward(dy, y).sum(axis=0)


class Float64Constant(Tanh):
    def forward(self, x, *, rng=None):
        y = np.tanh(x) * np.ones(1)
        return y, y


class ScalesInference(Dense):
    """Another result without a cache."""

    def forward_with_state(self, x, state=None, *, keep_cache=True, **rest):
        y, state, cache = super().forward_with_state(x, state, keep_cache=keep_cache, **rest)
        return (y if keep_cache else y * 0.5), state, cache


class SharesArrays(Dense):
    def __deepcopy__(self, memo):
        twin = type(self)(self.units)
        twin.__dict__.update(self.__dict__)
        return twin


class DrawsAnew(Dense):
    def setup(self, in_shape, rng, dtype):
        out_shape = super().setup(in_shape, rng, dtype)
        self.W.value[...] = rng.standard_normal(self.W.value.shape)
        return out_shape


class OnlyRealNumbers(Tanh):
    """Real arithmetic inside: complex steps would see 0, so central differences have to find the fault."""

    def forward(self, x, *, rng=None):
        y = np.empty(x.shape)
        y[...] = np.tanh(x.real)
        return y, y

    def backward(self, dy, y):
        return dy * (1 - y)


class SumsFirstStep(Dense):
    """db is summed over the first step alone: on [B, D] that is right."""

    def backward(self, dy, x):
        before = self.b.grad.copy()
        dx = super().backward(dy, x)
        self.b.grad[...] = before + dy.reshape(len(dy), -1, self.units)[:, 0].sum(axis=0)
        return dx


class OnlyThreeRows(Tanh):
    def backward(self, dy, y):
        dx = super().backward(dy, y)
        dx[3:] = 0
        return dx


class IgnoresDtype(Dense):
    def setup(self, in_shape, rng, dtype):
        self.W = self.add_param("W", rng.standard_normal((in_shape[-1], self.units)))
        self.b = self.add_param("b", np.zeros(self.units, dtype))
        return (*in_shape[:-1], self.units)


class BareArray(Tanh):
    """The bias is an array of its own: nobody trains it, casts it or saves it."""

    def setup(self, in_shape, rng, dtype):
        self.b = np.ones(in_shape[-1], dtype)
        return in_shape

    def forward(self, x, *, rng=None):
        return super().forward(x + self.b)


class BareRandomArray(BareArray):
    def setup(self, in_shape, rng, dtype):
        self.b = rng.standard_normal(in_shape[-1]).astype(dtype)
        return in_shape

    def forward(self, x, *, rng=None):
        return super().forward(x + self.b.astype(x.dtype))


class HalfPrecision(Tanh):
    def forward(self, x, *, rng=None):
        if x.dtype == np.float32:
            x = x.astype(np.float16).astype(np.float32)
        return super().forward(x)


class UnshiftedSoftmax(Softmax):
    def forward(self, x, *, rng=None):
        y = np.exp(x)
        y = y / y.sum(axis=-1, keepdims=True)
        return y, y


class Absolute(Layer):
    """|w| beside a term that is large: its complex step is 0, and so is its backward."""

    def setup(self, in_shape, rng, dtype):
        self.w = self.add_param("w", np.ones(in_shape[-1], dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        return 1e6 * x + np.abs(self.w.value), x

    def backward(self, dy, x):
        return 1e6 * dy


class ReturnsList(Tanh):
    def forward(self, x, *, rng=None):
        y = np.tanh(x)
        return [y, y], y


class ReturnsNothing(Tanh):
    def forward(self, x, *, rng=None):
        return None, None


class ReturnsNoCache(Tanh):
    def forward(self, x, *, rng=None):
        return x * 2


class OnlyPositive(Tanh):
    def forward(self, x, *, rng=None):
        y = np.where(x.real > 0, x, np.nan)
        return y, y


BROKEN = [
    (ZeroGradientSoftmax(), (4,), "check_gradients", "gradient of x is wrong .*gives 0 everywhere: .*forgotten"),
    (ForgottenH0(3), (None, 2), "check_gradients", "gradient of h0 is wrong .*gives 0 everywhere"),
    (
        SwappedPeepholes(3, peephole=True), (None, 2), "check_gradients",
        "gradient of p .*row 0 holds what belongs into row 1",
    ),
    (OffByOneInDWh(3), (None, 2), "check_gradients", "gradient of Wh is wrong.*right are x, h0, c0, Wx, b"),
    (NoPathThroughH(3), (None, 2), "check_gradients", "gradient of x is wrong.*h0.*0 everywhere"),
    (ForgottenPeepholeInDc(3, peephole=True), (None, 2), "check_gradients", "gradient of c0 is wrong"),
    (ForgottenPeepholeInDc(3, peephole="full"), (None, 2), "check_gradients", "gradient of c0 is wrong"),
    (OverwritingDense(3), (4,), "check_adds", "backward overwrites. Write p.grad \\+= dW"),
    (CachedOnSelf(), (4,), "check_keeps_self", "leave nothing on self, but self.y changed: return it in the cache"),
    (CachedOnSelf(), (4,), "check_interleaved", "kept outside of its cache"),
    (HiddenOutside(), (4,), "check_interleaved", "kept outside of its cache"),
    (WritesDy(), (4,), "check_keeps_inputs", "dy changed: copy it first"),
    (WritesX(), (4,), "check_keeps_inputs", "x changed: copy it first"),
    (WritesCache(), (4,), "check_adds", "same cache returns another dx"),
    (OwnRandomness(0.5), (9,), "check_random", "draw from the rng that is passed in"),
    (AlwaysRandom(0.5), (9,), "check_random", "inference must not be random"),
    (OnlyLastId(2, 3), (None,), "check_gradients", "gradient of E is wrong"),
    (IgnoresDy(), (4,), "check_linear", "dx is not doubled: backward ignores dy"),
    (WrongSide(), (4,), "check_gradients", "gradient of x is wrong: at x\\[.*numeric .*, backward"),
    (Doubles(), (4,), "check_gradients", "off by the factor 2"),
    (Transposed(3), (3,), "check_gradients", "gradient of W is wrong .*transposed"),
    (Announces(3), (4,), "check_shapes", "announced outputs of shape \\(3, 4\\).*returned \\(3, 3\\)"),
    (WrongDxShape(), (4,), "check_shapes", "must return dx of shape \\(3, 4\\), got \\(4,\\)"),
    (Float64Constant(), (4,), "check_float32", "y comes out as float64"),
    (ScalesInference(3), (4,), "check_inference", "keep_cache=False must compute the same"),
    (SharesArrays(3), (4,), "check_copy", "arrays are shared"),
    (DrawsAnew(3), (4,), "check_rebuild", "must keep what it has"),
    (OnlyRealNumbers(), (4,), "check_gradients", "gradient of x is wrong"),
    (SumsFirstStep(2), (3,), "check_gradients", "built for \\(None, 3\\).* gradient of b is wrong.*right are x, W"),
    (OnlyThreeRows(), (4,), "check_gradients", "with 5 rows and 4 steps, the gradient of x is wrong"),
    (OnlyLastId(1000, 3), (None,), "check_gradients", "gradient of E is wrong"),
    (OnlyLastId(1000, 3), (), "check_gradients", "gradient of E is wrong"),
    (IgnoresDtype(3), (4,), "check_float32", "W in float64, asked for is float32: write self.add_param\\('W'"),
    (BareArray(), (4,), "check_float32", "float64: self.b is an array, no parameter: use add_param"),
    (BareRandomArray(), (4,), "check_rebuild", "self.b changed: self.b is an array, no parameter: use add_param"),
    (HalfPrecision(), (4,), "check_float32", "y.* is far from the float64 result .*fewer digits"),
    (UnshiftedSoftmax(), (4,), "check_float32", "inputs of 1e4 give NaN in y.*Subtract the largest"),
    (Absolute(), (4,), "check_gradients", "gradient of w is wrong .*0 everywhere"),
    (ReturnsList(), (4,), "check_shapes", "got a list: return a tuple, not a list"),
    (ReturnsNothing(), (4,), "check_shapes", "y is None"),
    (ReturnsNoCache(), (4,), "check_shapes", "forward is expected to return \\(y, cache\\), got ndarray"),
    (OnlyPositive(), (4,), "check_shapes", "NaN or infinity for random inputs: .*define example"),
    (Sequential([Dense(4), ZeroGradientSoftmax()]), (3,), "check_gradients", "dense.W"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "in_shape", "check", "words"), BROKEN, ids=[f"{type(b[0]).__name__}-{b[2]}" for b in BROKEN]
)
def test_named_check_reports_a_broken_layer(layer, in_shape, check, words):
    message = finding(CHECK[check], layer, in_shape)
    assert message is not None
    assert re.search(words, message), message


@pytest.mark.parametrize(
    ("layer", "in_shape", "check"),
    [
        (SwappedPeepholes(3, peephole=True), (None, 2), "check_gradients"),
        (CachedOnSelf(), (4,), "check_keeps_self"),
        (OwnRandomness(0.5), (9,), "check_random"),
        (SharesArrays(3), (4,), "check_copy"),
        (ReturnsNothing(), (4,), "check_shapes"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else None,
)
def test_check_layer_reports_what_the_named_check_finds(layer, in_shape, check):
    report = check_layer(layer, in_shape)
    assert not report.ok
    assert report.messages[check] == finding(CHECK[check], layer, in_shape)
    assert list(report.messages) == list(CHECK)


def test_a_layer_that_crashes_is_a_finding():
    class Crashes(Tanh):
        def backward(self, dy, y):
            raise KeyError("oops")

    report = check_layer(Crashes(), (3,))
    assert "raised KeyError" in report.messages["check_shapes"]


def test_one_wrong_entry_of_a_large_array_is_found():
    """A sample would miss it; a random direction sees it, and halving finds the place."""

    class OneWrong(Dense):
        def backward(self, dy, x):
            dx = super().backward(dy, x)
            self.W.grad[37, 41] += 0.01 * dy.sum()
            return dx

    dense = OneWrong(60)
    dense.build((50,))
    report = gradcheck(dense, max_entries=20)
    assert not report.ok
    assert report["W"].worst == (37, 41)
    assert report["x"].ok and report["b"].ok


def test_without_either_pair_a_class_is_refused():
    with pytest.raises(TypeError, match="Nothing must define forward and backward"):

        class Nothing(Layer):
            def forward(self, x, *, rng=None):
                return x, None

    with pytest.raises(TypeError, match=r"NoRng.forward must take the keyword rng"):

        class NoRng(Layer):
            def forward(self, x):
                return x, None

            def backward(self, dy, cache):
                return dy
