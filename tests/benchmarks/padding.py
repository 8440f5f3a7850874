"""What padding costs: an epoch of sequences of all lengths, shuffled or sorted into buckets, beside one of full length.

    python tests/benchmarks/padding.py [--turns 7] [--batches 40]

The lengths are spread evenly from 1 to T, so that half of a batch is padding. The batches of the three kinds take
turns. The time of the processor is that of all threads; with two of them, what a batch costs besides its steps (packed
weights, the optimizer) counts double by the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

import minidl
from minidl import kernels

B, T, D, H, CLASSES = 32, 100, 64, 128, 10


class Times(NamedTuple):
    """Seconds: by the clock, and of the processor."""

    clock: float
    processor: float


def step(net: minidl.Layer, optimizer: minidl.Optimizer, batches: Iterator[minidl.Batch]) -> Times:
    """Train on the next batch, cutting and padding included."""
    loss, began, used = minidl.SoftmaxCrossEntropy(), time.perf_counter(), time.process_time()
    net.zero_grads()
    minidl.loss_and_grads(net, loss, next(batches))
    optimizer.step(net.params)
    return Times(time.perf_counter() - began, time.process_time() - used)


def epochs(
    net: minidl.Layer, optimizer: minidl.Optimizer, kinds: Mapping[str, minidl.PaddedBatches], k: int
) -> dict[str, Times]:
    """An epoch of each kind, batch by batch in turn, so that what disturbs the machine disturbs all of them."""
    running = {name: batches.epoch(k) for name, batches in kinds.items()}
    times: dict[str, list[Times]] = {name: [] for name in kinds}
    for _ in range(len(next(iter(kinds.values())))):
        for name, batches in running.items():
            times[name].append(step(net, optimizer, batches))
    return {name: Times(*np.sum(spent, axis=0)) for name, spent in times.items()}


def main() -> None:
    """Train on each kind of data again and again, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--batches", type=int, default=40)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    count = B * args.batches
    full = list(rng.standard_normal((count, T, D)).astype(np.float32))
    cut = [row[:n] for row, n in zip(full, rng.integers(1, T + 1, count), strict=True)]
    targets = rng.integers(0, CLASSES, count)
    kinds = {
        "full length": minidl.PaddedBatches(full, targets, B),
        "all lengths, shuffled": minidl.PaddedBatches(cut, targets, B),
        "all lengths, in buckets": minidl.PaddedBatches(cut, targets, B, by_length=True),
    }
    net = minidl.Sequential([minidl.LSTM(H), minidl.Dense(CLASSES)])
    net.build((None, D))
    optimizer = minidl.Adam(1e-3)
    epochs(net, optimizer, kinds, 0)  # wakes threads, fills caches
    turns = [epochs(net, optimizer, kinds, k) for k in range(1, args.turns + 1)]
    print(f"LSTM({H}), B {B}, T {T}, D {D}, {args.batches} batches an epoch, {kernels.in_words()}")
    for name, batches in kinds.items():
        masks = [batch.mask for batch in batches.epoch(0)]
        padding = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks)
        ms = [1e3 * turn[name].clock for turn in turns]
        clock, processor = (
            statistics.median(turn[name][k] / turn["full length"][k] for turn in turns) for k in range(2)
        )
        print(
            f"{name:24s} {statistics.median(ms):6.0f} ms ({min(ms):.0f}-{max(ms):.0f})  {padding:4.0%} padding"
            f"  {clock:4.0%} of the time of the full one, {processor:.0%} of its processor time"
        )


if __name__ == "__main__":
    main()
