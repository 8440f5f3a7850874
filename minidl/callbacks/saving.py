"""`SaveBest`: the net on disk, as it was when a figure was best."""

from __future__ import annotations

import os
from pathlib import Path

from minidl import durable
from minidl.callbacks.stopping import Watching
from minidl.saving import checked
from minidl.trainer import Trainer


class SaveBest(Watching):
    """Save the net after every epoch that is the best so far.

    Args:
        path: the file; a training with another trainer overwrites it, another `fit` of the same one when it is better.
            Give runs at the same time files of their own: unlike the folder of a `Checkpoint`, it is not locked.
        figure, min_delta, higher_is_better: as in `EarlyStopping`.

    Raises:
        OSError, ArgumentError: at the start of the training, for a file that could not be written after it, or a net
            that a file cannot hold.

    Example:
        >>> best = minidl.SaveBest("best.npz", figure="valid_accuracy", higher_is_better=True)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        figure: str | None = None,
        min_delta: float = 0.0,
        higher_is_better: bool = False,
    ) -> None:
        super().__init__(figure, min_delta, higher_is_better)
        self.path = path

    def on_fit_start(self, trainer: Trainer) -> None:
        super().on_fit_start(trainer)
        durable.try_replace(Path(self.path))
        checked(trainer.net)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.improves(trainer):
            trainer.net.save(self.path)
