"""What each kernel gains: the plain way and the kernel do the same work in one process, in turns; on a calm machine.

python tests/benchmarks/kernels.py [--rows tiles,tanh,lstm] [--json FILE] [--smoke]
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from time import process_time
from timeit import timeit
from typing import Any, NamedTuple

import numpy as np
from machine import load, machine, pause
from printing import console, facts, show
from speed import CALM
from tables import Table, number, spread
from tasks import LEARNING_RATE, TEMPERATURE, repeated
from turns import PAUSE, quartiles

import minidl
from minidl.kernels import (
    add_product,
    backend,
    gru_steps,
    lstm_stepper,
    lstm_steps,
    machine_code,
    one_blas_thread,
    product,
    simple_rnn_steps,
    team,
)
from minidl.kernels.backend import loaded

TURNS = 11
TURN = 0.02  # seconds that the calls of a turn take together
UNITS = {"ms": 1e3, "µs": 1e6, "ns a number": 1e9}
HERE = backend()
Pair = tuple[Callable[[int], Any], Callable[[int], Any]]  # both do their work so many times, and return the result
njit = cache(lambda run: loaded("lstm").kernel(run))


class Row(NamedTuple):
    """A kernel, and what it is compared with."""

    title: str
    names: tuple[str, str]
    unit: str
    pair: Callable[..., Pair]
    sizes: list[tuple[Any, ...]]  # the arguments of `pair`
    numba: bool = True  # it is compiled
    cost: bool = False  # the second one does more: tell what that costs


def normal(*shape: int) -> Any:
    """float32, the same ones each time."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def into(out: Any, run: Callable[..., Any], *args: Any) -> Callable[[int], Any]:
    """Calls that change `out`; it is the result."""
    return repeated(lambda: (run(*args), out)[1])


def sums(add_packed: Any, a: Any, B: Any, c: Any, edge: Any, count: int) -> Any:
    """c = 0, c += a @ B, to be compiled: the steps of an LSTM call it from compiled code, too."""
    for _ in range(count):
        c[:] = 0
        add_packed(a, 0, len(a), B, c, edge)
    return c


def tiles(M: int, K: int, N: int) -> Pair:
    """A few rows by a matrix that is packed once, against one that np.matmul packs at every call."""
    a, W, y, module = normal(M, K), normal(K, N), np.empty((M, N), np.float32), loaded("tiles")
    B = module.packed(W)
    kernel = partial(njit(sums), module.add_packed, a, B, module.padded(M, B), module.scratch(B))
    return repeated(partial(np.matmul, a, W, y)), lambda count: kernel(count)[:, :N]


def tanh(N: int) -> Pair:
    """tanh in place, of normal numbers that become smaller."""
    x, z = normal(N), normal(N)
    return repeated(partial(np.tanh, x, x)), into(z, loaded("lstm").tanh_row, z)


def passes(steps: Any, B: int, T: int, D: int, H: int, peepholes: bool = False) -> tuple[Callable[[int], Any], ...]:
    """Forward, backward, and both, by one implementation of the steps, on buffers of its own."""
    x, dy, gates, tanh_c = normal(T, B, D), normal(T, B, H), normal(T, B, 4 * H), normal(T, B, H)
    (h, c), zero = np.zeros((2, T + 1, B, H), np.float32), np.zeros((B, H), np.float32)
    Wx, Wh, b = normal(D, 4 * H) / D**0.5, normal(H, 4 * H) / H**0.5, normal(4 * H)
    options = normal(3, H) / 10 if peepholes else None, None, None
    forward = into(h, steps.forward, x, gates, h, c, tanh_c, Wx, Wh, b, *options)
    backward = repeated(lambda: steps.backward(dy, +zero, +zero, gates, c, tanh_c, Wx, Wh, *options)[1])
    forward(1)
    return forward, backward, repeated(lambda: (forward(1), backward(1)))


def window(way: str, B: int, T: int, D: int, H: int) -> Pair:
    """The steps of lstm_forward or lstm_backward, and the products with all inputs."""
    return tuple(passes(steps, B, T, D, H)[way == "backward"] for steps in (lstm_steps, loaded("lstm")))


