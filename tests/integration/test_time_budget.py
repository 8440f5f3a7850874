"""`minidl train --minutes` in processes of their own: interrupted and resumed, a run is what its recorded plan says."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl.cli import main
from minidl.cli.tasks import task_of

MINIDL = [sys.executable, "-m", "minidl", "train"]
SMALL = ["--units", "8", "--batch", "4", "--window", "16", "--dropout", "0.2"]


def interrupt(folder, *argv, epoch):
    """Run the command until an epoch is done, and press Ctrl-C; returns the exit code."""
    with subprocess.Popen([*MINIDL, *argv, "--json"], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if f'"epoch": {epoch},' in line:
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
        return process.wait()


@pytest.mark.slow
def test_interrupted_minutes_resume_to_the_bits_of_their_plan(tmp_path, monkeypatch):
    lines = [f"{n} plus {m} is {n + m}, and {n} times {m} is {n * m}.\n" for n in range(12) for m in range(30)]
    (tmp_path / "sums.txt").write_text("".join(lines), encoding="utf-8")
    assert interrupt(tmp_path, "sums.txt", *SMALL, "--minutes", "0.1", epoch=1) == 130
    assert interrupt(tmp_path, "--resume", "model.run", epoch=3) == 130
    assert subprocess.run([*MINIDL, "--resume", "model.run", "--quiet"], cwd=tmp_path).returncode == 0
    timed = minidl.load(tmp_path / "model.npz")
    assert not (tmp_path / "model.run").exists() and timed.facts["stopped"] is None

    schedule = eval(timed.facts["schedule"], vars(minidl))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(type(task_of("char_lm")), "optimizer", lambda *_: minidl.Adam(schedule))
    steps = ["--steps", str(timed.facts["steps"])]
    assert main(["train", "sums.txt", *SMALL, *steps, "--out", "again.npz", "--quiet"]) == 0
    again = minidl.load("again.npz")
    assert all(np.array_equal(p.value, again.params[name].value) for name, p in timed.params.items())
    ours, theirs = ({k: v for k, v in net.facts.items() if k not in ("seconds", "minutes")} for net in (timed, again))
    assert ours == theirs
