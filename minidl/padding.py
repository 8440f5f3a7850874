"""Sequences of different lengths: `pad` makes one array and a mask of them, `PaddedBatches` batches to train on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl.arguments import flag, is_real, with_argument_help
from minidl.data import Batch, Batches
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array, refuse_dict

POOL = 100  # batches whose rows are sorted by length together


class PaddedBatches(Batches):
    """Batches of separate sequences of different lengths, padded to the longest of the batch, with masks.

    Args:
        sequences: arrays [T_n, ...]: ids or features; T_n may be 0. For a net with several inputs a tuple, with a
            list of sequences for each: (questions, answers). Beside sequences an input may have no steps: where all
            its rows are numbers, or float vectors of one length, they are features of the row and have no mask.
        targets: one per sequence, all of one shape; or one per step, [T_n, ...] (of several inputs with the lengths
            of one of them), which are padded as well.
        batch_size: the number of sequences of a batch; the last batch may be smaller.
        shuffle, seed: as for `ArrayBatches`.
        by_length: whether the sequences of a batch are of similar length, so that little of it is padding: the
            shuffled rows of 100 batches at a time are sorted by length and cut, and the batches of all of them come
            in a random order; without shuffling, all rows from the shortest to the longest. Rows of equal length stay
            in order. With several inputs the length is the sum of theirs.

    Shapes:
        x [B, T, ...], mask [B, T] True where a step is real, t [B, ...] or [B, T, ...]; T is at least 1. Of several
        inputs x and mask are tuples; features are [B] or [B, D], and None in the place of their mask.

    Raises:
        ShapeError: for sequences that do not go together, or targets that do not fit them. ArgumentError: for what is
            no list.

    Notes:
        Where lengths are spread evenly from 1 to the longest, half of a batch is padding, and the work for it in
        vain; with by_length it is some percent. The batches are less mixed: a batch of short sequences has fewer
        steps, and its gradient is noisier.

    Example:
        >>> batches = minidl.PaddedBatches([[1, 2, 3], [4]], [0, 1])
        >>> batch = next(iter(batches))
        >>> batch.x.tolist(), batch.t.tolist(), batch.mask.tolist()
        ([[1, 2, 3], [4, 0, 0]], [0, 1], [[True, True, True], [True, False, False]])
    """

    def __init__(
        self,
        sequences: Sequence[Any] | tuple[Sequence[Any], ...],
        targets: Any,
        batch_size: int = 32,
        shuffle: bool | None = None,
        seed: int = 0,
        by_length: bool = False,
    ) -> None:
        refuse_dict(sequences)
        self.sequences: list[Array] | tuple[list[Array] | Array, ...]
        if isinstance(sequences, tuple) and sequences:
            self.sequences = as_inputs("PaddedBatches", sequences)
        else:
            self.sequences = as_sequences("PaddedBatches", sequences)
        inputs = self.inputs
        self.by_length = flag("PaddedBatches", "by_length", by_length)
        self.targets = as_list("PaddedBatches", "targets", targets)
        for k, part in enumerate((*inputs[1:], self.targets)):
            if len(part) != len(inputs[0]):
                what = "targets for" if part is self.targets else f"input {k + 2} to have"
                raise ShapeError(f"PaddedBatches expects {what} {len(inputs[0])} sequences, got {len(part)}.")
        fitting = [
            [t.ndim > 0 and len(t) == len(x) for x, t in zip(part, self.targets, strict=True)]
            for part in self.with_steps
        ]
        self.per_step = any(all(steps) for steps in fitting)
        if self.per_step:
            self.targets = alike(self.targets)
        if len({t.shape[self.per_step :] for t in self.targets}) > 1:
            n = fitting[-1].index(self.per_step) if self.per_step in fitting[-1] else 0
            raise ShapeError(
                f"PaddedBatches expects targets of one shape, or one target per step, got {self.targets[n].shape} for "
                f"sequence {n} of {len(self.with_steps[-1][n])} steps, and others elsewhere: check targets[{n}]."
            )
        super().__init__(len(inputs[0]), batch_size, shuffle, seed)

    @property
    def inputs(self) -> tuple[list[Array] | Array, ...]:
        """The sequences of each input of the net, or an array of its features."""
        return self.sequences if isinstance(self.sequences, tuple) else (self.sequences,)

    @property
    def with_steps(self) -> list[list[Array]]:
        """The inputs that are sequences."""
        return [part for part in self.inputs if isinstance(part, list)]

    def cut(self, rng: np.random.Generator | None) -> Iterable[Any]:
        if not self.by_length:
            return super().cut(rng)
        rows, size = np.arange(self.count) if rng is None else rng.permutation(self.count), self.batch_size
        lengths = np.sum([[len(row) for row in part] for part in self.with_steps], axis=0)
        pool = self.count if rng is None else POOL * size
        pools = (rows[at : at + pool] for at in range(0, self.count, pool))
        rows = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in pools])
        batches = [rows[at : at + size] for at in range(0, self.count, size)]
        return batches if rng is None else [batches[k] for k in rng.permutation(len(batches))]

    def take(self, rows: Any) -> Batch:
        rows = np.arange(self.count)[rows]
        taken = (
            (part[rows], None) if isinstance(part, np.ndarray) else padded([part[n] for n in rows])
            for part in self.inputs
        )
        x, mask = zip(*taken, strict=True)
        targets = [self.targets[n] for n in rows]
        t = padded(targets)[0] if self.per_step else np.stack(targets)
        return Batch(x, t, mask=mask) if isinstance(self.sequences, tuple) else Batch(x[0], t, mask=mask[0])


@with_argument_help
def pad(sequences: Sequence[Any], value: float = 0) -> tuple[Array, Array]:
    """Sequences of different lengths as one array, and which of its steps are real.

    Args:
        sequences: arrays [T_n, ...]; T_n may be 0.
        value: what stands in the padding.

    Returns:
        (padded [B, T, ...] with T the longest, at least 1, mask [B, T] bools).

    Raises:
        ShapeError: for no sequences, or steps of different shapes. ArgumentError: for a value that the sequences'
            dtype cannot hold, or what is no list.

    Example:
        >>> padded, mask = minidl.pad([[1, 2, 3], [], [4]], value=9)
        >>> padded.tolist(), mask.sum(axis=1).tolist()
        ([[1, 2, 3], [9, 9, 9], [4, 9, 9]], [3, 0, 1])
    """
    if not is_real(value):
        raise ArgumentError(f"pad expects value to be a number, got {value!r}.")
    return padded(as_sequences("pad", sequences), value)


def padded(rows: list[Array], value: float = 0) -> tuple[Array, Array]:
    """See `pad`; the steps of the rows are alike."""
    dtype = np.result_type(*{row.dtype for row in rows})
    if dtype.kind in "iu" and not (float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
        raise ArgumentError(f"pad expects a value that {dtype} can hold, got {value!r}: convert the sequences first.")
    lengths = np.array([len(row) for row in rows])
    time = max(1, lengths.max())
    together = np.full((len(rows), time, *rows[0].shape[1:]), value, dtype)
    for into, row in zip(together, rows, strict=True):
        into[: len(row)] = row
    return together, np.arange(time) < lengths[:, None]


def as_list(owner: str, what: str, rows: Any) -> list[Array]:
    """Rows as arrays, or what is to be done with what are none."""
    try:
        rows = list(rows)
    except TypeError:
        raise ArgumentError(f"{owner} expects {what} to be a list, an entry for each row, got {rows!r:.60}.") from None
    try:
        return [np.asarray(row) for row in rows]
    except ValueError:
        raise ShapeError(
            f"{owner} expects {what} to be arrays, got one with parts of different shapes: several inputs are a tuple "
            f"with a list of sequences for each, (questions, answers)."
        ) from None


def as_inputs(owner: str, inputs: tuple[Any, ...]) -> tuple[list[Array] | Array, ...]:
    """The sequences of several inputs, and in one array what belongs to the rows and has no steps."""
    parts = [list(part) if isinstance(part, Iterator) else part for part in inputs]
    lists = [as_list(owner, f"input {k + 1}", part) for k, part in enumerate(parts)]
    features = [len(parts) > 1 and are_features(rows) for rows in lists]
    if all(features):
        raise ShapeError(
            f"{owner} expects sequences for one input at least, got numbers or vectors for all {len(parts)}: a tuple "
            f"stands for the inputs of a net, each a list of sequences; what has no steps goes into ArrayBatches."
        )
    return tuple(
        np.stack(rows) if whole else as_sequences(owner, part, f" of input {k + 1}")
        for k, (part, rows, whole) in enumerate(zip(parts, lists, features, strict=True))
    )


def are_features(rows: list[Array]) -> bool:
    """Whether rows are numbers, or float vectors of one length; ids [T] are a sequence, and so is what has no steps."""
    if len({row.shape for row in rows}) != 1:
        return False
    return not rows[0].ndim or (rows[0].ndim == 1 and len(rows[0]) > 0 and all(row.dtype.kind == "f" for row in rows))


def as_sequences(owner: str, sequences: Sequence[Any], whose: str = "") -> list[Array]:
    """Sequences as arrays [T_n, ...] whose steps have one shape."""
    rows = as_list(owner, f"the sequences{whose}", sequences)
    if not rows:
        raise ShapeError(f"{owner} expects at least one sequence{whose}, got none.")
    first = next((row for row in rows if row.ndim and len(row)), rows[0])
    for n, row in enumerate(rows):
        if not row.ndim or (row.shape[1:] != first.shape[1:] and row.shape != (0,)):
            hint = "a sequence is a list or an array of steps" if not row.ndim else "check that one"
            if whose and not row.ndim:
                hint = "a tuple stands for the inputs of a net, each a list of sequences"
            raise ShapeError(
                f"{owner} expects sequences whose steps have one shape, got {row.shape} for sequence {n}{whose} "
                f"and {first.shape} for another: {hint}."
            )
    if not len(first) and not all(isinstance(row, np.ndarray) for row in sequences):
        raise ShapeError(
            f"{owner} expects a sequence{whose} that has steps, got {len(rows)} without: what a step is cannot be "
            f"told from empty lists, give arrays such as np.zeros((0, 3), np.float32)."
        )
    return alike(rows)


def alike(rows: list[Array]) -> list[Array]:
    """Rows without steps with the dtype and the shape of a step that the others have: an empty list has neither."""
    full = [row for row in rows if len(row)]
    if not full:
        return rows
    none = np.zeros((0, *full[0].shape[1:]), np.result_type(*{row.dtype for row in full}))
    return [row if len(row) else none for row in rows]
