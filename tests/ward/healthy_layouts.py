"""Healthy LSTM code without peepholes, as people lay it out: per gate, packed, stacked, in columns."""

import numpy as np

from tests.ward.case import Case, ids, per_gate, sigmoid, values, weights


def rows_forward(P, x, state=None):
    """A matrix for each gate, x [T, B, D], a list of tuples as tape."""
    h, c = state if state is not None else 2 * [np.zeros((x.shape[1], P["bi"].size))]
    ys, tape = [], []
    for xt in x:
        i = sigmoid(xt @ P["Wxi"] + h @ P["Whi"] + P["bi"])
        f = sigmoid(xt @ P["Wxf"] + h @ P["Whf"] + P["bf"])
        o = sigmoid(xt @ P["Wxo"] + h @ P["Who"] + P["bo"])
        g = np.tanh(xt @ P["Wxg"] + h @ P["Whg"] + P["bg"])
        cell = f * c + i * g
        tape.append((xt, h, c, i, f, o, g, cell))
        h, c = o * np.tanh(cell), cell
        ys.append(h)
    return np.stack(ys), (h, c), tape


def rows_backward(P, dy, dstate, tape):
    grads = {name: np.zeros_like(value) for name, value in P.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = []
    for t in reversed(range(len(tape))):
        xt, h, c, i, f, o, g, cell = tape[t]
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - np.tanh(cell) ** 2)
        dz = {
            "i": dc * g * i * (1 - i),
            "f": dc * c * f * (1 - f),
            "o": dh * np.tanh(cell) * o * (1 - o),
            "g": dc * i * (1 - g**2),
        }
        for k in "ifog":
            grads["Wx" + k] += xt.T @ dz[k]
            grads["Wh" + k] += h.T @ dz[k]
            grads["b" + k] += dz[k].sum(axis=0)
        dx.insert(0, sum(dz[k] @ P["Wx" + k].T for k in "ifog"))
        dh = sum(dz[k] @ P["Wh" + k].T for k in "ifog")
        dc = dc * f
    return np.stack(dx), (dh, dc), grads


ROWS = {f"{w}{k}": f"{w}_{k}" for w in ("Wx", "Wh", "b") for k in "ifog"}
rows_weights = per_gate(Wx=(3, 4), Wh=(4, 4), b=(4,))


def packed_forward(params, x, state=None):
    """One matrix for all gates, x [B, T, D], blocks in the order f g i o."""
    B, T, _ = x.shape
    H = params["U"].shape[0]
    h, c = (np.zeros((B, H)), np.zeros((B, H))) if state is None else state
    steps, out = [], []
    for t in range(T):
        f, g, i, o = np.split(x[:, t] @ params["W"] + h @ params["U"] + params["bias"], 4, axis=1)
        f, g, i, o = sigmoid(f), np.tanh(g), sigmoid(i), sigmoid(o)
        c_next = f * c + i * g
        th = np.tanh(c_next)
        steps.append({"x": x[:, t], "h": h, "c": c, "f": f, "g": g, "i": i, "o": o, "th": th})
        h, c = o * th, c_next
        out.append(h)
    return np.stack(out, axis=1), (h, c), steps


def packed_backward(params, dy, dstate, steps):
    dW, dU, dbias = (np.zeros_like(params[k]) for k in ("W", "U", "bias"))
    dx = np.empty((dy.shape[0], dy.shape[1], params["W"].shape[0]))
    dh_next, dc_next = (0.0, 0.0) if dstate is None else dstate
    for t in range(len(steps) - 1, -1, -1):
        s = steps[t]
        dh = dy[:, t] + dh_next
        dc = dc_next + dh * s["o"] * (1 - s["th"] ** 2)
        df = dc * s["c"] * s["f"] * (1 - s["f"])
        dg = dc * s["i"] * (1 - s["g"] ** 2)
        di = dc * s["g"] * s["i"] * (1 - s["i"])
        do = dh * s["th"] * s["o"] * (1 - s["o"])
        dz = np.concatenate([df, dg, di, do], axis=1)
        dW += s["x"].T @ dz
        dU += s["h"].T @ dz
        dbias += dz.sum(0)
        dx[:, t] = dz @ params["W"].T
        dh_next, dc_next = dz @ params["U"].T, dc * s["f"]
    return dx, (dh_next, dc_next), {"W": dW, "U": dU, "bias": dbias}


