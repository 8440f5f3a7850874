"""Which implementation the kernels run on: NumPy, or machine code by numba where the extra `fast` is installed."""

from __future__ import annotations

import importlib
import os
from functools import cache
from importlib.util import find_spec
from typing import Any

from minidl.errors import ArgumentError


@cache
def backend() -> str:
    """The implementation that the layers run on, "numpy" or "numba"; MINIDL_KERNELS chooses one.

    Raises:
        ArgumentError: where MINIDL_KERNELS says something else, or numba is not installed.

    Example:
        >>> minidl.kernels.backend() in ("numpy", "numba")
        True
    """
    installed = find_spec("numba") is not None
    wanted = os.environ.get("MINIDL_KERNELS") or ("numba" if installed else "numpy")
    if wanted not in ("numpy", "numba"):
        raise ArgumentError(f"MINIDL_KERNELS is expected to be numpy or numba, got {wanted!r}.")
    if wanted == "numba" and not installed:
        raise ArgumentError("MINIDL_KERNELS asks for numba, which is not installed: pip install 'minidl[fast]'.")
    return wanted


@cache
def machine_code(name: str, *dtypes: Any) -> Any:
    """A module of compiled kernels for arrays of these dtypes; None where NumPy was chosen, or has to do it.

    They are compiled for float32 and float64, and for arrays that are alike.

    Raises:
        ArgumentError: where numba cannot be loaded, or finds no folder to keep its work in.
    """
    if backend() == "numpy" or len(set(dtypes)) > 1 or any(d.char not in "fd" or not d.isnative for d in dtypes):
        return None
    return loaded(name)


@cache
def loaded(name: str) -> Any:
    """The module, which is slow to load."""
    try:
        return importlib.import_module(f"minidl.kernels.compiled.{name}")
    except ImportError as error:
        reason = f"numba that fits its surroundings ({error})"
    except RuntimeError as error:
        if "no locator" not in str(error):
            raise
        reason = "folder that they may write to: let NUMBA_CACHE_DIR name one"
    raise ArgumentError(f"The compiled kernels expect a {reason}; MINIDL_KERNELS=numpy does without them.")
