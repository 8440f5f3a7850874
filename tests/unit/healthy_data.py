"""Healthy data of every kind, in which the doctor is to find nothing: net, loss, batches, batches to validate with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from minidl.models import char_lm

import minidl

TEXT = " ".join(
    f"{who} {what} {whom} {where}, and {other} {does} it{end}"
    for who, does in (("the cat", "saw"), ("a dog", "heard"), ("my aunt", "knew"), ("no bird", "liked"))
    for what in ("chases", "greets", "paints", "forgets")
    for whom, end in (("a mouse", "."), ("the moon", "!"), ("old Tom", "?"))
    for where, other in (("at night", "she"), ("in May", "nobody"), ("near Rome", "the king"))
)
VOCAB = minidl.CharVocab.of(TEXT)
IDS = VOCAB.encode(TEXT)
V = len(VOCAB)
Case = tuple[Any, Any, list[minidl.Batch], list[minidl.Batch] | None]


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def built(net: Any, in_shape: Any) -> Any:
    net.build(in_shape, 1)
    return net


def lm() -> Any:
    return built(char_lm(V, 8), (None,))


def sequence_net(outputs: int, D: int, every_step: bool = False) -> Any:
    return built(minidl.Sequential([minidl.LSTM(6, return_sequences=every_step), minidl.Dense(outputs)]), (None, D))


def text_stream() -> Case:
    return lm(), minidl.CrossEntropy(), list(minidl.TextStream(IDS, 4, 12)), None


def text_held_out() -> Case:
    """Where the words that are held out come in another order."""
    order = rng().permutation(np.repeat(np.arange(V), 40))  # no stretch comes twice
    train, held = minidl.split(order, 0.2)
    return lm(), minidl.CrossEntropy(), list(minidl.TextStream(train, 4, 16)), list(minidl.TextStream(held, 4, 16))


def text_in_shuffled_windows() -> Case:
    windows = np.lib.stride_tricks.sliding_window_view(IDS, 13)[::12]
    batches = minidl.ArrayBatches(windows[:, :-1], windows[:, 1:], 4, shuffle=True)
    return lm(), minidl.CrossEntropy(), list(batches), None


def names_between_marks() -> Case:
    """Each ends with the id that each begins with, so that any could follow any."""
    draw = rng()
    names = np.pad(draw.integers(1, 10, (40, 6)), ((0, 0), (1, 1)))
    batches = minidl.ArrayBatches(names[:, :-1], names[:, 1:], 5)
    return built(char_lm(10, 6), (None,)), minidl.CrossEntropy(), list(batches), None


def one_hot_stream() -> Case:
    net = built(minidl.Sequential([minidl.LSTM(6, return_sequences=True), minidl.Dense(V)]), (None, V))
    eye = np.eye(V, dtype=np.float32)
    stream = [b._replace(x=eye[b.x]) for b in minidl.TextStream(IDS, 4, 12)]
    return net, minidl.SoftmaxCrossEntropy(), stream, None


def next_symbol_alone() -> Case:
    windows = np.lib.stride_tricks.sliding_window_view(IDS, 13)[::5]
    net = minidl.Sequential([minidl.Embedding(V, 5), minidl.LSTM(6), minidl.Dense(V), minidl.Softmax()])
    return built(net, (None,)), minidl.CrossEntropy(), list(minidl.ArrayBatches(windows[:, :-1], windows[:, -1])), None


def tagger_both_ways() -> Case:
    both = minidl.Bidirectional(minidl.LSTM(4, return_sequences=True))
    net = built(minidl.Sequential([minidl.Embedding(V, 5), both, minidl.Dense(3), minidl.Softmax()]), (None,))
    stream = [b._replace(t=b.x.astype(int) % 3, start=True) for b in minidl.TextStream(IDS, 4, 12)]
    return net, minidl.CrossEntropy(), stream, None


def tagger_with_as_many_tags() -> Case:
    net = minidl.Sequential([minidl.Embedding(V, 5), minidl.GRU(6, return_sequences=True), minidl.Dense(V)])
    table = rng().permutation(V)
    stream = [b._replace(t=table[b.x]) for b in minidl.TextStream(IDS, 4, 12)]
    return built(net, (None,)), minidl.SoftmaxCrossEntropy(), stream, None


def padded_taggers() -> Case:
    draw = rng()
    rows = [draw.integers(1, 20, draw.integers(3, 15)) for _ in range(40)]
    net = minidl.Sequential([minidl.Embedding(20, 5), minidl.LSTM(6, return_sequences=True), minidl.Dense(4)])
    batches = minidl.PaddedBatches(rows, [row % 4 for row in rows], 8)
    return built(net, (None,)), minidl.SoftmaxCrossEntropy(), list(batches), None


def padded_classes_with_nan_as_padding() -> Case:
    draw, batches = rng(), []
    for _ in range(6):
        x, mask = draw.standard_normal((8, 9, 3)), np.arange(9) < draw.integers(2, 10, (8, 1))
        x[~mask] = np.nan
        batches.append(minidl.Batch(x, draw.integers(0, 4, 8), mask=mask))
    return sequence_net(4, 3), minidl.SoftmaxCrossEntropy(), batches, None


def series_to_number() -> Case:
    draw = rng()
    x = draw.standard_normal((60, 10, 2)).astype(np.float32)
    batches = list(minidl.ArrayBatches(x, x.mean(axis=(1, 2))[:, None], 10))
    return sequence_net(1, 2), minidl.MeanSquaredError(), batches[:4], batches[4:]


def series_to_next_step() -> Case:
    steps = np.cumsum(rng().standard_normal((3, 241, 2)), axis=1).astype(np.float32) / 8
    cut = range(0, 240, 20)
    batches = [minidl.Batch(steps[:, k : k + 20], steps[:, k + 1 : k + 21], start=k == 0) for k in cut]
    return sequence_net(2, 2, True), minidl.MeanSquaredError(), batches, None


def adding_problem() -> Case:
    draw = rng()
    numbers, marks = draw.random((64, 40)), np.zeros((64, 40))
    for row in marks:
        row[draw.choice(40, 2, replace=False)] = 1
    batches = minidl.ArrayBatches(np.stack([numbers, marks], -1), (numbers * marks).sum(1), 16)
    return sequence_net(1, 2), minidl.MeanSquaredError(), list(batches), None


def keys_of_a_piano() -> Case:
    roll = (rng().random((30, 17, 12)) < 0.2).astype(np.float32)
    roll[..., [0, 11]] = 0  # keys that are never played
    batches = list(minidl.ArrayBatches(roll[:, :-1], roll[:, 1:], 6, shuffle=True))
    return sequence_net(12, 12, True), minidl.BinaryCrossEntropy(from_logits=True), batches, None


def flat_features() -> Case:
    draw = rng()
    x = np.concatenate([draw.standard_normal((50, 4)), np.ones((50, 1))], axis=1)  # the ones are a bias
    net = built(minidl.Sequential([minidl.Dense(8), minidl.Tanh(), minidl.Dense(3), minidl.Softmax()]), (5,))
    return net, minidl.CrossEntropy(), list(minidl.ArrayBatches(x, draw.integers(0, 3, 50), 10)), None


def two_inputs() -> Case:
    draw = rng()
    net = minidl.Graph(inputs=("words", "facts"))
    net.add("rows", minidl.Embedding(20, 4), "words").add("read", minidl.LSTM(5), "rows")
    net.add("both", minidl.Concatenate(), "read", "facts").add("out", minidl.Dense(3), "both")
    words, facts = draw.integers(0, 20, (40, 8)), draw.standard_normal((40, 2))
    batches = minidl.ArrayBatches((words, facts), draw.integers(0, 3, 40), 8)
    return built(net, ((None,), (2,))), minidl.SoftmaxCrossEntropy(), list(batches), None


def questions_and_answers() -> Case:
    """A decoder that starts from the encoder's state, and is fed what it was to say, from the same first id."""
    draw = rng()
    net = minidl.Graph(inputs=("question", "answer"))
    net.add("asked", minidl.Sequential([minidl.Embedding(12, 4), minidl.LSTM(5)]), "question")
    net.add("rows", minidl.Embedding(12, 4), "answer")
    net.add("said", minidl.LSTM(5, return_sequences=True), "rows", state="asked.lstm").add(
        "out", minidl.Dense(12), "said"
    )
    asked = [draw.integers(1, 12, n) for n in draw.integers(4, 9, 24)]
    fed, said = [np.append(0, row[:0:-1]) for row in asked], [row[::-1] for row in asked]
    batches = minidl.PaddedBatches((asked, fed), said, 6)
    return built(net, ((None,), (None,))), minidl.SoftmaxCrossEntropy(), list(batches), None


