"""The run folder of `minidl train`: what a resumed run may read and write, and one process at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys

import pytest

from minidl import load
from minidl.cli import runs, train
from minidl.folder_lock import NAME, FolderLock
from minidl.trainer import Trainer
from tests.command import refused, run

TEXT = "the quick brown fox jumps over the lazy dog,\nand the lazy dog sleeps on.\n" * 30
SMALL = ["--units", "8", "--batch", "4", "--window", "16", "--quiet"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and links")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a text file."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "text.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path / "here"


@pytest.fixture
def interrupted(folder, capsys, monkeypatch):
    """A function that interrupts a run at its second update, and leaves model.run."""
    update = Trainer._update

    def pressing(self, group):
        if self.step == 1 and len(self.callbacks) > 1:
            os.kill(os.getpid(), signal.SIGINT)
        update(self, group)

    def interrupt(*options, path="text.txt"):
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_update", pressing)
            assert run(capsys, "train", path, *SMALL, "--steps", "4", *options)[0] == 130

    return interrupt


def change_options(path="model.run/options.json", **changes):
    with open(path, encoding="utf-8") as file:
        options = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(options | changes, file)
    return options


def state_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- where a resumed run writes -------------------------------------------------------------------


def test_resume_does_not_write_where_options_point_to(interrupted, folder, tmp_path, capsys):
    interrupted()
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    before = state_of(tmp_path)
    for out in str(victim), "../victim.txt", "text.txt", "sub/../../victim.txt", "./other.npz", "/etc/x", ".", "..":
        change_options(out=out)
        error = refused(capsys, "train", "--resume", "model.run")
        assert "model.run must be the file next to it" in error and "Pass --out FILE" in error
        before[folder / "model.run" / "options.json"] = (folder / "model.run" / "options.json").read_bytes()
        assert state_of(tmp_path) == before


def test_resume_does_not_follow_a_link_in_place_of_the_model(interrupted, folder, tmp_path, capsys):
    interrupted()
    (tmp_path / "victim.txt").write_text("precious")
    (folder / "model.npz").unlink()
    (folder / "model.npz").symlink_to(tmp_path / "victim.txt")
    assert "model.run must be the file next to it" in refused(capsys, "train", "--resume", "model.run")
    assert (tmp_path / "victim.txt").read_text() == "precious"


def test_resume_does_not_replace_what_is_not_a_model(interrupted, folder, capsys):
    interrupted()
    (folder / "notes.txt").write_text("mine")
    (folder / "model.run").rename(folder / "notes.txt.run")
    change_options("notes.txt.run/options.json", out="notes.txt")
    error = refused(capsys, "train", "--resume", "notes.txt.run")
    assert "notes.txt must be a model to be replaced" in error and "Pass --out FILE" in error
    assert (folder / "notes.txt").read_text() == "mine"


def test_resume_with_out_writes_there(interrupted, folder, tmp_path, capsys):
    interrupted()
    change_options(out=str(tmp_path / "victim.txt"))
    before = (folder / "model.npz").read_bytes()
    assert run(capsys, "train", "--resume", "model.run", "--quiet", "--out", "other.npz") == (0, "", "")
    assert load("other.npz").facts["steps done"] == 4 and (folder / "model.npz").read_bytes() == before
    assert sorted(os.listdir()) == ["model.npz", "other.npz", "text.txt"]


def test_resume_with_the_default_out_is_a_choice_as_well(interrupted, folder, tmp_path, capsys):
    interrupted("--out", "first.npz")
    assert run(capsys, "train", "--resume", "first.run", "--quiet", "--out", "model.npz") == (0, "", "")
    assert load("model.npz").facts["steps done"] == 4 and load("first.npz").facts["steps done"] == 2


def test_interrupted_resume_with_out_says_how_it_is_resumed(interrupted, folder, capsys, monkeypatch):
    interrupted()
    update = Trainer._update

    def pressing(self, group):
        os.kill(os.getpid(), signal.SIGINT)
        update(self, group)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", pressing)
        code, _, err = run(capsys, "train", "--resume", "model.run", "--quiet", "--out", "other.npz")
    assert code == 130 and err.endswith("minidl train --resume model.run --out other.npz\n")
    assert "Pass --out FILE" in refused(capsys, "train", "--resume", "model.run")
    assert run(capsys, "train", "--resume", "model.run", "--quiet", "--out", "other.npz") == (0, "", "")


def test_links_in_a_run_folder_are_replaced_instead_of_followed(interrupted, folder, tmp_path, capsys):
    interrupted()
    (tmp_path / "options.json").write_bytes((folder / "model.run" / "options.json").read_bytes())
    (folder / "model.run" / "options.json").unlink()
    (folder / "model.run" / "options.json").symlink_to(tmp_path / "options.json")
    (tmp_path / "victim.npz").write_text("precious")
    (folder / "model.run" / "checkpoint-000000004.npz").symlink_to(tmp_path / "victim.npz")
    before = state_of(tmp_path)
    code, _, err = run(capsys, "train", "--resume", "model.run", "--quiet")
    assert code == 0 and "The checkpoint before it is taken" in err and not os.path.exists("model.run")
    for path in tmp_path / "options.json", tmp_path / "victim.npz":
        assert path.read_bytes() == before[path]


def test_run_moves_with_its_files(interrupted, folder, tmp_path, capsys, monkeypatch):
    interrupted()
    folder.rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "train", "--resume", "there/model.run", "--quiet") == (0, "", "")
    assert sorted(os.listdir("there")) == ["model.npz", "text.txt"]
    assert load("there/model.npz").facts["steps done"] == 4


def test_folder_that_was_copied_without_its_files_says_so(interrupted, folder, tmp_path, capsys):
    interrupted()
    shutil.copytree("model.run", tmp_path / "model.run")
    error = refused(capsys, "train", "--resume", "../model.run")
    assert "text.txt must be a file, for ../model.run was trained on it. If the folder was moved or copied" in error


def test_folder_that_was_renamed_says_so(interrupted, capsys):
    interrupted()
    os.rename("model.run", "old.run")
    error = refused(capsys, "train", "--resume", "old.run")
    assert "must be the file next to it that its name stands for, got model.npz. The folder was renamed" in error
    assert run(capsys, "train", "--resume", "old.run", "--quiet", "--out", "old.npz") == (0, "", "")


def test_absolute_paths_of_earlier_versions_are_read(interrupted, folder, capsys):
    interrupted()
    change_options(out=str(folder / "model.npz"), paths=[str(folder / "text.txt")])
    assert run(capsys, "train", "--resume", "model.run", "--quiet") == (0, "", "")


def test_run_can_be_resumed_from_inside_of_its_folder(interrupted, folder, capsys, monkeypatch):
    interrupted()
    monkeypatch.chdir(folder / "model.run")
    assert run(capsys, "train", "--resume", ".", "--quiet") == (0, "", "")
    assert load(folder / "model.npz").facts["steps done"] == 4


# -- what a resumed run reads ---------------------------------------------------------------------


def test_inputs_outside_of_the_parent_are_named_before_they_are_read(interrupted, folder, tmp_path, capsys):
    secret = tmp_path / "se\x1bcret.txt"
    secret.write_text(TEXT)
    interrupted("--valid", "../se\x1bcret.txt")
    assert json.loads((folder / "model.run" / "options.json").read_text())["paths"] == ["text.txt"]
    code, _, err = run(capsys, "train", "--resume", "model.run", "--quiet")
    assert code == 0 and err == f"minidl train: model.run reads files outside of {folder}: {tmp_path}/se\\x1bcret.txt\n"


def test_link_to_an_input_outside_is_named(interrupted, folder, tmp_path, capsys):
    (tmp_path / "secret.txt").write_text(TEXT)
    interrupted()
    (folder / "text.txt").unlink()
    (folder / "text.txt").symlink_to(tmp_path / "secret.txt")
    assert "reads files outside" in run(capsys, "train", "--resume", "model.run", "--quiet")[2]


@pytest.mark.parametrize("path", ["/dev/zero", ".", "nothing.txt"])
def test_resume_reads_files_alone(path, interrupted, capsys):
    interrupted()
    change_options(paths=[path])
    assert "must be a file, for model.run was trained on it" in refused(capsys, "train", "--resume", "model.run")


@pytest.mark.parametrize("damage", [
    {"batch": -1}, {"batch": 0}, {"lr": float("nan")}, {"lr": float("inf")}, {"units": True}, {"units": 2.5},
    {"seed": -1}, {"model": "nothing"}, {"model": ["char_lm"]}, {"peephole": "some"}, {"out": ""}, {"out": "a\0b"},
    {"valid": "a\0b"}, {"valid": 7}, {"paths": ["a\0b"]}, {"paths": "text.txt"}, {"planned": [0, 1]},
    {"planned": [True, 1]}, {"prompt": 5}, {"dropout": {}}, {"more": 1}, {"lr": "0.1"},
])  # fmt: skip
def test_options_that_the_command_line_cannot_give(damage, interrupted, capsys):
    interrupted()
    change_options(**damage)
    assert "options.json is damaged, or of another minidl" in refused(capsys, "train", "--resume", "model.run")


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"a": ' * 50_000, b" " * 2**21 + b"{}", b"\xff\xfe", b"1" * 5000]
)
def test_options_that_are_no_options(content, interrupted, folder, capsys):
    interrupted()
    (folder / "model.run" / "options.json").write_bytes(content)
    assert "options.json is damaged, or of another minidl" in refused(capsys, "train", "--resume", "model.run")


def test_folder_of_another_user_is_reported(interrupted, capsys, monkeypatch):
    interrupted()
    uid = os.stat("model.run").st_uid
    monkeypatch.setattr(runs.os, "geteuid", lambda: uid + 1)
    monkeypatch.setattr(runs, "ROOT", uid + 2)
    code, _, err = run(capsys, "train", "--resume", "model.run", "--quiet")
    assert code == 0 and "model.run belongs to another user, who chooses what this run reads." in err


# -- one process at a time ------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [["text.txt", *SMALL, "--steps", "2"], ["--resume", "model.run"]])
def test_folder_in_use_is_refused_and_stays_as_it_is(argv, interrupted, folder, capsys):
    interrupted()
    (folder / "model.run" / ".minidl-0123").write_bytes(b"being written")
    with FolderLock("model.run"):
        before = state_of(folder)
        error = refused(capsys, "train", *argv)
        assert "model.run is in use by another run (this process). Wait for it" in error
        assert ("choose another --out" in error) == ("--resume" not in argv)
        assert state_of(folder) == before and folder / "model.run" / NAME in before


def test_model_of_another_run_is_refused(interrupted, folder, capsys):
    interrupted()
    with FolderLock("other.run"):
        error = refused(capsys, "train", "--resume", "model.run", "--out", "other.npz")
    assert "other.run is in use by another run" in error and not os.path.exists("other.run")


def test_resume_of_nothing_creates_nothing(folder, capsys):
    assert "there is no options.json" in refused(capsys, "train", "--resume", "a/b/c.run")
    os.mkdir("about.run")
    with FolderLock("about.run"):
        assert "about.run is in use" in refused(capsys, "train", "--resume", "about.run")
        shutil.copy(f"about.run/{NAME}", "kept")
    shutil.copy("kept", f"about.run/{NAME}")  # as a killed run leaves it that had not begun
    assert "options.json does not exist" in refused(capsys, "train", "--resume", "about.run")
    assert sorted(os.listdir()) == ["about.run", "kept", "text.txt"] and os.listdir("about.run") == []


def test_mistake_in_the_data_leaves_no_folder(folder, capsys):
    (folder / "short.txt").write_text("short")
    refused(capsys, "train", "short.txt", *SMALL)
    assert sorted(os.listdir()) == ["short.txt", "text.txt"]


def removing(function):
    """Make a callback that calls a function after the second update."""

    class Remove(train.NanGuard):
        def on_step_end(self, trainer):
            if trainer.step == 2:
                function()
            if trainer.step in (3, 4):
                trainer.callbacks[-1].written -= 60  # as if a minute had passed

    return Remove


def test_folder_that_vanishes_is_created_again_with_its_options(folder, capsys, monkeypatch):
    options = {}

    def remove():
        options.update(json.loads((folder / "model.run" / "options.json").read_text()))
        shutil.rmtree("model.run")

    def stop(trainer):
        os.kill(os.getpid(), signal.SIGINT)

    guard = removing(remove)
    guard.on_epoch_end = lambda self, trainer: None
    update = Trainer._update

    def pressing(self, group):
        if self.step == 4:
            stop(self)
        update(self, group)

    with monkeypatch.context() as patch:
        patch.setattr(train, "NanGuard", guard)
        patch.setattr(Trainer, "_update", pressing)
        code, _, err = run(capsys, "train", "text.txt", *SMALL, "--steps", "9")
    assert code == 130 and err.count("model.run vanished while the training ran, and was created again.") == 1
    assert json.loads((folder / "model.run" / "options.json").read_text()) == options
    assert run(capsys, "train", "--resume", "model.run", "--quiet") == (0, "", "")
    assert load("model.npz").facts["steps done"] == 9
    assert run(capsys, "train", "text.txt", *SMALL, "--steps", "9", "--out", "whole.npz") == (0, "", "")
    whole, parts = load("whole.npz").params, load("model.npz").params
    assert all((p.value == parts[name].value).all() for name, p in whole.items())


def test_folder_that_another_run_took_is_left_alone(folder, capsys, monkeypatch):
    other = FolderLock("model.run")

    def take():
        shutil.rmtree("model.run")
        other.__enter__()
        (folder / "model.run" / "options.json").write_text("of the other run")

    with monkeypatch.context() as patch:
        patch.setattr(train, "NanGuard", removing(take))
        code, _, err = run(capsys, "train", "text.txt", *SMALL, "--steps", "9")
    name = f"model-{os.getpid()}.npz"
    assert code == 0 and f"another run uses model.run, so this model is saved as {name}" in err
    assert load(name).facts["steps done"] == 9 and not os.path.exists("model.npz")
    assert (folder / "model.run" / "options.json").read_text() == "of the other run"
    other.__exit__()
