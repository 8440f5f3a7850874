"""Temporal order: which of X and Y came first, and which second? Between them are only symbols that mean nothing.

What has to be told apart, XX, XY, YX and YY, lies in two of 50 symbols, 13 to 37 steps from each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from curves import Curves
from fresh import Fresh
from published import Report, Row, reproduce, spread

import minidl
from minidl import LSTM, Adam, Batch, ClipNorm, Dense, Sequential, SimpleRNN, SoftmaxCrossEntropy, Trainer, normal

T, UNITS, ROWS, UPDATES, ROUND = 50, 4, 32, 1500, 50
X, BEGIN, END = 4, 6, 7  # below X are the symbols a to d that mean nothing; Y is X + 1
ONE_HOT = np.eye(8, dtype=np.float32)


def draw(rng: np.random.Generator, rows: int = ROWS) -> Batch:
    """Sequences of 50 symbols, and which pair stands in them: 0 XX, 1 XY, 2 YX, 3 YY."""
    ids, every = rng.integers(0, 4, (rows, T)), np.arange(rows)
    pair = rng.integers(0, 2, (2, rows))
    ids[:, 0], ids[:, -1] = BEGIN, END
    ids[every, rng.integers(3, 13, rows)] = X + pair[0]
    ids[every, rng.integers(25, 41, rows)] = X + pair[1]
    return Batch(ONE_HOT[ids], 2 * pair[0] + pair[1])


def build(name: str, seed: int) -> Sequential:
    """The LSTM of 1997: a forget gate whose bias is 50 is open to the last bit, and learns nothing."""
    init = {"Wx": normal(0.1), "Wh": normal(0.1)}
    layer = LSTM(UNITS, forget_bias=50.0, init=init) if name == "LSTM" else SimpleRNN(UNITS, init=init)
    net = Sequential([layer, Dense(4, init={"W": normal(0.1)})])
    net.build((None, len(ONE_HOT)), seed=seed)
    if name == "LSTM":
        layer.b.value[:UNITS] = -1  # the input gates: rather shut
    return net


def train(name: str, seed: int, smoke: bool) -> tuple[list[int], list[float]]:
    """The share of 512 held-out sequences that are named right, after every 50 updates."""
    rounds, batches = (2, 5) if smoke else (UPDATES // ROUND, ROUND)
    held_out = [draw(np.random.default_rng([seed, 1_000_003]), 512)]
    net, loss = build(name, seed), SoftmaxCrossEntropy()
    trainer = Trainer(net, loss, Adam(0.02), [ClipNorm(1.0)], metrics=[minidl.accuracy], seed=seed, quiet=True)
    history = trainer.fit(Fresh(draw, seed, batches), epochs=rounds, validation=held_out)
    print(f"{name}, seed {seed}: {history['valid_accuracy'][-1]:.1%} right after {trainer.step} updates", flush=True)
    return history["step"], history["valid_accuracy"]


def measure(seeds: Sequence[int], smoke: bool) -> Report:
    runs = {name: [train(name, seed, smoke) for seed in seeds] for name in ("LSTM", "plain RNN")}
    published = "1.000 (5 of 5 seeds)", "0.255 (0.230 to 0.293)"
    soon = [next((step for step, share in zip(*run, strict=True) if share >= 0.95), np.nan) for run in runs["LSTM"]]
    shares = {name: [share for _, share in done] for name, done in runs.items()}
    return Report(
        task="temporal order, 3 bits",
        setup=f"T = {T}, {UNITS} cells without forget gate, batches of {ROWS} new sequences, Adam 0.02, norm clip 1, "
        f"{UPDATES} updates; the share of 512 held-out sequences that are named right (by chance 0.25).",
        source="Hochreiter & Schmidhuber 1997, experiment 6a (T = 100 to 110, plain SGD: solved after 31390 "
        "sequences); figures and set-up of cybertronai/schmidhuber-problems, seeds 0 to 4.",
        rows=[
            *(Row(n, was, spread([k[-1] for k in shares[n]], ".3f")) for n, was in zip(runs, published, strict=True)),
            Row("LSTM, updates until 95 % are right", "180 (100 to 300)", spread(soon, ".0f")),
        ],
        curves=Curves(
            {f"{name}, mean": (done[0][0], np.mean(shares[name], axis=0)) for name, done in runs.items()},
            "updates", "share that is right",
        ),
        differs="float32, other random numbers.",
    )  # fmt: skip


if __name__ == "__main__":
    reproduce(measure, seeds=5)
