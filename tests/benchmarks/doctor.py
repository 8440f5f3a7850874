"""What it costs to be watched: a step of a language model with a callback of the doctor, over one without.

python tests/benchmarks/doctor.py [--steps 300] [--only BlackBox]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from minidl.models import char_lm
from turns import quartiles

import minidl
from minidl.doctor import BlackBox, Doctor, Rollback

UNITS, LAYERS, V, B, T = 128, 2, 96, 50, 50
WATCHES = {
    "BlackBox": lambda folder: BlackBox(folder / "box"),
    "Rollback": lambda folder: Rollback(folder=folder / "box"),
    "Doctor": lambda folder: Doctor(str(folder / "box"), quiet=True),
}
UNTIMED = 10  # steps at the beginning


class EveryOther(minidl.Callback):
    """Lets a callback see every other step, and notes how long each step takes."""

    def __init__(self, watch: Any) -> None:
        self.watch = watch
        self.seconds: list[list[float]] = [[], []]  # of the steps without, and with it
        self.inside: list[float] = []  # in its hooks, a step

    def on_fit_start(self, trainer: minidl.Trainer) -> None:
        self.watch.on_fit_start(trainer)
        self.began = time.perf_counter()

    def on_grads_ready(self, trainer: minidl.Trainer) -> None:
        if trainer.step % 2:
            began = time.perf_counter()
            self.watch.on_grads_ready(trainer)
            self.inside.append(time.perf_counter() - began)

    def on_step_end(self, trainer: minidl.Trainer) -> None:
        with_it = (trainer.step - 1) % 2
        if with_it:
            began = time.perf_counter()
            self.watch.on_step_end(trainer)
            self.inside[-1] += time.perf_counter() - began
        now = time.perf_counter()
        self.seconds[with_it].append(now - self.began)
        self.began = time.perf_counter()


def main() -> None:
    """Train a net once for each callback, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only", choices=WATCHES)
    args = parser.parse_args()
    ids = np.random.default_rng(0).integers(0, V, B * T * 40 + 1)
    for name in [args.only] if args.only else WATCHES:
        net = char_lm(V, UNITS, LAYERS)
        net.build((None,))
        with tempfile.TemporaryDirectory() as folder:
            turns = EveryOther(WATCHES[name](Path(folder)))
            trainer = minidl.Trainer(net, minidl.CrossEntropy(), minidl.Adam(1e-3), [turns], quiet=True)
            trainer.fit(minidl.TextStream(ids, B, T), steps=args.steps)
        without, with_it = (seconds[UNTIMED:] for seconds in turns.seconds)
        low, middle, high = quartiles([b / a for a, b in zip(without, with_it, strict=False)])
        step, inside = statistics.median(without), statistics.median(turns.inside[UNTIMED:])
        print(
            f"{LAYERS}x{UNITS}, V {V}, B {B}, T {T}, Adam: {1e3 * step:.1f} ms a step; with {name} {middle - 1:+.1%} "
            f"[{low - 1:+.1%} {high - 1:+.1%}], {1e3 * inside:.2f} ms in its hooks, {inside / step:.1%}"
        )


if __name__ == "__main__":
    main()
