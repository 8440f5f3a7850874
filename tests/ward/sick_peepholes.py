"""Sick backward passes of LSTMs with peepholes, written one by one for diagonal, full and packed ones."""

import numpy as np

from tests.ward.case import Case, values, weights
from tests.ward.healthy_peepholes import (
    BLOCKS,
    DIAGONAL,
    FULL,
    blocks_forward,
    diagonal_forward,
    diagonal_weights,
    full_forward,
    full_weights,
)


def diagonal_without_peepholes_in_dc(net, dy, dstate, memory):
    """The way back as for an LSTM without peepholes, their own gradients aside."""
    G = {name: np.zeros_like(w) for name, w in net.items()}
    dx = []
    dh, dc = dstate if dstate is not None else (0, 0)
    for t in range(len(memory) - 1, -1, -1):
        xt, hp, cp, i, f, cand, c, o = memory[t]
        dh = dh + dy[:, t]
        d = {"o": dh * np.tanh(c) * o * (1 - o)}
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        d["i"], d["f"], d["c"] = dc * cand * i * (1 - i), dc * cp * f * (1 - f), dc * i * (1 - cand**2)
        for k in d:
            G["W_" + k] += xt.T @ d[k]
            G["U_" + k] += hp.T @ d[k]
            G["b_" + k] += d[k].sum(axis=0)
        G["V_o"] += (d["o"] * c).sum(axis=0)
        G["V_i"] += (d["i"] * cp).sum(axis=0)
        G["V_f"] += (d["f"] * cp).sum(axis=0)
        dx.append(sum(d[k] @ net["W_" + k].T for k in d))
        dh = sum(d[k] @ net["U_" + k].T for k in d)
        dc = dc * f
    return np.stack(dx[::-1], axis=1), (dh, dc), G


def diagonal_output_gate_after_dc(net, dy, dstate, memory):
    """The output gate's error is worked out last, when dc is already done; V_i and V_f are taken care of."""
    G = dict.fromkeys(net, 0)
    dx = np.empty((*dy.shape[:2], len(net["W_i"])))
    dh_next, dc_next = (0, 0) if dstate is None else dstate
    for t in reversed(range(dy.shape[1])):
        xt, hp, cp, i, f, cand, c, o = memory[t]
        th = np.tanh(c)
        dh = dy[:, t] + dh_next
        dc = dc_next + dh * o * (1 - th * th)
        zi = dc * cand * i * (1 - i)
        zf = dc * cp * f * (1 - f)
        zc = dc * i * (1 - cand * cand)
        zo = dh * th * o * (1 - o)
        for k, z in (("i", zi), ("f", zf), ("c", zc), ("o", zo)):
            G["W_" + k] = G["W_" + k] + xt.T @ z
            G["U_" + k] = G["U_" + k] + hp.T @ z
            G["b_" + k] = G["b_" + k] + z.sum(0)
        for k, z, seen in (("i", zi, cp), ("f", zf, cp), ("o", zo, c)):
            G["V_" + k] = G["V_" + k] + (z * seen).sum(0)
        dx[:, t] = zi @ net["W_i"].T + zf @ net["W_f"].T + zc @ net["W_c"].T + zo @ net["W_o"].T
        dh_next = zi @ net["U_i"].T + zf @ net["U_f"].T + zc @ net["U_c"].T + zo @ net["U_o"].T
        dc_next = dc * f + zi * net["V_i"] + zf * net["V_f"]
    return dx, (dh_next, dc_next), G


