"""Ctrl-C, SIGTERM and SIGHUP end a training after the update that is under way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

INTERRUPTED = "interrupted by Ctrl-C"
TERMINATED = "ended by SIGTERM"
HUNG_UP = "ended by SIGHUP, the terminal was closed"
ENDS: dict[int, str] = {signal.SIGTERM: TERMINATED}  # signals that end the program, by what is said of them
if hasattr(signal, "SIGHUP"):  # Windows has none
    ENDS[signal.SIGHUP] = HUNG_UP
REASONS: dict[int, str] = {signal.SIGINT: INTERRUPTED, **ENDS}


def ending_signal(reason: str | None) -> int | None:
    """Return the signal that was to end the program, by the reason why a training run ended; None for another one."""
    return next((number for number, words in ENDS.items() if (reason or "").startswith(words)), None)


def end_program(reason: str | None) -> None:
    """Send the signal that was to end the program again, unless a handler of the whole program sees to that."""
    number = ending_signal(reason)
    if number is not None and not hasattr(signal.getsignal(number), "stops"):
        signal.raise_signal(number)


def is_hangup(number: int) -> bool:
    """Whether the signal is SIGHUP. Shells send it once more, so that a second one is no wish to end at once."""
    return ENDS.get(number) == HUNG_UP


def silence_closed_terminals(terminals: Sequence[int]) -> None:
    """Send output to nowhere instead of to terminals that were closed: an error there would end the training.

    Args:
        terminals: descriptors that were terminals before, as `open_terminals` returned them.
    """
    for number in terminals:
        if not os.isatty(number):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


def open_terminals() -> list[int]:
    """Return which of standard output and standard error are terminals."""
    return [number for number in (1, 2) if os.isatty(number)]


@contextmanager
def interrupt_stops(trainer: Any, keeps: bool) -> Iterator[None]:
    """Ctrl-C ends the training after the update under way; pressed again, it interrupts at once.

    With a checkpoint to write (`keeps`), SIGTERM and SIGHUP do so too. A handler of SIGINT whose attribute `stops` is
    this trainer sees to all of them itself, and gets to know when the training runs. A signal that is ignored, as
    SIGHUP is under nohup, stays so.
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
    reasons: dict[int, str] = REASONS if keeps else {signal.SIGINT: INTERRUPTED}
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # in another one no signal arrives
        handlers = {number: signal.getsignal(number) for number in reasons}

    terminals = open_terminals()

    def stop(number: int, _: Any) -> None:
        if is_hangup(number):
            silence_closed_terminals(terminals)
        else:
            signal.signal(number, handlers[number])
        if ending_signal(trainer.interrupted) is None:  # Ctrl-C does not take back what ends the program
            trainer.interrupted = reasons[number]

    heeded = [number for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)]  # as nohup does
    for number in heeded:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, handlers[number])
