"""What comes next in a series: `forecast` by a net, in the units of the data, and `naive_forecast` to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arguments import flag, positive_int, with_argument_help
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.series import Scaler, as_columns, as_several


@with_argument_help
def forecast(
    net: Layer,
    series: Any,
    scaler: Scaler,
    window: int,
    targets: int | Sequence[int] | None = None,
    relative: bool | None = None,
) -> Array:
    """The steps behind the end of a series, in the units of the data.

    Args:
        net: it turns windows [B, window, D] in standard units into [B, horizon, K, Q], as `models.forecaster` does.
        series: [N, D] in the units of the data; its last `window` steps are read.
        scaler: of all columns, as it was in training.
        window: the steps that the net sees.
        targets: the numbers of the columns that it tells, as in training; None for all.
        relative: whether it was trained on windows that are relative to their last step; None for what its file
            tells of it (`net.facts["relative"]`, as `minidl train` writes), or else False.

    Returns:
        Quantiles [horizon, K, Q].

    Raises:
        ArgumentError: for a series shorter than a window, or with NaN; for a `relative` that is not that of the
            training. ShapeError: for another number of columns, or a
            net that gives something else.

    Example:
        >>> from minidl.models import forecaster
        >>> series = np.sin(np.arange(100.0))
        >>> net = forecaster(horizon=5)
        >>> _ = net.build((None, 1))
        >>> minidl.forecast(net, series, minidl.Scaler.of(series), window=20).shape
        (5, 1, 3)
    """
    if len(several := as_several("forecast", series)) > 1:
        raise ShapeError(f"forecast expects one series, got {len(several)}: call it for each.")
    (known,) = several
    if len(known) < positive_int("forecast", "window", window):
        raise ArgumentError(f"forecast expects a series of at least window={window} steps, got {len(known)}.")
    chosen = as_columns("forecast", targets, len(scaler))
    x = scaler.transform(known[-window:])
    known_as = getattr(net, "facts", {}).get("relative")
    if relative is not None and known_as not in (None, flag("forecast", "relative", relative)):
        raise ArgumentError(
            f"forecast expects relative={known_as}, as the net was trained, got {relative}: leave it out."
        )
    level = x[-1] if (known_as if relative is None else relative) is True else 0 * x[-1]
    y = net.predict((x - level)[None])[0].astype(np.float64)
    if y.ndim != 3 or y.shape[1] != len(chosen):
        raise ShapeError(
            f"forecast expects a net that gives [B, horizon, {len(chosen)}, Q], got {(1, *y.shape)}: name the columns "
            f"that it tells as targets."
        )
    return np.moveaxis(scaler.take(chosen).inverse_transform(np.moveaxis(y, 1, 2) + level[chosen]), 2, 1)


@with_argument_help
def naive_forecast(x: Any, horizon: int, season: int = 1, targets: int | Sequence[int] | None = None) -> Array:
    """The steps behind windows as they were a season before; with season=1 as the last one was (persistence).

    Args:
        x: windows [B, window, D].
        horizon: how many steps.
        season: after how many steps the series comes round: 12 for months, 24 for hours.
        targets: the numbers of the columns; None for all.

    Returns:
        [B, horizon, K].

    Raises:
        ArgumentError: for a season that is longer than a window.

    Example:
        >>> x = np.array([[[1.0], [2.0], [3.0]]])
        >>> minidl.naive_forecast(x, 2).ravel().tolist(), minidl.naive_forecast(x, 4, season=3).ravel().tolist()
        ([3.0, 3.0], [1.0, 2.0, 3.0, 1.0])
    """
    x = np.asarray(x)
    if x.ndim != 3:
        raise ShapeError(f"naive_forecast expects windows [B, window, D], got {x.shape}.")
    if positive_int("naive_forecast", "season", season) > x.shape[1]:
        raise ArgumentError(
            f"naive_forecast expects windows of at least season={season} steps, got {x.shape[1]}: make them longer."
        )
    steps = np.arange(positive_int("naive_forecast", "horizon", horizon)) % season - season
    return x[:, steps][:, :, as_columns("naive_forecast", targets, x.shape[2])]
