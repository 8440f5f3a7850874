"""What the tasks read: the lines that `minidl predict` is given, and the names of the files in few words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from minidl.cli.options import printable
from minidl.text import read_text


def lines_of(args: argparse.Namespace) -> Iterator[str]:
    """The lines to predict something of: of --text, of the files, or of standard input, one after the other."""
    if args.text is not None:
        yield from args.text.splitlines() or [""]
    elif args.paths:
        yield from read_text(args.paths).splitlines()
    else:
        yield from (line.rstrip("\n") for line in sys.stdin)


def title(paths: list[str]) -> str:
    """What is trained on, in few words; names that are no UTF-8 are made so, and fit to be printed."""
    names = [printable(os.fsencode(Path(path).name).decode("utf-8", "replace")) for path in paths]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
