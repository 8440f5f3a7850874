"""Accuracy over ids, one-hot and yes-or-no targets, weights and masks; perplexity and bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError, IdError, ShapeError
from minidl.metrics import accuracy, bits_per_character, exact_match, perplexity

# [B, T, V] = [2, 3, 3]; the largest entry is at 2, 0, 1 and 1, 1, 0
Y = np.array(
    [
        [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.0, 0.9, 0.1]],
        [[0.2, 0.6, 0.2], [0.3, 0.4, 0.3], [0.8, 0.1, 0.1]],
    ]
)
IDS = np.array([[2, 1, 1], [1, 1, 2]])  # right at 4 of 6: all but [0, 1] and [1, 2]


def test_ids_and_one_hot_are_the_same() -> None:
    assert accuracy(Y, IDS) == (4 / 6, 6.0)
    assert accuracy(Y, np.eye(3)[IDS]) == (4 / 6, 6.0)
    assert accuracy(Y.astype(np.float32), IDS.astype(np.uint8)) == (4 / 6, 6.0)
    assert accuracy(Y.tolist(), IDS.tolist()) == (4 / 6, 6.0)
    assert [type(figure) for figure in accuracy(Y, IDS)] == [float, float]


def test_scores_need_not_be_probabilities() -> None:
    assert accuracy(np.log(Y + 0.01) * 1e4, IDS) == (4 / 6, 6.0)


def test_one_position() -> None:
    assert accuracy(np.array([0.1, 0.9]), 1) == (1.0, 1.0)
    assert accuracy(np.array([0.1, 0.9]), np.array([1, 0])) == (0.0, 1.0)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("dtype", [float, int, bool])
def test_yes_or_no(shape: tuple[int, ...], dtype: Any) -> None:
    y = np.array([[0.9], [0.5], [0.6], [0.1]])  # yes, no, yes, no: 0.5 is not above 0.5
    t = np.array([1, 0, 0, 1], dtype).reshape(shape)
    assert accuracy(y, t) == (0.5, 4.0)


def test_many_yes_or_no_are_positions() -> None:
    y, t = np.array([[0.9, 0.2, 0.8], [0.3, 0.6, 0.1]]), np.array([[1, 0, 0], [0, 1, 0]])
    assert accuracy(y[..., None], t) == (5 / 6, 6.0)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ([[1, 1, 1], [0, 0, 0]], (2 / 3, 3.0)),
        ([[3, 1, 0], [2, 0, 2]], (5 / 8, 8.0)),
        ([3, 1], ((3 * 2 + 2) / 12, 12.0)),  # one a row
        ([[1, 2, 4]], ((1 + 4 + 1 + 2) / 14, 14.0)),  # one a step
        (0.5, (4 / 6, 3.0)),
        ([[0, 0, 0], [0, 0, 0]], (0.0, 0.0)),
    ],
)
def test_weights(weight: Any, expected: tuple[float, float]) -> None:
    assert accuracy(Y, IDS, weight) == pytest.approx(expected)


def test_masks() -> None:
    assert accuracy(Y, IDS, mask=np.array([[1, 1, 0], [1, 0, 0]], bool)) == pytest.approx((2 / 3, 3.0))
    assert accuracy(Y, IDS, mask=np.array([True, False])) == pytest.approx((2 / 3, 3.0))
    assert accuracy(Y, IDS, weight=[1, 2], mask=np.array([[1, 1, 0], [1, 0, 0]], bool)) == pytest.approx((3 / 4, 4.0))
    assert accuracy(Y, IDS, mask=np.zeros((2, 3), bool)) == (0.0, 0.0)
    assert accuracy(Y[:0], IDS[:0]) == (0.0, 0.0)


def test_what_stands_under_the_mask_does_not_matter() -> None:
    y, t, weight = Y.copy(), IDS.copy(), np.ones((2, 3))
    y[0, 1], t[0, 1], weight[0, 1] = np.nan, -100, np.nan
    mask = np.ones((2, 3), bool)
    mask[0, 1] = False
    with np.errstate(all="raise"):
        assert accuracy(y, t, weight, mask) == (4 / 5, 5.0)


def test_targets_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"shape \(2, 3\) \(ids\) or \(2, 3, 3\) \(one-hot\) .* got \(2,\): give"):
        accuracy(Y, np.array([1, 2]))
    with pytest.raises(ShapeError, match=r"got \(3, 2\)"):
        accuracy(Y, IDS.T)
    with pytest.raises(
        ArgumentError, match=r"to be integer ids for outputs \(2, 3, 3\), got float64: .* y\[..., None\]"
    ):
        accuracy(Y, IDS.astype(float))
    with pytest.raises(IdError, match=r"ids in \[0, 3\) for outputs \(2, 3, 3\), got -100: .* mask"):
        accuracy(Y, np.where(IDS == 2, -100, IDS))
    with pytest.raises(IdError, match="got 3"):
        accuracy(Y, IDS + 1)
    with pytest.raises(ShapeError, match=r"outputs y of shape \[..., V\], got \(\)"):
        accuracy(np.float64(0.9), 1)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (2, 3, 1), (2, 3, 3)])
def test_weights_and_masks_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"accuracy expects a weight for positions \(2, 3\), got "):
        accuracy(Y, IDS, weight=np.ones(shape))
    with pytest.raises(ShapeError, match=r"accuracy expects a mask for positions \(2, 3\), got "):
        accuracy(Y, IDS, mask=np.ones(shape, bool))


def test_perplexity() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert perplexity(np.float32(2.0)) == pytest.approx(7.38905609893065)  # e^2
    with np.errstate(all="raise"):
        assert perplexity(1e4) == math.inf
    assert math.isnan(perplexity(math.nan))
    assert type(perplexity(np.float32(1.0))) is float


def test_bits_per_character() -> None:
    assert bits_per_character(math.log(2) * 3) == pytest.approx(3)
    assert bits_per_character(1.0) == pytest.approx(1.4426950408889634)  # 1 / ln 2
    assert type(bits_per_character(np.float32(1.0))) is float


def test_exact_match_takes_whole_rows() -> None:
    right = np.array([[2, 0, 1], [1, 1, 2]])  # the first row is right, the second wrong at its end
    assert exact_match(Y, right) == (0.5, 2.0)
    assert exact_match(Y, right, mask=np.array([[True] * 3, [True, True, False]])) == (1.0, 2.0)
    assert exact_match(Y, right, mask=np.array([[True] * 3, [False] * 3])) == (1.0, 1.0)
    assert exact_match(Y, right, mask=np.zeros((2, 3), bool)) == (0.0, 0.0)
    assert exact_match(Y, right, weight=np.array([3.0, 1.0])) == (0.75, 4.0)
    assert exact_match(Y, np.eye(3)[right]) == (0.5, 2.0)
    assert [type(figure) for figure in exact_match(Y, right)] == [float, float]


def test_exact_match_of_rows_without_steps_is_accuracy() -> None:
    assert exact_match(Y[0], IDS[0]) == accuracy(Y[0], IDS[0])


def test_exact_match_refuses_what_accuracy_refuses() -> None:
    with pytest.raises(ShapeError, match="exact_match expects targets of shape"):
        exact_match(Y, IDS[0])
    with pytest.raises(IdError, match="exact_match expects ids in"):
        exact_match(Y, IDS + 3)


@pytest.mark.parametrize(("y", "t", "right"), [
    ([0, 1, 1, 0], [0, 1, 0, 0], 0.75),
    ([0, 2, 1, 0], [0, 1, 2, 0], 0.5),
    ([[0, 1, 1], [2, 2, 0]], [[0, 1, 1], [2, 1, 0]], 5 / 6),
    ([True, False, True], [1, 0, 0], 2 / 3),
    ([[3], [2]], [[3], [1]], 0.5),
    ([[3], [2]], [3, 1], 0.5),
    ([1, 0], [1.0, 1.0], 0.5),
    ([], [], 0.0),
], ids=str)  # fmt: skip
def test_accuracy_takes_predicted_ids(y, t, right):
    value, count = accuracy(np.array(y, int) if y == [] else np.array(y), np.array(t))
    assert value == pytest.approx(right) and count == np.size(y)


def test_exact_match_takes_predicted_ids():
    y, t = np.array([[0, 1, 1], [2, 2, 0]]), np.array([[0, 1, 1], [2, 1, 0]])
    assert exact_match(y, t) == (0.5, 2.0)
    assert exact_match(y, t, mask=np.array([[1, 1, 1], [1, 0, 1]], bool)) == (1.0, 2.0)
    assert accuracy(y, t, weight=np.array([1.0, 0.0])) == (1.0, 3.0)


@pytest.mark.parametrize("metric", [accuracy, exact_match])
def test_integers_that_may_be_ids_or_one_hot_rows_are_refused(metric):
    y, t = np.array([[0, 1], [1, 0]]), np.array([[0, 1], [0, 1]])
    for ambiguous in y, np.array([[5, 1], [2, 9]]):
        with pytest.raises(ArgumentError, match="may be ids, scores or one-hot rows"):
            metric(ambiguous, t)
    assert accuracy(y.argmax(-1), t.argmax(-1)) == (0.5, 2.0)
    assert accuracy(y[..., None], t[..., None]) == (0.5, 4.0) and exact_match(y[..., None], t[..., None]) == (0.5, 2.0)
    assert accuracy(y.astype(float), t) == (0.5, 2.0) and accuracy(y, 0.8 * t + 0.1) == (0.5, 2.0)
    assert accuracy(np.array([[0], [1]]), np.array([[0.3], [0.8]])) == (1.0, 2.0)


@pytest.mark.parametrize("metric", [accuracy, exact_match])
@pytest.mark.parametrize("t", [[[0, 1, 1], [2, 1, 0]], [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]], [[2.0, -1.0, 0.0]] * 2])
def test_targets_of_the_shape_of_scores_that_are_not_probabilities_are_refused(metric, t):
    with pytest.raises(ArgumentError, match="must be one-hot or probabilities, got rows that do not sum to 1"):
        metric(np.random.default_rng(0).random((2, 3)), np.array(t))


def test_targets_that_do_not_count_may_be_anything():
    y = np.array([[0.2, 0.8], [0.9, 0.1]])
    assert accuracy(y, np.array([[0.0, 1.0], [7.0, 7.0]]), mask=np.array([True, False])) == (1.0, 1.0)
    assert accuracy(y, np.array([[0.1, 0.9], [0.9, 0.1]])) == (1.0, 2.0)  # smoothed labels


# -- metrics that are not means --------------------------------------------------------------------


class F1(minidl.Metric):
    """F1 of class 1, which is not the mean of the batches' values."""

    name, higher_is_better = "f1", True

    def __init__(self):
        self.right = self.predicted = self.there = 0

    def update(self, y, t, weight=None, mask=None):
        positive = y[..., 0] > 0.5
        self.right += int((positive & (t == 1)).sum())
        self.predicted += int(positive.sum())
        self.there += int((t == 1).sum())

    def result(self):
        total = self.predicted + self.there
        return 2 * self.right / total if total else math.nan


