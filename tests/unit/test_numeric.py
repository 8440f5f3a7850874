"""Central differences take the step at which they agree with their neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minidl.checking.numeric import Problem, entry_slope
from minidl.inputs import Array


def slopes(function: Callable[[Array], float], x: Array) -> Array:
    """The central derivatives of a function by each entry of x."""
    live = x.copy()
    problem = Problem({"x": live}, lambda: function(live))
    found = np.array([entry_slope(problem, "x", (k,), False).value for k in range(len(x))])
    np.testing.assert_array_equal(live, x)
    return found


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_smooth_functions_of_any_steepness(scale: float) -> None:
    x = np.array([0.03, 0.12, 0.5]) / scale
    expected = 3 * scale * np.sin(scale * x) ** 2 * np.cos(scale * x)
    found = slopes(lambda x: float((np.sin(scale * x) ** 3).sum()), x)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10 * scale)


def test_large_offsets_leave_little_rounding() -> None:
    x = np.array([0.3, 1.2])
    found = slopes(lambda x: 1e6 + float((x**2).sum()), x)
    np.testing.assert_allclose(found, 2 * x, rtol=0, atol=1e-6)


def test_beside_a_kink() -> None:
    x = np.array([2e-4, -5e-4, 1.0])  # nearer than the largest step
    found = slopes(lambda x: float(np.maximum(x, 0).sum()), x)
    np.testing.assert_allclose(found, [1.0, 0.0, 1.0], rtol=0, atol=1e-9)


def test_where_a_small_step_goes_a_long_way_shorter_ones_are_taken() -> None:
    x = np.array([0.3, -0.2])
    found = slopes(lambda x: float(np.sin(1e7 * x).sum()), x)
    np.testing.assert_allclose(found, 1e7 * np.cos(1e7 * x), rtol=1e-4, atol=0)
