"""Which LSTM a hand-written forward pass computes: the textbook's, or one with a known mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from minidl.checking.naming.mistake import Mistake
from minidl.checking.naming.mistakes import FORWARD_MISTAKES
from minidl.checking.naming.reading import Layout, layouts_of_x, layouts_of_y, read_state
from minidl.checking.naming.roles import Roles
from minidl.checking.naming.textbook import Pass, Pieces, forward
from minidl.checking.structure import arrays_of
from minidl.inputs import Array

AGREE = 1e-6  # hand-written code in float64 agrees with the textbook to 1e-12; a mistake does not
State = list[tuple[Array, Array]]


def agrees(a: Array, b: Any, scale: float = 0.0) -> bool:
    """Whether two arrays are the same numbers, up to AGREE of their largest; below 1e-9 of `scale` all is 0."""
    b = np.asarray(b)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    size = max(abs(a).max(initial=0.0), abs(b).max(initial=0.0))
    return bool(abs(a - b).max(initial=0.0) <= AGREE * size or size <= 1e-9 * scale)


class Head(NamedTuple):
    """What comes out: "h", "scores" (an output layer), "softmax" of it; in a loss, "cross-entropy" or "squares" too."""

    kind: str
    layout: Layout  # of y, or of the target
    factor: float = 1.0  # of a loss


class Reading(NamedTuple):
    """How a hand-written forward pass is read: the layouts, its mistakes, and what it puts out."""

    x: Layout
    column: bool
    mistakes: tuple[Mistake, ...]
    head: Head
    strange_state: bool = False  # the state that is returned is not that of the last step

    @property
    def pieces(self) -> Pieces:
        return pieces_of(self.mistakes)

    @property
    def fitting(self) -> Pieces:
        return {name: piece for mistake in self.mistakes for name, piece in mistake.fitting.items()}


class Point(NamedTuple):
    """What a pass is run at: the parameters, x, the state that comes in, and the order of a state's arrays."""

    params: Mapping[str, Array]
    x: Any
    state: Any
    state_order: tuple[str, str]


