"""Pairs of texts: what the batches hold, what is written, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minidl.models import seq2seq

from minidl import (
    ArgumentError,
    CharVocab,
    NotBuiltError,
    ShapeError,
    WordVocab,
    beam_search,
    pad,
    pair_batches,
    translate,
)

VOCAB = CharVocab("abcd")


def test_batches_begin_and_end_with_the_mark() -> None:
    batch = next(iter(pair_batches(["ab", "", "c"], ["d", "abc", ""], VOCAB, shuffle=False)))
    source, target = batch.x
    assert source.tolist() == [[0, 1], [0, 0], [2, 0]]
    assert batch.mask[0].tolist() == [[True, True], [False, False], [True, False]]
    assert target.tolist() == [[4, 3, 0, 0], [4, 0, 1, 2], [4, 0, 0, 0]]
    assert batch.t.tolist() == [[3, 4, 0, 0], [0, 1, 2, 4], [4, 0, 0, 0]]
    assert batch.mask[1].sum(axis=1).tolist() == [2, 4, 1]


def test_the_mark_of_256_symbols_is_an_id_of_its_own() -> None:
    vocab = CharVocab("".join(map(chr, range(256))))
    batch = next(iter(pair_batches(["a"], ["b"], vocab)))
    assert batch.x[1].tolist() == [[256, 98]] and batch.t.tolist() == [[98, 256]]


def test_words_are_symbols_as_well() -> None:
    vocab = WordVocab.of("a house the house")
    batch = next(iter(pair_batches(["the house"], ["a barn"], vocab)))
    assert vocab.decode(batch.t[0][:-1]) == "a <unk>" and batch.t[0, -1] == len(vocab)


def test_the_seed_and_the_lengths_order_the_rows() -> None:
    texts = ["abcd"[:n] for n in (4, 1, 3, 2)]
    batches = pair_batches(texts, texts, VOCAB, batch_size=2, shuffle=False, by_length=True)
    assert [batch.mask[0].sum(axis=1).tolist() for batch in batches] == [[1, 2], [3, 4]]
    first, second = (pair_batches(texts, texts, VOCAB, 4, seed=seed) for seed in (1, 2))
    assert sorted(map(str, next(iter(first)).x[0])) == sorted(map(str, next(iter(second)).x[0]))


def test_texts_are_answered_as_their_ids_are() -> None:
    net = seq2seq(len(VOCAB), 6)
    net.build(((None,), (None,)), dtype=np.float64)
    rng = np.random.default_rng(1)
    for p in net.params.values():
        p.value[...] += rng.normal(0, 0.7, p.value.shape)
    texts = ["abcd", "", "b", "ca", "dd"]
    source, mask = pad([VOCAB.encode(text) for text in texts])
    found = beam_search(net, source, go=4, end=4, length=6, beam=3, alpha=0.5, mask=mask)
    answers = list(translate(net, VOCAB, texts, 6, beam=3, alpha=0.5, batch_size=2))
    assert [[(VOCAB.decode(h.ids), h.ended) for h in each] for each in found] == [
        [(answer.text, answer.ended) for answer in each] for each in answers
    ]
    figures = [[[each.log_probability, each.score] for rows in of for each in rows] for of in (found, answers)]
    np.testing.assert_allclose(*figures, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("ab", ["a"]), ArgumentError, "sources to be a list of texts, got str: write \\['ab'\\]"),
        ((["ab"], 3), ArgumentError, "targets to be a list of texts, got int"),
        ((np.array(["ab"]), ["a"]), ArgumentError, "list of texts, got ndarray: write list\\(sources\\)"),
        ((["ab"], ["a", "b"]), ShapeError, "a target for each source, got 1 and 2"),
        ((["ab", "a"], ["a", "x"]), ArgumentError, r"targets\[1\]: CharVocab knows 4 symbols, got 'x'"),
        ((["ab", 7], ["a", "b"]), ArgumentError, r"sources\[1\]: CharVocab expects a text"),
        (([], []), ShapeError, "at least one sequence"),
    ],
    ids=str,
)
def test_pairs_that_are_none(arguments: tuple[Any, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        pair_batches(*arguments, VOCAB)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_translated() -> None:
    net = seq2seq(len(VOCAB), 6)
    with pytest.raises(NotBuiltError, match="a built net"):
        list(translate(net, VOCAB, ["a"], 5))
    net.build(((None,), (None,)))
    with pytest.raises(ArgumentError, match="4 symbols and a mark, got one of 2: hand over"):
        translate(net, CharVocab("ab"), ["a"], 5)
    with pytest.raises(ArgumentError, match=r"translate, sources\[0\]: .*'x'"):
        translate(net, VOCAB, ["x"], 5)
    with pytest.raises(ArgumentError, match="length"):
        translate(net, VOCAB, ["a"], 0)
