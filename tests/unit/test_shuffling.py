"""`fit` shuffles the rows that it trains on unless told otherwise; validation and `evaluate` take them as they come."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ArrayBatches, Batch, PaddedBatches, SeriesWindows, TextStream
from minidl.data import Batches
from minidl.errors import ArgumentError

ROWS = np.arange(40.0)


class Seen(minidl.MeanSquaredError):
    """A loss that notes the first number of each row that it is given, one list per batch."""

    def __init__(self):
        self.rows = []

    def positions(self, y, t):
        self.rows.append(t.reshape(len(t), -1)[:, 0].tolist())
        return super().positions(y, t)


KINDS = {
    "arrays": lambda **options: ArrayBatches(ROWS[:, None], ROWS[:, None], 8, **options),
    "padded": lambda **options: PaddedBatches([[[k]] for k in ROWS], ROWS[:, None], 8, **options),
    "windows": lambda **options: SeriesWindows(np.arange(41.0) - 1, 1, batch_size=8, **options),
}


def epochs(data, **options):
    """The rows of two epochs of training on data, each followed by a validation on it."""
    loss = Seen()
    trainer = minidl.Trainer(minidl.Dense(1), loss, minidl.SGD(1e-9), quiet=True)
    trainer.fit(data, epochs=2, validation=data, **options)
    trainer.evaluate(data)
    batches = [[row for rows in loss.rows[k : k + 5] for row in rows] for k in range(0, len(loss.rows), 5)]
    first, valid, second, again, evaluated = batches
    assert valid == again == evaluated == ROWS.tolist(), "what is not trained on comes in order"
    return first, second


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("given", "told"), [(None, None), (True, None), (None, True), (True, True)])
def test_training_rows_are_shuffled_in_each_epoch(kind, given, told):
    first, second = epochs(KINDS[kind](shuffle=given), shuffle=told)
    assert sorted(first) == sorted(second) == ROWS.tolist()
    assert first != second and first != ROWS.tolist()
    assert (first, second) == epochs(KINDS[kind](), shuffle=None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("given", "told"), [(False, None), (None, False), (False, False)])
def test_training_rows_come_in_order_where_that_is_asked_for(kind, given, told):
    assert epochs(KINDS[kind](shuffle=given), shuffle=told) == (ROWS.tolist(), ROWS.tolist())


@pytest.mark.parametrize("given", [True, False])
def test_fit_and_batches_that_contradict_each_other_are_refused(given):
    with pytest.raises(ArgumentError, match=f"fit got shuffle={not given}, and ArrayBatches shuffle={given}"):
        epochs(KINDS["arrays"](shuffle=given), shuffle=not given)


def test_fit_leaves_the_batches_as_they_were():
    data = KINDS["arrays"]()
    epochs(data, shuffle=False)
    assert data.shuffle is None


@pytest.mark.parametrize("data", [[Batch(ROWS[:, None], ROWS[:, None])], TextStream(np.arange(9), 2, 2)])
def test_batches_of_another_kind_cannot_be_shuffled(data):
    trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), quiet=True)
    with pytest.raises(ArgumentError, match=r"fit shuffles plain arrays.* got shuffle=True and"):
        trainer.fit(data, shuffle=True)


def test_batches_of_another_kind_may_be_said_to_stay_in_order():
    trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), quiet=True)
    assert trainer.fit([Batch(ROWS[:, None], ROWS[:, None])], shuffle=False)["step"] == [1]


def test_a_batch_size_beside_batches_is_refused():
    trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), quiet=True)
    with pytest.raises(ArgumentError, match="fit cuts plain arrays by batch_size, got 4 and batches"):
        trainer.fit(KINDS["arrays"](), batch_size=4)
    trainer.fit(KINDS["arrays"](), validation=(ROWS[:, None], ROWS[:, None]), batch_size=4)  # of the validation


class Windows(Batches):
    """Rows of which each batch goes on from the state of the one before."""

    def take(self, rows):
        x = np.arange(8.0).reshape(4, 2, 1)[rows]
        return Batch(x, x[:, :, 0], start=False)


@pytest.mark.parametrize("shuffle", [None, True])
def test_a_carried_state_with_shuffled_rows_is_refused(shuffle):
    trainer = minidl.Trainer(minidl.LSTM(1), minidl.MeanSquaredError(), quiet=True)
    with pytest.raises(ArgumentError, match=r"Windows must not shuffle batches.*Pass shuffle=False"):
        trainer.fit(Windows(4, 2, shuffle, 0))


def test_a_carried_state_in_order_is_trained_on():
    net = minidl.LSTM(1, return_sequences=True)
    trainer = minidl.Trainer(minidl.Sequential([net, minidl.Flatten()]), minidl.MeanSquaredError(), quiet=True)
    assert trainer.fit(Windows(4, 2, False, 0))["step"] == [2]


def test_only_true_false_and_none_are_taken():
    for build in KINDS.values():
        with pytest.raises(ArgumentError, match="shuffle"):
            build(shuffle="yes")
    with pytest.raises(ArgumentError, match="fit expects shuffle to be True or False, got 1"):
        epochs(KINDS["arrays"](), shuffle=1)
