"""Healthy LSTM code with peepholes: i and f see the old cell, o the new one; vectors and full matrices."""

import numpy as np

from tests.ward.case import Case, sigmoid, values, weights


def diagonal_forward(net, x, state=None):
    """One peephole weight for each cell and gate, x [B, T, D], results into buffers of zeros."""
    B, T, _ = x.shape
    H = len(net["b_i"])
    h, c = (np.zeros((B, H)), np.zeros((B, H))) if state is None else state
    out = np.zeros((B, T, H))
    memory = []
    for t in range(T):
        xt, cp, hp = x[:, t], c, h
        ig = sigmoid(xt @ net["W_i"] + hp @ net["U_i"] + cp * net["V_i"] + net["b_i"])
        fg = sigmoid(xt @ net["W_f"] + hp @ net["U_f"] + cp * net["V_f"] + net["b_f"])
        cand = np.tanh(xt @ net["W_c"] + hp @ net["U_c"] + net["b_c"])
        c = fg * cp + ig * cand
        og = sigmoid(xt @ net["W_o"] + hp @ net["U_o"] + c * net["V_o"] + net["b_o"])
        h = og * np.tanh(c)
        out[:, t] = h
        memory.append((xt, hp, cp, ig, fg, cand, c, og))
    return out, (h, c), memory


def diagonal_backward(net, dy, dstate, memory):
    g = {name: np.zeros(w.shape) for name, w in net.items()}
    dx = np.zeros((*dy.shape[:2], net["W_i"].shape[0]))
    dh, dc = (0, 0) if dstate is None else dstate
    for t in range(dy.shape[1])[::-1]:
        xt, hp, cp, ig, fg, cand, c, og = memory[t]
        dh = dh + dy[:, t]
        tc = np.tanh(c)
        d_o = dh * tc * og * (1 - og)
        dc = dc + dh * og * (1 - tc**2) + d_o * net["V_o"]
        d_i = dc * cand * ig * (1 - ig)
        d_f = dc * cp * fg * (1 - fg)
        d_c = dc * ig * (1 - cand**2)
        dh = np.zeros_like(hp)
        for k, d in zip("ifco", (d_i, d_f, d_c, d_o), strict=True):
            g["W_" + k] += xt.T @ d
            g["U_" + k] += hp.T @ d
            g["b_" + k] += d.sum(0)
            dx[:, t] += d @ net["W_" + k].T
            dh += d @ net["U_" + k].T
        g["V_i"] += (d_i * cp).sum(0)
        g["V_f"] += (d_f * cp).sum(0)
        g["V_o"] += (d_o * c).sum(0)
        dc = dc * fg + d_i * net["V_i"] + d_f * net["V_f"]
    return dx, (dh, dc), g


DIAGONAL = {
    f"{w}_{k}": f"{r}_{'g' if k == 'c' else k}" for w, r in (("W", "Wx"), ("U", "Wh"), ("b", "b")) for k in "ifco"
}
DIAGONAL |= {f"V_{k}": f"p_{k}" for k in "ifo"}
diagonal_weights = weights(
    **{f"{w}_{k}": shape for w, shape in (("W", (3, 4)), ("U", (4, 4)), ("b", (4,))) for k in "ifco"},
    **{f"V_{k}": (4,) for k in "ifo"},
    scale=0.6,
)


def full_forward(p, xs, state=None):
    """A matrix from cells to each gate, one sample at a time: x [T, D], written as W @ x."""
    n = p["bi"].shape[0]
    h, c = state if state is not None else (np.zeros(n), np.zeros(n))
    trace = []
    for x in xs:
        i = sigmoid(p["Wi"] @ x + p["Ri"] @ h + p["Pi"] @ c + p["bi"])
        f = sigmoid(p["Wf"] @ x + p["Rf"] @ h + p["Pf"] @ c + p["bf"])
        g = np.tanh(p["Wg"] @ x + p["Rg"] @ h + p["bg"])
        s = f * c + i * g
        o = sigmoid(p["Wo"] @ x + p["Ro"] @ h + p["Po"] @ s + p["bo"])
        trace.append({"x": x, "h": h, "c": c, "i": i, "f": f, "g": g, "s": s, "o": o})
        h, c = o * np.tanh(s), s
    return np.array([q["o"] * np.tanh(q["s"]) for q in trace]), (h, c), trace


