"""Text as ids and back: `CharVocab` and `WordVocab`; `read_text` reads it from files.

Characters are looked up by code point, in arrays, so that any script is treated alike and 100 MB are no matter.
"""

from __future__ import annotations

import codecs
import importlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from encodings import utf_32_le  # by its name it would be imported at its first use, while a file is read
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from minidl.arguments import positive_int
from minidl.errors import ArgumentError, IdError, ShapeError
from minidl.escaping import quote_path
from minidl.inputs import Array

CHUNK = 1 << 20  # characters treated at a time: what is made on the way stays small beside the text
WORDS = re.compile(rf".{{1,{CHUNK}}}\S*\s?", re.DOTALL)  # as much of a text, and on to the next blank


class CharVocab:
    """Characters and their ids: the sorted characters of a text, any script.

    Args:
        symbols: the characters, in any order, as often as they come: a whole text will do.

    Raises:
        ArgumentError: for an empty text, or one half of a surrogate pair; in `encode` for a character that the
            vocabulary does not have, with its position. IdError: in `decode`.

    Example:
        >>> vocab = minidl.CharVocab.of("hello")
        >>> vocab.symbols, len(vocab)
        ('ehlo', 4)
        >>> vocab.encode("hole")
        array([1, 3, 2, 0], dtype=uint8)
        >>> vocab.decode([1, 3, 2, 0])
        'hole'
    """

    def __init__(self, symbols: str) -> None:
        seen = np.zeros(0x110000, bool)
        for _, codes in code_points("CharVocab", symbols):
            seen[codes] = True
        self._codes = np.flatnonzero(seen).astype("<u4")
        if not len(self._codes):
            raise ArgumentError("CharVocab expects at least one character, got an empty text: give the text to learn.")
        self.symbols: str = utf_32_le.decode(self._codes.tobytes())[0]
        self.dtype = np.min_scalar_type(len(self) - 1)
        self._table = np.zeros(int(self._codes[-1]) + 1, self.dtype)  # ids by code point, 0 where there is none
        self._table[self._codes] = np.arange(len(self))

    @classmethod
    def of(cls, text: str) -> CharVocab:
        """The vocabulary of a text: every character that is in it."""
        return cls(text)

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str, start: int = 0) -> Array:
        """The ids of a text [T], `start` characters behind the beginning of a longer one, if an error is to say where.

        They are uint8 up to 256 symbols, uint16 up to 65,536.
        """
        ids = np.empty(len(check_text("CharVocab", text)), self.dtype)
        for at, codes in code_points("CharVocab", text):
            part = ids[at : at + len(codes)]
            self._table.take(codes, mode="clip", out=part)
            unknown = self._codes.take(part) != codes
            if unknown.any():
                at += int(np.argmax(unknown))
                raise ArgumentError(
                    f"CharVocab knows {count_of(len(self), 'symbol')}, got {text[at]!r} (U+{ord(text[at]):04X}) at "
                    f"position {start + at}: leave it out, or make the vocabulary from a text that has it."
                )
        return ids

    def decode(self, ids: Any) -> str:
        """The text of ids [T]; a list or an iterator will do."""
        ids = check_ids("CharVocab", ids, len(self))
        parts = (ids[at : at + CHUNK] for at in range(0, len(ids), CHUNK))
        return "".join(utf_32_le.decode(self._codes[part].tobytes())[0] for part in parts)

    def piece(self, id: int, before: int | None = None) -> str:
        """What a symbol adds to a text that ends in the symbol `before`: itself."""
        return self.symbols[id]

    def to_dict(self) -> dict[str, Any]:
        """The vocabulary as plain data, for a file; `vocab_from_dict` brings it back."""
        return {"kind": "char", "symbols": self.symbols}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharVocab) and self.symbols == other.symbols

    def __hash__(self) -> int:
        return hash(self.symbols)

    def __repr__(self) -> str:
        shown = repr(self.symbols) if len(self) <= 20 else f"{self.symbols[:20]!r}..., {len(self)} symbols"
        return f"CharVocab({shown})"


