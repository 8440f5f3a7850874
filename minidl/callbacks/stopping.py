"""Ends and turns of a training: `EarlyStopping`, `ReduceLROnPlateau`, `NanGuard`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from minidl.arguments import positive_int, real
from minidl.callbacks.base import Callback, Remembering
from minidl.errors import ArgumentError, NonFiniteError, UnknownNameError
from minidl.figures import row_directions
from minidl.file_values import Check, arrays, count, number, optional, refuse, text
from minidl.gradients import are_finite, check_finite, is_finite
from minidl.inputs import Array
from minidl.names import offer
from minidl.trainer import Trainer

if TYPE_CHECKING:
    from minidl.checking.naming.findings import Finding


class Watching(Remembering):
    """The base of callbacks that remember the best value so far of one key of the row, and its epoch.

    What is remembered belongs to one trainer and one key: another call of `fit` continues with it, another trainer
    starts from scratch, and so does another key, where the first call had validation and the second has none.

    Args:
        figure: a key of `trainer.row`; None for "valid_loss", or "loss" without validation.
        min_delta: how much better counts as better.
        higher_is_better: only for a metric that has no direction of its own; None reads it from the metric.

    Raises:
        UnknownNameError, ArgumentError: when `fit` starts, for a key that no epoch will have, or a direction that is
            unknown or contradicts the metric's own.
    """

    remembers: ClassVar[tuple[str, ...]] = "watched", "best", "best_epoch", "epochs_since"
    checks: ClassVar[Mapping[str, Check]] = {
        "watched": optional(text), "best": number, "best_epoch": count, "epochs_since": count,
    }  # fmt: skip

    def __init__(self, figure: str | None, min_delta: float, higher_is_better: bool | None) -> None:
        name = type(self).__name__
        if figure is not None and not isinstance(figure, str):
            raise ArgumentError(f"{name} figure must be a key of the epoch's row or None, got {figure!r:.60}.")
        if not isinstance(higher_is_better, bool | None):
            raise ArgumentError(f"{name} higher_is_better must be True, False or None, got {higher_is_better!r:.60}.")
        self.figure, self.higher_is_better = figure, higher_is_better
        self.min_delta = real(name, "min_delta", min_delta, 0.0)
        self.sign = 1.0  # of the direction: -1 where higher is better
        self.forget()

    def on_fit_start(self, trainer: Trainer) -> None:
        super().on_fit_start(trainer)
        self.choose(trainer)

    def choose(self, trainer: Trainer) -> None:
        """Find the key to monitor among those that the epochs of this `fit` have, and its direction."""
        name, before = type(self).__name__, takewhile(lambda callback: callback is not self, trainer.active)
        known = row_directions(trainer.metrics, trainer.validation is not None, before)
        self.key = self.figure or ("valid_loss" if "valid_loss" in known else "loss")
        if self.key not in known:
            hint = "Pass validation data to fit. " if self.key.startswith("val") and trainer.validation is None else ""
            raise UnknownNameError(
                f"{name} monitors {self.key!r}, which no epoch will have: {offer(self.key, known, '')}. {hint}"
                f"A callback that writes a key names it in `writes`, and comes first in the list."
            )
        own, wanted = known[self.key], self.higher_is_better
        if own is None and wanted is None:
            raise ArgumentError(
                f"{name} monitors {self.key!r}, whose better direction is not known. Pass higher_is_better=True or "
                f"False, or set the attribute higher_is_better of the metric."
            )
        if None not in (own, wanted) and own != wanted:
            raise ArgumentError(
                f"{name} got higher_is_better={wanted}, but {self.key!r} is better when it is "
                f"{'higher' if own else 'lower'}. Leave higher_is_better out."
            )
        self.sign = -1.0 if (wanted if own is None else own) else 1.0

    def forget(self) -> None:
        self.watched: str | None = None
        self.best = math.inf  # times the sign: lower is better
        self.best_epoch = self.epochs_since = 0

    def improves(self, trainer: Trainer) -> bool:
        """Take in the row of an epoch; return whether it is the best so far.

        Weights with a NaN or infinity never are, though their accuracy may be high.
        """
        if self.key not in trainer.row:
            raise UnknownNameError(
                f"{type(self).__name__} monitors {self.key!r}, but the epoch has {', '.join(trainer.row)}."
            )
        if self.watched not in (None, self.key):
            self.forget()
        self.watched = self.key
        value = self.sign * trainer.row[self.key]
        if value < self.best - self.min_delta and are_finite(trainer.params):
            self.best, self.best_epoch, self.epochs_since = value, trainer.epoch, 0
            return True
        self.epochs_since += 1
        return False


class EarlyStopping(Watching):
    """End the training when a figure has not become better for `patience` epochs, and bring the best weights back.

    Another call of `fit` has the whole patience again, and knows the best of the calls before it.

    Args:
        patience: how many epochs without improvement are waited for.
        figure: a key of the epoch's row; None for "valid_loss", or "loss" without validation.
        min_delta: how much better counts as better.
        higher_is_better: only for a metric that has no direction of its own; None reads it from the metric.
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
        higher_is_better: bool | None = None,
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
        higher_is_better: bool | None = None,
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
            if not is_finite(p.value):
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
