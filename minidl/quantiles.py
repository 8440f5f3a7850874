"""Forecasts that say how sure they are: `QuantileLoss` trains quantiles, `coverage` and `median_error` judge them.

Outputs are y [..., Q], the quantiles of each number in ascending order; targets are the numbers, t [...].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arguments import is_real, with_argument_help
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array
from minidl.losses import Loss
from minidl.metrics import position_weights, weighted_mean, with_direction


class QuantileLoss(Loss):
    """The pinball loss: l = mean_k max(q_k e_k, (q_k - 1) e_k), e_k = t - y_k, least where y_k is t's quantile q_k.

        dy_k = -q_k / Q where y_k is too low,  (1 - q_k) / Q where it is too high,  0 where it is t

    With quantiles=(0.5,) it is half the absolute error.

    Args:
        quantiles: numbers between 0 and 1 that grow, Q of them.

    Shapes:
        y [..., Q]; t [...].

    Raises:
        ArgumentError: for quantiles that are none. ShapeError: for other shapes.

    Notes:
        Nothing here keeps the quantiles from crossing; a net that ends in `Ascending` does.

    Source:
        Koenker & Bassett 1978, Regression quantiles.

    Example:
        >>> loss = minidl.QuantileLoss((0.1, 0.5, 0.9))
        >>> value, dy, weight = loss(np.array([[1.0, 2.0, 4.0]]), np.array([3.0]))
        >>> round(float(value), 4)  # (0.1 * 2 + 0.5 * 1 + 0.1 * 1) / 3
        0.2667
    """

    def __init__(self, quantiles: Sequence[float] = (0.1, 0.5, 0.9)) -> None:
        self.quantiles = as_quantiles("QuantileLoss", quantiles)

    def targets(self, y: Array, t: Array) -> Array:
        Q = len(self.quantiles)
        if y.shape[-1:] != (Q,):
            raise ShapeError(
                f"{self.title} expects outputs of shape [..., {Q}], one for each of its quantiles, got {y.shape}: put "
                f"a Dense({Q}) last, for several numbers at once a Reshape((numbers, {Q}))."
            )
        if t.shape != y.shape[:-1]:
            raise ShapeError(
                f"{self.title} expects targets of shape {y.shape[:-1]} for outputs {y.shape}, got {t.shape}: give one "
                f"number for each row of {Q} quantiles."
            )
        return t.astype(y.real.dtype, copy=False)

    def positions(self, y: Array, t: Array) -> tuple[Array, Array]:
        q, error = np.array(self.quantiles, y.real.dtype), t[..., None] - y
        each = np.where(error.real >= 0, q * error, (q - 1) * error)
        dy = np.where(error.real > 0, -q, np.where(error.real < 0, 1 - q, 0 * error))  # and NaN stays NaN
        return each.mean(axis=-1), dy / len(q)


@with_direction(higher_is_better=False)
@with_argument_help
def median_error(y: Any, t: Any, weight: Any = None, mask: Any = None) -> tuple[float, float]:
    """The mean absolute error of the median of y [..., Q] for t [...]: of its middle quantile, or middle two's mean.

    Args:
        y: quantiles [..., Q], or outputs of t's own shape, which are taken as they are.
        t: targets [...].
        weight, mask: as for `accuracy`.

    Returns:
        (weighted mean, sum of the weights), as a metric does.

    Raises:
        ShapeError: for targets that do not fit.

    Example:
        >>> minidl.median_error(np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 1.0]]), np.array([3.0, 0.0]))
        (0.5, 2.0)
    """
    y, t = fitting("median_error", y, t)
    return weighted_mean(np.abs(t - np.median(y, axis=-1)), position_weights("median_error", weight, mask, t.shape))


@with_argument_help
def coverage(y: Any, t: Any, weight: Any = None, mask: Any = None) -> tuple[float, float]:
    """The share of targets t [...] that lie between the first and the last of y's quantiles [..., Q].

    With quantiles 0.1 and 0.9 it should be 0.8: less where the net is too sure of itself, more where it is too careful.

    Args:
        y: quantiles [..., Q], ascending.
        t: targets [...].
        weight, mask: as for `accuracy`.

    Returns:
        (weighted share, sum of the weights), as a metric does.

    Raises:
        ShapeError: for targets that do not fit.

    Example:
        >>> minidl.coverage(np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 1.0]]), np.array([3.0, 1.5]))
        (0.5, 2.0)
    """
    y, t = fitting("coverage", y, t)
    return weighted_mean((y[..., 0] <= t) & (t <= y[..., -1]), position_weights("coverage", weight, mask, t.shape))


def fitting(owner: str, y: Any, t: Any) -> tuple[Array, Array]:
    """Quantiles [..., Q] and their targets [...] as arrays."""
    y, t = np.asarray(y), np.asarray(t)
    if y.shape == t.shape:
        y = y[..., None]
    if y.shape[:-1] != t.shape or not y.ndim:
        raise ShapeError(f"{owner} expects targets of shape {y.shape[:-1]} for quantiles {y.shape}, got {t.shape}.")
    return y, t


def as_quantiles(owner: str, quantiles: Any) -> tuple[float, ...]:
    """Quantiles as a tuple of ascending numbers, or what is wrong with them."""
    given = tuple(quantiles) if isinstance(quantiles, list | tuple) else ()
    ascending = all(a < b for a, b in zip((0, *given), (*given, 1), strict=True)) if all(map(is_real, given)) else False
    if not given or not ascending:
        raise ArgumentError(
            f"{owner} expects quantiles to be numbers between 0 and 1 that grow, such as (0.1, 0.5, 0.9), got "
            f"{quantiles!r:.80}."
        )
    return tuple(map(float, given))
