"""Ctrl-C and SIGTERM end a training after the update that is under way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = "interrupted by Ctrl-C"
TERMINATED = "ended by SIGTERM"


@contextmanager
def interrupt_stops(trainer: Any, keeps: bool) -> Iterator[None]:
    """Ctrl-C ends the training after the update under way; pressed again, it interrupts at once.

    With a checkpoint to write (`keeps`), SIGTERM does so too. A handler of SIGINT whose attribute `stops` is this
    trainer sees to both itself, and gets to know when the training runs.
    """
    before: Any = signal.getsignal(signal.SIGINT)
    if getattr(before, "stops", None) is trainer:
        before.training = True
        try:
            yield
        finally:
            before.training = False
        return
    trainer.interrupted = None
    reasons = {signal.SIGINT: INTERRUPTED} | ({signal.SIGTERM: TERMINATED} if keeps else {})
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # in another one no signal arrives
        handlers = {number: signal.getsignal(number) for number in reasons}

    def stop(number: int, _: Any) -> None:
        signal.signal(number, handlers[number])
        if not (trainer.interrupted or "").startswith(TERMINATED):  # Ctrl-C does not take back what ends the program
            trainer.interrupted = reasons[signal.Signals(number)]

    heeded = [number for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)]  # as nohup does
    for number in heeded:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, handlers[number])
