"""The team: how many threads a kernel may use, and how its work is shared out among them.

A kernel that shares its work gives each thread some rows, and lets the BLAS use one thread meanwhile: two pools of
threads in one process wait for each other at the cost of both. Work is split by its size alone, so that what is shared
gives the same bits however busy the machine is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from minidl.errors import ArgumentError
from minidl.kernels.backend import backend

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

PRODUCT = 2**22  # multiplications that are worth a thread


class Team:
    """What the callers in this process share: who has the team, who wants the BLAS at one thread."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self.limit = threading.RLock()
        self.limited = 0  # callers
        self.before: list[int] = []  # threads of the libraries, when the first of them came


TEAM = Team()


def blas() -> list[tuple[Any, int]]:
    """The BLAS libraries in this process, and how many threads each has on its own; none without threadpoolctl."""
    with TEAM.limit:  # not while somebody has them at one
        return libraries()


@cache
def libraries() -> list[tuple[Any, int]]:
    """As `blas`, looked up once."""
    if find_spec("threadpoolctl") is None:
        return []
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return [(library, library.num_threads) for library in found]


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
    """Which kernels run, on how many threads: "numba, 2 threads"; in NumPy they are those of the BLAS."""
    threads = team()
    if backend() == "numpy" and threads == 1:
        known = [count for _, count in blas()]
        threads = min(known) if known else int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1)
    return f"{backend()}, {threads} thread{'s' * (threads != 1)}"


@cache
def pool() -> ThreadPoolExecutor:
    """The threads beside the caller's own."""
    from concurrent.futures import ThreadPoolExecutor  # here, for it takes a while to load

    return ThreadPoolExecutor(team() - 1, thread_name_prefix="minidl")


def after_fork() -> None:
    """A fork takes no threads along, and locks as they are."""
    pool.cache_clear()
    global TEAM
    limited, TEAM = TEAM.before if TEAM.limited else [], Team()
    if LIMIT.depth:  # the thread that forks is inside: it comes out in both processes
        TEAM.limited, TEAM.before = 1, limited
        return
    for (library, _), threads in zip(blas(), limited, strict=False):
        library.set_num_threads(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)


def share(work: Callable[[int, int], Any], count: int, worth: int) -> None:
    """Call work(first, last) for ranges that make up `count` rows, on as many threads as the work is worth.

    Where the team is at work for another caller already, or the program is about to end, this one does all ranges.
    """
    parts = max(1, min(team(), count, worth))
    if parts == 1:
        work(0, count)
        return
    ranges = [(count * k // parts, count * (k + 1) // parts) for k in range(parts)]
    alone = not TEAM.busy.acquire(blocking=False)
    others: list[Any] = []
    try:
        for part in [] if alone else ranges[1:]:
            task = partial(copy_context().run, work, *part)  # np.errstate goes along
            try:
                others.append(pool().submit(task))
            except RuntimeError:  # Python takes no new tasks any more: its main thread has ended
                break
        for part in [ranges[0], *ranges[1 + len(others) :]]:
            work(*part)
    finally:
        errors = [waited(other) for other in others]  # what they write to is still needed
        if not alone:
            TEAM.busy.release()
    for error in errors:
        if error is not None:
            raise error


def waited(other: Any) -> BaseException | None:
    """The error of another thread's part, when it is done; Ctrl-C has to wait for that."""
    interrupted = None
    while not other.done():
        try:
            other.exception()
        except KeyboardInterrupt as error:
            interrupted = error
    return interrupted or other.exception()


class Limit(threading.local):
    """Counts how often a thread is inside: only the first time says something to the libraries."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1
        if self.depth == 1:
            limit(1)

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        if self.depth == 0:
            limit(-1)


LIMIT = Limit()


def one_blas_thread() -> Limit:
    """The BLAS computes in the thread that calls it, where kernels have threads of their own; needs threadpoolctl.

    To enter it again inside costs next to nothing, to set the libraries some microseconds: enter it around a step.

    Example:
        >>> with minidl.kernels.one_blas_thread():
        ...     y = np.ones((2, 3)) @ np.ones((3, 4))
    """
    return LIMIT


def limit(more: int) -> None:
    """Count a caller more or less, and set the libraries where it is the first or the last one."""
    found = blas() if team() > 1 or backend() == "numba" else []
    with TEAM.limit:
        before, TEAM.limited = TEAM.limited, TEAM.limited + more
        if before == 0:
            TEAM.before = [library.num_threads for library, _ in found]
        if before == 0 or TEAM.limited == 0:
            for (library, _), threads in zip(found, TEAM.before, strict=False):
                library.set_num_threads(1 if before == 0 else threads)
