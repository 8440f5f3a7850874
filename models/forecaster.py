"""The forecaster: how does a series go on, and how sure is that?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from minidl import LSTM, Ascending, Dense, Dropout, Layer, QuantileLoss, Reshape, Sequential


def forecaster(
    horizon: int,
    targets: int = 1,
    units: int = 32,
    layers: int = 1,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    peephole: bool | Literal["diagonal", "full"] = False,
    dropout: float = 0.0,
) -> Sequential:
    """A net that reads a window of a series and tells the quantiles of the steps behind it, all at once.

        x [B, T, D] -> LSTM -> ... -> LSTM, its last h -> scores -> [B, horizon, targets, Q], ascending in Q

    Good for series of any number of columns, of which some are to be told: loads, prices, temperatures. Train it with
    `QuantileLoss(quantiles)` on windows (`SeriesWindows`) of standardised series (`Scaler`), relative to their last
    step where the series rises or wanders. The quantiles of a step never cross: each is the one below it plus
    something positive. It is not built yet: training builds it from its first batch, `build((None, D))` by hand.

    Args:
        horizon: how many steps it tells.
        targets: how many columns it tells of each.
        units: the cells of each LSTM layer.
        layers: the number of LSTM layers.
        quantiles: as for `QuantileLoss`; only their number matters here.
        peephole: as for `LSTM`.
        dropout: the share of units that fall silent behind each LSTM layer in training.

    Source:
        Wen et al. 2017, A multi-horizon quantile recurrent forecaster.

    Example:
        >>> from minidl.models import forecaster
        >>> net = forecaster(horizon=12, targets=2)
        >>> net.build((None, 5))
        (12, 2, 3)
    """
    stack: list[Layer] = []
    for k in range(layers):
        stack.append(LSTM(units, peephole=peephole, return_sequences=k < layers - 1))
        if dropout:
            stack.append(Dropout(dropout))
    Q = len(QuantileLoss(quantiles).quantiles)  # which says what is wrong with them
    scores = Dense(horizon * targets * Q)
    return Sequential([*stack, scores, Reshape((horizon, targets, Q)), Ascending()], name="forecaster")
