"""Parameters by name: the patterns "encoder.*" and "*.b", and what is said of a name that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from minidl.errors import ArgumentError

MOST_SHOWN = 12  # names in a message


def matching(owner: str, pattern: Any, names: Collection[str]) -> list[str]:
    """The names that a pattern fits: * is anything, dots included, ? one character, [ab] one of some.

    A pattern that is a name as it stands, or a layer's with .* behind it, is that one: names may have brackets.

    Raises:
        ArgumentError: for a pattern that fits none, with what is there.

    Example:
        >>> from minidl.names import matching
        >>> matching("freeze", "*.b", ["encoder.W", "encoder.b", "dense.b"])
        ['encoder.b', 'dense.b']
    """
    if not isinstance(pattern, str):
        raise ArgumentError(f"{owner} expects a pattern of parameter names, like 'encoder.*', got {pattern!r}.")
    found = [name for name in names if name == pattern or (pattern[-2:] == ".*" and name.startswith(pattern[:-1]))]
    found = found or [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise ArgumentError(
            f"{owner} expects a pattern of parameter names, got {pattern!r}, which fits none: {offer(pattern, names)}."
        )
    return found


def offer(wanted: str, names: Collection[str], behind: str = ".*") -> str:
    """What may have been meant, and what is there; `behind` is what is written behind a layer's name."""
    if not names:
        return "there are no parameters, build the net first"
    known = {name.lower(): name for name in names}
    for name in names:
        words = name.split(".")[:-1]
        known |= {".".join(words[:k]).lower(): ".".join(words[:k]) + behind for k in range(1, len(words) + 1)}
    close = difflib.get_close_matches(wanted.lower().removesuffix(".*"), known, 1)
    return f"{f'did you mean {known[close[0]]!r}? There' if close else 'there'} are {shown(names)}"


def shown(names: Collection[str], most: int = MOST_SHOWN) -> str:
    """Names in a message, the first of many.

    Example:
        >>> from minidl.names import shown
        >>> shown(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(islice(names, most)) + (f" and {more:,} more" if more > 0 else "")


def below(name: str, prefix: str) -> bool:
    """Whether a dotted name is that of a part, or of something in it; everything is below ""."""
    return not prefix or name == prefix or name.startswith(f"{prefix}.")
