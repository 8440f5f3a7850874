"""The end of a run of `minidl train`: which model is saved, where, and whether it may replace an older one."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

from minidl.cli.prepared_run import PreparedRun
from minidl.cli.tasks import Task
from minidl.escaping import quote_path
from minidl.gradients import are_finite
from minidl.trainer import Trainer

# Nets that have made one to three updates are at up to 1.19 times the loss of a uniform guess (112 runs over all
# classifiers), and those that diverged at 1.9 or more. test_cli_outcome.py trains both kinds.
USELESS_LOSS_RATIO = 1.25


class Outcome(NamedTuple):
    """The end of a run: the saved file, None without one; notes for the user; whether the run failed."""

    saved: str | None
    notes: list[str]
    failed: bool
    kept_back: bool  # an older model stays, and the run folder too


def save(run: PreparedRun, row: dict[str, Any]) -> Outcome:
    """Save the model, unless its weights are useless, or it is worse than a uniform guess and there is an older one.

    Args:
        run: the run, after its training.
        row: the metrics of the epoch that the weights are from.
    """
    trainer, net, checkpoint = run.trainer, run.job.net, run.checkpoint
    finite = are_finite(net.params)
    if not trainer.step or not finite or not (run.best.kept_epoch or math.isfinite(trainer.value)):
        return Outcome(None, checkpoint_notes(run), False, False)
    out, shown, notes = run.out, run.args.out, []
    loss = row.get("valid_loss", row.get("loss", math.nan))
    useless = loss > USELESS_LOSS_RATIO * run.useless_loss
    verdict = f"worse than {run.useless_name}: {in_unit(loss, run.task)} against {in_unit(run.useless_loss, run.task)}"
    if useless and os.path.exists(out):
        notes.append(f"{shown} was not replaced, because this run is {verdict}")
        if checkpoint.files():
            folder = quote_path(checkpoint.folder)
            notes.append(f"the run is in {folder}: minidl train --resume {folder} --out FILE saves it")
        return Outcome(None, notes, True, True)
    if useless:
        notes.append(f"{shown} is {verdict}")
    if checkpoint.lock.lost:
        path = Path(out)
        shown = out = str(path.with_name(f"{path.stem}-{os.getpid()}{path.suffix}"))
        notes.append(f"another run uses {checkpoint.folder}, so this model is saved as {shown}")
    net.facts |= facts_of_row(row, trainer, run.task)
    net.save(out)
    return Outcome(shown, notes + checkpoint_notes(run), useless, False)


def checkpoint_notes(run: PreparedRun) -> list[str]:
    """Return where the checkpoints of a run are that stopped by itself, if there are any."""
    files = run.checkpoint.files()
    if not run.trainer.stop_reason or run.trainer.interrupted or not files:
        return []
    return [f"the last checkpoint is {quote_path(files[-1])}: {run.checkpoint.how} resumes from it"]


def in_unit(loss: float, task: Task) -> str:
    """Return a loss with its unit."""
    return f"{task.figure(loss):.4g}{'' if task.unit == 'loss' else f' {task.unit}'}"


def facts_of_row(row: dict[str, Any], trainer: Trainer, task: Task) -> dict[str, Any]:
    """Return what the file of the model says of the epoch that its weights are from."""

    def value_of(name: str) -> float | None:
        value = task.figure(row[name]) if name.endswith("loss") and name in row else row.get(name, math.nan)
        if not math.isfinite(value):
            return None
        small = abs(value) < 0.1  # of a tiny series, say: digits that count
        return (float(f"{value:.4g}") if small else round(value, 4)) + 0.0  # + 0.0 makes a -0.0 zero

    metrics = [name for name in row if name.startswith(("valid_", "test_"))]
    names = ["loss", "valid_loss", *(name for name in metrics if name != "valid_loss")]
    return {
        "steps": trainer.last_step,  # where a time budget has moved it to
        "schedule": str(trainer.optimizer.lr),
        "steps done": row.get("step", trainer.step),
        "epoch": row["epoch"],
        **{fact_name(name, task): value_of(name) for name in names},
        "seconds": round(sum(row["seconds"] for row in trainer.history.rows), 1),
        "stopped": (trainer.stop_reason or trainer.interrupted or "").partition(";")[0] or None,
    }


def fact_name(name: str, task: Task) -> str:
    """Return the name of a metric among the facts: "valid bits" for valid_loss."""
    part, _, metric = name.partition("_") if name.startswith(("valid_", "test_")) else ("train", "", name)
    return f"{part} {task.unit if metric == 'loss' else metric}"
