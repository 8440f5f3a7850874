"""`Rollback`: a training that heals: back to good parameters, with a lower rate, and on without the batch."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidl.arguments import positive_int, real
from minidl.checkpoints import leaves
from minidl.data import natural
from minidl.doctor.blackbox import boxed_or_error, leave
from minidl.doctor.snapshot import Snapshot
from minidl.doctor.watch import Trouble, Watch
from minidl.file_values import count, list_of, text
from minidl.trainer import Trainer


class Rollback(Watch):
    """At a number that is not finite, or a loss that jumps, go back to good parameters, lower the rate, and go on.

    Every `every` steps it keeps the parameters and the optimizer's memory; they are good as soon as all losses of as
    many steps behind them were. It goes back to the last good ones, so by `every` to twice as many steps, multiplies
    `optimizer.lr_scale` by `factor`, carries the state of then, if any is carried, and leaves out the batch that is
    under way. The data go on where they are: what was learned since is lost, and not made up for. A black box is left
    each time. After `times` rollbacks the next trouble ends the training, with the good parameters.

    Each is told by the console, and noted in `history.notes`; the row has the figure `rollbacks`, how many there were
    in all. Put it first in the list, before clipping and NanGuard, which would stop at such numbers: those behind it
    are not asked about an update that is left out. With a `BlackBox` in the list, put this one before it.

    Args:
        times: how often it goes back.
        factor: what the learning rate is multiplied by, in (0, 1).
        every: how many steps lie between two sets of parameters that are kept.
        spike: as in `Watch`: what counts as a jump, None for none.
        folder: of the black boxes; None for none.

    Notes:
        Memory: four copies of the parameters and of the optimizer's memory, and the last batches. A checkpoint holds
        two of them, so that a training that is resumed has the bits of one that was not interrupted.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((256, 3))
        >>> t = x.sum(axis=1)
        >>> t[200] = np.nan  # in the target of one row
        >>> trainer = minidl.Trainer(
        ...     minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[minidl.doctor.Rollback(folder=None)], quiet=True
        ... )
        >>> history = trainer.fit(x, t, batch_size=8)
        >>> history["rollbacks"], trainer.step, trainer.optimizer.lr_scale, bool(np.isfinite(history["loss"][0]))
        ([1], 31, 0.5, True)
    """

    def __init__(
        self,
        times: int = 3,
        factor: float = 0.5,
        every: int = 20,
        spike: float | None = 10.0,
        folder: str | PathLike[str] | None = "black-box",
    ) -> None:
        self.rollbacks = 0
        self.notes: list[str] = []
        self.good, self.candidate = Snapshot(), Snapshot()
        super().__init__(spike)
        self.times = natural("Rollback", "times", times)
        self.factor = real("Rollback", "factor", factor, 1e-12, 1.0)
        self.every = positive_int("Rollback", "every", every)
        self.folder = None if folder is None else Path(folder)

    def forget(self) -> None:
        super().forget()
        self.rollbacks, self.notes = 0, []
        self.good.step = self.candidate.step = None

    # -- the moments of a training ----------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer) -> None:
        super().on_fit_start(trainer)
        self.begin(trainer)

    def on_step_end(self, trainer: Trainer) -> None:
        super().on_step_end(trainer)
        assert self.candidate.step is not None  # it was taken when the training began
        if trainer.step - self.candidate.step >= self.every:
            self.good, self.candidate = self.candidate, self.good
            self.candidate.take(trainer, trainer.state)

    def on_epoch_end(self, trainer: Trainer) -> None:
        trainer.row["rollbacks"] = self.rollbacks

    def remember(self) -> dict[str, Any]:
        own = {"rollbacks": self.rollbacks, "notes": self.notes}
        return super().remember() | own | {"good": self.good.remember(), "candidate": self.candidate.remember()}

    def check_recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        super().check_recall(trainer, kept)
        count("Rollback 'rollbacks'", kept["rollbacks"])
        list_of(text)("Rollback 'notes'", kept["notes"])
        for name in "good", "candidate":
            self.good.check_recall(trainer, kept[name])

    def recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        super().recall(trainer, kept)
        self.rollbacks, self.notes = kept["rollbacks"], list(kept["notes"])
        self.good, self.candidate = Snapshot(), Snapshot()
        self.good.recall(trainer, kept["good"])
        self.candidate.recall(trainer, kept["candidate"])
        trainer.history.notes += [note for note in self.notes if note not in trainer.history.notes]

    # -- going back -------------------------------------------------------------------------------

    def begin(self, trainer: Trainer) -> None:
        """Take what is there as good."""
        for snapshot in self.good, self.candidate:
            snapshot.take(trainer, trainer.state)

    def act(self, trainer: Trainer, trouble: Trouble) -> None:
        box = None if self.folder is None else boxed_or_error(self, trainer, trouble)
        then = self.go_back(trainer)
        words = f"step {trouble.step:,}: {trouble.words}"
        told = ""
        if box is not None and self.folder is not None:
            finding, place = leave(box, self.folder, trouble)
            words += "" if finding is None else f" ({finding.code}, {finding.where})"
            told = f"; {place}"
        if trouble.what != "update":
            trainer.skip()
        back = f"the parameters are those of step {then:,}"
        if self.rollbacks >= self.times:
            trainer.stop(f"{words}, after {self.rollbacks} rollbacks; {back}{told}")
            return
        self.rollbacks += 1
        trainer.optimizer.lr_scale *= self.factor
        rate = f"the rate is {trainer.optimizer.rate:.3g}"
        note = f"{words}; {back}, {rate}: rollback {self.rollbacks} of {self.times}{told}"
        self.notes.append(note)
        trainer.history.notes.append(note)

    def go_back(self, trainer: Trainer) -> int:
        """Put the good parameters back; returns the step that they are of."""
        scale, carried, then = trainer.optimizer.lr_scale, trainer.state, self.good.step or 0
        self.good.restore(trainer)
        trainer.optimizer.lr_scale = scale  # it may have been lowered since
        if rows(trainer.state) != rows(carried):
            trainer.state = None
        self.candidate.take(trainer, trainer.state)  # from here on it has to prove itself anew
        self.step = None
        return then


def rows(state: Any) -> int | None:
    """How many rows a state has."""
    return next((len(a) for a in leaves(state) if np.ndim(a)), None)
