"""`Table`: labelled data and series as columns; `read_table` reads CSV, TSV, JSONL and one text a line.

Each row knows its file and line, so that a message about a value says where it stands.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import io
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.arguments import is_real, with_argument_help
from minidl.errors import ArgumentError, UnknownNameError
from minidl.inputs import Array
from minidl.text import count_of, read_file

KINDS = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "txt",
}  # fmt: skip
TEXTS = ("text", "sentence", "review", "comment", "message", "content", "document", "title", "body")
LABELS = ("label", "class", "category", "target", "sentiment", "intent", "topic", "y")
SHOWN = 12  # column names in a message
CURRENCY = re.compile(
    r"[$€£¥₹₩₽]|\b(?:USD|EUR|GBP|JPY|CNY|INR|CHF|CAD|AUD|NZD|KRW|BRL|RUB|SEK|NOK|DKK|PLN|CZK|TRY|MXN|ZAR)\b|%"
)
SEPARATORS = (",", "."), (".", ","), ("'", "."), (" ", "."), (" ", ",")  # of thousands, and of decimals
QUOTED = re.compile(r'"(?:[^"]|"")*"')

Row = tuple[int, dict[str, Any]]  # its line, and its values by column


class Table:
    """Rows with named columns, of one file or several.

    Args:
        columns: the values of each column by its name, as many in each; None where a row has none.
        places: the file and the line of each row; by default "row" and its number from 1.

    Raises:
        ArgumentError: for columns of different lengths, or a value that is not what was asked for, with its place.
        UnknownNameError: for a column that the table does not have.

    Example:
        >>> table = minidl.Table({"text": ["good", "bad"], "stars": ["5", "1"]})
        >>> len(table), table.columns, table.column("text")
        (2, ('text', 'stars'), ['good', 'bad'])
        >>> table.numbers("stars")
        array([5., 1.])
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]], places: Sequence[tuple[str, int]] | None = None) -> None:
        self.values = {name: list(values) for name, values in columns.items()}
        counts = {len(values) for values in self.values.values()}
        if len(counts) != 1:
            came = ", ".join(f"{len(values)} of {name!r}" for name, values in self.values.items()) or "no columns"
            raise ArgumentError(f"Table expects columns of one length, got {came}: give each row a value or None.")
        self.places = [("row", n + 1) for n in range(*counts)] if places is None else list(places)
        if len(self.places) not in counts:
            raise ArgumentError(f"Table expects a place for each of {counts.pop()} rows, got {len(self.places)}.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the file."""
        return tuple(self.values)

    @property
    def source(self) -> str:
        """The files it comes from, in few words."""
        files = list(dict.fromkeys(file for file, _ in self.places))
        return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")

    def __len__(self) -> int:
        return len(self.places)

    def place(self, row: int) -> str:
        """Where a row stands, as messages say it: its file and line."""
        file, line = self.places[row]
        return f"{file}:{line}"

    def take(self, rows: Any) -> Table:
        """Some of the rows, by their numbers: as `split_rows` gives them."""
        chosen = np.arange(len(self))[rows]
        columns = {name: [values[n] for n in chosen] for name, values in self.values.items()}
        return Table(columns, [self.places[n] for n in chosen])

    def column(self, name: str) -> list[Any]:
        """The values of a column: strings of CSV, TSV and text, whatever JSON holds of JSONL."""
        if name not in self.values:
            raise UnknownNameError(self.lacks(name))
        for n, value in enumerate(self.values[name]):
            if value is None:
                raise ArgumentError(f"{self.place(n)} has no {name!r}: give it one, or leave the row out.")
        return list(self.values[name])

    def texts(self, name: str) -> list[str]:
        """The values of a column as strings; numbers, true and false of JSON become what is written there."""
        values = self.column(name)
        for n, value in enumerate(values):
            if isinstance(value, str):
                continue
            if isinstance(value, list | dict):
                raise ArgumentError(
                    f"{self.place(n)} expects {name!r} to be a string, got {came(value)}: choose another column."
                )
            values[n] = json.dumps(value) if isinstance(value, bool) else str(value)
        return values

    def lists(self, name: str) -> list[list[str]]:
        """The values of a column of JSONL, each a list of strings, such as the words of a sentence."""
        values = self.column(name)
        for n, value in enumerate(values):
            if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
                raise ArgumentError(
                    f'{self.place(n)} expects {name!r} to be a list of strings, ["one", "two"], got {came(value)}.'
                )
        return values

    def numbers(self, name: str) -> Array:
        """The values of a column as float64 [N]; each must be a finite number."""
        return np.array([self.number(n, name, value) for n, value in enumerate(self.column(name))], np.float64)

    def number(self, row: int, name: str, value: Any) -> float:
        """A value of the table as a number."""
        found = math.nan
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                found = float(value)
        elif is_real(value):
            found = float(value)
        if math.isfinite(found):
            return found
        hint = "fill it in, or leave the row out"
        if isinstance(value, str) and plain_numbers(value):
            hint = f"write it as {' or '.join(plain_numbers(value))}"
        elif isinstance(value, str) and re.search(r"[^\W_]", value) and value.strip().lower() not in ("nan", "na"):
            hint = "choose a column of numbers"
        raise ArgumentError(f"{self.place(row)} expects a number in column {name!r}, got {came(value)}: {hint}.")

    def choose(self, what: str, name: str | None, usual: Iterable[str] = (), other: int = 0) -> str:
        """Which column holds something: the one that was asked for; else one of a usual name; else by position.

        Args:
            what: the something, for the message: "text".
            name: the column that was asked for; None for none.
            usual: names in small letters, the most usual one first.
            other: the number of the column where none has a usual name: 0 the first, -1 the last.

        Example:
            >>> table = minidl.Table({"id": ["7"], "Label": ["yes"], "comment": ["fine"]})
            >>> table.choose("text", None, ("text", "comment")), table.choose("label", None, ("label",), -1)
            ('comment', 'Label')
        """
        if name is not None:
            if name not in self.values:
                raise UnknownNameError(self.lacks(name, what))
            return name
        by_small = {column.lower(): column for column in reversed(self.columns)}
        return next((by_small[small] for small in usual if small in by_small), self.columns[other])

    def lacks(self, name: str, what: str = "") -> str:
        """The message about a column that is not there."""
        close = difflib.get_close_matches(name, self.columns, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {named(self.columns)}."
        return f"{self.source} has no column {name!r}{what and ' for the '}{what}: {hint}"

    def has_no_header(self, came: str, other: str = "") -> str:
        """The message about names of columns that are a row of data."""
        return (
            f"{self.source} must begin with the names of the columns, got {came}. Put a line with names first{other}."
        )

    def __repr__(self) -> str:
        return f"Table({count_of(len(self), 'row')} of {named(self.columns)})"


@with_argument_help
def read_table(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], kind: str | None = None) -> Table:
    r"""The table of one or several UTF-8 files, their rows one after the other; columns go by their names.

        .csv            a header line with the names, then a row a line; fields between commas, or semicolons or tabs
                        where the header has no comma; "fields, so quoted", may have them too, and line breaks
        .tsv .tab       a header line, fields between tabs, no quotes
        .jsonl .ndjson  an object a line: {"text": "so it is", "label": "true"}
        .txt            a text a line, in the one column "text"; an empty line is an empty text

    Args:
        paths: the files.
        kind: "csv", "tsv", "jsonl" or "txt"; None for what the file's name ends in.

    Raises:
        OSError: for a missing or unreadable file. ArgumentError: for a file that is empty, binary, without a header or
            rows, or of an unknown kind; for a row that is no JSON object or has more or fewer fields than the header.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "reviews.csv"
        >>> _ = path.write_text('text,label\n"good, really",yes\nbad,no\n')
        >>> table = minidl.read_table(path)
        >>> table.columns, table.column("text")
        (('text', 'label'), ['good, really', 'bad'])
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not several:
        raise ArgumentError("read_table expects a path or several, got none: name a file.")
    parts = []
    for path in map(Path, several):
        chosen = KINDS.get(path.suffix.lower()) if kind is None else kind
        if chosen is None:
            raise ArgumentError(f"{path} is expected to end in {', '.join(KINDS)}: convert or rename it.")
        if chosen not in KINDS.values():
            raise ArgumentError(f"read_table expects kind to be csv, tsv, jsonl or txt, got {chosen!r:.40}.")
        parts.append(parse_table(read_file(path), chosen, str(path)))
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.columns)
    together = {name: [v for part in parts for v in part.values.get(name, [None] * len(part))] for name in names}
    return Table(together, [place for part in parts for place in part.places])


def parse_table(text: str, kind: str, source: str) -> Table:
    r"""The table that a text is; see `read_table`. Line ends are "\n".

    Example:
        >>> minidl.tables.parse_table('{"a": 1}\n{"a": 2, "b": []}\n', "jsonl", "standard input")
        Table(2 rows of 'a', 'b')
    """
    if kind == "txt":
        lines = text.removesuffix("\n").split("\n")
        return Table({"text": lines}, [(source, n + 1) for n in range(len(lines))])
    rows = list(objects(text, source) if kind == "jsonl" else records(text, kind, source))
    if not rows:
        what = "an object a line" if kind == "jsonl" else "rows below the header"
        raise ArgumentError(f"{source} is expected to hold {what}, got none: name a file with data in it.")
    names = dict.fromkeys(name for _, row in rows for name in row)
    return Table({name: [row.get(name) for _, row in rows] for name in names}, [(source, line) for line, _ in rows])


def records(text: str, kind: str, source: str) -> Iterator[Row]:
    """The rows of a CSV or TSV text; empty lines are passed over."""
    header: list[str] = []
    line = 0
    delimiter = "\t" if kind == "tsv" else delimiter_of(text)
    if kind == "tsv":
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True, skipinitialspace=True)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a field may be a whole book; csv allows 131,072
    try:
        for fields in reader:
            begins, line = line + 1, reader.line_num
            if not fields:
                continue
            if not header:
                header = checked_header([name.strip() for name in fields], f"{source}:{begins}")
                continue
            if len(fields) != len(header):
                raise ArgumentError(
                    f"{source}:{begins} expects {count_of(len(header), 'field')}, as the header has, "
                    f"got {len(fields)}: {hint_on_fields(len(header), len(fields), delimiter, kind)}."
                )
            yield begins, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise ArgumentError(
            f"{source}:{line + 1} is no row of {kind.upper()}, {error}: look for a quote that is not closed, and write "
            f'quotes inside of quotes twice, "so ""it"" is".'
        ) from None


def hint_on_fields(expected: int, found: int, delimiter: str, kind: str) -> str:
    """The advice about a row with too many fields, or too few."""
    mark = {",": "comma", ";": "semicolon", "\t": "tab"}[delimiter]
    if found < expected:
        missing = f"{count_of(expected - found, 'field')} {'is' if expected - found == 1 else 'are'} missing"
        return f"{missing}; {mark}s separate fields, those of empty ones as well"
    return f'put "quotes" around a field with a {mark} in it' if kind == "csv" else "tabs separate fields"


def delimiter_of(text: str) -> str:
    """What separates the fields of a CSV: a comma, or where the header has none a semicolon or a tab."""
    header = QUOTED.sub("", text.lstrip("\n").partition("\n")[0])
    return next((mark for mark in ",;\t" if mark in header), ",")


def checked_header(names: list[str], place: str) -> list[str]:
    """The names of the columns, if they are such."""
    for n, name in enumerate(names):
        if name in names[:n]:
            raise ArgumentError(f"{place} expects each column once, got {name!r} twice: give one another name.")
    if all(re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", name, re.IGNORECASE) for name in names):
        raise ArgumentError(
            f"{place} expects a header with the names of the columns, got {named(names)}: put a line with names first."
        )
    return names


def objects(text: str, source: str) -> Iterator[Row]:
    """The rows of a JSONL text; empty lines are passed over."""
    for n, line in enumerate(text.split("\n")):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = line
        if "\\ud" in line.lower() and not is_unicode(row):
            raise ArgumentError(
                f"{source}:{n + 1} has half of a surrogate pair, which is no character: write both, or leave it out."
            )
        if not isinstance(row, dict):
            raise ArgumentError(f"{source}:{n + 1} expects a JSON object, one a line, got {line.strip()!r:.60}.")
        yield n + 1, row


def is_unicode(value: Any) -> bool:
    """Whether all strings in what JSON held are of whole characters."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def named(columns: Sequence[str]) -> str:
    """Column names in a message."""
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return ", ".join(map(repr, columns[:SHOWN])) + more


def plain_numbers(text: str) -> list[str]:
    """The numbers that a text with a currency sign, a percent sign or separators may mean, as Python writes them.

    Example:
        >>> from minidl.tables import plain_numbers
        >>> plain_numbers("$1,234.50"), plain_numbers("1.234,5 EUR"), plain_numbers("11,000"), plain_numbers("so")
        (['1234.50'], ['1234.5'], ['11000', '11.000'], [])
    """
    bare = CURRENCY.sub("", re.sub(r"[\u00a0\u2009\u202f]", " ", text)).strip()
    if bare[:1] == "(" and bare[-1:] == ")":  # as accountants write a negative number
        bare = f"-{bare[1:-1].strip()}"
    bare = re.sub(r"^([-+]) +", r"\1", bare)
    found = []
    for thousands, decimal in SEPARATORS:
        whole = rf"(?:\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+|\d+)"
        if re.fullmatch(rf"[-+]?{whole}(?:{re.escape(decimal)}\d+)?", bare):
            found.append(bare.replace(thousands, "").replace(decimal, "."))
    return list(dict.fromkeys(found))


def came(value: Any) -> str:
    """What came, in a message."""
    return "an empty field" if value == "" else f"{value!r:.60}"
