"""How long `minidl train` trains: as asked for, or as many steps as fit into the minutes, by measuring a few.

The latter is a first guess, which gives the warm-up of the rate its length; `TimeBudget` corrects it while it trains.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

import numpy as np

from minidl.callbacks.clipping import Clipping
from minidl.callbacks.time_budget import steps_that_fit, validation_seconds
from minidl.cli.tasks import Job
from minidl.optimizers import Adam
from minidl.trainer import Trainer

STEPS = 3  # that are measured together
TRIAL = 0.03  # of the minutes, for measuring


def plan(args: argparse.Namespace, job: Job, clip: Clipping) -> tuple[int, int]:
    """The number of updates and of epochs."""
    train, valid = job.train, job.valid
    if args.epochs is not None:
        return args.epochs * len(train), args.epochs
    if args.steps is not None:
        return args.steps, math.ceil(args.steps / len(train))
    # at a rate that moves nothing: only the time matters here, a rate at which it diverges is for the training to tell
    trial = Trainer(job.net.copy(), job.loss, Adam(1e-12), [clip], metrics=job.metrics, seed=args.seed, quiet=True)
    budget, times = 60 * args.minutes, list[float]()
    with np.errstate(all="ignore"):
        while len(times) < 2 or (len(times) < 6 and sum(times[1:]) < TRIAL * budget / STEPS):
            began = time.perf_counter()
            if trial.fit(train, epochs=STEPS, steps=STEPS).reason:
                raise KeyboardInterrupt
            times.append((time.perf_counter() - began) / STEPS)
        step = statistics.median(times[1:])  # the first is slower
        evaluation = validation_seconds(trial, valid, time.perf_counter)
    epoch_end = min(evaluation, budget / 2) / step
    steps = max(1, steps_that_fit(budget / step, 0, len(train), epoch_end))
    return steps, math.ceil(steps / len(train))
