"""Trials on copies of a net: a short training, one small batch to be learned by heart, rates that stay stable."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.callbacks.clipping import ClipNorm, Clipping
from minidl.data import Batch
from minidl.doctor.counting import entropy
from minidl.doctor.course import KEPT, Course
from minidl.doctor.parts import targets_of
from minidl.doctor.training_findings import climbs
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from minidl.objective import loss_and_grads, loss_value
from minidl.optimizer import Optimizer
from minidl.optimizers import Adam
from minidl.trainer import Trainer

ROWS, STEPS = 4, 16  # of the small batch
UPDATES = 150  # that it takes at most
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


def by_heart(net: Layer, loss: Loss, batch: Batch, seed: int = 0) -> Heart:
    """Train a copy on a few rows, without dropout, until they are known by heart, or 150 updates are done.

    Example:
        >>> from minidl.doctor.trials import by_heart
        >>> net = minidl.Sequential([minidl.Embedding(5, 8), minidl.LSTM(16, return_sequences=True), minidl.Dense(5)])
        >>> _ = net.build((None,))
        >>> ids = np.random.default_rng(0).integers(0, 5, (2, 9))
        >>> heart = by_heart(net, minidl.SoftmaxCrossEntropy(), minidl.Batch(ids[:, :-1], ids[:, 1:]))
        >>> heart.last < 0.5 * heart.constant
        True
    """
    twin, (small, steps) = net.copy(), smaller(net, loss, batch)
    optimizer, clip = Adam(1e-2), ClipNorm(1.0)
    constant = best_constant(net, loss, small)
    first = last = math.nan
    updates = 0
    with np.errstate(all="ignore"):
        for updates in range(1, UPDATES + 1):
            twin.zero_grads()
            last = float(loss_and_grads(twin, loss, small).value)
            first = last if updates == 1 else first
            grads = [p.grad for p in twin.params.values() if p.trainable]
            if not math.isfinite(last) or not all(np.isfinite(grad).all() for grad in grads):
                break
            if last < 0.6 * LEARNED * (first if math.isnan(constant) else min(constant, first)):
                break
            clip.clip(twin.params, math.inf)
            optimizer.step(twin.params)
    return Heart(rows_of(small), steps, updates, first, last, constant)


def smaller(net: Layer, loss: Loss, batch: Batch) -> tuple[Batch, int | None]:
    """A few rows of a batch, and of outputs at every step a few steps, where the net takes any number of them."""
    x = tuple(a[:ROWS] for a in batch.x) if isinstance(batch.x, tuple) else np.asarray(batch.x)[:ROWS]
    mask = tuple(None if m is None else m[:ROWS] for m in batch.mask) if isinstance(batch.mask, tuple) else batch.mask
    mask = mask if mask is None or isinstance(mask, tuple) else np.asarray(mask)[:ROWS]
    weight = batch.weight if batch.weight is None or not np.ndim(batch.weight) else np.asarray(batch.weight)[:ROWS]
    few = Batch(x, each(lambda t: t[:ROWS], batch.t), weight, mask)
    free = isinstance(net.in_shape, tuple) and net.in_shape[:1] == (None,)
    if not free or isinstance(x, tuple) or x.shape[1] <= STEPS:
        return few, None
    y = loss_value(net, loss, few)[2]
    alone = isinstance(y, np.ndarray) and isinstance(few.t, np.ndarray)
    if not alone or y.ndim < 3 or y.shape[1] != x.shape[1] or few.t.shape[:2] != x.shape[:2]:
        return few, None
    cut = (a if np.ndim(a) < 2 else a[:, :STEPS] for a in (few.weight, few.mask))
    return Batch(x[:, :STEPS], few.t[:, :STEPS], *cut), STEPS


def each(function: Callable[[Array], Array], t: Any) -> Any:
    """The function of the targets' array, or of the arrays of several."""
    if isinstance(t, dict):
        return {name: each(function, part) for name, part in t.items()}
    return tuple(each(function, part) for part in t) if isinstance(t, tuple) else function(np.asarray(t))


def rows_of(batch: Batch) -> int:
    """How many rows a batch has."""
    return len(batch.x[0] if isinstance(batch.x, tuple) else batch.x)


def best_constant(net: Layer, loss: Loss, batch: Batch) -> float:
    """The loss of the best output that does not look at x, over what counts; nan where the loss is not known.

    It is the entropy of classes and of bits, and the variance of numbers.

    Example:
        >>> from minidl.doctor.trials import best_constant
        >>> net = minidl.Dense(3)
        >>> _ = net.build((2,))
        >>> batch = minidl.Batch(np.ones((4, 2)), np.array([0, 0, 2, 2]))
        >>> round(best_constant(net, minidl.SoftmaxCrossEntropy(), batch), 4)
        0.6931
    """
    kind, t = type(loss), targets_of(net, loss, [batch])
    if t is None or not t.real[0].any():
        return math.nan
    kept = t.arrays[0][t.real[0]]
    if kind in (CrossEntropy, SoftmaxCrossEntropy):
        return math.nan if t.ids is None else entropy(t.ids[0][t.real[0]]) + 0.0  # -0.0 becomes 0
    if kind is BinaryCrossEntropy:
        p = np.stack([1 - kept.mean(axis=0), kept.mean(axis=0)])
        return float(-(p * np.log(p, out=np.zeros_like(p), where=p > 0)).sum(axis=0).mean())
    if kind is not MeanSquaredError:
        return math.nan
    with np.errstate(all="ignore"):
        return float(kept.astype(np.float64).var(axis=0).mean())


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
    before, constant = before_updates(net, loss, batches), best_constant(net, loss, batches[0])

    def stable(scale: float) -> float | None:
        course, trainer = trial(net, loss, batches, optimizer, callbacks, RANGE_STEPS, seed, scale)
        climbing = trainer.stop_reason is not None or climbs(course, before, constant) is not None
        return None if climbing else course.highest_rate  # of a schedule, the top of it

    for k in range(1, RATES + 1):
        rate = stable(10.0**-k)
        if rate is not None:
            return stable(10 ** (0.5 - k)) or rate
    return None


def before_updates(net: Layer, loss: Loss, batches: Sequence[Batch]) -> list[float]:
    """The losses of some batches as the net stands."""
    with np.errstate(all="ignore"):
        return [float(loss_value(net, loss, batch)[0]) for batch in batches[:KEPT]]


def ignores_targets(net: Layer, loss: Loss, batch: Batch) -> bool:
    """Whether the gradients stay the same, to a millionth, when all targets are others."""
    same: list[bool] = []

    def another(t: Array) -> Array:
        if t.dtype.kind in "iu":
            classes = np.unique(t)
            other = classes[(np.searchsorted(classes, t) + 1) % len(classes)]
        else:
            other = 1 - t if t.size and t.min() >= 0 and t.max() <= 1 else -t
        same.append(bool((other == t).all()))
        return other

    others = each(another, batch.t)
    if all(same):
        return False
    found = []
    with np.errstate(all="ignore"):
        for targets in batch.t, others:
            twin = net.copy()
            twin.zero_grads()
            loss_and_grads(twin, loss, batch._replace(t=targets))
            found.append({name: p.grad for name, p in twin.params.items() if p.trainable})
    moving = [name for name, grad in found[0].items() if grad.any()]
    close = (abs(found[0][name] - found[1][name]).max() <= 1e-6 * abs(found[0][name]).max() for name in moving)
    return bool(moving) and all(close)