def full_backward(p, dy, dstate, trace):
    grads = dict.fromkeys(p, 0.0)
    dh, dc = dstate if dstate is not None else (0.0, 0.0)
    dxs = []
    for q, e in zip(trace[::-1], dy[::-1], strict=True):
        dh = dh + e
        th = np.tanh(q["s"])
        delta = {"o": dh * th * q["o"] * (1 - q["o"])}
        dc = dc + dh * q["o"] * (1 - th * th) + p["Po"].T @ delta["o"]
        delta["i"] = dc * q["g"] * q["i"] * (1 - q["i"])
        delta["f"] = dc * q["c"] * q["f"] * (1 - q["f"])
        delta["g"] = dc * q["i"] * (1 - q["g"] ** 2)
        for k in delta:
            grads["W" + k] = grads["W" + k] + np.outer(delta[k], q["x"])
            grads["R" + k] = grads["R" + k] + np.outer(delta[k], q["h"])
            grads["b" + k] = grads["b" + k] + delta[k]
        for k, seen in (("i", "c"), ("f", "c"), ("o", "s")):
            grads["P" + k] = grads["P" + k] + np.outer(delta[k], q[seen])
        dxs.append(sum(p["W" + k].T @ delta[k] for k in delta))
        dh = sum(p["R" + k].T @ delta[k] for k in delta)
        dc = dc * q["f"] + p["Pi"].T @ delta["i"] + p["Pf"].T @ delta["f"]
    return np.array(dxs[::-1]), (dh, dc), grads


FULL = {w + k: f"{r}_{k}{end}" for w, r, end in (("W", "Wx", ".T"), ("R", "Wh", ".T"), ("b", "b", "")) for k in "ifgo"}
FULL |= {"P" + k: f"p_{k}.T" for k in "ifo"}
full_weights = weights(
    **{w + k: shape for w, shape in (("W", (4, 3)), ("R", (4, 4)), ("b", (4,))) for k in "ifgo"},
    **{"P" + k: (4, 4) for k in "ifo"},
)


def blocks_forward(P, x, state=None):
    """Everything packed, peepholes [3H] for i f o; x [T, B, D]; the state's own memory is reused for the new state."""
    H = P["U"].shape[0]
    h, c = [a.copy() for a in state] if state is not None else [np.zeros((x.shape[1], H)) for _ in range(2)]
    pi, pf, po = np.split(P["peep"].reshape(-1), 3)
    ys, kept = [], []
    for xt in x:
        z = xt @ P["W"]
        z += h @ P["U"]
        z += P["b"]
        z[:, :H] += pi * c
        z[:, H : 2 * H] += pf * c
        i, f, g = sigmoid(z[:, :H]), sigmoid(z[:, H : 2 * H]), np.tanh(z[:, 2 * H : 3 * H])
        kept.append([xt, h.copy(), c.copy(), i, f, g])
        c *= f
        c += i * g
        z[:, 3 * H :] += po * c
        o, th = sigmoid(z[:, 3 * H :]), np.tanh(c)
        np.multiply(o, th, out=h)
        kept[-1] += [o, th, c.copy()]
        ys.append(h.copy())
    return np.stack(ys), (h, c), kept


def blocks_backward(P, dy, dstate, kept):
    H = P["U"].shape[0]
    pi, pf, po = np.split(P["peep"].reshape(-1), 3)
    dW, dU, db, dp = (np.zeros_like(P[k]) for k in ("W", "U", "b", "peep"))
    flat = dp.reshape(3, H)
    dh, dc = [a.copy() for a in dstate] if dstate is not None else [np.zeros(dy.shape[1:]) for _ in range(2)]
    dx = []
    for step, error in zip(kept[::-1], dy[::-1], strict=True):
        xt, h, c, i, f, g, o, th, new = step
        dh += error
        do = dh * th * o * (1 - o)
        dc += dh * o * (1 - th**2) + do * po
        di, df, dg = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2)
        dz = np.hstack((di, df, dg, do))
        dW += xt.T @ dz
        dU += h.T @ dz
        db += dz.sum(0)
        flat[0] += (di * c).sum(0)
        flat[1] += (df * c).sum(0)
        flat[2] += (do * new).sum(0)
        dx.append(dz @ P["W"].T)
        dh = dz @ P["U"].T
        dc *= f
        dc += di * pi + df * pf
    return np.stack(dx[::-1]), (dh, dc), {"W": dW, "U": dU, "b": db, "peep": dp}


BLOCKS = {"W": "Wx:ifgo", "U": "Wh:ifgo", "b": "b:ifgo", "peep": "p:ifo"}
CASES = [
    Case(
        "diagonal_per_gate",
        (diagonal_forward, diagonal_backward),
        diagonal_weights,
        values(30, 2, 5, 3),
        DIAGONAL,
        state=(values(31, 2, 4), values(32, 2, 4)),
    ),
    Case(
        "full_one_sample",
        (full_forward, full_backward),
        full_weights,
        values(33, 5, 3),
        FULL,
        state=(values(34, 4), values(35, 4)),
    ),
    Case(
        "packed_in_place",
        (blocks_forward, blocks_backward),
        weights(W=(3, 20), U=(5, 20), b=(20,), peep=(15,)),
        values(36, 4, 2, 3),
        BLOCKS,
        state=(values(37, 2, 5), values(38, 2, 5)),
    ),
    Case(
        "peepholes_in_three_rows",
        (blocks_forward, blocks_backward),
        weights(W=(3, 20), U=(5, 20), b=(20,), peep=(3, 5)),
        values(39, 5, 2, 3),
        {**BLOCKS, "peep": "p[ifo,H]"},
    ),
]
