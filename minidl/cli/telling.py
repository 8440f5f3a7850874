"""What `minidl train` says before and after a training."""

from __future__ import annotations

import math
from typing import Any

from minidl import kernels
from minidl.cli.tasks import Job, Task
from minidl.escaping import escape, quote_path
from minidl.plain_console import PlainConsole
from minidl.text import count_of
from minidl.trainer import Trainer


def say_what(job: Job, task: Task, parameters: int, steps: int) -> None:
    """The head of the console: what is trained, and what its figures are to be compared with."""
    from rich.text import Text

    console = PlainConsole()
    about = "" if job.net.facts["minutes"] is None else "about "
    parts = ["minidl train", *job.heading, f"{parameters:,} parameters", about + count_of(steps, "step")]
    lines = [" · ".join([*parts, f"kernel {kernels.in_words()}"])]
    if job.baselines:
        marks = [f"{name} {figure_text(figure)}" for name, figure in job.baselines.items()]
        lines.append(f"{task.measure}   " + "   ".join(marks))
    if job.sample:
        lines.append(job.sample)
    for line in lines:
        for piece in Text(escape(line)).wrap(console, console.width):
            piece.rstrip()
            console.print(piece)
    console.print()


def say_result(path: str | None, row: dict[str, Any], trainer: Trainer, task: Task, job: Job) -> None:
    """The last lines: how good it became, and what to do with it. `row` is of the epoch that was kept."""
    console = PlainConsole()
    value = task.figure(row.get("valid_loss", math.nan))
    if math.isfinite(value):
        verdict = ""
        if job.baselines:
            best = min(job.baselines, key=job.baselines.__getitem__)
            there = f"{best} stands at {figure_text(job.baselines[best])}"
            verdict = ", below every baseline" if value < job.baselines[best] else f", {there}"
        told = escape(task.verdict(figures_of(row, "valid_", task)))
        console.print(f"\nvalidation {told}{verdict}", soft_wrap=True)
        later = [task.figure(other["valid_loss"]) for other in trainer.history.rows[row["epoch"] :]]
        worse = later and later[-1] > 1.002 * value
        hint = f"; the last had {later[-1]:.4g}: fewer --epochs, or more data, would help" if worse else ""
        if row.get("step", trainer.step) < trainer.step:
            console.print(f"epoch {row['epoch']} is kept{hint}")
    if "test_loss" in row:
        console.print(f"test {escape(task.verdict(figures_of(row, 'test_', task)))}", soft_wrap=True)
    if path is None:
        return
    after = job.hint.replace("{model}", quote_path(path), 1)  # a text that is called {model} comes later
    console.print(f"saved {escape(path)} · next: {after}", soft_wrap=True)


def figure_text(figure: float) -> str:
    """A baseline: 2.03, 0.00412, 10,000."""
    if abs(figure) >= 1000:
        return f"{figure:,.0f}"
    return f"{figure:z.2f}" if abs(figure) >= 0.1 or not figure else f"{figure:.3g}"


def figures_of(row: dict[str, Any], part: str, task: Task) -> dict[str, float]:
    """The loss of a part, in the unit that is shown, and its metrics."""
    figures = {name.removeprefix(part): value for name, value in row.items() if name.startswith(part)}
    return {"loss": task.figure(figures.pop("loss"))} | figures
