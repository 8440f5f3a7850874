"""`Spikes`: when a loss lies so far above those before it that the training is sick, and not merely noisy."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from statistics import median
from typing import Any

from minidl.arguments import positive_int, positive_real
from minidl.file_values import entries, finite, list_of, refuse


class Spikes:
    """A level that the losses of a healthy training stay below, from those of the last steps.

        level = max(largest, m + max(spike s, |m|, (first - m) / 2))

    m is the median of the last `keep` losses, s their spread (the distance of their quartiles / 1.349, which is the
    deviation of normal noise), largest the largest of them, and first the median of the first `least` losses of the
    training. So a loss above the level is larger than all of the last steps, at least twice their median where that is
    positive, outside of their noise, and takes back half of all that was learned. Single batches may do that in a
    healthy training as well (one sample a step, and a hard one): who asks has to look at another batch too.

    Args:
        spike: how many times the spread.
        least: how many losses have to be seen before.
        keep: how many losses are kept.

    Example:
        >>> spikes = minidl.doctor.spikes.Spikes()
        >>> for k in range(50):
        ...     spikes.add(2.0 + 0.1 * (k % 3))
        >>> round(spikes.level, 2)
        4.2
    """

    def __init__(self, spike: float = 10.0, least: int = 20, keep: int = 100) -> None:
        self.spike = positive_real("Spikes", "spike", spike)
        self.least, self.keep = positive_int("Spikes", "least", least), positive_int("Spikes", "keep", keep)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.losses: deque[float] = deque()
        self.ordered: list[float] = []
        self.first: list[float] = []

    def add(self, loss: float) -> None:
        """Take in a loss that is finite."""
        if len(self.first) < self.least:
            self.first.append(loss)
        if len(self.losses) == self.keep:
            del self.ordered[bisect_left(self.ordered, self.losses.popleft())]
        self.losses.append(loss)
        insort(self.ordered, loss)

    def above(self, loss: float) -> bool:
        """Whether a loss is above the level."""
        return len(self.first) >= self.least and loss > self.ordered[-1] and loss > self.level

    @property
    def median(self) -> float:
        """Of the losses that are kept; nan where there is none."""
        return median(self.ordered) if self.ordered else math.nan

    @property
    def level(self) -> float:
        """What the losses of a healthy training stay below; inf where too few were seen."""
        if len(self.first) < self.least:
            return math.inf
        count, middle = len(self.ordered), self.median
        spread = (self.ordered[3 * count // 4] - self.ordered[count // 4]) / 1.349
        return max(self.ordered[-1], middle + max(self.spike * spread, abs(middle), (median(self.first) - middle) / 2))

    def remember(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"losses": list(self.losses), "first": list(self.first)}

    def check_recall(self, kept: Any) -> None:
        """Refuse what `remember` does not give."""
        losses, first = list_of(finite, self.keep), list_of(finite, self.least)
        entries("spikes", kept, {"losses": losses, "first": first})
        if kept["first"] and not kept["losses"]:
            raise refuse("spikes 'losses'", "the losses of the last steps", kept["losses"])

    def recall(self, kept: dict[str, Any]) -> None:
        """Be again what `remember` gave."""
        self.losses, self.first = deque(kept["losses"]), list(kept["first"])
        self.ordered = sorted(self.losses)
