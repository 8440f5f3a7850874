"""Nets that learn in seconds, in plain loops: memory over steps, a text by heart, regression, and what is frozen."""

import numpy as np
import pytest

from minidl import (
    LSTM,
    Adam,
    AdditiveAttention,
    Attention,
    Batch,
    Conv1D,
    CrossEntropy,
    Dense,
    Embedding,
    LastStep,
    MeanSquaredError,
    PoolTime,
    ReLU,
    Sequential,
    Softmax,
    Tanh,
    accuracy,
    clip_norm,
    loss_and_grads,
    loss_value,
)
from tests.parameters import slow


def train(net, loss, optimizer, batches):
    """The loop that everything else is built on; returns the loss before each update."""
    values = []
    for batch in batches:
        net.zero_grads()
        values.append(loss_and_grads(net, loss, batch).value)
        clip_norm(net.params, 5.0)
        optimizer.step(net.params)
    return values


@pytest.mark.parametrize("peephole", ["diagonal", slow("full")])
def test_an_lstm_recalls_the_first_of_ten_symbols(peephole):
    """The other nine are noise: the cell has to keep the first one over all of them."""
    vocab, rng = 5, np.random.default_rng(0)

    def batch(rows):
        x = rng.integers(0, vocab, (rows, 10))
        return Batch(x, x[:, 0])

    net = Sequential([Embedding(vocab, 8), LSTM(24, peephole=peephole), Dense(vocab), Softmax()])
    net.build((None,), seed=1)
    values = train(net, CrossEntropy(), Adam(0.02), (batch(64) for _ in range(250)))
    assert values[0] == pytest.approx(np.log(vocab), rel=0.1)
    unseen = batch(1000)
    share, count = accuracy(net(unseen.x), unseen.t)
    assert share > 0.95 and count == 1000


def test_the_same_with_padding_and_a_last_step():
    """Rows of 6 to 10 symbols, padded with ids that no vocabulary has: the mask takes them out."""
    vocab, rng = 4, np.random.default_rng(0)

    def batch(rows):
        x = rng.integers(0, vocab, (rows, 10))
        mask = np.arange(10) < rng.integers(6, 11, (rows, 1))
        return Batch(np.where(mask, x, -999), x[:, 0], mask=mask)

    net = Sequential(
        [Embedding(vocab, 8), LSTM(24, peephole=True, return_sequences=True), LastStep(), Dense(vocab), Softmax()]
    )
    net.build((None,), seed=1)
    train(net, CrossEntropy(), Adam(0.02), (batch(64) for _ in range(200)))
    unseen = batch(500)
    assert accuracy(net.predict(unseen.x, mask=unseen.mask), unseen.t)[0] > 0.95


def test_a_character_model_learns_a_text_by_heart():
    text = "the cat sat on the mat; the dog ate the log, and the frog sat on the dog."
    symbols = sorted(set(text))
    ids = np.array([[symbols.index(symbol) for symbol in text]])
    net = Sequential(
        [Embedding(len(symbols), 16), LSTM(48, return_sequences=True), Dense(len(symbols)), Softmax()], name="by heart"
    )
    net.build((None,), seed=0)
    batch = Batch(ids[:, :-1], ids[:, 1:])
    values = train(net, CrossEntropy(), Adam(0.02), [batch] * 250)
    assert values[0] == pytest.approx(np.log(len(symbols)), rel=0.1)
    assert loss_value(net, CrossEntropy(), batch)[0] < 0.1

    # and says it, symbol by symbol, from the state that it carries
    state, said = None, text[0]
    while len(said) < len(text):
        y, state, _ = net.forward_with_state(np.array([[symbols.index(said[-1])]]), state, keep_cache=False)
        said += symbols[int(y[0, -1].argmax())]
    assert said == text


def test_windows_of_a_text_with_carried_state():
    """Truncated backpropagation: the state goes on, the gradients do not. What comes after 0 0 0 was decided 4 back."""
    text, window = np.tile([0, 0, 0, 1, 0, 0, 0, 2], 38)[None], 6
    net = Sequential([Embedding(3, 8), LSTM(16, peephole=True, return_sequences=True), Dense(3), Softmax()])
    net.build((None,), seed=0)
    optimizer = Adam(0.02)

    def windows():
        for k in range(0, text.shape[1] - window, window):
            yield Batch(text[:, k : k + window], text[:, k + 1 : k + window + 1], start=k == 0)

    for _ in range(4):
        state = None
        for batch in windows():
            net.zero_grads()
            state = loss_and_grads(net, CrossEntropy(), batch, state).state
            clip_norm(net.params, 1.0)
            optimizer.step(net.params)
    carried, forgotten, state = [], [], None
    for batch in windows():
        value, _, _, state = loss_value(net, CrossEntropy(), batch, state)
        carried.append(value)
        forgotten.append(loss_value(net, CrossEntropy(), batch)[0])
    # one window may cost more than the others, depending on how the BLAS rounds
    assert np.median(carried[2:]) < 0.02 < 0.1 < np.median(forgotten[2:])


@pytest.mark.parametrize(("layers", "limit"), [([Dense(2)], 1e-8), ([Dense(24), Tanh(), Dense(2)], 1e-3)], ids=repr)
def test_a_regression_reaches_an_error_near_zero(layers, limit):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 3))
    t = x @ rng.standard_normal((3, 2)) + [0.5, -1]
    if len(layers) > 1:
        t = np.sin(2 * t)
    net = Sequential(layers)
    net.build((3,), seed=0)
    values = train(net, MeanSquaredError(), Adam(0.03), [Batch(x, t)] * 600)
    assert values[0] > 0.1
    assert np.median(values[-50:]) < limit  # at a constant rate, Adam jumps away from the minimum now and then


