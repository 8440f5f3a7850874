"""Mistakes of forward passes, and the backward pieces that are right for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import numpy as np

from minidl.checking.naming.mistake import Mistake, listed, slope_at
from minidl.checking.naming.textbook import BACKWARD, Pieces, look_back
from minidl.inputs import Array
from minidl.kernels.lstm_reference import sigmoid


def same(z: Array) -> Array:
    """No nonlinearity."""
    return z


ACTIVATIONS: dict[str, dict[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {
    # by kind: what is computed instead, and its slope by the pre-activation, from z and the activation a
    "sigmoid": {
        "is missing": (same, lambda z, a: np.ones_like(a)),
        "is applied twice": (lambda z: sigmoid(sigmoid(z)), lambda z, a: a * (1 - a) * sigmoid(z) * (1 - sigmoid(z))),
        "is a tanh": (np.tanh, lambda z, a: 1 - a * a),
    },
    "tanh": {
        "is missing": (same, lambda z, a: np.ones_like(a)),
        "is applied twice": (lambda z: np.tanh(np.tanh(z)), lambda z, a: (1 - a * a) * (1 - np.tanh(z) ** 2)),
        "is a sigmoid": (sigmoid, lambda z, a: a * (1 - a)),
    },
}


def forward_mistakes() -> Iterator[Mistake]:
    """Forward passes that differ from the textbook's."""
    swapped = {"through": lambda dh, dc: (dc, dh)}
    swap_last = {**swapped, "start": lambda dh, dc: (dc, dh)}
    enter = {"enter": lambda h, c, t: (c, h)}
    yield Mistake("F201", "h and c are exchanged as they enter a step", "every step", enter, swap_last)
    out, end = {"leave": lambda h, c: (c, h)}, {"end": lambda dh, dc: (dc, dh)}
    yield Mistake("F201", "h and c are exchanged in the state that is returned", "the final state", out, end)
    first = {"enter": lambda h, c, t: (h, c) if t else (c, h)}
    begin = {"start": lambda dh, dc: (dc, dh)}
    yield Mistake("F201", "h and c are exchanged in the state that comes in", "the first step", first, begin)
    yield Mistake(
        "F201", "h and c are exchanged in the state, coming in and going out", "the state", first | out, begin | end
    )

    yield Mistake(
        "F201",
        "what is put out is c, not h",
        "y",
        {"y": lambda s: s.c},
        {"dh": lambda q: q.dh_next, "dc": lambda q: BACKWARD["dc"](q) + q.dy},
    )

    old_o = {
        "dc": lambda q: q.dc_next + q.dtc * q.slope_c,
        "dc_prev": lambda q: q.dc * q.f + q.back_i + q.back_f + q.back_o,
    }
    yield Mistake(
        "F202", "the output gate looks at the old cell, c of the step before", "o", {"seen_o": lambda s: s.c_}, old_o
    )
    none = {"seen_i": lambda s: 0 * s.c_, "seen_f": lambda s: 0 * s.c_}
    blind = {"back_i": lambda q: 0.0, "back_f": lambda q: 0.0}
    yield Mistake("F202", "i and f look at a cell that is not computed yet", "i, f", none, blind)
    for k, other in "if", "fi":
        fitting: Pieces = {
            "dc_prev": lambda q, other=other: q.dc * q.f + getattr(q, f"back_{other}"),
            "dh_prev": lambda q, k=k: BACKWARD["dh_prev"](q) + look_back(q.w.get(f"p_{k}"), q.dz[k]),
        }
        yield Mistake("F202", f"the peephole of {k} looks at h instead of c", k, {f"seen_{k}": lambda s: s.h_}, fitting)
    early = {"seen_i": lambda s: s.h_, "seen_f": lambda s: s.h_}
    to_h = {
        "dc_prev": lambda q: q.dc * q.f,
        "dh_prev": lambda q: (
            BACKWARD["dh_prev"](q) + look_back(q.w.get("p_i"), q.dz["i"]) + look_back(q.w.get("p_f"), q.dz["f"])
        ),
    }
    yield Mistake("F202", "the peepholes of i and f look at h instead of c", "i, f", early, to_h)
    at_h = {"seen_o": lambda s: s.h_}
    yield Mistake(
        "F202",
        "the peephole of o looks at h instead of c",
        "o",
        at_h,
        {
            "dc": old_o["dc"],
            "dh_prev": lambda q: BACKWARD["dh_prev"](q) + look_back(q.w.get("p_o"), q.dz["o"]),
        },
    )

    for kind, gates in ("sigmoid", "ifo"), ("tanh", "gc"):
        for how, (act, slope) in ACTIVATIONS[kind].items():
            for chosen in [*gates, *([gates] if kind == "sigmoid" else ["gc"])]:
                name = {"c": "tanh of the cell in h = o tanh(c)", "gc": "tanh of g and of the cell"}.get(
                    chosen, f"{kind} of {listed(chosen)}"
                )
                yield Mistake(
                    "F204",
                    f"the {name} {how}",
                    listed(chosen),
                    {f"act_{k}": act for k in chosen},
                    {f"slope_{k}": slope_at(k, slope) for k in chosen},
                )
    (act_s, slope_s), (act_t, slope_t) = (ACTIVATIONS[kind]["is applied twice"] for kind in ("sigmoid", "tanh"))
    yield Mistake(
        "F204",
        "every nonlinearity of the gates is applied twice",
        "i, f, o, g",
        {f"act_{k}": act_s for k in "ifo"} | {"act_g": act_t},
        {f"slope_{k}": slope_at(k, slope_s) for k in "ifo"} | {"slope_g": slope_at("g", slope_t)},
    )
    squashed = {"dc": lambda q: (q.dc_next + q.dtc * q.slope_c + q.back_o) * (1 - q.c**2)}
    yield Mistake(
        "F204",
        "c goes through tanh before it is kept, and once more on its way to h",
        "c",
        {"c": lambda s: np.tanh(s.f * s.c_ + s.i * s.g)},
        squashed,
    )
    one_less_f = {
        "dc_prev": lambda q: q.dc * (1 - q.i) + q.back_i + q.back_f,
        "df": lambda q: 0 * q.dc,
        "di": lambda q: q.dc * (q.g - q.c_),
    }
    yield Mistake(
        "F205", "1 - i stands where f belongs", "f", {"c": lambda s: (1 - s.i) * s.c_ + s.i * s.g}, one_less_f
    )

    swap_if = {
        "dc_prev": lambda q: q.dc * q.i + q.back_i + q.back_f,
        "di": lambda q: q.dc * q.c_,
        "df": lambda q: q.dc * q.g,
        "dg": lambda q: q.dc * q.f,
    }
    yield Mistake(
        "F205", "i and f are exchanged: c = i c' + f g", "i, f", {"c": lambda s: s.i * s.c_ + s.f * s.g}, swap_if
    )
    for order in permutations("ifog"):
        if order != tuple("ifog"):
            moved = [f"{b} computes {a}" for a, b in zip("ifog", order, strict=True) if a != b]
            yield Mistake(
                "F205",
                f"gates are exchanged: what is called {', what is called '.join(moved)}",
                listed(sorted({a for a, b in zip("ifog", order, strict=True) if a != b}, key="ifog".index)),
                {"order": "".join(order)},
            )
    for k, j in permutations("ifog", 2):
        yield Mistake(
            "F205",
            f"{k} is computed with the weights of {j}",
            k,
            {"order": "ifog".replace(k, j)},
        )
