"""`tokenize`: nothing but blanks is lost, marks stand alone, any script will do."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import WordVocab, tokenize
from minidl.errors import ArgumentError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n", []),
        ("So it is.", ["So", "it", "is", "."]),
        ("(well-known...)", ["(", "well-known", ".", ".", ".", ")"]),
        ("¿Qué? «oui»", ["¿", "Qué", "?", "«", "oui", "»"]),
        ("हिन्दी में।", ["हिन्दी", "में", "।"]),
        ("吾輩は猫である。", ["吾輩は猫である", "。"]),
        ("fine 😀!", ["fine", "😀", "!"]),
        ("e\u0301te\u0301,", ["e\u0301te\u0301", ","]),
        ("?!", ["?", "!"]),
    ],
)
def test_words_and_marks(text: str, words: list[str]) -> None:
    assert tokenize(text) == words


@given(st.text())
def test_nothing_but_blanks_is_lost(text: str) -> None:
    words = tokenize(text)
    assert "".join(words) == "".join(text.split()) and all(words)
    assert all(len(word) == 1 or unicodedata.category(word[0])[0] not in "PS" for word in words)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_vocabulary_has_an_id_for_each(text: str) -> None:
    words = " ".join(tokenize(text))
    vocab = WordVocab.of(words, min_count=2)
    assert len(vocab.encode(words)) == len(tokenize(text))
    assert all(words.split().count(word) >= 2 for word in vocab.words if word != "<unk>")


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentError, match="tokenize expects a text"):
        tokenize(b"so")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="min_count to be a positive integer, got 0"):
        WordVocab.of("so", min_count=0)
