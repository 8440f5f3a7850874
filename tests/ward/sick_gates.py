"""Forward passes with a nonlinearity too few or too many, or with one gate in another's place."""

import numpy as np

from tests.ward.case import Case, sigmoid, values, weights
from tests.ward.healthy_layouts import (
    PACKED,
    ROWS,
    packed_backward,
    packed_forward,
    packed_weights,
    rows_backward,
    rows_weights,
)


def linear_candidate_forward(P, x, state=None):
    """The candidate is a weighted sum, without tanh; x [T, B, D]."""
    h, c = state if state is not None else (np.zeros((x.shape[1], 4)),) * 2
    ys, tape = [], []
    for xt in x:
        z = {k: xt @ P["Wx" + k] + h @ P["Wh" + k] + P["b" + k] for k in "ifog"}
        i, f, o, g = sigmoid(z["i"]), sigmoid(z["f"]), sigmoid(z["o"]), z["g"]
        tape.append((xt, h, c, i, f, o, g))
        c = f * c + i * g
        h = o * np.tanh(c)
        ys.append(h)
    return np.stack(ys), (h, c), (tape, c)


def linear_candidate_backward(P, dy, dstate, cache):
    tape, cell = cache
    grads = dict.fromkeys(P, 0)
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = np.zeros((len(tape), *tape[0][0].shape))
    for t in reversed(range(len(tape))):
        xt, h, c, i, f, o, g = tape[t]
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - np.tanh(cell) ** 2)
        d = {"i": dc * g * i * (1 - i), "f": dc * c * f * (1 - f), "o": dh * np.tanh(cell) * o * (1 - o), "g": dc * i}
        for k, e in d.items():
            grads["Wx" + k] = grads["Wx" + k] + xt.T @ e
            grads["Wh" + k] = grads["Wh" + k] + h.T @ e
            grads["b" + k] = grads["b" + k] + e.sum(0)
            dx[t] += e @ P["Wx" + k].T
        dh, dc, cell = sum(e @ P["Wh" + k].T for k, e in d.items()), dc * f, c
    return dx, (dh, dc), grads


def bare_cell_forward(P, x, state=None):
    """h = o c: the cell leaves without tanh; the way back knows nothing of it. x [B, T, D]."""
    h, c = (np.zeros((len(x), 5)), np.zeros((len(x), 5))) if state is None else state
    steps, ys = [], []
    for t in range(x.shape[1]):
        f, g, i, o = np.split(x[:, t] @ P["W"] + h @ P["U"] + P["bias"], 4, axis=1)
        f, g, i, o = sigmoid(f), np.tanh(g), sigmoid(i), sigmoid(o)
        new = f * c + i * g
        steps.append({"x": x[:, t], "h": h, "c": c, "f": f, "g": g, "i": i, "o": o, "th": np.tanh(new)})
        h, c = o * new, new
        ys.append(h)
    return np.stack(ys, 1), (h, c), steps


