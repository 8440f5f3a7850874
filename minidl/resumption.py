"""`Resumption`: a checkpoint that is put into a trainer, as a whole or not at all."""

from __future__ import annotations

from typing import Any

from minidl import checkpoints
from minidl.checkpoints import Saved
from minidl.saving import blaming
from minidl.trainer import Trainer


class Resumption:
    """A trainer that resumes from a checkpoint, and the way back to where it was.

    Making it puts the checkpoint into the trainer. Calling it gives the callbacks what they remembered. `undo` takes
    all of that back where the run fails before its first update, because its data is not that of the checkpoint, for
    example; `release` gives up the way back. (What a log has cut off its file behind the checkpoint stays cut off.)

    Args:
        trainer: it has passed `checkpoints.check` with this checkpoint.
        saved: the checkpoint.

    Notes:
        Memory: one copy of the parameters, until the first update.
    """

    def __init__(self, trainer: Trainer, saved: Saved) -> None:
        self.trainer, self.saved = trainer, saved
        optimizer, history = trainer.optimizer, trainer.history
        self.before: list[tuple[Any, dict[str, Any]]] = [
            (p, {"trainable": p.trainable}) for p in trainer.net.params.values()
        ]
        for callback in trainer.active:
            if callback not in trainer.keepers:
                parts = [part for part in attributes_of(callback).values() if hasattr(part, "remember")]
                self.before += [(owner, attributes_of(owner)) for owner in (callback, *parts)]
        self.before += [(trainer, dict(vars(trainer))), (trainer.means, dict(vars(trainer.means)))]
        self.before += [(optimizer, dict(vars(optimizer))), (history, dict(vars(history)))]
        self.rows, self.notes = list(history.rows), list(history.notes)
        self.weights = {name: p.value.copy() for name, p in trainer.net.params.items()}
        checkpoints.restore(trainer, saved)

    def __call__(self) -> None:
        with blaming(self.saved.path):
            checkpoints.recall(self.trainer, self.saved)

    def release(self) -> None:
        """Give up the way back: the run has begun to change what was restored."""
        self.before, self.weights = [], {}

    def undo(self) -> None:
        """Put the trainer, its net, optimizer, history and callbacks back, unless `release` was called."""
        if not self.before:
            return
        for owner, attributes in self.before:
            for name, value in attributes.items():
                setattr(owner, name, value)
        history = self.trainer.history
        history.rows[:], history.notes[:] = self.rows, self.notes
        for name, value in self.weights.items():
            self.trainer.net.params[name].value[...] = value
        self.release()


def attributes_of(owner: Any) -> dict[str, Any]:
    """Return the attributes of an object; its dicts are copied, since they change in place."""
    attributes = getattr(owner, "__dict__", {})
    return {name: dict(value) if type(value) is dict else value for name, value in attributes.items()}