PACKED = {"W": "Wx:fgio", "U": "Wh:fgio", "bias": "b:fgio"}
packed_weights = weights(W=(3, 20), U=(5, 20), bias=(20,))


def column_forward(model, xs, state=None):
    """h on top of x in one column vector, a [H, H + D] matrix for each gate, x [T, D, 1]."""
    hs, cs, zs, gates = {}, {}, {}, {}
    n = model["W_f"].shape[0]
    hs[-1], cs[-1] = state if state is not None else (np.zeros((n, 1)), np.zeros((n, 1)))
    for t in range(len(xs)):
        zs[t] = np.vstack((hs[t - 1], xs[t]))
        f = sigmoid(model["W_f"] @ zs[t] + model["b_f"])
        i = sigmoid(model["W_i"] @ zs[t] + model["b_i"])
        a = np.tanh(model["W_a"] @ zs[t] + model["b_a"])
        o = sigmoid(model["W_o"] @ zs[t] + model["b_o"])
        cs[t] = f * cs[t - 1] + i * a
        hs[t] = o * np.tanh(cs[t])
        gates[t] = f, i, a, o
    last = len(xs) - 1
    return np.array([hs[t] for t in range(len(xs))]), (hs[last], cs[last]), (zs, cs, gates)


def column_backward(model, dhs, dstate, cache):
    zs, cs, gates = cache
    d = {k: np.zeros_like(v) for k, v in model.items()}
    n = model["W_f"].shape[0]
    dh, dc = dstate if dstate is not None else (np.zeros((n, 1)), np.zeros((n, 1)))
    dx = [None] * len(dhs)
    for t in reversed(range(len(dhs))):
        f, i, a, o = gates[t]
        dh = dh + dhs[t]
        tanh_c = np.tanh(cs[t])
        do = o * (1 - o) * tanh_c * dh
        dc = dc + (1 - tanh_c**2) * o * dh
        df, di, da = f * (1 - f) * cs[t - 1] * dc, i * (1 - i) * a * dc, (1 - a**2) * i * dc
        dz = 0
        for k, delta in (("f", df), ("i", di), ("a", da), ("o", do)):
            d["W_" + k] += delta @ zs[t].T
            d["b_" + k] += delta
            dz = dz + model["W_" + k].T @ delta
        dh, dx[t] = dz[:n], dz[n:]
        dc = f * dc
    return np.array(dx), (dh, dc), d


COLUMN = {
    f"{w}_{k}": f"{role}_{'g' if k == 'a' else k}{end}"
    for w, role, end in (("W", "Whx", ".T"), ("b", "b", ""))
    for k in "fiao"
}
column_weights = per_gate(gates="fiao", W_=(4, 7), b_=(4, 1))


def joint_forward(p, x, state=None):
    """x and h side by side against one [D + H, 4H] kernel, order i j f o; x [T, B, D]."""
    units = p["kernel"].shape[1] // 4
    h, c = state if state is not None else (np.zeros((x.shape[1], units)),) * 2
    cache = []
    for x_t in x:
        both = np.hstack([x_t, h])
        z = both @ p["kernel"] + p["bias"]
        i, j = sigmoid(z[:, :units]), np.tanh(z[:, units : 2 * units])
        f, o = sigmoid(z[:, 2 * units : 3 * units]), sigmoid(z[:, 3 * units :])
        new = c * f + i * j
        cache.append((both, c, i, j, f, o, new))
        h, c = np.tanh(new) * o, new
    return np.stack([step[5] * np.tanh(step[6]) for step in cache]), (h, c), cache


