"""Hand-written code under study: what it gives on few steps, read into the letters of the textbook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.checking.handwritten import Functions, LossFunction, Result, Values, cast, random_like, zeros_like
from minidl.checking.naming.forwards import Point, Reading, enter, read_forward, read_loss, read_states
from minidl.checking.naming.matching import Block, Stage
from minidl.checking.naming.reading import Layout, layouts_of_x
from minidl.checking.naming.roles import Roles
from minidl.checking.naming.textbook import forward
from minidl.checking.structure import arrays_of, with_arrays
from minidl.errors import ArgumentError
from minidl.inputs import Array

READ = 3  # steps on which a forward pass is read


class Study(ABC):
    """Hand-written code at one point: `error` is what its backward pass begins with, "dy" or "target"."""

    error: str

    def __init__(self, v: Values, roles: Roles | None, order: tuple[str, str]) -> None:
        self.v, self.roles, self.order = v, roles, order

    @abstractmethod
    def listens(self) -> bool:
        """Whether another error gives another gradient."""

    @abstractmethod
    def read(self, layout: Layout, at: Values) -> Reading | None:
        """How the code's forward pass is to be read, with x in this layout."""

    @abstractmethod
    def stages(self, at: Values, reading: Reading) -> Iterator[Stage]:
        """Backward passes of the code, from simple to whole."""

    def cut(self, v: Values, layout: Layout, T: int) -> Values:
        """The first T steps."""
        return v._replace(x=layout.cut(v.x, T))

    def identify(self, axes: str | None) -> tuple[Reading | None, Values]:
        """How the code is to be read, and the few steps on which that was seen."""
        for layout in layouts_of_x(self.v.x, self.known.features, axes):
            full = layout.read(self.v.x).shape[1]
            for T in sorted({min(full, READ), full}):
                at = self.cut(self.v, layout, T)
                try:
                    reading = self.read(layout, at)
                except ArgumentError:
                    continue  # the number of steps is wired in
                if reading is not None:
                    return reading, at
                break
        return None, self.v

    @property
    def known(self) -> Roles:
        """The roles, where there are any."""
        assert self.roles is not None
        return self.roles

    def point(self, at: Values) -> Point:
        return Point(at.params, at.x, at.state, self.order)

    def stage(self, at: Values, result: Result, reading: Reading, dafter: Any) -> Stage | None:
        """What was observed, and what the textbook needs to do the same."""
        rows, roles = reading.x.read(at.x), self.known
        weights = roles.weights(at.params)
        state, dstate = (read_states(tree, roles, self.order, len(rows), reading.column) for tree in (at.state, dafter))
        if state is None or dstate is None:
            return None
        run = forward(weights, enter(rows, weights), state, roles.keys_over_time, reading.pieces)
        observed: dict[Block, Array] = {}
        if result.dx is not None and not reading.x.ids and np.shape(result.dx) == np.shape(at.x):
            observed["x", None] = reading.x.read(result.dx)
        if result.dstate is not None and at.state is not None:
            read = read_states(result.dstate, roles, self.order, len(rows), reading.column) or []
            for n, (dh0, dc0) in enumerate(read):
                observed |= {("h0", n): dh0, ("c0", n): dc0}
        shapes = {name: value.shape for name, value in at.params.items()}
        fitting = {name: np.real(np.asarray(a)) for name, a in result.grads.items() if np.shape(a) == shapes[name]}
        observed |= dict(roles.blocks(fitting).items())
        return Stage(run, rows, weights, None, None, dstate, observed, reading.head.factor)


