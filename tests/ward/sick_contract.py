"""Code that breaks the contract: it changes what it was given, or remembers what it was given before."""

import numpy as np

from tests.ward.case import Case, ids, sigmoid, values
from tests.ward.healthy_layouts import (
    COLUMN,
    PACKED,
    ROWS,
    column_backward,
    column_forward,
    column_weights,
    packed_backward,
    packed_forward,
    packed_weights,
    rows_backward,
    rows_forward,
    rows_weights,
)
from tests.ward.healthy_outputs import CHAR, char_loss, char_weights


def adds_into_dy(P, dy, dstate, tape):
    """The error from step t + 1 is added into dy itself."""
    grads = {name: np.zeros_like(value) for name, value in P.items()}
    dx = np.zeros((*dy.shape[:2], P["Wxi"].shape[0]))
    dc = 0
    if dstate is not None:
        dy[-1] += dstate[0]
        dc = dstate[1]
    for t in reversed(range(len(dy))):
        xt, h, c, i, f, o, g, cell = tape[t]
        dc = dc + dy[t] * o * (1 - np.tanh(cell) ** 2)
        dz = {"i": dc * g * i * (1 - i), "f": dc * c * f * (1 - f), "g": dc * i * (1 - g**2)}
        dz["o"] = dy[t] * np.tanh(cell) * o * (1 - o)
        dh = np.zeros_like(h)
        for k in dz:
            grads["Wx" + k] += xt.T @ dz[k]
            grads["Wh" + k] += h.T @ dz[k]
            grads["b" + k] += dz[k].sum(0)
            dx[t] += dz[k] @ P["Wx" + k].T
            dh += dz[k] @ P["Wh" + k].T
        dc = dc * f
        if t > 0:
            dy[t - 1] += dh
    return dx, (dh, dc), grads


def pops_the_cache(params, dy, dstate, steps):
    """The list that came from the forward pass is emptied on the way back."""
    W, U = params["W"], params["U"]
    dW, dU, dbias, dx = 0, 0, 0, []
    dh, dc = (0, 0) if dstate is None else dstate
    while steps:
        s = steps.pop()
        dh = dh + dy[:, len(steps)]
        dc = dc + dh * s["o"] * (1 - s["th"] ** 2)
        dz = np.hstack(
            [
                dc * s["c"] * s["f"] * (1 - s["f"]),
                dc * s["i"] * (1 - s["g"] ** 2),
                dc * s["g"] * s["i"] * (1 - s["i"]),
                dh * s["th"] * s["o"] * (1 - s["o"]),
            ]
        )
        dW, dU, dbias = dW + s["x"].T @ dz, dU + s["h"].T @ dz, dbias + dz.sum(0)
        dx.append(dz @ W.T)
        dh, dc = dz @ U.T, dc * s["f"]
    grads = {"W": dW, "U": dU, "bias": dbias}
    return (np.stack(dx[::-1], 1) if dx else None), (dh, dc), grads


def writes_into_the_state(P, x, state=None):
    """h and c are updated where they are: in the arrays of the caller."""
    h, c = state if state is not None else (np.zeros((x.shape[1], 4)), np.zeros((x.shape[1], 4)))
    ys, tape = [], []
    for xt in x:
        old = h.copy(), c.copy()
        i, f, o = (sigmoid(xt @ P["Wx" + k] + h @ P["Wh" + k] + P["b" + k]) for k in "ifo")
        g = np.tanh(xt @ P["Wxg"] + h @ P["Whg"] + P["bg"])
        c[:] = f * c + i * g
        h[:] = o * np.tanh(c)
        tape.append((xt, *old, i, f, o, g, c.copy()))
        ys.append(h.copy())
    return np.stack(ys), (h, c), tape


def centres_the_input(model, xs, state=None):
    """The inputs are scaled to unit length, in place."""
    xs /= np.sqrt((xs**2).sum(axis=1, keepdims=True))
    return column_forward(model, xs, state)


