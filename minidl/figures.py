"""The figures of an epoch: means of the loss and of the metrics over batches, and what they are called."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.container import Container
from minidl.data import Batch
from minidl.errors import ArgumentError
from minidl.inputs import as_mask
from minidl.layer import Layer
from minidl.losses import Loss

# the figures of a row that no metric may be called by: the trainer's own, and those of the callbacks
RESERVED = {"epoch", "loss", "step", "rate", "seconds", "targets_per_second"}
RESERVED |= {"norm", "norm_after", "clipped", "dominant", "sample", "rollbacks"}
Metric = Callable[..., tuple[float, float]]  # (y, t, weight, mask) -> (value, how much it counts)


class Means:
    """Means of the loss and the metrics over batches, by the weight of each."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.weights: dict[str, float] = {}
        self.count = 0  # of targets

    def add(
        self, net: Layer, loss: Loss, metrics: Sequence[Metric], batch: Batch, value: Any, weight: float, y: Any
    ) -> None:
        """Take in a batch and what came of it; y are the outputs that the loss saw."""
        found = {"loss": (value, weight)}
        if metrics:
            y, seen = outputs(net, loss, y), counted(net, loss, batch, y)
            found |= {name_of(metric): metric(y, *seen) for metric in metrics}
        for name, (mean, share) in found.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(mean) * float(share)
            self.weights[name] = self.weights.get(name, 0.0) + float(share)
        self.count += numbers_in(batch.t)

    def copy(self) -> Means:
        """As they are now, whatever is added later."""
        twin = Means()
        twin.sums, twin.weights, twin.count = dict(self.sums), dict(self.weights), self.count
        return twin

    def go_back(self, then: Means) -> None:
        """Forget what was added since `then`, but not which figures there are."""
        self.sums = {name: then.sums.get(name, 0.0) for name in self.sums}
        self.weights = {name: then.weights.get(name, 0.0) for name in self.weights}
        self.count = then.count

    def values(self) -> dict[str, float]:
        """The means; nan where nothing counted."""
        return {
            name: total / self.weights[name] if self.weights[name] else math.nan for name, total in self.sums.items()
        }


def name_of(metric: Metric) -> str:
    """What the figures of a metric are called."""
    return getattr(metric, "__name__", type(metric).__name__)


def check_names(names: list[str]) -> None:
    """Refuse metrics whose figures would overwrite others in the row of an epoch."""
    for name in names:
        if name in RESERVED or name.startswith("valid_") or names.count(name) > 1:
            why = "the name of two metrics" if names.count(name) > 1 else "a figure that the row has already"
            raise ArgumentError(
                f"Trainer expects metrics to have names of their own, got {name!r}, {why}: write a function with "
                f"another name (def), or set its __name__."
            )


def outputs(net: Layer, loss: Loss, y: Any) -> Any:
    """The outputs of the net itself, from those that the loss saw: it may be fused with the net's last layer."""
    if loss.on(net)[0] is net:
        return y
    while isinstance(net, Container) and net.last is not None:
        net = net.last
    return net(y)


def counted(net: Layer, loss: Loss, batch: Batch, y: Any) -> tuple[Any, Any, Any]:
    """Targets, weights and mask as a metric takes them: what the loss ignores does not count."""
    t, mask = np.asarray(batch.t), as_mask(batch.mask)
    mask = None if mask is None else net.hand_on(mask)
    if loss.ignore_index is not None and t.shape == y.shape[:-1]:
        chosen = t != loss.ignore_index
        mask = chosen if mask is None else chosen & mask
    return t, batch.weight, mask


def numbers_in(t: Any) -> int:
    """How many numbers the targets have, those of several outputs together."""
    if isinstance(t, dict):
        t = tuple(t.values())
    return sum(map(numbers_in, t)) if isinstance(t, tuple) else int(np.size(t))
