"""The steps of an LSTM as machine code: `forward_rows` and `backward_rows` run a sequence for some rows of a batch.

What and why: in NumPy a step is a dozen calls, each of which reads and writes memory for one operation. Here the gates
of a row are finished while they are still in the cache, the weights are packed once (`tiles.py`), and nothing holds
Python's lock, so that a thread per core takes its share of the rows.

Gain: passes of 128 and 512 cells are 1.5 times as fast as the NumPy kernel's on the same cores, one of 1x100 over 100
steps more than 3 times (`python tests/benchmarks/kernels.py`).

Letters and layout as in `minidl/kernels/lstm.py`: time first, blocks i f o g. An option that is not used is an array
without entries (`rows.given`).
"""

from __future__ import annotations

import numpy as np

from minidl.inputs import Array
from minidl.kernels.buffers import empty
from minidl.kernels.compiled.rows import add, add_times, given, kernel, kernel_on_disk, sigmoid_row, tanh_row
from minidl.kernels.compiled.tanh import tanh
from minidl.kernels.compiled.tiles import add_packed, packed, packed_product, padded, scratch
from minidl.kernels.threads import PRODUCT, share

BUILT_ON = "cc05b93f"  # rows.py, tiles.py and tanh.py: numba sees when this file changes, and has to see when those do


@kernel
def cell(z: Array, c_: Array, c: Array, h: Array, tc: Array, p: Array) -> None:
    """One step of a row: from z = x Wx + h' Wh + b, turn z into the gates, and fill c, h and tanh(c)."""
    H = len(c)
    i, f, o, g = z[:H], z[H : 2 * H], z[2 * H : 3 * H], z[3 * H :]
    if len(p):
        add_times(i, c_, p[0])
        add_times(f, c_, p[1])
        sigmoid_row(z[: 2 * H])
    else:
        sigmoid_row(z[: 3 * H])
    tanh_row(g)
    for j in range(H):
        c[j] = f[j] * c_[j] + i[j] * g[j]
    if len(p):
        add_times(o, c, p[2])
        sigmoid_row(o)
    for j in range(H):
        tc[j] = tanh(c[j])
    for j in range(H):
        h[j] = o[j] * tc[j]


@kernel_on_disk
def forward_rows(
    first: int, last: int, gates: Array, h_all: Array, c_all: Array, tanh_c: Array, z_h: Array,
    Wh: Array, b: Array, p: Array, real: Array, r: Array, hr: Array, edge: Array,
) -> None:  # fmt: skip
    """From gates = x Wx, fill gates, h_all, c_all and tanh_c for rows first ... last - 1.

    Wh: packed. p: [3, H] or [0, H]. real: [T, B] bools or [0, B]. r: [B, H] or [0, H]. Scratch: z_h [B, 4H], its
    rows filled up to whole panels, hr of the size of r, edge for `add_packed`.
    """
    T, _, H = tanh_c.shape
    for t in range(T):
        for row in range(first, last):
            z_h[row, : 4 * H] = b
        if len(r):
            for row in range(first, last):
                for j in range(H):
                    hr[row, j] = h_all[t, row, j] * r[row, j]
            add_packed(hr, first, last, Wh, z_h, edge)
        else:
            add_packed(h_all[t], first, last, Wh, z_h, edge)
        for row in range(first, last):
            z, c_, c, h, tc = gates[t, row], c_all[t, row], c_all[t + 1, row], h_all[t + 1, row], tanh_c[t, row]
            if len(real) and not real[t, row]:
                c[:] = c_
                h[:] = h_all[t, row]
                continue
            add(z, z_h[row])
            cell(z, c_, c, h, tc, p)


