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
def compiled(name: str) -> Any:
    """A module of compiled kernels, loaded at its first use; None where NumPy was chosen.

    Raises:
        ArgumentError: where numba finds no folder to keep its work in.
    """
    if backend() == "numpy":
        return None
    try:
        return importlib.import_module(f"minidl.kernels.compiled.{name}")
    except RuntimeError as error:
        if "no locator" not in str(error):
            raise
        raise ArgumentError(
            "The compiled kernels expect a folder that they may write to: let NUMBA_CACHE_DIR name one, or set "
            "MINIDL_KERNELS=numpy."
        ) from error
