"""minidl info: Show what a model file holds: layers, vocabulary, training facts."""

from __future__ import annotations

import argparse

import numpy as np

from minidl import kernels
from minidl.cli.options import printable
from minidl.container import Container
from minidl.gradients import nonfinite_parameter
from minidl.saving import load
from minidl.sequential import Sequential

LONGEST = 200  # characters of a fact: a thousand labels say no more than the first


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    parser.add_argument("model", metavar="MODEL", help="a model file, as minidl train writes it")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns the exit code."""
    net = load(args.model)
    if not isinstance(net, Container):  # a layer alone, for which a net of one layer speaks
        alone, net = net, Sequential([net], name="layer")
        net.build(alone.in_shape, dtype=alone.dtype or np.float32)
    net.summary()
    bad = nonfinite_parameter(net.params)
    if bad is not None:
        print(printable(f"\nweights     {bad}: the other commands refuse this model"))
    if net.vocab is not None:
        print(f"\nvocabulary  {net.vocab!r}")
    if net.facts:
        print("\ntraining")
        width = max(map(len, net.facts))
        for name, value in net.facts.items():
            told = "none" if value is None else str(value)
            told = told if len(told) <= LONGEST else f"{told[:LONGEST]}..."
            print(printable(f"  {name:{width}s}  {told}"))
    print(f"\nkernel      {kernels.in_words()}")
    return 0
