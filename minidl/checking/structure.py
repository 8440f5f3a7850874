"""Nested arrays: inputs and states are arrays, tuples, named tuples or dicts of such; checks walk them by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.errors import ArgumentError
from minidl.inputs import Array


def leaves(tree: Any, name: str = "", suffix: str = "") -> dict[str, Array]:
    """The arrays of a structure by path; `suffix` ends each name, as the 0 in "lstm.h0"."""
    if tree is None:
        return {}
    if isinstance(tree, dict):
        parts = {f"{name}.{key}" if name else str(key): part for key, part in tree.items()}
    elif isinstance(tree, tuple):
        fields = getattr(tree, "_fields", None)
        keys = fields if fields else [f"[{k}]" for k in range(len(tree))]
        parts = {(f"{name}.{key}" if name and fields else f"{name}{key}"): part for key, part in zip(keys, tree)}  # noqa: B905
    else:
        refuse_list(tree)
        return {name + suffix: np.asarray(tree)}
    return {path: array for key, part in parts.items() for path, array in leaves(part, key, suffix).items()}


def map_arrays(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """The same structure with `function(array, ...)` in place of each array; None stays None."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: map_arrays(function, part, *(o[key] for o in others)) for key, part in tree.items()}
    if isinstance(tree, tuple):
        parts = [map_arrays(function, *part) for part in zip(tree, *others, strict=True)]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    refuse_list(tree)
    return function(tree, *others)


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


def refuse_list(tree: Any) -> None:
    """Several arrays are a tuple: a list might as well be one array that nobody has made yet."""
    if isinstance(tree, list):
        raise ArgumentError(
            "Inputs, outputs, states and their gradients are expected to be arrays or tuples of arrays, got a list: "
            "return a tuple, not a list."
        )


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
