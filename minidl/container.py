"""`Container`: what all nets share: layers under names, their parameters by dotted path, errors that say where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minidl.errors import ArgumentError, ShapeError, UnknownNameError, tell_place
from minidl.inputs import Shape
from minidl.layer import Layer
from minidl.summary import print_summary

BESIDES = "layers", "vocab", "facts"  # attributes that are not looked through for more layers


class Container(Layer, abstract=True):
    """A layer that is made of layers: the base of `Sequential` and `Graph`.

    The same layer may stand in it twice, and in other nets as well: it is one set of parameters, listed once (under
    its first name), with a state per position. The state is a dict by name, of the layers that have one.

    Example:
        >>> net = minidl.Sequential([minidl.Embedding(50, 8), ("scores", minidl.Dense(50))])
        >>> isinstance(net, minidl.Container), list(net.layers), net["scores"] is net[1]
        (True, ['embedding', 'scores'], True)
    """

    mixes_steps = takes_several = runs_layers = True

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise ArgumentError(f"{type(self).__name__} expects name to be a word, got {name!r:.60}.")
        self.name = name
        self.layers: dict[str, Layer] = {}
        self.shapes: dict[str, Shape] = {}  # the outputs' shapes by layer, once it is built
        self.vocab: Any = None  # of a language model; travels in its file, as do the facts of its training
        self.facts: dict[str, Any] = {}

    # -- parts ------------------------------------------------------------------------------------

    @property
    def sublayers(self) -> dict[str, Layer]:
        """The layers by name, and those that a subclass holds besides."""
        held = {id(layer) for layer in self.layers.values()}
        more = {name: layer for name, layer in super().sublayers.items() if id(layer) not in held}
        taken = next((name for name in more if name.partition(".")[0] in self.layers), None)
        if taken is not None:
            raise ArgumentError(f"{self._title()} has a layer {taken!r} and another one as an attribute. Rename one.")
        return self.layers | more

    def _attributes(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in super()._attributes() if name not in BESIDES]

    def __getitem__(self, key: int | str) -> Any:
        """A layer by position, name or dotted path."""
        if not isinstance(key, str):
            return list(self.layers.values())[key]
        first, _, rest = key.partition(".")
        if first not in self.layers:
            raise UnknownNameError(f"{self._title()} has no layer {first!r}: it has {', '.join(self.layers)}.")
        layer = self.layers[first]
        while rest:
            inner = layer.sublayers
            if not inner:
                raise UnknownNameError(f"{self._title()}: {first!r} is a {type(layer).__name__}, it has no layers.")
            name = next((name for name in inner if f"{rest}.".startswith(f"{name}.")), None)
            if name is None:
                raise UnknownNameError(f"{self._title()}: {first!r} has no layer {rest!r}: it has {', '.join(inner)}.")
            first, layer, rest = f"{first}.{name}", inner[name], rest[len(name) + 1 :]
        return layer

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers.values())

    def initial_state(self, batch: int) -> dict[str, Any] | None:
        states = {name: layer.initial_state(batch) for name, layer in self.layers.items()}
        return {name: state for name, state in states.items() if state is not None} or None

    @property
    def streams(self) -> bool:
        """Whether all layers can be streamed, and the state has a part for each that a subclass holds besides."""
        held = {id(layer) for layer in self.layers.values()}
        besides = {
            name
            for name, layer in self.sublayers.items()
            if id(layer) not in held and layer.in_shape is not None and layer.initial_state(1) is not None
        }
        kept = not besides or besides <= (self.initial_state(1) or {}).keys()
        return kept and all(layer.streams for layer in self.sublayers.values())

    @property
    def last(self) -> Layer | None:
        """The layer that the output comes from; None where there is not one alone."""
        return list(self.layers.values())[-1] if self.layers else None

    def summary(self) -> None:
        """Print a table of the layers: name, type, output shape, parameters, frozen, shared, bytes."""
        print_summary(self)

    # -- for the subclasses -----------------------------------------------------------------------

    def _title(self) -> str:
        return f"{type(self).__name__} {self.name!r}" if self.name else type(self).__name__

    def _where(self, name: str) -> str:
        """The place of a layer, for messages."""
        return f"{self._title()}, layer {list(self.layers).index(name) + 1} of {len(self)}, {name!r}"

    def _check_layer(self, layer: Any) -> None:
        """Refuse what is no layer."""
        if not isinstance(layer, Layer):
            hint = f": write {layer.__name__}(...)" if isinstance(layer, type) and issubclass(layer, Layer) else ""
            raise ArgumentError(f"{self._title()} expects layers, got {layer!r}{hint}.")
        if any(inner is self for inner in layer._tree()):
            raise ArgumentError(f"{self._title()} cannot contain itself. Add a copy: net.copy().")

    def _check_name(self, name: Any, what: str = "a layer's name") -> None:
        """Refuse what is no name, or one that is taken."""
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(f"{self._title()} expects {what} to be a word without dots, got {name!r}.")
        if name in self.layers:
            raise ArgumentError(f"{self._title()} has a layer {name!r} already: choose another name.")

    def _free_name(self, layer: Layer) -> str:
        """The name of a layer that was given none: its own or its class in snake case, numbered from the second on."""
        base = layer.name or re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z]|[A-Z]{3})", "_", type(layer).__name__).lower()
        name, count = base, 1
        while name in self.layers:
            name, count = f"{base}_{count + 1}", count + 1
        return name

    @contextmanager
    def _place(self, name: str) -> Iterator[None]:
        """Let what is raised inside say which layer of which net it was."""
        try:
            yield
        except Exception as error:
            tell_place(error, self._where(name))
            raise

    def _check_state(self, state: Any) -> None:
        """Refuse what is no dict by the names of layers."""
        if state is None or (isinstance(state, dict) and state.keys() <= self.layers.keys()):
            return
        came = f"one for {', '.join(map(str, state))}" if isinstance(state, dict) else type(state).__name__
        raise ShapeError(f"{self._title()} expects a state that is a dict by layer name, got {came}.")
