"""The command `minidl`: one file per subcommand, and no logic that the library lacks."""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import inspect
import io
import os
import pkgutil
import signal
import sys
import tokenize
import warnings
from collections.abc import Sequence
from typing import Any

from minidl import __version__
from minidl.cli.options import Help, Parser
from minidl.errors import MinidlError
from minidl.escaping import escape

COMMANDS = "train", "predict", "sample", "info", "look", "check", "doctor", "explain"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    0 done, 1 something was found wrong, 2 a mistake in what was asked, 130 Ctrl-C, 141 nobody reads the output.
    """
    if sys.stdout is None:  # closed, as >&- does
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to lose a training
    owner = "minidl"
    try:
        args = understand(argv)
        if args is None:
            return 2
        owner = f"minidl {args.command}"
        return carry_out(args, owner)
    except KeyboardInterrupt:
        leave(argv)
        print(f"{owner}: interrupted by Ctrl-C", file=sys.stderr)
        return 130
    finally:
        leave(argv)


def leave(argv: Sequence[str] | None) -> None:
    """Where the program is about to end, another Ctrl-C would only end it in disorder."""
    if argv is None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def understand(argv: Sequence[str] | None) -> argparse.Namespace | None:
    """The options, with the subcommand's `run` among them; None where nothing was asked for."""
    parser = Parser(prog="minidl", description="Train, use, show and check recurrent networks on NumPy.")
    parser.add_argument("--version", action="version", version=f"minidl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    given = sys.argv[1:] if argv is None else argv
    for name in COMMANDS:
        title, _, more = description(name).split(": ", 1)[1].partition("\n")
        summary = title.rstrip(".")
        options = commands.add_parser(
            name,
            help=summary,
            description=summary + ".",
            epilog=" ".join(more.split()),
            formatter_class=Help,
            allow_abbrev=False,
        )
        if name in given:
            module = importlib.import_module(f"minidl.cli.{name}")  # here, for it takes a while, and Ctrl-C may come
            options.given = given
            module.add_arguments(options)
            options.set_defaults(run=module.run)
    args, unknown = parser.parse_known_args(argv)
    if args.command is None:
        if unknown:
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        parser.print_help(sys.stderr)
        return None
    if hasattr(args, "paths") and not any(word.startswith("-") for word in unknown):
        args.paths, unknown = [*args.paths, *unknown], []  # argparse knows no paths behind an option, if not all are
    if unknown:
        commands.choices[args.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return args


def description(command: str) -> str:
    """The docstring of a subcommand's file, read without running it: `minidl --help` answers at once."""
    source = pkgutil.get_data("minidl.cli", f"{command}.py") or b""
    tokens = tokenize.tokenize(io.BytesIO(source).readline)  # of the first lines only: parsing the file takes longer
    return inspect.cleandoc(ast.literal_eval(next(token.string for token in tokens if token.type == tokenize.STRING)))


def carry_out(args: argparse.Namespace, owner: str) -> int:
    """Run the subcommand; its mistakes and its warnings are one line each."""

    def show_warning(message: Any, *_: Any) -> None:
        print(f"{owner}: {escape(str(message))}", file=sys.stderr, flush=True)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = show_warning  # type: ignore[assignment]  # without the line of the source
            code: int = args.run(args)
        sys.stdout.flush()
        return code
    except (BrokenPipeError, SystemExit):  # the reader went away, as `| head` does; rich ends the program then
        silence()
        return 141
    except MinidlError as error:
        reason = str(error)
    except MemoryError as error:
        reason = f"not enough memory: {error}".removesuffix(": ")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        reason = f"{place}{error.strerror or error}"
    print(f"{owner}: {escape(reason)}", file=sys.stderr)
    return 2


def silence() -> None:
    """Send what is still to be written nowhere, or Python would complain about the broken pipe as it exits."""
    with contextlib.suppress(OSError):  # where standard output is no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