class StudyOfFunctions(Study):
    """A forward and a backward function."""

    error = "dy"

    def __init__(
        self, code: Functions, v: Values, roles: Roles | None, order: tuple[str, str], dy: Any, dafter: Any
    ) -> None:
        super().__init__(v, roles, order)
        self.code, self.dy, self.dafter = code, dy, dafter

    def listens(self) -> bool:
        one = self.code.pull(self.v.copied(), cast(self.dy, np.float64), cast(self.dafter, np.float64))
        two = self.code.pull(self.v.copied(), with_noise(self.dy), cast(self.dafter, np.float64))
        return changes((one.dx, one.dstate, one.grads), (two.dx, two.dstate, two.grads))

    def read(self, layout: Layout, at: Values) -> Reading | None:
        y, after, _ = self.code.run(at.copied())
        return read_forward(self.known, self.point(at), layout, y, after)

    def stages(self, at: Values, reading: Reading) -> Iterator[Stage]:
        full = reading.x.read(at.x).shape[1]
        rng = np.random.default_rng(5)
        for T, only in dict.fromkeys([(1, "c"), (1, "h"), (1, "y"), (2, ""), (full, "")]):
            if full < T:
                continue
            few = self.cut(at, reading.x, T)
            try:
                y, after, cache = self.code.run(few.copied())
                dy, dafter = random_like(y, rng), random_like(after, rng)
                if only:
                    dy, dafter = alone(dy, dafter, only, self.order)
                back = self.code.back(few.copied(), cast(dy, np.float64), cast(dafter, np.float64), cache)
            except ArgumentError:
                continue  # the number of steps is wired in
            stage = self.stage(few, Result(y, after, *back), reading, dafter)
            if stage is not None:
                yield stage._replace(dy=reading.head.layout.read(dy))


class StudyOfLoss(Study):
    """A function that computes a loss and its gradients."""

    error = "target"

    def __init__(self, code: LossFunction, v: Values, roles: Roles | None, order: tuple[str, str]) -> None:
        super().__init__(v, roles, order)
        self.code = code

    def listens(self) -> bool:
        target = np.asarray(self.v.target)
        if not arrays_of(self.v.target):
            return True  # no target, nothing to listen to
        ids = target.dtype.kind in "iub"
        other = np.roll(target, 1) if ids else with_noise(self.v.target)
        if ids and (other == target).all():
            return True  # one target everywhere: there is no other to try
        one, two = self.code.run(self.v.copied()), self.code.run(self.v.copied()._replace(target=other))
        return changes(one.grads, two.grads)

    def cut(self, v: Values, layout: Layout, T: int) -> Values:
        target, axes = v.target, layout.axes.replace("F", "")
        full, shape = layout.read(v.x).shape[1], np.shape(v.target)
        if "T" in axes and len(shape) > axes.index("T") and shape[axes.index("T")] == full:
            target = np.take(np.asarray(v.target), range(T), axis=axes.index("T"))
        return super().cut(v, layout, T)._replace(target=target)

    def read(self, layout: Layout, at: Values) -> Reading | None:
        result = self.code.run(at.copied())
        loss = float(np.real(result.y))
        return read_loss(self.known, self.point(at), layout, at.target, loss, result.after)

    def stages(self, at: Values, reading: Reading) -> Iterator[Stage]:
        full = reading.x.read(at.x).shape[1]
        for T in sorted({1, min(2, full), full}):
            few = self.cut(at, reading.x, T)
            try:
                result = self.code.run(few.copied())
                again = reading if full == T else self.read(reading.x, few)  # a mean has another factor then
            except ArgumentError:
                continue
            stage = None if again is None else self.stage(few, result, reading, None)
            if stage is not None and again is not None:
                yield stage._replace(target=reading.head.layout.read(few.target), factor=again.head.factor)


def alone(dy: Any, dafter: Any, only: str, order: tuple[str, str]) -> tuple[Any, Any]:
    """Cotangents of which all but one are 0: of y, of h, or of c."""
    if only == "y":
        return dy, zeros_like(dafter)
    arrays = arrays_of(dafter)
    kept = iter([a if order[k % 2] == only else np.zeros_like(a) for k, a in enumerate(arrays)])
    return zeros_like(dy), with_arrays(dafter, kept)


def with_noise(tree: Any) -> Any:
    """Other numbers in the same form."""
    rng = np.random.default_rng(3)
    return with_arrays(tree, (np.asarray(a) + rng.standard_normal(np.shape(a)) for a in arrays_of(tree)))


def changes(one: Any, two: Any) -> bool:
    """Whether two structures differ anywhere."""
    return any(a.shape != b.shape or (a != b).any() for a, b in zip(arrays_of(one), arrays_of(two), strict=True))
