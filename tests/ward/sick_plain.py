"""Sick backward passes of LSTMs without peepholes, written one by one, each in another layout."""

import numpy as np

from tests.ward.case import Case, ids, values, weights
from tests.ward.healthy_layouts import (
    COLUMN,
    ROWS,
    column_forward,
    column_weights,
    front_forward,
    joint_forward,
    lookup_forward,
    rows_backward,
    rows_forward,
    rows_weights,
    single_forward,
    wide_forward,
)


def rows_blind_to_the_future(P, dy, dstate, tape):
    """Errors first, products afterwards; dh of a step is dy of that step, and at the end what comes from outside."""
    T = len(tape)
    z = {k: [None] * T for k in "ifog"}
    dc = dstate[1] if dstate is not None else 0
    for t in reversed(range(T)):
        _, _, c, i, f, o, g, cell = tape[t]
        dh = dy[t] + dstate[0] if t == T - 1 and dstate is not None else dy[t]
        z["o"][t] = dh * np.tanh(cell) * o * (1 - o)
        dc = dc + dh * o * (1 - np.tanh(cell) ** 2)
        z["i"][t], z["f"][t], z["g"][t] = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2)
        dc = dc * f
    grads = {}
    for k in "ifog":
        grads["Wx" + k] = sum(tape[t][0].T @ z[k][t] for t in range(T))
        grads["Wh" + k] = sum(tape[t][1].T @ z[k][t] for t in range(T))
        grads["b" + k] = sum(z[k]).sum(axis=0)
    dx = np.stack([sum(z[k][t] @ P["Wx" + k].T for k in "ifog") for t in range(T)])
    return dx, (sum(z[k][0] @ P["Wh" + k].T for k in "ifog"), dc), grads


def rows_one_number(P, dy, dstate, tape):
    """Error and h are multiplied and added up, and dWh gets that one number everywhere."""
    dx, dstate_before, grads = rows_backward(P, dy, dstate, tape)
    dh, dc = dstate if dstate is not None else (0, 0)
    totals = dict.fromkeys("ifog", 0.0)
    for error, (_, h, c, i, f, o, g, cell) in zip(dy[::-1], tape[::-1], strict=True):
        dh = dh + error
        dc = dc + dh * o * (1 - np.tanh(cell) ** 2)
        d = {"i": dc * g * i * (1 - i), "f": dc * c * f * (1 - f), "g": dc * i * (1 - g**2)}
        d["o"] = dh * np.tanh(cell) * o * (1 - o)
        for k in d:
            totals[k] += np.vdot(d[k], h)
        dh, dc = sum(d[k] @ P["Wh" + k].T for k in d), dc * f
    for k in "ifog":
        grads["Wh" + k] = np.full(P["Wh" + k].shape, totals[k])
    return dx, dstate_before, grads


def rows_dx_backwards(P, dy, dstate, tape):
    """dx is collected while walking back, and never turned round."""
    dx, dstate, grads = rows_backward(P, dy, dstate, tape)
    return np.stack(list(reversed(list(dx)))), dstate, grads


def column_untransposed(model, dhs, dstate, cache):
    """On the way to h of the step before, the recurrent part of W is not transposed."""
    zs, cs, gates = cache
    n = model["b_f"].shape[0]
    d = {k: np.zeros(v.shape) for k, v in model.items()}
    dh_next, dc_next = dstate if dstate is not None else (np.zeros((n, 1)),) * 2
    dx = np.zeros((len(dhs), model["W_f"].shape[1] - n, 1))
    for t in range(len(dhs) - 1, -1, -1):
        f, i, a, o = gates[t]
        dh = dhs[t] + dh_next
        dc = dc_next + dh * o * (1 - np.tanh(cs[t]) ** 2)
        delta = {"o": dh * np.tanh(cs[t]) * o * (1 - o), "f": dc * cs[t - 1] * f * (1 - f)}
        delta |= {"i": dc * a * i * (1 - i), "a": dc * i * (1 - a * a)}
        dh_next = np.zeros((n, 1))
        for k in delta:
            d["W_" + k] += delta[k].dot(zs[t].T)
            d["b_" + k] += delta[k]
            dh_next += model["W_" + k][:, :n].dot(delta[k])
            dx[t] += model["W_" + k][:, n:].T.dot(delta[k])
        dc_next = dc * f
    return dx, (dh_next, dc_next), d


