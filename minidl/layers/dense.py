"""The fully connected layer: y = x W + b at every position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.arguments import flag, positive_int
from minidl.errors import ArgumentError, NotBuiltError, ShapeError
from minidl.initializers import Initializer, choose, drawn, glorot_uniform, zeros
from minidl.inputs import Array, Shape, require_array
from minidl.kernels import add_product, product
from minidl.layer import Layer
from minidl.layers.embedding import Embedding


class Dense(Layer):
    """An affine map of the last axis: y = x W + b.

    Args:
        units: the size of y.
        bias: whether b is added.
        tie: an `Embedding(units, D)` whose E serves as W, transposed: y = x E^T + b. Both layers train one array.
        init: initializers by parameter, {"W": minidl.he_normal}.

    Shapes:
        x [..., D] -> y [..., units]; any number of axes in front.

    Params:
        W [D, units] (tied: E [units, D]), b [units].

    Raises:
        ShapeError: when x has another size than the one it was built for.

    Source:
        Press & Wolf 2017, Using the output embedding to improve language models (tying).

    Example:
        >>> dense = minidl.Dense(2, init={"W": minidl.ones})
        >>> dense.build((3,))
        (2,)
        >>> dense(np.ones((1, 3)))
        array([[3., 3.]], dtype=float32)
    """

    def __init__(
        self,
        units: int,
        *,
        bias: bool = True,
        tie: Embedding | None = None,
        init: Mapping[str, Initializer] | None = None,
    ) -> None:
        self.units = positive_int("Dense", "units", units)
        self.bias = flag("Dense", "bias", bias, "an activation is a layer behind it, such as ReLU()")
        if tie is not None and not isinstance(tie, Embedding):
            raise ArgumentError(f"Dense expects tie to be an Embedding, got {tie!r}.")
        if tie is not None and tie.vocab != units:
            raise ArgumentError(
                f"Dense expects units to be the vocabulary of the tied Embedding, {tie.vocab}, got {units}."
            )
        self.tie = tie
        self.init = choose("Dense", init, W=glorot_uniform, b=zeros)

    @property
    def sublayers(self) -> dict[str, Layer]:
        """None: the tied Embedding stays a layer of the net around."""
        return {}

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        if not in_shape or in_shape[-1] is None:
            raise ShapeError(f"Dense expects a known size of the last axis, got in_shape {in_shape}.")
        D, H = in_shape[-1], self.units
        if self.tie is None:
            self.W = self.add_param("W", drawn(self.init["W"], (D, H), rng, dtype))
        elif self.tie.in_shape is None:
            raise NotBuiltError("Dense is tied to an Embedding that is not built: put that one before it in the net.")
        elif self.tie.units != D:
            raise ShapeError(f"Dense is tied to an Embedding of {self.tie.units} units, but its input has {D}.")
        else:
            self.W = self.add_param("E", self.tie.E)
        if self.bias:
            self.b = self.add_param("b", drawn(self.init["b"], (H,), rng, dtype))
        return (*in_shape[:-1], H)

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Array]:
        require_array(x)
        W = self.W.value if self.tie is None else self.W.value.T
        if x.shape[-1:] != W.shape[:1]:
            raise ShapeError(f"Dense expects x of shape [..., {len(W)}], got {x.shape}: it was built for that size.")
        x = x.astype(W.dtype) if x.dtype.kind in "iub" else x
        y = product(x.reshape(-1, len(W)), W).reshape(*x.shape[:-1], self.units)  # one GEMM for all positions
        if self.bias:
            y += self.b.value
        return y, x

    def backward(self, dy: Array, x: Array) -> Array:
        W = self.W.value if self.tie is None else self.W.value.T
        x2, dy2 = x.reshape(-1, len(W)), dy.reshape(-1, self.units)
        add_product(*((x2.T, dy2) if self.tie is None else (dy2.T, x2)), self.W.grad)
        if self.bias:
            self.b.grad += dy2.sum(axis=0)
        return product(dy2, W.T).reshape(x.shape)
