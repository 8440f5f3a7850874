"""minidl look: Look inside a model: what its cells, gates and gradients do while it reads a text.

Without --cell and --gate it shows which cells follow what (quotes, brackets, the place in the line), the text coloured
by the best of them, how open the gates stand, and how far back the gradient reaches.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from minidl import durable
from minidl.cli.files import try_output
from minidl.cli.loading import load_model
from minidl.cli.options import count, seed
from minidl.errors import ArgumentError
from minidl.escaping import escape, quote_path, to_json
from minidl.layer import Layer
from minidl.looking import Report, look
from minidl.text import count_of, language_reference, read_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a model file, as minidl train writes it")
    text = parser.add_mutually_exclusive_group()
    text.add_argument("path", metavar="PATH", nargs="?", help="a UTF-8 text file (default: the language reference)")
    text.add_argument("--text", metavar="TEXT", help="the text itself (default: that of PATH)")
    add("--layer", metavar="NAME", help="one recurrent layer, by its name (default: all of them)")
    add("--cell", metavar="N", type=seed, help="colour the text by this cell, tanh(c) (default: the overview)")
    add(
        "--gate", metavar="G", help="colour it by a gate: i f o of an LSTM, r z of a GRU; of --cell, or the mean of all"
    )
    add(
        "--chars", metavar="N", type=count, help="symbols that are coloured (default: 500, 1,500 with --cell or --gate)"
    )
    add(
        "--read",
        metavar="N",
        type=count,
        help="symbols that are read, the last ones (default: 20,000, fewer for large nets)",
    )
    add("--width", metavar="N", type=count, help="columns (default: those of the terminal, 100 in files)")
    add("--html", metavar="FILE", help="save it as a page of HTML, too (default: none)")
    add("--svg", metavar="FILE", help="save it as a picture in SVG, too (default: none)")
    add("--json", action="store_true", help="print one JSON object (default: the picture)")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns the exit code."""
    check_files(args)
    net = load_model(args.model)
    text, title = chosen_text(args, net)
    with waiting(f"{Path(args.model).name} reads {title} ...", args.json):
        seen = look(net, text, read=args.read)
    one = args.cell is not None or args.gate is not None
    shown = seen.shown(args.layer, args.cell, args.gate) if one else None
    told = f"{Path(args.model).name} reads {count_of(len(seen.pieces), 'symbol')} of {title}"
    report = Report(seen.of(args.layer), shown, args.chars or (1500 if one else 500), told)
    if args.json:
        print(to_json(report.as_dict()))
    else:
        show(report, args.width)
    for path, render in (args.html, report.html), (args.svg, report.svg):
        if path is not None:
            durable.replace(Path(path), [render(args.width or 100).encode("utf-8")])
            print(f"saved {escape(path)}", file=sys.stderr if args.json else sys.stdout)
    return 0


def show(report: Report, width: int | None) -> None:
    """In colours on a terminal, with marks below the text elsewhere."""
    from minidl.plain_console import PlainConsole

    PlainConsole(width=width).print(report)


def waiting(what: str, quiet: bool) -> contextlib.AbstractContextManager[Any]:
    """A line that tells what takes so long, as long as it does, where somebody sees it."""
    from minidl.plain_console import PlainConsole

    console = PlainConsole(stderr=True)
    if quiet or not (console.is_terminal and sys.stdout.isatty()):
        return contextlib.nullcontext()
    return console.status(what)


def chosen_text(args: argparse.Namespace, net: Layer) -> tuple[str, str]:
    """The text to read, and what it is called."""
    if args.text is not None:
        return args.text, "--text"
    if args.path is not None:
        return read_text(args.path), Path(args.path).name
    text = language_reference()
    facts, vocab = getattr(net, "facts", None) or {}, getattr(net, "vocab", None)
    if vocab is not None:
        try:
            vocab.encode(text)
        except ArgumentError:
            learned = f" {facts['text']}" if isinstance(facts.get("text"), str) else " another text"
            raise ArgumentError(
                f"{args.model} has learned{learned}, and lacks characters of the default text: name a text, "
                f"minidl look {quote_path(args.model)} my_text.txt"
            ) from None
    return text, "the language reference"


def check_files(args: argparse.Namespace) -> None:
    """Refuse files that cannot be written, or that would overwrite what is read, before the work."""
    for option, path in ("--html", args.html), ("--svg", args.svg):
        for read in args.model, args.path:
            if path is not None and read is not None and os.path.realpath(path) == os.path.realpath(read):
                raise ArgumentError(f"{option} expects another file than {read}, which is read: choose another name.")
        if path is not None:
            try_output(option, path)
