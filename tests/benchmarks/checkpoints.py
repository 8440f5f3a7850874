"""What a checkpoint costs: the time to write one, and its share of a minute.

python tests/benchmarks/checkpoints.py [--turns 7]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from minidl.models import char_lm

import minidl
from minidl import checkpoints

NETS = (128, 2, 96), (512, 2, 96), (650, 2, 10_000)


def main() -> None:
    """Train each net for a few updates, and write it again and again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=7)
    turns = parser.parse_args().turns
    for units, layers, V in NETS:
        net = char_lm(V, units, layers)
        net.build((None,))
        ids = np.random.default_rng(0).integers(0, V, 2000)
        trainer = minidl.Trainer(net, minidl.CrossEntropy(), minidl.Adam(1e-3), quiet=True)
        trainer.fit(minidl.TextStream(ids, 20, 35))
        times = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint.npz"
            for _ in range(turns):
                began = time.perf_counter()
                checkpoints.write(trainer, path)
                times.append(time.perf_counter() - began)
            size = path.stat().st_size
        median = statistics.median(times)
        print(
            f"{layers}x{units}, V {V:,}, Adam: {size / 1e6:6.1f} MB  {1e3 * median:4.0f} ms "
            f"({1e3 * min(times):.0f}-{1e3 * max(times):.0f})  {median / 60:.2%} of a minute"
        )


if __name__ == "__main__":
    main()
