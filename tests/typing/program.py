"""A user's program: a type checker in strict mode accepts it against the installed package, and it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from minidl.models import char_lm

import minidl
from minidl.checking import check_layer, gradcheck


class Shift(minidl.Layer):
    def setup(self, in_shape: minidl.Shape, rng: np.random.Generator, dtype: Any) -> minidl.Shape:
        self.b = self.add_param("b", np.zeros(in_shape[-1] or 1, dtype))
        return in_shape

    def forward(self, x: minidl.Array, *, rng: np.random.Generator | None = None) -> tuple[minidl.Array, None]:
        return x + self.b.value, None

    def backward(self, dy: minidl.Array, cache: None) -> minidl.Array:
        self.b.grad += dy.sum(axis=tuple(range(dy.ndim - 1)))
        return dy


net = char_lm(10, 8, peephole="diagonal")
net.build((None,))
body: minidl.Sequential = net[:-1]
layer: minidl.Layer = net["lstm"]
ids = np.arange(8).reshape(2, 4)
result = minidl.loss_and_grads(net, minidl.CrossEntropy(), minidl.Batch(ids, ids))
norm: float = minidl.clip_norm(net.params, 5.0)
optimizer = minidl.Adam(minidl.CosineLR(1e-3, steps=100))
optimizer.step(net.params)
assert gradcheck(net, ids, loss=minidl.CrossEntropy(), target=ids).ok
assert check_layer(Shift(), (3,)).ok
print(f"loss {float(result.value):.3f}, norm {norm:.3f}")
