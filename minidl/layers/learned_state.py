"""`LearnedState`: a recurrent layer whose sequences begin from a state that is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ArgumentError, tell_place
from minidl.inputs import Array, Shape, start_rows
from minidl.layer import Layer
from minidl.layers.recurrent import Stateful, stop_at_start


class LearnedStateCache(NamedTuple):
    """The cache of the layer inside, and which rows began from the learned state, a bool or one per row."""

    layer: Any
    anew: Any


class LearnedState(Stateful):
    """A recurrent layer that begins from parameters of its own where no state comes in.

        h', c' of the first step = h0, c0        in rows that begin anew

    Args:
        layer: what it makes begin so, `LSTM(32)` for one: a layer whose state is a tuple of arrays.

    Shapes:
        Those of the layer; its state is that of the layer.

    Params:
        One per array of the state, after its fields: h0 [H], c0 [H], from 0 on; and the layer's as "layer.Wx", ...

    Raises:
        ArgumentError: for a layer without such a state. Errors raised inside say that they came from there.

    Notes:
        The gradient of the parameters is the sum over the rows that began from them.

    Example:
        >>> learned = minidl.LearnedState(minidl.LSTM(4))
        >>> _ = learned.build((None, 3))
        >>> list(learned.params)
        ['h0', 'c0', 'layer.Wx', 'layer.Wh', 'layer.b']
    """

    def __init__(self, layer: Layer) -> None:
        if not isinstance(layer, Layer) or type(layer).initial_state is Layer.initial_state:
            hint = f"write {layer.__name__}(...)" if isinstance(layer, type) else "there is no state to learn"
            raise ArgumentError(f"LearnedState expects a recurrent layer, like LSTM(32), got {layer!r}: {hint}.")
        self.layer = layer

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        with self._inside():
            out_shape = self.layer.build(in_shape, rng, dtype)
        first = self.layer.initial_state(1)
        if not isinstance(first, tuple) or not all(isinstance(a, np.ndarray) for a in first):
            hint = "of a container, wrap the recurrent layers inside"
            if first is None:
                hint = "as it is, it has no state, as a Conv1D has one with padding='causal' alone"
            raise ArgumentError(
                f"LearnedState expects a layer whose state is a tuple of arrays, got {type(first).__name__} of a "
                f"{type(self.layer).__name__}: {hint}."
            )
        fields = getattr(first, "_fields", None)
        names = [f"state{k}" for k in range(len(first))] if fields is None else [f"{field}0" for field in fields]
        for name, a in zip(names, first, strict=True):
            self.add_param(name, np.zeros(a.shape[1:], dtype))
        return out_shape

    def initial_state(self, batch: int) -> Any:
        first = self.layer.initial_state(batch)
        own = zip(self._own_params.values(), first, strict=True)
        return like(first, (np.broadcast_to(p.value, a.shape).copy() for p, a in own))

    def forward_with_state(
        self,
        x: Array,
        state: Any = None,
        *,
        start: Any = None,
        mask: Array | None = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Any, Any, LearnedStateCache]:
        anew = True if state is None else False if start is None else start
        begun = like(self.initial_state(0), self.begin(x, state, start))
        with self._inside():
            y, state, cache = self.layer.forward_with_state(x, begun, mask=mask, rng=rng, keep_cache=keep_cache)
        return y, state, LearnedStateCache(cache, anew)

    def backward_with_state(self, dy: Any, dstate: Any, cache: LearnedStateCache) -> tuple[Any, Any]:
        with self._inside():
            dx, dbegun = self.layer.backward_with_state(dy, dstate, cache.layer)
        for p, d in zip(self._own_params.values(), dbegun, strict=True):
            p.grad += np.where(start_rows(cache.anew, len(d), d.ndim), d, 0).sum(axis=0)
        return dx, like(dbegun, stop_at_start(dbegun, cache.anew))

    def trace(
        self,
        x: Array,
        state: Any = None,
        dy: Any = None,
        dstate: Any = None,
        *,
        start: Any = None,
        mask: Array | None = None,
        rng: np.random.Generator | None = None,
    ) -> dict[str, Array]:
        """The quantities of the layer inside, as its own `trace` gives them; see `layers/tracing.py`."""
        if not hasattr(self.layer, "trace"):
            raise ArgumentError(f"LearnedState cannot trace a {type(self.layer).__name__}, which has no trace.")
        begun = like(self.initial_state(0), self.begin(x, state, start))
        with self._inside():
            traced: dict[str, Array] = self.layer.trace(x, begun, dy, dstate, mask=mask, rng=rng)
        return traced

    def turned(self) -> LearnedState:
        if not isinstance(self.layer, Stateful):
            raise ArgumentError(f"LearnedState cannot turn a {type(self.layer).__name__} round: name the other layer.")
        return LearnedState(self.layer.turned())

    # -- what the layer inside says ---------------------------------------------------------------

    @property
    def return_sequences(self) -> bool:  # type: ignore[override]
        return getattr(self.layer, "return_sequences", False)

    @property
    def go_backwards(self) -> bool:  # type: ignore[override]
        return getattr(self.layer, "go_backwards", False)

    @property
    def streams(self) -> bool:
        return self.layer.streams

    def hand_on(self, mask: Array) -> Array | None:
        return self.layer.hand_on(mask)

    def example(self, in_shape: Shape, rng: np.random.Generator, batch: int = 3, time: int = 5) -> Any:
        return self.layer.example(in_shape, rng, batch, time)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Let what is raised inside say where it was."""
        try:
            yield
        except Exception as error:
            tell_place(error, f"LearnedState, its {type(self.layer).__name__}")
            raise


def like(first: tuple[Array, ...], arrays: Iterable[Array]) -> tuple[Array, ...]:
    """Arrays as a state of the same class as another one."""
    return first._make(arrays) if hasattr(first, "_make") else tuple(arrays)
