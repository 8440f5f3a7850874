"""Two reports of speed.py side by side: what became faster, what slower, and what is within the noise.

python tests/benchmarks/compare.py before.json after.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from competitors import COMPETITORS
from printing import console, facts, show
from tables import Table, number, spread

Figures = dict[tuple[str, str, str], Mapping[str, Any]]


def figures(report: Mapping[str, Any]) -> Figures:
    """What each competitor showed, by task, net and name."""
    return {
        (row["task"], row["net"], name): found for row in report["rows"] for name, found in row["competitors"].items()
    }


def verdict(a: list[float], b: list[float]) -> str:
    """Faster or slower, where the quartiles of the two do not overlap."""
    if b[2] < a[0]:
        return "faster"
    return "SLOWER" if b[0] > a[2] else ""


def title(name: str) -> str:
    """A competitor's name; behind minidl's may stand that it has peepholes."""
    first, *rest = name.split(" ")
    return " ".join([COMPETITORS[first].title if first in COMPETITORS else first, *rest])


def compared(a: Figures, b: Figures) -> list[Table]:
    """A table for each task and net that is in both."""
    found: dict[tuple[str, str], list[list[str]]] = {}
    for key in (key for key in a if key in b):
        task, net, name = key
        before, after = a[key]["quartiles"], b[key]["quartiles"]
        settings = dict.fromkeys([a[key]["setting"], b[key]["setting"]])
        cells = [title(name), " -> ".join(settings), spread(before, 1e3), spread(after, 1e3)]
        cells += [number(after[1] / before[1]), verdict(before, after)]
        found.setdefault((task, net), []).append(cells)
    headings = ["", "threads", "A, ms a step", "B, ms a step", "B / A", ""]
    widths = (20, 16, 20, 20, 5, 6)
    return [Table(f"{task} {net}", headings, lines, 2, widths) for (task, net), lines in found.items()]


def main() -> int:
    """Read both, and print what they share."""
    parser = argparse.ArgumentParser(description="Compare two reports of speed.py.")
    parser.add_argument("a", metavar="A.json")
    parser.add_argument("b", metavar="B.json")
    args = parser.parse_args()
    reports = [json.loads(Path(path).read_text(encoding="utf-8")) for path in (args.a, args.b)]
    out = console()
    for letter, report in zip("AB", reports, strict=True):
        out.print(f"{letter}: {facts(report['machine'])}")
    a, b = (figures(report) for report in reports)
    for table in compared(a, b):
        show(out, table)
    for letter, others in ("A", a.keys() - b.keys()), ("B", b.keys() - a.keys()):
        if others:
            out.print(f"only in {letter}: " + "; ".join(sorted(f"{task} {net} {name}" for task, net, name in others)))
    out.print("faster, SLOWER: the quartiles of A and B do not overlap")
    return 0


if __name__ == "__main__":
    sys.exit(main())
