"""Sequences of every length: no amount and no content of padding, left or right, changes a result; rows without steps.

A net is a row of NETS; what holds for all of them is tested for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import (
    GRU,
    LSTM,
    Adam,
    Attention,
    Batch,
    Bidirectional,
    Concatenate,
    Conv1D,
    CoupledLSTM,
    Dense,
    Embedding,
    Graph,
    LastStep,
    Layer,
    LayerNorm,
    LearnedState,
    Multiply,
    PaddedBatches,
    PoolTime,
    Sequential,
    SimpleRNN,
    SoftmaxCrossEntropy,
    Tanh,
    Trainer,
    loss_and_grads,
)
from minidl.nested import leaves
from tests.examples import fewer_examples

pytestmark = pytest.mark.usefixtures("kernels")

SYMBOLS, D, CLASSES = 5, 3, 4


def attending() -> Graph:
    """An LSTM, and beside each of its outputs what attention finds in all of them."""
    net = Graph().add("h", LSTM(4, return_sequences=True), "x").add("seen", Attention(), "h", "h", "h")
    return net.add("y", Concatenate(), "h", "seen")


# With Embedding in front the inputs are ids, otherwise features [D]; the last layer gives scores [CLASSES].
NETS: dict[str, Callable[[], list[Any]]] = {
    "dense": lambda: [Dense(6), Tanh(), Dense(CLASSES)],
    "last step": lambda: [Dense(6), Tanh(), LastStep(), Dense(CLASSES)],
    "lstm, steps": lambda: [Embedding(SYMBOLS, D), LSTM(5, return_sequences=True), Dense(CLASSES)],
    "lstm": lambda: [LSTM(5, peephole=True), Dense(CLASSES)],
    "lstm backwards, steps": lambda: [LSTM(5, go_backwards=True, return_sequences=True), Dense(CLASSES)],
    "lstm backwards": lambda: [Embedding(SYMBOLS, D), LSTM(5, go_backwards=True), Dense(CLASSES)],
    "full peepholes, last step": lambda: [LSTM(4, peephole="full", return_sequences=True), LastStep(), Dense(CLASSES)],
    "gru, steps": lambda: [GRU(4, return_sequences=True), Dense(CLASSES)],
    "gru backwards": lambda: [GRU(4, reset_after=False, go_backwards=True), Dense(CLASSES)],
    "simple rnn": lambda: [Embedding(SYMBOLS, D), SimpleRNN(4), Dense(CLASSES)],
    "bidirectional grus": lambda: [Bidirectional(GRU(3, return_sequences=True)), Dense(CLASSES)],
    "bidirectional, steps": lambda: [Bidirectional(LSTM(3, return_sequences=True)), Dense(CLASSES)],
    "bidirectional": lambda: [Embedding(SYMBOLS, D), Bidirectional(LSTM(3), merge=Multiply()), Dense(CLASSES)],
    "convolutions": lambda: [
        Conv1D(4, 3, padding="same"),
        Tanh(),
        Conv1D(4, 2, padding="causal"),
        LayerNorm(),
        Dense(CLASSES),
    ],
    "pooled": lambda: [LSTM(4, return_sequences=True), PoolTime(kind="max"), Dense(CLASSES)],
    "mean": lambda: [Embedding(SYMBOLS, D), PoolTime(kind="mean"), Dense(CLASSES)],
    "learned state": lambda: [LearnedState(CoupledLSTM(4, return_sequences=True)), Dense(CLASSES)],
    "attention": lambda: [attending(), Dense(CLASSES)],
    "both ways": lambda: [
        Embedding(SYMBOLS, D),
        LSTM(4, return_sequences=True),
        LSTM(4, return_sequences=True, go_backwards=True),
        LSTM(4),
        Dense(CLASSES),
    ],
}
every_net = pytest.mark.parametrize("name", NETS)


class Results(NamedTuple):
    """What a batch gives, without its padding: all of it is numbers of real steps, of rows, or of parameters."""

    y: list[np.ndarray]  # by row
    dx: list[np.ndarray] | None
    state: list[np.ndarray]
    grads: dict[str, np.ndarray]
    loss: float


def built(name: str) -> Sequential:
    """The net, with weights big enough that every gate matters."""
    net = Sequential(NETS[name]())
    net.build((None,) if isinstance(net[0], Embedding) else (None, D), dtype=np.float64)
    rng = np.random.default_rng(0)
    for p in net.params.values():
        p.value[...] = 0.7 * rng.standard_normal(p.value.shape)
    return net


def sequences_for(net: Layer, lengths: list[int], seed: int) -> tuple[list[np.ndarray], list[Any]]:
    """Random sequences, and targets for each step or for each sequence, as the net's output has them."""
    rng = np.random.default_rng(seed)
    ids = len(net.in_shape) == 1
    rows = [rng.integers(0, SYMBOLS, n) if ids else rng.standard_normal((n, D)) for n in lengths]
    steps = len(net.out_shape) == 2
    return rows, [rng.integers(0, CLASSES, n if steps else ()) for n in lengths]


