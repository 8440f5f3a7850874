"""Checks of values that come from a file: each returns the value, or refuses it as no part of a model file.

A check takes the name of the value, for the message, and the value. It allocates nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minidl.arguments import is_real
from minidl.errors import ModelFormatError
from minidl.inputs import Array

LARGEST_COUNT = 2**53  # integers up to here are exact as floats, and no run comes near
Check = Callable[[str, Any], Any]


def refuse(what: str, expected: str, value: Any) -> ModelFormatError:
    """Return the error for a value of a file."""
    return ModelFormatError(f"its {what:.80} must be {expected}, got {value!r:.60}.")


def count(what: str, value: Any) -> int:
    """Check a number of things, from 0 on."""
    if type(value) is not int or not 0 <= value <= LARGEST_COUNT:
        raise refuse(what, f"an integer from 0 to {LARGEST_COUNT}", value)
    return value


def positive(what: str, value: Any) -> int:
    """Check a number of things, from 1 on."""
    if count(what, value) < 1:
        raise refuse(what, "a positive integer", value)
    found: int = value
    return found


def natural(what: str, value: Any) -> int:
    """Check an integer from 0 on, however large, as seeds are."""
    if type(value) is not int or value < 0:
        raise refuse(what, "an integer of at least 0", value)
    return value


def number(what: str, value: Any) -> Any:
    """Check a number, which may be NaN or inf; it keeps its type, since that decides the bits of a result."""
    if not is_real(value):
        raise refuse(what, "a number", value)
    return value


def finite(what: str, value: Any) -> Any:
    """Check a finite number."""
    if not is_real(value) or not math.isfinite(value):
        raise refuse(what, "a finite number", value)
    return value


def size(what: str, value: Any) -> Any:
    """Check a finite number that is not negative."""
    if finite(what, value) < 0:
        raise refuse(what, "a number of at least 0", value)
    return value


def flag(what: str, value: Any) -> bool:
    """Check a bool."""
    if type(value) is not bool:
        raise refuse(what, "true or false", value)
    return value


def text(what: str, value: Any) -> str:
    """Check a string."""
    if type(value) is not str:
        raise refuse(what, "a string", value)
    return value


def optional(check: Check) -> Check:
    """Return a check that accepts None as well."""
    return lambda what, value: None if value is None else check(what, value)


def list_of(check: Check, most: int = LARGEST_COUNT) -> Check:
    """Return a check of a list of up to `most` values."""

    def check_list(what: str, value: Any) -> Any:
        if type(value) is not list or len(value) > most:
            raise refuse(what, "a list" if most == LARGEST_COUNT else f"a list of up to {most:,} values", value)
        for part in value:
            check(what, part)
        return value

    return check_list


def dict_of(check: Check) -> Check:
    """Return a check of a dict with any names."""

    def check_dict(what: str, value: Any) -> Any:
        if type(value) is not dict:
            raise refuse(what, "a dict", value)
        for name, part in value.items():
            check(f"{what} {name!r}", part)
        return value

    return check_dict


def entries(what: str, value: Any, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Check a dict with exactly these names, each by its own check."""
    if type(value) is not dict or value.keys() != checks.keys():
        raise refuse(what, f"a dict with {', '.join(checks) or 'no entries'}", value)
    for name, check in checks.items():
        check(f"{what} {name!r}", value[name])
    return value


def names(what: str, value: Any, expected: Iterable[str]) -> Any:
    """Check a list of exactly these names."""
    if value != list(expected):
        raise refuse(what, "the names that the net has", value)
    return value


def array(what: str, value: Any, shape: tuple[int | None, ...], dtype: Any) -> Array:
    """Check an array by its shape, where None stands for any size, and its dtype."""
    fits = isinstance(value, np.ndarray) and value.dtype == dtype and len(value.shape) == len(shape)
    if not fits or any(size not in (None, own) for size, own in zip(shape, value.shape, strict=True)):
        raise refuse(what, f"an array {shape} of {np.dtype(dtype)}", form(value))
    found: Array = value
    return found


def arrays(what: str, value: Any, like: Mapping[str, Array]) -> dict[str, Array]:
    """Check a dict of arrays with the names, the shapes and the dtypes of others."""
    return entries(what, value, {name: array_like(a) for name, a in like.items()})


def array_like(like: Array) -> Check:
    """Return a check of an array of the same shape and dtype."""
    return lambda what, value: array(what, value, like.shape, like.dtype)


def form(value: Any) -> Any:
    """Return an array by shape and dtype, anything else as it is."""
    return f"{value.shape} of {value.dtype}" if isinstance(value, np.ndarray) else value


def same_form(what: str, value: Any, like: Any) -> Any:
    """Check nested arrays: the structure and the arrays of `like`, but for the first axis, which is the same in all.

    Returns the size of that axis; None where there is no array.
    """
    if isinstance(like, np.ndarray) and like.ndim:
        return len(array(what, value, (None, *like.shape[1:]), like.dtype))
    if isinstance(like, dict):
        if type(value) is not dict or value.keys() != like.keys():
            raise refuse(what, f"a dict with {', '.join(map(str, like))}", form(value))
        pairs = [(f"{what}.{name}", value[name], part) for name, part in like.items()]
    elif isinstance(like, tuple | list):
        if not isinstance(value, tuple | list) or len(value) != len(like):
            raise refuse(what, f"{len(like)} values", form(value))
        pairs = [(f"{what}.{k}", *pair) for k, pair in enumerate(zip(value, like, strict=True))]
    elif (value is None) != (like is None) or isinstance(like, np.ndarray) != isinstance(value, np.ndarray):
        raise refuse(what, f"a {type(like).__name__}", form(value))
    else:
        return None
    sizes = {size for pair in pairs if (size := same_form(*pair)) is not None}
    if len(sizes) > 1:
        raise refuse(what, "arrays with as many rows each", f"rows {sorted(sizes)}")
    return sizes.pop() if sizes else None


def kind_of(value: Any) -> str | None:
    """Return the kind of a remembered value; None for None, in whose place any kind may come.

    Example:
        >>> from minidl.file_values import kind_of
        >>> kind_of(np.float32(1)) == kind_of(5) == kind_of(np.ones(2)) == "number", kind_of(("a",))
        (True, 'list')
    """
    kinds = {"number": bool | int | float | np.generic | np.ndarray, "string": str, "dict": dict}
    kinds |= {"list": list | tuple | deque}
    return None if value is None else next((name for name, kind in kinds.items() if isinstance(value, kind)), "other")


def attributes(what: str, value: Any, now: Mapping[str, Any], checks: Mapping[str, Check]) -> Any:
    """Check the remembered attributes of an object: none that it does not have, each by its check, or else its kind."""
    for name, part in dict_of(anything)(what, value).items():
        if name not in now:
            raise ModelFormatError(f"its {what} has {name!r:.60}, which it does not remember.")
        if name in checks:
            checks[name](f"{what} {name!r}", part)
        elif None not in (kind_of(part), kind_of(now[name])) and kind_of(part) != kind_of(now[name]):
            raise refuse(f"{what} {name!r}", f"a {kind_of(now[name])}", part)
    return value


def anything(what: str, value: Any) -> Any:
    """Accept any value."""
    return value
