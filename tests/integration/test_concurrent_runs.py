"""Two runs in one folder, in processes of their own: the first is untouched, the second is refused in one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from minidl import load
from minidl.folder_lock import NAME

MINIDL = [sys.executable, "-m", "minidl"]
SMALL = ["--units", "8", "--batch", "4", "--window", "16", "--quiet"]
TEXT = "the quick brown fox jumps over the lazy dog,\nand the lazy dog sleeps on.\n" * 30

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

# Trains until a file `stop` exists next to the run folder, so that no test depends on the speed of the machine.
ENDLESS = """
import os, sys
from minidl import Callback
from minidl.cli import main, train

class StopWhenAsked(train.NanGuard):
    def on_step_end(self, trainer):
        super().on_step_end(trainer)
        if trainer.step == 3:
            trainer.callbacks[-1].written -= 60
        if trainer.step == 5:
            print("trains", flush=True)
        if os.path.exists("stop"):
            trainer.last_step = trainer.step

train.NanGuard = StopWhenAsked
sys.exit(main(sys.argv[1:]))
"""
PYTHON = """
import os, sys
import numpy as np
import minidl

class StopWhenAsked(minidl.Callback):
    def on_step_end(self, trainer):
        if trainer.step == 5:
            print("trains", flush=True)
        if os.path.exists("stop"):
            trainer.last_step = trainer.step

x = np.ones((8, 2))
trainer = minidl.Trainer(
    minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[StopWhenAsked(), minidl.Checkpoint("run", every=3)],
    quiet=True,
)
try:
    trainer.fit(x, x[:, 0], steps=10**6, resume="resume" in sys.argv)
except minidl.ArgumentError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a text."""
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path


def start(folder, *argv):
    return subprocess.Popen(
        [sys.executable, *argv], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(folder, *argv):
    return subprocess.run([*MINIDL, *argv], cwd=folder, capture_output=True, text=True, timeout=60)


def content(folder):
    """The files of the run folder but the checkpoints, which come and go."""
    paths = (path for path in (folder / "model.run").iterdir() if not path.name.startswith("checkpoint-"))
    return {path.name: path.read_bytes() for path in paths}


def end(process, folder, code=0):
    (folder / "stop").touch()
    out, err = process.communicate(timeout=60)
    (folder / "stop").unlink()
    assert process.returncode == code, err
    return out, err


ARGV = ["train", "text.txt", *SMALL, "--steps", "100000"]


def test_second_command_is_refused_while_the_first_trains(folder):
    first = start(folder, "-c", ENDLESS, *ARGV)
    assert first.stdout.readline() == "trains\n"
    (folder / "model.run" / ".minidl-0123").touch()  # as if it was writing
    before = content(folder)
    assert before.keys() == {NAME, "options.json", ".minidl-0123"}
    for second in ["train", "text.txt", *SMALL, "--steps", "2"], ["train", "--resume", "model.run"]:
        done = run(folder, *second)
        assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1
        words = rf"minidl train: model\.run is in use by another run \(process {first.pid}\)\. Wait for it, "
        assert re.match(words, done.stderr) and ("--out" in done.stderr) == ("--resume" not in second)
        assert content(folder) == before and not (folder / "model.npz").exists()
    end(first, folder)
    assert sorted(os.listdir(folder)) == ["model.npz", "text.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0, 1])
def test_of_two_commands_started_together_one_trains(delay, folder):
    first = start(folder, "-c", ENDLESS, *ARGV)
    time.sleep(delay)
    second = start(folder, "-c", ENDLESS, *ARGV)
    (winner, loser), deadline = (first, second), time.monotonic() + 60
    while first.poll() is None and second.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if first.poll() is not None:
        winner, loser = second, first
    assert winner.poll() is None
    _, err = loser.communicate()
    assert loser.returncode == 2 and f"model.run is in use by another run (process {winner.pid})" in err
    assert winner.stdout.readline() == "trains\n"
    assert (folder / "model.run" / "options.json").exists()
    end(winner, folder)
    assert sorted(os.listdir(folder)) == ["model.npz", "text.txt"]


@pytest.mark.slow
def test_killed_run_leaves_no_lock_and_loses_nothing(folder):
    first = start(folder, "-c", ENDLESS, *ARGV)
    assert first.stdout.readline() == "trains\n"
    assert run(folder, *ARGV).returncode == 2
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert {NAME, "options.json", "checkpoint-000000003.npz"} <= set(os.listdir(folder / "model.run"))
    done = run(folder, *ARGV)
    assert done.returncode == 2 and "minidl train --resume model.run" in done.stderr
    resumed = start(folder, "-c", ENDLESS, "train", "--resume", "model.run", "--quiet")
    assert resumed.stdout.readline() == "trains\n"
    end(resumed, folder)
    assert load(folder / "model.npz").facts["steps done"] > 3 and not (folder / "model.run").exists()


@pytest.mark.slow
def test_runs_that_end_and_start_all_the_time_do_not_harm_each_other(folder):
    """Each removes the folder at its end, while the others try to take it."""
    argv = ["train", "text.txt", *SMALL, "--steps", "1"]
    processes = [start(folder, "-m", "minidl", *argv) for _ in range(6)]
    codes = []
    for process in processes:
        _, err = process.communicate(timeout=120)
        codes.append(process.returncode)
        assert process.returncode == 0 or (process.returncode == 2 and "model.run is in use by another run" in err), err
    assert 0 in codes and sorted(os.listdir(folder)) == ["model.npz", "text.txt"]
    assert load(folder / "model.npz").facts["steps done"] == 1


@pytest.mark.slow
def test_second_python_training_is_refused(folder):
    first = start(folder, "-c", PYTHON)
    assert first.stdout.readline() == "trains\n"
    for how in "from scratch", "resume":
        second = start(folder, "-c", PYTHON, how)
        _, err = second.communicate(timeout=60)
        assert second.returncode == 1 and err.startswith(f"run is in use by another run (process {first.pid}). Wait")
    assert (folder / "run" / NAME).exists()
    end(first, folder)
    assert all(name.startswith("checkpoint-") for name in os.listdir(folder / "run"))
