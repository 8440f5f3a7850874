"""Tables: what each kind of file gives, which column is chosen, and that every wrong file or value is one line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import Table, read_table
from minidl.errors import ArgumentError, MinidlError, UnknownNameError
from minidl.tables import LABELS, TEXTS, parse_table, plain_numbers


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# -- files that are fine --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\nso it is,yes\n不,no\n"),
        ("a.CSV", "text,label\nso it is,yes\n不,no"),
        ("a.csv", "\ufefftext,label\r\nso it is,yes\r\n不,no\r\n"),
        ("a.csv", "\n\ntext , label\n\n\nso it is, yes\n\n不,no\n\n"),
        ("a.csv", 'text;label\n"so it is";yes\n不;no\n'),
        ("a.csv", '"text";"label"\nso it is;yes\n不;no\n'),
        ("a.csv", "text\tlabel\nso it is\tyes\n不\tno\n"),
        ("a.tsv", "text\tlabel\nso it is\tyes\n不\tno\n"),
        ("a.tab", "text\tlabel\r\nso it is\tyes\r\n不\tno\r\n"),
        ("a.jsonl", '{"text": "so it is", "label": "yes"}\n{"text": "\\u4e0d", "label": "no"}\n'),
        ("a.ndjson", '\n{"text": "so it is", "label": "yes"}\r\n\r\n{"label": "no", "text": "不"}'),
    ],
)
def test_every_kind_of_file_gives_the_same_table(tmp_path: Path, name: str, content: str) -> None:
    table = read_table(write(tmp_path, name, content))
    assert table.columns == ("text", "label") and len(table) == 2
    assert table.column("text") == ["so it is", "不"] and table.texts("label") == ["yes", "no"]


def test_text_is_one_column_and_keeps_its_lines(tmp_path: Path) -> None:
    table = read_table(str(write(tmp_path, "a.txt", "one, two\r\n\r\n three \n")))
    assert table.columns == ("text",) and table.column("text") == ["one, two", "", " three "]
    assert table.place(2).endswith("a.txt:3")


def test_quotes_hold_commas_and_lines_and_places_count_on(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.csv", 'text,n\n"one,\ntwo ""so""",1\n\nthree,2\n'))
    assert table.column("text") == ['one,\ntwo "so"', "three"]
    assert [table.place(n).rpartition(":")[2] for n in range(2)] == ["2", "5"]


def test_tsv_has_no_quotes(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.tsv", 'text\tn\n"so", he said\t1\nand "then\t2\n'))
    assert table.column("text") == ['"so", he said', 'and "then']


@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))] * 2)))
def test_what_the_csv_module_writes_comes_back(rows: list[tuple[str, str]]) -> None:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *rows, ("last", "row")])
    table = parse_table(file.getvalue(), "csv", "memory")
    assert list(zip(table.column("a"), table.column("b"), strict=True)) == [*rows, ("last", "row")]


@pytest.mark.parametrize(("name", "mark"), [("book.csv", ","), ("book.tsv", "\t")])
def test_a_field_may_be_as_long_as_a_book(tmp_path: Path, name: str, mark: str) -> None:
    """Longer than the limit of the csv module, 131,072 characters; a quote that is not closed is found nevertheless."""
    book = "word " * 50_000
    path = write(tmp_path, name, f"label{mark}text\nlong{mark}{book}\n")
    assert read_table(path).column("text") == [book]
    with pytest.raises(ArgumentError, match=r"open\.csv:2 is no row of CSV, .* a quote that is not closed"):
        read_table(write(tmp_path, "open.csv", f'label,text\nlong,"{book}\n'))


def test_several_files_are_one_table_by_the_names_of_the_columns(tmp_path: Path) -> None:
    first = write(tmp_path, "a.csv", "text,label\none,yes\n")
    second = write(tmp_path, "b.jsonl", '{"label": 3, "text": "two"}\n{"text": "three"}\n')
    table = read_table([first, str(second)])
    assert table.texts("text") == ["one", "two", "three"]
    assert [Path(table.place(n)).name for n in range(3)] == ["a.csv:2", "b.jsonl:1", "b.jsonl:2"]
    with pytest.raises(ArgumentError, match=r"b\.jsonl:2 has no 'label': "):
        table.texts("label")
    assert table.take([1, 0]).texts("label") == ["3", "yes"]
    assert table.take([1, 0]).place(1) == table.place(0)
    assert len(table.take(slice(0, 0))) == 0 and len(table.take(np.array([True, False, True]))) == 2


