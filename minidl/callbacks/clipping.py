"""Clipping of gradients: by value, by norm, and by a percentile of the norms so far; each tells what it did."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from minidl.arguments import positive_int, positive_real
from minidl.callbacks.base import Callback, Remembering
from minidl.errors import ArgumentError
from minidl.file_values import Check, count, dict_of, list_of, number
from minidl.gradients import clip_norm, clip_value, norms
from minidl.parameter import Parameter
from minidl.trainer import Trainer


class Clipping(Callback, ABC):
    """The base of the clipping callbacks: a subclass writes `clip(params, norm)`.

    Over an epoch it counts, and at the end writes into the row: `norm` (the mean global norm before clipping),
    `norm_after`, `clipped` (the share of updates that were clipped), `dominant` (the parameter whose gradient
    was most often the largest). `before`, `after` hold the norms of the last update.

    Example:
        >>> issubclass(minidl.ClipNorm, minidl.callbacks.clipping.Clipping)
        True
    """

    remembers: ClassVar[tuple[str, ...]] = "before", "after", "updates", "fired", "sum_before", "sum_after", "largest"
    checks: ClassVar[Mapping[str, Check]] = {
        "before": number, "after": number, "updates": count, "fired": count, "sum_before": number, "sum_after": number,
        "largest": dict_of(count),
    }  # fmt: skip

    def __init__(self) -> None:
        self.before = self.after = 0.0
        self.restart()

    def restart(self) -> None:
        """Begin to count anew."""
        self.updates = self.fired = 0
        self.sum_before = self.sum_after = 0.0
        self.largest: Counter[str] = Counter()

    @abstractmethod
    def clip(self, params: Mapping[str, Parameter], norm: float) -> bool:
        """Clip in place; say whether anything was changed. `norm` is the global norm."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        self.restart()

    def on_grads_ready(self, trainer: Trainer) -> None:
        each = norms(trainer.params)
        self.before = self.after = math.hypot(*each.values())
        if self.clip(trainer.params, self.before):
            self.fired += 1
            self.after = math.hypot(*norms(trainer.params).values())
        self.updates += 1
        self.sum_before += self.before
        self.sum_after += self.after
        if each:
            self.largest[max(each, key=each.__getitem__)] += 1

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.updates:
            trainer.row["norm"] = self.sum_before / self.updates
            trainer.row["norm_after"] = self.sum_after / self.updates
            trainer.row["clipped"] = self.fired / self.updates
            trainer.row["dominant"] = self.largest.most_common(1)[0][0] if self.largest else None


class ClipNorm(Clipping):
    """Scale the gradients down where their norm is above `max_norm`: the direction stays.

    Args:
        max_norm: the longest norm that is left as it is.
        per_parameter: look at each parameter's norm on its own, not at that of all together.

    Source:
        Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks.

    Example:
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[minidl.ClipNorm(5.0)])
    """

    def __init__(self, max_norm: float, per_parameter: bool = False) -> None:
        super().__init__()
        self.max_norm = positive_real("ClipNorm", "max_norm", max_norm)
        self.per_parameter = bool(per_parameter)

    def clip(self, params: Mapping[str, Parameter], norm: float) -> bool:
        if not self.per_parameter:
            return norm > self.max_norm and clip_norm(params, self.max_norm) > self.max_norm
        fired = [clip_norm({name: p}, self.max_norm) > self.max_norm for name, p in params.items()]
        return any(fired)


class ClipValue(Clipping):
    """Move every entry of the gradients into [-limit, limit]: this changes their direction.

    Args:
        limit: the largest entry that is left as it is.

    Example:
        >>> minidl.ClipValue(6.0).limit
        6.0
    """

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = positive_real("ClipValue", "limit", limit)

    def clip(self, params: Mapping[str, Parameter], norm: float) -> bool:
        if norm <= self.limit:  # then no entry is larger
            return False
        fires = any(p.trainable and np.abs(p.grad).max(initial=0.0) > self.limit for p in params.values())
        if fires:
            clip_value(params, self.limit)
        return fires


class AdaptiveClip(Clipping, Remembering):
    """Clip to a percentile of the norms so far: the threshold follows the training, no number has to be guessed.

    Args:
        percentile: of the running history of norms, in (0, 100].
        history: how many norms are remembered; another trainer begins anew.

    Source:
        Seetharaman et al. 2020, AutoClip: adaptive gradient clipping for source separation networks.

    Example:
        >>> minidl.AdaptiveClip(90).threshold
        inf
    """

    remembers: ClassVar[tuple[str, ...]] = (*Clipping.remembers, "norms", "threshold")
    checks: ClassVar[Mapping[str, Check]] = {**Clipping.checks, "norms": list_of(number), "threshold": number}

    def __init__(self, percentile: float = 90.0, history: int = 1000) -> None:
        super().__init__()
        self.percentile = positive_real("AdaptiveClip", "percentile", percentile)
        if self.percentile > 100:
            raise ArgumentError(f"AdaptiveClip expects percentile to be at most 100, got {percentile!r}.")
        self.norms: deque[float] = deque(maxlen=positive_int("AdaptiveClip", "history", history))
        self.forget()

    def forget(self) -> None:
        self.norms.clear()
        self.threshold = math.inf

    def clip(self, params: Mapping[str, Parameter], norm: float) -> bool:
        self.norms.append(norm)
        self.threshold = float(np.percentile(self.norms, self.percentile))
        if not 0 < self.threshold < norm:
            return False
        clip_norm(params, self.threshold)
        return True
