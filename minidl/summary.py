"""What `net.summary()` prints, a table or a tree: what a net is made of, and what it weighs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minidl.escaping import escape
from minidl.inputs import Shape, shape_text

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree


def rows_of(net: Any, prefix: str = "") -> Iterator[tuple[str, Any, Shape | None, bool]]:
    """All layers as (path, layer, output shape, whether it is a container), inner ones behind their container."""
    for name, layer in net.layers.items():
        nested = holds_layers(layer)
        yield prefix + name, layer, net.shapes.get(name, layer.out_shape), nested
        if nested:
            yield from rows_of(layer, f"{prefix}{name}.")


def holds_layers(layer: Any) -> bool:
    """Whether a layer is made of layers by name; one of somebody's own may keep something else as `layers`."""
    return "shapes" in vars(layer) and isinstance(vars(layer).get("layers"), dict)


class Notes:
    """What is to be said of layers besides their sizes: frozen, shared with one that came before."""

    def __init__(self) -> None:
        self.owners: dict[int, str] = {}

    def of(self, path: str, params: list[Any]) -> str:
        """The notes on the next layer."""
        notes = sorted({f"shared with {self.owners[id(p)]}" for p in params if id(p) in self.owners})
        fixed = [p for p in params if not p.trainable]
        if fixed:
            notes.insert(0, "frozen" if len(fixed) == len(params) else "partly frozen")
        for p in params:
            self.owners.setdefault(id(p), path)
        return ", ".join(notes)


def total_of(net: Any) -> tuple[str, str]:
    """The number of all parameters, and their bytes; one that is shared inside counts once."""
    every = net.params.values()
    frozen = sum(p.value.size for p in every if not p.trainable)
    size = bytes_text(sum(p.value.nbytes for p in every))
    return f"{sum(p.value.size for p in every):,}", size + (f", {frozen:,} of them frozen" if frozen else "")


def summary_table(net: Any) -> Table:
    """The summary of a net as a rich table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in "layer", "type", "output", "parameters", "notes":
        table.add_column(column, justify="right" if column == "parameters" else "left")
    notes = Notes()
    for path, layer, shape, nested in rows_of(net):
        params = list((layer._own_params if nested else layer.params).values())
        table.add_row(
            Text(escape(path)),
            Text(escape(type(layer).__name__)),
            "not built" if shape is None else shape_text(shape),
            f"{sum(p.value.size for p in params):,}" if params else "",
            Text(escape(notes.of(path, params))),
        )
    count, size = total_of(net)
    table.add_row("total", "", "", count, size, style="bold")
    return table


def summary_tree(net: Any, width: int = 80) -> Tree:
    """The summary of a graph as a rich tree: its inputs, and each node with where it takes from.

    Columns stand closer where `width` is small; lines that are longer still are not broken.
    """
    from rich.text import Text
    from rich.tree import Tree

    lines: list[tuple[int, list[str]]] = []  # depth, and the columns
    notes = Notes()
    places: dict[int, str] = {}  # of each layer, where it comes first

    def list_nodes(part: Any, depth: int, prefix: str) -> None:
        for name, layer in part.layers.items():
            shape, nested = part.shapes.get(name, layer.out_shape), holds_layers(layer)
            node = getattr(part, "nodes", {}).get(name)
            sources = () if node is None else (*node.sources, *([f"state of {node.state}"] if node.state else []))
            twin = places.setdefault(id(layer), prefix + name)
            params = list((layer._own_params if nested else layer.params).values())
            columns = [
                name, type(layer).__name__, ", ".join(sources), "not built" if shape is None else shape_text(shape),
                f"{sum(p.value.size for p in params):,}" if params else "", notes.of(prefix + name, params),
            ]  # fmt: skip
            if twin != prefix + name:  # the same layer once more
                columns[4:] = ["", f"same as {twin}"]
            lines.append((depth, [*map(escape, columns)]))
            if nested and twin == prefix + name:
                list_nodes(layer, depth + 1, f"{prefix}{name}.")

    list_nodes(net, 0, "")
    inputs = net.in_shape if len(net.inputs) > 1 or net.in_shape is None else (net.in_shape,)
    for k, name in reversed(list(enumerate(net.inputs))):
        shape = "not built" if inputs is None else shape_text(inputs[k])
        lines.insert(0, (0, [escape(name), "input", "", shape, "", ""]))
    count, size = total_of(net)
    names = max(4 * depth + len(columns[0]) for depth, columns in lines)
    widths = [max(len(columns[k]) for _, columns in lines) for k in range(1, 5)]
    widths[3] = max(widths[3], len(count))
    gap = "  " if 4 + names + sum(2 + size for size in widths) <= width else " "

    def line(depth: int, columns: list[str]) -> Text:
        kind, source, shape, params = (
            f"{text:>{width}}" if k == 3 else f"{text:<{width}}"
            for k, (text, width) in enumerate(zip(columns[1:5], widths, strict=True))
        )
        words = [columns[0].ljust(names - 4 * depth), kind, source, shape, params, columns[5]]
        told = gap.join(word for word, size in zip(words, [1, *widths, 1], strict=True) if size)
        return Text(told.rstrip())

    tree = Tree(Text(escape(net.name or type(net).__name__), style="bold"))
    branches = [tree]
    for depth, columns in lines:
        del branches[depth + 1 :]
        branches.append(branches[depth].add(line(depth, columns)))
    last = line(0, ["total", "", "", "", count, size])
    last.stylize("bold")
    tree.add(last)
    return tree


def bytes_text(size: int) -> str:
    """A number of bytes as people say it: 1.5 MB."""
    for limit, unit in (1e9, "GB"), (1e6, "MB"), (1e3, "kB"):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size} bytes"


def print_summary(net: Any) -> None:
    """Print `summary_table(net)`: in colour on a terminal, as plain text elsewhere."""
    from minidl.plain_console import PlainConsole

    console = PlainConsole()
    if net.name:
        console.print(escape(net.name), style="bold")
    console.print(summary_table(net))


def print_tree(net: Any) -> None:
    """Print `summary_tree(net)`."""
    from minidl.plain_console import PlainConsole

    width = PlainConsole().width
    PlainConsole(width=10 * width).print(summary_tree(net, width))  # a long line is not broken
