"""What stands between a caller and compiled code: shapes, ids, dtypes, subclasses with rules of their own."""

import numpy as np
import pytest

import minidl
from minidl.errors import IdError, ShapeError
from minidl.kernels import (
    add_rows,
    gru_forward,
    gru_stepper,
    lstm_forward,
    lstm_stepper,
    simple_rnn_forward,
    simple_rnn_stepper,
    softmax_cross_entropy,
)

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize("ids", [[0, 3], [-1, 0]])
def test_ids_that_are_not_there(ids):
    with pytest.raises(IdError, match="from 0 to 2"):
        add_rows(np.zeros((3, 2)), np.array(ids), np.ones((2, 2)))
    with pytest.raises(IdError, match="from 0 to 2"):
        softmax_cross_entropy(np.zeros((2, 3)), np.array(ids), np.ones(2))


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2, 3), (3, 2)])
def test_rows_that_do_not_fit(shape):
    with pytest.raises(ShapeError, match="one for each id"):
        add_rows(np.zeros((3, 2)), np.array([0, 1]), np.ones(shape))


def test_a_gradient_too_short_for_an_embedding():
    embedding = minidl.Embedding(5, 4)
    embedding.build((None,))
    _, cache = embedding.forward(np.zeros((3, 50), int))
    with pytest.raises(ShapeError, match="one for each id"):
        embedding.backward(np.ones((1, 1, 4), np.float32), cache)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.longdouble])
def test_cross_entropy_in_every_dtype(dtype):
    rng = np.random.default_rng(0)
    y, t = (5 * rng.standard_normal((7, 40))).astype(dtype), rng.integers(0, 40, 7)
    each, dy = softmax_cross_entropy(y, t, np.full(7, 0.5, dtype))
    exact = y.astype(np.float64)
    p = np.exp(exact - exact.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    room = {np.float16: 2e-2, np.float32: 2e-6}.get(dtype, 1e-12)
    np.testing.assert_allclose(each, -np.log(p[np.arange(7), t]), rtol=room, atol=room)
    np.testing.assert_allclose(dy, 0.5 * (p - np.eye(40)[t]), rtol=room, atol=room)


def test_a_nan_and_great_scores_in_cross_entropy():
    y = np.array([[1e4, 0, -1e4], [np.nan, 0, 0], [0, 0, np.nan]], np.float32)
    with np.errstate(invalid="ignore"):
        each, dy = softmax_cross_entropy(y, np.array([2, 1, 0]), np.ones(3, np.float32))
    assert each[0] == 20000 and dy[0].tolist() == [1, 0, -1]
    assert np.isnan(each[1:]).all() and np.isnan(dy[1:]).all()


def test_a_loss_with_positions_of_its_own():
    class Double(minidl.SoftmaxCrossEntropy):
        def positions(self, y, t):
            each, dy = super().positions(y, t)
            return 2 * each, 2 * dy

    y, t = np.zeros((2, 4)), np.array([0, 1])
    (one, d_one, _), (two, d_two, _) = minidl.SoftmaxCrossEntropy()(y, t), Double()(y, t)
    assert two == pytest.approx(2 * one) and d_two == pytest.approx(2 * d_one)


def test_a_rule_of_its_own_sees_whole_arrays():
    class Centred(minidl.Adam):
        def update(self, value, grad, slots, lr, t):
            seen.append(grad.shape)
            super().update(value, grad - grad.mean(axis=0), slots, lr, t)

    seen = []
    w = minidl.Parameter(np.ones((3, 2)))
    w.grad[...] = 1.0
    Centred(0.1).step({"w": w})
    assert seen == [(3, 2)] and (w.value == 1).all()


@pytest.mark.parametrize("make", [minidl.Adam, lambda lr: minidl.AdamW(lr, weight_decay=0.3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_equals_its_equations(make, dtype):
    rng = np.random.default_rng(0)
    w, optimizer = minidl.Parameter(rng.standard_normal((50, 40)).astype(dtype)), make(0.01)
    x, m, v = w.value.astype(np.float64), 0.0, 0.0
    for t in range(1, 6):
        w.grad[...] = rng.standard_normal((50, 40))
        g = w.grad.astype(np.float64)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = (1 - 0.01 * getattr(optimizer, "weight_decay", 0.0)) * x
        x = x - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        optimizer.step({"w": w})
    np.testing.assert_allclose(
        w.value, x, rtol=1e-12 if dtype == np.float64 else 2e-6, atol=1e-6 * (dtype == np.float32)
    )


@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("B", [1, 3])
def test_steps_equal_the_sequence_and_copy_the_weights(B, dtype, peephole):
    rng, (T, D, H) = np.random.default_rng(0), (6, 5, 9)
    shapes = (B, T, D), (B, H), (B, H), (D, 4 * H), (H, 4 * H), (4 * H,), (3, H)
    x, h0, c0, Wx, Wh, b, p = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    p = p if peephole else None
    y, *_ = lstm_forward(x, h0, c0, Wx, Wh, b, p)
    step = lstm_stepper(h0, c0, Wx, Wh, b, p)
    for array in (Wx, Wh, b, p) if peephole else (Wx, Wh, b):
        array[...] = np.nan
    for t in range(T):
        np.testing.assert_allclose(step(x[:, t]), y[:, t], rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)


@pytest.mark.parametrize("kind", ["reset after", "reset before", "tanh", "relu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("B", [1, 3])
def test_steps_of_the_others_equal_the_sequence_and_copy_the_weights(B, dtype, kind):
    rng, (T, D, H) = np.random.default_rng(0), (6, 5, 9)
    blocks = 3 if kind.startswith("reset") else 1
    shapes = (B, T, D), (B, H), (D, blocks * H), (H, blocks * H), (blocks * H,), (H,)
    x, h0, Wx, Wh, b, bh = (0.5 * rng.standard_normal(shape).astype(dtype) for shape in shapes)
    if blocks == 3:
        forward, stepper, option = gru_forward, gru_stepper, bh if kind == "reset after" else None
    else:
        forward, stepper, option = simple_rnn_forward, simple_rnn_stepper, kind == "relu"
    y, *_ = forward(x, h0, Wx, Wh, b, option)
    step = stepper(h0, Wx, Wh, b, option)
    for array in Wx, Wh, b, bh:
        array[...] = np.nan
    for t in range(T):
        np.testing.assert_allclose(step(x[:, t]), y[:, t], rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)
