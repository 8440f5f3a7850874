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
CELLS = 2**12  # of a step in NumPy that are worth a thread


class Team:
    """What the callers in this process share: who has the team, who wants the BLAS at one thread."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self.limit = threading.RLock()
        self.inside: set[int] = set()  # the threads that want it
        self.before: list[int] = []  # threads of the libraries, when the first of them came


TEAM = Team()


def blas() -> list[tuple[Any, int]]:
    """The BLAS libraries in this process, and how many threads each has on its own; none without threadpoolctl."""
    with TEAM.limit:  # not while somebody is about to set them
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
        threads = blas_threads()
    return f"{backend()}, {threads} thread{'s' * (threads != 1)}"


def blas_threads() -> int:
    """How many threads the BLAS has on its own; without threadpoolctl, what it takes by default."""
    known = [count for _, count in blas()]
    return min(known) if known else int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1)


@cache
def pool() -> ThreadPoolExecutor:
    """The threads beside the caller's own."""
    from concurrent.futures import ThreadPoolExecutor  # here, for it takes a while to load

    return ThreadPoolExecutor(team() - 1, thread_name_prefix="minidl")


def after_fork() -> None:
    """A fork takes no threads along, and locks as they are."""
    pool.cache_clear()
    global TEAM
    before, TEAM = TEAM.before if TEAM.inside else [], Team()
    if LIMIT.depth:  # the thread that forks is inside: it comes out in both processes
        TEAM.inside, TEAM.before = {threading.get_ident()}, before
    elif before:
        set_threads(before)


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
    others: list[Part] = []
    try:
        for first, last in [] if alone else ranges[1:]:
            part = Part(partial(work, first, last))
            try:
                pool().submit(part)
            except RuntimeError:  # Python takes no new tasks any more: its main thread has ended
                break
            others.append(part)
        for first, last in [ranges[0], *ranges[1 + len(others) :]]:
            work(first, last)
    finally:
        for part in others:  # what they write to is still needed
            part.wait()
        if not alone:
            TEAM.busy.release()
    for part in others:
        if part.error is not None:
            raise part.error


class Part:
    """What another thread of the team does, and how it ended."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work, self.context = work, copy_context()  # np.errstate goes along
        self.error: BaseException | None = None
        self.done = False
        self.running = threading.Lock()  # of a Future, Ctrl-C may leave the locks in disorder
        self.running.acquire()

    def __call__(self) -> None:
        try:
            self.context.run(self.work)
        except BaseException as error:
            self.error = error
        finally:
            self.done = True
            self.running.release()

    def wait(self) -> None:
        """Until it is done; Ctrl-C has to wait for that, and is an error of this part then."""
        while not self.done:
            try:
                self.running.acquire()
            except KeyboardInterrupt as interrupt:
                self.error = interrupt


class Limit(threading.local):
    """Counts how often a thread is inside: only the first time says something to the libraries."""

    depth = 0

    def __enter__(self) -> None:
        if self.depth == 0:
            enter()
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        if self.depth == 0:
            leave()


LIMIT = Limit()


def one_blas_thread() -> Limit:
    """The BLAS computes in the thread that calls it, where kernels have threads of their own; needs threadpoolctl.

    To enter it again inside costs next to nothing, to set the libraries some microseconds: enter it around a step.

    Example:
        >>> with minidl.kernels.one_blas_thread():
        ...     y = np.ones((2, 3)) @ np.ones((3, 4))
    """
    return LIMIT


def enter() -> None:
    """Set the libraries to one thread. Where Ctrl-C broke off an earlier call of this thread, that is mended here."""
    if team() == 1 and backend() == "numpy":
        return
    me, found = threading.get_ident(), blas()
    with TEAM.limit:
        if not TEAM.inside:
            threads = [library.num_threads for library, _ in found]
            TEAM.before = threads if max(threads, default=1) > 1 else []  # or there is nothing to set, and to give back
        TEAM.inside.add(me)
        if len(TEAM.inside) == 1:
            set_threads([1] * len(TEAM.before))


def leave() -> None:
    """Give the libraries their threads back, where no other thread is inside."""
    with TEAM.limit:
        if TEAM.inside == {threading.get_ident()}:
            set_threads(TEAM.before)
        TEAM.inside.discard(threading.get_ident())


def set_threads(counts: list[int]) -> None:
    """So many threads for each library."""
    for (library, _), threads in zip(blas(), counts, strict=False):
        # from threadpoolctl 3.8 on, OpenBLAS obeys the first thread that set it, until that thread is forgotten
        forget = getattr(library, "clear_controlling_thread", lambda force: None)
        forget(force=True)
        library.set_num_threads(threads)
        forget(force=True)
