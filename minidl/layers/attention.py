"""Attention: each query looks at all values, and takes their weighted mean. `Attention`, `AdditiveAttention`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.arguments import positive_int
from minidl.errors import ShapeError
from minidl.initializers import Initializer, choose, drawn, glorot_uniform
from minidl.inputs import Array, Shape, as_mask, cast_input, check_kept, clear_padding, shape_text, shapes_of
from minidl.kernels import add_product
from minidl.layer import Layer
from minidl.parameter import Parameter


class AttentionPass(NamedTuple):
    """The cache of a pass: the inputs, the weights a [B, Tq, Tv], and what the scores need."""

    x: tuple[Array, ...]
    mask: Any
    a: Array
    scores: Any


class Attention(Layer):
    """Scaled dot-product attention: a value weighs the more, the more its key points where the query does.

        y = a value        a = softmax_j(s)        s[i, j] = query[i] . key[j] / sqrt(D)

    Shapes:
        x a tuple (query [B, Tq, D], value [B, Tv, Dv]) or (query, value, key [B, Tv, D]); without a key the value is
        the key -> y [B, Tq, Dv].
        With masks, a value that is padding (or whose key is) has the weight 0; a query that is padding, or that has
        nothing to look at, gives 0. The mask of y is that of the query.

    Raises:
        ShapeError: for inputs that are no such tuple, or do not fit each other.

    Notes:
        It looks at the whole sequence, so a net with it cannot be streamed. Weights take Tq * Tv numbers a row.

    Source:
        Vaswani et al. 2017, Attention is all you need.

    Example:
        >>> query, value = np.ones((1, 2, 4)), np.array([[[1.0] * 4, [3.0] * 4]])
        >>> attention = minidl.Attention()
        >>> attention((query, value)).shape
        (1, 2, 4)
        >>> attention.weights((query, value)).round(2)
        array([[[0.02, 0.98],
                [0.02, 0.98]]])
    """

    mixes_steps = takes_several = True

    @property
    def streams(self) -> bool:
        return False

    def hand_on(self, mask: Any) -> Array | None:
        return mask[0]

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        shapes = shapes_of(in_shape)
        self.fit(shapes, shape_text(in_shape))
        return (shapes[0][0], shapes[1][1])

    def weights(self, x: tuple[Any, ...], mask: Any = None) -> Array:
        """How much each query takes of each value, [B, Tq, Tv]: rows add up to 1, or to 0 where nothing is real."""
        return self.look(cast_input(x, self.dtype), as_mask(mask))[1].a

    def forward_with_state(
        self,
        x: tuple[Array, ...],
        state: Any = None,
        *,
        start: Any = None,
        mask: Any = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Array, None, AttentionPass | None]:
        value, cache = self.look(x, mask)
        return cache.a @ value, None, cache if keep_cache else None

    def look(self, x: Any, mask: Any) -> tuple[Array, AttentionPass]:
        """The values, padding cleared, and the weights that the queries give them."""
        self.check(x)
        x = clear_padding(x, mask)
        s, cache = self.scores(x[0], x[-1])
        real = all_real(mask)
        top = s.real.max(axis=-1, keepdims=True, where=real, initial=np.finfo(s.dtype).min)
        a = np.exp(s - top, where=real, out=np.zeros_like(s))
        total = a.sum(axis=-1, keepdims=True)
        a /= np.where(total == 0, 1, total)  # no value is real: then all are 0, otherwise one is exp(0)
        return x[1], AttentionPass(x, mask, a, cache)

    def backward_with_state(self, dy: Array, dstate: Any, cache: AttentionPass) -> tuple[tuple[Array, ...], None]:
        check_kept(type(self).__name__, cache)
        x, mask, a, scores = cache
        dy = clear_padding(dy, None if mask is None else mask[0])
        dvalue, da = a.swapaxes(1, 2) @ dy, dy @ x[1].swapaxes(1, 2)
        ds = a * (da - (da * a).sum(axis=-1, keepdims=True))
        dquery, dkey = self.scores_backward(ds, x[0], x[-1], scores)
        return ((dquery, dvalue, dkey) if len(x) == 3 else (dquery, dvalue + dkey)), None

    # -- what another kind of scores overrides ----------------------------------------------------

    def check_sizes(self, D: int, Dk: int) -> None:
        """Refuse queries of size D with keys of size Dk."""
        if Dk != D:
            raise ShapeError(
                f"Attention expects a query and a key of one size, got {D} and {Dk}: put a Dense behind one of them, "
                f"or take AdditiveAttention(units)."
            )

    def scores(self, query: Array, key: Array) -> tuple[Array, Any]:
        """s [B, Tq, Tv], and what its backward needs."""
        return (query / math.sqrt(query.shape[2])) @ key.swapaxes(1, 2), None

    def scores_backward(self, ds: Array, query: Array, key: Array, cache: Any) -> tuple[Array, Array]:
        """Add the parameters' gradients; return (dquery, dkey)."""
        ds = ds / math.sqrt(query.shape[2])
        return ds @ key, ds.swapaxes(1, 2) @ query

    # -- checks -----------------------------------------------------------------------------------

    def check(self, x: Any) -> None:
        """Refuse what is no query, value and key that fit each other."""
        parts = x if isinstance(x, tuple) else (x,)
        told = ", ".join(f"{a.shape} of {a.dtype}" for a in parts)
        self.fit([a.shape[1:] for a in parts], told)
        if any(a.dtype.kind not in "fc" or len(a) != len(parts[0]) for a in parts):
            raise ShapeError(f"{type(self).__name__} expects floats, as many rows in each input, got {told}.")

    def fit(self, shapes: Sequence[Shape], told: str) -> None:
        """The same for their shapes without the batch axis."""
        name = type(self).__name__
        if len(shapes) not in (2, 3) or any(len(shape) != 2 or shape[1] is None for shape in shapes):
            raise ShapeError(
                f"{name} expects a tuple (query [B, Tq, D], value [B, Tv, Dv]), or with a key [B, Tv, Dk] as the "
                f"third, got {told}: name two or three sources in the Graph, recurrent ones with return_sequences=True."
            )
        (_, D), (Tv, _), (Tk, Dk) = shapes[0], shapes[1], shapes[-1]
        if None not in (Tv, Tk) and Tv != Tk:
            raise ShapeError(f"{name} expects a key for each value, got {Tv} values and {Tk} keys.")
        self.check_sizes(D, Dk)


