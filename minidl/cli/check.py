"""minidl check: Check the gradients of a model, or of a small net with peepholes, and print the table."""

from __future__ import annotations

import argparse

from minidl.checking import gradcheck
from minidl.cli.options import seed
from minidl.layer import Layer
from minidl.layers import LSTM, Dense, Embedding, Softmax
from minidl.saving import load
from minidl.sequential import Sequential


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    add = parser.add_argument
    add("model", metavar="MODEL", nargs="?", help="a model file (default: a small net with peepholes is checked)")
    add("--every-entry", action="store_true", help="check and list every scalar (default: some of each array)")
    add("--seed", metavar="N", type=seed, default=0, help="of the inputs, of the state and of the point")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns 0 where all gradients are right, else 1."""
    from rich.console import Console

    if args.model:
        net: Layer = load(args.model)
    else:
        net = Sequential(
            [
                Embedding(5, 3),
                LSTM(4, peephole=True, return_sequences=True),
                LSTM(3, peephole="full"),
                Dense(5),
                Softmax(),
            ]
        )
        net.build((None,), seed=args.seed)
    report = gradcheck(net, every_entry=args.every_entry, seed=args.seed)
    Console(highlight=False).print(report)
    return 0 if report.ok else 1
