"""How fast minidl trains and generates, beside torch.nn.LSTM where that is installed; by hand, on a calm machine.

    python tests/benchmarks/speed.py [--rows small,medium] [--json FILE] [--markdown]

Training is one update: forward, backward, clipping the norm to 5, Adam. minidl and torch take turns of a few updates,
so that whatever else the machine does slows both; the ratio is the median over the pairs of such neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from minidl.models import char_lm
from rich.console import Console
from rich.table import Table

import minidl

try:
    import torch
except ImportError:
    torch = None


class Size(NamedTuple):
    """A language model, the batch it is trained with, how many turns are timed, and of how many updates each is."""

    title: str
    layers: int
    units: int
    batch: int
    window: int
    symbols: int
    embedding: int
    turns: int
    steps: int
    generates: bool = True


SIZES = {
    "small": Size("1x100, B 1, T 100, V 100", 1, 100, 1, 100, 100, 64, 20, 10),
    "medium": Size("2x128, B 50, T 50, V 96", 2, 128, 50, 50, 96, 64, 20, 2),
    "large": Size("2x512, B 50, T 50, V 96", 2, 512, 50, 50, 96, 64, 8, 1),
    "words": Size("words 2x200, B 20, T 20, V 10,000", 2, 200, 20, 20, 10_000, 200, 15, 2, generates=False),
}
WARM_UP = 2  # turns
PAUSE = 0.1  # seconds before a turn: the threads of the one before spin for a while, and would take a core away
TURNS = 7  # of generation
TEMPERATURE = 0.8


def minidl_step(size: Size, x: Any, t: Any) -> Callable[[], object]:
    """One update of minidl's net, carried state included."""
    net = char_lm(size.symbols, size.units, size.layers, embedding=size.embedding)
    net.build((None,), seed=0)
    loss, optimizer, state = minidl.CrossEntropy(), minidl.Adam(1e-3), None

    def step() -> None:
        nonlocal state
        net.zero_grads()
        result = minidl.loss_and_grads(net, loss, minidl.Batch(x, t, start=False), state)
        minidl.clip_norm(net.params, 5.0)
        optimizer.step(net.params)
        state = result.state

    return step


def torch_net(size: Size) -> Any:
    """The same net of torch's modules."""
    torch.manual_seed(0)
    return torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(size.symbols, size.embedding),
            "lstm": torch.nn.LSTM(size.embedding, size.units, size.layers, batch_first=True),
            "dense": torch.nn.Linear(size.units, size.symbols),
        }
    )


def torch_step(size: Size, x: Any, t: Any) -> Callable[[], object]:
    """One update of torch's net, carried state included."""
    net = torch_net(size)
    x, t = torch.from_numpy(x.astype(np.int64)), torch.from_numpy(t.astype(np.int64)).reshape(-1)
    optimizer, state = torch.optim.Adam(net.parameters(), 1e-3, fused=True), None

    def step() -> None:
        nonlocal state
        optimizer.zero_grad()
        h, (h_end, c_end) = net["lstm"](net["embedding"](x), state)
        torch.nn.functional.cross_entropy(net["dense"](h).reshape(-1, size.symbols), t).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        state = h_end.detach(), c_end.detach()

    return step


def minidl_text(size: Size, length: int) -> Callable[[], object]:
    """Some symbols, one after the other, from minidl's net."""
    net = char_lm(size.symbols, size.units, size.layers, embedding=size.embedding)
    net.build((None,), seed=0)
    return lambda: list(minidl.generate(net, [1, 2, 3], length, temperature=TEMPERATURE, seed=0))


def torch_text(size: Size, length: int) -> Callable[[], object]:
    """Some symbols, one after the other, from torch's net, in the loop that people write."""
    net = torch_net(size).eval()

    def generate() -> list[int]:
        symbols = []
        with torch.inference_mode():
            x, state = torch.tensor([[1, 2, 3]]), None
            for _ in range(length):
                h, state = net["lstm"](net["embedding"](x), state)
                p = torch.softmax(net["dense"](h[:, -1]) / TEMPERATURE, dim=-1)
                x = torch.multinomial(p, 1)
                symbols.append(int(x))
        return symbols

    return generate


def repeated(step: Callable[[], object], times: int) -> Callable[[], object]:
    """A turn of several updates."""
    return lambda: [step() for _ in range(times)]


