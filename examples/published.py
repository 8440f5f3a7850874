"""What the examples share that measure what others have published: the report, its options, and how it is shown.

An example has a function `measure(seeds, smoke) -> Report`, and ends in `reproduce(measure, seeds=5)`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from curves import Curves

import minidl


@dataclass
class Row:
    """One net: its name, the figure that was published ("" where there is none), and the one measured here."""

    net: str
    published: str
    measured: str


@dataclass
class Report:
    """What came of it: the task, how it was set up, who published what, in what this differs, the rows, the curves."""

    task: str
    setup: str
    source: str
    rows: list[Row]
    curves: Curves
    differs: str = ""


def reproduce(measure: Callable[[Sequence[int], bool], Report], seeds: int = 1) -> None:
    """Measure with seeds 0, 1, ... as the command line says, print the table and the plot, and save what is asked for.

    Args:
        measure: (seeds, smoke) -> Report; with `smoke` it takes seconds, and its figures mean nothing.
        seeds: how many seeds, where `--seeds` does not say it.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that it runs")
    parser.add_argument("--seeds", type=int, default=seeds, metavar="N", help=f"seeds 0 to N - 1 (default {seeds})")
    parser.add_argument("--png", metavar="FILE", help="save the plot as well; needs matplotlib")
    parser.add_argument("--json", metavar="FILE", help="save the report as well")
    args = parser.parse_args()
    if args.seeds < 1:
        parser.error(f"--seeds expects a number of at least 1, got {args.seeds}.")
    chosen, began = list(range(1 if args.smoke else args.seeds)), time.process_time()
    report = measure(chosen, args.smoke)
    minutes = (time.process_time() - began) / 60
    show(report, chosen, minutes)
    if args.smoke:
        print("a short form, to see that it runs: these figures mean nothing")
    if args.png and not report.curves.png(args.png):
        print("a PNG needs matplotlib: pip install 'minidl[examples]'")
    if args.json:
        facts = {"seeds": chosen, "minutes": round(minutes, 2), "machine": machine(), "plot": report.curves.text()}
        words = {name: value for name, value in asdict(report).items() if name != "curves"}
        text = json.dumps(words | facts, indent=1, ensure_ascii=False)
        Path(args.json).write_text(text + "\n", encoding="utf-8")


def show(report: Report, seeds: Sequence[int], minutes: float) -> None:
    """Print the report: published beside measured, and the plot."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("net", "published", "measured", title=f"{report.task}, {said(seeds)}", title_justify="left")
    for row in report.rows:
        table.add_row(row.net, row.published or "-", row.measured)
    console.print(table, report.setup, markup=False)
    console.print(f"published: {report.source}", markup=False)
    if report.differs:
        console.print(f"here: {report.differs}", markup=False)
    print(report.curves.text(ascii_only=not console.encoding.startswith("utf")))
    print(f"{minutes:.1f} minutes of processor time on {machine()}")


def said(seeds: Sequence[int]) -> str:
    """Which seeds, in words."""
    return f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"


def spread(values: Sequence[float], form: str = ".4f") -> str:
    """The mean of a figure over the seeds, and from where to where it goes.

    Example:
        >>> spread([0.5, 1.0], ".2f"), spread([0.5], ".2f")
        ('0.75 (0.50 to 1.00)', '0.50')
    """
    mean = format(np.mean(values), form)
    return f"{mean} ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else mean


def machine() -> str:
    """What it ran on, in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    cpu = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())
    threads = os.environ.get("MINIDL_THREADS", "all")
    kernels = f"{minidl.kernels.backend()} kernels, MINIDL_THREADS={threads}"
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, minidl {minidl.__version__}"
    return f"{cpu}, {os.cpu_count()} cores, {kernels}, {versions}"
