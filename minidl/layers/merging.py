"""The layers that make one array of several: `Add`, `Multiply`, `Concatenate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul
from typing import Any, ClassVar

import numpy as np

from minidl.errors import ShapeError
from minidl.inputs import Array, Shape, shape_text, shapes_of
from minidl.layer import Layer


class Merging(Layer, abstract=True):
    """What they share: x is a tuple of arrays that fit, and a step of y is real where it is in all inputs."""

    takes_several = True
    joins_last: ClassVar[bool] = False  # whether the sizes of the last axis may differ

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        shapes = shapes_of(in_shape)
        return self.fit(shapes, shape_text)

    def hand_on(self, mask: Any) -> Array | None:
        masks = [part for part in mask if part is not None]
        return np.logical_and.reduce(masks) if masks else None

    def check(self, x: Any) -> None:
        """Refuse what is no tuple of arrays that fit."""
        parts = x if isinstance(x, tuple) else (x,)
        self.fit([part.shape for part in parts], str)
        for position, part in enumerate(parts):
            if part.dtype.kind not in "fc":
                raise ShapeError(
                    f"{type(self).__name__} expects floats, got {part.shape} of {part.dtype} as input {position}: put "
                    f"an Embedding in front of it, or make them floats, x.astype(np.float32)."
                )

    def fit(self, shapes: Sequence[Shape], told: Callable[[Shape], str]) -> Shape:
        """The shape that all inputs have, lengths that are free in some but not in all being known."""
        name = type(self).__name__
        if len(shapes) < 2:
            raise ShapeError(
                f"{name} expects a tuple of two or more inputs, got {', '.join(map(told, shapes)) or 'none'} alone: "
                f"name several sources in the Graph."
            )
        compared = slice(-1) if self.joins_last else slice(None)
        common = shapes[0]
        for position, shape in enumerate(shapes):
            pairs = zip(shape[compared], common[compared], strict=False)
            if len(shape) != len(common) or any(None not in (n, m) and n != m for n, m in pairs):
                wanted = "that differ in the last axis alone" if self.joins_last else "of one shape"
                raise ShapeError(
                    f"{name} expects inputs {wanted}, got {told(shapes[0])} as input 0 and {told(shape)} as input "
                    f"{position}: bring them to one size first, with a Dense for example."
                )
            common = tuple(m if n is None else n for n, m in zip(shape, common, strict=True))
        return common


class Add(Merging):
    """The sum of several inputs: y = x[0] + x[1] + ..., as a shortcut around a layer has it.

    Shapes:
        x a tuple of arrays of one shape -> y of that shape. With masks, a step of y is real where it is in all inputs.

    Raises:
        ShapeError: for one input only, and for shapes that differ.

    Example:
        >>> minidl.Add()((np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])))
        array([[11., 22.]])
    """

    def forward(self, x: tuple[Array, ...], *, rng: np.random.Generator | None = None) -> tuple[Array, int]:
        self.check(x)
        return sum(x[2:], start=x[0] + x[1]), len(x)

    def backward(self, dy: Array, count: int) -> tuple[Array, ...]:
        return (dy,) * count


class Multiply(Merging):
    """The product of several inputs, entry by entry: y = x[0] * x[1] * ..., as a gate has it.

    Shapes:
        x a tuple of arrays of one shape -> y of that shape. With masks, a step of y is real where it is in all inputs.

    Raises:
        ShapeError: for one input only, and for shapes that differ.

    Example:
        >>> minidl.Multiply()((np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])))
        array([[10., 40.]])
    """

    def forward(
        self, x: tuple[Array, ...], *, rng: np.random.Generator | None = None
    ) -> tuple[Array, tuple[Array, ...]]:
        self.check(x)
        return list(accumulate(x, mul))[-1], x

    def backward(self, dy: Array, x: tuple[Array, ...]) -> tuple[Array, ...]:
        before = accumulate(x[:-1], mul, initial=dy)  # the products of what stands on either side: nothing is
        behind = list(accumulate(x[:0:-1], mul))[::-1]  # divided, for an input may be 0
        return tuple(a * b for a, b in zip(before, [*behind, 1], strict=True))


class Concatenate(Merging):
    """Several inputs side by side: y = [x[0], x[1], ...], joined along the last axis.

    Shapes:
        x a tuple of arrays [..., D_k], alike but for the last axis -> y [..., sum of D_k]. With masks, a step of y is
        real where it is in all inputs.

    Raises:
        ShapeError: for one input only, and for shapes that differ in another axis.

    Example:
        >>> minidl.Concatenate()((np.array([[1.0, 2.0]]), np.array([[10.0]])))
        array([[ 1.,  2., 10.]])
    """

    joins_last = True

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        common = super().setup(in_shape, rng, dtype)
        sizes = [shape[-1] if shape else None for shape in in_shape]
        if None in sizes:
            raise ShapeError(f"Concatenate expects known sizes of the last axis, got {shape_text(in_shape)}.")
        return (*common[:-1], sum(sizes))

    def forward(self, x: tuple[Array, ...], *, rng: np.random.Generator | None = None) -> tuple[Array, list[int]]:
        self.check(x)
        return np.concatenate(x, axis=-1), list(accumulate(part.shape[-1] for part in x))

    def backward(self, dy: Array, ends: list[int]) -> tuple[Array, ...]:
        return tuple(np.split(dy, ends[:-1], axis=-1))
