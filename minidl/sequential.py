"""`Sequential`: layers in a row, which together are a layer again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, overload

import numpy as np

from minidl.container import Container
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array, Shape, check_kept, clear_padding
from minidl.layer import Layer
from minidl.nested import outline, zeros_like


class SequentialCache(NamedTuple):
    """The caches of the layers, in order, the outline of the y of those with a state, and the input's mask."""

    layers: list[Any]
    outlines: dict[str, Any]
    mask: Array | None


class Sequential(Container):
    """Layers in a row: the output of each is the input of the next.

    The same layer may stand in it twice, and in other nets as well: it is one set of parameters, listed once,
    with a state per position. A layer is named by its slot: class name in snake case, `lstm`, `lstm_2`, ...

    Args:
        layers: layers, or pairs (name, layer) where the name matters.
        name: what error messages and an enclosing container call it.

    Shapes:
        As the first and the last layer have them. The state is a dict by slot name, of the layers that have one.

    Params:
        The layers', by dotted names: "lstm.Wx", nested "encoder.lstm.Wx".

    Raises:
        UnknownNameError: for a name that is not there. Errors raised inside carry the path of the layer.

    Example:
        >>> net = minidl.Sequential([minidl.Embedding(50, 8), minidl.LSTM(16), ("scores", minidl.Dense(50))])
        >>> net.build((None,))
        (50,)
        >>> list(net.params)
        ['embedding.E', 'lstm.Wx', 'lstm.Wh', 'lstm.b', 'scores.W', 'scores.b']
        >>> head = minidl.Sequential([net["embedding"], net["lstm"], minidl.Dense(2)])  # trains the same rows
    """

    def __init__(self, layers: Iterable[Layer | tuple[str, Layer]] = (), *, name: str | None = None) -> None:
        if isinstance(layers, Layer):
            raise ArgumentError(f"Sequential expects a list of layers, got {layers!r}: write Sequential([...]).")
        super().__init__(name)
        for entry in layers:
            if isinstance(entry, tuple) and len(entry) == 2:
                self.add(entry[1], name=entry[0])
            else:
                self.add(entry)  # which says what is wrong with anything else

    def add(self, layer: Layer, name: str | None = None) -> Sequential:
        """Append a layer; returns the net, so that calls can be chained."""
        self._check_layer(layer)
        name = self._free_name(layer) if name is None else name
        self._check_name(name)
        self.layers[name] = layer
        self.in_shape = self.out_shape = None  # to be built again: what is there is kept
        return self

    # -- the pass ---------------------------------------------------------------------------------

    def forward_with_state(
        self,
        x: Any,
        state: dict[str, Any] | None = None,
        *,
        start: Any = None,
        mask: Array | None = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Any, dict[str, Any] | None, SequentialCache | None]:
        self._check_state(state)
        if isinstance(x, tuple) and self.layers and not self[0].takes_several:
            raise ShapeError(f"{self._title()} expects one input, got a tuple of {len(x)}: a Graph takes several.")
        x, current = clear_padding(x, mask), mask
        states: dict[str, Any] = {}
        outlines: dict[str, Any] = {}
        caches = []
        for name, layer in self.layers.items():
            with self._place(name):
                x, after, cache = layer.forward_with_state(
                    x,
                    None if state is None else state.get(name),
                    start=start,
                    mask=current if layer.mixes_steps else None,
                    rng=rng,
                    keep_cache=keep_cache,
                )
                current = None if current is None else layer.hand_on(current)
            if after is not None:
                states[name] = after
                if keep_cache:  # for backward where no gradient comes in from above
                    outlines[name] = outline(x)
            caches.append(cache)
        return x, states or None, SequentialCache(caches, outlines, mask) if keep_cache else None

    def backward_with_state(
        self, dy: Any, dstate: dict[str, Any] | None, cache: SequentialCache
    ) -> tuple[Any, dict[str, Any] | None]:
        self._check_state(dstate)
        check_kept(self._title(), cache)
        before: dict[str, Any] = {}
        for (name, layer), layer_cache in zip(reversed(self.layers.items()), reversed(cache.layers), strict=True):
            d = None if dstate is None else dstate.get(name)
            if dy is None:  # ids came in behind it: only its own final state can have a gradient
                if d is None:
                    continue
                dy = zeros_like(cache.outlines[name])
            with self._place(name):
                dy, d = layer.backward_with_state(dy, d, layer_cache)
            if d is not None:
                before[name] = d
        dx = None if dy is None else clear_padding(dy, cache.mask)
        return dx, dict(reversed(before.items())) or None

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        if not self.layers:
            raise ArgumentError(f"{self._title()} has no layers to build: add some first.")
        shapes, shape = {}, in_shape
        for name, layer in self.layers.items():
            with self._place(name):
                shape = shapes[name] = layer.build(shape, rng, dtype)
        if self.in_shape in (None, in_shape):
            self.shapes = shapes
        return shape

    def hand_on(self, mask: Array) -> Array | None:
        current: Array | None = mask
        for layer in self.layers.values():
            current = None if current is None else layer.hand_on(current)
        return current

    def example(self, in_shape: Shape, rng: np.random.Generator, batch: int = 3, time: int = 5) -> Any:
        return self[0].example(in_shape, rng, batch, time)

    # -- parts ------------------------------------------------------------------------------------

    @overload
    def __getitem__(self, key: int | str) -> Layer: ...
    @overload
    def __getitem__(self, key: slice) -> Sequential: ...
    def __getitem__(self, key: int | str | slice) -> Layer:
        """A layer by position, name or dotted path; a slice is a net of the very same layers."""
        if isinstance(key, slice):
            part = Sequential(list(self.layers.items())[key], name=self.name)
            begin, _, stride = key.indices(len(self))
            if self.in_shape is not None and part.layers and stride == 1:
                before = list(self.layers)[begin - 1]
                part.in_shape = self.in_shape if begin == 0 else self.shapes[before]
                part.shapes = {name: self.shapes[name] for name in part.layers}
                part.out_shape = part.shapes[list(part.layers)[-1]]
            return part
        return super().__getitem__(key)

    def config(self) -> dict[str, Any]:
        return {"layers": list(self.layers.items()), "name": self.name}
