"""Healthy LSTM code with something on top: an output layer, softmax, a second layer, and losses inside."""

import numpy as np

from tests.ward.case import Case, ids, sigmoid, values, weights
from tests.ward.healthy_layouts import (
    PACKED,
    ROWS,
    packed_backward,
    packed_forward,
    packed_weights,
    rows_backward,
    rows_forward,
    rows_weights,
)


def logits_forward(P, x, state=None):
    """Scores of V classes at each step."""
    hs, state, tape = rows_forward({k: P[k] for k in ROWS}, x, state)
    return hs @ P["Why"] + P["by"], state, (hs, tape)


def logits_backward(P, dscores, dstate, cache):
    hs, tape = cache
    dx, dstate, grads = rows_backward({k: P[k] for k in ROWS}, dscores @ P["Why"].T, dstate, tape)
    grads["Why"] = np.einsum("tbh,tbv->hv", hs, dscores)
    grads["by"] = dscores.sum(axis=(0, 1))
    return dx, dstate, grads


def probabilities_forward(P, x, state=None):
    """Probabilities of V classes at each step."""
    scores, state, cache = logits_forward(P, x, state)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities = e / e.sum(axis=-1, keepdims=True)
    return probabilities, state, (probabilities, cache)


def probabilities_backward(P, dy, dstate, cache):
    s, below = cache
    return logits_backward(P, s * (dy - (dy * s).sum(-1, keepdims=True)), dstate, below)


LOGITS = {**ROWS, "Why": "W", "by": "b"}
logits_weights = weights(
    **{k: (3, 4) if k[:2] == "Wx" else (4, 4) if k[:2] == "Wh" else (4,) for k in ROWS}, Why=(4, 5), by=(5,)
)


def stack_forward(P, x, state=None):
    """Two layers, the lower one feeds the upper one; x [B, T, D]."""
    low, high = ({k: P[k + n] for k in PACKED} for n in "12")
    h1, c1, h2, c2 = state if state is not None else (None,) * 4
    y1, (h1, c1), tape1 = packed_forward(low, x, None if h1 is None else (h1, c1))
    y2, (h2, c2), tape2 = packed_forward(high, y1, None if h2 is None else (h2, c2))
    return y2, (h1, c1, h2, c2), (tape1, tape2)


def stack_backward(P, dy, dstate, cache):
    low, high = ({k: P[k + n] for k in PACKED} for n in "12")
    dy1, above, grads2 = packed_backward(high, dy, None if dstate is None else dstate[2:], cache[1])
    dx, below, grads1 = packed_backward(low, dy1, None if dstate is None else dstate[:2], cache[0])
    return dx, (*below, *above), {**{k + "1": v for k, v in grads1.items()}, **{k + "2": v for k, v in grads2.items()}}


def char_loss(model, inputs, targets, state=None):
    """Characters in, loss and gradients out, the form of the well-known hundred lines: columns, one-hot, sums."""
    V, H = model["by"].size, model["bf"].size
    h, c = state if state is not None else (np.zeros((H, 1)), np.zeros((H, 1)))
    zs, gates, cells, hidden, probs = {}, {}, {-1: c}, {-1: h}, {}
    loss = 0
    for t in range(len(inputs)):
        one = np.zeros((V, 1))
        one[inputs[t]] = 1
        zs[t] = np.concatenate((hidden[t - 1], one))
        f, i, o = (sigmoid(np.dot(model["W" + k], zs[t]) + model["b" + k]) for k in "fio")
        g = np.tanh(np.dot(model["Wg"], zs[t]) + model["bg"])
        cells[t] = f * cells[t - 1] + i * g
        hidden[t] = o * np.tanh(cells[t])
        gates[t] = f, i, o, g
        score = np.dot(model["Wy"], hidden[t]) + model["by"]
        probs[t] = np.exp(score - np.max(score))
        probs[t] = probs[t] / np.sum(probs[t])
        loss = loss - np.log(probs[t][targets[t], 0])
    grads = {k: np.zeros_like(v) for k, v in model.items()}
    dhnext, dcnext = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(len(inputs))):
        f, i, o, g = gates[t]
        dscore = probs[t].copy()
        dscore[targets[t]] -= 1
        grads["Wy"] += np.dot(dscore, hidden[t].T)
        grads["by"] += dscore
        dh = np.dot(model["Wy"].T, dscore) + dhnext
        tanh_c = np.tanh(cells[t])
        dc = dcnext + dh * o * (1 - tanh_c**2)
        deltas = {
            "f": dc * cells[t - 1] * f * (1 - f),
            "i": dc * g * i * (1 - i),
            "o": dh * tanh_c * o * (1 - o),
            "g": dc * i * (1 - g**2),
        }
        dz = np.zeros_like(zs[t])
        for k, d in deltas.items():
            grads["W" + k] += np.dot(d, zs[t].T)
            grads["b" + k] += d
            dz = dz + np.dot(model["W" + k].T, d)
        dhnext, dcnext = dz[:H], f * dc
    n = len(inputs) - 1
    return loss, grads, (hidden[n], cells[n])


CHAR = {f"W{k}": f"Whx_{k}.T" for k in "fiog"} | {f"b{k}": f"b_{k}" for k in "fiog"} | {"Wy": "W.T", "by": "b"}
char_weights = weights(**{f"W{k}": (4, 9) for k in "fiog"}, **{f"b{k}": (4, 1) for k in "fiog"}, Wy=(5, 4), by=(5, 1))