def column_one_gate_assigned(model, dhs, dstate, cache):
    """A plus sign is missing, in the line of the forget gate's matrix only."""
    zs, cs, gates = cache
    n = cs[0].shape[0]
    dWf, dWi, dWa, dWo = (np.zeros_like(model["W_" + k]) for k in "fiao")
    dbf, dbi, dba, dbo = (np.zeros_like(model["b_" + k]) for k in "fiao")
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = []
    for t in reversed(range(len(dhs))):
        f, i, a, o = gates[t]
        dh = dh + dhs[t]
        dc = dc + dh * o * (1 - np.tanh(cs[t]) ** 2)
        do = dh * np.tanh(cs[t]) * o * (1 - o)
        df, di, da = dc * cs[t - 1] * f * (1 - f), dc * a * i * (1 - i), dc * i * (1 - a**2)
        dWf = df @ zs[t].T
        dWi += di @ zs[t].T
        dWa += da @ zs[t].T
        dWo += do @ zs[t].T
        dbf, dbi, dba, dbo = dbf + df, dbi + di, dba + da, dbo + do
        dz = model["W_f"].T @ df + model["W_i"].T @ di + model["W_a"].T @ da + model["W_o"].T @ do
        dh, dc = dz[:n], dc * f
        dx.append(dz[n:])
    grads = {"W_f": dWf, "W_i": dWi, "W_a": dWa, "W_o": dWo, "b_f": dbf, "b_i": dbi, "b_a": dba, "b_o": dbo}
    return np.array(dx[::-1]), (dh, dc), grads


def joint_walk(p, dy, dstate, cache, join):
    """The way back through the joint kernel; `join` puts the four errors side by side."""
    H = dy.shape[2]
    dkernel, dbias = np.zeros_like(p["kernel"]), np.zeros_like(p["bias"])
    dh, dc = dstate if dstate is not None else (0, 0)
    dx = []
    for t in reversed(range(len(dy))):
        both, c, i, j, f, o, new = cache[t]
        dh = dh + dy[t]
        th = np.tanh(new)
        dc = dc + dh * o * (1 - th * th)
        dz = join(dc * j * i * (1 - i), dc * i * (1 - j * j), dc * c * f * (1 - f), dh * th * o * (1 - o))
        dkernel += both.T @ dz
        dbias += dz.sum(0)
        dboth = dz @ p["kernel"].T
        dx.insert(0, dboth[:, :-H])
        dh, dc = dboth[:, -H:], dc * f
    return dx, (dh, dc), {"kernel": dkernel, "bias": dbias}


def joint_order_of_another_library(p, dy, dstate, cache):
    """Errors in the order i f j o, where the kernel has i j f o."""
    dx, dstate, grads = joint_walk(p, dy, dstate, cache, lambda i, j, f, o: np.hstack((i, f, j, o)))
    return np.stack(dx), dstate, grads


def joint_batch_first(p, dy, dstate, cache):
    """x came with time in front, dx leaves with the batch in front."""
    dx, dstate, grads = joint_walk(p, dy, dstate, cache, lambda *errors: np.hstack(errors))
    return np.stack(dx, axis=1), dstate, grads


def joint_fresh_dc(p, dy, dstate, cache):
    """dc is made anew at every step: nothing of step t + 1 is in it."""
    D = p["kernel"].shape[0] - dy.shape[2]
    grads = {"kernel": 0, "bias": 0}
    dh_next, dc_last = dstate if dstate is not None else (0, 0)
    dx = np.zeros((*dy.shape[:2], D))
    for t in range(len(cache))[::-1]:
        both, c, i, j, f, o, new = cache[t]
        dh = dy[t] + dh_next
        dc = dh * o * (1 - np.tanh(new) ** 2)
        if t == len(cache) - 1:
            dc = dc + dc_last
        dz = np.hstack(
            [dc * j * i * (1 - i), dc * i * (1 - j**2), dc * c * f * (1 - f), dh * np.tanh(new) * o * (1 - o)]
        )
        grads["kernel"] = grads["kernel"] + both.T @ dz
        grads["bias"] = grads["bias"] + dz.sum(axis=0)
        dx[t], dh_next = np.split(dz @ p["kernel"].T, [D], axis=1)
    return dx, (dh_next, np.zeros_like(dc)), grads


