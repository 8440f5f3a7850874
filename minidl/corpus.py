"""Texts as ids, however long they are: `char_corpus` and `word_corpus`.

A long text is not held in memory. Its ids are written to a file once, and mapped from there ever after.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from minidl import durable, mapped
from minidl.arguments import real, with_argument_help
from minidl.encoding import Pieces, char_ids, lines_in, part_of, symbols_of, word_ids, word_lists
from minidl.errors import ArgumentError, MinidlError
from minidl.inputs import Array
from minidl.ownership import why_untrusted
from minidl.pieces import digests_of, pieces_of
from minidl.text import (
    CharVocab,
    Vocab,
    WordVocab,
    check_paths,
    count_of,
    read_text,
    vocab_from_dict,
)

LARGE = 1 << 24  # bytes of a text that goes to the disk
FOLDER = ".minidl"  # beside the text; hidden, so that texts/* is the texts alone
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class Corpus(NamedTuple):
    """A text as ids.

    Args:
        ids: integers [N] of the smallest type; of a long text a `numpy.memmap`, which is read where it is looked at.
        vocab: what the ids mean.
        characters: the length of the text.
        path: the file of the ids; None where they are in memory.
    """

    ids: Array
    vocab: Vocab
    characters: int
    path: Path | None = None

    @classmethod
    def of(cls, text: str, vocab: Vocab) -> Corpus:
        """The corpus of a text in memory."""
        return cls(vocab.encode(text), vocab, len(text))


@with_argument_help
def char_corpus(
    paths: Paths, vocab: CharVocab | None = None, folder: str | os.PathLike[str] | None = None, least: int = LARGE
) -> Corpus:
    """The ids of the characters of UTF-8 files, the same as `CharVocab.of(text).encode(text)` of their `read_text`.

    Args:
        paths: a file or several; each begins on a line of its own.
        vocab: the vocabulary to use; None for that of the text.
        folder: where the ids of a long text are kept; None for `.minidl` beside the first file, or, where nobody may
            write there, `minidl` in the user's cache, `$XDG_CACHE_HOME` or `~/.cache`. A folder that belongs to
            another user than root, or that others may write to, is not used; a warning says so.
        least: the bytes of a long text; shorter ones are encoded in memory, and no file is written.

    Raises:
        OSError, ArgumentError: as `read_text` and `CharVocab`; OSError where the ids cannot be written, for the disk is
            full, say: nothing is left of them then.

    Notes:
        The file of the ids has a byte for each character, up to 256 symbols, and some 10 MB of memory do. It is used
        again where it belongs to these very texts, by their SHA-256, and is whole, by its checksum; else it is made
        anew. For both, text and ids are read each time, which takes about a second for a gigabyte: the date of a file
        proves nothing. The checksum guards against accidents only: whoever can write to the file can give it any ids.
        That is why a file that others may have written is made again. The folder may be removed whenever nobody uses
        it, and processes may share it.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "text.txt"
        >>> _ = path.write_text("hello")
        >>> corpus = minidl.char_corpus(path, least=0)
        >>> corpus.vocab, corpus.ids.tolist(), type(corpus.ids).__base__.__name__
        (CharVocab('ehlo'), [1, 0, 2, 2, 3], 'memmap')
    """
    files = check_paths("char_corpus", paths)
    if vocab is not None and not isinstance(vocab, CharVocab):
        raise ArgumentError(f"char_corpus expects a CharVocab, got {vocab!r:.60}: for words there is word_corpus.")
    if is_long(files, least):
        return on_disk(files, vocab, symbols_of, char_ids, {"kind": "chars"}, folder)
    text = read_text(files)
    return Corpus.of(text, CharVocab.of(text) if vocab is None else vocab)


@with_argument_help
def word_corpus(
    paths: Paths,
    vocab: WordVocab | None = None,
    limit: int | None = None,
    unknown: str = "<unk>",
    end_of_line: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    least: int = LARGE,
) -> Corpus:
    r"""The ids of the words of UTF-8 files, the same as `WordVocab.of(text, ...).encode(text)` of their `read_text`.

    Args:
        paths, folder, least: as for `char_corpus`.
        vocab: the vocabulary to use, that of the training text, say; None to make one of the text.
        limit, unknown, end_of_line: of the vocabulary that is made, as for `WordVocab.of`.

    Raises:
        OSError, ArgumentError: as `char_corpus`; ArgumentError for a vocabulary and words about another one.

    Notes:
        The memory is that of the different words, about 150 bytes each, whatever the `limit`: all are counted first.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "text.txt"
        >>> _ = path.write_text("the cat and\nthe dog\n")
        >>> corpus = minidl.word_corpus(path, limit=4, end_of_line="<eos>")
        >>> corpus.vocab.words, corpus.ids.tolist()
        (('<eos>', 'the', 'and', '<unk>'), [1, 3, 2, 0, 1, 3, 0])
    """
    files = check_paths("word_corpus", paths)
    if vocab is not None and not isinstance(vocab, WordVocab):
        raise ArgumentError(f"word_corpus expects a WordVocab, got {vocab!r:.60}: for characters there is char_corpus.")
    made = {"limit": limit, "unknown": unknown, "end_of_line": end_of_line}
    if vocab is not None and made != {"limit": None, "unknown": "<unk>", "end_of_line": None}:
        raise ArgumentError("word_corpus expects a vocab, or limit, unknown and end_of_line to make one, got both.")
    if is_long(files, least):
        learned = words_of(limit, unknown, end_of_line)
        return on_disk(files, vocab, learned, word_ids, {"kind": "words"} | made, folder)
    text = read_text(files)
    return Corpus.of(text, WordVocab.of(text, limit, unknown, end_of_line) if vocab is None else vocab)


def char_corpora(
    texts: Iterable[Paths], folder: str | os.PathLike[str] | None = None, least: int = LARGE
) -> list[Corpus]:
    """Several texts, to train on and to test with, say: a `char_corpus` of each, with the vocabulary of all of them."""
    several = [check_paths("char_corpora", paths) for paths in texts]
    if len(several) == 1:
        return [char_corpus(several[0], None, folder, least)]
    read = [None if is_long(files, least) else read_text(files) for files in several]
    vocabs = [
        symbols_of(pieces_of(files)) if text is None else CharVocab.of(text)
        for files, text in zip(several, read, strict=True)
    ]
    vocab = CharVocab("".join(one.symbols for one in vocabs))
    return [
        char_corpus(files, vocab, folder, least) if text is None else Corpus.of(text, vocab)
        for files, text in zip(several, read, strict=True)
    ]


def word_corpora(
    paths: Paths,
    held_out: float,
    limit: int | None = None,
    unknown: str = "<unk>",
    end_of_line: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    least: int = LARGE,
) -> tuple[Corpus, Corpus]:
    """A text in two parts, (train, held_out): its last lines are held out, and their words are not learned.

    Args:
        paths, limit, unknown, end_of_line, folder, least: as for `word_corpus`.
        held_out: the share of the lines, at least one.

    Raises:
        ArgumentError: where no line is left to learn from.
    """
    files, special = check_paths("word_corpora", paths), (limit, unknown, end_of_line)
    if not is_long(files, least):
        train, held = cut_lines(read_text(files), held_out)
        vocab = WordVocab.of(train, *special)
        return Corpus.of(train, vocab), Corpus.of(held, vocab)
    cut = first_held(lines_in(pieces_of(files)), held_out)
    what = {"kind": "words", "limit": limit, "unknown": unknown, "end_of_line": end_of_line}

    def choose(first: bool) -> Callable[[Pieces], Pieces]:
        return lambda pieces: part_of(pieces, cut, first)

    learned = words_of(*special)
    known = on_disk(files, None, learned, word_ids, what | {"lines": [0, cut]}, folder, choose(True))
    rest = on_disk(files, known.vocab, learned, word_ids, {"kind": "words", "lines": [cut]}, folder, choose(False))
    return known, rest


def words_of(limit: int | None, unknown: str, end_of_line: str | None) -> Callable[[Pieces], WordVocab]:
    """What learns such a vocabulary from a text."""
    return lambda pieces: WordVocab.of_lists(word_lists(pieces, end_of_line), limit, unknown, end_of_line)


def cut_lines(text: str, held_out: float) -> tuple[str, str]:
    """The lines of a text to learn from, and those held out.

    Example:
        >>> minidl.corpus.cut_lines("one\\ntwo\\nthree", 0.4)
        ('one\\ntwo\\n', 'three')
    """
    lines = text.splitlines(keepends=True)
    cut = first_held(len(lines), held_out)
    return "".join(lines[:cut]), "".join(lines[cut:])


def first_held(lines: int, held_out: float) -> int:
    """The number of lines to learn from."""
    cut = lines - max(1, round(lines * real("word_corpora", "held_out", held_out, 0, 1)))
    if cut < 1:
        raise ArgumentError(
            f"A share of {held_out:g} of {count_of(lines, 'line')} leaves none to learn: give more lines."
        )
    return cut


def is_long(files: list[Path], least: int) -> bool:
    """Whether they are files of so many bytes; what can be read only once, as a pipe can, is not."""
    return all(path.is_file() for path in files) and sum(path.stat().st_size for path in files) >= least


def on_disk(
    files: list[Path],
    given: Vocab | None,
    learned: Callable[[Pieces], Vocab],
    encode: Callable[[Any, Pieces], Iterator[Array]],
    what: dict[str, Any],
    folder: str | os.PathLike[str] | None,
    choose: Callable[[Pieces], Pieces] = iter,
) -> Corpus:
    """The corpus of the file that holds its ids; the file is made where there is none that proves to be right.

    Args:
        files: the texts.
        given: the vocabulary; None for what is learned.
        learned: makes a vocabulary of a text.
        encode: makes ids of it.
        what: plain data: what the ids are beside the texts.
        folder: where the file is to be; None for the usual place.
        choose: goes through all pieces, and passes on those of the part that is encoded.
    """
    told = None if given is None else given.to_dict()
    places = trusted(places_of(files, what | {"vocab": told}, folder))
    for place in places:
        if (found := found_at(place, files, given, what["kind"])) is not None:
            return found
    place, stamps = writable(places), [stamp(path) for path in files]
    vocab = learned(choose(pieces_of(files))) if given is None else given
    hashes: list[Any] = []
    characters = 0

    def counted() -> Pieces:
        nonlocal characters
        for piece in choose(pieces_of(files, hashes)):
            characters += piece.characters
            yield piece

    def facts() -> dict[str, Any]:
        if stamps != [stamp(path) for path in files]:
            raise ArgumentError(f"{files[0]} was written to while it was read: try again when it is complete.")
        digests = [digest.hexdigest() for digest in hashes]
        return {"texts": digests, "characters": characters, "vocab": vocab.to_dict()}

    mapped.write(place, encode(vocab, counted()), vocab.dtype, facts)
    made = mapped.read(place)
    if made is None or made[1] != facts():
        raise ArgumentError(f"{place} was replaced while it was written: another text has its place, try again.")
    return Corpus(made[0], vocab, characters, place)


def found_at(place: Path, files: list[Path], given: Vocab | None, kind: str) -> Corpus | None:
    """Return the corpus of a file that was made before, if it is of these very texts, and is whole."""
    from concurrent.futures import ThreadPoolExecutor

    found = mapped.read(place)
    if found is None:
        return None
    ids, facts = found
    match facts:
        case {"texts": list(digests), "characters": int(characters), "vocab": dict(plain)}:
            vocab = vocab_of(plain, given, kind)
            if vocab is None or ids.dtype != vocab.dtype or (kind == "chars" and characters != len(ids)):
                return None
            with ThreadPoolExecutor(1) as pool:  # one core reads the ids, the other the texts
                whole = pool.submit(mapped.proved, place, ids, len(vocab))
                same = digests == digests_of(files)
                if not same or not whole.result():
                    return None
            return Corpus(ids, vocab, characters, place)
    return None


def vocab_of(plain: dict[str, Any], given: Vocab | None, kind: str) -> Vocab | None:
    """Return the vocabulary of a file of ids; None where it is damaged, or not the one that is asked for."""
    if given is not None:
        return given if given.to_dict() == plain else None
    try:
        vocab = vocab_from_dict(plain)
    except (MinidlError, TypeError, ValueError):
        return None
    return vocab if isinstance(vocab, CharVocab if kind == "chars" else WordVocab) else None


def trusted(places: list[Path]) -> list[Path]:
    """Return the places whose folders no other user can write to; a warning names each of the others.

    Raises:
        ArgumentError: where none is left.
    """
    reasons = {place: why_untrusted(place.parent) for place in places}
    kept = [place for place, why in reasons.items() if why is None]
    others = [f"The folder {place.parent} is not used, it {why}." for place, why in reasons.items() if why is not None]
    if not kept:
        raise ArgumentError(f"{' '.join(others)} Run chmod go-w on a folder of yours, or name another with folder=.")
    for words in others:
        warnings.warn(f"{words} The ids of the text are kept in {kept[0].parent}.", stacklevel=5)
    return kept


def places_of(files: list[Path], what: dict[str, Any], folder: str | os.PathLike[str] | None) -> list[Path]:
    """Where the ids of these files may be, the best place first. Other files, or another vocabulary, have others."""
    first = files[0].resolve()

    def named(home: Path, names: list[str]) -> Path:
        told = json.dumps([names, what], sort_keys=True).encode()
        return home / f"{first.name[:100]}.{what['kind']}-{hashlib.sha256(told).hexdigest()[:12]}.ids"

    whole = [str(path.resolve()) for path in files]
    if folder is not None:
        return [named(Path(folder), whole)]
    places = [named(first.parent / FOLDER, [os.path.relpath(path, first.parent) for path in whole])]
    cache = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return [*places, named(Path(cache) / "minidl", whole)] if os.path.isabs(cache) else places


def writable(places: list[Path]) -> Path:
    """The first place that can be written to."""
    for place in places:
        fresh = not place.parent.exists()
        try:
            durable.try_out(place.parent)
        except OSError as error:
            if place == places[-1] or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
        else:
            if fresh:
                place.parent.chmod(stat.S_IRWXU)  # other users would not trust it anyway
            break
    if place.parent.name == FOLDER and not (place.parent / ".gitignore").exists():
        durable.replace(place.parent / ".gitignore", [b"*\n"])
    return place


def stamp(path: Path) -> tuple[int, ...]:
    """What changes where somebody writes to a file."""
    known = path.stat()
    return known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns
