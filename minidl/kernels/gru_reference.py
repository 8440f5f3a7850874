"""The GRU as the equations say it, one line each: what learners read, and what the fast kernel is tested against.

Arrays are batch-first here, steps are plain Python, and every quantity of every step is kept by its letter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minidl.inputs import Array
from minidl.kernels.lstm_reference import sigmoid


class Step(NamedTuple):
    """All that one step computed; `h_` is the state before it, `hd` is h_ after recurrent dropout."""

    t: int
    x: Array
    h_: Array
    hd: Array
    r: Array
    z: Array
    n: Array
    s: Array  # what n sees of h_: hd Wh_n + bh with reset_after, otherwise r * hd
    real: Array


def gru_forward_reference(
    x: Array,
    h0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    bh: Array | None = None,
    mask: Array | None = None,
    drop: Array | None = None,
    go_backwards: bool = False,
) -> tuple[Array, Array, list[Step]]:
    """Run a GRU over a sequence, step by step.

    Args:
        x: inputs [B, T, D]; h0: the state before the first step [B, H].
        Wx, Wh, b: [D, 3H], [H, 3H], [3H], blocks r z n.
        bh: [H], the bias inside the reset, which comes after the product then; None: it comes before.
        mask: [B, T], True where a step is real (x is finite in the padding).
        drop: [B, H], what recurrent dropout multiplies h' with, where the gates see it.
        go_backwards: run from the last step to the first.

    Returns:
        (y [B, T, H], h [B, H], steps in the order they ran).
    """
    B, T, _ = x.shape
    H = len(Wh)
    R, Z, N = (np.s_[..., k * H : (k + 1) * H] for k in range(3))
    y = np.zeros((B, T, H), np.result_type(x, h0, Wx))
    h = h0
    steps = []
    for t in reversed(range(T)) if go_backwards else range(T):
        real = np.ones((B, 1), bool) if mask is None else mask[:, t, None]
        x_t, h_ = x[:, t], h
        hd = h_ if drop is None else h_ * drop
        r = sigmoid(x_t @ Wx[R] + hd @ Wh[R] + b[R])
        z = sigmoid(x_t @ Wx[Z] + hd @ Wh[Z] + b[Z])
        if bh is not None:
            s = hd @ Wh[N] + bh
            n = np.tanh(x_t @ Wx[N] + b[N] + r * s)
        else:
            s = r * hd
            n = np.tanh(x_t @ Wx[N] + b[N] + s @ Wh[N])
        h = (1 - z) * n + z * h_
        steps.append(Step(t, x_t, h_, hd, r, z, n, s, real))
        y[:, t] = np.where(real, h, 0)
        h = np.where(real, h, h_)
    return y, h, steps


def gru_backward_reference(
    dy: Array | None,
    dh: Array,
    steps: list[Step],
    Wx: Array,
    Wh: Array,
    bh: Array | None = None,
    *,
    drop: Array | None = None,
    note: Callable[..., None] | None = None,
) -> tuple[Array, Array, dict[str, Array]]:
    """The gradients of `gru_forward_reference`, step by step backwards; `a_r`, say, is what the sigmoid of r gets.

    Args:
        dy: [B, T, H] or None; dh: the gradient of the final state [B, H].
        steps: as the forward pass returned them.
        note: is called with (t, **what the step computed) for each step, in the order they run back; None for nobody.

    Returns:
        (dx [B, T, D], dh0 [B, H], {"Wx": dWx, "Wh": dWh, "b": db, and with bh "bh": dbh}).
    """
    H = len(Wh)
    Wh_rz, Wh_n = Wh[:, : 2 * H], Wh[:, 2 * H :]
    dx = np.zeros((len(dh), len(steps), len(Wx)), np.result_type(dh, Wx))
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wx[0])
    dbh = None if bh is None else np.zeros_like(bh)
    for t, x, h_, hd, r, z, n, s, real in reversed(steps):
        dh_keep = np.where(real, 0, dh)  # a step that is padding hands on
        dh = np.where(real, dh, 0)
        if dy is not None:
            dh = dh + np.where(real, dy[:, t], 0)
        dz, dn = dh * (h_ - n), dh * (1 - z)
        da_n = dn * (1 - n * n)
        if dbh is not None:
            dr, ds = da_n * s, da_n * r
            dhd = ds @ Wh_n.T
            dWh[:, 2 * H :] += hd.T @ ds
            dbh += ds.sum(axis=0)
        else:
            ds = da_n @ Wh_n.T
            dr, dhd = ds * hd, ds * r
            dWh[:, 2 * H :] += s.T @ da_n
        da_r, da_z = dr * r * (1 - r), dz * z * (1 - z)
        if note is not None:
            note(t, dh=dh, da_z=da_z, da_n=da_n, ds=ds, da_r=da_r)
        da_rz = np.concatenate([da_r, da_z], axis=1)
        dhd = dhd + da_rz @ Wh_rz.T
        dWh[:, : 2 * H] += hd.T @ da_rz
        da = np.concatenate([da_rz, da_n], axis=1)
        dWx += x.T @ da
        db += da.sum(axis=0)
        dx[:, t] = da @ Wx.T
        dh = dh_keep + dh * z + (dhd if drop is None else dhd * drop)
    grads = {"Wx": dWx, "Wh": dWh, "b": db} | ({} if dbh is None else {"bh": dbh})
    return dx, dh, grads
