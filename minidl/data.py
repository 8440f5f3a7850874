"""`Batch`: what a training step sees at once, and the iterables that cut data into batches.

`TextStream` cuts one long sequence, `ArrayBatches` plain arrays; sequences of different lengths are in `padding.py`.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from minidl.arguments import ArgumentHelp, flag, optional_flag, positive_int, real, with_argument_help
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array, refuse_dict

Sliceable = TypeVar("Sliceable", bound=Any)


class Fields(NamedTuple):
    """The fields of a `Batch`."""

    x: Any
    t: Any
    weight: Any
    mask: Any
    start: Any


class Batch(Fields):
    """Inputs, targets, and what is to be known about them: a named tuple, whose last three fields are passed by name.

    Args:
        x: inputs, batch first: ids [B, T], features [B, T, D], ...
        t: targets: ids, or arrays of the output's shape.
        weight: how much each position counts, broadcast to the positions of t; None for equally.
        mask: [B, T] bools, True where a step is real; None without padding. Of several inputs a tuple, as x is.
        start: which rows begin a new sequence: a bool or [B] bools. False goes on from the carried state.

    Example:
        >>> batch = minidl.Batch(np.array([[1, 2, 3]]), np.array([[2, 3, 4]]))
        >>> batch.start
        True
    """

    __slots__ = ()

    @with_argument_help
    def __new__(cls, x: Any, t: Any, *, weight: Any = None, mask: Any = None, start: Any = True) -> Self:
        return super().__new__(cls, x, t, weight, mask, start)

    def __getnewargs_ex__(self) -> tuple[tuple[Any, Any], dict[str, Any]]:
        return (self.x, self.t), {"weight": self.weight, "mask": self.mask, "start": self.start}


class TextStream(ArgumentHelp):
    """Windows of one long sequence of ids, each target being the next id, as language models are trained.

    The ids are cut into `batch_size` rows of equal length. A batch is the next `time` steps of all rows: where a
    row of one window ends, the same row of the next one goes on (start=False), so the state can be carried over.
    Only the first window starts anew, and so does the epoch, each time the stream is gone through.

    Args:
        ids: integers [N].
        batch_size: the number of rows, B.
        time: the length of a window, T; the last one may be shorter.
        drop_last: leave out a last window that is shorter.

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

    def __init__(self, ids: Any, batch_size: int, time: int, drop_last: bool = False) -> None:
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
        if flag("TextStream", "drop_last", drop_last) and length < time:
            raise ArgumentError(
                f"TextStream expects at least {batch_size * time + 1} ids for batch_size={batch_size}, time={time} and "
                f"drop_last=True, got {len(ids)}: give a longer text or a smaller time."
            )
        end = length - length % time if drop_last else length
        self.x: Array = ids[: batch_size * length].reshape(batch_size, length)[:, :end]
        self.t: Array = ids[1 : batch_size * length + 1].reshape(batch_size, length)[:, :end]

    def __len__(self) -> int:
        return -(-self.x.shape[1] // self.time)

    def __iter__(self) -> Iterator[Batch]:
        for at in range(0, self.x.shape[1], self.time):
            window = np.s_[:, at : at + self.time]
            yield Batch(self.x[window], self.t[window], start=at == 0)


class Batches(ArgumentHelp, ABC):
    """The base of batches of rows in any order, which (seed, epoch) decides. A subclass writes `take(rows)`.

    `fit` trains on `epoch(k)`, whose rows are shuffled unless `shuffle` is False. Validation and `evaluate` go through
    `in_order()`. Iterating does so too, and is epoch 0 with shuffle=True.
    """

    def __init__(self, count: int, batch_size: int, shuffle: bool | None, seed: int) -> None:
        owner = type(self).__name__
        if not count:
            raise ArgumentError(f"{owner} expects at least one row, got none: there is nothing to train on.")
        self.count, self.seed = count, natural(owner, "seed", seed)
        self.shuffle = optional_flag(owner, "shuffle", shuffle)
        self.batch_size = positive_int(owner, "batch_size", batch_size)

    @abstractmethod
    def take(self, rows: Any) -> Batch:
        """The batch of some rows: a slice, or an array of their numbers."""

    def epoch(self, k: int) -> Iterator[Batch]:
        """The batches of epoch k = 0, 1, ... of a training; the last may be smaller.

        Raises:
            ArgumentError: if rows are shuffled and a batch continues from the state of the previous one.
        """
        natural(type(self).__name__, "the epoch", k)
        if self.shuffle is False:
            return self.in_order()
        rng = np.random.default_rng([self.seed, k, *b"order"])  # another than that of dropout
        return (self._starting(self.take(rows)) for rows in self.cut(rng))

    def in_order(self) -> Iterator[Batch]:
        """The batches of all rows as they come, unshuffled; the last may be smaller."""
        return (self.take(rows) for rows in self.cut(None))

    def _starting(self, batch: Batch) -> Batch:
        """Return a batch of shuffled rows; refuse one with a carried state, which belongs to other rows."""
        if not np.all(batch.start):
            raise ArgumentError(
                f"{type(self).__name__} must not shuffle batches that continue from the state of the previous one "
                f"(start=False): their rows would get the state of other rows. Pass shuffle=False."
            )
        return batch

    def cut(self, rng: np.random.Generator | None) -> Iterable[Any]:
        """The rows of each batch of an epoch, shuffled by a Generator; None for as they come."""
        order = None if rng is None else rng.permutation(self.count)
        slices = (slice(at, at + self.batch_size) for at in range(0, self.count, self.batch_size))
        return (rows if order is None else order[rows] for rows in slices)

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(0) if self.shuffle else self.in_order()


class ArrayBatches(Batches):
    """Batches of plain arrays, whose first axis counts the rows.

    Args:
        x: inputs [N, ...], or a tuple of arrays [N, ...].
        t: targets [N, ...].
        batch_size: the number of rows of a batch; the last batch may be smaller.
        shuffle: whether each epoch has an order of its own. None: in training, unless `fit` says otherwise; validation
            and `evaluate` never shuffle.
        seed: of the orders.
        weight, mask: as for `Batch`, with the rows first; None for none.

    Raises:
        ShapeError: for arrays that do not have the same number of rows.

    Notes:
        Without shuffling, batches are views of the arrays.

    Example:
        >>> batches = minidl.ArrayBatches(np.arange(5), np.arange(5) ** 2, batch_size=2, seed=1)
        >>> [batch.t.tolist() for batch in batches.epoch(7)], [batch.t.tolist() for batch in batches]
        ([[9, 4], [1, 0], [16]], [[0, 1], [4, 9], [16]])
    """

    def __init__(
        self,
        x: Any,
        t: Any,
        batch_size: int = 32,
        shuffle: bool | None = None,
        seed: int = 0,
        weight: Any = None,
        mask: Any = None,
    ) -> None:
        refuse_dict(x)
        self.t = as_rows("t", t)
        if isinstance(x, list) and x and len(x) != len(self.t) and all(has_rows(part, len(self.t)) for part in x):
            raise ShapeError(
                f"ArrayBatches expects {len(self.t)} rows of x, as t has, got a list of {len(x)} arrays with so many "
                f"each: several inputs are a tuple, (left, right)."
            )
        self.x = tuple(as_rows("x", part) for part in x) if isinstance(x, tuple) else as_rows("x", x)
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
        weight, mask = (None if a is None else a[rows] for a in (self.weight, self.mask))
        return Batch(x, self.t[rows], weight=weight, mask=mask)


@with_argument_help
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


def has_rows(value: Any, count: int) -> bool:
    """Whether it is an array of so many rows."""
    return isinstance(value, np.ndarray) and value.shape[:1] == (count,)


def as_rows(name: str, values: Any) -> Array:
    """An array [N, ...], or what is to be done with what is none."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ShapeError(
            f"ArrayBatches expects {name} to be an array, got rows of different shapes: write PaddedBatches(rows, t); "
            f"several inputs are a tuple, (left, right)."
        ) from None
    if not array.ndim:
        raise ShapeError(f"ArrayBatches expects {name} to be an array [N, ...], got {values!r:.40}.")
    return array
