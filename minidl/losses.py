"""Losses: how far outputs are from targets, as a number and as a gradient.

A loss returns (value, dy, weight): the weighted mean over the positions, its gradient, and the sum of the
weights, by which the means of several batches are averaged. A position is all of y's axes but the last.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from minidl.arguments import ArgumentHelp, flag, written_out
from minidl.errors import ArgumentError, IdError, ShapeError
from minidl.graph import Graph
from minidl.inputs import Array, refuse_swapped, spread
from minidl.kernels import softmax_cross_entropy
from minidl.layer import Layer
from minidl.layers import LogSoftmax, Sigmoid, Softmax
from minidl.sequential import Sequential

TINY = 1e-30  # the least probability whose logarithm is taken; a normal number in float32 too
SLACK = 1e-3  # how far from [0, 1] a probability may be by rounding, or by a numeric derivative
HINT_SEQUENCES = "ids have one axis less; for one output a step, the last recurrent layer needs return_sequences=True"


class Loss(ArgumentHelp, ABC):
    """The base of the losses. A subclass writes `positions(y, t) -> (loss of each position, its gradient)`.

    Weights, masks and `ignore_index` are treated here, once for all of them.

    Example:
        >>> class AbsoluteError(minidl.Loss):
        ...     def positions(self, y, t):
        ...         return abs(y - t).mean(axis=-1), np.sign(y - t) / y.shape[-1]
        >>> value, dy, weight = AbsoluteError()(np.array([[1.0], [5.0]]), np.array([[0.0], [2.0]]))
        >>> float(value), weight
        (2.0, 2.0)
    """

    ignore_index: int | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.title = cls.__name__

    title: str  # what error messages call it: a fused loss keeps the name of the one it stands for

    @abstractmethod
    def positions(self, y: Array, t: Array) -> tuple[Array, Array]:
        """The loss of each position [...], and its gradient by y [..., V]; t is checked already."""

    def weighted(self, y: Array, t: Array, share: Array) -> tuple[Array, Array]:
        """The loss of each position [...], and its gradient by y times its share [...] in the mean."""
        each, dy = self.checked_positions(y, self.positions(y, t))
        return each, dy * share[..., None]

    def targets(self, y: Array, t: Array) -> Array:
        """Check the targets' shape: that of y, or without its last axis where that is 1."""
        if t.dtype.kind not in "biufc":
            raise self.misfit(y, t, f"{y.shape}")
        if t.shape == y.shape:
            return t
        if y.shape[-1:] == (1,) and t.shape == y.shape[:-1]:
            return t[..., None]
        raise self.misfit(y, t, f"{y.shape}")

    def on(self, net: Layer) -> tuple[Layer, Loss]:
        """The net and the loss to compute with: a loss that is fused with the last layer takes that layer away."""
        return net, self

    def __call__(self, y: Array, t: Any, weight: Any = None, mask: Array | None = None) -> tuple[Any, Array, float]:
        """The loss of outputs y for targets t.

        Args:
            y: outputs [..., V].
            t: targets, as the loss describes them.
            weight: how much each position counts; broadcast to the positions, a weight per row [B] to its steps.
            mask: False takes a position out, whatever stands there; broadcast likewise.

        Returns:
            (weighted mean, its gradient by y, sum of the weights); (0, zeros, 0) where nothing counts.

        Raises:
            ArgumentError: for targets and outputs that are swapped. ShapeError: for targets that do not fit y.
        """
        if isinstance(y, tuple):
            raise ShapeError(
                f"{self.title} expects one output, got {len(y)}: train a Graph with outputs=... naming one of them, or "
                f"write a loss that adds up those of several."
            )
        t = np.asarray(t)
        refuse_swapped(self.title, y, t)
        owner, shape, dtype = self.title, y.shape[:-1], y.real.dtype
        t = self.targets(y, t)
        if t.shape == y.shape:
            t = t.astype(dtype, copy=False)
        counts = np.ones(shape, dtype) if weight is None else spread(owner, "weight", weight, shape).astype(dtype)
        real = None if weight is None else counts != 0
        if mask is not None:
            inside = spread(owner, "mask", mask, shape).astype(bool)
            real = inside if real is None else real & inside
        if self.ignore_index is not None and t.shape == shape:
            chosen = t != self.ignore_index
            real = chosen if real is None else real & chosen
        if real is not None:  # what stands at a position that does not count may be anything: NaN, id -100
            counts = np.where(real, counts, 0)
            y = np.where(real[..., None], y, 0)
            t = np.where(real if t.shape == shape else real[..., None], t, 0)
        total = float(counts.sum())
        share = (counts / total if total else counts).astype(dtype)
        each, dy = self.checked_positions(y, self.weighted(y, t, share))
        return (each * share).sum(), dy, total

    def checked_positions(self, y: Array, result: Any) -> tuple[Array, Array]:
        """Refuse what `positions` or `weighted` returned where a shape would be broadcast to another meaning."""
        shapes = [np.shape(part) for part in result] if isinstance(result, tuple) else []
        if shapes != [y.shape[:-1], y.shape]:
            got = " and ".join(map(str, shapes)) or type(result).__name__
            raise ShapeError(
                f"{self.title}.positions must return the loss of each position {y.shape[:-1]} and its gradient "
                f"{y.shape} for outputs {y.shape}, got {got}. Average the loss over the last axis, and no other."
            )
        each, dy = result
        return np.asarray(each), np.asarray(dy)

    def __repr__(self) -> str:
        return written_out(self)

    def check_shares(self, what: str, values: Array, hint: str) -> None:
        """Refuse numbers outside of [0, 1], with room for rounding; positions that do not count hold 0 by now."""
        wrong = (values < -SLACK) | (values > 1 + SLACK)
        if wrong.any():
            at = tuple(int(k) for k in np.unravel_index(np.argmax(wrong), values.shape))
            raise ArgumentError(f"{self.title} expects {what} in [0, 1], got {values[at]:g} at {at}: {hint}.")

    def misfit(self, y: Array, t: Array, expected: str) -> ShapeError:
        """The error for targets that do not fit, with the cure where it is a known one."""
        hint = "the last layer's units and the targets have to agree"
        if t.dtype.kind not in "biufc":
            hint = "encode labels as ids: labels, ids = np.unique(t, return_inverse=True)"
        elif t.shape == (*y.shape[:-1], 1):
            hint = "leave out the last axis of the ids: t[..., 0]"
        elif t.shape == y.shape[:-1] and t.dtype.kind in "iu":
            hint = (
                "Dense(1) gives one number a position; for ids of classes take SoftmaxCrossEntropy, or in a loss of "
                "your own def targets(self, y, t): return t"
            )
        elif t.shape == y.shape[:-1]:
            hint = "convert ids that are stored as floats with t.astype(int)"
        elif y.ndim == 2 and t.ndim >= 2 and t.shape[:1] == y.shape[:1]:
            hint = (
                "if the targets have one entry a step, the last recurrent layer needs return_sequences=True "
                "so that the output has one too"
            )
        elif y.ndim == 3 and t.shape[:2] != y.shape[:2] and t.shape[:1] == y.shape[:1]:
            hint = (
                "the output has one entry a step; for one target a sequence, leave return_sequences=False, "
                "or put a LastStep behind"
            )
        return ShapeError(
            f"{self.title} expects targets of shape {expected} for outputs {y.shape}, "
            f"got {t.shape} of {t.dtype}: {hint}."
        )