def padded_by_hand(rows: list[np.ndarray], width: int, begins: list[int], fill: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows in an array of that width, each from its own step on; what is no number is a number out of range for ids."""
    if rows[0].dtype.kind in "iu":
        fill = int(np.clip(np.nan_to_num(fill, nan=-7), -(10**6), 10**6))
    x = np.full((len(rows), width, *rows[0].shape[1:]), fill, rows[0].dtype)
    mask = np.zeros((len(rows), width), bool)
    for n, (row, begin) in enumerate(zip(rows, begins, strict=True)):
        x[n, begin : begin + len(row)] = row
        mask[n, begin : begin + len(row)] = True
    return x, mask


def results(
    net: Sequential, rows: list[Any], targets: list[Any], width: int, begins: list[int], fill: float
) -> Results:
    """Run a masked loss and its backward pass on the padded rows."""
    x, mask = padded_by_hand(rows, width, begins, fill)
    t = padded_by_hand(targets, width, begins, fill)[0] if targets[0].ndim else np.stack(targets)
    net.zero_grads()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = loss_and_grads(net, SoftmaxCrossEntropy(), Batch(x, t, mask=mask), weigh=True)
    assert found.dx is None or not found.dx[~mask].any()
    steps = found.y.ndim == 3
    return Results(
        [y[real] if steps else y for y, real in zip(found.y, mask, strict=True)],
        None if found.dx is None else [dx[real] for dx, real in zip(found.dx, mask, strict=True)],
        list(leaves(found.state).values()),
        {key: p.grad.copy() for key, p in net.params.items()},
        float(found.value) * found.weight,
    )


def compare(got: Results, expected: Results, tolerance: float) -> None:
    """Tolerance 0 is bit for bit."""

    def same(a: Any, b: Any, what: str) -> None:
        if tolerance:
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=what)
        else:
            np.testing.assert_array_equal(a, b, err_msg=what)

    for what in "y", "dx", "state":
        for a, b in zip(getattr(got, what) or (), getattr(expected, what) or (), strict=True):
            same(a, b, what)
    for key, grad in expected.grads.items():
        same(got.grads[key], grad, key)
    same(got.loss, expected.loss, "loss")


LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=5)
FILLS = st.sampled_from([0.0, 1.0, -3e300, np.nan, np.inf, -np.inf])


@every_net
@fewer_examples(4)
@given(
    lengths=LENGTHS,
    extra=st.integers(0, 4),
    side=st.sampled_from(["left", "right", "each"]),
    fill=FILLS,
    seed=st.integers(0, 9),
)
def test_padding_never_changes_a_result(
    name: str, lengths: list[int], extra: int, side: str, fill: float, seed: int
) -> None:
    net = built(name)
    rows, targets = sequences_for(net, lengths, seed)
    longest = max(1, *lengths)
    plain = results(net, rows, targets, longest, [0] * len(rows), 0.0)
    width = longest + extra
    room = [width - n for n in lengths]
    begins = {
        "left": room,
        "right": [0] * len(rows),
        "each": [int(n) for n in np.arange(len(rows)) % (np.add(room, 1))],
    }
    clean = results(net, rows, targets, width, begins[side], 0.0)
    compare(clean, plain, 1e-12)  # another width: other blocks of the matrix products, another rounding
    compare(results(net, rows, targets, width, begins[side], fill), clean, 0)


@every_net
@fewer_examples(8)
@given(lengths=LENGTHS, seed=st.integers(0, 9))
def test_a_batch_is_its_rows_alone(name: str, lengths: list[int], seed: int) -> None:
    net = built(name)
    rows, targets = sequences_for(net, lengths, seed)
    together = results(net, rows, targets, max(1, *lengths), [0] * len(rows), np.nan)
    each = [results(net, [row], [t], max(1, len(row)), [0], np.nan) for row, t in zip(rows, targets, strict=True)]
    alone = Results(
        [r.y[0] for r in each],
        None if together.dx is None else [r.dx[0] for r in each if r.dx is not None],
        [np.concatenate(arrays) for arrays in zip(*(r.state for r in each), strict=True)],
        {key: sum(r.grads[key] for r in each) for key in together.grads},
        sum(r.loss for r in each),
    )
    compare(together, alone, 1e-12)


@every_net
def test_real_steps_matter(name: str) -> None:
    """The comparison can fail: a real step that is another one changes the loss."""
    net = built(name)
    rows, targets = sequences_for(net, [3, 0, 4], 1)
    before = results(net, rows, targets, 4, [0] * 3, 0.0)
    rows[2] = (rows[2] + 1) % SYMBOLS
    assert results(net, rows, targets, 4, [0] * 3, 0.0).loss != before.loss


@every_net
def test_training_on_buckets_with_rows_of_length_0(name: str) -> None:
    net = built(name)
    rows, targets = sequences_for(net, [*range(7), 0, 0, 3], 2)
    batches = PaddedBatches(rows, targets, 4, by_length=True)
    history = Trainer(net, SoftmaxCrossEntropy(), Adam(0.02), quiet=True).fit(batches, epochs=6)
    assert history["loss"][-1] < history["loss"][0]
