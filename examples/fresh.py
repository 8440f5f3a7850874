"""Training data that is drawn anew for every update: what the examples with made-up tasks learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minidl import Batch


class Fresh:
    """Epochs of new batches, which seed and epoch decide.

    Args:
        draw: makes a batch with a Generator.
        seed: of all that is drawn.
        batches: how many make an epoch.

    Example:
        >>> data = Fresh(lambda rng: Batch(rng.random((2, 3)), np.zeros(2)), seed=0, batches=4)
        >>> [batch.x.shape for batch in data] == 4 * [(2, 3)]
        True
    """

    def __init__(self, draw: Callable[[np.random.Generator], Batch], seed: int, batches: int) -> None:
        self.draw, self.seed, self.batches = draw, seed, batches

    def epoch(self, k: int) -> Iterator[Batch]:
        rng = np.random.default_rng([self.seed, k])
        return (self.draw(rng) for _ in range(self.batches))

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(0)

    def __len__(self) -> int:
        return self.batches
