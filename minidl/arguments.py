"""Checks of constructor arguments: each returns the value, or says what was expected and what came."""

from __future__ import annotations

import difflib
import inspect
import numbers
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from minidl.errors import ArgumentError


def positive_int(owner: str, name: str, value: Any) -> int:
    """An int of at least 1 (True is none)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ArgumentError(f"{owner} expects {name} to be a positive integer, got {value!r}.")
    return int(value)


def is_real(value: Any) -> bool:
    """Whether it is a number (True is none), and not an integer too long for a float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return not isinstance(value, int) or abs(value) <= sys.float_info.max


def real(owner: str, name: str, value: Any, low: float = -float("inf"), high: float = float("inf")) -> float:
    """A number in [low, high)."""
    if not is_real(value) or not low <= value < high:
        bounds = "" if low == -high else f" of at least {low:g}" if high == float("inf") else f" in [{low:g}, {high:g})"
        raise ArgumentError(f"{owner} expects {name} to be a number{bounds}, got {value!r}.")
    return float(value)


def positive_real(owner: str, name: str, value: Any) -> float:
    """A finite number above 0."""
    if not is_real(value) or not 0 < value < float("inf"):
        raise ArgumentError(f"{owner} expects {name} to be a positive number, got {value!r}.")
    return float(value)


def flag(owner: str, name: str, value: Any, hint: str = "") -> bool:
    """True or False, and nothing that merely counts as such."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{owner} expects {name} to be True or False, got {value!r}{hint and ': '}{hint}.")
    return bool(value)


@cache
def arguments_of(constructor: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """What an `__init__` takes, `self` included."""
    return inspect.signature(constructor).parameters


def check_arguments(cls: Any, values: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Refuse constructor arguments that the class does not have, with the one that was probably meant."""
    known = arguments_of(cls.__init__)
    takes = [n for n, p in known.items() if n != "self" and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(values) > len(takes) and not any(p.kind is p.VAR_POSITIONAL for p in known.values()):
        has = f"{', '.join(takes)} and no more" if takes else "no arguments"
        cure = "leave out the rest" if takes else f"write {cls.__name__}()"
        came = f"{values[0]!r:.60}" if len(values) == 1 else f"{len(values)} values"
        raise ArgumentError(f"{cls.__name__} takes {has}, got {came}: {cure}.")
    for name in named:
        if name not in known and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            close = difflib.get_close_matches(name, known, 1) if name != "activation" else []
            hint = (
                f"did you mean {close[0]}?"
                if close
                else "put an activation layer behind it, such as Tanh()."
                if "activation" in name
                else f"it has {', '.join(n for n in known if n != 'self') or 'no arguments'}."
            )
            raise ArgumentError(f"{cls.__name__} has no argument {name!r}: {hint}")


def kept_arguments(layer: Any) -> dict[str, Any]:
    """The constructor's arguments, read from the attributes of the same names (initializers apart)."""
    names = [n for n in arguments_of(type(layer).__init__) if n != "self" and not are_initializers(layer, n)]
    for name in names:
        if name not in vars(layer):
            raise ArgumentError(f"{type(layer).__name__} must keep its argument {name!r} as self.{name}.")
    return {name: getattr(layer, name) for name in names}


def are_initializers(layer: Any, name: str) -> bool:
    """Whether an argument says how parameters are drawn, which is over once they are: `init`, by their names."""
    return name == "init" and isinstance(vars(layer).get(name, {}), Mapping)


def written_out(layer: Any) -> str:
    """The call that makes such a layer, without what is a default."""
    defaults = {n: repr(p.default) for n, p in arguments_of(type(layer).__init__).items()}
    kept = {n: repr(vars(layer)[n]) for n in defaults if n in vars(layer) and not are_initializers(layer, n)}
    return f"{type(layer).__name__}({', '.join(f'{n}={text}' for n, text in kept.items() if text != defaults[n])})"
