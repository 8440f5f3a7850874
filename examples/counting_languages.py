"""Two languages that can only be read by counting: a^n b^n and a^n b^n c^n, learned from n <= 10, tested up to n = 100.

At each symbol the net says which ones may follow; a string is accepted where it is right at every one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from curves import Curves
from published import Report, Row, reproduce, spread

from minidl import LSTM, Adam, Batch, BinaryCrossEntropy, ClipNorm, Dense, Sequential, Sigmoid, Trainer, normal, pad

LONGEST, EVERY = 100, 200
TASKS = {"a^n b^n": ("ab", 2, 4000), "a^n b^n c^n": ("abc", 3, 8000)}  # letters, units, updates


def string(letters: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The start S, n times each letter, one-hot; and for each symbol which ones may follow, the end E among them."""
    V = len(letters) + 2
    ids = np.concatenate([[0], np.repeat(np.arange(1, V - 1), n), [V - 1]])
    one_hot = np.eye(V, dtype=np.float32)[ids]
    x, t = one_hot[:-1], one_hot[1:].copy()
    t[1 : n + 1, 1:3] = 1  # after an a, there may be another one, or the first b
    return x, t


def reach(net: Sequential, letters: str, longest: int = LONGEST) -> int:
    """Up to which n all strings are accepted."""
    strings = [string(letters, n) for n in range(1, longest + 1)]
    (x, mask), (t, _) = (pad(part) for part in zip(*strings, strict=True))
    right = (((net(x) > 0.5) == (t > 0.5)).all(axis=-1) | ~mask).all(axis=1)
    return longest if right.all() else int(right.argmin())


class Sum:
    """The gradient of the sum over steps and symbols, not of their mean: what the published norm clip is meant for."""

    def on_grads_ready(self, trainer: Trainer) -> None:
        for p in trainer.params.values():
            p.grad *= trainer.batch.t.size


def train(task: str, peephole: bool, seed: int, smoke: bool) -> list[int]:
    """How far the net reaches after each 200 updates, each from one string."""
    letters, units, updates = TASKS[task]
    small, V = normal(0.1), len(letters) + 2
    lstm = LSTM(units, peephole=peephole, return_sequences=True, init={"Wx": small, "Wh": small, "p": small})
    net = Sequential([lstm, Dense(V, init={"W": small}), Sigmoid()])
    net.build((None, V), seed)
    lstm.params["b"].value[:units] = -1  # input gates begin nearly closed
    strings = [Batch(*(part[None] for part in string(letters, n))) for n in range(1, 11)]
    rng, reached = np.random.default_rng([seed, 1]), []
    trainer = Trainer(net, BinaryCrossEntropy(), Adam(0.01), [Sum(), ClipNorm(1.0)], quiet=True)
    for _ in range(2 if smoke else updates // EVERY):
        trainer.fit([strings[n] for n in rng.integers(0, len(strings), EVERY)])
        reached.append(reach(net, letters))
    print(f"{task}, {'' if peephole else 'no '}peepholes, seed {seed}: n = 1 to {reached[-1]}", flush=True)
    return reached


def stopped(reached: list[int]) -> int:
    """How far it reached when it first read strings twice as long as those it had learned from."""
    return next((n for n in reached if n >= 20), reached[-1])


def measure(seeds: Sequence[int], smoke: bool) -> Report:
    rows, lines = [], {}
    for task, published in (("a^n b^n", ""), ("a^n b^n c^n", "18 to 29 (median 24)")):
        for peephole in (True, False):
            name = f"{task}, {'' if peephole else 'no '}peepholes"
            runs = [train(task, peephole, seed, smoke) for seed in seeds]
            if not rows:
                ended = spread([stopped(reached) for reached in runs], ".0f")
                rows = [Row(f"{name}, ended once n = 20 was reached", "65 to 100 (median 100)", ended)]
            rows.append(Row(name, published if peephole else "", spread([reached[-1] for reached in runs], ".0f")))
            lines[name] = EVERY * np.arange(1, len(runs[0]) + 1), np.median(runs, axis=0)
    return Report(
        task="a^n b^n and a^n b^n c^n: the longest n",
        setup="2 and 3 units, one string with n in 1 to 10 an update, Adam 0.01, norm clip 1 on the sum over steps and "
        "symbols, 4000 and 8000 updates; the figure is the n up to which every string is accepted, 100 at most.",
        source="Gers & Schmidhuber 2001; figures and set-up of "
        "cybertronai/schmidhuber-problems, seeds 0 to 4, which ended a^n b^n as soon as n = 20 was reached.",
        rows=rows,
        curves=Curves(lines, "updates", "longest n, median"),
        differs="weights of Wh and Wx as published, N(0, 0.1); drawn by minidl, float32.",
    )


if __name__ == "__main__":
    reproduce(measure, seeds=5)
