"""Checks of constructor arguments: each returns the value, or says what was expected and what came."""

from __future__ import annotations

import numbers
from typing import Any

from minidl.errors import ArgumentError


def positive_int(owner: str, name: str, value: Any) -> int:
    """An int of at least 1 (True is none)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ArgumentError(f"{owner} expects {name} to be a positive integer, got {value!r}.")
    return int(value)


def real(owner: str, name: str, value: Any, low: float = -float("inf"), high: float = float("inf")) -> float:
    """A number in [low, high)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= float(value) < high:
        bounds = "" if low == -high else f" of at least {low:g}" if high == float("inf") else f" in [{low:g}, {high:g})"
        raise ArgumentError(f"{owner} expects {name} to be a number{bounds}, got {value!r}.")
    return float(value)


def positive_real(owner: str, name: str, value: Any) -> float:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < float(value) < float("inf"):
        raise ArgumentError(f"{owner} expects {name} to be a positive number, got {value!r}.")
    return float(value)