def joint_backward(p, dy, dstate, cache):
    units = p["kernel"].shape[1] // 4
    D = p["kernel"].shape[0] - units
    dkernel, dbias = 0, 0
    dh, dc = (0, 0) if dstate is None else dstate
    dx = []
    for dy_t, (both, c, i, j, f, o, new) in zip(dy[::-1], cache[::-1], strict=True):
        dh = dh + dy_t
        squashed = np.tanh(new)
        dc = dc + dh * o * (1 - squashed * squashed)
        dz = np.hstack([dc * j * i * (1 - i), dc * i * (1 - j * j), dc * c * f * (1 - f), dh * squashed * o * (1 - o)])
        dkernel = dkernel + both.T @ dz
        dbias = dbias + dz.sum(axis=0)
        dboth = dz @ p["kernel"].T
        dx.append(dboth[:, :D])
        dh, dc = dboth[:, D:], dc * f
    return np.stack(dx[::-1]), (dh, dc), {"kernel": dkernel, "bias": dbias}


def wide_forward(p, x, state=None):
    """Columns for the rows of a batch: x [T, D, B], weights [4H, D], order i f o g, state given as (c, h)."""
    H = p["Wh"].shape[1]
    c, h = state if state is not None else (np.zeros((H, x.shape[2])), np.zeros((H, x.shape[2])))
    y, saved = [], []
    for t in range(x.shape[0]):
        z = p["Wx"] @ x[t] + p["Wh"] @ h + p["b"]
        gate = sigmoid(z[: 3 * H])
        i, f, o, g = gate[:H], gate[H : 2 * H], gate[2 * H :], np.tanh(z[3 * H :])
        saved.append((x[t], h, c, gate, g))
        c = f * c + i * g
        h = o * np.tanh(c)
        y.append(h)
    return np.array(y), (c, h), (saved, c)


def wide_backward(p, dy, dstate, cache):
    saved, c = cache
    H = p["Wh"].shape[1]
    dWx, dWh, db, dx = (
        np.zeros_like(p["Wx"]),
        np.zeros_like(p["Wh"]),
        np.zeros_like(p["b"]),
        np.zeros((len(dy), p["Wx"].shape[1], dy.shape[2])),
    )
    dc, dh = dstate if dstate is not None else (0, 0)
    for t in range(len(saved) - 1, -1, -1):
        x, h_old, c_old, gate, g = saved[t]
        i, f, o = gate[:H], gate[H : 2 * H], gate[2 * H :]
        dh = dh + dy[t]
        dc = dc + dh * o / np.cosh(c) ** 2
        dgate = np.concatenate([dc * g, dc * c_old, dh * np.tanh(c)]) * gate * (1 - gate)
        dz = np.concatenate([dgate, dc * i * (1 - g * g)])
        dWx += dz @ x.T
        dWh += dz @ h_old.T
        db += dz.sum(axis=1, keepdims=True)
        dx[t] = p["Wx"].T @ dz
        dh = p["Wh"].T @ dz
        dc, c = dc * f, c_old
    return dx, (dc, dh), {"Wx": dWx, "Wh": dWh, "b": db}


def single_forward(w, x, state=None):
    """No batch axis: x [T, D]; weights [4H, D] and [4H, H] in the order i f g o; real buffers only."""
    T, H = len(x), w["w_hh"].shape[1]
    h, c, act = np.zeros((T + 1, H)), np.zeros((T + 1, H)), np.zeros((T, 4, H))
    if state is not None:
        h[0], c[0] = state
    for t in range(T):
        act[t] = (w["w_ih"] @ x[t] + w["w_hh"] @ h[t] + w["bias"]).reshape(4, H)
        act[t, [0, 1, 3]] = sigmoid(act[t, [0, 1, 3]])
        act[t, 2] = np.tanh(act[t, 2])
        c[t + 1] = act[t, 1] * c[t] + act[t, 0] * act[t, 2]
        h[t + 1] = act[t, 3] * np.tanh(c[t + 1])
    return h[1:].copy(), (h[T].copy(), c[T].copy()), (x.copy(), h, c, act)


