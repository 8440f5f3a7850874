"""minidl info: Show what a model file holds: layers, vocabulary, training facts."""

from __future__ import annotations

import argparse

import numpy as np

from minidl import kernels
from minidl.container import Container
from minidl.escaping import escape
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
        print(f"\nweights     {escape(bad)}: the other commands refuse this model")
    if net.vocab is not None:
        print(f"\nvocabulary  {escape(repr(net.vocab))}")
    if net.facts:
        print("\ntraining")
        facts = {escape(name): "none" if value is None else str(value) for name, value in net.facts.items()}
        width = max(map(len, facts))
        for name, value in facts.items():
            cut = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
            print(f"  {name:{width}s}  {escape(cut)}")
    print(f"\nkernel      {kernels.in_words()}")
    return 0
