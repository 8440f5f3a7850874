"""`Flatten`: all axes but the batch become one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.errors import ShapeError
from minidl.inputs import Array, Shape, clear_padding
from minidl.layer import Layer


class Flatten(Layer):
    """Lay all axes behind the batch out in one: [B, 4, 5] becomes [B, 20].

    Shapes:
        x [B, ...] -> y [B, product]. With a mask [B, T], the steps that are padding count as 0.

    Raises:
        ShapeError: when it is built for a length that is not known (None).

    Example:
        >>> minidl.Flatten()(np.ones((2, 4, 5))).shape
        (2, 20)
    """

    mixes_steps = True

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        if None in in_shape:
            raise ShapeError(
                f"Flatten expects known lengths, got in_shape {in_shape}: give the number of steps, or use LastStep."
            )
        return (math.prod(n for n in in_shape if n is not None),)

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
    ) -> tuple[Array, None, tuple[tuple[int, ...], Array | None]]:
        return clear_padding(x, mask).reshape(len(x), math.prod(x.shape[1:])), None, (x.shape, mask)

    def backward_with_state(
        self, dy: Array, dstate: Any, cache: tuple[tuple[int, ...], Array | None]
    ) -> tuple[Array, None]:
        shape, mask = cache
        return clear_padding(dy.reshape(shape), mask), None
