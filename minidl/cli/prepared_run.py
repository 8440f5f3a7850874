"""`PreparedRun`: a run of `minidl train` that is ready to start."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from minidl.callbacks import Checkpoint, EarlyStopping
from minidl.cli.tasks import Job, Task
from minidl.trainer import Trainer


@dataclass
class PreparedRun:
    """All that a run consists of.

    Args:
        args: the options.
        out: the file of the model; `args.out` may be a link to it.
        best: what restores the weights of the best epoch; among the callbacks if the job asks for that.
        steps, epochs: how long it is.
        useless_name, useless_loss: what a model has to be better than to be of use, and its validation loss.
    """

    args: argparse.Namespace
    out: str
    task: Task
    job: Job
    trainer: Trainer
    checkpoint: Checkpoint
    best: EarlyStopping
    steps: int
    epochs: int
    useless_name: str
    useless_loss: float

    @property
    def shown(self) -> bool:
        """Return whether the console is on."""
        return not self.args.json and not self.args.quiet

    def kept_row(self) -> dict[str, Any]:
        """Return the metrics of the epoch that the weights are from, complete or not."""
        trainer = self.trainer
        if self.best.kept_epoch:
            row: dict[str, Any] = trainer.history.rows[self.best.kept_epoch - 1]
            return row
        return trainer.means.values() | trainer.row
