"""A text as ids piece by piece: its vocabulary, its ids, its words, its lines, in the memory of a piece."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.pieces import CONTINUATION, Piece, index_of
from minidl.text import CharVocab, WordVocab, code_points, split_words

MARK = 0x80  # in place of what is not ASCII
BEYOND = bytes(range(0x80, 0x100))  # bytes that are not ASCII
Pieces = Iterator[Piece]


def symbols_of(pieces: Pieces) -> CharVocab:
    """The vocabulary of a text."""
    others, known = np.zeros(0x110000, bool), BEYOND
    for piece in pieces:
        known += bytes(set(piece.data.translate(None, known)))
        for _, codes in code_points("CharVocab", piece.others):
            others[codes] = True
    return CharVocab(known[len(BEYOND) :].decode() + "".join(map(chr, np.flatnonzero(others))))


def char_ids(vocab: CharVocab, pieces: Pieces) -> Iterator[Array]:
    """The ids of a text, part by part. Symbols are sorted: those of ASCII come first, their ids are below MARK."""
    known = "".join(filter(str.isascii, vocab.symbols)).encode()
    table = bytearray([MARK]) * 256
    for id, byte in enumerate(known):
        table[byte] = id
    at = 0
    for piece in pieces:
        data = piece.data.translate(table, CONTINUATION) if piece.others else piece.data.translate(table)
        ids = np.frombuffer(data, np.uint8)
        if not data.isascii():  # others, or ASCII that the vocabulary does not have
            marked = ids == MARK
            try:
                found = vocab.encode(piece.others)
            except ArgumentError:
                found = ids[:0]
            if len(found) < np.count_nonzero(marked):
                vocab.encode(piece.text, at)  # says what is not known, and where
            ids = ids.astype(vocab.dtype)
            ids[index_of(marked)] = found
        yield ids
        at += piece.characters


def word_ids(vocab: WordVocab, pieces: Pieces) -> Iterator[Array]:
    """The ids of a text's words, part by part."""
    return map(vocab.encode_words, word_lists(pieces, vocab.end_of_line))


def word_lists(pieces: Pieces, end_of_line: str | None) -> Iterator[list[str]]:
    """The words of a text; one that the pieces cut in two is whole again."""
    held: list[str] = []
    for piece in pieces:
        text = piece.text
        tail = "" if text[-1].isspace() else text.rsplit(maxsplit=1)[-1]
        if len(tail) < len(text):
            yield from split_words("".join([*held, text[: len(text) - len(tail)]]), end_of_line)
            held = []
        held.append(tail)
    yield from split_words("".join(held), end_of_line)


def lines_in(pieces: Pieces) -> int:
    """How many lines a text has; the last one may have no end."""
    lines, last = 0, "\n"
    for piece in pieces:
        lines, last = lines + ends_in(piece.text), piece.text[-1]
    return lines + (not ends_in(last))


def ends_in(text: str) -> int:
    """How many ends of lines are in a text."""
    return len(f"{text}.".splitlines()) - 1


def part_of(pieces: Pieces, cut: int, first: bool) -> Pieces:
    """The first `cut` lines of a text, or the others; all of it is gone through in any case."""
    for piece in pieces:
        text = piece.text
        at = sum(map(len, text.splitlines(keepends=True)[: max(0, cut)]))
        cut -= ends_in(text)
        chosen = text[:at] if first else text[at:]
        if chosen:
            yield Piece(chosen.encode(), "".join(c for c in chosen if not c.isascii()), len(chosen))
