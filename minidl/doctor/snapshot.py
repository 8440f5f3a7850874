"""`Snapshot`: the parameters and the optimizer's memory of a training at one moment, and the way back there."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import checkpoints
from minidl.checkpoint_checks import check_carried, check_slots
from minidl.file_values import arrays, count, entries, size
from minidl.inputs import Array
from minidl.trainer import Trainer


class Snapshot:
    """A training's parameters and its optimizer's memory, in arrays that are made once: to take it is to copy.

    Attributes:
        step: how many updates were done then; None before the first `take`.
        values: the parameters; slots, steps, lr_scale: the optimizer's memory.
        state: what the next batch was to begin from.

    Example:
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), quiet=True)
        >>> x = np.ones((4, 2))
        >>> _ = trainer.fit(x, x.sum(axis=1), epochs=1)
        >>> snapshot = minidl.doctor.snapshot.Snapshot()
        >>> snapshot.take(trainer)
        >>> _ = trainer.fit(x, x.sum(axis=1), epochs=1)
        >>> snapshot.restore(trainer)
        >>> trainer.optimizer.steps, bool((trainer.params["W"].value == snapshot.values["W"]).all())
        (1, True)
    """

    def __init__(self) -> None:
        self.step: int | None = None
        self.values: dict[str, Array] = {}
        self.slots: dict[str, dict[str, Array]] = {}
        self.steps, self.lr_scale = 0, 1.0
        self.state: Any = None

    def take(self, trainer: Trainer, state: Any = None) -> None:
        """Copy what is there now; `state` is what a training that comes back goes on from."""
        optimizer = trainer.optimizer
        self.step, self.steps, self.lr_scale = trainer.step, optimizer.steps, optimizer.lr_scale
        self.state = state
        put(self.values, {name: p.value for name, p in trainer.params.items()})
        for name in self.slots.keys() - optimizer.state.keys():
            del self.slots[name]
        for name, slots in optimizer.state.items():
            put(self.slots.setdefault(name, {}), slots)

    def restore(self, trainer: Trainer) -> None:
        """Put it back in place; what the optimizer remembers since of other parameters is forgotten."""
        for name, p in trainer.params.items():
            p.value[...] = self.values[name]
        optimizer = trainer.optimizer
        optimizer.steps, optimizer.lr_scale = self.steps, self.lr_scale
        for name in optimizer.state.keys() - self.slots.keys():
            del optimizer.state[name]
        for name, slots in self.slots.items():
            put(optimizer.state.setdefault(name, {}), slots)
        trainer.state = self.state

    def remember(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return dict(vars(self))

    def check_recall(self, trainer: Trainer, kept: Any) -> None:
        """Refuse what `remember` does not give of such a trainer."""
        params = trainer.net.params
        entries("snapshot", kept, {
            "step": count, "values": lambda what, value: arrays(what, value, {n: p.value for n, p in params.items()}),
            "slots": lambda _, value: check_slots(trainer.optimizer, params, value), "steps": count, "lr_scale": size,
            "state": lambda _, value: check_carried(trainer.net, value),
        })  # fmt: skip

    def recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        """Be again what `remember` gave."""
        vars(self).update(kept)
        self.state = checkpoints.carried(trainer.net, self.state)


def put(into: dict[str, Array], arrays: dict[str, Array]) -> None:
    """Copy arrays by name, into those that are there where they have the form; names that are gone are removed."""
    for name in into.keys() - arrays.keys():
        del into[name]
    for name, a in arrays.items():
        kept = into.get(name)
        if kept is not None and kept.shape == a.shape and kept.dtype == a.dtype:
            np.copyto(kept, a)
        else:
            into[name] = np.array(a)
