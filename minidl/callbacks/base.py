"""`Callback`: what may happen at six moments of a training; a subclass writes those it wants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from minidl.arguments import ArgumentHelp
from minidl.file_values import Check, attributes
from minidl.hooks import check_hooks
from minidl.trainer import Trainer
from minidl.trees import as_before


class Callback(ArgumentHelp):
    """A part of a training that is no part of the loop. All hooks are optional and take the trainer.

    The callbacks of a Trainer are called in the order of its list. A callback reads what the trainer knows
    (`trainer.step`, `trainer.value`, `trainer.row`, ...), writes figures into `trainer.row`, and may end the
    training with `trainer.stop(reason)`.

    Example:
        >>> class Shout(minidl.Callback):
        ...     def on_epoch_end(self, trainer):
        ...         print(f"epoch {trainer.epoch} done")

    What a callback has to know when a run resumes from a checkpoint are the attributes that `remembers` names. A
    checkpoint sets no other attribute; `checks` says what each of them must be, for a file may be damaged or crafted.
    The keys that it writes into `trainer.row` are those that `writes` names, so that others can monitor them.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_hooks(cls.__name__, vars(cls).items())
        cls.writes = (cls.writes,) if isinstance(cls.writes, str) else tuple(cls.writes)

    remembers: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()
    checks: ClassVar[Mapping[str, Check]] = {}  # by attribute; one without a check must be of the kind that it was

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first batch; the net is built."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch."""

    def on_grads_ready(self, trainer: Trainer) -> None:
        """Between backward and update: clipping, noise, norms. A stop here leaves out the update and what follows."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After an update."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After validation; `trainer.row` holds the figures of the epoch."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """At the end, also after an error."""

    def remember(self) -> dict[str, Any]:
        """What a checkpoint keeps: numbers, words, lists, dicts by words, arrays."""
        return {name: getattr(self, name) for name in self.remembers}

    def check_recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        """Refuse what `remember` does not give. It is called before `recall`, and before anything is changed.

        Raises:
            ModelFormatError: with the reason.
        """
        if type(self).remember is Callback.remember:
            self.check_attributes(kept)

    def recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        """Go on from what `remember` gave; the moments of an epoch that is under way have come by then."""
        now = self.remember()
        attributes(type(self).__name__, kept, now, self.checks)
        for name, value in kept.items():
            setattr(self, name, as_before(value, now[name]))

    def check_attributes(self, kept: Mapping[str, Any]) -> None:
        """Refuse what cannot be the attributes that `remembers` names."""
        now = {name: getattr(self, name, None) for name in self.remembers}
        attributes(type(self).__name__, kept, now, self.checks)


class Remembering(Callback, ABC):
    """The base of callbacks that remember something of one trainer: another call of its `fit` goes on with it.

    A subclass writes `forget()`, which begins anew, as it is before the first training and with another trainer.

    Example:
        >>> issubclass(minidl.CSVLog, minidl.callbacks.base.Remembering)
        True
    """

    trainer: Trainer | None = None

    @abstractmethod
    def forget(self) -> None:
        """Begin anew."""

    def on_fit_start(self, trainer: Trainer) -> None:
        if trainer is not self.trainer:
            self.forget()
        self.trainer = trainer
