"""Text files piece by piece: what `read_text` gives of them, without all of it in memory at once.

A piece stays UTF-8. Most of most texts is ASCII, a character a byte, and tables for bytes are looked up several times
faster than such for characters; so what is not ASCII is told beside it.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl.inputs import Array
from minidl.text import is_wide, no_text, unreadable

PIECE = 1 << 17  # bytes of a piece
CONTINUATION = bytes(range(0x80, 0xC0))  # of a character that another byte begins


class Piece(NamedTuple):
    """Some characters of a text.

    Args:
        data: UTF-8.
        others: those that are not ASCII.
        characters: how many there are.
    """

    data: bytes
    others: str
    characters: int

    @property
    def text(self) -> str:
        """The characters."""
        return self.data.decode()


def pieces_of(paths: list[Path], hashes: list[Any] | None = None) -> Iterator[Piece]:
    r"""The text of UTF-8 files, each beginning on a line of its own; together the pieces are read_text(paths).

    Args:
        paths: the files.
        hashes: a list that takes a SHA-256 of each file, of its very bytes.

    Raises:
        OSError, ArgumentError: as `read_text`, when the piece is reached that it is about.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "text.txt"
        >>> _ = path.write_text("one\r\nzw\u00f6lf")
        >>> [piece.text for piece in minidl.pieces.pieces_of([path, path])]
        ['one\nzw\xf6lf', '\n', 'one\nzw\xf6lf']
    """
    for k, path in enumerate(paths, 1):
        last = b""
        for piece in pieces_of_file(path, chunks_of(path, hashes)):
            yield piece
            last = piece.data
        if not last:
            raise no_text(path)
        if k < len(paths) and not last.endswith(b"\n"):
            yield Piece(b"\n", "", 1)


def pieces_of_file(path: Path, chunks: Iterator[bytes]) -> Iterator[Piece]:
    """The text of one file; a line end or a character that its chunks cut in two is left to the next piece."""
    data, at, last, wide = b"", 0, False, False
    while not last:
        chunk = next(chunks, b"")
        data, last = data + chunk, not chunk
        if at == 0:
            if len(data) < 3 and not last:
                continue
            wide = is_wide(data)
            if data.startswith(codecs.BOM_UTF8):
                data, at = data[3:], 3
        if b"\0" in data and not wide:
            raise no_text(path, at + data.index(0))
        used = len(data) if last else len(data) - unfinished(data)
        body, data = data[:used], data[used:]
        others = others_of(body)
        if others is None:
            raise none_of_utf8(path, body + data, at, wide, chunks)
        at += used
        characters = used if not others else used - len(others.encode()) + len(others)
        if b"\r" in body:
            characters -= body.count(b"\r\n")
            body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if body:
            yield Piece(body, others, characters)


def unfinished(data: bytes) -> int:
    """How many bytes at the end are the beginning of a character or, a carriage return, maybe of a line end."""
    if data.endswith(b"\r"):
        return 1
    for k, byte in enumerate(reversed(data[-3:]), 1):
        if byte >= 0xC0:
            return k if k < 2 + (byte >= 0xE0) + (byte >= 0xF0) else 0
        if byte < 0x80:
            break
    return 0


def others_of(data: bytes) -> str | None:
    """The characters that are not ASCII; None where the data is not UTF-8."""
    if data.isascii():
        return ""
    codes = np.frombuffer(data, np.int8)  # ASCII from 0, continuations below -0x40
    beyond = codes < 0
    try:
        others = codes[index_of(beyond)].tobytes().decode()
    except UnicodeDecodeError:
        return None
    torn = (codes[1:] < -0x40) > beyond[:-1]  # by ASCII, where a continuation was due
    return None if torn.any() else others


def index_of(mask: Array) -> Array:
    """A mask [N] as an index: a few places are looked up faster by their numbers, many by the mask itself."""
    return np.flatnonzero(mask) if 8 * np.count_nonzero(mask) < len(mask) else mask


def none_of_utf8(path: Path, data: bytes, at: int, wide: bool, chunks: Iterator[bytes]) -> Exception:
    """What to say of a file whose byte `at` is followed by data that is no UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        wrong = no_text(path, at + error.start, data[error.start], wide)
    at += len(data)
    for chunk in chunks:  # a NUL further on says more: it is no text at all
        if not wide and b"\0" in chunk:
            return no_text(path, at + chunk.index(0))
        at += len(chunk)
    return wrong


def chunks_of(path: Path, hashes: list[Any] | None = None) -> Iterator[bytes]:
    """The bytes of a file, PIECE at a time."""
    if hashes is not None:
        hashes.append(hashlib.sha256())
    try:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(PIECE):
                if hashes is not None:
                    hashes[-1].update(chunk)
                yield chunk
    except OSError as error:
        raise unreadable(path, error) from None


def digests_of(paths: Iterable[Path]) -> list[str]:
    """A SHA-256 of each file: about a second for a gigabyte."""
    hashes: list[Any] = []
    for path in paths:
        for _ in chunks_of(path, hashes):
            pass
    return [digest.hexdigest() for digest in hashes]
