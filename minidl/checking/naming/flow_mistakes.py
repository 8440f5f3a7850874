"""Mistakes of the paths through time and through the cell: dh, dc, the peepholes, where the error enters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.checking.naming.mistake import Mistake, listed
from minidl.checking.naming.textbook import look_back, peep
from minidl.inputs import Array


def time_mistakes() -> Iterator[Mistake]:
    """The paths through time, h and c."""

    def zero_h(dh: Array, dc: Array) -> tuple[Array, Array]:
        return 0 * dh, dc

    def zero_c(dh: Array, dc: Array) -> tuple[Array, Array]:
        return dh, 0 * dc

    def zero_both(dh: Array, dc: Array) -> tuple[Array, Array]:
        return 0 * dh, 0 * dc

    yield Mistake(
        "G104",
        "dh of step t+1 never reaches step t: nothing comes back through Wh",
        "dh",
        {"dh_prev": lambda q: 0 * q.dh},
    )
    yield Mistake("G104", "dh of step t+1 is not added to dh of step t", "dh", {"through": zero_h})
    yield Mistake(
        "G104", "dh of step t+1, and of the final state, is not added to dh of step t", "dh", {"dh": lambda q: q.dy}
    )
    for k in "ifog":
        rest = "ifog".replace(k, "")
        yield Mistake(
            "G104",
            f"what comes back through Wh_{k} is missing in dh",
            f"Wh_{k}",
            {"dh_prev": lambda q, rest=rest: sum(q.dz[j] @ q.w[f"Wh_{j}"].T for j in rest)},
        )
        yield Mistake(
            "G104",
            f"only what comes back through Wh_{k} is in dh",
            f"Wh_{k}",
            {"dh_prev": lambda q, k=k: q.dz[k] @ q.w[f"Wh_{k}"].T},
        )
    yield Mistake("G105", "nothing of dc is handed to step t-1", "dc", {"dc_prev": lambda q: 0 * q.dc})
    yield Mistake("G105", "dc of step t+1 is not added to dc of step t", "dc", {"through": zero_c})
    yield Mistake(
        "G105",
        "dc of a step overwrites what step t+1 handed back",
        "dc",
        {"dc": lambda q: q.dtc * q.slope_c + q.back_o},
    )
    yield Mistake(
        "G105", "dc f is missing in what is handed to step t-1", "dc", {"dc_prev": lambda q: q.back_i + q.back_f}
    )
    yield Mistake(
        "G105",
        "dc is handed to step t-1 without the forget gate f",
        "dc",
        {"dc_prev": lambda q: q.dc + q.back_i + q.back_f},
    )
    yield Mistake(
        "G105",
        "dc of step t+1 is handed on without what this step added",
        "dc",
        {"dc_prev": lambda q: q.dc_next * q.f + q.back_i + q.back_f},
    )
    yield Mistake(
        "G105",
        "nothing goes from one step to the one before, neither h nor c",
        "dh, dc",
        {"through": zero_both},
    )
    yield Mistake(
        "G105",
        "dc of step t+1 is multiplied with f of step t, not with its own",
        "dc",
        {
            "dc": lambda q: q.dc_next * (q.f if q.t < q.T - 1 else 1) + q.dtc * q.slope_c + q.back_o,
            "dc_prev": lambda q: q.dc * (1 if q.t else q.f) + q.back_i + q.back_f,
        },
    )
    yield Mistake("G104", "dh is handed to step t-1 as it is, without dz Wh^T", "dh", {"dh_prev": lambda q: q.dh})
    yield Mistake(
        "G105",
        "dc holds what the peephole of o sends back, and nothing else: the rest is overwritten",
        "dc",
        {"dc": lambda q: q.back_o},
    )
    yield Mistake(
        "G105",
        "dc is handed to step t-1 times i, where f belongs",
        "dc",
        {"dc_prev": lambda q: q.dc * q.i + q.back_i + q.back_f},
    )
    yield Mistake(
        "G105",
        "dc is handed to step t-1 times 1 - f, where f belongs",
        "dc",
        {"dc_prev": lambda q: q.dc * (1 - q.f) + q.back_i + q.back_f},
    )
    yield Mistake(
        "G104",
        "dy alone, not dh, reaches the cell: dh of step t+1 is left out there",
        "dc",
        {"dtc": lambda q: q.dy * q.o},
    )
    for told, rows in wrong_rows().items():
        yield Mistake("G104", f"dh is cut from the wrong rows of the stacked gradient: {told}", "dh", {"dh_prev": rows})
    yield Mistake("G113", "dy of the last step enters at every step", "dy", {"dy": lambda q: q.dys[:, -1]})
    yield Mistake("G112", "dh0, the gradient of the initial h, is forgotten", "h0", {"start": zero_h})
    yield Mistake("G112", "dc0, the gradient of the initial c, is forgotten", "c0", {"start": zero_c})
    yield Mistake(
        "G112",
        "dh0 and dc0, the gradients of the initial state, are forgotten",
        "h0, c0",
        {"start": zero_both},
    )
    yield Mistake("G103", "dh0 and dc0 are exchanged", "h0, c0", {"start": lambda dh, dc: (dc, dh)})
    yield Mistake("G110", "the incoming gradient of the final h is ignored", "dh of the final state", {"end": zero_h})
    yield Mistake("G110", "the incoming gradient of the final c is ignored", "dc of the final state", {"end": zero_c})
    yield Mistake(
        "G110",
        "the incoming gradient of the final state is ignored",
        "dstate",
        {"end": zero_both},
    )
    yield Mistake(
        "G110", "the error that enters is the constant 1, whatever dy is", "dy", {"dy": lambda q: np.ones_like(q.dy)}
    )
    yield Mistake(
        "G110",
        "dh is the constant 1 at each step, whatever dy and dh of step t+1 are",
        "dh",
        {"dh": lambda q: np.ones_like(q.dy)},
    )
    yield Mistake("G110", "the incoming dy is ignored", "dy", {"dy": lambda q: 0 * q.dy})
    ones = {f"d{k}": (lambda q: np.ones_like(q.dh)) for k in "ifog"}
    yield Mistake("G110", "the error that enters the gates is the constant 1", "i, f, o, g", ones)
    yield Mistake(
        "G110",
        "the error that enters the gates is the constant 1",
        "i, f, o",
        {k: v for k, v in ones.items() if k != "dg"},
    )
    yield Mistake(
        "G110",
        "the error that enters the gates is h itself, not its gradient",
        "i, f, o, g",
        {"dy": lambda q: q.o * q.tc},
    )
    yield Mistake(
        "G113", "only dy of the last step enters", "dy", {"dy": lambda q: q.dy if q.t == q.T - 1 else 0 * q.dy}
    )
    yield Mistake("G113", "only dy of the first step enters", "dy", {"dy": lambda q: 0 * q.dy if q.t else q.dy})
    yield Mistake("G113", "the loop ends after the last step", "the loop", {"steps": lambda T: range(T - 1, T)})
    yield Mistake("G113", "the loop sees the first step only", "the loop", {"steps": lambda T: range(1)})
    yield Mistake("G112", "the loop leaves step 0 out", "the loop", {"steps": lambda T: range(1, T)})
    yield Mistake("G113", "the loop leaves the last step out", "the loop", {"steps": lambda T: range(T - 1)})
    yield Mistake(
        "G112",
        "the forget gate gets no gradient at step 0, where c' is the initial cell",
        "f",
        {"df": lambda q: q.dc * q.c_ if q.t else 0 * q.dc},
    )
    yield Mistake(
        "G112",
        "the contribution of the initial state at step 0 is forgotten, in df and in dWh",
        "f, Wh",
        {
            "df": lambda q: q.dc * q.c_ if q.t else 0 * q.dc,
            "keep": lambda name, t, T: "lose" if t == 0 and name[:2] == "Wh" else "add",
        },
    )


def wrong_rows() -> dict[str, Callable[[Any], Any]]:
    """dx and dh of stacked weights lie behind each other; the first or last H of them are dh, or are not."""

    def stacked(q: Any, first: str, second: str) -> Array:
        parts = [sum(q.dz[k] @ q.w[f"{letter}_{k}"].T for k in "ifog") for letter in (first, second)]
        return np.concatenate(parts, axis=1)

    return {
        "the first rows, though x stands first": lambda q: stacked(q, "Wx", "Wh")[:, : q.h_.shape[1]],
        "the last rows, though h stands first": lambda q: stacked(q, "Wh", "Wx")[:, -q.h_.shape[1] :],
    }


def cell_mistakes() -> Iterator[Mistake]:
    """The cell: dc, and the peepholes in it."""
    zero: Callable[[Any], Any] = lambda q: 0.0  # noqa: E731
    for chosen in [*"ifo", "if", "io", "fo", "ifo"]:
        yield Mistake(
            "G106",
            f"the peephole of {listed(chosen)} sends nothing back into dc",
            listed(chosen),
            {f"back_{k}": zero for k in chosen},
        )
    for chosen in [*"ifo", "if", "ifo"]:
        yield Mistake(
            "G106",
            f"the peephole weights of {listed(chosen)} get no gradient",
            f"p of {listed(chosen)}",
            {f"p_{k}": (lambda q, k=k: 0 * q.w[f"p_{k}"]) for k in chosen},
        )
    yield Mistake(
        "G106",
        "peepholes are left out of the backward pass altogether",
        "i, f, o",
        {f"back_{k}": zero for k in "ifo"} | {f"p_{k}": (lambda q, k=k: 0 * q.w[f"p_{k}"]) for k in "ifo"},
    )
    yield Mistake(
        "G106",
        "dp_o is taken with the old cell, but o looks at the new one",
        "p_o",
        {"p_o": lambda q: peep(q.c_, q.dz["o"], q.w["p_o"])},
    )
    for chosen in "i", "f", "if":
        yield Mistake(
            "G106",
            f"dp of {listed(chosen)} is taken with the new cell, but it looks at the old one",
            f"p of {listed(chosen)}",
            {f"p_{k}": (lambda q, k=k: peep(q.c, q.dz[k], q.w[f"p_{k}"])) for k in chosen},
        )
    for k in "ifo":
        yield Mistake(
            "G103",
            f"the peephole of {k} is not transposed on the way back",
            f"p_{k}",
            {f"back_{k}": (lambda q, k=k: turned(q.w.get(f"p_{k}"), q.dz[k]))},
        )
    all_turned = {f"back_{k}": (lambda q, k=k: turned(q.w.get(f"p_{k}"), q.dz[k])) for k in "ifo"}
    yield Mistake("G103", "the peepholes are not transposed on the way back", "p", all_turned)
    yield Mistake(
        "G106",
        "the peephole of o sends its part to the old cell, but o looks at the new one",
        "o",
        {
            "dc": lambda q: q.dc_next + q.dtc * q.slope_c,
            "dc_prev": lambda q: q.dc * q.f + q.back_i + q.back_f + q.back_o,
        },
    )
    for k, j in ("i", "f"), ("i", "o"), ("f", "o"):
        yield Mistake(
            "G108",
            f"the peepholes of {k} and {j} are exchanged in dc",
            f"p of {k}, {j}",
            {
                f"back_{k}": lambda q, k=k, j=j: look_back(q.w.get(f"p_{j}"), q.dz[k]),
                f"back_{j}": lambda q, k=k, j=j: look_back(q.w.get(f"p_{k}"), q.dz[j]),
            },
        )
        yield Mistake(
            "G108",
            f"the gradients of the peepholes of {k} and {j} are exchanged",
            f"p of {k}, {j}",
            {
                f"p_{k}": lambda q, k=k, j=j: peep(q.seen[j], q.dz[j], q.w[f"p_{k}"]),
                f"p_{j}": lambda q, k=k, j=j: peep(q.seen[k], q.dz[k], q.w[f"p_{j}"]),
            },
        )
    yield Mistake("G114", "dh reaches the cell without the output gate o", "dc", {"dtc": lambda q: q.dh})
    yield Mistake("G114", "dh reaches the cell with do instead of dh o", "dc", {"dtc": lambda q: q.do})
    yield Mistake(
        "G105",
        "dh never reaches the cell: dc is what comes from step t+1 alone",
        "dc",
        {"dc": lambda q: q.dc_next + q.back_o},
    )
    yield Mistake(
        "G107",
        "dc_next is multiplied with the slope of tanh(c) too",
        "dc",
        {"dc": lambda q: (q.dc_next + q.dtc) * q.slope_c + q.back_o},
    )


def turned(p: Array | None, dz: Array) -> Any:
    """`look_back` with the matrix as it is, not transposed."""
    return look_back(p, dz) if p is None or p.ndim == 1 else dz @ p