def gru(way: str, reset: str, B: int, T: int, D: int, H: int) -> Pair:
    """The steps of gru_forward or gru_backward, and the products with all inputs."""
    x, dy, h, gates = normal(T, B, D), normal(T, B, H), np.zeros((T + 1, B, H), np.float32), normal(T, B, 3 * H)
    Wx, Wh, b, s = normal(D, 3 * H) / D**0.5, normal(H, 3 * H) / H**0.5, normal(3 * H), normal(T, B, H)
    bh, zero = normal(H) if reset == "after" else None, h[0].copy()

    def run(steps: Any) -> Callable[[int], Any]:
        forward = into(h, steps.forward, x, gates, h, s, Wx, Wh, b, bh, None, None)
        forward(1)
        backward = lambda: steps.backward(dy, +zero, gates, h, s, Wx, Wh, bh is not None, None, None)[1]  # noqa: E731
        return forward if way == "forward" else repeated(backward)

    return run(gru_steps), run(loaded("gru"))


def simple_rnn(way: str, B: int, T: int, D: int, H: int) -> Pair:
    """The steps of simple_rnn_forward or simple_rnn_backward, and the products with all inputs."""
    x, dy, h, zero = normal(T, B, D), normal(T, B, H), np.zeros((T + 1, B, H), np.float32), np.zeros((B, H), np.float32)
    Wx, Wh, b = normal(D, H) / D**0.5, normal(H, H) / H**0.5, normal(H)

    def run(steps: Any) -> Callable[[int], Any]:
        forward = into(h, steps.forward, x, h, Wx, Wh, b, False, None, None)
        forward(1)
        backward = lambda: steps.backward(dy, +zero, h, Wx, Wh, False, None, None)[1]  # noqa: E731
        return forward if way == "forward" else repeated(backward)

    return run(simple_rnn_steps), run(loaded("simple_rnn"))


def peepholes(numba: bool, B: int, T: int, D: int, H: int) -> Pair:
    """Both passes without peepholes, and with diagonal ones."""
    steps = loaded("lstm") if numba else lstm_steps
    return passes(steps, B, T, D, H)[2], passes(steps, B, T, D, H, peepholes=True)[2]


def step(D: int, H: int) -> Pair:
    """A step of generation."""
    x, h, c = normal(1, D), normal(1, H), normal(1, H)
    given = h, c, normal(D, 4 * H) / D**0.5, normal(H, 4 * H) / H**0.5, normal(4 * H), None
    use("numpy")
    plain = lstm_stepper(*given)
    use(HERE)
    return repeated(partial(plain, x)), repeated(partial(loaded("lstm_step").lstm_stepper(*given), x))


def draw(V: int) -> Pair:
    """A symbol by its scores."""
    scores, fast, (a, b) = normal(V), loaded("draw").draw, [np.random.default_rng(0) for _ in range(2)]
    plain = repeated(partial(minidl.generation.choose, scores, TEMPERATURE, None, None, a))
    return plain, repeated(lambda: fast(scores, TEMPERATURE, b.random()))


def adam(N: int) -> Pair:
    """An update after many, when the factors of the first ones have come to 1."""
    (x, g), (m, v) = normal(2, N), np.zeros((2, N), np.float32)
    p, optimizer = minidl.Parameter(x.copy()), minidl.Adam(LEARNING_RATE)
    p.grad[...], optimizer.steps = g, 10**6
    options = *optimizer.betas, LEARNING_RATE, optimizer.eps, 1.0
    return into(p.value, optimizer.step, {"x": p}), into(x, loaded("adam").adam, x, g, m, v, *options)


def cross_entropy(N: int, V: int) -> Pair:
    """The loss of scores and its gradient."""
    y, t, weight = normal(N, V), np.arange(N) % V, np.full(N, 1 / N, np.float32)
    plain, kernel = minidl.SoftmaxCrossEntropy().positions, minidl.kernels.softmax_cross_entropy
    return repeated(lambda: plain(y, t)[1] * weight[:, None]), repeated(lambda: kernel(y, t, weight)[1])


