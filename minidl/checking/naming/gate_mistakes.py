"""Mistakes of a gate's delta: the derivative of its activation, the error that it gets, gates exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from typing import Any

import numpy as np

from minidl.checking.naming.mistake import Mistake, listed, slope_at
from minidl.checking.naming.textbook import outer, peep
from minidl.inputs import Array
from minidl.kernels.lstm_reference import sigmoid

SLOPES: dict[str, dict[str, Callable[[Array, Array], Array]]] = {
    "sigmoid": {
        "is taken of the pre-activation as if it were the activation: z (1 - z)": lambda z, a: z * (1 - z),
        "is taken of the activation as if it were the pre-activation: a double sigmoid": lambda z, a: (
            sigmoid(a) * (1 - sigmoid(a))
        ),
        "is missing": lambda z, a: np.ones_like(a),
        "is that of a tanh, 1 - a^2": lambda z, a: 1 - a * a,
    },
    "tanh": {
        "is taken of the pre-activation as if it were the activation: 1 - z^2": lambda z, a: 1 - z * z,
        "is taken of the activation as if it were the pre-activation: a double tanh": lambda z, a: 1 - np.tanh(a) ** 2,
        "is missing": lambda z, a: np.ones_like(a),
        "is that of a sigmoid, a (1 - a)": lambda z, a: a * (1 - a),
    },
}


def slope_mistakes() -> Iterator[Mistake]:
    """Derivatives of the activations, taken at the wrong place."""
    groups = {"sigmoid": [*"ifo", "if", "io", "fo", "ifo"], "tanh": ["g", "c", "gc"]}
    for kind, chosen_groups in groups.items():
        for chosen in chosen_groups:
            for how, slope in SLOPES[kind].items():
                names = listed(chosen).replace("c", "the cell, tanh(c),")
                yield Mistake(
                    "G107",
                    f"the derivative of {names} {how}",
                    listed(chosen),
                    {f"slope_{k}": slope_at(k, slope) for k in chosen},
                )
    for (how, sigmoid_slope), tanh_slope in zip(SLOPES["sigmoid"].items(), SLOPES["tanh"].values(), strict=True):
        for tanhs in "g", "gc":
            pieces = {f"slope_{k}": slope_at(k, sigmoid_slope) for k in "ifo"}
            pieces |= {f"slope_{k}": slope_at(k, tanh_slope) for k in tanhs}
            names = "every gate" if tanhs == "g" else "every gate, and of the cell,"
            short = how.split(":")[0]
            yield Mistake("G107", f"the derivative of {names} {short}", listed("ifog" + tanhs[1:]), pieces)
    yield Mistake(
        "G107",
        "the derivative of tanh(c) is taken of the output h: 1 - h^2",
        "c",
        {"slope_c": lambda q: 1 - (q.o * q.tc) ** 2},
    )


def delta_mistakes() -> Iterator[Mistake]:
    """What a gate's error is: di = dc g, df = dc c', dg = dc i, do = dh tanh(c)."""
    sources: dict[str, Callable[[Any], Any]] = {
        "dc": lambda q: q.dc,
        "dh": lambda q: q.dh,
        "dc g": lambda q: q.dc * q.g,
        "dc c'": lambda q: q.dc * q.c_,
        "dc i": lambda q: q.dc * q.i,
        "dc f": lambda q: q.dc * q.f,
        "dc o": lambda q: q.dc * q.o,
        "dc c": lambda q: q.dc * q.c,
        "dh c": lambda q: q.dh * q.c,
        "dh g": lambda q: q.dh * q.g,
        "dh tanh(c)": lambda q: q.dh * q.tc,
        "dh c'": lambda q: q.dh * q.c_,
        "dh i": lambda q: q.dh * q.i,
        "dc h'": lambda q: q.dc * q.h_,
        "dh tanh(c')": lambda q: q.dh * np.tanh(q.c_),
        "dh o": lambda q: q.dh * q.o,
    }
    right = {"i": "dc g", "f": "dc c'", "g": "dc i", "o": "dh tanh(c)"}
    swap = {"di": sources["dc c'"], "df": sources["dc g"]}
    yield Mistake("G108", "the errors of i and f are exchanged: di = dc c', df = dc g", "i, f", swap)
    yield Mistake(
        "G108",
        "the errors of i and g are exchanged: di = dc i, dg = dc g",
        "i, g",
        {"di": sources["dc i"], "dg": sources["dc g"]},
    )
    for k, formula in right.items():
        for wrong, piece in sources.items():
            if wrong != formula and not (k == "o" and wrong.startswith("dc")):
                yield Mistake("G114", f"d{k} = {wrong}, where {formula} belongs", k, {f"d{k}": piece})
    early_dc = {"do": lambda q: (q.dc_next + q.dh * q.o * (1 - q.tc**2)) * q.tc}
    yield Mistake("G114", "do = dc tanh(c), where dh tanh(c) belongs", "o", early_dc)
    for k in "ifog":
        yield Mistake(
            "G114",
            f"the delta of {k} is its dc or dh alone, without i, g, c' and without its derivative",
            k,
            {
                f"d{k}": sources["dh" if k == "o" else "dc"],
                f"slope_{k}": lambda q: 1.0,
            },
        )
    for k in "ifog":
        errors = {"dc" if k != "o" else "dh": "dh" if k == "o" else "dc", f"d{k}, without the derivative,": f"d{k}"}
        for told, name in errors.items():
            yield Mistake(
                "G114",
                f"the weights of {k} get {told} itself, where the delta of {k} belongs",
                k,
                {
                    f"Wx_{k}": lambda q, name=name: outer(q.x, getattr(q, name)),
                    f"Wh_{k}": lambda q, name=name: outer(q.h_, getattr(q, name)),
                    f"b_{k}": lambda q, name=name: getattr(q, name).sum(axis=0),
                },
            )
    for order in permutations("ifog"):
        if order != tuple("ifog"):
            pairs = [(a, b) for a, b in zip("ifog", order, strict=True) if a != b]
            yield Mistake(
                "G108",
                f"deltas are exchanged in the backward pass: {listed(f'{a} gets that of {b}' for a, b in pairs)}",
                listed(a for a, _ in pairs),
                {"hand_dz": lambda q, order=order: {a: q.dz[b] for a, b in zip("ifog", order, strict=True)}},
            )
    for k, j in combinations("ifog", 2):
        turned = {k: j, j: k}
        yield Mistake(
            "G108",
            f"{k} and {j} are exchanged where dh comes back through Wh",
            f"{k}, {j}",
            {"dh_prev": lambda q, turned=turned: sum(q.dz[turned.get(m, m)] @ q.w[f"Wh_{m}"].T for m in "ifog")},
        )
        yield Mistake(
            "G108",
            f"{k} and {j} are exchanged where dh and dx come back through Wh and Wx",
            f"{k}, {j}",
            {
                "dh_prev": lambda q, turned=turned: sum(q.dz[turned.get(m, m)] @ q.w[f"Wh_{m}"].T for m in "ifog"),
                "dx": lambda q, turned=turned: sum(q.dz[turned.get(m, m)] @ q.w[f"Wx_{m}"].T for m in "ifog"),
            },
        )
    for k, j in permutations("ifog", 2):
        yield Mistake(
            "G114", f"the delta of {j} is used for {k} too", k, {"hand_dz": lambda q, k=k, j=j: q.dz | {k: q.dz[j]}}
        )
        for letter, a in ("Wx", "x"), ("Wh", "h_"):
            yield Mistake(
                "G114",
                f"d{letter}_{k} is computed with the delta of {j}",
                f"{letter}_{k}",
                {f"{letter}_{k}": lambda q, j=j, a=a: outer(getattr(q, a), q.dz[j])},
            )
        yield Mistake(
            "G114",
            f"db_{k} is computed with the delta of {j}",
            f"b_{k}",
            {f"b_{k}": lambda q, j=j: q.dz[j].sum(axis=0)},
        )
        if k != "g":
            yield Mistake(
                "G114",
                f"dp_{k} is computed with the delta of {j}",
                f"p_{k}",
                {f"p_{k}": lambda q, k=k, j=j: peep(q.seen[k], q.dz[j], q.w[f"p_{k}"])},
            )
    for k, j in combinations("ifog", 2):
        for letter, a in ("Wx", "x"), ("Wh", "h_"):
            yield Mistake(
                "G108",
                f"d{letter} of {k} and {j} are exchanged",
                f"{letter} of {k}, {j}",
                {
                    f"{letter}_{k}": lambda q, j=j, a=a: outer(getattr(q, a), q.dz[j]),
                    f"{letter}_{j}": lambda q, k=k, a=a: outer(getattr(q, a), q.dz[k]),
                },
            )
