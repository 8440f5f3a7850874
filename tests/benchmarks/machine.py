"""What the figures depend on: the processor, its cores, the versions, and how busy the machine is."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from competitors import CORES

STAT = Path("/proc/stat")


def machine() -> dict[str, Any]:
    """The machine, before anything is measured."""
    facts = {"cpu": cpu(), "cores": CORES, "system": f"{platform.system()} {platform.machine()}"}
    return facts | {"python": platform.python_version()}


def cpu() -> str:
    """The processor's name, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def load() -> float | None:
    """How many processes wanted a core in the last minute, on average."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def pause(seconds: float) -> float:
    """Sleep; returns how many cores others kept busy meanwhile, 0 where the system does not tell."""
    before = busy_ticks()
    began = time.perf_counter()
    time.sleep(seconds)
    ticks = busy_ticks() - before
    return ticks / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - began) if ticks else 0.0


def busy_ticks() -> int:
    """The clock ticks that all cores together have worked so far."""
    if not STAT.exists():
        return 0
    user, nice, system, _, _, *interrupts = map(int, STAT.read_text(encoding="ascii").splitlines()[0].split()[1:8])
    return user + nice + system + sum(interrupts)


def versions(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The versions that the workers of these rows told."""
    found: dict[str, str] = {}
    for row in rows:
        for competitor in row["competitors"].values():
            found |= {name: value for name, value in competitor["about"].items() if name != "kernel"}
    return found
