"""`Reshape`: the same numbers in other axes, so that a Dense may give a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.arguments import positive_int
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array, Shape
from minidl.layer import Layer


class Reshape(Layer):
    """Lay the last axis out in several: [..., 12] becomes [..., 3, 4] with Reshape((3, 4)).

    Args:
        shape: the axes that the last one becomes; their product is its size.

    Shapes:
        x [..., D] -> y [..., *shape]; any number of axes in front, and their mask holds for y.

    Raises:
        ShapeError: when it is built for a size that is not the product of the shape.

    Example:
        >>> minidl.Reshape((2, 3))(np.arange(6.0)[None]).tolist()
        [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        if not isinstance(shape, list | tuple) or not shape:
            raise ArgumentError(f"Reshape expects shape to be a tuple of sizes such as (3, 4), got {shape!r}.")
        self.shape = tuple(positive_int("Reshape", "each size", size) for size in shape)

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        if not in_shape or in_shape[-1] != math.prod(self.shape):
            raise ShapeError(
                f"Reshape expects a last axis of {math.prod(self.shape)} for {self.shape}, got in_shape {in_shape}: "
                f"put a Dense({math.prod(self.shape)}) in front of it."
            )
        return (*in_shape[:-1], *self.shape)

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, tuple[int, ...]]:
        if x.shape[-1:] != (math.prod(self.shape),):
            raise ShapeError(f"Reshape expects x of shape [..., {math.prod(self.shape)}], got {x.shape}.")
        return x.reshape(*x.shape[:-1], *self.shape), x.shape

    def backward(self, dy: Array, shape: tuple[int, ...]) -> Array:
        return dy.reshape(shape)
