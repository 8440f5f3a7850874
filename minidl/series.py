"""Series of numbers: `SeriesWindows` cuts them into windows to train on, `Scaler` brings columns to one size.

A series is [N, D]: N steps of D columns. Nothing may be learned from what is to be predicted: `split_series` cuts in
time, and the scaler is made of the training part alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arguments import ArgumentHelp, flag, positive_int, with_argument_help
from minidl.data import Batch, Batches, split
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array

TINY = 1e-150  # deviations whose squares float64 cannot hold


class SeriesWindows(Batches):
    """Windows of one series or of several, each with the steps behind it as its target.

    Args:
        series: [N, D], or [N] for one column; a list of such arrays for several series, over whose borders no window
            reaches.
        window: the steps that the net sees.
        horizon: the steps behind them that it is to tell.
        targets: the numbers of the columns to tell; None for all. The net sees all columns in any case.
        stride: how many steps a window begins behind the one before it, in each series.
        relative: whether x and t are told relative to the last step of the window, which becomes 0: a level that never
            came in training does no harm then. Series that rise or wander need it; the net no longer knows the level.
        batch_size: the number of windows of a batch; the last batch may be smaller.
        shuffle, seed: as for `ArrayBatches`.

    Shapes:
        x [B, window, D], t [B, horizon, K] with K the number of targets.

    Raises:
        ArgumentError: for a series with less than window + horizon steps, a column that there is not, for NaN.
        ShapeError: for what is no series.

    Notes:
        The series are kept as they are, and each batch is gathered from them: windows that overlap take no memory.

    Example:
        >>> windows = minidl.SeriesWindows(np.arange(6.0), window=3, horizon=2, batch_size=1)
        >>> [(batch.x.ravel().tolist(), batch.t.ravel().tolist()) for batch in windows]
        [([0.0, 1.0, 2.0], [3.0, 4.0]), ([1.0, 2.0, 3.0], [4.0, 5.0])]
    """

    def __init__(
        self,
        series: Any,
        window: int,
        horizon: int = 1,
        targets: int | Sequence[int] | None = None,
        stride: int = 1,
        relative: bool = False,
        batch_size: int = 32,
        shuffle: bool | None = None,
        seed: int = 0,
    ) -> None:
        self.window = positive_int("SeriesWindows", "window", window)
        self.horizon = positive_int("SeriesWindows", "horizon", horizon)
        self.stride = positive_int("SeriesWindows", "stride", stride)
        self.relative = flag("SeriesWindows", "relative", relative)
        self.series = as_several("SeriesWindows", series)
        self.targets = as_columns("SeriesWindows", targets, self.series[0].shape[1])
        span = window + horizon
        for k, one in enumerate(self.series):
            if len(one) < span:
                which = "a series" if len(self.series) == 1 else f"series {k}"
                raise ArgumentError(
                    f"SeriesWindows expects {which} of at least {span} steps for window={window} and "
                    f"horizon={horizon}, got {len(one)}: give a longer series, or a smaller window or horizon."
                )
        self.ends = np.cumsum([(len(one) - span) // stride + 1 for one in self.series])
        super().__init__(int(self.ends[-1]), batch_size, shuffle, seed)

    def take(self, rows: Any) -> Batch:
        rows = np.arange(self.count)[rows] if isinstance(rows, slice) else np.asarray(rows)
        which = np.searchsorted(self.ends, rows, side="right")
        steps = np.arange(self.window + self.horizon)
        x = np.empty((len(rows), self.window, self.series[0].shape[1]), self.series[0].dtype)
        t = np.empty((len(rows), self.horizon, len(self.targets)), x.dtype)
        for k in np.unique(which):
            here = which == k
            first = (rows[here] - (self.ends[k - 1] if k else 0)) * self.stride
            at = first[:, None] + steps
            x[here] = self.series[k][at[:, : self.window]]
            t[here] = self.series[k][at[:, self.window :, None], self.targets]
        if self.relative:
            last = x[:, -1:].copy()
            x, t = x - last, t - last[:, :, self.targets]
        return Batch(x, t)


class Scaler(ArgumentHelp):
    """Standardises columns: transform(x) = (x - mean) / scale, with the mean and standard deviation of a training part.

    Args:
        mean: of each column, [D].
        scale: what each column is divided by, [D], above 0.

    Raises:
        ArgumentError: for what no scaler has; in `of` for NaN, with its row and column.

    Notes:
        A constant column has no deviation: it is divided by 1, and becomes 0.

    Example:
        >>> scaler = minidl.Scaler.of(np.array([[1.0, 5.0], [3.0, 5.0]]))
        >>> scaler.transform([[2.0, 5.0], [4.0, 6.0]]).tolist()
        [[0.0, 0.0], [2.0, 1.0]]
        >>> scaler.inverse_transform([[2.0, 1.0]]).tolist()
        [[4.0, 6.0]]
    """

    def __init__(self, mean: Any, scale: Any) -> None:
        try:
            self.mean, self.scale = np.array(mean, np.float64), np.array(scale, np.float64)
        except (TypeError, ValueError):
            raise ArgumentError(f"Scaler expects numbers, got mean {mean!r:.60}, scale {scale!r:.60}.") from None
        finite = np.isfinite(self.mean).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()
        if self.mean.ndim != 1 or not self.mean.size or self.mean.shape != self.scale.shape or not finite:
            raise ArgumentError(
                f"Scaler expects a mean and a scale above 0 for each column, all finite, got mean {mean!r:.60}, scale "
                f"{scale!r:.60}: write Scaler.of(train)."
            )

    @classmethod
    def of(cls, train: Any) -> Scaler:
        """The scaler of a training part: a series [N, D], or a list of several, whose steps count alike."""
        several = as_several("Scaler", train)
        count = sum(map(len, several))
        low = np.min([one.min(axis=0) for one in several], axis=0)
        high = np.max([one.max(axis=0) for one in several], axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = sum(one.sum(axis=0, dtype=np.float64) for one in several) / count
            # Squares of tiny deviations underflow; those of all others stay as they are, to the bit.
            size = np.maximum(high - mean, mean - low)
            unit = np.where((size > 0) & (size < TINY), size, 1.0)
            scale = unit * np.sqrt(sum(np.square((one - mean) / unit).sum(axis=0) for one in several) / count)
        constant = low == high
        if not np.isfinite(np.where(constant, 0.0, scale)).all():
            most = max(np.abs(low).max(), np.abs(high).max())
            raise ArgumentError(
                f"Scaler.of expects numbers whose squares float64 holds, up to about 1e150, got {most:.4g}: give them "
                f"in a larger unit."
            )
        return cls(np.where(constant, low, mean), np.where(constant | (scale == 0), 1.0, scale))

    def __len__(self) -> int:
        return len(self.mean)

    def take(self, columns: int | Sequence[int] | Array) -> Scaler:
        """The scaler of some columns by their numbers, such as the targets."""
        chosen = as_columns("Scaler", columns, len(self))
        return Scaler(self.mean[chosen], self.scale[chosen])

    def transform(self, x: Any) -> Array:
        """x [..., D] in standard units."""
        return (self._fitting(x) - self.mean) / self.scale

    def inverse_transform(self, x: Any) -> Array:
        """x [..., D] back in the units of the data."""
        return self._fitting(x) * self.scale + self.mean

    def _fitting(self, x: Any) -> Array:
        x = np.asarray(x)
        if x.shape[-1:] != (len(self),) or x.dtype.kind not in "fiub":
            raise ShapeError(f"Scaler expects numbers of shape [..., {len(self)}], got {x.shape} of {x.dtype}.")
        return x

    def to_dict(self) -> dict[str, Any]:
        """The scaler as plain data, for `net.facts`; `Scaler.from_dict` brings it back."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, data: Any) -> Scaler:
        """The scaler from what its `to_dict()` gave, and from nothing else: the data may come from a stranger's file.

        Raises:
            ArgumentError: for anything that no scaler's `to_dict()` would give.
        """
        scaler = None
        match data:
            case {"mean": list(mean), "scale": list(scale)} if all(type(v) is float for v in [*mean, *scale]):
                scaler = cls(mean, scale)
        if scaler is None or scaler.to_dict() != data:
            raise ArgumentError(f"A scaler is expected to be what its to_dict() gives, got {data!r:.80}: save it anew.")
        return scaler

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scaler) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((tuple(self.mean.tolist()), tuple(self.scale.tolist())))

    def __repr__(self) -> str:
        return f"Scaler(mean={self.mean.tolist()}, scale={self.scale.tolist()})"


