"""The plain recurrent net over a whole sequence, fast: `simple_rnn_forward` and `simple_rnn_backward`.

Here is what both implementations share: the buffers, and what comes before and after the steps, as `sequence.py` has
it. The steps themselves run in `simple_rnn_steps.py` (NumPy) or `compiled/simple_rnn.py` (numba).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minidl.inputs import Array
from minidl.kernels import simple_rnn_steps
from minidl.kernels.buffers import empty
from minidl.kernels.sequence import Run, batch_major, expect, outputs, run_of, steps_by, time_major, weight_gradients


class SimpleRNNCache(NamedTuple):
    """What the backward pass needs; time-major, T steps that ran, in their order."""

    x: Array  # [T, B, D]
    h: Array  # [T + 1, B, H], h[0] is the state before the first step
    run: Run
    r: Array | None  # [B, H]
    weights: tuple[Array, Array]
    relu: bool


def simple_rnn_forward(
    x: Array,
    h0: Array,
    Wx: Array,
    Wh: Array,
    b: Array,
    relu: bool = False,
    mask: Array | None = None,
    r: Array | None = None,
    go_backwards: bool = False,
    keep_cache: bool = True,
) -> tuple[Array, Array, SimpleRNNCache | None]:
    """Run a plain recurrent net over a sequence; arguments and letters as in `simple_rnn_forward_reference`.

    x has to be 0 where the mask says padding (or at least finite).

    Returns:
        (y [B, T, H], h [B, H], cache or None).

    Notes:
        The cache holds T * B * (D + H) numbers. `y` shares its memory with it.
    """
    B, T, D = x.shape
    H = len(Wh)
    expect("The SimpleRNN", x=(x, (B, T, len(Wx))), h0=(h0, (B, H)), Wx=(Wx, (D, H)), Wh=(Wh, (H, H)), b=(b, (H,)))
    expect("The SimpleRNN", mask=(mask, (B, T)), r=(r, (B, H)))
    run = run_of(T, mask, go_backwards)
    xt, T = time_major(x, run), run.length
    h_all = empty((T + 1, B, H), np.result_type(x, h0, Wx))
    h_all[0] = h0
    steps = steps_by("simple_rnn", simple_rnn_steps, T, h_all, xt, Wx, Wh, b, r)
    steps.forward(xt, h_all, Wx, Wh, b, relu, run.real, r)
    cache = SimpleRNNCache(xt, h_all, run, r, (Wx, Wh), relu) if keep_cache else None
    return outputs(h_all, run), h_all[T].copy(), cache


def simple_rnn_backward(dy: Array | None, dh: Array, cache: SimpleRNNCache) -> tuple[Array, Array, dict[str, Array]]:
    """The gradients of `simple_rnn_forward`; arguments and results as in `simple_rnn_backward_reference`.

    Notes:
        Needs T * B * (2D + 3H) numbers of its own. What is handed in stays as it is.
    """
    x, h_all, run, r, (Wx, Wh), relu = cache
    (T, B, _), H = x.shape, len(Wh)
    expect("The SimpleRNN", dy=(dy, (B, run.T, H)), dh=(dh, (B, H)))
    if dy is not None:
        dy = time_major(dy, run)
    dh = dh.astype(np.result_type(h_all, dh))  # a copy: the steps work in place
    steps = steps_by("simple_rnn", simple_rnn_steps, T, dh, x, h_all, Wx, Wh, r, dy)
    dz, dx, db = steps.backward(dy, dh, h_all, Wx, Wh, relu, run.real, r)
    dWx, dWh = weight_gradients(x, h_all[:T], dz, r)
    return batch_major(dx, run), dh, {"Wx": dWx, "Wh": dWh, "b": db}
