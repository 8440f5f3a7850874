"""Forward passes that are not an LSTM's; some have the gradients of what they do, some those of the textbook."""

import numpy as np

from tests.ward.case import Case, sigmoid, values, weights
from tests.ward.healthy_layouts import (
    COLUMN,
    PACKED,
    ROWS,
    column_backward,
    column_forward,
    column_weights,
    joint_backward,
    packed_backward,
    packed_weights,
    rows_backward,
    rows_forward,
    rows_weights,
)
from tests.ward.healthy_peepholes import (
    BLOCKS,
    DIAGONAL,
    FULL,
    diagonal_weights,
    full_backward,
    full_weights,
)


def step(P, x, h, c):
    """One step of a packed LSTM, blocks f g i o."""
    f, g, i, o = np.split(x @ P["W"] + h @ P["U"] + P["bias"], 4, axis=1)
    f, g, i, o = sigmoid(f), np.tanh(g), sigmoid(i), sigmoid(o)
    new = f * c + i * g
    return o * np.tanh(new), new, {"x": x, "h": h, "c": c, "f": f, "g": g, "i": i, "o": o, "th": np.tanh(new)}


def exchanged_call_forward(P, x, state=None):
    """step takes h and then c, and is given c and then h."""
    h, c = state if state is not None else (np.zeros((len(x), 5)), np.zeros((len(x), 5)))
    tape, ys = [], []
    for t in range(x.shape[1]):
        h, c, seen = step(P, x[:, t], c, h)
        tape.append(seen)
        ys.append(h)
    return np.stack(ys, 1), (h, c), tape


