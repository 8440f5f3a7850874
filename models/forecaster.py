"""The forecaster: how does a series go on, and how sure is that?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from minidl import LSTM, Ascending, Concatenate, Dense, Dropout, Graph, LastStep, Reshape


def forecaster(
    horizon: int,
    targets: int = 1,
    units: int = 32,
    layers: int = 1,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    peephole: bool | Literal["diagonal", "full"] = False,
    dropout: float = 0.0,
) -> Graph:
    """A net that reads a window of a series and tells the quantiles of the steps behind it, all at once.

        x [B, T, D] -> LSTM -> ... -> LSTM, its last h [B, units] ─┐
         └─────────────────────────── the last step itself [B, D] ─┴─> scores -> [B, horizon, targets, Q], ascending

    Good for series of any number of columns, of which some are to be told: loads, prices, temperatures. Train it with
    `QuantileLoss(quantiles)` on windows (`SeriesWindows`) of standardised series (`Scaler`). The last step goes past
    the LSTM, so that "as it is now" is a matter of one weight, and a level that never came in training does no harm.
    The quantiles of a step never cross: each is the one below it plus something positive. It is not built yet:
    training builds it from its first batch, `build((None, D))` by hand.

    Args:
        horizon: how many steps it tells.
        targets: how many columns it tells of each.
        units: the cells of each LSTM layer.
        layers: the number of LSTM layers.
        quantiles: as for `QuantileLoss`; only their number matters here.
        peephole: as for `LSTM`.
        dropout: the share of units that fall silent behind each LSTM layer in training.

    Source:
        Wen et al. 2017, A multi-horizon quantile recurrent forecaster; Lai et al. 2018, Modeling long- and short-term
        temporal patterns with deep neural networks (the way past the LSTM).

    Example:
        >>> from minidl.models import forecaster
        >>> net = forecaster(horizon=12, targets=2)
        >>> net.build((None, 5))
        (12, 2, 3)
    """
    net, last, Q = Graph(name="forecaster"), "x", len(quantiles)
    for k in range(layers):
        name = "lstm" if k == 0 else f"lstm_{k + 1}"
        net.add(name, LSTM(units, peephole=peephole, return_sequences=k < layers - 1), last)
        last = name
        if dropout:
            last = name.replace("lstm", "dropout")
            net.add(last, Dropout(dropout), name)
    net.add("now", LastStep(), "x").add("both", Concatenate(), last, "now")
    net.add("scores", Dense(horizon * targets * Q), "both").add("table", Reshape((horizon, targets, Q)), "scores")
    return net.add("quantiles", Ascending(), "table")
