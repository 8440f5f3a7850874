"""The team: ranges that cover everything once, errors that arrive, callers that do not wait for each other."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from minidl.errors import ArgumentError
from minidl.kernels import add_product, one_blas_thread, product, share, team, threads
from minidl.kernels.threads import blas
from tests.conftest import setting

pytestmark = pytest.mark.usefixtures("two_threads")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 101])
@pytest.mark.parametrize("worth", [0, 1, 2, 5, 1000])
def test_every_row_is_done_once(count, worth):
    done = np.zeros(count, int)

    def work(first, last):
        done[first:last] += 1

    share(work, count, worth)
    assert (done == 1).all()


def test_two_threads_are_at_work():
    seen = []
    meet = threading.Barrier(2, timeout=20)

    def work(first, last):
        meet.wait()
        seen.append(threading.get_ident())

    share(work, 2, 2)
    assert team() == 2 and len(set(seen)) == 2


@pytest.mark.parametrize("where", [0, 1])
def test_an_error_arrives_and_the_team_goes_on(where):
    def work(first, last):
        if first == where:
            raise ZeroDivisionError(first)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            share(work, 2, 2)
    test_two_threads_are_at_work()


def test_work_within_work_is_done_in_place():
    done = np.zeros((4, 4), int)
    share(lambda a, b: [share(lambda c, d, row=row: done[row, c:d].__iadd__(1), 4, 2) for row in range(a, b)], 4, 2)
    assert (done == 1).all()


def test_many_callers_at_once():
    a = np.random.default_rng(0).standard_normal((300, 200))
    results = [None] * 8

    def call(k):
        for _ in range(5):
            results[k] = product(a, a.T)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((result == product(a, a.T)).all() for result in results)


@pytest.mark.parametrize(("M", "K", "N"), [(300, 200, 100), (100, 200, 300), (1, 1, 1), (0, 3, 4), (3, 0, 4)])
def test_products(M, K, N):
    rng = np.random.default_rng(0)
    a, b, y = rng.standard_normal((M, K)), rng.standard_normal((K, N)), rng.standard_normal((M, N))
    np.testing.assert_allclose(product(a, b), a @ b, rtol=1e-12, atol=1e-12)
    expected = y + a @ b
    add_product(a, b, y)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("two_blas_threads")
def test_the_blas_gets_its_threads_back():
    before = [library.num_threads for library, _ in blas()]
    with one_blas_thread(), one_blas_thread():
        assert all(library.num_threads == 1 for library, _ in blas())
    assert [library.num_threads for library, _ in blas()] == before


def test_the_blas_obeys_whichever_thread_enters_and_leaves_last():
    code = (
        "import threading\n"
        "from minidl.kernels import one_blas_thread\n"
        "from minidl.kernels.threads import blas\n"
        "own = [library.num_threads for library, _ in blas()]\n"
        "entered, left = threading.Event(), threading.Event()\n"
        "seen = []\n"
        "def other():\n"
        "    with one_blas_thread():\n"
        "        seen.append([library.num_threads for library, _ in blas()])\n"
        "        entered.set(); left.wait(20)\n"
        "        seen.append([library.num_threads for library, _ in blas()])\n"
        "thread = threading.Thread(target=other)\n"
        "with one_blas_thread():\n"
        "    pass\n"
        "thread.start(); entered.wait(20)\n"
        "with one_blas_thread():\n"
        "    pass\n"
        "left.set(); thread.join()\n"
        "assert seen == [[1] * len(own)] * 2, seen\n"
        "assert own == [library.num_threads for library, _ in blas()]\n"
    )
    environment = os.environ | {"MINIDL_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60).returncode == 0


def test_a_failed_entry_is_no_entry():
    with setting("MINIDL_THREADS", "two"), pytest.raises(ArgumentError):
        one_blas_thread().__enter__()
    test_the_blas_gets_its_threads_back()


@pytest.fixture
def two_blas_threads():
    """A BLAS that there is something to set for: conftest.py gives it one thread."""
    pytest.importorskip("threadpoolctl")
    before = [library.num_threads for library, _ in blas()]
    threads.set_threads([2] * len(before))
    yield
    threads.set_threads(before)


@pytest.mark.usefixtures("two_blas_threads")
def test_an_entry_that_ctrl_c_broke_off_is_mended_by_the_next(monkeypatch):
    monkeypatch.setattr(threads, "set_threads", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one_blas_thread().__enter__()
    monkeypatch.undo()
    test_the_blas_gets_its_threads_back()
    assert threads.LIMIT.depth == 0 and not threads.TEAM.inside


@pytest.mark.usefixtures("two_blas_threads")
def test_an_exit_that_ctrl_c_broke_off_is_mended_by_the_next(monkeypatch):
    before = [library.num_threads for library, _ in blas()]
    with pytest.raises(KeyboardInterrupt), one_blas_thread():
        monkeypatch.setattr(threads, "set_threads", interrupted)
    monkeypatch.undo()
    with one_blas_thread():
        assert all(library.num_threads == 1 for library, _ in blas())
    assert [library.num_threads for library, _ in blas()] == before


def interrupted(counts):
    raise KeyboardInterrupt


def test_ctrl_c_while_another_thread_works_waits_for_it():
    ended = []

    def work(first, last):
        if first:
            time.sleep(0.3)
            ended.append(first)
        else:
            signal.raise_signal(signal.SIGINT) if not ended else None

    with pytest.raises(KeyboardInterrupt):
        share(work, 2, 2)
    assert ended == [1]
    test_two_threads_are_at_work()


@pytest.mark.parametrize("value", ["0", "two", "-1", "1.5"])
def test_a_number_of_threads_that_is_none(value):
    with setting("MINIDL_THREADS", value), pytest.raises(ArgumentError, match="MINIDL_THREADS is expected"):
        team()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_a_team_of_its_own():
    code = (
        "import os; from minidl.kernels import share\n"
        "share(lambda a, b: None, 2, 2)\n"
        "from minidl.kernels import one_blas_thread\n"
        "from minidl.kernels.threads import blas\n"
        "own = [library.num_threads for library, _ in blas()]\n"
        "with one_blas_thread():\n"
        "    child = os.fork()\n"
        "    share(lambda a, b: None, 2, 2)\n"
        "    assert all(library.num_threads == 1 for library, _ in blas())\n"
        "assert [library.num_threads for library, _ in blas()] == own\n"
        "os._exit(0) if not child else exit(os.waitpid(child, 0)[1])\n"
    )
    environment = os.environ | {"MINIDL_THREADS": "2"}
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, timeout=60).returncode == 0


@pytest.mark.parametrize(("value", "words"), [("fortran", "numpy or numba, got 'fortran'")])
def test_a_kernel_that_does_not_exist(value, words):
    from minidl.kernels import backend

    with setting("MINIDL_KERNELS", value), pytest.raises(ArgumentError, match=words):
        backend()