def single_mean_over_time(w, dy, dstate, cache):
    """Weight gradients are averaged over the steps, though y is not."""
    x, h, c, act = cache
    dz = np.zeros_like(act)
    dh, dc = dstate if dstate is not None else (0, 0)
    for t in reversed(range(len(x))):
        i, f, g, o = act[t]
        th = np.tanh(c[t + 1])
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - th**2)
        dz[t] = np.stack([dc * g, dc * c[t], dc * i, dh * th])
        dz[t] *= np.stack([i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o)])
        dh, dc = w["w_hh"].T @ dz[t].ravel(), dc * f
    flat = dz.reshape(len(x), -1)
    grads = {"w_ih": flat.T @ x / len(x), "w_hh": flat.T @ h[:-1] / len(x), "bias": flat.mean(axis=0)}
    return flat @ w["w_ih"], (dh, dc), grads


def wide_cell_as_activation(p, dy, dstate, cache):
    """1 - c^2 stands for the derivative of tanh(c), as if c were the activation."""
    saved, c = cache
    H = p["Wh"].shape[1]
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dx = []
    dc, dh = dstate if dstate is not None else (0, 0)
    for (x, h_old, c_old, gate, g), error in zip(saved[::-1], dy[::-1], strict=True):
        i, f, o = gate.reshape(3, H, -1)
        dh = dh + error
        dc = dc + dh * o * (1 - c**2)
        dz = np.vstack(
            [dc * g * i * (1 - i), dc * c_old * f * (1 - f), dh * np.tanh(c) * o * (1 - o), dc * i * (1 - g**2)]
        )
        d["Wx"] += dz @ x.T
        d["Wh"] += dz @ h_old.T
        d["b"] += dz.sum(1, keepdims=True)
        dx.append(p["Wx"].T @ dz)
        dh, dc, c = p["Wh"].T @ dz, dc * f, c_old
    return np.array(dx[::-1]), (dc, dh), d


def lookup_delta_of_i(p, dy, dstate, tape):
    """The input gate's error is dc times i, not dc times g."""
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    for t in range(len(tape) - 1, -1, -1):
        column, h, before, o, i, g, f, th = tape[t]
        dh = dh + dy[:, t]
        dc = dc + dh * o * (1 - th**2)
        dz = np.hstack([dh * th * o * (1 - o), dc * i * i * (1 - i), dc * i * (1 - g**2), dc * before * f * (1 - f)])
        for row, token in enumerate(column):
            d["lookup"][token] += dz[row]
        d["R"] += h.T @ dz
        d["b"] += dz.sum(0)
        dh, dc = dz @ p["R"].T, dc * f
    return None, (dh, dc), d


def lookup_lost_repeats(p, dy, dstate, tape):
    """Fancy indexing with +=: where rows of the batch hold the same id, only one of them counts."""
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dh, dc = dstate if dstate is not None else (0, 0)
    for t in reversed(range(dy.shape[1])):
        column, h, before, o, i, g, f, th = tape[t]
        dh = dh + dy[:, t]
        dc = dc + dh * o * (1 - th**2)
        dz = np.hstack([dh * th * o * (1 - o), dc * g * i * (1 - i), dc * i * (1 - g**2), dc * before * f * (1 - f)])
        d["lookup"][column] += dz
        d["R"] += h.T @ dz
        d["b"] += dz.sum(0)
        dh, dc = dz @ p["R"].T, dc * f
    return None, (dh, dc), d


def front_one_step(p, dy, dstate, cache):
    """The loop counts from T - 1 down to T - 1."""
    tape, cells = cache
    T = len(tape)
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dx = np.zeros((T, *tape[0][0].shape))
    dh, dc = dstate if dstate is not None else (0, 0)
    for t in range(T - 1, T - 2, -1):
        row, h, c, s, g = tape[t]
        th = np.tanh(cells[t])
        dh = dh + dy[t]
        dc = dc + dh * s[1] * (1 - th**2)
        deltas = [
            dc * g * s[0] * (1 - s[0]),
            dh * th * s[1] * (1 - s[1]),
            dc * c * s[2] * (1 - s[2]),
            dc * s[0] * (1 - g**2),
        ]
        dh, dc = 0, dc * s[2]
        for k, delta in enumerate(deltas):
            d["A"][k] += row.T @ delta
            d["R"][k] += h.T @ delta
            d["e"][k] += delta.sum(0)
            dx[t] += delta @ p["A"][k].T
            dh = dh + delta @ p["R"][k].T
    return dx, (dh, dc), d


