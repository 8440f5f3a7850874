"""The GRU over a whole sequence, fast: `gru_forward` and `gru_backward`.

Here is what both implementations share: the buffers, and what comes before and after the steps, as `sequence.py` has
it. The steps themselves run in `gru_steps.py` (NumPy) or `compiled/gru.py` (numba).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minidl.inputs import Array
from minidl.kernels import gru_steps
from minidl.kernels.buffers import empty
from minidl.kernels.products import product
from minidl.kernels.sequence import Run, batch_major, expect, outputs, run_of, steps_by, time_major


class GRUCache(NamedTuple):
    """What the backward pass needs; time-major, T steps that ran, in their order."""

    x: Array  # [T, B, D]
    h: Array  # [T + 1, B, H], h[0] is the state before the first step
    gates: Array  # [T, B, 3H], activated, blocks r z n
    s: Array  # [T, B, H], what n sees of h': h' Wh_n + bh with reset_after, otherwise r * h'
    run: Run
    drop: Array | None  # [B, H]
    weights: tuple[Array, Array, Array | None]


def gru_forward(
    x: Array,
    h0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    bh: Array | None = None,
    mask: Array | None = None,
    drop: Array | None = None,
    go_backwards: bool = False,
    keep_cache: bool = True,
) -> tuple[Array, Array, GRUCache | None]:
    """Run a GRU over a sequence; arguments and letters as in `gru_forward_reference`.

    x has to be 0 where the mask says padding (or at least finite).

    Returns:
        (y [B, T, H], h [B, H], cache or None).

    Notes:
        The cache holds T * B * (D + 5H) numbers. `y` shares its memory with it. Without bh a step is two products.
    """
    B, T, D = x.shape
    H = len(Wh)
    expect("The GRU", x=(x, (B, T, len(Wx))), h0=(h0, (B, H)), mask=(mask, (B, T)), drop=(drop, (B, H)))
    expect("The GRU", Wx=(Wx, (D, 3 * H)), Wh=(Wh, (H, 3 * H)), b=(b, (3 * H,)), bh=(bh, (H,)))
    dtype = np.result_type(x, h0, Wx)
    run = run_of(T, mask, go_backwards)
    xt, T = time_major(x, run), run.length
    h_all, gates, s = empty((T + 1, B, H), dtype), empty((T, B, 3 * H), dtype), empty((T, B, H), dtype)
    h_all[0] = h0
    steps = steps_by("gru", gru_steps, T, gates, xt, Wx, Wh, b, bh, drop)
    steps.forward(xt, gates, h_all, s, Wx, Wh, b, bh, run.real, drop)
    cache = GRUCache(xt, h_all, gates, s, run, drop, (Wx, Wh, bh)) if keep_cache else None
    return outputs(h_all, run), h_all[T].copy(), cache


def gru_backward(dy: Array | None, dh: Array, cache: GRUCache) -> tuple[Array, Array, dict[str, Array]]:
    """The gradients of `gru_forward`; arguments and results as in `gru_backward_reference`.

    Notes:
        Needs T * B * (2D + 6H) numbers of its own. What is handed in stays as it is.
    """
    x, h_all, gates, s, run, drop, (Wx, Wh, bh) = cache
    T, B, H = s.shape
    D = len(Wx)
    expect("The GRU", dy=(dy, (B, run.T, H)), dh=(dh, (B, H)))
    if dy is not None:
        dy = time_major(dy, run)
    dh = dh.astype(np.result_type(gates, dh))  # a copy: the steps work in place
    steps = steps_by("gru", gru_steps, T, dh, x, gates, Wx, Wh, drop, dy)
    da, dx = steps.backward(dy, dh, gates, h_all, s, Wx, Wh, bh is not None, run.real, drop)
    hd = h_all[:T] if drop is None else h_all[:T] * drop
    x2, hd2, s2, da2 = x.reshape(T * B, D), hd.reshape(T * B, H), s.reshape(T * B, H), da.reshape(T * B, da.shape[2])
    da_rzn, sums = da2[:, -3 * H :], da2.sum(axis=0)
    dWx, dWh = product(x2.T, da_rzn), np.empty_like(Wh)
    grads = {"Wx": dWx, "Wh": dWh, "b": sums[-3 * H :]}
    if bh is None:
        product(hd2.T, da_rzn[:, : 2 * H], out=dWh[:, : 2 * H])
        product(s2.T, da_rzn[:, 2 * H :], out=dWh[:, 2 * H :])
    else:  # blocks s r z n: h' is in the first three
        dW = product(hd2.T, da2[:, : 3 * H])
        dWh[:, : 2 * H], dWh[:, 2 * H :] = dW[:, H:], dW[:, :H]
        grads["bh"] = sums[:H]
    return batch_major(dx, run), dh, grads
