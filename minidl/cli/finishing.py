"""Ctrl-C around a training and what comes behind it: what was learned is saved and shown, however often it is pressed.

The first press ends the training after the update under way, the second skips its validation, no other does anything.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import TracebackType
from typing import Any

from minidl.trainer import INTERRUPTED, Trainer

WORDS = "finishing: the model will be saved (Ctrl-C again skips the validation)"


class Finish:
    """The handler of SIGINT while its context lasts.

    Args:
        stops: the trainer; `Trainer.fit` leaves the handler in place, and sets `training` while its loop runs.
        aloud: whether the first press is answered on standard error.
    """

    def __init__(self, stops: Trainer, aloud: bool) -> None:
        self.stops, self.aloud = stops, aloud
        self.presses, self.training = 0, False
        self.teller: threading.Thread | None = None

    def __enter__(self) -> Finish:
        self.before = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        self.active = main and self.before not in (None, signal.SIG_IGN)  # else no signal arrives, or nohup ignores it
        if self.active:
            signal.signal(signal.SIGINT, self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.teller is not None:
            self.teller.join()
        if self.active:
            signal.signal(signal.SIGINT, self.before)

    def __call__(self, *_: Any) -> None:
        self.presses += 1
        self.stops.interrupted = INTERRUPTED
        if self.training and self.presses == 1 and self.aloud:
            # in a thread, for this one may be in the middle of a line; through sys.stderr, where the live bar listens
            teller = threading.Thread(target=print, args=(WORDS,), kwargs={"file": sys.stderr, "flush": True})
            teller.start()
            self.teller = teller  # not before, for the second press may come in between
        if self.training and self.presses == 2:
            raise KeyboardInterrupt
