"""`Trainer`: the loop that trains a net, and what can be attached to it."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidl.arguments import positive_int
from minidl.data import Batch, natural
from minidl.errors import ArgumentError, ShapeError
from minidl.feeding import arrange, batches_of, epoch_of, first_of, groups_of
from minidl.history import History
from minidl.inputs import as_mask, cast_input
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.objective import loss_and_grads, loss_value
from minidl.optimizers import Adam, Optimizer
from minidl.sequential import Sequential

# the figures of a row that no metric may be called by: the trainer's own, and those of the callbacks
RESERVED = {"epoch", "loss", "step", "rate", "seconds", "targets_per_second"}
RESERVED |= {"norm", "norm_after", "clipped", "dominant", "sample"}
INTERRUPTED = "interrupted by Ctrl-C"
HOOKS = "on_fit_start", "on_epoch_start", "on_grads_ready", "on_step_end", "on_epoch_end", "on_fit_end"
Metric = Callable[..., tuple[float, float]]  # (y, t, weight, mask) -> (value, how much it counts)


class Trainer:
    """Trains a net: batches in, updates of its parameters, figures per epoch.

    Args:
        net: a layer or net; if it is not built, the first batch builds it.
        loss: what is made small.
        optimizer: how the parameters are updated; by default `Adam()`.
        callbacks: what else happens, called in this order: clipping, early stopping, logs, ...
        metrics: functions (y, t, weight, mask) -> (value, weight), as `minidl.accuracy`; shown under their names.
        accumulate: how many batches make one update; their gradients are averaged by the batches' weights.
        seed: of the initial weights, of the order of the data and of dropout.
        quiet: True for no console by default; one among the callbacks shows what it shows all the same.

    Attributes:
        epoch, step: how many epochs and updates were begun and done, over all calls of `fit`.
        row: the figures of the epoch, complete at its end; history: those of all epochs.
        means: the loss and the metrics of the epoch so far.
        value, batch: the loss of the last batch, and the batch; values: the losses of the last update's batches.
        state: carried from batch to batch, where `Batch.start` says so.
        stop_reason: why the training was ended.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((256, 3))
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), minidl.Adam(0.05), quiet=True)
        >>> history = trainer.fit(x, x.sum(axis=1), epochs=20, validation_split=0.25)
        >>> history["valid_loss"][-1] < 1e-3
        True
    """

    def __init__(
        self,
        net: Layer,
        loss: Loss,
        optimizer: Optimizer | None = None,
        callbacks: Sequence[Any] = (),
        *,
        metrics: Sequence[Metric] = (),
        accumulate: int = 1,
        seed: int = 0,
        quiet: bool = False,
    ) -> None:
        optimizer = Adam() if optimizer is None else optimizer
        for value, kind, name in (net, Layer, "net"), (loss, Loss, "loss"), (optimizer, Optimizer, "optimizer"):
            if not isinstance(value, kind):
                raise ArgumentError(
                    f"Trainer expects {name} to be an instance of {kind.__name__}, got {value!r}: "
                    f"write Trainer(net, CrossEntropy(), Adam(2e-3))."
                )
        self.net, self.loss, self.optimizer = net, loss, optimizer
        for what, given in (("callbacks", callbacks), ("metrics", metrics)):
            if not isinstance(given, list | tuple):
                raise ArgumentError(f"Trainer expects {what} to be a list, got {given!r}: write {what}=[...].")
        for callback in callbacks:
            if isinstance(callback, type) or not any(hasattr(callback, hook) for hook in HOOKS):
                raise ArgumentError(
                    f"Trainer expects callbacks to be instances with hooks such as on_epoch_end, got {callback!r}."
                )
        for metric in metrics:
            if not callable(metric):
                raise ArgumentError(f"Trainer expects metrics to be functions such as accuracy, got {metric!r}.")
        check_names([name_of(metric) for metric in metrics])
        self.callbacks, self.metrics, self.history = list(callbacks), list(metrics), History()
        self.seed, self.quiet = natural("Trainer", "seed", seed), quiet
        self.accumulate = positive_int("Trainer", "accumulate", accumulate)
        self.epoch = self.step = self.batches_seen = 0
        self.last_epoch: float = 0
        self.last_step: int | None = None
        self.row: dict[str, Any] = {}
        self.means = Means()
        self.value = float("nan")
        self.values: list[float] = []
        self.state: Any = None
        self.stop_reason: str | None = None
        self.interrupted: str | None = None

    # -- the loop ---------------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        t: Any = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        validation: Any = None,
        batch_size: int = 32,
        validation_split: float = 0.0,
        shuffle: bool = True,
    ) -> History:
        """Train for some epochs more.

        Args:
            data: an iterable of `Batch` that can be gone through again and again; or plain inputs x, with t.
            t: the targets, where `data` is plain arrays.
            epochs: how often the data is gone through; None for once, or as often as `steps` takes.
            steps: end after this many updates, wherever in an epoch that is.
            validation: as `data`, or a pair of arrays (x, t); evaluated after each epoch.
            batch_size, shuffle: for plain arrays.
            validation_split: the share of plain arrays, from their end, that is held out as validation.

        Returns:
            The history, with a row per epoch.

        Raises:
            ArgumentError: for data that is empty, or empty the second time.

        Notes:
            Ctrl-C ends the training after the update that is under way: `fit` returns as it does otherwise.
        """
        data, validation = arrange(data, t, validation, batch_size, validation_split, shuffle, self.seed)
        self.batches_per_epoch = len(data) if hasattr(data, "__len__") else None
        most = math.inf if steps is not None else 1
        self.last_epoch = self.epoch + (most if epochs is None else positive_int("fit", "epochs", epochs))
        self.last_step = None if steps is None else self.step + positive_int("fit", "steps", steps)
        self.stop_reason = None
        if self.net.in_shape is None:
            first, data = first_of(data)
            build_for(self.net, first.x, self.seed)
        self.params = self.net.params
        self.active = [*self.callbacks, *([] if self.quiet else self._console())]
        self.begun: list[Any] = []
        try:
            with interrupt_stops(self):
                self._call("on_fit_start")
                while self.epoch < self.last_epoch and not self.done:
                    self.epoch += 1
                    self.row, self.means, began = {"epoch": self.epoch}, Means(), time.perf_counter()
                    self._call("on_epoch_start")
                    if self.done:
                        break
                    for group in groups_of(epoch_of(data, self.epoch - 1), self.accumulate):
                        self._update(group)
                        if self.done:
                            break
                    seconds = time.perf_counter() - began
                    self.row |= self.means.values() | {"step": self.step, "rate": self.optimizer.rate}
                    self.row |= {"seconds": seconds, "targets_per_second": self.means.count / seconds}
                    if validation is not None:
                        figures = self._figures(epoch_of(validation, 0, "validation"))
                        self.row |= {f"valid_{name}": value for name, value in figures.items()}
                    self.history.rows.append(self.row)
                    self._call("on_epoch_end")
        except BaseException as error:
            self._end(error)
            raise
        self._end()
        return self.history

    def _update(self, group: list[Batch]) -> None:
        """One update, from a batch or from several whose gradients are averaged by their weights."""
        self.net.zero_grads()
        total, self.values = 0.0, []
        for batch in group:
            self.batch = batch
            rng = np.random.default_rng((self.seed, self.batches_seen))
            before = self._before(batch, self.state)
            result = loss_and_grads(self.net, self.loss, batch, before, rng, weigh=len(group) > 1)
            self.batches_seen += 1
            self.state, self.value = result.state, float(result.value)
            self.values.append(self.value)
            total += result.weight
            self.means.add(self, batch, result.value, result.weight, result.y)
        if len(group) > 1 and total:
            for p in self.params.values():
                p.grad /= total
        self._call("on_grads_ready")
        if self.stop_reason is None:
            self.optimizer.step(self.params)
            self.step += 1
            self._call("on_step_end")

    @property
    def done(self) -> bool:
        """Whether the training has come to its end, by a stop, by Ctrl-C or by the number of steps."""
        return bool(self.stop_reason or self.interrupted) or self.step == self.last_step

    def stop(self, reason: str) -> None:
        """End the training after the step that is under way; the first reason is kept."""
        self.stop_reason = self.stop_reason or str(reason) or "stopped"

    def evaluate(self, data: Any, t: Any = None, *, batch_size: int = 32) -> dict[str, float]:
        """The loss and the metrics on data, without dropout; it begins from the initial state, and never touches
        the state that the training carries.

        Args:
            data, t, batch_size: as for `fit`; a pair of arrays (x, t) will do.

        Returns:
            {"loss": ..., and each metric by its name}; nan where nothing counted.
        """
        return self._figures(epoch_of(batches_of(data, t, batch_size), 0))

    def _figures(self, batches: Iterator[Batch]) -> dict[str, float]:
        """The loss and the metrics of batches, forward only."""
        means, state = Means(), None
        for batch in batches:
            value, weight, y, state = loss_value(self.net, self.loss, batch, self._before(batch, state))
            means.add(self, batch, value, weight, y)
        return means.values()

    def _before(self, batch: Batch, state: Any) -> Any:
        """The state that the batch goes on from: what was carried, unless all rows start."""
        if np.all(batch.start):
            return None
        if not self.net.streams:
            raise ArgumentError(
                f"Trainer is to carry state from batch to batch (start=False), but {type(self.net).__name__} cannot "
                f"be streamed (go_backwards): give batches with start=True."
            )
        return state

    def _call(self, hook: str) -> None:
        for callback in self.active:
            if hook == "on_grads_ready" and self.stop_reason is not None:
                return  # no update will come of these gradients
            if hook == "on_fit_start":
                self.begun.append(callback)
            if hasattr(callback, hook):
                getattr(callback, hook)(self)

    def _end(self, error: BaseException | None = None) -> None:
        """Call on_fit_end of every callback that was begun, whatever another one raises; the first error is raised."""
        self.history.reason = self.stop_reason = self.stop_reason or self.interrupted
        first = error
        for callback in self.begun:
            try:
                if hasattr(callback, "on_fit_end"):
                    callback.on_fit_end(self)
            except BaseException as later:
                if first is None:
                    first = later
                else:
                    who = type(callback).__name__
                    first.add_note(f"Then on_fit_end of {who} failed as well, {type(later).__name__}: {later}")
        if error is None and first is not None:
            raise first

    def _console(self) -> list[Any]:
        from minidl.callbacks.console import Console

        return [] if any(isinstance(c, Console) for c in self.callbacks) else [Console()]


class Means:
    """Means of the loss and the metrics over batches, by the weight of each."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.weights: dict[str, float] = {}
        self.count = 0  # of targets

    def add(self, trainer: Trainer, batch: Batch, value: Any, weight: float, y: Any) -> None:
        """Take in a batch and what came of it; y are the outputs that the loss saw."""
        found = {"loss": (value, weight)}
        if trainer.metrics:
            y, seen = outputs(trainer.net, trainer.loss, y), counted(trainer.net, trainer.loss, batch, y)
            found |= {name_of(metric): metric(y, *seen) for metric in trainer.metrics}
        for name, (mean, share) in found.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(mean) * float(share)
            self.weights[name] = self.weights.get(name, 0.0) + float(share)
        self.count += int(np.size(batch.t))

    def values(self) -> dict[str, float]:
        """The means; nan where nothing counted."""
        return {
            name: total / self.weights[name] if self.weights[name] else math.nan for name, total in self.sums.items()
        }