def full_without_forget_peephole(p, dy, dstate, trace):
    """dc' has Pi' di, and not Pf' df."""
    grads = {k: np.zeros_like(v) for k, v in p.items()}
    dh, dc = dstate if dstate is not None else (np.zeros(4), np.zeros(4))
    dx = np.zeros((len(dy), p["Wi"].shape[1]))
    for t in reversed(range(len(dy))):
        q = trace[t]
        dh = dh + dy[t]
        th = np.tanh(q["s"])
        do = dh * th * q["o"] * (1 - q["o"])
        ds = dc + dh * q["o"] * (1 - th**2) + do @ p["Po"]
        di = ds * q["g"] * q["i"] * (1 - q["i"])
        df = ds * q["c"] * q["f"] * (1 - q["f"])
        dg = ds * q["i"] * (1 - q["g"] ** 2)
        for k, d in (("i", di), ("f", df), ("g", dg), ("o", do)):
            grads["W" + k] += np.outer(d, q["x"])
            grads["R" + k] += np.outer(d, q["h"])
            grads["b" + k] += d
        grads["Pi"] += np.outer(di, q["c"])
        grads["Pf"] += np.outer(df, q["c"])
        grads["Po"] += np.outer(do, q["s"])
        dx[t] = di @ p["Wi"] + df @ p["Wf"] + dg @ p["Wg"] + do @ p["Wo"]
        dh = di @ p["Ri"] + df @ p["Rf"] + dg @ p["Rg"] + do @ p["Ro"]
        dc = ds * q["f"] + di @ p["Pi"]
    return dx, (dh, dc), grads


def full_right(p, dy, dstate, trace, outer=np.outer, seen_by_o="s"):
    """The way back with lists of deltas, and products at the end; how a peephole's gradient is formed may be told."""
    T = len(trace)
    delta = {k: [None] * T for k in "ifgo"}
    dh, dc = dstate if dstate is not None else (0, 0)
    for t in reversed(range(T)):
        i, f, g, o, c, s = (trace[t][k] for k in ("i", "f", "g", "o", "c", "s"))
        dh = dh + dy[t]
        delta["o"][t] = dh * np.tanh(s) * o * (1 - o)
        dc = dc + dh * o * (1 - np.tanh(s) ** 2) + p["Po"].T @ delta["o"][t]
        delta["i"][t], delta["f"][t] = dc * g * i * (1 - i), dc * c * f * (1 - f)
        delta["g"][t] = dc * i * (1 - g**2)
        dh = sum(p["R" + k].T @ delta[k][t] for k in "ifgo")
        dc = dc * f + p["Pi"].T @ delta["i"][t] + p["Pf"].T @ delta["f"][t]
    grads = {}
    for k in "ifgo":
        grads["W" + k] = sum(np.outer(delta[k][t], trace[t]["x"]) for t in range(T))
        grads["R" + k] = sum(np.outer(delta[k][t], trace[t]["h"]) for t in range(T))
        grads["b" + k] = sum(delta[k])
        if k != "g":
            seen = seen_by_o if k == "o" else "c"
            grads["P" + k] = sum(outer(delta[k][t], trace[t][seen]) for t in range(T))
    dx = np.array([sum(p["W" + k].T @ delta[k][t] for k in "ifgo") for t in range(T)])
    return dx, (dh, dc), grads


def full_transposed(p, dy, dstate, trace):
    """The cell in front of the error: every peephole matrix gets the transpose."""
    return full_right(p, dy, dstate, trace, outer=lambda delta, cell: np.outer(cell, delta))


def full_inner(p, dy, dstate, trace):
    """The inner product of error and cell, one number for a whole matrix."""
    return full_right(p, dy, dstate, trace, outer=lambda delta, cell: np.full((4, 4), np.dot(delta, cell)))


def full_elementwise(p, dy, dstate, trace):
    """Error times cell, entry by entry, broadcast over the matrix."""
    return full_right(p, dy, dstate, trace, outer=lambda delta, cell: np.zeros((4, 4)) + delta * cell)


def full_no_output_peephole(p, dy, dstate, trace):
    """The output gate's peepholes never learn."""
    dx, dstate, grads = full_right(p, dy, dstate, trace)
    grads["Po"] = np.zeros_like(p["Po"])
    return dx, dstate, grads


def blocks_minimal(P, dy, dstate, kept):
    """Packed peepholes; the first step has nothing before it, or so the author thought."""
    H = P["U"].shape[0]
    pi, pf, po = P["peep"][:H], P["peep"][H : 2 * H], P["peep"][2 * H :]
    dW, dU, db, dp = (np.zeros_like(P[k]) for k in ("W", "U", "b", "peep"))
    dh, dc = (0, 0) if dstate is None else dstate
    dx = [0] * len(dy)
    for t in range(len(dy) - 1, -1, -1):
        x, h, c, i, f, g, o, th, new = kept[t]
        dh = dh + dy[t]
        do = dh * th * o * (1 - o)
        dc = dc + dh * o * (1 - th * th) + po * do
        di, df, dg = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g)
        dz = np.concatenate([di, df, dg, do], axis=1)
        dW, dU, db = dW + x.T @ dz, dU + h.T @ dz, db + dz.sum(axis=0)
        dp[2 * H :] += (do * new).sum(axis=0)
        if t > 0:
            dp[:H] += (di * c).sum(axis=0)
            dp[H : 2 * H] += (df * c).sum(axis=0)
        dx[t] = dz @ P["W"].T
        dh = dz @ P["U"].T
        dc = dc * f + di * pi + df * pf
    return np.array(dx), (dh, dc), {"W": dW, "U": dU, "b": db, "peep": dp}


