"""`Checkpoint`: the whole training on disk, now and then, so that `fit(resume=True)` goes on as if nothing had been."""

from __future__ import annotations

import math
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from minidl import checkpoints, durable
from minidl.arguments import positive_int
from minidl.callbacks.base import Callback
from minidl.callbacks.stopping import Watching
from minidl.errors import ArgumentError, ModelFormatError
from minidl.folder_lock import FolderLock
from minidl.gradients import are_finite
from minidl.resumption import Resumption
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

    A net whose weights are no numbers is not written, nor the end of a training that was stopped at a loss that is
    none: the older checkpoints stay. What a layer of your own keeps outside of its parameters is in no file: make it
    one, with trainable=False. The gradients are in no file either: a callback that reads them at the end of an epoch
    finds zeros where a training goes on from there. Callbacks find what they remembered by their class and their order
    among those of the class: put a new one behind the others. What is frozen, and a learning rate that is a number,
    come back as they were in the checkpoint.

    Args:
        folder: where to; it belongs to this training alone, and is made if need be. It is locked while `fit` runs.
        every: a number of updates, or a `timedelta`; the end of a `fit` is always written.
        keep: how many are kept, the newest.
        best: a figure such as "valid_loss": the epoch that was best in it is kept besides, as best.npz.
        higher_is_better: only for a `best` that has no direction of its own; None reads it from the metric.
        on_error: "stop" ends the training where a checkpoint cannot be written; "continue" warns and goes on.

    Raises:
        ArgumentError: for a folder with the checkpoints of another training, or of this one without resume=True; for
            a folder that another run is using, in this process or in another one.
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
        higher_is_better: bool | None = None,
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
        self.lock = FolderLock(self.folder)
        self.recreated: Callable[[], None] | None = None  # writes again what else belongs into the folder
        self.whole: list[Path] = []  # checkpoints that were written or read by this one, the oldest first
        self.last: object = None  # where the training stood when the last one was written
        self.trainer: Trainer | None = None
        self.rate: object = None  # the learning rate that its last call of fit left
        self.resumption: Resumption | None = None  # until the first update

    # -- the moments of a training ----------------------------------------------------------------

    @contextmanager
    def hold(self, trainer: Trainer, resume: bool) -> Iterator[None]:
        """Keep other runs out of the folder during a call of fit; refuse one that would begin in an older run."""
        with self.lock:
            if not resume and trainer is not self.trainer:
                self.refuse_older()
            yield

    def on_fit_start(self, trainer: Trainer) -> None:
        if self.best is not None:
            self.best.choose(trainer)
        if trainer is not self.trainer:
            self.begin(trainer)
        durable.sweep(self.folder)
        checkpoints.contents(trainer)  # what cannot be written is found before the training
        if trainer.step and not trainer.resumed:  # another call of fit: what was done since the last is in no file
            self.keep_up(trainer)
        self.written = time.monotonic()

    def on_grads_ready(self, trainer: Trainer) -> None:
        self.release()

    def on_step_end(self, trainer: Trainer) -> None:
        if isinstance(self.every, int):
            due = trainer.step % self.every == 0
        else:
            due = time.monotonic() - self.written >= self.every.total_seconds()
        if due:
            self.keep_up(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.best is None:
            return
        before = self.best.remember()
        if self.best.improves(trainer) and not self.write(trainer, self.folder / BEST):
            self.best.recall(trainer, before)  # the next that is better than the file is written

    def on_fit_end(self, trainer: Trainer) -> None:
        self.rate = trainer.optimizer.lr

    def remember(self) -> dict[str, Any]:
        return {} if self.best is None else self.best.remember()

    def check_recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        if self.best is not None:
            self.best.check_recall(trainer, kept)

    def recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        if self.best is not None:
            self.best.recall(trainer, kept)

    def suspend(self, trainer: Trainer) -> None:
        """Write the training where it is broken off, and say how it goes on."""
        self.write_end(trainer, over=False)
        if self.whole:
            trainer.interrupted = f"{trainer.interrupted}; to go on from step {step_of(self.whole[-1]):,}: {self.how}"

    def finish(self, trainer: Trainer) -> None:
        """Write the end of a call of fit."""
        self.write_end(trainer, over=True)

    def write_end(self, trainer: Trainer, over: bool) -> None:
        """Write where a call of fit ends, unless that is in a file; say so where the weights forbid it."""
        self.release()
        sick = trainer.stop_reason and not math.isfinite(trainer.value)  # as NanGuard ends it: nothing to go on from
        if not self.lock.is_current():
            self.last = None  # what was written is gone
        if sick or not trainer.step or self.last == standing(trainer, over):
            return
        self.keep_up(trainer, over)
        if not trainer.stop_reason and not are_finite(trainer.params):
            words = f"{self.folder}: the end, step {trainer.step}, is not written, for its weights are no numbers."
            warnings.warn(words, stacklevel=2)

    # -- going on ---------------------------------------------------------------------------------

    def resume(self, trainer: Trainer) -> Resumption | None:
        """Put the newest checkpoint that is whole into the trainer; calling the result gives the callbacks their part.

        None where there is no checkpoint yet, or none of this call: it begins.
        """
        saved, this = self.newest(), trainer.calls + 1
        if saved is None and self.files():
            raise ArgumentError(
                f"None of the checkpoints in {self.folder} can be read: remove them, or name another folder."
            )
        if saved is None or saved.state["call"] < this:
            if trainer.under_way:
                raise ArgumentError(
                    f"fit(resume=True) expects a checkpoint of what was broken off, but {self.folder} has none of it: "
                    f"make the net and the Trainer anew."
                )
            return None
        trainer.over = saved.state["call"] > this
        if trainer.over:
            later = f"{saved.path} is of call {saved.state['call']}"
            warnings.warn(f"Call {this} of fit is done already, for {later}: it does nothing.", stacklevel=6)
        others = checkpoints.check(trainer, saved, self.rate if trainer is self.trainer else None)
        if others:
            warnings.warn(
                f"{saved.path} comes from other surroundings, so the last bits may be others: {'; '.join(others)}.",
                stacklevel=6,
            )
        before: dict[str, Any] = {"trainer": self.trainer, "whole": self.whole, "last": self.last}
        self.resumption = Resumption(trainer, saved)
        self.resumption.before.append((self, before))
        if self.best is not None:
            self.resumption.before.append((self.best, dict(vars(self.best))))
        self.trainer = trainer
        self.whole = [path for path in self.files() if step_of(path) <= step_of(saved.path)]
        self.last = standing(trainer, saved.state["call is over"])
        for name, callback in checkpoints.remembering(trainer):
            if name in saved.state["callbacks"]:
                callback.trainer = trainer  # it goes on, and does not begin anew
        trainer.resumed = f"{saved.path}, step {trainer.step:,}"
        return self.resumption

    def release(self) -> None:
        """Give up the way back to before the checkpoint: an update was made, or the call of fit ends."""
        if self.resumption is not None:
            self.resumption.release()
            self.resumption = None

    def newest(self) -> checkpoints.Saved | None:
        """The newest checkpoint that is whole; of one that is not, a warning says what is wrong with it."""
        wrong: list[Exception] = []
        saved = None
        for path in reversed(self.files()):
            try:
                saved = checkpoints.read(path)
                break
            except (ModelFormatError, OSError) as error:
                wrong.append(error)
        for reason in wrong:
            warnings.warn(f"{reason}{' The checkpoint before it is taken.' if saved else ''}", stacklevel=7)
        return saved

    # -- files ------------------------------------------------------------------------------------

    def refuse_older(self) -> None:
        """Refuse to begin in a folder with checkpoints."""
        files = self.files()
        if files:
            raise ArgumentError(
                f"{self.folder} holds the checkpoints of a training, {files[-1].name}: fit(resume=True) goes on with "
                f"it; name another folder for a new one."
            )

    def begin(self, trainer: Trainer) -> None:
        """Make the folder ready for a training that begins."""
        self.refuse_older()
        try:
            durable.try_out(self.folder)
        except OSError as error:
            self.fails(error, self.folder)
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
        if not are_finite(trainer.params):
            return False
        try:
            self.reclaim()
            if path.is_symlink():  # a link in a folder from elsewhere would let the training write anywhere
                path.unlink()
            checkpoints.write(trainer, path, over)
        except (OSError, ArgumentError) as error:
            self.fails(error, path)
            return False
        return True

    def reclaim(self) -> None:
        """Create the folder again if it vanished, and lock it."""
        if self.lock.is_current():
            return
        held = self.lock.handle is not None
        with suppress(OSError):  # writing the checkpoint raises it again
            self.lock.acquire()
        if held and self.lock.is_current():
            self.whole, self.last = [], None
            if self.recreated is not None:
                self.recreated()
            warnings.warn(f"{self.folder} vanished while the training ran, and was created again.", stacklevel=2)

    def fails(self, error: OSError | ArgumentError, path: Path) -> None:
        """What the user chose for this case."""
        older = f" The one before it, {self.whole[-1].name}, is whole." if self.whole else ""
        why = f", {error.strerror}." if isinstance(error, OSError) else f". {error}"
        words = f"no checkpoint could be written{why}{older}"
        if self.on_error == "continue":
            warnings.warn(f"{path}: {words} The training goes on without.", stacklevel=2)
        elif isinstance(error, OSError):
            raise OSError(error.errno, words, str(path)) from error
        else:
            raise ArgumentError(f"{path}: {words}") from error

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

    def __init__(self, figure: str, higher_is_better: bool | None) -> None:
        super().__init__(figure, 0.0, higher_is_better)
