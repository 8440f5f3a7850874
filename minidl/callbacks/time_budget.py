"""`TimeBudget`: moves the end of a training run so that the run takes the time that was asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from minidl.arguments import positive_real
from minidl.callbacks.base import Callback
from minidl.errors import ArgumentError
from minidl.feeding import epoch_of
from minidl.file_values import Check, entries, finite, refuse
from minidl.schedules import StretchedLR, is_plan
from minidl.trainer import Trainer

CHECK = 0.025  # of the budget, between two looks at the speed: the last one leaves little time for another change
MEMORY = 0.05  # of the budget: what is older counts for less than 1/e in the measured speed
TOLERANCE = 0.01  # of the budget: a plan that misses it by less is kept
PAUSE = 10  # times the usual time of an update: where one takes longer, it says nothing of the next ones
GRACE = 0.05  # of the budget, added once where the rate would otherwise never come down
NOTED = 0.2  # change of the number of steps that is worth a line on the console


def plan_of_steps(what: str, value: Any) -> Any:
    """Check the plan in a checkpoint."""
    if not is_plan(value):
        raise refuse(what, "pairs [step, end] in order", value)
    return value


class TimeBudget(Callback):
    """End a training run after `minutes`, by moving the end that `fit(steps=N)` or `fit(epochs=N)` plans.

    That is the first guess. The time of the latest updates and of the validation says how many updates still fit; where
    that is another number than planned, the end moves (`trainer.last_step`) and a schedule with a length, `CosineLR` or
    `OneCycleLR`, is stretched with it (`StretchedLR`): it continues from its present rate and ends with the run.
    Validation, samples and checkpoints count, the time before `fit` and the time between an interruption and its
    resumption do not.

    Checkpoints hold every move and the time spent. A resumed run has the rates it had, and the rest of the time; its
    later moves depend on the speed of the machine then. What all moves come to is in `plan`: a run with
    `StretchedLR(schedule, plan)` and `fit(steps=plan[-1][1])` repeats the weights to the bit, without a TimeBudget.

    Put it after the other callbacks, but before logs. It adds `last_step` to the row of each epoch, the step at which
    the run is planned to end.

    Args:
        minutes: the length of one call of `fit`, interruptions not counted.
        clock: the time in seconds.

    Attributes:
        plan: pairs [step, end]: from `step` on, the run is to end at `end`. Empty as long as the first guess holds.

    Raises:
        ArgumentError: at the start of `fit` without `steps`, where the data has no length.

    Notes:
        A validation that has begun is not cut off: at most half of the budget is set aside for it, so a longer one
        makes the run longer. Where the time runs out suddenly (a suspended process), 5% more are taken once, so that
        the rate comes down.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((64, 3))
        >>> budget = minidl.TimeBudget(minutes=0.002)
        >>> adam = minidl.Adam(minidl.CosineLR(0.05, steps=10))
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), adam, [budget], quiet=True)
        >>> _ = trainer.fit(x, x.sum(axis=1), steps=10)  # the machine has time for more
        >>> trainer.step > 10
        True
    """

    writes: ClassVar[tuple[str, ...]] = ("last_step",)
    remembers: ClassVar[tuple[str, ...]] = "plan", "spent", "deadline", "next_check", "steps", "seconds", "epoch_end"
    checks: ClassVar[Mapping[str, Check]] = dict.fromkeys(remembers, finite) | {"plan": plan_of_steps}

    def __init__(self, minutes: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.minutes = positive_real("TimeBudget", "minutes", minutes)
        self.clock, self.budget = clock, 60 * self.minutes
        self.plan: list[list[int]] = []
        self.reset()

    def reset(self) -> None:
        """Begin to measure."""
        self.mark = 0.0  # the time at the end of the last update or epoch
        self.spent = 0.0  # seconds of this call of fit, up to the mark
        self.deadline, self.next_check = self.budget, CHECK * self.budget
        self.steps = self.seconds = 0.0  # updates and the time they took; older ones count for less
        self.epoch_end = -1.0  # the time that the end of an epoch takes, in updates; -1 until it is measured

    # -- the moments of a training run ------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer) -> None:
        per_epoch = updates_per_epoch(trainer)
        if trainer.last_step is None and per_epoch and trainer.last_epoch < math.inf:
            trainer.last_step = trainer.first_step + int(trainer.last_epoch - trainer.first_epoch) * per_epoch
        if trainer.last_step is None:
            raise ArgumentError("TimeBudget must have a first guess of the number of steps. Call fit(steps=1000).")
        trainer.last_epoch = math.inf
        lr = trainer.optimizer.lr
        earlier = lr.plan if isinstance(lr, StretchedLR) else ()  # of calls of fit before this one
        self.plan = [*map(list, earlier), [trainer.first_step, trainer.last_step]]
        self.stretch(trainer)
        self.reset()
        self.mark, self.noted = self.clock(), trainer.last_step
        self.validation = validation_seconds(trainer, trainer.validation, self.clock)
        self.lap()

    def on_step_end(self, trainer: Trainer) -> None:
        took = self.lap()
        if self.steps:
            took = min(took, PAUSE * self.seconds / self.steps)
        older = math.exp(-took / (MEMORY * self.budget))
        self.steps, self.seconds = older * self.steps + 1, older * self.seconds + took
        if self.spent >= self.next_check and self.seconds > 0:
            self.next_check = self.spent + CHECK * self.budget
            self.check(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        took = self.lap()
        if self.seconds > 0:
            self.epoch_end = took / self.seconds * self.steps
        trainer.row["last_step"] = trainer.last_step

    def remember(self) -> dict[str, Any]:
        return super().remember() | {"spent": self.spent + self.clock() - self.mark}

    def check_recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        entries("TimeBudget", kept, self.checks)

    def recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        super().recall(trainer, kept)
        self.mark = self.clock()
        trainer.last_step = self.noted = self.plan[-1][1]
        self.stretch(trainer)

    # -- time -------------------------------------------------------------------------------------

    def lap(self) -> float:
        """Return the seconds since the mark, and set a new mark."""
        now = self.clock()
        took, self.mark = now - self.mark, now
        self.spent += took
        return took

    def time_left(self) -> float:
        """Return the seconds until the run is to end."""
        return max(0.0, self.deadline - self.spent - (self.clock() - self.mark))

    # -- the end ----------------------------------------------------------------------------------

    def check(self, trainer: Trainer) -> None:
        """Move the end where the run would miss the deadline."""
        step, first, last = trainer.step, trainer.first_step, trainer.last_step or trainer.step
        each = self.seconds / self.steps
        if self.epoch_end < 0:
            self.epoch_end = self.validation / each
        epoch_end = min(self.epoch_end, self.budget / 2 / each)
        latest = self.deadline - self.spent - epoch_end * each  # when the last update may be done
        if self.deadline == self.budget and latest < GRACE * self.budget and last - step > 2 * GRACE * (last - first):
            self.deadline += GRACE * self.budget - latest
        left = (self.deadline - self.spent) / each
        more = steps_that_fit(left, trainer.groups_done, updates_per_epoch(trainer), epoch_end)
        if abs(step + more - last) * each > TOLERANCE * self.budget:
            self.move(trainer, step + more)

    def move(self, trainer: Trainer, end: int) -> None:
        """Move the end of the run to another step; a large change is noted."""
        first = trainer.first_step
        if abs(end - self.noted) > NOTED * (self.noted - first):
            trainer.history.notes.append(
                f"step {trainer.step:,}: {end - first:,} steps fit into {self.minutes:g} minutes, not "
                f"{self.noted - first:,}"
            )
            self.noted = end
        self.plan.append([trainer.step, end])
        trainer.last_step = end
        self.stretch(trainer)

    def stretch(self, trainer: Trainer) -> None:
        """Stretch a schedule that has a length to the plan."""
        lr = trainer.optimizer.lr
        schedule = lr.schedule if isinstance(lr, StretchedLR) else lr
        if len(self.plan) > 1 and callable(schedule) and hasattr(schedule, "steps"):
            trainer.optimizer.lr = StretchedLR(schedule, tuple((step, end) for step, end in self.plan))


def updates_per_epoch(trainer: Trainer) -> int | None:
    """Return the number of updates of an epoch; None where the data has no length."""
    return math.ceil(trainer.batches_per_epoch / trainer.accumulate) if trainer.batches_per_epoch else None


def steps_that_fit(time: float, done: int, per_epoch: int | None, epoch_end: float) -> int:
    """Return how many updates fit into a time, with the ends of the epochs that they take; all times in updates.

    Args:
        time: the time there is.
        done: updates of the present epoch.
        per_epoch: updates of an epoch; None where it is not known: then only the last epoch end is counted.
        epoch_end: the time that validation and what else follows an epoch takes; the last epoch has it, too.

    Example:
        >>> steps_that_fit(100, done=0, per_epoch=40, epoch_end=5)  # 40 + 5, 40 + 5, 5 + 5
        85
    """
    epochs, left = divmod(time + done, per_epoch + epoch_end) if per_epoch else (0, 0.0)
    if not per_epoch or not epochs:
        return max(0, int(time - epoch_end))
    return int(epochs) * per_epoch - done + max(0, int(left - epoch_end))


def validation_seconds(trainer: Trainer, validation: Any, clock: Callable[[], float]) -> float:
    """Estimate the time of a validation from one batch; 0 where that cannot be known without a change to the data."""
    ours = isinstance(validation, list | tuple) or type(validation).__module__.startswith("minidl.")
    if not ours or not hasattr(validation, "__len__"):
        return 0.0
    batch = next(epoch_of(validation, None, "validation"))
    trainer.evaluate([batch])  # the first pass is slower
    began = clock()
    trainer.evaluate([batch])
    return len(validation) * (clock() - began)
