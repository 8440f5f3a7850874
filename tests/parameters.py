"""Parameters of tests of which only some are in the default run: the others are marked slow, and CI runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import pytest


def slow(*values: Any) -> Any:
    """Return the values as parameters of a slow test."""
    return pytest.param(*values, marks=pytest.mark.slow)


def some(wanted: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """Return all values; those that are not wanted by default are slow."""
    wanted = list(wanted)
    return [value if value in wanted else slow(value) for value in values]


def every(step: int, values: Iterable[Any]) -> list[Any]:
    """Return all values; only the first, and every `step`-th after it, are not slow."""
    return [slow(value) if k % step else value for k, value in enumerate(values)]


def fraction(*axes: Sequence[Any]) -> list[Any]:
    """Return all combinations of values, one of each axis; only a fraction is not slow.

    In the fraction, each value occurs; of three axes and more, each pair of values of two axes does.

    Example:
        >>> [len(one.marks) for one in fraction("ab", "cd", "ef")]
        [0, 1, 1, 0, 1, 0, 0, 1]
    """
    step = min(map(len, axes))
    return [
        pytest.param(
            *(value for _, value in chosen), marks=pytest.mark.slow if sum(k for k, _ in chosen) % step else ()
        )
        for chosen in product(*map(enumerate, axes))
    ]
