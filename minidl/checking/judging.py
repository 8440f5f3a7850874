"""`compare_gradients`: each array's gradient is right, wrong, or too ill-conditioned to check."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from minidl.checking.numeric import Index, Problem, entry_slope, suspects
from minidl.checking.report import ILL_CONDITIONED, Row, fingerprint, off_by, relative_error
from minidl.inputs import Array

NUDGE = 1e-15  # relative: a few units in the last place
NUDGES = 3  # that every number of a problem gets in turn
SOME = 8  # wrong entries of an array whose conditioning is measured
HEADROOM = 10.0  # times what a nudge does to a derivative: as far apart rounding takes two ways of computing it
CHAOTIC = 1e-6  # of the value: where a nudge does more, the shortest step that can be measured goes too far
HOPELESS = 0.01  # of a derivative: where a nudge does more, not even its order of magnitude is certain
CLEAR = 1e-4  # relative: what rounding hides, where a gradient still counts as checked


class Measured(NamedTuple):
    """One entry of an array: its numeric derivative, how far another step moves that, and what backward says."""

    at: Index
    numeric: float
    doubt: float
    analytic: float


def compare_gradients(
    problem: Problem,
    analytic: Mapping[str, Array | None],
    complex_step: bool,
    tolerance: float,
    count: int,
    rng: np.random.Generator,
    *,
    scale: float = 1.0,
    constants: Collection[str] = (),
) -> list[Row]:
    """Return the rows of a report, one for each array of a problem.

    An entry is right when it agrees to `tolerance`, or when the difference is rounding: 1e-12 (central differences:
    1e-9) of `scale` or the largest derivative. Where it does not agree, the derivative is taken again after nudging
    every number by 1e-15. No check can detect differences of that size.

    Args:
        problem: the function, and the arrays whose derivatives are compared.
        analytic: the gradients from backward, by name; None, or a missing name, where there is none.
        count: entries of an array that are measured one by one.
        constants: names of arrays whose gradient may be 0 whatever the derivative is.
    """
    found = {name: measure(name, problem, analytic.get(name), count, complex_step, rng) for name in problem.arrays}
    slopes = [abs(m.numeric) for entries in found.values() for m in entries]
    noise = (1e-12 if complex_step else 1e-9) * max([scale, *filter(math.isfinite, slopes)])
    conditioning = Conditioning(problem, complex_step, rng)
    rows = []
    for name, array in problem.arrays.items():
        row = judge(name, array.shape, analytic.get(name), found[name], tolerance, noise, name in constants)
        if not row.ok and found[name]:
            row = conditioned(row, found[name], conditioning)
        rows.append(row)
    return with_common_factor(rows)


def with_common_factor(rows: list[Row]) -> list[Row]:
    """Return the rows, those of single numbers renamed where another array is off by the same factor."""
    factors = {row.name: factor_of(row) for row in rows if row.code in ("G101", "G102")}

    def renamed(row: Row) -> Row:
        factor = factors.get(row.name)
        others = (other for name, other in factors.items() if name != row.name and other is not None)
        if row.code != "G101" or factor is None or not any(math.isclose(factor, n, rel_tol=1e-5) for n in others):
            return row
        return row._replace(code="G102", verdict=off_by(factor))

    return [renamed(row) for row in rows]


def factor_of(row: Row) -> float | None:
    """Return the factor by which an array's gradient is off; None where it is off by more than a factor."""
    moved = [(numeric, analytic) for _, numeric, analytic, _ in row.entries if numeric]
    if row.code == "G101" and (len(moved) != 1 or row.verdict != "wrong"):
        return None
    numeric, analytic = max(moved, key=lambda pair: abs(pair[0]))
    return analytic / numeric


def measure(
    name: str, problem: Problem, analytic: Array | None, count: int, complex_step: bool, rng: np.random.Generator
) -> list[Measured]:
    """The entries of an array that are worth comparing; none where backward gives nothing that could be."""
    if analytic is None or analytic.shape != problem.arrays[name].shape:
        return []
    odd = np.argwhere(~np.isfinite(analytic))
    places = [tuple(odd[0].tolist())] if len(odd) else suspects(problem, name, analytic, count, complex_step, rng)
    return [Measured(at, *entry_slope(problem, name, at, complex_step), float(analytic[at])) for at in places]


def wrong_shape(came: Index, shape: Index) -> str:
    """The code for a gradient of another shape: axes exchanged, a product that lost an axis, or no name."""
    if sorted(came) == sorted(shape):
        return "G103"
    return "G109" if len(shape) == 2 and min(shape) > 1 and len(came) < 2 else "G101"


