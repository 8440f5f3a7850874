"""The embedded Reber grammar: guess the next symbol, and keep the second one in mind until the last but one.

The LSTM of 1997 has no forget gate: its cell keeps all that it ever took in. `forget_bias=50` makes minidl's LSTM that
one: the sigmoid of 50 is 1 to the last bit, and its gradient is 0, so that the gate stays open whatever is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from curves import Curves
from published import Report, Row, reproduce, spread
from reber import ONE_HOT, Text, draw, judge, small_lstm

import minidl
from minidl import Adam, Batch, Layer, SoftmaxCrossEntropy

UNITS, EVERY, MOST = 8, 500, 12_000
NETS = {"LSTM of 1997, without forget gate": 50.0, "LSTM with forget gate, bias 1": 1.0}


class Run(NamedTuple):
    """Shares of the far places that are right, and after how many sequences all was: two senses, None for never."""

    far: list[float]
    solved: int | None
    strictly: int | None


def right(net: Layer, texts: list[Text]) -> tuple[float, float, float]:
    """How often the net is right on strings of their own; see `judge`."""
    x, mask = minidl.pad([ONE_HOT[text.ids[:-1]] for text in texts])
    allowed, far = (np.concatenate([text[k][1:] for text in texts]) for k in (1, 2))
    return judge(net.predict(x, mask=mask)[mask], allowed, far)


def train(name: str, seed: int, most: int) -> Run:
    """One string, one update; 200 held-out strings are looked at after each 500."""
    rng, test = np.random.default_rng(seed), np.random.default_rng(99_999)
    held_out = [draw(test) for _ in range(200)]
    net, optimizer, loss = small_lstm(UNITS, NETS[name], seed), Adam(1e-2), SoftmaxCrossEntropy()
    run = Run([], None, None)
    for count in range(1, most + 1):
        ids = draw(rng).ids[None]
        net.zero_grads()
        minidl.loss_and_grads(net, loss, Batch(ONE_HOT[ids[:, :-1]], ids[:, 1:]), weigh=True)  # the sum over the steps
        minidl.clip_norm(net.params, 5.0)
        optimizer.step(net.params)
        if count % EVERY == 0 or count == most:
            legal, far, strict = right(net, held_out)
            solved = count if legal >= 0.999 and far == 1 else None
            run = Run([*run.far, far], run.solved or solved, run.strictly or (count if strict == 1 else None))
            if run.solved and run.strictly:
                break
    print(f"{name}, seed {seed}: solved after {run.solved}, as in 1997 after {run.strictly}", flush=True)
    return run


def said(counts: list[int | None]) -> str:
    """How many seeds have solved it, and after how many sequences."""
    solved = [count for count in counts if count]
    return f"{len(solved)} of {len(counts)}" + (f", {spread(solved, '.0f')} sequences" if solved else "")


def measure(seeds: Sequence[int], smoke: bool) -> Report:
    runs = {name: [train(name, seed, 60 if smoke else MOST) for seed in seeds] for name in NETS}
    old, new = runs.values()
    lines = {}
    for name, done in runs.items():
        most = max(len(run.far) for run in done)
        far = [np.mean([run.far[min(k, len(run.far) - 1)] for run in done]) for k in range(most)]
        lines[f"{name}, mean"] = (EVERY * np.arange(1, most + 1), far)
    first, second = NETS
    return Report(
        task="embedded Reber grammar",
        setup=f"{UNITS} cells, one string an update, Adam 0.01, norm clip 5 on the sum over the steps, at most {MOST} "
        f"strings; 200 held-out strings after every {EVERY}. Solved: the likeliest symbol is an allowed one at 99.9 % "
        "of all places, and at all the far ones. As in 1997: every allowed symbol is likelier than every other. The "
        "plot shows how many far symbols are right; a seed that has solved it both ways stays there as it ended.",
        source="cybertronai/schmidhuber-problems, seeds 0 to 9; Hochreiter & Schmidhuber 1997, experiment 1: 4 cells, "
        "plain SGD, training and test set of 256 strings each.",
        rows=[
            Row(first, "10 of 10, 4800 (2500 to 8000) sequences", said([run.solved for run in old])),
            Row(f"{first}, as in 1997", "148 of 150, 8440 sequences", said([run.strictly for run in old])),
            Row(second, "", said([run.solved for run in new])),
            Row(f"{second}, as in 1997", "", said([run.strictly for run in new])),
        ],
        curves=Curves(lines, "sequences", "share of the far symbols"),
        differs="tanh instead of 4 sigmoid - 2 and 2 sigmoid - 1 (the same functions of half the weights); new strings "
        "all the time, as cybertronai has it.",
    )


if __name__ == "__main__":
    reproduce(measure, seeds=10)
