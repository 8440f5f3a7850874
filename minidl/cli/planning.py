"""How long `minidl train` trains: as asked for, or as many steps as fit into the minutes, by measuring a few."""

from __future__ import annotations

import argparse
import math
import statistics
import time

import numpy as np

from minidl.callbacks.clipping import Clipping
from minidl.cli.tasks import Job
from minidl.optimizers import Adam
from minidl.trainer import Trainer


def plan(args: argparse.Namespace, job: Job, clip: Clipping) -> tuple[int, int]:
    """The number of updates and of epochs."""
    train, valid = job.train, job.valid
    if args.epochs is not None:
        return args.epochs * len(train), args.epochs
    if args.steps is not None:
        return args.steps, math.ceil(args.steps / len(train))
    # at a rate that moves nothing: only the time matters here, a rate at which it diverges is for the training to tell
    trial = Trainer(job.net.copy(), job.loss, Adam(1e-12), [clip], metrics=job.metrics, seed=args.seed, quiet=True)
    times = []
    with np.errstate(all="ignore"):
        for _ in range(6):
            began = time.perf_counter()
            if trial.fit(train, epochs=3, steps=3).reason:
                raise KeyboardInterrupt
            times.append((time.perf_counter() - began) / 3)
        step = statistics.median(times[1:])  # the first is slower
        began = time.perf_counter()
        trial.evaluate(next(iter(valid)))
        evaluation = len(valid) * (time.perf_counter() - began)
    epochs, left = divmod(60 * args.minutes, len(train) * step + evaluation)
    rest = (left - evaluation if epochs else max(left - evaluation, left / 2)) / step  # each epoch is evaluated
    steps = max(1, int(epochs) * len(train) + max(0, int(rest)))
    return steps, math.ceil(steps / len(train))