def name_of(metric: Metric) -> str:
    """What the figures of a metric are called."""
    return getattr(metric, "__name__", type(metric).__name__)


def check_names(names: list[str]) -> None:
    """Refuse metrics whose figures would overwrite others in the row of an epoch."""
    for name in names:
        if name in RESERVED or name.startswith("valid_") or names.count(name) > 1:
            why = "the name of two metrics" if names.count(name) > 1 else "a figure that the row has already"
            raise ArgumentError(
                f"Trainer expects metrics to have names of their own, got {name!r}, {why}: write a function with "
                f"another name (def), or set its __name__."
            )


def outputs(net: Layer, loss: Loss, y: Any) -> Any:
    """The outputs of the net itself, from those that the loss saw: it may be fused with the net's last layer."""
    if loss.on(net)[0] is net:
        return y
    while isinstance(net, Sequential):
        net = net[-1]
    return net(y)


def counted(net: Layer, loss: Loss, batch: Batch, y: Any) -> tuple[Any, Any, Any]:
    """Targets, weights and mask as a metric takes them: what the loss ignores does not count."""
    t, mask = np.asarray(batch.t), as_mask(batch.mask)
    mask = None if mask is None else net.hand_on(mask)
    if loss.ignore_index is not None and t.shape == y.shape[:-1]:
        chosen = t != loss.ignore_index
        mask = chosen if mask is None else chosen & mask
    return t, batch.weight, mask


def build_for(net: Layer, x: Any, seed: int) -> None:
    """Build a net for inputs like x, for any number of steps where its layers allow that."""
    x = cast_input(x, np.float32)
    shape = x.shape[1:]
    steps_first = x.ndim >= 3 or (x.ndim == 2 and x.dtype.kind in "iu")
    try:
        net.build((None, *shape[1:]) if steps_first else shape, seed)
    except ShapeError:
        if not steps_first:
            raise
        net.build(shape, seed)  # a layer such as Flatten has to know the number of steps


@contextmanager
def interrupt_stops(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C ends the training after the update under way; pressed again, it interrupts at once.

    A handler whose attribute `stops` is this trainer sees to that itself, and gets to know when the training runs.
    """
    before: Any = signal.getsignal(signal.SIGINT)
    if getattr(before, "stops", None) is trainer:
        before.training = True
        try:
            yield
        finally:
            before.training = False
        return
    trainer.interrupted = None
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield  # here no signal arrives, or it is not Python's, or it is to be ignored (nohup)
        return

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        trainer.interrupted = INTERRUPTED

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
