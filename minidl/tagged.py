"""`read_tagged`: sentences with a tag for each token, from JSONL or from a token a line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from minidl.errors import ArgumentError
from minidl.tables import Table, parse_table
from minidl.text import count_of, read_file

TOKENS = ("tokens", "words")
TAGS = ("tags", "labels", "ner_tags", "pos_tags", "upos", "pos", "ner")
CONLLU_COMMENT = re.compile(r"# *(\w[\w:.-]* *=|newdoc|newpar)")
CONLLU_ID = re.compile(r"\d+([-.]\d+)?")
HEADER = {"token", "tokens", "word", "words", "form"}, {"tag", "tags", "label", "labels", "pos", "upos", "ner"}
DOCUMENT = "-DOCSTART-"  # begins a document in CoNLL files, and is none of its tokens


def read_tagged(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    tokens: str | None = None,
    tags: str | None = None,
    tagged: bool = True,
) -> Table:
    r"""Sentences of one or several UTF-8 files: a table with the columns "tokens" and "tags", of lists.

        .jsonl .ndjson   a sentence a line: {"tokens": ["So", "it", "is"], "tags": ["ADV", "PRON", "VERB"]}
        any other name   a token a line, then a tab or blanks, then its tag, and an empty line behind each sentence; of
                         more fields, as CoNLL files have, the first is the token and the last the tag

    Args:
        paths: the files.
        tokens, tags: what JSONL calls them; None for the usual names, such as "tokens" and "tags", "words" and "pos".
        tagged: whether tags are asked for; else they may be missing, and the table has none.

    Raises:
        OSError: for a missing or unreadable file. ArgumentError: for a file without sentences, a line with more or
            fewer fields than the others, tokens without tags. UnknownNameError: for a column that JSONL lacks.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "tagged.txt"
        >>> _ = path.write_text("So ADV\nit PRON\nis VERB\n\nWait VERB\n")
        >>> minidl.tagged.read_tagged(path).column("tags")
        [['ADV', 'PRON', 'VERB'], ['VERB']]
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not several:
        raise ArgumentError("read_tagged expects a path or several, got none: name a file.")
    rows: list[tuple[list[str], list[str], tuple[str, int]]] = []
    for path in map(Path, several):
        text, source = read_file(path), str(path)
        if path.suffix.lower() == ".csv":
            raise ArgumentError(f"{path} is expected to be JSONL, or text with a token a line, got CSV: convert it.")
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            found = objects(parse_table(text, "jsonl", source), tokens, tags, tagged)
        else:
            check_token_lines(text, source)
            found = blocks(text, source, tagged)
        if not found:
            raise ArgumentError(f"{path} is expected to hold sentences, got no token: name a file with some in it.")
        rows += found
    columns = {"tokens": [row[0] for row in rows]} | ({"tags": [row[1] for row in rows]} if tagged else {})
    return Table(columns, [row[2] for row in rows])


def objects(
    table: Table, tokens: str | None, tags: str | None, tagged: bool
) -> list[tuple[list[str], list[str], tuple[str, int]]]:
    """The sentences of JSONL that have a token."""
    words = table.lists(column_of(table, "tokens", tokens, TOKENS))
    marks = table.lists(column_of(table, "tags", tags, TAGS)) if tagged else words
    for n, (some, same) in enumerate(zip(words, marks, strict=True)):
        if len(some) != len(same):
            raise ArgumentError(
                f"{table.place(n)} expects a tag for each of {count_of(len(some), 'token')}, got {len(same)}."
            )
        if not all(map(str.strip, same)):
            raise ArgumentError(f"{table.place(n)} must have a tag for each token, got an empty one. Fill it in.")
    return [row for row in zip(words, marks, table.places, strict=True) if row[0]]


def column_of(table: Table, what: str, name: str | None, usual: tuple[str, ...]) -> str:
    """The column that is asked for, or one of a usual name; no other will do, for other lists are something else."""
    chosen = table.choose(what, name, usual)
    return chosen if name is not None or chosen.lower() in usual else table.choose(what, what)


def check_token_lines(text: str, source: str) -> None:
    """Refuse CoNLL-U, whose comments, ranges and numbers of tokens are no tokens, and a header."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    rows = [line.split("\t") for line in lines[:1000] if "\t" in line]
    numbered = bool(rows) and all(len(row) > 2 and CONLLU_ID.fullmatch(row[0]) for row in rows)
    comment = next((line for line in lines if CONLLU_COMMENT.match(line)), None)
    if numbered or comment is not None:
        seen = f"the comment {comment!r:.40}" if comment is not None else "numbered tokens"
        raise ArgumentError(
            f"{source} is CoNLL-U ({seen}), which is not supported. Write a token and its tag a line (FORM, a tab, "
            f"UPOS), without comments and ranges, or JSONL."
        )
    first = lines[0].lower().split() if lines else []
    if len(first) > 1 and first[0] in HEADER[0] and first[-1] in HEADER[1]:
        raise ArgumentError(f"{source} must begin with a token, got the header {lines[0]!r:.60}. Remove that line.")


def blocks(text: str, source: str, tagged: bool) -> list[tuple[list[str], list[str], tuple[str, int]]]:
    """The sentences of a token a line."""
    rows: list[tuple[list[str], list[str], tuple[str, int]]] = []
    inside, width, first = False, 0, 0
    for line, content in enumerate(text.split("\n"), 1):
        fields = [field.strip() for field in content.split("\t")] if "\t" in content else content.split()
        if not any(fields) or fields[0] == DOCUMENT:
            inside = False
            continue
        if not width:
            width, first = len(fields), line
        if width == 1 and tagged:
            raise ArgumentError(
                f"{source}:{line} expects a token and its tag, got {fields[0]!r:.60}: put a tab between them."
            )
        if width > 2 and not tagged and "\t" not in content:
            raise ArgumentError(
                f"{source}:{line} expects a token a line, got {content.strip()!r:.60}: whole sentences are read from "
                f"standard input."
            )
        if len(fields) != width or not fields[0] or not fields[-1]:
            came = content.strip() if len(fields) == width else str(len(fields))
            raise ArgumentError(
                f"{source}:{line} expects {count_of(width, 'field')}, as line {first} has, got {came:.60}: a token and "
                f"its tag a line, an empty line behind each sentence."
            )
        if not inside:
            rows.append(([], [], (source, line)))
            inside = True
        rows[-1][0].append(fields[0])
        rows[-1][1].append(fields[-1])
    return rows
