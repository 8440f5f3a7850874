"""Nested arrays: inputs and states are arrays, tuples, named tuples or dicts of such; checks walk them by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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
    return function(tree, *others)


def inner(a: Any, b: Any) -> Any:
    """The sum of the products of two structures, array by array."""
    return sum((x * y).sum() for x, y in zip(leaves(a).values(), leaves(b).values(), strict=True))


def is_numeric(array: Array) -> bool:
    """Whether an array can have a gradient: ids and bools cannot."""
    return array.dtype.kind in "fc"
