"""`LastStep`: of a sequence, the last step that is real."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ShapeError
from minidl.inputs import Array, Shape, clear_padding
from minidl.layer import Layer


class LastStepCache(NamedTuple):
    """The rows that have a real step, and which one was taken of each."""

    rows: Array
    last: Array
    shape: tuple[int, ...]


class LastStep(Layer):
    """Take the last step of each row: y = x[:, -1], or the last one that the mask calls real.

    Shapes:
        x [B, T, ...] -> y [B, ...]; a row without a real step gives 0.

    Notes:
        Fed window by window it gives the last step of each window, and at last that of the whole. With a mask that
        holds only where the last window has a real step of the row: it does not look back into the windows before.

    Example:
        >>> minidl.LastStep()(np.arange(6.0).reshape(1, 3, 2))
        array([[4., 5.]])
    """

    mixes_steps = True

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        if len(in_shape) < 2:
            raise ShapeError(
                f"LastStep expects inputs of shape [B, T, ...], got in_shape {in_shape}: there are no steps."
            )
        return in_shape[1:]

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
    ) -> tuple[Array, None, LastStepCache]:
        if x.ndim < 2:
            raise ShapeError(f"LastStep expects x of shape [B, T, ...], got {x.shape}: there are no steps.")
        x = clear_padding(x, mask)
        steps = np.ones(x.shape[:2], bool) if mask is None else mask
        rows = np.flatnonzero(steps.any(axis=1))
        last = (steps[rows] * np.arange(x.shape[1])).max(axis=1, initial=0)
        y = np.zeros((len(x), *x.shape[2:]), x.dtype)
        y[rows] = x[rows, last]
        return y, None, LastStepCache(rows, last, x.shape)

    def backward_with_state(self, dy: Array, dstate: Any, cache: LastStepCache) -> tuple[Array, None]:
        dx = np.zeros(cache.shape, dy.dtype)
        dx[cache.rows, cache.last] = dy[cache.rows]
        return dx, None
