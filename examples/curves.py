"""Curves as a picture of characters for the terminal, or as a PNG where matplotlib is installed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MARKS = "●○▲△■□◆◇"
LETTERS = "ox+*#@%&"  # the same where the output knows ASCII alone


@dataclass
class Curves:
    """Lines over one axis: a dict of name -> (x, y), what the axes are called, and whether y is on a log scale."""

    lines: dict[str, tuple[Sequence[float], Sequence[float]]]
    x: str
    y: str
    log: bool = False

    def text(self, width: int = 72, height: int = 14, ascii_only: bool = False) -> str:
        """The picture, a character per column and line; later lines are drawn over earlier ones.

        Example:
            >>> print(Curves({"a": ([0, 9], [0, 2])}, "x", "y").text(width=16, height=3))
            y    ● a
            2 │         ●●●●
              │    ●●●●●
            0 │●●●●
              └─────────────
               0           9
            x
        """
        lines = {name: self.finite(*xy) for name, xy in self.lines.items()}
        low_x, high_x = bounds([x for x, _ in lines.values()])
        low, high = bounds([y for _, y in lines.values()])
        top, bottom = (f"{10**v if self.log else v:.3g}" for v in (high, low))
        margin = max(len(top), len(bottom)) + 1
        columns = max(width - margin - 1, 10)
        half = (high_x - low_x) / (columns - 1) / 2
        grid, marks = [[" "] * columns for _ in range(height)], LETTERS if ascii_only else MARKS
        for mark, (x, y) in zip(marks, lines.values(), strict=False):
            last = None
            for column, at in enumerate(np.linspace(low_x, high_x, columns)):
                if not len(x) or not x[0] - half <= at <= x[-1] + half:
                    continue
                row = round((high - float(np.interp(at, x, y))) / (high - low) * (height - 1))
                between = range(row, row + 1) if last is None else range(min(row, last), max(row, last) + 1)
                for k in between if last in (None, row) else [k for k in between if k != last]:
                    grid[k][column] = mark
                last = row
        side, corner, floor = ("|", "+", "-") if ascii_only else ("│", "└", "─")
        names = "  ".join(f"{mark} {name}" for mark, name in zip(marks, lines, strict=False))
        labels = [top, *[""] * (height - 2), bottom]
        picture = [f"{label:>{margin - 1}} {side}{''.join(row)}" for label, row in zip(labels, grid, strict=True)]
        ends = f"{low_x:.6g}", f"{high_x:.6g}"
        below = f"{' ' * (margin + 1)}{ends[0]}{ends[1]:>{columns - len(ends[0])}}"
        title = f"{self.y}{', log scale' if self.log else ''}    {names}"
        picture = [title, *picture, f"{' ' * margin}{corner}{floor * columns}", below, self.x]
        return "\n".join(line.rstrip() for line in picture)

    def finite(self, x: Sequence[float], y: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """The points that can be drawn, from left to right."""
        points = np.array([x, y], float)
        if self.log:
            points[1] = [math.log10(v) if v > 0 else math.nan for v in points[1]]
        points = points[:, np.isfinite(points).all(axis=0)]
        return tuple(points[:, np.argsort(points[0], kind="stable")])

    def png(self, path: str) -> bool:
        """Save a PNG; False where matplotlib is not installed."""
        try:
            import matplotlib
        except ImportError:
            return False
        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
        for name, (x, y) in self.lines.items():
            axes.plot(x, y, label=name)
        axes.set(xlabel=self.x, ylabel=self.y, yscale="log" if self.log else "linear")
        axes.legend()
        figure.savefig(path, dpi=120)
        pyplot.close(figure)
        return True


def bounds(values: list[np.ndarray]) -> tuple[float, float]:
    """The least and the greatest of all, never equal."""
    everything = np.concatenate(values) if values else np.zeros(0)
    low, high = (float(everything.min()), float(everything.max())) if len(everything) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