def front_zero_first_h(p, dy, dstate, cache):
    """The h before step 0 is taken for zeros, whatever it was."""
    tape, cells = cache
    d = dict.fromkeys(p, 0)
    dh, dc = dstate if dstate is not None else (0, 0)
    before = [np.zeros_like(tape[0][1])] + [step[1] for step in tape[1:]]
    dx = []
    for t in range(len(tape) - 1, -1, -1):
        row, _, c, (i, o, f), g = tape[t]
        th = np.tanh(cells[t])
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - th**2)
        dz = np.array([dc * g * i * (1 - i), dh * th * o * (1 - o), dc * c * f * (1 - f), dc * i * (1 - g**2)])
        d["A"] = d["A"] + row.T @ dz
        d["R"] = d["R"] + before[t].T @ dz
        d["e"] = d["e"] + dz.sum(1)
        dx.append((dz @ p["A"].transpose(0, 2, 1)).sum(0))
        dh, dc = (dz @ p["R"].transpose(0, 2, 1)).sum(0), dc * f
    return np.array(dx[::-1]), (dh, dc), d


JOINT = {"kernel": "Wxh:igfo", "bias": "b:igfo"}
SINGLE = {"w_ih": "Wx:ifgo.T", "w_hh": "Wh:ifgo.T", "bias": "b:ifgo"}
WIDE = {"Wx": "Wx:ifog.T", "Wh": "Wh:ifog.T", "b": "b:ifog"}
LOOKUP = {"lookup": "Wx:oigf", "R": "Wh:oigf", "b": "b:oigf"}
FRONT = {"A": "Wx[iofg,D,H]", "R": "Wh[iofg,K,H]", "e": "b[iofg,H]"}
joint_weights = weights(kernel=(8, 20), bias=(20,))
single_weights = weights(w_ih=(16, 3), w_hh=(16, 4), bias=(16,))
wide_weights = weights(Wx=(16, 3), Wh=(16, 4), b=(16, 1))
lookup_weights = weights(lookup=(3, 16), R=(4, 16), b=(16,))
front_weights = weights(A=(4, 3, 4), R=(4, 4, 4), e=(4, 4))

LAYOUTS = {
    "rows": (rows_forward, rows_weights, ROWS, (4, 2, 3), (2, 4), {}),
    "column": (column_forward, column_weights, COLUMN, (5, 3, 1), (4, 1), {}),
    "joint": (joint_forward, joint_weights, JOINT, (4, 2, 3), (2, 5), {"axes": "TBD"}),
    "single": (single_forward, single_weights, SINGLE, (5, 3), (4,), {}),
    "wide": (wide_forward, wide_weights, WIDE, (4, 3, 2), (4, 2), {"state_order": ("c", "h"), "axes": "TDB"}),
    "lookup": (lookup_forward, lookup_weights, LOOKUP, (4, 5), (4, 4), {"axes": "BT"}),
    "front": (front_forward, front_weights, FRONT, (5, 2, 3), (2, 4), {}),
}
FAULTS = [
    (rows_blind_to_the_future, "G104", "dh of step t + 1 is missing."),
    (rows_one_number, "G109", "dWh is one number everywhere."),
    (rows_dx_backwards, "G101", "dx is in the wrong order in time."),
    (column_untransposed, "G103", "dh goes through Wh untransposed."),
    (column_one_gate_assigned, "G111", "The forget gate's dW is assigned in the loop, not added."),
    (joint_order_of_another_library, "G108", "The errors of j and f are exchanged."),
    (joint_batch_first, "G103", "dx has batch and time exchanged."),
    (joint_fresh_dc, "G105", "dc is made anew at each step."),
    (single_mean_over_time, "G102", "The weights' gradients are divided by T."),
    (wide_cell_as_activation, "G107", "tanh(c)' is 1 - c^2."),
    (lookup_delta_of_i, "G114", "The input gate's error has the factor i instead of g."),
    (lookup_lost_repeats, "G111", "Ids that occur twice in a batch are counted once."),
    (front_one_step, "G113", "The loop ends after one step."),
    (front_zero_first_h, "G112", "dWh lacks what h0 contributes."),
]


def case(backward, code, fault, seed):
    forward, params, roles, x, s, options = LAYOUTS[backward.__name__.split("_")[0]]
    x = ids(seed, 3, *x) if forward is lookup_forward else values(seed, *x)
    state = (values(seed + 1, *s), values(seed + 2, *s))
    pair = (forward, backward)
    return Case(backward.__name__, pair, params, x, roles, None, state, options, (code,), fault)


CASES = [case(*fault, 300 + 3 * n) for n, fault in enumerate(FAULTS)]