def f1_training(tmp_path, *more, metric=None):
    x = np.random.default_rng(0).standard_normal((64, 3))
    t = (x[:, 0] + 0.5 * np.random.default_rng(1).standard_normal(64) > 0.5).astype(int)
    net = minidl.Sequential([minidl.Dense(1), minidl.Sigmoid()])
    callbacks = [*more, minidl.Checkpoint(tmp_path, every=3)]
    options = {"metrics": [metric or F1()], "quiet": True}
    trainer = minidl.Trainer(net, minidl.BinaryCrossEntropy(), minidl.Adam(0.05), callbacks, **options)
    return trainer, (x, t)


def test_a_metric_is_computed_over_the_epoch_and_not_averaged_over_batches(tmp_path):
    metric = F1()
    trainer, (x, t) = f1_training(tmp_path, metric=metric)
    history = trainer.fit(x, t, epochs=3, batch_size=5, validation=(x, t))
    whole = F1()
    whole.update(trainer.net(x), t)
    assert history["valid_f1"][-1] == pytest.approx(whole.result()) == pytest.approx(trainer.evaluate(x, t)["f1"])
    assert 0 < history["f1"][0] < 1 and vars(metric) == vars(F1())


def test_a_metric_resumes_within_an_epoch(tmp_path):
    class Stop(minidl.Callback):
        def on_step_end(self, trainer):
            if trainer.step == 20:
                raise ZeroDivisionError

    trainer, data = f1_training(tmp_path / "a")
    whole = trainer.fit(*data, epochs=3, batch_size=5)["f1"]
    trainer, data = f1_training(tmp_path / "b", Stop())
    with pytest.raises(ZeroDivisionError):
        trainer.fit(*data, epochs=3, batch_size=5, resume=True)
    trainer, data = f1_training(tmp_path / "b")
    assert trainer.fit(*data, epochs=3, batch_size=5, resume=True)["f1"] == whole


def test_a_skipped_update_takes_its_counts_back(tmp_path):
    class Skip(minidl.Callback):
        def on_grads_ready(self, trainer):
            trainer.skip()

    trainer, (x, t) = f1_training(tmp_path, Skip())
    history = trainer.fit(x, t, batch_size=64)
    assert math.isnan(history["f1"][0])


def test_a_metric_without_a_name_is_called_by_its_class():
    class Recall(F1):
        pass

    class Share(minidl.Metric):
        def update(self, y, t, weight=None, mask=None): ...

        def result(self):
            return 0.0

    assert (Recall.name, Share.name, Share().higher_is_better) == ("f1", "Share", None)
