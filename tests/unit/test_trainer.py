"""The Trainer: what it takes as data, carried state, accumulation, seeds, metrics, stops, and Ctrl-C."""

import itertools
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import minidl
from minidl import (
    LSTM,
    SGD,
    Adam,
    ArgumentError,
    ArrayBatches,
    Batch,
    BinaryCrossEntropy,
    Callback,
    CharVocab,
    ClipNorm,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    IdError,
    MeanSquaredError,
    NotBuiltError,
    PaddedBatches,
    SampleText,
    Sequential,
    ShapeError,
    Sigmoid,
    Softmax,
    TextStream,
    Trainer,
    UnknownNameError,
    accuracy,
    loss_and_grads,
    loss_value,
)
from minidl.hooks import HOOKS

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((50, 3)), RNG.standard_normal((50, 2))
IDS = RNG.integers(0, 5, 200)


def regressor(built=True, dtype=np.float64):
    net = Sequential([Dense(4), Dense(2)])
    if built:
        net.build((3,), seed=1, dtype=dtype)
    return net


def language_model(dropout=0.0, dtype=np.float64, **options):
    net = Sequential(
        [Embedding(5, 3), LSTM(4, return_sequences=True, **options), Dropout(dropout), Dense(5), Softmax()]
    )
    net.build((None,), seed=1, dtype=dtype)
    return net


def trainer_of(net, loss=None, optimizer=None, callbacks=(), **options):
    return Trainer(net, loss or MeanSquaredError(), optimizer or SGD(0.1), callbacks, quiet=True, **options)


