"""Keras on TensorFlow: LSTM layers with stateful=True, and the compiled step behind train_on_batch."""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow
from tasks import LEARNING_RATE, MAX_NORM, Size, repeated, window


def about() -> dict[str, str]:
    """Versions."""
    return {"keras": keras.__version__, "tensorflow": tensorflow.__version__}


def training(size: Size) -> Callable[[int], float]:
    """Updates with carried state; BENCH_XLA=1 has XLA compile them."""
    keras.utils.set_random_seed(0)
    lstm = [keras.layers.LSTM(size.units, return_sequences=True, stateful=True) for _ in range(size.layers)]
    net = keras.Sequential(
        [
            keras.Input(batch_shape=(size.batch, size.window), dtype="int32"),
            keras.layers.Embedding(size.symbols, size.embedding),
            *lstm,
            keras.layers.Dense(size.symbols),
        ]
    )
    net.compile(
        keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=MAX_NORM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile="BENCH_XLA" in os.environ,
    )
    x, t = (tensorflow.constant(ids, dtype="int32") for ids in window(size))

    def step() -> float:
        net.reset_metrics()  # the loss that comes back is this step's, not a mean
        return net.train_on_batch(x, t)

    return repeated(step)


TASKS = {"training": training}
