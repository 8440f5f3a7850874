"""Texts as ids on disk: the same ids as in memory, for any text in any pieces; and never ids of another text."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import (
    CharVocab,
    TextStream,
    WordVocab,
    char_corpus,
    corpus,
    durable,
    fingerprints,
    mapped,
    ownership,
    word_corpus,
)
from minidl.corpus import char_corpora, cut_lines, is_long, word_corpora
from minidl.encoding import char_ids, lines_in, part_of, symbols_of, word_ids, word_lists
from minidl.errors import ArgumentError
from minidl.pieces import digests_of, pieces_of, pieces_of_file
from minidl.text import check_paths, read_text

MIXED = "to be, or not to be:\r\nc'est la très vieille question\r吾輩は猫である。 👩‍👩‍👧 \U0010ffff\n\n"
TEXTS = st.text(st.sampled_from("aab \n\r\x1c\u2028é\ufeff猫\U0001f600")) | st.text(
    st.characters(exclude_categories=["Cs"])
)
PARTS = b"a", b"\r", b"\n", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe7\x8c\xab", b"\xe7\x8c", b"\xab", b"\xf0\x9f"
BYTES = st.binary(max_size=9) | st.lists(st.sampled_from(PARTS)).map(b"".join)
READABLE = TEXTS.map(lambda text: text.replace("\0", "")).filter(lambda text: text.removeprefix("\ufeff"))


def cut(data, size):
    return (data[at : at + size] for at in range(0, len(data), size))


def outcome(read):
    """What is read, or what is said of it."""
    try:
        return read()
    except ArgumentError as error:
        return str(error)


@pytest.fixture
def big(tmp_path):
    path = tmp_path / "big.txt"
    path.write_bytes(MIXED.encode() * 50)
    return path


# -- pieces ---------------------------------------------------------------------------------------


@given(TEXTS.map(str.encode) | BYTES, st.integers(1, 7))
def test_pieces_are_what_read_text_gives(tmp_path_factory, data, size):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(data)

    def whole():
        pieces = list(pieces_of_file(path, cut(data, size)))
        assert all(piece.characters == len(piece.text) for piece in pieces)
        assert all(piece.others == "".join(c for c in piece.text if not c.isascii()) for piece in pieces)
        return "".join(piece.text for piece in pieces)

    expected = outcome(lambda: read_text(path))
    assert outcome(whole) == ("" if "got an empty one" in expected else expected)


@given(st.lists(READABLE, min_size=1, max_size=3), st.integers(4, 9))
def test_ids_are_those_of_the_text_in_memory(tmp_path_factory, texts, size):
    paths = [tmp_path_factory.getbasetemp() / f"{k}.txt" for k in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.encode())
    whole = read_text(paths)
    chars, words = CharVocab.of(whole), WordVocab.of(whole, limit=5, end_of_line="<eos>")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minidl.pieces.PIECE", size)
        assert symbols_of(pieces_of(paths)) == chars
        assert np.concatenate(list(char_ids(chars, pieces_of(paths)))).tolist() == chars.encode(whole).tolist()
        assert WordVocab.of_lists(word_lists(pieces_of(paths), "<eos>"), 5, "<unk>", "<eos>") == words
        ids = [id for part in word_ids(words, pieces_of(paths)) for id in part.tolist()]
        assert ids == words.encode(whole).tolist()


def test_ascii_that_a_given_vocabulary_does_not_have_is_no_other_symbol(tmp_path):
    path = tmp_path / "text.txt"
    for text in "aé b", "é b", "b é", " b", "béé", "bb":
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ArgumentError, match=rf"got 'b' .U\+0062. at position {text.index('b')}:"):
            char_corpus(path, CharVocab("aé "), least=0)


@pytest.mark.parametrize("size", [3, 8, 1000])
def test_what_a_given_vocabulary_does_not_have_is_named(big, size, monkeypatch):
    monkeypatch.setattr("minidl.pieces.PIECE", size)
    text = read_text(big)
    for missing in "q", "猫", "\U0010ffff":
        vocab = CharVocab(text.replace(missing, ""))
        with pytest.raises(ArgumentError) as expected:
            vocab.encode(text)
        with pytest.raises(ArgumentError) as caught:
            char_corpus(big, vocab, least=0)
        assert str(caught.value) == str(expected.value)
    assert [*(big.parent / ".minidl").iterdir()] == [big.parent / ".minidl" / ".gitignore"]


def test_files_that_are_no_text_say_the_same(tmp_path):
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("good")
    for data in b"", b"\xef\xbb\xbf", b"PK\x03\x04\0\0", b"caf\xe9", "hello".encode("utf-16"), b"caf\xe9" * 99 + b"\0":
        bad.write_bytes(data)
        assert outcome(lambda: char_corpus([good, bad], least=0)) == outcome(lambda: read_text([good, bad]))
        assert outcome(lambda: word_corpus([good, bad], least=0)) == outcome(lambda: read_text([good, bad]))
    with pytest.raises(FileNotFoundError, match="cannot be read: No such file"):
        char_corpus(tmp_path / "none.txt", least=0)
    with pytest.raises(OSError, match="got a folder"):
        char_corpus(tmp_path, least=0)
    with pytest.raises(ArgumentError, match="word_corpus expects a path or several, got none"):
        word_corpus([])


# -- corpora --------------------------------------------------------------------------------------


@pytest.mark.parametrize("least", [0, 1 << 24])
@pytest.mark.parametrize("symbols", [0, 300, 70_000])
def test_characters_on_disk_and_in_memory(tmp_path, symbols, least):
    path = tmp_path / "text.txt"
    path.write_bytes((MIXED + "".join(map(chr, range(0x20000, 0x20000 + symbols)))).encode())
    text = read_text([path, path])
    found = char_corpus([path, str(path)], least=least)
    assert found.vocab == CharVocab.of(text) and found.characters == len(text)
    assert found.ids.dtype == found.vocab.dtype and np.array_equal(found.ids, found.vocab.encode(text))
    assert isinstance(found.ids, np.memmap) == (found.path is not None) == (least == 0)
    if least == 0:
        assert not found.ids.flags.writeable and found.path.parent == tmp_path / ".minidl"
        assert char_corpus(path, least=0).path != found.path  # of other files


@pytest.mark.parametrize("least", [0, 1 << 24])
def test_words_on_disk_and_in_memory(big, least):
    text = read_text(big)
    for options in {}, {"limit": 5, "end_of_line": "<eos>"}, {"limit": 6, "unknown": "?"}:
        vocab = WordVocab.of(text, **options)
        for found in word_corpus(big, least=least, **options), word_corpus(big, vocab, least=least):
            assert found.vocab == vocab and found.characters == len(text)
            assert found.ids.dtype == vocab.dtype and np.array_equal(found.ids, vocab.encode(text))


def test_a_text_without_words(tmp_path):
    path = tmp_path / "blank.txt"
    path.write_text(" \n ")
    found = word_corpus(path, least=0)
    assert found.ids.shape == (0,) and found.vocab.words == ("<unk>",) and found.characters == 3
    assert word_corpus(path, least=0).ids.shape == (0,)


def test_vocabularies_of_the_wrong_kind(big):
    with pytest.raises(ArgumentError, match="for words there is word_corpus"):
        char_corpus(big, WordVocab(["a"]))
    with pytest.raises(ArgumentError, match="for characters there is char_corpus"):
        word_corpus(big, CharVocab("a"))
    with pytest.raises(ArgumentError, match="got both"):
        word_corpus(big, WordVocab(["a"]), limit=5)
    with pytest.raises(ArgumentError, match="more than 1, got 1"):
        word_corpus(big, limit=1, least=0)


def test_several_texts_share_a_vocabulary(big, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("Zürich")
    both = CharVocab.of(read_text(big) + "Zürich")
    for least in 0, 10, 1 << 24:
        one, other = char_corpora([[big], [short]], least=least)
        assert one.vocab == other.vocab == both and (one.path is None, other.path is None) == (least > 10, least > 0)
        assert both.decode(one.ids) == read_text(big) and both.decode(other.ids) == "Zürich"


@given(READABLE, st.integers(4, 9), st.integers(0, 9))
def test_lines_of_any_text(tmp_path_factory, text, size, cut):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(text.encode())
    lines = read_text(path).splitlines(keepends=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minidl.pieces.PIECE", size)
        assert lines_in(pieces_of([path])) == len(lines)
        for first, expected in (True, lines[:cut]), (False, lines[cut:]):
            found = list(part_of(pieces_of([path]), cut, first))
            assert "".join(piece.text for piece in found) == "".join(expected)
            assert all(piece.characters == len(piece.text) for piece in found)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_words_of_lines_that_are_held_out_are_not_learned(big, share):
    big.write_bytes(big.read_bytes() + b"a word that is new")
    options = {"limit": 9, "end_of_line": "<eos>"}
    for least in 0, 1 << 24:
        train, held = word_corpora(big, share, least=least, **options)
        texts = cut_lines(read_text(big), share)
        assert "".join(texts) == read_text(big) and "new" in texts[1]
        assert train.vocab == held.vocab == WordVocab.of(texts[0], **options)
        for found, text in (train, texts[0]), (held, texts[1]):
            assert np.array_equal(found.ids, train.vocab.encode(text)) and found.characters == len(text)
            assert (found.path is None) == (least > 0)
    assert not made_anew(lambda: word_corpora(big, share, least=0, **options)[0])
    assert not made_anew(lambda: word_corpora(big, share, least=0, **options)[1])


@pytest.mark.parametrize("least", [0, 1 << 24])
def test_a_line_is_left_to_learn(tmp_path, least):
    path = tmp_path / "line.txt"
    path.write_text("one line")
    with pytest.raises(ArgumentError, match=r"share of 0\.1 of 1 line leaves none to learn: give more lines"):
        word_corpora(path, 0.1, least=least)


def test_what_is_long(big):
    assert is_long([big], big.stat().st_size) and not is_long([big], big.stat().st_size + 1)
    assert is_long([big, big], big.stat().st_size + 1)
    assert not is_long([big, big.parent / os.devnull], 0)  # what can be read only once is read once


# -- the files of the ids ---------------------------------------------------------------------------


def made_anew(read):
    """Whether reading writes the ids again; they are right in any case."""
    before = {path: path.stat().st_ino for path in read().path.parent.glob("*.ids")}
    found = read()
    return before.get(found.path) != found.path.stat().st_ino


def test_ids_are_written_once(big):
    assert not made_anew(lambda: char_corpus(big, least=0))
    assert not made_anew(lambda: word_corpus(big, limit=9, least=0))
    moved = big.parent / "moved"
    moved.mkdir()
    for path in big, big.parent / ".minidl":
        shutil.move(path, moved)
    count = len(list((moved / ".minidl").iterdir()))
    char_corpus(moved / "big.txt", least=0)
    assert len(list((moved / ".minidl").iterdir())) == count == 3  # the characters, the words, .gitignore


def test_ids_of_a_changed_text_are_never_used(big):
    old = char_corpus(big, least=0)
    kept, before = np.array(old.ids), big.stat()
    big.write_bytes(big.read_bytes().replace(b"question", b"QUESTION"))
    os.utime(big, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same length and date
    new = char_corpus(big, least=0)
    assert new.path == old.path and new.vocab.decode(new.ids) == read_text(big) != old.vocab.decode(kept)
    assert np.array_equal(old.ids, kept)  # whoever has mapped the old file still has it


def test_damaged_ids_are_made_anew(big):
    right = char_corpus(big, least=0)
    data, kept = right.path.read_bytes(), np.array(right.ids)
    for at in 0, len(kept) // 2, len(kept) - 1, len(kept), len(kept) + 40, len(data) - 20, len(data) - 1:
        right.path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        found = char_corpus(big, least=0)
        assert np.array_equal(found.ids, kept) and found.path.read_bytes() == data
    for wrong in b"", data[:7], data[:-1], data[1:], data[: len(kept)], b"\0" * len(data):
        right.path.write_bytes(wrong)
        assert np.array_equal(char_corpus(big, least=0).ids, kept)
    assert not made_anew(lambda: char_corpus(big, least=0))


def test_files_that_claim_too_much_are_no_ids(tmp_path):
    path = tmp_path / "strange.ids"
    for dtype, count in ("|O", 3), ("|u1", 10**9), ("|u1", -1), ("<f4", 1):
        told = json.dumps({"dtype": dtype, "count": count, "checksum": 0, "facts": {}}).encode()
        path.write_bytes(bytes(24) + told + mapped.TAIL.pack(len(told), zlib.crc32(told), mapped.MAGIC))
        assert mapped.read(path) is None


def rewritten(path, change=lambda about: about, body=None):
    """Ids that somebody wrote, with checksums that are right: other facts, other ids."""
    data = path.read_bytes()
    length, _, magic = mapped.TAIL.unpack(data[-mapped.TAIL.size :])
    about = json.loads(data[-mapped.TAIL.size - length : -mapped.TAIL.size])
    body = data[: -mapped.TAIL.size - length] if body is None else body
    about = change(about | {"checksum": zlib.crc32(body)})
    text = about if isinstance(about, bytes) else json.dumps(about).encode()
    path.write_bytes(body + text + mapped.TAIL.pack(len(text), zlib.crc32(text), magic))


def without(name):
    return lambda about: {other: value for other, value in about.items() if other != name}


def with_fact(name, value):
    return lambda about: about | {"facts": about["facts"] | {name: value}}


WORDS = {"kind": "word", "words": ["a", "<unk>"], "unknown": "<unk>", "end_of_line": None}
CRAFTED = {
    "no facts": without("facts"), "no checksum": without("checksum"), "no count": without("count"),
    "a count of a word": lambda about: about | {"count": "5"},
    "a count of a float": lambda about: about | {"count": 3.0},
    "facts of a list": lambda about: about | {"facts": []}, "deep lists": lambda about: b"[" * 100_000,
    "no JSON": lambda about: b"{", "a number": lambda about: b"5", "no vocabulary": with_fact("vocab", None),
    "an empty vocabulary": with_fact("vocab", {}), "a vocabulary of words": with_fact("vocab", WORDS),
    "too few symbols": with_fact("vocab", {"kind": "char", "symbols": "ab"}),
    "no symbols": with_fact("vocab", {"kind": "char", "symbols": ""}),
    "half a surrogate pair": with_fact("vocab", {"kind": "char", "symbols": "\ud800"}),
    "a word as texts": with_fact("texts", "x"), "other characters": with_fact("characters", 5),
    "no characters": with_fact("characters", None),
}  # fmt: skip


@pytest.mark.parametrize("change", CRAFTED.values(), ids=CRAFTED)
def test_crafted_ids_are_made_anew(change, big):
    right = char_corpus(big, least=0)
    kept, data = np.array(right.ids), right.path.read_bytes()
    rewritten(right.path, change)
    assert right.path.read_bytes() != data
    found = char_corpus(big, least=0)
    assert np.array_equal(found.ids, kept) and found.vocab == right.vocab and found.path.read_bytes() == data


def test_ids_that_the_vocabulary_does_not_have_are_made_anew(big):
    right = char_corpus(big, least=0)
    kept = np.array(right.ids)
    rewritten(right.path, body=bytes([len(right.vocab)]) + kept.tobytes()[1:])
    assert np.array_equal(char_corpus(big, least=0).ids, kept)


def test_words_that_are_no_vocabulary_are_made_anew(big):
    right = word_corpus(big, least=0)
    kept, plain = np.array(right.ids), right.vocab.to_dict()
    for words in [5], [[]], ["a b"], [""], ["a", "a"], None, plain["words"][:-1]:
        rewritten(right.path, with_fact("vocab", plain | {"words": words}))
        found = word_corpus(big, least=0)
        assert np.array_equal(found.ids, kept) and found.vocab == right.vocab


OWNERS = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no owners of files")
ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give a file away")


@OWNERS
def test_ids_are_written_to_a_folder_of_the_user_alone(big):
    before = os.umask(0)  # as open as it can be
    try:
        made = char_corpus(big, least=0)
    finally:
        os.umask(before)
    assert made.path.parent.stat().st_mode & 0o777 == 0o700 and not made.path.stat().st_mode & 0o022
    assert not made_anew(lambda: char_corpus(big, least=0))


@OWNERS
@pytest.mark.parametrize("mode", [0o666, 0o664, 0o602])
def test_a_file_that_others_may_write_is_made_anew(mode, big):
    right = char_corpus(big, least=0)
    kept, inode = np.array(right.ids), right.path.stat().st_ino
    rewritten(right.path, body=bytes(len(kept)))
    right.path.chmod(mode)
    assert np.array_equal(char_corpus(big, least=0).ids, kept)
    assert right.path.stat().st_ino != inode and not right.path.stat().st_mode & 0o022
    assert not made_anew(lambda: char_corpus(big, least=0))


@OWNERS
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_folder_that_others_may_write_is_not_used(mode, big, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    beside = char_corpus(big, least=0).path
    beside.parent.chmod(mode)
    with pytest.warns(UserWarning, match=r"\.minidl is not used, it can be written by other users\. The ids") as told:
        found = char_corpus(big, least=0)
    assert found.path.parent == tmp_path / "cache" / "minidl" and len(told) == 1
    assert told[0].filename == __file__
    with pytest.raises(ArgumentError, match=r"it can be written by other users\. Run chmod go-w on a folder"):
        char_corpus(big, least=0, folder=beside.parent)


@ROOT
@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_ids_of_another_user_are_not_used(what, big, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    right = char_corpus(big, least=0)
    kept, folder = np.array(right.ids), right.path.parent
    rewritten(right.path, body=bytes(len(kept)))
    if what == "file":
        os.chown(right.path, 12345, 12345)
        assert np.array_equal(char_corpus(big, least=0).ids, kept) and right.path.stat().st_uid == 0
        return
    if what == "link":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    os.chown(folder, 12345, 12345, follow_symlinks=False)
    with pytest.warns(UserWarning, match=r"\.minidl is not used, it belongs to another user\. The ids of the text are"):
        found = char_corpus(big, least=0)
    assert np.array_equal(found.ids, kept) and found.path.parent == tmp_path / "cache" / "minidl"


@ROOT
def test_a_file_of_root_is_trusted_by_other_users_but_not_the_other_way_round(big):
    of_root = big.stat()
    os.chown(big, 12345, 12345)
    of_user = big.stat()
    assert ownership.reason(of_root) is None and ownership.reason(of_user) == "belongs to another user"
    os.seteuid(12345)
    try:
        assert ownership.reason(of_root) is None and ownership.reason(of_user) is None
    finally:
        os.seteuid(0)


def test_a_text_that_is_written_to_meanwhile(big, monkeypatch):
    def learned(pieces):
        with big.open("a") as file:
            file.write("more")
        return CharVocab.of(read_text(big))

    with pytest.raises(ArgumentError, match="was written to while it was read: try again"):
        corpus.on_disk([big], None, learned, char_ids, {"kind": "chars"}, None)
    assert [path.name for path in (big.parent / ".minidl").iterdir()] == [".gitignore"]


def test_a_full_disk_is_one_line_and_leaves_nothing(big, monkeypatch):
    def full(handle, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    char_corpus(big, least=0, folder=big.parent / "others")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left on device: free some space") as caught:
        char_corpus(big, least=0, folder=big.parent / "ids")
    assert len(str(caught.value).splitlines()) == 1 and list((big.parent / "ids").iterdir()) == []
    assert char_corpus(big, least=0, folder=big.parent / "others").path.exists()  # what is there needs no space


def test_beside_the_text_or_in_the_cache_of_the_user(big, tmp_path, monkeypatch):
    refused, tried = set(), durable.try_out

    def try_out(folder):
        if folder in refused:
            raise PermissionError(errno.EACCES, "Permission denied: allow writing to the folder", str(folder))
        tried(folder)

    monkeypatch.setattr(durable, "try_out", try_out)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    refused.add(tmp_path / ".minidl")
    elsewhere = char_corpus(big, least=0)
    assert elsewhere.path.parent == tmp_path / "cache" / "minidl" and not (tmp_path / ".minidl").exists()
    assert not made_anew(lambda: char_corpus(big, least=0))
    refused.add(tmp_path / "cache" / "minidl")
    assert char_corpus(big, least=0).path == elsewhere.path  # to read it, nothing is written
    with pytest.raises(PermissionError, match="allow writing"):
        word_corpus(big, least=0)
    refused.clear()
    beside = word_corpus(big, least=0)
    assert beside.path.parent == tmp_path / ".minidl" and (tmp_path / ".minidl" / ".gitignore").read_text() == "*\n"


def test_what_killed_writers_left_is_removed(big):
    folder = char_corpus(big, least=0).path.parent
    old, new = (folder / f"{durable.PREFIX}{name}" for name in ("old", "new"))
    for path in old, new:
        path.write_bytes(b"half of the ids")
    os.utime(old, (0, time.time() - 2 * durable.STALE_SECONDS))
    word_corpus(big, least=0)
    assert not old.exists() and new.exists()  # another process may be writing it


def test_many_at_once(big):
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda k: char_corpus(big, least=0), range(12)))
    text = read_text(big)
    assert all(one.vocab.decode(one.ids) == text for one in found)
    assert sorted(path.name for path in found[0].path.parent.iterdir()) == [".gitignore", found[0].path.name]


def test_other_processes_share_the_file(big):
    code = "import sys, minidl; c = minidl.char_corpus(sys.argv[1], least=0); print(c.path.stat().st_ino, len(c.ids))"
    mine = char_corpus(big, least=0)
    told = subprocess.run([sys.executable, "-c", code, str(big)], capture_output=True, text=True, check=True).stdout
    assert told.split() == [str(mine.path.stat().st_ino), str(len(mine.ids))]


def test_digests_are_of_the_very_bytes(big, tmp_path):
    other = tmp_path / "other.txt"
    other.write_bytes(big.read_bytes().replace(b"\r\n", b"\n"))
    hashes = []
    list(pieces_of(check_paths("test", [big, other]), hashes))
    assert [one.hexdigest() for one in hashes] == digests_of([big, other]) and len(set(digests_of([big, other]))) == 2


# -- what is made of them ---------------------------------------------------------------------------


def test_streams_are_views_of_the_file(big):
    ids = char_corpus(big, least=0).ids
    train, held = minidl.split(ids, 0.25)
    stream, in_memory = TextStream(train, 4, 9), TextStream(np.array(train), 4, 9)
    assert np.shares_memory(stream.x, ids) and np.shares_memory(next(iter(TextStream(held, 2, 5))).t, ids)
    for one, other in zip(stream, in_memory, strict=True):
        assert one.x.tolist() == other.x.tolist() and one.t.tolist() == other.t.tolist()
    assert mapped.whole_of(stream.t) is mapped.whole_of(held) is not None
    assert mapped.whole_of(in_memory.x) is mapped.whole_of(ids + 1) is mapped.whole_of(np.array(ids)) is None


def test_a_resume_knows_the_data_by_the_checksum_of_the_file(big):
    first = fingerprints.of_data(TextStream(char_corpus(big, least=0).ids, 4, 9))
    assert first == fingerprints.of_data(TextStream(char_corpus(big, least=0).ids, 4, 9))
    assert first != fingerprints.of_data(TextStream(char_corpus(big, least=0).ids[1:], 4, 9))
    assert first != fingerprints.of_data(TextStream(char_corpus(big, least=0).ids, 2, 9))
    big.write_bytes(big.read_bytes().replace(b"question", b"QUESTION"))
    assert first != fingerprints.of_data(TextStream(char_corpus(big, least=0).ids, 4, 9))


def test_baselines_look_at_their_sample_only(monkeypatch):
    monkeypatch.setattr("minidl.baselines.MOST", 100)
    good = np.tile([0, 1, 2], 100)
    long = np.concatenate([[9], good]), np.concatenate([good, [9]])  # the nines are far from the cut
    assert minidl.ngram_bits(*long, vocab_size=3) == minidl.ngram_bits(good, good, vocab_size=3)
    with pytest.raises(minidl.IdError, match="got 9"):
        minidl.ngram_bits(long[1], good, vocab_size=3)
