"""How open the gates of a layer stand: their means, how often they are shut or open, how long cells keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minidl.inputs import Array

GATES = {"i": "input gate", "f": "forget gate", "o": "output gate", "r": "reset gate", "z": "update gate"}
KEEPING = "fz"  # the gate that multiplies what is remembered: f of an LSTM, z of a GRU
SHUT, OPEN = 0.1, 0.9


class Gate(NamedTuple):
    """One gate of all cells, over a text."""

    mean: Array  # [H]
    shut: Array  # [H], the share of the steps with less than 0.1
    open: Array  # [H], the share of the steps with more than 0.9


def gates(traced: Mapping[str, Array]) -> dict[str, Gate]:
    """The gates of a layer by letter: i f o of an LSTM, r z of a GRU, none of a SimpleRNN.

    Source:
        Karpathy, Johnson & Fei-Fei 2015, Visualizing and understanding recurrent networks (left- and right-saturated).

    Example:
        >>> from minidl.looking import gates
        >>> gates({"f": np.array([[0.0, 0.5], [1.0, 0.95]]), "c": np.zeros((2, 2))})["f"].open
        array([0.5, 0.5])
    """
    return {
        letter: Gate(a.mean(axis=0), (a < SHUT).mean(axis=0), (a > OPEN).mean(axis=0))
        for letter, a in traced.items()
        if letter in GATES and len(a)
    }


def keeping(found: Mapping[str, Gate]) -> str | None:
    """The letter of the gate that says how much is kept, f or z; None without one."""
    return next((letter for letter in KEEPING if letter in found), None)


def time_constants(mean: Any) -> Array:
    """How many steps cells keep what they have, 1 / (1 - f), by the means of their forget gates.

    Example:
        >>> from minidl.looking import time_constants
        >>> time_constants(np.array([0.5, 0.9]))
        array([ 2., 10.])
    """
    return 1 / np.maximum(1 - np.asarray(mean, np.float64), 1e-9)
