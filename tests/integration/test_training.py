"""The Trainer on nets that learn in seconds, against loops written by hand: truncated BPTT, order, clipping."""

import io

import numpy as np
import pytest

from minidl import (
    LSTM,
    Adam,
    ArrayBatches,
    Callback,
    CharVocab,
    ClipNorm,
    ClipValue,
    Console,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Embedding,
    MeanSquaredError,
    NanGuard,
    PaddedBatches,
    ReduceLROnPlateau,
    SampleText,
    SaveBest,
    Sequential,
    Softmax,
    TextStream,
    Trainer,
    accuracy,
    clip_norm,
    load,
    loss_and_grads,
    loss_value,
    ngram_bits,
    split,
)
from tests.parameters import slow

TEXT = "the cat sat on the mat; the dog ate the log, and the frog sat on the dog. " * 8
VOCAB = CharVocab.of(TEXT)


def language_model(V, units=32, dropout=0.0, **options):
    return Sequential(
        [Embedding(V, 12), LSTM(units, return_sequences=True, **options), Dropout(dropout), Dense(V), Softmax()]
    )


def same(net, other):
    return all(np.array_equal(p.value, other.params[name].value) for name, p in net.params.items())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("peephole", [False, "diagonal", "full"])
def test_windows_are_the_loop_written_by_hand_bit_for_bit(dtype, peephole):
    """Truncated BPTT: h and c go on from window to window, gradients do not, and each epoch starts anew."""
    ids, epochs = VOCAB.encode(TEXT), 3
    nets = [language_model(len(VOCAB), 16, dropout=0.3, peephole=peephole) for _ in range(2)]
    for net in nets:
        net.build((None,), seed=5, dtype=dtype)
    trainer = Trainer(nets[0], CrossEntropy(), Adam(0.01), [ClipNorm(0.5)], seed=7, quiet=True)
    history = trainer.fit(TextStream(ids, 4, 20), epochs=epochs)

    B, T = 4, 20
    length = (len(ids) - 1) // B
    x, t = ids[: B * length].reshape(B, length), ids[1 : B * length + 1].reshape(B, length)
    net, optimizer, step, losses = nets[1], Adam(0.01), 0, []
    for _ in range(epochs):
        h, c, total = np.zeros((B, 16), dtype), np.zeros((B, 16), dtype), 0.0
        for at in range(0, length, T):
            rng = np.random.default_rng((7, step))
            net.zero_grads()
            # layer by layer: nothing of the containers' handling of states
            e, e_cache = net["embedding"].forward(x[:, at : at + T])
            y, (h, c), lstm_cache = net["lstm"].forward_with_state(e, (h, c), rng=rng)
            dropped, drop_cache = net["dropout"].forward(y, rng=rng)
            z, dense_cache = net["dense"].forward(dropped)
            value, dz, weight = CrossEntropy().on(net)[1](z, t[:, at : at + T])
            dy = net["dropout"].backward(net["dense"].backward(dz, dense_cache), drop_cache)
            de, _ = net["lstm"].backward_with_state(dy, None, lstm_cache)
            net["embedding"].backward(de, e_cache)
            clip_norm(net.params, 0.5)
            optimizer.step(net.params)
            step += 1
            total += float(value) * weight
        losses.append(total / (B * length))
    assert same(*nets) and trainer.step == step
    assert history["loss"] == pytest.approx(losses, rel=1e-12)
    assert all(map(np.array_equal, trainer.state["lstm"], (h, c)))


def test_the_window_does_not_change_the_loss_that_evaluation_finds():
    """Carried over, windows of any length are the whole sequence."""
    ids = VOCAB.encode(TEXT)
    net = language_model(len(VOCAB), peephole=True)
    net.build((None,), dtype=np.float64)
    trainer = Trainer(net, CrossEntropy(), quiet=True)
    whole = trainer.evaluate(TextStream(ids, 3, len(ids)))["loss"]
    assert [trainer.evaluate(TextStream(ids, 3, time))["loss"] for time in (1, 7, 50)] == pytest.approx([whole] * 3)


