"""minidl doctor: Say why a training does not learn: its data, its loss, its rate, what happens inside of the net.

FILE.py:FUNCTION is a function without arguments that returns net, loss and batches, and if it likes an optimizer, or a
dict with these names and others of minidl.diagnose. FILE.py is imported, which runs all of its code with your rights:
use only files that you trust. A MODEL and the folder of a black box hold no code. MODEL is a file that minidl train or
net.save wrote; it is looked at on a text. A black box with a layer, a loss or an optimizer of your own is opened in
Python: minidl.doctor.replay(FOLDER, classes=[Mine]).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from minidl.cli.code import called, is_code, named
from minidl.cli.loading import load_model
from minidl.cli.options import count, positive, seed
from minidl.cli.showing import show
from minidl.cli.tasks.language import check_language_model
from minidl.data import TextStream, split
from minidl.doctor import Diagnosis, diagnose, reproduce
from minidl.errors import ArgumentError
from minidl.escaping import escape, to_json
from minidl.layers import Softmax
from minidl.losses import CrossEntropy, SoftmaxCrossEntropy
from minidl.optimizers import Adam
from minidl.sequential import Sequential
from minidl.text import read_text

NAMES = "net", "loss", "batches", "optimizer"
WINDOW, ROWS = 64, 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    add = parser.add_argument
    add(
        "what",
        metavar="MODEL | FILE.py:FUNCTION",
        nargs="?",
        help="a model file, or code that makes net, loss and batches: the file is run",
    )
    add("texts", metavar="TEXT", nargs="*", help="UTF-8 text files for a MODEL (default: Python's language reference)")
    add("--replay", metavar="FOLDER", help="make the step in the folder of a black box again (default: none)")
    add("--steps", metavar="N", type=count, default=100, help="updates of the trial")
    add("--lr", metavar="X", type=positive, help="try a MODEL with Adam at this rate (default: no trial)")
    add("--json", action="store_true", help="print one JSON object (default: a report)")
    add("--seed", metavar="N", type=seed, default=0, help="of the weights of a net that is not built, and of dropout")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns 0 where no error was found, 1 where one was."""
    if (args.what is None) == (args.replay is None):
        raise ArgumentError(
            "expected is a MODEL, a FILE.py:FUNCTION, or --replay FOLDER, one of them: see minidl doctor --help."
        )
    if args.replay is not None:
        return report(replayed(Path(args.replay)), args.json)
    code = is_code(args.what)
    with contextlib.redirect_stdout(sys.stderr):  # what the code prints is no part of the report
        given = of_code(args) if code else of_model(args)
        with status() as say:
            diagnosis = diagnose(**{"steps": args.steps, "seed": args.seed, "progress": say, **given})
    return report(diagnosis, args.json)


def report(diagnosis: Diagnosis, as_json: bool) -> int:
    """Print it; returns the exit code."""
    if as_json:
        print(to_json(diagnosis.as_json()))
    else:
        show(diagnosis)
    return 0 if diagnosis.ok else 1


def replayed(folder: Path) -> Diagnosis:
    """The step of a black box, made again."""
    box, examined = reproduce(folder)
    facts = {
        "replayed": f"step {box.trouble.step:,}, epoch {box.epoch}, seed {box.seed}: {box.trouble.words}",
        "bits": "the same as in the training" if examined.same else "; ".join(examined.notes),
    }
    curves = {name: [float(v) for v in box.record.column(name)] for name in ("loss", "norm")}
    return Diagnosis([examined.finding], curves, facts)


@contextlib.contextmanager
def status() -> Any:
    """A function that shows on a terminal what is being looked at; elsewhere it shows nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.text import Text

    from minidl.plain_console import PlainConsole

    with PlainConsole(stderr=True).status("looking") as shown:
        yield lambda words: shown.update(Text(escape(f"looking at {words}")))


def of_code(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `diagnose`, from what a function returns."""
    if args.texts:
        raise ArgumentError(
            f"minidl doctor {args.what} expects no text, got {args.texts[0]}: the code makes the batches."
        )
    function, where, _ = named(args.what, "call")
    if not callable(function):
        raise ArgumentError(f"{where} is expected to be a function, got {type(function).__name__}.")
    result = called(function, where)
    if isinstance(result, tuple) and 3 <= len(result) <= len(NAMES):
        result = dict(zip(NAMES, result, strict=False))
    if not isinstance(result, dict) or not {*NAMES[:3]} <= {*result}:
        raise ArgumentError(
            f"{where}() is expected to return (net, loss, batches) or (net, loss, batches, optimizer), or a dict with "
            f"these names, got {type(result).__name__}."
        )
    known = {*NAMES, "vocab", "validation", "callbacks", "history", "trained", "steps", "seed"}
    if not {*result} <= known:
        raise ArgumentError(f"{where}() returns {min({*result} - known)!r}: expected are {', '.join(sorted(known))}.")
    return result


def of_model(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `diagnose`, for a language model and a text."""
    from minidl.text import language_reference

    net = load_model(args.what)
    hint = "write a function that returns net, loss and batches, and give FILE.py:FUNCTION"
    check_language_model(net, args.what, hint)
    vocab = getattr(net, "vocab", None)
    if vocab is None or (net.out_shape or (0,))[-1] != len(vocab):
        raise ArgumentError(
            f"minidl doctor expects a language model, with a vocabulary, as minidl train writes it, got {args.what}: "
            f"{hint}."
        )
    ids = vocab.encode(read_text(args.texts) if args.texts else language_reference())
    train, held = split(ids, 0.1)
    rows = max(1, min(ROWS, len(held) // (2 * WINDOW)))
    ends_in_softmax = isinstance(net, Sequential) and isinstance(net[-1], Softmax)
    return {
        "net": net,
        "loss": CrossEntropy() if ends_in_softmax else SoftmaxCrossEntropy(),
        "batches": TextStream(train, rows, WINDOW),
        "validation": TextStream(held, rows, WINDOW),
        "vocab": vocab,
        "optimizer": None if args.lr is None else Adam(args.lr),
        "trained": True if net.facts.get("steps done") else None,
    }
