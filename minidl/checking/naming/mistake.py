"""A mistake: its code, where it is, and the pieces of the textbook that it changes."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

from minidl.checking.naming.textbook import Pieces


class Mistake(NamedTuple):
    """One mistake: its code, what it is in words, where it is, and what it computes instead."""

    code: str
    what: str
    where: str
    pieces: Pieces
    fitting: Pieces = MappingProxyType({})  # of a forward mistake: the backward pass that is right for it


def listed(gates: Any) -> str:
    """Gates as people list them."""
    return ", ".join(gates)


def slope_at(k: str, slope: Callable[..., Any]) -> Callable[[Any], Any]:
    """A slope as a piece of the backward pass."""
    if k == "c":
        return lambda q: slope(q.c, q.tc)
    return lambda q: slope(q.z[k], getattr(q, k))
