"""What the subcommands share: a parser that says mistakes in one line, the kinds of numbers that options take."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from minidl.escaping import escape


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help shows each default, where the help does not tell it itself.

    `given` is what it will have to parse, for options that depend on others.
    """

    given: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {escape(message)} (see {self.prog} --help)\n")


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help with the defaults behind it; options without a value by default tell in words what that means."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told = action.default in (None, []) or "default" in (action.help or "")
        return action.help if told else super()._get_help_string(action)


def parser_of(add_arguments: Callable[[Parser], None], given: Sequence[str] = ()) -> Parser:
    """Return the parser of a subcommand, where these options are given."""
    parser = Parser()
    parser.given = given
    add_arguments(parser)
    return parser


def actions_of(parser: Parser) -> dict[str, tuple[argparse.Action, Any]]:
    """Return the options of a parser by name, with their defaults."""
    return {
        action.dest: (action, parser.get_default(action.dest)) for action in parser._actions if action.dest != "help"
    }


def fits(action: argparse.Action, default: Any, value: Any) -> bool:
    """Return whether a value is one that the command line could have given for an option, or its default."""
    if value is None:
        return default is None
    if action.nargs == 0:
        return isinstance(value, bool)
    if action.type is None:
        return isinstance(value, str) and (action.choices is None or value in action.choices)
    try:
        parsed = action.type(str(value))  # type: ignore[operator]
    except (argparse.ArgumentTypeError, ValueError):
        return False
    return bool(parsed == value) and (action.choices is None or parsed in action.choices)


def value_of(option: str, given: Sequence[str]) -> str | None:
    """What an option is given on a command line that is not parsed yet; None where it is not there."""
    value = None
    for word, after in zip(given, [*given[1:], None], strict=True):
        if word == option:
            value = after
        elif word.startswith(f"{option}="):
            value = word.partition("=")[2]
    return value


def count(text: str) -> int:
    """An integer of at least 1."""
    if not text.isdecimal() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return int(text)


def seed(text: str) -> int:
    """An integer of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected an integer of at least 0, got {text!r}")
    return int(text)


def number(expected: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """A kind of number: finite, and what `fits` says."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not fits(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return parse


positive = number("a positive number", lambda value: value > 0)
minutes = number("a number of minutes above 0 and up to 100,000", lambda value: 0 < value <= 100_000)
not_negative = number("a number of at least 0", lambda value: value >= 0)
part = number("a share above 0 and below 1", lambda value: 0 < value < 1)


def part_or_file(text: str) -> float | str:
    """A share above 0 and below 1, or the path of a file."""
    try:
        float(text)
    except ValueError:
        if text:
            return text
    return part(text)


part_or_none = number("a share of at least 0 and below 1", lambda value: 0 <= value < 1)
part_or_all = number("a share above 0 and at most 1", lambda value: 0 < value <= 1)
