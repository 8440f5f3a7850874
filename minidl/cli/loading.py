"""The models that the commands compute with: their weights and their outputs must be finite."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from minidl.errors import NonFiniteError
from minidl.gradients import is_finite, nonfinite_parameter
from minidl.inputs import Array
from minidl.saving import load


def load_model(path: str | os.PathLike[str]) -> Any:
    """Load a model to compute with.

    Raises:
        NonFiniteError: for a model with a NaN or an infinity in its weights. OSError, ModelFormatError: as `load`.
    """
    net = load(path)
    bad = nonfinite_parameter(net.params)
    if bad is not None:
        raise NonFiniteError(f"{path} cannot be used, {bad}. Train it again, or use an earlier checkpoint.")
    return net


def finite_outputs(y: Array) -> Array:
    """Return the outputs of a net, which must be finite.

    Raises:
        NonFiniteError: for a NaN or an infinity.
    """
    if not is_finite(y):
        raise nonfinite_output(float(y[~np.isfinite(y)].flat[0]))
    return y


def check_row(row: Any) -> None:
    """Refuse a prediction with a NaN or an infinity, which JSON cannot hold either."""
    if isinstance(row, dict | list | tuple):
        for part in row.values() if isinstance(row, dict) else row:
            check_row(part)
    elif isinstance(row, float) and not math.isfinite(row):
        raise nonfinite_output(row)


def nonfinite_output(value: float) -> NonFiniteError:
    """Return the error for a prediction of NaN or infinity."""
    return NonFiniteError(
        f"The model's output must be finite, got {value}. Its weights are too large for this input: train it again."
    )
