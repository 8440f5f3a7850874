"""minidl explain: Show the page on a code that a check gave: the mistake, an example, the right formula."""

from __future__ import annotations

import argparse
import re
import sys

from minidl.checking.explanation import LANGUAGES, explain
from minidl.checking.naming.findings import CODES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    add = parser.add_argument
    add("code", metavar="CODE", nargs="?", help="such as G107 (default: a list of all codes)")
    add("--lang", choices=LANGUAGES, default="en", help="the language of the page")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from minidl.plain_console import PlainConsole

    console = PlainConsole()
    if args.code is None:
        for code in CODES:
            console.print(explain(code, args.lang).splitlines()[0].removeprefix("## "), soft_wrap=True)
        return 0
    page = explain(args.code, args.lang)
    if not sys.stdout.isatty():
        print(page)
        return 0
    for k, part in enumerate(re.split(r"```(?:python)?\n", page)):
        if k % 2:
            for line in part.splitlines():
                console.print(f"    {line}", style="cyan", soft_wrap=True)
        else:
            title, _, rest = part.partition("\n") if k == 0 else ("", "", part)
            if title:
                console.print(title.removeprefix("## "), style="bold")
            console.print(rest, end="", soft_wrap=True)
    console.print()
    return 0