def learning_to_count() -> Case:
    net = built(char_lm(30, 6), (None,))
    x = np.arange(10) + rng().integers(0, 19, (24, 1))
    return net, minidl.CrossEntropy(), list(minidl.ArrayBatches(x, x + 1, 8)), None


def repeating_after_three_steps() -> Case:
    x = rng().integers(0, 6, (5, 200))
    t = np.concatenate([np.zeros((5, 3), int), x[:, :-3]], axis=1)
    batches = [minidl.Batch(x[:, k : k + 20], t[:, k : k + 20], start=k == 0) for k in range(0, 200, 20)]
    return built(char_lm(6, 6), (None,)), minidl.CrossEntropy(), batches, None


def few_that_count() -> Case:
    """Ids to be ignored, and weights that leave out what is no target: whatever stands there may stand there."""
    draw, loss, batches = rng(), minidl.SoftmaxCrossEntropy(ignore_index=-100), []
    net = built(
        minidl.Sequential([minidl.Embedding(9, 4), minidl.LSTM(5, return_sequences=True), minidl.Dense(9)]), (None,)
    )
    for _ in range(6):
        t, x = draw.integers(0, 8, (6, 12)), draw.integers(0, 8, (6, 12))
        hidden = draw.random((6, 12)) < 0.3
        weight = (draw.random((6, 12)) < 0.8).astype(np.float32)
        t[weight == 0] = 999
        batches.append(
            minidl.Batch(np.where(hidden, 8, x), np.where(hidden, x, np.where(weight, -100, t)), weight=weight)
        )
    return net, loss, batches, None


