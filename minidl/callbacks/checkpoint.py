"""`Checkpoint`: the whole training on disk, now and then, so that `fit(resume=True)` goes on as if nothing had been."""

from __future__ import annotations

import math
import re
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from minidl import checkpoints, durable
from minidl.arguments import positive_int
from minidl.callbacks.base import Callback
from minidl.callbacks.stopping import Watching
from minidl.errors import ArgumentError, ModelFormatError
from minidl.trainer import Trainer

NAME = re.compile(r"checkpoint-(\d{9,})\.npz")
BEST = "best.npz"


class Checkpoint(Callback):
    """Write the whole training to a folder, now and then, and go on from there with `fit(..., resume=True)`.

    A training that was killed and went on, any number of times, ends with the very bits of one that was not: weights,
    optimizer, history (but for the times in it). That holds on the same machine, with the same packages and threads;
    where those are others, a warning says so. Ctrl-C and SIGTERM end the training with a checkpoint.

    A file is written beside the others, flushed to the disk, and takes its name only then: a crash at any instant
    leaves the older ones whole. Each is a model as well: `minidl.load("run/checkpoint-000000100.npz")`.

    A net whose loss or weights are no numbers is not written: the older checkpoints stay.

    Args:
        folder: where to; it belongs to this training alone, and is made if need be.
        every: a number of updates, or a `timedelta`; the end of a `fit` is always written.
        keep: how many are kept, the newest.
        best: a figure such as "valid_loss": the epoch that was best in it is kept besides, as best.npz.
        higher_is_better: for a `best` such as an accuracy.
        on_error: "stop" ends the training where a checkpoint cannot be written; "continue" warns and goes on.

    Raises:
        ArgumentError: for a folder with the checkpoints of another training, or of this one without resume=True.
        OSError: for a file that cannot be written, with what to do.

    Example:
        >>> import tempfile
        >>> x = np.random.default_rng(0).standard_normal((64, 3))
        >>> def train(folder, epochs):
        ...     checkpoint = minidl.Checkpoint(folder, every=5)
        ...     trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[checkpoint], quiet=True)
        ...     return trainer.fit(x, x.sum(axis=1), epochs=epochs, resume=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first, second = train(folder, 2), train(folder, 4)  # as 4 epochs at once
        >>> len(first), second["loss"][:2] == first["loss"]
        (2, True)
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        every: int | timedelta = timedelta(minutes=1),
        keep: int = 2,
        best: str | None = None,
        higher_is_better: bool = False,
        on_error: Literal["stop", "continue"] = "stop",
    ) -> None:
        self.folder = Path(folder)
        if not isinstance(every, timedelta):
            every = positive_int("Checkpoint", "every, unless it is a timedelta,", every)
        elif every <= timedelta():
            raise ArgumentError(f"Checkpoint expects every to be a time above 0, got {every}.")
        if on_error not in ("stop", "continue"):
            raise ArgumentError(f"Checkpoint expects on_error to be 'stop' or 'continue', got {on_error!r}.")
        self.every, self.keep, self.on_error = every, positive_int("Checkpoint", "keep", keep), on_error
        self.best = None if best is None else Best(best, higher_is_better)
        self.how = f"fit(resume=True) with {self.folder}"  # said after Ctrl-C
        self.whole: list[Path] = []  # checkpoints that were written or read by this one, the oldest first
        self.last: object = None  # where the training stood when the last one was written
        self.trainer: Trainer | None = None

    # -- the moments of a training ----------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer) -> None:
        if trainer is not self.trainer:
            self.begin(trainer)
        durable.sweep(self.folder)
        checkpoints.contents(trainer)  # what cannot be written is found before the training
        self.written = time.monotonic()

    def on_step_end(self, trainer: Trainer) -> None:
        if isinstance(self.every, int):
            due = trainer.step % self.every == 0
        else:
            due = time.monotonic() - self.written >= self.every.total_seconds()
        if due:
            self.keep_up(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.best is not None and self.best.improves(trainer):
            self.write(trainer, self.folder / BEST)

    def remember(self) -> dict[str, Any]:
        return {} if self.best is None else self.best.remember()

    def recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        if self.best is not None:
            self.best.recall(trainer, kept)

    def suspend(self, trainer: Trainer) -> None:
        """Write the training where it is broken off, and say how it goes on."""
        if self.last != standing(trainer, False):
            self.keep_up(trainer)
        if self.whole:
            trainer.interrupted = f"{trainer.interrupted}; to go on from step {step_of(self.whole[-1]):,}: {self.how}"

    def finish(self, trainer: Trainer) -> None:
        """Write the end of a call of fit."""
        if trainer.step and self.last != standing(trainer, True):
            self.keep_up(trainer, over=True)

    # -- going on ---------------------------------------------------------------------------------

    def resume(self, trainer: Trainer) -> Callable[[], None] | None:
        """Put the newest checkpoint that is whole into the trainer; returns what gives the callbacks their part.

        None where there is no checkpoint yet.
        """
        saved = self.newest()
        if saved is None:
            return None
        call = saved.state["call"]
        if call > trainer.calls:
            trainer.over = True
        elif call < trainer.calls and saved.state["call is over"]:
            return None
        elif call < trainer.calls:  # of the same trainer, broken off
            trainer.calls = call
        others = checkpoints.check(trainer, saved)
        if others:
            warnings.warn(
                f"{saved.path} comes from other surroundings, so the last bits may be others: {'; '.join(others)}.",
                stacklevel=4,
            )
        checkpoints.restore(trainer, saved)
        self.trainer, self.whole = trainer, [saved.path]
        self.last = standing(trainer, saved.state["call is over"])
        for name, callback in checkpoints.remembering(trainer):
            if name in saved.state["callbacks"]:
                callback.trainer = trainer  # it goes on, and does not begin anew
        trainer.resumed = f"{saved.path}, step {trainer.step:,}"
        return partial(checkpoints.recall, trainer, saved)

    def newest(self) -> checkpoints.Saved | None:
        """The newest checkpoint that is whole; of one that is not, a warning says what is wrong with it."""
        for path in reversed(self.files()):
            try:
                return checkpoints.read(path)
            except ModelFormatError as error:
                warnings.warn(f"{error} The checkpoint before it is taken.", stacklevel=5)
        return None

    # -- files ------------------------------------------------------------------------------------

    def begin(self, trainer: Trainer) -> None:
        """Make the folder ready for a training that begins."""
        files = self.files()
        if files:
            raise ArgumentError(
                f"{self.folder} holds the checkpoints of a training, {files[-1].name}: fit(resume=True) goes on with "
                f"it; name another folder for a new one."
            )
        try:
            durable.try_out(self.folder)
        except OSError as error:
            self.fails(error)
        self.trainer, self.whole, self.last = trainer, [], None
        if self.best is not None:
            self.best.forget()

    def keep_up(self, trainer: Trainer, over: bool = False) -> None:
        """Write a checkpoint of this step, and delete those that it supersedes."""
        path = self.folder / f"checkpoint-{trainer.step:09d}.npz"
        self.written = time.monotonic()
        if not self.write(trainer, path, over):
            return
        self.last = standing(trainer, over)
        self.whole = [*(other for other in self.whole if other != path), path][-self.keep :]
        for old in self.files():
            if old not in self.whole and step_of(old) <= trainer.step:
                with suppress(OSError):  # it does no harm
                    old.unlink()

    def write(self, trainer: Trainer, path: Path, over: bool = False) -> bool:
        """Write a file; a net that holds a NaN is not written. Says whether that went well."""
        if not math.isfinite(trainer.value) or any(not np.isfinite(p.value).all() for p in trainer.params.values()):
            return False
        try:
            checkpoints.write(trainer, path, over)
        except OSError as error:
            self.fails(error)
            return False
        return True

    def fails(self, error: OSError) -> None:
        """What the user chose for this case."""
        older = f" The one before it, {self.whole[-1].name}, is whole." if self.whole else ""
        words = f"no checkpoint could be written, {error.strerror}.{older}"
        if self.on_error == "stop":
            raise OSError(error.errno, words, error.filename) from error
        warnings.warn(f"{error.filename}: {words} The training goes on without.", stacklevel=2)

    def files(self) -> list[Path]:
        """The checkpoints in the folder, the oldest first."""
        found = []
        with suppress(FileNotFoundError, NotADirectoryError):
            found = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    """The step of a checkpoint, by its name."""
    return int(path.stem.removeprefix("checkpoint-"))


def standing(trainer: Trainer, over: bool) -> object:
    """Where a training stands, and whether its call of fit is over."""
    return trainer.step, trainer.epoch, trainer.epoch_open, over


class Best(Watching):
    """The figure by which an epoch is the best one so far."""

    def __init__(self, figure: str, higher_is_better: bool) -> None:
        super().__init__(figure, 0.0, higher_is_better)
