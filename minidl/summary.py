"""The table that `net.summary()` prints: what a net is made of, and what it weighs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minidl.inputs import Shape, shape_text

if TYPE_CHECKING:
    from rich.table import Table


def rows_of(net: Any, prefix: str = "") -> Iterator[tuple[str, Any, Shape | None, bool]]:
    """All layers as (path, layer, output shape, whether it is a container), inner ones behind their container."""
    for name, layer in net.layers.items():
        nested = hasattr(layer, "layers")
        yield prefix + name, layer, net.shapes.get(name, layer.out_shape), nested
        if nested:
            yield from rows_of(layer, f"{prefix}{name}.")


def summary_table(net: Any) -> Table:
    """The summary of a net as a rich table; a parameter that is shared inside counts once in the total."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in "layer", "type", "output", "parameters", "notes":
        table.add_column(column, justify="right" if column == "parameters" else "left")
    owners: dict[int, str] = {}
    for path, layer, shape, nested in rows_of(net):
        params = list((layer._own_params if nested else layer.params).values())
        notes = sorted({f"shared with {owners[id(p)]}" for p in params if id(p) in owners})
        fixed = [p for p in params if not p.trainable]
        if fixed:
            notes.insert(0, "frozen" if len(fixed) == len(params) else "partly frozen")
        for p in params:
            owners.setdefault(id(p), path)
        table.add_row(
            path,
            type(layer).__name__,
            "not built" if shape is None else shape_text(shape),
            f"{sum(p.value.size for p in params):,}" if params else "",
            ", ".join(notes),
        )
    every = net.params.values()
    frozen = sum(p.value.size for p in every if not p.trainable)
    table.add_row(
        "total",
        "",
        "",
        f"{sum(p.value.size for p in every):,}",
        bytes_text(sum(p.value.nbytes for p in every)) + (f", {frozen:,} of them frozen" if frozen else ""),
        style="bold",
    )
    return table


def bytes_text(size: int) -> str:
    """A number of bytes as people say it: 1.5 MB."""
    for limit, unit in (1e9, "GB"), (1e6, "MB"), (1e3, "kB"):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size} bytes"


def print_summary(net: Any) -> None:
    """Print `summary_table(net)`: in colour on a terminal, as plain text elsewhere."""
    from rich.console import Console

    console = Console()
    if net.name:
        console.print(net.name, style="bold", markup=False, highlight=False)
    console.print(summary_table(net))
