"""Reber's grammar, embedded: strings in which the second symbol comes back as the last but one, and what was allowed.

BTBPVVETE is one: B, then T or P, then a string of the inner grammar (here BPVVE), the same T or P again, and E.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import minidl

SYMBOLS = "BTPSXVE"
ONE_HOT = np.eye(len(SYMBOLS), dtype=np.float32)
# which symbols the inner grammar allows at a node, and to which node each leads; after the last node comes its end
NODES = [{"T": 1, "P": 2}, {"S": 1, "X": 3}, {"T": 2, "V": 4}, {"X": 2, "S": 5}, {"P": 3, "V": 5}, {"E": 6}]


class Text(NamedTuple):
    """Symbols [T] as ids; which ones the grammar allowed there, [T, 7]; and which place the second symbol decides."""

    ids: np.ndarray
    allowed: np.ndarray
    far: np.ndarray


def string(rng: np.random.Generator) -> tuple[str, list[str]]:
    """A string, and at each of its places all symbols that could have come.

    Example:
        >>> string(np.random.default_rng(1))
        ('BTBPVVETE', ['B', 'TP', 'B', 'TP', 'TV', 'PV', 'E', 'T', 'E'])
    """
    outer = "TP"[rng.integers(2)]
    inner, could, node = "", [], 0
    while node < len(NODES):
        could.append("".join(NODES[node]))
        inner += could[-1][rng.integers(len(could[-1]))]
        node = NODES[node][inner[-1]]
    return f"B{outer}B{inner}{outer}E", ["B", "TP", "B", *could, outer, "E"]


def draw(rng: np.random.Generator, count: int = 1) -> Text:
    """Some strings, one after the other without a gap."""
    drawn = [string(rng) for _ in range(count)]
    ids = [SYMBOLS.index(symbol) for text, _ in drawn for symbol in text]
    allowed = [[symbol in could for symbol in SYMBOLS] for _, places in drawn for could in places]
    far = [at == len(text) - 2 for text, _ in drawn for at in range(len(text))]
    return Text(np.array(ids), np.array(allowed), np.array(far))


def judge(scores: np.ndarray, allowed: np.ndarray, far: np.ndarray) -> tuple[float, float, float]:
    """How often scores [N, 7] are right: the highest is allowed, the same at the far places, and all allowed are high.

    Returns:
        (share of places at which the highest score is of an allowed symbol, the share of the far places at which it is,
        the share of places at which every allowed symbol has a higher score than every other one).

    Example:
        >>> scores = np.array([[3, 1, 2, 0, 0, 0, 0], [0, 1, 2, 0, 0, 0, 0]])
        >>> allowed = np.array([[1, 1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0]], bool)
        >>> judge(scores, allowed, np.array([False, True]))
        (0.5, 0.0, 0.0)
    """
    right = allowed[np.arange(len(scores)), scores.argmax(axis=-1)]
    least, most = np.where(allowed, scores, np.inf).min(axis=-1), np.where(allowed, -np.inf, scores).max(axis=-1)
    return float(right.mean()), float(right[far].mean()), float((least > most).mean())


def small_lstm(units: int, forget_bias: float, seed: int) -> minidl.Sequential:
    """An LSTM that guesses the next symbol; small weights at first, gates for in and out rather shut.

    Example:
        >>> small_lstm(8, 1.0, 0)["lstm"].b.value[[0, 8, 16, 24]]  # i, f, o, g
        array([-1.,  1., -1.,  0.], dtype=float32)
    """
    width = units + len(SYMBOLS)
    small, init = minidl.normal(0.2 / width**0.5), minidl.normal(0.2 / units**0.5)
    lstm = minidl.LSTM(units, return_sequences=True, forget_bias=forget_bias, init={"Wx": small, "Wh": small})
    net = minidl.Sequential([lstm, minidl.Dense(len(SYMBOLS), init={"W": init})])
    net.build((None, len(SYMBOLS)), seed=seed)
    i, _, o, _ = np.split(lstm.b.value, 4)
    i[:], o[:] = -1, -1
    return net
