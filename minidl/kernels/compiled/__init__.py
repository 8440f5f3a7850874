"""The kernels as machine code, by numba: the same results as their NumPy twins to rounding, several times as fast.

Loaded at the first pass, and only where the extra `fast` is installed: `minidl.kernels.backend()`. What is compiled is
kept on disk beside these files, or where NUMBA_CACHE_DIR says.
"""

import sys
from typing import Any

from numba.core import event


class Announcement(event.Listener):
    """Says once per process why the first pass takes its time, where kernels are compiled for it.

    Kernels are compiled when a layer, or a dtype, is used for the first time, and again after an update of minidl or
    numba, by another user, or on another processor.
    """

    said = False

    def on_start(self, event: Any) -> None:
        """Report that a function is about to be compiled; one that is found on disk is not."""
        dispatcher = event.data["dispatcher"]
        if sys.stderr and not Announcement.said and dispatcher.py_func.__module__.startswith(__name__):
            Announcement.said = True
            dtype = next((f" for {kind.dtype}" for kind in event.data["args"] if hasattr(kind, "dtype")), "")
            folder = dispatcher.stats.cache_path
            kept = "" if folder is None else f"; later runs load them from {folder}"
            print(f"minidl compiles kernels{dtype}, up to a minute{kept}", file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        """Do nothing."""


event.register("numba:compile", Announcement())