def exchanged_call_backward(P, dy, dstate, tape):
    """What the step returns for its h belongs to the c of the step before."""
    grads = {k: np.zeros_like(v) for k, v in P.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = []
    for t in reversed(range(len(tape))):
        s = tape[t]
        dh = dh + dy[:, t]
        dnew = dc + dh * s["o"] * (1 - s["th"] ** 2)
        dz = np.hstack(
            [
                dnew * s["c"] * s["f"] * (1 - s["f"]),
                dnew * s["i"] * (1 - s["g"] ** 2),
                dnew * s["g"] * s["i"] * (1 - s["i"]),
                dh * s["th"] * s["o"] * (1 - s["o"]),
            ]
        )
        grads["W"] += s["x"].T @ dz
        grads["U"] += s["h"].T @ dz
        grads["bias"] += dz.sum(0)
        dx.append(dz @ P["W"].T)
        dh, dc = dnew * s["f"], dz @ P["U"].T
    return np.stack(dx[::-1], 1), (dh, dc), grads


def exchanged_at_the_end(P, x, state=None):
    """The last state leaves as (c, h)."""
    y, (h, c), tape = rows_forward(P, x, state)
    return y, (c, h), tape


def exchanged_at_the_start(model, xs, state=None):
    """The first state is read as (c, h)."""
    return column_forward(model, xs, None if state is None else state[::-1])


def exchanged_at_the_start_backward(model, dhs, dstate, cache):
    dx, before, grads = column_backward(model, dhs, dstate, cache)
    return dx, before[::-1], grads


def early_output_forward(net, x, state=None):
    """All three gates are worked out before the cell is, and see the old one."""
    h, c = state if state is not None else (np.zeros((len(x), 4)), np.zeros((len(x), 4)))
    tape, ys = [], []
    for t in range(x.shape[1]):
        z = {k: x[:, t] @ net["W_" + k] + h @ net["U_" + k] + net["b_" + k] for k in "ifco"}
        i, f, o = (sigmoid(z[k] + net["V_" + k] * c) for k in "ifo")
        cand = np.tanh(z["c"])
        tape.append((x[:, t], h, c, i, f, cand, o))
        c = f * c + i * cand
        h = o * np.tanh(c)
        ys.append(h)
    return np.stack(ys, axis=1), (h, c), (tape, c)


def early_output_backward(net, dy, dstate, cache):
    tape, new = cache
    grads = {k: np.zeros_like(v) for k, v in net.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = np.zeros((*dy.shape[:2], 3))
    for t in range(len(tape))[::-1]:
        xt, h, c, i, f, cand, o = tape[t]
        dh = dh + dy[:, t]
        dc = dc + dh * o * (1 - np.tanh(new) ** 2)
        d = {"i": dc * cand * i * (1 - i), "f": dc * c * f * (1 - f)}
        d |= {"c": dc * i * (1 - cand**2), "o": dh * np.tanh(new) * o * (1 - o)}
        for k in "ifco":
            grads["W_" + k] += xt.T @ d[k]
            grads["U_" + k] += h.T @ d[k]
            grads["b_" + k] += d[k].sum(0)
            dx[:, t] += d[k] @ net["W_" + k].T
        for k in "ifo":
            grads["V_" + k] += (d[k] * c).sum(0)
        dh = sum(d[k] @ net["U_" + k].T for k in "ifco")
        dc = dc * f + sum(d[k] * net["V_" + k] for k in "ifo")
        new = c
    return dx, (dh, dc), grads


def early_full_forward(p, xs, state=None):
    """Full peepholes; the output gate has the cell of the step before, the way back thinks of the new one."""
    h, c = state if state is not None else (np.zeros(4), np.zeros(4))
    trace, hs = [], []
    for x in xs:
        i, f, o = (sigmoid(p["W" + k] @ x + p["R" + k] @ h + p["P" + k] @ c + p["b" + k]) for k in "ifo")
        g = np.tanh(p["Wg"] @ x + p["Rg"] @ h + p["bg"])
        trace.append({"x": x, "h": h, "c": c, "i": i, "f": f, "g": g, "s": f * c + i * g, "o": o})
        c = trace[-1]["s"]
        h = o * np.tanh(c)
        hs.append(h)
    return np.array(hs), (h, c), trace


def early_blocks_forward(P, x, state=None):
    """Packed peepholes against [c, c, c]; buffers of zeros."""
    T, B, _ = x.shape
    z, cs, hs = np.zeros((T, B, 20)), np.zeros((T + 1, B, 5)), np.zeros((T + 1, B, 5))
    if state is not None:
        hs[0], cs[0] = state
    for t in range(T):
        z[t] = x[t] @ P["W"] + hs[t] @ P["U"] + P["b"]
        for block, k in ((0, 0), (1, 1), (3, 2)):
            z[t, :, 5 * block : 5 * block + 5] += P["peep"][5 * k : 5 * k + 5] * cs[t]
        i, f, g, o = np.split(z[t], 4, axis=1)
        cs[t + 1] = sigmoid(f) * cs[t] + sigmoid(i) * np.tanh(g)
        hs[t + 1] = sigmoid(o) * np.tanh(cs[t + 1])
    return hs[1:].copy(), (hs[T].copy(), cs[T].copy()), (x.copy(), z, cs, hs)


def early_blocks_backward(P, dy, dstate, cache):
    x, z, cs, hs = cache
    dz, dp = np.zeros_like(z), np.zeros((3, 5))
    p = P["peep"].reshape(3, 5)
    dh, dc = dstate if dstate is not None else (0, 0)
    for t in range(len(x) - 1, -1, -1):
        i, f, g, o = np.split(z[t], 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        th = np.tanh(cs[t + 1])
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - th**2)
        di, df, do = dc * g * i * (1 - i), dc * cs[t] * f * (1 - f), dh * th * o * (1 - o)
        dz[t] = np.hstack([di, df, dc * i * (1 - g**2), do])
        dp += [(d * cs[t]).sum(0) for d in (di, df, do)]
        dh = dz[t] @ P["U"].T
        dc = dc * f + di * p[0] + df * p[1] + do * p[2]
    grads = {"W": np.einsum("tbd,tbz->dz", x, dz), "U": np.einsum("tbh,tbz->hz", hs[:-1], dz)}
    return dz @ P["W"].T, (dh, dc), {**grads, "b": dz.sum((0, 1)), "peep": dp.ravel()}


def unshared_forward(P, x, state=None):
    """Every step has weights of its own, in arrays [gate, T, H, D]; x [T, D]."""
    H = P["R"].shape[2]
    h, c = state if state is not None else (np.zeros(H), np.zeros(H))
    tape, ys = [], []
    for t, xt in enumerate(x):
        i, o, f, g = (P["A"][k, t] @ xt + P["R"][k, t] @ h + P["s"][k, t] for k in range(4))
        i, o, f, g = sigmoid(i), sigmoid(o), sigmoid(f), np.tanh(g)
        tape.append((xt, h, c, i, o, f, g))
        c = f * c + i * g
        h = o * np.tanh(c)
        ys.append(h)
    return np.array(ys), (h, c), (tape, c)


def unshared_backward(P, dy, dstate, cache):
    tape, new = cache
    d = {k: np.zeros_like(v) for k, v in P.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = []
    for t in range(len(tape) - 1, -1, -1):
        xt, h, c, i, o, f, g = tape[t]
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - np.tanh(new) ** 2)
        dz = [dc * g * i * (1 - i), dh * np.tanh(new) * o * (1 - o), dc * c * f * (1 - f), dc * i * (1 - g**2)]
        for k in range(4):
            d["A"][k, t] += np.outer(dz[k], xt)
            d["R"][k, t] += np.outer(dz[k], h)
            d["s"][k, t] += dz[k]
        dx.append(sum(P["A"][k, t].T @ dz[k] for k in range(4)))
        dh = sum(P["R"][k, t].T @ dz[k] for k in range(4))
        dc, new = dc * f, c
    return np.array(dx[::-1]), (dh, dc), d


def unshared_summed_backward(P, dy, dstate, cache):
    """Each step's weights get the sum over all steps, as shared ones would."""
    dx, before, d = unshared_backward(P, dy, dstate, cache)
    return dx, before, {k: np.repeat(v.sum(axis=1, keepdims=True), v.shape[1], axis=1) for k, v in d.items()}


def plus_one_forward(p, x, state=None):
    """The forget gate opens by a constant 1 that is in no bias; x [T, B, D], order i j f o."""
    both = dict(p, bias=p["bias"] + np.repeat([0, 0, 1, 0], 5))
    h, c = state if state is not None else (np.zeros((x.shape[1], 5)),) * 2
    cache = []
    for x_t in x:
        seen = np.hstack([x_t, h])
        i, j, f, o = np.split(seen @ both["kernel"] + both["bias"], 4, axis=1)
        i, j, f, o = sigmoid(i), np.tanh(j), sigmoid(f), sigmoid(o)
        cache.append((seen, c, i, j, f, o, f * c + i * j))
        c = cache[-1][-1]
        h = o * np.tanh(c)
    return np.stack([s[5] * np.tanh(s[6]) for s in cache]), (h, c), cache


UNSHARED = {"A": "Wx[iofg,T,H,D]", "R": "Wh[iofg,T,H,K]", "s": "b[iofg,T,H]"}
unshared_weights = weights(A=(4, 5, 4, 3), R=(4, 5, 4, 4), s=(4, 5, 4), scale=0.6)
blocks_weights = weights(W=(3, 20), U=(5, 20), b=(20,), peep=(15,), scale=0.6)
joint_weights = weights(kernel=(8, 20), bias=(20,))
JOINT = {"kernel": "Wxh:igfo", "bias": "b:igfo"}
TWO, FIVES, ONE = (
    (values(500, 2, 4), values(501, 2, 4)),
    (values(502, 2, 5), values(503, 2, 5)),
    (values(504, 4), values(505, 4)),
)
COLUMNS = (values(506, 4, 1), values(507, 4, 1))
FORWARDS = [
    (
        "exchanged_call",
        exchanged_call_forward,
        exchanged_call_backward,
        packed_weights,
        (2, 4, 3),
        PACKED,
        FIVES,
        "F201",
        True,
        "Every step is handed c for h and h for c.",
    ),
    (
        "exchanged_call_textbook",
        exchanged_call_forward,
        packed_backward,
        packed_weights,
        (2, 4, 3),
        PACKED,
        FIVES,
        "F201",
        False,
        "Every step is handed c for h and h for c; the way back is the textbook's.",
    ),
    (
        "exchanged_at_the_end",
        exchanged_at_the_end,
        rows_backward,
        rows_weights,
        (5, 2, 3),
        ROWS,
        TWO,
        "F201",
        False,
        "The last state is returned as (c, h).",
    ),
    (
        "exchanged_at_the_start",
        exchanged_at_the_start,
        exchanged_at_the_start_backward,
        column_weights,
        (5, 3, 1),
        COLUMN,
        COLUMNS,
        "F201",
        True,
        "The first state is read as (c, h).",
    ),
    (
        "early_output_gate",
        early_output_forward,
        early_output_backward,
        diagonal_weights,
        (2, 5, 3),
        DIAGONAL,
        TWO,
        "F202",
        True,
        "The output gate sees the old cell.",
    ),
    (
        "early_output_gate_textbook",
        early_full_forward,
        full_backward,
        full_weights,
        (5, 3),
        FULL,
        ONE,
        "F202",
        False,
        "The output gate sees the old cell; the way back is the textbook's.",
    ),
    (
        "early_output_gate_packed",
        early_blocks_forward,
        early_blocks_backward,
        blocks_weights,
        (4, 2, 3),
        BLOCKS,
        FIVES,
        "F202",
        True,
        "All peepholes see the old cell.",
    ),
    (
        "unshared",
        unshared_forward,
        unshared_backward,
        unshared_weights,
        (5, 3),
        UNSHARED,
        ONE,
        "F203",
        True,
        "Each step has its own weights.",
    ),
    (
        "unshared_summed",
        unshared_forward,
        unshared_summed_backward,
        unshared_weights,
        (5, 3),
        UNSHARED,
        ONE,
        "F203",
        False,
        "Each step has its own weights; their gradients are summed as if shared.",
    ),
    (
        "plus_one",
        plus_one_forward,
        joint_backward,
        joint_weights,
        (4, 2, 3),
        JOINT,
        FIVES,
        "F200",
        True,
        "A constant 1 is added in the forget gate.",
    ),
]
CASES = [
    Case(
        name,
        (forward, backward),
        params,
        values(510 + n, *x),
        roles,
        None,
        state,
        codes=(code,),
        fault=fault,
        sound=sound,
    )
    for n, (name, forward, backward, params, x, roles, state, code, sound, fault) in enumerate(FORWARDS)
]
