"""`split_rows`: nothing leaks, classes keep their shares, the seed decides; wrong arguments are one line."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import split_rows
from minidl.errors import ArgumentError

SIZES = st.lists(st.integers(1, 6), min_size=2, max_size=60)


@given(st.integers(2, 300), st.floats(0.05, 0.95), st.integers(0, 2**32))
def test_different_rows_are_held_out_to_the_nearest_one(count: int, share: float, seed: int) -> None:
    expected = round(count * share)
    if not 0 < expected < count:
        return
    train, held = split_rows(np.arange(count), share, seed=seed)
    assert sorted([*train, *held]) == list(range(count)) and abs(len(held) - count * share) <= 0.5 + 1e-9
    assert (np.diff(train) > 0).all() and (np.diff(held) > 0).all()


@given(SIZES, st.floats(0.2, 0.8), st.integers(0, 9), st.data())
def test_equal_rows_stay_on_one_side(sizes: list[int], share: float, seed: int, data: st.DataObject) -> None:
    rows = data.draw(st.permutations([f"text {k}" for k, size in enumerate(sizes) for _ in range(size)]))
    try:
        train, held = split_rows(rows, share, seed=seed)
    except ArgumentError:
        assert len(sizes) < 6  # few groups, of which none fits the share
        return
    assert not {rows[n] for n in train} & {rows[n] for n in held} and len(train) and len(held)
    assert sorted([*train, *held]) == list(range(len(rows)))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_every_class_has_its_share(share: float) -> None:
    labels = np.random.default_rng(0).permutation(["a"] * 700 + ["b"] * 200 + ["c"] * 95 + ["d"] * 5)
    train, held = split_rows(range(1000), share, labels)
    counts, total = Counter(labels[held]), Counter(labels)
    assert all(abs(counts[label] - share * total[label]) <= 1.5 for label in total)
    assert len(held) == round(1000 * share) and {*labels[train]} == {*labels}


@given(st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=40), st.floats(0.1, 0.9), st.data())
def test_what_is_trained_on_has_every_class(labels: list[str], share: float, data: st.DataObject) -> None:
    groups = [data.draw(st.integers(0, 12)) for _ in labels]
    try:
        train, held = split_rows(labels, share, labels, groups)
    except ArgumentError:
        return
    assert {labels[n] for n in train} == {*labels}
    assert not {groups[n] for n in train} & {groups[n] for n in held}


def test_groups_of_all_sizes_are_held_out_now_and_then() -> None:
    sizes = [40] * 5 + [1] * 200
    groups = [k for k, size in enumerate(sizes) for _ in range(size)]
    held = [split_rows(groups, 0.25, seed=seed)[1] for seed in range(40)]
    assert all(abs(len(rows) - 100) <= 20 for rows in held)
    assert {groups[n] for rows in held for n in rows} >= {0, 1, 2, 3, 4}


def test_the_seed_decides() -> None:
    rows = [f"{n}" for n in range(200)]
    first, again, other = (split_rows(rows, 0.2, seed=seed)[1].tolist() for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    "rows",
    [
        [np.array([1, 2]), np.array([3]), np.array([1, 2]), np.array([1.0, 2.0])],
        [["a", "b"], ["c"], ["a", "b"], ["ab"]],
        [(1, [2]), (3, [4]), (1, [2]), (1, [3])],
        np.array([[1, 2], [3, 4], [1, 2], [1, 3]]),
    ],
    ids=["arrays", "lists", "tuples", "array"],
)
def test_equality_is_that_of_what_rows_hold(rows: Any) -> None:
    for seed in range(20):
        _, held = split_rows(rows, 0.5, seed=seed)
        assert (0 in held) == (2 in held) and len(held) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "b"], 1.5), "share to be a number in [0, 1), got 1.5"),
        ((["a", "b"], 0.5, ["x"]), "labels for 2 rows, got 1: one a row"),
        ((["a", "b"], 0.5, None, ["x", "y", "z"]), "groups for 2 rows, got 3: one a row"),
        ((["a", "b"], 0.5, None, None, -1), "seed to be an integer of at least 0, got -1"),
        (("some text", 0.5), "rows to be a list, an entry for each row, got 'some text'"),
        ((7, 0.5), "rows to be a list, an entry for each row, got 7"),
        (([{"a": 1}, {}], 0.5), "rows that can be compared, got {'a': 1} at 0"),
        (([], 0.5), "cannot hold 0.5 out of 0 rows in 0 groups: give more rows, or a larger share"),
        ((["a"] * 9, 0.5), "cannot hold 0.5 out of 9 rows in 1 group: give"),
        ((["a", "b"], 0.0), "cannot hold 0 out of 2 rows in 2 groups: give"),
        ((["a", "b"], 0.5, ["x", "y"]), "cannot hold 0.5 out of 2 rows in 2 groups with 2 labels: give"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        split_rows(*arguments)
    assert message in str(caught.value)