def buffers(MB: int) -> Pair:
    """An array that is made, filled and dropped."""
    one, form, empty = np.ones(1, np.float32), ((MB, 2**18), np.float32), minidl.kernels.buffers.empty
    return repeated(lambda: np.positive(one, np.empty(*form))), repeated(lambda: np.positive(one, empty(*form)))


def products(way: str, M: int, K: int, N: int) -> Pair:
    """A product that the team shares, against the BLAS with its own threads."""
    a, b, (y, z) = normal(M, K), normal(K, N), np.zeros((2, M, N), np.float32)
    if way == "product":
        return repeated(partial(np.matmul, a, b, y)), repeated(partial(product, a, b, z))
    return repeated(lambda: np.add(y, a @ b, y)), into(z, add_product, a, b, z)


SIZES = [(50, 50, 128, 128), (50, 50, 512, 512), (1, 100, 64, 100), (20, 20, 200, 200)]  # B, T, D, H
WINDOWS = [(way, *size) for size in SIZES for way in ("forward", "backward")]
FAMILY_SIZES = [(32, 64, 128, 128), (25, 50, 128, 128)]
GRUS = [
    (way, reset, *size) for size in FAMILY_SIZES for reset in ("after", "before") for way in ("forward", "backward")
]
RNNS = [(way, *size) for size in FAMILY_SIZES for way in ("forward", "backward")]
TILES = [(25, 128, 512), (25, 512, 2048), (10, 650, 2600), (1, 100, 400)]
PRODUCTS = [(way, *size) for size in ((2500, 512, 2048), (200, 400, 10_000)) for way in ("product", "add")]
LOOKS, FAST = ("without", "diagonal"), ("NumPy", "compiled")
ROWS = {
    "tiles": Row("c = a @ B, one thread", ("np.matmul", "packed"), "µs", tiles, TILES),
    "tanh": Row("tanh", FAST, "ns a number", tanh, [(25_600,)]),
    "lstm": Row("The steps of an LSTM", FAST, "ms", window, WINDOWS),
    "gru": Row("The steps of a GRU", FAST, "ms", gru, GRUS),
    "simple_rnn": Row("The steps of a SimpleRNN", FAST, "ms", simple_rnn, RNNS),
    "peepholes": Row("Peepholes, compiled", LOOKS, "ms", partial(peepholes, True), SIZES[:2], cost=True),
    "peepholes-numpy": Row("Peepholes, NumPy", LOOKS, "ms", partial(peepholes, False), SIZES[:2], False, cost=True),
    "step": Row("A step of generation", FAST, "µs", step, [(64, 100), (64, 128)]),
    "draw": Row("A symbol by its scores", FAST, "µs", draw, [(100,), (10_000,)]),
    "adam": Row("Adam, one thread", FAST, "ns a number", adam, [(2 * 10**6,)]),
    "softmax": Row("Cross-entropy", ("positions", "kernel"), "ms", cross_entropy, [(400, 10_000), (2500, 96)], False),
    "buffers": Row("An array, filled", ("np.empty", "pool"), "ms", buffers, [(5,), (20,)], False),
    "products": Row("Products, shared", ("BLAS", "team"), "ms", products, PRODUCTS, False),
}


def use(kernels: str) -> None:
    """From now on minidl runs as in a process with MINIDL_KERNELS set to this."""
    os.environ["MINIDL_KERNELS"] = kernels
    for choice in (backend, machine_code, team):
        choice.cache_clear()


