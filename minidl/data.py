"""`Batch`: what a training step sees at once, with the facts about padding and about where sequences start."""

from __future__ import annotations

from typing import Any, NamedTuple


class Batch(NamedTuple):
    """Inputs, targets, and what is to be known about them.

    Args:
        x: inputs, batch first: ids [B, T], features [B, T, D], ...
        t: targets: ids, or arrays of the output's shape.
        weight: how much each position counts, broadcast to the positions of t; None for equally.
        mask: [B, T] bools, True where a step is real; None without padding.
        start: which rows begin a new sequence: a bool or [B] bools. False goes on from the carried state.

    Example:
        >>> batch = minidl.Batch(np.array([[1, 2, 3]]), np.array([[2, 3, 4]]))
        >>> batch.start
        True
    """

    x: Any
    t: Any
    weight: Any = None
    mask: Any = None
    start: Any = True
