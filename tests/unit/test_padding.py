"""Padding: values and masks, rows without steps, several inputs, batches of similar lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.lists(st.lists(st.integers(0, 255), min_size=1), min_size=1))
def test_pad_is_undone_by_its_mask(sequences: list[list[int]]) -> None:
    padded, mask = pad([np.array(s, np.uint8) for s in sequences], value=7)
    assert [row[real].tolist() for row, real in zip(padded, mask, strict=True)] == sequences
    assert (padded[~mask] == 7).all() and padded.dtype == np.uint8


def test_what_cannot_be_padded() -> None:
    for sequences, match in (
        ([], "at least one sequence"),
        ([[1], []], "for sequence 1"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], "for sequence 1"),
        ([1, 2], "for sequence 0"),
    ):
        with pytest.raises(ShapeError, match=match):
            pad(sequences)
    for value in -100, 0.5, 256:
        with pytest.raises(ArgumentError, match="uint8 can hold"):
            pad([np.array([1], np.uint8)], value)
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
        ([[1, 2], []], [0, 1], "sequence 1"),
        ([[[1.0]], [[1.0, 2.0]]], [0, 1], "sequence 1"),
    ):
        with pytest.raises(ShapeError, match=match):
            PaddedBatches(sequences, targets)
    with pytest.raises(ShapeError, match="at least one"):
        PaddedBatches([], [])
