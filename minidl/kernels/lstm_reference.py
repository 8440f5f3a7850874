"""The LSTM as the equations say it, one line each: what learners read, and what the fast kernel is tested against.

Arrays are batch-first here, steps are plain Python, and every quantity of every step is kept by its letter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl.inputs import Array


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow."""
    return 0.5 * np.tanh(0.5 * z) + 0.5


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dz of y = sigmoid(z)."""
    return dy * y * (1 - y)


class Gate(NamedTuple):
    """How a gate opens: a function of z, and its backward, which gets (dy, y)."""

    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]


SIGMOID = Gate(sigmoid, sigmoid_backward)


def look(p: Array | None, k: int, c: Array) -> Any:
    """What gate k (0 i, 1 f, 2 o) sees of the cell: c p_k, a weight per cell or a matrix; 0 without peepholes."""
    if p is None:
        return 0.0
    return c * p[k] if p.ndim == 2 else c @ p[k]


def look_back(p: Array | None, k: int, dz: Array) -> Any:
    """The gradient that gate k's peephole sends to the cell it looked at."""
    if p is None:
        return 0.0
    return dz * p[k] if p.ndim == 2 else dz @ p[k].T


def clip(c: Array, limit: float | None) -> tuple[Array, Any]:
    """(c within ±limit, where it was beyond); None for no limit."""
    if limit is None:
        return c, False
    beyond = abs(c.real) > limit
    return np.where(beyond, np.copysign(limit, c.real), c), beyond


class Step(NamedTuple):
    """All that one step computed; `h_` and `c_` are the state before it, `hr` is h_ after recurrent dropout."""

    t: int
    x: Array
    h_: Array
    hr: Array
    c_: Array
    i: Array
    f: Array
    o: Array
    g: Array
    c: Array
    clipped: Any
    tanh_c: Array
    real: Array


class ReferenceCache(NamedTuple):
    """What the backward pass needs: the steps in the order they ran, and what they ran with."""

    steps: list[Step]
    x: Array
    weights: tuple[Array, Array, Array | None]
    r: Array | None
    gate: Gate


def lstm_forward_reference(
    x: Array,
    h0: Array,
    c0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    p: Array | None = None,
    mask: Array | None = None,
    r: Array | None = None,
    go_backwards: bool = False,
    keep_cache: bool = True,
    gate: Gate = SIGMOID,
    cell_clip: float | None = None,
) -> tuple[Array, Array, Array, ReferenceCache | None]:
    """Run an LSTM over a sequence, step by step.

    Args:
        x: inputs [B, T, D]; h0, c0: the state before the first step [B, H].
        Wx, Wh, b: [D, 4H], [H, 4H], [4H], gate blocks i f o g.
        p: peepholes [3, H] or [3, H, H], rows i f o; None for none.
        mask: [B, T], True where a step is real (x is finite in the padding).
        r: [B, H], what recurrent dropout multiplies h' with.
        go_backwards: run from the last step to the first.
        keep_cache: whether the steps are kept for the backward pass.
        gate: what opens i, f and o; the sigmoid by default.
        cell_clip: the c of a step stays within ± that; None for no limit.

    Returns:
        (y [B, T, H], h [B, H], c [B, H], cache or None).
    """
    B, T, _ = x.shape
    H = len(Wh)
    block = [np.s_[:, k * H : (k + 1) * H] for k in range(4)]
    x = x.astype(np.result_type(x, h0, Wx), copy=False)
    y = np.zeros((B, T, H), x.dtype)
    h, c = h0, c0
    steps = []
    for t in reversed(range(T)) if go_backwards else range(T):
        real = np.ones((B, 1), bool) if mask is None else mask[:, t, None]
        x_t = x[:, t]
        h_, c_ = h, c
        hr = h_ if r is None else h_ * r
        z_i, z_f, z_o, z_g = ((x_t @ Wx + hr @ Wh + b)[s] for s in block)
        i = gate.forward(z_i + look(p, 0, c_))
        f = gate.forward(z_f + look(p, 1, c_))
        g = np.tanh(z_g)
        c, clipped = clip(f * c_ + i * g, cell_clip)
        o = gate.forward(z_o + look(p, 2, c))
        tanh_c = np.tanh(c)
        h = o * tanh_c
        if keep_cache:
            steps.append(Step(t, x_t, h_, hr, c_, i, f, o, g, c, clipped, tanh_c, real))
        y[:, t] = np.where(real, h, 0)
        h, c = np.where(real, h, h_), np.where(real, c, c_)
    return y, h, c, ReferenceCache(steps, x, (Wx, Wh, p), r, gate) if keep_cache else None


def lstm_backward_reference(
    dy: Array | None, dh: Array, dc: Array, cache: ReferenceCache, note: Callable[..., None] | None = None
) -> tuple[Array, Array, Array, dict[str, Array]]:
    """The gradients of `lstm_forward_reference`, step by step backwards.

    Args:
        dy: [B, T, H] or None; dh, dc: the gradient of the final state [B, H].
        cache: as the forward pass returned it.
        note: is called with (t, **what the step computed) for each step, in the order they run back; None for nobody.

    Returns:
        (dx [B, T, D], dh0 [B, H], dc0 [B, H], {"Wx": dWx, "Wh": dWh, "b": db, and with peepholes "p": dp}).
    """
    (Wx, Wh, p), r, gate = cache.weights, cache.r, cache.gate
    dtype = np.result_type(cache.x, dh)
    dx, dWx, dWh, db = (np.zeros(shape, dtype) for shape in (cache.x.shape, Wx.shape, Wh.shape, Wx.shape[1:]))
    dp = None if p is None else np.zeros(p.shape, dtype)
    for t, x, _, hr, c_, i, f, o, g, c, clipped, tanh_c, real in reversed(cache.steps):
        dh_keep, dc_keep = np.where(real, 0, dh), np.where(real, 0, dc)  # a step that is padding hands on
        dh, dc = np.where(real, dh, 0), np.where(real, dc, 0)
        if dy is not None:
            dh = dh + np.where(real, dy[:, t], 0)
        do = dh * tanh_c
        dz_o = gate.backward(do, o)
        dc = dc + dh * o * (1 - tanh_c * tanh_c) + look_back(p, 2, dz_o)
        dc = np.where(clipped, 0, dc)
        di, df, dg = dc * g, dc * c_, dc * i
        dz_i = gate.backward(di, i)
        dz_f = gate.backward(df, f)
        dz_g = dg * (1 - g * g)
        if note is not None:
            note(t, dh=dh, dz_o=dz_o, dc=dc, dz_i=dz_i, dz_f=dz_f, dz_g=dz_g)
        dz = np.concatenate([dz_i, dz_f, dz_o, dz_g], axis=1)
        dWx += x.T @ dz
        dWh += hr.T @ dz
        db += dz.sum(axis=0)
        if p is not None and dp is not None:
            for k, dz_k, seen in (0, dz_i, c_), (1, dz_f, c_), (2, dz_o, c):
                dp[k] += (seen * dz_k).sum(axis=0) if p.ndim == 2 else seen.T @ dz_k
        dx[:, t] = dz @ Wx.T
        dhr = dz @ Wh.T
        dh = dh_keep + (dhr if r is None else dhr * r)
        dc = dc_keep + dc * f + look_back(p, 0, dz_i) + look_back(p, 1, dz_f)
    grads = {"Wx": dWx, "Wh": dWh, "b": db} | ({} if dp is None else {"p": dp})
    return dx, dh, dc, grads
