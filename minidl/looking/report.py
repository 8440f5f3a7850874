"""`Report`: a `Look` as a picture for the terminal, HTML or SVG; without colours the same facts with marks."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.escaping import escape
from minidl.inputs import Array
from minidl.looking.flow import fallen_to
from minidl.looking.following import correlations
from minidl.looking.gates import GATES, keeping, time_constants
from minidl.looking.look import Look, Shown
from minidl.looking.pictures import (
    DIGITS,
    MARKS,
    bar,
    coloured,
    falling,
    figure,
    histogram,
    marked,
    style_of,
)
from minidl.looking.properties import REMEMBERED

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

UP, DOWN, CALM = "rgb(214,96,77)", "rgb(67,147,195)", "rgb(90,174,174)"
MOSTLY = 0.9  # of all steps
FAINT = 0.3  # a correlation below it is shown dim
CHARS = 500  # symbols of each picture of the overview
WIDEST = 120  # columns: a longer line of text is hard to read
BINS = 10


class Report:
    """What was seen, as a rich renderable; `print(report)` is its plain form.

    Args:
        seen: what `look` gave.
        shown: what the text is to be coloured by; None for the overview, with the cells that follow something best.
        chars: how many symbols of the text are shown in each picture.
        title: a line on top.

    Example:
        >>> from minidl.looking import Report, look
        >>> from minidl.models import char_lm
        >>> text = 'He said "no", and she said "yes".\\n' * 3
        >>> vocab = minidl.CharVocab.of(text)
        >>> net = char_lm(len(vocab), 8)
        >>> _ = net.build((None,))
        >>> seen = look(net, text, vocab)
        >>> report = str(Report(seen, seen.shown(cell=3), chars=34))
        >>> report.splitlines()[0]
        'lstm, cell 3, tanh(c)'
    """

    def __init__(self, seen: Look, shown: Shown | None = None, chars: int = CHARS, title: str = "") -> None:
        self.seen, self.shown, self.chars, self.title = seen, shown, chars, title

    def __str__(self) -> str:
        from minidl.plain_console import PlainConsole

        out = io.StringIO()
        PlainConsole(file=out, width=80, no_color=True, force_terminal=False).print(self)
        return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        width = min(options.max_width, WIDEST)
        colours = console.color_system in ("256", "truecolor") and not console.no_color
        marks = MARKS if options.encoding.startswith("utf") else DIGITS
        if self.title:
            yield Text(escape(self.title), "bold")
            yield ""
        if self.shown is not None:
            yield from self.picture(self.shown, width, colours, marks)
            yield ""
            yield from self.facts(self.shown)
            return
        yield from self.table(width, marks)
        yield ""
        for shown in self.seen.best():
            yield from self.picture(shown, width, colours, marks)
            yield ""
        for layer in self.seen.activations:
            yield from self.gates(layer, width, marks)
        yield from self.way_back(width, marks)

    # -- the parts --------------------------------------------------------------------------------

    def table(self, width: int, marks: str) -> Iterator[Any]:
        """Which cells follow which property, with as many columns as there is room for."""
        from rich.table import Table
        from rich.text import Text

        yield heading("cells that follow something", "picked on the first half, r of the second")
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        wide = width >= 56
        more = 0 if width < 72 else 1 if len(self.seen.activations) > 1 and width < 100 else 2
        for name in ["", "in the text", "cell", "r", ""] if wide else ["", "cell", "r"]:
            table.add_column(name, justify="right" if name in ("in the text", "r") else "left", no_wrap=True)
        if more:
            table.add_column("next best", no_wrap=True, overflow="ellipsis", style="dim")
        silent = []
        for name, followers in self.seen.followers.items():
            if not followers:
                silent.append(name)
                continue
            best, *others = followers
            weak = abs(best.r) < FAINT
            length = bar(abs(best.r), 10, marks).ljust(10)
            cells: list[str | Text] = [name, Text(self.cell_name(best.layer, best.cell)), f"{best.r:+.2f}"]
            if wide:
                cells.insert(1, amount(self.seen.properties[name]))
                cells.append(Text(length, "" if weak else f"not bold {UP if best.r > 0 else DOWN}"))
            if more:
                next_best = (f"{self.cell_name(one.layer, one.cell)} {one.r:+.2f}" for one in others[:more])
                cells.append(Text("  ".join(next_best)))
            table.add_row(*cells, style="dim" if weak else "bold" if name in REMEMBERED else "")
        if table.row_count:
            yield table
        if silent:
            yield Text(f"not in this text, or in one half alone: {', '.join(silent)}", "dim")

    def cell_name(self, layer: str, cell: int) -> str:
        """A cell's number, with its layer where there are several."""
        return f"{cell}" if len(self.seen.activations) == 1 else f"{escape(layer)} {cell}"

    def picture(self, shown: Shown, width: int, colours: bool, marks: str) -> Iterator[Text]:
        """The text, coloured by a cell or a gate, below a line that says what it is and how to read it."""
        from rich.text import Text

        part = self.seen.excerpt(self.chars, shown)
        follows = ""
        if shown.follows is not None:
            r = next(one.r for one in self.seen.followers[shown.follows] if (one.layer, one.cell) == shown[:2])
            follows = f"follows {shown.follows!r}, r {r:+.2f}".replace("'", "")
        yield heading(shown.title, follows)
        low, high, below, above = shown.scale
        legend = Text().append(f"{below} ", "dim")
        if colours:
            for value in np.linspace(low, high, 21):
                legend.append(" ", style_of(float(value), shown.scale))
        else:
            legend.append(marks)
        legend.append(f" {above}", "dim")
        T = len(self.seen.pieces)
        legend.append(
            f"   ↵ line break   symbols {part.start + 1:,} to {part.stop:,} of {T:,}" if part.stop - part.start < T else
            "   ↵ line break", "dim",
        )  # fmt: skip
        yield legend
        pieces, values = self.seen.pieces[part], shown.values[part]
        if colours:
            yield from coloured(pieces, values, shown.scale, width)
            return
        for line, below_it in marked(pieces, values, shown.scale, width, marks):
            yield Text(line, no_wrap=True)
            yield Text(below_it, no_wrap=True)

    def facts(self, shown: Shown) -> Iterator[Text]:
        """What a cell or a gate does on the whole text that was read."""
        from rich.text import Text

        seen, values = self.seen, shown.values
        yield heading("on all that was read", f"{len(values):,} symbols")
        yield Text(f"mean {values.mean():+.2f}, from {values.min():+.2f} to {values.max():+.2f}")
        follows = {name: float(correlations(values[:, None], p)[0]) for name, p in seen.properties.items()}
        named = sorted((name for name in follows if follows[name]), key=lambda name: -abs(follows[name]))[:3]
        if named:
            yield Text("follows " + ", ".join(f"{name} {follows[name]:+.2f}" for name in named))
        found = seen.gates(shown.layer)
        letter = keeping(found)
        if letter is not None and shown.cell is not None:
            mean = float(found[letter].mean[shown.cell])
            yield Text(f"{GATES[letter]} {letter} {mean:.2f} in the mean: keeps {self.kept(mean)}")
        for letter, gate in found.items():
            if shown.cell is not None:
                shut, wide = gate.shut[shown.cell], gate.open[shown.cell]
                yield Text(
                    f"{GATES[letter]:12s} {letter}  below 0.1 in {shut:4.0%} of the steps, above 0.9 in {wide:4.0%}"
                )

    def gates(self, layer: str, width: int, marks: str) -> Iterator[Any]:
        """How open the gates stand: a histogram of the gate that keeps, and how often each is shut or open."""
        from rich.table import Table
        from rich.text import Text

        found = self.seen.gates(layer)
        letter = keeping(found)
        if letter is None:
            return
        mean = found[letter].mean
        counts = histogram(mean, BINS)
        yield heading(f"{layer}, {GATES[letter]}", f"means of {letter}, {len(mean)} cells, and how long they keep")
        room = max(10, min(40, width - 42))
        for k, count in enumerate(counts):
            low, high = 1 / (1 - k / BINS), np.inf if k + 1 == BINS else 1 / (1 - (k + 1) / BINS)
            line = Text(f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}  ", "dim")
            line.append(f"{bar(count / counts.max(), room, marks):{room}s}", f"not dim {CALM}")
            line.append(f" {count:5,d}  ", "not dim")
            yield line.append(f"{low:.1f} to {high:.1f} steps" if high < np.inf else f"{low:.0f} steps and more")
        longest = int(np.argmax(mean))
        median, most = self.kept(np.median(mean)), self.kept(mean[longest])
        yield Text(f"half of the cells keep {median} or more; longest is cell {longest}: {most}")
        yield ""
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
        table.add_column("share of all steps", style="not dim")
        for name in "below 0.1", "above 0.9", "cells mostly below", "mostly above":
            table.add_column(name, justify="right")
        for name, gate in found.items():
            cells = (f"{int((share > MOSTLY).sum())}" for share in (gate.shut, gate.open))
            table.add_row(f"{GATES[name]} {name}", f"{gate.shut.mean():.0%}", f"{gate.open.mean():.0%}", *cells)
        yield table
        yield ""

    def kept(self, mean: Any) -> str:
        """How long something is kept, as far as that can be said."""
        kept = time_constants(float(mean))
        return steps(kept) if kept < len(self.seen.pieces) else "beyond the text"

    def way_back(self, width: int, marks: str) -> Iterator[Text]:
        """The gradient's reach."""
        from rich.text import Text

        if not self.seen.reach:
            return
        yield heading("the gradient's way back", "|dL/dh|, L the last step's loss, 1 down to 10^-4")
        for layer, norms in self.seen.reach.items():
            last = len(norms) - 1
            yield Text(f"{escape(layer)}  {self.fallen(norms)}")
            room = max(20, min(len(norms), width - 16))
            for line in falling(norms, room, marks=marks):
                yield Text(line, CALM, no_wrap=True)
            ruler = "".join(f"{round(k * last / 4)}".ljust(room // 4) for k in range(4))
            yield Text(f"{ruler}{last} steps back", "dim", no_wrap=True)

    def fallen(self, norms: Array) -> str:
        """How soon the gradient falls, in words."""
        told = []
        for share, name in (0.1, "1/10"), (0.01, "1/100"):
            lag = fallen_to(norms, share)
            told.append(f"{name} after {steps(lag)}" if lag is not None else f"not {name} in this window")
        left = norms[-1] / norms[0] if norms[0] else 0.0
        return f"{', '.join(told)}; {figure(float(left))} is left after {len(norms) - 1}"

    # -- in files ---------------------------------------------------------------------------------

    def html(self, width: int = 100) -> str:
        """A page of HTML that needs nothing else."""
        from rich.terminal_theme import DEFAULT_TERMINAL_THEME

        return self.recorded(width).export_html(theme=DEFAULT_TERMINAL_THEME, code_format=PAGE)

    def svg(self, width: int = 100) -> str:
        """A picture in SVG."""
        from rich.terminal_theme import DEFAULT_TERMINAL_THEME

        picture = self.recorded(width).export_svg(title="minidl look", theme=DEFAULT_TERMINAL_THEME)
        picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # which would be fetched from the net
        return re.sub(r"font-family: Fira Code, *monospace", "font-family: ui-monospace, monospace", picture)

    def recorded(self, width: int) -> Console:
        """A console that has printed it in colours, to nowhere."""
        from minidl.plain_console import PlainConsole

        console = PlainConsole(
            file=io.StringIO(), record=True, width=width, force_terminal=True, color_system="truecolor", no_color=False,
            legacy_windows=False,
        )  # fmt: skip
        console.print(self)
        return console

    def as_dict(self) -> dict[str, Any]:
        """The same facts as plain data."""
        seen = self.seen
        layers = {}
        for path in seen.activations:
            found = {letter: gate._asdict().items() for letter, gate in seen.gates(path).items()}
            layers[path] = {
                "cells": next(iter(seen.activations[path].values())).shape[1],
                "gates": {letter: {name: rounded(a) for name, a in gate} for letter, gate in found.items()},
                "reach": [float(f"{norm:.4g}") for norm in seen.reach[path]] if path in seen.reach else None,
            }  # fmt: skip
        following = {
            name: {"in_text": amount(seen.properties[name]), "cells": [one._asdict() for one in followers]}
            for name, followers in seen.followers.items()
        }
        pictures = []
        for shown in [self.shown] if self.shown is not None else seen.best():
            part = seen.excerpt(self.chars, shown)
            pictures.append(
                {
                    "layer": shown.layer, "cell": shown.cell, "gate": shown.gate, "what": shown.what,
                    "follows": shown.follows, "begin": part.start, "symbols": seen.pieces[part],
                    "values": rounded(shown.values[part]),
                }
            )  # fmt: skip
        return {"symbols": len(seen.pieces), "layers": layers, "following": following, "pictures": pictures}


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<title>minidl look</title>
<style>
{stylesheet}
body {{ color: {foreground}; background-color: {background}; margin: 2em; }}
pre {{ font: 14px/1.17 Menlo, "DejaVu Sans Mono", Consolas, monospace; }}
</style>
</head>
<body>
<pre><code style="font-family:inherit">{code}</code></pre>
</body>
</html>
"""


def heading(title: str, more: str = "") -> Text:
    """The first line of a part."""
    from rich.text import Text

    line = Text(escape(title), "bold")
    return line.append(f"   {more}", "not bold dim") if more else line


def amount(property: Array) -> str:
    """How often something is so, or from which number to which it goes."""
    if set(np.unique(property)) <= {0.0, 1.0}:
        share = float(property.mean())
        return f"{share:.0%}" if share >= 0.01 or not share else "< 1%"
    return f"{property.min():g} to {property.max():g}"


def steps(number: Any) -> str:
    """A number of steps as people say it."""
    number = float(number)
    if number >= 1e6:
        return "ever"
    text = f"{number:,.0f}" if number >= 10 or number == round(number) else f"{number:.1f}"
    return f"{text} step{'s' * (text != '1')}"


def rounded(values: Array) -> list[float]:
    """Numbers for JSON."""
    return [round(float(value), 4) for value in values]
