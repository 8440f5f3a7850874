"""Outputs that do not fit the loss or the targets are refused or warned of before the first update."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import (
    GRU,
    LSTM,
    Batch,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Graph,
    LearnedState,
    LogSoftmax,
    MeanSquaredError,
    ReLU,
    Sequential,
    Sigmoid,
    SimpleRNN,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
)
from minidl.errors import ArgumentError
from minidl.misfits import MisfitWarning, loss_misfit, target_misfit

draw = np.random.default_rng(0)
X = draw.standard_normal((40, 6, 3))
SCORES, YES, REAL = draw.integers(0, 4, 40), draw.integers(0, 2, 40), 3 * draw.standard_normal((40, 1))


def trainer_of(layers, loss):
    net = layers if isinstance(layers, minidl.Layer) else Sequential([LSTM(4), *layers])
    return minidl.Trainer(net, loss, minidl.Adam(0.01), quiet=True)


def graph(*layers):
    net, before = Graph(), "x"
    for k, layer in enumerate(layers):
        net.add(f"n{k}", layer, before)
        before = f"n{k}"
    return net


CERTAIN = {
    "softmax twice": ([Dense(4), Softmax()], SoftmaxCrossEntropy(), SCORES, "Softmax is applied twice.* below 0.744"),
    "in a net inside": ([Sequential([Dense(4), Softmax()])], SoftmaxCrossEntropy(), SCORES, "Use CrossEntropy"),
    "in a graph": ([graph(Dense(4), Softmax())], SoftmaxCrossEntropy(), SCORES, "leave out its Softmax"),
    "sigmoid twice": ([Dense(1), Sigmoid()], BinaryCrossEntropy(from_logits=True), YES, "Sigmoid is applied twice"),
    "one unit": (
        [Dense(1), Softmax()],
        MeanSquaredError(),
        YES,
        "Softmax over one unit.*The output is 1 for every input",
    ),
    "one unit, yes or no": ([Dense(1), Softmax()], BinaryCrossEntropy(), YES, "Use Sigmoid.. and BinaryCrossEntropy"),
    "one unit, logarithm": ([Dense(1), LogSoftmax()], MeanSquaredError(), YES, "LogSoftmax over one unit.*0 for every"),
}


@pytest.mark.parametrize("case", CERTAIN)
def test_what_is_certainly_wrong_is_refused_before_the_first_update(case):
    layers, loss, t, words = CERTAIN[case]
    trainer = trainer_of([layer.copy() for layer in layers], loss)
    with pytest.raises(ArgumentError, match=words):
        trainer.fit(X, t)
    assert trainer.step == 0


@pytest.mark.parametrize("case", CERTAIN)
def test_diagnose_finds_it_and_trains_nothing(case):
    layers, loss, t, words = CERTAIN[case]
    net = Sequential([LSTM(4), *(layer.copy() for layer in layers)])
    result = minidl.diagnose(net, loss, [Batch(X, t)], minidl.Adam(0.01))
    (finding,) = [finding for finding in result.findings if finding.code == "L502"]
    assert words.split(".*")[0].split("Use")[0].strip() in f"{finding.title} {finding.remedy}"
    assert finding.severity == "error" and "left out" in result.facts


OUT_OF_RANGE = {
    "tanh": [Dense(1), Tanh()],
    "sigmoid": [Dense(1), Sigmoid()],
    "relu": [Dense(1), ReLU()],
    "lstm": LSTM(1),
    "learned state": LearnedState(LSTM(1)),
    "gru": GRU(1),
    "simple rnn": SimpleRNN(1),
    "simple rnn, relu": SimpleRNN(1, activation=ReLU()),
    "graph": graph(LSTM(4), Dense(1), Tanh()),
}


@pytest.mark.parametrize("case", OUT_OF_RANGE)
def test_targets_out_of_reach_are_warned_of(case):
    trainer = trainer_of(OUT_OF_RANGE[case], MeanSquaredError())
    with pytest.warns(MisfitWarning, match=r"targets that \w+ cannot reach.*the best constant has .*Put a Dense"):
        trainer.fit(X, REAL)
    assert trainer.step == 2
    net = trainer.net
    misfit = target_misfit(net, MeanSquaredError(), [Batch(X, REAL)])
    share = np.mean(REAL < 0) if "relu" in case else np.mean((abs(REAL) > 1) | ((REAL < 0) & (case == "sigmoid")))
    assert f"{share:.0%} of the targets" in misfit.evidence


def test_the_bound_is_the_loss_of_the_nearest_outputs():
    net = Sequential([Dense(2), Tanh()])
    net.build((3,))
    t, weight = np.array([[0.5, 3.0], [-2.0, 0.0], [9.0, 9.0]]), np.array([1.0, 3.0, 0.0])
    misfit = target_misfit(net, MeanSquaredError(), [Batch(X[:3, 0], t, weight=weight)])
    least = MeanSquaredError()(np.clip(t, -1, 1), t, weight)[0]
    constant = MeanSquaredError()(np.repeat(np.average(t, axis=0, weights=weight)[None], 3, axis=0), t, weight)[0]
    assert f"below {least:.3g}, and the best constant has {constant:.3g}" in misfit.evidence


def test_padding_does_not_count():
    net = Sequential([LSTM(2, return_sequences=True), Dense(1), Tanh()])
    net.build((None, 3))
    t, mask = np.zeros((40, 6)), np.ones((40, 6), bool)
    t[:, 5], mask[:, 5] = -100, False
    assert target_misfit(net, MeanSquaredError(), [Batch(X, t, mask=mask)]) is None
    assert target_misfit(net, MeanSquaredError(), [Batch(X, t)]) is not None


class OwnSoftmax(Softmax):
    """It may compute something else."""


class OwnLoss(SoftmaxCrossEntropy):
    """It may expect something else."""


@pytest.mark.parametrize(
    ("layers", "loss", "t"),
    [
        ([Dense(4)], SoftmaxCrossEntropy(), SCORES),
        ([Dense(4), Softmax()], CrossEntropy(), SCORES),
        ([Dense(1), Softmax()], CrossEntropy(), 0 * YES),  # the text of one symbol
        ([Dense(4), LogSoftmax()], SoftmaxCrossEntropy(), SCORES),  # the softmax of logarithms of a softmax is that
        ([Dense(4), OwnSoftmax()], SoftmaxCrossEntropy(), SCORES),
        ([Dense(4), Softmax()], OwnLoss(), SCORES),
        ([Dense(1), Sigmoid()], BinaryCrossEntropy(), YES),
        ([Dense(1)], BinaryCrossEntropy(from_logits=True), YES),
        ([Dense(1), Sigmoid()], MeanSquaredError(), YES),
        ([Dense(1), Tanh()], MeanSquaredError(), np.tanh(REAL)),
        ([Dense(1), Tanh()], MeanSquaredError(), np.clip(REAL, -1.02, 1.02)),  # rounded a little beyond
        ([Dense(1), ReLU()], MeanSquaredError(), abs(REAL)),
        ([Dense(1)], MeanSquaredError(), REAL),
        (LSTM(1), MeanSquaredError(), np.tanh(REAL)),
        (LearnedState(GRU(1)), MeanSquaredError(), REAL),  # its first state is free, and h with it
    ],
)
def test_what_fits_is_trained_without_a_word(layers, loss, t):
    trainer = trainer_of(layers, loss)
    assert trainer.fit(X, t)["step"] == [2]
    assert loss_misfit(trainer.net, loss) is None and target_misfit(trainer.net, loss, [Batch(X, t)]) is None
