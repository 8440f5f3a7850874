"""What `Trainer.fit` is given, as the batches of an epoch, and a net that is built for them.

Plain arrays, iterables of `Batch`, or one batch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from minidl.arguments import optional_flag
from minidl.data import ArrayBatches, Batch, Batches, TextStream, split
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import cast_input, each_array
from minidl.layer import Layer

Item = TypeVar("Item")


def arrange(
    data: Any, t: Any, validation: Any, batch_size: int | None, share: float, shuffle: bool | None, seed: int
) -> tuple[Any, Any]:
    """Batches to train on and batches to validate with, from what `fit` was given."""
    if t is None and is_pair(data):
        raise ArgumentError("fit expects inputs and targets as two arguments, got a tuple of both: write fit(x, t).")
    shuffle = optional_flag("fit", "shuffle", shuffle)
    if t is None:
        data = shuffled(data, shuffle)
        if batch_size is not None and not is_pair(validation):
            raise ArgumentError(f"fit cuts plain arrays by batch_size, got {batch_size!r} and batches. Leave it out.")
    batch_size = 32 if batch_size is None else batch_size
    batches = batches_of(data, t, batch_size, shuffle, seed)
    if share == 0:
        return batches, None if validation is None else validation_batches(validation, batch_size)
    if validation is not None:
        raise ArgumentError("fit expects validation or validation_split, got both: leave one out.")
    if t is None:
        raise ArgumentError("fit holds out validation_split of plain arrays, got batches: give validation=...")
    parts = split(range(batches.count), share)
    train, held = (slice(rows.start, rows.stop) for rows in parts)
    validation = ArrayBatches(part(batches.x, held), batches.t[held], batch_size)
    return ArrayBatches(part(batches.x, train), batches.t[train], batch_size, shuffle, seed), validation


def shuffled(data: Any, shuffle: bool | None) -> Any:
    """Return batches with the `shuffle` that was passed to `fit`; None leaves them unchanged."""
    if shuffle is None:
        return data
    if not isinstance(data, Batches):
        if shuffle:
            raise ArgumentError(
                f"fit shuffles plain arrays, ArrayBatches, PaddedBatches and SeriesWindows, got shuffle=True and "
                f"{type(data).__name__}, whose batches come in an order of its own. Shuffle its rows there."
            )
        return data
    if data.shuffle not in (None, shuffle):
        raise ArgumentError(f"fit got shuffle={shuffle}, and {type(data).__name__} shuffle={data.shuffle}. Pass one.")
    data = copy.copy(data)
    data.shuffle = shuffle
    return data


def batches_of(data: Any, t: Any, batch_size: int, shuffle: bool | None = None, seed: int = 0) -> Any:
    """An iterable of Batch as it is, one Batch as such; arrays x and t, or a pair of them, cut into batches."""
    if t is None and is_pair(data):
        data, t = data
    if t is not None:
        refuse_batches(data)
        return ArrayBatches(data, t, batch_size, shuffle, seed)
    if isinstance(data, np.ndarray):
        raise ArgumentError("fit expects targets with an array of inputs: fit(x, t), or an iterable of Batch.")
    if not hasattr(data, "epoch") and not hasattr(data, "__iter__"):
        raise ArgumentError(f"The data is expected to be an iterable of Batch, or arrays x and t, got {data!r:.60}.")
    return [data] if isinstance(data, Batch) else data


def validation_batches(validation: Any, batch_size: int) -> Any:
    """Return the batches to validate with, which every epoch goes through from the start."""
    if isinstance(validation, list) and len(validation) == 2 and not any(isinstance(v, Batch) for v in validation):
        raise ArgumentError("validation must be a tuple (x, t) or batches, got a list of two. Write validation=(x, t).")
    if isinstance(validation, tuple) and len(validation) == 3 and not isinstance(validation[0], Batch):
        raise ArgumentError(
            "validation must be (x, t) or batches, got three values. For weights write "
            "validation=ArrayBatches(x, t, weight=weight)."
        )
    batches = batches_of(validation, None, batch_size)
    if goes_once(batches):
        raise ArgumentError(
            f"validation is gone through after every epoch, got an iterator ({type(validation).__name__}), which is "
            f"used up after the first one or never ends. Pass a list of batches, or an object with __iter__."
        )
    return batches


def refuse_batches(data: Any) -> None:
    """Batches have targets, and need no others."""
    first = data[0] if isinstance(data, list | tuple) and data and not isinstance(data, Batch) else data
    if isinstance(first, Batch | TextStream) or hasattr(data, "epoch"):
        raise ArgumentError(
            "fit expects targets with plain arrays, got batches, which hold theirs: write fit(batches)."
        )


def is_pair(data: Any) -> bool:
    """Whether it is inputs and targets, (x, t)."""
    return isinstance(data, tuple) and len(data) == 2 and not isinstance(data[0], Batch)


def part(x: Any, rows: slice) -> Any:
    """Some rows of an array, or of each array of a tuple."""
    return tuple(a[rows] for a in x) if isinstance(x, tuple) else x[rows]


def epoch_of(data: Any, epoch: int | None, what: str = "data") -> Iterator[Batch]:
    """The batches of an epoch of a training; its order may depend on the epoch alone. Errors say `what` the data is.

    None is a pass that does not train: `Batches` come in order, all other data as in its first epoch.
    """
    if epoch is None and isinstance(data, Batches):
        batches: Iterable[Any] = data.in_order()
    else:
        batches = data.epoch(epoch or 0) if hasattr(data, "epoch") else data
    empty = True
    for batch in batches:
        if not isinstance(batch, Batch):
            raise ArgumentError(
                f"The {what} is expected to yield Batch(x, t), got {type(batch).__name__}: wrap each in minidl.Batch."
            )
        empty = False
        yield with_arrays(batch)
    if empty:
        hint = "give at least one"
        if epoch or goes_once(data):
            hint = "an iterator that is used up is empty the second time: give a list, or an object with __iter__"
        when = "" if epoch is None else f" in epoch {epoch + 1}"
        raise ArgumentError(f"The {what} is expected to yield batches in every epoch, got none{when}: {hint}.")


def with_arrays(batch: Batch) -> Batch:
    """Return a batch whose tensors of other libraries are NumPy arrays; one without such is returned itself."""
    return Batch._make(map(as_arrays, batch)) if any(map(has_tensors, batch)) else batch


def has_tensors(value: Any) -> bool:
    """Return whether there are arrays of other libraries in a field of a batch."""
    if isinstance(value, tuple | dict):
        return any(map(has_tensors, value.values() if isinstance(value, dict) else value))
    return hasattr(value, "__array__") and not isinstance(value, np.ndarray | np.generic)


def as_arrays(value: Any) -> Any:
    """Return arrays of other libraries as NumPy arrays, tuple for tuple and dict for dict; all else as it is."""
    if isinstance(value, tuple):
        return tuple(map(as_arrays, value))
    if isinstance(value, dict):
        return {name: as_arrays(part) for name, part in value.items()}
    return np.asarray(value) if has_tensors(value) else value


def groups_of(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`; the last list may be shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def first_of(data: Any) -> tuple[Batch, Any]:
    """The first batch, and the data with it: of an iterator that can be gone through once, nothing is lost."""
    first = next(epoch_of(data, 0))
    return first, (chain([first], data) if goes_once(data) else data)


def goes_once(data: Any) -> bool:
    """Whether it can be gone through once only, as an iterator."""
    return not hasattr(data, "epoch") and iter(data) is data


def build_for(net: Layer, x: Any, seed: int) -> None:
    """Build a net for inputs like x, for any number of steps where its layers allow that."""
    x = cast_input(x, np.float32)
    known = each_array(lambda a: a.shape[1:], x)
    free = each_array(
        lambda a: (None, *a.shape[2:]) if a.ndim >= (2 if a.dtype.kind in "iu" else 3) else a.shape[1:], x
    )
    try:
        net.build(free, seed)
    except ShapeError:
        if free == known:
            raise
        net.build(known, seed)  # a layer such as Flatten has to know the number of steps
