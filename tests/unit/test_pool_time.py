"""PoolTime: values by hand, over the steps that are real."""

import numpy as np
import pytest

import minidl
from minidl import ArgumentError, Batch, MeanSquaredError, PoolTime, ShapeError

X = np.array([[[1.0], [5], [5], [3]], [[2], [-9], [-4], [8]], [[1], [2], [3], [4]]])
MASK = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)


@pytest.mark.parametrize(
    ("kind", "y", "dx"),
    [
        ("mean", [3.5, -6.5, 0], [[2, 2, 2, 2], [0, 4, 4, 0], [0, 0, 0, 0]]),
        ("max", [5, -4, 0], [[0, 8, 0, 0], [0, 0, 8, 0], [0, 0, 0, 0]]),  # the first of the two fives
    ],
)
def test_by_hand(kind, y, dx):
    for rubbish in (0.0, np.nan, np.inf, 1e300):
        with np.errstate(all="raise"):
            came, state, cache = PoolTime(kind=kind).forward_with_state(
                np.where(MASK[..., None], X, rubbish), mask=MASK
            )
            d, _ = PoolTime(kind=kind).backward_with_state(np.full((3, 1), 8.0), None, cache)
        assert came.ravel().tolist() == y and state is None and d[..., 0].tolist() == dx


def test_without_a_mask_all_steps_count():
    assert PoolTime(kind="mean")(X).ravel().tolist() == [3.5, -0.75, 2.5]
    assert PoolTime(kind="max")(X).ravel().tolist() == [5, 8, 4]


def test_a_real_step_may_be_minus_infinity_and_nan_is_not_hidden():
    x = np.array([[[7.0], [-np.inf], [-np.inf]], [[7.0], [1.0], [np.nan]]])
    mask = np.array([[False, True, True], [False, True, True]])
    y, _, cache = PoolTime(kind="max").forward_with_state(x, mask=mask)
    assert y[0, 0] == -np.inf and np.isnan(y[1, 0])
    assert PoolTime(kind="max").backward(np.ones((2, 1)), cache)[0, :, 0].tolist() == [0, 1, 0]


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_no_steps_at_all(kind):
    y, cache = PoolTime(kind=kind).forward(X[:, :0])
    assert y.tolist() == [[0], [0], [0]] and PoolTime(kind=kind).backward(y, cache).shape == (3, 0, 1)


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_float32_stays(kind):
    y, _, cache = PoolTime(kind=kind).forward_with_state(X.astype(np.float32), mask=MASK)
    assert y.dtype == PoolTime(kind=kind).backward(y, cache).dtype == np.float32


def test_it_hands_on_no_mask_and_cannot_be_streamed():
    """The mean of a window is not the mean of the whole: the Trainer carries no state through it."""
    assert PoolTime().hand_on(MASK) is None and not PoolTime().streams
    net = minidl.Sequential([minidl.LSTM(2, return_sequences=True), PoolTime()])
    net.build((None, 1))
    windows = [Batch(X, np.ones((3, 2)), start=start) for start in (True, False)]
    with pytest.raises(ArgumentError, match="cannot be streamed"):
        minidl.Trainer(net, MeanSquaredError(), quiet=True).fit(windows)


def test_it_comes_back_from_a_file(tmp_path):
    net = minidl.Sequential([PoolTime(kind="max")])
    net.build((None, 1))
    net.save(tmp_path / "net.npz")
    assert minidl.load(tmp_path / "net.npz")[0].kind == "max"


def test_errors():
    for kind in ("sum", None, 1, np.mean):
        with pytest.raises(ArgumentError, match="PoolTime expects kind to be 'mean' or 'max', got"):
            PoolTime(kind=kind)
    with pytest.raises(ShapeError, match=r"PoolTime expects inputs of shape \[B, T, ...\], got in_shape \(4,\): there"):
        PoolTime().build((4,))
    with pytest.raises(
        ShapeError, match=r"PoolTime expects x of shape .*, got \(3, 4\) of float64: there are no steps"
    ):
        PoolTime()(X[..., 0])
    with pytest.raises(ShapeError, match=r"got \(3, 4, 1\) of int64: make them floats"):
        PoolTime()(X.astype(int))
