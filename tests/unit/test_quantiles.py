"""The pinball loss finds quantiles, the figures beside it count right, and what does not fit is told."""

import numpy as np
import pytest

import minidl
from minidl import Adam, Ascending, Batch, Dense, QuantileLoss, Reshape, Sequential, Trainer, coverage, median_error
from minidl.doctor.trials import ignores_targets
from minidl.errors import ArgumentError, ShapeError

Y = np.array([[[1.0, 2.0, 4.0], [0.0, 0.0, 1.0]], [[-1.0, 0.0, 3.0], [5.0, 6.0, 7.0]]])  # [B, K, Q] = [2, 2, 3]
T = np.array([[3.0, 1.5], [0.0, 5.5]])  # beside the medians by 1, 1.5, 0, 0.5; all but the second are inside


def test_a_constant_output_becomes_the_quantiles():
    t = np.random.default_rng(0).exponential(size=4000)
    net = Sequential([Dense(3), Ascending()])
    batch = Batch(np.zeros((len(t), 1)), t)
    Trainer(net, QuantileLoss((0.1, 0.5, 0.9)), Adam(0.02), quiet=True).fit([batch], epochs=400)
    np.testing.assert_allclose(net(np.zeros((1, 1)))[0], np.quantile(t, (0.1, 0.5, 0.9)), atol=0.03)


def test_the_median_alone_is_half_the_absolute_error():
    y, t = np.random.default_rng(0).standard_normal((2, 5, 4))
    assert QuantileLoss((0.5,))(y[..., None], t)[0] == pytest.approx(np.abs(y - t).mean() / 2, rel=1e-14)


def test_targets_in_another_dtype_do_not_widen_the_gradient():
    _, dy, _ = QuantileLoss()(Y.astype(np.float32), T)
    assert dy.dtype == np.float32


def test_weights_and_masks_over_horizon_and_targets():
    """A weight for each row, each step or each number counts alike."""
    loss, y, t = QuantileLoss(), np.random.default_rng(0).standard_normal((3, 4, 2, 3)), np.zeros((3, 4, 2))
    rows = np.array([1.0, 0.0, 2.0])
    value, dy, _ = loss(y, t, rows)
    assert loss(y, t, np.broadcast_to(rows[:, None, None], t.shape))[0] == pytest.approx(value, rel=1e-14)
    assert not dy[1].any() and dy[0].any()


def test_nan_is_not_hidden():
    value, dy, _ = QuantileLoss()(np.array([[0.0, np.nan, 1.0]]), np.array([0.5]))
    assert np.isnan(value) and np.isnan(dy[0, 1]) and np.isfinite(dy[0, [0, 2]]).all()


def test_figures_by_hand():
    assert median_error(Y, T) == (0.75, 4.0) and coverage(Y, T) == (0.75, 4.0)
    assert median_error(T + 2, T) == (2.0, 4.0)
    weight, mask = np.array([[1, 2], [1, 0]]), np.array([True, False])
    assert median_error(Y, T, weight) == (1.0, 4.0) and coverage(Y, T, weight) == (0.5, 4.0)
    assert median_error(Y, T, mask=mask) == (1.25, 2.0) and coverage(Y, T, mask=mask) == (0.5, 2.0)
    assert median_error(Y, T, mask=~mask & mask) == (0.0, 0.0)
    wrong = np.where([[True, False], [True, True]], T, np.nan)
    assert median_error(Y, wrong, mask=np.isfinite(wrong)) == (0.5, 3.0)


@pytest.mark.parametrize(
    "quantiles",
    [(), 0.5, "0.5", (0.5, 0.5), (0.9, 0.1), (0.0, 0.5), (0.5, 1.0), (0.5, "0.9"), (np.nan,), (True,), None],
)
def test_quantiles_that_are_none(quantiles):
    with pytest.raises(ArgumentError, match=r"^QuantileLoss expects quantiles to be numbers between 0 and 1 that grow"):
        QuantileLoss(quantiles)


def test_outputs_and_targets_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"outputs of shape \[..., 3\], one for each of its quantiles, got \(2, 4\)"):
        QuantileLoss()(np.zeros((2, 4)), np.zeros(2))
    with pytest.raises(ShapeError, match=r"targets of shape \(2, 4\) for outputs \(2, 4, 3\), got \(2,\)"):
        QuantileLoss()(np.zeros((2, 4, 3)), np.zeros(2))
    for metric in median_error, coverage:
        with pytest.raises(ShapeError, match=rf"^{metric.__name__} expects targets of shape \(2, 2\)"):
            metric(Y, T[0])


@pytest.mark.parametrize("shape", [(), 3, "ab", (0, 2), (2.5,), [True], None])
def test_reshape_expects_sizes(shape):
    with pytest.raises(ArgumentError, match=r"^Reshape expects"):
        Reshape(shape)


def test_reshape_says_what_size_it_takes():
    with pytest.raises(ShapeError, match=r"last axis of 6 for \(2, 3\), got in_shape \(5,\): put a Dense\(6\)"):
        Reshape((2, 3)).build((5,))
    with pytest.raises(ShapeError, match=r"^Reshape expects x of shape \[..., 6\], got \(1, 5\)"):
        Reshape((2, 3))(np.zeros((1, 5)))
    with pytest.raises(ShapeError, match=r"^Ascending expects a known size"):
        Ascending().build((None,))


def test_ascending_ascends_at_any_size():
    x = np.random.default_rng(0).standard_normal((100, 7)) * 1e4
    with np.errstate(all="raise", under="ignore"):
        y, cache = Ascending().forward(x)
        dx = Ascending().backward(np.ones_like(y), cache)
    assert (np.diff(y) >= 0).all() and (y[:, 0] == x[:, 0]).all() and np.isfinite(dx).all()


def test_quantiles_are_kept_in_a_file(tmp_path):
    net = Sequential([Dense(6), Reshape((2, 3)), Ascending()])
    net.build((4,))
    net.save(tmp_path / "net.npz")
    twin, x = minidl.load(tmp_path / "net.npz"), np.ones((2, 4))
    assert (twin(x) == net(x)).all() and twin.out_shape == (2, 3)


@pytest.mark.parametrize("size", [1.0, 1e-3, 0.0])
@pytest.mark.parametrize("level", [50.0, -50.0, 0.0])
def test_the_doctor_knows_that_only_the_side_of_a_target_counts(level, size):
    """Of targets far beside the outputs, or of tiny ones between them, the gradient hardly changes: no mistake yet."""
    net, x = Sequential([Dense(3), Ascending()]), np.random.default_rng(0).standard_normal((8, 4))
    net.build((4,))
    batch = Batch(x, level + size * x[:, 0])

    class Blind(QuantileLoss):
        def positions(self, y, t):
            return super().positions(y, t)[0], 1 + 0 * y

    assert not ignores_targets(net, QuantileLoss(), batch) and ignores_targets(net, Blind(), batch)
