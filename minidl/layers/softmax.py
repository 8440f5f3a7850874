"""`Softmax` and `LogSoftmax` over the last axis: scores become probabilities, or their logarithms."""

from __future__ import annotations

import numpy as np

from minidl.inputs import Array
from minidl.layer import Layer


class Softmax(Layer):
    """Probabilities: y_k = exp(x_k) / sum_j exp(x_j).

    Shapes:
        x [..., V] -> y [..., V], each last axis adding up to 1.

    Notes:
        backward is the full Jacobian, dx = y * (dy - sum_j dy_j y_j). Behind `CrossEntropy` neither is used:
        the loss is computed from the scores, which loses nothing at ±1e4.

    Example:
        >>> minidl.Softmax()(np.array([[0.0, 0.0]]))
        array([[0.5, 0.5]])
    """

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Array]:
        y = np.exp(x - x.real.max(axis=-1, keepdims=True))
        y /= y.sum(axis=-1, keepdims=True)
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


class LogSoftmax(Layer):
    """Logarithms of probabilities: y_k = x_k - log sum_j exp(x_j).

    Shapes:
        x [..., V] -> y [..., V].

    Notes:
        backward: dx = dy - exp(y) * sum_j dy_j.

    Example:
        >>> np.exp(minidl.LogSoftmax()(np.array([[0.0, 0.0]])))
        array([[0.5, 0.5]])
    """

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Array]:
        y = x - x.real.max(axis=-1, keepdims=True)
        y = y - np.log(np.exp(y).sum(axis=-1, keepdims=True))
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)
