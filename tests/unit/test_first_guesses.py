"""First guesses of Keras, PyTorch and scikit-learn users work, or the message contains what to write instead."""

import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import (
    GRU,
    LSTM,
    SGD,
    Adam,
    ArgumentError,
    Bidirectional,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    ReduceLROnPlateau,
    Sequential,
    Sigmoid,
    Softmax,
    Trainer,
)

X, T = np.random.default_rng(0).standard_normal((20, 5, 3)), np.arange(20) % 2


def net():
    return Sequential([LSTM(4), Dense(2), Softmax()])


def yes_or_no():
    return Sequential([LSTM(4), Dense(2), Sigmoid()])


def built():
    dense = Dense(2)
    dense.build((3,))
    return dense


def trainer(loss=None, **options):
    return Trainer(net(), loss or CrossEntropy(), quiet=True, **options)


@pytest.mark.parametrize(
    ("guess", "words"),
    [
        (lambda: LSTM(10, 20), "write LSTM(20)"),
        (lambda: Dense(20, 3), "write Dense(3)"),
        (lambda: LSTM(10, 20, batch_first=True), "write LSTM(20)"),
        (lambda: Sequential(LSTM(8), Dense(3)), "Sequential([...])"),
        (lambda: Adam(net().parameters()), "Adam(1e-3)"),
        (lambda: Adam({}, lr=1e-3), "Adam got lr twice"),
        (lambda: Adam([]), "Adam(1e-3): the Trainer hands over"),
        (lambda: Adam(1e-3, decay=1e-6), "AdamW(lr, weight_decay=...)"),
        (lambda: SGD(1e-3, decay=1e-6), "a schedule as lr"),
        (lambda: Adam(1e-3, weight_decay=1e-6), "AdamW(lr, weight_decay=...)"),
        (lambda: Adam(1e-3).zero_grad(), "net.zero_grads()"),
        (lambda: Adam(1e-3).minimize(0), "optimizer.step(net.params)"),
        (lambda: Bidirectional(LSTM(8), merge_mode="sum"), "merge=Concatenate(), Add() or Multiply()"),
        (lambda: Bidirectional(LSTM(8), merge="sum"), "merge=Add()"),
        (lambda: Bidirectional(LSTM(8), merge="concat"), "merge=Concatenate()"),
        (lambda: Bidirectional(LSTM(8), backward_layer=GRU(8)), "with go_backwards=True"),
        (lambda: Dense(8, kernel_initializer="he_normal"), "init={'W': glorot_uniform}"),
        (lambda: LSTM(8, recurrent_initializer="orthogonal"), "init={'Wh': orthogonal}"),
        (lambda: LSTM(8, unit_forget_bias=True), "is the default"),
        (lambda: Dropout(p=0.5), "Write rate="),
        (lambda: ReduceLROnPlateau(min_lr=1e-5), "min_lr / lr"),
        (lambda: CrossEntropy(from_logits=True), "SoftmaxCrossEntropy"),
        (lambda: CrossEntropy(label_smoothing=0.1), "soft targets"),
        (lambda: Trainer(model=net()), "Write net="),
        (lambda: Embedding(9, 4, padding_idx=0), "mask=x != 0"),
        (lambda: Sequential([Embedding(9, 4), LSTM(2)]).predict(np.ones((2, 3), int)), "like (None,))"),
        (lambda: trainer().predict(X), "trainer.net.predict(x)"),
        (lambda: trainer().score(X, T), "trainer.evaluate(x, t)"),
        (lambda: trainer().summary(), "trainer.net.summary()"),
        (lambda: trainer().fit(X, T).history, "history['loss']"),
        (lambda: CrossEntropy().backward(), "net.backward(dy, cache)"),
        (lambda: net().train_on_batch(X, T), "fit([Batch(x, t)], epochs=1)"),
        (lambda: setattr(built(), "W", np.ones((3, 2))), "W.value[...] = array"),
        (lambda: net().get_layer("lstm"), "net['name']"),
        (lambda: net().modules(), "net.layers.values()"),
        (lambda: trainer().fit(X, -T), "ids begin at 0"),
        (lambda: trainer().fit([[1, 2], [3]], [0, 1]), "PaddedBatches(rows, t)"),
        (lambda: trainer(BinaryCrossEntropy()).fit(X, np.array(["n", "p"])[T]), "np.unique"),
        (
            lambda: Trainer(Sequential([LSTM(4), Dense(2), Sigmoid()]), CrossEntropy(), quiet=True).fit(X, T),
            "Softmax()",
        ),
        (lambda: minidl.LearningRateScheduler, "Adam(lr=schedule)"),
        (lambda: minidl.CSVLogger, "CSVLog(path)"),
        (lambda: minidl.MSE, "MeanSquaredError"),
        (lambda: minidl.callbacks.ModelCheckpoint, "SaveBest(path)"),
        (lambda: minidl.train_test_split, "split_rows"),
    ],
)
def test_the_message_tells_what_to_write(guess, words):
    with pytest.raises((ArgumentError, AttributeError, minidl.MinidlError)) as caught:
        guess()
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "words"), [("pad_sequences", "Use pad(rows)"), ("DataLoader", "Use ArrayBatches")])
def test_an_import_that_fails_tells_what_to_use(name, words):
    with pytest.raises(ImportError, match=words.replace("(", r"\(").replace(")", r"\)")):
        exec(f"from minidl import {name}")
    assert not hasattr(minidl, name)
    with pytest.raises(ImportError, match="cannot import name 'nothing_like_it'"):
        exec("from minidl import nothing_like_it")


def test_an_import_that_fails_does_so_in_a_program():
    done = subprocess.run(
        [sys.executable, "-c", "from minidl import LSTM, ModelCheckpoint"], capture_output=True, text=True
    )
    assert done.returncode == 1 and "Use SaveBest(path) for the best net" in done.stderr.splitlines()[-1]


def test_what_is_suggested_works():
    Dense(8, init={"W": minidl.he_normal}).build((3,))
    LSTM(8, init={"Wh": minidl.orthogonal}).build((None, 3))
    Bidirectional(LSTM(8), merge=minidl.Add()).build((None, 3))
    Adam(lr=minidl.ExponentialLR(1e-3, 0.9))
    minidl.AdamW(1e-3, weight_decay=1e-6)
    embedding = Sequential([Embedding(9, 4), LSTM(2)])
    embedding.build((None,))
    assert embedding.predict([[1, 2, 3]]).shape == (1, 2)
    trained = trainer()
    trained.fit(minidl.PaddedBatches([x[: 1 + k % 5] for k, x in enumerate(X)], T))
    assert trained.net.predict(X).shape == (20, 2) and set(trained.evaluate(X, T)) == {"loss"}
    trained.net.zero_grads()
    trained.fit([minidl.Batch(X, T)], epochs=1)
