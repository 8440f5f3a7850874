"""`SaveBest`: the net on disk, as it was when a figure was best."""

from __future__ import annotations

import os

from minidl.arguments import real
from minidl.callbacks.base import Callback
from minidl.callbacks.stopping import Watch
from minidl.trainer import Trainer


class SaveBest(Callback):
    """Save the net after every epoch that is the best so far.

    Args:
        path: the file.
        figure, min_delta, higher_is_better: as in `EarlyStopping`.

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
        self.path = path
        self.watch = Watch(figure, real("SaveBest", "min_delta", min_delta, 0.0), higher_is_better)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.watch.improves("SaveBest", trainer.row):
            trainer.net.save(self.path)
