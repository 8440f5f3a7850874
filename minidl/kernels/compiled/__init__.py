"""The kernels as machine code, by numba: the same results as their NumPy twins to rounding, several times as fast.

Loaded at the first pass, and only where the extra `fast` is installed: `minidl.kernels.backend()`. What is compiled is
kept on disk beside these files, or where NUMBA_CACHE_DIR says.
"""

import sys
from typing import Any

from numba.core import event


class Announcement(event.Listener):
    """Says once why the first pass takes its time."""

    said = False

    def on_start(self, event: Any) -> None:
        """A function is about to be compiled; one that is found on disk is not."""
        if sys.stderr and not Announcement.said and event.data["dispatcher"].py_func.__module__.startswith(__name__):
            Announcement.said = True
            print(
                "minidl compiles its fast kernels, once on this machine: about 20 seconds", file=sys.stderr, flush=True
            )

    def on_end(self, event: Any) -> None:
        """Nothing to say."""


event.register("numba:compile", Announcement())
