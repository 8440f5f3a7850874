"""The steps of a plain recurrent net as machine code: `forward_rows` and `backward_rows` run a sequence for some rows.

What and why: as in `lstm.py`. A step is one product and one activation, and in NumPy the calls take longer than both.

Letters and layout as in `minidl/kernels/simple_rnn.py`; an option that is not used is an array without entries
(`rows.given`).
"""

from __future__ import annotations

import numpy as np

from minidl.inputs import Array
from minidl.kernels.buffers import empty
from minidl.kernels.compiled.rows import add, add_times, given, kernel_on_disk, tanh_row
from minidl.kernels.compiled.tiles import add_packed, packed, packed_product, padded, scratch
from minidl.kernels.threads import PRODUCT, share

BUILT_ON = "cc05b93f"  # rows.py, tiles.py and tanh.py, see lstm.py


@kernel_on_disk
def forward_rows(
    first: int, last: int, h_all: Array, z_h: Array, Wh: Array, b: Array, relu: bool, real: Array, r: Array, hr: Array,
    edge: Array,
) -> None:  # fmt: skip
    """From h_all = x Wx behind its first entry, fill it for rows first ... last - 1.

    Wh: packed. real: [T, B] bools or [0, B]. r: [B, H] or [0, H]. Scratch: z_h [B, H], its rows filled up to whole
    panels, hr of the size of r, edge for `add_packed`.
    """
    T, H = h_all.shape[0] - 1, h_all.shape[2]
    zero = h_all.dtype.type(0)
    for t in range(T):
        for row in range(first, last):
            z_h[row, :H] = b
        if len(r):
            for row in range(first, last):
                for j in range(H):
                    hr[row, j] = h_all[t, row, j] * r[row, j]
            add_packed(hr, first, last, Wh, z_h, edge)
        else:
            add_packed(h_all[t], first, last, Wh, z_h, edge)
        for row in range(first, last):
            h = h_all[t + 1, row]
            if len(real) and not real[t, row]:
                h[:] = h_all[t, row]
                continue
            add(h, z_h[row])
            if relu:
                for j in range(H):
                    h[j] = zero if h[j] <= zero else h[j]  # a NaN stays a NaN
            else:
                tanh_row(h)


@kernel_on_disk
def backward_rows(
    first: int, last: int, dy: Array, dh: Array, h_all: Array, dz: Array, WhT: Array, relu: bool, real: Array,
    r: Array, dhr: Array, db: Array, edge: Array,
) -> None:  # fmt: skip
    """Fill dz, and turn dh into the gradient of h0, for rows first ... last - 1.

    dh: [B, H], its rows filled up to whole panels. dy: [T, B, H] or [0, B, H]. WhT: packed. db [H] is added to.
    Scratch: dhr of the size of dh where there is an r, edge for `add_packed`.
    """
    T, _, H = dz.shape
    zero, one = dh.dtype.type(0), dh.dtype.type(1)
    for t in range(T - 1, -1, -1):
        for row in range(first, last):
            d, h, dh_t = dz[t, row], h_all[t + 1, row], dh[row, :H]
            if len(real) and not real[t, row]:  # h was handed on
                d[:] = 0
                continue
            if len(dy):
                add(dh_t, dy[t, row])
            if relu:
                for j in range(H):
                    d[j] = zero if h[j] <= zero else dh_t[j]
            else:
                for j in range(H):
                    d[j] = dh_t[j] * (one - h[j] * h[j])
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
    xt: Array, h_all: Array, Wx: Array, Wh: Array, b: Array, relu: bool, real: Array | None, r: Array | None
) -> None:
    """As `simple_rnn_steps.forward`."""
    T, B, D = xt.shape
    packed_product(xt.reshape(T * B, D), Wx, h_all[1:].reshape(T * B, len(Wh)))
    W, (real, r) = packed(Wh), given(Wh.dtype, real, r)
    z_h, hr = padded(B, W), np.empty_like(r)

    def rows(first: int, last: int) -> None:
        forward_rows(first, last, h_all, z_h, W, b, relu, real, r, hr, scratch(W))

    share(rows, B, T * B * Wh.size // PRODUCT)


def backward(
    dy: Array | None, dh: Array, h_all: Array, Wx: Array, Wh: Array, relu: bool, real: Array | None, r: Array | None
) -> tuple[Array, Array, Array]:
    """As `simple_rnn_steps.backward`."""
    (B, H), T = dh.shape, len(h_all) - 1
    WhT, (real, r) = packed(Wh.T), given(Wh.dtype, real, r)
    dh_padded, dhr = padded(B, WhT), padded(len(r), WhT)
    dh_padded[:, :H] = dh
    dy = np.empty((0, B, H), dh.dtype) if dy is None else dy
    dz = empty((T, B, H), dh.dtype)
    parts: dict[int, Array] = {}

    def rows(first: int, last: int) -> None:
        db = parts[first] = np.zeros(H, dh.dtype)
        backward_rows(first, last, dy, dh_padded, h_all, dz, WhT, relu, real, r, dhr, db, scratch(WhT))

    share(rows, B, T * B * Wh.size // PRODUCT)
    dh[...] = dh_padded[:, :H]
    db = np.sum([parts[first] for first in sorted(parts)], axis=0)
    dx = empty((T, B, len(Wx)), dh.dtype)
    packed_product(dz.reshape(T * B, H), Wx.T, dx.reshape(T * B, len(Wx)))
    return dz, dx, db
