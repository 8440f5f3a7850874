"""Softmax and cross-entropy in one pass: loss and gradient of scores, a few rows at a time while they are in the cache.

What and why: max, difference, exponential, sum and division each go through all scores; with 10,000 classes that is
some 16 MB, five times. Here a block of rows is finished before the next one begins, and the team shares the blocks.

What is compiled (`compiled/softmax.py`) does a row at a time.
"""

from __future__ import annotations

import numpy as np

from minidl.errors import IdError, ShapeError
from minidl.inputs import Array
from minidl.kernels.backend import machine_code
from minidl.kernels.buffers import empty
from minidl.kernels.threads import share

BLOCK = 2**15  # scores at a time
SCORES = 2**16  # that are worth a thread


def softmax_cross_entropy(y: Array, t: Array, weight: Array) -> tuple[Array, Array]:
    """l = log sum_j exp(y_j) - y_t, and dy = (softmax(y) - onehot(t)) weight.

    Args:
        y: scores [N, V]; t: ids [N]; weight: [N], how much each row counts.

    Returns:
        (l [N], dy [N, V]).

    Example:
        >>> from minidl.kernels import softmax_cross_entropy
        >>> softmax_cross_entropy(np.zeros((1, 2)), np.array([1]), np.ones(1))
        (array([0.69314718]), array([[ 0.5, -0.5]]))
    """
    N, V = y.shape
    if t.shape != (N,) or weight.shape != (N,):
        raise ShapeError(f"Ids and weights are expected one for each of {N} rows, got {t.shape} and {weight.shape}.")
    if N and (t.min() < 0 or t.max() >= V):
        raise IdError(f"The ids are expected to be from 0 to {V - 1}, got {t.min()} to {t.max()}.")
    each, dy = np.empty(N, y.dtype), empty((N, V), y.dtype)
    fast = machine_code("softmax", y.dtype, weight.dtype)
    if fast:
        y, t, weight = np.ascontiguousarray(y), t.astype(np.intp, copy=False), np.ascontiguousarray(weight)
    rows = fast.softmax_cross_entropy_rows if fast else softmax_cross_entropy_rows
    share(lambda first, last: rows(first, last, y, t, weight, each, dy), N, N * V // SCORES)
    return each, dy


def softmax_cross_entropy_rows(
    first: int, last: int, y: Array, t: Array, weight: Array, each: Array, dy: Array
) -> None:
    """Fill each and dy for rows first ... last - 1."""
    step = max(1, BLOCK // y.shape[1])
    for k in range(first, last, step):
        part = slice(k, min(k + step, last))
        z, w = dy[part], weight[part, None]
        at = np.arange(len(z)), t[part]
        np.subtract(y[part], y[part].max(axis=1, keepdims=True), out=z)
        z_t = z[at]
        np.exp(z, out=z)
        total = z.sum(axis=1, keepdims=True)
        each[part] = np.log(total[:, 0]) - z_t
        z *= w / total
        z[at] -= w[:, 0]
