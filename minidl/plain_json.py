"""JSON text from a file, parsed under limits: its size, its number of values and its nesting are checked first.

minidl writes JSON in one form only, so a reader can ask for it byte for byte: no key twice, no NaN, no extra blank.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from minidl.errors import ModelFormatError


class Limits(NamedTuple):
    """The largest JSON text that is written and read."""

    size: int  # in bytes
    values: int  # numbers, strings and containers
    depth: int  # of lists and dicts in each other


def as_json(value: Any) -> bytes:
    """Return JSON in one form only.

    Raises:
        ValueError: for NaN and inf, and for text that UTF-8 does not hold.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def values_in(text: bytes) -> int:
    """Return an upper bound of the values and containers in a JSON text."""
    return sum(text.count(mark) for mark in (b",", b":", b"[", b"{")) + 1


def depth_of(value: Any) -> int:
    """Return how many lists and dicts are nested in each other, without recursion.

    Example:
        >>> from minidl.plain_json import depth_of
        >>> depth_of({"a": [[]]}), depth_of(5)
        (3, 0)
    """
    depth, level = 0, [value]
    while level := [part for part in level if type(part) in (list, dict, tuple)]:
        depth += 1
        level = [inner for part in level for inner in (part.values() if type(part) is dict else part)]
    return depth


def excess(text: bytes, limits: Limits) -> str | None:
    """Return which limit a JSON text exceeds, in words; None where it fits."""
    if len(text) > limits.size:
        return f"{len(text):,} bytes of JSON, more than {limits.size:,}"
    if values_in(text) > limits.values:
        return f"{values_in(text):,} values in JSON, more than {limits.values:,}"
    return None


def parse(text: bytes, limits: Limits) -> Any:
    """Parse a JSON text that is within the limits.

    Raises:
        ModelFormatError: with the reason.
    """
    too_much = excess(text, limits)
    if too_much is not None:
        raise ModelFormatError(f"it has {too_much}.")
    try:
        value = json.loads(text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"its JSON cannot be parsed: {error}.") from None
    if depth_of(value) > limits.depth:
        raise ModelFormatError(f"its JSON is nested more than {limits.depth} deep.")
    return value
