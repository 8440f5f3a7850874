"""What `Doctor()` and `BlackBox()` cost: a training step with them beside one without, step by step in turn.

    python tests/benchmarks/doctor.py [--steps 150]

The net is a language model of 2 layers of 128 cells, V 96, B 50, T 50. The trainings take a step each in turn, so that
what disturbs the machine disturbs all of them; the figure is the median of the ratios. The last line
tells whether what the doctor holds grows.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
from minidl.models import char_lm

import minidl
from minidl import kernels

B, T, V, UNITS = 50, 50, 96, 128
WARM = 50  # steps that are not counted: the doctor looks at each of the first ones


class Stepping:
    """A training that is carried on step by step."""

    def __init__(self, batches: list[minidl.Batch], callbacks: list[minidl.Callback]) -> None:
        net = char_lm(V, UNITS, layers=2)
        self.batches = batches
        self.trainer = minidl.Trainer(net, minidl.CrossEntropy(), minidl.Adam(2e-3), callbacks, quiet=True)
        self.trainer.net.build((None,))
        self.steps = self.go()

    def go(self) -> Iterator[float]:
        """Yield the seconds of one step after the other: the time between two moments of the loop."""
        trainer = self.trainer
        trainer.fit(self.batches, steps=1)  # all that is made once
        trainer.active = trainer.callbacks
        trainer.stop_reason = trainer.last_step = None
        while True:
            for batch in self.batches:
                began = time.perf_counter()
                trainer._update([batch])
                yield time.perf_counter() - began


def main() -> None:
    """Take the steps, and print the medians of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    args = parser.parse_args()
    ids = np.random.default_rng(0).integers(0, V, B * T * 8 + 1)
    batches = list(minidl.TextStream(ids, B, T))
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            "without": Stepping(batches, []),
            "BlackBox()": Stepping(batches, [minidl.doctor.BlackBox(f"{folder}/box")]),
            "Doctor()": Stepping(batches, [minidl.Doctor(f"{folder}/doctor", quiet=True)]),
            "without, again": Stepping(batches, []),
        }
        times: dict[str, list[float]] = {name: [] for name in kinds}
        order = list(kinds)
        for k in range(WARM + args.steps):
            for name in order[k % len(order) :] + order[: k % len(order)]:
                seconds = next(kinds[name].steps)
                if k >= WARM:
                    times[name].append(seconds)
        print(f"LM 2x{UNITS}, B {B}, T {T}, {args.steps} steps, {kernels.in_words()}")
        for name, mine in times.items():
            ratio = statistics.median(a / b for a, b in zip(mine, times["without"], strict=True))
            means = sum(mine) / sum(times["without"])
            print(
                f"{name:16s} {1e3 * statistics.median(mine):6.1f} ms a step, {ratio - 1:+.1%} (means {means - 1:+.1%})"
            )
        watched = kinds["Doctor()"]
        tracemalloc.start()
        held = []
        for steps in 100, 300:  # what was held before it was traced is replaced within the first ones
            for _ in range(steps):
                next(watched.steps)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
        print(f"Doctor() holds {(held[1] - held[0]) / 1e3:+.0f} kB more after 300 more steps")


if __name__ == "__main__":
    main()
