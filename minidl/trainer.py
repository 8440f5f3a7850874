"""`Trainer`: the loop that trains a net, and what can be attached to it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice, takewhile
from typing import Any

import numpy as np

from minidl import fingerprints
from minidl.arguments import ArgumentHelp, flag, positive_int, with_argument_help
from minidl.data import Batch, natural
from minidl.errors import ArgumentError
from minidl.feeding import arrange, batches_of, build_for, epoch_of, first_of, groups_of
from minidl.figures import Means, check_metrics, check_names, name_of
from minidl.history import History
from minidl.hooks import check_callbacks
from minidl.interrupts import INTERRUPTED, end_program, interrupt_stops
from minidl.kernels import one_blas_thread
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.metrics import Metric, MetricFunction
from minidl.misfits import check_outputs
from minidl.objective import loss_and_grads, loss_value
from minidl.optimizer import Optimizer
from minidl.optimizers import Adam
from minidl.streaming import obstacles

KEEPING = "hold", "resume", "suspend", "finish"  # what a callback that writes checkpoints has besides


class Trainer(ArgumentHelp):
    """Trains a net: batches in, updates of its parameters, figures per epoch.

    Args:
        net: a layer or net; if it is not built, the first batch builds it.
        loss: what is made small.
        optimizer: how the parameters are updated; by default `Adam()`.
        callbacks: what else happens, called in this order: clipping, early stopping, logs, ...
        metrics: functions (y, t, weight, mask) -> (value, weight) such as `minidl.accuracy`, or instances of `Metric`.
        accumulate: how many batches make one update; their gradients are averaged by the batches' weights.
        seed: of the initial weights, the order of the data and dropout.
        quiet: True for no console by default; one among the callbacks shows what it shows all the same.

    Attributes:
        epoch, step: how many epochs and updates were begun and done, over all calls of `fit`.
        row: the figures of the epoch, complete at its end; history: those of all epochs.
        means: the loss and the metrics of the epoch so far.
        value, batch: the loss of the last batch, and the batch; values: the losses of the last update's batches.
        state: carried from batch to batch, where `Batch.start` says so.
        last_step: the step at which this call of `fit` ends, None without one; a callback may move it.
        stop_reason: why the training was ended.
        resumed: from where this call of `fit` went on, None where it began anew.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((256, 3))
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), minidl.Adam(0.05), quiet=True)
        >>> history = trainer.fit(x, x.sum(axis=1), epochs=20, validation_split=0.25)
        >>> history["valid_loss"][-1] < 1e-3
        True
    """

    # where a training stands; with the net, the optimizer and the callbacks, all that its rest follows from
    PLACE = (
        "epoch", "step", "batches_seen", "groups_done", "epoch_open", "first_epoch", "first_step", "value", "values",
    )  # fmt: skip

    def __init__(
        self,
        net: Layer,
        loss: Loss,
        optimizer: Optimizer | None = None,
        callbacks: Sequence[Any] = (),
        *,
        metrics: Sequence[MetricFunction | Metric] = (),
        accumulate: int = 1,
        seed: int = 0,
        quiet: bool = False,
    ) -> None:
        optimizer = Adam() if optimizer is None else optimizer
        for value, kind, name in (net, Layer, "net"), (loss, Loss, "loss"), (optimizer, Optimizer, "optimizer"):
            if not isinstance(value, kind):
                hint = ", or subclass Loss and write positions(y, t)" if kind is Loss and callable(value) else ""
                raise ArgumentError(
                    f"Trainer expects {name} to be an instance of {kind.__name__}, got {value!r}: "
                    f"write Trainer(net, CrossEntropy(), Adam(2e-3)){hint}."
                )
        self.net, self.loss, self.optimizer = net, loss, optimizer
        check_callbacks(callbacks)
        check_metrics(metrics)
        check_names([name_of(metric) for metric in metrics], callbacks)
        self.callbacks, self.metrics, self.history = list(callbacks), list(metrics), History()
        self.seed, self.quiet = natural("Trainer", "seed", seed), quiet
        self.accumulate = positive_int("Trainer", "accumulate", accumulate)
        self.epoch = self.step = self.batches_seen = self.first_epoch = self.first_step = 0  # first_: of this call
        self.calls, self.under_way = 0, False  # calls of fit that ended, and whether one since has not
        self.groups_done, self.epoch_open = 0, False  # updates of the epoch, and whether it is under way
        self.suspended = self.over = False  # interrupted by Ctrl-C; the checkpoint is of a later call of fit
        self.keepers: list[Any] = []  # the callbacks that write checkpoints; they are called last, and see all of it
        self.epoch_began, self.last_epoch = time.perf_counter(), 0.0
        self.batch: Batch | None = None
        self.learned: Batch | None = None  # the last batch of the updates that are done
        self.last_batch: int | None = None  # its checksum, where a checkpoint is gone on from
        self.what: dict[str, Any] = {}  # with a checkpoint to write: what is trained, in words
        self.row: dict[str, Any] = {}
        self.last_step: int | None = None
        self.means, self.value = Means(self.metrics), math.nan
        self.values: list[float] = []
        self.state: Any = None
        self.before: Any = None  # the state that the last batch began from
        self.group: list[Batch] = []  # the batches of the last update
        self.befores: list[Any] = []  # the states before each of them
        self.skipped = False  # no update is to be made from them
        self.stop_reason: str | None = None
        self.interrupted: str | None = None
        self.resumed: str | None = None

    @with_argument_help
    def fit(
        self,
        data: Any,
        t: Any = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        validation: Any = None,
        batch_size: int | None = None,
        validation_split: float = 0.0,
        shuffle: bool | None = None,
        resume: bool = False,
    ) -> History:
        """Train for some epochs more.

        Args:
            data: an iterable of `Batch` that can be gone through again and again; or plain inputs x, with t.
            t: the targets, where `data` is plain arrays.
            epochs: how often the data is gone through; None for once, or as often as `steps` takes.
            steps: end after this many updates, wherever in an epoch that is.
            validation: as `data`, or a pair of arrays (x, t); evaluated after each epoch.
            batch_size: of plain arrays; None for 32.
            validation_split: the share of plain arrays, from their end, that is held out as validation.
            shuffle: whether each epoch has an order of its own; None for True, unless the batches say False.
            resume: continue from the newest checkpoint of the `Checkpoint` among the callbacks, if there is one: the
                call ends as it would have without the interruption. More `epochs` than before are as if asked for at
                once; more `steps` begin a new epoch. Calls that came to their end do nothing, with a warning.

        Returns:
            The history of this call, with a row per epoch; `trainer.history` has those of all calls.

        Raises:
            ArgumentError: for data that is empty, or empty the second time; for a checkpoint of another training; for
                outputs that cannot fit the loss. Outputs that probably do not are a warning.

        Notes:
            Ctrl-C ends the training after the update that is under way: `fit` returns as it does otherwise. With a
            `Checkpoint`, SIGTERM and SIGHUP do so too, and end the program then.
        """
        resume, notes = flag("fit", "resume", resume, "the folder is that of the Checkpoint"), len(self.history.notes)
        data, validation = arrange(data, t, validation, batch_size, validation_split, shuffle, self.seed)
        self.batches_per_epoch = len(data) if hasattr(data, "__len__") else None
        most = positive_int("fit", "epochs", epochs) if epochs is not None else 1 if steps is None else math.inf
        more = None if steps is None else positive_int("fit", "steps", steps)
        self.stop_reason = self.resumed = None
        self.suspended = self.over = self.epoch_open = False
        self.data, self.validation = data, validation
        if self.net.in_shape is None:
            first, data = first_of(data)
            build_for(self.net, first.x, self.seed)
        self.params, self.first_epoch, self.first_step = self.net.params, self.epoch, self.step
        if not resume:
            self.optimizer.check_same_net(self.params)
        self.active = [*self.callbacks, *([] if self.quiet else self._console())]
        self.keepers = [callback for callback in self.active if all(hasattr(callback, name) for name in KEEPING)]
        self.active = [callback for callback in self.active if callback not in self.keepers] + self.keepers
        with ExitStack() as held:
            for keeper in self.keepers:
                held.enter_context(keeper.hold(self, resume))
            self._fit(data, validation, most, more, resume)
        if not self.over:
            end_program(self.interrupted)
        return self.history.after(0 if self.over else self.first_epoch, notes)

    def _fit(self, data: Any, validation: Any, most: float, more: int | None, resume: bool) -> None:
        """A call of fit, with its arguments checked and the folders of its checkpoints held."""
        self.what = fingerprints.of_training(self) if self.keepers else {}
        recall = self._resume() if resume else None
        if self.over:
            self.calls += 1
            return
        self.last_epoch, self.last_step = self.first_epoch + most, None if more is None else self.first_step + more
        self.begun: list[Any] = []
        try:
            with interrupt_stops(self, bool(self.keepers)):
                self._call("on_fit_start")
                if recall and not self.epoch_open:
                    recall()
                while self.epoch_open or (self.epoch < self.last_epoch and not self.done):
                    if not self._epoch(data, validation, recall if self.epoch_open else None):
                        break
                if not self._broken_off():
                    for keeper in self.keepers:
                        keeper.finish(self)  # before the best weights come back: more epochs go on from the last ones
        except BaseException as error:
            self._end(error)
            if recall:
                recall.undo()  # where no update was made since
            raise
        self._end()
        if not self.suspended:
            self.calls, self.under_way = self.calls + 1, False

    def _broken_off(self) -> bool:
        """Whether Ctrl-C ended a training that checkpoints are written of: it is written as it stands, not closed."""
        if self.keepers and self.interrupted and not self.suspended:
            self.suspended = True
            for keeper in self.keepers:
                keeper.suspend(self)
        return self.suspended

    def _epoch(self, data: Any, validation: Any, recall: Callable[[], None] | None) -> bool:
        """One epoch, or with `recall` what is left of one; False where it does not come to its end."""
        if not recall:
            self.epoch, self.groups_done, self.epoch_open, self.under_way = self.epoch + 1, 0, True, True
            self.row, self.means, self.epoch_began = {"epoch": self.epoch}, Means(self.metrics), time.perf_counter()
        self._call("on_epoch_start")
        if recall:
            recall()
        if self._broken_off():
            return False
        if self.done and not recall:
            self.epoch_open = False
            return False
        for group in self._groups(data):
            if self.step == self.first_step:
                check_outputs(self.net, self.loss, group)
            with one_blas_thread():  # once for all of the step
                self._update(group)
            if self.done:
                break
        if self._broken_off():
            return False
        seconds = time.perf_counter() - self.epoch_began
        self.row |= self.means.values() | {"step": self.step, "rate": self.optimizer.last_rate}
        self.row |= {"seconds": seconds, "targets_per_second": self.means.count / seconds}
        if validation is not None and not self._validate(validation):
            return False
        self.history.rows.append(self.row)
        self.epoch_open = False
        self._call("on_epoch_end")
        return True

    def _validate(self, validation: Any) -> bool:
        """Put the figures of the validation into the row; False where it was broken off."""
        batches, figures = epoch_of(validation, None, "validation"), dict[str, float]()
        try:
            figures = self._figures(takewhile(lambda _: not (self.keepers and self.interrupted), batches))
        except KeyboardInterrupt:
            if not self.keepers:
                raise
            self.interrupted = self.interrupted or INTERRUPTED
        if self._broken_off():
            return False
        self.row |= {f"valid_{name}": value for name, value in figures.items()}
        return True

    def _resume(self) -> Any:
        """Go on from a checkpoint; what the callbacks remember comes back with the function that is returned."""
        if len(self.keepers) != 1:
            raise ArgumentError(
                f"fit(resume=True) expects one Checkpoint among the callbacks, got {len(self.keepers) or 'none'}: "
                f"write callbacks=[..., Checkpoint('run')]."
            )
        return self.keepers[0].resume(self)

    def _groups(self, data: Any) -> Iterator[list[Batch]]:
        """The batches of the epoch's updates; of an epoch that is gone on with, those that are left."""
        groups = groups_of(epoch_of(data, self.epoch - 1), self.accumulate)
        if self.groups_done:
            last = next(islice(groups, self.groups_done - 1, self.groups_done), [None])[-1]
            if last is None or not fingerprints.fits(last, self.last_batch, None if self.stop_reason else self.state):
                raise ArgumentError(
                    f"The data is expected to be that of the checkpoint, but what update {self.groups_done} of epoch "
                    f"{self.epoch} was made from is another now: its order may depend on the epoch alone."
                )
            self.batch = self.learned = last
        if not self.done:
            yield from groups

    def _update(self, group: list[Batch]) -> None:
        """One update, from a batch or from several whose gradients are averaged by their weights."""
        self.net.zero_grads()
        total, self.values, self.skipped = 0.0, [], False
        self.group, self.befores, means = group, [], self.means.copy()
        for batch in group:
            self.batch = batch
            rng = np.random.default_rng((self.seed, self.batches_seen))
            self.before = before = self._before(batch, self.state)
            self.befores.append(before)
            result = loss_and_grads(self.net, self.loss, batch, before, rng, weigh=len(group) > 1)
            self.batches_seen += 1
            self.state, self.value = result.state, float(result.value)
            self.values.append(self.value)
            total += result.weight
            self.means.add(self.net, self.loss, self.metrics, batch, result.value, result.weight, result.y)
        if len(group) > 1 and total:
            for p in self.params.values():
                p.grad /= total
        self._call("on_grads_ready")
        self.means.commit(means if self.skipped else None)
        if self.stop_reason is not None:
            return
        self.groups_done, self.learned = self.groups_done + 1, group[-1]
        if self.skipped:
            return
        self.optimizer.step(self.params)
        self.step += 1
        self._call("on_step_end")

    @property
    def done(self) -> bool:
        """Whether the training has come to its end, by a stop, by Ctrl-C or by the number of steps."""
        return bool(self.stop_reason or self.interrupted) or (
            self.last_step is not None and self.step >= self.last_step
        )

    def stop(self, reason: str) -> None:
        """End the training after the step that is under way; the first reason is kept."""
        self.stop_reason = self.stop_reason or str(reason) or "stopped"

    def skip(self) -> None:
        """Leave out the update that is under way (from on_grads_ready): its batches count for nothing."""
        self.skipped = True

    @with_argument_help
    def evaluate(self, data: Any, t: Any = None, *, batch_size: int = 32) -> dict[str, float]:
        """The loss and the metrics on data, without dropout; it begins from the initial state, and never touches
        the state that the training carries.

        Args:
            data, t, batch_size: as for `fit`; a pair of arrays (x, t) will do.

        Returns:
            {"loss": ..., and each metric by its name}; nan where nothing counted.
        """
        return self._figures(epoch_of(batches_of(data, t, batch_size), None))

    def _figures(self, batches: Iterator[Batch]) -> dict[str, float]:
        """The loss and the metrics of batches, forward only."""
        means, state = Means(self.metrics), None
        for batch in batches:
            value, weight, y, state = loss_value(self.net, self.loss, batch, self._before(batch, state))
            means.add(self.net, self.loss, self.metrics, batch, value, weight, y)
            means.commit()
        return means.values()

    def _before(self, batch: Batch, state: Any) -> Any:
        """The state that the batch goes on from: what was carried, unless all rows start."""
        if np.all(batch.start):
            return None
        if not self.net.streams:
            raise ArgumentError(
                f"Trainer is to carry state from batch to batch (start=False), but {type(self.net).__name__} cannot "
                f"be streamed because of {obstacles(self.net)}: give batches with start=True."
            )
        return state

    def _call(self, hook: str) -> None:
        for callback in self.active:
            if hook == "on_grads_ready" and (self.skipped or self.stop_reason is not None):
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
