"""Tables on the console, with rich, or as Markdown."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text
from tables import Table

WIDTH = 100  # where the output is no terminal
NARROW = 80


def console() -> Console:
    """stdout; never narrower than the tables need."""
    out = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    out.width = max(out.width, NARROW)
    return out


def show(out: Console, table: Table) -> None:
    """A table with rich: what is reached in green, what is not in red."""
    shown = RichTable(box=None, pad_edge=False, title=table.title, title_justify="left", title_style="bold")
    for k, heading in enumerate(table.headings):
        width = table.widths[k] if table.widths else None
        drawn = any("█" in line[k] for line in table.lines)
        justify = "left" if k < table.words or drawn else "right"
        shown.add_column(heading, justify=justify, overflow="fold", min_width=width)
    for line in table.lines:
        shown.add_row(*(Text(cell, "green" if "✓" in cell else "red" if "✗" in cell else "") for cell in line))
    out.print(shown, "")


def markdown(table: Table) -> str:
    """A table for the README."""
    rule = ["---"] * table.words + ["---:"] * (len(table.headings) - table.words)
    lines = [table.headings, rule, *table.lines]
    return "\n".join([f"**{table.title}**", "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def facts(values: Mapping[str, Any]) -> str:
    """Name and value, one after the other."""
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