def batch_cross_entropy(P, x, labels, state=None):
    """Softmax cross-entropy, the mean over all B * T labels."""
    body = {k: P[k] for k in PACKED}
    y, state, tape = packed_forward(body, x, state)
    logits = y @ P["out_w"] + P["out_b"]
    logits = logits - logits.max(-1, keepdims=True)
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    rows, steps = np.indices(labels.shape)
    dlogits = np.exp(logp)
    dlogits[rows, steps, labels] -= 1
    dlogits /= labels.size
    _, _, grads = packed_backward(body, dlogits @ P["out_w"].T, None, tape)
    grads["out_w"] = np.tensordot(y, dlogits, ((0, 1), (0, 1)))
    grads["out_b"] = dlogits.sum((0, 1))
    return -logp[rows, steps, labels].mean(), grads, state


def squared_error(P, x, target, state=None):
    """Half the sum of squares between the h of every step and a target."""
    y, state, tape = rows_forward(P, x, state)
    residual = y - target
    _, _, grads = rows_backward(P, residual, None, tape)
    return 0.5 * (residual**2).sum(), grads, state


def mean_squared_error(P, x, target, state=None):
    """The mean of squares of a linear read-out."""
    out, state, (hs, tape) = logits_forward(P, x, state)
    d = 2 * (out - target) / out.size
    _, _, grads = logits_backward(P, d, None, (hs, tape))
    return np.mean((out - target) ** 2), grads, state


def last_step_class(P, x, labels, state=None):
    """One label for a whole row: cross-entropy of the last step's scores, summed over the rows."""
    scores, state, cache = logits_forward(P, x, state)
    p = np.exp(scores[-1]) / np.exp(scores[-1]).sum(1, keepdims=True)
    rows = np.arange(len(labels))
    d = np.zeros_like(scores)
    d[-1] = p
    d[-1, rows, labels] -= 1
    _, _, grads = logits_backward(P, d, None, cache)
    return -np.log(p[rows, labels]).sum(), grads, state


def decayed_error(P, x, target, state=None):
    """The sum of squares and a weight decay term."""
    y, state, tape = packed_forward(P, x, state)
    _, _, grads = packed_backward(P, 2 * (y - target), None, tape)
    for k in grads:
        grads[k] = grads[k] + 0.02 * P[k]
    return ((y - target) ** 2).sum() + 0.01 * sum((w**2).sum() for w in P.values()), grads, state


CROSS = {**PACKED, "out_w": "W", "out_b": "b"}
cross_weights = weights(W=(3, 20), U=(5, 20), bias=(20,), out_w=(5, 6), out_b=(6,))
stack_weights = weights(W1=(3, 16), U1=(4, 16), bias1=(16,), W2=(4, 20), U2=(5, 20), bias2=(20,))
STACK = {k + n: f"{n}.{role}" for n in "12" for k, role in PACKED.items()}
STACK_STATE = (values(50, 2, 4), values(51, 2, 4), values(52, 2, 5), values(53, 2, 5))
ROWS_STATE = (values(54, 2, 4), values(55, 2, 4))
FIVES = (values(56, 3, 5), values(57, 3, 5))
CASES = [
    Case(
        "logits_on_top",
        (logits_forward, logits_backward),
        logits_weights,
        values(40, 4, 2, 3),
        LOGITS,
        state=ROWS_STATE,
    ),
    Case(
        "softmax_on_top",
        (probabilities_forward, probabilities_backward),
        logits_weights,
        values(41, 4, 2, 3),
        LOGITS,
        state=ROWS_STATE,
    ),
    Case("two_layers", (stack_forward, stack_backward), stack_weights, values(42, 2, 4, 3), STACK, state=STACK_STATE),
    Case("two_layers_no_state", (stack_forward, stack_backward), stack_weights, values(43, 2, 5, 3), STACK),
    Case(
        "char_loss",
        (char_loss,),
        char_weights,
        ids(44, 5, 6),
        CHAR,
        ids(45, 5, 6),
        (values(58, 4, 1), values(59, 4, 1)),
    ),
    Case("char_loss_no_state", (char_loss,), char_weights, ids(46, 5, 5), CHAR, ids(47, 5, 5)),
    Case(
        "batch_cross_entropy_mean",
        (batch_cross_entropy,),
        cross_weights,
        values(48, 3, 4, 3),
        CROSS,
        ids(49, 6, 3, 4),
        FIVES,
    ),
    Case(
        "squared_error_half", (squared_error,), rows_weights, values(60, 5, 2, 3), ROWS, values(61, 5, 2, 4), ROWS_STATE
    ),
    Case(
        "squared_error_mean",
        (mean_squared_error,),
        logits_weights,
        values(62, 5, 2, 3),
        LOGITS,
        values(63, 5, 2, 5),
        ROWS_STATE,
    ),
    Case(
        "last_step_class",
        (last_step_class,),
        logits_weights,
        values(64, 5, 2, 3),
        LOGITS,
        ids(65, 5, 2),
        tolerated=("F200",),
    ),
    Case(
        "weight_decay",
        (decayed_error,),
        packed_weights,
        values(66, 3, 4, 3),
        PACKED,
        values(67, 3, 4, 5),
        FIVES,
        tolerated=("F200",),
    ),
]
