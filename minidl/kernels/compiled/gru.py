"""The steps of a GRU as machine code: `forward_rows` and `backward_rows` run a sequence for some rows of a batch.

What and why: as in `lstm.py`. Where the reset comes before the product (reset_after=False), a step is two products,
for the second one needs the gates of the first.

Letters and layout as in `minidl/kernels/gru.py`: time first, blocks r z n. An option that is not used is an array
without entries (`rows.given`).
"""

from __future__ import annotations

import numpy as np

from minidl.inputs import Array
from minidl.kernels.buffers import empty
from minidl.kernels.compiled.rows import add, add_times, given, kernel, kernel_on_disk, sigmoid_row, tanh_row
from minidl.kernels.compiled.tiles import add_packed, packed, packed_product, padded, scratch
from minidl.kernels.threads import PRODUCT, share

BUILT_ON = "cc05b93f"  # rows.py, tiles.py and tanh.py, see lstm.py


@kernel
def times(y: Array, a: Array, b: Array) -> None:
    """y = a b, number by number."""
    for j in range(len(y)):
        y[j] = a[j] * b[j]


@kernel_on_disk
def forward_rows(
    first: int, last: int, gates: Array, h_all: Array, s: Array, z_h: Array, z_n: Array,
    W: Array, W_n: Array, b: Array, reset_after: bool, real: Array, drop: Array, hd: Array, edge: Array,
) -> None:  # fmt: skip
    """From gates = x Wx + b of n, fill gates, h_all and s for rows first ... last - 1.

    W: packed, blocks r z, with reset_after n as well, as in b. W_n: packed, block n, where the reset comes before.
    real: [T, B] bools or [0, B]. drop: [B, H] or [0, H]. Scratch: z_h and z_n [B, 2H or 3H] and [B, H], their rows
    filled up to whole panels, hd of the size of drop, edge for `add_packed`.
    """
    T, _, H = s.shape
    for t in range(T):
        for row in range(first, last):
            z_h[row, : len(b)] = b
        if len(drop):
            for row in range(first, last):
                times(hd[row], h_all[t, row], drop[row])
            add_packed(hd, first, last, W, z_h, edge)
        else:
            add_packed(h_all[t], first, last, W, z_h, edge)
        for row in range(first, last):
            rz = gates[t, row, : 2 * H]
            add(rz, z_h[row])
            sigmoid_row(rz)
            if reset_after:
                s[t, row] = z_h[row, 2 * H : 3 * H]
            elif len(drop):
                times(s[t, row], rz[:H], hd[row])
            else:
                times(s[t, row], rz[:H], h_all[t, row])
        if not reset_after:
            z_n[first:last] = 0
            add_packed(s[t], first, last, W_n, z_n, edge)
        for row in range(first, last):
            r, z, n = gates[t, row, :H], gates[t, row, H : 2 * H], gates[t, row, 2 * H :]
            h_, h = h_all[t, row], h_all[t + 1, row]
            if reset_after:
                add_times(n, r, s[t, row])
            else:
                add(n, z_n[row])
            tanh_row(n)
            if len(real) and not real[t, row]:
                h[:] = h_
                continue
            for j in range(H):
                h[j] = n[j] + z[j] * (h_[j] - n[j])