def judge(
    name: str,
    shape: Index,
    analytic: Array | None,
    entries: list[Measured],
    tolerance: float,
    noise: float,
    constant: bool,
) -> Row:
    """Compare one array's gradient with the numeric one, and say what is wrong with it.

    Differences up to `noise`, the rounding of the whole pass, are no mistakes: where terms cancel, a gradient of
    0 comes out as 1e-17. They count as `tolerance` at most.
    """
    if analytic is None or analytic.shape != shape:
        came = "nothing" if analytic is None else f"an array of shape {analytic.shape}, not {shape}"
        code = "G101" if analytic is None else wrong_shape(analytic.shape, shape)
        return Row(name, shape, math.inf, (), math.nan, math.nan, f"backward gives {came}", [], code)
    if not entries:
        return Row(name, shape, 0.0, (), 0.0, 0.0, "ok", [])
    numeric = np.array([m.numeric for m in entries])
    backward = np.array([m.analytic for m in entries])
    errors = np.nan_to_num(relative_error(numeric, backward), nan=math.inf)
    errors = np.where(abs(backward - numeric) <= noise, np.minimum(errors, tolerance), errors)
    code, verdict = "", "ok"
    if (errors > tolerance).any():
        whole = len(entries) == analytic.size
        code, verdict = fingerprint(numeric.reshape(shape), analytic) if whole else fingerprint(numeric, backward)
        if name == "x" and code == "G108":
            code = "G101"  # its rows are steps or rows of the batch, no gates
        if constant and not analytic.any():
            code, verdict, errors = "", "ok (constant)", np.zeros(len(entries))
    worst = int(np.argmax(errors))
    right = errors <= tolerance
    listed = [(m.at, m.numeric, m.analytic, bool(ok)) for m, ok in zip(entries, right, strict=True)]
    at, slope, _, gradient = entries[worst]
    return Row(name, shape, float(errors[worst]), at, slope, gradient, verdict, listed, code)


def conditioned(row: Row, entries: list[Measured], conditioning: Conditioning) -> Row:
    """Return the row of a gradient that seems wrong, with another verdict where rounding may explain the difference."""
    wrong = [m for m, (_, _, _, right) in zip(entries, row.entries, strict=True) if not right]
    wrong.sort(key=lambda m: m.at != row.worst)  # the worst one is among those that are measured
    checked = True
    for m in wrong[:SOME]:
        hidden = conditioning.hides(row.name, m)
        if not abs(m.analytic - m.numeric) <= hidden:
            return row
        checked = checked and hidden <= CLEAR * abs(m.numeric)
    listed = [(at, numeric, analytic, True) for at, numeric, analytic, _ in row.entries] if checked else row.entries
    return row._replace(verdict="ok (ill-conditioned)" if checked else ILL_CONDITIONED, code="", entries=listed)


class Conditioning:
    """The conditioning of a problem: how its value and derivatives change with the last digits of every number.

    Source:
        Higham 2002, Accuracy and stability of numerical algorithms, chapter 1 (conditioning, backward error).
    """

    def __init__(self, problem: Problem, complex_step: bool, rng: np.random.Generator) -> None:
        self.problem, self.complex_step = problem, complex_step
        self.seed = int(rng.integers(2**32))

    @cached_property
    def chaotic(self) -> bool:
        """Whether the value changes so much that a step of any size is too long or too short."""
        values = [float(np.real(value)) for value in self.nudged(self.problem.value)]
        return max(values) - min(values) > CHAOTIC * max(map(abs, values))

    def hides(self, name: str, m: Measured) -> float:
        """Return the largest difference between a numeric derivative and a correct gradient that rounding explains."""
        if self.chaotic and not self.complex_step:
            return math.inf
        found = self.nudged(lambda: entry_slope(self.problem, name, m.at, self.complex_step).value)
        spread = max(m.doubt, max(found) - min(found))
        if self.chaotic and spread > HOPELESS * min(map(abs, found)):
            return math.inf
        return HEADROOM * spread if math.isfinite(spread) else 0.0

    def nudged(self, function: Callable[[], Any]) -> list[Any]:
        """Return the results of a function with the numbers as they are, and after each nudge."""
        arrays, rng = self.problem.arrays, np.random.default_rng(self.seed)
        before = {name: array.copy() for name, array in arrays.items()}
        found = [function()]
        try:
            for _ in range(NUDGES):
                for name, array in arrays.items():
                    array[...] = before[name] * (1 + NUDGE * rng.standard_normal(array.shape))
                found.append(function())
        finally:
            for name, array in arrays.items():
                array[...] = before[name]
        return found
