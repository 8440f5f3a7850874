"""minidl check: Check gradients, of a model, of hand-written code, or of a small net, and name the mistakes.

FILE.py:NAME is a layer or a net; a function `forward(params, x, state)` with `backward` beside it in the file, or a
function `loss(params, x, target, state)`, whose arguments are taken from the names params, x, target, state, roles,
state_order and axes of the file; or a function without arguments that returns a layer, or a report. FILE.py is
imported, which runs all of its code with your rights: check only files that you trust. A MODEL holds no code.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from typing import Any

from minidl.checking import GradientReport, gradcheck
from minidl.cli.code import is_code, load_code
from minidl.cli.loading import load_model
from minidl.cli.options import seed
from minidl.cli.showing import show
from minidl.escaping import to_json
from minidl.layer import Layer
from minidl.layers import LSTM, Dense, Embedding, Softmax
from minidl.sequential import Sequential


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    add = parser.add_argument
    add(
        "what",
        metavar="MODEL | FILE.py:NAME",
        nargs="?",
        help="a model file, or hand-written code: the file is run (default: check a small net with peepholes)",
    )
    add("--every-entry", action="store_true", help="check and list every scalar (default: some of each array)")
    add("--json", action="store_true", help="print one JSON object (default: a table)")
    add("--seed", metavar="N", type=seed, default=0, help="of the inputs, of the state and of the point")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns 0 where all is right, 1 where something was found."""
    options = {"every_entry": args.every_entry, "seed": args.seed}
    if args.what and is_code(args.what):
        with contextlib.redirect_stdout(sys.stderr):  # what the code prints is no part of the report
            report = load_code(args.what, options)
    else:
        report = gradcheck(load_model(args.what) if args.what else small_net(args.seed), **options)
    if args.json:
        print(to_json(as_json(report)))
    else:
        show(report)
    return 0 if report.ok and not any(f.severity == "error" for f in report.findings) else 1


def small_net(seed: int) -> Layer:
    """A net with everything in it that is worth a check."""
    layers = [
        Embedding(5, 3),
        LSTM(4, peephole=True, return_sequences=True),
        LSTM(3, peephole="full"),
        Dense(5),
        Softmax(),
    ]
    net = Sequential(layers)
    net.build((None,), seed=seed)
    return net


def as_json(report: GradientReport) -> dict[str, Any]:
    """A report for machines: rows, findings and notes."""

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    rows = [
        {
            "name": row.name, "shape": row.shape, "ok": row.ok, "error": finite(row.error), "worst": row.worst,
            "numeric": finite(row.numeric), "backward": finite(row.analytic), "verdict": row.verdict,
        }
        for row in report.rows
    ]  # fmt: skip
    findings = [finding.words for finding in report.findings]
    return {"ok": report.ok, "method": report.method, "rows": rows, "findings": findings, "notes": report.warnings}
