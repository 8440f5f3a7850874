"""A net that is watched: each pass of each layer is told, with all that came in and went out, as it happens."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minidl.container import Container
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.layers import LearnedState


class Call(NamedTuple):
    """A forward pass of one layer: its dotted path in the net ("" for the net itself), what it got and gave."""

    path: str
    layer: Layer
    x: Any
    state: Any
    start: Any
    mask: Any  # of x, also where the layer itself does not want it
    rng: Any  # as it was before the pass
    y: Any
    after: Any

    @property
    def y_mask(self) -> Any:
        """The mask of y."""
        return None if self.mask is None else self.layer.hand_on(self.mask)

    @property
    def title(self) -> str:
        """What messages call the layer."""
        kind = type(self.layer).__name__
        return f"layer {self.path!r} ({kind})" if self.path else f"the {kind}"


class BackwardCall(NamedTuple):
    """The way back through it."""

    call: Call
    dy: Any
    dstate: Any
    dx: Any
    dbefore: Any


class Kept(NamedTuple):
    """A layer's cache, and the pass that it belongs to."""

    cache: Any
    call: Call


def watch(net: Layer, on_forward: Callable[[Call], None], on_backward: Callable[[BackwardCall], None]) -> None:
    """Let a net tell its passes from now on, inner layers before those around them; it is changed, so give a copy.

    Example:
        >>> from minidl.checking.watched import watch
        >>> net = minidl.Sequential([minidl.Dense(2), minidl.Tanh()])
        >>> _ = net.build((3,))
        >>> watch(net, lambda call: print(call.path or "all of it"), lambda back: None)
        >>> _ = net.forward(np.ones((1, 3), np.float32))
        dense
        tanh
        all of it
    """
    places: dict[int, tuple[Layer, list[str]]] = {}
    for path, layer in parts(net):
        places.setdefault(id(layer), (layer, []))[1].append(path)
    for layer, paths in places.values():
        watch_layer(layer, paths, layer.mixes_steps or layer is net, on_forward, on_backward)


def parts(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield a layer and all whose passes can be watched inside it, in the order in which they run, by dotted path."""
    yield path, layer
    for name, inner in inner_layers(layer).items():
        yield from parts(inner, f"{path}.{name}" if path else name)


def inner_layers(layer: Layer) -> dict[str, Layer]:
    """Return the layers inside whose passes go through `forward_with_state`.

    A layer of your own may call either pair of the layers that it holds, so it is watched as a whole.
    """
    if isinstance(layer, Container):
        return layer.layers
    return {"layer": layer.layer} if isinstance(layer, LearnedState) else {}


def watch_layer(
    layer: Layer,
    paths: list[str],
    wants_mask: bool,
    on_forward: Callable[[Call], None],
    on_backward: Callable[[BackwardCall], None],
) -> None:
    """Put methods that tell in front of the layer's own; one that stands at several places runs at them in order."""
    forward, backward = layer.forward_with_state, layer.backward_with_state
    order = iter(paths)

    def forward_told(
        x: Any,
        state: Any = None,
        *,
        start: Any = None,
        mask: Any = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Any, Any, Any]:
        path, before = next(order, paths[-1]), copy.deepcopy(rng)
        own_mask = mask if wants_mask else None
        y, after, cache = forward(x, state, start=start, mask=own_mask, rng=rng, keep_cache=keep_cache)
        call = Call(path, layer, x, state, start, mask, before, y, after)
        on_forward(call)
        return y, after, Kept(cache, call)

    def backward_told(dy: Any, dstate: Any, kept: Kept) -> tuple[Any, Any]:
        dx, dbefore = backward(dy, dstate, kept.cache)
        on_backward(BackwardCall(kept.call, dy, dstate, dx, dbefore))
        return dx, dbefore

    vars(layer).update(forward_with_state=forward_told, backward_with_state=backward_told, mixes_steps=True)


def can_trace(layer: Layer) -> bool:
    """Whether it is a recurrent layer that tells what it computes; one around another leaves it to that one."""
    return hasattr(layer, "trace") and not inner_layers(layer)


def traced(call: Call, back: BackwardCall | None = None) -> dict[str, Array]:
    """What the layer's trace tells of a pass, in its order; nothing for a layer without one."""
    layer: Any = call.layer
    if not can_trace(layer):
        return {}
    dy, dstate = (None, None) if back is None else (back.dy, back.dstate)
    rng = copy.deepcopy(call.rng)
    arrays: dict[str, Array] = layer.trace(call.x, call.state, dy, dstate, start=call.start, mask=call.mask, rng=rng)
    return {name: a for name, a in arrays.items() if a.ndim >= 2}