class WordVocab:
    """Words and their ids: what stands between blanks is a word, what is not known is the unknown word.

    Args:
        words: the words, each once, in the order of their ids.
        unknown: the word that stands for all others; it is appended to `words` where it is not among them.
        end_of_line: the word for a line break, such as "<eos>", appended likewise; None makes the break a blank.

    Raises:
        ArgumentError: for words that are empty, contain blanks or come twice. IdError: in `decode`.

    Example:
        >>> vocab = minidl.WordVocab.of("the cat and the dog", limit=3)
        >>> vocab.words
        ('the', 'and', '<unk>')
        >>> vocab.encode("the bird and the dog")
        array([0, 2, 1, 0, 2], dtype=uint8)
        >>> vocab.decode([0, 1, 0])
        'the and the'
    """

    def __init__(self, words: Sequence[str], unknown: str = "<unk>", end_of_line: str | None = None) -> None:
        if isinstance(words, str):
            raise ArgumentError("WordVocab expects a list of words, got a text: write WordVocab.of(text).")
        special = (unknown,) if end_of_line is None else (unknown, end_of_line)
        self.words, self.unknown, self.end_of_line = tuple(words), unknown, end_of_line
        self.words += tuple(word for word in special if word not in self.words)
        for word in self.words:
            if not isinstance(word, str) or word.split(maxsplit=1) != [word]:
                raise ArgumentError(f"WordVocab expects words without blanks, got {word!r}: split the text first.")
        CharVocab("".join(self.words))  # refuses halves of surrogate pairs
        self._index = {word: id for id, word in enumerate(self.words)}
        if len(self._index) < len(self):
            twice = Counter(self.words).most_common(1)[0][0]
            raise ArgumentError(f"WordVocab expects each word once, got {twice!r} twice: write WordVocab.of(text).")
        self.dtype = np.min_scalar_type(len(self) - 1)

    @classmethod
    def of(
        cls,
        text: str,
        limit: int | None = None,
        unknown: str = "<unk>",
        end_of_line: str | None = None,
        min_count: int = 1,
    ) -> WordVocab:
        """The vocabulary of a text: the most frequent words first, of equally frequent ones the alphabet's first.

        Args:
            limit: the size of the vocabulary, `unknown` and `end_of_line` included; None for all words.
            unknown, end_of_line: as for the class; they too stand where their frequency in the text puts them.
            min_count: how often a word has to be there. Where each is known, nothing is learned about `unknown`.
        """
        return cls.of_lists(split_words(text, end_of_line), limit, unknown, end_of_line, min_count)

    @classmethod
    def of_lists(
        cls,
        lists: Iterable[list[str]],
        limit: int | None = None,
        unknown: str = "<unk>",
        end_of_line: str | None = None,
        min_count: int = 1,
    ) -> WordVocab:
        """The same from lists of words, with `end_of_line` among them."""
        special = set(cls((), unknown, end_of_line).words)
        if limit is not None and positive_int("WordVocab", "limit", limit) <= len(special):
            raise ArgumentError(f"WordVocab expects limit to be more than {len(special)}, got {limit}: raise it.")
        min_count = positive_int("WordVocab", "min_count", min_count)
        counts: Counter[str] = Counter()
        for words in lists:
            counts.update(words)
        ranked = sorted(special.union(counts), key=lambda word: (-counts[word], word))
        known = [word for word in ranked if word not in special and counts[word] >= min_count][
            : None if limit is None else limit - len(special)
        ]
        kept = special.union(known)
        return cls([word for word in ranked if word in kept], unknown, end_of_line)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, text: str) -> Array:
        """The ids of a text's words [T]; uint16 up to 65,536 words."""
        parts = map(self.encode_words, split_words(text, self.end_of_line))
        return np.concatenate([np.empty(0, self.dtype), *parts])

    def encode_words(self, words: list[str]) -> Array:
        """The ids of words that are split already."""
        found = map(self._index.get, words, repeat(self._index[self.unknown]))
        return np.fromiter(found, self.dtype, len(words))

    def decode(self, ids: Any) -> str:
        """The text of ids [T], with blanks between the words; a list or an iterator will do."""
        found = check_ids("WordVocab", ids, len(self)).tolist()
        return "".join(map(self.piece, found, [None, *found]))

    def piece(self, id: int, before: int | None = None) -> str:
        """What a word adds to a text that ends in the word `before`: a blank, where one is due, and itself."""
        if self.words[id] == self.end_of_line:
            return "\n"
        return self.words[id] if before is None or self.words[before] == self.end_of_line else f" {self.words[id]}"

    def to_dict(self) -> dict[str, Any]:
        """The vocabulary as plain data, for a file; `vocab_from_dict` brings it back."""
        special = {"unknown": self.unknown, "end_of_line": self.end_of_line}
        return {"kind": "word", "words": list(self.words)} | special

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WordVocab) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.words, self.unknown, self.end_of_line))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.words[:4]))
        return f"WordVocab([{shown}{', ...' if len(self) > 4 else ''}], {count_of(len(self), 'word')})"


Vocab = CharVocab | WordVocab


def vocab_from_dict(data: Any) -> Vocab:
    """A vocabulary from what its `to_dict()` gave, and from nothing else: the data may come from a stranger's file.

    Raises:
        ArgumentError: for anything that no vocabulary's `to_dict()` would give.

    Example:
        >>> minidl.text.vocab_from_dict({"kind": "char", "symbols": "abc"})
        CharVocab('abc')
    """
    vocab: Vocab | None = None
    match data:
        case {"kind": "char", "symbols": str(symbols)}:
            vocab = CharVocab(symbols)
        case {"kind": "word", "words": list(words), "unknown": str(unknown), "end_of_line": str() | None as line}:
            vocab = WordVocab(words, unknown, line)
    if vocab is None or vocab.to_dict() != data:
        came = f"a dict with {list(data)!r:.80}" if isinstance(data, dict) else f"{data!r:.80}"
        raise ArgumentError(f"A vocabulary is expected to be what its to_dict() gives, got {came}: save it anew.")
    return vocab


