"""`LastStep`: of a sequence, the last step that is real."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ShapeError
from minidl.inputs import Array, Shape, clear_padding
from minidl.layer import Layer


class LastStepCache(NamedTuple):
    """Which step was taken of each row, and whether the row had one."""

    last: Array
    real: Array
    shape: tuple[int, ...]


class LastStep(Layer):
    """Take the last step of each row: y = x[:, -1], or the last one that the mask calls real.

    Shapes:
        x [B, T, ...] -> y [B, ...]; a row without a real step gives 0.

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
        last = steps.shape[1] - 1 - steps[:, ::-1].argmax(axis=1)
        real = steps.any(axis=1).reshape(-1, *(1,) * (x.ndim - 2))
        return np.where(real, x[np.arange(len(x)), last], 0), None, LastStepCache(last, real, x.shape)

    def backward_with_state(self, dy: Array, dstate: Any, cache: LastStepCache) -> tuple[Array, None]:
        dx = np.zeros(cache.shape, dy.dtype)
        dx[np.arange(len(dx)), cache.last] = np.where(cache.real, dy, 0)
        return dx, None
