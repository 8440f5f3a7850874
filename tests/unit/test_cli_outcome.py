"""What `minidl train` saves after a NaN, and after a training that is finite and useless."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest

from minidl import CrossEntropy, TextStream, load
from minidl.cli import train
from minidl.trainer import Trainer
from tests.command import run
from tests.parameters import fraction

TEXT = "the quick brown fox jumps over the lazy dog,\nand the lazy dog sleeps on.\n" * 30
WORDS = ["cat", "dog", "sat", "mat", "house", "tree", "river", "stone"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with data for every task; labels and tags are random: no training learns them by luck."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = [rng.choice(WORDS, 5) for _ in range(120)]
    (tmp_path / "text.txt").write_text(TEXT)
    labelled = "".join(f"{' '.join(line)},{rng.choice(['no', 'yes'])}\n" for line in lines)
    (tmp_path / "labels.csv").write_text("text,label\n" + labelled)
    tagged = "\n".join("".join(f"{word}\t{rng.choice(['A', 'B', 'C'])}\n" for word in line) for line in lines)
    (tmp_path / "tags.tsv").write_text(tagged)
    (tmp_path / "pairs.csv").write_text("source,target\n" + "".join(f"{line[0]},{line[1]}\n" for line in lines))
    series = np.sin(np.arange(240) / 3) + rng.standard_normal(240) * 0.1
    (tmp_path / "series.csv").write_text("y\n" + "".join(f"{value}\n" for value in series))
    return tmp_path


TASKS = {
    "char_lm": ["text.txt", "--batch", "4", "--window", "16"],
    "word_lm": ["text.txt", "--batch", "4", "--window", "8"],
    "text_classifier": ["labels.csv"],
    "tagger": ["tags.tsv"],
    "seq2seq": ["pairs.csv"],
    "forecaster": ["series.csv", "--window", "24"],
}


def command(task, *options):
    return ["train", "--model", task, *TASKS[task], "--units", "8", *options]


@pytest.fixture
def nan_at(monkeypatch):
    """A function that puts a NaN into the weights before some epoch, and lets a minute pass in the one before it."""

    def spoil(epoch, minutes=1):
        update = Trainer._update

        def spoiled(self, group):
            if self.epoch == epoch:
                next(iter(self.params.values())).value[...] = np.nan
            elif self.epoch == epoch - 1 and self.keepers and minutes:
                self.keepers[0].written -= 60
            update(self, group)

        monkeypatch.setattr(Trainer, "_update", spoiled)

    return spoil


@pytest.mark.parametrize(
    ("how", "task"), fraction([[], ["--quiet"], ["--json"]], ["char_lm", "text_classifier", "forecaster"])
)
def test_nan_stop_saves_the_best_epoch_and_names_the_checkpoint(how, task, capsys, nan_at):
    assert run(capsys, *command(task, "--epochs", "2", "--quiet", "--out", "whole.npz"))[0] == 0
    nan_at(3)
    code, out, err = run(capsys, *command(task, "--epochs", "3", *how))
    net = load("model.npz")
    assert code == 1 and net.facts["epoch"] in (1, 2) and net.facts["stopped"].startswith("the loss is nan")
    assert all(np.isfinite(p.value).all() for p in net.params.values())
    assert "minidl train: the last checkpoint is model.run/checkpoint-" in err
    assert "minidl train --resume model.run resumes from it" in err
    if how == ["--json"]:
        assert json.loads(out.splitlines()[-1])["saved"] == "model.npz"


def test_nan_stop_saves_the_weights_of_the_best_epoch(capsys, nan_at):
    nan_at(4, minutes=0)
    code, _, err = run(capsys, *command("char_lm", "--epochs", "5", "--quiet"))
    assert code == 1 and err.count("\n") == 1 and not os.path.exists("model.run")  # no minute passed, no checkpoint
    net = load("model.npz")
    valid = TextStream(net.vocab.encode(TEXT)[-len(TEXT) // 10 :], 4, 16)
    bits = Trainer(net, CrossEntropy(), quiet=True).evaluate(valid)["loss"] / math.log(2)
    assert net.facts["epoch"] == 3 and net.facts["valid bits"] == pytest.approx(bits, abs=1e-3)


@pytest.mark.parametrize("task", TASKS)
def test_run_that_diverged_does_not_replace_a_model(task, capsys, folder):
    (folder / "model.npz").write_bytes(b"precious")
    code, out, err = run(capsys, *command(task, "--lr", "300", "--steps", "60", "--quiet"))
    assert code == 1 and not out and (folder / "model.npz").read_bytes() == b"precious"
    first, second = err.splitlines()
    name = "the untrained net" if task == "forecaster" else "a uniform guess"
    assert first.startswith(f"minidl train: model.npz was not replaced, because this run is worse than {name}: ")
    assert second == "minidl train: the run is in model.run: minidl train --resume model.run --out FILE saves it"
    code, _, err = run(capsys, "train", "--resume", "model.run", "--out", "other.npz", "--quiet")
    assert code == 1 and err.startswith(f"minidl train: other.npz is worse than {name}: ") and err.count("\n") == 1
    assert load("other.npz").facts["steps done"] > 0 and not os.path.exists("model.run")


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_run_that_diverged_is_saved_where_nothing_is_lost(how, capsys):
    code, out, err = run(capsys, *command("char_lm", "--lr", "300", "--steps", "60", *how))
    assert code == 1 and "model.npz is worse than a uniform guess: " in err and os.path.exists("model.npz")
    assert not os.path.exists("model.run") and ("saved model.npz" in out or how)


def test_run_that_diverged_and_keeps_the_old_model_says_nothing_of_saving(capsys, folder):
    (folder / "model.npz").write_bytes(b"precious")
    out = run(capsys, *command("char_lm", "--lr", "300", "--steps", "60"))[1]
    assert "saved" not in out
    (folder / "model.run").rename(folder / "old.run")
    out = run(capsys, *command("char_lm", "--lr", "300", "--steps", "60", "--json"))[1]
    assert json.loads(out.splitlines()[-1])["saved"] is None


@pytest.mark.parametrize("task", TASKS)
def test_few_updates_are_no_failure(task, capsys):
    for steps in "1", "3":  # without a model, and in place of one
        assert run(capsys, *command(task, "--steps", steps, "--quiet")) == (0, "", "")


def test_interrupted_run_that_diverged_keeps_its_exit_code(capsys, folder, monkeypatch):
    (folder / "model.npz").write_bytes(b"precious")
    update = Trainer._update

    def interrupt(self, group):
        update(self, group)
        if self.step == 30 and self.keepers:
            self.interrupted = train.INTERRUPTED

    monkeypatch.setattr(Trainer, "_update", interrupt)
    code, _, err = run(capsys, *command("char_lm", "--lr", "300", "--steps", "60", "--quiet"))
    assert code == 130 and "model.npz was not replaced" in err and (folder / "model.npz").read_bytes() == b"precious"
