"""minidl sample: Let a trained language model write.

The text comes character by character; the same seed gives the same text. Control characters are escaped, except line
breaks and tabs.
"""

from __future__ import annotations

import argparse
import contextlib
import sys

from minidl.cli.loading import load_model
from minidl.cli.options import count, not_negative, part_or_all, seed
from minidl.errors import ArgumentError
from minidl.escaping import escape
from minidl.generation import generate_text
from minidl.text import Vocab


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a model file, as minidl train writes it")
    add("--prompt", metavar="TEXT", help="the text to go on from (default: a line break)")
    add("--length", metavar="N", type=count, default=500, help="how many symbols to write")
    add("--temperature", metavar="T", type=not_negative, default=0.7, help="0: the likeliest, 1: as learned")
    add("--top-k", metavar="K", type=count, help="draw among the K likeliest symbols (default: among all)")
    add("--top-p", metavar="P", type=part_or_all, help="draw among those that add up to P (default: among all)")
    add("--seed", metavar="N", type=seed, default=0, help="of the drawing")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns the exit code."""
    net = load_model(args.model)
    vocab: Vocab | None = getattr(net, "vocab", None)
    if vocab is None:
        raise ArgumentError(f"{args.model} holds no vocabulary, so it cannot write text: is it a language model?")
    if (net.out_shape or ())[-1:] != (len(vocab),):
        raise ArgumentError(f"{args.model} is no language model, so it cannot go on with a text: use minidl predict.")
    prompt = beginning(vocab) if args.prompt is None else args.prompt
    if not prompt:
        raise ArgumentError("--prompt expects some text to go on from, got none: leave it out.")
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p, "seed": args.seed}
    pieces = generate_text(net, vocab, prompt, args.length, **options)
    try:
        sys.stdout.write(escape(prompt, keep="\n\t"))
        for piece in pieces:
            sys.stdout.write(escape(piece, keep="\n\t"))
            sys.stdout.flush()
    finally:  # also after Ctrl-C: the shell goes on in a line of its own
        sys.stdout.write("\n")
    return 0


def beginning(vocab: Vocab) -> str:
    """A line break, or the first symbol where the model has never seen one."""
    with contextlib.suppress(ArgumentError):
        if len(vocab.encode("\n")):
            return "\n"
    return vocab.decode([0])
