"""Ends and turns of a training: `EarlyStopping`, `ReduceLROnPlateau`, `NanGuard`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from minidl.arguments import positive_int, real
from minidl.callbacks.base import Callback, Remembering
from minidl.errors import NonFiniteError, UnknownNameError
from minidl.file_values import Check, arrays, count, number, optional, refuse, text
from minidl.gradients import check_finite
from minidl.inputs import Array
from minidl.parameter import Parameter
from minidl.trainer import Trainer

if TYPE_CHECKING:
    from minidl.checking.naming.findings import Finding


class Watching(Remembering):
    """The base of callbacks that remember the best value so far of one figure of the row, and when that was.

    What is remembered belongs to one trainer and one figure: another call of `fit` goes on with it, another trainer
    begins anew, and so does another figure, where the first call had validation and the second has none.

    Args:
        figure: a key of `trainer.row`; None for "valid_loss", or "loss" without validation.
        min_delta: how much better counts as better.
        higher_is_better: for accuracies.
    """

    remembers: ClassVar[tuple[str, ...]] = "watched", "best", "best_epoch", "epochs_since"
    checks: ClassVar[Mapping[str, Check]] = {
        "watched": optional(text), "best": number, "best_epoch": count, "epochs_since": count,
    }  # fmt: skip

    def __init__(self, figure: str | None, min_delta: float, higher_is_better: bool) -> None:
        self.figure, self.sign = figure, -1.0 if higher_is_better else 1.0
        self.min_delta = real(type(self).__name__, "min_delta", min_delta, 0.0)
        self.forget()

    def forget(self) -> None:
        self.watched: str | None = None
        self.best = math.inf  # times the sign: lower is better
        self.best_epoch = self.epochs_since = 0

    def improves(self, trainer: Trainer) -> bool:
        """Take in the row of an epoch; return whether it is the best so far.

        Weights with a NaN or infinity never are, though their accuracy may be high.
        """
        row = trainer.row
        figure = self.figure or ("valid_loss" if "valid_loss" in row else "loss")
        if figure not in row:
            raise UnknownNameError(
                f"{type(self).__name__} watches {figure!r}, but the epoch has {', '.join(row)}: give validation data "
                f"or a metric."
            )
        if self.watched not in (None, figure):
            self.forget()
        self.watched = figure
        value = self.sign * row[figure]
        if value < self.best - self.min_delta and is_finite(trainer.params):
            self.best, self.best_epoch, self.epochs_since = value, trainer.epoch, 0
            return True
        self.epochs_since += 1
        return False


def is_finite(params: Mapping[str, Parameter]) -> bool:
    """Return whether all weights are finite."""
    return all(np.isfinite(p.value).all() for p in params.values())


class EarlyStopping(Watching):
    """End the training when a figure has not become better for `patience` epochs, and bring the best weights back.

    Another call of `fit` has the whole patience again, and knows the best of the calls before it.

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

    remembers: ClassVar[tuple[str, ...]] = (*Watching.remembers, "kept_epoch", "weights")
    checks: ClassVar[Mapping[str, Check]] = {**Watching.checks, "kept_epoch": count}

    def __init__(
        self,
        patience: int = 3,
        figure: str | None = None,
        min_delta: float = 0.0,
        higher_is_better: bool = False,
        restore_best: bool = True,
    ) -> None:
        super().__init__(figure, min_delta, higher_is_better)
        self.patience = positive_int("EarlyStopping", "patience", patience)
        self.restore_best = bool(restore_best)

    def forget(self) -> None:
        super().forget()
        self.kept_epoch, self.weights = 0, dict[str, Array]()

    def check_recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        super().check_recall(trainer, kept)
        if kept.get("weights", {}) != {}:
            arrays("EarlyStopping 'weights'", kept["weights"], {n: p.value for n, p in trainer.params.items()})

    def recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        if kept.get("kept_epoch", 0) not in (0, *trainer.history["epoch"]):
            raise refuse("EarlyStopping 'kept_epoch'", "an epoch of the history", kept["kept_epoch"])
        super().recall(trainer, kept)

    def on_fit_start(self, trainer: Trainer) -> None:
        super().on_fit_start(trainer)
        self.epochs_since = 0

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.improves(trainer):
            if self.restore_best:
                weights = {name: p.value.copy() for name, p in trainer.params.items()}
                self.kept_epoch, self.weights = trainer.epoch, weights  # at once, for Ctrl-C may come in between
        elif self.epochs_since >= self.patience:
            best = f"the best was epoch {self.best_epoch}" if self.best_epoch else "none had a finite figure"
            trainer.stop(f"no improvement for {self.patience} epoch{'s' * (self.patience > 1)}, {best}")

    def on_fit_end(self, trainer: Trainer) -> None:
        for name, value in self.weights.items():
            trainer.params[name].value[...] = value


class ReduceLROnPlateau(Watching):
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
        super().__init__(figure, min_delta, higher_is_better)
        self.factor = real("ReduceLROnPlateau", "factor", factor, 1e-12, 1.0)
        self.patience = positive_int("ReduceLROnPlateau", "patience", patience)
        self.min_scale = real("ReduceLROnPlateau", "min_scale", min_scale, 0.0)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if not self.improves(trainer) and self.epochs_since >= self.patience:
            optimizer = trainer.optimizer
            reduced = max(self.min_scale, optimizer.lr_scale * self.factor)
            optimizer.lr_scale = min(optimizer.lr_scale, reduced)
            self.epochs_since = 0


class NanGuard(Callback):
    """Stop at the first loss, gradient or parameter that is not finite, and name it; a sick update is left out.

    The reason says where it was born as well, down to the gate, the step and the row, as far as
    `minidl.checking.find_nonfinite` can tell from the last batch. Put it first in the list, before clipping.

    Example:
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[minidl.NanGuard()])
    """

    def on_grads_ready(self, trainer: Trainer) -> None:
        for value in trainer.values:  # of every batch that the update is made from
            if not math.isfinite(value):
                told = self.place(trainer)
                trainer.stop(f"the loss is {value} at step {trainer.step + 1}: no update was made from it{told}")
                return
        try:
            check_finite(trainer.params)
        except NonFiniteError as error:
            trainer.stop(f"step {trainer.step + 1}: {error}{self.place(trainer)}")

    def on_step_end(self, trainer: Trainer) -> None:
        for name, p in trainer.params.items():
            if not np.isfinite(p.value).all():
                from minidl.checking.update import spoiled  # for a sick step alone

                told = in_brackets(spoiled(trainer.params, trainer.optimizer))
                trainer.stop(f"the parameter {name!r} is not finite after the update of step {trainer.step}{told}")
                return

    def place(self, trainer: Trainer) -> str:
        """Where the number was born, in words; nothing where the last batch does not tell."""
        from minidl.checking.nonfinite import find_nonfinite  # for a sick step alone

        if len(trainer.values) > 1 or trainer.batch is None:
            return ""
        rng = np.random.default_rng((trainer.seed, trainer.batches_seen - 1))
        try:
            finding = find_nonfinite(trainer.net, trainer.loss, trainer.batch, trainer.before, rng=rng)
        except Exception as error:  # the training is to end in order, whatever a layer of somebody's own does
            return f" (where it was born could not be found: {error})"
        return in_brackets(finding)


def in_brackets(finding: Finding | None) -> str:
    """A finding as the end of a reason."""
    return "" if finding is None else f" ({finding.code}, {finding.where}: {finding.evidence})"
