"""The LSTM of the textbook, in pieces that can be exchanged: what hand-written code is compared with.

Every line of the forward and of the backward pass is a small function in `FORWARD` or `BACKWARD`, in the letters of
`minidl.kernels.lstm_reference`. A mistake is a dict with other functions for some of them: see `mistakes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from minidl.checking.naming.roles import GATES, Key
from minidl.inputs import Array
from minidl.kernels.lstm_reference import sigmoid

Pieces = Mapping[str, Any]
Layer = list[dict[str, Array]]  # of each step, "Wx_i": [D, H] and so on


def look(p: Array | None, c: Array) -> Any:
    """What a gate sees of the cell: 0 without a peephole, c p with a diagonal or a full one."""
    if p is None:
        return 0.0
    return c * p if p.ndim == 1 else c @ p


def look_back(p: Array | None, dz: Array) -> Any:
    """What a gate sends back to the cell that it looked at."""
    if p is None:
        return 0.0
    return dz * p if p.ndim == 1 else dz @ p.T


def outer(a: Array, dz: Array) -> Array:
    """The gradient of a matrix that `a` was multiplied with, summed over the rows of the batch."""
    return a.T @ dz


# -- forward: s holds h_ and c_, the state before the step, and what was computed so far --------------

FORWARD: dict[str, Any] = {
    "enter": lambda h, c, t: (h, c),  # the state as a step gets it
    "leave": lambda h, c: (h, c),  # the state as it is handed out at the end
    "order": "ifog",  # which gate's weights each of i f o g is computed with
    "seen_i": lambda s: s.c_,
    "seen_f": lambda s: s.c_,
    "seen_o": lambda s: s.c,
    "act_i": sigmoid,
    "act_f": sigmoid,
    "act_o": sigmoid,
    "act_g": np.tanh,
    "act_c": np.tanh,
    "c": lambda s: s.f * s.c_ + s.i * s.g,
    "h": lambda s: s.o * s.tc,
    "y": lambda s: s.h,  # what is put out
}

# -- backward: q holds what the forward step computed, and the gradients so far ------------------------

BACKWARD: dict[str, Any] = {
    "dy": lambda q: q.dy,
    "dh": lambda q: q.dy + q.dh_next,
    "do": lambda q: q.dh * q.tc,
    "dtc": lambda q: q.dh * q.o,
    "slope_c": lambda q: 1 - q.tc**2,
    "dc": lambda q: q.dc_next + q.dtc * q.slope_c + q.back_o,
    "di": lambda q: q.dc * q.g,
    "df": lambda q: q.dc * q.c_,
    "dg": lambda q: q.dc * q.i,
    "slope_i": lambda q: q.i * (1 - q.i),
    "slope_f": lambda q: q.f * (1 - q.f),
    "slope_o": lambda q: q.o * (1 - q.o),
    "slope_g": lambda q: 1 - q.g**2,
    "back_i": lambda q: look_back(q.w.get("p_i"), q.dz["i"]),
    "back_f": lambda q: look_back(q.w.get("p_f"), q.dz["f"]),
    "back_o": lambda q: look_back(q.w.get("p_o"), q.dz["o"]),
    "hand_dz": lambda q: q.dz,  # the deltas of i f o g, as they are handed to weights and inputs
    "dh_prev": lambda q: sum(q.dz[k] @ q.w[f"Wh_{k}"].T for k in GATES),
    "dc_prev": lambda q: q.dc * q.f + q.back_i + q.back_f,
    "dx": lambda q: sum(q.dz[k] @ q.w[f"Wx_{k}"].T for k in GATES),
    "through": lambda dh, dc: (dh, dc),  # between two steps
    "start": lambda dh, dc: (dh, dc),  # of the initial state, as it is returned
    "end": lambda dh, dc: (dh, dc),  # of the final state, as it comes in
    **{f"Wx_{k}": (lambda q, k=k: outer(q.x, q.dz[k])) for k in GATES},
    **{f"Wh_{k}": (lambda q, k=k: outer(q.h_, q.dz[k])) for k in GATES},
    **{f"b_{k}": (lambda q, k=k: q.dz[k].sum(axis=0)) for k in GATES},
    **{f"p_{k}": (lambda q, k=k: peep(q.seen[k], q.dz[k], q.w[f"p_{k}"])) for k in "ifo"},
    "keep": lambda name, t, T: "add",  # whether a step's share is added, is all that stays ("set"), or is lost
    "steps": lambda T: range(T),  # the steps that run, backwards
}


def peep(seen: Array, dz: Array, p: Array) -> Array:
    """The gradient of a peephole, diagonal or full."""
    return (seen * dz).sum(axis=0) if p.ndim == 1 else seen.T @ dz


class Pass(NamedTuple):
    """A forward pass over all layers: h of the last layer [B, T, H], the final states, the steps layer by layer."""

    h: Array
    state: list[tuple[Array, Array]]
    steps: list[list[SimpleNamespace]]
    over_time: Set[Key]


class Gradients(NamedTuple):
    """A backward pass: dx [B, T, D], the initial states', and those of the weights by key."""

    dx: Array
    dstate: list[tuple[Array, Array]]
    weights: dict[Key, Array]


def by_step(weights: Mapping[Key, Array], over_time: Set[Key], T: int) -> list[Layer]:
    """The weights step by step, layer by layer."""
    depth = 1 + max(layer for layer, _ in weights)
    return [
        [
            {name: (w[t] if (n, name) in over_time else w) for (n, name), w in weights.items() if n == layer}
            for t in range(T)
        ]
        for layer in range(depth)
    ]


