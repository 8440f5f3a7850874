"""What checks ask of nested arrays: their sizes, whether they are finite, what an attribute holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.inputs import Array
from minidl.nested import leaves


def arrays_of(tree: Any) -> list[Array]:
    """The arrays of hand-written code's structures, in order: lists are welcome here."""
    if tree is None:
        return []
    if isinstance(tree, dict):
        return [array for part in tree.values() for array in arrays_of(part)]
    if isinstance(tree, list | tuple):
        return [array for part in tree for array in arrays_of(part)]
    return [np.asarray(tree)]


def with_arrays(tree: Any, arrays: Iterator[Array]) -> Any:
    """The same structure with other arrays in it, taken in order."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: with_arrays(part, arrays) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        parts = [with_arrays(part, arrays) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return next(arrays)


def inner(a: Any, b: Any) -> Any:
    """The sum of the products of two structures, array by array."""
    return sum((x * y).sum() for x, y in zip(leaves(a).values(), leaves(b).values(), strict=True))


def is_numeric(array: Array) -> bool:
    """Whether an array can have a gradient: ids and bools cannot."""
    return array.dtype.kind in "fc"


def is_finite(tree: Any) -> bool:
    """Whether a structure is free of NaN and infinity."""
    return all(np.isfinite(array).all() for array in leaves(tree).values())


def largest(tree: Any) -> float:
    """The largest absolute value of a structure, NaN and infinity apart; 0.0 without any."""
    finite = (array[np.isfinite(array)] for array in leaves(tree).values())
    return max((float(np.abs(values).max(initial=0.0)) for values in finite), default=0.0)


def contents(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """What an attribute holds, in a form that can be compared; gradients apart, for backward adds to them."""
    if id(value) in seen:
        return "..."
    seen = (*seen, id(value))
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    if isinstance(value, dict):
        return {key: contents(v, seen) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [contents(v, seen) for v in value]
    if hasattr(value, "grad") and hasattr(value, "trainable"):
        return contents(value.value, seen), value.trainable
    if hasattr(value, "__dict__"):
        return {"": type(value).__name__} | contents(vars(value), seen)
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))