def single_backward(w, dy, dstate, cache):
    x, h, c, act = cache
    dz = np.zeros_like(act)
    dh, dc = dstate if dstate is not None else (np.zeros_like(h[0]), np.zeros_like(c[0]))
    for t in range(len(x))[::-1]:
        i, f, g, o = act[t]
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - np.tanh(c[t + 1]) ** 2)
        dz[t] = dc * g * i * (1 - i), dc * c[t] * f * (1 - f), dc * i * (1 - g**2), dh * np.tanh(c[t + 1]) * o * (1 - o)
        dh, dc = dz[t].ravel() @ w["w_hh"], dc * f
    dz = dz.reshape(len(x), -1)
    return dz @ w["w_ih"], (dh, dc), {"w_ih": dz.T @ x, "w_hh": dz.T @ h[:-1], "bias": dz.sum(0)}


def lookup_forward(p, ids, state=None):
    """Ids [B, T] pick rows of the input weights, which stands for a one-hot x; order o i g f."""
    H = p["R"].shape[0]
    h, c = state if state is not None else (np.zeros((len(ids), H)), np.zeros((len(ids), H)))
    tape = []
    for column in ids.T:
        o, i, g, f = np.split(p["lookup"][column] + h @ p["R"] + p["b"], 4, -1)
        o, i, g, f = sigmoid(o), sigmoid(i), np.tanh(g), sigmoid(f)
        before, c = c, f * c + i * g
        tape.append((column, h, before, o, i, g, f, np.tanh(c)))
        h = o * np.tanh(c)
    return np.stack([s[3] * s[7] for s in tape], 1), (h, c), tape


