"""Add rows to the rows of a table: what the backward pass of an embedding does."""

from __future__ import annotations

import numpy as np

from minidl.errors import IdError, ShapeError
from minidl.inputs import Array
from minidl.kernels.backend import machine_code


def add_rows(table: Array, ids: Array, rows: Array) -> None:
    """table[ids[k]] += rows[k]; an id that occurs twice adds twice.

    Args:
        table: [V, D]; ids: integers [N]; rows: [N, D].

    Raises:
        ShapeError: where there is not one row for each id. IdError: for an id that the table does not have.

    Example:
        >>> from minidl.kernels import add_rows
        >>> table = np.zeros((3, 1))
        >>> add_rows(table, np.array([2, 0, 2]), np.ones((3, 1)))
        >>> table.ravel()
        array([1., 0., 2.])
    """
    if rows.shape != (len(ids), table.shape[1]):
        raise ShapeError(
            f"The rows are expected to be {(len(ids), table.shape[1])}, one for each id, got {rows.shape}."
        )
    if not ids.size:
        return
    if ids.min() < 0 or ids.max() >= len(table):
        raise IdError(f"The ids are expected to be from 0 to {len(table) - 1}, got {ids.min()} to {ids.max()}.")
    fast = machine_code("add_rows", table.dtype, rows.dtype)
    if fast and table.flags.c_contiguous:
        fast.add_rows(table, ids.astype(np.intp, copy=False), np.ascontiguousarray(rows))
        return
    order = np.argsort(ids, kind="stable")  # each run of equal ids is one sum
    ids = ids[order]
    runs = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
    table[ids[runs]] += np.add.reduceat(rows[order], runs, axis=0)
