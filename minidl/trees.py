"""Plain data with arrays in it, as JSON and arrays: what a checkpoint keeps of a training, and gives back as it was."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.errors import ArgumentError
from minidl.inputs import Array

KINDS = {
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
}
WIDER = {"float16": "float32", "int8": "int32", "int16": "int32", "uint16": "uint32"}  # what a file does not hold


def to_plain(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """The JSON form of a value, whose arrays go into `arrays`, by names that begin with `name`.

    Named tuples become plain ones, deques lists; numbers of NumPy keep their type.

    Raises:
        ArgumentError: for what is no number, word, list, tuple, dict by words, or array of numbers.

    Example:
        >>> arrays = {}
        >>> plain = minidl.trees.to_plain({"h": (np.ones(2), 0.5)}, "state", arrays)
        >>> plain
        {'dict': {'h': {'tuple': [{'array': 'state.h.0'}, 0.5]}}}
        >>> minidl.trees.from_plain(plain, arrays.__getitem__)
        {'h': (array([1., 1.]), 0.5)}
    """
    if isinstance(value, np.generic) and value.dtype.name in KINDS:
        return {"scalar": [value.dtype.name, to_plain(value.item(), name, arrays)]}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, np.ndarray) and value.dtype.name in KINDS:
        while name in arrays:  # {"a.b": ...} beside {"a": {"b": ...}}
            name += "_"
        narrow = value.dtype.name
        arrays[name] = value.astype(WIDER.get(narrow, value.dtype), copy=False)
        return {"narrow": [narrow, name]} if narrow in WIDER else {"array": name}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: to_plain(part, f"{name}.{key}", arrays) for key, part in value.items()}}
    if isinstance(value, tuple | list | deque):
        parts = [to_plain(part, f"{name}.{k}", arrays) for k, part in enumerate(value)]
        return {"tuple": parts} if isinstance(value, tuple) else parts
    raise ArgumentError(
        f"A checkpoint holds numbers, words, lists, dicts by words, and arrays of numbers, got {name} = {value!r:.60}: "
        f"make it one of these, or leave it out."
    )


def from_plain(value: Any, array: Callable[[str], Array]) -> Any:
    """The value that `to_plain` wrote down; `array` gives an array by its name."""
    if isinstance(value, list):
        return [from_plain(part, array) for part in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "float":
            return float(content)
        case "scalar" if content[0] in KINDS:
            return np.dtype(content[0]).type(from_plain(content[1], array))
        case "array":
            return array(content)
        case "narrow" if content[0] in WIDER:
            return array(content[1]).astype(content[0])
        case "dict":
            return {key: from_plain(part, array) for key, part in content.items()}
        case "tuple":
            return tuple(from_plain(part, array) for part in content)
    raise ArgumentError(f"A checkpoint holds float, scalar, array, narrow, dict and tuple, got {kind!r:.60}.")


def as_before(value: Any, before: Any) -> Any:
    """A value that was read, in the form of the one in whose place it comes: a Counter, a deque, a named tuple, ..."""
    if isinstance(before, deque) and isinstance(value, list):
        return deque(value, before.maxlen)
    if isinstance(before, dict) and isinstance(value, dict):
        like = copy.copy(before)  # a defaultdict keeps what makes its entries
        like.clear()
        like.update({key: as_before(part, before.get(key)) for key, part in value.items()})
        return like
    if isinstance(before, tuple | list) and isinstance(value, tuple | list) and len(before) == len(value):
        parts = [as_before(part, old) for part, old in zip(value, before, strict=True)]
        return type(before)(*parts) if hasattr(before, "_fields") else type(value)(parts)
    return value
