"""Windows: which steps they hold, borders, no leakage; the scaler to and fro; forecasts; what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from minidl.models import forecaster

import minidl
from minidl import Scaler, SeriesWindows, forecast, naive_forecast, split_series
from minidl.errors import ArgumentError, ShapeError

SERIES = np.stack([np.arange(20.0), 100 + np.arange(20.0), -np.arange(20.0)], axis=1)


# -- windows --------------------------------------------------------------------------------------


def test_a_window_and_the_steps_behind_it():
    windows = SeriesWindows(SERIES, window=4, horizon=2, targets=[2, 0], batch_size=100)
    (batch,) = windows
    assert batch.x.shape == (15, 4, 3) and batch.t.shape == (15, 2, 2)
    for k in range(15):
        assert (batch.x[k] == SERIES[k : k + 4]).all() and (batch.t[k] == SERIES[k + 4 : k + 6][:, [2, 0]]).all()
    assert batch.start is True and batch.mask is None


def test_relative_windows_end_in_zero():
    (plain,) = SeriesWindows(SERIES**2, 4, 2, [2, 0], batch_size=100)
    (batch,) = SeriesWindows(SERIES**2, 4, 2, [2, 0], relative=True, batch_size=100)
    last = plain.x[:, -1:]
    assert (batch.x == plain.x - last).all() and (batch.t == plain.t - last[:, :, [2, 0]]).all()
    assert not batch.x[:, -1].any() and batch.t.any()
    assert (naive_forecast(batch.x, 2, 3, [2, 0]) - batch.t == naive_forecast(plain.x, 2, 3, [2, 0]) - plain.t).all()


lengths = st.lists(st.integers(7, 30), min_size=1, max_size=4)


@given(lengths, st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 9), st.booleans())
def test_no_window_reaches_over_a_border(counts, window, horizon, stride, batch_size, shuffle):
    """Every window of every series comes once an epoch, and is of one series alone."""
    series = [1000.0 * k + np.arange(n) for k, n in enumerate(counts)]
    windows = SeriesWindows(series, window, horizon, stride=stride, batch_size=batch_size, shuffle=shuffle)
    rows = [row for b in windows.epoch(3) for row in np.concatenate([b.x, b.t], axis=1)[:, :, 0].tolist()]
    span = window + horizon
    expected = [one[at : at + span].tolist() for one in series for at in range(0, len(one) - span + 1, stride)]
    assert sorted(rows) == expected and windows.count == len(expected)
    assert shuffle or rows == expected


def test_the_order_follows_from_seed_and_epoch():
    def order(seed, epoch):
        return [b.x[:, 0, 0].tolist() for b in SeriesWindows(SERIES, 4, shuffle=True, seed=seed).epoch(epoch)]

    assert order(1, 2) == order(1, 2) and order(1, 2) != order(1, 3) and order(1, 2) != order(2, 2)


def test_a_series_is_kept_not_copied():
    windows = SeriesWindows([SERIES, SERIES[:9]], 4)
    assert windows.series[0].base is SERIES or windows.series[0] is SERIES
    assert np.shares_memory(windows.series[1], SERIES)
    assert SeriesWindows(np.arange(9), 4).series[0].dtype == np.float64  # numbers, not ids
    assert next(iter(SeriesWindows(SERIES.astype(np.float32), 4))).t.dtype == np.float32


def test_lists_of_numbers_and_of_rows_are_one_series():
    assert SeriesWindows([1, 2, 3, 4], 2).count == 2 and SeriesWindows([[1, 2], [3, 4], [5, 6]], 2).count == 1


# -- no leakage -----------------------------------------------------------------------------------


@given(st.integers(30, 90), st.sampled_from([0.1, 0.25, 0.5]), st.integers(1, 6), st.integers(1, 3))
def test_no_target_of_the_validation_is_in_the_training_part(steps, share, window, horizon):
    """Targets are apart; the validation's first windows read history, and its first target is the next step."""
    series = np.arange(float(steps))
    train, held = split_series(series, share, window)
    assert np.shares_memory(train, series) and np.shares_memory(held, series)
    known = {v for b in SeriesWindows(train, window, horizon) for a in (b.x, b.t) for v in a.ravel().tolist()}
    told = [v for b in SeriesWindows(held, window, horizon) for v in b.t.ravel().tolist()]
    assert known == set(train.ravel().tolist()) and not known & set(told)
    assert min(told) == len(train) == steps - round(steps * share) and max(told) == steps - 1
    assert next(iter(SeriesWindows(held, window, horizon))).x[0].ravel().tolist() == train[-window:].ravel().tolist()


