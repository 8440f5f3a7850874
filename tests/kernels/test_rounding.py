"""The tolerance that rounding explains: it grows with the condition of a case, and leaves no room for a mistake."""

import numpy as np
import pytest

from tests.kernels.rounding import check_within_rounding, to_float64


def chain(w, steps):
    """A reference that applies a matrix and tanh several times."""

    def reference(convert):
        a, x = convert(w), convert(np.linspace(-0.1, 0.1, len(w)).astype(w.dtype))
        for _ in range(steps):
            x = np.tanh(x @ a)
        return {"x": x}

    return reference


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_rounding_alone_passes_and_any_more_fails(scale, dtype):
    w = (scale * np.random.default_rng(0).standard_normal((9, 9))).astype(dtype)
    reference = chain(w, 5)
    result = reference(lambda a: a)["x"]
    check_within_rounding({"x": result}, reference, dtype)
    wrong = chain(w * np.asarray(1 + 500 * np.finfo(dtype).eps, dtype), 5)(lambda a: a)["x"]
    with pytest.raises(AssertionError, match="x"):
        check_within_rounding({"x": wrong}, reference, dtype)


def test_a_sum_that_cancels_has_the_errors_of_its_terms():
    def reference(convert):
        return {"sum": convert(np.float32([[1e6, 1.0, -1e6]])).sum(axis=1)}

    check_within_rounding({"sum": np.float32([1.0625])}, reference, np.float32)  # 1e6 is stored to 0.0625
    with pytest.raises(AssertionError, match="sum"):
        check_within_rounding({"sum": np.float32([3.0])}, reference, np.float32)


def test_results_in_another_dtype_are_refused():
    reference = chain(np.eye(3), 1)
    with pytest.raises(AssertionError, match="x"):
        check_within_rounding(reference(to_float64), reference, np.float32)