def turn(row: Row, who: int, run: Callable[[int], Any], calls: int) -> tuple[float, Any]:
    """Seconds of a call; and the result of those before, which wake threads, fill caches, and are not timed."""
    plain = not row.numba if row.cost else who == 0 and row.pair is not tiles
    use("numpy" if plain else HERE)
    with one_blas_thread():  # where a team computes: in NumPy's way the BLAS keeps its threads
        result = run(1 + calls // 4)
        return timeit(partial(run, calls), number=1) / calls, result


def measured(name: str, row: Row, size: tuple[Any, ...], smoke: bool) -> dict[str, Any]:
    """Warm up, see that both compute the same, and take turns; who begins alternates."""
    letters = zip(inspect.signature(row.pair).parameters, size, strict=True)
    title = " ".join(value if isinstance(value, str) else f"{letter} {value:,}" for letter, value in letters)
    print(f"{name} {title} ...", file=sys.stderr, flush=True)
    use(HERE)
    runs, seconds, busy = row.pair(*size), ([], []), []
    (first, plain), (second, kernel) = (turn(row, who, run, 1) for who, run in enumerate(runs))
    if not row.cost:
        np.testing.assert_allclose(kernel, plain, rtol=1e-3, atol=1e-3 * np.abs(plain).max())
    calls = [1 if smoke else max(1, round(TURN / each)) for each in (first, second)]
    for k in range(2 if smoke else TURNS):
        for who in (1, 0) if k % 2 else (0, 1):
            own = process_time()
            busy.append(pause(PAUSE) - (process_time() - own) / PAUSE)  # our BLAS threads spin on meanwhile
            seconds[who].append(turn(row, who, runs[who], calls[who])[0])
    ratios = quartiles([b / a if row.cost else a / b for a, b in zip(*seconds, strict=True)])
    found = {row.names[k]: {"setting": "", "quartiles": quartiles(seconds[k]), "seconds": seconds[k]} for k in (0, 1)}
    return {"task": name, "net": title, "busy": float(np.mean(busy)), "competitors": found, "ratio": ratios}


def table(row: Row, found: list[dict[str, Any]]) -> Table:
    """A line for each size."""
    lines, product_of = [], row.pair in (tiles, products)
    for size, each in zip(row.sizes, found, strict=False):  # a smoke run has the first size only
        times, numbers = [figures["quartiles"] for figures in each["competitors"].values()], np.prod(size[-3:])
        scale = UNITS[row.unit] / (numbers if row.unit == "ns a number" else 1)
        ratio = [100 * (value - 1) if row.cost else value for value in each["ratio"]]
        rates = " -> ".join(number(2e-9 * numbers / median, most=0) for _, median, _ in times)
        cells = [each["net"], *(spread(values, scale) for values in times), spread(ratio, most=2 - row.cost)]
        lines.append(cells + [rates] * product_of)
    headings = ["", *(f"{name}, {row.unit}" for name in row.names), "cost, %" if row.cost else "ratio"]
    return Table(row.title, headings + ["GFLOP/s"] * product_of, lines, 1, (29, 18, 18, 15, 8))


def main() -> int:
    """Measure, and print a table for each row."""
    parser = argparse.ArgumentParser(description="What each kernel gains.")
    parser.add_argument("--rows", default=",".join(ROWS), metavar="A,B", help="some of %(default)s; all by default")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--smoke", action="store_true", help="one size, two turns of a call: only to see that it runs")
    args = parser.parse_args()
    if not set(wanted := args.rows.split(",")) <= set(ROWS):
        parser.error(f"--rows expects some of {','.join(ROWS)}, got {args.rows}")
    chosen = {name: row for name, row in ROWS.items() if name in wanted and (HERE == "numba" or not row.numba)}
    about = machine() | {"load": load(), "numpy": np.__version__, "kernels": minidl.kernels.in_words()}
    jobs = [(name, row, size) for name, row in chosen.items() for size in row.sizes[: 1 if args.smoke else None]]
    rows = [measured(*job, args.smoke) for job in jobs]
    said = [f"{name} is left out: minidl runs on {HERE} here" for name in ROWS if name in wanted and name not in chosen]
    said += [f"Not calm: {row['busy']:.2f} cores busy during {row['task']}" for row in rows if row["busy"] > CALM]
    out = console()
    out.print("\n".join([facts(about), *said]), "")
    for name, row in chosen.items():
        show(out, table(row, [found for found in rows if found["task"] == name]))
    if args.json:
        Path(args.json).write_text(json.dumps({"machine": about, "absent": said, "rows": rows}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
