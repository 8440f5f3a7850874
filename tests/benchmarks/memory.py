"""How much memory this process takes, in MB: now, and at its peak since it was last asked to forget the peak."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

MEMORIES = ["whole process", "above imports", "above a tiny net"]
STATUS = Path("/proc/self/status")
KILOBYTES = 1 / 1024 if sys.platform == "darwin" else 1  # of one unit of ru_maxrss


def forget_peak() -> None:
    """Begin a new peak, where the system can: a process inherits that of its parent, and imports have one too."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> float:
    """The most memory since then; elsewhere than on Linux, since the process began."""
    if STATUS.exists():
        return status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTES / 1024


def now() -> float:
    """The memory that is taken now; elsewhere than on Linux, the peak so far."""
    return status("VmRSS") if STATUS.exists() else peak()


def status(name: str) -> float:
    """An entry of Linux's account of this process."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) / 1024
