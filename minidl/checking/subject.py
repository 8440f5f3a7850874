"""A layer under check: copies of it at random weights, random things to feed them, and how results compare."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.checking.gradcheck import moved_copy
from minidl.checking.structure import is_numeric, leaves, map_arrays
from minidl.inputs import Array, Shape
from minidl.layer import Layer


class Pass(NamedTuple):
    """The results of a forward and a backward pass."""

    y: Any
    state: Any
    dx: Any
    dstate: Any
    grads: dict[str, Array]


class Subject:
    """A layer under check: float64 copies of it at random weights, and random things to feed them.

    Args:
        layer: built or not; it is copied and stays as it is.
        in_shape: the shape to build for, without the batch axis.
        batch, time: sizes of the random inputs; `time` where in_shape says None.
    """

    def __init__(self, layer: Layer, in_shape: Shape, batch: int = 3, time: int = 5, seed: int = 0) -> None:
        self.in_shape = tuple(in_shape)
        self.batch, self.seed = batch, seed
        self.time = time if not self.in_shape or self.in_shape[0] is None else self.in_shape[0]
        self.untouched = layer.copy()
        self.out_shape = self.untouched.build(self.in_shape, seed, layer.dtype or np.float64)
        self.layer = moved_copy(self.untouched, np.random.default_rng(seed + 1), 1.0)
        self.x = self.draw_x(self.time)
        self.first = self.layer.initial_state(batch)
        self.state = map_arrays(lambda a: 0.5 * self.normal(1, a.shape), self.first)
        scout = self.layer.copy()  # so that a first pass that leaves traces is still to come
        y, after, _ = scout.forward_with_state(map_arrays(np.copy, self.x), map_arrays(np.copy, self.state))
        self.dy = map_arrays(lambda a: self.normal(2, a.shape), y)
        self.dafter = map_arrays(lambda a: self.normal(3, a.shape), after)
        self.y_has_steps = self.has_steps and isinstance(y, np.ndarray) and y.ndim > 2 and y.shape[1] == self.time

    def normal(self, seed: int, shape: Any) -> Array:
        return np.random.default_rng((self.seed, seed)).standard_normal(shape)

    def draw_x(self, time: int) -> Any:
        return self.layer.example(self.in_shape, np.random.default_rng((self.seed, 9)), self.batch, time)

    def small(self) -> Subject:
        """The same layer with one row and one step."""
        return Subject(self.untouched, self.in_shape, batch=1, time=1, seed=self.seed)

    @property
    def has_steps(self) -> bool:
        """Whether x is a sequence: ids [B, T] or features [B, T, ...]."""
        return isinstance(self.x, np.ndarray) and self.x.ndim >= (3 if is_numeric(self.x) else 2)

    @property
    def free_time(self) -> bool:
        return self.has_steps and self.in_shape[0] is None

    @property
    def takes_mask(self) -> bool:
        return self.has_steps and self.layer.mixes_steps

    @property
    def random(self) -> bool:
        """Whether a training pass differs from inference."""
        plain = self.layer.forward_with_state(self.x, self.state)[0]
        trained = self.layer.forward_with_state(self.x, self.state, rng=np.random.default_rng(5))[0]
        return not same(plain, trained)

    def mask(self) -> Array:
        """A full row, a row padded on the right, one padded on the left, with a hole where there is room."""
        mask = np.ones((self.batch, self.time), bool)
        mask[1:, self.time // 2 :] = False
        if self.batch > 2:
            mask[2] = True
            mask[2, 0] = mask[2, self.time // 2] = False
        return mask

    def run(self, layer: Layer | None = None, x: Any = None, dy: Any = None, **options: Any) -> Pass:
        """A forward and a backward pass, with gradients that start from zero."""
        layer = layer or self.layer
        options.setdefault("state", self.state)
        dafter = options.pop("dafter", self.dafter)
        layer.zero_grads()
        y, state, cache = layer.forward_with_state(self.x if x is None else x, **options)
        dx, dstate = layer.backward_with_state(self.dy if dy is None else dy, dafter, cache)
        return Pass(y, state, dx, dstate, {name: p.grad.copy() for name, p in layer.params.items()})


def same(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    """Whether two structures hold the same arrays: bit for bit, or to a tolerance relative to the largest entry."""
    first, second = leaves(a), leaves(b)
    if first.keys() != second.keys():
        return False
    for name, u in first.items():
        v = second[name]
        if u.shape != v.shape:
            return False
        if tolerance == 0.0:
            if not np.array_equal(u, v, equal_nan=True):
                return False
        elif not np.allclose(u, v, rtol=tolerance, atol=tolerance * float(np.abs(v).max(initial=0.0))):
            return False
    return True


def differing(a: dict[str, Any], b: dict[str, Any], tolerance: float = 0.0) -> list[str]:
    """The names under which two dicts of structures differ."""
    return [name for name in a if not same(a[name], b[name], tolerance)]


def parts(p: Pass) -> dict[str, Any]:
    """The results of a pass by the names people use."""
    return {"y": p.y, "the final state": p.state, "dx": p.dx, "dstate": p.dstate} | {
        f"d{name}": grad for name, grad in p.grads.items()
    }