@pytest.mark.parametrize("vocab", [2, 10, 100])
def test_an_untrained_classifier_knows_nothing(vocab):
    """Its loss is about ln V; a loss that starts elsewhere is the first sign of a mistake."""
    rng = np.random.default_rng(vocab)
    net = Sequential([Embedding(vocab, 16), LSTM(32, peephole=True, return_sequences=True), Dense(vocab), Softmax()])
    net.build((None,), seed=0)
    batch = Batch(rng.integers(0, vocab, (16, 20)), rng.integers(0, vocab, (16, 20)))
    # embeddings of size 1 give random scores of some tenths, so it is a little above ln V, never far
    assert np.log(vocab) <= loss_value(net, CrossEntropy(), batch)[0] < 1.1 * np.log(vocab)


def test_what_is_frozen_stays_and_the_rest_learns():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, (64, 5))
    batch = Batch(x, x[:, -1])
    net = Sequential([Embedding(6, 8), LSTM(16), Dense(6), Softmax()])
    net.build((None,), seed=0)
    net["embedding"].freeze()
    before = {name: p.value.copy() for name, p in net.params.items()}
    values = train(net, CrossEntropy(), Adam(0.02), [batch] * 100)
    assert values[-1] < 0.1 * values[0]
    changed = [name for name, p in net.params.items() if (p.value != before[name]).any()]
    assert changed == ["lstm.Wx", "lstm.Wh", "lstm.b", "dense.W", "dense.b"]
    net["embedding"].unfreeze()
    train(net, CrossEntropy(), Adam(0.02), [batch])
    assert (net["embedding"].E.value != before["embedding.E"]).all()


def test_the_same_seeds_train_to_the_same_bits():
    def trained():
        net = Sequential([Embedding(5, 4), LSTM(8, peephole=True, recurrent_dropout=0.2), Dense(5), Softmax()])
        net.build((None,), seed=3)
        optimizer, rng = Adam(0.01), np.random.default_rng(4)
        for _ in range(20):
            x = rng.integers(0, 5, (8, 6))
            net.zero_grads()
            loss_and_grads(net, CrossEntropy(), Batch(x, x[:, 0]), rng=rng)
            optimizer.step(net.params)
        return b"".join(p.value.tobytes() for p in net.params.values())

    assert trained() == trained()


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_a_convolution_finds_three_in_a_row(padding):
    """Does 2 2 2 stand anywhere in the row? Windows of three steps, and the maximum over them, padding apart."""
    rng = np.random.default_rng(0)

    def batch(rows):
        x = rng.integers(0, 3, (rows, 12))
        mask = np.arange(12) < rng.integers(4, 13, (rows, 1))
        t = ((x == 2) & mask)[:, :-2] & (x == 2)[:, 1:-1] & (x == 2)[:, 2:] & mask[:, 2:]
        return Batch(np.where(mask, x, -999), t.any(axis=1).astype(int), mask=mask)

    net = Sequential(
        [Embedding(3, 4), Conv1D(8, 3, padding=padding), ReLU(), PoolTime(kind="max"), Dense(2), Softmax()]
    )
    net.build((None,), seed=1)
    train(net, CrossEntropy(), Adam(0.02), (batch(64) for _ in range(200)))
    unseen = batch(500)
    assert accuracy(net.predict(unseen.x, mask=unseen.mask), unseen.t)[0] > 0.98


@pytest.mark.parametrize("attention", [Attention(), AdditiveAttention(8)], ids=repr)
def test_attention_looks_up_what_it_is_asked_for(attention):
    """Values stand in any order behind their keys; a query gets the value of its key, and the weights show where."""
    rng, keys = np.random.default_rng(0), 6
    ask, offer, attention = Dense(8), Dense(8), attention.copy()
    for dense in ask, offer:
        dense.build((keys,), seed=1)
    attention.build(((None, 8), (None, 2), (None, 8)), seed=2)
    layers, optimizer = {"ask": ask, "offer": offer, "attention": attention}, Adam(0.05)
    params = {f"{name}.{own}": p for name, layer in layers.items() for own, p in layer.params.items()}
    for _ in range(200):
        order = np.argsort(rng.random((32, keys)), axis=1)
        places, value = np.eye(keys, dtype=np.float32)[order], rng.standard_normal((32, keys, 2)).astype(np.float32)
        asked = rng.integers(0, keys, (32, 3))
        at = (order[:, None] == asked[..., None]).argmax(axis=2)
        query, ask_cache = ask.forward(np.eye(keys, dtype=np.float32)[asked])
        key, offer_cache = offer.forward(places)
        y, cache = attention.forward((query, value, key))
        error = y - np.take_along_axis(value, at[..., None], axis=1)
        for p in params.values():
            p.zero_grad()
        dquery, _, dkey = attention.backward(error / error.size, cache)
        ask.backward(dquery, ask_cache)
        offer.backward(dkey, offer_cache)
        optimizer.step(params)
    assert (error**2).mean() < 0.02
    assert (attention.weights((query, value, key)).argmax(axis=2) == at).all()