class ClassLoss(Loss):
    """The base of losses over V classes: targets are ids [...], or probabilities (one-hot) [..., V].

    Args:
        ignore_index: the id of positions that do not count; None for none.
    """

    def __init__(self, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index

    def targets(self, y: Array, t: Array) -> Array:
        if t.shape == y.shape:
            return t
        if t.shape != y.shape[:-1] or t.dtype.kind not in "iu":
            raise self.misfit(y, t, f"{y.shape[:-1]} (integer ids) or {y.shape} (one-hot)")
        return t

    def check_ids(self, y: Array, t: Array) -> None:
        """Refuse ids that are no class; positions that do not count hold 0 by now."""
        wrong = (t < 0) | (t >= y.shape[-1])
        if wrong.any():
            at = tuple(int(k) for k in np.unravel_index(np.argmax(wrong), t.shape))
            raise IdError(
                f"{self.title} expects target ids from 0 to {y.shape[-1] - 1} (the output has {y.shape[-1]} "
                f"classes), got {t[at]} at position {at}: "
                f"{'enlarge the last layer' if t[at] >= 0 else 'ids begin at 0'}, or name it as ignore_index."
            )


class SoftmaxCrossEntropy(ClassLoss):
    """Cross-entropy of the softmax of scores (logits): l = log sum_j exp(y_j) - y_t, and dy = softmax(y) - onehot(t).

    Args:
        ignore_index: the id of target positions that do not count.

    Shapes:
        y [..., V]; t ids [...] or probabilities [..., V].

    Example:
        >>> loss = minidl.SoftmaxCrossEntropy()
        >>> value, dy, weight = loss(np.array([[1e4, 0.0], [0.0, 0.0]]), np.array([0, 1]))
        >>> float(value)  # the mean of 0 and ln 2
        0.34657359027997264
    """

    def positions(self, y: Array, t: Array) -> tuple[Array, Array]:
        z = y - y.real.max(axis=-1, keepdims=True)
        dy = np.exp(z)
        total = dy.sum(axis=-1, keepdims=True)
        dy /= total
        if t.shape == y.shape:
            self.check_shares("targets of the outputs' shape", t, HINT_SEQUENCES)
            mass = t.sum(axis=-1, keepdims=True)
            tz = np.multiply(t, z, where=t != 0, out=np.zeros_like(z))  # a score of -inf counts where t does
            return (mass * np.log(total) - tz.sum(axis=-1, keepdims=True))[..., 0], dy * mass - t
        self.check_ids(y, t)
        at = t[..., None]
        np.put_along_axis(dy, at, np.take_along_axis(dy, at, -1) - 1, -1)
        return (np.log(total) - np.take_along_axis(z, at, -1))[..., 0], dy

    def weighted(self, y: Array, t: Array, share: Array) -> tuple[Array, Array]:
        own = type(self).positions is not SoftmaxCrossEntropy.positions  # a subclass may compute something else
        if own or t.shape == y.shape or y.dtype.kind != "f":
            return super().weighted(y, t, share)
        self.check_ids(y, t)
        each, dy = softmax_cross_entropy(y.reshape(-1, y.shape[-1]), t.ravel(), share.ravel())
        return each.reshape(t.shape), dy.reshape(y.shape)


class CrossEntropy(ClassLoss):
    """Cross-entropy of probabilities: l = -log y_t.

    On a net that ends in `Softmax` (or `LogSoftmax`) it is computed from that layer's input, by log-sum-exp:
    the same number and gradient, exact for scores of ±1e4 as well.

    Args:
        ignore_index: the id of target positions that do not count.

    Shapes:
        y [..., V] probabilities; t ids [...] or probabilities [..., V].

    Example:
        >>> value, dy, weight = minidl.CrossEntropy()(np.array([[0.25, 0.75]]), np.array([1]))
        >>> float(value)  # -ln 0.75
        0.2876820724517809
    """

    def on(self, net: Layer) -> tuple[Layer, Loss]:
        body = without_last(net, (Softmax, LogSoftmax))
        if body is None or computes_otherwise(self, CrossEntropy):
            return net, self
        fused = SoftmaxCrossEntropy(self.ignore_index)
        fused.title = self.title
        return body, fused

    def positions(self, y: Array, t: Array) -> tuple[Array, Array]:
        self.check_shares("probabilities", y.real, "put a Softmax last, or use SoftmaxCrossEntropy for scores")
        safe = np.where(y.real <= TINY, TINY, y)  # log 0 is about -69, not -inf
        if t.shape == y.shape:
            self.check_shares("targets of the outputs' shape", t, HINT_SEQUENCES)
            return -(t * np.log(safe)).sum(axis=-1), -t / safe
        self.check_ids(y, t)
        dy = np.zeros_like(y)
        p = np.take_along_axis(safe, t[..., None], -1)
        np.put_along_axis(dy, t[..., None], -1 / p, -1)
        return -np.log(p)[..., 0], dy


class MeanSquaredError(Loss):
    """Squared error, averaged over the last axis: l = mean_k (y_k - t_k)^2.

    Shapes:
        y [..., D]; t of the same shape, or [...] where D is 1.

    Example:
        >>> float(minidl.MeanSquaredError()(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]))[0])
        2.0
    """

    def positions(self, y: Array, t: Array) -> tuple[Array, Array]:
        error = y - t
        return (error * error).mean(axis=-1), error * (2 / y.shape[-1])


class BinaryCrossEntropy(Loss):
    """Cross-entropy of yes-or-no outputs, averaged over the last axis: l = -t log y - (1 - t) log(1 - y).

    On a net that ends in `Sigmoid` it is computed from that layer's input, stable at any size.

    Args:
        from_logits: y are scores before the sigmoid: l = max(y, 0) - y t + log(1 + exp(-|y|)), dy = sigmoid(y) - t.

    Shapes:
        y [..., D]; t in [0, 1] of the same shape, or [...] where D is 1.

    Example:
        >>> float(minidl.BinaryCrossEntropy(from_logits=True)(np.array([[-1e4]]), np.array([[1]]))[0])
        10000.0
    """

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = flag("BinaryCrossEntropy", "from_logits", from_logits)

    def on(self, net: Layer) -> tuple[Layer, Loss]:
        body = None if self.from_logits else without_last(net, (Sigmoid,))
        return (
            (net, self)
            if body is None or computes_otherwise(self, BinaryCrossEntropy)
            else (body, BinaryCrossEntropy(from_logits=True))
        )

    def positions(self, y: Array, t: Array) -> tuple[Array, Array]:
        self.check_shares("targets", t, "yes is 1, no is 0")
        if self.from_logits:
            size = np.where(y.real < 0, -y, y)
            each = np.where(y.real > 0, y, 0) - y * t + np.log1p(np.exp(-size))
            dy = 0.5 * np.tanh(0.5 * y) + 0.5 - t
        else:
            self.check_shares("probabilities", y.real, "put a Sigmoid last, or use from_logits=True for scores")
            yes, no = np.where(y.real <= TINY, TINY, y), np.where(y.real >= 1, TINY, 1 - y)
            each = -t * np.log(yes) - (1 - t) * np.log(no)
            dy = (1 - t) / no - t / yes
        return each.mean(axis=-1), dy / y.shape[-1]


def computes_otherwise(loss: Loss, base: type[Loss]) -> bool:
    """Whether a subclass computes something of its own, which a fused loss would pass over."""
    return any(getattr(type(loss), name) is not getattr(base, name) for name in ("__call__", "positions", "weighted"))


def without_last(net: Layer, kinds: tuple[type[Layer], ...]) -> Layer | None:
    """The net without its last layer, where that is one of `kinds` itself (nested nets included); else None.

    Subclasses are left alone, layers and nets alike: what they compute is their own business.
    """
    if type(net) is Graph and net.last is not None:
        inner = without_last(net.last, kinds)
        return net.replace_last(inner) if inner is not None or type(net.last) in kinds else None
    if type(net) is not Sequential or not len(net):
        return None
    *before, (name, last) = net.layers.items()
    if type(last) in kinds:
        return net[:-1]
    inner = without_last(last, kinds)
    return None if inner is None else Sequential([*before, (name, inner)], name=net.name)
