"""Memory for large arrays that is used again: `empty`, like `np.empty`, but from a pool.

What and why: a pass needs some megabytes, and gives them back when its cache is dropped. The system hands out such
memory page by page, cleared, at every pass anew. An array of the pool looks like any other; when nobody holds it or a
view of it any more, its memory waits here for the next one of about its size.

Gain: the system's 5,000 page faults in a training step of 2x128 cells are gone, a sixth of its time with compiled
kernels; filling 20 MB takes half as long (`python tests/benchmarks/kernels.py`).
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from typing import Any

import numpy as np

from minidl.inputs import Array

LEAST = 2**16  # bytes; smaller arrays come from the allocator's own pools
SPARE = 2**26  # bytes that may wait here in any case


class Memory:
    """Bytes that arrays are made from; `size` of them at `address`."""

    __slots__ = ("address", "array", "size")

    def __init__(self, size: int) -> None:
        self.array = np.empty(size, np.uint8)
        self.address, self.size = self.array.ctypes.data, size


RETURNED: deque[Memory] = deque()  # a loan may end anywhere, even while the pool's lock is held: this needs none


class Lease:
    """Memory on loan: the arrays made from it keep it alive, and with the last of them it goes back."""

    __slots__ = ("__array_interface__", "memory")

    def __init__(self, memory: Memory, shape: tuple[int, ...], dtype: Any) -> None:
        self.memory = memory
        self.__array_interface__ = {
            "data": (memory.address, False), "shape": shape, "typestr": dtype.str, "version": 3
        }  # fmt: skip

    def __del__(self, back: Any = RETURNED.append) -> None:
        back(self.memory)


class Pool:
    """What waits to be used again, by its size; at most about as many bytes as were on loan lately.

    Ctrl-C in the middle may cost a piece of memory its place here, never the order.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.waiting: dict[int, list[Memory]] = {}  # the size that was not used for the longest time comes first
        self.spare = self.lent = self.most = 0  # bytes: waiting, on loan, and on loan at most, of late

    def take(self, size: int) -> Memory:
        """Memory of at least `size` bytes, and at most an eighth more, so that arrays of about one size share it."""
        unit = 1 << max(0, size.bit_length() - 4)
        size = -(-size // unit) * unit
        with self.lock:
            while RETURNED:
                memory = RETURNED.popleft()
                self.lent -= memory.size
                self.spare += memory.size
                self.waiting.setdefault(memory.size, []).append(memory)
            same = self.waiting.pop(size, None)
            if same:
                memory = same.pop()
                self.spare -= size
            else:
                memory = Memory(size)
            if same:
                self.waiting[size] = same  # now it comes last
            self.lent += size
            self.most = max(self.lent, int(0.999 * self.most))  # what was large once is let go after a while
            while self.waiting and self.spare > max(SPARE, self.most - self.lent):
                oldest = next(iter(self.waiting))
                self.spare -= oldest * len(self.waiting.pop(oldest))
            if not self.waiting:
                self.spare = 0
        return memory


POOL = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: setattr(POOL, "lock", threading.RLock()))


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array whose entries are not set yet, as `np.empty` gives it.

    Example:
        >>> from minidl.kernels.buffers import empty
        >>> empty((256, 256), np.float32).shape
        (256, 256)
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    return np.asarray(Lease(POOL.take(size), shape, dtype)) if size >= LEAST else np.empty(shape, dtype)
