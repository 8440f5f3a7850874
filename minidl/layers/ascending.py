"""`Ascending`: numbers that grow along the last axis, as the quantiles of a forecast have to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ShapeError
from minidl.inputs import Array, Shape
from minidl.layer import Layer


class AscendingCache(NamedTuple):
    """How much each number counts for those from it on: 1 for the first, sigmoid(x_k) for the others."""

    slopes: Array


class Ascending(Layer):
    """Make the last axis ascend: each number is the one before it and a step that is never negative.

        y_0 = x_0        y_k = y_k-1 + softplus(x_k),    softplus(x) = log(1 + exp(x))
        dx_k = sigmoid(x_k) sum_j>=k dy_j                (dx_0 without the sigmoid)

    Behind a `Dense` it gives quantiles that do not cross, with a gradient everywhere. (Sorted ones would not cross
    either, but what belongs to which quantile would change from batch to batch.)

    Shapes:
        x [..., Q] -> y [..., Q], y[..., k] <= y[..., k + 1].

    Source:
        Park et al. 2022, Learning quantile functions without quantile crossing for distribution-free time series
        forecasting (increments that are positive).

    Example:
        >>> y = minidl.Ascending()(np.array([[5.0, -1e4, 0.0, 1e4]]))
        >>> [round(float(v), 3) for v in y[0]]
        [5.0, 5.0, 5.693, 10005.693]
    """

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        if not in_shape or in_shape[-1] is None:
            raise ShapeError(f"Ascending expects a known size of the last axis, got in_shape {in_shape}.")
        return in_shape

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, AscendingCache]:
        rest = x[..., 1:]
        steps = np.where(rest.real > 0, rest, 0) + np.log1p(np.exp(np.where(rest.real > 0, -rest, rest)))
        slopes = np.concatenate([np.ones_like(x[..., :1]), 0.5 * np.tanh(0.5 * rest) + 0.5], axis=-1)
        return np.cumsum(np.concatenate([x[..., :1], steps], axis=-1), axis=-1), AscendingCache(slopes)

    def backward(self, dy: Array, cache: AscendingCache) -> Array:
        return cache.slopes * np.cumsum(dy[..., ::-1], axis=-1)[..., ::-1]
