"""Schedules: the learning rate as a function of how many updates were done, `step -> lr`.

Give one to an optimizer in place of a number, `Adam(CosineLR(2e-3, steps=1000))`; any function of step will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minidl.arguments import ArgumentHelp, positive_int, positive_real, real
from minidl.errors import ArgumentError

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class ConstantLR(ArgumentHelp):
    """The same learning rate at every step.

    Example:
        >>> minidl.ConstantLR(0.1)(1000)
        0.1
    """

    lr: float

    def __post_init__(self) -> None:
        positive_real("ConstantLR", "lr", self.lr)

    def __call__(self, step: int) -> float:
        return self.lr


@dataclass(frozen=True)
class StepLR(ArgumentHelp):
    """A staircase: lr * factor^floor(max(step - hold, 0) / every).

    Args:
        lr: the learning rate of the first stair.
        every: how many steps a stair is long.
        factor: what every new stair multiplies the rate by.
        hold: by how many steps the first stair is longer.

    Example:
        >>> [minidl.StepLR(1.0, every=2, factor=0.5)(step) for step in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    lr: float
    every: int
    factor: float = 0.1
    hold: int = 0

    def __post_init__(self) -> None:
        positive_real("StepLR", "lr", self.lr)
        positive_int("StepLR", "every", self.every)
        positive_real("StepLR", "factor", self.factor)
        if self.hold != 0:
            positive_int("StepLR", "hold", self.hold)

    def __call__(self, step: int) -> float:
        return self.lr * self.factor ** (max(step - self.hold, 0) // self.every)


@dataclass(frozen=True)
class ExponentialLR(ArgumentHelp):
    """A smooth decay: lr * decay^(step / every).

    Args:
        lr: the learning rate at step 0.
        decay: what `every` steps multiply the rate by; above 1 it grows, as in a search for the highest rate.
        every: how many steps that takes.

    Example:
        >>> minidl.ExponentialLR(0.1, decay=0.25, every=10)(5)
        0.05
    """

    lr: float
    decay: float
    every: int = 1

    def __post_init__(self) -> None:
        positive_real("ExponentialLR", "lr", self.lr)
        positive_real("ExponentialLR", "decay", self.decay)
        positive_int("ExponentialLR", "every", self.every)

    def __call__(self, step: int) -> float:
        return self.lr * float(self.decay ** (step / self.every))


@dataclass(frozen=True)
class CosineLR(ArgumentHelp):
    """A straight line up to lr, then half a cosine down to `final`, which stays.

        lr (step + 1) / warmup                                             for step < warmup
        final + (lr - final) (1 + cos(pi (step - warmup) / (steps - warmup))) / 2     up to steps
        final                                                              from there on

    Args:
        lr: the highest learning rate.
        steps: the step at which `final` is reached, warm-up included: the length of the training.
        warmup: how many steps the line up takes, from lr / warmup to lr; 0 for none.
        final: the learning rate at the end.

    Source:
        Loshchilov & Hutter 2017, SGDR: Stochastic gradient descent with warm restarts (one cycle of it).

    Example:
        >>> [round(minidl.CosineLR(1.0, steps=6, warmup=2)(step), 3) for step in range(8)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    lr: float
    steps: int
    warmup: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        positive_real("CosineLR", "lr", self.lr)
        positive_int("CosineLR", "steps", self.steps)
        if self.warmup != 0:
            positive_int("CosineLR", "warmup", self.warmup)
        if self.warmup >= self.steps:
            raise ArgumentError(
                f"CosineLR expects warmup to be shorter than steps, {self.steps}, got {self.warmup}: "
                f"steps counts the whole training, warm-up included."
            )
        real("CosineLR", "final", self.final, 0.0)

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return self.lr * min(step + 1, self.warmup) / self.warmup  # StretchedLR asks for fractions of a step
        return half_cosine(self.lr, self.final, (step - self.warmup) / (self.steps - self.warmup))


@dataclass(frozen=True)
class OneCycleLR(ArgumentHelp):
    """Half a cosine up from lr / start_factor to lr, and half a cosine down to lr / start_factor / final_factor.

    The peak is at step warmup * steps - 1, the end at step steps - 1; it stays.

    Args:
        lr: the highest learning rate.
        steps: the length of the training.
        warmup: which share of it goes up, in [0, 1).
        start_factor: the peak over the start.
        final_factor: the start over the end.

    Source:
        Smith & Topin 2018, Super-convergence: very fast training of neural networks using large learning rates.

    Example:
        >>> cycle = minidl.OneCycleLR(0.5, steps=11, warmup=6 / 11)
        >>> [round(cycle(step), 6) for step in (0, 5, 10)]
        [0.02, 0.5, 2e-06]
    """

    lr: float
    steps: int
    warmup: float = 0.3
    start_factor: float = 25.0
    final_factor: float = 1e4

    def __post_init__(self) -> None:
        positive_real("OneCycleLR", "lr", self.lr)
        positive_int("OneCycleLR", "steps", self.steps)
        real("OneCycleLR", "warmup", self.warmup, 0.0, 1.0)
        positive_real("OneCycleLR", "start_factor", self.start_factor)
        positive_real("OneCycleLR", "final_factor", self.final_factor)

    def __call__(self, step: int) -> float:
        start, peak, end = self.lr / self.start_factor, self.warmup * self.steps - 1, self.steps - 1
        if step < peak:
            return half_cosine(start, self.lr, step / peak)
        return half_cosine(self.lr, start / self.final_factor, (step - peak) / (end - peak))


@dataclass(frozen=True)
class StretchedLR(ArgumentHelp):
    """A schedule for a run whose end was moved while it ran: the rest runs slower or faster, without a jump.

        lr(step) = schedule(v(step)),  v = step up to the first move

    Each move multiplies the slope of v by (old end - step) / (new end - step). At the new end the schedule is where it
    would have been at the old one. The rate of a step depends on earlier moves only: a move changes no past rate.

    Args:
        schedule: the schedule of the original plan; a function of the step, fractions of a step included.
        plan: pairs (step, end), in order: from `step` on, the run is to end at `end`. The first pair is the original
            plan.

    Example:
        >>> plan = (0, 100), (50, 75)  # at step 50 the end is moved from 100 to 75: twice as fast from there on
        >>> stretched = minidl.StretchedLR(minidl.CosineLR(1.0, steps=100), plan)
        >>> [round(stretched(step), 3) for step in (25, 50, 60, 75)]
        [0.854, 0.5, 0.206, 0.0]
    """

    schedule: Schedule
    plan: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not is_plan(self.plan):
            raise ArgumentError(
                f"StretchedLR: plan must be pairs of integers (step, end) in the order of step, got {self.plan!r}."
            )

    def __call__(self, step: int) -> float:
        return self.schedule(self.position(step))

    def position(self, step: int) -> Any:
        """Return v(step), an integer up to the first move."""
        (at, end), *moves = self.plan
        position: float = at
        speed: float = 1
        for start, new_end in moves:
            if start > step:
                break
            position += speed * (start - at)
            if start >= end:  # the planned end was reached: another run begins
                speed = 1
            elif new_end > start:
                speed *= (end - start) / (new_end - start)
            at, end = start, new_end
        return position + speed * (step - at)


def is_plan(plan: Any) -> bool:
    """Whether it is a plan of `StretchedLR`: pairs of integers (step, end), at least one, in the order of step."""
    pairs = plan if isinstance(plan, tuple | list) else []
    if not pairs or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        return False
    starts = [pair[0] for pair in pairs]
    return all(type(n) is int and n >= 0 for pair in pairs for n in pair) and starts == sorted(starts)


def half_cosine(start: float, end: float, share: float) -> float:
    """From `start` (share 0) to `end` (share 1 and above) along half a cosine."""
    return end if share >= 1 else end + (start - end) * (1 + math.cos(math.pi * share)) / 2
