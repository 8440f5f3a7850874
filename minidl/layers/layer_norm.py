"""`LayerNorm`: the features of each position brought to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.arguments import positive_real
from minidl.errors import ArgumentError, ShapeError
from minidl.initializers import drawn, ones, zeros
from minidl.inputs import Array, Shape, require_array
from minidl.layer import Layer


class LayerNormCache(NamedTuple):
    """The normalized input n, and what it was divided by."""

    n: Array
    scale: Array


class LayerNorm(Layer):
    """Normalize the last axis, each position by itself: its mean becomes 0, its variance 1; then scale and shift.

        y = g * n + b        n = (x - mean(x)) / sqrt(var(x) + eps)

    Args:
        eps: added to the variance, so that a constant row is not divided by 0; below 1.

    Shapes:
        x [..., D] -> y [..., D]; any number of axes in front.

    Params:
        g [D], b [D].

    Raises:
        ArgumentError: for an eps out of range, such as a size. ShapeError: when x has another size than the one it was
            built for.

    Source:
        Ba, Kiros & Hinton 2016, Layer normalization.

    Example:
        >>> norm = minidl.LayerNorm()
        >>> norm.build((2,))
        (2,)
        >>> norm([[5.0, 7.0]]).round(3)
        array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, *, eps: float = 1e-5) -> None:
        self.eps = positive_real("LayerNorm", "eps", eps)
        if self.eps >= 1:
            raise ArgumentError(
                f"LayerNorm expects eps below 1, got {eps!r}: it takes its size from its input, write LayerNorm()."
            )

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        if not in_shape or in_shape[-1] is None:
            raise ShapeError(f"LayerNorm expects a known size of the last axis, got in_shape {in_shape}.")
        self.g = self.add_param("g", drawn(ones, in_shape[-1:], rng, dtype))
        self.b = self.add_param("b", drawn(zeros, in_shape[-1:], rng, dtype))
        return in_shape

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, LayerNormCache]:
        require_array(x)
        g, b = self.g.value, self.b.value
        if x.shape[-1:] != g.shape:
            raise ShapeError(f"LayerNorm expects x of shape [..., {len(g)}], got {x.shape}: it was built for that.")
        x = x.astype(g.dtype) if x.dtype.kind in "iub" else x
        n = x - x.mean(axis=-1, keepdims=True)
        n -= n.mean(axis=-1, keepdims=True)  # the rounding of the mean: what is constant becomes 0, however large
        scale = np.sqrt((n * n).mean(axis=-1, keepdims=True) + self.eps)
        n /= scale
        return g * n + b, LayerNormCache(n, scale)

    def backward(self, dy: Array, cache: LayerNormCache) -> Array:
        n, scale = cache
        rows = tuple(range(dy.ndim - 1))
        self.g.grad += (dy * n).sum(axis=rows)
        self.b.grad += dy.sum(axis=rows)
        dn = dy * self.g.value
        return (dn - dn.mean(axis=-1, keepdims=True) - n * (dn * n).mean(axis=-1, keepdims=True)) / scale