def test_the_kind_may_be_said(tmp_path: Path) -> None:
    path = write(tmp_path, "data", "text\nso\n")
    assert read_table(path, kind="csv").column("text") == ["so"]
    with pytest.raises(ArgumentError, match=r"csv, tsv, jsonl or txt, got 'excel'"):
        read_table(path, kind="excel")


# -- values -----------------------------------------------------------------------------------------


def test_numbers() -> None:
    table = Table({"a": [" 1", "-2.5e3", 4, 0.5], "b": [True, False, 1, "so"]})
    assert table.numbers("a").dtype == np.float64 and table.numbers("a").tolist() == [1, -2500, 4, 0.5]
    assert table.texts("b") == ["true", "false", "1", "so"]


@pytest.mark.parametrize(
    ("value", "came", "hint"),
    [
        ("many", "'many'", "choose a column of numbers"),
        ("", "an empty field", "fill it in, or leave the row out"),
        ("NaN", "'NaN'", "fill it in"),
        ("?", r"'\?'", "fill it in"),
        ("1e999", "'1e999'", "choose a column"),
        ("3,5", "'3,5'", r"write it as 3\.5"),
        ("-1.234,5", r"'-1\.234,5'", r"write it as -1234\.5"),
        (float("inf"), "inf", "fill it in"),
        (True, "True", "fill it in"),
        ([1], r"\[1\]", "fill it in"),
    ],
)
def test_what_is_no_number_says_where_it_stands(value: object, came: str, hint: str) -> None:
    table = Table({"sales": ["1", value]}, [("a.csv", 2), ("a.csv", 7)])
    with pytest.raises(ArgumentError, match=rf"^a\.csv:7 expects a number in column 'sales', got {came}: {hint}"):
        table.numbers("sales")


def test_strings_and_lists_of_strings_are_told_apart() -> None:
    table = Table({"tokens": [["so", "it"], ["is"]], "odd": [["so", 1], "so"]}, [("a.jsonl", 1), ("a.jsonl", 2)])
    assert table.lists("tokens") == [["so", "it"], ["is"]]
    with pytest.raises(ArgumentError, match=r"^a\.jsonl:1 expects 'tokens' to be a string, got \['so', 'it'\]"):
        table.texts("tokens")
    with pytest.raises(ArgumentError, match=r"^a\.jsonl:1 expects 'odd' to be a list of strings"):
        table.lists("odd")
    with pytest.raises(ArgumentError, match=r"^a\.jsonl:2 expects 'odd' to be a list of strings.*got 'so'\.$"):
        table.take([1]).lists("odd")


def test_what_is_read_cannot_be_changed_from_outside() -> None:
    table = Table({"a": ["x"]})
    table.column("a").append("y")
    table.texts("a").append("y")
    assert table.column("a") == ["x"]


# -- columns ------------------------------------------------------------------------------------------


def test_columns_are_chosen_by_wish_by_name_or_by_place() -> None:
    table = Table({"id": ["1"], "Sentence": ["so"], "Class": ["a"], "when": ["now"]})
    assert table.choose("text", None, TEXTS) == "Sentence"
    assert table.choose("label", None, LABELS, -1) == "Class"
    assert table.choose("text", "when", TEXTS) == "when"
    assert Table({"a": ["1"], "b": ["2"], "c": ["3"]}).choose("label", None, LABELS, -1) == "c"
    assert Table({"comment": ["1"], "text": ["2"]}).choose("text", None, TEXTS) == "text"


def test_a_column_that_is_not_there() -> None:
    table = Table({"text": ["so"], "label": ["a"]}, [("a.csv", 2)])
    with pytest.raises(UnknownNameError) as caught:
        table.choose("label", "lable")
    assert str(caught.value) == "a.csv has no column 'lable' for the label: did you mean 'label'?"
    with pytest.raises(UnknownNameError, match=r"^a\.csv has no column 'price': it has 'text', 'label'\.$"):
        table.numbers("price")
    wide = Table({f"c{n}": ["1"] for n in range(40)})
    with pytest.raises(UnknownNameError, match=r"'c0', .*'c11' and 28 more"):
        wide.column("price")


