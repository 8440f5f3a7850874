"""minidl predict: Apply a trained model to new data, a line of output for each input.

The inputs are of the kind that the model was trained on: lines of text, or rows of CSV or JSONL, where what is to be
predicted may be missing. Without a PATH and --text they come from standard input.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from minidl.cli.loading import check_row, load_model
from minidl.cli.options import count
from minidl.cli.tasks import NAMES, task_of
from minidl.errors import ArgumentError
from minidl.escaping import to_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a model file, as minidl train writes it")
    add("paths", nargs="*", metavar="PATH", default=[], help="files with inputs (default: standard input)")
    add("--text", metavar="TEXT", help="the inputs themselves, a line each (default: those of PATH)")
    add("--beam", metavar="N", type=count, default=1, help="hypotheses of a beam search, where the model writes text")
    add("--json", action="store_true", help="print JSON, an object a line (default: text, tabs between the columns)")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns the exit code."""
    net = load_model(args.model)
    name = getattr(net, "facts", {}).get("model")
    if name not in NAMES:
        raise ArgumentError(
            f"{args.model} does not tell what it predicts: minidl predict takes models that minidl train wrote, of "
            f"{', '.join(NAMES)}; in Python net.predict(x) takes any."
        )
    if args.text is not None and args.paths:
        raise ArgumentError("The inputs are expected in files or behind --text, got both: leave one out.")
    task = task_of(name)
    with np.errstate(all="ignore"):  # what overflows is refused below
        for row in task.predict(net, args):
            check_row(row)
            sys.stdout.write(f"{to_json(row) if args.json else task.line(row)}\n")
            sys.stdout.flush()
    return 0
