"""`Bidirectional`: a recurrent layer that reads each sequence from both ends."""

from __future__ import annotations

from typing import Any

from minidl.errors import ArgumentError
from minidl.graph import Graph
from minidl.layer import Layer
from minidl.layers import Concatenate, Stateful


class Bidirectional(Graph):
    """Two recurrent layers over one sequence, one forwards and one backwards, and a layer that merges what they say.

    It is a graph of three nodes, `forward`, `backward` and `merge`. With a mask, each row is read backwards from its
    own last real step.

    Args:
        layer: a recurrent layer, as `LSTM(8, return_sequences=True)`; it reads forwards.
        merge: a layer of two inputs, `Concatenate()` by default, or `Add()`, `Multiply()`.
        backward: the layer that reads backwards; by default one like `layer`, with weights of its own.

    Shapes:
        x [B, T, D] -> y [B, T, 2H], or [B, 2H] without return_sequences; H where merge adds or multiplies.

    Params:
        "forward.Wx", ..., "backward.Wx", ...

    Raises:
        ArgumentError: for what is no recurrent layer, or for directions that are no pair.

    Source:
        Schuster & Paliwal 1997, Bidirectional recurrent neural networks.

    Example:
        >>> both = minidl.Bidirectional(minidl.LSTM(4, return_sequences=True))
        >>> both.build((None, 3))
        (None, 8)
        >>> list(both.params)
        ['forward.Wx', 'forward.Wh', 'forward.b', 'backward.Wx', 'backward.Wh', 'backward.b']
    """

    def __init__(self, layer: Layer, *, merge: Layer | None = None, backward: Layer | None = None) -> None:
        super().__init__()
        if not isinstance(layer, Stateful):
            hint = f": write {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise ArgumentError(f"Bidirectional expects a recurrent layer such as LSTM(8), got {layer!r}{hint}.")
        if layer.go_backwards:
            raise ArgumentError(
                f"Bidirectional expects a layer that reads forwards, got {layer!r}: leave go_backwards out."
            )
        if isinstance(merge, str):
            known = {"ave": "Add(), which is twice the mean", "mul": "Multiply()", "sum": "Add()"}
            write = known.get(merge, "Concatenate()")
            raise ArgumentError(f"Bidirectional expects merge to be a layer, got {merge!r}: write merge={write}.")
        backward = layer.turned() if backward is None else backward
        if not isinstance(backward, Stateful) or not backward.go_backwards:
            raise ArgumentError(
                f"Bidirectional expects backward to be a recurrent layer with go_backwards=True, got {backward!r}."
            )
        if layer.return_sequences != backward.return_sequences:
            raise ArgumentError(
                f"Bidirectional expects both layers to return sequences, or none of them, got {layer!r} and "
                f"{backward!r}."
            )
        self.add("forward", layer, "x").add("backward", backward, "x")
        self.add("merge", Concatenate() if merge is None else merge, "forward", "backward")

    def add(self, name: str, layer: Layer, *sources: str, state: str | None = None) -> Graph:
        """Nothing: its three nodes are all there is."""
        if "merge" in self.nodes:
            raise ArgumentError(
                f"Bidirectional has its three nodes: put {layer!r:.60} behind it, in a Sequential or a Graph."
            )
        return super().add(name, layer, *sources, state=state)

    def config(self) -> dict[str, Any]:
        return {"layer": self["forward"], "merge": self["merge"], "backward": self["backward"]}
