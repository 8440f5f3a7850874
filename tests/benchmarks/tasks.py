"""What is measured: language models of several sizes, the batches they are trained with, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Size(NamedTuple):
    """A language model, the batch it gets, how many turns are timed, and how many updates a turn has."""

    layers: int
    units: int
    symbols: int
    embedding: int
    window: int
    batch: int
    turns: int
    updates: int
    generated: int = 0  # symbols a turn of generation; 0 where nobody would generate
    layer: str = "LSTM"  # the class of the recurrent layers

    @property
    def title(self) -> str:
        """The net and its batch in letters."""
        kind = "" if self.layer == "LSTM" else f"{self.layer} "
        return f"{kind}{self.layers}x{self.units} (V {self.symbols:,}, T {self.window}, B {self.batch})"

    def steps(self, task: str) -> int:
        """How many steps a turn of this task has: symbols of generation, else updates or windows."""
        return self.generated if task == "generation" else self.updates


SIZES = {
    "1x100": Size(1, 100, 100, 64, window=100, batch=1, turns=20, updates=20, generated=400),
    "2x128": Size(2, 128, 96, 64, window=50, batch=50, turns=20, updates=3, generated=400),
    "2x512": Size(2, 512, 96, 64, window=50, batch=50, turns=12, updates=1, generated=100),
    "2x200": Size(2, 200, 10_000, 200, window=20, batch=20, turns=15, updates=3),
    "2x650": Size(2, 650, 10_000, 650, window=35, batch=20, turns=12, updates=1),
    "gru-1x128": Size(1, 128, 96, 128, window=64, batch=32, turns=20, updates=4, layer="GRU"),
    "gru-2x128": Size(2, 128, 96, 128, window=50, batch=25, turns=20, updates=4, layer="GRU"),
    "rnn-1x128": Size(1, 128, 96, 128, window=64, batch=32, turns=20, updates=8, layer="SimpleRNN"),
    "rnn-2x128": Size(2, 128, 96, 128, window=50, batch=25, turns=20, updates=8, layer="SimpleRNN"),
}
TASKS = ["training", "generation", "inference", "peepholes"]
PEEPHOLES = ["2x128", "2x512"]  # the rows that show what peepholes cost

LEARNING_RATE = 1e-3
MAX_NORM = 5.0
TEMPERATURE = 0.8
PROMPT = [1, 2, 3]


def tiny(size: Size) -> Size:
    """The same net in small, for a smoke run."""
    small = {"units": 8, "symbols": 20, "embedding": 8, "window": 5, "batch": 4}
    smaller = {name: min(limit, getattr(size, name)) for name, limit in small.items()}
    return size._replace(**smaller, turns=2, updates=1, generated=min(10, size.generated))


def window(size: Size) -> tuple[Any, Any]:
    """A window of random symbols and the symbols that follow each: x, t [B, T]."""
    ids = np.random.default_rng(0).integers(0, size.symbols, (size.batch, size.window + 1))
    return ids[:, :-1], ids[:, 1:]


def repeated(step: Callable[[], Any]) -> Callable[[int], Any]:
    """Some steps, one after the other; the last one's result."""

    def run(count: int) -> Any:
        result = None
        for _ in range(count):
            result = step()
        return result

    return run
