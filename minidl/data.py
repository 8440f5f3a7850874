"""`Batch`: what a training step sees at once, and the iterables that cut data into batches.

`TextStream` cuts one long sequence, `ArrayBatches` plain arrays, `PaddedBatches` sequences of different lengths.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minidl.arguments import flag, positive_int, real
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array

Sliceable = TypeVar("Sliceable", bound=Any)


class Batch(NamedTuple):
    """Inputs, targets, and what is to be known about them.

    Args:
        x: inputs, batch first: ids [B, T], features [B, T, D], ...
        t: targets: ids, or arrays of the output's shape.
        weight: how much each position counts, broadcast to the positions of t; None for equally.
        mask: [B, T] bools, True where a step is real; None without padding.
        start: which rows begin a new sequence: a bool or [B] bools. False goes on from the carried state.

    Example:
        >>> batch = minidl.Batch(np.array([[1, 2, 3]]), np.array([[2, 3, 4]]))
        >>> batch.start
        True
    """

    x: Any
    t: Any
    weight: Any = None
    mask: Any = None
    start: Any = True


class TextStream:
    """Windows of one long sequence of ids, each target being the next id, as language models are trained.

    The ids are cut into `batch_size` rows of equal length. A batch is the next `time` steps of all rows: where a
    row of one window ends, the same row of the next one goes on (start=False), so the state can be carried over.
    Only the first window starts anew, and so does the epoch, each time the stream is gone through.

    Args:
        ids: integers [N].
        batch_size: the number of rows, B.
        time: the length of a window, T; the last one may be shorter.

    Shapes:
        x [B, T], t [B, T]: views of `ids`, not copies.

    Raises:
        ShapeError: for what is no row of integers. ArgumentError: for less than batch_size + 1 ids.

    Notes:
        Of the N - 1 targets, less than batch_size at the end are left out: none with batch_size=1.

    Example:
        >>> stream = minidl.TextStream(np.arange(8), batch_size=2, time=2)
        >>> [(batch.x.tolist(), batch.t.tolist(), batch.start) for batch in stream]
        [([[0, 1], [3, 4]], [[1, 2], [4, 5]], True), ([[2], [5]], [[3], [6]], False)]
    """

    def __init__(self, ids: Any, batch_size: int, time: int) -> None:
        self.batch_size = positive_int("TextStream", "batch_size", batch_size)
        self.time = positive_int("TextStream", "time", time)
        ids = np.asarray(ids)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise ShapeError(f"TextStream expects integer ids [N], got {ids.shape} of {ids.dtype}: vocab.encode it.")
        length = (len(ids) - 1) // batch_size
        if length < 1:
            raise ArgumentError(
                f"TextStream expects at least {batch_size + 1} ids for batch_size={batch_size}, got {len(ids)}: "
                f"give a longer text or a smaller batch_size."
            )
        self.x: Array = ids[: batch_size * length].reshape(batch_size, length)
        self.t: Array = ids[1 : batch_size * length + 1].reshape(batch_size, length)

    def __len__(self) -> int:
        return -(-self.x.shape[1] // self.time)

    def __iter__(self) -> Iterator[Batch]:
        for at in range(0, self.x.shape[1], self.time):
            window = np.s_[:, at : at + self.time]
            yield Batch(self.x[window], self.t[window], start=at == 0)


class Batches(ABC):
    """The base of batches of rows in any order, which (seed, epoch) decides. A subclass writes `take(rows)`."""

    def __init__(self, count: int, batch_size: int, shuffle: bool, seed: int) -> None:
        owner = type(self).__name__
        if not count:
            raise ArgumentError(f"{owner} expects at least one row, got none: there is nothing to train on.")
        self.count, self.shuffle, self.seed = count, flag(owner, "shuffle", shuffle), natural(owner, "seed", seed)
        self.batch_size = positive_int(owner, "batch_size", batch_size)

    @abstractmethod
    def take(self, rows: Any) -> Batch:
        """The batch of some rows: a slice, or an array of their numbers."""

    def epoch(self, k: int) -> Iterator[Batch]:
        """The batches of epoch k = 0, 1, ...; the last may be smaller."""
        natural(type(self).__name__, "the epoch", k)
        stream = np.random.default_rng([self.seed, k, *b"order"])  # apart from that of dropout
        order = stream.permutation(self.count) if self.shuffle else None
        slices = (slice(at, at + self.batch_size) for at in range(0, self.count, self.batch_size))
        return (self.take(rows if order is None else order[rows]) for rows in slices)

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(0)


class ArrayBatches(Batches):
    """Batches of plain arrays, whose first axis counts the rows.

    Args:
        x: inputs [N, ...], or a tuple of arrays [N, ...].
        t: targets [N, ...].
        batch_size: the number of rows of a batch; the last batch may be smaller.
        shuffle: whether each epoch has an order of its own; iterating is epoch 0.
        seed: of the orders.
        weight, mask: as for `Batch`, with the rows first; None for none.

    Raises:
        ShapeError: for arrays that do not have the same number of rows.

    Notes:
        Without shuffling, batches are views of the arrays.

    Example:
        >>> batches = minidl.ArrayBatches(np.arange(5), np.arange(5) ** 2, batch_size=2, shuffle=True, seed=1)
        >>> len(batches), sorted(int(t) for batch in batches.epoch(7) for t in batch.t)
        (3, [0, 1, 4, 9, 16])
    """

    def __init__(
        self,
        x: Any,
        t: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        weight: Any = None,
        mask: Any = None,
    ) -> None:
        self.x = tuple(as_rows("x", part) for part in x) if isinstance(x, tuple) else as_rows("x", x)
        self.t = as_rows("t", t)
        self.weight = None if weight is None else as_rows("weight", weight)
        self.mask = None if mask is None else as_rows("mask", mask)
        parts = self.x if isinstance(self.x, tuple) else (self.x,)
        names = [f"x[{k}]" for k in range(len(parts))] if isinstance(self.x, tuple) else ["x"]
        for name, part in zip([*names, "weight", "mask"], [*parts, self.weight, self.mask], strict=True):
            if part is not None and len(part) != len(self.t):
                raise ShapeError(f"ArrayBatches expects {len(self.t)} rows of {name}, as t has, got {len(part)}.")
        super().__init__(len(self.t), batch_size, shuffle, seed)

    def take(self, rows: Any) -> Batch:
        x = tuple(part[rows] for part in self.x) if isinstance(self.x, tuple) else self.x[rows]
        return Batch(x, self.t[rows], *(None if a is None else a[rows] for a in (self.weight, self.mask)))


class PaddedBatches(Batches):
    """Batches of separate sequences of different lengths, padded to the longest of the batch, with masks.

    Args:
        sequences: arrays [T_n, ...]: ids or features.
        targets: one per sequence, all of one shape; or one per step, [T_n, ...], which are padded as well.
        batch_size: the number of sequences of a batch; the last batch may be smaller.
        shuffle: whether each epoch has an order of its own; iterating is epoch 0.
        seed: of the orders.

    Shapes:
        x [B, T, ...], mask [B, T] True where a step is real, t [B, ...] or [B, T, ...].

    Raises:
        ShapeError: for sequences that are empty or do not go together, or targets that do not fit them.

    Example:
        >>> batches = minidl.PaddedBatches([[1, 2, 3], [4]], [0, 1], shuffle=False)
        >>> batch = next(iter(batches))
        >>> batch.x.tolist(), batch.t.tolist(), batch.mask.tolist()
        ([[1, 2, 3], [4, 0, 0]], [0, 1], [[True, True, True], [True, False, False]])
    """

    def __init__(
        self, sequences: Sequence[Any], targets: Any, batch_size: int = 32, shuffle: bool = True, seed: int = 0
    ) -> None:
        self.sequences = as_sequences("PaddedBatches", sequences)
        self.targets = [np.asarray(t) for t in targets]
        if len(self.targets) != len(self.sequences):
            raise ShapeError(
                f"PaddedBatches expects targets for {len(self.sequences)} sequences, got {len(self.targets)}."
            )
        steps = [t.ndim > 0 and len(t) == len(x) for x, t in zip(self.sequences, self.targets, strict=True)]
        self.per_step = all(steps)
        if len({t.shape[self.per_step :] for t in self.targets}) > 1:
            n = steps.index(self.per_step)
            raise ShapeError(
                f"PaddedBatches expects targets of one shape, or one target per step, got {self.targets[n].shape} for "
                f"sequence {n} of {len(self.sequences[n])} steps, and others elsewhere: check targets[{n}]."
            )
        super().__init__(len(self.sequences), batch_size, shuffle, seed)

    def take(self, rows: Any) -> Batch:
        rows = range(self.count)[rows] if isinstance(rows, slice) else rows
        x, mask = pad([self.sequences[n] for n in rows])
        targets = [self.targets[n] for n in rows]
        return Batch(x, pad(targets)[0] if self.per_step else np.stack(targets), mask=mask)


def pad(sequences: Sequence[Any], value: float = 0) -> tuple[Array, Array]:
    """Sequences of different lengths as one array, and which of its steps are real.

    Args:
        sequences: arrays [T_n, ...].
        value: what stands in the padding.

    Returns:
        (padded [B, T, ...] with T the longest, mask [B, T] bools).

    Raises:
        ShapeError: for no sequences, empty ones, or steps of different shapes. ArgumentError: for a value that the
            sequences' dtype cannot hold.

    Example:
        >>> padded, mask = minidl.pad([[1, 2, 3], [4]], value=9)
        >>> padded.tolist(), mask.tolist()
        ([[1, 2, 3], [4, 9, 9]], [[True, True, True], [True, False, False]])
    """
    rows = as_sequences("pad", sequences)
    dtype = np.result_type(*{row.dtype for row in rows})
    if dtype.kind in "iu" and not (float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
        raise ArgumentError(f"pad expects a value that {dtype} can hold, got {value!r}: convert the sequences first.")
    lengths = np.array([len(row) for row in rows])
    padded = np.full((len(rows), lengths.max(), *rows[0].shape[1:]), value, dtype)
    for into, row in zip(padded, rows, strict=True):
        into[: len(row)] = row
    return padded, np.arange(lengths.max()) < lengths[:, None]


def split(data: Sliceable, share: float) -> tuple[Sliceable, Sliceable]:
    """Cut off the last `share` of a text, a list or an array, to be held out: (train, held_out). Arrays give views.

    Raises:
        ArgumentError: for a share that is not between 0 and 1, or leaves one part empty.

    Example:
        >>> minidl.split("0123456789", 0.2)
        ('01234567', '89')
    """
    cut = len(data) - round(len(data) * real("split", "share", share, 0, 1))
    if not 0 < cut < len(data):
        raise ArgumentError(f"split cannot hold {share:g} out of {len(data)} entries: one part would be empty.")
    return data[:cut], data[cut:]


def natural(owner: str, name: str, value: Any) -> int:
    """An int of at least 0 (True is none)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ArgumentError(f"{owner} expects {name} to be an integer of at least 0, got {value!r}.")
    return int(value)


def as_rows(name: str, values: Any) -> Array:
    """An array [N, ...], or what is to be done with what is none."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ShapeError(
            f"ArrayBatches expects {name} to be an array, got rows of different shapes: pad them."
        ) from None
    if not array.ndim:
        raise ShapeError(f"ArrayBatches expects {name} to be an array [N, ...], got {values!r:.40}.")
    return array


def as_sequences(owner: str, sequences: Sequence[Any]) -> list[Array]:
    """Sequences as arrays [T_n, ...] whose steps have one shape."""
    rows = [np.asarray(row) for row in sequences]
    if not rows:
        raise ShapeError(f"{owner} expects at least one sequence, got none.")
    for n, row in enumerate(rows):
        if not row.ndim or not len(row) or row.shape[1:] != rows[0].shape[1:]:
            raise ShapeError(
                f"{owner} expects sequences of one step or more, all of one shape, got {row.shape} for sequence {n} "
                f"and {rows[0].shape} for the first: leave empty ones out."
            )
    return rows
