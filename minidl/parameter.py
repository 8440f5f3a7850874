"""`Parameter`: an array that training changes, and its gradient."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
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
    __array_ufunc__ = None  # p -= step would rebind the name p, and change nothing: arithmetic is done on p.value

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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The value, so that `np.asarray(p)` and `np.savez(path, **net.params)` take it."""
        return np.array(self._value, dtype=dtype, copy=copy)

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


class Parameters(Mapping[str, Parameter]):
    """The parameters of a layer or net by name: a mapping that is read, not written to.

    Example:
        >>> dense = minidl.Dense(2)
        >>> _ = dense.build((3,))
        >>> dense.params["b"].value[...] = 7.0
        >>> dense.params["b"] = np.full(2, 7.0)
        Traceback (most recent call last):
        minidl.errors.ArgumentError: params is read-only. Write params['b'].value[...] = array.
    """

    __slots__ = ("_by_name",)

    def __init__(self, by_name: dict[str, Parameter]) -> None:
        self._by_name = by_name

    def __getitem__(self, name: str) -> Parameter:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def keys(self) -> KeysView[str]:
        return self._by_name.keys()

    def values(self) -> ValuesView[Parameter]:
        return self._by_name.values()

    def items(self) -> ItemsView[str, Parameter]:
        return self._by_name.items()

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._by_name, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self._by_name}

    def __setitem__(self, name: str, value: Any) -> None:
        raise ArgumentError(f"params is read-only. Write params[{name!r}].value[...] = array.")

    def __delitem__(self, name: str) -> None:
        raise ArgumentError("params is read-only. A parameter belongs to its layer.")

    def __repr__(self) -> str:
        return repr(self._by_name)


def set_trainable(owner: str, params: Mapping[str, Parameter], pattern: str | None, trainable: bool) -> None:
    """Let training change the parameters that a pattern fits, None for all, or leave them alone."""
    for name in params if pattern is None else matching(owner, pattern, params):
        params[name].trainable = trainable
