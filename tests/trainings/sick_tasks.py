"""Trainings with the faults of `sick`, in series, words, classes."""

import numpy as np

import minidl
from minidl import SGD, Adam, Batch, Dense, MeanSquaredError, Sequential
from tests.trainings.case import Training, built, diagnosed, series, watched

MSE, SCE = MeanSquaredError(), minidl.SoftmaxCrossEntropy()


def walk(rows=4, windows=50, steps=20):
    """A random walk of two features in windows that go on: x, t [rows, windows, steps, 2]."""
    s = np.cumsum(np.random.default_rng(0).standard_normal((rows * windows * steps + 1, 2)), axis=0)
    s = (s / s.std(axis=0)).astype(np.float32)
    return s[:-1].reshape(rows, windows, steps, 2), s[1:].reshape(rows, windows, steps, 2)


def forecast():
    return Sequential([minidl.GRU(16, return_sequences=True), Dense(2)])


def series_as_its_own_target():
    x, _ = walk()
    return diagnosed(forecast(), MSE, [Batch(x[:, k], x[:, k], start=k == 0) for k in range(50)], Adam(3e-3))


def shuffled_series():
    (x, t), order = walk(), np.random.default_rng(1).permutation(50)
    data = [Batch(x[:, k], t[:, k], start=j == 0) for j, k in enumerate(order)]
    return diagnosed(forecast(), MSE, data, Adam(3e-3))


def overlapping_windows_shuffled():
    rng = np.random.default_rng(0)
    s = (np.sin(np.arange(600) * 0.1) + 0.1 * rng.standard_normal(600)).astype(np.float32)
    rows = rng.permutation(np.lib.stride_tricks.sliding_window_view(s, 21))
    x, t = rows[:, :20, None], rows[:, 20:]
    net = Sequential([minidl.LSTM(8), Dense(1)])
    return diagnosed(net, MSE, (x[:400], t[:400]), Adam(3e-3), validation=(x[400:], t[400:]))


def validation_rows_watched():
    x = series(256)
    t = x[:, -1, :1]
    net = Sequential([minidl.LSTM(8), Dense(1)])
    return watched(net, MSE, x, Adam(3e-3), t=t, epochs=3, validation=(x[:40], t[:40]))


def nothing_counts():
    x = series()
    return diagnosed(
        Sequential([minidl.LSTM(8), Dense(1)]), MSE, [Batch(x, x[:, -1, :1], weight=np.zeros(96))], Adam(3e-3)
    )


def contradicting_labels():
    x = np.repeat(series(64), 4, axis=0)
    batches = minidl.ArrayBatches(x, np.tile([0, 1], 128), shuffle=False)  # they stand side by side
    return diagnosed(Sequential([minidl.LSTM(16), Dense(2)]), SCE, batches, Adam(3e-3))


def shut_gates():
    net = built(Sequential([minidl.LSTM(16), Dense(2)]), (None, 3))
    net.params["lstm.b"].value[:16] = -12
    net.params["lstm.b"].value[32:48] = -9
    x = series()
    return diagnosed(net, SCE, (x, (x[:, 0, 0] > 0).astype(int)), Adam(1e-3))


class Flipped(minidl.Layer):
    """A layer whose backward pass has the wrong sign."""

    def setup(self, in_shape, rng, dtype):
        return in_shape

    def forward(self, x, *, rng=None):
        return np.tanh(x), x

    def backward(self, dy, x):
        return -dy * (1 - np.tanh(x) ** 2)


def flipped_sign():
    x = series()
    net = Sequential([minidl.LSTM(8), Dense(1), Flipped()])
    return diagnosed(net, MSE, (x, np.tanh(x[:, 0, :1])))


def all_frozen():
    net, x = built(Sequential([minidl.LSTM(8), Dense(1)]), (None, 3)), series()
    net.freeze()
    return diagnosed(net, MSE, (x, x[:, -1, :1]))


def rising_rate():
    x = series(256)
    net = Sequential([minidl.LSTM(16), Dense(1)])
    return watched(net, MSE, x, SGD(lambda step: 1e-2 * 1.1**step), t=x[:, -1, :1], epochs=14)


CASES = [
    Training("a series is its target", series_as_its_own_target, ("D402",), "t equals x, floats"),
    Training("shuffled series", shuffled_series, ("D404",), "windows of a series shuffled, state carried"),
    Training("overlapping windows", overlapping_windows_shuffled, ("D405",), "shuffled before the split"),
    Training("validation rows, watched", validation_rows_watched, ("D405",), "over several epochs"),
    Training("nothing counts", nothing_counts, ("D403",), "all weights are 0"),
    Training("contradicting labels", contradicting_labels, ("L502",), "each row stands there with both classes"),
    Training("shut gates", shut_gates, ("T603",), "biases of -12 and -9"),
    Training("flipped sign", flipped_sign, ("G101",), "a derivative has the wrong sign"),
    Training("all frozen", all_frozen, ("T606",), "freeze() on the whole net"),
    Training("rising rate", rising_rate, ("L503",), "a schedule that climbs by a tenth a step"),
]
