"""Dropout: units fall silent at random in training passes, so that no unit relies on another."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.arguments import real
from minidl.inputs import Array
from minidl.layer import Layer


class Dropout(Layer):
    """Set a share of the units to 0 in training, and scale the others so that the mean stays.

    Args:
        rate: the share of units that fall silent, in [0, 1).

    Shapes:
        x of any shape -> y of the same. A pass with `rng=None` hands x on as it is.

    Source:
        Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting.

    Example:
        >>> y, _ = minidl.Dropout(0.5).forward(np.ones(8), rng=np.random.default_rng(0))
        >>> sorted(set(y.tolist()))
        [0.0, 2.0]
    """

    def __init__(self, rate: float) -> None:
        self.rate = real("Dropout", "rate", rate, 0, 1)

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Array | None]:
        keep = dropout_mask(x.shape, self.rate, rng, x.dtype)
        return (x if keep is None else x * keep), keep

    def backward(self, dy: Array, keep: Array | None) -> Array:
        return dy if keep is None else dy * keep


def dropout_mask(shape: tuple[int, ...], rate: float, rng: np.random.Generator | None, dtype: Any) -> Array | None:
    """0 with probability `rate`, else 1 / (1 - rate); None where there is nothing to drop."""
    if rng is None or rate == 0:
        return None
    kept = rng.random(shape, np.float32) >= rate  # float32 in every dtype: a float64 copy drops the same units
    return kept.astype(dtype) * (1 / (1 - rate))
