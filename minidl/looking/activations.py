"""What the recurrent layers of a net do while it reads: every quantity by its letter, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.arguments import positive_int
from minidl.checking.watched import Call, can_trace, parts, traced, watch
from minidl.errors import ArgumentError, NonFiniteError, NotBuiltError, ShapeError
from minidl.inputs import Array, cast_input, several, shape_text
from minidl.layer import Layer

CHUNK = 500  # steps read at a time, the state carried on: a pass over all of them would keep them all at once


def activations(net: Layer, x: Any, chunk: int = CHUNK) -> dict[str, dict[str, Array]]:
    """Let a net read one sequence, and note what its recurrent layers compute on the way.

    Args:
        net: a built layer or net with one input.
        x: ids [T] or features [T, D], as the net takes them, without the batch axis or with one row.
        chunk: how many steps are read at a time, with the state carried on; a net that cannot be streamed reads all
            of them at once.

    Returns:
        By the layer's dotted path, in the order in which they run: {"lstm": {"i": [T, H], "f": ..., "c": ..., ...}},
        as the layer's `trace` names them. A lone layer goes by the name of its class.

    Raises:
        ArgumentError: for a net without a recurrent layer. ShapeError: for more rows than one. NonFiniteError: where
            a layer computes NaN or infinity.

    Example:
        >>> from minidl.looking import activations
        >>> net = minidl.Sequential([minidl.Embedding(9, 4), minidl.LSTM(8, return_sequences=True), minidl.Dense(9)])
        >>> _ = net.build((None,))
        >>> found = activations(net, [1, 2, 3, 4, 5])
        >>> {path: list(traced) for path, traced in found.items()}
        {'lstm': ['i', 'f', 'g', 'c', 'o', 'h']}
        >>> found["lstm"]["f"].shape
        (5, 8)
    """
    row = as_row(net, x)
    positive_int("activations", "chunk", chunk)
    traceable(net)
    told: dict[str, dict[str, list[Array]]] = {}

    def note(call: Call) -> None:
        path = name_of(call)
        for letter, a in traced(call).items():
            if not np.isfinite(a).all():
                raise NonFiniteError(
                    f"activations expects finite numbers, got {letter} of layer {path!r} with some that are not: its "
                    f"training went wrong, see minidl.checking.find_nonfinite."
                )
            told.setdefault(path, {}).setdefault(letter, []).append(a[0])

    twin = net.copy()
    watch(twin, note, lambda back: None)
    state = None
    for at in range(0, row.shape[1], chunk if net.streams else row.shape[1]):
        part = row[:, at : at + chunk] if net.streams else row
        _, state, _ = twin.forward_with_state(part, state, keep_cache=False)
    return {
        path: {letter: np.concatenate(pieces) for letter, pieces in letters.items()} for path, letters in told.items()
    }


def name_of(call: Call) -> str:
    """The dotted path of a layer; its class, where it is all of the net."""
    return call.path or type(call.layer).__name__.lower()


def as_row(net: Layer, x: Any) -> Array:
    """One sequence as the net takes it, [1, T, ...]."""
    if not isinstance(net, Layer) or net.in_shape is None:
        raise NotBuiltError(f"Expected is a built net, got {type(net).__name__}: train it, load one, or build it.")
    if several(net.in_shape):
        raise ArgumentError(
            f"Expected is a net with one input, got one for {shape_text(net.in_shape)}: look at a part."
        )
    row = np.asarray(cast_input(x, net.dtype))
    row = row[None] if row.ndim == len(net.in_shape) else row
    if row.ndim != len(net.in_shape) + 1 or len(row) != 1 or not row.shape[1]:
        raise ShapeError(
            f"Expected is one sequence of at least one step for {shape_text(net.in_shape)}, got {np.shape(x)}: give a "
            f"single row."
        )
    return row


def traceable(net: Layer) -> list[str]:
    """The paths of the layers that can be looked into; refuse a net without any."""
    found = [path for path, layer in parts(net) if can_trace(layer)]
    if not found:
        raise ArgumentError(
            "There is nothing to look into: the net has no recurrent layer with a trace, such as LSTM, GRU or "
            "SimpleRNN."
        )
    return found


def cell_values(traced: dict[str, Array]) -> Array:
    """What a layer remembers, in [-1, 1] where it is bounded: tanh(c) of an LSTM, h of other layers, [T, H].

    Example:
        >>> from minidl.looking import cell_values
        >>> cell_values({"c": np.array([[0.0, 100.0]]), "h": np.array([[0.0, 0.2]])})
        array([[0., 1.]])
    """
    if "c" in traced:
        return np.tanh(traced["c"])
    return traced["h"] if "h" in traced else next(iter(traced.values()))
