"""Trials on copies of a net: a short training, one small batch to be learned by heart, rates that stay stable."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.callbacks.clipping import ClipNorm, Clipping
from minidl.data import Batch
from minidl.doctor.climbing import beginning_of, climbs
from minidl.doctor.constant import best_constant, lowest
from minidl.doctor.course import Course
from minidl.doctor.given import own
from minidl.gradients import are_finite
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.misfits import MisfitWarning
from minidl.nested import leaves, map_arrays
from minidl.objective import loss_and_grads, loss_value
from minidl.optimizer import Optimizer
from minidl.optimizers import Adam
from minidl.quantiles import QuantileLoss
from minidl.trainer import Trainer

ROWS, STEPS = 4, 16  # of the small batch
UPDATES, MORE, LONGEST = 150, 100, 650  # that it takes; more of them as long as the loss falls; at most
FALLS = 0.95  # of the loss, from one look to the next
ON_THE_WAY = 0.75  # of the loss of the best constant output, for one that falls, and for a net that has no room
ROOM = 10  # parameters for each number to be learned
OVERALL = 0.1  # of that of all batches: less of it is of no weight in a small one
EXACT = 2e-3  # of the loss at the beginning: so near to the targets, what is left of it is of no weight
LEARNED = 0.3  # of the loss of the best constant output: far enough below it
RATES = 12  # that the range test tries, each a tenth of the last
RANGE_STEPS = 40


class Heart(NamedTuple):
    """How far a small batch was learned by heart."""

    rows: int
    steps: int | None  # of a row, None where the whole row was taken
    updates: int
    first: float
    last: float
    constant: float  # the loss of the best constant output; nan where it is not known
    floor: float  # that of outputs which equal the targets: of labels that are shares, it is not 0
    falls: bool  # whether it was still falling at the end
    room: float  # parameters for each number to be learned

    @property
    def climbs(self) -> bool:
        """Whether small steps on a single batch led upwards."""
        return not self.known and self.last > 1.1 * self.first

    @property
    def known(self) -> bool:
        """Whether the rows were learned by heart, or are on the way to it."""
        bound = self.first if math.isnan(self.constant) else self.constant
        share = ON_THE_WAY if self.falls or self.room < ROOM else LEARNED
        return not bound - self.floor > 1e-6 or self.last - self.floor < max(
            share * (bound - self.floor), EXACT * (self.first - self.floor)
        )


def trial(
    net: Layer,
    loss: Loss,
    batches: Sequence[Batch],
    optimizer: Optimizer,
    callbacks: Sequence[Any] = (),
    steps: int = 100,
    seed: int = 0,
    scale: float = 1.0,
) -> tuple[Course, Trainer]:
    """Train a copy of the net for some steps, with copies of the optimizer and of what clips; it shows nothing.

    Example:
        >>> from minidl.doctor.trials import trial
        >>> net, x = minidl.Dense(1), np.ones((8, 2))
        >>> _ = net.build((2,))
        >>> course, _ = trial(net, minidl.MeanSquaredError(), [minidl.Batch(x, x[:, :1])], minidl.Adam(0.1), steps=5)
        >>> course.updates
        5
    """
    optimizer = copy.deepcopy(optimizer)
    optimizer.lr_scale *= scale
    course = Course()
    clips = [copy.deepcopy(callback) for callback in callbacks if isinstance(callback, Clipping)]
    trainer = Trainer(net.copy(), loss, optimizer, [Stop(), *clips, course], seed=seed, quiet=True)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)  # it is among the findings
        trainer.fit(list(batches), steps=steps)
    return course, trainer


class Stop:
    """Ends a trial at the first loss, gradient or parameter that is not finite."""

    def on_grads_ready(self, trainer: Trainer) -> None:
        """Before the update."""
        grads = (p.grad for p in trainer.params.values() if p.trainable)
        if not math.isfinite(trainer.value) or not all(np.isfinite(grad).all() for grad in grads):
            trainer.stop("not finite")

    def on_step_end(self, trainer: Trainer) -> None:
        """After it."""
        if not are_finite(trainer.params):
            trainer.stop("not finite")


def by_heart(net: Layer, loss: Loss, batches: Sequence[Batch], seed: int = 0) -> Heart:
    """Train a copy on a few rows of the first batch, without dropout, until they are known by heart.

    It gets 150 updates, and as long as the loss falls in 100 more, these too: a small net is slow, not sick.

    Example:
        >>> from minidl.doctor.trials import by_heart
        >>> net = minidl.Sequential([minidl.Embedding(5, 8), minidl.LSTM(16, return_sequences=True), minidl.Dense(5)])
        >>> _ = net.build((None,))
        >>> ids = np.random.default_rng(0).integers(0, 5, (2, 9))
        >>> heart = by_heart(net, minidl.SoftmaxCrossEntropy(), [minidl.Batch(ids[:, :-1], ids[:, 1:])])
        >>> heart.known, heart.last < 0.5 * heart.constant
        (True, True)
    """
    twin, (small, steps) = net.copy(), smaller(net, loss, batches[0])
    optimizer, clip = Adam(1e-2), ClipNorm(1.0)
    constant, everywhere = best_constant(net, loss, [small]), best_constant(net, loss, batches)
    if everywhere * OVERALL > constant > 1e-6:  # a window may hardly change, where the series does
        constant = everywhere * OVERALL
    floor = lowest(loss, net, small)
    values: list[float] = []
    before, falls, end = math.inf, True, UPDATES
    with np.errstate(all="ignore"):
        while len(values) < end:
            twin.zero_grads()
            values.append(float(loss_and_grads(twin, loss, small).value))
            grads = [p.grad for p in twin.params.values() if p.trainable]
            if not math.isfinite(values[-1]) or not all(np.isfinite(grad).all() for grad in grads):
                break
            if values[-1] - floor < 0.6 * LEARNED * ((values[0] if math.isnan(constant) else constant) - floor):
                break
            if len(values) == end and end < LONGEST:
                now = float(np.median(values[-10:]))
                falls, before, end = now < FALLS * min(before, values[0]), now, end + MORE
                if not falls and optimizer.lr_scale < 1:
                    break
                if not falls:  # it may swing about what it is looking for
                    optimizer.lr_scale = 0.3
            clip.clip(twin.params, math.inf)
            optimizer.step(twin.params)
    falls = falls and len(values) == LONGEST and float(np.median(values[-10:])) < FALLS * before
    numbers = sum(np.asarray(t).size for t in leaves(small.t).values())
    room = sum(p.value.size for p in twin.params.values() if p.trainable) / max(numbers, 1)
    return Heart(rows_of(small), steps, len(values), values[0], values[-1], constant, floor, falls, room)


def smaller(net: Layer, loss: Loss, batch: Batch) -> tuple[Batch, int | None]:
    """A few rows of a batch, and of outputs at every step a few steps, where the net takes any number of them."""
    x = tuple(a[:ROWS] for a in batch.x) if isinstance(batch.x, tuple) else np.asarray(batch.x)[:ROWS]
    mask = tuple(None if m is None else m[:ROWS] for m in batch.mask) if isinstance(batch.mask, tuple) else batch.mask
    mask = mask if mask is None or isinstance(mask, tuple) else np.asarray(mask)[:ROWS]
    weight = batch.weight if batch.weight is None or not np.ndim(batch.weight) else np.asarray(batch.weight)[:ROWS]
    few = Batch(x, map_arrays(lambda t: t[:ROWS], own(batch.t)), weight=weight, mask=mask)
    free = isinstance(net.in_shape, tuple) and net.in_shape[:1] == (None,)
    if not free or isinstance(x, tuple) or x.shape[1] <= STEPS:
        return few, None
    y = loss_value(net, loss, few)[2]
    alone = isinstance(y, np.ndarray) and isinstance(few.t, np.ndarray)
    if not alone or y.ndim < 3 or y.shape[1] != x.shape[1] or few.t.shape[:2] != x.shape[:2]:
        return few, None
    weight, mask = (a if np.ndim(a) < 2 else a[:, :STEPS] for a in (few.weight, few.mask))
    return Batch(x[:, :STEPS], few.t[:, :STEPS], weight=weight, mask=mask), STEPS


def rows_of(batch: Batch) -> int:
    """How many rows a batch has."""
    return len(batch.x[0] if isinstance(batch.x, tuple) else batch.x)


def largest_stable_rate(
    net: Layer,
    loss: Loss,
    batches: Sequence[Batch],
    optimizer: Optimizer,
    callbacks: Sequence[Any] = (),
    seed: int = 0,
) -> float | None:
    """The first rate below that of the optimizer at which a short training is stable; None where none of them is.

    Each rate is a tenth of the one before, and gets 40 updates from the same parameters; of the first that is stable it
    tries the one between.

    Source:
        Smith 2017, Cyclical learning rates for training neural networks (the range test).
    """
    beginning = beginning_of(net, loss, batches)

    def stable(scale: float) -> float | None:
        course, trainer = trial(net, loss, batches, optimizer, callbacks, RANGE_STEPS, seed, scale)
        seen = climbs(course, net, trainer.net, loss, trainer.seed, beginning)
        climbing = trainer.stop_reason is not None or seen is not None
        return None if climbing else course.highest_rate  # of a schedule, the top of it

    for k in range(1, RATES + 1):
        rate = stable(10.0**-k)
        if rate is not None:
            return stable(10 ** (0.5 - k)) or rate
    return None


def ignores_targets(net: Layer, loss: Loss, batch: Batch) -> bool:
    """Whether the gradients stay the same, to a millionth, when all targets are one and the same."""
    same: list[bool] = []

    def another(t: Array) -> Array:
        if not t.size or t.dtype.kind not in "fiub":
            same.append(True)
            return t
        other = np.full_like(t, t.max())  # not exchanged: where rows contradict each other, that changes nothing
        if (other == t).all() and t.dtype.kind == "f":
            other = 1 - t if 0 <= t.max() <= 1 else -t
        same.append(bool((other == t).all()))
        return other

    given, others = batch.t, map_arrays(another, own(batch.t))
    if isinstance(loss, QuantileLoss):  # it asks only on which side of the outputs a target is: above all, below all
        given, others = (map_arrays(lambda t, far=far: np.full(t.shape, far), own(given)) for far in (1e30, -1e30))
    elif all(same):
        return False
    found = []
    with np.errstate(all="ignore"):
        for targets in given, others:
            twin = net.copy()
            twin.zero_grads()
            loss_and_grads(twin, loss, batch._replace(t=targets))
            found.append({name: p.grad for name, p in twin.params.items() if p.trainable})
    moving = [name for name, grad in found[0].items() if grad.any()]
    close = (abs(found[0][name] - found[1][name]).max() <= 1e-6 * abs(found[0][name]).max() for name in moving)
    return bool(moving) and all(close)
