"""Nested arrays: inputs, outputs and states are arrays, tuples, named tuples or dicts of such."""

from __future__ import annotations

from collections.abc import Callable
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


def outline(tree: Any) -> Any:
    """Arrays of the same forms that take the memory of one number each; `zeros_like` makes real ones of them."""
    return map_arrays(lambda a: np.broadcast_to(np.zeros((), a.dtype), a.shape), tree)


def zeros_like(tree: Any) -> Any:
    """Arrays of 0 of the same forms."""
    return map_arrays(lambda a: np.zeros(a.shape, a.dtype), tree)


def added(a: Any, b: Any) -> Any:
    """The sum of two gradients of one thing, array by array, in arrays of its own; None counts as nothing."""
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, dict):
        return {key: added(a.get(key), b.get(key)) for key in a | b}
    if isinstance(a, tuple):
        parts = [added(one, other) for one, other in zip(a, b, strict=True)]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    return a + b


def refuse_list(tree: Any) -> None:
    """Several arrays are a tuple: a list might as well be one array that nobody has made yet."""
    if isinstance(tree, list):
        raise ArgumentError(
            "Inputs, outputs, states and their gradients are expected to be arrays or tuples of arrays, got a list: "
            "return a tuple, not a list."
        )


def part_of(tree: dict[str, Any], path: str) -> Any:
    """What stands at a dotted path; None where nothing does.

    Example:
        >>> from minidl.nested import part_of
        >>> part_of({"encoder": {"lstm": 1}}, "encoder.lstm")
        1
    """
    part: Any = tree
    for key in path.split("."):
        part = part.get(key) if isinstance(part, dict) else None
    return part


def as_part(path: str, value: Any) -> Any:
    """The way back: dicts with nothing in them but the value, at its dotted path.

    Example:
        >>> from minidl.nested import as_part
        >>> as_part("encoder.lstm", 1)
        {'encoder': {'lstm': 1}}
    """
    for key in reversed(path.split(".")):
        value = {key: value}
    return value
