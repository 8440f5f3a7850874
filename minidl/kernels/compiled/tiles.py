"""Matrix products with weights that are packed once and used at every step: c += a @ B.

What and why: a recurrent net multiplies a few rows by the same matrix, step after step. A BLAS rearranges that matrix
in memory at every call, which takes as long as the product itself where the rows are few. Here it is packed once a
pass, into panels as wide as a cache line, and the innermost loop is written in LLVM's own terms:
a tile of c, up to 6 rows by one panel, stays in registers while k runs.

Gain: 25 rows by [128, 512] on one AVX2 core run at 82 GFLOP/s, where OpenBLAS reaches 58; the core's peak is 96
(`python tests/benchmarks/kernels.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.inputs import Array
from minidl.kernels.buffers import empty
from minidl.kernels.products import product
from minidl.kernels.threads import PRODUCT, share

BYTES = 32  # of a vector; where the machine has narrower registers, LLVM uses several
VECTORS = 2  # in a row of a panel
ROWS = 6  # of the highest tile: 12 sums, two vectors of B and one of a, in the 16 registers of AVX2
BLOCK = 48  # rows that are multiplied with one panel after the other
SMALL = 2**18  # entries of a matrix up to which tiles beat a BLAS that has many rows
DEPTH = 512  # how much of k a tile runs through at once: a piece of a panel stays in the first cache
INT = ir.IntType(64)


def tile(rows: int, panels: int) -> Any:
    """c[c_row :, col :] += a[a_row :, k0 : k0 + depth] @ B[k0 : k0 + depth, panel :], compiled, for so many rows.

    `panels` packed panels side by side; low tiles take several, for a sum waits for the one before it.
    """

    @intrinsic
    def product(
        typing: Any, a: Any, a_row: Any, k0: Any, depth: Any, B: Any, panel: Any, c: Any, c_row: Any, col: Any
    ) -> Any:
        size = a.dtype.bitwidth // 8
        lanes = BYTES // size
        index = types.intp
        signature = types.void(a, index, index, index, B, index, c, index, index)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            element = context.get_value_type(a.dtype)
            vector = ir.VectorType(element, lanes)
            a_value, a_row, k0, depth, B_value, panel, c_value, c_row, col = args
            bytes_ = ir.IntType(8).as_pointer()

            def pointer(array_type: Any, value: Any, index: list[Any], to: Any) -> Any:
                """The address of an entry; the last axis is contiguous."""
                array = context.make_array(array_type)(context, builder, value)
                strides = cgutils.unpack_tuple(builder, array.strides, len(index))
                offset = ir.Constant(INT, 0)
                for k, stride in zip(index, strides, strict=True):
                    offset = builder.add(offset, builder.mul(k, stride))
                start = builder.bitcast(array.data, bytes_)
                return builder.bitcast(builder.gep(start, [offset]), to.as_pointer())

            def number(k: int) -> Any:
                return ir.Constant(INT, k)

            zero = number(0)
            a_at = [pointer(a, a_value, [builder.add(a_row, number(r)), k0], element) for r in range(rows)]
            b_at = [pointer(B, B_value, [builder.add(panel, number(n)), k0, zero], vector) for n in range(panels)]
            width = lanes * VECTORS
            c_at = [
                pointer(
                    c, c_value, [builder.add(c_row, number(r)), builder.add(col, number(n * width + v * lanes))], vector
                )
                for r in range(rows)
                for n in range(panels)
                for v in range(VECTORS)
            ]
            before = [builder.load(at, align=size) for at in c_at]
            entry = builder.block
            head, body, done = (builder.append_basic_block(name) for name in ("head", "body", "done"))
            builder.branch(head)

            builder.position_at_end(head)
            k = builder.phi(INT)
            k.add_incoming(zero, entry)
            sums = [builder.phi(vector) for _ in before]
            for s, b in zip(sums, before, strict=True):
                s.add_incoming(b, entry)
            builder.cbranch(builder.icmp_signed("<", k, depth), body, done)

            builder.position_at_end(body)
            first = builder.mul(k, number(VECTORS))
            b_row = [
                builder.load(builder.gep(at, [builder.add(first, number(v))]), align=size)
                for at in b_at
                for v in range(VECTORS)
            ]
            after: list[Any] = []
            everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            nothing = ir.Constant(vector, ir.Undefined)
            for at in a_at:
                one = builder.insert_element(
                    nothing, builder.load(builder.gep(at, [k])), ir.Constant(ir.IntType(32), 0)
                )
                a_k = builder.shuffle_vector(one, nothing, everywhere)
                for b in b_row:
                    add = builder.fmul(a_k, b, flags=("contract",))
                    after.append(builder.fadd(sums[len(after)], add, flags=("contract",)))
            k.add_incoming(builder.add(k, number(1)), builder.block)
            for s, new in zip(sums, after, strict=True):
                s.add_incoming(new, builder.block)
            builder.branch(head)

            builder.position_at_end(done)
            for at, s in zip(c_at, sums, strict=True):
                builder.store(s, at, align=size)
            return context.get_dummy_value()

        return signature, generate

    return product


tile_1x4, tile_1x3, tile_1x2 = (tile(1, panels) for panels in (4, 3, 2))
tile_1, tile_2, tile_3, tile_4, tile_5, tile_6 = (tile(rows, 1) for rows in (1, 2, 3, 4, 5, 6))


def panel_width(dtype: Any) -> int:
    """How many columns of a matrix stand in a panel."""
    return VECTORS * BYTES // np.dtype(dtype).itemsize


def packed(W: Array) -> Array:
    """A matrix [K, N] as panels [N / width, K, width]; the last one filled up with 0."""
    K, N = W.shape
    width = panel_width(W.dtype)
    whole, rest = divmod(N, width)
    B = empty((whole + (rest > 0), K, width), W.dtype)
    B[:whole] = W[:, : whole * width].reshape(K, whole, width).transpose(1, 0, 2)
    if rest:
        B[whole, :, :rest], B[whole, :, rest:] = W[:, whole * width :], 0
    return B


def padded(rows: int, B: Array) -> Array:
    """Room for rows of a product with B, filled up to whole panels."""
    room = empty((rows, B.shape[0] * B.shape[2]), B.dtype)
    room[:] = 0
    return room


def scratch(B: Array) -> Array:
    """What `add_packed` needs for a panel that the result does not fill."""
    return np.empty((ROWS, B.shape[2]), B.dtype)


@njit(nogil=True)
def add_packed(a: Array, first: int, last: int, B: Array, c: Array, edge: Array) -> None:
    """c[first:last] += a[first:last] @ B, which is packed; `edge` is scratch. Of a wider a, the first columns count."""
    K, N = B.shape[1], c.shape[1]
    width = B.shape[2]
    whole = N // width
    rows = last - first
    tiles = (rows + ROWS - 1) // ROWS  # of about the same height: 25 rows are five times 5, not 6 6 6 6 1
    for k0 in range(0, K, DEPTH):
        depth = min(DEPTH, K - k0)
        panel = 0
        if rows == 1:
            while panel + 4 <= whole:
                tile_1x4(a, first, k0, depth, B, panel, c, first, panel * width)
                panel += 4
            if panel + 3 == whole:
                tile_1x3(a, first, k0, depth, B, panel, c, first, panel * width)
                panel += 3
            elif panel + 2 == whole:
                tile_1x2(a, first, k0, depth, B, panel, c, first, panel * width)
                panel += 2
        while panel < B.shape[0]:
            for q in range(tiles):
                row = first + (q * rows) // tiles
                height = first + ((q + 1) * rows) // tiles - row
                if panel < whole:
                    tile_of(height, a, row, k0, depth, B, panel, c, row, panel * width)
                else:  # a panel that c does not fill: by way of the scratch
                    edge[:] = 0
                    tile_of(height, a, row, k0, depth, B, panel, edge, 0, 0)
                    for r in range(height):
                        for j in range(N - whole * width):
                            c[row + r, whole * width + j] += edge[r, j]
            panel += 1


@njit(nogil=True)
def tile_of(
    height: int, a: Array, a_row: int, k0: int, depth: int, B: Array, panel: int, c: Array, c_row: int, col: int
) -> None:
    """The tile of that height, one panel wide."""
    if height == 6:
        tile_6(a, a_row, k0, depth, B, panel, c, c_row, col)
    elif height == 5:
        tile_5(a, a_row, k0, depth, B, panel, c, c_row, col)
    elif height == 4:
        tile_4(a, a_row, k0, depth, B, panel, c, c_row, col)
    elif height == 3:
        tile_3(a, a_row, k0, depth, B, panel, c, c_row, col)
    elif height == 2:
        tile_2(a, a_row, k0, depth, B, panel, c, c_row, col)
    else:
        tile_1(a, a_row, k0, depth, B, panel, c, c_row, col)


@njit(nogil=True, cache=True)
def fill_product(first: int, last: int, a: Array, B: Array, c: Array, edge: Array) -> None:
    """c[first:last] = a[first:last] @ B, which is packed; so many rows at a time that they stay in the second cache."""
    for row in range(first, last, BLOCK):
        end = min(row + BLOCK, last)
        c[row:end] = 0
        add_packed(a, row, end, B, c, edge)


def packed_product(a: Array, W: Array, c: Array) -> None:
    """c = a @ W, for many rows: by tiles where W is small, else by the BLAS: packing costs what tiles gain."""
    if W.size > SMALL:
        product(a, W, out=c)
        return
    B = packed(W)
    worth = len(a) * W.size // PRODUCT
    share(lambda first, last: fill_product(first, last, a, B, c, scratch(B)), len(a), worth)
