"""Streams, batches of arrays, padding: every target seen once, rows that continue, an order that can be repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import ArrayBatches, Batch, Batches, TextStream, split
from minidl.errors import ArgumentError, ShapeError

# -- streams --------------------------------------------------------------------------------------


@given(st.integers(2, 60), st.integers(1, 8), st.integers(1, 12))
def test_a_stream_gives_every_target_once_and_rows_continue(count: int, batch_size: int, time: int) -> None:
    ids = np.arange(count, dtype=np.uint8)
    if count <= batch_size:
        with pytest.raises(ArgumentError, match=f"{batch_size + 1} ids for batch_size={batch_size}, got {count}:"):
            TextStream(ids, batch_size, time)
        return
    stream = TextStream(ids, batch_size, time)
    batches = list(stream)
    length = (count - 1) // batch_size
    assert len(batches) == len(stream) == -(-length // time)
    assert [batch.start for batch in batches] == [True] + [False] * (len(batches) - 1)
    assert all(batch.x.shape == batch.t.shape == (batch_size, time) for batch in batches[:-1])
    x = np.concatenate([batch.x for batch in batches], axis=1)
    t = np.concatenate([batch.t for batch in batches], axis=1)
    assert np.array_equal(t, x + 1)
    assert np.array_equal(x.ravel(), ids[: batch_size * length])
    assert count - 1 - t.size < batch_size
    again = list(stream)
    assert all(np.array_equal(a.x, b.x) and a.start == b.start for a, b in zip(batches, again, strict=True))


def test_a_stream_is_views() -> None:
    ids = np.arange(1000, dtype=np.uint16)
    for batch in TextStream(ids, 7, 10):
        assert np.shares_memory(batch.x, ids) and np.shares_memory(batch.t, ids) and batch.x.dtype == np.uint16
        assert batch.weight is None and batch.mask is None
    strided = next(iter(TextStream(ids[::2], 7, 10)))
    assert np.shares_memory(strided.x, ids) and np.array_equal(strided.t, strided.x + 2)


def test_a_stream_takes_integers_in_a_row() -> None:
    assert next(iter(TextStream([3, 1, 2], 1, 2))).t.tolist() == [[1, 2]]
    wrong: Any
    for wrong in np.zeros((2, 9), int), np.zeros(9), "some text":
        with pytest.raises(ShapeError, match=r"integer ids \[N\]"):
            TextStream(wrong, 2, 2)
    for batch_size, time, name in (0, 2, "batch_size"), (2, 0, "time"), (True, 2, "batch_size"), (2, 1.5, "time"):
        with pytest.raises(ArgumentError, match=name):
            TextStream(np.arange(9), batch_size, time)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="got 0"):
        TextStream([], 1, 1)


# -- arrays ---------------------------------------------------------------------------------------


def rows_of(batches: Any) -> list[int]:
    return [int(t) for batch in batches for t in batch.t]


def test_a_last_window_that_is_shorter_may_be_left_out() -> None:
    ids = np.arange(24)
    whole, cut = TextStream(ids, 2, 4), TextStream(ids, 2, 4, drop_last=True)
    assert (len(whole), len(cut)) == (3, 2)
    for one, other in zip(whole, cut, strict=False):
        assert (one.x == other.x).all() and (one.t == other.t).all() and one.start == other.start
    assert len(list(cut)) == 2 and len(TextStream(ids, 2, 11, drop_last=True)) == 1
    with pytest.raises(ArgumentError, match="at least 25 ids for batch_size=2, time=12 and drop_last=True, got 24"):
        TextStream(ids, 2, 12, drop_last=True)


def test_arrays_in_order() -> None:
    x = np.arange(14).reshape(7, 2)
    batches = ArrayBatches(x, np.arange(7), batch_size=3)
    assert len(batches) == 3 and [len(batch.x) for batch in batches] == [3, 3, 1]
    assert rows_of(batches) == rows_of(batches.in_order()) == list(range(7)) != rows_of(batches.epoch(5))
    assert rows_of(ArrayBatches(x, np.arange(7), 3, shuffle=False).epoch(5)) == list(range(7))
    assert all(np.shares_memory(batch.x, x) and batch.start is True for batch in batches)
    assert len(ArrayBatches(x, np.arange(7), batch_size=7)) == 1


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return rows_of(ArrayBatches(np.arange(50), np.arange(50), 8, seed=seed).epoch(epoch))

    batches = ArrayBatches(np.arange(50), np.arange(50), 8, shuffle=True, seed=3)
    assert rows_of(batches.epoch(4)) == rows_of(batches.epoch(4)) == order(3, 4)  # whatever was asked before
    assert rows_of(batches) == order(3, 0) and rows_of(batches.in_order()) == list(range(50))
    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert all(sorted(rows) == list(range(50)) for rows in orders)
    assert len({tuple(rows) for rows in orders}) == 9
    dropout = np.random.default_rng((3, 4)).permutation(50)  # the Trainer's stream for a step
    assert order(3, 4) != dropout.tolist()


def test_everything_about_a_row_stays_together() -> None:
    n = np.arange(10)
    x, mask = (n, np.stack([n, n], axis=1) * 10), n[:, None] > np.arange(3)
    batches = ArrayBatches(x, n * 2, 4, shuffle=True, weight=n * 3.0, mask=mask)
    seen = []
    for batch in batches.epoch(1):
        rows = batch.x[0]
        assert np.array_equal(batch.x[1][:, 1], rows * 10) and np.array_equal(batch.t, rows * 2)
        assert np.array_equal(batch.weight, rows * 3.0) and np.array_equal(batch.mask, mask[rows])
        seen += rows.tolist()
    assert sorted(seen) == n.tolist() != seen


def test_lists_are_arrays() -> None:
    batch = next(iter(ArrayBatches([[1.0], [2.0]], [0, 1], weight=[1, 2], mask=[[True], [False]])))
    assert all(isinstance(part, np.ndarray) for part in (batch.x, batch.t, batch.weight, batch.mask))


def test_arrays_that_do_not_fit() -> None:
    ok = np.zeros((4, 2))
    for x, more, name in (
        (ok[:3], {}, "x"),
        ((ok, ok[:3]), {}, r"x\[1\]"),
        (ok, {"weight": ok[:3]}, "weight"),
        (ok, {"mask": ok[:3] > 0}, "mask"),
    ):
        with pytest.raises(ShapeError, match=f"4 rows of {name}, as t has, got 3"):
            ArrayBatches(x, np.zeros(4), **more)
    with pytest.raises(ShapeError, match=r"different shapes: write PaddedBatches\(rows, t\); several inputs"):
        ArrayBatches([[1, 2], [3]], [0, 1])
    with pytest.raises(ShapeError, match=r"t to be an array \[N, ...\], got 3"):
        ArrayBatches(ok, 3)
    for right in ok, np.zeros((4, 3)):
        with pytest.raises(ShapeError, match=r"list of 2 arrays with so many each: several inputs are a tuple, \(left"):
            ArrayBatches([ok, right], np.zeros(4))
    with pytest.raises(ShapeError, match=r"got a dict: write \(x\['left'\], x\['right'\]\)"):
        ArrayBatches({"left": ok, "right": ok}, np.zeros(4))
    with pytest.raises(ArgumentError, match="at least one row"):
        ArrayBatches(ok[:0], [])
    for argument in {"batch_size": 0}, {"seed": -1}, {"seed": 0.5}, {"seed": True}:
        with pytest.raises(ArgumentError, match=next(iter(argument))):
            ArrayBatches(ok, np.zeros(4), **argument)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="epoch"):
        ArrayBatches(ok, np.zeros(4)).epoch(-1)


def test_batches_of_ones_own() -> None:
    class Squares(Batches):
        def take(self, rows: Any) -> Batch:
            x = np.arange(self.count)[rows]
            return Batch(x, x**2)

    assert rows_of(Squares(5, 2, False, 0)) == [0, 1, 4, 9, 16]
    with pytest.raises(TypeError, match=r"abstract.*take"):
        Batches(5, 2, False, 0)  # type: ignore[abstract]


# -- holding out ----------------------------------------------------------------------------------


def test_split_holds_the_end_out() -> None:
    ids = np.arange(10)
    train, held_out = split(ids, 0.25)
    assert train.tolist() == list(range(8)) and held_out.tolist() == [8, 9]
    assert np.shares_memory(train, ids) and np.shares_memory(held_out, ids)
    assert split("abcde", 0.4) == ("abc", "de")
    assert split([1, 2], 0.5) == ([1], [2])


def test_split_leaves_nothing_empty() -> None:
    for share in 0, 1, -0.1, 1.5, "0.1", True, np.nan:
        with pytest.raises(ArgumentError, match="split"):
            split(np.arange(10), share)  # type: ignore[arg-type]
    for length, share in (10, 0.01), (10, 0.99), (1, 0.5), (0, 0.5):
        with pytest.raises(ArgumentError, match="one part would be empty"):
            split(np.arange(length), share)
