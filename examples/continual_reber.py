"""Reber strings without end: where one stops and the next begins, nobody resets the state.

An LSTM without forget gate adds up all that it ever saw, until nothing can be read from its cells any more; one with a
forget gate learns to empty them at the end of a string.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from curves import Curves
from published import Report, Row, reproduce, spread
from reber import ONE_HOT, draw, judge, small_lstm

import minidl
from minidl import Adam, Batch, Layer, SoftmaxCrossEntropy

UNITS, CHUNKS, STRINGS, EVERY = 12, 2000, 6, 200
NETS = {"LSTM with forget gate": 1.0, "LSTM without": 50.0}  # the gate's bias: at 50 it is open, and learns nothing


def far_right(net: Layer, seed: int, strings: int) -> tuple[float, float]:
    """On a stream of its own: the share of far places that are right, and how long the vector of the cells is then."""
    text = draw(np.random.default_rng(seed + 99_999), strings)
    scores, state, _ = net.forward_with_state(ONE_HOT[text.ids[None, :-1]], keep_cache=False)
    cells = float(np.linalg.norm(state["lstm"].c))
    return judge(scores[0], text.allowed[1:], text.far[1:])[1], cells


def train(name: str, seed: int, chunks: int) -> tuple[list[float], float, float]:
    """Shares of far places that are right on 60 strings, after each 200 chunks; on 1000 in the end, with the cells."""
    rng = np.random.default_rng(seed)
    net, optimizer, loss = small_lstm(UNITS, NETS[name], seed), Adam(1e-2), SoftmaxCrossEntropy()
    before, state, shares = draw(rng).ids[-1:], None, []
    for count in range(1, chunks + 1):
        ids = np.concatenate([before, draw(rng, STRINGS).ids])  # begins with the last symbol of the chunk before
        before, batch = ids[-1:], Batch(ONE_HOT[ids[None, :-1]], ids[None, 1:], start=state is None)
        net.zero_grads()
        state = minidl.loss_and_grads(net, loss, batch, state, weigh=True).state
        np.clip(state["lstm"].c, -25, 25, out=state["lstm"].c)
        minidl.clip_norm(net.params, 5.0)
        optimizer.step(net.params)
        if count % EVERY == 0 or count == chunks:
            shares.append(far_right(net, seed, 60)[0])
    longer, cells = far_right(net, seed, 1000)
    print(f"{name}, seed {seed}: {shares[-1]:.3f} of the far symbols, {longer:.3f} over 1000 strings", flush=True)
    return shares, longer, cells


def measure(seeds: Sequence[int], smoke: bool) -> Report:
    runs = {name: [train(name, seed, 4 if smoke else CHUNKS) for seed in seeds] for name in NETS}
    rows = []
    for (name, done), figure in zip(runs.items(), ("0.997 (0.983 to 1.000)", "0.550 (0.450 to 0.683)"), strict=True):
        shares, longer, cells = zip(*done, strict=True)
        rows += [
            Row(name, figure, spread([share[-1] for share in shares], ".3f")),
            Row(f"{name}, over 1000 strings", "", spread(longer, ".3f")),
            Row(f"{name}, length of its cell vector then", "", spread(cells, ".0f")),
        ]
    lines = {f"{name}, mean": np.mean([shares for shares, *_ in done], axis=0) for name, done in runs.items()}
    chunks = {name: EVERY * np.arange(1, len(far) + 1) for name, far in lines.items()}
    return Report(
        task="continual embedded Reber grammar",
        setup=f"{UNITS} cells, chunks of {STRINGS} strings of an endless stream (about 75 steps), state carried from "
        f"chunk to chunk, {CHUNKS} chunks, Adam 0.01, norm clip 5 on the sum over the steps; the share of far symbols "
        "that are guessed, in a new stream of 60 strings.",
        source="Gers, Schmidhuber & Cummins 2000; figures and set-up of cybertronai/schmidhuber-problems, seeds 0-4.",
        rows=rows,
        curves=Curves({name: (chunks[name], lines[name]) for name in lines}, "chunks", "share of the far symbols"),
        differs="tanh instead of 4 sigmoid - 2 and 2 sigmoid - 1 (the same functions of half the weights, hence cells "
        "kept within 25 between chunks, not 50); the last symbol of a chunk is read as well.",
    )


if __name__ == "__main__":
    reproduce(measure, seeds=5)
