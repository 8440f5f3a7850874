"""Metrics: values for people, which nothing is trained by; they take what a loss takes.

A position is all of y's axes but the last, as in `losses.py`. A metric whose batches can be averaged is a plain
function (y, t, weight, mask) -> (value, weight). One that cannot, such as F1, is a `Metric`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np

from minidl.arguments import ArgumentHelp, with_argument_help
from minidl.errors import ArgumentError, IdError, ShapeError
from minidl.inputs import Array, refuse_swapped, spread

SLACK = 1e-3  # how far the sum of a target's probabilities may be from 1 by rounding
Function = TypeVar("Function", bound=Callable[..., Any])
MetricFunction = Callable[..., tuple[float, float]]  # (y, t, weight, mask) -> (value, weight)


class Metric(ArgumentHelp, ABC):
    """A value over a whole epoch that is not the mean of the batches' values.

    A Trainer copies it for each epoch and each validation, so `__init__` sets the counts to 0, and the metric that was
    passed stays as it is. What it counts in are numbers and arrays, for checkpoints hold them.

    Attributes:
        name: the key of the value in the epoch's row; the class name by default.
        higher_is_better: whether callbacks take a higher value as better; None if neither direction is.

    Example:
        >>> class Recall(minidl.Metric):
        ...     name, higher_is_better = "recall", True
        ...     def __init__(self):
        ...         self.found = self.there = 0
        ...     def update(self, y, t, weight=None, mask=None):
        ...         self.found += int(((y[..., 0] > 0.5) & (t == 1)).sum())
        ...         self.there += int((t == 1).sum())
        ...     def result(self):
        ...         return self.found / self.there if self.there else float("nan")
        >>> recall = Recall()
        >>> recall.update(np.array([[0.9], [0.2]]), np.array([1, 1]))
        >>> recall.result()
        0.5
    """

    name: ClassVar[str]
    higher_is_better: bool | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "name"):
            cls.name = cls.__name__

    @abstractmethod
    def update(self, y: Any, t: Any, weight: Any = None, mask: Any = None) -> None:
        """Count a batch: outputs, targets, the weight of each position or None, and the mask or None."""

    @abstractmethod
    def result(self) -> float:
        """Return the value over all batches since the copy was made; NaN where nothing counted."""


def with_direction(higher_is_better: bool) -> Callable[[Function], Function]:
    """Return a decorator that marks which direction of a metric function is better, which callbacks read.

    Example:
        >>> minidl.accuracy.higher_is_better, minidl.median_error.higher_is_better
        (True, False)
    """

    def mark(metric: Function) -> Function:
        metric.higher_is_better = higher_is_better  # type: ignore[attr-defined]
        return metric

    return mark


@with_direction(higher_is_better=True)
@with_argument_help
def accuracy(y: Any, t: Any, weight: Any = None, mask: Any = None) -> tuple[float, float]:
    """The share of positions at which the net is right, and how much it counts.

        y [..., V], t [...] ids           right where argmax(y) = t
        y [..., V], t [..., V] one-hot    right where argmax(y) = argmax(t)
        y [..., 1], t [..., 1] or [...]   right where (y > 0.5) = (t > 0.5): probabilities of one yes or no
        y [...] ids, t [...] ids          right where y = t: integers or bools, as argmax gives them

    Several independent yes-or-no outputs, [..., K], are K positions: `accuracy(y[..., None], t)`. Of equal highest
    scores the first one counts.

    Args:
        y: outputs; scores or probabilities for classes, probabilities for yes or no; or predicted ids.
        t: targets.
        weight: how much each position counts; broadcast to the positions, a weight per row [B] to its steps.
        mask: False takes a position out, whatever stands there; broadcast likewise.

    Returns:
        (weighted share, sum of the weights), by which the shares of several batches are averaged;
        (0.0, 0.0) where nothing counts.

    Raises:
        ShapeError, IdError: for targets that do not fit y, or an id that is no class at a position that counts.
        ArgumentError: for targets of the shape of y that are neither ids nor probabilities, and for integer arrays
            that could be ids as well as one-hot rows.

    Example:
        >>> y = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
        >>> minidl.accuracy(y, np.array([1, 0, 0]), mask=np.array([True, True, False]))
        (1.0, 2.0)
    """
    y, t, counts = _counted("accuracy", y, t, weight, mask)
    right = np.equal(y, t) if are_ids(y, t) else _right("accuracy", y, t, counts != 0)
    return weighted_mean(right, counts)


@with_direction(higher_is_better=True)
@with_argument_help
def exact_match(y: Any, t: Any, weight: Any = None, mask: Any = None) -> tuple[float, float]:
    """The share of rows that are right at every position, and how much it counts: whole answers, whole sentences.

    For a net that is given what is right so far, as a decoder is in training, it is the share of the answers that it
    writes without a mistake when it takes the likeliest symbol at each step.

    Args:
        y, t, weight, mask: as for `accuracy`; a row counts as much as that of its positions which counts most, and
            where none counts not at all.

    Returns:
        (weighted share, sum of the weights).

    Raises:
        ShapeError, IdError: as for `accuracy`.

    Example:
        >>> y = np.array([[[0.1, 0.9], [0.8, 0.2]], [[0.3, 0.7], [0.6, 0.4]]])
        >>> minidl.exact_match(y, np.array([[1, 0], [1, 1]]))
        (0.5, 2.0)
    """
    y, t, counts = _counted("exact_match", y, t, weight, mask)
    right = np.equal(y, t) if are_ids(y, t) else _right("exact_match", y, t, counts != 0)
    right |= counts == 0
    if counts.ndim > 1:
        rest = tuple(range(1, counts.ndim))
        right, counts = right.all(axis=rest), counts.max(axis=rest, initial=0.0)
    return weighted_mean(right, counts)


def _counted(owner: str, y: Any, t: Any, weight: Any, mask: Any) -> tuple[Array, Array, Array]:
    """Outputs, targets, and how much each position counts."""
    y, t = np.asarray(y), np.asarray(t)
    if y.ndim == 0:
        raise ShapeError(f"{owner} expects outputs y of shape [..., V], got {y.shape}: one row of scores a position.")
    if y.dtype.kind in "iub" and y.shape[-1:] == (1,) and t.shape == y.shape[:-1]:
        y = y[..., 0]  # ids in a column
    if y.shape != t.shape:  # of one shape, the order makes no difference
        refuse_swapped(owner, y, t)
    if are_ids(y, t) and is_one_hot(t) and (is_one_hot(y) or not ((y == 0) | (y == 1)).all()):
        raise ArgumentError(
            f"{owner} got integers {y.shape} that may be ids, scores or one-hot rows. Pass y.argmax(-1) and "
            f"t.argmax(-1) for one-hot rows, y[..., None] and t[..., None] for ids, y.astype(float) for scores."
        )
    return y, t, position_weights(owner, weight, mask, y.shape if are_ids(y, t) else y.shape[:-1])


def are_ids(y: Array, t: Array) -> bool:
    """Return whether y holds predicted ids: integers or bools, one for each target, which is a whole number, too."""
    whole = t.dtype.kind in "iub" or (t.dtype.kind == "f" and bool((t == np.round(t)).all()))
    return y.dtype.kind in "iub" and y.shape == t.shape and whole


def is_one_hot(a: Array) -> bool:
    """Return whether each row of the last of several axes holds one 1 and zeros; a row of one number does not."""
    rows = a.ndim > 1 and a.shape[-1] > 1 and a.size > 0
    return rows and bool(((a == 0) | (a == 1)).all() and (a.sum(axis=-1) == 1).all())


def position_weights(owner: str, weight: Any, mask: Any, shape: tuple[int, ...]) -> Array:
    """Return the weight of each position; 0 where the mask is False."""
    counts = np.ones(shape) if weight is None else spread(owner, "weight", weight, shape)
    return counts if mask is None else np.where(spread(owner, "mask", mask, shape).astype(bool), counts, 0.0)


def weighted_mean(each: Array, counts: Array) -> tuple[float, float]:
    """Return the weighted mean and the total weight; (0.0, 0.0) if the total is 0, whatever the values are."""
    total = float(counts.sum())
    return (float(np.where(counts != 0, each * counts, 0.0).sum()) / total if total else 0.0), total


def _right(owner: str, y: Array, t: Array, counted: Array) -> Array:
    """Where the outputs are right, [...] bools."""
    V, shape = y.shape[-1], y.shape[:-1]
    if V == 1 and t.shape in (shape, y.shape):
        return (y[..., 0] > 0.5) == (t.reshape(shape) > 0.5)
    if t.shape == y.shape:
        rows = t[counted]
        if (rows < -SLACK).any() or (abs(rows.sum(axis=-1) - 1) > SLACK).any():
            raise ArgumentError(
                f"{owner} targets of the outputs' shape {y.shape} must be one-hot or probabilities, got rows that do "
                f"not sum to 1. Pass ids as targets, or y[..., None] where each output is a yes or no of its own."
            )
        return np.equal(y.argmax(axis=-1), t.argmax(axis=-1))
    if t.shape != shape:
        raise ShapeError(
            f"{owner} expects targets of shape {shape} (ids) or {y.shape} (one-hot) for outputs {y.shape}, "
            f"got {t.shape}: give one target per position."
        )
    if t.dtype.kind not in "iu":
        raise ArgumentError(
            f"{owner} expects targets of shape {t.shape} to be integer ids for outputs {y.shape}, got {t.dtype}: "
            f"convert ids with t.astype(int), and give yes-or-no outputs as y[..., None]."
        )
    wrong = counted & ((t < 0) | (t >= V))
    if wrong.any():
        raise IdError(
            f"{owner} expects ids in [0, {V}) for outputs {y.shape}, got {t[wrong].flat[0]}: "
            f"take positions that do not count out with a mask."
        )
    return np.equal(y.argmax(axis=-1), t)


@with_argument_help
def perplexity(loss: float) -> float:
    """How many equally likely symbols would be as hard to guess: exp(loss), loss in nats.

    Example:
        >>> round(minidl.perplexity(np.log(50)))
        50
    """
    with np.errstate(over="ignore"):
        return float(np.exp(np.float64(loss)))


@with_argument_help
def bits_per_character(loss: float) -> float:
    """A loss in nats as bits: loss / ln 2.

    Example:
        >>> minidl.bits_per_character(np.log(8))
        3.0
    """
    return float(loss) / math.log(2)
