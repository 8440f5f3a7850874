"""Whether time and memory of a training step grow linearly: several windows, several batches, drawn as bars.

    python tests/benchmarks/scaling.py [--peers minidl,torch] [--windows 25,50,100] [--batches 8,16,32]

Bars of time per step and row that are equally long mean: twice the work takes twice the time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

import numpy as np
from competitors import COMPETITORS, KERNELS, missing
from machine import load, machine
from printing import console, facts, show
from tables import Table, number, spread
from tasks import SIZES, Size, tiny
from turns import best_setting, close, quartiles, started, take_turns

BASE = SIZES["2x128"]._replace(turns=8, updates=2)
WINDOWS = [25, 50, 100, 200, 400]
BATCHES = [8, 16, 32, 64, 128]
BATCH, WINDOW = 16, 50  # of the sweeps over the other one
BAR = 18  # characters of the longest bar


def bar(value: float, longest: float) -> str:
    """A bar of eighths of a character."""
    full, eighths = divmod(round(8 * BAR * max(value, 0) / longest), 8) if longest > 0 else (0, 0)
    return "█" * full + " ▏▎▍▌▋▊▉"[eighths].strip()


def line(amounts: list[int], values: list[float], unit: str) -> str:
    """The straight line that fits best, small values counting as much as large ones, and how far the values are off."""
    slope, fixed = np.polyfit(amounts, values, 1, w=1 / np.array(amounts))
    off = max(
        [abs(fixed + slope * amount - value) / value for amount, value in zip(amounts, values, strict=True) if value],
        default=0.0,
    )
    return f"{number(fixed)} {unit} + {number(slope)} {unit} each, off by {100 * off:.0f} % at most"


def sweep(name: str, letter: str, sizes: list[Size], smoke: bool) -> tuple[Table, str]:
    """Train at each of the sizes, in turns; a table, and the lines that fit time and memory."""
    setting = COMPETITORS[name].settings[0] if smoke else best_setting(name, "training", sizes[len(sizes) // 2])
    workers = {}
    try:
        for size in sizes:
            workers[size.title] = started(name, setting, "training", size, {})
        turns = take_turns(workers, sizes[0].turns, sizes[0].updates)
        seconds = [quartiles([turn["seconds"] for turn in turns[size.title]]) for size in sizes]
        memory = [workers[size.title].ask("memory")["above a tiny net"] for size in sizes]
    finally:
        close(workers)
    amounts = [size.window if letter == "T" else size.batch for size in sizes]
    areas = [size.window * size.batch for size in sizes]
    times = [1e6 * found[1] / area for found, area in zip(seconds, areas, strict=True)]
    kilobytes = [1024 * amount / area for amount, area in zip(memory, areas, strict=True)]
    lines = []
    for k, amount in enumerate(amounts):
        cells = [str(amount), spread(seconds[k], 1e3), bar(times[k], max(times)), number(times[k])]
        lines.append([*cells, f"{memory[k]:,.1f}", bar(kilobytes[k], max(kilobytes)), number(kilobytes[k])])
    other = f"B {sizes[0].batch}" if letter == "T" else f"T {sizes[0].window}"
    title = f"{COMPETITORS[name].title}, {sizes[0].layers}x{sizes[0].units}, {other}, threads: {setting.label}"
    headings = [letter, "ms a step", "µs a step and row", "", "MB", "KB a step and row", ""]
    fits = f"time {line(amounts, [1e3 * found[1] for found in seconds], 'ms')}; memory {line(amounts, memory, 'MB')}"
    return Table(title, headings, lines, 0, (3, 18, BAR, 5, 5, BAR, 5)), fits


def numbers(text: str) -> list[int]:
    """Two or more positive whole numbers with commas between."""
    found = [int(part) for part in text.split(",")]
    if len(set(found)) < 2 or min(found) < 1:
        raise argparse.ArgumentTypeError(f"two or more different positive numbers are expected, got {text}")
    return found


def commas(values: Iterable[object]) -> str:
    """The values with commas between."""
    return ",".join(map(str, values))


def main() -> int:
    """Both sweeps for each competitor."""
    able = [name for name in COMPETITORS if name != "gemms" and not missing(name)]
    able = [name for name in able if "training" in COMPETITORS[name].tasks]
    usual = [name for name in [*KERNELS, "torch"] if name in able]
    parser = argparse.ArgumentParser(description="Whether a training step grows linearly in T and in B.")
    parser.add_argument("--peers", default=commas(usual), help=f"some of {commas(able)}; %(default)s by default")
    parser.add_argument("--windows", type=numbers, default=WINDOWS, metavar="T,T", help=commas(WINDOWS))
    parser.add_argument("--batches", type=numbers, default=BATCHES, metavar="B,B", help=commas(BATCHES))
    parser.add_argument("--smoke", action="store_true", help="a tiny net, two turns: only to see whether it runs")
    args = parser.parse_args()
    if not set(args.peers.split(",")) <= set(able):
        parser.error(f"--peers expects some of {commas(able)}, got {args.peers}")
    base = tiny(BASE) if args.smoke else BASE
    out = console()
    out.print(facts(machine() | {"load": load()}), "")
    for name in args.peers.split(","):
        for letter, sizes in (
            ("T", [base._replace(window=window, batch=BATCH) for window in args.windows]),
            ("B", [base._replace(window=WINDOW, batch=batch) for batch in args.batches]),
        ):
            table, fits = sweep(name, letter, sizes, args.smoke)
            show(out, table)
            out.print(f"{fits}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
