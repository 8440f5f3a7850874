"""Sick backward passes of a packed LSTM: x [B, T, D], blocks o f i g, and one slip at a time on the way back."""

from functools import partial

import numpy as np

from tests.ward.case import Case, sigmoid, values, weights


def forward(theta, x, state=None):
    """Blocks o f i g; everything the way back needs goes into arrays with time in front."""
    B, T, _ = x.shape
    n = theta["Wrec"].shape[0]
    hid, cel = (np.zeros((B, n)), np.zeros((B, n))) if state is None else state
    hids, cels, gates = [hid], [cel], []
    for t in range(T):
        pre = x[:, t] @ theta["Win"] + hid @ theta["Wrec"] + theta["bias"]
        o, f, i, g = (pre[:, k * n : (k + 1) * n] for k in range(4))
        o, f, i, g = sigmoid(o), sigmoid(f), sigmoid(i), np.tanh(g)
        cel = f * cel + i * g
        hid = o * np.tanh(cel)
        hids.append(hid)
        cels.append(cel)
        gates.append((o, f, i, g))
    return np.stack(hids[1:], 1), (hid, cel), (x, hids, cels, gates)


def backward(theta, dy, dstate, cache, slip):
    x, hids, cels, gates = cache
    T, n = x.shape[1], theta["Wrec"].shape[0]
    dWin, dWrec, dbias, dx = (
        np.zeros_like(theta["Win"]),
        np.zeros_like(theta["Wrec"]),
        np.zeros(4 * n),
        np.zeros(x.shape),
    )
    dh_next, dc_next = dstate if dstate is not None else (0, 0)
    for t in reversed(range(T)):
        o, f, i, g = gates[t]
        tc = np.tanh(cels[t + 1])
        dh = dy[:, t] + dh_next
        if slip == "dy of the last step" and t < T - 1:
            dh = dh_next
        if slip == "dy is one":
            dh = np.ones_like(tc) + dh_next
        dc = dh * o * (1 - tc**2) + dc_next
        if slip == "dc overwritten":
            dc = dh * o * (1 - tc**2)
        if slip == "square forgotten":
            dc = dh * o * (1 - tc) + dc_next
        do, df, di, dg = dh * tc, dc * cels[t], dc * g, dc * i
        if slip == "candidate gets dc":
            dg = dc
        if slip == "forget gate sees the new cell":
            df = dc * cels[t + 1]
        if slip == "i and f exchanged":
            di, df = df, di
        if slip == "no forget error at step 0" and t == 0:
            df = np.zeros_like(df)
        if slip == "sigmoid of the activation":
            do, df, di = (d * sigmoid(a) * (1 - sigmoid(a)) for d, a in ((do, o), (df, f), (di, i)))
        else:
            do, df, di = do * o * (1 - o), df * f * (1 - f), di * i * (1 - i)
        dg = dg * (1 - np.tanh(g) ** 2) if slip == "tanh of the activation" else dg * (1 - g**2)
        dz = np.hstack([do, df, di, dg])
        if slip == "blocks in another order":
            dz = np.hstack([di, df, do, dg])
        into_rec = hids[t].T @ dz
        if slip == "recurrent blocks transposed":
            into_rec = np.hstack([block.T for block in np.hsplit(into_rec, 4)])
        if slip == "elementwise":
            into_rec = np.hstack([(hids[t] * d).sum(0) for d in (do, df, di, dg)])
        if slip == "h of the same step":
            into_rec = hids[t + 1].T @ dz
        if slip == "step 0 left out" and t == 0:
            into_rec = 0
        if slip == "overwritten":
            dWin, dWrec, dbias = x[:, t].T @ dz, into_rec, dz.sum(0)
        else:
            dWin += x[:, t].T @ dz
            dWrec += into_rec
            dbias += dz.sum(0)
        dx[:, t] = dz @ theta["Win"].T
        dh_next = np.zeros_like(dh) if slip == "no dh" else dz @ theta["Wrec"].T
        dc_next = np.zeros_like(dc) if slip == "no dc" else dc * f
    grads = {"Win": dWin, "Wrec": dWrec, "bias": dbias}
    if slip == "minus":
        return -dx, (-dh_next, -dc_next), {k: -v for k, v in grads.items()}
    if slip == "mean over the batch":
        grads = {k: v / len(x) for k, v in grads.items()}
    if slip == "nothing for the first state":
        return dx, (np.zeros_like(hids[0]), np.zeros_like(cels[0])), grads
    return dx, (dh_next, dc_next), grads


ROLES = {"Win": "Wx:ofig", "Wrec": "Wh:ofig", "bias": "b:ofig"}
SLIPS = [
    ("packed_minus", "minus", "G102", "Every gradient has the wrong sign."),
    ("packed_mean_over_batch", "mean over the batch", "G102", "The weights' gradients are divided by the batch size."),
    ("packed_transposed_dWh", "recurrent blocks transposed", "G103", "dWh is transposed gate by gate."),
    ("packed_no_dh", "no dh", "G104", "dh of step t + 1 never reaches step t."),
    ("packed_no_dc", "no dc", "G105", "dc of step t + 1 never reaches step t."),
    ("packed_dc_overwritten", "dc overwritten", "G105", "dc from h overwrites dc from step t + 1."),
    ("packed_double_sigmoid", "sigmoid of the activation", "G107", "The sigmoid's derivative is fed activations."),
    ("packed_double_tanh", "tanh of the activation", "G107", "The candidate's derivative is fed the activation."),
    ("packed_exchanged_i_f", "i and f exchanged", "G108", "The errors of i and f are exchanged."),
    ("packed_other_order", "blocks in another order", "G108", "The errors are packed as i f o g, not as o f i g."),
    ("packed_elementwise_dWh", "elementwise", "G109", "dWh is an elementwise product, each row the same."),
    ("packed_dy_is_one", "dy is one", "G110", "A one stands where dy belongs."),
    ("packed_overwritten", "overwritten", "G111", "Weight gradients are assigned in the loop, not added."),
    ("packed_no_dstate", "nothing for the first state", "G112", "dh0 and dc0 are zeros."),
    ("packed_step_0_left_out", "step 0 left out", "G112", "dWh lacks what h0 contributes."),
    ("packed_no_df_at_0", "no forget error at step 0", "G112", "The forget gate's error is 0 at step 0."),
    ("packed_last_dy", "dy of the last step", "G113", "Only the last step's dy enters."),
    ("packed_candidate_dc", "candidate gets dc", "G114", "The candidate's error is dc without the factor i."),
    ("packed_df_new_cell", "forget gate sees the new cell", "G114", "The forget gate's error uses c, not c'."),
    ("packed_square_forgotten", "square forgotten", "G101", "1 - tanh(c) stands where 1 - tanh(c)^2 belongs."),
    ("packed_h_of_same_step", "h of the same step", "G101", "dWh pairs the errors with h of the same step."),
]
CASES = [
    Case(
        name,
        (forward, partial(backward, slip=slip)),
        weights(Win=(3, 16), Wrec=(4, 16), bias=(16,)),
        values(100 + n, 2, 5, 3),
        ROLES,
        state=(values(130 + n, 2, 4), values(160 + n, 2, 4)),
        codes=(code,),
        fault=fault,
    )
    for n, (name, slip, code, fault) in enumerate(SLIPS)
]
