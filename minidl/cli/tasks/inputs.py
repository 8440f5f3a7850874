"""What the tasks read: the lines that `minidl predict` is given, and the names of the files in few words."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from minidl.errors import ArgumentError
from minidl.escaping import can_be_typed, escape, quote_option
from minidl.text import read_text

INPUTS_PER_CALL = 64


def lines_of(args: argparse.Namespace) -> Iterator[str]:
    """The lines to predict something of: of --text, of the files, or of standard input, one after the other."""
    if args.text is not None:
        yield from args.text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    elif args.paths:
        yield from read_text(args.paths).removesuffix("\n").split("\n")
    else:
        yield from standard_input()


def inputs_per_call(args: argparse.Namespace) -> int:
    """Return how many inputs are predicted together: 1 for standard input, so that each line is answered at once."""
    return 1 if args.text is None and not args.paths else INPUTS_PER_CALL


def standard_input() -> Iterator[str]:
    """The lines of standard input as they come, read as files are: UTF-8, in any locale, with any line ends."""
    if sys.stdin is None:  # closed, as <&- does
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline=None)
    for n, line in enumerate(sys.stdin, 1):
        try:
            line.encode()
        except UnicodeEncodeError as error:
            byte = ord(line[error.start]) & 0xFF
            raise ArgumentError(
                f"standard input is expected to be text in UTF-8, but 0x{byte:02X} in line {n} is none: convert it, "
                f"for example with iconv -f LATIN1 -t UTF-8."
            ) from None
        yield (line.removeprefix("\ufeff") if n == 1 else line).removesuffix("\n")


def example_command(texts: Iterable[str], options: str = "") -> str:
    """Return the command that predicts the first of these texts that is one line and that a shell can pass on."""
    example = next((text for text in texts if text and "\n" not in text and can_be_typed(text)), None)
    if example is None:
        return f"minidl predict {{model}}{options}"  # which reads standard input
    return f"minidl predict {{model}} {quote_option('--text', example)}{options}"


def title(paths: list[str]) -> str:
    """What is trained on, in few words; names that are no UTF-8 are made so, and fit to be printed."""
    names = [escape(os.fsencode(Path(path).name).decode("utf-8", "replace")) for path in paths]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
