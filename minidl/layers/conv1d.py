"""`Conv1D`: a weighted sum over a window of steps; `Conv1DState`, the inputs that a causal one still looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from minidl.arguments import flag, positive_int
from minidl.errors import ArgumentError, ShapeError
from minidl.initializers import Initializer, choose, drawn, glorot_uniform, zeros
from minidl.inputs import Array, Shape, check_kept, clear_padding
from minidl.kernels import product
from minidl.kernels.buffers import empty
from minidl.layers.recurrent import Stateful, stop_at_start


class Conv1DState(NamedTuple):
    """What a causal Conv1D remembers: its last width - 1 inputs, x [B, width - 1, D]. A tuple (x,) serves too."""

    x: Array


class Conv1DPass(NamedTuple):
    """The cache of a pass: the windows [B, T', width, D] that were multiplied, and where they came from."""

    windows: Array
    steps: int  # T of x
    mask: Array | None
    real_first: Array | None  # [B, most real steps of a row]: their places, then those of padding
    counts: Array | None  # [B]: the real steps; of a causal one
    start: Any


class Conv1D(Stateful):
    """Convolve over time: each step of y is the weighted sum of `width` steps of x, the same weights at all steps.

        y[t] = sum_k x[t + k - left] W[k] + b        k = 0 ... width - 1

    Args:
        units: the size of a step of y.
        width: how many steps a window has.
        padding: what stands outside of the sequence. "valid": nothing, windows lie inside of it (left = 0);
            "same": 0 on both sides, so that y has the steps of x (left = (width - 1) // 2); "causal": 0 in
            front, so that y looks at no later step (left = width - 1).
        bias: whether b is added.
        init: initializers by parameter, {"W": minidl.he_normal}.

    Shapes:
        x [B, T, D] -> y [B, T, units], or [B, T - width + 1, units] with "valid".
        With "causal" the state is x [B, width - 1, D], the last inputs: a sequence may come in windows.
        With a mask [B, T], padding counts as 0, and the y of padding is 0; with "valid" a step of y is real where
        its whole window is. A causal one skips padding: its windows hold the last real steps.

    Params:
        W [width, D, units], b [units].

    Raises:
        ArgumentError: for an argument out of range. ShapeError: for x or a state that does not fit, and for fewer
            steps than a window has, with "valid".

    Notes:
        The windows are laid out side by side, for one product instead of `width`: the cache of a pass is `width`
        times x.

    Source:
        Waibel et al. 1989 (time-delay neural networks); van den Oord et al. 2016 (causal).

    Example:
        >>> conv = minidl.Conv1D(1, 2, padding="causal", init={"W": minidl.ones})
        >>> conv.build((None, 1))
        (None, 1)
        >>> conv([[[1.0], [2.0], [3.0]]]).ravel()
        array([1., 3., 5.], dtype=float32)
    """

    return_sequences = True

    def __init__(
        self,
        units: int,
        width: int,
        *,
        padding: Literal["valid", "same", "causal"] = "valid",
        bias: bool = True,
        init: Mapping[str, Initializer] | None = None,
    ) -> None:
        if not isinstance(padding, str) or padding not in ("valid", "same", "causal"):
            raise ArgumentError(f"Conv1D expects padding to be 'valid', 'same' or 'causal', got {padding!r}.")
        self.units = positive_int("Conv1D", "units", units)
        self.width = positive_int("Conv1D", "width", width)
        self.padding = padding
        self.bias = flag("Conv1D", "bias", bias, "an activation is a layer behind it, such as ReLU()")
        self.init = choose("Conv1D", init, W=glorot_uniform, b=zeros)

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        T, D = self.check_in_shape(in_shape)
        if T is not None:
            T = self.steps_of_y(T)
        self.W = self.add_param("W", drawn(self.init["W"], (self.width, D, self.units), rng, dtype))
        if self.bias:
            self.b = self.add_param("b", drawn(self.init["b"], (self.units,), rng, dtype))
        return (T, self.units)

    def steps_of_y(self, T: int) -> int:
        """How many steps come out of T."""
        if self.padding != "valid":
            return T
        if self.width > T:
            raise ShapeError(
                f"Conv1D expects at least {self.width} steps, its width, got {T}: make the sequences longer, or take "
                f"padding='same' or 'causal'."
            )
        return T - self.width + 1

    def initial_state(self, batch: int) -> Conv1DState | None:
        if not self.streams:
            return None
        width, D, _ = self.W.value.shape
        return Conv1DState(np.zeros((batch, width - 1, D), self.W.value.dtype))

    @property
    def streams(self) -> bool:
        return self.padding == "causal"

    def hand_on(self, mask: Array) -> Array:
        if self.padding != "valid":
            return mask
        T = mask.shape[1] - self.width + 1
        return np.logical_and.reduce([mask[:, k : k + T] for k in range(self.width)])

    def example(self, in_shape: Shape, rng: np.random.Generator, batch: int = 3, time: int = 5) -> Array:
        return super().example(in_shape, rng, batch, max(time, self.width) if self.padding == "valid" else time)

    def forward_with_state(
        self,
        x: Array,
        state: Any = None,
        *,
        start: Any = None,
        mask: Array | None = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Array, Conv1DState | None, Conv1DPass | None]:
        width, D, _ = self.W.value.shape
        x = self.check_input(x, mask, D)
        T = x.shape[1]
        real_first = counts = after = None
        if self.padding == "causal":
            (before,) = self.begin(x, state, start)
            counts = np.full(len(x), T) if mask is None else mask.sum(axis=1)
            if mask is not None:
                real_first = np.argsort(~mask, axis=1, kind="stable")[:, : counts.max(initial=0)]
                x = x[rows_of(x), real_first]
            x = np.concatenate([before, x], axis=1)
            after = Conv1DState(x[last_steps(counts, width - 1)])
        elif self.padding == "same":
            x = np.pad(x, ((0, 0), ((width - 1) // 2, width // 2), (0, 0)))
        else:
            self.steps_of_y(T)
        windows = empty((len(x), x.shape[1] - width + 1, width, D), x.dtype)
        for k in range(width):
            windows[:, :, k] = x[:, k : k + windows.shape[1]]
        y = product(windows.reshape(-1, width * D), self.W.value.reshape(width * D, self.units))
        if self.bias:
            y += self.b.value
        y = spread_out(y.reshape(*windows.shape[:2], self.units), real_first, T)
        if mask is not None:
            y = clear_padding(y, self.hand_on(mask))
        return y, after, Conv1DPass(windows, T, mask, real_first, counts, start) if keep_cache else None

    def backward_with_state(self, dy: Array, dstate: Any, cache: Conv1DPass) -> tuple[Array, Conv1DState | None]:
        check_kept("Conv1D", cache)
        windows, T, mask, real_first, counts, start = cache
        B, steps, width, D = windows.shape
        if mask is not None:
            dy = clear_padding(dy, self.hand_on(mask))
        if real_first is not None:
            dy = dy[rows_of(dy), real_first]
        W, dy2 = self.W.value.reshape(width * D, self.units), dy.reshape(B * steps, self.units)
        self.W.grad += product(windows.reshape(B * steps, width * D).T, dy2).reshape(self.W.grad.shape)
        if self.bias:
            self.b.grad += dy2.sum(axis=0)
        dwindows = product(dy2, W.T).reshape(windows.shape)
        dx = np.zeros((B, steps + width - 1, D), dwindows.dtype)
        for k in range(width):
            dx[:, k : k + steps] += dwindows[:, :, k]
        if counts is not None:
            if dstate is not None:
                dx[last_steps(counts, width - 1)] += dstate[0]
            dbefore = Conv1DState(*stop_at_start((dx[:, : width - 1],), start))
            return spread_out(dx[:, width - 1 :], real_first, T), dbefore
        left = (width - 1) // 2 if self.padding == "same" else 0
        return clear_padding(dx[:, left : left + T], mask), None


def last_steps(counts: Array, width: int) -> tuple[Array, Array]:
    """The index of `width` steps of each row from step counts on: the last ones, where a state stands in front."""
    return rows_of(counts), counts[:, None] + np.arange(width)


def spread_out(x: Array, places: Array | None, T: int) -> Array:
    """The steps of x at their places among T, 0 elsewhere; x itself where it was not brought together."""
    if places is None:
        return x
    y = np.zeros((len(x), T, x.shape[2]), x.dtype)
    y[rows_of(y), places] = x
    return y


def rows_of(a: Array) -> Array:
    """The index of all rows, [B, 1], to go with one of steps."""
    return np.arange(len(a))[:, None]
