"""`transplant`: the values of one net's parameters in another net, by name and shape."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import NamedTuple

from minidl.arguments import with_argument_help
from minidl.errors import ArgumentError, UnknownNameError
from minidl.layer import Layer
from minidl.names import below, offer
from minidl.parameter import Parameter

WIDTH = 80  # of what is printed
LABEL = len("misshapen  ")


class Misshapen(NamedTuple):
    """A parameter that both nets have, in different shapes: nothing was copied."""

    source: str
    target: str
    source_shape: tuple[int, ...]
    target_shape: tuple[int, ...]


class Transplanted(NamedTuple):
    """What `transplant` did with each parameter; printed, a list of it."""

    copied: list[tuple[str, str]]  # from which name of the source, to which of the target
    missing: list[str]  # in the target, and got nothing
    unused: list[str]  # in the source, and taken by nothing
    misshapen: list[Misshapen]  # in both, of different shapes

    def __str__(self) -> str:
        moved = [(a, b, "") for a, b in self.copied]
        unfit = [(m.source, m.target, f"{shape(m.source_shape)} for {shape(m.target_shape)}") for m in self.misshapen]
        lines = pairs(moved + unfit)
        told = {
            "copied": lines[: len(moved)],
            "misshapen": lines[len(moved) :],
            "missing": wrapped(self.missing),
            "unused": wrapped(self.unused),
        }
        listed = [f"{what if k == 0 else '':{LABEL}s}{line}" for what in told for k, line in enumerate(told[what])]
        count = len(moved) + len(unfit) + len(self.missing)
        return "\n".join([*listed, f"{len(moved)} of the target's {count} parameters have new values"])

    def __repr__(self) -> str:
        return str(self)


@with_argument_help
def transplant(source: Layer, target: Layer, map: Mapping[str, str] | None = None) -> Transplanted:
    """Copy the values of the source's parameters into those of the target that have the same name and shape.

    The nets stay apart: to train the very same parameters in both, put `net["lstm"]` itself into the other net.

    Args:
        source: the net that has them. It is not changed.
        target: the net that gets them; in its dtype, and whether they are frozen stays as it is.
        map: where names differ, from which part of the source a part of the target takes: {"encoder": "lm.lstm"}
            fills encoder.Wx from lm.lstm.Wx. A part is a layer or a parameter; "" is the whole net. Of several
            that fit a name the longest counts; names that none fits are looked up as they are.

    Returns:
        What went where and what did not: `copied`, `missing`, `unused`, `misshapen`.

    Raises:
        ArgumentError: for nets that are not built. UnknownNameError: for a part that is not there. Nothing has been
            changed then.

    Notes:
        A parameter that a net holds in several places goes by its first name, as in `params`.

    Example:
        >>> model = minidl.Sequential([minidl.Embedding(9, 4), minidl.LSTM(3), minidl.Dense(9)])
        >>> tagger = minidl.Sequential([minidl.Embedding(9, 4), ("reader", minidl.LSTM(3)), minidl.Dense(2)])
        >>> _ = model.build((None,)), tagger.build((None,))
        >>> print(minidl.transplant(model, tagger, map={"reader": "lstm"}))
        copied     embedding.E -> embedding.E
                   lstm.Wx     -> reader.Wx
                   lstm.Wh     -> reader.Wh
                   lstm.b      -> reader.b
        misshapen  dense.W     -> dense.W      3 x 9 for 3 x 2
                   dense.b     -> dense.b      9 for 2
        4 of the target's 6 parameters have new values
    """
    for what, net in ("source", source), ("target", target):
        if not isinstance(net, Layer):
            hint = "a dict: for arrays by name write net.params[name].value[...] = array"
            came = hint if isinstance(net, Mapping) else f"{net!r:.80}"
            raise ArgumentError(f"transplant expects the {what} to be a net, got {came}.")
        if net.in_shape is None:
            raise ArgumentError(f"transplant expects built nets, but the {what} is not: call build(in_shape) first.")
    if map is not None and not isinstance(map, Mapping):
        raise ArgumentError(
            f"transplant expects map to be a dict from parts of the target to parts of the source, got {map!r}."
        )
    have, want, parts = source.params, target.params, dict(map or {})
    for into, out_of in parts.items():
        check_part("target", into, want)
        check_part("source", out_of, have)
    done = Transplanted([], [], [], [])
    values = {}
    for name, p in want.items():
        origin = origin_of(name, parts)
        if origin not in have:
            done.missing.append(name)
        elif have[origin].value.shape != p.value.shape:
            done.misshapen.append(Misshapen(origin, name, have[origin].value.shape, p.value.shape))
        else:
            done.copied.append((origin, name))
            values[name] = have[origin].value.astype(p.value.dtype)  # a copy: both nets may share parameters
    used = {origin for origin, _ in done.copied} | {m.source for m in done.misshapen}
    done.unused.extend(name for name in have if name not in used)
    for name, value in values.items():
        want[name].value[...] = value
    return done


def origin_of(name: str, parts: Mapping[str, str]) -> str:
    """The name in the source that a parameter of the target takes its values from."""
    fitting = [part for part in parts if below(name, part)]
    if not fitting:
        return name
    part = max(fitting, key=len)
    rest = name if not part else name[len(part) + 1 :]
    return ".".join(word for word in (parts[part], rest) if word)


def check_part(whose: str, part: str, params: Mapping[str, Parameter]) -> None:
    """Refuse what is no layer and no parameter of a net."""
    if not isinstance(part, str) or not any(below(name, part) for name in params):
        raise UnknownNameError(
            f"transplant expects map to name parts of the {whose}, got {part!r}, which is none: "
            f"{offer(str(part), params, '')}."
        )


def pairs(rows: list[tuple[str, str, str]]) -> list[str]:
    """Lines `source -> target  more` in columns; where they would be too wide, the arrow begins a line of its own."""
    left, right, more = (max((len(row[k]) for row in rows), default=0) for k in range(3))
    wide = LABEL + left + len(" -> ") + right + len("  ") + more > WIDTH
    between = f"\n{'':{LABEL}s}  -> " if wide else " -> "
    return [f"{a:{0 if wide else left}s}{between}{b:{right}s}  {text}".rstrip() for a, b, text in rows]


def shape(sizes: tuple[int, ...]) -> str:
    """The shape of a parameter as people say it."""
    return " x ".join(map(str, sizes)) or "a number"


def wrapped(names: list[str]) -> list[str]:
    """Names in lines."""
    return textwrap.wrap(", ".join(names), WIDTH - LABEL, break_long_words=False, break_on_hyphens=False)
