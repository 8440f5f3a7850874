"""Precise timing: two spikes come in, and after as many steps as lay between them a third one has to go out.

An LSTM has to measure the time, and to count it down; with peepholes its gates see the cells that count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from curves import Curves
from fresh import Fresh
from published import Report, Row, reproduce, spread

from minidl import LSTM, Adam, Batch, ClipNorm, Dense, MeanSquaredError, Sequential, StepLR, Trainer, normal

T, UNITS, ROWS, UPDATES, ROUND = 150, 8, 32, 3000, 250


def draw(rng: np.random.Generator, rows: int) -> Batch:
    """Spikes at `first` and `first + apart`, and where the answer belongs, at `first + 2 apart`."""
    apart = rng.integers(30, 61, rows)
    first, every = rng.integers(0, T - 2 * apart), np.arange(rows)
    x, t = np.zeros((2, rows, T, 1), np.float32)
    x[every, first] = x[every, first + apart] = t[every, first + 2 * apart] = 1
    return Batch(x, t)


def exact(y: np.ndarray, batch: Batch) -> float:
    """The share of sequences in which, after the second spike, the output is highest at the very step of the answer."""
    second = T - 1 - batch.x[:, ::-1, 0].argmax(axis=1)
    after = np.where(np.arange(T) > second[:, None], y[..., 0], -np.inf)
    return float((after.argmax(axis=1) == batch.t[..., 0].argmax(axis=1)).mean())


def train(peephole: bool, seed: int, smoke: bool) -> list[float]:
    """The share of 512 held-out sequences that are timed exactly, after each 250 updates."""
    rounds, batches = (2, 5) if smoke else (UPDATES // ROUND, ROUND)
    held_out = draw(np.random.default_rng([seed, 1_000_003]), 512)
    wide, narrow = normal(0.5), normal(0.5 / UNITS**0.5)
    lstm = LSTM(UNITS, peephole=peephole, return_sequences=True, init={"Wx": wide, "Wh": narrow})
    net = Sequential([lstm, Dense(1, init={"W": normal(1 / UNITS**0.5)})])
    clip = ClipNorm(2 / T)  # of the mean over the steps: 1 of half their sum, which was published
    trainer = Trainer(net, MeanSquaredError(), Adam(StepLR(5e-3, 1500, 0.5)), [clip], seed=seed, quiet=True)
    fresh, shares = Fresh(lambda rng: draw(rng, ROWS), seed, batches), []
    for _ in range(rounds):
        trainer.fit(fresh)
        shares.append(exact(net(held_out.x), held_out))
    print(f"{'' if peephole else 'no '}peepholes, seed {seed}: {shares[-1]:.3f} are timed exactly", flush=True)
    return shares


def measure(seeds: Sequence[int], smoke: bool) -> Report:
    with_, without = ([train(peephole, seed, smoke) for seed in seeds] for peephole in (True, False))
    gain = np.array([a[-1] - b[-1] for a, b in zip(with_, without, strict=True)])
    error = f" ± {np.std(gain, ddof=1) / len(gain) ** 0.5:.3f}" if len(gain) > 1 else ""
    updates = ROUND * np.arange(1, len(with_[0]) + 1)
    lines = {"peepholes, mean": np.mean(with_, axis=0), "none, mean": np.mean(without, axis=0)}
    return Report(
        task=f"spike timing, T = {T}: share timed exactly",
        setup=f"{UNITS} units, intervals of 30 to 60 steps, batches of {ROWS} new sequences, Adam 5e-3 halved after "
        f"1500 updates, norm clip 1, {UPDATES} updates; the share of 512 held-out sequences with the spike at the very "
        "step. Both nets of a seed begin with the same weights, but for the peepholes.",
        source="Gers, Schraudolph & Schmidhuber 2002 posed such tasks; figures and set-up of "
        "cybertronai/schmidhuber-problems, seeds 0 to 6; in brackets those of its fork npow/schmidhuber-problems, "
        "where both nets of a seed begin with the same output weights; with its seeds 7 to 13 they are 0.859 "
        "and 0.888.",
        rows=[
            Row("LSTM with peepholes", "0.881 (0.947)", spread([shares[-1] for shares in with_], ".3f")),
            Row("LSTM without", "0.873 (0.780)", spread([shares[-1] for shares in without], ".3f")),
            Row("seeds at which peepholes are better", "- (6 of 7)", f"{(gain > 0).sum()} of {len(seeds)}"),
            Row("gain by peepholes, and its standard error", "0.008 (0.167)", f"{gain.mean():.3f}{error}"),
        ],
        curves=Curves({name: (updates, shares) for name, shares in lines.items()}, "updates", "timed exactly"),
        differs="float32, and other random numbers. A gain of less than twice its standard error may be chance: then "
        "peepholes do not help.",
    )


if __name__ == "__main__":
    reproduce(measure, seeds=7)
