"""Healthy code that is no LSTM at all, or one with something of its own: roles say None, or say nothing of it."""

import numpy as np

from tests.ward.case import Case, sigmoid, values, weights


def tanh_net_forward(p, x, state=None):
    """The plain recurrent net, x [T, D]."""
    h = state[0] if state is not None else np.zeros(p["hh"].shape[0])
    hs = [h]
    for row in x:
        hs.append(np.tanh(p["xh"] @ row + p["hh"] @ hs[-1] + p["bh"]))
    return np.array([p["hy"] @ h for h in hs[1:]]), (hs[-1],), (x, hs)


def tanh_net_backward(p, dy, dstate, cache):
    x, hs = cache
    g = {k: np.zeros_like(v) for k, v in p.items()}
    dh = dstate[0] if dstate is not None else 0
    dx = np.zeros_like(x)
    for t in reversed(range(len(x))):
        g["hy"] += np.outer(dy[t], hs[t + 1])
        dh = dh + p["hy"].T @ dy[t]
        raw = dh * (1 - hs[t + 1] ** 2)
        g["xh"] += np.outer(raw, x[t])
        g["hh"] += np.outer(raw, hs[t])
        g["bh"] += raw
        dx[t] = p["xh"].T @ raw
        dh = p["hh"].T @ raw
    return dx, (dh,), g


def gru_forward(p, x, state=None):
    """A gated unit with reset and update, x [B, T, D]."""
    h = np.zeros((len(x), p["Uz"].shape[0])) if state is None else state[0]
    ys, tape = [], []
    for t in range(x.shape[1]):
        z = sigmoid(x[:, t] @ p["Wz"] + h @ p["Uz"])
        r = sigmoid(x[:, t] @ p["Wr"] + h @ p["Ur"])
        n = np.tanh(x[:, t] @ p["Wn"] + (r * h) @ p["Un"])
        tape.append((x[:, t], h, z, r, n))
        h = (1 - z) * n + z * h
        ys.append(h)
    return np.stack(ys, 1), (h,), tape


def gru_backward(p, dy, dstate, tape):
    g = {k: np.zeros_like(v) for k, v in p.items()}
    dh = 0 if dstate is None else dstate[0]
    dx = []
    for t in range(len(tape) - 1, -1, -1):
        x, h, z, r, n = tape[t]
        dh = dh + dy[:, t]
        dz = dh * (h - n) * z * (1 - z)
        dn = dh * (1 - z) * (1 - n**2)
        dreset = dn @ p["Un"].T
        dr = dreset * h * r * (1 - r)
        for k, d, seen in (("z", dz, h), ("r", dr, h), ("n", dn, r * h)):
            g["W" + k] += x.T @ d
            g["U" + k] += seen.T @ d
        dx.append(dz @ p["Wz"].T + dr @ p["Wr"].T + dn @ p["Wn"].T)
        dh = dh * z + dreset * r + dz @ p["Uz"].T + dr @ p["Ur"].T
    return np.stack(dx[::-1], 1), (dh,), g


def affine_forward(p, x, state=None):
    """An affine map without state."""
    return x @ p["A"] + p["shift"], None, x


def affine_backward(p, dy, dstate, x):
    axes = tuple(range(x.ndim - 1))
    return dy @ p["A"].T, None, {"A": np.tensordot(x, dy, (axes, axes)), "shift": dy.sum(axis=axes)}


def affine_error(p, x, target, state=None):
    """The sum of squares of an affine map, and no state at all."""
    residual = x @ p["A"] + p["shift"] - target
    return (residual**2).sum(), {"A": 2 * x.T @ residual, "shift": 2 * residual.sum(0)}, None


def normed_forward(p, x, state=None):
    """An LSTM on scaled inputs: a gain of the code's own in front, x [T, B, D], order g i f o in columns of 4."""
    H = p["R"].shape[0]
    h, c = state if state is not None else (np.zeros((x.shape[1], H)), np.zeros((x.shape[1], H)))
    steps, ys = [], []
    for raw in x:
        a = (raw * p["gain"]) @ p["K"] + h @ p["R"] + p["bias"]
        g, i, f, o = np.tanh(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H]), sigmoid(a[:, 3 * H :])
        steps.append((raw, h, c, g, i, f, o))
        c = f * c + i * g
        h = o * np.tanh(c)
        ys.append(h)
    return np.stack(ys), (h, c), (steps, c)


def normed_backward(p, dy, dstate, cache):
    steps, new = cache
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = np.zeros((len(steps), *steps[0][0].shape))
    for t, (raw, h, c, g, i, f, o) in reversed(list(enumerate(steps))):
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - np.tanh(new) ** 2)
        do, dg, di, df = dh * np.tanh(new), dc * i, dc * g, dc * c
        da = np.hstack([dg * (1 - g**2), di * i * (1 - i), df * f * (1 - f), do * o * (1 - o)])
        d["K"] += (raw * p["gain"]).T @ da
        d["R"] += h.T @ da
        d["bias"] += da.sum(0)
        into = da @ p["K"].T
        d["gain"] += (into * raw).sum(0)
        dx[t] = into * p["gain"]
        dh, dc, new = da @ p["R"].T, dc * f, c
    return dx, (dh, dc), d