def lookup_backward(p, dy, dstate, tape):
    grads = {k: np.zeros_like(v) for k, v in p.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    for t, (column, h, before, o, i, g, f, th) in reversed(list(enumerate(tape))):
        dh = dh + dy[:, t]
        dc = dc + dh * o * (1 - th * th)
        dz = np.concatenate(
            [dh * th * o * (1 - o), dc * g * i * (1 - i), dc * i * (1 - g * g), dc * before * f * (1 - f)], -1
        )
        np.add.at(grads["lookup"], column, dz)
        grads["R"] += h.T @ dz
        grads["b"] += dz.sum(0)
        dh, dc = dz @ p["R"].T, dc * f
    return None, (dh, dc), grads


def front_forward(p, x, state=None):
    """The gate axis in front, [4, D, H] in the order i o f g, and einsum; x [T, B, D]."""
    h, c = state if state is not None else (np.zeros((x.shape[1], 4)), np.zeros((x.shape[1], 4)))
    tape = []
    for row in x:
        z = np.einsum("bd,kdh->kbh", row, p["A"]) + np.einsum("bd,kdh->kbh", h, p["R"]) + p["e"][:, None]
        s, g = sigmoid(z[:3]), np.tanh(z[3])
        tape.append((row, h, c, s, g))
        c = s[2] * c + s[0] * g
        h = s[1] * np.tanh(c)
    cells = [step[2] for step in tape[1:]] + [c]
    return np.stack([step[3][1] * np.tanh(cell) for step, cell in zip(tape, cells, strict=True)]), (h, c), (tape, cells)


def front_backward(p, dy, dstate, cache):
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = []
    for (row, h, c, s, g), cell, dy_t in reversed(list(zip(*cache, dy, strict=True))):
        dh = dh + dy_t
        dc = dc + dh * s[1] * (1 - np.tanh(cell) ** 2)
        dz = np.stack([*(np.stack([dc * g, dh * np.tanh(cell), dc * c]) * s * (1 - s)), dc * s[0] * (1 - g**2)])
        d["A"] += np.einsum("bd,kbh->kdh", row, dz)
        d["R"] += np.einsum("bd,kbh->kdh", h, dz)
        d["e"] += dz.sum(axis=1)
        dx.append(np.einsum("kbh,kdh->bd", dz, p["A"]))
        dh, dc = np.einsum("kbh,kdh->bd", dz, p["R"]), dc * s[2]
    return np.stack(dx[::-1]), (dh, dc), d


def last_forward(p, x, state=None):
    """Only the last h is handed out."""
    ys, state, cache = packed_forward(p, x, state)
    return ys[:, -1].copy(), state, (cache, ys.shape)


def last_backward(p, dy, dstate, cache):
    full = np.zeros(cache[1])
    full[:, -1] = dy
    return packed_backward(p, full, dstate, cache[0])


CASES = [
    Case(
        "rows_per_gate",
        (rows_forward, rows_backward),
        rows_weights,
        values(1, 5, 2, 3),
        ROWS,
        state=(values(2, 2, 4), values(3, 2, 4)),
    ),
    Case(
        "packed_fgio",
        (packed_forward, packed_backward),
        packed_weights,
        values(4, 3, 4, 3),
        PACKED,
        state=(values(5, 3, 5), values(6, 3, 5)),
    ),
    Case(
        "columns_h_over_x",
        (column_forward, column_backward),
        column_weights,
        values(7, 5, 3, 1),
        COLUMN,
        state=(values(8, 4, 1), values(9, 4, 1)),
    ),
    Case(
        "joint_kernel",
        (joint_forward, joint_backward),
        weights(kernel=(8, 20), bias=(20,)),
        values(10, 4, 2, 3),
        {"kernel": "Wxh:igfo", "bias": "b:igfo"},
        state=(values(11, 2, 5), values(12, 2, 5)),
    ),
    Case(
        "columns_wide_c_first",
        (wide_forward, wide_backward),
        weights(Wx=(16, 3), Wh=(16, 4), b=(16, 1)),
        values(13, 5, 3, 2),
        {"Wx": "Wx:ifog.T", "Wh": "Wh:ifog.T", "b": "b:ifog"},
        state=(values(14, 4, 2), values(15, 4, 2)),
        options={"state_order": ("c", "h"), "axes": "TDB"},
    ),
    Case(
        "single_real_buffers",
        (single_forward, single_backward),
        weights(w_ih=(16, 3), w_hh=(16, 4), bias=(16,)),
        values(16, 5, 3),
        {"w_ih": "Wx:ifgo.T", "w_hh": "Wh:ifgo.T", "bias": "b:ifgo"},
        state=(values(17, 4), values(18, 4)),
    ),
    Case(
        "ids_look_up_rows",
        (lookup_forward, lookup_backward),
        weights(lookup=(5, 16), R=(4, 16), b=(16,)),
        ids(19, 5, 2, 6),
        {"lookup": "Wx:oigf", "R": "Wh:oigf", "b": "b:oigf"},
        state=(values(20, 2, 4), values(21, 2, 4)),
        options={"axes": "BT"},
    ),
    Case(
        "gate_axis_in_front",
        (front_forward, front_backward),
        weights(A=(4, 3, 4), R=(4, 4, 4), e=(4, 4)),
        values(22, 5, 2, 3),
        {"A": "Wx[iofg,D,H]", "R": "Wh[iofg,K,H]", "e": "b[iofg,H]"},
        state=(values(23, 2, 4), values(24, 2, 4)),
    ),
    Case("last_h_only_no_state", (last_forward, last_backward), packed_weights, values(25, 3, 5, 3), PACKED),
    Case(
        "rows_no_state", (rows_forward, rows_backward), rows_weights, values(26, 4, 3, 3), ROWS, options={"axes": "TBD"}
    ),
]
