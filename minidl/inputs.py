"""What enters a net: arrays of the right dtype, padding that counts for nothing, rows that start anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.errors import ShapeError

Array = np.ndarray[Any, Any]
Shape = tuple[int | None, ...]  # without the batch axis; None where the length is free (time)


def shape_text(in_shape: Shape) -> str:
    """A shape without batch axis as people write it: (None, 32) is [B, T, 32], (7,) is [B, 7]."""
    return "[" + ", ".join(["B", *("T" if n is None else str(n) for n in in_shape)]) + "]"


def cast_input(x: Any, dtype: Any) -> Any:
    """Lists and arrays as arrays, real floats in `dtype` (ids stay ids), tuple for tuple."""
    if isinstance(x, tuple):
        return tuple(cast_input(part, dtype) for part in x)
    try:
        x = np.asarray(x)
    except ValueError:
        raise ShapeError("The rows of the input differ in length: pad them, and give a mask (minidl.pad).") from None
    return x.astype(dtype, copy=False) if dtype is not None and x.dtype.kind == "f" else x


def as_mask(mask: Any) -> Array | None:
    """A mask given as lists or as an array, as an array."""
    return None if mask is None else np.asarray(mask)


def clear_padding(x: Any, mask: Array | None) -> Any:
    """x with 0 in the steps that are padding; `mask` [B, T] is True where a step is real."""
    if mask is None:
        return x
    if mask.dtype != bool or mask.shape != x.shape[:2]:
        raise ShapeError(
            f"The mask is expected to be bools [B, T] = {x.shape[:2]}, True where a step is real, "
            f"got {mask.shape} of {mask.dtype}{': write mask.astype(bool)' if mask.shape == x.shape[:2] else ''}."
        )
    return np.where(mask.reshape(mask.shape + (1,) * (x.ndim - 2)), x, 0)


def start_rows(start: Any, batch: int, axes: int = 2) -> Array:
    """`start`, a bool or one per row, as [B, 1] bools, or with as many axes as are asked for."""
    rows = np.asarray(start, dtype=bool)
    if rows.shape not in ((), (batch,)):
        raise ShapeError(f"start is expected to be a bool or one per row, ({batch},), got {rows.shape}.")
    return np.broadcast_to(rows, batch).reshape(-1, *(1,) * (axes - 1))


def spread(owner: str, what: str, values: Any, shape: tuple[int, ...]) -> Array:
    """Weights or a mask for every position; fewer axes than the positions have are the leading ones, [B] of [B, T]."""
    values = np.asarray(values)
    lead = values.reshape(values.shape + (1,) * (len(shape) - values.ndim))
    if lead.ndim != len(shape) or any(n not in (1, N) for n, N in zip(lead.shape, shape, strict=True)):
        raise ShapeError(
            f"{owner} expects a {what} for positions {shape}, got {values.shape}: give one per position or per row."
        )
    return np.broadcast_to(lead, shape)
