"""What keeps a net from being fed window by window: layers that look ahead, and nodes that start from other nodes."""

from __future__ import annotations

from minidl.graph import Graph
from minidl.layer import Layer


def obstacles(net: Layer) -> str:
    """The parts of a net that cannot be streamed, in words.

    Example:
        >>> from minidl.streaming import obstacles
        >>> print(obstacles(minidl.Sequential([minidl.LSTM(3, return_sequences=True), ("mean", minidl.PoolTime())])))
        'mean', PoolTime()
    """
    return " and ".join(parts_of(net, ""))


def parts_of(layer: Layer, path: str) -> list[str]:
    """Each innermost layer that cannot be streamed, and each node of a graph that starts from another one."""
    if layer.streams:
        return []
    found = []
    for name, part in layer.sublayers.items():
        inside = f"{path}.{name}" if path else name
        origin = layer.nodes[name].state if isinstance(layer, Graph) else None
        if origin:
            found.append(f"{inside!r}, which starts from the state of {origin!r}")
        found += parts_of(part, inside)
    return found or [f"{path!r}, {layer!r:.60}" if path else f"{layer!r:.60}"]
