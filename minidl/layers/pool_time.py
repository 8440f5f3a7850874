"""`PoolTime`: the mean or the maximum of a sequence over its steps."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array, Shape, clear_padding, require_array
from minidl.layer import Layer


class PoolTimeCache(NamedTuple):
    """Which steps were real [B, T], how many of each row, and for the maximum the step it stood at, one an entry."""

    real: Array
    counts: Array
    best: Array | None


class PoolTime(Layer):
    """Pool a sequence over its steps: y = mean_t x[:, t] or max_t x[:, t], over the steps that are real.

    Args:
        kind: "mean", or "max" (whose gradient goes to the first of several equal maxima).

    Shapes:
        x [B, T, ...] -> y [B, ...]; a row without a real step gives 0.

    Notes:
        A window's mean is not that of the whole sequence, so a net with it cannot be streamed: the Trainer
        refuses to carry state through it.

    Example:
        >>> x = np.array([[[1.0], [5.0], [3.0]]])
        >>> minidl.PoolTime()(x), minidl.PoolTime(kind="max")(x)
        (array([[3.]]), array([[5.]]))
    """

    mixes_steps = True

    def __init__(self, *, kind: Literal["mean", "max"] = "mean") -> None:
        if not isinstance(kind, str) or kind not in ("mean", "max"):
            raise ArgumentError(f"PoolTime expects kind to be 'mean' or 'max', got {kind!r}.")
        self.kind = kind

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        if len(in_shape) < 2:
            raise ShapeError(
                f"PoolTime expects inputs of shape [B, T, ...], got in_shape {in_shape}: there are no steps."
            )
        return in_shape[1:]

    @property
    def streams(self) -> bool:
        return False

    def hand_on(self, mask: Array) -> None:
        return None

    def forward_with_state(
        self,
        x: Array,
        state: Any = None,
        *,
        start: Any = None,
        mask: Array | None = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Array, None, PoolTimeCache]:
        require_array(x)
        if x.ndim < 3 or x.dtype.kind not in "fc":
            hint = "there are no steps" if x.ndim < 3 else "make them floats, x.astype(np.float32)"
            raise ShapeError(f"PoolTime expects x of shape [B, T, ...], got {x.shape} of {x.dtype}: {hint}.")
        x = clear_padding(x, mask)
        real = np.ones(x.shape[:2], bool) if mask is None else mask
        counts = real.sum(axis=1).reshape(-1, *(1,) * (x.ndim - 2))
        if self.kind == "mean" or not x.shape[1]:
            y = x.sum(axis=1) / np.maximum(counts, 1).astype(x.real.dtype)
            return y, None, PoolTimeCache(real, counts, None)
        rows = np.arange(len(x)).reshape(counts.shape)
        best = np.where(real.reshape(*real.shape, *(1,) * (x.ndim - 2)), x.real, -np.inf).argmax(axis=1)
        best = np.where(real[rows, best], best, real.argmax(axis=1).reshape(counts.shape))  # real steps may be -inf
        y = np.take_along_axis(x, best[:, None], axis=1)[:, 0]
        return np.where(counts > 0, y, 0), None, PoolTimeCache(real, counts, best)

    def backward_with_state(self, dy: Array, dstate: Any, cache: PoolTimeCache) -> tuple[Array, None]:
        real, counts, best = cache
        shape = *real.shape, *dy.shape[1:]
        if best is None:
            dx = np.broadcast_to((dy / np.maximum(counts, 1).astype(dy.real.dtype))[:, None], shape)
            return clear_padding(dx, real), None
        dx = np.zeros(shape, dy.dtype)
        np.put_along_axis(dx, best[:, None], np.where(counts > 0, dy, 0)[:, None], axis=1)
        return dx, None
