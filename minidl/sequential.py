"""`Sequential`: layers in a row, which together are a layer again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, overload

import numpy as np

from minidl.errors import ArgumentError, ShapeError, UnknownNameError, tell_place
from minidl.inputs import Array, Shape, clear_padding
from minidl.layer import Layer
from minidl.parameter import Parameter
from minidl.summary import print_summary, rows_of


class SequentialCache(NamedTuple):
    """The caches of the layers, in order, and the mask that the input came with."""

    layers: list[Any]
    mask: Array | None


class Sequential(Layer):
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

    mixes_steps = True

    def __init__(self, layers: Iterable[Layer | tuple[str, Layer]] = (), name: str | None = None) -> None:
        self.name = name
        if isinstance(layers, Layer):
            raise ArgumentError(f"Sequential expects a list of layers, got {layers!r}: write Sequential([...]).")
        self.layers: dict[str, Layer] = {}
        self.shapes: dict[str, Shape] = {}  # the outputs' shapes by layer, once it is built
        self.vocab: Any = None  # of a language model; travels in its file, as do the facts of its training
        self.facts: dict[str, Any] = {}
        for entry in layers:
            if isinstance(entry, tuple) and len(entry) == 2:
                self.add(entry[1], name=entry[0])
            else:
                self.add(entry)  # which says what is wrong with anything else

    def add(self, layer: Layer, name: str | None = None) -> Sequential:
        """Append a layer; returns the net, so that calls can be chained."""
        if not isinstance(layer, Layer):
            hint = f": write {layer.__name__}(...)" if isinstance(layer, type) and issubclass(layer, Layer) else ""
            raise ArgumentError(f"{self._title()} expects layers, got {layer!r}{hint}.")
        if name is None:
            base = layer.name or re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z]|[A-Z]{3})", "_", type(layer).__name__).lower()
            name, count = base, 1
            while name in self.layers:
                name, count = f"{base}_{count + 1}", count + 1
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(f"{self._title()} expects a layer's name to be a word without dots, got {name!r}.")
        if name in self.layers:
            raise ArgumentError(f"{self._title()} has a layer {name!r} already: choose another name.")
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
        x, current = clear_padding(x, mask), mask
        states: dict[str, Any] = {}
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
            caches.append(cache)
        return x, states or None, SequentialCache(caches, mask) if keep_cache else None

    def backward_with_state(
        self, dy: Any, dstate: dict[str, Any] | None, cache: SequentialCache
    ) -> tuple[Any, dict[str, Any] | None]:
        self._check_state(dstate)
        if cache is None:
            raise ArgumentError(
                f"{self._title()} expects the cache of a pass that kept one: run it with keep_cache=True."
            )
        before: dict[str, Any] = {}
        for (name, layer), layer_cache in zip(reversed(self.layers.items()), reversed(cache.layers), strict=True):
            with self._place(name):
                dy, d = layer.backward_with_state(dy, None if dstate is None else dstate.get(name), layer_cache)
            if d is not None:
                before[name] = d
            if dy is None:  # ids came in here: nothing flows further back
                break
        dx = None if dy is None else clear_padding(dy, cache.mask)
        return dx, dict(reversed(before.items())) or None

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        if not self.layers:
            raise ArgumentError(f"{self._title()} has no layers to build: add some first.")
        before = [(layer, dict(vars(layer))) for _, layer, _, _ in rows_of(self)]
        shapes, shape = {}, in_shape
        try:
            for name, layer in self.layers.items():
                with self._place(name):
                    shape = shapes[name] = layer.build(shape, rng, dtype)
        except BaseException:
            for layer, attributes in before:  # a net that could not be built is as it was
                vars(layer).clear()
                vars(layer).update(attributes)
            raise
        if self.in_shape is None:
            self.shapes = shapes
        return shape

    def initial_state(self, batch: int) -> dict[str, Any] | None:
        states = {name: layer.initial_state(batch) for name, layer in self.layers.items()}
        return {name: state for name, state in states.items() if state is not None} or None

    def hand_on(self, mask: Array) -> Array | None:
        current: Array | None = mask
        for layer in self.layers.values():
            current = None if current is None else layer.hand_on(current)
        return current

    @property
    def streams(self) -> bool:
        return all(layer.streams for layer in self.layers.values())

    def example(self, in_shape: Shape, rng: np.random.Generator, batch: int = 3, time: int = 5) -> Any:
        return self[0].example(in_shape, rng, batch, time)

    # -- parts ------------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, Parameter]:
        """All parameters by dotted name; one that is shared stands under its first name only."""
        found: dict[str, Parameter] = {}
        seen: set[int] = set()
        for slot, layer in self.layers.items():
            for name, p in layer.params.items():
                if id(p) not in seen:
                    seen.add(id(p))
                    found[f"{slot}.{name}"] = p
        return found

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
        if isinstance(key, str):
            first, _, rest = key.partition(".")
            if first not in self.layers:
                raise UnknownNameError(f"{self._title()} has no layer {first!r}: it has {', '.join(self.layers)}.")
            layer = self.layers[first]
            if rest and not isinstance(layer, Sequential):
                raise UnknownNameError(f"{self._title()}: {first!r} is a {type(layer).__name__}, it has no layers.")
            return layer[rest] if rest else layer  # type: ignore[index]
        return list(self.layers.values())[key]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers.values())

    def summary(self) -> None:
        """Print a table of the layers: name, type, output shape, parameters, frozen, shared, bytes."""
        print_summary(self)

    def config(self) -> dict[str, Any]:
        return {"layers": list(self.layers.items()), "name": self.name}

    # -- words ------------------------------------------------------------------------------------

    def _title(self) -> str:
        return f"Sequential {self.name!r}" if self.name else "Sequential"

    @contextmanager
    def _place(self, name: str) -> Iterator[None]:
        """Let what is raised inside say which layer of which net it was."""
        try:
            yield
        except Exception as error:
            position = list(self.layers).index(name) + 1
            tell_place(error, f"{self._title()}, layer {position} of {len(self)}, {name!r}")
            raise

    def _check_state(self, state: Any) -> None:
        if state is None or (isinstance(state, dict) and state.keys() <= self.layers.keys()):
            return
        came = f"one for {', '.join(map(str, state))}" if isinstance(state, dict) else type(state).__name__
        raise ShapeError(f"{self._title()} expects a state that is a dict by layer name, got {came}.")
