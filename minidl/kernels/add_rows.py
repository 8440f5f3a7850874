"""Add rows to the rows of a table: what the backward pass of an embedding does."""

from __future__ import annotations

import numpy as np

from minidl.inputs import Array
from minidl.kernels.backend import compiled


def add_rows(table: Array, ids: Array, rows: Array) -> None:
    """table[ids[k]] += rows[k]; an id that occurs twice adds twice.

    Args:
        table: [V, D]; ids: integers [N], each below V; rows: [N, D].

    Example:
        >>> from minidl.kernels import add_rows
        >>> table = np.zeros((3, 1))
        >>> add_rows(table, np.array([2, 0, 2]), np.ones((3, 1)))
        >>> table.ravel()
        array([1., 0., 2.])
    """
    if not ids.size:
        return
    fast = compiled("add_rows") if table.dtype == rows.dtype and table.dtype.kind == "f" else None
    if fast and table.flags.c_contiguous:
        fast.add_rows(table, ids.astype(np.intp, copy=False), np.ascontiguousarray(rows))
        return
    order = np.argsort(ids, kind="stable")  # each run of equal ids is one sum
    ids = ids[order]
    runs = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
    table[ids[runs]] += np.add.reduceat(rows[order], runs, axis=0)
