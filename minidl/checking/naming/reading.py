"""How hand-written code lays out its arrays: batch or not, time first or not, column vectors, ids, lists of steps.

Everything is read into [B, T, D] and [B, H], and written back in the layout it came in.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ArgumentError
from minidl.inputs import Array

SEQUENCES = {  # by number of axes; F is the feature axis (D of x, H or V of y), 1 a column's second axis
    0: [""],
    1: ["F"],
    2: ["TF", "BF", "F1", "FB", "FT"],
    3: ["BTF", "TBF", "TF1", "TFB", "BF1", "FBT", "FTB"],
    4: ["TBF1", "BTF1"],
}
IDS = {0: [""], 1: ["T", "B"], 2: ["BT", "TB", "T1"]}


class Layout(NamedTuple):
    """The axes of an array, in order, as letters: B, T, F, and 1 for an axis of length 1; ids have no F."""

    axes: str
    ids: bool
    features: int
    positions: bool = False  # a mistake: not the ids enter, but 0, 1, 2, ...

    def read(self, a: Any) -> Array:
        """[B, T, F]: axes that are missing are added, ids become one-hot."""
        a = stacked(a)
        axes = self.axes
        if self.positions:
            steps = [n if axis == "T" else 1 for n, axis in zip(a.shape, axes, strict=True)]
            a = np.broadcast_to(np.arange(max(steps)).reshape(steps), a.shape)
        if self.ids:
            a = np.eye(self.features)[a.astype(int)]
            axes += "F"
        a = a.reshape([n for n, axis in zip(a.shape, axes, strict=True) if axis != "1"])
        axes = axes.replace("1", "")
        order = [axes.index(axis) for axis in "BTF" if axis in axes]
        a = a.transpose(order)
        for at, axis in enumerate("BTF"):
            if axis not in axes:
                a = np.expand_dims(a, at)
        return a

    def cut(self, a: Any, T: int) -> Any:
        """The first T steps."""
        if "T" not in self.axes:
            return a
        if isinstance(a, list | tuple):
            return a[:T]
        return np.take(a, range(T), axis=self.axes.index("T"))

    @property
    def in_columns(self) -> bool:
        """Whether a step of a row is a column, so that a state is [H, B] or [H, 1]."""
        axes = self.axes
        return "1" in axes or ("F" in axes and any(axes.find(axis) > axes.index("F") for axis in "BT"))

    def fits(self, shape: tuple[int, ...], sizes: dict[str, int]) -> bool:
        """Whether an array of this shape may be laid out so."""
        known = {"F": self.features, "1": 1} | sizes
        return len(shape) == len(self.axes) and all(
            known.get(axis, n) == n for axis, n in zip(self.axes, shape, strict=True)
        )


def stacked(a: Any) -> Array:
    """A list of steps as one array, the steps first."""
    return np.stack([np.asarray(part) for part in a]) if isinstance(a, list | tuple) else np.asarray(a)


def layouts_of_x(x: Any, D: int, told: str | None) -> list[Layout]:
    """The layouts that x may have, the most common first; only the one that was told, in letters B T D."""
    try:
        a = stacked(x)
    except ValueError:
        return []
    ids = a.dtype.kind in "iub"
    lookup = ids and a.size and a.min() >= 0 and a.max() < D
    if told is not None and not isinstance(told, str):
        raise ArgumentError(f'axes expects letters such as "BTD", got {told!r}.')
    if told is not None:
        axes = told.replace("D", "F")
        layout = Layout(axes, ids and "F" not in axes, D)
        if set(axes) - set("BTF1") or len(set(axes)) != len(axes) or not layout.fits(a.shape, {}):
            raise ArgumentError(
                f"axes expects a letter for each axis of x {a.shape}, B rows, T steps, D = {D} inputs, 1 for an axis "
                f'of length 1, such as "BTD" or "TD1"; got {told!r}.'
            )
        return [layout]
    found = [Layout(axes, False, D) for axes in SEQUENCES.get(a.ndim, [])]
    if lookup:
        by_id = [Layout(axes, True, D) for axes in IDS.get(a.ndim, [])]
        by_position = [layout._replace(positions=True) for layout in by_id if "T" in layout.axes]
        found = by_id + found + [p for p in by_position if a.shape[p.axes.index("T")] <= D]
    return [layout for layout in found if layout.fits(a.shape, {})]


def layouts_of_y(y: Any, features: int, B: int, T: int) -> list[Layout]:
    """The layouts that an output with so many features may have."""
    try:
        a = stacked(y)
    except ValueError:
        return []
    found = [Layout(axes, False, features) for axes in SEQUENCES.get(a.ndim, [])]
    sizes = {"B": B, "T": T}
    return [layout for layout in found if layout.fits(a.shape, sizes) and ("B" in layout.axes or B == 1)]


def read_state(a: Any, B: int, H: int, column: bool) -> Array | None:
    """[B, H] of a state [B, H], [H], [H, 1] or [H, B]; None where it is none of these."""
    a = np.asarray(a)
    if a.size != B * H:
        return None
    if a.ndim == 2 and a.shape == (H, B) and (column or a.shape != (B, H)):
        return a.T
    return a.reshape(B, H)