@with_argument_help
def split_series(series: Any, share: float, window: int) -> tuple[Any, Any]:
    """Hold out the last `share` of a series, of each of several: (train, held_out), views of it.

    The part held out begins `window` steps earlier, for its first windows may read what was already known; no step of
    the training part is a target there. Make the scaler of `train` alone. For three parts, split `train` again.

    Args:
        series: as for `SeriesWindows`.
        share: of the steps, between 0 and 1.
        window: as for `SeriesWindows`.

    Raises:
        ArgumentError: for a share that leaves one part empty, or a training part shorter than a window.

    Example:
        >>> train, held_out = minidl.split_series(np.arange(10.0), 0.3, window=2)
        >>> train.ravel().tolist(), held_out.ravel().tolist()
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [5.0, 6.0, 7.0, 8.0, 9.0])
        >>> next(iter(minidl.SeriesWindows(held_out, 2))).t.ravel().tolist()[0]
        7.0
    """
    one, pairs = not is_several(series), []
    for part in as_several("split_series", series):
        known, _ = split(part, share)
        if len(known) < positive_int("split_series", "window", window):
            raise ArgumentError(
                f"split_series expects a training part of at least window={window} steps, got {len(known)}: give a "
                f"longer series, or a smaller share or window."
            )
        pairs.append((known, part[len(known) - window :]))
    return pairs[0] if one else ([known for known, _ in pairs], [held for _, held in pairs])


