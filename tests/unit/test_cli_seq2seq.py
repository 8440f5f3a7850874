"""`minidl train --model seq2seq`: what is learned, what its predictions print, and each mistake in one line."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from minidl import load, translate
from minidl.cli import main
from tests.command import refused, run

SMALL = ["--units", "12", "--batch", "8", "--quiet"]


def rows(count=60, most=30):
    """Sources and targets: words of few letters, and the same in capitals."""
    draw = random.Random(5)
    words = {"".join(draw.choices("abc", k=draw.randint(1, 5))) for _ in range(count)}
    return [(word, word.upper()) for word in sorted(words)[:most]]


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """A file of pairs in the current folder."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{source}\t{target}" for source, target in rows()]
    (tmp_path / "pairs.tsv").write_text("\n".join(["source\ttarget", *lines]), encoding="utf-8")
    return "pairs.tsv"


@pytest.fixture
def model(pairs):
    """A model file, trained a little."""
    assert main(["train", "--model", "seq2seq", pairs, *SMALL, "--steps", "3"]) == 0
    return "model.npz"


def test_what_is_trained_answers(pairs, capsys):
    length = "--epochs", "60", "--units", "48", "--batch", "8", "--valid", pairs
    code, out, _ = run(capsys, "train", "--model", "seq2seq", pairs, *length)
    assert code == 0 and "30 pairs" not in out and "60 pairs" in out  # those of --valid too
    assert "% of the answers as a whole, below every baseline" in out
    assert "--beam 4" in out
    net = load("model.npz")
    assert net.facts["valid exact_match"] > 0.8
    written = run(capsys, "predict", "model.npz", pairs)[1].splitlines()
    right = [mine == target for mine, (_, target) in zip(written, rows(), strict=True)]
    assert np.mean(right) == pytest.approx(net.facts["valid exact_match"], abs=1e-4)


def test_the_predictions_are_those_of_the_library(model, capsys):
    net = load(model)
    assert net.facts["columns"] == {"source": "source", "target": "target"}
    assert net.facts["longest target"] == max(len(target) for _, target in rows()) == 5
    _, out, _ = run(capsys, "predict", model, "--text", "abc\n\ncc", "--beam", "3", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    expected = list(translate(net, net.vocab, ["abc", "", "cc"], 11, beam=3))
    for row, (best, *others) in zip(told, expected, strict=True):
        assert row["target"] == best.text and row["ended"] is best.ended
        assert row["log_probability"] == pytest.approx(best.log_probability, abs=1e-4)
        assert [other["target"] for other in row["others"]] == [other.text for other in others]
    assert [row["source"] for row in told] == ["abc", "", "cc"]
    greedy = json.loads(run(capsys, "predict", model, "--text", "abc", "--json")[1])
    assert "others" not in greedy


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("new.tsv", "source\nabc\ncc\n"),
        ("new.csv", "id,source\n1,abc\n2,cc\n"),
        ("new.jsonl", '{"source": "abc"}\n{"source": "cc", "target": "CC"}\n'),
        ("new.txt", "abc\ncc\n"),
        ("new", "abc\ncc\n"),
    ],
)
def test_inputs_of_all_kinds(model, tmp_path, capsys, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    expected = run(capsys, "predict", model, "--text", "abc\ncc")
    assert expected[1].count("\n") == 2
    assert run(capsys, "predict", model, name) == expected


def test_other_columns_and_words(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"english": f"the {a} {b}", "n": k, "german": f"das {a} {b}"})
             for k, (a, b) in enumerate((a, b) for a in "uvwxyz" for b in "mnop")]  # fmt: skip
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = ["--source", "english", "--target", "german", "--symbols", "words", "--test", "pairs.jsonl"]
    assert main(["train", "--model", "seq2seq", "pairs.jsonl", *SMALL, "--steps", "4", *options]) == 0
    net = load("model.npz")
    assert {"the", "das", "u", "m", "<unk>"} <= set(net.vocab.words) and net.facts["longest target"] == 3
    assert net.facts["columns"] == {"source": "english", "target": "german"}
    assert np.isfinite(net.facts["test loss"]) and 0 <= net.facts["test exact_match"] <= 1
    assert run(capsys, "predict", "model.npz", "--text", "the unheard-of")[0] == 0


def test_equal_sources_are_on_one_side(pairs, tmp_path):
    (tmp_path / "twice.tsv").write_text("source\ttarget\n" + "a\tA\n" * 30 + "b\tB\n" * 30, encoding="utf-8")
    assert main(["train", "--model", "seq2seq", "twice.tsv", *SMALL, "--steps", "40", "--valid", "0.4"]) == 0
    assert load("model.npz").facts["valid accuracy"] <= 0.5  # what was never written cannot be known


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("source,target\na,b\n", [], "--valid 0.1 cannot hold out any of 1 row: give more rows, a larger"),
        ("text\na\nb\n", [], "pairs.csv expects two columns, a source and a target, got 'text' for both"),
        ("source,target\na,b\nc\n", [], "pairs.csv:3 expects 2 fields"),
        ("source,target\na,b\n", ["--source", "sorce"], "no column 'sorce' for the source: did you mean 'source'?"),
        ("source,target\na,b\n", ["--valid", "nothing.csv"], "nothing.csv cannot be read"),
        ("", [], "empty"),
    ],
)
def test_files_that_are_no_pairs(tmp_path, monkeypatch, capsys, text, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text(text, encoding="utf-8")
    assert words in refused(capsys, "train", "--model", "seq2seq", "pairs.csv", *SMALL, "--steps", "1", *options)


def test_no_file_and_a_row_without_a_target(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "--model seq2seq expects pairs of texts" in refused(capsys, "train", "--model", "seq2seq")
    (tmp_path / "pairs.jsonl").write_text('{"source": "a", "target": "b"}\n{"source": "c"}\n', encoding="utf-8")
    assert "pairs.jsonl:2 has no 'target'" in refused(capsys, "train", "--model", "seq2seq", "pairs.jsonl", *SMALL)


def test_inputs_that_cannot_be_read(model, tmp_path, capsys):
    assert "--text, line 2: CharVocab knows 6 symbols, got 'x'" in refused(capsys, "predict", model, "--text", "a\nx")
    (tmp_path / "new.csv").write_text("source\nab\naxb\n", encoding="utf-8")
    assert "new.csv:3: CharVocab knows 6 symbols, got 'x'" in refused(capsys, "predict", model, "new.csv")
    net = load(model)
    del net.facts["longest target"]
    net.save("less.npz")
    assert "'longest target' must be of type int, got None" in refused(capsys, "predict", "less.npz", "--text", "a")
    net = load(model)
    net.vocab = None
    net.save("less.npz")
    assert "less.npz has no vocabulary" in refused(capsys, "predict", "less.npz", "--text", "a")


def test_the_help_tells_the_options_in_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(capsys, "train", "--model", "seq2seq", "--help")
    assert code == 0 and all(len(line) <= 80 for line in out.splitlines())
    assert "--source NAME" in out and "--symbols {chars,words}" in out and "(default: 128)" in out


def test_it_cannot_be_sampled(model, capsys):
    assert "so it cannot go on with a text: use minidl predict" in refused(capsys, "sample", model)
