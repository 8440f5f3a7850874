"""The team: how many threads a kernel may use, and how its work is shared out among them.

A kernel that shares its work gives each thread some rows, and lets the BLAS use one thread meanwhile: two pools of
threads in one process wait for each other at the cost of both. What a thread computes does not depend on who else
computes, so the results are the same bits however busy the machine is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from minidl.errors import ArgumentError
from minidl.kernels.backend import backend

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

SHARED = 2**22  # multiplications of a product from which on a second thread pays


@cache
def blas() -> list[tuple[Any, int]]:
    """The BLAS libraries in this process, and how many threads each has on its own; none without threadpoolctl."""
    if find_spec("threadpoolctl") is None:
        return []
    from threadpoolctl import ThreadpoolController

    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return [(library, library.num_threads) for library in libraries]


@cache
def team() -> int:
    """How many threads a kernel may use: MINIDL_THREADS; else as many as the BLAS uses, where kernels are compiled.

    NumPy's many small calls wait for each other's lock, so that more threads pay for large nets only: there it is one,
    unless MINIDL_THREADS says more (with OPENBLAS_NUM_THREADS=1).

    Example:
        >>> minidl.kernels.team() >= 1
        True
    """
    wanted = os.environ.get("MINIDL_THREADS", "")
    if wanted:
        if not wanted.isdecimal() or not int(wanted):
            raise ArgumentError(f"MINIDL_THREADS is expected to be a positive number of threads, got {wanted!r}.")
        return int(wanted)
    if backend() == "numpy" or not blas():
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([cores, *(threads for _, threads in blas())])


def in_words() -> str:
    """Which kernels run, on how many threads: "numba, 2 threads"; in NumPy the BLAS has some of its own."""
    threads = str(team()) if team() > 1 else os.environ.get("OPENBLAS_NUM_THREADS") or str(os.cpu_count())
    return f"{backend()}, {threads} thread{'s' * (threads != '1')}"


@cache
def pool() -> ThreadPoolExecutor:
    """The threads beside the caller's own."""
    from concurrent.futures import ThreadPoolExecutor  # here, for it takes a while to load

    return ThreadPoolExecutor(team() - 1, thread_name_prefix="minidl")


class Team:
    """What the callers in this process share: who has the team, who wants the BLAS at one thread."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self.limit = threading.Lock()
        self.limited = 0  # callers


TEAM = Team()


def after_fork() -> None:
    """A fork takes no threads along, and locks as they are."""
    pool.cache_clear()
    TEAM.__init__()  # type: ignore[misc]  # in place: others hold it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)


def share(work: Callable[[int, int], Any], count: int, least: int = 1) -> None:
    """Call work(first, last) for ranges that make up `count` rows, side by side where each has at least `least`.

    Where the team is at work for another caller already, this one does all of its ranges itself.
    """
    parts = max(1, min(team(), count // least))
    if parts == 1:
        work(0, count)
        return
    ranges = [(count * k // parts, count * (k + 1) // parts) for k in range(parts)]
    if not TEAM.busy.acquire(blocking=False):
        for first, last in ranges:
            work(first, last)
        return
    try:
        context: Any = copy_context  # np.errstate goes along
        others = [pool().submit(context().run, work, *part) for part in ranges[1:]]
        try:
            work(*ranges[0])
        finally:
            errors = [other.exception() for other in others]  # waits: what they write to is still needed
        for error in errors:
            if error is not None:
                raise error
    finally:
        TEAM.busy.release()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """The BLAS computes in the thread that calls it, where kernels have threads of their own; needs threadpoolctl.

    To enter it again inside costs next to nothing, to set the libraries some microseconds: enter it around a step.
    """
    limit(1)
    try:
        yield
    finally:
        limit(-1)


def limit(more: int) -> None:
    """Count a caller more or less, and set the libraries where it is the first or the last one."""
    libraries = blas() if team() > 1 or backend() == "numba" else []
    with TEAM.limit:
        before, TEAM.limited = TEAM.limited, TEAM.limited + more
        if before == 0 or TEAM.limited == 0:
            for library, threads in libraries:
                library.set_num_threads(1 if before == 0 else threads)
