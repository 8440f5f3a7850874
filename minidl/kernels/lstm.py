"""The LSTM over a whole sequence, fast: `lstm_forward` and `lstm_backward`.

Here is what both implementations share: time-major buffers, the order of the steps, masks, and the gradients of the
weights, each one large GEMM. The steps themselves run in `lstm_steps.py` (NumPy) or `compiled/lstm.py` (numba).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ShapeError
from minidl.inputs import Array
from minidl.kernels import lstm_steps
from minidl.kernels.backend import machine_code
from minidl.kernels.buffers import empty
from minidl.kernels.products import product


class LSTMCache(NamedTuple):
    """What the backward pass needs; time-major, in the order in which the steps ran."""

    x: Array  # [T, B, D]
    h: Array  # [T + 1, B, H], h[0] is the state before the first step
    c: Array  # [T + 1, B, H]
    gates: Array  # [T, B, 4H], activated, blocks i f o g
    tanh_c: Array  # [T, B, H]
    real: Array | None  # [T, B]
    r: Array | None  # [B, H]
    weights: tuple[Array, Array, Array | None]
    go_backwards: bool


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
    expect(x=(x, (B, T, len(Wx))), h0=(h0, (B, H)), c0=(c0, (B, H)))
    expect(Wx=(Wx, (D, 4 * H)), Wh=(Wh, (H, 4 * H)), b=(b, (4 * H,)))
    expect(p=(p, (3, *[H] * (0 if p is None else p.ndim - 1))), mask=(mask, (B, T)), r=(r, (B, H)))
    dtype = np.result_type(x, h0, Wx)
    order = slice(None, None, -1) if go_backwards else slice(None)
    xt = time_major(x, order)
    real = None if mask is None or mask.all() else np.ascontiguousarray(mask.T[order], bool)
    h_all, c_all = empty((T + 1, B, H), dtype), empty((T + 1, B, H), dtype)
    h_all[0], c_all[0] = h0, c0
    gates, tanh_c = empty((T, B, 4 * H), dtype), empty((T, B, H), dtype)
    steps_for(dtype, T, p, xt, Wx, Wh, b, r).forward(xt, gates, h_all, c_all, tanh_c, Wx, Wh, b, p, real, r)
    y = h_all[1:] if real is None else np.where(real[:, :, None], h_all[1:], 0)
    cache = LSTMCache(xt, h_all, c_all, gates, tanh_c, real, r, (Wx, Wh, p), go_backwards) if keep_cache else None
    return y[order].transpose(1, 0, 2), h_all[T].copy(), c_all[T].copy(), cache


def lstm_backward(
    dy: Array | None, dh: Array, dc: Array, cache: LSTMCache
) -> tuple[Array, Array, Array, dict[str, Array]]:
    """The gradients of `lstm_forward`; arguments and results as in `lstm_backward_reference`.

    Notes:
        Needs T * B * (2D + 6H) numbers of its own. What is handed in stays as it is.
    """
    x, h_all, c_all, gates, tanh_c, real, r, (Wx, Wh, p), go_backwards = cache
    T, B, D = x.shape
    H = len(Wh)
    expect(dy=(dy, (B, T, H)), dh=(dh, (B, H)), dc=(dc, (B, H)))
    dtype = np.result_type(gates, dh)
    order = slice(None, None, -1) if go_backwards else slice(None)
    if dy is not None:
        dy = time_major(dy, order)
    dh, dc = dh.astype(dtype), dc.astype(dtype)  # copies: the steps work in place
    steps = steps_for(dtype, T, p, x, gates, Wx, Wh, r, dy)
    dz, dx, db, dp = steps.backward(dy, dh, dc, gates, c_all, tanh_c, Wx, Wh, p, real, r)
    xh = empty((T, B, D + H), dtype)  # side by side: one GEMM reads dz once for the gradients of both
    xh[:, :, :D] = x
    np.multiply(h_all[:T], 1 if r is None else r, out=xh[:, :, D:])
    dW = product(xh.reshape(T * B, D + H).T, dz.reshape(T * B, 4 * H))
    grads = {"Wx": dW[:D], "Wh": dW[D:], "b": db}
    if p is not None:
        grads["p"] = dp
    return dx[order].transpose(1, 0, 2), dh, dc, grads


def expect(**arrays: tuple[Array | None, tuple[int, ...]]) -> None:
    """Refuse arrays of another shape: compiled code would read what lies beside them."""
    for name, (a, shape) in arrays.items():
        if a is not None and a.shape != shape:
            raise ShapeError(f"The LSTM expects {name} of shape {list(shape)}, got {list(a.shape)}.")


def time_major(x: Array, order: slice) -> Array:
    """[B, T, D] as contiguous [T, B, D], in the order in which the steps run."""
    x = x.transpose(1, 0, 2)[order]
    if x.flags.c_contiguous:
        return x
    y = empty(x.shape, x.dtype)
    y[...] = x
    return y


def steps_for(dtype: Any, T: int, p: Array | None, *arrays: Array | None) -> Any:
    """Who runs the steps: compiled code where it is chosen and pays; full peepholes and complex numbers are NumPy's."""
    if T < 2 or (p is not None and p.ndim == 3):
        return lstm_steps
    return machine_code("lstm", dtype, *(a.dtype for a in (p, *arrays) if a is not None)) or lstm_steps
