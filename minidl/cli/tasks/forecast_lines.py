"""The lines of `minidl predict` for a forecast: numbers with as many digits as their interval needs, and bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.inputs import Array

WIDTH = 40  # of a bar on the terminal
DIGITS, MOST_DIGITS = 6, 17  # significant ones; float64 has no more than 17
DIGITS_OF_WIDTH = 3  # of an interval, however narrow it is beside its numbers


class ForecastRow(dict[str, Any]):
    """A row of a forecast, with its numbers as text and the bar of its interval on a terminal."""

    numbers: Sequence[str] = ()
    bar = ""


def number_texts(values: Array) -> list[list[str]]:
    """Format the quantiles of a forecast [steps, quantiles], aligned, so that the ends of each interval differ.

    Example:
        >>> from minidl.cli.tasks.forecast_lines import number_texts
        >>> number_texts(np.array([[1000000100.25, 1000000105.5], [1000000099.5, 1000000110.75]]))
        [['1000000100.25', '1000000105.50'], ['1000000099.50', '1000000110.75']]
        >>> number_texts(np.array([[1e-298, 1.25e-298]]))
        [['1.00000e-298', '1.25000e-298']]
    """
    size = float(np.abs(values).max())
    widths = values[:, -1] - values[:, 0]
    width = float(widths[widths > 0].min(initial=math.inf))
    order = math.floor(math.log10(size)) if size else 0
    digits = DIGITS
    if width < math.inf:
        digits = max(digits, order - math.floor(math.log10(width)) + DIGITS_OF_WIDTH)
    digits = min(digits, MOST_DIGITS)
    form = f".{max(0, digits - 1 - order)}f" if -5 < order < 15 else f".{digits - 1}e"
    texts = [[f"{value:{form}}" for value in row] for row in values.tolist()]
    longest = max(len(text) for row in texts for text in row)
    return [[text.rjust(longest) for text in row] for row in texts]


def bar(values: Sequence[float], low: float, high: float) -> str:
    """Quantiles between the lowest and the highest of a forecast: ├──●────┤."""
    at = [round((value - low) / (high - low or 1) * (WIDTH - 1)) for value in values]
    cells = [" "] * WIDTH
    cells[at[0] : at[-1] + 1] = "─" * (at[-1] - at[0] + 1)
    cells[at[0]], cells[at[-1]] = "├", "┤"
    cells[at[len(at) // 2]] = "●"
    return "".join(cells).rstrip()
