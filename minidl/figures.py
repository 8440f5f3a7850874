"""The values of an epoch: the loss and the metrics over its batches, their names and directions."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minidl.arguments import check_list
from minidl.data import Batch
from minidl.errors import ArgumentError
from minidl.inputs import as_mask
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.metrics import Metric, MetricFunction
from minidl.misfits import last_layer

TRAINER_KEYS = "epoch", "loss", "step", "rate", "seconds", "targets_per_second"  # of a row


class Means:
    """The loss and the metrics over batches: means by the weight of each batch, or what a `Metric` makes of them."""

    def __init__(self, metrics: Sequence[Any] = ()) -> None:
        self.sums: dict[str, float] = {}
        self.weights: dict[str, float] = {}
        self.count = 0  # of targets
        self.pending: list[Any] = []  # batches that the metrics below have not counted yet
        self.metrics = {m.name: copy.deepcopy(m) for m in metrics if isinstance(m, Metric)}  # those that are not means

    def add(
        self, net: Layer, loss: Loss, metrics: Sequence[Any], batch: Batch, value: Any, weight: float, y: Any
    ) -> None:
        """Take in a batch and what came of it; y are the outputs that the loss saw."""
        found = {"loss": (value, weight)}
        if metrics:
            y, seen = outputs(net, loss, y), counted(net, loss, batch, y)
            for metric in metrics:
                if isinstance(metric, Metric):
                    self.pending.append((self.metrics[metric.name], y, seen))
                else:
                    found[name_of(metric)] = measured(metric, y, seen)
        for name, (mean, share) in found.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(mean) * float(share)
            self.weights[name] = self.weights.get(name, 0.0) + float(share)
        self.count += numbers_in(batch.t)

    def commit(self, instead: Means | None = None) -> None:
        """Count the added batches in the metrics that are not means, too; or take all back to what was before."""
        if instead is not None:
            self.go_back(instead)
        for metric, y, seen in self.pending:
            metric.update(y, *seen)
        self.pending = []

    def copy(self) -> Means:
        """Return the sums as they are now, whatever is added later."""
        twin = Means()
        twin.sums, twin.weights, twin.count = dict(self.sums), dict(self.weights), self.count
        return twin

    def go_back(self, then: Means) -> None:
        """Forget what was added since `then`, but not which values there are."""
        self.sums = {name: then.sums.get(name, 0.0) for name in self.sums}
        self.weights = {name: then.weights.get(name, 0.0) for name in self.weights}
        self.count, self.pending = then.count, []

    def values(self) -> dict[str, float]:
        """Return the values so far; NaN where nothing counted."""
        means = {
            name: total / self.weights[name] if self.weights[name] else math.nan for name, total in self.sums.items()
        }
        return means | {name: float(metric.result()) for name, metric in self.metrics.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        kept = {name: vars(metric) for name, metric in self.metrics.items()}
        return {"sums": self.sums, "weights": self.weights, "count": self.count, "metrics": kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.sums, self.weights, self.count = state["sums"], state["weights"], state["count"]
        for name, metric in self.metrics.items():
            vars(metric).update(state["metrics"].get(name, {}))


def name_of(metric: Any) -> str:
    """Return the key of a metric in the row of an epoch."""
    if isinstance(metric, Metric):
        return metric.name
    return getattr(metric, "__name__", type(metric).__name__)


def direction_of(metric: Any) -> bool | None:
    """Return whether a higher value of a metric is better; None where it has no direction."""
    higher = getattr(metric, "higher_is_better", None)
    if higher is not None and not isinstance(higher, bool | np.bool_):
        raise ArgumentError(f"higher_is_better of {name_of(metric)} must be True, False or None, got {higher!r:.60}.")
    return None if higher is None else bool(higher)


def row_directions(metrics: Iterable[Any], validated: bool, callbacks: Iterable[Any]) -> dict[str, bool | None]:
    """Return the keys of an epoch's row, and whether a higher value is better; None where nothing says so."""
    own: dict[str, bool | None] = {"loss": False}
    own |= {name_of(metric): direction_of(metric) for metric in metrics}
    found: dict[str, bool | None] = dict.fromkeys(TRAINER_KEYS)
    written = (name for callback in callbacks for name in getattr(callback, "writes", ()))
    found |= {name: own.get(name.removeprefix("valid_")) for name in written}
    return found | own | ({f"valid_{name}": higher for name, higher in own.items()} if validated else {})


def check_metrics(metrics: Any) -> None:
    """Refuse what is no list of `Metric` or functions (y, t, weight, mask)."""
    check_list("Trainer", "metrics", metrics)
    for metric in metrics:
        if isinstance(metric, Metric):
            continue
        if not callable(metric) or isinstance(metric, type):
            raise ArgumentError(f"Trainer expects metrics to be functions such as accuracy, got {metric!r}.")
        try:
            inspect.signature(metric).bind(None, None, None, None)
        except TypeError:
            raise ArgumentError(
                f"The metric {name_of(metric)} must take (y, t, weight, mask): outputs, targets, the weight of each "
                f"position or None, and the mask or None."
            ) from None
        except ValueError:  # a function without a signature
            continue


def measured(metric: MetricFunction, y: Any, seen: tuple[Any, Any, Any]) -> tuple[float, float]:
    """Return the value and the weight of a metric on a batch."""
    result = metric(y, *seen)
    if not isinstance(result, tuple) or len(result) != 2 or any(np.ndim(part) for part in result):
        raise ArgumentError(
            f"The metric {name_of(metric)} must return two numbers (value, weight), got {result!r:.60}. The weight is "
            f"how many positions count, by which batches are averaged."
        )
    return result


def check_names(names: list[str], callbacks: Iterable[Any] = ()) -> None:
    """Refuse metrics whose values would overwrite others in the row of an epoch."""
    taken = {*TRAINER_KEYS, *(name for callback in callbacks for name in getattr(callback, "writes", ()))}
    for name in names:
        if name in taken or name.startswith("valid_") or names.count(name) > 1:
            why = "the name of two metrics" if names.count(name) > 1 else "a value that the row has already"
            raise ArgumentError(
                f"Trainer expects metrics to have names of their own, got {name!r}, {why}: write a function with "
                f"another name (def), or set its __name__."
            )


def outputs(net: Layer, loss: Loss, y: Any) -> Any:
    """The outputs of the net itself, from those that the loss saw: it may be fused with the net's last layer."""
    if loss.on(net)[0] is net:
        return y
    last = last_layer(net)
    assert last is not None  # or the loss would have nothing to fuse with
    return last(y)


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