def is_several(series: Any) -> bool:
    """Whether it is a list of series, rather than a series that is a list of numbers or of rows."""
    return isinstance(series, list | tuple) and bool(series) and all(isinstance(one, np.ndarray) for one in series)


def as_several(owner: str, series: Any) -> list[Array]:
    """One series or several as arrays [N, D] of one dtype, or what is wrong with them; arrays of floats stay views."""
    given = list(series) if is_several(series) else [series]
    arrays: list[Array] = []
    for k, one in enumerate(given):
        whose = f" of series {k}" if len(given) > 1 else ""
        try:
            array = np.asarray(one)
        except ValueError:
            array = np.asarray(None)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.dtype.kind not in "fiub" or not array.size:
            came = f"{array.shape} of {array.dtype}" if array.ndim else f"{one!r:.60}"
            raise ShapeError(f"{owner} expects a series of numbers [N, D], got {came}: leave other columns out.")
        if array.shape[1] != (arrays[0] if arrays else array).shape[1]:
            raise ShapeError(
                f"{owner} expects series with the same columns, got {array.shape[1]}{whose} and {arrays[0].shape[1]} "
                f"before: leave that one out."
            )
        array = array if array.dtype.kind == "f" else array.astype(np.float64)
        wrong = ~np.isfinite(array)
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            raise ArgumentError(
                f"{owner} expects finite numbers, got {array[row, column]} in row {row}, column {column}{whose}: fill "
                f"what is missing (np.interp between its neighbours, say), or cut the series in two there."
            )
        arrays.append(array)
    dtype = np.result_type(*{array.dtype for array in arrays})
    return [array.astype(dtype, copy=False) for array in arrays]


def as_columns(owner: str, columns: Any, D: int) -> Array:
    """Numbers of columns as an array [K], all for None; or what is wrong with them."""
    if columns is None:
        return np.arange(D)
    given = np.atleast_1d(np.asarray(columns))
    sound = given.ndim == 1 and given.size and given.dtype.kind in "iu"
    if not sound or given.min() < 0 or given.max() >= D or len(set(given.tolist())) < len(given):
        raise ArgumentError(
            f"{owner} expects columns to be numbers from 0 to {D - 1}, each once, got {columns!r:.60}: name those of "
            f"a series with {D} column{'s' * (D != 1)}."
        )
    return given.astype(np.int64)
