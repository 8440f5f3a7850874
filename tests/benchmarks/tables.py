"""The report's tables, as data: a title, headings, lines of cells; printed with rich, or as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from competitors import COMPETITORS, KERNELS
from floors import memory_ceiling, peephole_ceiling, ratio_floor, share_floor
from measuring import PEEPHOLES
from memory import MEMORIES

Row = Mapping[str, Any]


class Table(NamedTuple):
    """A table; the first `words` columns are words, the others figures."""

    title: str
    headings: list[str]
    lines: list[list[str]]
    words: int = 1
    widths: tuple[int, ...] = ()  # at least so wide on the console, so that tables below each other agree


def decimals(value: float, most: int) -> int:
    """How many decimals show three digits that count."""
    return min(most, max(0, 2 - math.floor(math.log10(abs(value))))) if value else 0


def number(value: float, most: int = 9) -> str:
    """Three digits that count, but no more than so many decimals."""
    return f"{value:,.{decimals(value, most)}f}"


def spread(values: list[float], unit: float = 1.0, most: int = 9) -> str:
    """The median, and the quartiles in brackets with as many decimals."""
    low, middle, high = (unit * value for value in values)
    places = decimals(middle, most)
    return f"{middle:,.{places}f} ({low:,.{places}f}-{high:,.{places}f})"


def judged(figure: str, value: float, floor: float | None, at_most: bool = False) -> str:
    """A figure with its floor, and a mark where it is not reached."""
    if floor is None:
        return figure
    reached = value <= floor if at_most else value >= floor
    return f"{figure} {'✓' if reached else '✗'} {'≤' if at_most else '≥'} {floor:g}"


def kernels_in(rows: Iterable[Row]) -> list[str]:
    """Those of minidl's kernels that took part."""
    rows = list(rows)
    return [kernel for kernel in KERNELS if any(kernel in row["competitors"] for row in rows)]


def ratio(row: Row, peer: str, kernel: str, spreads: bool) -> str:
    """How many times as long the peer takes, beside the floor."""
    values = row["ratios"].get(f"{peer}/{kernel}")
    if values is None:
        return "-"
    figure = spread(values, most=2) if spreads else number(values[1], most=2)
    return judged(figure, values[1], ratio_floor(row["task"], row["row"], peer, kernel))


def times(rows: list[Row]) -> list[Table]:
    """A table for each task and net, a line for everyone."""
    kernels = kernels_in(rows)
    found = []
    for row in rows:
        if row["task"] == "peepholes":
            continue
        unit, scale = ("µs a symbol", 1e6) if row["task"] == "generation" else ("ms a step", 1e3)
        lines = []
        for name, figures in row["competitors"].items():
            if name != "gemms":
                cells = [COMPETITORS[name].title, figures["setting"], spread(figures["quartiles"], scale)]
                lines.append(cells + ["-" if name == kernel else ratio(row, name, kernel, True) for kernel in kernels])
        headings = ["", "threads", unit, *(f"/ {COMPETITORS[kernel].title}" for kernel in kernels)]
        found.append(Table(f"{row['task']} {row['net']}", headings, lines, 2, (12, 11, 19, *[24 for _ in kernels])))
    return found


def compact_times(rows: list[Row]) -> list[Table]:
    """A line for each task: first beside PyTorch, then beside the others."""
    rows = [row for row in rows if row["task"] != "peepholes"]
    present = [name for name in COMPETITORS if any(name in row["competitors"] for row in rows)]
    kernels = kernels_in(rows)
    found = []
    for peers in ["torch"], ["jax", "keras"], ["onnxruntime"]:
        peers = [peer for peer in peers if peer in present]
        shown = kernels + peers
        lines = []
        for row in rows:
            who = row["competitors"]
            if any(peer in who for peer in peers):
                cells = [number(1e3 * who[name]["quartiles"][1]) if name in who else "-" for name in shown]
                cells += [ratio(row, peer, kernel, False) for peer in peers for kernel in kernels]
                lines.append([f"{row['task']} {row['net']}", *cells])
        titles = [f"{COMPETITORS[name].title}, ms" for name in shown]
        titles += [f"{COMPETITORS[peer].title} / {COMPETITORS[kernel].title}" for peer in peers for kernel in kernels]
        if lines:
            beside = " and ".join(COMPETITORS[peer].title for peer in peers)
            found.append(Table(f"Beside {beside}", ["task", *titles], lines))
    return found


def products(rows: list[Row]) -> list[Table]:
    """What of a training step the same GEMMs would take alone."""
    rows = [row for row in rows if "gemms" in row]
    kernels = kernels_in(rows)
    lines = []
    for row in rows:
        alone = row["competitors"]["gemms"]
        cells = [row["row"], alone["setting"], f"{row['gemms']['peak']:.0f}", f"{row['gemms']['alone']:.0f}"]
        cells.append(spread(alone["quartiles"], 1e3))
        for kernel in kernels:
            values = row["ratios"].get(f"gemms/{kernel}")
            cells.append(
                judged(f"{100 * values[1]:.0f} %", 100 * values[1], share_floor(row["row"], kernel)) if values else "-"
            )
        lines.append(cells)
    headings = ["training", "threads", "peak GFLOP/s", "GFLOP/s", "alone, ms"]
    headings += [f"of {COMPETITORS[kernel].title}" for kernel in kernels]
    return [Table("The same GEMMs alone, and their share of minidl's step", headings, lines, 2)] if lines else []


def peepholes(rows: list[Row]) -> list[Table]:
    """What diagonal peepholes cost, in percent."""
    lines = []
    for row in (row for row in rows if row["task"] == "peepholes"):
        for kernel in kernels_in([row]):
            found = row["competitors"]
            low, middle, high = (100 * (value - 1) for value in row["ratios"][f"{kernel}{PEEPHOLES}/{kernel}"])
            seconds = [spread(found[name]["quartiles"], 1e3) for name in (kernel, kernel + PEEPHOLES)]
            cost = judged(
                f"{middle:.1f} % ({low:.1f}-{high:.1f})", middle, peephole_ceiling(row["row"], kernel), at_most=True
            )
            lines.append([row["row"], COMPETITORS[kernel].title, *seconds, cost])
    headings = ["training", "kernel", "none, ms", "diagonal, ms", "cost"]
    return [Table("Diagonal peepholes", headings, lines, 2)] if lines else []


def memory(rows: list[Row]) -> list[Table]:
    """Peak memory of training in three ways, and minidl's over torch's."""
    rows = [row for row in rows if row["task"] == "training"]
    names = [name for name in COMPETITORS if name != "gemms" and any(name in row["competitors"] for row in rows)]
    kernels = kernels_in(rows) if "torch" in names else []
    lines = []
    for row in rows:
        for kind in MEMORIES:
            peaks = {name: who["memory"][kind] for name, who in row["competitors"].items()}
            cells = [f"{peaks[name]:,.1f}" if name in peaks else "-" for name in names]
            for kernel in kernels:
                share = peaks[kernel] / peaks["torch"]
                cells.append(judged(number(share, most=2), share, memory_ceiling(row["row"]), at_most=True))
            lines.append([row["row"], kind, *cells])
    headings = ["training", "peak", *(COMPETITORS[name].title for name in names)]
    headings += [f"{COMPETITORS[kernel].title} / PyTorch" for kernel in kernels]
    return [Table("Peak memory, MB", headings, lines, 2)] if lines and names else []


def tables(rows: list[Row], compact: bool) -> list[Table]:
    """The whole report."""
    return [*(compact_times if compact else times)(rows), *products(rows), *peepholes(rows), *memory(rows)]