def take_turns(rivals: dict[str, Callable[[], object]], times: int) -> dict[str, list[float]]:
    """Seconds of each of the rivals, turn by turn; who begins alternates."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for k in range(times):
        for name in list(rivals)[:: 1 if k % 2 else -1]:
            time.sleep(PAUSE)
            began = time.perf_counter()
            rivals[name]()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def quartiles(values: list[float]) -> list[float]:
    """The lower quartile, the median, the upper quartile."""
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3


def measure(
    task: str, size: Size, rivals: dict[str, Callable[[], object]], times: int, steps: int, count: int
) -> dict[str, Any]:
    """A row of the report: seconds, rates and the ratio, each as quartiles."""
    take_turns(rivals, WARM_UP)
    seconds = take_turns(rivals, times)
    row: dict[str, Any] = {"task": task, "net": size.title, "turns": times, "steps": steps, "symbols": count}
    for name, values in seconds.items():
        row[name] = {"seconds": quartiles(values), "per_second": quartiles([count / value for value in values])}
    if "torch" in seconds:
        row["ratio"] = quartiles([b / a for a, b in zip(seconds["minidl"], seconds["torch"], strict=True)])
    return row


def rows_of(size: Size, smoke: bool) -> list[dict[str, Any]]:
    """Training, and generation where the net is one that writes characters."""
    ids = np.random.default_rng(0).integers(0, size.symbols, (size.batch, size.window + 1))
    x, t = ids[:, :-1], ids[:, 1:]
    steps = {"minidl": minidl_step(size, x, t)} | ({"torch": torch_step(size, x, t)} if torch else {})
    rivals = {name: repeated(step, size.steps) for name, step in steps.items()}
    rows = [measure("training", size, rivals, 2 if smoke else size.turns, size.steps, size.steps * x.size)]
    if size.generates:
        length = 20 if smoke else 1000
        rivals = {"minidl": minidl_text(size, length)} | ({"torch": torch_text(size, length)} if torch else {})
        rows.append(measure("generation", size, rivals, 2 if smoke else TURNS, length, length))
    return rows


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(": ")[1] for line in lines if line.startswith("model name")), cpu)
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or f"{os.cpu_count()} (default)"
    found = {
        "cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "minidl": minidl.__version__,
        "kernel": minidl.kernels.backend(), "numpy": np.__version__, "BLAS threads": threads,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }  # fmt: skip
    return found | ({"torch": torch.__version__, "torch threads": torch.get_num_threads()} if torch else {})


def cells(row: dict[str, Any]) -> list[str]:
    """A row as people read it: medians, in brackets the quartiles."""

    def spread(low: float, middle: float, high: float, form: str) -> str:
        return f"{middle:{form}} ({low:{form}}-{high:{form}})"

    shown = [row["task"], row["net"]]
    for name in "minidl", "torch":
        shown.append(spread(*row[name]["per_second"], ",.0f") if name in row else "-")
    milliseconds = [1e3 * row[name]["seconds"][1] / row["steps"] for name in ("minidl", "torch") if name in row]
    shown.append(" / ".join(f"{value:.3g}" for value in milliseconds))
    return [*shown, spread(*row["ratio"], ".2f") if "ratio" in row else "-"]


TITLES = ["task", "net", "minidl symbols/s", "torch symbols/s", "ms a step", "torch / minidl"]


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="How fast minidl trains and generates, beside torch.")
    parser.add_argument("--rows", default=",".join(SIZES), help="which nets, of %(default)s")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--smoke", action="store_true", help="two turns each, to see whether it runs")
    args = parser.parse_args()
    names = args.rows.split(",")
    if not set(names) <= set(SIZES):
        parser.error(f"--rows expects some of {','.join(SIZES)}, got {args.rows}")
    facts = machine()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if torch is None:
        print("torch is not installed: these are minidl's figures alone")
    rows = []
    for name in names:
        print(f"{SIZES[name].title} ...", file=sys.stderr, flush=True)
        rows += rows_of(SIZES[name], args.smoke)
    if args.markdown:
        print("", f"| {' | '.join(TITLES)} |", "|---|---|---:|---:|---:|---:|", sep="\n")
        print(*(f"| {' | '.join(cells(row))} |" for row in rows), sep="\n")
    else:
        table = Table(*TITLES, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*cells(row))
        Console(width=None if sys.stdout.isatty() else 150).print(table)
    if args.json:
        Path(args.json).write_text(json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
