"""`Curve`: a run of numbers of any length in a fixed number of means."""

from __future__ import annotations

import math

POINTS = 128  # at most; an even number
FIRST = 5  # values that make up the beginning


class Curve:
    """Means over stretches of a run, each of so many values that there are never more than 128 stretches.

    Attributes:
        count: how many finite values were added.
        first: the mean of the first 5 of them; highest: the largest one.

    Example:
        >>> from minidl.doctor.curves import Curve
        >>> curve = Curve()
        >>> for value in range(1000):
        ...     curve.add(value)
        >>> len(curve.values) <= 128, curve.first, curve.values[:2]
        (True, 2.0, [3.5, 11.5])
    """

    def __init__(self) -> None:
        self.means: list[float] = []
        self.stride = 1  # values in a stretch
        self.open, self.pending = 0.0, 0  # the sum of the stretch that is not complete, and how many values it has
        self.count, self.first, self.highest = 0, math.nan, -math.inf

    def add(self, value: float) -> None:
        """Take in a value; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        if self.count < FIRST:
            self.first = (self.first * self.count + value) / (self.count + 1) if self.count else float(value)
        self.highest = max(self.highest, value)
        self.count += 1
        self.open += value
        self.pending += 1
        if self.pending == self.stride:
            self.means.append(self.open / self.stride)
            self.open, self.pending = 0.0, 0
        if len(self.means) == POINTS:
            self.means = [(a + b) / 2 for a, b in zip(self.means[::2], self.means[1::2], strict=True)]
            self.stride *= 2

    @property
    def values(self) -> list[float]:
        """The means in the order of time, the stretch that is not complete included."""
        return self.means + ([self.open / self.pending] if self.pending else [])

    @property
    def last(self) -> float:
        """The mean of the last eighth."""
        values = self.values
        tail = values[-max(1, len(values) // 8) :]
        return sum(tail) / len(tail) if tail else math.nan

    @property
    def peak(self) -> float:
        """The highest mean of 5 values in a row, or of a stretch, where these are longer; -inf for none."""
        values = self.values
        width = max(1, min(FIRST // self.stride, len(values)))
        return max((sum(values[k : k + width]) / width for k in range(len(values) - width + 1)), default=-math.inf)

    @property
    def best(self) -> float:
        """The lowest mean of an eighth."""
        values, width = self.values, max(1, len(self.values) // 8)
        return min((sum(values[k : k + width]) / width for k in range(len(values) - width + 1)), default=math.nan)