def read_states(state: Any, roles: Roles, order: tuple[str, str], B: int, column: bool) -> State | None:
    """(h, c) [B, H] of each layer; zeros for None; None where it cannot be read so."""
    if state is None:
        return [(np.zeros((B, roles.cells[n])),) * 2 for n in roles.layers]
    arrays = arrays_of(state)
    if len(arrays) != 2 * len(roles.layers):
        return None
    read = [read_state(a, B, roles.cells[k // 2], column) for k, a in enumerate(arrays)]
    if any(a is None for a in read):
        return None
    at = order.index("h")
    return [(read[2 * n + at], read[2 * n + 1 - at]) for n in range(len(roles.layers))]  # type: ignore[misc]


def outputs(run: Pass, weights: Mapping[Any, Array]) -> dict[str, Array]:
    """What may come out of a pass, by kind."""
    found = {"h": run.h}
    if (-1, "W") in weights:
        found["scores"] = run.h @ weights[-1, "W"] + weights.get((-1, "b"), 0.0)
        found["softmax"] = softmax(found["scores"])
    return found


def softmax(scores: Array) -> Array:
    """Probabilities along the last axis."""
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def pieces_of(mistakes: tuple[Mistake, ...]) -> Pieces:
    """The pieces of several mistakes together."""
    return {name: piece for mistake in mistakes for name, piece in mistake.pieces.items()}


def candidates() -> Iterator[tuple[Mistake, ...]]:
    """No mistake, one, or two of different kinds."""
    yield ()
    for mistake in FORWARD_MISTAKES:
        yield (mistake,)
    for one, two in combinations(FORWARD_MISTAKES, 2):
        if one.code != two.code and not one.pieces.keys() & two.pieces.keys():
            yield one, two


def read_forward(roles: Roles, point: Point, layout: Layout, y: Any, after: Any) -> Reading | None:
    """How `forward(params, x, state) -> y, after` is to be read; None where nothing known gives these numbers."""
    weights = roles.weights(point.params)
    for rows, state, column in readable(roles, point, layout):
        x = enter(rows, weights)
        T = x.shape[1]
        finals = read_states(after, roles, point.state_order, len(x), column)
        if finals is None:
            continue
        for mistakes in candidates():
            run = forward(weights, x, state, roles.keys_over_time, pieces_of(mistakes))
            if after is not None and not same_state(finals, run.state):
                continue
            for kind, out in outputs(run, weights).items():
                for y_layout in layouts_of_y(y, out.shape[-1], len(x), T):
                    wanted = out if "T" in y_layout.axes else out[:, -1:]
                    if agrees(y_layout.read(y), wanted):
                        return Reading(layout, column, mistakes, Head(kind, y_layout))
    return None


def enter(rows: Array, weights: Mapping[Any, Array]) -> Array:
    """What enters the first layer: x itself, or the rows of the embedding that its ids, one-hot here, stand for."""
    return rows @ weights[-1, "E"] if (-1, "E") in weights else rows


def readable(roles: Roles, point: Point, layout: Layout) -> Iterator[tuple[Array, State, bool]]:
    """x and the state, read in a layout, where they can be."""
    x = layout.read(point.x)
    state = read_states(point.state, roles, point.state_order, len(x), layout.in_columns)
    if state is not None:
        yield x, state, layout.in_columns


def same_state(one: State, two: State) -> bool:
    """Whether the states of all layers agree."""
    return all(agrees(a, b) for pair, other in zip(one, two, strict=True) for a, b in zip(pair, other, strict=True))


def read_loss(roles: Roles, point: Point, layout: Layout, target: Any, loss: float, after: Any) -> Reading | None:
    """How `function(params, x, target, state) -> loss, grads, after` is to be read.

    A state that nothing explains is left aside at last, for the loss says enough.
    """
    found = read_loss_and_state(roles, point, layout, target, loss, after)
    if found is None and after is not None:
        found = read_loss_and_state(roles, point, layout, target, loss, None)
        found = None if found is None else found._replace(strange_state=True)
    return found


def read_loss_and_state(
    roles: Roles, point: Point, layout: Layout, target: Any, loss: float, after: Any
) -> Reading | None:
    """The reading that gives both the loss and the state, where there is one."""
    weights = roles.weights(point.params)
    for rows, state, column in readable(roles, point, layout):
        x = enter(rows, weights)
        finals = None if after is None else read_states(after, roles, point.state_order, len(x), column)
        if after is not None and finals is None:
            continue
        for mistakes in candidates():
            run = forward(weights, x, state, roles.keys_over_time, pieces_of(mistakes))
            if finals is not None and not same_state(finals, run.state):
                continue
            for kind, target_layout, value in losses(run, weights, target, layout):
                factor = plausible(loss, value, x.shape[0], x.shape[1], target_layout.features)
                if factor is not None:
                    return Reading(layout, column, mistakes, Head(kind, target_layout, factor))
    return None


def losses(run: Pass, weights: Mapping[Any, Array], target: Any, x: Layout) -> Iterator[tuple[str, Layout, float]]:
    """The losses that there may be, as sums over rows and steps."""
    out = outputs(run, weights)
    kinds = [("cross-entropy", "softmax")] if "softmax" in out else []
    kinds += [("squares", kind) for kind in out]
    for loss, kind in kinds:
        V = out[kind].shape[-1]
        layouts = [layout for layout in layouts_of_x(target, V, None) if not layout.positions]
        layouts.sort(key=lambda layout: layout.axes.replace("F", "") != x.axes.replace("F", ""))
        for layout in layouts:
            t = layout.read(target)
            wanted = out[kind] if "T" in layout.axes else out[kind][:, -1:]
            if t.shape != wanted.shape:
                continue
            if loss == "cross-entropy":
                yield loss, layout, float(-(t * np.log(np.maximum(wanted, 1e-300))).sum())
            else:
                yield f"squares of {kind}", layout, float(((wanted - t) ** 2).sum() / 2)


def plausible(loss: float, value: float, B: int, T: int, F: int) -> float | None:
    """The factor between two losses, where it is one that people use: a sum, a half, a mean."""
    for extra in 1.0, 2.0, 0.5:
        for count in 1, T, B, B * T, B * T * F, T * F, B * F, F:
            factor = extra / count
            if abs(loss - factor * value) <= 1e-9 * abs(loss):  # one number agrees with many by chance
                return factor
    return None
