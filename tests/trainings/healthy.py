"""Trainings without a fault: other sizes, optimizers, tasks, early and late."""

import numpy as np

import minidl
from minidl import SGD, Adam, ClipNorm, CrossEntropy, Dense, Embedding, MeanSquaredError, Sequential
from tests.trainings import healthy_tasks
from tests.trainings.case import Training, built, diagnosed, ids, language_model, lstm, series, streams, watched

CE, MSE = CrossEntropy(), MeanSquaredError()


def model(net, optimizer, callbacks=(), **stream):
    """A language model on the text."""

    def examine():
        train, held = streams(**stream)
        return diagnosed(net(), CE, train, optimizer(), vocab=ids()[1], validation=held, callbacks=callbacks)

    return examine


def late(net, optimizer, steps, callbacks=()):
    """The same after some training, with the optimizer as it is then."""

    def examine():
        model, rule, (train, held) = built(net()), optimizer(), streams()
        minidl.Trainer(model, CE, rule, callbacks, quiet=True).fit(train, steps=steps)
        return diagnosed(model, CE, train, rule, validation=held, callbacks=callbacks, trained=steps > 300)

    return examine


def run(net, optimizer, callbacks=(), **fit):
    """A language model that is trained with a doctor beside it."""

    def examine():
        train, held = streams()
        return watched(net(), CE, train, optimizer(), callbacks, validation=held, **fit)

    return examine


def arrays(net, loss, target, optimizer, **fit):
    """A net on arrays, diagnosed; with `fit`, trained with a doctor beside it."""

    def examine():
        x = series()
        if fit:
            return watched(net(), loss, x, optimizer(), t=target(x), **fit)
        return diagnosed(net(), loss, (x, target(x)), optimizer())

    return examine


def padded():
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal((n, 3)).astype(np.float32) for n in rng.integers(4, 20, 96)]
    targets = np.array([row[:, 0].mean() > 0 for row in rows]).astype(int)
    net = Sequential([minidl.GRU(16), Dense(2)])
    return diagnosed(
        net, minidl.SoftmaxCrossEntropy(), minidl.PaddedBatches(rows, targets, 16, by_length=True), Adam(1e-2)
    )


def tagger():
    x = np.random.default_rng(0).integers(0, 12, (64, 14))
    net = Sequential([Embedding(12, 8), minidl.Bidirectional(minidl.LSTM(12, return_sequences=True)), Dense(3)])
    return diagnosed(net, minidl.SoftmaxCrossEntropy(), (x, (x + np.roll(x, 1, 1)) % 3), Adam(1e-2))


def two_branches():
    net = minidl.Graph(inputs=("left", "right"))
    encoder = minidl.LSTM(12)
    net.add("one", encoder, "left").add("other", encoder, "right")
    net.add("both", minidl.Concatenate(), "one", "other").add("out", Dense(1), "both")
    left, right = series(seed=1), series(seed=2)
    return diagnosed(net, MSE, ((left, right), left[:, -1, :1] - right[:, -1, :1]), Adam(1e-2))


def tiny():
    x = series(8)
    return diagnosed(Sequential([minidl.LSTM(2), Dense(1)]), MSE, (x, x[:, -1, :1]), Adam(3e-2))


def converged():
    x = series()
    net = built(Sequential([minidl.LSTM(16), Dense(1)]), (None, 3))
    optimizer = Adam(1e-2)
    minidl.Trainer(net, MSE, optimizer, quiet=True).fit(x, x[:, -1, :1], epochs=60)
    return diagnosed(net, MSE, (x, x[:, -1, :1]), optimizer)


def last(x):
    return x[:, -1, :1]


def first_sign(x):
    return (x[:, 0, 0] > 0).astype(int)


CASES = [
    Training("LSTM, Adam", model(lambda: language_model(lstm()), lambda: Adam(3e-3))),
    Training("LSTM, Adam, clipped", model(lambda: language_model(lstm()), lambda: Adam(8e-3), [ClipNorm(5.0)])),
    Training("peepholes", model(lambda: language_model(lstm(peephole=True)), lambda: Adam(3e-3))),
    Training("full peepholes", model(lambda: language_model(lstm(16, peephole="full")), lambda: Adam(3e-3))),
    Training(
        "two layers, dropout", model(lambda: language_model(lstm(), minidl.Dropout(0.3), lstm()), lambda: Adam(3e-3))
    ),
    Training(
        "GRU, RMSProp",
        model(lambda: language_model(minidl.GRU(32, return_sequences=True)), lambda: minidl.RMSProp(1e-3)),
    ),
    Training(
        "SimpleRNN, SGD, clipped",
        model(lambda: language_model(minidl.SimpleRNN(32, return_sequences=True)), lambda: SGD(0.5), [ClipNorm(1.0)]),
    ),
    Training(
        "SGD with momentum", model(lambda: language_model(lstm()), lambda: SGD(0.3, momentum=0.9), [ClipNorm(1.0)])
    ),
    Training("wide", model(lambda: language_model(lstm(96), embedding=48), lambda: Adam(2e-3))),
    Training("long windows", model(lambda: language_model(lstm()), lambda: Adam(3e-3), rows=2, steps=100)),
    Training("one row", model(lambda: language_model(lstm()), lambda: Adam(3e-3), rows=1, steps=30)),
    Training("late, 200", late(lambda: language_model(lstm()), lambda: Adam(5e-3), 200)),
    Training("late, 600", late(lambda: language_model(lstm(48)), lambda: Adam(5e-3), 600, [ClipNorm(5.0)])),
    Training("watched", run(lambda: language_model(lstm()), lambda: Adam(3e-3), epochs=3)),
    Training("watched, clipped", run(lambda: language_model(lstm()), lambda: Adam(8e-3), [ClipNorm(5.0)], epochs=4)),
    Training("watched, long", run(lambda: language_model(lstm(24)), lambda: minidl.RMSProp(2e-3), steps=1200)),
    Training("regression", arrays(lambda: Sequential([minidl.LSTM(16), Dense(1)]), MSE, last, lambda: Adam(1e-2))),
    Training("regression, SGD", arrays(lambda: Sequential([minidl.LSTM(16), Dense(1)]), MSE, last, lambda: SGD(0.1))),
    Training(
        "classes",
        arrays(
            lambda: Sequential([minidl.LSTM(16), Dense(2)]),
            minidl.SoftmaxCrossEntropy(),
            first_sign,
            lambda: Adam(1e-2),
        ),
    ),
    Training(
        "classes, watched",
        arrays(
            lambda: Sequential([minidl.LSTM(16), Dense(2), minidl.Softmax()]),
            CE,
            first_sign,
            lambda: Adam(1e-2),
            epochs=6,
        ),
    ),
    Training(
        "regression, watched",
        arrays(
            lambda: Sequential([minidl.GRU(16), Dense(1)]),
            MSE,
            last,
            lambda: minidl.AdamW(1e-2),
            epochs=20,
            validation_split=0.2,
        ),
    ),
    Training("dense only", arrays(lambda: Sequential([minidl.LastStep(), Dense(1)]), MSE, last, lambda: SGD(0.1))),
    Training("padded", padded),
    Training("tagger, both ways", tagger),
    Training("two branches", two_branches),
    Training("tiny", tiny),
    Training("converged", converged),
    *healthy_tasks.CASES,
]
