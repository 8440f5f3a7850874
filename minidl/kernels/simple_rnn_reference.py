"""The plain recurrent net as its equation says it: what learners read, and what the fast kernel is tested against.

Arrays are batch-first here, steps are plain Python, and every quantity of every step is kept by its letter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minidl.inputs import Array


class Step(NamedTuple):
    """What one step computed; `hr` is the h before it, after recurrent dropout."""

    t: int
    x: Array
    hr: Array
    h: Array
    real: Array


def simple_rnn_forward_reference(
    x: Array,
    h0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    relu: bool = False,
    mask: Array | None = None,
    r: Array | None = None,
    go_backwards: bool = False,
) -> tuple[Array, Array, list[Step]]:
    """Run a plain recurrent net over a sequence, step by step.

    Args:
        x: inputs [B, T, D]; h0: the state before the first step [B, H].
        Wx, Wh, b: [D, H], [H, H], [H].
        relu: the activation is ReLU; otherwise tanh.
        mask: [B, T], True where a step is real (x is finite in the padding).
        r: [B, H], what recurrent dropout multiplies h' with.
        go_backwards: run from the last step to the first.

    Returns:
        (y [B, T, H], h [B, H], steps in the order they ran).
    """
    B, T, _ = x.shape
    y = np.zeros((B, T, len(Wh)), np.result_type(x, h0, Wx))
    h = h0
    steps = []
    for t in reversed(range(T)) if go_backwards else range(T):
        real = np.ones((B, 1), bool) if mask is None else mask[:, t, None]
        x_t, h_ = x[:, t], h
        hr = h_ if r is None else h_ * r
        z = x_t @ Wx + hr @ Wh + b
        h = np.where(z.real <= 0, 0, z) if relu else np.tanh(z)
        steps.append(Step(t, x_t, hr, h, real))
        y[:, t] = np.where(real, h, 0)
        h = np.where(real, h, h_)
    return y, h, steps


def simple_rnn_backward_reference(
    dy: Array | None,
    dh: Array,
    steps: list[Step],
    Wx: Array,
    Wh: Array,
    relu: bool = False,
    *,
    r: Array | None = None,
    note: Callable[..., None] | None = None,
) -> tuple[Array, Array, dict[str, Array]]:
    """The gradients of `simple_rnn_forward_reference`, step by step backwards.

    Args:
        dy: [B, T, H] or None; dh: the gradient of the final state [B, H].
        steps: as the forward pass returned them.
        note: is called with (t, **what the step computed) for each step, in the order they run back; None for nobody.

    Returns:
        (dx [B, T, D], dh0 [B, H], {"Wx": dWx, "Wh": dWh, "b": db}).
    """
    dx = np.zeros((len(dh), len(steps), len(Wx)), np.result_type(dh, Wx))
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wx[0])
    for t, x, hr, h, real in reversed(steps):
        dh_keep = np.where(real, 0, dh)  # a step that is padding hands on
        dh = np.where(real, dh, 0)
        if dy is not None:
            dh = dh + np.where(real, dy[:, t], 0)
        dz = np.where(h.real <= 0, 0, dh) if relu else dh * (1 - h * h)
        if note is not None:
            note(t, dh=dh, dz=dz)
        dWx += x.T @ dz
        dWh += hr.T @ dz
        db += dz.sum(axis=0)
        dx[:, t] = dz @ Wx.T
        dhr = dz @ Wh.T
        dh = dh_keep + (dhr if r is None else dhr * r)
    return dx, dh, {"Wx": dWx, "Wh": dWh, "b": db}