@pytest.mark.parametrize("clip", [ClipNorm(1.0), slow(ClipValue(6.0))])
def test_a_character_model_gets_below_every_baseline(clip, tmp_path):
    """The whole of it: stream, validation, sample, guard, best on disk, console; and twice the same, bit for bit."""
    train, valid = split(VOCAB.encode(TEXT), 0.15)
    baselines = ngram_bits(train, valid, len(VOCAB))

    def run(path):
        net, file = language_model(len(VOCAB), 40, dropout=0.1, peephole=True), io.StringIO()
        console = Console(bits=True, symbols="chars", baselines=baselines, file=file)
        callbacks = [NanGuard(), clip, SampleText(VOCAB, "the cat", 30, temperature=0), SaveBest(path), console]
        trainer = Trainer(net, CrossEntropy(), Adam(0.02), callbacks, seed=1)
        history = trainer.fit(TextStream(train, 4, 16), epochs=25, validation=TextStream(valid, 1, 16))
        return net, history, file.getvalue()

    net, history, text = run(tmp_path / "best.npz")
    other, again, _ = run(tmp_path / "other.npz")
    assert same(net, other) and history["valid_loss"] == again["valid_loss"] and history.reason is None
    assert min(history["valid_loss"]) / np.log(2) < min(baselines.values())
    sample = history["sample"][-1]
    assert f"the cat{sample[:8]}" in TEXT and set(sample.split()[:-1]) <= set(TEXT.split())
    assert f"below {min(baselines, key=baselines.get)}" in text and len(text.splitlines()) == 1 + 2 * 25 + 1
    best = load(tmp_path / "best.npz")
    value = Trainer(best, CrossEntropy(), quiet=True).evaluate(TextStream(valid, 1, 16))["loss"]
    assert value == pytest.approx(min(history["valid_loss"]), rel=1e-6)


def test_padded_sequences_of_different_lengths_are_learned():
    """Whether a sequence begins as it ends; validation of the same kind, early stopping by its accuracy."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 4, rng.integers(2, 9)) for _ in range(600)]
    answers = [int(row[0] == row[-1]) for row in rows]
    net = Sequential([Embedding(4, 8), LSTM(24), Dense(2), Softmax()])
    train = PaddedBatches(rows[:500], answers[:500], 25, seed=1)
    valid = PaddedBatches(rows[500:], answers[500:], 50, shuffle=False)
    stop = EarlyStopping(12, "valid_accuracy", higher_is_better=True)
    trainer = Trainer(net, CrossEntropy(), Adam(0.01), [stop], metrics=[accuracy], quiet=True)
    history = trainer.fit(train, epochs=60, validation=valid)
    best = max(history["valid_accuracy"])
    assert best > 0.95 and trainer.evaluate(valid)["accuracy"] == best


def test_a_plateau_lowers_the_rate_until_the_line_is_found():
    x = np.random.default_rng(0).standard_normal((256, 3))
    t = x @ np.array([1.0, -2.0, 0.5]) + 3.0
    net = Dense(1)
    trainer = Trainer(net, MeanSquaredError(), Adam(0.5), [ReduceLROnPlateau(0.5, patience=1)], quiet=True)
    history = trainer.fit(x, t, epochs=80, validation_split=0.2)
    assert history["rate"][-1] < 0.5 / 8 and history["valid_loss"][-1] < 1e-4
    np.testing.assert_allclose(net.W.value[:, 0], [1.0, -2.0, 0.5], atol=0.02)


def test_a_stopped_training_goes_on_as_if_nothing_had_happened():
    """Stop inside a run of shuffled epochs with dropout, and call fit again at the end of an epoch."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((64, 6, 3)), rng.integers(0, 2, 64)

    class Stop(Callback):
        def on_epoch_end(self, trainer):
            if trainer.epoch == 2:
                trainer.stop("a break")

    def run(callbacks, calls):
        net = Sequential([LSTM(8, recurrent_dropout=0.2), Dropout(0.2), Dense(2), Softmax()])
        trainer = Trainer(net, CrossEntropy(), Adam(0.01), callbacks, accumulate=2, seed=3, quiet=True)
        for epochs in calls:
            trainer.fit(x, t, batch_size=10, epochs=epochs)
        return net, trainer.history

    whole, history = run([], [5])
    parts, other = run([Stop()], [5, 3])
    assert same(whole, parts) and history["loss"] == other["loss"]


def test_batches_by_hand_and_plain_arrays_are_one_training():
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((50, 3)).astype(np.float32), rng.standard_normal((50, 2)).astype(np.float32)
    net, plain = Dense(2), Dense(2)
    plain.build((3,), seed=4)
    Trainer(net, MeanSquaredError(), Adam(0.01), seed=4, quiet=True).fit(x, t, epochs=3, batch_size=16)
    batches, optimizer = ArrayBatches(x, t, 16, shuffle=True, seed=4), Adam(0.01)
    for epoch in range(3):
        for batch in batches.epoch(epoch):
            plain.zero_grads()
            loss_and_grads(plain, MeanSquaredError(), batch)
            optimizer.step(plain.params)
    assert same(net, plain)
    assert loss_value(net, MeanSquaredError(), next(iter(ArrayBatches(x, t, 50))))[0] > 0
