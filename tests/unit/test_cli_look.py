"""`minidl look`: what is shown in a pipe and in files, and that every mistake is one line."""

import errno
import json
import os
import re

import pytest
from minidl.models import char_lm

from minidl import LSTM, CharVocab, Dense, Embedding, Sequential, durable
from minidl.cli import look as command
from tests.command import refused, run

TEXT = 'He said "yes" (and no),\nthen "no" (and yes).\n' * 30
V = len(set(TEXT))


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model file in the current folder, beside text.txt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    save(char_lm(V, 8), "model.npz")
    return "model.npz"


def save(net, path, text=TEXT):
    """Build a net over the symbols of a text, and save it with them."""
    net.build((None,), seed=0)
    net.vocab = CharVocab.of(text) if text else None
    net.facts = {"text": "text.txt"}
    net.save(path)


def test_the_overview_in_a_pipe(model, capsys):
    code, out, err = run(capsys, "look", model, "text.txt", "--width", "80")
    assert code == 0 and not err and "\x1b" not in out
    assert out.startswith("model.npz reads 1,350 symbols of text.txt\n")
    for words in "inside quotes", "next best", "forget gate", "share of all steps", "steps back", "↵", "▁":
        assert words in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_one_cell_and_one_gate(model, capsys):
    _, out, _ = run(capsys, "look", model, "--text", 'say "yes"', "--cell", "5")
    assert "lstm, cell 5, tanh(c)" in out and 'say "yes"\n' in out and "-1 ▁▂▃▄▅▆▇█ +1" in out
    _, out, _ = run(capsys, "look", model, "text.txt", "--gate", "f", "--layer", "lstm", "--chars", "24")
    assert "lstm, mean forget gate f of all cells" in out and re.search(r"symbols \d+ to \d+ of 1,350", out)
    _, out, _ = run(capsys, "look", model, "text.txt", "--cell", "0", "--gate", "o", "--read", "40")
    assert "lstm, cell 0, output gate o" in out and "reads 40 symbols" in out and "0 shut" in out


def test_a_layer_of_several(model, capsys):
    save(char_lm(V, 8, layers=2), "two.npz")
    _, out, _ = run(capsys, "look", "two.npz", "text.txt")
    assert "lstm, forget gate" in out and "lstm_2, forget gate" in out
    _, out, _ = run(capsys, "look", "two.npz", "text.txt", "--layer", "lstm_2")
    assert "lstm, forget gate" not in out and "lstm_2, forget gate" in out
    assert "lstm, lstm_2" in refused(capsys, "look", "two.npz", "text.txt", "--cell", "3")


def test_json(model, capsys):
    code, out, err = run(capsys, "look", model, "text.txt", "--json", "--cell", "3", "--chars", "45")
    assert code == 0 and not err
    data = json.loads(out)
    assert data["symbols"] == 1350 and data["layers"]["lstm"]["cells"] == 8
    assert len(data["layers"]["lstm"]["gates"]["f"]["mean"]) == 8
    (picture,) = data["pictures"]
    begin = picture["begin"]
    assert "".join(picture["symbols"]) == TEXT[begin : begin + 45] and picture["cell"] == 3
    assert len(picture["values"]) == 45
    assert set(data["following"]["inside quotes"]["cells"][0]) == {"layer", "cell", "r", "found_with"}


def test_html_and_svg(model, capsys, tmp_path):
    code, out, _ = run(capsys, "look", model, "text.txt", "--html", "look.html", "--svg", "look.svg")
    assert code == 0 and out.endswith("saved look.html\nsaved look.svg\n")
    page = (tmp_path / "look.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and "background-color: #" in page
    assert (tmp_path / "look.svg").read_text(encoding="utf-8").startswith("<svg")
    code, out, err = run(capsys, "look", model, "text.txt", "--json", "--svg", "again.svg")
    assert json.loads(out) and err == "saved again.svg\n"


@pytest.mark.parametrize("option", ["--html", "--svg"])
def test_page_that_cannot_be_written_leaves_the_old_one(option, model, capsys, tmp_path, monkeypatch):
    (tmp_path / "page").write_text("old", encoding="utf-8")
    with monkeypatch.context() as patch:

        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(durable, "write", full)
        code, _, err = run(capsys, "look", model, "text.txt", option, "page")
        assert code == 2 and "page: No space left on device: free some space" in err and err.count("\n") == 1
    assert (tmp_path / "page").read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.npz", "page", "text.txt"]
    monkeypatch.setattr(command, "load_model", None)  # what follows is found before the model is read
    assert "The folder does not exist" in refused(capsys, "look", model, option, "nowhere/page")
    (tmp_path / "page").chmod(0o400)
    assert "The file is read-only: make it writable" in refused(capsys, "look", model, option, "page")


def test_without_a_path_it_reads_the_language_reference(model, capsys, monkeypatch):
    monkeypatch.setattr(command, "language_reference", lambda: TEXT)
    code, out, _ = run(capsys, "look", model)
    assert code == 0 and out.startswith("model.npz reads 1,350 symbols of the language reference\n")
    monkeypatch.setattr(command, "language_reference", lambda: "Ünknown")
    assert (
        "has learned text.txt" in (err := refused(capsys, "look", model)) and "minidl look model.npz my_text.txt" in err
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["text.txt", "--cell", "8"], "cells 0 to 7, got 8"),
        (["text.txt", "--cell", "-1"], "expected an integer of at least 0"),
        (["text.txt", "--gate", "z"], "gates i f o"),
        (["text.txt", "--layer", "lstm2"], "did you mean 'lstm'?"),
        (["--text", ""], "expects some text"),
        (["--text", "猫"], "'猫' (U+732B)"),
        (["missing.txt"], "missing.txt cannot be read"),
        (["text.txt", "--text", "both"], "not allowed with"),
        (["text.txt", "--svg", "text.txt"], "--svg expects another file"),
        (["text.txt", "--html", "./model.npz"], "--html expects another file"),
        (["text.txt", "--svg", "no/folder.svg"], "no/folder.svg"),
    ],
)
def test_mistakes_are_one_line(model, capsys, options, words):
    code, _, err = run(capsys, "look", model, *options)
    assert code == 2 and words in err and err.count("\n") == 1, err


def test_nets_that_cannot_be_looked_into(model, capsys):
    save(Sequential([Embedding(V, 4), Dense(V)]), "plain.npz")
    assert "no recurrent layer" in refused(capsys, "look", "plain.npz", "text.txt")
    save(Sequential([Embedding(V, 4), LSTM(4)]), "silent.npz", text="")
    assert "vocabulary" in refused(capsys, "look", "silent.npz", "text.txt")


def test_a_net_that_only_reads_is_looked_into_without_its_way_back(model, capsys):
    save(Sequential([Embedding(V, 4), LSTM(4, return_sequences=True), Dense(2)]), "tagger.npz")
    code, out, _ = run(capsys, "look", "tagger.npz", "text.txt")
    assert code == 0 and "forget gate" in out and "way back" not in out


def test_a_short_text(model, capsys):
    for text in "H", "He", "\n":
        code, out, err = run(capsys, "look", model, "--text", text)
        assert code == 0 and not err and "forget gate" in out