# -- files that are not fine ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "got an empty one"),
        ("a.csv", "\ufeff", "got an empty one"),
        ("a.csv", "text,label\n", "is expected to hold rows below the header, got none"),
        ("a.csv", "\n\n", "is expected to hold rows below the header, got none"),
        ("a.jsonl", "\n\n", "is expected to hold an object a line, got none"),
        ("a.csv", "a,b,a\n1,2,3\n", ":1 expects each column once, got 'a' twice"),
        ("a.csv", "a,,\n1,2,3\n", ":1 expects each column once, got '' twice"),
        ("a.csv", "1,2.5\n3,4\n", ":1 expects a header with the names of the columns, got '1', '2.5'"),
        ("a.csv", "a,b\n1,2\n\n1,2,3\n", ":4 expects 2 fields, as the header has, got 3: put \"quotes\" around"),
        ("a.csv", "a;b\n1;2;3\n", ":2 expects 2 fields, as the header has, got 3: put \"quotes\" around a field w"),
        ("a.csv", "a,b\n1,2\n1\n", ":3 expects 2 fields, as the header has, got 1: 1 field is missing; commas"),
        ("a.csv", "a;b;c\n1\n", ":2 expects 3 fields, as the header has, got 1: 2 fields are missing; semicolons"),
        ("a.tsv", "a\tb\n1 2\n", ":2 expects 2 fields, as the header has, got 1: 1 field is missing; tabs separate"),
        ("a.csv", 'a,b\n1,2\n"so,2\n3,4\n', ":3 is no row of CSV"),
        ("a.csv", 'a,b\n"so" it is,2\n', ":2 is no row of CSV"),
        ("a.jsonl", '{"a": 1}\n[1, 2]\n', ":2 expects a JSON object, one a line, got '[1, 2]'"),
        ("a.jsonl", '{\n "a": 1\n}\n', ":1 expects a JSON object, one a line, got '{'"),
        ("a.jsonl", "[" * 100_000, ":1 expects a JSON object"),
        ("a.jsonl", '{"a": 1}\n{"a": ["\\uD83D\\uDE00", "\\uD83D"]}\n', ":2 has half of a surrogate pair"),
        ("a.csv", b"a,b\n1,\xff\n", "0xFF"),
        ("a.csv", b"PK\x03\x04\0\0", "got a binary one"),
        ("a.xlsx", "a,b\n1,2\n", "is expected to end in .csv, .tsv, .tab, .jsonl, .ndjson, .txt: convert"),
        ("data", "a,b\n1,2\n", "is expected to end in .csv"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(ArgumentError) as caught:
        read_table(path)
    assert message in str(caught.value) and str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 320 + len(str(path))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be read: No such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(OSError, match="got a folder"):
        read_table(tmp_path / "a.csv")
    with pytest.raises(ArgumentError, match="got none: name a file"):
        read_table([])


def test_a_table_by_hand_has_to_be_one() -> None:
    with pytest.raises(ArgumentError, match=r"columns of one length, got 1 of 'a', 2 of 'b'"):
        Table({"a": [1], "b": [1, 2]})
    with pytest.raises(ArgumentError, match="columns of one length, got no columns"):
        Table({})
    with pytest.raises(ArgumentError, match="a place for each of 2 rows, got 1"):
        Table({"a": [1, 2]}, [("a.csv", 1)])
    assert Table({"a": [1, 2]}).place(1) == "row:2"


@given(st.text(), st.sampled_from(["csv", "tsv", "jsonl", "txt"]))
def test_any_text_is_a_table_or_one_line(text: str, kind: str) -> None:
    wrong = ""
    try:
        table = parse_table(text, kind, "memory")
        assert all(len(values) == len(table) for values in table.values.values())
    except MinidlError as error:
        wrong = str(error)
    assert wrong.startswith("memory" if wrong else "")


PLAIN = st.none() | st.booleans() | st.floats() | st.text()


@given(st.recursive(PLAIN, lambda some: st.lists(some) | st.dictionaries(st.text(), some)))
def test_any_json_value_is_read_or_refused(value: object) -> None:
    table = parse_table(json.dumps({"a": value}), "jsonl", "memory")
    for read in table.texts, table.lists, table.numbers:
        wrong = ""
        try:
            read("a")
        except ArgumentError as error:
            wrong = str(error)
        assert wrong.startswith("memory:1 " if wrong else "")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("$1,234.50", ["1234.50"]), ("€ 5", ["5"]), ("5 €", ["5"]), ("12%", ["12"]), ("(1,234.5)", ["-1234.5"]),
        ("-1.234,5", ["-1234.5"]), ("11,000", ["11000", "11.000"]), ("1,234,567", ["1234567"]), ("3,5", ["3.5"]),
        ("1 234,5", ["1234.5"]), ("1\u202f234", ["1234"]), ("1'234.5", ["1234.5"]), ("USD 7", ["7"]), ("-$5", ["-5"]),
        ("2020-01-01", []), ("01.02.2020", []), ("10:30", []), ("5 kg", []), ("A5", []), ("", []), ("1,23,4", []),
        ("1e5", []), ("warm", []), ("$", []),
    ],
)  # fmt: skip
def test_what_a_number_with_marks_may_mean(text: str, numbers: list[str]) -> None:
    assert plain_numbers(text) == numbers
