"""Matrix products that the team shares: `product`, and `add_product`, which adds to what is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.inputs import Array
from minidl.kernels.buffers import empty
from minidl.kernels.threads import PRODUCT, one_blas_thread, share

PIECE = 2**18  # entries of a product that is added while it is still in the cache


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b for matrices; `out` is written where it is given.

    Example:
        >>> from minidl.kernels.products import product
        >>> product(np.ones((2, 3)), np.ones((3, 1)))
        array([[3.],
               [3.]])
    """
    y = empty((a.shape[0], b.shape[1]), np.result_type(a, b)) if out is None else out

    def rows(first: int, last: int) -> None:
        np.matmul(a[first:last], b, out=y[first:last])

    def columns(first: int, last: int) -> None:
        np.matmul(a, b[:, first:last], out=y[:, first:last])

    split(rows, columns, a, b)
    return y


def add_product(a: Array, b: Array, out: Array) -> None:
    """out += a @ b for matrices.

    Example:
        >>> from minidl.kernels.products import add_product
        >>> y = np.ones((2, 1))
        >>> add_product(np.ones((2, 3)), np.ones((3, 1)), y)
        >>> y
        array([[4.],
               [4.]])
    """

    def rows(first: int, last: int) -> None:
        step = max(1, PIECE // max(1, b.shape[1]))
        for k in range(first, last, step):
            end = min(k + step, last)
            out[k:end] += a[k:end] @ b

    def columns(first: int, last: int) -> None:
        step = max(1, PIECE // max(1, len(a)))
        for k in range(first, last, step):
            end = min(k + step, last)
            out[:, k:end] += a @ b[:, k:end]

    split(rows, columns, a, b)


def split(rows: Any, columns: Any, a: Array, b: Array) -> None:
    """Share a product a @ b, by its rows or its columns, whichever are more."""
    M, K, N = len(a), a.shape[1], b.shape[1]
    work, count = (rows, M) if M > N else (columns, N)
    with one_blas_thread():
        share(work, count, M * K * N // PRODUCT)
