"""`Parameter`: an array that training changes, and its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.names import matching

DTYPES = "float32", "float64", "complex128"  # complex numbers serve numeric derivatives


class Parameter:
    """An array that training changes, and its gradient: both are written in place, never rebound.

    Args:
        value: the initial array; it is copied.
        trainable: False freezes it in every net that holds it; gradients still flow through.

    Example:
        >>> p = minidl.Parameter(np.ones(3))
        >>> p.grad += 2.0
        >>> p.value -= 0.1 * p.grad
        >>> p.value
        array([0.8, 0.8, 0.8])
    """

    __slots__ = ("_grad", "_value", "trainable")

    def __init__(self, value: Array, trainable: bool = True) -> None:
        self._value = np.array(value)
        self._grad: Array | None = None
        self.trainable = trainable

    @property
    def value(self) -> Array:
        return self._value

    @value.setter
    def value(self, new: Array) -> None:
        if new is not self._value:  # p.value *= 2 ends here with the same array
            raise ArgumentError("A parameter's value is written in place: p.value[...] = new, not p.value = new.")

    @property
    def grad(self) -> Array:
        if self._grad is None:
            self._grad = np.zeros_like(self._value)
        return self._grad

    @grad.setter
    def grad(self, new: Array) -> None:
        if new is not self._grad:
            raise ArgumentError("A gradient is added to in place: p.grad += dW, not p.grad = dW (two uses add up).")

    def zero_grad(self) -> None:
        """Set the gradient to zero."""
        if self._grad is not None:
            self._grad[...] = 0

    def cast(self, dtype: Any) -> None:
        """Turn value and gradient into `dtype`, float32 or float64: the one place that replaces the arrays."""
        if np.dtype(dtype).name not in DTYPES:
            raise ArgumentError(f"Parameters are expected in np.float32 or np.float64, got {np.dtype(dtype).name}.")
        self._value = self._value.astype(dtype)
        self._grad = None if self._grad is None else self._grad.astype(dtype)

    def __repr__(self) -> str:
        return f"Parameter({self._value.shape}, {self._value.dtype}{'' if self.trainable else ', frozen'})"


def set_trainable(owner: str, params: Mapping[str, Parameter], pattern: str | None, trainable: bool) -> None:
    """Let training change the parameters that a pattern fits, None for all, or leave them alone."""
    for name in params if pattern is None else matching(owner, pattern, params):
        params[name].trainable = trainable
