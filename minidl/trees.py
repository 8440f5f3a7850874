"""Plain data with arrays in it, as JSON and arrays: what a checkpoint keeps of a training, and gives back as it was."""

from __future__ import annotations

import copy
import json
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, ModelFormatError
from minidl.inputs import Array
from minidl.plain_json import Limits, depth_of, excess, parse

LIMITS = Limits(size=2**24, values=750_000, depth=250)  # of a training: an epoch of its history takes about 25 values

KINDS = {
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
}
PLAIN = {type(None), bool, int, str}
PARSED = {*PLAIN, float}  # JSON has no NaN and no inf
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
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        pairs = value.items()
        return {"dict": {k: v if is_plain(v) else to_plain(v, f"{name}.{k}", arrays) for k, v in pairs}}
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
    if isinstance(value, tuple | list | deque):
        parts = [v if is_plain(v) else to_plain(v, f"{name}.{k}", arrays) for k, v in enumerate(value)]
        return {"tuple": parts} if isinstance(value, tuple) else parts
    raise ArgumentError(
        f"A checkpoint holds numbers, words, lists, dicts by words, and arrays of numbers, got {name} = {value!r:.60}: "
        f"make it one of these, or leave it out."
    )


def is_plain(value: Any) -> bool:
    """Return whether a value is its own JSON form; most are, and a long history has many."""
    kind = type(value)
    return kind in PLAIN or (kind is float and math.isfinite(value))


def from_plain(value: Any, array: Callable[[str], Array]) -> Any:
    """Return the value that `to_plain` wrote down; `array` gives an array by its name.

    Raises:
        ArgumentError: for what `to_plain` does not write.
    """
    if isinstance(value, list):
        return [part if type(part) in PARSED else from_plain(part, array) for part in value]
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items())) if len(value) == 1 else (f"{len(value)} of them", None)
    match kind, content:
        case "dict", dict(parts):
            return {key: v if type(v) in PARSED else from_plain(v, array) for key, v in parts.items()}
        case "float", "nan" | "inf" | "-inf":
            return float(content)
        case "scalar", [str(name), plain] if name in KINDS:
            return scalar(name, plain)
        case "array", str(name):
            return array(name)
        case "narrow", [str(narrow), str(name)] if narrow in WIDER:
            return narrowed(array(name), narrow)
        case "tuple", list(parts):
            return tuple(from_plain(part, array) for part in parts)
    raise ArgumentError(f"A checkpoint holds float, scalar, array, narrow, dict and tuple, got {kind!r:.60}.")


def scalar(name: str, plain: Any) -> Any:
    """Return a number of NumPy from its type and its number of Python."""
    number = float(plain["float"]) if plain in ({"float": "nan"}, {"float": "inf"}, {"float": "-inf"}) else plain
    kind = np.dtype(name)
    fits = {"b": type(number) is bool, "f": type(number) is float}.get(kind.kind, type(number) is int)
    if fits and kind.kind in "iu":
        fits = np.iinfo(kind).min <= number <= np.iinfo(kind).max
    if not fits:
        raise ArgumentError(f"A checkpoint holds numbers of {name} that are such, got {plain!r:.60}.")
    return kind.type(number)


def narrowed(wide: Array, narrow: str) -> Array:
    """Return an array of a type that a file does not hold, from the wider one that was written."""
    if wide.dtype.name != WIDER[narrow]:
        raise ArgumentError(f"A checkpoint holds {narrow} as {WIDER[narrow]}, got {wide.dtype}.")
    with np.errstate(over="ignore"):
        return wide.astype(narrow)


def write_tree(value: Any, name: str, what: str) -> dict[str, Array]:
    """Return the arrays of a file that hold a value: its JSON as the member `name`, and its arrays.

    Raises:
        ArgumentError: for what no file holds, and for more of it than is read again.
    """
    arrays: dict[str, Array] = {}
    plain = to_plain(value, name, arrays)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    too_much = excess(text, LIMITS)
    if too_much is None and depth_of(plain) > LIMITS.depth:
        too_much = f"lists and dicts nested more than {LIMITS.depth} deep"
    if too_much is not None:
        raise ArgumentError(f"{what} has {too_much}: keep fewer values, or put them into arrays.")
    return arrays | {name: np.frombuffer(text, np.uint8)}


def read_tree(arrays: Mapping[str, Array], name: str) -> Any:
    """Return the value that `write_tree` wrote: each of the arrays is a part of it, once.

    Raises:
        ModelFormatError: with the reason.
    """
    left = dict(arrays)
    text = left.pop(name)
    if text.ndim != 1 or text.dtype != np.uint8:
        raise ModelFormatError(f"its member {name!r} is not JSON.")
    plain = parse(text.tobytes(), LIMITS)
    try:
        value = from_plain(plain, left.pop)
    except KeyError as error:
        raise ModelFormatError(f"its JSON names an array that is missing, or names it twice: {error!s:.60}.") from None
    written: dict[str, Array] = {}
    again = json.dumps(to_plain(value, name, written), ensure_ascii=False, allow_nan=False)
    if left or again.encode("utf-8", "surrogatepass") != text.tobytes() or written.keys() | {name} != arrays.keys():
        raise ModelFormatError("its JSON is not in the form that minidl writes.")
    return value


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
