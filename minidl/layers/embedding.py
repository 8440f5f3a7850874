"""The embedding layer: a trainable row of numbers for each id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.arguments import positive_int
from minidl.errors import IdError, ShapeError
from minidl.initializers import Initializer, choose, drawn, normal
from minidl.inputs import Array, Shape, require_array
from minidl.kernels import add_rows
from minidl.layer import Layer


class Embedding(Layer):
    """Look up a row per id: y = E[x].

    Args:
        vocab: the number of ids; they run from 0 to vocab - 1.
        units: the length of a row.
        init: {"E": ...}, by default normal with standard deviation 1: with small rows a net takes long to tell
            them apart. Where the rows are output weights as well (`Dense(tie=...)`), smaller ones suit better.

    Shapes:
        x [...] integers -> y [..., units].

    Params:
        E [vocab, units].

    Raises:
        IdError: for an id outside of the vocabulary, with its position. ShapeError: for x that is not integer.

    Example:
        >>> embedding = minidl.Embedding(10, 4)
        >>> embedding.build((None,))
        (None, 4)
        >>> embedding(np.array([[1, 2, 1]])).shape
        (1, 3, 4)
    """

    typical_shape = "(None,)"

    def __init__(self, vocab: int, units: int, *, init: Mapping[str, Initializer] | None = None) -> None:
        self.vocab = positive_int("Embedding", "vocab", vocab)
        self.units = positive_int("Embedding", "units", units)
        self.init = choose("Embedding", init, E=normal(1.0))

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        self.E = self.add_param("E", drawn(self.init["E"], (self.vocab, self.units), rng, dtype))
        return (*in_shape, self.units)

    def example(self, in_shape: Shape, rng: np.random.Generator, batch: int = 3, time: int = 5) -> Array:
        return rng.integers(0, self.vocab, (batch, *(time if n is None else n for n in in_shape)))

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Array]:
        require_array(x)
        E = self.E.value
        if x.dtype.kind not in "iu":
            hint = "write x.astype(int) if they are ids" if x.dtype.kind in "fb" else "turn text into ids first"
            raise ShapeError(f"Embedding expects integer ids, got {x.shape} of {x.dtype}: {hint}.")
        if x.size and (x.min() < 0 or x.max() >= self.vocab):
            at = np.unravel_index(np.argmax((x < 0) | (x >= self.vocab)), x.shape)
            raise IdError(
                f"Embedding expects ids from 0 to {self.vocab - 1} (a vocabulary of {self.vocab}), "
                f"got {x[at]} at position {tuple(int(k) for k in at)}."
            )
        return E[x], x

    def backward(self, dy: Array, x: Array) -> None:
        add_rows(self.E.grad, x.ravel(), dy.reshape(-1, self.units))
