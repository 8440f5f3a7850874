"""The command, in this process: what is saved, what is said, and that every mistake is one line and exit code 2."""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import Checkpoint, CrossEntropy, Dense, Sequential, TextStream, durable, generate_text, load, models
from minidl.cli import finishing, main, train
from minidl.cli.options import count, number
from minidl.cli.tasks import NAMES, char_lm, language, task_of
from minidl.escaping import escape
from minidl.trainer import Trainer
from tests.command import refused, run
from tests.parameters import fraction, slow

TEXT = "the quick brown fox jumps over the lazy dog,\nand the lazy dog sleeps on.\n" * 30
SMALL = ["--units", "8", "--batch", "4", "--window", "16"]


@pytest.fixture
def text(tmp_path, monkeypatch):
    """A text file in the current folder, which is an empty one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return "text.txt"


@pytest.fixture
def model(text):
    """A model file, trained a little."""
    assert main(["train", text, *SMALL, "--steps", "3", "--quiet"]) == 0
    return "model.npz"


# -- what works ---------------------------------------------------------------------------------------


def test_training_says_what_it_does_and_saves_a_model(text, capsys):
    code, out, err = run(capsys, "train", text, *SMALL, "--steps", "3")
    assert code == 0 and not err
    for words in (
        "text.txt",
        f"{len(TEXT):,} characters",
        "LSTM 1x8",
        "uniform",
        "5-gram",
        "epoch",
        "sample",
        "saved model.npz",
    ):
        assert words in out
    assert "\x1b" not in out and "\r" not in out
    assert all(len(line) <= 80 for line in out.splitlines() if "saved" not in line)
    net = load("model.npz")
    assert net.vocab.symbols == "".join(sorted(set(TEXT)))
    assert net.facts["steps"] == net.facts["steps done"] == 3 and net.facts["units"] == 8
    assert sorted(os.listdir()) == ["model.npz", "text.txt"]


def test_several_texts_are_one(text, tmp_path, capsys):
    (tmp_path / "ja.txt").write_text("吾輩は猫である。名前はまだ無い。\n" * 40, encoding="utf-8")
    code, out, _ = run(capsys, "train", text, "ja.txt", *SMALL, "--steps", "2", "--out", "both.npz")
    assert code == 0 and "text.txt, ja.txt" in out
    assert {"猫", "q"} <= set(load("both.npz").vocab.symbols)


def test_quiet_prints_nothing(text, capsys):
    assert run(capsys, "train", text, *SMALL, "--steps", "2", "--quiet") == (0, "", "")


def test_json_is_json_line_by_line(text, capsys):
    code, out, err = run(capsys, "train", text, *SMALL, "--epochs", "2", "--json")
    assert code == 0 and not err
    first, *rows, last = [json.loads(line) for line in out.splitlines()]
    assert list(first["baselines"]) == ["uniform", "unigram", "2-gram", "3-gram", "4-gram", "5-gram"]
    assert [row["epoch"] for row in rows] == [1, 2] and all("sample" in row for row in rows)
    assert last["saved"] == "model.npz"
    assert last["facts"]["valid bits"] == pytest.approx(rows[-1]["valid_loss"] / math.log(2), abs=1e-4)


def test_the_same_seed_is_the_same_run(text, capsys):
    figures = []
    for out, seed in ("a.npz", "3"), ("b.npz", "3"), ("c.npz", "4"):
        options = [*SMALL, "--steps", "12", "--dropout", "0.2", "--seed", seed, "--out", out, "--json"]
        _, said, _ = run(capsys, "train", text, *options)
        rows = [json.loads(line) for line in said.splitlines()][1:-1]
        figures.append([{k: v for k, v in row.items() if "second" not in k} for row in rows])
    a, b, c = (load(path).params for path in ("a.npz", "b.npz", "c.npz"))
    assert all(np.array_equal(a[name].value, b[name].value) for name in a)
    assert not any(np.array_equal(a[name].value, c[name].value) for name in ("lstm.Wx", "dense.W"))
    assert figures[0] == figures[1] != figures[2]


def repeated(monkeypatch, facts, *argv):
    """Train for the steps, and along the schedule, that the facts of a model name; returns the exit code."""
    schedule = eval(facts["schedule"], vars(minidl))
    with monkeypatch.context() as patch:
        patch.setattr(type(task_of("char_lm")), "optimizer", lambda *_: minidl.Adam(schedule))
        return main(["train", *argv, "--steps", str(facts["steps"]), "--quiet"])


def test_minutes_are_steps_that_can_be_repeated(text, capsys, monkeypatch):
    assert main(["train", text, *SMALL, "--minutes", "0.005", "--quiet"]) == 0
    timed = load("model.npz")
    assert timed.facts["minutes"] == 0.005 and timed.facts["steps"] >= 1
    assert timed.facts["steps done"] <= timed.facts["steps"]  # of the best epoch
    assert repeated(monkeypatch, timed.facts, text, *SMALL) == 0
    again = load("model.npz")
    assert all(np.array_equal(p.value, again.params[name].value) for name, p in timed.params.items())
    assert {k: v for k, v in timed.facts.items() if k not in ("seconds", "minutes")} == {
        k: v for k, v in again.facts.items() if k not in ("seconds", "minutes")
    }


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_the_best_epoch_is_saved_and_said(how, text, tmp_path, capsys):
    """What is held out is not what is trained on: the more is learned, the worse it gets."""
    (tmp_path / "odd.txt").write_text("ab" * 450 + "aabb" * 25, encoding="utf-8")
    options = [*SMALL, "--lr", "0.02", "--epochs", "8", *how]
    code, out, _ = run(capsys, "train", "odd.txt", *options)
    net = load("model.npz")
    valid = TextStream(net.vocab.encode("aabb" * 25), 3, 16)
    bits = Trainer(net, CrossEntropy(), quiet=True).evaluate(valid)["loss"] / math.log(2)
    assert code == 1  # for even the best epoch is worse than a uniform guess of two symbols
    assert net.facts["epoch"] < 8 and net.facts["valid bits"] == pytest.approx(bits, abs=1e-3)
    assert net.facts["steps done"] == net.facts["epoch"] * net.facts["steps"] / 8
    if how:
        rows = [json.loads(line) for line in out.splitlines()][1:-1]
        assert min(row["valid_loss"] for row in rows) == rows[net.facts["epoch"] - 1]["valid_loss"]
    else:
        assert f"validation {bits:.3f} bits" in out and f"\nepoch {net.facts['epoch']} is kept; the last had " in out
        assert ": fewer --epochs, or more data, would help\n" in out


def test_a_link_leads_to_the_file_that_is_written(text, tmp_path, capsys):
    (tmp_path / "models").mkdir()
    (tmp_path / "model.npz").symlink_to("models/real.npz")
    code, out, _ = run(capsys, "train", text, *SMALL, "--steps", "1")
    assert code == 0 and "saved model.npz" in out
    assert (tmp_path / "model.npz").is_symlink() and load("models/real.npz").vocab is not None
    (tmp_path / "lost.npz").symlink_to("nowhere/real.npz")
    assert "nowhere first" in refused(capsys, "train", text, *SMALL, "--out", "lost.npz")


STRANGE = "it's\x1b[31m a\x07\n\x9b\u202e.txt"


def test_names_and_prompts_that_a_terminal_would_obey(text, tmp_path, capsys):
    (tmp_path / STRANGE).write_text(TEXT + "\x1b[2J\x07" * 9, encoding="utf-8")
    options = [*SMALL, "--steps", "1", "--out", STRANGE + ".npz", "--prompt", "\x1b[2J"]
    code, out, err = run(capsys, "train", STRANGE, *options)
    assert code == 0 and not err and "\\x1b[31m" in out and "--prompt $'\\x1b[2J'" in out
    code, told, _ = run(capsys, "info", STRANGE + ".npz")
    assert code == 0 and "\\x1b[31m" in told
    assert all(c.isprintable() or c == "\n" for c in out + told)
    errors = [refused(capsys, *argv) for argv in (
        ["train", "\n".join([STRANGE] * 2)], ["train", "--out", STRANGE + "/model.npz"], ["sample", "a\n\x1bb"],
        ["info", "a\n\x1bb"], ["info", "a", "\x1b[31m"], ["train", "--lr", "\x1b[31m\n"],
    )]  # fmt: skip
    assert all(error[:-1].isprintable() for error in errors)
    assert escape("café – 猫 \udce9\n") == "café – 猫 \\udce9\\n"


def test_what_a_strangers_file_says_of_itself(text, capsys):
    net = Sequential([Dense(2)])
    net.build((3,))
    net.facts = {"text\x1b[31m": "a\nb\x07"}
    net.save("stranger.npz")
    code, out, _ = run(capsys, "info", "stranger.npz")
    assert code == 0 and "text\\x1b[31m  a\\nb\\x07\n" in out


@pytest.mark.parametrize(
    ("options", "classes"),
    [
        (["--layers", "2"], ["Embedding", "LSTM", "LSTM", "Dense", "Softmax"]),
        (["--peephole", "none", "--dropout", "0.1"], ["Embedding", "LSTM", "Dropout", "Dense", "Softmax"]),
        (["--peephole", "full"], ["Embedding", "LSTM", "Dense", "Softmax"]),
    ],
)
def test_the_net_is_what_was_asked_for(text, options, classes):
    assert main(["train", text, *SMALL, "--steps", "1", "--quiet", *options]) == 0
    net = load("model.npz")
    assert [type(layer).__name__ for layer in net] == classes
    p = net.params.get("lstm.p")
    assert (None if p is None else p.value.ndim) == {"none": None, "full": 3}.get(options[1], 2)


def test_the_loss_of_the_field_notes_falls(text, capsys):
    """Window 100, one row, Adam, values clipped to plus or minus 6: there it climbed."""
    options = ["--window", "100", "--batch", "1", "--units", "32", "--clip-value", "6", "--lr", "0.01"]
    code, out, _ = run(capsys, "train", text, *options, "--epochs", "4", "--json")
    first, *_, last, end = [json.loads(line) for line in out.splitlines()][1:]
    assert code == 0 and last["loss"] < 0.9 * first["loss"] and last["valid_loss"] < first["valid_loss"]
    assert end["facts"]["clip value"] == 6.0 and end["facts"]["clip"] is None


def test_a_text_of_one_symbol_is_learned(text, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a" * 200, encoding="utf-8")
    code, out, _ = run(capsys, "train", "a.txt", *SMALL, "--steps", "1")
    assert code == 0 and "1 symbol " in " ".join(out.split()) and " 1 step " in " ".join(out.split())
    assert "-0.0" not in out and "-0.0" not in run(capsys, "info", "model.npz")[1]


def test_a_text_as_short_as_may_be_is_enough(text, tmp_path, capsys):
    (tmp_path / "short.txt").write_text(TEXT[:20], encoding="utf-8")
    needed = refused(capsys, "train", "short.txt").split(" characters")[0].split()[-1]
    assert f"at least {needed} characters, got 20" in refused(capsys, "train", "short.txt")
    (tmp_path / "short.txt").write_text(TEXT[: int(needed) - 1], encoding="utf-8")
    refused(capsys, "train", "short.txt")
    (tmp_path / "short.txt").write_text(TEXT[: int(needed)], encoding="utf-8")
    assert main(["train", "short.txt", "--units", "8", "--minutes", "0.001", "--quiet"]) == 0


def test_how_much_text_a_tiny_share_takes(text, capsys):
    assert "at least 1,5" in refused(capsys, "train", text, "--valid", "1e-12")


def test_a_held_out_text_may_begin_with_a_blank(text, tmp_path):
    (tmp_path / "blank.txt").write_text("a" * 180 + " " + "a" * 19, encoding="utf-8")
    assert main(["train", "blank.txt", *SMALL, "--steps", "1", "--quiet"]) == 0


def test_without_a_path_it_learns_the_language_reference(text, monkeypatch, capsys):
    monkeypatch.setattr(char_lm, "language_reference", lambda: TEXT)
    code, out, _ = run(capsys, "train", *SMALL, "--steps", "1")
    assert code == 0 and "language reference" in out


def test_the_language_reference_is_english():
    assert "The following" in char_lm.language_reference()


def test_info_shows_layers_vocabulary_and_facts(model, capsys):
    code, out, err = run(capsys, "info", model)
    assert code == 0 and not err
    for words in ("lstm", "CharVocab", "text.txt", "steps done", "valid bits", "kernel"):
        assert words in out


def test_info_of_a_layer_that_has_no_facts(text, capsys):
    layer = Dense(2)
    layer.build((3,))
    layer.save("dense.npz")
    assert run(capsys, "info", "dense.npz")[0] == 0


def test_sample_goes_on_as_the_net_in_memory(model, capsys):
    net = load(model)
    code, out, _ = run(capsys, "sample", model, "--prompt", "the ", "--length", "40", "--seed", "5", "--top-k", "9")
    pieces = generate_text(net, net.vocab, "the ", 40, temperature=0.7, top_k=9, seed=5)
    assert code == 0 and out == "the " + "".join(pieces) + "\n"
    assert run(capsys, "sample", model)[1].startswith("\n")


def test_sample_begins_with_what_the_model_knows(text, tmp_path, capsys):
    (tmp_path / "line.txt").write_text("abc " * 100, encoding="utf-8")
    assert main(["train", "line.txt", *SMALL, "--steps", "1", "--quiet"]) == 0
    code, out, _ = run(capsys, "sample", "model.npz", "--length", "5")
    assert code == 0 and len(out) == 7 and out[0] == " "


def test_check_proves_the_gradients(model, capsys):
    code, out, _ = run(capsys, "check")
    assert code == 0 and "are right" in out
    code, out, _ = run(capsys, "check", model)
    assert code == 0 and "lstm.Wx" in out and "are right" in out
    code, out, _ = run(capsys, "check", "--every-entry")
    assert code == 0 and out.count("[OK]") > 300


def test_check_says_what_is_wrong(monkeypatch, capsys):
    right = Dense.backward

    def wrong(self, dy, cache):
        return -right(self, dy, cache)

    monkeypatch.setattr(Dense, "backward", wrong)
    code, out, _ = run(capsys, "check")
    assert code == 1 and "are wrong" in out


TRAIN = [["train", "--model", name] for name in NAMES]


@pytest.mark.parametrize(
    "argv", [["--help"], *([*argv, "--help"] for argv in (*TRAIN, ["predict"], ["sample"], ["info"]))]
)
def test_help_explains_every_option_in_80_columns(argv, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(capsys, *argv)
    assert code == 0 and max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("argv", [*TRAIN, ["train"], ["predict"], ["sample"], ["info"], ["check"]])
def test_every_option_has_help_and_tells_its_default(argv, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    out = run(capsys, *argv, "--help")[1]
    options = re.split(r"\n  (?=-)", out)[2:]  # behind the usage and --help
    assert all("(default: " in option for option in options) and "None" not in out


@pytest.mark.parametrize("command", ["check", "doctor"])
def test_help_of_commands_that_run_a_file_says_so(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "FILE.py is imported, which runs all of its code" in words and "files that you trust" in words
    assert "the file is run" in words


def test_only_check_and_doctor_run_code_from_a_path():
    """A command that gains this has to say so in its help."""
    users = [path.stem for path in Path(minidl.cli.__file__).parent.rglob("*.py") if "cli.code" in path.read_text()]
    assert sorted(users) == ["check", "doctor"]
    loads = [path for path in Path(minidl.__file__).parent.rglob("*.py") if "exec_module" in path.read_text()]
    assert [path.name for path in loads] == ["code.py"]


def test_no_command_shows_the_help(capsys):
    code, out, err = run(capsys)
    assert code == 2 and not out and "Train a model on plain files" in err


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Check the path"),
        (b"", "an empty one"),
        (b"abc\0def", "binary"),
        ("für".encode("latin-1"), "iconv"),
        (b"too short", "at least"),
    ],
)
def test_bad_texts(content, words, text, tmp_path, capsys):
    if content is not None:
        (tmp_path / "bad.txt").write_bytes(content)
    (tmp_path / "model.npz").write_bytes(b"precious")
    err = refused(capsys, "train", text if content == b"too short" else "bad.txt", "bad.txt", "--batch", "5000")
    assert words in err
    assert (tmp_path / "model.npz").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--minutes", ["0", "-1", "nan", "inf", "soon", "100001", "1e300"]),
        ("--epochs", ["0", "1.5"]),
        ("--steps", ["0", "-3", "9" * 400]),
        ("--units", ["0"]),
        ("--layers", ["0"]),
        ("--batch", ["0"]),
        ("--window", ["0"]),
        ("--valid", ["1.5", "0", "1", "nan"]),
        ("--lr", ["-1", "nan", "0"]),
        ("--clip", ["0"]),
        ("--clip-value", ["-6"]),
        ("--dropout", ["1"]),
        ("--seed", ["-1", "x"]),
        ("--peephole", ["some"]),
    ],
)
def test_bad_numbers_are_found_before_the_text_is_read(option, values, capsys):
    for value in values:
        assert option in refused(capsys, "train", "not_there.txt", option, value)


def test_options_that_exclude_each_other_or_do_not_exist(model, capsys):
    assert "not allowed with" in refused(capsys, "train", "--epochs", "1", "--minutes", "1")
    assert "not allowed with" in refused(capsys, "train", "--quiet", "--json")
    assert "--colour" in refused(capsys, "train", "--colour")
    assert "--mod" in refused(capsys, "sample", model, "--mod")
    code, _, err = run(capsys, "teach")
    assert code == 2 and "teach" in err and err.count("\n") == 1


def test_where_the_model_cannot_be_saved_is_found_first(text, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train, "plan", None)  # nothing is to be trained
    assert "make nowhere first" in refused(capsys, "train", text, "--out", "nowhere/model.npz")
    assert "got the folder" in refused(capsys, "train", text, "--out", ".")
    assert "got the text" in refused(capsys, "train", text, "--out", "./text.txt")
    assert (tmp_path / text).read_text(encoding="utf-8") == TEXT
    assert "which is a device" in refused(capsys, "train", text, "--out", os.devnull)

    os.chmod(text, 0o400)
    assert "make it writable, or name another file" in refused(capsys, "train", "other.txt", "--out", text)

    def denied(*_):
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setattr(durable, "create", denied)
    assert "Permission denied: allow writing to the folder" in refused(capsys, "train", text)


def test_model_is_saved_elsewhere_where_there_is_no_checkpoint_either(text, tmp_path, capsys, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    create, finish = durable.create, Checkpoint.finish

    def full(folder, mode):
        if (tmp_path / "elsewhere") not in folder.parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return create(folder, mode)

    def fill(self, trainer):
        monkeypatch.setattr(durable, "create", full)  # the disk is full before the first checkpoint
        finish(self, trainer)

    monkeypatch.setattr(Checkpoint, "finish", fill)
    code, out, err = run(capsys, "train", text, *SMALL, "--steps", "3", "--quiet")
    assert code == 2 and not out
    place = re.search(r"free some space, .*\. There is no checkpoint either, so it is saved as (\S+)\n", err)[1]
    assert load(place).facts["steps done"] == 3 and place.startswith(str(tmp_path / "elsewhere"))


def test_a_text_that_is_unknown_to_the_model_as_prompt(model, text, capsys):
    for command in ["sample", model], ["train", text, *SMALL]:
        assert "'é' (U+00E9)" in refused(capsys, *command, "--prompt", "café")
        assert "from" in refused(capsys, *command, "--prompt", "")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--length", "0"), ("--temperature", "-1"), ("--temperature", "nan"), ("--top-k", "0"), ("--top-p", "1.5")],
)
def test_bad_options_of_sample(option, value, model, capsys):
    assert option in refused(capsys, "sample", model, option, value)


@pytest.mark.parametrize("command", ["sample", "info", "check"])
def test_files_that_are_no_model(command, model, text, tmp_path, capsys):
    assert "No such file" in refused(capsys, command, "not_there.npz")
    assert "no model" in refused(capsys, command, text)
    whole = (tmp_path / model).read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    assert "no model" in refused(capsys, command, "half.npz")
    assert "this is a folder" in refused(capsys, command, ".")


def test_a_model_without_vocabulary_does_not_write(text, capsys):
    net = models.char_lm(5, 4)
    net.build((None,))
    net.save("silent.npz")
    assert "no vocabulary" in refused(capsys, "sample", "silent.npz")


def test_a_python_without_its_language_reference(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pydoc_data.topics", None)
    assert "my_text.txt" in refused(capsys, "train")


def test_too_much_memory_is_a_mistake(text, capsys, monkeypatch):
    def too_much(*_, **options):
        raise MemoryError("Unable to allocate 2 TiB")

    monkeypatch.setattr(models, "char_lm", too_much)
    assert "not enough memory: Unable" in refused(capsys, "train", text, "--units", "2000000000")


# -- what comes in between ----------------------------------------------------------------------------


def pressed_at(monkeypatch, where, name, times=1):
    """Let Ctrl-C be pressed when a function is called, before it does what it does."""
    original = getattr(where, name)

    def pressing(*args, **options):
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        return original(*args, **options)

    monkeypatch.setattr(where, name, pressing)


INTERRUPTED = "minidl train: interrupted by Ctrl-C\n"


@pytest.mark.parametrize(("where", "name"), [(char_lm, "char_corpora"), (train, "plan"), (language, "ngram_bits")])
def test_ctrl_c_before_the_training(where, name, text, capsys, monkeypatch):
    pressed_at(monkeypatch, where, name)
    assert run(capsys, "train", text, *SMALL, "--steps", "2") == (130, "", INTERRUPTED)


@pytest.mark.parametrize("name", ["fit", "_update", "evaluate"])
def test_ctrl_c_while_steps_are_measured(name, text, capsys, monkeypatch):
    pressed_at(monkeypatch, Trainer, name)
    assert run(capsys, "train", text, *SMALL, "--minutes", "0.02") == (130, "", INTERRUPTED)
    assert os.listdir() == ["text.txt"]


@pytest.mark.parametrize(("times", "how"), fraction([1, 2, 5], [[], ["--json"], ["--quiet"]]))
def test_ctrl_c_in_the_validation_is_answered_and_keeps_what_was_learned(times, how, text, capsys, monkeypatch):
    figures = Trainer._figures
    pressed_at(monkeypatch, Trainer, "_figures", times)
    before = signal.getsignal(signal.SIGINT)
    code, out, err = run(capsys, "train", text, *SMALL, "--steps", "2", *how)
    facts = load("model.npz").facts
    assert code == 130 and signal.getsignal(signal.SIGINT) is before
    assert facts["steps done"] == 2 and facts["stopped"] == "interrupted by Ctrl-C"
    assert facts["valid bits"] is None and facts["train bits"] > 0  # the epoch is not closed, it goes on
    told = INTERRUPTED.replace("\n", "; to go on from step 2: minidl train --resume model.run\n")
    said = [f"{finishing.WORDS}\n" if how != ["--quiet"] else "", told if how else ""]
    assert err == "".join(said)
    assert sorted(os.listdir("model.run")) == ["checkpoint-000000002.npz", "options.json"]
    monkeypatch.setattr(Trainer, "_figures", figures)
    assert run(capsys, "train", "--resume", "model.run", "--quiet") == (0, "", "")
    assert load("model.npz").facts["valid bits"] > 0 and not os.path.exists("model.run")
    if how == ["--json"]:
        assert json.loads(out.splitlines()[-1]) == {"saved": "model.npz", "facts": facts}
    else:
        assert ("saved model.npz" in out and "stopped: interrupted" in out) == (not how)


def test_ctrl_c_while_the_model_is_saved(text, capsys, monkeypatch):
    save, before = Sequential.save, signal.getsignal(signal.SIGINT)

    def interrupted(self, path):
        os.kill(os.getpid(), signal.SIGINT)
        save(self, path)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Sequential, "save", interrupted)
    code, out, _ = run(capsys, "train", text, *SMALL, "--steps", "2")
    assert code == 130 and "saved model.npz" in out
    facts = load("model.npz").facts
    assert facts["steps done"] == 2 and facts["valid bits"] > 0 and signal.getsignal(signal.SIGINT) is before


LAST = 33  # lines behind the one that asks why the training ended


@pytest.mark.parametrize("earlier", [slow(0), 1])
def test_no_moment_at_which_ctrl_c_loses_the_model(earlier, text, capsys, monkeypatch):
    """Press at each line of the training and of what comes behind it, once more than the training has seen already."""
    names = "minidl.cli.train", "minidl.cli.finishing", "minidl.trainer", "minidl.callbacks.stopping"
    names += "minidl.cli.outcome", "minidl.cli.prepared_run"
    files = {sys.modules[name].__file__ for name in names}
    lines, left = 0, math.inf
    reached = False

    class Begin(train.NanGuard):
        def on_step_end(self, trainer):
            nonlocal reached
            reached = True
            for _ in range(earlier):
                os.kill(os.getpid(), signal.SIGINT)

    def trace(frame, event, _):
        nonlocal lines, left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line" and reached and before is not signal.getsignal(signal.SIGINT):
            lines += 1
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGINT)
        return trace

    monkeypatch.setattr(train, "NanGuard", Begin)
    before, options = signal.getsignal(signal.SIGINT), [*SMALL, "--batch", "32", "--epochs", "2", "--out"]

    def traced(out):
        nonlocal reached
        reached = False
        debugger = sys.gettrace()
        sys.settrace(trace)
        try:
            return run(capsys, "train", text, *options, out)[0]
        finally:
            sys.settrace(debugger)

    assert traced("whole.npz") == (130 if earlier else 0)
    total = lines
    for line in range(1, total + 1, 37):
        left = line
        code, net = traced(f"{line}.npz"), load(f"{line}.npz")
        # behind them the end of the training is settled, and only its result is still to be told
        assert code == 130 or (line > total - LAST and not earlier), line
        assert net.facts["steps done"] > 0, line
        if net.facts["valid bits"] is not None:
            valid = TextStream(net.vocab.encode(TEXT)[-len(TEXT) // 10 :], 6, 16)
            bits = Trainer(net, CrossEntropy(), quiet=True).evaluate(valid)["loss"] / math.log(2)
            assert bits == pytest.approx(net.facts["valid bits"], abs=1e-3), line


@pytest.mark.parametrize("how", [[], ["--quiet"], ["--json"]])
def test_a_rate_at_which_it_diverges_is_told_alike_in_trial_and_training(how, model, text, tmp_path, capsys):
    old, told = (tmp_path / model).read_bytes(), []
    for length in ["--steps", "50"], ["--minutes", "0.005"]:
        code, out, err = run(capsys, "train", text, *SMALL, *length, "--lr", "1e38", *how)
        assert code == 1 and (tmp_path / model).read_bytes() == old
        assert err.count("\n") == len(how) and re.search(r"is (nan|inf) at step \d\b", err + out)
        # when and where the sums of such numbers overflow depends on their order, hence on the kernel
        last = err if how else "".join(out.splitlines()[-2:])
        told.append(re.sub(r"(nan|inf) at step \d| \(N70[123], .*\)", "", last))
        assert ("nothing was saved" in out) == (not how) and "validation nan" not in out
    assert told[0] == told[1]


def test_a_training_that_went_wrong_leaves_the_old_model(model, text, tmp_path, capsys):
    old = (tmp_path / model).read_bytes()
    code, out, err = run(capsys, "train", text, *SMALL, "--steps", "50", "--lr", "1e38", "--quiet")
    assert code == 1 and not out and re.search("the loss is (nan|inf)", err) and err.count("\n") == 1
    assert (tmp_path / model).read_bytes() == old


# -- the kinds of numbers -----------------------------------------------------------------------------


def test_kinds_of_numbers():
    assert count("12") == 12 and number("any", lambda _: True)("1e-3") == 1e-3
    for text in "1.5", "", "-1", "0", "²":
        with pytest.raises(argparse.ArgumentTypeError, match="positive integer"):
            count(text)


# -- runs that are broken off -------------------------------------------------------------------------


def broken_off(capsys, monkeypatch, text, *options):
    """A run that Ctrl-C ends at its second update."""
    update = Trainer._update

    def pressing(self, group):
        if self.step == 1 and len(self.callbacks) > 1:  # not while steps are measured
            os.kill(os.getpid(), signal.SIGINT)
        update(self, group)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", pressing)
        return run(capsys, "train", text, *SMALL, *options)


def arrays_of(path):
    net = load(path)
    return {name: p.value.tobytes() for name, p in net.params.items()}, {
        name: fact for name, fact in net.facts.items() if name != "seconds"
    }


@pytest.mark.parametrize("length", [["--steps", "4"], ["--epochs", "1"], ["--minutes", "0.005"]])
def test_a_run_goes_on_to_the_same_model(length, text, capsys, monkeypatch):
    assert broken_off(capsys, monkeypatch, text, *length, "--dropout", "0.3", "--quiet")[0] == 130
    code, out, _ = run(capsys, "train", "--resume", "model.run")
    assert code == 0 and "goes on from model.run" in out and "saved model.npz" in out
    facts = load("model.npz").facts
    assert not os.path.exists("model.run") and facts["steps"] > 1
    assert repeated(monkeypatch, facts, text, *SMALL, "--dropout", "0.3", "--out", "whole.npz") == 0
    (one, facts), (other, whole) = arrays_of("model.npz"), arrays_of("whole.npz")
    assert one == other and {**facts, "minutes": None} == {**whole, "minutes": None}


def test_a_run_that_was_broken_off_is_not_overwritten(text, capsys, monkeypatch):
    broken_off(capsys, monkeypatch, text, "--steps", "4", "--quiet")
    words = refused(capsys, "train", text, *SMALL, "--steps", "4")
    assert "model.run holds a training that did not come to its end: minidl train --resume model.run goes on" in words
    assert run(capsys, "train", text, *SMALL, "--steps", "2", "--out", "other.npz", "--quiet") == (0, "", "")


def test_what_resume_refuses(text, capsys, monkeypatch):
    assert "--resume expects the folder of a run" in refused(capsys, "train", "--resume", "nothing.run")
    assert "--resume expects the folder of a run" in refused(capsys, "train", "--resume", text)
    assert "got --units as well: leave it out" in refused(capsys, "train", "--resume", "model.run", "--units", "5")
    assert "got a PATH as well: leave it out" in refused(capsys, "train", text, "--resume", "model.run")
    broken_off(capsys, monkeypatch, text, "--steps", "4", "--quiet")
    with open(text, "a", encoding="utf-8") as file:
        file.write(TEXT)
    code, _, err = run(capsys, "train", "--resume", "model.run")
    assert code == 2 and "is of another training: data, batches was" in err and err.count("\n") == 1
    for content in "{}", "[]", "{", '{"paths": 1}':
        with open("model.run/options.json", "w", encoding="utf-8") as file:
            file.write(content)
        assert "options.json is damaged, or of another minidl" in refused(capsys, "train", "--resume", "model.run")


def test_a_run_goes_on_from_another_folder(text, tmp_path, capsys, monkeypatch):
    broken_off(capsys, monkeypatch, text, "--steps", "4", "--quiet")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, _ = run(capsys, "train", "--resume", "../model.run")
    assert code == 0 and f"saved {tmp_path / 'model.npz'}" in out and os.listdir() == []
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "model.npz", "text.txt"]


ENDING = [(name, code) for name, code in (("SIGTERM", 143), ("SIGHUP", 129)) if hasattr(signal, name)]


@pytest.mark.parametrize(("name", "expected"), ENDING)
def test_signals_that_end_the_command_leave_model_and_checkpoint(name, expected, text, capsys, monkeypatch):
    number = getattr(signal, name)
    before = signal.signal(number, signal.default_int_handler)  # nohup may have handed SIGHUP down as ignored
    update = Trainer._update

    def ended(self, group):
        os.kill(os.getpid(), number)
        update(self, group)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_update", ended)
            code, out, _ = run(capsys, "train", text, *SMALL, "--steps", "4")
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert code == expected and f"stopped: ended by {name}" in out
    assert "; to go on from step 1: minidl train --resume model.run" in out and os.path.exists("model.npz")
    assert run(capsys, "train", "--resume", "model.run", "--quiet") == (0, "", "")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_ignored_sighup_stays_ignored(text, capsys, monkeypatch):
    update, before = Trainer._update, signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def ended(self, group):
        os.kill(os.getpid(), signal.SIGHUP)
        update(self, group)

    monkeypatch.setattr(Trainer, "_update", ended)
    try:
        assert run(capsys, "train", text, *SMALL, "--steps", "4", "--quiet") == (0, "", "")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert load("model.npz").facts["steps done"] == 4


def test_surroundings_that_are_others_are_said_in_one_line(text, capsys, monkeypatch):
    broken_off(capsys, monkeypatch, text, "--steps", "4", "--quiet")
    monkeypatch.setattr("minidl.fingerprints.processor", lambda: "another one")
    code, out, err = run(capsys, "train", "--resume", "model.run", "--quiet")
    assert (code, out) == (0, "") and err.startswith(
        "minidl train: model.run/checkpoint-000000002.npz comes from other"
    )
    assert err.count("\n") == 1 and "processor was" in err


def test_a_model_that_is_called_run(text, capsys, monkeypatch):
    assert broken_off(capsys, monkeypatch, text, "--steps", "4", "--quiet", "--out", "m.run")[0] == 130
    assert os.path.isfile("m.run") and os.path.isdir("m.run.run")
    assert run(capsys, "train", "--resume", "m.run.run", "--quiet") == (0, "", "")


def test_a_model_whose_name_looks_like_an_option(text, capsys, monkeypatch):
    code, _, err = broken_off(capsys, monkeypatch, text, "--steps", "4", "--quiet", "--out", "./-x.npz")
    assert code == 130 and err.endswith("minidl train --resume ./-x.run\n")
    assert run(capsys, "train", "--resume", "./-x.run", "--quiet") == (0, "", "")


def test_a_file_where_the_folder_of_the_run_belongs(text, capsys):
    with open("model.run", "w", encoding="utf-8"):
        pass
    assert "belong into the folder model.run, which is a file" in refused(capsys, "train", text, *SMALL)


@pytest.mark.parametrize("damage", [
    {"paths": 5}, {"paths": [5]}, {"out": None}, {"batch": "x"}, {"planned": [1, 2, 3]}, {"planned": ["a", 1]},
    {"lr": []},
])  # fmt: skip
def test_options_that_nobody_gave(damage, text, capsys, monkeypatch):
    broken_off(capsys, monkeypatch, text, "--steps", "4", "--quiet")
    with open("model.run/options.json", encoding="utf-8") as file:
        options = json.load(file)
    with open("model.run/options.json", "w", encoding="utf-8") as file:
        json.dump(options | damage, file)
    assert "options.json is damaged, or of another minidl" in refused(capsys, "train", "--resume", "model.run")


def test_what_a_killed_writer_left_goes_with_the_run(text, capsys, monkeypatch):
    broken_off(capsys, monkeypatch, text, "--steps", "4", "--quiet")
    with open("model.run/.minidl-0123", "wb") as file:
        file.write(b"half of a checkpoint")
    assert run(capsys, "train", "--resume", "model.run", "--quiet") == (0, "", "")
    assert not os.path.exists("model.run")
