"""`forecaster`: it learns, comes back from its file, resumes to the same bits, and its gradients are right."""

import numpy as np
import pytest
from minidl.models import forecaster

import minidl
from minidl import Adam, ClipNorm, QuantileLoss, Scaler, SeriesWindows, Trainer, coverage, load, median_error
from minidl.checking import gradcheck
from tests.integration.broken_off import assert_resumes, same

WINDOW, HORIZON = 16, 4
rng = np.random.default_rng(0)
STEPS = np.arange(600)
# a wave with noise of known spread, and a second column that tells of the next steps of the first
WAVE = np.sin(2 * np.pi * STEPS / 12)
SERIES = np.stack([50 + 10 * WAVE + rng.normal(0, 1, 600), 3 * np.roll(WAVE, -1)], axis=1)
TRAIN, HELD = minidl.split_series(SERIES, 0.2, WINDOW)
SCALER = Scaler.of(TRAIN)


def windows(part, **options):
    return SeriesWindows(SCALER.transform(part), WINDOW, HORIZON, targets=0, **options)


def test_it_learns_the_wave_and_the_spread_of_its_noise(tmp_path):
    """The median comes near the noise itself, and 80 % of the steps lie where they should."""
    net = forecaster(HORIZON, units=12)
    trainer = Trainer(net, QuantileLoss(), Adam(0.01), [ClipNorm(1.0)], metrics=[median_error, coverage], quiet=True)
    trainer.fit(windows(TRAIN, shuffle=True, seed=1), epochs=15)
    held = windows(HELD, batch_size=200)
    figures = trainer.evaluate(held)
    (batch,) = held
    assert figures["median_error"] * SCALER.scale[0] < 1.2  # of noise with deviation 1 the median leaves 0.8
    assert 0.6 < figures["coverage"] < 0.95
    naive = minidl.naive_forecast(batch.x, HORIZON, targets=0)
    assert figures["median_error"] < 0.2 * np.abs(naive - batch.t).mean()

    net.facts = {"scaler": SCALER.to_dict()}
    net.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert same(net, again) and np.array_equal(net.predict(batch.x), again.predict(batch.x))
    scaler = Scaler.from_dict(again.facts["scaler"])
    told, said = (minidl.forecast(n, SERIES, s, WINDOW, targets=0) for n, s in ((net, SCALER), (again, scaler)))
    assert np.array_equal(told, said) and told.shape == (HORIZON, 1, 3)
    truth = 50 + 10 * np.sin(2 * np.pi * np.arange(600, 600 + HORIZON) / 12)
    np.testing.assert_allclose(told[:, 0, 1], truth, atol=2.5)


@pytest.mark.parametrize("options", [{"layers": 2, "peephole": True}, {"targets": 3, "quantiles": (0.25, 0.75)}])
def test_its_shapes_and_its_quantiles(options):
    net = forecaster(HORIZON, units=3, **options)
    shape = (HORIZON, options.get("targets", 1), len(options.get("quantiles", "123")))
    assert net.build((None, 3), seed=1) == shape
    y = net.predict(100 * rng.standard_normal((5, 7, 3)))
    assert y.shape == (5, *shape) and (np.diff(y) >= 0).all()


@pytest.mark.parametrize("quantiles", [0.5, (0.9, 0.1), ()])
def test_quantiles_that_no_loss_takes(quantiles):
    with pytest.raises(minidl.ArgumentError, match=r"quantiles to be numbers between 0 and 1 that grow"):
        forecaster(HORIZON, quantiles=quantiles)


def test_a_training_that_was_broken_off_ends_in_the_same_bits(tmp_path):
    def make_net():
        net = forecaster(HORIZON, units=6, layers=2, dropout=0.2)
        net.build((None, 2), seed=1)
        return net

    assert_resumes(make_net, windows(TRAIN[:200], batch_size=16, shuffle=True, seed=3), tmp_path, QuantileLoss())


def test_other_data_is_refused_when_it_goes_on(tmp_path):
    """The scaler, the window and the targets are all in the fingerprint of the data."""

    def training(data):
        trainer = Trainer(
            forecaster(HORIZON, units=2), QuantileLoss(), callbacks=[minidl.Checkpoint(tmp_path, every=1)], quiet=True
        )
        trainer.fit(data, steps=2, resume=True)

    training(windows(TRAIN[:60]))
    for other in (windows(TRAIN[1:61]), SeriesWindows(SCALER.transform(TRAIN[:60]), WINDOW, HORIZON, targets=1)):
        with pytest.raises(minidl.ArgumentError, match=r"data, (series|targets) was"):
            training(other)


def test_its_gradients_are_right():
    net = forecaster(3, targets=2, units=3, layers=2, peephole=True, dropout=0.3, quantiles=(0.1, 0.4, 0.9))
    net.build((None, 2), seed=1)
    x, t = rng.standard_normal((4, 5, 2)), rng.standard_normal((4, 3, 2))
    report = gradcheck(net, x, QuantileLoss((0.1, 0.4, 0.9)), t, mask=np.arange(5) < [[5], [3], [4], [1]])
    assert report.ok, str(report)


def test_a_series_that_rises_is_told_by_windows_relative_to_their_last_step():
    """The part held out lies above all that came in training: relative windows do not notice."""
    rising = 0.5 * STEPS[:300] + 10 * WAVE[:300]
    train, held = minidl.split_series(rising, 0.2, WINDOW)
    scaler, errors = Scaler.of(train), []
    for relative in False, True:
        known, later = (
            SeriesWindows(scaler.transform(part), WINDOW, HORIZON, relative=relative, shuffle=True, seed=1)
            for part in (train, held)
        )
        net = forecaster(HORIZON, units=12)
        trainer = Trainer(net, QuantileLoss(), Adam(0.01), [ClipNorm(1.0)], metrics=[median_error], quiet=True)
        trainer.fit(known, epochs=20)
        errors.append(trainer.evaluate(later)["median_error"] * scaler.scale[0])
    assert errors[1] < 1.5 < 5 < errors[0]
