"""How far rounding moves the results of a kernel: the tolerance of a comparison, from the conditioning of the case.

A recurrent net can magnify the rounding of one step a million times on the way through the others, and where a tanh
saturates, 1 - h^2 keeps few correct digits. No fixed tolerance fits both such a case and a harmless one. So the
reference runs several times in float64, with a random error in each operation, as large as the rounding of the dtype
under test (Monte Carlo arithmetic). The largest deviation from the exact result is what rounding explains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

RUNS = 4
# In 4,800 random cases of all kernels, the largest error was 1.5 times the largest deviation of RUNS runs.
MARGIN = 4
FLOOR = 4  # in units of eps, for results that rounding leaves alone or that underflow
# In units of eps. minidl/kernels/compiled/tanh.py promises 4e-7 for float32, where eps is 1.2e-7.
ERRORS = {np.tanh: 4}


class Rounded(np.ndarray):
    """Float64 numbers; each operation on them has a random error of up to `eps`, relative to its result."""

    eps = 0.0
    rng: np.random.Generator

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any) -> Any:
        plain, operation = [np.asarray(a) for a in inputs], getattr(ufunc, method)
        result = operation(*plain, **options)
        if result.dtype.kind == "f":
            # in a sum each term is rounded, so that the error stays where the terms cancel
            is_sum = ufunc is np.matmul or method == "reduce"
            size = operation(*map(abs, plain), **options) if is_sum else abs(result)
            noise = self.rng.uniform(-self.eps, self.eps, result.shape)
            result = (result + ERRORS.get(ufunc, 1) * size * noise).view(type(self))
        if not out:
            return result
        out[0][...] = np.asarray(result)
        return out[0]

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(func, types, args, kwargs)
        return result.view(type(self)) if isinstance(result, np.ndarray) and result.dtype.kind == "f" else result


def to_float64(a: Any) -> Any:
    return a.astype(np.float64)


def check_within_rounding(
    fast: dict[str, Any], reference: Callable[[Callable[[Any], Any]], dict[str, Any]], dtype: Any
) -> None:
    """Compare results of a kernel with those of its reference.

    Args:
        fast: the results of the kernel to compare, by name.
        reference: computes the results by name; it gets the function that converts each of its arrays.
        dtype: the dtype in which the kernel ran.
    """
    exact, eps = reference(to_float64), np.finfo(dtype).eps
    deviations = dict.fromkeys(exact, 0.0)
    for seed in range(RUNS):
        kind = type("Rounded", (Rounded,), {"eps": eps, "rng": np.random.default_rng(seed)})
        for name, a in reference(lambda a, kind=kind: to_float64(a).view(kind)).items():  # type: ignore[misc]
            deviations[name] = max(deviations[name], abs(np.asarray(a) - exact[name]).max(initial=0))
    for name, a in fast.items():
        floor = FLOOR * eps * max(1.0, abs(exact[name]).max(initial=0))
        assert a.dtype == dtype, name
        np.testing.assert_allclose(a, exact[name], rtol=0, atol=MARGIN * deviations[name] + floor, err_msg=name)
