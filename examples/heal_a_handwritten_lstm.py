"""Heal a peephole LSTM that was written by hand, one finding at a time, until it trains.

Its forward pass is right. Its backward pass has the mistakes of a real one whose loss would not fall, each beside the
line that mends it.
"""

import argparse
from functools import partial
from textwrap import fill

import numpy as np

from minidl.checking import check_functions

H = 6
ROLES = {f"{letter}{k}": f"{letter}_{k}" for letter in ("Wx", "Wh", "b", "p") for k in "ifog" if letter + k != "pg"}
CHANGED = {
    "G104": "dh = dy[t]  ->  dh = dy[t] + dh_next",
    "G105": "dc = dh * o * ...  ->  dc = dc_next + dh * o * ...",
    "G106": "the cell gets dz_o * p_o, dz_i * p_i and dz_f * p_f as well",
    "G107": "z * (1 - z) of the pre-activation  ->  a * (1 - a) of the activation",
    "G109": "dWh = dz * h, a vector  ->  dWh = outer(h, dz)",
    "G110": "the error is 1  ->  the error is dy[t]",
}


def sigmoid(z):
    return 0.5 * np.tanh(0.5 * z) + 0.5


def forward(P, x, state):
    """x [T, D], one sequence; h and c are vectors."""
    h, c = (np.zeros(H), np.zeros(H)) if state is None else state
    hs, steps = [], []
    for x_t in x:
        z = {k: x_t @ P["Wx" + k] + h @ P["Wh" + k] + P["b" + k] for k in "ifog"}
        h_, c_, z["i"], z["f"] = h, c, z["i"] + c * P["pi"], z["f"] + c * P["pf"]
        i, f, g = sigmoid(z["i"]), sigmoid(z["f"]), np.tanh(z["g"])
        c = f * c_ + i * g
        z["o"] = z["o"] + c * P["po"]
        o = sigmoid(z["o"])
        h = o * np.tanh(c)
        hs.append(h)
        steps.append((x_t, h_, c_, z, i, f, o, g, c))
    return np.array(hs), (h, c), steps


def backward(P, dy, dstate, steps, mended):
    dh_next, dc_next = (np.zeros(H), np.zeros(H)) if dstate is None else dstate
    dx, grads = [None] * len(steps), {name: np.zeros_like(value) for name, value in P.items()}
    for t in reversed(range(len(steps))):
        x_t, h_, c_, z, i, f, o, g, c = steps[t]
        error = dy[t] if "G110" in mended else np.ones(H)
        dh = error + dh_next if "G104" in mended else error
        slope = {k: a * (1 - a) for k, a in (("i", i), ("f", f), ("o", o))}
        slope = slope if "G107" in mended else {k: z[k] * (1 - z[k]) for k in "ifo"}
        dz = {"o": dh * np.tanh(c) * slope["o"]}
        dc = dh * o * (1 - np.tanh(c) ** 2) + (dc_next if "G105" in mended else 0)
        dc = dc + dz["o"] * P["po"] if "G106" in mended else dc
        dz |= {"i": dc * g * slope["i"], "f": dc * c_ * slope["f"], "g": dc * i * (1 - g**2)}
        for k in "ifog":
            grads["Wx" + k] += np.outer(x_t, dz[k])
            grads["Wh" + k] += np.outer(h_, dz[k]) if "G109" in mended else h_ * dz[k]
            grads["b" + k] += dz[k]
        for k, seen in ("i", c_), ("f", c_), ("o", c):
            grads["p" + k] += seen * dz[k]
        dx[t] = sum(P["Wx" + k] @ dz[k] for k in "ifog")
        dh_next = sum(P["Wh" + k] @ dz[k] for k in "ifog")
        dc_next = dc * f + (dz["i"] * P["pi"] + dz["f"] * P["pf"] if "G106" in mended else 0)
    return np.array(dx), (dh_next, dc_next), grads


def train(P, mended, steps):
    """The first cell is to say what x was two steps before; returns the mean squared error of the last steps."""
    rng, losses = np.random.default_rng(1), []
    for _ in range(steps):
        x = rng.uniform(-0.8, 0.8, (12, 1))
        y, _, cache = forward(P, x, None)
        dy = np.zeros_like(y)
        dy[2:, 0] = y[2:, 0] - x[:-2, 0]
        losses.append((dy**2).sum() / 10)
        grads = backward(P, dy, None, cache, mended)[2]
        P = {name: value - 0.1 * np.clip(grads[name], -6, 6) for name, value in P.items()}
    return np.mean(losses[-50:])


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--smoke", action="store_true", help="train little, and begin with half of the mistakes mended")
steps, mended = (200, {"G104", "G109", "G110"}) if parser.parse_args().smoke else (4000, set())
rng = np.random.default_rng(0)
params = {name: rng.normal(0, 0.5, {"x": (1, H), "h": (H, H)}.get(name[1], H)) for name in ROLES}
x, state = rng.normal(size=(5, 1)), (np.ones(H), np.ones(H))
print(f"sick: after {steps} steps the error is {train(params, mended, steps):.4f} (always saying 0 has 0.21)\n")
while findings := check_functions(forward, partial(backward, mended=mended), params, x, state, ROLES).findings:
    code, _, title, *_ = findings[0]
    print(fill(f"{code}  {title}", 80, subsequent_indent=" " * 6))
    print(f"      changed: {CHANGED[code]}")
    mended = mended | {code}
print(f"\nhealthy: after {steps} steps the error is {train(params, mended, steps):.4f}")