def classes_of_short_codes() -> Case:
    """Rows that come twice by chance, in training and in validation."""
    x = rng().integers(0, 2, (96, 8))
    net = built(minidl.Sequential([minidl.Embedding(2, 3), minidl.SimpleRNN(5), minidl.Dense(2)]), (None,))
    batches = list(minidl.ArrayBatches(x, x.sum(axis=1) % 2, 16))
    return net, minidl.SoftmaxCrossEntropy(), batches[:5], batches[5:]


class OwnTable(minidl.Layer):
    """An Embedding of somebody's own: how many ids there are is nowhere said."""

    def setup(self, in_shape: Any, rng: Any, dtype: Any) -> Any:
        self.rows = self.add_param("rows", rng.standard_normal((V, 4)).astype(dtype))
        return (*in_shape, 4)

    def forward(self, x: Any, *, rng: Any = None) -> Any:
        return self.rows.value[x], x

    def backward(self, dy: Any, x: Any) -> Any:
        np.add.at(self.rows.grad, x, dy)


def own_layers() -> Case:
    net = minidl.Sequential([OwnTable(), minidl.LSTM(6, return_sequences=True), minidl.Dense(V)])
    return built(net, (None,)), minidl.SoftmaxCrossEntropy(), list(minidl.TextStream(IDS, 4, 12)), None


HEALTHY: dict[str, Callable[[], Case]] = {
    make.__name__: make
    for make in (
        text_stream,
        text_held_out,
        text_in_shuffled_windows,
        names_between_marks,
        one_hot_stream,
        next_symbol_alone,
        tagger_both_ways,
        tagger_with_as_many_tags,
        padded_taggers,
        padded_classes_with_nan_as_padding,
        series_to_number,
        series_to_next_step,
        adding_problem,
        keys_of_a_piano,
        flat_features,
        two_inputs,
        questions_and_answers,
        learning_to_count,
        repeating_after_three_steps,
        few_that_count,
        classes_of_short_codes,
        own_layers,
    )
}
