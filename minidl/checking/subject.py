"""A layer under check: copies of it at random weights, random things to feed them, and how results compare."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from minidl.checking.gradcheck import moved_copy, random_input
from minidl.checking.structure import is_numeric, largest
from minidl.errors import ShapeError
from minidl.inputs import Array, Shape, as_shape, each_shape, shapes_of
from minidl.layer import Layer
from minidl.nested import leaves, map_arrays

DOES_NOT_APPLY = ""  # what a check says of windows of a layer without memory, of padding where there are no steps
ROUNDING = 1e-9  # float64 results that are computed in another order agree to this
SHARE = 0.1  # of the largest gradient: a smaller gradient is compared as if it were as large as that

Setting = tuple[str, dict[str, Any]]  # how to tell it, and the options of `Subject.run`
WORDS = {"mask": "a mask", "start": "start=True in some rows", "training": "rng given (training)"}


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
        seed: for everything random.
    """

    def __init__(self, layer: Layer, in_shape: Shape, batch: int = 3, time: int = 5, seed: int = 0) -> None:
        self.given, self.in_shape = layer, as_shape("Subject", in_shape)
        self.batch, self.seed = batch, seed
        first = shapes_of(self.in_shape)[0]
        self.time = time if not first or first[0] is None else first[0]
        rng = np.random.default_rng(seed)
        self.untouched = layer.copy()
        self.out_shape = self.untouched.build(self.in_shape, seed, layer.dtype or np.float64)
        self.x = random_input(self.untouched, self.in_shape, rng, batch, self.time)
        if self.free_time:  # the layer's own example may have more steps than asked for
            self.time = next(iter(leaves(self.x).values())).shape[1]
        self.layer = moved_copy(self.untouched, rng, 1.0, self.x)
        self.first = self.layer.initial_state(batch)
        self.state = map_arrays(lambda a: 0.5 * rng.standard_normal(a.shape), self.first)
        y, after, _ = self.scout()
        self.dy = map_arrays(lambda a: rng.standard_normal(a.shape), y)
        self.dafter = map_arrays(lambda a: rng.standard_normal(a.shape), after)

    # -- the same layer at other sizes ------------------------------------------------------------

    def small(self) -> Subject:
        """The same layer with one row and one step, or with as few as it takes: a convolution wants a window."""
        for time in range(1, self.time):
            with suppress(ShapeError):
                return Subject(self.untouched, self.in_shape, batch=1, time=time, seed=self.seed)
        return Subject(self.untouched, self.in_shape, batch=1, time=self.time, seed=self.seed)

    def other(self) -> Subject:
        """The same layer with more rows, and an even number of steps."""
        return Subject(self.untouched, self.in_shape, batch=5, time=4, seed=self.seed + 1)

    def on_sequences(self) -> Subject | None:
        """A layer for [B, D] on [B, T, D], for it will be put there; None where it does not run on that."""
        if any(len(shape) != 1 for shape in shapes_of(self.in_shape)) or self.state is not None or self.has_steps:
            return None
        in_shape = each_shape(lambda shape: (None, *shape), self.in_shape)
        try:
            longer = Subject(self.untouched, in_shape, batch=4, time=3, seed=self.seed)
            longer.run()
        except Exception:
            return None
        return longer

    # -- what kind of layer it is -----------------------------------------------------------------

    @property
    def has_steps(self) -> bool:
        """Whether x is a sequence, ids [B, T] or features [B, T, ...]; of several inputs, whether all of them are."""
        return all(x.ndim >= (3 if is_numeric(x) else 2) for x in leaves(self.x).values())

    @property
    def free_time(self) -> bool:
        return self.has_steps and all(shape[0] is None for shape in shapes_of(self.in_shape))

    @property
    def y_has_steps(self) -> bool:
        """Whether y has the steps of x: build says so, where the length is free; else the sizes do."""
        if not self.has_steps or not isinstance(self.dy, np.ndarray) or self.dy.shape[1:2] != (self.time,):
            return False
        return self.out_shape[:1] == (None,) if self.free_time else self.dy.ndim > 2

    @property
    def y_has_other_steps(self) -> bool:
        """Whether build says that the length of y is free as that of x is, but it is another."""
        return self.free_time and not self.y_has_steps and self.out_shape[:1] == (None,)

    @property
    def takes_mask(self) -> bool:
        return self.has_steps and self.layer.mixes_steps and self.layer.mask_obstacle is None

    @property
    def recurrent(self) -> bool:
        """Whether it is a layer with a state of its own, not a container, whose state is a dict."""
        return self.state is not None and not isinstance(self.state, dict)

    @cached_property
    def random(self) -> bool:
        """Whether a training pass differs from inference."""
        plain, trained = (self.scout(rng=rng)[0] for rng in (None, np.random.default_rng(5)))
        return not same(plain, trained)

    # -- passes -----------------------------------------------------------------------------------

    def scout(self, **options: Any) -> tuple[Any, Any, Any]:
        """A forward pass of copies, of the layer as well: one that leaves traces is still to come."""
        return self.layer.copy().forward_with_state(*map_arrays(np.copy, (self.x, self.state)), **options)

    def mask(self) -> Any:
        """The mask of x; of several inputs each has another one, for one may be longer than the other."""
        if isinstance(self.x, tuple):
            return tuple(np.roll(self.one_mask(), k, axis=0) for k in range(len(self.x)))
        return self.one_mask()

    def one_mask(self) -> Array:
        """A full row, one with padding on both sides and a hole, an empty one; then one padded at each end."""
        mask = np.ones((self.batch, self.time), bool)
        mask[1:2, [0, self.time // 2, -1]] = False
        mask[2:3] = False
        mask[3:4, self.time // 2 :] = False
        mask[4:5, : self.time // 2] = False
        return mask

    @cached_property
    def everything(self) -> dict[str, Any]:
        """The options of a pass that make a difference to this layer, all at once."""
        options: dict[str, Any] = {}
        if self.takes_mask:
            options["mask"] = self.mask()
        if self.state is not None:
            options["start"] = np.arange(self.batch) % 2 == 0
        if self.random:
            options["training"] = True
        return options

    @property
    def settings(self) -> list[Setting]:
        """A plain pass, and one with everything that the layer takes."""
        return [("", {}), *([setting(self.everything)] if self.everything else [])]

    def run(self, layer: Layer | None = None, x: Any = None, dy: Any = None, **options: Any) -> Pass:
        """A forward and a backward pass, with gradients that start from zero; `training` gives it an rng."""
        layer = layer or self.layer
        options.setdefault("state", self.state)
        dafter = options.pop("dafter", self.dafter)
        if options.pop("training", False):
            options["rng"] = np.random.default_rng(7)
        layer.zero_grads()
        y, state, cache = layer.forward_with_state(self.x if x is None else x, **options)
        dx, dstate = layer.backward_with_state(self.dy if dy is None else dy, dafter, cache)
        return Pass(y, state, dx, dstate, {name: p.grad.copy() for name, p in layer.params.items()})

    def infer(self, **options: Any) -> tuple[Any, Any]:
        """y and the final state of a pass that keeps no cache."""
        options.setdefault("state", self.state)
        if options.pop("training", False):
            options["rng"] = np.random.default_rng(7)
        y, state, _ = self.layer.forward_with_state(self.x, **options, keep_cache=False)
        return y, state


def setting(options: dict[str, Any]) -> Setting:
    """Options of a pass, and how to tell them."""
    return f"with {' and '.join(WORDS[name] for name in options)}, ", options


def same(a: Any, b: Any, tolerance: float = 0.0, size: float = 0.0) -> bool:
    """Whether two structures hold the same arrays: bit for bit, or to a tolerance relative to the largest entry.

    An array whose largest entry is below `size` is compared as if it were as large as that.
    """
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
        elif not np.allclose(u, v, rtol=tolerance, atol=tolerance * max(largest(v), size), equal_nan=True):
            return False
    return True


def differing(a: dict[str, Any], b: dict[str, Any], tolerance: float = 0.0) -> list[str]:
    """The names under which two passes differ, as `parts` gives them.

    Gradients are measured against the whole pass: one in which terms cancel is 0 up to the rounding of the others.
    """
    gradients = {name: value for name, value in b.items() if name.startswith("d")}
    size = SHARE * max([1.0, *map(largest, gradients.values())])  # 1: the size of the cotangents
    return [name for name in a if not same(a[name], b[name], tolerance, size if name in gradients else 0.0)]


def parts(p: Pass) -> dict[str, Any]:
    """The results of a pass by the names people use."""
    return {"y": p.y, "the final state": p.state, "dx": p.dx, "dstate": p.dstate} | {
        f"d{name}": grad for name, grad in p.grads.items()
    }