@kernel_on_disk
def backward_rows(
    first: int, last: int, dy: Array, dh: Array, dc: Array, gates: Array, c_all: Array, tanh_c: Array, dz: Array,
    WhT: Array, p: Array, real: Array, r: Array, dhr: Array, db: Array, dp: Array, edge: Array,
) -> None:  # fmt: skip
    """Fill dz, and turn dh and dc into the gradients of h0 and c0, for rows first ... last - 1.

    dh: [B, H], its rows filled up to whole panels. dy: [T, B, H] or [0, B, H]. WhT: packed. db [4H] and dp [3, H] (or
    [0, H]) are added to. Scratch: dhr of the size of r, edge for `add_packed`.
    """
    T, _, H = tanh_c.shape
    one = dh.dtype.type(1)
    for t in range(T - 1, -1, -1):
        for row in range(first, last):
            z, d = gates[t, row], dz[t, row]
            if len(real) and not real[t, row]:  # c and h were handed on, nothing went through the gates
                d[:] = 0
                continue
            i, f, o, g = z[:H], z[H : 2 * H], z[2 * H : 3 * H], z[3 * H :]
            dz_i, dz_f, dz_o, dz_g = d[:H], d[H : 2 * H], d[2 * H : 3 * H], d[3 * H :]
            tc, c_, dh_t, dc_t = tanh_c[t, row], c_all[t, row], dh[row, :H], dc[row]
            if len(dy):
                add(dh_t, dy[t, row])
            for j in range(H):
                dz_o[j] = dh_t[j] * tc[j] * (o[j] * (one - o[j]))
            for j in range(H):
                dc_t[j] += dh_t[j] * o[j] * (one - tc[j] * tc[j])
            if len(p):
                add_times(dc_t, dz_o, p[2])
            for j in range(H):
                dz_i[j] = dc_t[j] * g[j] * (i[j] * (one - i[j]))
            for j in range(H):
                dz_g[j] = dc_t[j] * i[j] * (one - g[j] * g[j])
            for j in range(H):
                dz_f[j] = dc_t[j] * c_[j] * (f[j] * (one - f[j]))
            for j in range(H):
                dc_t[j] *= f[j]
            if len(p):
                add_times(dc_t, dz_i, p[0])
                add_times(dc_t, dz_f, p[1])
                add_times(dp[0], dz_i, c_)
                add_times(dp[1], dz_f, c_)
                add_times(dp[2], dz_o, c_all[t + 1, row])
            add(db, d)
            dh_t[:] = 0
        if len(r):
            dhr[first:last] = 0
            add_packed(dz[t], first, last, WhT, dhr, edge)
            for row in range(first, last):
                add_times(dh[row, :H], dhr[row], r[row])
        else:
            add_packed(dz[t], first, last, WhT, dh, edge)


def forward(
    xt: Array, gates: Array, h_all: Array, c_all: Array, tanh_c: Array,
    Wx: Array, Wh: Array, b: Array, p: Array | None, real: Array | None, r: Array | None,
) -> None:  # fmt: skip
    """As `lstm_steps.forward`."""
    T, B, D = xt.shape
    packed_product(xt.reshape(T * B, D), Wx, gates.reshape(T * B, 4 * len(Wh)))
    W, (real, p, r) = packed(Wh), given(Wh.dtype, real, p, r)
    z_h, hr = padded(B, W), np.empty_like(r)

    def rows(first: int, last: int) -> None:
        forward_rows(first, last, gates, h_all, c_all, tanh_c, z_h, W, b, p, real, r, hr, scratch(W))

    share(rows, B, T * B * Wh.size // PRODUCT)


def backward(
    dy: Array | None, dh: Array, dc: Array, gates: Array, c_all: Array, tanh_c: Array,
    Wx: Array, Wh: Array, p: Array | None, real: Array | None, r: Array | None,
) -> tuple[Array, Array, Array, Array | None]:  # fmt: skip
    """As `lstm_steps.backward`."""
    T, B, H = tanh_c.shape
    WhT, (real, peepholes, r) = packed(Wh.T), given(Wh.dtype, real, p, r)
    dhr, dh_padded = np.empty_like(r), padded(B, WhT)
    dh_padded[:, :H] = dh
    dy = np.empty((0, B, H), dh.dtype) if dy is None else dy
    dz = empty(gates.shape, dh.dtype)
    parts: dict[int, tuple[Array, Array]] = {}

    def rows(first: int, last: int) -> None:
        db, dp = parts[first] = np.zeros(4 * H, dh.dtype), np.zeros_like(peepholes)
        backward_rows(
            first, last, dy, dh_padded, dc, gates, c_all, tanh_c, dz, WhT, peepholes, real, r, dhr, db, dp, scratch(WhT)
        )

    share(rows, B, T * B * Wh.size // PRODUCT)
    dh[...] = dh_padded[:, :H]
    db, dp = (np.sum([parts[first][k] for first in sorted(parts)], axis=0) for k in range(2))
    dx = empty((T, B, len(Wx)), dh.dtype)
    packed_product(dz.reshape(T * B, 4 * H), Wx.T, dx.reshape(T * B, len(Wx)))
    return dz, dx, db, None if p is None else dp
