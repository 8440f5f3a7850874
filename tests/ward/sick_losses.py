"""Sick code that returns a loss and its gradients: a character model with one slip at a time, and wrong errors."""

from functools import partial

import numpy as np

from tests.ward.case import Case, ids, per_gate, sigmoid, values, weights
from tests.ward.healthy_layouts import PACKED, ROWS, packed_backward, packed_forward, rows_backward, rows_forward
from tests.ward.healthy_outputs import CROSS, LOGITS, cross_weights, logits_backward, logits_forward, logits_weights


def characters(m, text, following, state, slip=None):
    """A character model on ids [T]: matrices for each gate written as W @ x, one-hot columns, the loss summed."""
    N, V = len(m["bi"]), len(m["bv"])
    h, c = state if state is not None else (np.zeros((N, 1)), np.zeros((N, 1)))
    loss, tape = 0.0, []
    for t, char in enumerate(text):
        x = np.eye(V)[:, [char]]
        seen_h, seen_c = (c, h) if slip in ("h and c exchanged", "exchanged, textbook") else (h, c)
        i = sigmoid(m["Wxi"] @ x + m["Whi"] @ seen_h + m["bi"])
        f = sigmoid(m["Wxf"] @ x + m["Whf"] @ seen_h + m["bf"])
        o = sigmoid(m["Wxo"] @ x + m["Who"] @ seen_h + m["bo"])
        g = np.tanh(m["Wxg"] @ x + m["Whg"] @ seen_h + m["bg"])
        c = f * seen_c + i * g
        h = o * np.tanh(c)
        score = m["Wv"] @ h + m["bv"]
        p = np.exp(score - score.max()) / np.exp(score - score.max()).sum()
        loss -= np.log(p[following[t], 0])
        tape.append((x, seen_h, seen_c, i, f, o, g, c, h, p))
    grads = {k: np.zeros_like(v) for k, v in m.items()}
    dh_next, dc_next = np.zeros((N, 1)), np.zeros((N, 1))
    for t in reversed(range(len(text))):
        x, seen_h, seen_c, i, f, o, g, new, out, p = tape[t]
        error = p.copy()
        if slip != "target forgotten":
            error[following[t]] -= 1
        if slip == "last step only" and t < len(text) - 1:
            error = np.zeros_like(p)
        if slip == "output weights assigned":
            grads["Wv"], grads["bv"] = error @ out.T, error
        else:
            grads["Wv"] += error @ out.T
            grads["bv"] += error
        dh = m["Wv"].T @ error + dh_next
        if slip == "error is one":
            dh = np.ones_like(out) + dh_next
        th = np.tanh(new)
        dc = dh * o * (1 - th**2) + dc_next
        if slip == "dc overwritten":
            dc = dh * o * (1 - th**2)
        d = {
            "i": dc * g * i * (1 - i),
            "f": dc * seen_c * f * (1 - f),
            "o": dh * th * o * (1 - o),
            "g": dc * i * (1 - g**2),
        }
        if slip == "candidate gets dc":
            d["g"] = dc * (1 - g**2)
        if slip == "double sigmoid":
            d |= {k: d[k] / (a * (1 - a)) * sigmoid(a) * (1 - sigmoid(a)) for k, a in (("i", i), ("f", f), ("o", o))}
        if slip == "exchanged gates":
            d["i"], d["o"] = d["o"], d["i"]
        for k in "ifog":
            grads["Wx" + k] += d[k] @ x.T
            grads["Wh" + k] += d[k] @ seen_h.T
            grads["b" + k] += d[k]
        dh_next, dc_next = sum(m["Wh" + k].T @ d[k] for k in "ifog"), dc * f
        if slip == "no dh":
            dh_next = np.zeros_like(dh_next)
        if slip == "h and c exchanged":
            dh_next, dc_next = dc_next, dh_next
    return loss, grads, (h, c)


def error_upside_down(P, x, target, state=None):
    """Target minus output, where output minus target belongs."""
    y, state, tape = rows_forward(P, x, state)
    _, _, grads = rows_backward(P, target - y, None, tape)
    return 0.5 * ((y - target) ** 2).sum(), grads, state


def target_left_out(P, x, target, state=None):
    """The output itself goes back, not its distance from the target."""
    out, state, cache = logits_forward(P, x, state)
    _, _, grads = logits_backward(P, 2 * out, None, cache)
    return ((out - target) ** 2).sum(), grads, state


def mean_and_sum(P, x, labels, state=None):
    """The loss is the mean over all labels, its gradient that of the sum."""
    body = {k: P[k] for k in PACKED}
    y, state, tape = packed_forward(body, x, state)
    scores = y @ P["out_w"] + P["out_b"]
    e = np.exp(scores - scores.max(-1, keepdims=True))
    prob = e / e.sum(-1, keepdims=True)
    hot = np.eye(prob.shape[-1])[labels]
    loss = -(hot * np.log(prob)).sum() / labels.size
    error = prob - hot
    _, _, grads = packed_backward(body, error @ P["out_w"].T, None, tape)
    grads["out_w"] = np.einsum("bth,btv->hv", y, error)
    grads["out_b"] = error.sum((0, 1))
    return loss, grads, state


def half_forgotten(P, x, target, state=None):
    """The loss has no half, the gradient has."""
    y, state, tape = packed_forward(P, x, state)
    _, _, grads = packed_backward(P, y - target, None, tape)
    return np.sum((y - target) ** 2), grads, state