class AdditiveAttention(Attention):
    """Additive attention: a small net scores how well query and key go together, so their sizes may differ.

        y = a value        a = softmax_j(s)        s[i, j] = tanh(query[i] Wq + key[j] Wk) . v

    Args:
        units: the size of the net's layer, U.
        init: initializers by parameter, {"v": minidl.normal(0.1)}.

    Shapes:
        As `Attention`, with a query [B, Tq, D] and a key [B, Tv, Dk] of any sizes.

    Params:
        Wq [D, U], Wk [Dk, U], v [U].

    Raises:
        ShapeError: for inputs that are no such tuple, or do not fit each other or what it was built for.

    Notes:
        Takes Tq * Tv * U numbers a row; `Attention` takes Tq * Tv.

    Source:
        Bahdanau, Cho & Bengio 2015, Neural machine translation by jointly learning to align and translate.

    Example:
        >>> attention = minidl.AdditiveAttention(8)
        >>> attention.build(((None, 4), (None, 6)))
        (None, 6)
        >>> attention.weights((np.ones((1, 2, 4)), np.ones((1, 5, 6)))).shape
        (1, 2, 5)
    """

    def __init__(self, units: int, *, init: Mapping[str, Initializer] | None = None) -> None:
        self.units = positive_int("AdditiveAttention", "units", units)
        self.init = choose("AdditiveAttention", init, Wq=glorot_uniform, Wk=glorot_uniform, v=glorot_uniform)

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        out_shape = super().setup(in_shape, rng, dtype)
        D, Dk, U = in_shape[0][1], in_shape[-1][1], self.units
        self.Wq = self.add_param("Wq", drawn(self.init["Wq"], (D, U), rng, dtype))
        self.Wk = self.add_param("Wk", drawn(self.init["Wk"], (Dk, U), rng, dtype))
        self.v = self.add_param("v", drawn(self.init["v"], (U,), rng, dtype))
        return out_shape

    def check_sizes(self, D: int, Dk: int) -> None:
        if self.in_shape is None:
            return
        built = len(self.Wq.value), len(self.Wk.value)
        if built != (D, Dk):
            raise ShapeError(
                f"AdditiveAttention expects a query of size {built[0]} and a key of size {built[1]}, got {D} and {Dk}: "
                f"it was built for these."
            )

    def scores(self, query: Array, key: Array) -> tuple[Array, Array]:
        h = np.tanh((query @ self.Wq.value)[:, :, None] + (key @ self.Wk.value)[:, None])
        return h @ self.v.value, h

    def scores_backward(self, ds: Array, query: Array, key: Array, h: Array) -> tuple[Array, Array]:
        self.v.grad += ds.ravel() @ h.reshape(-1, self.units)
        slope = 1 - h * h
        dquery, dkey = (np.einsum(f"bij,biju->b{kept}u", ds, slope) * self.v.value for kept in "ij")
        return through(query, self.Wq, dquery), through(key, self.Wk, dkey)


def through(x: Array, W: Parameter, dy: Array) -> Array:
    """Add to the gradient of W, of y = x W; return dx."""
    rows = dy.reshape(-1, dy.shape[-1])
    add_product(x.reshape(-1, x.shape[-1]).T, rows, W.grad)
    return dy @ W.value.T


def all_real(mask: Any) -> Any:
    """Where query and value (and its key) are real, [B, Tq, Tv] or what broadcasts to it; True without masks."""
    real: Any = True
    for position, part in enumerate(mask or ()):
        if part is not None:
            real = real & (part[:, :, None] if position == 0 else part[:, None, :])
    return real
