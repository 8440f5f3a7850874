"""What the recurrent layers share: `Stateful` checks what comes in and says which state a pass begins from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Array, Shape, check_kept, clear_padding, require_array, shape_text, start_rows
from minidl.layer import Layer

MISSING_TIME = "add a time axis; where a recurrent layer stands before it, give that one return_sequences=True"


class RecurrentCache(NamedTuple):
    """The cache of a pass: the kernel's, and which rows began anew."""

    kernel: Any
    start: Any


class Stateful(Layer, abstract=True):
    """A layer whose steps follow each other. The author writes `setup`, `initial_state` and the `_with_state` pair.

    It may offer a `trace` as well, which lets the doctor look inside a pass: see `layers/tracing.py`.

    Example:
        >>> issubclass(minidl.LSTM, minidl.Stateful)
        True
    """

    mixes_steps = True
    units: int
    return_sequences: bool = False
    go_backwards: bool = False

    @property
    def streams(self) -> bool:
        return not self.go_backwards

    def hand_on(self, mask: Array) -> Array | None:
        return mask if self.return_sequences else None

    def turned(self) -> Stateful:
        """A layer with the same arguments that runs the other way, not built yet: it gets weights of its own."""
        arguments = self.config()
        if "go_backwards" not in arguments:
            raise ArgumentError(
                f"A recurrent layer such as LSTM(8) is expected, to run both ways, got {self!r}: it cannot be turned."
            )
        arguments["go_backwards"] = not self.go_backwards
        if hasattr(self, "init"):
            arguments["init"] = self.init
        return type(self)(**arguments)

    def check_in_shape(self, in_shape: Shape) -> tuple[int | None, int]:
        """Refuse what is not (T, D)."""
        if len(in_shape) == 2 and in_shape[1] is not None:
            return in_shape[0], in_shape[1]
        hint = MISSING_TIME
        if in_shape == (None,):
            hint = "put an Embedding in front of it"
        elif len(in_shape) == 2:
            hint = "the size of a step has to be known, like (None, 32)"
        elif len(in_shape) > 2:
            hint = "leave the batch axis out of in_shape, or flatten what stands behind the time axis"
        raise ShapeError(
            f"{type(self).__name__} expects inputs of shape [B, T, D], got {shape_text(in_shape)}: {hint}."
        )

    def check_input(self, x: Array, mask: Array | None, D: int) -> Array:
        """x with its padding cleared; refuse what is not numbers [B, T, D]."""
        require_array(x)
        if x.ndim != 3 or x.shape[2] != D or x.dtype.kind not in "fc":
            hint = MISSING_TIME
            if x.ndim > 3:
                hint = "flatten what stands behind the time axis"
            elif x.ndim == 3:
                hint = "it was built for that size" if x.shape[2] != D else "make them floats, x.astype(np.float32)"
            elif x.dtype.kind in "iu":
                hint = "put an Embedding in front of it, these look like ids"
            raise ShapeError(
                f"{type(self).__name__} expects x of shape [B, T, {D}], got {x.shape} of {x.dtype}: {hint}."
            )
        return clear_padding(x, mask)

    def begin(self, x: Array, state: Any, start: Any) -> tuple[Array, ...]:
        """The state before the first step: what came in, with the rows that start anew set to the initial one."""
        first = self.initial_state(len(x))
        anew = None if start is None else start_rows(start, len(x))
        if state is None or (anew is not None and anew.all()):
            return tuple(first)
        expected = [a.shape for a in first]
        came = [np.shape(a) for a in state] if isinstance(state, tuple | list) else type(state).__name__
        if came != expected:
            hint = f"give a tuple of {len(expected)} arrays"
            if isinstance(came, list) and [c[1:] for c in came] == [e[1:] for e in expected]:
                hint = "another batch size needs a new state (state=None, or start=True)"
            raise ShapeError(f"{type(self).__name__} expects a state of arrays {expected}, got {came}: {hint}.")
        if anew is None:
            return tuple(np.asarray(b, a.dtype) for a, b in zip(first, state, strict=True))
        rows = (start_rows(start, len(a), a.ndim) for a in first)
        mixed = (np.where(row, a, b) for row, a, b in zip(rows, first, state, strict=True))
        return tuple(b.astype(a.dtype, copy=False) for a, b in zip(first, mixed, strict=True))

    def flows_in(self, dy: Any, dh: Array) -> tuple[Array | None, Array]:
        """What of dy goes to the steps, and the gradient of the final h, which is y where no sequence is returned."""
        return (dy, dh) if dy is None or self.return_sequences else (None, dh + dy)

    def add_gradients(self, grads: dict[str, Array]) -> None:
        """Add what the kernel gives to the gradients of the parameters."""
        for name, grad in grads.items():
            self.params[name].grad += grad

    def check_cache(self, cache: RecurrentCache) -> Any:
        """The kernel's cache; refuse that of a pass that kept none."""
        check_kept(type(self).__name__, cache.kernel)
        return cache.kernel


def stop_at_start(dstate: tuple[Array, ...], start: Any) -> tuple[Array, ...]:
    """The gradient of the incoming state: 0 in the rows that did not begin from it."""
    if start is None:
        return dstate
    return tuple(np.where(start_rows(start, len(d), d.ndim), 0, d) for d in dstate)
