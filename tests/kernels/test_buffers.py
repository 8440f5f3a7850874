"""Memory that is used again: never while somebody looks at it, and not hoarded."""

import gc
import threading

import numpy as np

from minidl.kernels.buffers import POOL, empty

SHAPE = (300, 300)


def address(a):
    return a.__array_interface__["data"][0]


def test_memory_comes_back_when_nobody_looks():
    a = empty(SHAPE, np.float32)
    at = address(a)
    del a
    assert address(empty(SHAPE, np.float32)) == at


def test_a_view_keeps_it():
    a = empty(SHAPE, np.float64)
    a[...] = 7
    for view in (
        lambda a: a[1:, ::2],
        lambda a: a.reshape(-1),
        lambda a: a.T[3],
        lambda a: a.view(np.int64),
        np.asarray,
    ):
        part = view(a)
        at = address(a)
        kept = part.copy()
        del a
        others = [empty(SHAPE, np.float64) for _ in range(3)]
        for other in others:
            other[...] = -1
        assert all(address(other) != at for other in others)
        np.testing.assert_array_equal(part, kept)
        a = empty(SHAPE, np.float64)
        a[...] = 7


def test_small_arrays_and_odd_shapes():
    assert empty((), np.float32).shape == () and empty((0, 5), np.float64).shape == (0, 5)
    a = empty((70_000,), np.bool_)
    assert a.flags.writeable and a.flags.c_contiguous and a.dtype == bool


def test_what_waits_is_bounded():
    arrays = [empty((1000 + 400 * k, 1000), np.float32) for k in range(20)]
    most = POOL.most
    del arrays
    gc.collect()
    for k in range(60):
        empty((500 + 13 * k, 700), np.float32)
        assert sum(size * len(same) for size, same in POOL.waiting.items()) == POOL.spare <= max(2**26, most)
    small = [empty((200, 200), np.float32) for _ in range(3)]
    assert POOL.lent >= sum(a.nbytes for a in small)


def test_figures_that_are_off_do_not_break_the_pool():
    """Ctrl-C may come between a figure and what it stands for."""
    POOL.spare += 2**40
    assert empty(SHAPE, np.float32).shape == SHAPE
    POOL.waiting.clear()
    empty(SHAPE, np.float64)
    empty(SHAPE, np.float64)
    assert POOL.spare == sum(size * len(same) for size, same in POOL.waiting.items())


def test_many_threads_get_memory_of_their_own():
    wrong = []

    def work(k):
        for _ in range(200):
            a = empty((200, 200), np.float32)
            a[...] = k
            b = empty((200, 200), np.float32)
            b[...] = -1
            if not (a == k).all():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
