"""`Watch`: the base of callbacks that keep what a step was made from, and act on the first step that goes wrong."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from typing import Any, Literal, NamedTuple

import numpy as np

from minidl.callbacks import NanGuard
from minidl.callbacks.base import Remembering
from minidl.callbacks.clipping import Clipping
from minidl.checkpoints import leaves
from minidl.doctor.given import Step, as_step, step_of
from minidl.doctor.record import Record, check_record
from minidl.doctor.snapshot import Snapshot
from minidl.doctor.spikes import Spikes
from minidl.file_values import refuse
from minidl.gradients import is_finite, lengths, trainable
from minidl.kernels import one_blas_thread
from minidl.trainer import Trainer
from minidl.trees import KINDS

SLOTS_EVERY = 10  # steps: a slot alone goes wrong by a large gradient, or because somebody else writes to it
LARGE = 1e15  # of a gradient's norm: its square is far from what float32 holds
What = Literal["loss", "gradient", "state", "update", "spike"]


class Trouble(NamedTuple):
    """What went wrong in a step."""

    what: What
    step: int  # the number of the update, from 1
    words: str  # "the loss is nan"


class Watch(Remembering):
    """The base of callbacks that watch each step, and `act` on the first number that is not finite or loss that jumps.

    It keeps the parameters and the optimizer's memory before the last two steps, their batches and states, and the
    figures of the last 100 steps: no memory that grows. A subclass writes `act(trainer, trouble)`, which is called
    before the update (from on_grads_ready) for a loss, a gradient, a state or a spike, and after it for an update.

    Args:
        spike: a loss is above the level of `Spikes`, with so many times the spread of the losses before, and so is,
            with the parameters of now, an earlier batch that was not; None for no spikes.
        keep: of how many steps the figures are kept.

    Example:
        >>> issubclass(minidl.doctor.BlackBox, minidl.doctor.watch.Watch)
        True
    """

    def __init__(self, spike: float | None = 10.0, keep: int = 100) -> None:
        self.spikes = None if spike is None else Spikes(spike)
        self.record = Record([], keep)
        self.snapshot, self.earlier = Snapshot(), Snapshot()  # before the last step, and before the one before it
        self.forget()

    def forget(self) -> None:
        self.record = Record([], self.record.keep)
        self.step: Step | None = None  # the last one
        self.step_before: Step | None = None
        self.ordinary: Step | None = None  # the last one whose loss was below the level
        if self.spikes is not None:
            self.spikes.clear()

    @abstractmethod
    def act(self, trainer: Trainer, trouble: Trouble) -> None:
        """Do what is to be done about it."""

    # -- the moments of a training ----------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer) -> None:
        super().on_fit_start(trainer)
        self.warn_of_others(trainer)
        if self.record.names != list(trainer.params):
            self.record = Record(trainer.params, self.record.keep)
        self.step = self.step_before = self.ordinary = None  # the weights may have been changed in between

    def warn_of_others(self, trainer: Trainer) -> None:
        """Say of callbacks that end a training at a bad number before this one would see it."""
        mine = next((k for k, c in enumerate(trainer.callbacks) if c is self or getattr(c, "box", None) is self), 0)
        for other in trainer.callbacks[:mine]:
            if isinstance(other, NanGuard | Clipping):
                name = type(trainer.callbacks[mine]).__name__
                warnings.warn(
                    f"{name} stands behind {type(other).__name__}, which ends the training at a number that is not "
                    f"finite before {name} sees it: put {name} first among the callbacks.",
                    stacklevel=2,
                )
                return

    def on_grads_ready(self, trainer: Trainer) -> None:
        self.step_before, self.step = self.step, step_of(trainer)
        self.earlier, self.snapshot = self.snapshot, self.earlier
        self.snapshot.take(trainer)
        grads = lengths({name: p.grad for name, p in trainable(trainer.params)})
        loss, norm = self.step.value, math.hypot(*grads.values())
        self.record.add(step=trainer.step + 1, loss=loss, norm=norm, rate=trainer.optimizer.rate, grads=grads)
        trouble = self.trouble(trainer, grads)
        if trouble is not None:
            self.act(trainer, trouble)
            return
        if self.spikes is not None:
            if not self.spikes.above(loss):
                self.ordinary = self.step
            self.spikes.add(loss)

    def on_step_end(self, trainer: Trainer) -> None:
        values = lengths({name: p.value for name, p in trainer.params.items()})
        self.record.set(values=values)
        bad = next((f"the parameter {name!r}" for name, value in values.items() if math.isnan(value)), None)
        if bad is not None or trainer.step % SLOTS_EVERY == 0 or not self.record.last("norm") < LARGE:
            bad = bad or bad_slot(trainer)
        if bad is not None:
            self.act(trainer, Trouble("update", trainer.step, f"{bad} is not finite after the update"))

    # -- what is wrong ----------------------------------------------------------------------------

    def trouble(self, trainer: Trainer, grads: dict[str, float]) -> Trouble | None:
        """What is wrong before the update; None where nothing is."""
        number = trainer.step + 1
        for value in trainer.values:
            if not math.isfinite(value):
                return Trouble("loss", number, f"the loss is {value}")
        bad = next((name for name, norm in grads.items() if math.isnan(norm)), None)
        if bad is not None:
            return Trouble("gradient", number, f"the gradient of {bad!r} is not finite")
        if not all(is_finite(a) for a in leaves(trainer.state) if a.dtype.kind == "f"):
            return Trouble("state", number, "the state after the batch is not finite")
        assert self.step is not None  # it was made just before
        if self.spikes is None or not self.spikes.above(self.step.value):
            return None
        again = self.of_ordinary(trainer)
        if again is None or again <= self.spikes.level:
            return None
        words = f"the loss jumps to {self.step.value:.4g}, from about {self.spikes.median:.4g} before"
        return Trouble("spike", number, words)

    def of_ordinary(self, trainer: Trainer) -> float | None:
        """The loss that an earlier batch, which was an ordinary one, has with the parameters of now.

        A hard batch has a high loss alone; where the parameters went wrong, others have it too.
        """
        return None if self.ordinary is None else loss_of(self.ordinary, trainer)

    # -- checkpoints ------------------------------------------------------------------------------

    def remember(self) -> dict[str, Any]:
        ordinary = self.ordinary if self.ordinary is not None and storable(self.ordinary) else None
        return {
            "spikes": None if self.spikes is None else self.spikes.remember(),
            "record": self.record.remember(),
            "ordinary": ordinary,
        }

    def check_recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        if kept.keys() != self.remember().keys():
            raise refuse(type(self).__name__, f"a dict with {', '.join(self.remember())}", list(kept))
        if kept["spikes"] is not None:
            (self.spikes or Spikes()).check_recall(kept["spikes"])
        check_record("record", kept["record"], self.record.figures, self.record.each)
        if kept["ordinary"] is not None:
            loss_of(as_step(trainer.net, kept["ordinary"]), trainer)  # a batch that the net does not take is found now

    def recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        if self.spikes is not None and kept["spikes"] is not None:
            self.spikes = Spikes(self.spikes.spike, self.spikes.least, self.spikes.keep)
            self.spikes.recall(kept["spikes"])
        self.record = Record(self.record.names, self.record.keep, self.record.figures, self.record.each)
        self.record.recall(kept["record"])
        if kept["ordinary"] is not None:
            self.ordinary = as_step(trainer.net, kept["ordinary"])


def loss_of(step: Step, trainer: Trainer) -> float:
    """Return the loss of the batches of a step with the parameters of now; inf for a NaN as well."""
    with np.errstate(all="ignore"):
        losses = [given.loss(trainer.net, trainer.loss, trainer.seed) for given in step.given]
    mean = sum(losses) / len(losses)
    return mean if math.isfinite(mean) else math.inf


def bad_slot(trainer: Trainer) -> str | None:
    """The first of the optimizer's slots that is not finite, in words."""
    with one_blas_thread():
        for name, slots in trainer.optimizer.state.items():
            for slot, a in slots.items():
                if not is_finite(a):
                    return f"the slot {slot!r} of {name!r} in {type(trainer.optimizer).__name__}"
    return None


def storable(step: Step) -> bool:
    """Whether a checkpoint can hold it: of numbers in arrays, and no objects."""
    return all(a.dtype.name in KINDS for given in step.given for a in leaves((given.batch, given.state)))
