"""Vocabularies: round trips in any script, what is unknown, plain data from strangers; text files, good and bad."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import text as text_module
from minidl.errors import ArgumentError, IdError, MinidlError, ShapeError
from minidl.text import CharVocab, WordVocab, read_text, vocab_from_dict

JAPANESE = "吾輩は猫である。名前はまだ無い。\n"
MIXED = JAPANESE + "中文 e\u0301 👩‍👩‍👧 \U0001d4ea \U0010ffff ñ\u0000\t"
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
TOKENS = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1).filter(lambda w: w.split() == [w])


# -- characters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["hello", JAPANESE, MIXED, "\n", "\U0010ffff", "a\u0000b"])
def test_characters_come_back(text: str) -> None:
    vocab = CharVocab.of(text)
    assert vocab.symbols == "".join(sorted(set(text))) and len(vocab) == len(set(text))
    ids = vocab.encode(text)
    assert ids.tolist() == [vocab.symbols.index(c) for c in text] and ids.dtype == np.uint8
    assert vocab.decode(ids) == vocab.decode(ids.tolist()) == vocab.decode(iter(ids.tolist())) == text


@given(UNICODE.filter(len), UNICODE)
def test_all_of_unicode_comes_back(known: str, text: str) -> None:
    vocab = CharVocab.of(known)
    assert vocab.decode(vocab.encode(known)) == known
    assert CharVocab(known + text).decode(CharVocab(known + text).encode(text)) == text
    strange = [at for at, c in enumerate(text) if c not in known]
    if strange:
        with pytest.raises(ArgumentError, match=rf"U\+{ord(text[strange[0]]):04X}\) at position {strange[0]}:"):
            vocab.encode(text)
    else:
        assert vocab.decode(vocab.encode(text)) == text


@pytest.mark.parametrize(("count", "dtype"), [(1, "u1"), (256, "u1"), (257, "u2"), (65536, "u2"), (65537, "u4")])
def test_ids_take_the_smallest_type(count: int, dtype: str) -> None:
    text = "".join(map(chr, range(0x10000, 0x10000 + count)))
    vocab = CharVocab(text[::-1])
    ids = vocab.encode(text)
    assert ids.dtype == np.dtype(dtype) and ids.tolist() == list(range(count))
    assert vocab.decode(ids) == text
    with pytest.raises(ArgumentError, match="position 1"):  # no id is left over to mark what is unknown
        vocab.encode(text[0] + "é")


def test_chunks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "CHUNK", 7)
    text = MIXED * 3
    vocab = CharVocab.of(text)
    assert vocab.decode(vocab.encode(text)) == text
    with pytest.raises(ArgumentError, match=f"'X' \\(U\\+0058\\) at position {len(text) + 1}"):
        vocab.encode(text + "\nX")
    with pytest.raises(ArgumentError, match=rf"U\+D83D\) at position {len(text)}"):
        vocab.encode(text + "\ud83d")


@pytest.mark.parametrize("character", ["z", "A", "\U0001f600", "\x00"])
def test_an_unknown_character_is_named(character: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        CharVocab.of("bcd").encode("bc" + character)
    assert str(caught.value) == (
        f"CharVocab knows 3 symbols, got {character!r} (U+{ord(character):04X}) at position 2: leave it out, or make "
        f"the vocabulary from a text that has it."
    )


def test_what_no_character_vocabulary_takes() -> None:
    vocab = CharVocab("ab")
    with pytest.raises(ArgumentError, match="empty text"):
        CharVocab("")
    with pytest.raises(ArgumentError, match="half of a surrogate pair"):
        CharVocab("a\udc00")
    wrong: Any
    for wrong in b"ab", ["a", "b"], None:
        with pytest.raises(ArgumentError, match="read files with read_text"):
            CharVocab(wrong)
        with pytest.raises(ArgumentError, match="read files with read_text"):
            vocab.encode(wrong)


def test_the_empty_text() -> None:
    for vocab in CharVocab("ab"), WordVocab(["a"]):
        assert vocab.encode("").shape == (0,) and vocab.encode("").dtype == np.uint8
        assert vocab.decode([]) == vocab.decode(vocab.encode("")) == ""


@pytest.mark.parametrize("vocab", [CharVocab("ab"), WordVocab(["a", "b"], unknown="b")])
def test_ids_to_decode_are_checked(vocab: Any) -> None:
    for wrong, at in ([0, 2], 1), ([-1], 0), (2, 0):
        with pytest.raises(IdError, match=f"0 to 1, got -?\\d at position {at}"):
            vocab.decode(wrong)
    for odd in [[0.0, 1.0]], [[0, 1], [1, 0]], "ab":
        with pytest.raises(ShapeError, match="integers"):
            vocab.decode(odd)
    assert vocab.decode(1) == vocab.decode(np.int64(1)) == "b"


# -- words ----------------------------------------------------------------------------------------


def test_the_most_frequent_words_come_first() -> None:
    vocab = WordVocab.of("d b b c c c a <unk> d d")
    assert vocab.words == ("c", "d", "b", "<unk>", "a")
    assert WordVocab.of("b b a").words == ("b", "a", "<unk>")
    assert WordVocab.of("").words == ("<unk>",)
    assert vocab.encode("a x c\td \n b").tolist() == [4, 3, 0, 1, 2]
    assert vocab.decode([4, 3, 0]) == "a <unk> c"


def test_the_limit_counts_all_words() -> None:
    text = "a a a b b c\n<eos-like>\n"
    assert WordVocab.of(text, limit=3).words == ("a", "b", "<unk>")
    assert WordVocab.of(text, limit=4, end_of_line="<eos>").words == ("a", "<eos>", "b", "<unk>")
    assert len(WordVocab.of(text, limit=100)) == 5
    for limit in 0, 1, -3, True:
        with pytest.raises(ArgumentError, match="limit"):
            WordVocab.of(text, limit=limit)
    with pytest.raises(ArgumentError, match="more than 2, got 2"):
        WordVocab.of(text, limit=2, end_of_line="<eos>")


def test_lines_end_in_a_word_of_their_own() -> None:
    text = "a b\n\nb a a\n"  # as in the Penn Treebank recipe: text.replace("\n", "<eos>").split()
    vocab = WordVocab.of(text, end_of_line="<eos>")
    assert vocab.words == ("<eos>", "a", "b", "<unk>")
    assert vocab.encode(text).tolist() == [1, 2, 0, 0, 2, 1, 1, 0]
    assert vocab.decode(vocab.encode(text)) == text
    assert vocab.encode("a b").tolist() == [1, 2]  # a prompt is not ended
    assert WordVocab.of(text).decode(WordVocab.of(text).encode(text)) == "a b b a a"


@given(st.lists(st.lists(TOKENS)), st.integers(1, 9))
def test_words_come_back(lines: list[list[str]], chunk: int) -> None:
    text = "".join(" ".join(line) + "\n" for line in lines)
    vocab = WordVocab.of(text, unknown="\\unknown", end_of_line="\\end")
    assert vocab.decode(vocab.encode(text)) == text
    assert vocab_from_dict(json.loads(json.dumps(vocab.to_dict()))) == vocab


def test_word_chunks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"word{n % 13}{' ' if n % 5 else chr(10)}" for n in range(200)) + "\u3000猫\u3000"
    whole = WordVocab.of(text, end_of_line="<eos>")
    monkeypatch.setattr(text_module, "WORDS", text_module.re.compile(r".{1,3}\S*\s?", text_module.re.DOTALL))
    assert WordVocab.of(text, end_of_line="<eos>") == whole
    assert whole.encode(text).tolist() == [whole.words.index(w) for w in text.replace("\n", " <eos> ").split()]


def test_pieces_make_the_text() -> None:
    vocab = WordVocab(["a", "b"], end_of_line="$")
    assert [vocab.piece(0), vocab.piece(1, 0), vocab.piece(3, 1), vocab.piece(0, 3)] == ["a", " b", "\n", "a"]
    assert CharVocab("xy").piece(1, 0) == "y"


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["a", "b", "a"], "'a' twice"),
        (["a b"], "without blanks"),
        ([""], "without blanks"),
        ([1], "without blanks"),
        (["a\u2003"], "without blanks"),
        (["\ud800"], "half of a surrogate pair"),
        ("a b", "WordVocab.of"),
    ],
)
def test_what_no_word_vocabulary_takes(words: Any, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        WordVocab(words)


def test_special_words_are_words() -> None:
    wrong: Any
    for wrong in "", "a b", None, 3:
        with pytest.raises(ArgumentError, match="without blanks"):
            WordVocab(["a"], unknown=wrong)
    with pytest.raises(ArgumentError, match="twice"):
        WordVocab(["a"], unknown="$", end_of_line="$")
    with pytest.raises(ArgumentError, match="read files"):
        WordVocab.of(b"a b")  # type: ignore[arg-type]


# -- plain data -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "vocab", [CharVocab(MIXED), WordVocab(["b", "a"]), WordVocab.of("x y\n<unk>", unknown="?", end_of_line="<eos>")]
)
def test_plain_data_brings_it_back(vocab: Any) -> None:
    again = vocab_from_dict(json.loads(json.dumps(vocab.to_dict())))
    assert again == vocab and type(again) is type(vocab) and len(again) == len(vocab)


def test_equality_and_repr() -> None:
    assert CharVocab("abc") == CharVocab("cbaab") != CharVocab("ab")
    assert WordVocab(["a"]) == WordVocab(["a", "<unk>"]) != WordVocab(["a"], end_of_line="$")
    assert CharVocab("a") != WordVocab(["a"]) and CharVocab("a") != "a"
    assert repr(CharVocab("ba\n")) == "CharVocab('\\nab')"
    assert repr(CharVocab("".join(map(chr, range(65, 165))))) == "CharVocab('ABCDEFGHIJKLMNOPQRST'..., 100 symbols)"
    assert repr(WordVocab(["a", "b", "c", "d"])) == "WordVocab(['a', 'b', 'c', 'd', ...], 5 words)"


GOOD = {"kind": "word", "words": ["a", "<unk>"], "unknown": "<unk>", "end_of_line": None}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "abc",
        {},
        {"kind": "char"},
        {"kind": "char", "symbols": ""},
        {"kind": "char", "symbols": "ba"},  # another order would be other ids
        {"kind": "char", "symbols": "aa"},
        {"kind": "char", "symbols": ["a", "b"]},
        {"kind": "char", "symbols": "a\ud800"},
        {"kind": "char", "symbols": "ab", "more": 1},
        {"kind": "bytes", "symbols": "ab"},
        {"kind": ["char"], "symbols": "ab"},
        {"kind": "word", "words": ["a", "<unk>"]},
        GOOD | {"words": ["a"]},  # the unknown word would become another id
        GOOD | {"words": "a <unk>"},
        GOOD | {"words": ["a", "a", "<unk>"]},
        GOOD | {"words": ["a", ["<unk>"]]},
        GOOD | {"words": [{}, "<unk>"]},
        GOOD | {"words": ["a b", "<unk>"]},
        GOOD | {"unknown": None},
        GOOD | {"end_of_line": 0},
        GOOD | {"end_of_line": "<eos>"},
        GOOD | {"path": "/etc/passwd"},
    ],
)
def test_strange_data_is_refused_in_one_line(data: Any) -> None:
    assert vocab_from_dict(GOOD).to_dict() == GOOD
    with pytest.raises(ArgumentError) as caught:
        vocab_from_dict(data)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 250


# -- files ----------------------------------------------------------------------------------------


def test_files_are_joined_line_by_line(tmp_path: Path) -> None:
    first, second, third = tmp_path / "1.txt", tmp_path / "2.txt", tmp_path / "3.txt"
    first.write_bytes(b"one\r\ntwo\rthree")
    second.write_bytes(b"\xef\xbb\xbf" + JAPANESE.encode())
    third.write_bytes("\ufeffend".encode())
    assert read_text(first) == read_text(str(first)) == "one\ntwo\nthree"
    assert read_text([first, str(second), third]) == f"one\ntwo\nthree\n{JAPANESE}end"
    assert read_text([second]) == JAPANESE


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "got an empty one"),
        (b"\xef\xbb\xbf", "got an empty one"),
        (b"PK\x03\x04\x00\x00", "binary one, byte 4 is NUL"),
        (b"caf\xe9 au lait", "byte 3, 0xE9, is none of UTF-8: convert it, .*iconv -f LATIN1 -t UTF-8"),
        (b"\xed\xa0\x80", "byte 0, 0xED"),  # half of a surrogate pair
        ("あ".encode("shift-jis"), "byte 0, 0x82"),
        ("hello".encode("utf-16"), "iconv -f UTF-16"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, match: str) -> None:
    path, good = tmp_path / "text.txt", tmp_path / "good.txt"
    path.write_bytes(content)
    good.write_text("good")
    with pytest.raises(ArgumentError, match=match) as caught:
        read_text([good, path])
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_the_hint_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "it's; a name.txt"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(ArgumentError) as caught:
        read_text(path)
    command = str(caught.value).split("for example ")[1].removesuffix(" > converted.txt")
    assert shlex.split(command) == ["iconv", "-f", "LATIN1", "-t", "UTF-8", str(path)]


def test_what_is_no_path() -> None:
    wrong: Any
    for wrong in None, 5, [None], b"abc":
        with pytest.raises(ArgumentError, match=r"read_text expects a path or several, got .*: name a text file"):
            read_text(wrong)


def test_equal_vocabularies_are_one_key() -> None:
    for make in lambda: CharVocab("ab"), lambda: WordVocab(["a"], end_of_line="<eos>"):
        assert hash(make()) == hash(make()) and len({make(), make()}) == 1
    assert len({CharVocab("ab"), CharVocab("abc"), WordVocab(["a"]), WordVocab(["a"], end_of_line="$")}) == 4


def test_one_is_no_plural() -> None:
    assert repr(WordVocab([])) == "WordVocab(['<unk>'], 1 word)" and "2 words" in repr(WordVocab(["a"]))
    with pytest.raises(ArgumentError, match="knows 1 symbol, got 'b'"):
        CharVocab("a").encode("b")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.txt cannot be read: No such file") as missing:
        read_text(tmp_path / "none.txt")
    with pytest.raises(OSError, match="got a folder: name the files in it") as folder:
        read_text(tmp_path)
    with pytest.raises(ArgumentError, match="got none"):
        read_text([])
    for error in missing, folder:
        assert len(str(error.value).splitlines()) == 1 and not isinstance(error.value, MinidlError)
