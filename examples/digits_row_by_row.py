"""Handwritten digits, read row by row: an LSTM sees a picture of 8 x 8 pixels as 8 steps, from the top down.

The pictures come with scikit-learn: `pip install 'minidl[examples]'`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from curves import Curves
from published import Report, Row, reproduce, spread
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from minidl import LSTM, Adam, ClipNorm, Dense, Sequential, SoftmaxCrossEntropy, Trainer, accuracy

UNITS, EPOCHS = 64, 40


def halves() -> list[np.ndarray]:
    """Pictures [N, 8, 8] and digits [N], the first half to learn from and the second to test with: the published split.

    The pictures stand in the order in which they were collected, so those of one writer stand together.
    """
    x, t = load_digits(return_X_y=True)
    parts: list[np.ndarray] = train_test_split(x.reshape(-1, 8, 8) / 16, t, test_size=0.5, shuffle=False)
    return parts


def train(parts: list[np.ndarray], seed: int, smoke: bool) -> list[float]:
    """The accuracy on the second half after each epoch; nothing is chosen by it, the last one counts."""
    x, test_x, t, test_t = parts
    net = Sequential([LSTM(UNITS), Dense(10)])
    trainer = Trainer(
        net, SoftmaxCrossEntropy(), Adam(5e-3), [ClipNorm(1.0)], metrics=[accuracy], seed=seed, quiet=True
    )
    history = trainer.fit(x, t, epochs=1 if smoke else EPOCHS, batch_size=32, validation=(test_x, test_t))
    print(f"LSTM, seed {seed}: {history['valid_accuracy'][-1]:.4f} after {trainer.epoch} epochs", flush=True)
    return history["valid_accuracy"]


def score(model: Any, parts: list[np.ndarray]) -> str:
    """The accuracy of a model of scikit-learn on the second half; it sees all 64 pixels at once."""
    x, test_x, t, test_t = parts
    return f"{model.fit(x.reshape(len(x), -1), t).score(test_x.reshape(len(test_x), -1), test_t):.4f}"


def measure(seeds: Sequence[int], smoke: bool) -> Report:
    parts = halves()
    runs = [train(parts, seed, smoke) for seed in seeds]
    epochs = np.arange(1, len(runs[0]) + 1)
    return Report(
        task="handwritten digits, row by row: accuracy",
        setup=f"{UNITS} units that read 8 rows of 8 pixels, {EPOCHS} epochs, batches of 32, Adam 5e-3, norm clip 1; "
        "898 pictures to learn from, the 899 that follow to test with, the last epoch counts.",
        source="scikit-learn's example plot_digits_classification: SVC with gamma 0.001 on pixels from 0 to 16, that "
        "is 0.256 on pixels from 0 to 1, on the same split. There is no published figure for an LSTM.",
        rows=[
            Row("LSTM, row by row", "", spread([run[-1] for run in runs])),
            Row("SVC on all pixels at once", "0.97", score(SVC(gamma=0.256), parts)),
            Row("logistic regression on all pixels at once", "", score(LogisticRegression(max_iter=1000), parts)),
        ],
        curves=Curves({"LSTM, mean": (epochs, np.mean(runs, axis=0))}, "epochs", "accuracy on the second half"),
        differs="the SVC and the logistic regression are measured in the same run, for comparison.",
    )


if __name__ == "__main__":
    reproduce(measure, seeds=5)
