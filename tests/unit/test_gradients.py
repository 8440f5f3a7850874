"""Norms and clipping of gradients: right from 1e-200 to 1e300, and never silent about a NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl.errors import ArgumentError, NonFiniteError
from minidl.gradients import check_finite, clip_norm, clip_value, global_norm, norms
from minidl.layer import Parameter


def with_grad(grad: Any, dtype: Any = np.float64, trainable: bool = True) -> Parameter:
    grad = np.array(grad, dtype)
    p = Parameter(np.zeros_like(grad), trainable)
    p.grad[...] = grad
    return p


def exact_norm(*grads: np.ndarray) -> float:
    """The norm from exact fractions, scaled so that the root of the sum of squares is in range."""
    entries = [Fraction(float(g)) for grad in grads for g in grad.ravel()]
    peak = max(map(abs, entries), default=Fraction(0))
    return float(peak) * math.sqrt(sum((g / peak) ** 2 for g in entries)) if peak else 0.0


def test_norms_by_hand() -> None:
    params = {"a": with_grad([[3.0], [4.0]]), "b": with_grad([12.0]), "empty": with_grad(np.zeros((0, 3)))}
    assert norms(params) == {"a": 5.0, "b": 12.0, "empty": 0.0}
    assert global_norm(params) == 13.0
    assert type(global_norm(params)) is float
    assert all(type(norm) is float for norm in norms(params).values())
    assert global_norm({}) == 0.0 and norms({}) == {}


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        (1e20, "f4"),
        (1e38, "f4"),
        (1e-30, "f4"),
        (1e-44, "f4"),
        (1e200, "f8"),
        (1e-200, "f8"),
        (1e-320, "f8"),
        (1e4, "f2"),
    ],
)
def test_norms_where_the_square_is_out_of_range(scale: float, dtype: str) -> None:
    unit = np.array([[1, -2, 0], [0.5, 0.25, -3]]) * scale
    a, b = with_grad(unit, dtype), with_grad(np.asfortranarray(unit.T / 4), dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        norm = global_norm({"a": a, "b": b})
    assert norm == pytest.approx(exact_norm(a.grad, b.grad), rel=2e-3 if dtype == "f2" else 1e-6, abs=0)


def test_a_few_large_ones_among_tiny_ones() -> None:
    w = with_grad([1e-30, 1e-3, 1e-25], np.float32)
    assert global_norm({"w": w}) == pytest.approx(1e-3)
    many = with_grad(np.full(10_000, 2e-20), np.float32)  # each square is a denormal number
    assert global_norm({"w": many}) == pytest.approx(2e-18, rel=1e-6)


finite32 = hnp.arrays(
    np.float32, hnp.array_shapes(max_dims=2), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)
finite64 = hnp.arrays(np.float64, hnp.array_shapes(max_dims=2), elements=st.floats(-1e300, 1e300))


@given(st.one_of(finite32, finite64), st.one_of(finite32, finite64))
def test_norm_is_exact_to_rounding(a: np.ndarray, b: np.ndarray) -> None:
    norm = global_norm({"a": with_grad(a, a.dtype), "b": with_grad(b, b.dtype)})
    assert norm == pytest.approx(exact_norm(a, b), rel=1e-6, abs=0)


@given(finite64, st.floats(1e-6, 1e6))
def test_clipped_norm_is_max_norm_and_the_direction_stays(grad: np.ndarray, max_norm: float) -> None:
    w = with_grad(grad)
    before = clip_norm({"w": w}, max_norm)
    assert before == pytest.approx(exact_norm(grad), rel=1e-12, abs=0)
    if before <= max_norm:
        np.testing.assert_array_equal(w.grad, grad)
    else:
        assert global_norm({"w": w}) == pytest.approx(max_norm, rel=1e-12)
        np.testing.assert_allclose(w.grad, grad / before * max_norm, rtol=1e-12, atol=1e-300)


def test_clip_norm_by_hand() -> None:
    a, b = with_grad([3.0, 4.0]), with_grad([12.0], np.float32)
    places = a.grad, b.grad
    assert clip_norm({"a": a, "b": b}, 13.0) == 13.0
    np.testing.assert_array_equal(a.grad, [3, 4])
    assert clip_norm({"a": a, "b": b}, 6.5) == 13.0
    np.testing.assert_array_equal(a.grad, [1.5, 2])
    np.testing.assert_array_equal(b.grad, [6])
    assert a.grad is places[0] and b.grad is places[1] and b.grad.dtype == np.float32


@pytest.mark.parametrize(
    ("scale", "max_norm", "dtype"),
    [
        (1e20, 5.0, "f4"),
        (3e37, 1e-3, "f4"),  # the factor, 1e-41, is a denormal number in float32
        (3e37, 1e-7, "f4"),  # the factor, 1e-45, is one bit of float32
        (1e-30, 1e-33, "f4"),
        (1e200, 1.0, "f8"),
        (1e300, 1e-20, "f8"),  # the factor is a denormal number in float64
        (1e3, 1e-3, "f2"),
    ],
)
def test_clip_norm_keeps_the_direction_at_any_length(scale: float, max_norm: float, dtype: str) -> None:
    direction = np.array([1.0, -2.0, 3.0, 0.0, -0.5])
    a, b = with_grad(direction * scale, dtype), with_grad(-direction * scale, dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        before = clip_norm({"a": a, "b": b}, max_norm)
    length = math.sqrt(2) * np.linalg.norm(direction)
    tolerance = 2e-3 if dtype == "f2" else 1e-6
    assert before == pytest.approx(scale * length, rel=tolerance)
    np.testing.assert_allclose(a.grad, direction * (max_norm / length), rtol=tolerance)
    np.testing.assert_array_equal(b.grad, -a.grad)


def test_clip_norm_mixes_dtypes() -> None:
    a, b = with_grad([3e37], np.float32), with_grad([4e37], np.float64)
    assert clip_norm({"a": a, "b": b}, 1e-5) == pytest.approx(5e37)
    np.testing.assert_allclose(a.grad, [6e-6], rtol=1e-6)
    np.testing.assert_allclose(b.grad, [8e-6], rtol=1e-6)


def test_clip_value_by_hand() -> None:
    w = with_grad([[3.0, -4.0], [0.5, -0.25]], np.float32)
    place = w.grad
    assert clip_value({"w": w}, 1) == pytest.approx(math.sqrt(9 + 16 + 0.25 + 0.0625))
    np.testing.assert_array_equal(w.grad, [[1, -1], [0.5, -0.25]])
    assert w.grad is place and w.grad.dtype == np.float32


@pytest.mark.parametrize("limit", [1e20, 1e39, 1e300])
def test_clip_value_with_limits_beyond_float32(limit: float) -> None:
    w = with_grad([3e38, -1.0], np.float32)
    with np.errstate(all="raise"):
        clip_value({"w": w}, limit)
    np.testing.assert_array_equal(w.grad, np.array([min(limit, 3e38), -1], np.float32))


def test_zero_gradients_are_left_alone() -> None:
    w = Parameter(np.ones(3, np.float32))
    with np.errstate(all="raise"):
        assert (global_norm({"w": w}), clip_norm({"w": w}, 1.0), clip_value({"w": w}, 1.0)) == (0, 0, 0)
        check_finite({"w": w})
    np.testing.assert_array_equal(w.grad, [0, 0, 0])


ALL: dict[str, Callable[[dict[str, Parameter]], Any]] = {
    "global_norm": global_norm,
    "norms": norms,
    "clip_norm": lambda params: clip_norm(params, 1e-3),
    "clip_value": lambda params: clip_value(params, 1e-3),
    "check_finite": check_finite,
}
every_function = pytest.mark.parametrize("function", ALL.values(), ids=ALL.keys())


@every_function
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({(1, 2): np.nan}, r"got 1 nan among its 6 entries, the first at \[1, 2\]"),
        ({(0, 1): -np.inf}, r"got 1 inf among its 6 entries, the first at \[0, 1\]"),
        (
            {(0, 2): np.inf, (1, 0): np.nan, (1, 1): np.nan},
            r"got 2 nan and 1 inf among its 6 entries, the first at \[0, 2\]",
        ),
    ],
)
def test_the_parameter_is_named_and_nothing_changes(
    function: Any, dtype: Any, bad: dict[Any, float], words: str
) -> None:
    fine, broken = with_grad([3.0, 4.0], dtype), with_grad(np.ones((2, 3)), dtype)
    for place, value in bad.items():
        broken.grad[place] = value
    params = {"dense.b": fine, "lstm.Wx": broken, "dense.W": with_grad([1.0], dtype)}
    before = {name: p.grad.copy() for name, p in params.items()}
    with (
        np.errstate(over="raise", invalid="raise", divide="raise"),
        pytest.raises(NonFiniteError, match=f"The gradient of 'lstm.Wx' must be finite, {words}: ") as raised,
    ):
        function(params)
    assert "\n" not in str(raised.value)
    for name, p in params.items():
        np.testing.assert_array_equal(p.grad, before[name])


@every_function
def test_frozen_parameters_have_no_part(function: Any) -> None:
    frozen = with_grad([np.nan, 7.0], trainable=False)
    function({"frozen": frozen, "w": with_grad([3.0, 4.0])})
    np.testing.assert_array_equal(frozen.grad, [np.nan, 7.0])
    assert norms({"frozen": frozen, "w": with_grad([3.0, 4.0])}) == {"w": 5.0}


@every_function
def test_huge_gradients_are_finite(function: Any) -> None:
    function({"w": with_grad([1e38, -1e38], np.float32), "v": with_grad([1e300], np.float64)})


@pytest.mark.parametrize("params", [{"w": [1.7e308, 1.7e308]}, {"v": [1.0], "w": [1.7e308], "x": [1.6e308]}])
def test_a_norm_beyond_float64_is_not_returned(params: dict[str, list[float]]) -> None:
    with pytest.raises(NonFiniteError, match="The gradient of 'w' is expected to have a norm that float64 can hold"):
        clip_norm({name: with_grad(grad) for name, grad in params.items()}, 1.0)


@pytest.mark.parametrize("bad", [0, -1.0, "5", None, True, float("nan"), float("inf")])
def test_bad_limits_are_named(bad: Any) -> None:
    with pytest.raises(ArgumentError, match=r"clip_norm expects max_norm to be a (positive )?number"):
        clip_norm({}, bad)
    with pytest.raises(ArgumentError, match=r"clip_value expects limit to be a (positive )?number"):
        clip_value({}, bad)


@every_function
def test_params_are_a_mapping(function: Any) -> None:
    with pytest.raises(ArgumentError, match="mapping from name to Parameter, got a list"):
        function([with_grad([1.0])])
