"""The LSTM over a whole sequence, fast: `lstm_forward` and `lstm_backward`.

Here is what both implementations share: the buffers, and what comes before and after the steps, as `sequence.py` has
it. The steps themselves run in `lstm_steps.py` (NumPy) or `compiled/lstm.py` (numba).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.inputs import Array
from minidl.kernels import lstm_steps
from minidl.kernels.buffers import empty
from minidl.kernels.sequence import Run, batch_major, expect, outputs, run_of, steps_by, time_major, weight_gradients


class LSTMCache(NamedTuple):
    """What the backward pass needs; time-major, T steps that ran, in their order."""

    x: Array  # [T, B, D]
    h: Array  # [T + 1, B, H], h[0] is the state before the first step
    c: Array  # [T + 1, B, H]
    gates: Array  # [T, B, 4H], activated, blocks i f o g
    tanh_c: Array  # [T, B, H]
    run: Run
    r: Array | None  # [B, H]
    weights: tuple[Array, Array, Array | None]


def lstm_forward(
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
) -> tuple[Array, Array, Array, LSTMCache | None]:
    """Run an LSTM over a sequence; arguments and letters as in `lstm_forward_reference`.

    x has to be 0 where the mask says padding (or at least finite).

    Returns:
        (y [B, T, H], h [B, H], c [B, H], cache or None).

    Notes:
        The cache holds T * B * (D + 7H) numbers. `y` shares its memory with it.
    """
    B, T, D = x.shape
    H = len(Wh)
    expect("The LSTM", x=(x, (B, T, len(Wx))), h0=(h0, (B, H)), c0=(c0, (B, H)))
    expect("The LSTM", Wx=(Wx, (D, 4 * H)), Wh=(Wh, (H, 4 * H)), b=(b, (4 * H,)))
    expect("The LSTM", p=(p, (3, *[H] * (0 if p is None else p.ndim - 1))), mask=(mask, (B, T)), r=(r, (B, H)))
    dtype = np.result_type(x, h0, Wx)
    run = run_of(T, mask, go_backwards)
    xt, T = time_major(x, run), run.length
    h_all, c_all = empty((T + 1, B, H), dtype), empty((T + 1, B, H), dtype)
    h_all[0], c_all[0] = h0, c0
    gates, tanh_c = empty((T, B, 4 * H), dtype), empty((T, B, H), dtype)
    steps = steps_for(T, p, gates, xt, Wx, Wh, b, r)
    steps.forward(xt, gates, h_all, c_all, tanh_c, Wx, Wh, b, p, run.real, r)
    cache = LSTMCache(xt, h_all, c_all, gates, tanh_c, run, r, (Wx, Wh, p)) if keep_cache else None
    return outputs(h_all, run), h_all[T].copy(), c_all[T].copy(), cache


def lstm_backward(
    dy: Array | None, dh: Array, dc: Array, cache: LSTMCache
) -> tuple[Array, Array, Array, dict[str, Array]]:
    """The gradients of `lstm_forward`; arguments and results as in `lstm_backward_reference`.

    Notes:
        Needs T * B * (2D + 6H) numbers of its own. What is handed in stays as it is.
    """
    x, h_all, c_all, gates, tanh_c, run, r, (Wx, Wh, p) = cache
    T, B, H = tanh_c.shape
    expect("The LSTM", dy=(dy, (B, run.T, H)), dh=(dh, (B, H)), dc=(dc, (B, H)))
    dtype = np.result_type(gates, dh)
    if dy is not None:
        dy = time_major(dy, run)
    dh, dc = dh.astype(dtype), dc.astype(dtype)  # copies: the steps work in place
    steps = steps_for(T, p, dh, x, gates, Wx, Wh, r, dy)
    dz, dx, db, dp = steps.backward(dy, dh, dc, gates, c_all, tanh_c, Wx, Wh, p, run.real, r)
    dWx, dWh = weight_gradients(x, h_all[:T], dz, r)
    grads = {"Wx": dWx, "Wh": dWh, "b": db}
    if p is not None:
        grads["p"] = dp
    return batch_major(dx, run), dh, dc, grads


def steps_for(T: int, p: Array | None, *arrays: Array | None) -> Any:
    """Who runs the steps; full peepholes are NumPy's."""
    return lstm_steps if p is not None and p.ndim == 3 else steps_by("lstm", lstm_steps, T, p, *arrays)
