"""The command on long texts: the ids are on disk, the results are those of short texts, and samples are told."""

import json
import os
import signal
from functools import partial

import numpy as np
import pytest

from minidl import load
from minidl.cli import main
from minidl.cli.tasks import char_lm, language, word_lm
from minidl.corpus import char_corpora, word_corpora, word_corpus
from minidl.trainer import Trainer

TEXT = "the quick brown fox jumps over the lazy dog,\nund der faule Hund schläft.\n" * 30
SMALL = ["--units", "8", "--batch", "4", "--window", "16"]


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "other.txt").write_text("a fox ß\n" * 30, encoding="utf-8")
    return "text.txt"


@pytest.fixture
def as_long(monkeypatch):
    """What makes every text a long one."""

    def switch():
        monkeypatch.setattr(language, "LARGE", 0)
        monkeypatch.setattr(char_lm, "char_corpora", partial(char_corpora, least=0))
        monkeypatch.setattr(word_lm, "word_corpora", partial(word_corpora, least=0))
        monkeypatch.setattr(word_lm, "word_corpus", partial(word_corpus, least=0))

    return switch


@pytest.mark.parametrize("files", [[], ["--valid", "other.txt"], ["--valid", "other.txt", "--test", "other.txt"]])
@pytest.mark.parametrize("model", ["char_lm", "word_lm"])
def test_a_long_text_gives_the_same_model(model, files, text, as_long, capsys):
    command = ["train", "--model", model, text, *files, *SMALL, "--steps", "4", "--json"]
    assert main(command) == 0
    short, before = load("model.npz"), capsys.readouterr()
    as_long()
    assert main(command) == 0
    long, after = load("model.npz"), capsys.readouterr()
    assert (
        not before.err and after.err == "minidl train: text.txt, 0 MB, is read; its ids are kept on disk, in .minidl\n"
    )
    assert json.loads(before.out.splitlines()[0]) == json.loads(after.out.splitlines()[0])
    assert long.vocab == short.vocab and "sample" not in long.facts and os.listdir(".minidl")
    for name, p in short.params.items():
        assert np.array_equal(p.value, long.params[name].value), name


def test_a_long_training_is_gone_on_with(text, as_long, capsys, monkeypatch):
    command = ["train", text, *SMALL, "--steps", "8", "--quiet"]
    as_long()
    assert main(command) == 0
    whole, update = load("model.npz"), Trainer._update

    def pressing(trainer, group):
        update(trainer, group)
        if trainer.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "_update", pressing)
    assert main(command) == 130
    monkeypatch.setattr(Trainer, "_update", update)
    assert main(["train", "--resume", "model.run", "--quiet"]) == 0
    again = load("model.npz")
    assert all(np.array_equal(p.value, again.params[name].value) for name, p in whole.params.items())


def test_figures_of_a_sample_say_so(text, capsys, monkeypatch):
    monkeypatch.setattr(language, "COUNTED", 500)
    monkeypatch.setattr(language, "HELD", 50)
    counted, held = len(TEXT) - round(0.1 * len(TEXT)), round(0.1 * len(TEXT))
    told = (
        f"the n-grams are of a sample: counted on the last 500 of {counted:,} characters, they predict the first 50 of "
        f"{held} held out, and so does the validation"
    )
    assert main(["train", text, *SMALL, "--steps", "2"]) == 0
    assert told in " ".join(capsys.readouterr().out.split())
    assert main(["train", text, *SMALL, "--steps", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["facts"]["sample"] == told
    assert main(["train", text, "--valid", "other.txt", *SMALL, "--steps", "2", "--json"]) == 0
    sample = json.loads(capsys.readouterr().out.splitlines()[0])["facts"]["sample"]
    assert sample.endswith("the first 50 of 240 held out")  # a file of its own is validated with as it is