def blocks_forgetful(P, dy, dstate, kept):
    """dc goes back through the peepholes only, and the factor f is missing altogether."""
    H = P["U"].shape[0]
    p = P["peep"].reshape(3, H)
    dz_all = []
    dp = np.zeros((3, H))
    dh, dc = (0, 0) if dstate is None else dstate
    for error, (_, _, c, i, f, g, o, th, new) in zip(reversed(dy), reversed(kept), strict=True):
        dh = dh + error
        do = dh * th * o * (1 - o)
        dc = dc + dh * o * (1 - th**2) + do * p[2]
        di, df = dc * g * i * (1 - i), dc * c * f * (1 - f)
        dz_all.insert(0, np.hstack([di, df, dc * i * (1 - g**2), do]))
        dp += np.array([(di * c).sum(0), (df * c).sum(0), (do * new).sum(0)])
        dh, dc = dz_all[0] @ P["U"].T, di * p[0] + df * p[1]
    dz = np.array(dz_all)
    xs, hs = np.array([step[0] for step in kept]), np.array([step[1] for step in kept])
    grads = {"W": np.einsum("tbd,tbz->dz", xs, dz), "U": np.einsum("tbh,tbz->hz", hs, dz)}
    return dz @ P["W"].T, (dh, dc), {**grads, "b": dz.sum((0, 1)), "peep": dp.reshape(P["peep"].shape)}


blocks_weights = weights(W=(3, 20), U=(5, 20), b=(20,), peep=(15,), scale=0.6)


def diagonal(name, backward, code, fault, seed):
    state = (values(seed + 1, 2, 4), values(seed + 2, 2, 4))
    pair = (diagonal_forward, backward)
    return Case(name, pair, diagonal_weights, values(seed, 2, 5, 3), DIAGONAL, state=state, codes=(code,), fault=fault)


def full(name, backward, code, fault, seed):
    state = (values(seed + 1, 4), values(seed + 2, 4))
    pair = (full_forward, backward)
    return Case(name, pair, full_weights, values(seed, 5, 3), FULL, state=state, codes=(code,), fault=fault)


def blocks(name, backward, code, fault, seed):
    state = (values(seed + 1, 2, 5), values(seed + 2, 2, 5))
    pair = (blocks_forward, backward)
    return Case(name, pair, blocks_weights, values(seed, 4, 2, 3), BLOCKS, state=state, codes=(code,), fault=fault)


CASES = [
    diagonal(
        "diagonal_dc_without_peepholes",
        diagonal_without_peepholes_in_dc,
        "G106",
        "dc lacks all three peephole terms.",
        200,
    ),
    diagonal(
        "diagonal_dc_without_o", diagonal_output_gate_after_dc, "G106", "dc lacks the output gate's peephole term.", 210
    ),
    full("full_dc_without_f", full_without_forget_peephole, "G106", "dc' lacks the forget gate's peephole term.", 220),
    full(
        "full_po_without_gradient", full_no_output_peephole, "G106", "The output gate's peepholes get no gradient.", 230
    ),
    full("full_dp_transposed", full_transposed, "G103", "The peepholes' gradients are transposed.", 240),
    full("full_dp_inner", full_inner, "G109", "An inner product stands where an outer product belongs.", 250),
    full("full_dp_elementwise", full_elementwise, "G109", "Every row of the peepholes' gradients is the same.", 260),
    blocks(
        "blocks_dp_without_step_0", blocks_minimal, "G112", "The peepholes' gradients lack what c0 contributes.", 270
    ),
    blocks("blocks_no_dc", blocks_forgetful, "G105", "dc of step t + 1 does not pass f to step t.", 280),
]
