"""`Course`: the figures of a training as it runs, in memory that does not grow with it."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from minidl.callbacks.base import Callback
from minidl.callbacks.clipping import Clipping
from minidl.data import Batch
from minidl.doctor.curves import Curve
from minidl.doctor.given import Step, step_of
from minidl.doctor.motion import Motion
from minidl.errors import NonFiniteError
from minidl.gradients import norms
from minidl.inputs import Array
from minidl.trainer import Trainer

RECENT = 100  # steps whose norms are kept one by one
KEPT = 12  # batches that the run began with
LAST = 8  # steps that are kept, to be compared with
FIRST_LOOK = 20  # updates to the first look at whether the net is at its best; each later one comes after twice as many


class Course(Callback):
    """Takes down what `training_findings` reads. It changes nothing, and stands behind what clips.

    Attributes:
        losses, lengths: the loss, and the norm of the gradients before clipping, as curves of the whole run.
        recent_norms: the last norms.
        fired, updates: how often clipping cut something off, and how many updates there were.
        motion: how far the parameters move; rate: the last learning rate.
        recent, highest: the last steps, and the one with the highest loss.
        best: the parameters as they were at one of a few looks, when the loss was at its lowest.
        batches: those that the run began with, of one epoch, in arrays of their own; begun: after how many updates that
            was.

    Example:
        >>> from minidl.doctor.course import Course
        >>> course, x = Course(), np.ones((64, 3))
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[course], quiet=True)
        >>> history = trainer.fit(x, x.sum(axis=1), epochs=3)
        >>> course.updates, len(course.losses.values), course.motion.samples
        (6, 6, 6)
    """

    def __init__(self) -> None:
        self.losses, self.lengths, self.motion = Curve(), Curve(), Motion()
        self.recent_norms: list[float] = []
        self.fired = self.updates = self.begun = 0
        self.rate = self.first_rate = math.nan
        self.highest_rate = 0.0
        self.recent: deque[Step] = deque(maxlen=LAST)
        self.highest: Step | None = None
        self.best: dict[str, Array] = {}
        self.lowest, self.next_look = math.inf, FIRST_LOOK
        self.batches: list[Batch] = []
        self.epoch = 0  # that they are of

    @property
    def warming_up(self) -> bool:
        """Whether the rate has risen, and is at its highest now."""
        return self.first_rate < self.rate >= self.highest_rate

    @property
    def halved(self) -> bool:
        """Whether half of the loss is gone: what the net learned it learned with the gradients that it has."""
        return self.losses.last < 0.5 * self.losses.first

    def on_grads_ready(self, trainer: Trainer) -> None:
        self.take(trainer, step_of(trainer))

    def take(self, trainer: Trainer, step: Step) -> None:
        """Record a step before its update; its batches are in arrays of their own."""
        self.recent.append(step)
        if math.isfinite(step.value) and (self.highest is None or step.value > self.highest.value):
            self.highest = step
        self.epoch = self.epoch or trainer.epoch
        if trainer.epoch == self.epoch:
            self.batches += [given.batch for given in step.given[: KEPT - len(self.batches)]]
        if not self.updates:
            self.begun = trainer.optimizer.steps
        self.rate = trainer.optimizer.rate
        if math.isnan(self.first_rate):
            self.first_rate = self.rate
        self.highest_rate = max(self.highest_rate, self.rate)
        if self.motion.wants(self.updates):
            self.motion.before(trainer.params)

    def on_step_end(self, trainer: Trainer) -> None:
        self.note(trainer, math.hypot(*norms_of(trainer)))

    def note(self, trainer: Trainer, norm: float) -> None:
        """Take down an update; `norm` is that of the gradients, where no clipping knows how long they were before."""
        value = sum(trainer.values) / len(trainer.values) if trainer.values else math.nan
        clips = [callback for callback in trainer.active if isinstance(callback, Clipping)]
        norm = clips[0].before if clips else norm
        self.fired += any(clip.after < clip.before * (1 - 1e-6) for clip in clips)
        self.losses.add(value)
        self.lengths.add(norm)
        self.recent_norms = [*self.recent_norms[1 - RECENT :], norm]
        if self.motion.wants(self.updates):
            self.motion.after(trainer.params)
        self.updates += 1
        if self.updates == self.next_look:
            self.next_look *= 2
            mean = sum(step.value for step in self.recent) / len(self.recent)
            if mean < self.lowest:
                self.lowest = mean
                self.best = {name: p.value.copy() for name, p in trainer.params.items()}


def norms_of(trainer: Any) -> list[float]:
    """The norms of the gradients by parameter; inf where one is not finite."""
    try:
        return list(norms(trainer.params).values())
    except NonFiniteError:
        return [math.inf]
