"""Sick backward passes where something stands on the LSTM: a second layer, scores, probabilities."""

import numpy as np

from tests.ward.case import Case, values
from tests.ward.healthy_layouts import PACKED, ROWS, packed_backward, rows_backward
from tests.ward.healthy_outputs import (
    LOGITS,
    STACK,
    STACK_STATE,
    logits_backward,
    logits_forward,
    logits_weights,
    probabilities_forward,
    stack_forward,
    stack_weights,
)


def upper_layer_each_step_for_itself(P, dy, dstate, cache):
    """The layers' ways back are written twice, and in the upper one a line is missing: the one with dh."""
    low, high = ({k: P[k + n] for k in PACKED} for n in "12")
    below, above = cache
    dW, dU, db = 0, 0, 0
    dmiddle = np.zeros((*dy.shape[:2], low["U"].shape[0]))
    dh_last, dc = dstate[2:] if dstate is not None else (0, 0)
    for t in reversed(range(len(above))):
        s = above[t]
        dh = dy[:, t] + dh_last if t == len(above) - 1 else dy[:, t]
        do = dh * s["th"]
        dc = dc + dh * s["o"] * (1 - s["th"] ** 2)
        dz = np.hstack(
            [
                dc * s["c"] * s["f"] * (1 - s["f"]),
                dc * s["i"] * (1 - s["g"] ** 2),
                dc * s["g"] * s["i"] * (1 - s["i"]),
                do * s["o"] * (1 - s["o"]),
            ]
        )
        dW, dU, db = dW + s["x"].T @ dz, dU + s["h"].T @ dz, db + dz.sum(0)
        dmiddle[:, t] = dz @ high["W"].T
        dc = dc * s["f"]
    dx, first, grads = packed_backward(low, dmiddle, None if dstate is None else dstate[:2], below)
    grads = {k + "1": v for k, v in grads.items()}
    return dx, (*first, dz @ high["U"].T, dc), {**grads, "W2": dW, "U2": dU, "bias2": db}


def lower_layer_averaged(P, dy, dstate, cache):
    """The upper layer's weight gradients are sums over the batch, the lower layer's are means."""
    low, high = ({k: P[k + n] for k in PACKED} for n in "12")
    dmiddle, above, grads2 = packed_backward(high, dy, None if dstate is None else dstate[2:], cache[1])
    dx, below, grads1 = packed_backward(low, dmiddle, None if dstate is None else dstate[:2], cache[0])
    grads = {k + "1": v / len(dy) for k, v in grads1.items()}
    return dx, (*below, *above), grads | {k + "2": v for k, v in grads2.items()}


def diagonal_of_the_jacobian(P, dy, dstate, cache):
    """Softmax treated as if each probability hung on its own score only."""
    probabilities, below = cache
    return logits_backward(P, dy * probabilities * (1 - probabilities), dstate, below)


def scores_of_step_0(P, dscores, dstate, cache):
    """The output layer's gradient is assigned in the loop, so that step 0 is all that is left."""
    hs, tape = cache
    grads, dhs = {}, np.zeros(hs.shape)
    for t in reversed(range(len(hs))):
        grads["Why"] = hs[t].T @ dscores[t]
        grads["by"] = dscores[t].sum(axis=0)
        dhs[t] = dscores[t] @ P["Why"].T
    dx, before, below = rows_backward({k: P[k] for k in ROWS}, dhs, dstate, tape)
    return dx, before, below | grads


TWO = (values(850, 2, 4), values(851, 2, 4))
STACKED, SCORED = values(852, 2, 5, 3), values(853, 5, 2, 3)


def stack(name, backward, code, fault):
    """A case with two layers."""
    pair = (stack_forward, backward)
    return Case(name, pair, stack_weights, STACKED, STACK, None, STACK_STATE, codes=(code,), fault=fault)


def scored(name, forward, backward, code, fault):
    """A case with an output layer."""
    return Case(name, (forward, backward), logits_weights, SCORED, LOGITS, None, TWO, codes=(code,), fault=fault)


CASES = [
    stack("stack_no_dh_above", upper_layer_each_step_for_itself, "G104", "The upper layer lacks dh of step t + 1."),
    stack("stack_mean_below", lower_layer_averaged, "G102", "The lower layer's gradients are divided by B."),
    scored(
        "softmax_diagonal", probabilities_forward, diagonal_of_the_jacobian, "G101", "Softmax without its Jacobian."
    ),
    scored("scores_assigned", logits_forward, scores_of_step_0, "G111", "dW of the output layer is assigned."),
]