def read_text(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> str:
    r"""The text of one or several UTF-8 files, one after the other, each beginning on a line of its own.

    Line ends become "\n" on all systems, and a byte order mark is dropped.

    Raises:
        OSError: for a missing or unreadable file, a folder. ArgumentError: for an empty file, one that is no UTF-8.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "text.txt"
        >>> _ = path.write_bytes("こんにちは\r\n".encode())
        >>> minidl.read_text(path)
        'こんにちは\n'
    """
    parts = [read_file(path) for path in check_paths("read_text", paths)]
    return "".join([part if part.endswith("\n") else f"{part}\n" for part in parts[:-1]] + parts[-1:])


def check_paths(owner: str, paths: Any) -> list[Path]:
    """A path or several as a list, or what is to be done with what is none."""
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    several = list(several) if isinstance(several, Iterable) else [several]
    for path in several:
        if not isinstance(path, str | os.PathLike):
            raise ArgumentError(f"{owner} expects a path or several, got {path!r:.60}: name a text file.")
    if not several:
        raise ArgumentError(f"{owner} expects a path or several, got none: name a text file.")
    return [Path(path) for path in several]


def read_file(path: Path) -> str:
    """The text of one file, or one line that says why there is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    if b"\0" in data and not is_wide(data):
        raise no_text(path, data.index(0), 0)
    try:
        text = codecs.decode(data, "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise no_text(path, error.start, data[error.start], is_wide(data)) from None
    if not text:
        raise no_text(path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_wide(data: bytes) -> bool:
    """Whether a file that begins so is UTF-16."""
    return data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def unreadable(path: Path, error: OSError) -> OSError:
    """What to say of a file that cannot be read."""
    if path.is_dir():
        return type(error)(f"{path} is expected to be a text file in UTF-8, got a folder: name the files in it.")
    return type(error)(f"{path} cannot be read: {error.strerror}. Check the path.")


def no_text(path: Path, at: int | None = None, byte: int = 0, wide: bool = False) -> ArgumentError:
    """What to say of a file that is no text, for this byte is NUL or none of UTF-8; or that is empty."""
    expected, hint = f"{path} is expected to be a text file in UTF-8,", "name a file with text in it"
    if at is None:
        return ArgumentError(f"{expected} got an empty one: {hint}.")
    if not byte:
        return ArgumentError(f"{expected} got a binary one, byte {at} is NUL: {hint}.")
    return ArgumentError(
        f"{expected} but byte {at}, 0x{byte:02X}, is none of UTF-8: convert it, "
        f"for example iconv -f {'UTF-16' if wide else 'LATIN1'} -t UTF-8 {quote_path(path)} > converted.txt"
    )


def language_reference() -> str:
    """The topics of the language reference, as every CPython ships them: the command's default text.

    Raises:
        ArgumentError: for a Python without it.

    Example:
        >>> "The following" in minidl.text.language_reference()
        True
    """
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        raise ArgumentError(
            "This Python comes without its language reference (pydoc_data.topics), which is the default text: "
            "name a text file, my_text.txt."
        ) from None
    return "\n\n".join(topics[name] for name in sorted(topics))


def code_points(owner: str, text: str) -> Iterator[tuple[int, Array]]:
    """The code points of a text, CHUNK at a time, each time with the position of the first one."""
    for at in range(0, len(check_text(owner, text)), CHUNK):
        try:
            data = utf_32_le.encode(text[at : at + CHUNK])[0]
        except UnicodeEncodeError as error:
            half = f"half of a surrogate pair (U+{ord(text[at + error.start]):04X}) at position {at + error.start}"
            raise ArgumentError(f"{owner} expects text, got {half}: decode its bytes as UTF-8.") from None
        yield at, np.frombuffer(data, "<u4")


def split_words(text: str, end_of_line: str | None) -> Iterator[list[str]]:
    """The words of a text, about CHUNK characters at a time: a list of all of them would dwarf the text."""
    for found in WORDS.finditer(check_text("WordVocab", text)):
        part = found.group()
        yield (part if end_of_line is None else part.replace("\n", f" {end_of_line} ")).split()


def count_of(number: int, what: str) -> str:
    """A number of things as people say it: 1 symbol, 2 symbols."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def check_text(owner: str, text: Any) -> str:
    """A str, or what is to be done with anything else."""
    if not isinstance(text, str):
        raise ArgumentError(f"{owner} expects a text (str), got {type(text).__name__}: read files with read_text.")
    return text


def check_ids(owner: str, ids: Any, V: int) -> Array:
    """Ids to decode as an array [T], or what is wrong with them."""
    ids = np.asarray(list(ids) if isinstance(ids, Iterator) else ids)
    if ids.ndim > 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ShapeError(f"{owner} decodes integers [T], got {ids.shape} of {ids.dtype}: decode row by row.")
    wrong = (ids < 0) | (ids >= V)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise IdError(f"{owner} decodes ids from 0 to {V - 1}, got {ids.flat[at]} at position {at}: use the right one.")
    return ids.reshape(-1)
