"""Padding: values and masks, rows without steps, several inputs, batches of similar lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import LSTM, Adam, Concatenate, Dense, Embedding, Graph, Sequential, SoftmaxCrossEntropy, Trainer
from minidl.errors import ArgumentError, ShapeError
from minidl.padding import PaddedBatches, pad


def rows_of(batches: Any) -> list[int]:
    return [int(t) for batch in batches for t in batch.t]


# -- padding --------------------------------------------------------------------------------------


def test_pad_keeps_values_and_types() -> None:
    sequences = [np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((1, 2), np.float32)]
    padded, mask = pad(sequences, value=-1)
    assert padded.shape == (2, 3, 2) and padded.dtype == np.float32 and mask.dtype == bool
    assert mask.tolist() == [[True] * 3, [True, False, False]]
    assert np.array_equal(padded[0], sequences[0]) and padded[1].tolist() == [[1, 1], [-1, -1], [-1, -1]]
    assert np.isnan(pad([[1.0], [1.0, 2.0]], np.nan)[0][0, 1])
    assert pad([np.array([1], np.uint8), np.array([1, 2], np.uint16)])[0].dtype == np.uint16
    assert pad([np.zeros(n + 1) for n in range(100)])[0].shape == (100, 100)


@given(st.lists(st.lists(st.integers(0, 255)), min_size=1))
def test_pad_is_undone_by_its_mask(sequences: list[list[int]]) -> None:
    padded, mask = pad([np.array(s, np.uint8) for s in sequences], value=7)
    assert [row[real].tolist() for row, real in zip(padded, mask, strict=True)] == sequences
    assert (padded[~mask] == 7).all() and padded.dtype == np.uint8


def test_what_cannot_be_padded() -> None:
    for sequences, match in (
        ([], "at least one sequence"),
        ([np.ones((2, 3)), np.zeros((0, 4))], "for sequence 1"),
        ([[], []], r"got 2 without: .* np\.zeros"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], "for sequence 1"),
        ([1, 2], r"got \(\) for sequence 0 .*: a sequence is a list or an array of steps"),
    ):
        with pytest.raises(ShapeError, match=match):
            pad(sequences)
    for value in -100, 0.5, 256:
        with pytest.raises(ArgumentError, match="uint8 can hold"):
            pad([np.array([1], np.uint8)], value)
    for value in "x", None, True:
        with pytest.raises(ArgumentError, match="pad expects value to be a number, got"):
            pad([[1.0]], value)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="int64 can hold"):
        pad([[1]], np.nan)


SEQUENCES = [np.arange(n) + 10 * n for n in (3, 1, 4, 2)]


def test_padded_batches_with_a_target_per_sequence() -> None:
    batches = PaddedBatches(SEQUENCES, [3, 1, 4, 2], batch_size=2, shuffle=False)
    first, second = batches
    assert len(batches) == 2
    assert first.x.tolist() == [[30, 31, 32], [10, 0, 0]] and first.mask.tolist() == [[True] * 3, [True, False, False]]
    assert first.t.tolist() == [3, 1] and second.x.shape == (2, 4) and second.start is True
    rows = PaddedBatches(SEQUENCES, np.eye(4), batch_size=3, shuffle=False)
    assert [batch.t.shape for batch in rows] == [(3, 4), (1, 4)]


def test_padded_batches_with_a_target_per_step() -> None:
    batches = PaddedBatches(SEQUENCES, [s * 2 for s in SEQUENCES], batch_size=3, seed=5)
    for epoch in range(3):
        for batch in batches.epoch(epoch):
            assert np.array_equal(batch.t, batch.x * 2) and batch.mask.shape == batch.x.shape
            assert np.array_equal(batch.x != 0, batch.mask)
    rows = PaddedBatches(SEQUENCES, [np.ones((len(s), 2)) for s in SEQUENCES], shuffle=False)
    assert next(iter(rows)).t.shape == (4, 4, 2)


def test_the_order_of_padded_batches() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sequences = [[n + 1] * (n % 5 + 1) for n in range(30)]
        return rows_of(PaddedBatches(sequences, range(30), 4, seed=seed).epoch(epoch))

    assert order(0, 1) == order(0, 1) != order(0, 2) != order(1, 2)
    assert sorted(order(0, 1)) == list(range(30))


def test_sequences_and_targets_that_do_not_fit() -> None:
    for sequences, targets, match in (
        ([[1, 2], [3]], [0], "targets for 2 sequences, got 1"),
        ([[1, 2], [3]], [[0, 1], [0, 1, 2]], r"got \(3,\) for sequence 1 of 1 steps"),
        ([[1, 2], [3]], [[0, 1], 5], r"got \(\) for sequence 1"),
        ([[1, 2], [3]], [np.ones((2, 2)), np.ones((1, 3))], "targets of one shape"),
        (([[1], [2]], [[3]]), [0, 1], "input 2 to have 2 sequences, got 1"),
        (([1, 2],), [0, 1], r"sequence 0 of input 1 .* a tuple stands for the inputs"),
        (([1, 2], [3]), [0, 1], r"numbers or vectors for all 2: a tuple stands for the inputs"),
        (([[0.5], [1.5]], [3, 4]), [0, 1], r"numbers or vectors for all 2: .* goes into ArrayBatches"),
        (([[1], [2]], [3, [4.0]]), [0, 1], r"sequence 0 of input 2"),
        (([[1], [2]], [[], []]), [0, 1], r"of input 2 that has steps"),
        ([([1], [2, 3]), ([4], [5, 6])], [0, 1], r"several inputs are a tuple .* \(questions, answers\)"),
        ({"left": [[1]], "right": [[2]]}, [0], r"got a dict: write \(x\['left'\], x\['right'\]\)"),
        (([[1]], []), [0], "at least one sequence of input 2"),
        ([[[1.0]], [[1.0, 2.0]]], [0, 1], "sequence 1"),
    ):
        with pytest.raises(ShapeError, match=match):
            PaddedBatches(sequences, targets)
    for nothing in [], ():
        with pytest.raises(ShapeError, match="at least one"):
            PaddedBatches(nothing, [])
    for sequences, targets, match in (
        ([[1], [2]], 5, "PaddedBatches expects targets to be a list, an entry for each row, got 5"),
        (5, [1], "PaddedBatches expects the sequences to be a list, .*, got 5"),
        (([[1]], 5), [1], "PaddedBatches expects input 2 to be a list, .*, got 5"),
    ):
        with pytest.raises(ArgumentError, match=match):
            PaddedBatches(sequences, targets)


# -- rows without steps ---------------------------------------------------------------------------


def test_a_row_without_steps_spoils_nothing() -> None:
    padded, mask = pad([[], np.ones((2, 3), np.float32), np.zeros((0, 3))])
    assert (
        padded.shape == (3, 2, 3)
        and padded.dtype == np.float32
        and mask.tolist() == [[False] * 2, [True] * 2, [False] * 2]
    )
    assert pad([[], np.array([7], np.uint8)])[0].tolist() == [[0], [7]]
    assert pad([[], np.array([7], np.uint8)])[0].dtype == np.uint8
    padded, mask = pad([np.zeros((0, 3), np.float32)] * 2, value=9)
    assert padded.tolist() == [[[9] * 3]] * 2 and padded.dtype == np.float32 and not mask.any()


def test_a_batch_of_rows_without_steps_is_one_step_wide() -> None:
    batches = PaddedBatches([[], [1, 2], []], [5, 6, 7], batch_size=1, shuffle=False)
    assert [batch.x.tolist() for batch in batches] == [[[0]], [[1, 2]], [[0]]]
    assert [batch.mask.tolist() for batch in batches] == [[[False]], [[True, True]], [[False]]]
    assert {batch.x.dtype.kind for batch in batches} == {"i"} and rows_of(batches) == [5, 6, 7]
    steps = PaddedBatches([[], [1, 2]], [[], np.ones((2, 3), np.float32)], batch_size=1, shuffle=False)
    assert [batch.t.shape for batch in steps] == [(1, 1, 3), (1, 2, 3)] and next(iter(steps)).t.dtype == np.float32


# -- several inputs -------------------------------------------------------------------------------


def test_several_inputs_are_tuples_and_the_targets_go_with_one_of_them() -> None:
    questions, answers = [[1, 2, 3], [4], [5, 6]], [[7], [8, 9], []]
    for targets, fits in ([[10], [11, 12], []], 1), ([[1, 2, 3], [4], [5, 6]], 0):
        batches = PaddedBatches((questions, answers), targets, batch_size=2, shuffle=False)
        first, second = batches
        assert [part.tolist() for part in first.x] == [[[1, 2, 3], [4, 0, 0]], [[7, 0], [8, 9]]]
        assert [part.shape for part in first.mask] == [(2, 3), (2, 2)] and isinstance(first.mask, tuple)
        assert first.t.shape == first.x[fits].shape and second.t.shape == second.x[fits].shape
        assert second.x[1].tolist() == [[0]] and second.x[1].dtype.kind == "i" and not second.mask[1].any()
    (batch,) = PaddedBatches((questions, answers), [0, 1, 2], shuffle=False)
    assert batch.t.tolist() == [0, 1, 2]
    assert isinstance(next(iter(PaddedBatches((questions,), [0, 1, 2]))).x, tuple)
    with pytest.raises(ShapeError, match="targets of one shape, or one target per step"):
        PaddedBatches((questions, answers), [[1], [2], [3, 4]])


def test_what_has_no_steps_goes_beside_a_sequence_without_a_mask() -> None:
    """Of four numbers and four numbers, and three steps: they are features even where a target has as many entries."""
    sequences, vectors = [np.ones((3, 2)), np.ones((1, 2))], [np.arange(4.0), np.ones(4)]
    for features, together in (vectors, vectors), ([7, 8], [7, 8]), ([0.5, 1.5], [0.5, 1.5]):
        for targets, t in ([0, 1], (2,)), ([np.zeros(4)] * 2, (2, 4)), ([np.zeros(3), np.zeros(1)], (2, 3)):
            (batch,) = PaddedBatches((sequences, features), targets, shuffle=False)
            assert batch.x[0].shape == (2, 3, 2) and np.array_equal(batch.x[1], together)
            assert batch.mask[0].shape == (2, 3) and batch.mask[1] is None and batch.t.shape == t
    first = next(iter(PaddedBatches((features, sequences), [0, 1], batch_size=1, shuffle=False)))
    assert first.x[0].tolist() == [0.5] and first.x[1].shape == (1, 3, 2) and first.mask[0] is None
    (batch,) = PaddedBatches((vectors, sequences), [0, 1], seed=0, by_length=True)
    assert batch.t.tolist() == [1, 0] and batch.x[0].tolist() == [[1] * 4, [0, 1, 2, 3]]  # by the lengths of sequences


def test_a_net_of_a_sequence_and_a_vector_trains_on_them() -> None:
    net = Graph(inputs=("words", "author"))
    net.add("read", Sequential([Embedding(9, 4), LSTM(5)]), "words")
    net.add("both", Concatenate(), "read", "author").add("label", Dense(2), "both")
    batches = PaddedBatches(([[1, 2, 3], [4]], np.random.default_rng(0).standard_normal((2, 3))), [0, 1])
    history = Trainer(net, SoftmaxCrossEntropy(), Adam(0.05), quiet=True).fit(batches, epochs=30)
    assert net.in_shape == ((None,), (3,)) and history["loss"][-1] < history["loss"][0] / 2


def test_ids_and_vectors_of_several_lengths_are_sequences_as_ever() -> None:
    for part in ([1, 2], [3, 4]), ([1.0, 2.0], [3.0]), (np.zeros(0, int), np.zeros(0, int)):
        (batch,) = PaddedBatches(([[1, 2], [3]], part), [0, 1], shuffle=False)
        assert batch.mask[1] is not None and batch.mask[1].shape == batch.x[1].shape
    (batch,) = PaddedBatches([np.ones(4), np.ones(4)], [0, 1])  # one input alone
    assert batch.mask.shape == (2, 4)


# -- buckets --------------------------------------------------------------------------------------

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=60)


@given(LENGTHS, st.integers(1, 7), st.booleans(), st.integers(0, 3))
def test_buckets_hold_every_row_once(lengths: list[int], batch_size: int, shuffle: bool, epoch: int) -> None:
    sequences = [np.full(n, k) for k, n in enumerate(lengths)]
    batches = PaddedBatches(sequences, range(len(lengths)), batch_size, shuffle, seed=3, by_length=True)
    found = list(batches.epoch(epoch))
    assert sorted(rows_of(found)) == list(range(len(lengths))) and len(found) == len(batches)
    assert rows_of(found) == rows_of(batches.epoch(epoch))
    for batch in found:
        assert batch.mask.sum(axis=1).tolist() == [lengths[n] for n in batch.t]
    seen = [batch.mask.sum(axis=1).tolist() for batch in found]
    together = seen if not shuffle else sorted(seen)  # less than a pool: all of them are sorted
    assert [n for rows in together for n in rows] == sorted(lengths) or (shuffle and len(seen[-1]) < batch_size)


def test_buckets_leave_little_padding_in_a_new_order_each_epoch() -> None:
    lengths = np.random.default_rng(0).integers(1, 101, 5000)
    sequences = [np.zeros(n) for n in lengths]

    def padding(**options: Any) -> float:
        batches = PaddedBatches(sequences, lengths, 10, seed=1, **options)
        masks = [batch.mask for batch in batches.epoch(2)]
        return 1 - float(sum(mask.sum() for mask in masks) / sum(mask.size for mask in masks))

    assert padding() > 0.4 and padding(by_length=True) < 0.02 and padding(by_length=True, shuffle=False) < 0.002
    batches = PaddedBatches(sequences, range(5000), 10, seed=1, by_length=True)
    orders = [rows_of(batches.epoch(k)) for k in range(2)]
    assert orders[0] != orders[1] and sorted(orders[0]) == list(range(5000))
    assert {frozenset(orders[0][k : k + 10]) for k in range(0, 5000, 10)} != {
        frozenset(orders[1][k : k + 10]) for k in range(0, 5000, 10)
    }
    lasts = [lengths[rows[-1]] for rows in np.reshape(orders[0], (-1, 10))]
    for part in np.reshape(lasts, (5, 100)):  # as many as are sorted together
        assert abs(np.corrcoef(part, range(100))[0, 1]) < 0.3  # short and long ones come as they like
    assert orders[0] != rows_of(PaddedBatches(sequences, range(5000), 10, seed=2, by_length=True))


def test_rows_of_one_length_stay_in_order() -> None:
    """Whichever way a machine sorts, the order is that of (seed, epoch)."""
    batches = PaddedBatches([[1] * (n % 2 + 1) for n in range(200)], range(200), 7, shuffle=False, by_length=True)
    assert rows_of(batches) == [*range(0, 200, 2), *range(1, 200, 2)]


def test_with_several_inputs_the_sum_of_the_lengths_counts() -> None:
    left, right = [[1] * n for n in (1, 2, 3, 4)], [[1] * n for n in (9, 2, 0, 1)]
    batches = PaddedBatches((left, right), [0, 1, 2, 3], 2, shuffle=False, by_length=True)
    assert rows_of(batches) == [2, 1, 3, 0]
    with pytest.raises(ArgumentError, match="by_length to be True or False, got 'yes'"):
        PaddedBatches(left, range(4), by_length="yes")  # type: ignore[arg-type]
