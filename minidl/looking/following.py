"""Cells that follow something: whose value is correlated with a property of the text, such as being inside quotes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from minidl.arguments import positive_int
from minidl.errors import ShapeError
from minidl.inputs import Array
from minidl.looking.activations import cell_values


class Follower(NamedTuple):
    """A cell that was found to follow a property on the first half of the text, and how well it does on the second."""

    layer: str
    cell: int
    r: float  # on the second half, which had no say in the choice
    found_with: float  # on the first half, where it was the best: that flatters it


def correlations(values: Array, property: Array) -> Array:
    """Pearson's correlation of each cell with a property, 0 for what never changes.

        r = sum (v - mean v) (p - mean p) / (|v - mean v| |p - mean p|)

    Args:
        values: [T, H].
        property: [T], numbers or bools (then it is the point-biserial correlation).

    Returns:
        r [H], in [-1, 1].

    Example:
        >>> from minidl.looking import correlations
        >>> correlations(np.array([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0]]), np.array([5, 3, 1]))
        array([-1.,  0.])
    """
    if len(values) != len(property):
        raise ShapeError(
            f"correlations expects a property of {len(values)} steps, as the cells have, got {len(property)}: compute "
            f"both from the same text."
        )
    if not len(property):
        return np.zeros(values.shape[1])
    v, p = values.astype(np.float64), np.asarray(property, np.float64)
    v, p = v - v.mean(axis=0), p - p.mean()
    sizes = np.sqrt((v**2).sum(axis=0)) * np.sqrt((p**2).sum())
    moves = (np.ptp(values, axis=0) > 0) & (np.ptp(np.asarray(property, np.float64)) > 0) & (sizes > 0)
    r = np.divide(p @ v, sizes, out=np.zeros(values.shape[1]), where=moves)
    return r.clip(-1, 1)


def following(
    activations: Mapping[str, Mapping[str, Array]], properties: Mapping[str, Array], best: int = 3
) -> dict[str, list[Follower]]:
    """The cells that follow each property best, those of all layers together.

    The best of many cells is correlated with anything, by chance; so cells are chosen on the first half of the text,
    by the size of r, and judged on the second half. tanh(c) counts of an LSTM, h of other layers.

    Args:
        activations: as `activations` gives them; layers whose steps are not those of the properties are left out.
        properties: by name, [T] each, as `properties` gives them, or your own.
        best: how many cells to name.

    Returns:
        By property; an empty list where it does not change in one of the halves, and so cannot be followed.

    Source:
        Karpathy, Johnson & Fei-Fei 2015, Visualizing and understanding recurrent networks.

    Example:
        >>> from minidl.looking import following
        >>> h = np.array([[0, 1], [0, 0], [1, 0], [1, 1], [0, 0], [0, 1], [1, 1], [1, 0]], np.float32)
        >>> following({"gru": {"h": h}}, {"inside": h[:, 0]}, best=1)
        {'inside': [Follower(layer='gru', cell=0, r=1.0, found_with=1.0)]}
    """
    positive_int("following", "best", best)
    found = {}
    for name, property in properties.items():
        half = len(property) // 2
        candidates = []
        for layer, traced in activations.items():
            values = cell_values(dict(traced))
            if len(values) == len(property) and all(
                np.ptp(p) > 0 for p in (property[:half], property[half:]) if p.size
            ):
                first = correlations(values[:half], property[:half])
                chosen = np.argsort(-abs(first), kind="stable")[:best]
                second = correlations(values[half:][:, chosen], property[half:])
                candidates += [
                    Follower(layer, int(cell), float(r), float(first[cell]))
                    for cell, r in zip(chosen, second, strict=True)
                    if first[cell]
                ]
        found[name] = sorted(candidates, key=lambda one: -abs(one.found_with))[:best]
    return found
