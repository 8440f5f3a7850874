"""What enters a net: arrays of the right dtype, padding that counts for nothing, rows that start anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, ShapeError

Array = np.ndarray[Any, Any]
Shape = tuple[Any, ...]  # without the batch axis; None where the length is free (time); a tuple of shapes for several


def several(in_shape: Any) -> bool:
    """Whether it is the shapes of several inputs."""
    return isinstance(in_shape, tuple | list) and any(isinstance(part, tuple | list) for part in in_shape)


def as_shape(owner: str, in_shape: Any, takes_several: bool = True) -> Shape:
    """A shape as a tuple of ints and None, or of such tuples for several inputs; anything else is refused."""
    if several(in_shape):
        shapes = tuple(as_shape(owner, part) for part in in_shape)
        if not takes_several:
            raise ShapeError(
                f"{owner} expects one input, got {shape_text(shapes)}: put a Concatenate() or an Add() in front of it. "
                f"(A layer of your own that takes several says so: takes_several = True.)"
            )
        return shapes
    if isinstance(in_shape, dict):
        raise ArgumentError(f"{owner} expects a tuple of shapes in the order of its inputs, got a dict: {in_shape!r}.")
    sizes = tuple(in_shape) if isinstance(in_shape, list | tuple) else (0,)
    if not all(n is None or (isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0) for n in sizes):
        raise ArgumentError(
            f"{owner} expects in_shape to be a tuple of positive integers or None, without the batch axis, like "
            f"(None, 8) or (3,), got {in_shape!r}."
        )
    return tuple(None if n is None else int(n) for n in sizes)


def shapes_of(in_shape: Shape) -> Shape:
    """The shapes of all inputs, of one as well."""
    return in_shape if several(in_shape) else (in_shape,)


def each_shape(function: Callable[[Shape], Any], in_shape: Shape) -> Any:
    """`function(shape)`, or for several inputs a tuple with that of each."""
    return tuple(function(part) for part in in_shape) if several(in_shape) else function(in_shape)


def shape_text(in_shape: Shape) -> str:
    """A shape without batch axis as people write it: (None, 32) is [B, T, 32], (7,) is [B, 7]."""
    if several(in_shape):
        return "(" + ", ".join(map(shape_text, in_shape)) + ")"
    return "[" + ", ".join(["B", *("T" if n is None else str(n) for n in in_shape)]) + "]"


def each_array(function: Callable[[Array], Any], x: Any) -> Any:
    """`function(x)`, or for several inputs a tuple with that of each."""
    return tuple(each_array(function, part) for part in x) if isinstance(x, tuple) else function(x)


def cast_input(x: Any, dtype: Any) -> Any:
    """Lists and arrays as arrays, real floats in `dtype` (ids stay ids), tuple for tuple."""
    if isinstance(x, tuple):
        return tuple(cast_input(part, dtype) for part in x)
    refuse_dict(x)
    try:
        x = np.asarray(x)
    except ValueError:
        raise ShapeError(
            "The rows of the input differ in length: pad them, and give a mask (minidl.pad); several inputs are a "
            "tuple, (left, right)."
        ) from None
    if x.dtype.kind not in "biufc":
        first = repr(x.flat[0])[:40] if x.size else "nothing"
        hint = "Encode text as ids, with a CharVocab or a WordVocab." if x.dtype.kind in "US" else ""
        hint = hint or "Convert them with np.asarray(x, np.float32), rows of several lengths with minidl.pad."
        raise ArgumentError(f"The inputs must be numbers, got an array of {x.dtype} with {first}. {hint}")
    if dtype is None or x.dtype.kind != "f":
        return x
    with np.errstate(over="ignore"):  # what is too large becomes inf, and may be padding, which counts for nothing
        return x.astype(dtype, copy=False)


def run_in_chunks(run: Callable[[Any, Any], Any], x: Any, mask: Any, size: int | None) -> Any:
    """Return run(x, mask), computed from `size` rows at a time; all at once for None.

    Inputs of several lengths are left to `run`, which says what is wrong with them.
    """
    parts = [a for a in (*as_tuple(x), *as_tuple(mask)) if a is not None]
    lengths = {len(a) if a.ndim else 0 for a in parts}
    count = max(lengths, default=0)
    if size is None or len(lengths) != 1 or count <= size:
        return run(x, mask)
    chunks = [slice(at, at + size) for at in range(0, count, size)]
    return concatenate_rows([run(rows_of(x, rows), rows_of(mask, rows)) for rows in chunks])


def rows_of(x: Any, rows: slice) -> Any:
    """Return some rows of an array, tuple for tuple; None stays None."""
    if isinstance(x, tuple):
        return tuple(rows_of(part, rows) for part in x)
    return None if x is None else x[rows]


def as_tuple(x: Any) -> tuple[Any, ...]:
    """Return several inputs as they are, and one as a tuple of it."""
    return x if isinstance(x, tuple) else (x,)


def concatenate_rows(parts: list[Any]) -> Any:
    """Return the outputs of several chunks as one, tuple for tuple."""
    first = parts[0]
    if isinstance(first, dict):
        return {name: concatenate_rows([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple | list):
        return type(first)([concatenate_rows(list(outputs)) for outputs in zip(*parts, strict=True)])
    return np.concatenate(parts)


def refuse_dict(x: Any) -> None:
    """Several inputs go by their order."""
    if isinstance(x, dict):
        names = ", ".join(f"x[{name!r}]" for name in x)
        raise ShapeError(
            f"Expected is a tuple of arrays in the order of the net's inputs, got a dict: write ({names})."
        )


def as_mask(mask: Any) -> Any:
    """A mask given as lists or as an array, as an array; a tuple holds one (or None) for each input."""
    if isinstance(mask, tuple):
        masks = tuple(as_mask(part) for part in mask)
        return None if all(part is None for part in masks) else masks
    if mask is None:
        return None
    try:
        array = np.asarray(mask)
    except ValueError:
        array = None
    if array is None or (isinstance(mask, list) and array.ndim > 2):
        raise ShapeError(
            "The mask is expected to be bools [B, T], got a list that is no such array: masks of several inputs are a "
            "tuple, mask=(left, right)."
        )
    return array


def require_array(x: Any) -> None:
    """Refuse what a pass would have to convert first."""
    if x is not None and not isinstance(x, np.ndarray):  # a gradient of ids is None
        raise ArgumentError(
            f"A pass expects arrays, got a {type(x).__name__}: write np.asarray(x), or call the net, net(x), which "
            f"converts."
        )


def clear_padding(x: Any, mask: Any) -> Any:
    """x with 0 in the steps that are padding; `mask` [B, T] is True where a step is real. Tuple for tuple."""
    each_array(require_array, x)
    if mask is None or x is None:
        return x
    if isinstance(x, tuple) or isinstance(mask, tuple):
        if not isinstance(x, tuple) or not isinstance(mask, tuple) or len(mask) != len(x):
            wanted = (
                f"a tuple, a mask or None for each of {len(x)} inputs" if isinstance(x, tuple) else "one array [B, T]"
            )
            came = f"a tuple of {len(mask)}" if isinstance(mask, tuple) else "one array: write mask=(left, right)"
            raise ShapeError(f"The mask is expected to be {wanted}, got {came}.")
        return tuple(clear_padding(part, part_mask) for part, part_mask in zip(x, mask, strict=True))
    if mask.dtype != bool or mask.shape != x.shape[:2]:
        raise ShapeError(
            f"The mask is expected to be bools [B, T] = {x.shape[:2]}, True where a step is real, "
            f"got {mask.shape} of {mask.dtype}{': write mask.astype(bool)' if mask.shape == x.shape[:2] else ''}."
        )
    if mask.all():
        return x
    cleared = x.copy()  # faster than np.where: most steps are real
    cleared[~mask] = 0
    return cleared


def check_kept(owner: str, cache: Any) -> None:
    """Refuse the cache of a pass that kept none."""
    if cache is None:
        raise ArgumentError(f"{owner} expects the cache of a pass that kept one: run it with keep_cache=True.")


def start_rows(start: Any, batch: int, axes: int = 2) -> Array:
    """`start`, a bool or one per row, as [B, 1] bools, or with as many axes as are asked for."""
    rows = np.asarray(start, dtype=bool)
    if rows.shape not in ((), (batch,)):
        raise ShapeError(f"start is expected to be a bool or one per row, ({batch},), got {rows.shape}.")
    return np.broadcast_to(rows, batch).reshape(-1, *(1,) * (axes - 1))


def refuse_swapped(owner: str, y: Array, t: Array) -> None:
    """Refuse integers as outputs beside floats as targets."""
    if y.dtype.kind in "iub" and t.dtype.kind in "fc":
        raise ArgumentError(
            f"{owner} takes outputs, then targets, got {y.dtype} {y.shape} and {t.dtype} {t.shape}. Swap the two."
        )


def spread(owner: str, what: str, values: Any, shape: tuple[int, ...]) -> Array:
    """Weights or a mask for every position; fewer axes than the positions have are the leading ones, [B] of [B, T]."""
    values = np.asarray(values)
    lead = values.reshape(values.shape + (1,) * (len(shape) - values.ndim))
    if lead.ndim != len(shape) or any(n not in (1, N) for n, N in zip(lead.shape, shape, strict=True)):
        raise ShapeError(
            f"{owner} expects a {what} for positions {shape}, got {values.shape}: give one per position or per row."
        )
    return np.broadcast_to(lead, shape)
