"""A row of the report: a task and a net, everyone who takes part, their seconds, and the ratios of neighbours."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from competitors import COMPETITORS, DEFAULT, KERNELS, takes_part
from peers.gemms import PEAK, operations
from tasks import Size
from turns import Worker, best_setting, close, quartiles, started, take_turns

PEEPHOLES = " peepholes"  # behind a kernel's name: the same net with them
PEAK_TURNS = 5


def measure(task: str, row: str, size: Size, names: list[str], choose: bool = True) -> dict[str, Any]:
    """Choose the settings, take turns, and put the figures together.

    Args:
        task: one of TASKS.
        row: the net's name.
        size: the net.
        names: who takes part, as far as they do this task.
        choose: try the thread settings; otherwise everyone takes the first one.
    """
    names = [name for name in names if takes_part(name, task, size.layer)]
    kind = "training" if task == "peepholes" else task
    settings = {name: best_setting(name, kind, size) if choose else COMPETITORS[name].settings[0] for name in names}
    workers: dict[str, Worker] = {}
    try:
        for name, setting in settings.items():
            workers[name] = started(name, setting, kind, size, {})
            if task == "peepholes":
                workers[name + PEEPHOLES] = started(name, setting, kind, size, {"peephole": "diagonal"})
        turns = take_turns(workers, size.turns, size.steps(task))
        found = {name: figures(worker, turns[name]) for name, worker in workers.items()}
    finally:
        close(workers)
    report = {
        "task": task, "row": row, "net": size.title, "turns": size.turns,
        "steps": size.steps(task), "busy": busy(turns), "competitors": found,
        "ratios": ratios(found),
    }  # fmt: skip
    if "gemms" in found:
        report["gemms"] = {"peak": peak(size), "alone": operations(size) / found["gemms"]["quartiles"][1] / 1e9}
    return report


def busy(turns: Mapping[str, list[dict[str, Any]]]) -> float:
    """How many cores others kept busy in the pauses, on average: more than a few percent spoil the figures."""
    return statistics.fmean(turn["busy"] for answers in turns.values() for turn in answers)


def figures(worker: Worker, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """What one competitor showed."""
    seconds = [turn["seconds"] for turn in turns]
    return {
        "setting": worker.setting.label, "env": worker.setting.env, "about": worker.ask("about"),
        "seconds": seconds, "quartiles": quartiles(seconds), "last result": turns[-1]["result"],
        "memory": worker.ask("memory"),
    }  # fmt: skip


def ratios(found: Mapping[str, Mapping[str, Any]]) -> dict[str, list[float]]:
    """The quartiles of everyone's seconds over those of each of minidl's kernels, neighbour by neighbour."""
    quotients = {}
    for kernel in [name for name in KERNELS if name in found]:
        for name in found:
            if name != kernel:
                pairs = zip(found[name]["seconds"], found[kernel]["seconds"], strict=True)
                quotients[f"{name}/{kernel}"] = quartiles([a / b for a, b in pairs])
    return quotients


def peak(size: Size) -> float:
    """GFLOP/s of one large product."""
    with started("gemms", DEFAULT, "peak", size, {}) as worker:
        seconds = [turn["seconds"] for turn in take_turns({"": worker}, PEAK_TURNS, 2)[""]]
    return 2 * PEAK**3 / statistics.median(seconds) / 1e9


def kernel_of(name: str) -> str:
    """The kernel that minidl's process says it runs."""
    with Worker(name, DEFAULT) as worker:
        return worker.ask("about")["kernel"]