def summing():
    """Gradients live outside of the functions, and nobody sets them back to zero."""
    total = {}

    def backward(P, dy, dstate, tape):
        dx, before, grads = rows_backward(P, dy, dstate, tape)
        for k, v in grads.items():
            total[k] = total.get(k, 0) + v
        return dx, before, dict(total)

    return rows_forward, backward


def carrying():
    """Without a state the code goes on where the last call ended."""
    memory = {}

    def forward(params, x, state=None):
        if state is None:
            state = memory.get("state")
        y, memory["state"], cache = packed_forward(params, x, state)
        return y, memory["state"], cache

    return forward, packed_backward


def one_tape():
    """One list for all calls: a second pass forward spoils the cache of the first."""
    tape = []

    def forward(params, x, state=None):
        y, last, steps = packed_forward(params, x, state)
        tape[:] = steps
        return y, last, tape

    return forward, packed_backward


def dropping():
    """Units are dropped with the next numbers of a generator that belongs to the module."""
    dice = np.random.default_rng(0)

    def forward(P, x, state=None):
        y, last, tape = rows_forward(P, x, state)
        keep = (dice.random(y.shape) < 0.8) / 0.8
        return y * keep, last, (keep, tape)

    def backward(P, dy, dstate, cache):
        return rows_backward(P, dy * cache[0], dstate, cache[1])

    return forward, backward


def learning_loss(model, inputs, targets, state=None):
    """The weights are updated before the function returns."""
    loss, grads, state = char_loss(model, inputs, targets, state)
    for k in model:
        model[k] -= 0.1 * grads[k]
    return loss, grads, state


def clipped_cache(model, dhs, dstate, cache):
    """Stored activations are kept away from 0 and 1, in place, before they are used."""
    for gates in cache[2].values():
        for a in gates:
            np.clip(a, -0.6, 0.6, out=a)
    return column_backward(model, dhs, dstate, cache)


TWO_FOUR = (values(401, 2, 4), values(402, 2, 4))
COLUMNS = (values(403, 4, 1), values(404, 4, 1))
FIVES = (values(405, 3, 5), values(406, 3, 5))
ROWS_X, PACKED_X, COLUMN_X = values(407, 4, 2, 3), values(408, 3, 4, 3), values(409, 5, 3, 1)
X, Y = ids(410, 5, 6), ids(411, 5, 6)


def rows(name, functions, fault, codes=("C301",)):
    return Case(name, functions, rows_weights, ROWS_X, ROWS, None, TWO_FOUR, codes=codes, fault=fault)


def packed(name, functions, fault, state=FIVES):
    return Case(name, functions, packed_weights, PACKED_X, PACKED, None, state, codes=("C301",), fault=fault)


def column(name, functions, fault, codes=("C301",)):
    return Case(name, functions, column_weights, COLUMN_X, COLUMN, None, COLUMNS, codes=codes, fault=fault)


CASES = [
    rows("contract_dy", (rows_forward, adds_into_dy), "backward adds into dy."),
    packed("contract_cache_popped", (packed_forward, pops_the_cache), "backward empties its cache."),
    rows("contract_state", (writes_into_the_state, rows_backward), "forward writes into the state it was given."),
    column("contract_x", (centres_the_input, column_backward), "forward scales x in place.", ("C301", "G101", "F200")),
    rows("contract_sums_up", summing, "Gradients add up from call to call."),
    packed("contract_carries_state", carrying, "Without a state, the last call's is used.", None),
    packed("contract_one_tape", one_tape, "All calls share one cache."),
    rows("contract_random", dropping, "Each call draws other random numbers.", ("C301", "F200")),
    Case(
        "contract_learns",
        (learning_loss,),
        char_weights,
        X,
        CHAR,
        Y,
        COLUMNS,
        codes=("C301",),
        fault="It updates its weights.",
    ),
    column("contract_cache_clipped", (column_forward, clipped_cache), "backward changes its cache.", ("C301", "G101")),
]
