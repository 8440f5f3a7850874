"""Trials on copies of a net: a short training, one small batch to be learned by heart, rates that stay stable."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.callbacks.clipping import ClipNorm, Clipping
from minidl.checkpoints import leaves
from minidl.data import Batch
from minidl.doctor.course import Course
from minidl.doctor.parts import Part, mask_of_output, targets_of
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.losses import BinaryCrossEntropy, ClassLoss, CrossEntropy, Loss, MeanSquaredError
from minidl.objective import loss_and_grads, loss_value
from minidl.optimizer import Optimizer
from minidl.optimizers import Adam
from minidl.trainer import Trainer

ROWS, STEPS = 4, 16  # of the small batch
UPDATES, MORE, LONGEST = 150, 100, 650  # that it takes; more of them as long as the loss falls; at most
FALLS = 0.95  # of the loss, from one look to the next
ON_THE_WAY = 0.75  # of the loss of the best constant output, for one that falls, and for a net that has no room
ROOM = 10  # parameters for each number to be learned
OVERALL = 0.1  # of that of all batches: less of it is of no weight in a small one
EXACT = 2e-3  # of the loss at the beginning: so near to the targets, what is left of it is of no weight
LEARNED = 0.3  # of the loss of the best constant output: far enough below it
RATES = 10  # that the range test tries, each the square root of 10 below the last
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
    with np.errstate(all="ignore"):
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
        if not all(np.isfinite(p.value).all() for p in trainer.params.values()):
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
    numbers = sum(a.size for a in leaves(small.t))
    room = sum(p.value.size for p in twin.params.values() if p.trainable) / max(numbers, 1)
    return Heart(
        len(small.x[0] if isinstance(small.x, tuple) else small.x),
        steps,
        len(values),
        values[0],
        values[-1],
        constant,
        floor,
        falls,
        room,
    )


def rows_of(batch: Batch) -> int:
    """How many rows a batch has."""
    return len(batch.x[0] if isinstance(batch.x, tuple) else batch.x)


def first_rows(t: Any) -> Any:
    """The first rows of targets, also of several in a tuple or dict."""
    if isinstance(t, dict):
        return {name: first_rows(part) for name, part in t.items()}
    return tuple(map(first_rows, t)) if isinstance(t, tuple) else np.asarray(t)[:ROWS]


def smaller(net: Layer, loss: Loss, batch: Batch) -> tuple[Batch, int | None]:
    """A few rows of a batch, and of outputs at every step a few steps, where the net takes any number of them."""
    x = tuple(a[:ROWS] for a in batch.x) if isinstance(batch.x, tuple) else np.asarray(batch.x)[:ROWS]
    mask = tuple(None if m is None else m[:ROWS] for m in batch.mask) if isinstance(batch.mask, tuple) else batch.mask
    mask = mask if mask is None or isinstance(mask, tuple) else np.asarray(mask)[:ROWS]
    weight = batch.weight if batch.weight is None or not np.ndim(batch.weight) else np.asarray(batch.weight)[:ROWS]
    few = Batch(x, first_rows(batch.t), weight, mask)
    free = isinstance(net.in_shape, tuple) and net.in_shape[:1] == (None,)
    if not free or isinstance(x, tuple) or x.shape[1] <= STEPS:
        return few, None
    y = loss_value(net, loss, few)[2]
    if not isinstance(y, np.ndarray) or y.ndim < 3 or y.shape[1] != x.shape[1] or np.shape(few.t)[:2] != x.shape[:2]:
        return few, None
    cut = (None if a is None or np.ndim(a) < 2 else a[:, :STEPS] for a in (few.weight, few.mask))
    return Batch(x[:, :STEPS], few.t[:, :STEPS], *cut), STEPS


def best_constant(net: Layer, loss: Loss, batches: Sequence[Batch]) -> float:
    """The loss of the best output that does not look at x: frequencies, means; of an own loss, of the mean output.

    It is nan where there are no targets that it can read.
    """
    t = targets_of(net, loss, list(batches)) if batches else None
    if (
        t is None
        or not any(real.any() for real in t.real)
        or len({a.shape[r.ndim :] for a, r in zip(t.arrays, t.real, strict=True)}) > 1
    ):
        return math.nan
    seen, total, weights = loss.on(net)[1], 0.0, 0.0
    with np.errstate(all="ignore"):
        fixed = fixed_output(seen, t)
        for batch, real in zip(batches, t.real, strict=True):
            y = fixed
            if y is None:
                outputs = loss_value(net, loss, batch)[2]
                if not isinstance(outputs, np.ndarray) or outputs.shape[: real.ndim] != real.shape or not real.any():
                    return math.nan
                y = outputs[real].mean(axis=0, dtype=np.float64)
            y = np.broadcast_to(y, (*real.shape, *y.shape)).copy()
            value, _, weight = seen(y, batch.t, batch.weight, mask_of_output(net, batch))
            total, weights = total + float(value) * float(weight), weights + float(weight)
    return total / weights if weights else math.nan


def lowest(loss: Loss, net: Layer, batch: Batch) -> float:
    """The loss of outputs that equal the targets, where these are shares; 0 for others."""
    seen, t = loss.on(net)[1], np.asarray(batch.t)
    soft = (
        isinstance(seen, ClassLoss | BinaryCrossEntropy)
        and t.dtype.kind == "f"
        and t.ndim == 1 + len(net.out_shape or ())
    )
    if not soft or not ((t >= 0) & (t <= 1)).all():
        return 0.0
    y = np.clip(t.astype(np.float64), 1e-7, 1 - 1e-7)
    if isinstance(seen, BinaryCrossEntropy):
        y = np.log(y / (1 - y)) if seen.from_logits else y
    elif not isinstance(seen, CrossEntropy):
        y = np.log(y)
    return float(seen(y, t, batch.weight, mask_of_output(net, batch))[0])


def fixed_output(seen: Loss, t: Part) -> Array | None:
    """What the best of such outputs is, for the losses of minidl; None for others."""
    values = np.concatenate([a[real] for a, real in zip(t.arrays, t.real, strict=True)])
    if isinstance(seen, ClassLoss):
        if t.size is None:
            return None
        share = np.bincount(values, minlength=t.size) / len(values) if t.whole else values.mean(axis=0)
        share = np.maximum(share, 1e-12)
        return share if isinstance(seen, CrossEntropy) else np.log(share)
    if not isinstance(seen, MeanSquaredError | BinaryCrossEntropy):
        return None
    mean = values.astype(np.float64).mean(axis=0)
    if isinstance(seen, BinaryCrossEntropy):
        mean = np.clip(mean, 1e-6, 1 - 1e-6)
        mean = np.log(mean / (1 - mean)) if seen.from_logits else mean
    return mean


def stable(course: Course, trainer: Trainer) -> bool:
    """Whether a trial stayed finite, and ended below where it began without leaps above that."""
    values = course.recent
    return (
        trainer.stop_reason is None and course.losses.last < course.losses.first and max(values) < 1.5 * max(values[:3])
    )


def largest_stable_rate(
    net: Layer,
    loss: Loss,
    batches: Sequence[Batch],
    optimizer: Optimizer,
    callbacks: Sequence[Any] = (),
    seed: int = 0,
) -> float | None:
    """The first rate below that of the optimizer at which a short training is stable; None where none of them is.

    Each rate is the square root of 10 below the one before, and gets 40 updates from the same parameters.

    Source:
        Smith 2017, Cyclical learning rates for training neural networks (the range test).
    """
    for k in range(1, RATES + 1):
        scale = 10 ** (-k / 2)
        if stable(*trial(net, loss, batches, optimizer, callbacks, RANGE_STEPS, seed, scale)):
            return optimizer.rate * scale
    return None


def ignores_targets(net: Layer, loss: Loss, batch: Batch) -> bool:
    """Whether the gradients stay the same, to a millionth, when all targets are one and the same."""
    t = np.asarray(batch.t)
    if not t.size or t.dtype.kind not in "fiub":
        return False
    other = np.full_like(t, t.max())  # not exchanged: where rows contradict each other, that changes nothing
    if (other == t).all() and t.dtype.kind == "f":
        other = 1 - t if 0 <= t.max() <= 1 else -t
    if (other == t).all():
        return False
    found = []
    with np.errstate(all="ignore"):
        for targets in t, other:
            twin = net.copy()
            twin.zero_grads()
            loss_and_grads(twin, loss, batch._replace(t=targets))
            found.append({name: p.grad for name, p in twin.params.items() if p.trainable})
    moving = [name for name, grad in found[0].items() if grad.any()]
    close = (abs(found[0][name] - found[1][name]).max() <= 1e-6 * abs(found[0][name]).max() for name in moving)
    return bool(moving) and all(close)