def test_several_series_are_split_each():
    train, held = split_series([SERIES, SERIES[:10]], 0.5, window=2)
    assert [len(one) for one in train] == [10, 5] and [len(one) for one in held] == [12, 7]


def test_a_split_that_cannot_be():
    with pytest.raises(ArgumentError, match=r"training part of at least window=9 steps, got 8"):
        split_series(np.arange(16.0), 0.5, window=9)
    with pytest.raises(ArgumentError, match=r"one part would be empty"):
        split_series(np.arange(3.0), 0.1, window=1)


# -- what is refused ------------------------------------------------------------------------------


def test_series_that_are_too_short():
    with pytest.raises(ArgumentError) as caught:
        SeriesWindows(SERIES, window=18, horizon=3)
    assert str(caught.value) == (
        "SeriesWindows expects a series of at least 21 steps for window=18 and horizon=3, got 20: give a longer "
        "series, or a smaller window or horizon."
    )
    with pytest.raises(ArgumentError, match=r"^SeriesWindows expects series 1 of at least 5 steps"):
        SeriesWindows([SERIES, SERIES[:4]], window=4)


@pytest.mark.parametrize("make", [lambda s: SeriesWindows(s, 2), Scaler.of], ids=["windows", "scaler"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_missing_is_named(make, wrong):
    broken = SERIES.copy()
    broken[7, 2] = wrong
    with pytest.raises(ArgumentError, match=rf"got {wrong} in row 7, column 2: fill what is missing"):
        make(broken)
    with pytest.raises(ArgumentError, match=r"in row 7, column 2 of series 1: "):
        make([SERIES, broken])


@pytest.mark.parametrize(
    "series", [np.zeros((2, 3, 4)), "abc", None, [["a", "b"], ["c", "d"]], [[1], [2, 3]], [], np.zeros((5, 0)), 3]
)
def test_what_is_no_series(series):
    with pytest.raises(ShapeError, match=r"expects a series of numbers \[N, D\], got .*: leave other columns out"):
        SeriesWindows(series, 1)


def test_series_with_other_columns():
    with pytest.raises(ShapeError, match=r"series with the same columns, got 2 of series 1 and 3 before"):
        SeriesWindows([SERIES, SERIES[:, :2]], 2)


@pytest.mark.parametrize("targets", [3, -1, [0, 0], [], "sst", 1.5, [True], [[0]]])
def test_targets_that_are_no_columns(targets):
    with pytest.raises(ArgumentError, match=r"expects columns to be numbers from 0 to 2, each once, got"):
        SeriesWindows(SERIES, 2, targets=targets)


@pytest.mark.parametrize("options", [{"window": 0}, {"horizon": 0}, {"stride": 0}, {"batch_size": 0}])
def test_sizes_that_are_none(options):
    with pytest.raises(ArgumentError, match=r"^SeriesWindows expects .* to be a positive integer, got 0"):
        SeriesWindows(SERIES, **({"window": 2} | options))


# -- the scaler -----------------------------------------------------------------------------------


def test_to_and_fro():
    x = np.random.default_rng(0).normal([1e6, -3, 1e-6], [5, 2, 1e-9], (500, 3))
    scaler = Scaler.of(x)
    z = scaler.transform(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(scaler.inverse_transform(z), x, rtol=1e-12)
    np.testing.assert_allclose(scaler.take([2, 0]).transform(x[:, [2, 0]]), z[:, [2, 0]], rtol=0)
    assert len(scaler) == 3 and len(scaler.take(1)) == 1


def test_several_series_count_step_for_step():
    parts = [SERIES[:3], SERIES[3:]]
    one, two = Scaler.of(SERIES), Scaler.of(parts)
    np.testing.assert_allclose([two.mean, two.scale], [one.mean, one.scale], rtol=1e-14)


@pytest.mark.parametrize("value", [0.1, 0.0, -1e300, 3e-320])
def test_a_constant_column_becomes_zero_and_comes_back(value):
    """Its mean is that very value: no rounding is blown up by a tiny deviation."""
    x = np.full((7, 1), value)
    scaler = Scaler.of(x)
    assert scaler.scale.tolist() == [1.0] and (scaler.transform(x) == 0).all()
    assert (scaler.inverse_transform(scaler.transform(x)) == value).all()


def test_numbers_too_large_to_square_are_refused_in_words():
    with pytest.raises(ArgumentError, match=r"^Scaler\.of expects numbers whose squares float64 holds, up to about"):
        Scaler.of(np.array([[1e200], [-1e200]]))


@pytest.mark.parametrize("size", [1e-200, 1e-298, 1e-307])
def test_deviations_whose_squares_vanish_are_scaled(size):
    x = np.stack([1 + np.arange(9.0), np.ones(9)], axis=1)
    scaler = Scaler.of(size * x)
    np.testing.assert_allclose(scaler.transform(size * x), Scaler.of(x).transform(x), atol=1e-12)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(size * x)), size * x, rtol=1e-12)


def test_it_travels_as_plain_json(tmp_path):
    scaler = Scaler.of(np.random.default_rng(0).standard_normal((50, 2)) / 3)
    assert Scaler.from_dict(json.loads(json.dumps(scaler.to_dict()))) == scaler
    assert hash(scaler) == hash(Scaler.from_dict(scaler.to_dict())) and scaler != Scaler.of(SERIES)
    net = forecaster(horizon=2, units=2)
    net.build((None, 2))
    net.facts = {"scaler": scaler.to_dict()}
    net.save(tmp_path / "net.npz")
    assert Scaler.from_dict(minidl.load(tmp_path / "net.npz").facts["scaler"]) == scaler
    assert repr(Scaler([0.0], [2.0])) == "Scaler(mean=[0.0], scale=[2.0])"


@pytest.mark.parametrize(
    "data",
    [
        None, [], {}, {"mean": [0.0]}, {"mean": [0.0], "scale": [0.0]}, {"mean": [0.0], "scale": [-1.0]},
        {"mean": [], "scale": []}, {"mean": [0.0, 1.0], "scale": [1.0]}, {"mean": ["0"], "scale": [1.0]},
        {"mean": [[0.0]], "scale": [[1.0]]}, {"mean": [float("nan")], "scale": [1.0]}, {"mean": [0], "scale": [1.0]},
        {"mean": [0.0], "scale": [1.0], "more": 1}, {"mean": 0.0, "scale": 1.0},
    ],
)  # fmt: skip
def test_what_no_scaler_gave(data):
    with pytest.raises(ArgumentError, match=r"^(A scaler|Scaler) (is expected|expects)"):
        Scaler.from_dict(data)


def test_what_a_scaler_does_not_take():
    with pytest.raises(ShapeError, match=r"^Scaler expects numbers of shape \[..., 3\], got \(2, 2\) of float64"):
        Scaler.of(SERIES).transform(np.zeros((2, 2)))
    with pytest.raises(ArgumentError, match=r"^Scaler expects numbers, got mean"):
        Scaler("a", "b")


# -- forecasts ------------------------------------------------------------------------------------


def test_a_naive_forecast_comes_round():
    x = np.arange(24.0).reshape(2, 6, 2)
    y = naive_forecast(x, 5, season=3, targets=1)
    assert y[0, :, 0].tolist() == [7.0, 9.0, 11.0, 7.0, 9.0] and y.shape == (2, 5, 1)
    assert (naive_forecast(x, 4) == x[:, -1:]).all()
    with pytest.raises(ArgumentError, match=r"windows of at least season=7 steps, got 6"):
        naive_forecast(x, 5, season=7)
    with pytest.raises(ShapeError, match=r"windows \[B, window, D\], got \(6, 2\)"):
        naive_forecast(x[0], 5)


def test_a_forecast_is_in_the_units_of_the_data():
    """It is what the net says of the last window, each target brought back by its own mean and scale."""
    scaler, net = Scaler.of(SERIES), forecaster(horizon=4, targets=2, units=3)
    net.build((None, 3), seed=1)
    told = forecast(net, SERIES, scaler, window=5, targets=[1, 0])
    y = net.predict(scaler.transform(SERIES[-5:])[None])[0]
    for k, column in enumerate([1, 0]):
        np.testing.assert_allclose(told[:, k], y[:, k] * scaler.scale[column] + scaler.mean[column], rtol=1e-6)
    assert told.shape == (4, 2, 3) and (np.diff(told) >= 0).all() and told.dtype == np.float64


def test_a_relative_forecast_moves_with_the_series():
    """It begins at the last step, whatever the level is."""
    scaler, net = Scaler.of(SERIES), forecaster(horizon=4, targets=2, units=3)
    net.build((None, 3), seed=1)
    low, high = (forecast(net, s, scaler, 5, [1, 0], relative=True) for s in (SERIES, SERIES + np.array([7, -9, 0])))
    np.testing.assert_allclose(high - low, np.broadcast_to([[[-9.0], [7.0]]], (4, 2, 3)), rtol=1e-5)
    (batch,) = SeriesWindows(scaler.transform(SERIES[-5 - 4 :]), 5, 4, [1, 0], relative=True)
    y = net.predict(batch.x)[0] + scaler.transform(SERIES)[-5, [1, 0]][:, None]
    told = forecast(net, SERIES[:-4], scaler, 5, [1, 0], relative=True)
    np.testing.assert_allclose(told[:, 0], y[:, 0] * scaler.scale[1] + scaler.mean[1], rtol=1e-6)


def test_forecasts_that_cannot_be():
    scaler, net = Scaler.of(SERIES), forecaster(horizon=4, units=3)
    net.build((None, 3))
    with pytest.raises(ArgumentError, match=r"series of at least window=21 steps, got 20"):
        forecast(net, SERIES, scaler, window=21, targets=0)
    with pytest.raises(ShapeError, match=r"gives \[B, horizon, 3, Q\], got \(1, 4, 1, 3\): name the columns"):
        forecast(net, SERIES, scaler, window=5)
    with pytest.raises(ShapeError, match=r"expects one series, got 2"):
        forecast(net, [SERIES, SERIES], scaler, window=5)
    with pytest.raises(ArgumentError, match=r"got nan in row 19, column 0"):
        forecast(net, np.where(SERIES == 19, np.nan, SERIES), scaler, window=5, targets=0)


def test_a_net_knows_how_its_windows_were_made():
    net = forecaster(horizon=3, targets=2, units=4)
    net.build((None, 3))
    scaler = Scaler.of(SERIES)
    told = {how: forecast(net, SERIES, scaler, 5, [1, 0], relative=how) for how in (True, False)}
    assert (forecast(net, SERIES, scaler, 5, [1, 0]) == told[False]).all() and (told[True] != told[False]).any()
    for how in True, False:
        net.facts = {"relative": how}
        assert (forecast(net, SERIES, scaler, 5, [1, 0]) == told[how]).all()
        assert (forecast(net, SERIES, scaler, 5, [1, 0], relative=how) == told[how]).all()
        with pytest.raises(ArgumentError, match=f"forecast expects relative={how}, as the net was trained"):
            forecast(net, SERIES, scaler, 5, [1, 0], relative=not how)
