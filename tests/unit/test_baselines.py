"""The counting models against a plain slow one, and against what their figures have to be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import baselines
from minidl.baselines import ngram_bits, witten_bell
from minidl.errors import ArgumentError, IdError, ShapeError

IDS = st.lists(st.integers(0, 3), min_size=5, max_size=60)


class Reference:
    """Witten-Bell by the book, a symbol at a time."""

    def __init__(self, train: Sequence[int], V: int, order: int) -> None:
        self.V = V
        self.after: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for n in range(order):
            for at in range(n, len(train)):
                self.after[tuple(train[at - n : at])][train[at]] += 1

    def probability(self, w: int, h: tuple[int, ...]) -> float:
        shorter = self.probability(w, h[1:]) if h else 1 / self.V
        if h not in self.after:
            return shorter
        counts = self.after[h]
        return (counts[w] + len(counts) * shorter) / (counts.total() + len(counts))

    def bits(self, valid: Sequence[int], n: int) -> float:
        p = [self.probability(w, tuple(valid[max(0, at - n + 1) : at])) for at, w in enumerate(valid)]
        return float(-np.log2(p).mean())


@given(IDS, st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 5))
def test_it_equals_the_reference(train: list[int], valid: list[int], order: int) -> None:
    reference, bits = Reference(train, 4, order), ngram_bits(train, valid, 4, order)
    assert list(bits) == ["uniform", "unigram", "2-gram", "3-gram", "4-gram", "5-gram"][: order + 1]
    assert bits.pop("uniform") == 2.0
    assert list(bits.values()) == pytest.approx([reference.bits(valid, n) for n in range(1, order + 1)])


@given(IDS, st.lists(st.integers(0, 3), max_size=6))
def test_the_probabilities_add_up_to_one(train: list[int], context: list[int]) -> None:
    V, order = 5, 4  # symbol 4 never comes
    lasts = [[p[-1] for p in witten_bell(np.array(train), np.array([*context, w]), V, order)] for w in range(V)]
    assert np.sum(lasts, axis=0) == pytest.approx(np.ones(order))
    assert np.min(lasts) > 0
    reference = Reference(train, V, order)
    for w, last in enumerate(lasts):
        expected = [reference.probability(w, tuple(context[max(0, len(context) - n) :])) for n in range(order)]
        assert last == pytest.approx(expected)


def test_figures_that_are_known_beforehand() -> None:
    rng = np.random.default_rng(0)
    noise = ngram_bits(rng.integers(0, 8, 20_000), rng.integers(0, 8, 5000), 8, order=2)
    assert noise == pytest.approx({"uniform": 3.0, "unigram": 3.0, "2-gram": 3.0}, abs=0.02)
    cycle = np.tile(np.arange(8), 500)
    bits = ngram_bits(cycle, cycle, 8, order=3)
    assert bits["unigram"] == pytest.approx(3.0, abs=0.01) and bits["2-gram"] < 0.05 and bits["3-gram"] < 0.05
    chain = np.cumsum(rng.choice([1, 2], 40_000, p=[0.25, 0.75])) % 7  # entropy 0.811 bits, seen from one symbol
    assert ngram_bits(chain[:36_000], chain[36_000:], 7, order=3)["2-gram"] == pytest.approx(0.811, abs=0.02)


@pytest.mark.parametrize("V", [2**31, 2**50])  # counted by one sort of packed numbers, and by np.unique
def test_a_large_vocabulary_does_not_overflow(V: int) -> None:
    rng = np.random.default_rng(0)
    train = rng.choice([0, 1, V - 2, V - 1], 300)
    bits = ngram_bits(train, train[:100], V, order=5)
    assert list(bits.values())[1:] == pytest.approx(
        [Reference(train.tolist(), V, 5).bits(train[:100].tolist(), n) for n in range(1, 6)]
    )


@given(st.lists(st.integers(0, 2**40), min_size=1))
def test_counting_is_unique(codes: list[int]) -> None:
    expected = np.unique(np.array(codes), return_inverse=True, return_counts=True)
    assert all(np.array_equal(a, b) for a, b in zip(baselines.count(np.array(codes)), expected, strict=True))


def test_of_long_texts_the_ids_around_the_cut_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.random.default_rng(0).integers(0, 4, 600)
    expected = ngram_bits(ids[300:500], ids[500:520], 4)
    monkeypatch.setattr(baselines, "MOST", 200)
    assert ngram_bits(ids[:500], ids[500:], 4) == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64, list])
def test_any_integers_will_do(dtype: Any) -> None:
    ids = np.random.default_rng(0).integers(0, 200, 500)
    given = ids.tolist() if dtype is list else ids.astype(dtype)
    assert ngram_bits(given, given, 200) == ngram_bits(ids, ids, 200)


def test_what_cannot_be_counted() -> None:
    ids = np.arange(10)
    for train, valid, V, error, match in (
        (ids, ids, 9, IdError, "train_ids from 0 to 8, got 9"),
        (ids, -ids, 10, IdError, "valid_ids from 0 to 9, got -9"),
        (ids / 2, ids, 10, ShapeError, "train_ids to be integers"),
        (ids, ids[None], 10, ShapeError, "valid_ids to be integers"),
        (ids[:4], ids, 10, ArgumentError, "train_ids to be at least 5, got 4"),
        (ids, ids[:0], 10, ArgumentError, "valid_ids to be at least 1, got 0"),
        (ids, ids, 0, ArgumentError, "vocab_size"),
    ):
        with pytest.raises(error, match=match):
            ngram_bits(train, valid, V)
    with pytest.raises(ArgumentError, match="order"):
        ngram_bits(ids, ids, 10, order=0)
