"""The two whole patients, with all their faults at once: the outputs that turn NaN, and the loss that climbs."""

import numpy as np

from tests.ward.case import Case, ids, values, weights

# ---- a peephole LSTM whose output turns NaN ----


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def d_sigmoid(x):
    return x * (1.0 - x)


def d_tanh(x):
    return 1.0 - x**2


def peephole_forward(p, x, state=None):
    """Input, forget and output gate and the carousel; one sample [T, D], weights of the step in W[gate, t]."""
    n_cell = p["b"].shape[2]
    if state is None:
        state = np.zeros(n_cell), np.zeros(n_cell)
    net_in, net_forget, net_out, net_cell = {}, {}, {}, {}
    y_in, y_forget, y_out, g = {}, {}, {}, {}
    y_cell, s = {-1: state[0]}, {-1: state[1]}
    for t in range(len(x)):
        W, R, b = p["W"][:, t], p["R"][:, t], p["b"][:, t]
        net_in[t] = np.dot(W[0], x[t]) + np.dot(R[0], y_cell[t - 1]) + np.dot(p["P_in"], s[t - 1]) + b[0]
        net_forget[t] = np.dot(W[1], x[t]) + np.dot(R[1], y_cell[t - 1]) + np.dot(p["P_forget"], s[t - 1]) + b[1]
        net_cell[t] = np.dot(W[3], x[t]) + np.dot(R[3], y_cell[t - 1]) + b[3]
        y_in[t] = sigmoid(net_in[t])
        y_forget[t] = sigmoid(net_forget[t])
        g[t] = np.tanh(net_cell[t])
        s[t] = y_forget[t] * s[t - 1] + y_in[t] * g[t]
        net_out[t] = np.dot(W[2], x[t]) + np.dot(R[2], y_cell[t - 1]) + np.dot(p["P_out"], s[t]) + b[2]
        y_out[t] = sigmoid(net_out[t])
        y_cell[t] = y_out[t] * np.tanh(s[t])
    last = len(x) - 1
    cache = x, net_in, net_forget, y_in, y_out, g, s, y_cell
    return np.array([y_cell[t] for t in range(len(x))]), (y_cell[last], s[last]), cache


def peephole_backward(p, dy, dstate, cache):
    """One error for all, and each step for itself."""
    x, net_in, net_forget, y_in, y_out, g, s, y_cell = cache
    dW, dR, db = np.zeros_like(p["W"]), np.zeros_like(p["R"]), np.zeros_like(p["b"])
    dP_in, dP_forget, dP_out = np.zeros_like(p["P_in"]), np.zeros_like(p["P_forget"]), np.zeros_like(p["P_out"])
    for t in range(len(x)):
        error = 1.0
        delta_out = error * np.tanh(s[t]) * d_sigmoid(y_out[t])
        delta_s = error * y_out[t] * d_tanh(np.tanh(s[t]))
        delta_in = delta_s * g[t] * d_sigmoid(net_in[t])
        delta_forget = delta_s * s[t - 1] * d_sigmoid(net_forget[t])
        delta_cell = delta_s * y_in[t] * d_tanh(g[t])
        for k, delta in enumerate((delta_in, delta_forget, delta_out, delta_cell)):
            dW[k, t] = np.outer(delta, x[t])
            dR[k, t] = np.dot(delta, y_cell[t - 1])
            db[k, t] = delta
        dP_in += np.dot(delta_in, s[t - 1])
        dP_forget += np.dot(delta_forget, s[t - 1])
        dP_out += np.dot(delta_out, s[t])
    return None, None, {"W": dW, "R": dR, "b": db, "P_in": dP_in, "P_forget": dP_forget, "P_out": dP_out}


# ---- a character model whose loss climbs ----


def dsigmoid(z):
    return sigmoid(z) * (1 - sigmoid(z))


def dtanh(z):
    return 1 - np.tanh(z) ** 2


def lstm_step(params, x, h_prev, c_prev):
    """One step for one character."""
    hx = np.vstack((h_prev, x))
    hf = sigmoid(params["Wf"] @ hx + params["bf"])
    hi = sigmoid(params["Wi"] @ hx + params["bi"])
    ho = sigmoid(params["Wo"] @ hx + params["bo"])
    hc = np.tanh(params["Wc"] @ hx + params["bc"])
    c = hf * c_prev + hi * hc
    h = ho * np.tanh(c)
    return h, c, params["Wy"] @ h + params["by"], (hx, c_prev, hf, hi, ho, hc, c, h)