def forward(
    weights: Mapping[Key, Array],
    x: Array,
    state: list[tuple[Array, Array]],
    over_time: Set[Key] = frozenset(),
    pieces: Pieces = MappingProxyType({}),
) -> Pass:
    """Run the layers, one upon the other, over x [B, T, D], with some pieces of the textbook exchanged.

    The weights `over_time` have an axis T in front: another array at each step.
    """
    F = FORWARD | dict(pieces)
    finals, steps = [], []
    for layer, (h, c) in zip(by_step(weights, over_time, x.shape[1]), state, strict=True):
        seq, own = [], []
        for t, w in enumerate(layer):
            h_, c_ = F["enter"](h, c, t)
            s = SimpleNamespace(t=t, x=x[:, t], h_=h_, c_=c_, w=w, z={}, seen={})
            z = {k: s.x @ w[f"Wx_{k}"] + h_ @ w[f"Wh_{k}"] + w.get(f"b_{k}", 0.0) for k in GATES}
            s.z = {k: z[F["order"][n]] for n, k in enumerate(GATES)}
            for k in "if":
                s.seen[k] = F[f"seen_{k}"](s)
                s.z[k] = s.z[k] + look(w.get(f"p_{k}"), s.seen[k])
            s.i, s.f, s.g = F["act_i"](s.z["i"]), F["act_f"](s.z["f"]), F["act_g"](s.z["g"])
            s.c = F["c"](s)
            s.seen["o"] = F["seen_o"](s)
            s.z["o"] = s.z["o"] + look(w.get("p_o"), s.seen["o"])
            s.o = F["act_o"](s.z["o"])
            s.tc = F["act_c"](s.c)
            s.order = F["order"]
            s.h = h = F["h"](s)
            c = s.c
            seq.append(F["y"](s))
            own.append(s)
        x = np.stack(seq, axis=1)
        finals.append(F["leave"](h, c))
        steps.append(own)
    return Pass(x, finals, steps, over_time)


def backward(run: Pass, dy: Array, dstate: list[tuple[Array, Array]], pieces: Sequence[Pieces]) -> Gradients:
    """The gradients of a forward pass by the textbook, with some pieces exchanged, layer by layer."""
    weights: dict[Key, Array] = {}
    starts: list[tuple[Array, Array]] = []
    for n in reversed(range(len(run.steps))):
        G = BACKWARD | dict(pieces[n])
        several = {name for layer, name in run.over_time if layer == n}
        dy, start = backward_layer(n, run.steps[n], several, dy, dstate[n], G, weights)
        starts.insert(0, start)
    return Gradients(dy, starts, weights)


def backward_layer(
    n: int,
    steps: list[SimpleNamespace],
    over_time: Set[str],
    dy: Array,
    dstate: tuple[Array, Array],
    G: Pieces,
    weights: dict[Key, Array],
) -> tuple[Array, tuple[Array, Array]]:
    """One layer: fills the gradients of its weights in, returns dx and the gradient of the initial state."""
    T = len(steps)
    dh, dc = G["end"](*dstate)
    zero = np.zeros_like(dh)
    dx = np.zeros((*dy.shape[:2], steps[0].x.shape[-1]))
    for name, w in steps[0].w.items():
        weights[n, name] = np.zeros((T, *w.shape) if name in over_time else w.shape)
    for t in reversed(G["steps"](T)):
        q = SimpleNamespace(**vars(steps[t]), T=T, dh_next=dh, dc_next=dc)
        q.dy, q.dys = dy[:, t], dy
        q.dy = G["dy"](q)
        q.dh = G["dh"](q)
        q.do = G["do"](q)
        q.dz = {"o": q.do * G["slope_o"](q)}
        q.back_o = G["back_o"](q)
        q.dtc = G["dtc"](q)
        q.slope_c = G["slope_c"](q)
        q.dc = G["dc"](q)
        q.di, q.df, q.dg = G["di"](q), G["df"](q), G["dg"](q)
        for k, d in ("i", q.di), ("f", q.df), ("g", q.dg):
            q.dz[k] = d * G[f"slope_{k}"](q)
        q.back_i, q.back_f = G["back_i"](q), G["back_f"](q)
        q.dz = G["hand_dz"](q)
        slots = q.dz
        q.dz = dict.fromkeys(GATES, zero)
        for j, k in enumerate(GATES):  # from i f o g to the weights that computed them
            q.dz[q.order[j]] = q.dz[q.order[j]] + slots[k]
        for name in q.w:
            if name[0] != "p":
                store(weights[n, name], name in over_time, t, T, G, name, G[name](q))
        dx[:, t] = G["dx"](q)
        dh = zero + G["dh_prev"](q)
        q.dz = slots  # peepholes stand in the slots
        for name in q.w:
            if name[0] == "p":
                store(weights[n, name], name in over_time, t, T, G, name, G[name](q))
        dc = zero + G["dc_prev"](q)
        if t:
            dh, dc = G["through"](dh, dc)
    return dx, G["start"](dh, dc)


def store(total: Array, several: bool, t: int, T: int, G: Pieces, name: str, share: Array) -> None:
    """Add one step's share to the gradient of a weight."""
    what = G["keep"](name, t, T)
    target = total[t] if several else total
    if what == "add":
        target += share
    elif what == "set":
        target[...] = share
