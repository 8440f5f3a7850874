"""Waves from nothing: a net without input has to generate a cosine, a triangle or a rectangle, 1000 periods of it.

All it has is the state that it begins from, which is learned, and its own dynamics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from curves import Curves
from published import Report, Row, reproduce

from minidl import LSTM, Adam, Batch, ClipNorm, Dense, LearnedState, MeanSquaredError, Sequential, StepLR, Trainer

UPDATES, LIMIT = 2000, 0.3
TASKS = {  # wave, period: published with peepholes, and without
    ("cosine", 10): ("solved", "solved, slowly"),
    ("cosine", 25): ("solved, RMSE 0.17", "not solved"),
    ("triangle", 10): ("solved", "not solved"),
    ("rectangle", 10): ("solved", "not solved"),
}


def wave(name: str, period: int, steps: int) -> np.ndarray:
    """The target of the first steps, in [0, 1]."""
    phase = np.arange(1, steps + 1) % period / period
    up, smooth = 1 - abs(1 - 2 * phase), (1 - np.cos(2 * np.pi * phase)) / 2
    return {"cosine": smooth, "triangle": up, "rectangle": (phase > 0.5).astype(float)}[name]


def generate(net: Sequential, steps: int) -> np.ndarray:
    """What the net says on its own, from its initial state on."""
    return net(np.zeros((1, steps, 1), np.float32))[0, :, 0]


def right(y: np.ndarray, target: np.ndarray) -> int:
    """How many steps it goes before the first error above the limit."""
    wrong = abs(y - target) > LIMIT
    return int(wrong.argmax()) if wrong.any() else len(y)


def streams(net: Sequential, name: str, period: int, count: int) -> Iterator[Batch]:
    """What to learn from next, until that is solved: up to a period behind the first error, 100 periods at most."""
    target = wave(name, period, 1000 * period)
    short = target[: 100 * period]
    for _ in range(count):
        end = right(generate(net, len(short)), short)
        if end == len(short) and right(generate(net, len(target)), target) == len(target):
            return
        t = short[None, : end + period, None]
        yield Batch(np.zeros(t.shape, np.float32), t.astype(np.float32))


def train(name: str, period: int, layer: LSTM | LearnedState, seed: int, smoke: bool) -> tuple[float, int, Sequential]:
    """The root of the mean squared error over 1000 periods, nan where one is too large; after how many updates."""
    net = Sequential([layer, Dense(1)])
    net.build((None, 1), seed)
    trainer = Trainer(net, MeanSquaredError(), Adam(StepLR(1e-2, 750, 0.5)), [ClipNorm(1.0)], quiet=True)
    trainer.fit(streams(net, name, period, 3 if smoke else UPDATES))
    target = wave(name, period, 1000 * period)
    steps = right(y := generate(net, len(target)), target)
    print(f"{name} {period}, seed {seed}: {steps / period:.1f} periods after {trainer.step} updates", flush=True)
    return (np.sqrt(((y - target) ** 2).mean()) if steps == len(y) else np.nan), trainer.step, net


def solved(runs: list[tuple[float, int, Sequential]]) -> str:
    """How many nets last for 1000 periods, how close they are, and after how many updates."""
    good = np.array([run[:2] for run in runs if not np.isnan(run[0])])
    means = ", RMSE {:.2f}, {:.0f} updates".format(*good.mean(axis=0)) if len(good) else ""
    return f"{len(good)} of {len(runs)}{means}"


def measure(seeds: Sequence[int], smoke: bool) -> Report:
    rows, nets = [], {}
    for units, name, period in [(units, *task) for units in (1, 8) for task in TASKS]:
        for p, published in zip((True, False), TASKS[name, period], strict=True):
            layer = LSTM(units, peephole=p, return_sequences=True)
            runs = [train(name, period, LearnedState(layer.copy()), seed, smoke) for seed in seeds]
            net = f"{name} {period}, {units} cell{'s' * (units > 1)}, {'' if p else 'no '}peepholes"
            rows.append(Row(net, published if units == 1 else "", solved(runs)))
            nets[units, name, p] = runs[0][2]
    runs = [train("cosine", 10, LSTM(8, peephole=True, return_sequences=True), seed, smoke) for seed in seeds]
    rows.append(Row("cosine 10, 8 cells, peepholes, begins from 0", "", solved(runs)))
    waves = {"target": wave("rectangle", 10, 10_000), "net, seed 0": generate(nets[8, "rectangle", True], 10_000)}
    return Report(
        task="periodic functions from a learned initial state",
        setup=f"No input, Adam 1e-2 halved every 750 updates, norm clip 1, {UPDATES} updates at most, from a "
        f"stream of up to 100 periods; solved: no error above {LIMIT} in 1000 periods. Plot: rectangle 10, 8 cells.",
        source="Gers, Schraudolph & Schmidhuber 2002: the same criterion, one cell, online learning, streams that end "
        "at the first error, 10 runs; RMSE 0.12 to 0.18 with peepholes.",
        rows=rows,
        curves=Curves({name: (range(9_931, 10_001), y[9_930:]) for name, y in waves.items()}, "steps", "output"),
        differs="tanh; 8 cells too; gradients through the whole stream, which ends a period behind the first error.",
    )


if __name__ == "__main__":
    reproduce(measure, seeds=3)
