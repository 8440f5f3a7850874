"""The elementwise activations as layers: `Tanh`, `Sigmoid`, `HardSigmoid`, `ReLU`."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.arguments import positive_real
from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.kernels import Gate
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


class HardSigmoid(Layer):
    """y = clip(slope * x + 0.5, 0, 1), elementwise; backward takes y: dx = dy * slope strictly inside, else 0.

    Args:
        slope: 1/6 is that of PyTorch and Keras 3, 0.2 that of Keras 2 and ONNX.

    Example:
        >>> minidl.HardSigmoid(slope=0.2)(np.array([-3.0, 0.0, 1.0, 3.0]))
        array([0. , 0.5, 0.7, 1. ])
    """

    def __init__(self, *, slope: float = 1 / 6) -> None:
        self.slope = positive_real("HardSigmoid", "slope", slope)

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Array]:
        y = self.slope * x + 0.5
        y = np.where(y.real <= 0, 0, np.where(y.real >= 1, 1, y))  # and NaN stays NaN
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return np.where((y.real > 0) & (y.real < 1), self.slope * dy, 0)


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


def gate_activation(owner: str, activation: Any) -> Sigmoid | HardSigmoid | None:
    """What a recurrent layer's gates are to open by, an instance; None for its usual sigmoid.

    Raises:
        ArgumentError: for anything else, a word from Keras habit for one.
    """
    if activation is None or isinstance(activation, Sigmoid | HardSigmoid):
        return activation
    words = {
        "sigmoid": "Sigmoid()",
        "hard_sigmoid": "HardSigmoid(slope=0.2) as in Keras 2, or HardSigmoid() as in Keras 3",
    }
    hint = words.get(getattr(activation, "__name__", str(activation)).lower().replace("hards", "hard_s"))
    raise ArgumentError(
        f"{owner} expects recurrent_activation to be an instance, Sigmoid() or HardSigmoid(), got {activation!r}: "
        f"{'write recurrent_activation=' + hint if hint else 'a gate is a number from 0 to 1, write one of them'}."
    )


def gate(activation: Sigmoid | HardSigmoid | None) -> Gate:
    """The activation as the kernels take it."""
    layer = activation or Sigmoid()
    return Gate(lambda z: layer.forward(z)[0], layer.backward)
