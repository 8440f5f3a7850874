"""The tasks of the examples that count and measure time: what is drawn is the task, and success is success."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import minidl


@pytest.fixture(autouse=True)
def _beside_the_examples(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")


def example(name):
    return importlib.import_module(name)


def words(rows, symbols):
    return ["".join(s for s, one in zip(symbols, row, strict=True) if one) for row in rows]


@pytest.mark.parametrize(
    ("letters", "n", "string", "next_ones"),
    [
        ("ab", 1, "Sab", "a ab E"),
        ("ab", 3, "Saaabbb", "a ab ab ab b b E"),
        ("abc", 1, "Sabc", "a ab c E"),
        ("abc", 2, "Saabbcc", "a ab ab b c c E"),
    ],
)
def test_what_may_follow_in_a_counting_language(letters, n, string, next_ones):
    x, t = example("counting_languages").string(letters, n)
    assert "".join(words(x, f"S{letters}E")) == string
    assert words(t, f"S{letters}E") == next_ones.split()


class Oracle:
    """Says what may follow, and is wrong in one symbol at one step of the strings with n in `wrong`."""

    def __init__(self, letters, wrong, step):
        self.letters, self.wrong, self.step = letters, wrong, step

    def __call__(self, x):
        y = np.full(x.shape, 0.9, np.float32)  # what it says of the padding is nonsense
        for row, n in zip(y, x[..., 1].sum(axis=1).astype(int), strict=True):
            t = example("counting_languages").string(self.letters, n)[1]
            row[: len(t)] = np.where(t > 0, 0.6, 0.4)
            if n in self.wrong:
                row[: len(t)][self.step, 2] = 1 - row[: len(t)][self.step, 2]
        return y


@pytest.mark.parametrize("letters", ["ab", "abc"])
@pytest.mark.parametrize("step", [0, 1, -1])
def test_one_wrong_symbol_refuses_a_string(letters, step):
    reach = example("counting_languages").reach
    assert reach(Oracle(letters, [], step), letters) == 100
    assert reach(Oracle(letters, [1, 2], step), letters) == 0
    assert reach(Oracle(letters, [7, 12, 40], step), letters) == 6  # what comes after a gap does not count
    assert reach(Oracle(letters, [100], step), letters) == 99


def test_the_summed_gradient_is_that_of_the_sum_over_steps_and_symbols():
    counting = example("counting_languages")
    x, t = counting.string("abc", 4)
    net = minidl.Sequential([minidl.LSTM(3, return_sequences=True), minidl.Dense(5), minidl.Sigmoid()])
    net.build((None, 5), dtype=np.float64)
    batch = minidl.Batch(x[None], t[None])

    class Trainer:
        params = net.params

    Trainer.batch = batch
    minidl.loss_and_grads(net, minidl.BinaryCrossEntropy(), batch)
    counting.Sum().on_grads_ready(Trainer)
    np.testing.assert_allclose(net.params["dense.b"].grad, (net(x[None]) - t).sum(axis=(0, 1)), rtol=1e-6)


def test_the_reach_at_which_training_is_ended():
    stopped = example("counting_languages").stopped
    assert stopped([0, 10, 19, 20, 7]) == 20 and stopped([0, 35, 100]) == 35 and stopped([0, 12, 11]) == 11


def test_the_third_spike_is_as_far_from_the_second_as_that_from_the_first():
    spikes = example("spike_timing")
    x, t, *_ = spikes.draw(np.random.default_rng(0), 500)
    assert x.shape == t.shape == (500, 150, 1) and (x.sum(axis=1) == 2).all() and (t.sum(axis=1) == 1).all()
    first, second = np.array([np.flatnonzero(row) for row in x[..., 0]]).T
    assert (t[..., 0].argmax(axis=1) == 2 * second - first).all()
    assert set(second - first) == set(range(30, 61)) and first.min() == 0


def test_a_spike_that_is_one_step_off_is_not_exact():
    spikes = example("spike_timing")
    batch = spikes.draw(np.random.default_rng(0), 200)
    assert spikes.exact(batch.t, batch) == spikes.exact(batch.t + 5 * batch.x, batch) == 1  # up to the second spike
    assert spikes.exact(np.roll(batch.t, -1, axis=1), batch) == 0
    half = np.where(np.arange(200)[:, None, None] < 100, batch.t, 0)
    assert spikes.exact(half, batch) == 0.5


def test_waves():
    wave = example("periodic_functions").wave
    np.testing.assert_allclose(wave("triangle", 10, 10), [0.2, 0.4, 0.6, 0.8, 1, 0.8, 0.6, 0.4, 0.2, 0], atol=1e-12)
    np.testing.assert_allclose(wave("cosine", 4, 6), [0.5, 1, 0.5, 0, 0.5, 1], atol=1e-12)
    assert wave("rectangle", 10, 10).tolist() == [0] * 5 + [1] * 4 + [0]
    for name in ("cosine", "triangle", "rectangle"):
        y = wave(name, 25, 100)
        assert np.allclose(y[:25], y[75:]) and y.min() >= 0 and y.max() <= 1


def test_a_stream_ends_a_period_behind_the_first_error():
    periodic = example("periodic_functions")
    target = periodic.wave("cosine", 10, 1000)
    assert periodic.right(target + 0.29, target) == 1000 and periodic.right(target - 0.31, target) == 0
    wrong = target.copy()
    wrong[[42, 50]] += 0.4
    assert periodic.right(wrong, target) == 42

    def net(x):  # right for 42 steps
        return wrong[None, : x.shape[1], None]

    (batch,) = periodic.streams(net, "cosine", 10, 1)
    assert batch.x.shape == (1, 52, 1) and not batch.x.any()
    np.testing.assert_allclose(batch.t[0, :, 0], target[:52], rtol=1e-6)


def test_nets_that_do_not_last_count_for_nothing_but_the_number():
    solved, nan = example("periodic_functions").solved, float("nan")
    assert solved([(0.1, 100, None), (nan, 2000, None), (0.2, 300, None)]) == "2 of 3, RMSE 0.15, 200 updates"
    assert solved([(nan, 2000, None)]) == "0 of 1"


@pytest.mark.slow
def test_no_picture_is_in_both_halves():
    pytest.importorskip("sklearn")
    x, test_x, t, test_t = example("digits_row_by_row").halves()
    assert x.shape == (898, 8, 8) and test_x.shape == (899, 8, 8) and x.max() == 1 and x.min() == 0
    assert not {row.tobytes() for row in x} & {row.tobytes() for row in test_x}
    assert set(t) == set(test_t) == set(range(10))
