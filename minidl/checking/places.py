"""Where a number that is not finite stands: in an array, in a structure of arrays, in a step of a recurrent layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from minidl.checking.naming.findings import Place
from minidl.inputs import Array, clear_padding
from minidl.nested import leaves

GATES, CANDIDATES = "iforz", "gn"


class Spot(NamedTuple):
    """The first number of an array that is not finite."""

    name: str  # of the array, "" where it is the only one
    at: tuple[int, ...]
    value: float
    many: int  # of the array's numbers that are not finite
    size: int

    @property
    def row(self) -> int | None:
        """The row of the batch, of an array that has one."""
        return self.at[0] if self.at else None

    @property
    def entry(self) -> str:
        """As in Python: Wx[3, 1]."""
        return f"{self.name}[{', '.join(map(str, self.at))}]"

    @property
    def axes(self) -> dict[str, Any]:
        """Row, step and unit, as far as it has them."""
        names = {2: ("row", "unit"), 3: ("row", "step", "unit")}.get(len(self.at), ())
        return dict(zip(names, self.at, strict=False))

    @property
    def words(self) -> str:
        """Row, step and unit, or its entry."""
        told = ", ".join(f"{name} {k}" for name, k in self.axes.items())
        return told or f"entry [{', '.join(map(str, self.at))}]"

    def place(self, layer: str | None, quantity: str) -> Place:
        """The place, of a quantity of a layer."""
        place = Place(layer, quantity)
        return place._replace(**self.axes) if self.axes else place._replace(entry=self.at)

    @property
    def told(self) -> str:
        """The entry, its value, and how many there are."""
        return f"{self.entry} is {self.value:g} ({self.many:,} of {self.size:,} entries are not finite)"


def spot(a: Any, name: str = "", row: int | None = None) -> Spot | None:
    """The first number that is not finite; where `row` has one, the first of that row."""
    a = np.asarray(a)
    if a.dtype.kind not in "fc":
        return None
    bad = ~np.isfinite(a)
    if not bad.any():
        return None
    here = bad
    if row is not None and a.ndim and row < len(a) and bad[row].any():
        here = np.zeros_like(bad)
        here[row] = bad[row]
    index = tuple(int(k) for k in np.unravel_index(int(here.argmax()), a.shape))
    return Spot(name, index, float(a[index].real), int(bad.sum()), a.size)


def spot_in(tree: Any, name: str = "", row: int | None = None) -> Spot | None:
    """The first such number in arrays, tuples and dicts of arrays."""
    spots = (spot(a, joined(name, path), row) for path, a in leaves(tree).items())
    return next((found for found in spots if found is not None), None)


def joined(name: str, path: str) -> str:
    """The name of an array inside of something that has a name itself: x[0], state.lstm.h."""
    return path if not name else name + path if path[:1] in ("", "[") else f"{name}.{path}"


def without_padding(tree: Any, mask: Any) -> Any:
    """The arrays with 0 in the steps that are padding; where the mask does not fit, as they are."""
    if mask is None or tree is None:
        return tree
    if isinstance(tree, tuple):
        masks = mask if isinstance(mask, tuple) and len(mask) == len(tree) else (mask,) * len(tree)
        return tuple(without_padding(part, part_mask) for part, part_mask in zip(tree, masks, strict=True))
    if isinstance(mask, tuple) or np.shape(tree)[:2] != mask.shape or tree.dtype.kind not in "fc":
        return tree
    return clear_padding(tree, mask)


def first_in_time(traced: dict[str, Array], names: Iterable[str], last_first: bool) -> Spot | None:
    """Of the quantities of a recurrent layer: the step that ran first, the quantity that was computed first in it."""
    bad = {name: ~np.isfinite(traced[name]) for name in names}
    bad = {name: b for name, b in bad.items() if b.any()}
    if not bad:
        return None
    steps = np.flatnonzero(np.any([b.any(axis=(0, *range(2, b.ndim))) for b in bad.values()], axis=0))
    t = int(steps[-1 if last_first else 0])
    name = next(name for name, b in bad.items() if b[:, t].any())
    row, *rest = (int(k) for k in np.argwhere(bad[name][:, t])[0])
    index = (row, t, *rest)
    at_step = bad[name][:, t]
    return Spot(name, index, float(traced[name][index].real), int(at_step.sum()), at_step.size)


def quantity(name: str) -> str:
    """What a letter of the equations stands for."""
    if name in GATES:
        return f"gate {name}"
    if name in CANDIDATES:
        return f"candidate {name}"
    return {"c": "cell c", "h": "output h"}.get(name, name)


def within(name: str, a: Any) -> str:
    """How large the finite numbers of an array are."""
    a = np.asarray(a)
    finite = abs(a[np.isfinite(a)]) if a.dtype.kind in "fc" else abs(a)
    return f"{name} within ±{float(finite.max(initial=0)):.3g}"


def reach(a: Any) -> float:
    """The largest size of the finite numbers, as a float64."""
    a = np.asarray(a)
    return float(abs(a[np.isfinite(a)]).max(initial=0)) if a.dtype.kind in "fc" else 0.0