def values(net):
    return {name: p.value.copy() for name, p in net.params.items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def close(one, other, **tolerance):
    for name in one:
        np.testing.assert_allclose(one[name], other[name], err_msg=name, **tolerance)


class Note(Callback):
    """Write down what the trainer had at each call of some hooks."""

    def __init__(self, **what):
        self.seen = []
        for hook, look in what.items():
            setattr(self, hook, lambda trainer, look=look: self.seen.append(look(trainer)))


class StopIn(Callback):
    """Stop the training in a hook, at its n-th call."""

    def __init__(self, hook, n=1):
        self.left = n

        def stop(trainer):
            self.left -= 1
            if not self.left:
                trainer.stop(f"enough in {hook}")
                trainer.stop("another reason")

        setattr(self, hook, stop)


# -- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["list", "tuple", "generator", "own class", "one batch"])
def test_an_iterable_of_batches(kind):
    class Own:
        def __iter__(self):
            return iter([Batch(X, T)] * 3)

    data = {
        "list": lambda: [Batch(X, T)] * 3,
        "tuple": lambda: (Batch(X, T), Batch(X, T), Batch(X, T)),
        "generator": lambda: (Batch(X, T) for _ in range(3)),
        "own class": Own,
        "one batch": lambda: Batch(X, T),
    }[kind]()
    plain, net = regressor(), regressor()
    history = trainer_of(net).fit(data)
    for _ in range(1 if kind == "one batch" else 3):
        plain.zero_grads()
        loss_and_grads(plain, MeanSquaredError(), Batch(X, T))
        SGD(0.1).step(plain.params)
    assert same(values(net), values(plain))
    assert history["step"] == [1 if kind == "one batch" else 3] and history.reason is None


def test_two_batches_in_a_tuple_are_no_pair_of_arrays():
    batches = Batch(X, T), Batch(X[:7], T[:7])
    assert trainer_of(regressor()).fit(batches, validation=batches)["step"] == [2]


@pytest.mark.parametrize("form", [np.array, lambda a: a.tolist(), lambda a: a.astype(np.float32)])
def test_plain_arrays_and_lists_are_cut_into_batches_of_the_nets_dtype(form):
    sizes = Note(on_step_end=lambda trainer: (len(trainer.batch.x), trainer.params["dense.W"].grad.dtype))
    net = regressor(dtype=np.float32)
    history = trainer_of(net, callbacks=[sizes]).fit(form(X), form(T), batch_size=20, epochs=2)
    assert sizes.seen == [(20, np.float32), (20, np.float32), (10, np.float32)] * 2
    assert all(p.value.dtype == np.float32 for p in net.params.values())
    other = regressor(dtype=np.float32)
    trainer_of(other).fit(ArrayBatches(X, T, 20, shuffle=True), epochs=2)
    close(values(net), values(other), rtol=1e-6)
    assert set(history.rows[0]) == {"epoch", "loss", "step", "rate", "seconds", "targets_per_second"}


def test_shuffling_gives_each_epoch_an_order_of_its_own():
    def orders(**options):
        rows = Note(on_grads_ready=lambda trainer: trainer.batch.x[:, 0].copy())
        trainer_of(Dense(1), callbacks=[rows]).fit(np.arange(40.0)[:, None], np.zeros(40), epochs=2, **options)
        return np.concatenate(rows.seen[:2]), np.concatenate(rows.seen[2:])

    first, second = orders()
    assert not np.array_equal(first, second)
    assert sorted(first) == sorted(second) == list(range(40))
    first, second = orders(shuffle=False)
    assert first.tolist() == second.tolist() == list(range(40))


def test_validation_split_holds_out_the_end():
    seen = Note(on_grads_ready=lambda trainer: trainer.batch.x.copy())
    net = regressor()
    history = trainer_of(net, callbacks=[seen]).fit(X, T, validation_split=0.2)
    assert sorted(np.concatenate(seen.seen).tolist()) == sorted(X[:40].tolist())
    expected = loss_value(net, MeanSquaredError(), Batch(X[40:], T[40:]))[0]
    assert history["valid_loss"] == [pytest.approx(expected, rel=1e-12)]


@pytest.mark.parametrize(
    "validation",
    [(X[:9], T[:9]), (X[:9].tolist(), T[:9].tolist()), [Batch(X[:4], T[:4]), Batch(X[4:9], T[4:9])],
     Batch(X[:9], T[:9]), ArrayBatches(X[:9], T[:9], 2)],
    ids=["arrays", "lists", "batches", "batch", "ArrayBatches"],
)  # fmt: skip
def test_validation_in_every_form(validation):
    net = regressor()
    trainer = trainer_of(net)
    history = trainer.fit(X, T, validation=validation, epochs=2)
    expected = loss_value(net, MeanSquaredError(), Batch(X[:9], T[:9]))[0]
    assert history["valid_loss"][-1] == pytest.approx(expected, rel=1e-12)
    assert trainer.evaluate(validation)["loss"] == pytest.approx(expected, rel=1e-12)


def test_validation_as_a_text_stream_carries_its_own_state():
    net = language_model()
    history = trainer_of(net, CrossEntropy()).fit(TextStream(IDS, 4, 7), validation=TextStream(IDS, 2, 11))
    whole = next(iter(TextStream(IDS, 2, 1000)))
    assert history["valid_loss"] == [pytest.approx(loss_value(net, CrossEntropy(), whole)[0], rel=1e-12)]


@pytest.mark.parametrize("once", [False, True])
def test_the_first_batch_builds_the_net_and_is_trained_on(once):
    batches = [Batch(X[k : k + 10], T[k : k + 10]) for k in range(0, 50, 10)]
    seen = Note(on_step_end=lambda trainer: trainer.batch)
    net = regressor(built=False)
    trainer_of(net, callbacks=[seen], seed=3).fit(iter(batches) if once else batches)
    assert len(seen.seen) == 5 and all(a is b for a, b in zip(seen.seen, batches, strict=True))
    other = regressor(built=False)
    other.build((3,), seed=3)
    assert net.dtype == np.float32 and net.in_shape == (3,)
    trainer_of(other).fit(batches)
    assert same(values(net), values(other))


def test_a_net_is_built_for_any_number_of_steps_where_that_is_possible():
    free = Sequential([Embedding(5, 3), LSTM(2), Dense(2), Softmax()])
    fixed = Sequential([Embedding(5, 3), Flatten(), Dense(2), Softmax()])
    for net, shape in (free, (None,)), (fixed, (6,)):
        x = RNG.integers(0, 5, (8, 6))
        trainer_of(net, CrossEntropy()).fit(x, x[:, 0] % 2)
        assert net.in_shape == shape
    series = Sequential([LSTM(2, return_sequences=True), Dense(1)])
    trainer_of(series).fit(RNG.standard_normal((8, 6, 3)), np.zeros((8, 6)))
    assert series.in_shape == (None, 3)
    numbers = Sequential([LSTM(2, return_sequences=True), Flatten(), Dense(1)])
    trainer_of(numbers).fit(RNG.standard_normal((8, 6, 3)), np.zeros(8))
    assert numbers.in_shape == (6, 3)


def test_epochs_and_steps_go_on_over_several_calls():
    one, two = regressor(), regressor()
    whole = trainer_of(one, optimizer=Adam(0.01)).fit(X, T, epochs=5, batch_size=20)
    trainer = trainer_of(two, optimizer=Adam(0.01))
    trainer.fit(X, T, epochs=2, batch_size=20)
    history = trainer.fit(X, T, epochs=3, batch_size=20)
    assert history["epoch"] == [3, 4, 5] and trainer.history["epoch"] == whole["epoch"] == [1, 2, 3, 4, 5]
    assert trainer.history["loss"] == whole["loss"] and trainer.step == 15
    assert same(values(one), values(two))


def test_steps_end_inside_an_epoch():
    trainer = trainer_of(regressor())
    history = trainer.fit(X, T, batch_size=10, epochs=4, steps=7)
    assert history["step"] == [5, 7] and history.reason is None
    assert trainer.fit(X, T, batch_size=10, epochs=1, steps=100)["step"] == [12]


def test_steps_without_epochs_take_as_many_epochs_as_they_need():
    trainer = trainer_of(regressor())
    assert trainer.fit(X, T, batch_size=10, steps=12)["step"] == [5, 10, 12]
    assert trainer.fit(X, T, batch_size=10)["step"] == [17]
    assert trainer.history["step"] == [5, 10, 12, 17]


def test_each_call_of_fit_returns_a_history_of_its_own():
    trainer = trainer_of(regressor())
    first = trainer.fit(X, T, epochs=2)
    second = trainer.fit(X, T)
    assert (first["epoch"], second["epoch"], trainer.history["epoch"]) == ([1, 2], [3], [1, 2, 3])
    with pytest.raises(UnknownNameError, match="The epochs had no validation data"):
        first["val_loss"]
    with pytest.raises(UnknownNameError, match="Did you mean 'valid_loss'"):
        trainer.fit(X, T, validation=(X, T))["val_loss"]
    assert minidl.History()["loss"] == []


@pytest.mark.parametrize("same_net", [True, False])
def test_an_optimizer_serves_one_net(same_net):
    optimizer, net = Adam(0.01), regressor()
    trainer_of(net, optimizer=optimizer).fit(X, T)
    other = trainer_of(net if same_net else regressor(), optimizer=optimizer)
    if same_net:
        other.fit(X, T)
    else:
        before = values(other.net)
        with pytest.raises(ArgumentError, match=r"Adam has made .* updates of another net"):
            other.fit(X, T)
        assert other.step == 0 and same(before, values(other.net))


def test_validation_may_be_a_tuple_of_batches():
    for count in 2, 3, 4:
        assert trainer_of(regressor()).fit(X, T, validation=(Batch(X, T),) * count)["valid_loss"]


@pytest.mark.parametrize("resume", ["run", 1, None])
def test_resume_must_be_a_flag(resume):
    with pytest.raises(ArgumentError, match=r"fit expects resume to be True or False"):
        trainer_of(regressor()).fit(X, T, resume=resume)


@pytest.mark.parametrize(("name", "hook"), [
    ("on_train_begin", "on_fit_start"), ("on_batch_end", "on_step_end"), ("on_epoch_begin", "on_epoch_start"),
    ("on_epoc_end", "on_epoch_end"), ("on_train_end", "on_fit_end"),
])  # fmt: skip
def test_a_hook_of_another_name_is_refused(name, hook):
    with pytest.raises(ArgumentError, match=f"Mine has a method '{name}', which no Trainer calls. Write {hook}"):
        type("Mine", (Callback,), {name: lambda self, trainer: None})
    duck = type("Duck", (), {"on_step_end": lambda self, trainer: None, name: lambda self, trainer: None})()
    with pytest.raises(ArgumentError, match=f"Duck has a method '{name}'"):
        trainer_of(regressor(), callbacks=[duck])
    type("Mine", (Callback,), {"on_error": "stop"})  # an attribute is not a hook


def test_steps_read_no_batch_too_many():
    batches = iter([Batch(X, T)] * 5)
    trainer = trainer_of(regressor())
    trainer.fit(batches, steps=3)
    assert trainer.step == 3 and len(list(batches)) == 2


def said(call, *args, kind=ArgumentError, **options):
    with pytest.raises(kind) as caught:
        call(*args, **options)
    return str(caught.value)


def test_an_iterator_that_is_used_up_is_an_error_that_says_so():
    for built in True, False:
        trainer = trainer_of(regressor(built))
        text = said(trainer.fit, (Batch(X, T) for _ in range(2)), epochs=2)
        assert "got none in epoch 2: an iterator that is used up is empty the second time" in text
        assert trainer.step == 2 and len(trainer.history) == 1
    validation = iter([Batch(X, T)])
    text = said(trainer_of(regressor()).fit, X, T, epochs=2, validation=validation)
    assert "validation is gone through after every epoch, got an iterator (list_iterator)" in text


@pytest.mark.parametrize(("validation", "words"), [
    (itertools.repeat(Batch(X, T)), "got an iterator (repeat), which is used up after the first one or never ends"),
    ([X, T], "validation must be a tuple (x, t) or batches, got a list of two. Write validation=(x, t)"),
    ((X, T, np.ones(len(X))), "For weights write validation=ArrayBatches(x, t, weight=weight)"),
], ids=["endless", "list", "weights"])  # fmt: skip
def test_validation_that_cannot_be_used_is_refused_before_training(validation, words):
    trainer = trainer_of(regressor())
    assert words in said(trainer.fit, X, T, validation=validation) and trainer.step == 0


class Tensor:
    """An array of another library."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype)


@pytest.mark.parametrize("x", [X, (X, X)], ids=["one input", "two inputs"])
def test_batches_of_another_librarys_tensors_are_trained_on(x):
    def fit(wrap):
        net = Sequential([minidl.Concatenate(), Dense(2)]) if isinstance(x, tuple) else Sequential([Dense(2)])
        inputs = tuple(map(wrap, x)) if isinstance(x, tuple) else wrap(x)
        batch = Batch(inputs, wrap(T), weight=wrap(np.ones(len(T))), start=wrap(np.ones(len(T), bool)))
        trainer = trainer_of(net, metrics=[lambda y, t, weight, mask: (float(t.sum()), 1.0)])
        return trainer.fit([batch], epochs=2, validation=[batch])["loss"]

    assert fit(Tensor) == fit(np.asarray)


@pytest.mark.parametrize("built", [True, False])
def test_data_that_cannot_be(built):
    trainer = trainer_of(regressor(built))
    assert "every epoch, got none in epoch 1: give at least one" in said(trainer.fit, [])
    assert "expected to yield Batch(x, t), got tuple: wrap each in minidl.Batch" in said(trainer.fit, [(X, T)])
    assert "expected to yield Batch(x, t), got str" in said(trainer.fit, "some text")
    assert "expected to be an iterable of Batch, or arrays x and t, got 5" in said(trainer.fit, 5)
    assert "expected to be an iterable of Batch" in said(trainer.fit, X, T, validation=3.5)
    assert "expects targets with an array of inputs: fit(x, t)" in said(trainer.fit, X)
    assert "got a tuple of both: write fit(x, t)" in said(trainer.fit, (X, T))
    for batches in PaddedBatches([[1], [2]], [0, 1]), [Batch(X, T)], Batch(X, T), TextStream(np.arange(9), 2, 2):
        assert "got batches, which hold theirs: write fit(batches)" in said(trainer.fit, batches, T)
    assert "expects 7 rows of x, as t has, got 50" in said(trainer.fit, X, T[:7], kind=ShapeError)
    assert "expects epochs to be a positive integer, got 0" in said(trainer.fit, X, T, epochs=0)
    assert "expects steps to be a positive integer, got 2.5" in said(trainer.fit, X, T, steps=2.5)
    assert "got both: leave one out" in said(trainer.fit, X, T, validation=(X, T), validation_split=0.1)
    assert "of plain arrays, got batches" in said(trainer.fit, [Batch(X, T)], validation_split=0.1)
    assert "one part would be empty" in said(trainer.fit, X, T, validation_split=0.001)
    assert trainer.step == 0 and not len(trainer.history)


def test_arguments_that_cannot_be():
    net, loss = regressor(), MeanSquaredError()
    assert "expects loss to be an instance of Loss, got 'mse'" in said(Trainer, net, "mse")
    assert "expects optimizer to be an instance of Optimizer" in said(Trainer, net, loss, "adam")
    assert "expects net to be an instance of Layer" in said(Trainer, Dense, loss)
    assert "instances with hooks such as on_epoch_end, got <class" in said(Trainer, net, loss, callbacks=[ClipNorm])
    assert "expects callbacks to be a list, got <minidl" in said(Trainer, net, loss, callbacks=ClipNorm(1))
    assert "functions such as accuracy, got 'accuracy'" in said(Trainer, net, loss, metrics=["accuracy"])
    assert "expects metrics to be a list" in said(Trainer, net, loss, metrics=accuracy)
    for name in "loss", "valid_accuracy", "epoch", "step", "rate", "seconds", "norm", "sample":
        metric = lambda y, t, weight, mask: (0.0, 1.0)  # noqa: E731
        metric.__name__ = name
        writers = [ClipNorm(1), SampleText(CharVocab("ab"), "a")]
        text = said(Trainer, net, loss, metrics=[accuracy, metric], callbacks=writers)
        assert f"names of their own, got {name!r}, a value that the row has already: write a function with" in text
    text = said(Trainer, net, loss, metrics=[lambda *_: (0.0, 1.0), accuracy, lambda *_: (1.0, 1.0)])
    assert "got '<lambda>', the name of two metrics" in text
    assert "expects accumulate to be a positive integer, got 0" in said(Trainer, net, loss, accumulate=0)
    assert "expects seed to be an integer of at least 0, got -1" in said(Trainer, net, loss, seed=-1)
    assert "is not built" in said(Trainer(Dense(1), loss).evaluate, X, T, kind=NotBuiltError)


# -- carried state --------------------------------------------------------------------------------


def windows(start, rows=3, time=4, seed=0):
    rng = np.random.default_rng(seed)
    return Batch(rng.integers(0, 5, (rows, time)), rng.integers(0, 5, (rows, time)), start=start)


def outputs_of(net, batches):
    """The losses with the state carried by hand: `starts` [B] bools set rows back."""
    found, state = [], None
    for batch in batches:
        value, _, _, state = loss_value(
            net, CrossEntropy(), batch._replace(start=np.broadcast_to(batch.start, 3)), state
        )
        found.append(float(value))
    return found


ROWS = np.array([True, False, True])


@pytest.mark.parametrize(
    "starts", [(False, False, False), (True, True, True), (True, False, True), (False, ROWS, ROWS)]
)
def test_start_decides_row_by_row_what_is_carried(starts):
    net = language_model(peephole=True)
    before = values(net)
    for name in "lstm.Wh", "dense.W":
        before[name] *= 5
        net.params[name].value[...] = before[name]
    batches = [windows(start, seed=k) for k, start in enumerate(starts)]
    losses = Note(on_grads_ready=lambda trainer: trainer.value)
    trainer_of(net, CrossEntropy(), SGD(1e-300), [losses]).fit(batches)
    assert losses.seen == pytest.approx(outputs_of(net, batches), rel=1e-12)
    fresh = [outputs_of(net, [batch])[0] for batch in batches]
    differs = [not np.isclose(a, b, rtol=1e-9) for a, b in zip(losses.seen, fresh, strict=True)]
    assert differs == [k > 0 and not np.all(start) for k, start in enumerate(starts)]


def test_another_batch_size_needs_a_start():
    trainer = trainer_of(language_model(), CrossEntropy())
    text = said(trainer.fit, [windows(True), windows(False, rows=2)], kind=ShapeError)
    assert "another batch size needs a new state (state=None, or start=True)" in text
    assert trainer.fit([windows(True), windows(True, rows=2), windows(False, rows=2)])["step"] == [4]


def test_state_survives_from_one_fit_to_the_next():
    batches = [windows(False, seed=k) for k in range(4)]
    one, two = language_model(), language_model()
    trainer_of(one, CrossEntropy()).fit(batches)
    trainer = trainer_of(two, CrossEntropy())
    trainer.fit(batches[:2])
    trainer.fit(batches[2:])
    assert same(values(one), values(two))


def test_evaluation_never_touches_the_carried_state():
    batches = [windows(False, seed=k) for k in range(4)]
    held = [windows(False, rows=5, seed=9), windows(False, rows=5, seed=10)]
    one, two = language_model(dropout=0.5), language_model(dropout=0.5)
    trainer_of(one, CrossEntropy()).fit(batches, epochs=2)
    trainer = trainer_of(two, CrossEntropy())
    trainer.fit(batches, validation=held)
    state = trainer.state["lstm"]
    copies = [part.copy() for part in state]
    assert trainer.evaluate(held) == trainer.evaluate(held)  # it begins from the initial state each time
    assert trainer.state["lstm"] is state and all(map(np.array_equal, state, copies))
    trainer.fit(batches, validation=held)
    assert same(values(one), values(two))


def test_a_net_that_cannot_be_streamed_is_refused():
    net = language_model(go_backwards=True)
    trainer = trainer_of(net, CrossEntropy())
    text = said(trainer.fit, [windows(True), windows(False)])
    assert "but Sequential cannot be streamed because of 'lstm', LSTM(units=" in text
    assert "cannot be streamed" in said(trainer.evaluate, [windows(True), windows(np.array([True, True, False]))])
    assert trainer.fit([windows(True), windows(True)])["step"] == [3]


# -- accumulation ---------------------------------------------------------------------------------


def pieces_of(kind):
    """Batches, and the one batch of all their rows."""
    rng = np.random.default_rng(1)
    x, t = rng.integers(0, 5, (12, 6)), rng.integers(0, 5, (12, 6))
    weight, mask = None, None
    if kind == "weights":
        weight = rng.uniform(0, 3, 12)
    if kind == "masks":
        mask = np.arange(6) < rng.integers(1, 7, (12, 1))
    if kind == "nothing counts in a batch":
        mask = np.repeat([[True], [False], [True]], [5, 4, 3], axis=0) & np.ones((12, 6), bool)

    def rows(part):
        return Batch._make((x[part], t[part], *(None if a is None else a[part] for a in (weight, mask)), True))

    return [rows(slice(0, 5)), rows(slice(5, 9)), rows(slice(9, 12))], rows(slice(None))


@pytest.mark.parametrize("kind", ["unequal sizes", "weights", "masks", "nothing counts in a batch"])
def test_accumulation_equals_one_batch_of_all_rows(kind):
    parts, whole = pieces_of(kind)
    one, two = language_model(), language_model()
    noted = [Note(on_grads_ready=lambda trainer: {n: p.grad.copy() for n, p in trainer.params.items()}) for _ in "ab"]
    big = trainer_of(one, CrossEntropy(), Adam(0.01), noted[:1]).fit([whole], epochs=3)
    small = trainer_of(two, CrossEntropy(), Adam(0.01), noted[1:], accumulate=3).fit(parts, epochs=3)
    for a, b in zip(noted[0].seen, noted[1].seen, strict=True):
        close(a, b, rtol=1e-9, atol=1e-12)
    close(values(one), values(two), rtol=1e-9, atol=1e-12)
    assert small["loss"] == pytest.approx(big["loss"], rel=1e-12) and small["step"] == [1, 2, 3]


def test_a_shorter_last_group():
    parts, _ = pieces_of("weights")
    one, two = language_model(), language_model()
    history = trainer_of(one, CrossEntropy(), accumulate=2).fit(parts)
    trainer = trainer_of(two, CrossEntropy(), accumulate=2)
    trainer.fit(parts[:2])
    trainer.fit(parts[2:])
    assert history["step"] == [2] and same(values(one), values(two))


# -- seeds ----------------------------------------------------------------------------------------


def run(seed, callbacks=(), **options):
    net = Sequential([Embedding(5, 3), LSTM(4), Dropout(0.5), Dense(2), Softmax()])
    x = np.random.default_rng(0).integers(0, 5, (40, 6))
    trainer = trainer_of(net, CrossEntropy(), Adam(0.01), callbacks, seed=seed, metrics=[accuracy])
    history = trainer.fit(x, x[:, 0] % 2, epochs=3, batch_size=8, **options)
    return values(net), [history["loss"], history["accuracy"]]


def test_the_same_seed_is_the_same_run_bit_for_bit():
    one, other = run(seed=1), run(seed=1)
    assert same(one[0], other[0]) and one[1] == other[1]


def test_another_seed_is_another_run():
    assert run(seed=1)[1] != run(seed=2)[1]


@pytest.mark.parametrize("part", ["shuffle", "dropout"])
def test_order_and_dropout_depend_on_the_seed_each(part):
    def losses(seed):
        net = language_model(dropout=0.5 if part == "dropout" else 0.0)
        x = np.random.default_rng(0).integers(0, 5, (40, 6))
        trainer = trainer_of(net, CrossEntropy(), seed=seed)
        return trainer.fit(x, x, shuffle=part == "shuffle", batch_size=8)["loss"]

    assert losses(1) == losses(1) != losses(2)


def test_looking_on_changes_nothing():
    """Validation and the global random state are no part of the run."""
    np.random.seed(7)  # noqa: NPY002
    one = run(seed=1)
    np.random.seed(8)  # noqa: NPY002
    other = run(seed=1, validation=(np.zeros((3, 6), int), np.zeros(3, int)))
    assert same(one[0], other[0])


def test_the_randomness_of_a_step_comes_from_seed_and_number():
    net, plain = language_model(dropout=0.5), language_model(dropout=0.5)
    batches = [windows(True, seed=k) for k in range(3)]
    trainer_of(net, CrossEntropy(), seed=11).fit(batches, epochs=2)
    for k, batch in enumerate(batches * 2):
        plain.zero_grads()
        loss_and_grads(plain, CrossEntropy(), batch, rng=np.random.default_rng((11, k)))
        SGD(0.1).step(plain.params)
    assert same(values(net), values(plain))


# -- metrics --------------------------------------------------------------------------------------


def sure(answers, V=4):
    """A net that answers with these classes to inputs 0, 1, 2, ..."""
    net = Sequential([Embedding(len(answers), V), Softmax()])
    net.build((None,), dtype=np.float64)
    net.params["embedding.E"].value[...] = 5 * np.eye(V)[answers]
    return net


def test_metrics_count_what_the_loss_counts():
    net = sure([0, 1, 2, 3])
    x = np.array([[0, 1, 2], [3, 0, 1]])
    t = np.array([[0, 1, 9], [3, 1, -1]])
    mask = np.array([[True, True, False], [True, True, True]])  # the 9 is padding
    trainer = trainer_of(net, CrossEntropy(ignore_index=-1), metrics=[accuracy])
    assert trainer.evaluate([Batch(x, t, mask=mask)])["accuracy"] == 3 / 4
    weighted = Batch(x, t, weight=np.array([1.0, 5.0]), mask=mask)
    assert trainer.evaluate([weighted])["accuracy"] == pytest.approx(7 / 12)
    lists = Batch(x.tolist(), t.tolist(), mask=mask.tolist())
    assert trainer.evaluate([lists])["accuracy"] == 3 / 4
    with pytest.raises(IdError):  # without the mask the 9 is a mistake
        trainer.evaluate([Batch(x, t)])


def test_the_means_of_batches_weigh_by_what_counts():
    net = sure([0, 1])
    one, two = Batch([[0, 0, 0]], [[0, 0, 0]]), Batch([[0, 1, 1]], [[1, 1, 0]], mask=[[True, False, False]])
    trainer = trainer_of(net, CrossEntropy(), metrics=[accuracy])
    both = trainer.evaluate([one, two])
    assert both["accuracy"] == 3 / 4
    alone = [trainer.evaluate([batch])["loss"] for batch in (one, two)]
    assert both["loss"] == pytest.approx((3 * alone[0] + alone[1]) / 4, rel=1e-12)


def test_where_nothing_counts_the_figures_are_no_numbers():
    """A 0 would look like the best loss there is."""
    figures = trainer_of(sure([0]), CrossEntropy(), metrics=[accuracy]).evaluate([Batch([[0]], [[0]], mask=[[False]])])
    assert np.isnan(figures["loss"]) and np.isnan(figures["accuracy"])


def test_a_mask_does_not_reach_metrics_of_a_sequence_as_a_whole():
    net = Sequential([Embedding(5, 3), LSTM(4), Dense(2), Softmax()])
    batches = PaddedBatches([[1, 2, 3], [4], [2, 2]], [0, 1, 1], batch_size=2)
    history = trainer_of(net, CrossEntropy(), metrics=[accuracy]).fit(batches, validation=batches)
    assert 0 <= history["accuracy"][0] <= 1 and 0 <= history["valid_accuracy"][0] <= 1


@pytest.mark.parametrize("nested", [False, True])
def test_metrics_see_the_outputs_of_the_net_itself(nested):
    """The losses are computed from the scores; a metric gets probabilities all the same."""

    def mean_output(y, t, weight, mask):
        return np.float32(y.mean()), y.size

    def net_of(*layers):
        net = Sequential([Sequential(list(layers))] if nested else list(layers))
        net.build((3,), dtype=np.float64)
        return net

    x, bits = X, (X[:, :1] > 0).astype(int)
    yes = net_of(Dense(1), Sigmoid())
    figures = trainer_of(yes, BinaryCrossEntropy(), metrics=[accuracy, mean_output]).evaluate(x, bits)
    assert figures["accuracy"] == pytest.approx(accuracy(yes(x), bits)[0])
    assert figures["mean_output"] == pytest.approx(yes(x).mean(), rel=1e-6) and type(figures["mean_output"]) is float
    classes = net_of(Dense(2), Softmax())
    figures = trainer_of(classes, CrossEntropy(), metrics=[accuracy, mean_output]).evaluate(x, bits[:, 0])
    assert figures["accuracy"] == pytest.approx(accuracy(classes(x), bits[:, 0])[0])
    assert figures["mean_output"] == pytest.approx(0.5, rel=1e-6)


# -- stops, hooks, exceptions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "steps", "epochs"),
    [("on_fit_start", 0, 0), ("on_epoch_start", 5, 1), ("on_grads_ready", 1, 1), ("on_step_end", 2, 1),
     ("on_epoch_end", 10, 2), ("on_fit_end", 15, 3)],
)  # fmt: skip
def test_a_stop_in_each_hook(hook, steps, epochs):
    stopper = StopIn(hook, n=1 if hook in ("on_fit_start", "on_fit_end") else 2)
    ends = Note(on_fit_end=lambda trainer: trainer.stop_reason)
    trainer = trainer_of(regressor(), callbacks=[ends, stopper])
    history = trainer.fit(X, T, batch_size=10, epochs=3)
    assert (trainer.step, len(history)) == (steps, epochs)
    if hook == "on_fit_end":
        assert trainer.stop_reason == "enough in on_fit_end"
    else:
        assert history.reason == trainer.stop_reason == "enough in " + hook and ends.seen == [history.reason]
    assert trainer.fit(X, T, batch_size=10).reason is None  # another call begins without a reason


def test_a_stop_before_the_update_leaves_it_out():
    net = regressor()
    before = values(net)
    trainer_of(net, callbacks=[StopIn("on_grads_ready")]).fit(X, T)
    assert same(values(net), before)


def test_callbacks_are_called_in_the_order_of_the_list():
    calls = []

    def spoken(name):
        callback = Callback()
        for hook in HOOKS:
            setattr(callback, hook, lambda trainer, hook=hook: calls.append((name, hook)))
        return callback

    class Duck:  # any object with a hook will do
        def on_step_end(self, trainer):
            calls.append(("duck", "on_step_end"))

    trainer_of(regressor(), callbacks=[spoken("one"), Duck(), spoken("two")]).fit(X, T, batch_size=50, epochs=2)
    each = ["on_epoch_start", "on_grads_ready", "on_step_end", "on_epoch_end"]
    hooks = ["on_fit_start", *each, *each, "on_fit_end"]
    assert [call for call in calls if call[0] != "duck"] == [(name, hook) for hook in hooks for name in ("one", "two")]
    assert [name for name, hook in calls if hook == "on_step_end"] == ["one", "duck", "two"] * 2


def failing(hook, words="a hook that fails"):
    """A callback that raises an error in a hook."""

    def fail(trainer):
        raise RuntimeError(words)

    return Note(**{hook: fail})


@pytest.mark.parametrize("hook", HOOKS)
def test_the_end_is_called_after_an_error_everywhere(hook):
    before, after = (Note(on_fit_end=lambda trainer: "end") for _ in "ab")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError, match="a hook that fails"):
        trainer_of(regressor(), callbacks=[before, failing(hook), after]).fit(X, T)
    assert before.seen == ["end"] and signal.getsignal(signal.SIGINT) is handler
    assert after.seen == ([] if hook == "on_fit_start" else ["end"])  # what was never begun is not ended


def test_the_first_error_is_the_one_that_is_raised():
    class Later(Callback):
        def on_fit_start(self, trainer):
            self.opened = True

        def on_fit_end(self, trainer):
            assert self.opened

    with pytest.raises(RuntimeError, match="a hook that fails") as caught:  # not the AttributeError of Later
        trainer_of(regressor(), callbacks=[failing("on_fit_start"), Later()]).fit(X, T)
    assert not hasattr(caught.value, "__notes__") and caught.value.__context__ is None

    ends = [failing("on_fit_end", "one"), failing("on_fit_end", "two"), Later()]
    with pytest.raises(RuntimeError, match="a hook that fails") as caught:
        trainer_of(regressor(), callbacks=[*ends, failing("on_step_end")]).fit(X, T)
    notes = [f"Then on_fit_end of Note failed as well, RuntimeError: {words}" for words in ("one", "two")]
    assert caught.value.__notes__ == notes
    with pytest.raises(RuntimeError, match="one") as caught:
        trainer_of(regressor(), callbacks=ends).fit(X, T)
    assert caught.value.__notes__ == notes[1:]


# -- Ctrl-C ---------------------------------------------------------------------------------------


def press(trainer=None):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("hook", ["on_fit_start", "on_epoch_start", "on_grads_ready", "on_step_end", "on_epoch_end"])
def test_ctrl_c_ends_after_the_update_under_way(hook):
    handler = signal.getsignal(signal.SIGINT)
    net, other = regressor(), regressor()
    saw = Note(**{hook: press}, on_fit_end=lambda trainer: trainer.stop_reason)
    trainer = trainer_of(net, callbacks=[saw])
    history = trainer.fit(X, T, epochs=3, validation=(X, T))
    steps = {"on_fit_start": 0, "on_epoch_start": 0, "on_grads_ready": 1, "on_step_end": 1, "on_epoch_end": 2}[hook]
    assert trainer.step == steps and signal.getsignal(signal.SIGINT) is handler
    assert history.reason == saw.seen[-1] == "interrupted by Ctrl-C"
    assert len(history["valid_loss"]) == min(steps, 1)  # figures of the epoch that was begun
    if steps:
        trainer_of(other).fit(X, T, steps=steps)
        assert same(values(net), values(other))


def test_a_second_one_interrupts_at_once():
    handler = signal.getsignal(signal.SIGINT)
    before = Note(on_grads_ready=press)
    twice = Note(on_grads_ready=press, on_fit_end=lambda trainer: "end")
    trainer = trainer_of(regressor(), callbacks=[before, twice])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, T)
    assert trainer.step == 0 and twice.seen == ["end"] and trainer.history.reason == "interrupted by Ctrl-C"
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_handler_of_ones_own_comes_back_and_one_that_ignores_stays():
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
    try:
        trainer = trainer_of(regressor(), callbacks=[Note(on_step_end=press)])
        assert trainer.fit(X, T).reason == "interrupted by Ctrl-C" and not pressed
        press()
        assert pressed == [1]
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and the background of a shell have it
        assert trainer.fit(X, T).reason is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_stops_this_trainer_stays():
    class Handler:
        def __init__(self, trainer):
            self.stops, self.training, self.seen = trainer, False, []

        def __call__(self, *_):
            self.seen.append(self.training)
            self.stops.interrupted = "by the handler"

    trainer = trainer_of(regressor(), callbacks=[Note(on_step_end=press, on_fit_end=press)])
    handler = Handler(trainer)
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert trainer.fit(X, T).reason == "by the handler"
        assert handler.seen == [True, False]  # when callbacks bring in order what is theirs, it runs no more
        other = trainer_of(regressor(), callbacks=[Note(on_step_end=press)])
        assert other.fit(X, T).reason == "interrupted by Ctrl-C" and len(handler.seen) == 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_it_trains_without_a_handler():
    net = regressor()
    thread = threading.Thread(target=trainer_of(net).fit, args=(X, T))
    thread.start()
    thread.join()
    other = regressor()
    trainer_of(other).fit(X, T)
    assert same(values(net), values(other))


PROGRAM = """
import itertools, numpy as np, sys
from minidl import *

class Tell(Callback):
    def on_step_end(self, trainer):
        if trainer.step == 3:
            print("running", flush=True)

batch = Batch(np.ones((4, 3)), np.ones(4))
trainer = Trainer(Dense(1), MeanSquaredError(), callbacks=[Tell()], quiet=True)
history = trainer.fit(itertools.repeat(batch))
print(history.reason, len(history), trainer.step >= 3, np.isfinite(history["loss"][0]))
"""


def test_ctrl_c_in_a_program_of_its_own():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert out == "interrupted by Ctrl-C 1 True True\n" and not err and process.returncode == 0