def lstm_step_back(params, dscore, dh_next, dc_next, cache, grads):
    """One step back."""
    hx, c_prev, hf, hi, ho, hc, c, h = cache
    n = len(h)
    grads["Wy"] += dscore @ h.T
    grads["by"] += dscore
    dh = params["Wy"].T @ dscore + dh_next
    dho = dsigmoid(ho) * np.tanh(c) * dh
    dc = ho * dh * dtanh(c) + dc_next
    dhf = dsigmoid(hf) * c_prev * dc
    dhi = dsigmoid(hi) * hc * dc
    dhc = dtanh(hc) * hi * dc
    grads["Wf"] += dhf @ hx.T
    grads["bf"] += dhf
    grads["Wi"] += dhi @ hx.T
    grads["bi"] += dhi
    grads["Wo"] += dho @ hx.T
    grads["bo"] += dho
    grads["Wc"] += dc @ hx.T
    grads["bc"] += dc
    dhx = params["Wf"].T @ dhf + params["Wi"].T @ dhi + params["Wo"].T @ dho + params["Wc"].T @ dhc
    return dhx[:n], hf * dc


def window_loss(params, inputs, targets, state=None):
    """Loss and gradients of a window of text, and what the next window starts from."""
    size, vocabulary = params["bf"].shape[0], params["by"].shape[0]
    h, c = state if state is not None else (np.zeros((size, 1)), np.zeros((size, 1)))
    loss, caches, probabilities = 0, [], []
    for t in range(len(inputs)):
        x = np.zeros((vocabulary, 1))
        x[t] = 1
        h, c, score, cache = lstm_step(params, x, c, h)
        p = np.exp(score) / np.sum(np.exp(score))
        loss += -np.log(p[targets[t], 0])
        probabilities.append(p)
        caches.append(cache)
    grads = {k: np.zeros_like(v) for k, v in params.items()}
    dh, dc = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(len(inputs))):
        dscore = np.copy(probabilities[t])
        dscore[targets[t]] -= 1
        dh, dc = lstm_step_back(params, dscore, dh, dc, caches[t], grads)
    for k in grads:
        grads[k] = np.clip(grads[k], -6, 6)
    return loss, grads, (dh, dc)


PEEPHOLE = {"W": "Wx[ifog,T,H,D]", "R": "Wh[ifog,T,H,K]", "b": "b[ifog,T,H]"}
PEEPHOLE |= {"P_in": "p_i.T", "P_forget": "p_f.T", "P_out": "p_o.T"}
peephole_weights = weights(
    W=(4, 5, 4, 3), R=(4, 5, 4, 4), b=(4, 5, 4), P_in=(4, 4), P_forget=(4, 4), P_out=(4, 4), scale=0.6
)
WINDOW = {f"W{k}": f"Whx_{'g' if k == 'c' else k}.T" for k in "fioc"} | {
    f"b{k}": f"b_{'g' if k == 'c' else k}" for k in "fioc"
}
WINDOW |= {"Wy": "W.T", "by": "b"}
window_weights = weights(
    **{f"W{k}": (5, 13) for k in "fioc"}, **{f"b{k}": (5, 1) for k in "fioc"}, Wy=(8, 5), by=(8, 1)
)
CASES = [
    Case(
        "whole_peephole_nan",
        (peephole_forward, peephole_backward),
        peephole_weights,
        values(800, 5, 3),
        PEEPHOLE,
        state=(values(801, 4), values(802, 4)),
        codes=("F203", "G110", "G109", "G104", "G105", "G106", "G107"),
        fault="Weights per step, error 1, inner products, nothing of t + 1, no peephole terms, derivatives mixed up.",
        whole=True,
    ),
    Case(
        "whole_char_lm",
        (window_loss,),
        window_weights,
        ids(803, 8, 6),
        WINDOW,
        ids(804, 8, 6),
        (values(805, 5, 1), values(806, 5, 1)),
        codes=("F201", "F200", "G107", "G114"),
        fault="Positions for ids, h and c exchanged, derivatives fed activations, dc for dg, gradients as state.",
        whole=True,
    ),
]