@kernel_on_disk
def backward_rows(
    first: int, last: int, dy: Array, dh: Array, gates: Array, h_all: Array, s: Array, da: Array, dhd: Array,
    da_n: Array, ds: Array, WT: Array, W_nT: Array, reset_after: bool, real: Array, drop: Array, edge: Array,
) -> None:  # fmt: skip
    """Fill da, and turn dh into the gradient of h0, for rows first ... last - 1.

    dh and dhd: [B, H], rows filled up to whole panels. dy: [T, B, H] or [0, B, H]. WT: packed, blocks n r z with
    reset_after, otherwise r z, and n is W_nT. Scratch: dhd, da_n [B, H], ds as dhd, edge for `add_packed`.
    """
    T, _, H = s.shape
    one = dh.dtype.type(1)
    for t in range(T - 1, -1, -1):
        for row in range(first, last):
            dhd[row] = 0
            d, g, h_, dh_t = da[t, row, -3 * H :], gates[t, row], h_all[t, row], dh[row, :H]
            r, z, n, da_r, da_z = g[:H], g[H : 2 * H], g[2 * H :], d[:H], d[H : 2 * H]
            if len(real) and not real[t, row]:  # h was handed on, nothing went through the gates
                da[t, row] = 0
                da_n[row] = 0
                continue
            if len(dy):
                add(dh_t, dy[t, row])
            for j in range(H):
                da_n[row, j] = dh_t[j] * (one - z[j]) * (one - n[j] * n[j])
            for j in range(H):
                da_z[j] = dh_t[j] * (h_[j] - n[j]) * (z[j] * (one - z[j]))
            for j in range(H):
                dh_t[j] *= z[j]
            if reset_after:
                for j in range(H):
                    da_r[j] = da_n[row, j] * s[t, row, j] * (r[j] * (one - r[j]))
                times(da[t, row, :H], da_n[row], r)
            d[2 * H :] = da_n[row]
        if not reset_after:
            ds[first:last] = 0
            add_packed(da_n, first, last, W_nT, ds, edge)
            for row in range(first, last):
                r = gates[t, row, :H]
                for j in range(H):  # s = r hd, so that ds hd r is ds s
                    da[t, row, j] = ds[row, j] * s[t, row, j] * (one - r[j])
                add_times(dhd[row, :H], ds[row], r)
        add_packed(da[t], first, last, WT, dhd, edge)
        for row in range(first, last):
            if len(drop):
                add_times(dh[row, :H], dhd[row], drop[row])
            else:
                add(dh[row, :H], dhd[row])


def forward(
    xt: Array, gates: Array, h_all: Array, s: Array,
    Wx: Array, Wh: Array, b: Array, bh: Array | None, real: Array | None, drop: Array | None,
) -> None:  # fmt: skip
    """As `gru_steps.forward`."""
    T, B, D = xt.shape
    H = len(Wh)
    packed_product(xt.reshape(T * B, D), Wx, gates.reshape(T * B, 3 * H))
    gates[:, :, 2 * H :] += b[2 * H :]
    real, drop = given(Wh.dtype, real, drop)
    W_n = packed(Wh[:, 2 * H :])
    W, b = (packed(Wh[:, : 2 * H]), b[: 2 * H]) if bh is None else (packed(Wh), np.concatenate([b[: 2 * H], bh]))
    z_h, z_n, hd = padded(B, W), padded(B, W_n), np.empty_like(drop)

    def rows(first: int, last: int) -> None:
        forward_rows(
            first, last, gates, h_all, s, z_h, z_n, W, W_n, b, bh is not None, real, drop, hd, scratch(W)
        )  # fmt: skip

    share(rows, B, T * B * Wh.size // PRODUCT)


def backward(
    dy: Array | None, dh: Array, gates: Array, h_all: Array, s: Array,
    Wx: Array, Wh: Array, reset_after: bool, real: Array | None, drop: Array | None,
) -> tuple[Array, Array]:  # fmt: skip
    """As `gru_steps.backward`."""
    T, B, H = s.shape
    real, drop = given(Wh.dtype, real, drop)
    Wh_rz, Wh_n = Wh[:, : 2 * H], Wh[:, 2 * H :]
    W_nT = packed(Wh_n.T)
    WT = packed((np.concatenate([Wh_n, Wh_rz], axis=1) if reset_after else Wh_rz).T)
    dh_padded, dhd, ds, da_n = padded(B, WT), padded(B, WT), padded(B, WT), np.empty((B, H), dh.dtype)
    dh_padded[:, :H] = dh
    dy = np.empty((0, B, H), dh.dtype) if dy is None else dy
    da = empty((T, B, (4 if reset_after else 3) * H), dh.dtype)

    def rows(first: int, last: int) -> None:
        backward_rows(
            first, last, dy, dh_padded, gates, h_all, s, da, dhd, da_n, ds, WT, W_nT, reset_after, real, drop,
            scratch(WT),
        )  # fmt: skip

    share(rows, B, T * B * Wh.size // PRODUCT)
    dh[...] = dh_padded[:, :H]
    da_rzn = np.ascontiguousarray(da.reshape(T * B, da.shape[2])[:, -3 * H :])
    dx = empty((T, B, len(Wx)), dh.dtype)
    packed_product(da_rzn, Wx.T, dx.reshape(T * B, len(Wx)))
    return da, dx
