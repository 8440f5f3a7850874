"""Taking turns: worker processes that run a few steps each, one after the other, so that all meet the same machine."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from competitors import COMPETITORS, Setting, environment
from machine import pause
from tasks import Size

WORKER = Path(__file__).with_name("worker.py")
PAUSE = 0.15  # seconds before a turn: threads that spin on for a while would take a core from the next one
UNTIMED = 1  # steps at the beginning of a turn, which wake the threads and fill the caches
TRIALS = 3  # turns of each setting, of which the best is chosen


class Worker:
    """A process that plays one competitor."""

    def __init__(self, name: str, setting: Setting) -> None:
        self.name, self.setting = name, setting
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed in close
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), COMPETITORS[name].module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            env=environment(name, setting),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request, wait for the answer.

        Raises:
            RuntimeError: where the worker failed, with what it said last.
        """
        assert self.process.stdin and self.process.stdout
        try:
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            self.errors.seek(0)
            said = "".join(self.errors.readlines()[-8:])
            raise RuntimeError(f"{COMPETITORS[self.name].title} ({self.setting.label}): {answer['error']}\n{said}")
        return answer

    def close(self) -> None:
        """End the process: it ends by itself when nothing more can come."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.close()
            self.process.wait(timeout=10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def started(name: str, setting: Setting, task: str, size: Size, options: Mapping[str, Any]) -> Worker:
    """A worker that has its net, its data, and one turn behind it: what is compiled at the first step is there."""
    worker = Worker(name, setting)
    try:
        worker.ask("prepare", task=task, size=list(size), options=dict(options))
        worker.ask("play", steps=1, untimed=UNTIMED)
    except RuntimeError:
        worker.close()
        raise
    return worker


def best_setting(name: str, task: str, size: Size) -> Setting:
    """The thread setting with the shortest median of a few turns; no trial where there is no choice."""
    settings = COMPETITORS[name].settings
    if len(settings) == 1:
        return settings[0]
    workers: dict[str, Worker] = {}
    try:
        for setting in settings:
            workers[setting.label] = started(name, setting, task, size, {})
        turns = take_turns(workers, TRIALS, max(1, size.steps(task) // 2))
    finally:
        close(workers)
    medians = {label: statistics.median(turn["seconds"] for turn in turns[label]) for label in workers}
    return min(settings, key=lambda setting: medians[setting.label])


def take_turns(workers: Mapping[str, Worker], times: int, steps: int) -> dict[str, list[dict[str, Any]]]:
    """The answers of each, turn by turn, and how busy others were just before; who begins alternates."""
    answers: dict[str, list[dict[str, Any]]] = {key: [] for key in workers}
    for k in range(times):
        for key in list(workers)[:: -1 if k % 2 else 1]:
            busy = pause(PAUSE)
            answers[key].append(workers[key].ask("play", steps=steps, untimed=UNTIMED) | {"busy": busy})
    return answers


def close(workers: Mapping[str, Worker]) -> None:
    """End all of them."""
    for worker in workers.values():
        worker.close()


def quartiles(values: list[float]) -> list[float]:
    """The lower quartile, the median, the upper quartile."""
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
