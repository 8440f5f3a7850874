"""minidl info: Show what a model file holds: layers, vocabulary, training facts."""

from __future__ import annotations

import argparse

from minidl import kernels
from minidl.saving import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    parser.add_argument("model", metavar="MODEL", help="a model file, as minidl train writes it")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns the exit code."""
    net = load(args.model)
    net.summary()
    vocab, facts = getattr(net, "vocab", None), getattr(net, "facts", {})  # a layer alone has none
    if vocab is not None:
        print(f"\nvocabulary  {vocab!r}")
    if facts:
        print("\ntraining")
        width = max(map(len, facts))
        for name, value in facts.items():
            print(f"  {name:{width}s}  {'none' if value is None else value}")
    print(f"\nkernel      {kernels.backend()}")
    return 0
