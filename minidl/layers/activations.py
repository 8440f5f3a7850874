"""The elementwise activations as layers: `Tanh`, `Sigmoid`, `ReLU`."""

from __future__ import annotations

import numpy as np

from minidl.inputs import Array
from minidl.layer import Layer


class Tanh(Layer):
    """y = tanh(x), elementwise; backward takes y: dx = dy * (1 - y^2).

    Example:
        >>> minidl.Tanh()(np.zeros(2))
        array([0., 0.])
    """

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Array]:
        y = np.tanh(x)
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return dy * (1 - y * y)


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)), elementwise, without overflow; backward takes y: dx = dy * y * (1 - y).

    Example:
        >>> minidl.Sigmoid()(np.array([-1e4, 0.0, 1e4]))
        array([0. , 0.5, 1. ])
    """

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Array]:
        y = 0.5 * np.tanh(0.5 * x) + 0.5
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return dy * y * (1 - y)


class ReLU(Layer):
    """y = x where x > 0, else 0, elementwise; dx = dy where x > 0, else 0 (at 0 as well).

    Example:
        >>> minidl.ReLU()(np.array([-1.0, 2.0]))
        array([0., 2.])
    """

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Array]:
        negative = x.real <= 0  # and NaN stays NaN
        return np.where(negative, 0, x), negative

    def backward(self, dy: Array, negative: Array) -> Array:
        return np.where(negative, 0, dy)
