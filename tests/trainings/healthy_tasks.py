"""Trainings without a fault that look like one: tasks with blanks and marks, tiny nets, noise, odd targets."""

import numpy as np

import minidl
from minidl import Adam, Batch, BinaryCrossEntropy, ClipNorm, Dense, Embedding, MeanSquaredError, Sequential
from tests.trainings.case import Training, diagnosed, ids, language_model, lstm, series, streams, watched

MSE, SCE = MeanSquaredError(), minidl.SoftmaxCrossEntropy()


def copy_memory():
    rng = np.random.default_rng(0)
    x, t = np.zeros((128, 7), int), np.zeros((128, 7), int)
    x[:, :2] = rng.integers(1, 9, (128, 2))
    x[:, 4], t[:, -2:] = 9, x[:, :2]
    return diagnosed(Sequential([Embedding(10, 10), lstm(24), Dense(10)]), SCE, (x, t), Adam(5e-3))


def marked_rows():
    rows = [np.array([0] + [1] * n + [2] * n + [0]) for n in range(1, 11) for _ in range(3)]
    data = minidl.PaddedBatches([row[:-1] for row in rows], [row[1:] for row in rows], 5)
    net = Sequential([Embedding(3, 3), lstm(3, peephole=True), Dense(3)])
    return diagnosed(net, SCE, data, Adam(1e-2))


def few_cells():
    return diagnosed(language_model(lstm(8), lstm(8), embedding=8), minidl.CrossEntropy(), streams()[0], Adam(3e-3))


def noise():
    s = np.zeros(2001, np.float32)
    steps = np.random.default_rng(0).standard_normal(2001)
    for k in range(1, len(s)):
        s[k] = 0.8 * s[k - 1] + 0.6 * steps[k]
    x, t = s[:2000].reshape(4, 20, 25, 1), s[1:].reshape(4, 20, 25, 1)
    data = [Batch(x[:, k], t[:, k], start=k == 0) for k in range(20)]
    return diagnosed(Sequential([lstm(4), Dense(1)]), MSE, data, Adam(2e-3))


def walk_in_one_row():
    s = np.cumsum(np.random.default_rng(0).standard_normal(1001)).astype(np.float32)
    s = (s - s.mean()) / s.std()
    data = [Batch(s[None, k : k + 10, None], s[None, k + 1 : k + 11, None], start=k == 0) for k in range(0, 1000, 10)]
    return diagnosed(Sequential([lstm(32), Dense(1)]), MSE, data, Adam(2e-3))


def keys_of_a_piano():
    rng = np.random.default_rng(0)
    keys = np.zeros((64, 21, 40), np.float32)
    for row in keys:
        root = int(rng.integers(40))
        for step in row:
            root = int(rng.integers(40)) if rng.random() < 0.3 else root
            step[[root, (root + 4) % 40, (root + 7) % 40]] = 1
    net = Sequential([lstm(16), Dense(40), minidl.Sigmoid()])
    return diagnosed(net, BinaryCrossEntropy(), (keys[:, :-1], keys[:, 1:]), Adam(3e-3))


def smoothed_labels():
    x = series()
    t = np.where(np.arange(2) == (x[:, -1, :1] > 0), 0.9, 0.1).astype(np.float32)
    return diagnosed(Sequential([minidl.LSTM(8), Dense(2)]), SCE, (x, t), Adam(1e-2))


def one_row_of_ten_classes():
    x = series(400, 8, 1)
    t = np.searchsorted(1.3 + 0.1 * np.arange(9), x.mean(axis=1)[:, 0] * 8**0.5)
    net = Sequential([lstm(3), minidl.GRU(3), Dense(10)])
    return watched(net, SCE, x, minidl.SGD(0.01, momentum=0.9), [ClipNorm(1.0)], t=t, batch_size=1, epochs=1)


def rare_events():
    x = series(128, 40, 5)
    t = (x[..., :4] > 1.3).astype(np.float32)
    net = Sequential([minidl.GRU(16, return_sequences=True), Dense(4), minidl.Sigmoid()])
    optimizer = Adam(1e-2)
    minidl.Trainer(net, BinaryCrossEntropy(), optimizer, quiet=True).fit(x, t, epochs=20)
    return diagnosed(net, BinaryCrossEntropy(), (x, t), optimizer, callbacks=[ClipNorm(5.0)])


def factors_of_zero():
    x = series()
    optimizer = Adam(1e-2, lr_factors={"lstm.*": 0.0})
    return diagnosed(Sequential([minidl.LSTM(16), Dense(1)]), MSE, (x, x[:, -1, :1]), optimizer)


def two_outputs():
    class Both(minidl.Loss):
        def positions(self, y, t):
            raise NotImplementedError

        def __call__(self, y, t, weight=None, mask=None):
            errors = y[0] - t[:, :1], y[1] - t[:, 1:]
            return sum(float((e**2).mean()) for e in errors), tuple(2 * e / e.size for e in errors), float(len(t))

    net = minidl.Graph(outputs=("one", "other")).add("lstm", minidl.LSTM(12), "x")
    net.add("one", Dense(1), "lstm").add("other", Dense(2), "lstm")
    x = series()
    return diagnosed(net, Both(), (x, x[:, -1]), Adam(1e-2))


def vocabulary_in_halves():
    text, _ = ids()
    train, held = minidl.split(text[:4000], 0.2)
    data = minidl.TextStream(train, 2, 16), minidl.TextStream(held, 1, 16)
    return watched(language_model(lstm(16)), minidl.CrossEntropy(), data[0], Adam(3e-3), epochs=2, validation=data[1])


CASES = [
    Training("copy memory", copy_memory),
    Training("a^n b^n between marks", marked_rows),
    Training("eight cells, two layers", few_cells),
    Training("noise, four cells", noise),
    Training("random walk, one row", walk_in_one_row),
    Training("keys of a piano", keys_of_a_piano),
    Training("smoothed labels", smoothed_labels),
    Training("one row a step", one_row_of_ten_classes),
    Training("rare events, late", rare_events),
    Training("a layer at rate 0", factors_of_zero),
    Training("two outputs", two_outputs),
    Training("a short text", vocabulary_in_halves),
]
