"""Checks of constructor arguments: each returns the value, or says what was expected and what came."""

from __future__ import annotations

import inspect
import math
import numbers
import sys
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import numpy as np

from minidl.equivalents import argument_hint, missing_attribute, surplus_hint
from minidl.errors import ArgumentError

Function = TypeVar("Function", bound=Callable[..., Any])


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


def optional_flag(owner: str, name: str, value: Any) -> bool | None:
    """True, False, or None where something else decides."""
    return None if value is None else flag(owner, name, value)


def check_list(owner: str, name: str, value: Any) -> None:
    """Refuse what is neither a list nor a tuple."""
    if not isinstance(value, list | tuple):
        raise ArgumentError(f"{owner} expects {name} to be a list, got {value!r}: write {name}=[...].")


@cache
def arguments_of(constructor: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """What an `__init__` takes, `self` included; object's takes nothing."""
    return {} if constructor is object.__init__ else inspect.signature(constructor).parameters


def check_arguments(cls: Any, values: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Refuse constructor arguments that the class does not have, with what to write instead."""
    check_call(cls.__name__, arguments_of(cls.__init__), values, named, f"{cls.__name__}()")


def check_call(
    owner: str, known: Mapping[str, inspect.Parameter], values: tuple[Any, ...], named: dict[str, Any], empty: str
) -> None:
    """Refuse arguments that a function does not have, with what to write instead; `empty` is the call without any."""
    names = [n for n in known if n not in ("self", "cls")]
    if not any(p.kind is p.VAR_POSITIONAL for p in known.values()):
        takes = [n for n in names if known[n].kind in (known[n].POSITIONAL_ONLY, known[n].POSITIONAL_OR_KEYWORD)]
        if len(values) > len(takes):
            by_name = [f"{n}=" for n in names if known[n].kind is known[n].KEYWORD_ONLY]
            came = f"{values[0]!r:.60}" if len(values) == 1 else f"{len(values)} values"
            has = f"only {', '.join(takes)}" if takes else "no arguments"
            cure = "Leave out the rest" if takes else f"Write {empty}"
            if by_name:
                has, cure = f"{has} by position", f"Pass the rest by name: {', '.join(by_name)}"
            if not isinstance(values[-1], bool):  # a switch is an option
                cure = surplus_hint(owner, takes, values[-1]) or cure
            raise ArgumentError(f"{owner} takes {has}, got {came}. {cure}.")
        twice = [n for n in takes[: len(values)] if n in named]
        if twice:
            at = takes.index(twice[0])
            raise ArgumentError(f"{owner} got {twice[0]} twice: {values[at]!r:.60} by position, and by name.")
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for name in named:
            if name not in names:
                raise ArgumentError(f"{owner} has no argument {name!r}. {argument_hint(owner, name, names)}")


def constructor_signature(cls: type) -> inspect.Signature:
    """Return the signature of the constructor, which `help` and editors show."""
    return inspect.Signature([p for name, p in arguments_of(cls.__init__).items() if name != "self"])  # type: ignore[misc]


class ArgumentHelp:
    """The base of public classes: an argument that the constructor does not have is refused with what to write.

    Example:
        >>> minidl.Adam(learning_rate=0.1)
        Traceback (most recent call last):
        minidl.errors.ArgumentError: Adam has no argument 'learning_rate'. Write lr=.
    """

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = constructor_signature(cls)  # type: ignore[attr-defined]  # not that of __new__

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        check_arguments(cls, args, kwargs)
        return super().__new__(cls)

    if not TYPE_CHECKING:  # a type checker should still report unknown attributes

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(missing_attribute(type(self), name))


def with_argument_help(function: Function) -> Function:
    """Let a public function or method refuse arguments that it does not have with what to write instead.

    Example:
        >>> minidl.pad([[1, 2], [3]], maxlen=2)
        Traceback (most recent call last):
        minidl.errors.ArgumentError: pad has no argument 'maxlen'. Cut the rows first: [row[:maxlen] for row in rows].
    """
    known = inspect.signature(function).parameters
    names, bound = frozenset(known), bool(known.keys() & {"self", "cls"})
    owner = function.__qualname__.split(".")[-2 if function.__name__ == "__new__" else -1]
    by_place = [p for p in known.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    most = math.inf if any(p.kind is p.VAR_POSITIONAL for p in known.values()) else len(by_place)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > most or not kwargs.keys() <= names:
            check_call(owner, known, args[bound:], kwargs, f"{owner}()")
        return function(*args, **kwargs)

    return cast(Function, call)


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
