"""Steps that are padding in every row: no recurrent kernel spends work on them, and no result changes."""

from functools import partial

import numpy as np
import pytest

from minidl.kernels import (
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    simple_rnn_backward,
    simple_rnn_forward,
)
from minidl.kernels.sequence import run_of

pytestmark = pytest.mark.usefixtures("kernels")
B, D, H = 3, 4, 17
PADDING = {
    "right": [1, 1, 1, 1, 0, 0, 0],
    "left": [0, 0, 1, 1, 1, 1, 1],
    "inside": [1, 0, 1, 0, 0, 1, 1],
    "one step": [0, 0, 0, 1, 0, 0, 0],
    "everywhere": [0, 0, 0, 0, 0, 0, 0],
}


def lstm(rng, x, mask, state, drop, backwards, given):
    weights = (rng.standard_normal(shape) for shape in ((D, 4 * H), (H, 4 * H), (4 * H,), (3, H)))
    y, h, c, cache = lstm_forward(x, *state, *weights, mask, drop, backwards)
    dy, dh, dc = given
    dx, dh0, dc0, grads = lstm_backward(dy, dh, dc, cache)
    return {"y": y, "h": h, "c": c, "dx": dx, "dh0": dh0, "dc0": dc0, **grads}, cache


def gru(reset_after, rng, x, mask, state, drop, backwards, given):
    *weights, bh = (rng.standard_normal(shape) for shape in ((D, 3 * H), (H, 3 * H), (3 * H,), (H,)))
    y, h, cache = gru_forward(x, state[0], *weights, bh if reset_after else None, mask, drop, backwards)
    dx, dh0, grads = gru_backward(*given[:2], cache)
    return {"y": y, "h": h, "dx": dx, "dh0": dh0, **grads}, cache


def simple_rnn(relu, rng, x, mask, state, drop, backwards, given):
    weights = (rng.standard_normal(shape) for shape in ((D, H), (H, H), (H,)))
    y, h, cache = simple_rnn_forward(x, state[0], *weights, relu, mask, drop, backwards)
    dx, dh0, grads = simple_rnn_backward(*given[:2], cache)
    return {"y": y, "h": h, "dx": dx, "dh0": dh0, **grads}, cache


KERNELS = {
    "lstm": lstm,
    "gru": partial(gru, True),
    "gru, reset before": partial(gru, False),
    "tanh": partial(simple_rnn, False),
    "relu": partial(simple_rnn, True),
}


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("some", PADDING.values(), ids=PADDING)
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_the_sequence_without_them_gives_the_same(kernel, some, backwards, dropped, ragged):
    rng, T, some = np.random.default_rng(0), len(some), np.array(some, bool)
    mask = np.tile(some, (B, 1))
    if ragged:
        mask[1:] &= rng.random((B - 1, T)) < 0.6  # the first row keeps every step alive
    x = np.where(mask[:, :, None], rng.standard_normal((B, T, D)), 0)
    state, drop = rng.standard_normal((2, B, H)), (rng.random((B, H)) < 0.5) * 2.0 if dropped else None
    dy, (dh, dc) = rng.standard_normal((B, T, H)), rng.standard_normal((2, B, H))
    rest = drop, backwards

    whole, cache = kernel(np.random.default_rng(1), x, mask, state, *rest, (dy, dh, dc))
    short, _ = kernel(np.random.default_rng(1), x[:, some], mask[:, some], state, *rest, (dy[:, some], dh, dc))
    assert cache.x.shape[0] == cache.run.length == some.sum()
    for name, array in whole.items():
        if name in ("y", "dx"):
            assert array.shape[1] == T and not array[:, ~some].any()
            array = array[:, some]
        np.testing.assert_array_equal(array, short[name], err_msg=name)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_one_row_that_goes_on_changes_no_bit_of_the_others(kernel):
    """The third row is as long as T: then no step is left out."""
    rng, T = np.random.default_rng(0), 9
    x, state, dy = rng.standard_normal((B, T, D)), rng.standard_normal((2, B, H)), rng.standard_normal((B, T, H))
    lengths = np.array([4, 6, 6])
    results = []
    for last in 6, T:
        lengths[2] = last
        mask = np.arange(T) < lengths[:, None]
        given = dy, *np.zeros((2, B, H))
        results.append(
            kernel(np.random.default_rng(1), np.where(mask[:, :, None], x, 0), mask, state, None, False, given)[0]
        )
    for name in "y", "h", "dx", "dh0":
        np.testing.assert_array_equal(results[0][name][:2], results[1][name][:2], err_msg=name)


def test_which_steps_run():
    mask = np.array([[0, 1, 1, 0, 0], [0, 0, 1, 0, 1]])
    for given in mask, mask.astype(bool):
        assert run_of(5, given, False).steps.tolist() == [1, 2, 4]
        assert run_of(5, given, True).steps.tolist() == [4, 2, 1]
        np.testing.assert_array_equal(run_of(5, given, True).real, mask[:, [4, 2, 1]].T.astype(bool))
    assert run_of(5, mask, False).length == 3
    assert run_of(5, None, True) == (5, slice(None, None, -1), None)
    all_real = run_of(2, np.ones((3, 2), bool), False)
    assert all_real == (2, slice(None), None) and all_real.length == 2
    assert run_of(5, mask[:1], False).real is None  # what is left is real in every row