def squares_of_bare_cells(P, x, target, state=None):
    """h = o c, gradients and all, one row of a batch after the other; the mean of squares."""
    h, c = state if state is not None else (np.zeros((x.shape[1], 4)),) * 2
    tape, loss, grads = [], 0, dict.fromkeys(P, 0)
    for t, xt in enumerate(x):
        i, f, o = (sigmoid(xt @ P["Wx" + k] + h @ P["Wh" + k] + P["b" + k]) for k in "ifo")
        g = np.tanh(xt @ P["Wxg"] + h @ P["Whg"] + P["bg"])
        tape.append((xt, h, c, i, f, o, g))
        c = f * c + i * g
        h = o * c
        loss = loss + ((h - target[t]) ** 2).sum() / target.size
    last, new, dh, dc = (h, c), c, 0, 0
    for t in reversed(range(len(x))):
        xt, h, c, i, f, o, g = tape[t]
        dh = dh + 2 * (o * new - target[t]) / target.size
        dc = dc + dh * o
        d = {
            "i": dc * g * i * (1 - i),
            "f": dc * c * f * (1 - f),
            "o": dh * new * o * (1 - o),
            "g": dc * i * (1 - g**2),
        }
        for k in d:
            grads["Wx" + k] = grads["Wx" + k] + xt.T @ d[k]
            grads["Wh" + k] = grads["Wh" + k] + h.T @ d[k]
            grads["b" + k] = grads["b" + k] + d[k].sum(0)
        dh, dc, new = sum(d[k] @ P["Wh" + k].T for k in d), dc * f, c
    return loss, grads, last


SLIPS = [
    ("chars_target_forgotten", "target forgotten", "G110", "p goes back, not p - onehot.", False),
    ("chars_error_is_one", "error is one", "G110", "The error entering the gates is the constant 1.", False),
    ("chars_last_step_only", "last step only", "G113", "Only the last character's error goes back.", False),
    ("chars_output_assigned", "output weights assigned", "G111", "The output layer's gradients are assigned.", False),
    ("chars_dc_overwritten", "dc overwritten", "G105", "dc from h overwrites dc from step t + 1.", False),
    ("chars_candidate_dc", "candidate gets dc", "G114", "The candidate's error is dc, without i.", False),
    ("chars_double_sigmoid", "double sigmoid", "G107", "The sigmoid's derivative is fed activations.", False),
    ("chars_exchanged_gates", "exchanged gates", "G108", "The errors of i and o are exchanged.", False),
    ("chars_no_dh", "no dh", "G104", "dh of step t + 1 never reaches step t.", False),
    ("chars_h_c_exchanged", "h and c exchanged", "F201", "Every step is handed c for h and h for c.", True),
    ("chars_h_c_exchanged_textbook", "exchanged, textbook", "F201", "The same, with the textbook's gradients.", False),
]
CHARS = {f"{w}{k}": f"{w}_{k}{'' if w == 'b' else '.T'}" for w in ("Wx", "Wh", "b") for k in "ifog"} | {
    "Wv": "W.T",
    "bv": "b",
}
chars_weights = weights(
    **{k: {"Wx": (5, 6), "Wh": (5, 5), "b": (5, 1)}[k[:-1]] for k in CHARS if k[-1] != "v"}, Wv=(6, 5), bv=(6, 1)
)
rows_weights = per_gate(Wx=(3, 4), Wh=(4, 4), b=(4,))
packed_weights = weights(W=(3, 20), U=(5, 20), bias=(20,))
COLUMNS = (values(700, 5, 1), values(701, 5, 1))
TWO, FIVES = (values(702, 2, 4), values(703, 2, 4)), (values(704, 3, 5), values(705, 3, 5))
ROWS_X, PACKED_X = values(706, 5, 2, 3), values(707, 3, 4, 3)
NEAR_ROWS, NEAR_PACKED = values(708, 5, 2, 4), values(709, 3, 4, 5)


def chars(name, slip, code, fault, sound, seed):
    """A character model with one slip."""
    text, following = ids(seed, 6, 6), ids(seed + 1, 6, 6)
    function = partial(characters, slip=slip)
    return Case(name, (function,), chars_weights, text, CHARS, following, COLUMNS, {}, (code,), fault, sound)


CASES = [
    *(chars(*slip, 720 + 2 * n) for n, slip in enumerate(SLIPS)),
    Case(
        "error_upside_down",
        (error_upside_down,),
        rows_weights,
        ROWS_X,
        ROWS,
        NEAR_ROWS,
        TWO,
        {},
        ("G102",),
        "The error's sign is wrong.",
    ),
    Case(
        "target_left_out",
        (target_left_out,),
        logits_weights,
        ROWS_X,
        LOGITS,
        values(710, 5, 2, 5),
        TWO,
        {},
        ("G110",),
        "The target is not in the error.",
    ),
    Case(
        "mean_and_sum",
        (mean_and_sum,),
        cross_weights,
        PACKED_X,
        CROSS,
        ids(711, 6, 3, 4),
        FIVES,
        {},
        ("G102",),
        "The loss is a mean, its gradients are a sum's.",
    ),
    Case(
        "half_forgotten",
        (half_forgotten,),
        packed_weights,
        PACKED_X,
        PACKED,
        NEAR_PACKED,
        FIVES,
        {},
        ("G102",),
        "Gradients of half the loss.",
    ),
    Case(
        "squares_of_bare_cells",
        (squares_of_bare_cells,),
        rows_weights,
        ROWS_X,
        ROWS,
        NEAR_ROWS,
        TWO,
        {},
        ("F204",),
        "h = o c.",
        True,
    ),
]
