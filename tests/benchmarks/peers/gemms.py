"""The bound: the matrix products of an update and nothing else, and the fastest product that this machine computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tasks import Size, repeated

PEAK = 1500  # rows and columns of the matrices of the fastest product


def about() -> dict[str, str]:
    """The version."""
    return {"numpy": np.__version__}


def filled(*shape: int) -> Any:
    """An array of small numbers, none of them denormal."""
    return np.random.default_rng(0).uniform(0.01, 0.02, shape).astype(np.float32)


def layer_products(T: int, B: int, D: int, H: int) -> Iterator[tuple[Any, Any, Any]]:
    """The products of an LSTM layer: z = x Wx + h Wh of each step, and backward dh, dx, dWx, dWh."""
    X, h, dz = filled(T * B, D), filled(T, B, H), filled(T, B, 4 * H)
    Wx, Wh, dZ = filled(D, 4 * H), filled(H, 4 * H), dz.reshape(T * B, 4 * H)
    yield X, Wx, np.empty_like(dZ)
    z, dh = np.empty_like(dz[0]), np.empty_like(h[0])
    for t in range(T):
        yield h[t], Wh, z
    for t in reversed(range(T)):
        yield dz[t], Wh.T, dh
    yield dZ, Wx.T, np.empty_like(X)
    yield X.T, dZ, np.empty_like(Wx)
    yield h.reshape(T * B, H).T, dZ, np.empty_like(Wh)


def dense_products(rows: int, H: int, V: int) -> Iterator[tuple[Any, Any, Any]]:
    """The products of the dense layer: h W, and backward dh, dW."""
    h, W, dy = filled(rows, H), filled(H, V), filled(rows, V)
    yield h, W, np.empty_like(dy)
    yield dy, W.T, np.empty_like(h)
    yield h.T, dy, np.empty_like(W)


def training(size: Size) -> Callable[[int], None]:
    """All products of an update, with np.matmul into arrays that are there already."""
    T, B, H = size.window, size.batch, size.units
    products = []
    for k in range(size.layers):
        products += layer_products(T, B, H if k else size.embedding, H)
    products += dense_products(T * B, H, size.symbols)

    def step() -> None:
        for a, b, out in products:
            np.matmul(a, b, out=out)

    return repeated(step)


def peak(size: Size) -> Callable[[int], float]:
    """One large product, whatever the net."""
    a, out = filled(PEAK, PEAK), np.empty((PEAK, PEAK), np.float32)
    return repeated(lambda: np.matmul(a, a, out=out)[0, 0])


def operations(size: Size) -> int:
    """How many multiplications and additions the products of an update are."""
    rows, H = size.window * size.batch, size.units
    widths = [size.embedding] + [H] * (size.layers - 1)
    return 3 * 2 * rows * (sum(4 * H * (D + H) for D in widths) + H * size.symbols)


TASKS = {"training": training, "peak": peak}
