"""Ends and turns of a training: `EarlyStopping`, `ReduceLROnPlateau`, `NanGuard`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.arguments import positive_int, real
from minidl.callbacks.base import Callback
from minidl.errors import NonFiniteError, UnknownNameError
from minidl.gradients import check_finite
from minidl.inputs import Array
from minidl.trainer import Trainer


class Watch:
    """The best value so far of one figure of the row, and how many epochs ago that was.

    Args:
        figure: a key of `trainer.row`; None for "valid_loss", or "loss" without validation.
        min_delta: how much better counts as better.
        higher_is_better: for accuracies.
    """

    def __init__(self, figure: str | None, min_delta: float, higher_is_better: bool) -> None:
        self.figure, self.min_delta, self.sign = figure, min_delta, -1.0 if higher_is_better else 1.0
        self.best = math.inf  # times the sign: lower is better
        self.epochs_since = 0

    def improves(self, owner: str, row: dict[str, Any]) -> bool:
        """Take in the row of an epoch; say whether it is the best so far."""
        figure = self.figure or ("valid_loss" if "valid_loss" in row else "loss")
        if figure not in row:
            raise UnknownNameError(
                f"{owner} watches {figure!r}, but the epoch has {', '.join(row)}: give validation data or a metric."
            )
        value = self.sign * row[figure]
        if value < self.best - self.min_delta:
            self.best, self.epochs_since = value, 0
            return True
        self.epochs_since += 1
        return False


class EarlyStopping(Callback):
    """End the training when a figure has not become better for `patience` epochs, and bring the best weights back.

    Args:
        patience: how many epochs without improvement are waited for.
        figure: a key of the epoch's row; None for "valid_loss", or "loss" without validation.
        min_delta: how much better counts as better.
        higher_is_better: True for accuracies.
        restore_best: whether the weights of the best epoch come back, also when the training ends otherwise.

    Example:
        >>> minidl.EarlyStopping(patience=3).patience
        3
    """

    def __init__(
        self,
        patience: int = 3,
        figure: str | None = None,
        min_delta: float = 0.0,
        higher_is_better: bool = False,
        restore_best: bool = True,
    ) -> None:
        self.patience = positive_int("EarlyStopping", "patience", patience)
        self.watch = Watch(figure, real("EarlyStopping", "min_delta", min_delta, 0.0), higher_is_better)
        self.restore_best = bool(restore_best)
        self.best_epoch = 0
        self.weights: dict[str, Array] = {}

    def on_fit_start(self, trainer: Trainer) -> None:
        self.watch.epochs_since = 0  # another call of fit gets the whole patience again

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.watch.improves("EarlyStopping", trainer.row):
            self.best_epoch = trainer.epoch
            if self.restore_best:
                self.weights = {name: p.value.copy() for name, p in trainer.params.items()}
        elif self.watch.epochs_since >= self.patience:
            best = f"the best was epoch {self.best_epoch}" if self.best_epoch else "none had a finite figure"
            trainer.stop(f"no improvement for {self.patience} epoch{'s' * (self.patience > 1)}, {best}")

    def on_fit_end(self, trainer: Trainer) -> None:
        for name, value in self.weights.items():
            trainer.params[name].value[...] = value


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by `factor` when a figure has not become better for `patience` epochs.

    Args:
        factor: in (0, 1).
        patience: how many epochs without improvement are waited for.
        figure, min_delta, higher_is_better: as in `EarlyStopping`.
        min_scale: the rate is not reduced below this share of what the optimizer was given.

    Example:
        >>> minidl.ReduceLROnPlateau(factor=0.5, patience=2).factor
        0.5
    """

    def __init__(
        self,
        factor: float = 0.5,
        patience: int = 2,
        figure: str | None = None,
        min_delta: float = 0.0,
        higher_is_better: bool = False,
        min_scale: float = 1e-3,
    ) -> None:
        self.factor = real("ReduceLROnPlateau", "factor", factor, 1e-12, 1.0)
        self.patience = positive_int("ReduceLROnPlateau", "patience", patience)
        self.min_scale = real("ReduceLROnPlateau", "min_scale", min_scale, 0.0)
        self.watch = Watch(figure, real("ReduceLROnPlateau", "min_delta", min_delta, 0.0), higher_is_better)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if not self.watch.improves("ReduceLROnPlateau", trainer.row) and self.watch.epochs_since >= self.patience:
            optimizer = trainer.optimizer
            reduced = max(self.min_scale, optimizer.lr_scale * self.factor)
            optimizer.lr_scale = min(optimizer.lr_scale, reduced)
            self.watch.epochs_since = 0


class NanGuard(Callback):
    """Stop at the first loss, gradient or parameter that is not finite, and name it; a sick update is left out.

    Put it first in the list, before clipping.

    Example:
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[minidl.NanGuard()])
    """

    def on_grads_ready(self, trainer: Trainer) -> None:
        if not np.isfinite(trainer.value):
            trainer.stop(f"the loss is {trainer.value} at step {trainer.step + 1}: no update was made from it")
            return
        try:
            check_finite(trainer.params)
        except NonFiniteError as error:
            trainer.stop(f"step {trainer.step + 1}: {error}")

    def on_step_end(self, trainer: Trainer) -> None:
        for name, p in trainer.params.items():
            if not np.isfinite(p.value).all():
                trainer.stop(f"the parameter {name!r} is not finite after the update of step {trainer.step}")
                return
