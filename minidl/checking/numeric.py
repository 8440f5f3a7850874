"""Numeric derivatives of a scalar by named arrays: complex steps, central differences, and where to look.

A complex step has no rounding of differences: f'(x) = Im f(x + ih) / h to the last bits, for code that
takes complex numbers. Central differences, (f(x + h) - f(x - h)) / 2h, serve all other code, to about 1e-9.

Source:
    Squire & Trapp 1998, Using complex variables to estimate derivatives of real functions.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minidl.inputs import Array


@dataclass
class Problem:
    """A scalar function of arrays that are perturbed in place: `value()` reads `arrays`."""

    arrays: dict[str, Array]
    value: Callable[[], Any]

    @cached_property
    def rounding(self) -> float:
        """What rounding does to a difference of two values, divided by the usual step."""
        return 1e-9 * (1 + abs(float(np.real(self.value()))))


Index = tuple[int, ...]
COMPLEX_STEP = 1e-30
CENTRAL_STEP = 1e-5
SWEEP = (1e-3, 1e-4, 1e-5, 1e-6)  # large steps bend, small ones round: the best is where neighbours agree
FINER = (1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12)  # where a small step goes a long way: gradients that explode
BENT = 1e-4  # relative: neighbours that differ by more are no measurement yet
AGREEMENT = 1e-13  # of the largest gradient: entries that differ by less count as right (1e-10 of its thousandth)


def slope(
    problem: Problem, directions: dict[str, Array], complex_step: bool, central_step: float = CENTRAL_STEP
) -> float:
    """The derivative of the value when each named array moves along its direction at once."""
    before = {name: problem.arrays[name].copy() for name in directions}
    scale = max((float(abs(d).max()) for d in directions.values() if d.size), default=1.0) or 1.0

    def at(step: complex) -> Any:
        for name, d in directions.items():
            problem.arrays[name][...] = before[name] + step * d
        return problem.value()

    try:
        if complex_step:
            return float(np.imag(at(1j * COMPLEX_STEP / scale))) / COMPLEX_STEP * scale
        h = central_step / scale
        return float((np.real(at(h)) - np.real(at(-h))) / (2 * h))
    finally:
        for name in directions:
            problem.arrays[name][...] = before[name]


class Slope(NamedTuple):
    """A derivative, and how far another step size moves it."""

    value: float
    doubt: float


def entry_slope(problem: Problem, name: str, index: Index, complex_step: bool) -> Slope:
    """The derivative by one entry of one array: by a complex step, or by the best of a sweep of central ones."""
    direction = np.zeros(problem.arrays[name].shape)
    direction[index] = 1.0
    if complex_step:
        return Slope(slope(problem, {name: direction}, True), 0.0)
    return central_slope(problem, {name: direction})


def central_slope(problem: Problem, directions: dict[str, Array], size: float = 1.0) -> Slope:
    """The derivative along a direction by central differences, of the step size at which neighbours agree best.

    Where the steps of the usual sizes, relative to `size`, disagree, shorter ones follow: a net whose gradients
    explode bends at once.
    """
    found: list[float] = []
    for steps in SWEEP, FINER:
        found += [slope(problem, directions, False, size * step) for step in steps]
        pairs = [(a, b) for a, b in pairwise(found) if math.isfinite(a - b)] or [(math.nan, math.nan)]
        disagreement, a, b = min((abs(a - b) / (max(abs(a), abs(b)) + problem.rounding), a, b) for a, b in pairs)
        if disagreement <= BENT:
            break
    return Slope(b, abs(a - b))


def takes_complex(problem: Problem, real: Problem, rng: np.random.Generator) -> bool:
    """Whether complex steps can be trusted here: the code takes them, and they agree with central differences.

    Code that writes complex numbers into real arrays, or takes their absolute value, gives a wrong derivative
    without an error, or a warning at best; one central difference per array, along a random direction, finds it
    out. (One for all arrays at once would not: a large term hides a small one.)
    """
    for name, array in real.arrays.items():
        direction = {name: np.asarray(rng.standard_normal(array.shape))}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                fine = slope(problem, direction, True)
        except Exception:  # whatever a forward pass raises on a dtype that it does not know
            return False

        def agrees(coarse: float, fine: float = fine) -> bool:
            return abs(fine - coarse) <= BENT * max(abs(fine), abs(coarse)) + real.rounding

        if not agrees(slope(real, direction, False)) and not agrees(central_slope(real, direction).value):
            return False
    return True


def suspects(
    problem: Problem, name: str, analytic: Array, count: int, complex_step: bool, rng: np.random.Generator
) -> list[Index]:
    """The entries worth checking one by one: all of a small array; of a large one a sample, and the worst.

    One derivative along a random direction sees every entry of the array at once. Where it disagrees, halving the
    set of entries and following the half that disagrees more leads to an entry that is wrong, in log2(size) steps.
    """
    if analytic.size <= count:
        return list(np.ndindex(analytic.shape))
    sample = rng.choice(analytic.size, count, replace=False)
    flat = analytic.ravel()
    weights = rng.standard_normal(analytic.size)

    def disagreement(entries: Array) -> float:
        direction = np.zeros(analytic.size)
        direction[entries] = weights[entries]
        return abs(slope(problem, {name: direction.reshape(analytic.shape)}, complex_step) - float(direction @ flat))

    entries = np.arange(analytic.size)
    if disagreement(entries) <= AGREEMENT * abs(flat).max():
        return [tuple(int(k) for k in np.unravel_index(k, analytic.shape)) for k in sorted(sample.tolist())]
    while len(entries) > 1:
        halves = np.array_split(entries, 2)
        entries = max(halves, key=disagreement)
    chosen = sorted({*sample.tolist(), int(entries[0])})
    return [tuple(int(k) for k in np.unravel_index(k, analytic.shape)) for k in chosen]
