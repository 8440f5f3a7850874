"""The end of `minidl train` in processes of their own: a terminal that is closed, a disk that is full."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minidl import load

MINIDL = [sys.executable, "-m", "minidl", "train"]
SMALL = ["--units", "8", "--batch", "4", "--window", "16"]


@pytest.fixture
def folder(tmp_path):
    """A folder with a text."""
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog.\n" * 60, encoding="utf-8")
    return tmp_path


def resumed(folder):
    """Resume the run; returns the model's facts."""
    done = subprocess.run([*MINIDL, "--resume", "model.run", "--quiet"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (folder / "model.run").exists()
    return load(folder / "model.npz").facts


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no terminals of this kind")
def test_closed_terminal_ends_the_run_with_model_and_checkpoint(folder):
    import pty
    import signal

    child, terminal = pty.fork()
    if child == 0:  # with the terminal as its own, as in a window
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup may have handed it down as ignored
        os.chdir(folder)
        os.execv(sys.executable, [*MINIDL, "text.txt", *SMALL, "--steps", "3000"])
    printed = b""
    while b"sample" not in printed.partition(b"below")[2]:  # behind the first epoch
        printed += os.read(terminal, 10_000)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    facts = load(folder / "model.npz").facts
    assert facts["stopped"] == "ended by SIGHUP, the terminal was closed" and facts["steps done"] < 3000
    assert [path.name for path in (folder / "model.run").glob("checkpoint-*")]
    assert resumed(folder)["stopped"] is None


FULL = """
import resource, sys
from minidl.callbacks import Checkpoint
from minidl.cli import main

finish = Checkpoint.finish

def full(self, trainer):
    finish(self, trainer)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))  # as if the disk were full from here on

Checkpoint.finish = full
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no limit of this kind")
def test_full_disk_at_the_end_leaves_the_checkpoint_and_says_how_to_save(folder):
    argv = ["train", "text.txt", *SMALL, "--steps", "30", "--quiet"]
    done = subprocess.run([sys.executable, "-c", FULL, *argv], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr == (
        "minidl train: model.npz: File too large: the file system takes no file of that size: name another place. "
        "The checkpoints are kept: minidl train --resume model.run resumes from step 30 and saves it\n"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["model.run", "text.txt"]
    assert resumed(folder)["steps"] == 30
    whole = subprocess.run([*MINIDL, *argv[1:], "--out", "whole.npz"], cwd=folder)
    assert whole.returncode == 0
    one, other = load(folder / "model.npz"), load(folder / "whole.npz")
    assert all((p.value == other.params[name].value).all() for name, p in one.params.items())
