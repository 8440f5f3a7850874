"""`read_tagged`: JSONL and a token a line give the same sentences; every wrong file is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidl.errors import MinidlError
from minidl.tagged import read_tagged

SENTENCES = [["So", "it", "is"], ["#", "不"]], [["A", "B", "C"], ["O", "C"]]


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("a.jsonl", '{"tokens": ["So", "it", "is"], "tags": ["A", "B", "C"]}\n'
         '{"tokens": ["#", "不"], "tags": ["O", "C"]}', "12"),
        ("a.ndjson", '{"n": 1, "Words": ["So", "it", "is"], "POS": ["A", "B", "C"]}\n{"Words": [], "POS": []}\n'
         '{"Words": ["#", "不"], "POS": ["O", "C"]}', "13"),
        ("a.txt", "So A\nit B\nis C\n\n# O\n不 C\n", "15"),
        ("a.conll", "\n\nSo\tA\nit\tB\nis\tC\n\n\n\n#\tO\n不\tC", "39"),
        ("a", "-DOCSTART- X X\n\nSo X A\nit X B\nis X C\n\n-DOCSTART- X X\n# X O\n不 X C\n", "38"),
        ("a.tsv", "\ufeffSo\tA\r\nit\tB\r\nis\tC\r\n \r\n#\tO\r\n不\tC\r\n", "15"),
    ],
)  # fmt: skip
def test_sentences(tmp_path: Path, name: str, content: str, places: str) -> None:
    table = read_tagged(write(tmp_path, name, content))
    assert table.columns == ("tokens", "tags")
    assert (table.lists("tokens"), table.lists("tags")) == SENTENCES
    assert [table.place(n)[-1] for n in range(2)] == list(places)


def test_tokens_may_have_blanks_between_tabs(tmp_path: Path) -> None:
    assert read_tagged(write(tmp_path, "a.txt", "New York\tCITY\n.\tO\n")).lists("tokens") == [["New York", "."]]


def test_columns_of_jsonl_may_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"x": ["so"], "y": ["A"], "tags": ["B"]}')
    assert read_tagged(path, tokens="x", tags="y").lists("tags") == [["A"]]
    assert read_tagged([path, path], tokens="x").lists("tags") == [["B"], ["B"]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"tokens": ["so", "it"]}'),
        ("a.txt", "so\nit\n"),
        ("a.txt", "so A\nit B"),
        ("a.txt", "so\t?\tA\nit\t\tB"),
    ],
)
def test_tags_may_be_missing_where_they_are_not_asked_for(tmp_path: Path, name: str, content: str) -> None:
    table = read_tagged(write(tmp_path, name, content), tagged=False)
    assert table.columns == ("tokens",) and table.lists("tokens") == [["so", "it"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "got an empty one"),
        ("a.txt", "\n \n", "is expected to hold sentences, got no token"),
        ("a.jsonl", '{"tokens": [], "tags": []}', "is expected to hold sentences, got no token"),
        ("a.txt", "So A\n\nit\n", ":3 expects 2 fields, as line 1 has, got 1"),
        ("a.txt", "So A\nit B B\n", ":2 expects 2 fields, as line 1 has, got 3"),
        ("a.txt", "So\nit B\n", ":1 expects a token and its tag, got 'So': put a tab between them"),
        ("a.txt", "So\tA\n\tB\n", ":2 expects 2 fields, as line 1 has, got B"),
        ("a.csv", "tokens,tags\n", "is expected to be JSONL, or text with a token a line, got CSV"),
        ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["A"]}', ":1 expects a tag for each of 2 tokens, got 1"),
        ("a.jsonl", '{"tokens": "a b", "tags": ["A"]}', ":1 expects 'tokens' to be a list of strings"),
        ("a.jsonl", '{"tokens": ["a"], "ner_tags": [3]}', ":1 expects 'ner_tags' to be a list of strings"),
        ("a.jsonl", '{"text": ["a"], "tags": ["A"]}', "has no column 'tokens' for the tokens: it has 'text', 'tags'"),
        ("a.jsonl", '{"tokens": ["a"], "text": "a"}', "has no column 'tags' for the tags: it has 'tokens', 'text'"),
        ("a.jsonl", '{"tokens": ["a"], "tags": ["A"]}\n{"tokens": ["a"]}', ":2 has no 'tags'"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(MinidlError) as caught:
        read_tagged(path)
    assert message in str(caught.value) and str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_whole_sentences_are_not_taken_for_tokens(tmp_path: Path) -> None:
    with pytest.raises(MinidlError, match=r":1 expects a token a line, got 'so it is': whole sentences"):
        read_tagged(write(tmp_path, "a.txt", "so it is\nand so on\n"), tagged=False)