def bare_cell_backward(P, dy, dstate, steps):
    """The gradients of h = o c."""
    d = {k: np.zeros_like(v) for k, v in P.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = []
    for t in range(len(steps) - 1, -1, -1):
        s = steps[t]
        f, g, i, o = s["f"], s["g"], s["i"], s["o"]
        dh = dh + dy[:, t]
        dc = dc + dh * o
        do = dh * (f * s["c"] + i * g)
        dz = np.hstack([dc * s["c"] * f * (1 - f), dc * i * (1 - g * g), dc * g * i * (1 - i), do * o * (1 - o)])
        d["W"] += s["x"].T @ dz
        d["U"] += s["h"].T @ dz
        d["bias"] += dz.sum(0)
        dx.append(dz @ P["W"].T)
        dh, dc = dz @ P["U"].T, dc * f
    return np.stack(dx[::-1], 1), (dh, dc), d


def gate(theta, k, x, h):
    """A gate's activation."""
    return sigmoid(theta["W" + k].dot(x) + theta["U" + k].dot(h) + theta["b" + k])


def doubled_gates_forward(theta, x, state=None):
    """gate() has its sigmoid inside, and another one is laid around it; x [T, D, 1]."""
    h, c = state if state is not None else (np.zeros((4, 1)), np.zeros((4, 1)))
    saved, ys = [], []
    for xt in x:
        a = {k: gate(theta, k, xt, h) for k in "ifo"}
        s = {k: sigmoid(v) for k, v in a.items()}
        g = np.tanh(theta["Wg"].dot(xt) + theta["Ug"].dot(h) + theta["bg"])
        new = s["f"] * c + s["i"] * g
        saved.append((xt, h, c, a, s, g, new))
        h, c = s["o"] * np.tanh(new), new
        ys.append(h)
    return np.array(ys), (h, c), saved


def doubled_gates_backward(theta, dy, dstate, saved):
    d = {k: np.zeros_like(v) for k, v in theta.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = []
    for (xt, h, c, a, s, g, new), error in zip(saved[::-1], dy[::-1], strict=True):
        dh = dh + error
        dc = dc + dh * s["o"] * (1 - np.tanh(new) ** 2)
        e = {"i": dc * g, "f": dc * c, "o": dh * np.tanh(new)}
        e = {k: v * s[k] * (1 - s[k]) * a[k] * (1 - a[k]) for k, v in e.items()} | {"g": dc * s["i"] * (1 - g**2)}
        for k in "ifog":
            d["W" + k] += e[k] @ xt.T
            d["U" + k] += e[k] @ h.T
            d["b" + k] += e[k]
        dx.append(sum(theta["W" + k].T @ e[k] for k in "ifog"))
        dh, dc = sum(theta["U" + k].T @ e[k] for k in "ifog"), dc * s["f"]
    return np.array(dx[::-1]), (dh, dc), d


def squashed_cell_forward(P, x, state=None):
    """c goes through tanh before it is kept, and once more on its way to h; x [T, B, D]."""
    h, c = state if state is not None else (np.zeros((x.shape[1], 4)),) * 2
    ys, tape = [], []
    for xt in x:
        i, f, o = (sigmoid(xt @ P["Wx" + k] + h @ P["Wh" + k] + P["b" + k]) for k in "ifo")
        g = np.tanh(xt @ P["Wxg"] + h @ P["Whg"] + P["bg"])
        new = np.tanh(f * c + i * g)
        tape.append((xt, h, c, i, f, o, g, new))
        h, c = o * np.tanh(new), new
        ys.append(h)
    return np.stack(ys), (h, c), tape


def squashed_cell_backward(P, dy, dstate, tape):
    grads = {k: np.zeros_like(v) for k, v in P.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = [None] * len(tape)
    for t in reversed(range(len(tape))):
        xt, h, c, i, f, o, g, new = tape[t]
        dh = dh + dy[t]
        ds = (dc + dh * o * (1 - np.tanh(new) ** 2)) * (1 - new**2)
        d = {"i": ds * g * i * (1 - i), "f": ds * c * f * (1 - f), "g": ds * i * (1 - g**2)}
        d["o"] = dh * np.tanh(new) * o * (1 - o)
        for k in d:
            grads["Wx" + k] += xt.T @ d[k]
            grads["Wh" + k] += h.T @ d[k]
            grads["b" + k] += d[k].sum(0)
        dx[t] = sum(d[k] @ P["Wx" + k].T for k in d)
        dh, dc = sum(d[k] @ P["Wh" + k].T for k in d), ds * f
    return np.stack(dx), (dh, dc), grads


def parts_forward(P, x, state, keep, add, out):
    """A per-gate LSTM that is told which gate keeps the cell, which adds to it, and which lets it out."""
    h, c = state if state is not None else (np.zeros((x.shape[1], 4)),) * 2
    ys, tape = [], []
    for xt in x:
        a = {k: sigmoid(xt @ P["Wx" + k] + h @ P["Wh" + k] + P["b" + k]) for k in "ifo"}
        a["g"] = np.tanh(xt @ P["Wxg"] + h @ P["Whg"] + P["bg"])
        tape.append((xt, h, c, a[add], a[keep], a[out], a["g"], a[keep] * c + a[add] * a["g"]))
        c = tape[-1][-1]
        h = a[out] * np.tanh(c)
        ys.append(h)
    return np.stack(ys), (h, c), tape


def renamed_backward(P, dy, dstate, tape, names):
    """The way back of the gates as they are used, under the names that the weights have."""
    used = {w + k: P[w + names.get(k, k)] for w in ("Wx", "Wh", "b") for k in "ifog"}
    dx, before, grads = rows_backward(used, dy, dstate, tape)
    return dx, before, {w + names.get(k, k): grads[w + k] for w in ("Wx", "Wh", "b") for k in "ifog"}


def i_keeps_forward(P, x, state=None):
    """c = i c' + f g."""
    return parts_forward(P, x, state, keep="i", add="f", out="o")


def i_keeps_backward(P, dy, dstate, tape):
    return renamed_backward(P, dy, dstate, tape, {"i": "f", "f": "i"})


def f_lets_out_forward(P, x, state=None):
    """The forget and the output gate have changed places; the way back has them where they belong."""
    return parts_forward(P, x, state, keep="o", add="i", out="f")


def wrong_split_forward(P, x, state=None):
    """The roles and the way back have f g i o; here the blocks are taken for i f g o."""
    P = dict(P)
    for k in ("W", "U", "bias"):
        i, f, g, o = np.split(P[k], 4, axis=-1)
        P[k] = np.concatenate([f, g, i, o], axis=-1)
    return packed_forward(P, x, state)


def tanh_on_the_gate_forward(P, x, state=None):
    """tanh is laid on the block of i, sigmoid on the block of g."""
    h, c = state if state is not None else (np.zeros((len(x), 5)),) * 2
    tape = []
    for t in range(x.shape[1]):
        z = x[:, t] @ P["W"] + h @ P["U"] + P["bias"]
        f, g, i, o = sigmoid(z[:, :5]), sigmoid(z[:, 5:10]), np.tanh(z[:, 10:15]), sigmoid(z[:, 15:])
        tape.append((x[:, t], h, c, f, g, i, o))
        c = c * f + g * i
        h = o * np.tanh(c)
    cells = [s[2] for s in tape[1:]] + [c]
    return np.stack([s[6] * np.tanh(new) for s, new in zip(tape, cells, strict=True)], 1), (h, c), (tape, cells)


def tanh_on_the_gate_backward(P, dy, dstate, cache):
    d = dict.fromkeys(P, 0)
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = np.zeros((*dy.shape[:2], 3))
    for t, ((xt, h, c, f, g, i, o), new) in reversed(list(enumerate(zip(*cache, strict=True)))):
        dh = dh + dy[:, t]
        dc = dc + dh * o * (1 - np.tanh(new) ** 2)
        dz = [dc * c * f * (1 - f), dc * i * g * (1 - g), dc * g * (1 - i**2), dh * np.tanh(new) * o * (1 - o)]
        dz = np.hstack(dz)
        d["W"], d["U"], d["bias"] = d["W"] + xt.T @ dz, d["U"] + h.T @ dz, d["bias"] + dz.sum(0)
        dx[:, t] = dz @ P["W"].T
        dh, dc = dz @ P["U"].T, dc * f
    return dx, (dh, dc), d


def coupled_forward(P, x, state=None):
    """What is let in and what is kept add up to one: c = f c' + (1 - f) i g."""
    h, c = state if state is not None else (np.zeros((x.shape[1], 4)),) * 2
    ys, tape = [], []
    for xt in x:
        i, f, o = (sigmoid(xt @ P["Wx" + k] + h @ P["Wh" + k] + P["b" + k]) for k in "ifo")
        g = np.tanh(xt @ P["Wxg"] + h @ P["Whg"] + P["bg"])
        tape.append((xt, h, c, i, f, o, g))
        c = f * c + (1 - f) * i * g
        h = o * np.tanh(c)
        ys.append(h)
    return np.stack(ys), (h, c), (tape, c)


def coupled_backward(P, dy, dstate, cache):
    tape, new = cache
    grads = {k: np.zeros_like(v) for k, v in P.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = np.zeros((len(tape), *tape[0][0].shape))
    for t in range(len(tape) - 1, -1, -1):
        xt, h, c, i, f, o, g = tape[t]
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - np.tanh(new) ** 2)
        d = {"i": dc * (1 - f) * g * i * (1 - i), "f": dc * (c - i * g) * f * (1 - f)}
        d |= {"o": dh * np.tanh(new) * o * (1 - o), "g": dc * (1 - f) * i * (1 - g**2)}
        for k in d:
            grads["Wx" + k] += xt.T @ d[k]
            grads["Wh" + k] += h.T @ d[k]
            grads["b" + k] += d[k].sum(0)
            dx[t] += d[k] @ P["Wx" + k].T
        dh, dc, new = sum(d[k] @ P["Wh" + k].T for k in d), dc * f, c
    return dx, (dh, dc), grads


THETA = {
    f"{w}{k}": f"{r}_{k}{end}" for w, r, end in (("W", "Wx", ".T"), ("U", "Wh", ".T"), ("b", "b", "")) for k in "ifog"
}
theta_weights = weights(**{k: {"W": (4, 3), "U": (4, 4), "b": (4, 1)}[k[0]] for k in THETA}, scale=0.8)
TWO, FIVES = (values(600, 2, 4), values(601, 2, 4)), (values(602, 2, 5), values(603, 2, 5))
COLUMNS = (values(604, 4, 1), values(605, 4, 1))


def rows(name, forward, backward, code, fault, seed, sound=True):
    """A case of the per-gate layout."""
    x, pair = values(seed, 5, 2, 3), (forward, backward)
    return Case(name, pair, rows_weights, x, ROWS, None, TWO, codes=(code,), fault=fault, sound=sound)


def packed(name, forward, backward, code, fault, seed, sound=True):
    """A case of the packed layout."""
    x, pair = values(seed, 2, 5, 3), (forward, backward)
    return Case(name, pair, packed_weights, x, PACKED, None, FIVES, codes=(code,), fault=fault, sound=sound)


CASES = [
    rows("linear_candidate", linear_candidate_forward, linear_candidate_backward, "F204", "g has no tanh.", 610),
    packed("bare_cell", bare_cell_forward, bare_cell_backward, "F204", "h = o c.", 611),
    packed(
        "bare_cell_textbook",
        bare_cell_forward,
        packed_backward,
        "F204",
        "h = o c, and gradients of h = o tanh(c).",
        612,
        False,
    ),
    Case(
        "doubled_gates",
        (doubled_gates_forward, doubled_gates_backward),
        theta_weights,
        values(613, 5, 3, 1),
        THETA,
        None,
        COLUMNS,
        codes=("F204",),
        fault="Two sigmoids in every gate.",
        sound=True,
    ),
    rows("squashed_cell", squashed_cell_forward, squashed_cell_backward, "F204", "c goes through tanh twice.", 614),
    rows("i_keeps", i_keeps_forward, i_keeps_backward, "F205", "i is used as f, and f as i.", 615),
    rows(
        "f_lets_out_textbook",
        f_lets_out_forward,
        rows_backward,
        "F205",
        "f is used as o, and o as f; textbook gradients.",
        616,
        False,
    ),
    packed(
        "tanh_on_the_gate",
        tanh_on_the_gate_forward,
        tanh_on_the_gate_backward,
        "F205",
        "i is used as g, and g as i.",
        617,
    ),
    packed(
        "wrong_split",
        wrong_split_forward,
        packed_backward,
        "F205",
        "Blocks split in another order; textbook gradients.",
        619,
        False,
    ),
    rows("coupled", coupled_forward, coupled_backward, "F200", "c = f c' + (1 - f) i g.", 618),
]
