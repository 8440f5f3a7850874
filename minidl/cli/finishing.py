"""Ctrl-C, SIGTERM and SIGHUP around a training and what follows it: the model is saved, however often they come.

The first ends the training after the update under way, with a checkpoint; the second at once, no other does anything.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from minidl.callbacks.checkpoint import Checkpoint, step_of
from minidl.interrupts import (
    HUNG_UP,
    INTERRUPTED,
    REASONS,
    TERMINATED,
    is_hangup,
    open_terminals,
    silence_closed_terminals,
)
from minidl.layer import Layer
from minidl.trainer import Trainer

WORDS = "finishing: a checkpoint and the model will be saved (Ctrl-C again ends at once)"
TWICE = 0.3  # seconds within which a second signal is the first one, handed on by another program
CODES = {INTERRUPTED: 130, TERMINATED: 143, HUNG_UP: 129}  # as shells have them: 128 and the number of the signal


def exit_code(reason: str | None) -> int:
    """Return the exit code of the command, by the reason why the training run ended; None where it was complete."""
    if reason is None:
        return 0
    return next((code for words, code in CODES.items() if words in reason), 1)


@contextlib.contextmanager
def rescue(net: Layer, path: str, checkpoint: Checkpoint) -> Iterator[None]:
    """Where the model cannot be saved, on a full disk for example, say how to resume, or save it somewhere else."""
    try:
        yield
    except OSError as error:
        files = checkpoint.files()
        if files:
            what = f"The checkpoints are kept: {checkpoint.how} resumes from step {step_of(files[-1]):,} and saves it"
        else:
            place = save_elsewhere(net, Path(path).name)
            if place is None:
                raise
            what = f"There is no checkpoint either, so it is saved as {place}"
        raise OSError(error.errno, f"{error.strerror or error}. {what}", error.filename) from error


def save_elsewhere(net: Layer, name: str) -> Path | None:
    """Save a net in a new folder for temporary files; returns its path, or None where that fails as well."""
    try:
        path = Path(tempfile.mkdtemp(prefix="minidl-")) / name
        net.save(path)
    except OSError:
        return None
    return path


class Finish:
    """The handler of SIGINT, SIGTERM and SIGHUP while its context lasts.

    Args:
        stops: the trainer; `Trainer.fit` leaves the handler in place, and sets `training` while its loop runs.
        aloud: whether the first press is answered on standard error.
    """

    def __init__(self, stops: Trainer, aloud: bool) -> None:
        self.stops, self.aloud = stops, aloud
        self.presses, self.first, self.training = 0, 0.0, False
        self.teller: threading.Thread | None = None
        self.before: dict[int, Any] = {}
        self.terminals = open_terminals()

    def __enter__(self) -> Finish:
        if threading.current_thread() is threading.main_thread():  # in another one no signal arrives
            self.before = {number: signal.getsignal(number) for number in REASONS}
        for number, handler in self.before.items():
            if handler not in (None, signal.SIG_IGN):  # nohup ignores some
                signal.signal(number, self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.teller is not None:
            self.teller.join()
        for number, handler in self.before.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, handler)

    def __call__(self, number: int, _: Any) -> None:
        if is_hangup(number):
            silence_closed_terminals(self.terminals)
            if self.presses:
                return
        now = time.monotonic()
        if self.presses == 1 and now - self.first < TWICE:
            return
        self.presses, self.first = self.presses + 1, self.first if self.presses else now
        self.stops.interrupted = self.stops.interrupted or REASONS[number]
        if self.training and self.presses == 1 and self.aloud:
            # in a thread, for this one may be in the middle of a line; through sys.stderr, where the live bar listens
            teller = threading.Thread(target=print, args=(WORDS,), kwargs={"file": sys.stderr, "flush": True})
            teller.start()
            self.teller = teller  # not before, for the second press may come in between
        if self.training and self.presses == 2:
            raise KeyboardInterrupt