def cells_forward(p, x, state=None):
    """Every cell in a loop of its own, with numbers instead of arrays; x [T, D]."""
    H, D = len(p["bi"]), x.shape[1]
    h, c = [list(a) for a in state] if state is not None else ([0.0] * H, [0.0] * H)
    ys, tape = [], []
    for row in x:
        acts = {}
        for k in "ifog":
            z = [p["b" + k][n] + sum(row[m] * p["Wx" + k][m, n] for m in range(D)) for n in range(H)]
            z = [z[n] + sum(h[m] * p["Wh" + k][m, n] for m in range(H)) for n in range(H)]
            acts[k] = [np.tanh(v) if k == "g" else 1 / (1 + np.exp(-v)) for v in z]
        new = [acts["f"][n] * c[n] + acts["i"][n] * acts["g"][n] for n in range(H)]
        tape.append((row, h, c, acts, new))
        h, c = [acts["o"][n] * np.tanh(new[n]) for n in range(H)], new
        ys.append(h)
    return np.array(ys), (np.array(h), np.array(c)), tape


def cells_backward(p, dy, dstate, tape):
    g = {k: np.zeros(v.shape) for k, v in p.items()}
    H = len(p["bi"])
    dh, dc = (list(dstate[0]), list(dstate[1])) if dstate is not None else ([0.0] * H, [0.0] * H)
    dx = np.zeros((len(tape), len(tape[0][0])))
    for t in range(len(tape) - 1, -1, -1):
        row, h, c, a, new = tape[t]
        before_h, before_c = [0.0] * H, [0.0] * H
        for n in range(H):
            e, th = dh[n] + dy[t][n], np.tanh(new[n])
            s = dc[n] + e * a["o"][n] * (1 - th * th)
            delta = {"i": s * a["g"][n], "f": s * c[n], "o": e * th}
            delta = {k: v * a[k][n] * (1 - a[k][n]) for k, v in delta.items()}
            delta["g"] = s * a["i"][n] * (1 - a["g"][n] ** 2)
            before_c[n] = s * a["f"][n]
            for k, v in delta.items():
                g["b" + k][n] += v
                for m in range(len(row)):
                    g["Wx" + k][m, n] += v * row[m]
                    dx[t, m] += v * p["Wx" + k][m, n]
                for m in range(H):
                    g["Wh" + k][m, n] += v * h[m]
                    before_h[m] += v * p["Wh" + k][m, n]
        dh, dc = before_h, before_c
    return dx, (np.array(dh), np.array(dc)), g


CELLS = {f"{w}{k}": f"{w}_{k}" for w in ("Wx", "Wh", "b") for k in "ifog"}
cells_weights = weights(**{k: {"Wx": (2, 3), "Wh": (3, 3), "b": (3,)}[k[:-1]] for k in CELLS})
NORMED = {"gain": None, "K": "Wx:gifo", "R": "Wh:gifo", "bias": "b:gifo"}
tanh_weights = weights(xh=(5, 3), hh=(5, 5), bh=(5,), hy=(4, 5))
gru_weights = weights(**{w + k: (3, 4) if w == "W" else (4, 4) for w in "WU" for k in "zrn"})
affine_weights = weights(A=(3, 4), shift=(4,))
CASES = [
    Case(
        "tanh_net",
        (tanh_net_forward, tanh_net_backward),
        tanh_weights,
        values(70, 5, 3),
        dict.fromkeys(("xh", "hh", "bh", "hy")),
        state=(values(71, 5),),
    ),
    Case(
        "gru",
        (gru_forward, gru_backward),
        gru_weights,
        values(72, 2, 5, 3),
        dict.fromkeys([w + k for w in "WU" for k in "zrn"]),
        state=(values(73, 2, 4),),
    ),
    Case("affine", (affine_forward, affine_backward), affine_weights, values(74, 2, 4, 3), {"A": None, "shift": None}),
    Case(
        "affine_error", (affine_error,), affine_weights, values(75, 6, 3), {"A": None, "shift": None}, values(76, 6, 4)
    ),
    Case(
        "gain_in_front",
        (normed_forward, normed_backward),
        weights(gain=(3,), K=(3, 16), R=(4, 16), bias=(16,)),
        values(77, 4, 2, 3),
        NORMED,
        state=(values(78, 2, 4), values(79, 2, 4)),
        tolerated=("F200",),
    ),
    Case(
        "cell_by_cell",
        (cells_forward, cells_backward),
        cells_weights,
        values(80, 4, 2),
        CELLS,
        state=(values(81, 3), values(82, 3)),
    ),
]
