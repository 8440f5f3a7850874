"""Parameters by name: the patterns "encoder.*" and "*.b", and what is said of a name that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Any

from minidl.errors import ArgumentError

MOST_SHOWN = 12  # names in a message


def matching(owner: str, pattern: Any, names: Collection[str]) -> list[str]:
    """The names that a pattern fits: * is anything, dots included, ? one character, [ab] one of some.

    Raises:
        ArgumentError: for a pattern that fits none, with what is there.

    Example:
        >>> from minidl.names import matching
        >>> matching("freeze", "*.b", ["encoder.W", "encoder.b", "dense.b"])
        ['encoder.b', 'dense.b']
    """
    if not isinstance(pattern, str):
        raise ArgumentError(f"{owner} expects a pattern of parameter names, like 'encoder.*', got {pattern!r}.")
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise ArgumentError(
            f"{owner} expects a pattern of parameter names, got {pattern!r}, which fits none: {offer(pattern, names)}."
        )
    return found


def offer(wanted: str, names: Collection[str]) -> str:
    """What may have been meant, and what is there."""
    if not names:
        return "there are no parameters, build the net first"
    parts = {name.rpartition(".")[0]: None for name in names if "." in name}
    stem = wanted.removesuffix(".*")
    close = difflib.get_close_matches(stem, [*parts, *names], 1)
    meant = "" if not close else close[0] if close[0] in names else f"{close[0]}.*"
    shown = list(names)[:MOST_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{f'did you mean {meant!r}? ' if meant else ''}{'There' if meant else 'there'} are {', '.join(shown)}{more}"


def below(name: str, prefix: str) -> bool:
    """Whether a dotted name is that of a part, or of something in it; everything is below ""."""
    return not prefix or name == prefix or name.startswith(f"{prefix}.")
