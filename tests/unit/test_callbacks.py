"""The callbacks: what each does to a run, what it puts into the row, and what it says when it cannot."""

import csv
import io
import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from minidl.models import char_lm

import minidl
from minidl import (
    SGD,
    AdaptiveClip,
    ArgumentError,
    Batch,
    Callback,
    CharVocab,
    Checkpoint,
    ClipNorm,
    ClipValue,
    Console,
    CrossEntropy,
    CSVLog,
    Dense,
    EarlyStopping,
    JSONLog,
    MeanSquaredError,
    NanGuard,
    NonFiniteError,
    ReduceLROnPlateau,
    SampleText,
    SaveBest,
    Sequential,
    SumOverTime,
    TextStream,
    Trainer,
    UnknownNameError,
    accuracy,
    generate_text,
    load,
)
from minidl.callbacks.stopping import Watching
from minidl.doctor import BlackBox
from tests.conformance.cases import public

X = np.random.default_rng(0).standard_normal((12, 3))
T = X.sum(axis=1)
TEXT = "the cat sat on the mat. " * 10
VOCAB = CharVocab.of(TEXT)


def net_of():
    net = Sequential([Dense(4), Dense(1)])
    net.build((3,), seed=1, dtype=np.float64)
    return net


def trainer_of(*callbacks, net=None, lr=0.1, **options):
    return Trainer(net or net_of(), MeanSquaredError(), SGD(lr), list(callbacks), quiet=True, **options)


def values(net):
    return {name: p.value.copy() for name, p in net.params.items()}


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


class Script(Callback):
    """Figures of a row as they are given, an epoch after the other."""

    def __init__(self, figure, script):
        self.figure, self.script, self.writes = figure, list(script), (figure,)

    def on_epoch_end(self, trainer):
        trainer.row[self.figure] = self.script[trainer.epoch - 1]


class Gradients(Callback):
    """Gradients as they are given, a step after the other: {name: the value of all entries}."""

    def __init__(self, *script):
        self.script = script

    def on_grads_ready(self, trainer):
        for name, p in trainer.params.items():
            p.grad[...] = self.script[trainer.step].get(name, 0.0)


# -- every callback -------------------------------------------------------------------------------

CASES = {
    "Callback": lambda path: Callback(),
    "AdaptiveClip": lambda path: AdaptiveClip(50),
    "Checkpoint": lambda path: Checkpoint(path / "run", every=3),
    "ClipNorm": lambda path: ClipNorm(0.1),
    "ClipValue": lambda path: ClipValue(0.1),
    "Console": lambda path: Console(file=io.StringIO()),
    "CSVLog": lambda path: CSVLog(path / "log.csv"),
    "Doctor": lambda path: minidl.Doctor(path / "box", quiet=True),
    "EarlyStopping": lambda path: EarlyStopping(),
    "JSONLog": lambda path: JSONLog(path / "log.jsonl"),
    "NanGuard": lambda path: NanGuard(),
    "ReduceLROnPlateau": lambda path: ReduceLROnPlateau(),
    "Rollback": lambda path: minidl.Rollback(folder=path / "box"),
    "SampleText": lambda path: SampleText(VOCAB, "the "),
    "SaveBest": lambda path: SaveBest(path / "best.npz"),
    "SumOverTime": lambda path: SumOverTime(),
    "TimeBudget": lambda path: minidl.TimeBudget(1, clock=lambda: 0.0),
}


def test_every_public_callback_has_a_case():
    lazy = {name for name in ("Console", "Doctor", "Rollback") if issubclass(getattr(minidl, name), Callback)}
    assert set(CASES) == public(Callback) | lazy
    assert set(minidl.callbacks.__all__) | {"Doctor", "Rollback"} == set(CASES)


def test_a_black_box_runs_through_two_calls_of_fit(tmp_path):
    plain, boxed = (language_run(callback) for callback in (Callback(), BlackBox(tmp_path / "box")))
    assert same(plain[0], boxed[0]) and plain[1] == boxed[1]


def language_run(callback, fits=2):
    """A training of a language model, for SampleText wants one: the weights and the losses of some calls of fit."""
    ids = VOCAB.encode(TEXT)
    net = char_lm(len(VOCAB), 6)
    trainer = Trainer(net, CrossEntropy(), SGD(0.1), [callback], quiet=True)
    history = trainer.fit(TextStream(ids, 2, 30), epochs=2)
    if fits == 2:  # with an epoch cut short, and another figure to watch
        trainer.fit(TextStream(ids, 2, 30), epochs=2, steps=6, validation=TextStream(ids, 1, 50))
        history = trainer.history
        assert history["epoch"] == [1, 2, 3, 4] and history["step"] == [4, 8, 12, 14] and history.reason is None
    return values(net), history["loss"]


@pytest.mark.parametrize("name", CASES)
def test_every_callback_runs_through_two_calls_of_fit(name, tmp_path):
    """Twice the same run, and with a second trainer once more: nothing of the first one is left in a callback."""
    runs = []
    for place in "one", "other":
        (tmp_path / place).mkdir()
        callback = CASES[name](tmp_path / place)
        runs.append(language_run(callback))
        if name == "Checkpoint":  # its folder belongs to one training
            with pytest.raises(ArgumentError, match="holds the checkpoints of a training"):
                language_run(callback)
            continue
        runs.append(language_run(callback))
    assert all(same(run[0], runs[0][0]) and run[1] == runs[0][1] for run in runs)
    for place in "one", "other":
        files = [path for path in (tmp_path / place).iterdir() if path.suffix not in (".npz", "")]
        lines = [len(path.read_text().splitlines()) for path in files]
        assert lines == [4 + (name == "CSVLog")] * len(files)  # of the second trainer alone


# -- clipping -------------------------------------------------------------------------------------


def clipped(callback, *script):
    """The row after one epoch with these gradients, and the gradients after the last clipping."""
    trainer = trainer_of(Gradients(*script), callback, lr=1e-12)
    trainer.fit([Batch(X, T)] * len(script))
    return trainer.row, {name: p.grad.copy() for name, p in trainer.net.params.items()}


def test_clip_norm_counts_and_names():
    clip = ClipNorm(2.0)
    row, grads = clipped(clip, {"dense.b": 0.5}, {"dense.b": 3.0, "dense_2.b": 8.0})  # norms 1 and 10: dense.b has 4
    assert row["norm"] == pytest.approx((1 + 10) / 2) and row["norm_after"] == pytest.approx((1 + 2) / 2)
    assert row["clipped"] == 0.5 and row["dominant"] == "dense.b"
    np.testing.assert_allclose(grads["dense.b"], 0.6, rtol=1e-12)
    np.testing.assert_allclose(grads["dense_2.b"], 1.6, rtol=1e-12)
    assert (clip.before, clip.after) == (pytest.approx(10), pytest.approx(2))


def test_sum_over_time_is_the_gradient_of_the_sum():
    rng = np.random.default_rng(0)
    batch = minidl.Batch(rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 7, 1)))
    ends = []
    for callbacks, lr in ([SumOverTime()], 0.1), ([], 0.7):
        trainer = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), minidl.SGD(lr), callbacks, quiet=True)
        trainer.fit([batch], epochs=3)
        ends.append(trainer.params["W"].value)
    np.testing.assert_allclose(*ends, rtol=1e-5)


@pytest.mark.parametrize("how", ["lengths", "mask", "weight", "no steps"])
def test_sum_over_time_wants_one_length(how):
    x, t = np.ones((4, 7, 2), np.float32), np.ones((4, 7, 1), np.float32)
    batch = minidl.Batch(x, t)
    if how == "mask":
        batch = minidl.Batch(x, t, mask=np.ones((4, 7), bool))
    elif how == "weight":
        batch = minidl.Batch(x, t, weight=np.ones((4, 7)))
    elif how == "no steps":
        batch = minidl.Batch(x[:, 0], [1, 1, 1, 1])
    batches = [batch, minidl.Batch(x[:, :3], t[:, :3])] if how == "lengths" else [batch]
    trainer = Trainer(
        minidl.Dense(1),
        minidl.MeanSquaredError(),
        minidl.SGD(0.1),
        [SumOverTime()],
        accumulate=len(batches),
        quiet=True,
    )
    with pytest.raises(minidl.ArgumentError, match="one length"):
        trainer.fit(batches)


def test_clip_norm_of_each_parameter():
    row, grads = clipped(ClipNorm(2.0, per_parameter=True), {"dense.b": 0.5, "dense_2.b": 8.0})
    np.testing.assert_allclose(grads["dense.b"], 0.5)
    np.testing.assert_allclose(grads["dense_2.b"], 2.0)
    assert row["norm"] == pytest.approx(math.sqrt(65)) and row["norm_after"] == pytest.approx(math.sqrt(5))
    assert row["clipped"] == 1.0 and row["dominant"] == "dense_2.b"


def test_clip_value():
    row, grads = clipped(ClipValue(2.0), {"dense.b": -3.0, "dense_2.b": 1.0}, {"dense.b": 1.5})
    np.testing.assert_allclose(grads["dense.b"], 1.5)  # the norm is 3, but no entry is above 2
    assert row["clipped"] == 0.5 and row["norm"] == pytest.approx((math.sqrt(37) + 3) / 2)
    assert row["norm_after"] == pytest.approx((math.sqrt(17) + 3) / 2)
    _, grads = clipped(ClipValue(2.0), {"dense.b": -3.0, "dense_2.b": 1.0})
    np.testing.assert_allclose(grads["dense.b"], -2.0)
    np.testing.assert_allclose(grads["dense_2.b"], 1.0)


def test_adaptive_clip_follows_the_norms():
    clip = AdaptiveClip(50, history=3)
    row, grads = clipped(clip, *({"dense_2.b": norm} for norm in (1.0, 3.0, 2.0, 100.0, 200.0)))
    # medians of the last three: 1, 2, 2, 3, 100
    assert clip.threshold == 100 and list(clip.norms) == [2, 100, 200]
    assert grads["dense_2.b"] == pytest.approx(100) and row["clipped"] == 3 / 5
    assert row["norm_after"] == pytest.approx((1 + 2 + 2 + 3 + 100) / 5)


def test_each_epoch_counts_anew():
    trainer = trainer_of(Gradients(*({"dense.b": value} for value in (9.0, 0.1))), ClipNorm(1.0), lr=1e-12)
    history = trainer.fit([Batch(X, T)], epochs=2)
    assert history["clipped"] == [1.0, 0.0] and history["norm"] == pytest.approx([18.0, 0.2])


def test_huge_gradients_in_float32_are_clipped_right():
    net = Dense(1)
    net.build((3,))
    trainer = trainer_of(Gradients({"W": 1e20, "b": 1e20}), ClipNorm(1.0), net=net)
    trainer.fit([Batch(X, T)])
    np.testing.assert_allclose(net.W.grad, 0.5, rtol=1e-6)
    assert trainer.row["norm"] == pytest.approx(2e20) and trainer.row["norm_after"] == pytest.approx(1, rel=1e-6)


def test_frozen_parameters_have_no_part_in_it():
    net = net_of()
    net[0].freeze()
    trainer = trainer_of(Gradients({"dense.b": 100.0, "dense_2.b": 3.0}), ClipNorm(5.0), net=net)
    trainer.fit([Batch(X, T)])
    assert trainer.row["norm"] == 3.0 and trainer.row["clipped"] == 0 and trainer.row["dominant"] == "dense_2.b"


@pytest.mark.parametrize("clip", [ClipNorm(1.0), ClipNorm(1.0, per_parameter=True), ClipValue(1.0), AdaptiveClip()])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_named(clip, bad):
    net = net_of()
    before = values(net)
    with pytest.raises(NonFiniteError, match=r"The gradient of 'dense_2\.W' must be finite"):
        trainer_of(Gradients({"dense_2.W": bad}), clip, net=net).fit(X, T)
    assert same(values(net), before)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ClipNorm(0), "ClipNorm expects max_norm to be a positive number, got 0"),
        (lambda: ClipValue(-6.0), "ClipValue expects limit to be a positive number, got -6.0"),
        (lambda: AdaptiveClip(0), "AdaptiveClip expects percentile to be a positive number, got 0"),
        (lambda: AdaptiveClip(101), "AdaptiveClip expects percentile to be at most 100, got 101"),
        (lambda: AdaptiveClip(history=0), "AdaptiveClip expects history to be a positive integer, got 0"),
        (lambda: EarlyStopping(0), "EarlyStopping expects patience to be a positive integer, got 0"),
        (lambda: EarlyStopping(min_delta=-1), "EarlyStopping expects min_delta to be a number of at least 0"),
        (lambda: ReduceLROnPlateau(factor=1.0), "ReduceLROnPlateau expects factor"),
        (lambda: SampleText(VOCAB, "the", 0), "SampleText expects length to be a positive integer, got 0"),
    ],
)
def test_arguments_that_cannot_be(make, words):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert words in str(caught.value)


# -- NanGuard -------------------------------------------------------------------------------------


def test_the_guard_stops_at_a_gradient_and_leaves_the_parameters_alone():
    net = net_of()
    weights = []
    watch = Callback()
    watch.on_step_end = lambda trainer: weights.append(values(net))
    script = {"dense.b": 0.1}, {"dense.b": 0.2, "dense_2.W": math.nan}, {}
    history = trainer_of(Gradients(*script), NanGuard(), ClipNorm(1.0), watch, net=net).fit([Batch(X, T)] * 3, epochs=2)
    assert history.reason.startswith("step 2: The gradient of 'dense_2.W' must be finite, got 4 nan among")
    assert len(weights) == 1 and same(values(net), weights[0]) and history["step"] == [1]


def test_the_guard_stops_at_a_loss():
    net = net_of()
    before = values(net)
    with np.errstate(invalid="ignore"):
        history = trainer_of(NanGuard(), ClipNorm(1.0), net=net).fit(np.where(X > 1, np.nan, X), T)
    told = r"the loss is nan at step 1: no update was made from it \(N701, the data, x, row \d+, feature \d: x\[.+\)"
    assert re.fullmatch(told, history.reason)
    assert same(values(net), before) and math.isnan(history["loss"][0])


def test_the_guard_stops_at_a_parameter():
    trainer = trainer_of(Gradients({"dense.b": 1e300}), NanGuard(), lr=1e300)
    with np.errstate(over="ignore"):
        history = trainer.fit([Batch(X, T)])
    place = "N703, parameter 'dense.b', entry [0]: dense.b[0] is -inf (4 of 4 entries are not finite)"
    assert history.reason == f"the parameter 'dense.b' is not finite after the update of step 1 ({place})"


@pytest.mark.parametrize("dropped", [False, True])
def test_the_guard_says_where_with_the_state_and_the_dropout_of_the_step(dropped):
    """h is 1e20 times the h before it, so it is carried over four batches before it is too large for float32."""
    layers = [minidl.Dropout(0.5)] if dropped else []
    net = Sequential([*layers, minidl.SimpleRNN(3, activation=minidl.ReLU(), return_sequences=True)])
    net.build((None, 1))
    for p in net.params.values():
        p.value[...] = 0
    net["simple_rnn"].Wh.value[1, 1] = 1e20
    net["simple_rnn"].Wx.value[0, 1] = 1e-30
    batches = [Batch(np.ones((8, 1, 1), np.float32), np.zeros((8, 1, 3)), start=k == 0) for k in range(6)]
    trainer = Trainer(net, MeanSquaredError(), SGD(1e-45), [NanGuard()], quiet=True)
    with np.errstate(all="ignore"):
        history = trainer.fit(batches)
    first = np.random.default_rng((0, 0))  # the Generator of the first batch
    kept = minidl.Dropout(0.5 * dropped).forward(np.ones((8, 1, 1)), rng=first)[0].any(axis=(1, 2))
    assert (
        trainer.step == 3 and f"(N702, MeanSquaredError, row {kept.argmax()}, step 0: the loss is inf" in history.reason
    )


def test_a_guard_that_cannot_look_stops_all_the_same():
    class Fixed(minidl.Layer):
        def forward(self, x, *, rng=None):
            return x * np.nan, None

        def backward(self, dy, cache):
            return dy

        def copy(self, dtype=None):
            raise RuntimeError("there is one of me")

    history = Trainer(Fixed(), MeanSquaredError(), SGD(0.1), [NanGuard()], quiet=True).fit([Batch(X, X)])
    assert history.reason.endswith(
        "no update was made from it (where it was born could not be found: there is one of me)"
    )


def test_the_guard_sees_every_batch_of_an_accumulated_group():
    """Also of one in the middle: neither the last loss nor the gradients show it."""

    class Nan(MeanSquaredError):
        def __call__(self, y, t, weight=None, mask=None):
            value, dy, counted = super().__call__(y, t, weight, mask)
            return (np.nan if len(t) == 5 else value), dy, counted

    net = net_of()
    before = values(net)
    trainer = Trainer(net, Nan(), SGD(0.1), [NanGuard()], accumulate=3, quiet=True)
    history = trainer.fit([Batch(X, T), Batch(X[:5], T[:5]), Batch(X, T)])
    assert history.reason == "the loss is nan at step 1: no update was made from it" and same(values(net), before)


def test_the_guard_lets_a_sound_training_pass():
    one, other = net_of(), net_of()
    trainer_of(NanGuard(), net=one).fit(X, T)
    trainer_of(net=other).fit(X, T)
    assert same(values(one), values(other))


# -- Watch, EarlyStopping, ReduceLROnPlateau, SaveBest --------------------------------------------


def test_watching():
    def found(callback, figures, name="f"):
        callback.choose(SimpleNamespace(active=[Script(name, [])], metrics=[], validation=None))
        rows = ({name: f} for f in figures)
        return [callback.improves(SimpleNamespace(row=row, epoch=k, params={})) for k, row in enumerate(rows, 1)]

    watch = Watching("f", 0.1, False)
    assert found(watch, (5.0, 4.0, 3.95, math.nan, 3.8, -math.inf)) == [True, True, False, False, True, True]
    assert watch.best_epoch == 6
    assert found(Watching("f", 0.0, True), (0.5, 0.4, 0.5, 0.6)) == [True, False, False, True]


def test_weights_with_a_nan_are_never_the_best(tmp_path):
    class Spoil(Callback):
        def on_epoch_end(self, trainer):
            if trainer.epoch == 2:
                trainer.params["dense.W"].value[0, 0] = math.nan

    stopper, path = EarlyStopping(9, "score", higher_is_better=True), tmp_path / "best.npz"
    callbacks = [Spoil(), Script("score", [1.0, 2.0, 3.0]), stopper, SaveBest(path, "score", higher_is_better=True)]
    with np.errstate(all="ignore"):
        trainer = trainer_of(*callbacks)
        trainer.fit(X, T, epochs=3)
    assert stopper.best_epoch == 1 and all(np.isfinite(value).all() for value in values(trainer.net).values())
    assert same(values(load(path)), {name: value.astype(np.float64) for name, value in stopper.weights.items()})


def test_another_figure_is_another_story():
    """Losses of training and of validation cannot be compared."""
    net, stopper = net_of(), EarlyStopping(2)
    trainer = trainer_of(Script("loss", [0.0, 9.0, 8.0]), stopper, net=net)
    trainer.fit(X, T)
    first = values(net)
    trainer.callbacks.insert(1, Script("valid_loss", [None, 5.0, math.nan]))
    trainer.fit(X, T)
    assert (stopper.best, stopper.best_epoch, stopper.epochs_since) == (5.0, 2, 0) and not same(values(net), first)
    del trainer.callbacks[1]
    trainer.fit(X, T)
    assert (stopper.best, stopper.best_epoch) == (8.0, 3)


@pytest.mark.parametrize("figures", [[9.0, 9.0], [math.nan, math.nan]])
def test_weights_never_come_back_into_another_net(figures):
    stopper, one, other = EarlyStopping(5, "f", higher_is_better=False), net_of(), net_of()
    trainer_of(Script("f", [1.0, 2.0]), stopper, net=one).fit(X, T, epochs=2)
    kept, weights = values(one), []
    note = Callback()
    note.on_epoch_end = lambda trainer: weights.append(values(other))
    trainer_of(Script("f", figures), note, stopper, net=other, lr=0.01).fit(X, T, epochs=2)
    assert same(values(other), weights[1 if math.isnan(figures[0]) else 0]) and same(values(one), kept)
    with pytest.raises(RuntimeError):  # nor when that training ends before its first epoch
        trainer_of(Script("f", []), Fails("on_epoch_start"), stopper, net=(third := net_of())).fit(X, T)
    assert same(values(third), values(net_of()))


class Fails(Callback):
    """Raise an error in a hook."""

    def __init__(self, hook):
        def fail(trainer):
            raise RuntimeError(f"failed in {hook}")

        setattr(self, hook, fail)


def test_the_rate_and_the_file_of_another_trainer_begin_anew(tmp_path):
    plateau = ReduceLROnPlateau(0.5, 2, "f", higher_is_better=False)
    saver = SaveBest(tmp_path / "best.npz", "f", higher_is_better=False)
    trainer_of(Script("f", [1.0, 1.0]), plateau, saver).fit(X, T, epochs=2)
    other = trainer_of(Script("f", [5.0, 5.0, 5.0]), plateau, saver, net=(net := net_of()), lr=0.01)
    other.fit(X, T)
    assert other.optimizer.lr_scale == 1.0 and same(values(load(tmp_path / "best.npz")), values(net))
    other.fit(X, T, epochs=2)  # the same trainer goes on
    assert other.optimizer.lr_scale == 0.5 and not same(values(load(tmp_path / "best.npz")), values(net))


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, lambda figure: SaveBest("never.npz", figure)])
def test_a_figure_that_is_not_there(make):
    callback = make(figure="valid_loss")
    with pytest.raises(UnknownNameError) as caught:
        trainer_of(callback).fit(X, T)
    name = type(callback).__name__
    assert str(caught.value).startswith(f"{name} monitors 'valid_loss', which no epoch will have: there are epoch,")
    assert "Pass validation data to fit." in str(caught.value)


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, lambda **o: SaveBest("never.npz", **o),
                                  lambda figure, **o: minidl.Checkpoint("never", best=figure, **o)])  # fmt: skip
def test_the_direction_is_read_from_the_metric(make, tmp_path, monkeypatch):
    def odd(y, t, weight=None, mask=None):
        return 0.0, 1.0

    def fit(callback, *metrics):
        steps = []
        count = Callback()
        count.on_step_end = lambda trainer: steps.append(1)
        try:
            trainer_of(count, callback, metrics=metrics).fit(X, T, validation=(X, T))
        finally:
            assert bool(steps) == (callback in good)
        return callback

    monkeypatch.chdir(tmp_path)
    good = []
    for wrong in "val_loss", "vaild_loss", "valid_los":
        with pytest.raises(UnknownNameError, match="did you mean 'valid_loss'"):
            fit(make(figure=wrong))
    with pytest.raises(ArgumentError, match=r"'valid_odd', whose better direction is not known. Pass higher_is_better"):
        fit(make(figure="valid_odd"), odd)
    odd.higher_is_better = True
    with pytest.raises(ArgumentError, match=r"higher_is_better=False, but 'valid_odd' is better when it is higher"):
        fit(make(figure="valid_odd", higher_is_better=False), odd)
    with pytest.raises(ArgumentError, match=r"higher_is_better=True, but 'loss' is better when it is lower"):
        fit(make(figure="loss", higher_is_better=True))
    good.append(make(figure="valid_odd"))
    fit(good[0], odd)


def test_the_best_accuracy_is_kept():
    net, weights = net_of(), []
    note = Callback()
    note.on_epoch_end = lambda trainer: weights.append(values(net))

    def scripted(y, t, weight=None, mask=None):
        return [0.5, 0.9, 0.7][len(weights)], 1.0

    scripted.higher_is_better = True
    stopper = EarlyStopping(5, "valid_scripted")
    trainer_of(note, stopper, net=net, metrics=[scripted]).fit(X, T, epochs=3, validation=(X, T))
    assert same(values(net), weights[1]) and stopper.best == -0.9


def test_a_key_of_a_callback_behind_is_refused():
    with pytest.raises(UnknownNameError, match="comes first in the list"):
        trainer_of(EarlyStopping(figure="f", higher_is_better=True), Script("f", [1.0])).fit(X, T)
    with pytest.raises(ArgumentError, match="higher_is_better must be True, False or None, got 'max'"):
        EarlyStopping(figure="f", higher_is_better="max")


def early(script, **options):
    """A training with these figures: the reason, the epoch of the weights that it ends with, and the epochs."""
    net, weights = net_of(), []
    stopper = EarlyStopping(figure="figure", **{"higher_is_better": False, **options})
    note = Callback()
    note.on_epoch_end = lambda trainer: weights.append(values(net))
    history = trainer_of(Script("figure", script), note, stopper, net=net).fit(X, T, epochs=len(script))
    found = [k for k, w in enumerate(weights, 1) if same(w, values(net))]
    return history.reason, found, len(history)


def test_early_stopping_brings_the_best_weights_back():
    script = [3.0, 2.0, 2.5, 2.4, 2.3, 1.0]
    assert early(script, patience=3) == ("no improvement for 3 epochs, the best was epoch 2", [2], 5)
    assert early(script, patience=3, restore_best=False)[1:] == ([5], 5)
    assert early([0.1, 0.3, 0.2, 0.3], patience=1, higher_is_better=True)[1:] == ([2], 3)
    assert early([3.0, 2.95, 2.9, 2.7], patience=2, min_delta=0.2)[1:] == ([1], 3)
    assert early([math.nan, 5.0, math.nan, math.nan], patience=2)[1:] == ([2], 4)
    assert early([math.nan] * 5, patience=1) == ("no improvement for 1 epoch, none had a finite figure", [1], 1)
    assert early([3.0, 1.0, 2.0], patience=5) == (None, [2], 3)  # also when the training ends otherwise


def test_early_stopping_has_the_whole_patience_in_the_next_fit():
    trainer = trainer_of(
        Script("figure", [1.0, 2.0, 2.0, 2.0, 2.0, 2.0]), EarlyStopping(2, "figure", higher_is_better=False)
    )
    assert len(trainer.fit(X, T, epochs=9)) == 3
    assert len(trainer.fit(X, T, epochs=9)) == 2
    assert "the best was epoch 1" in trainer.history.reason


def test_early_stopping_brings_them_back_after_an_error():
    net = net_of()
    best = []
    fails = Callback()

    def on_epoch_end(trainer):
        best.append(values(net))
        if trainer.epoch == 2:
            raise RuntimeError("in the second epoch")

    fails.on_epoch_end = on_epoch_end
    with pytest.raises(RuntimeError, match="in the second epoch"):
        trainer_of(EarlyStopping(), fails, net=net, lr=0.05).fit(X, T, epochs=2, validation=(X, T))
    assert same(values(net), best[-1])  # the second epoch was better, and EarlyStopping stands before what failed


def test_the_rate_is_reduced_on_a_plateau():
    script = [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0]
    trainer = trainer_of(
        Script("f", script), ReduceLROnPlateau(0.1, 2, "f", higher_is_better=False, min_scale=0.02), lr=0.1
    )
    history = trainer.fit(X, T, epochs=8)
    assert history["rate"] == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.002, 0.002])
    assert trainer.optimizer.lr == 0.1 and trainer.optimizer.lr_scale == 0.02


def test_a_scale_below_the_least_is_not_raised():
    trainer = trainer_of(
        Script("f", [1.0, 1.0, 1.0]), ReduceLROnPlateau(0.5, 1, "f", higher_is_better=False, min_scale=0.1)
    )
    trainer.optimizer.lr_scale = 0.01
    trainer.fit(X, T, epochs=3)
    assert trainer.optimizer.lr_scale == 0.01


def test_the_best_is_on_disk(tmp_path):
    path, weights = tmp_path / "best.npz", []
    net = net_of()
    note = Callback()
    note.on_epoch_end = lambda trainer: weights.append(values(net))
    script = Script("valid_accuracy", [0.5, 0.9, 0.7])
    saver = SaveBest(path, "valid_accuracy", higher_is_better=True)
    trainer_of(script, note, saver, net=net).fit(X, T, epochs=3)
    assert same(values(load(path)), weights[1])


# -- logs -----------------------------------------------------------------------------------------


def test_a_csv_log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("what was there before")
    trainer = trainer_of(ClipNorm(1.0), Script("note", ['a "quoted", \n line', "é", math.nan]), CSVLog(path))
    trainer.fit(X, T, epochs=2)
    trainer.fit(X, T, validation=(X, T))  # appends; a new column comes too late
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "epoch", "loss", "step", "rate", "seconds", "targets_per_second", "norm", "norm_after", "clipped", "dominant",
        "note",
    ]  # fmt: skip
    assert [float(row["loss"]) for row in rows] == trainer.history["loss"]
    assert [row["note"] for row in rows] == ['a "quoted", \n line', "é", "nan"]


@pytest.mark.parametrize("kind", ["path", "str", "stream"])
def test_a_json_log(tmp_path, kind):
    path, stream = tmp_path / "log.jsonl", io.StringIO()
    path.write_text("what was there before")
    log = JSONLog({"path": path, "str": str(path), "stream": stream}[kind])
    odd = Script("odd", [np.float32(0.5), math.inf, "日本"])
    deep = Script("deep", [np.array([[1.0, np.nan]]), {"a": (np.inf, np.arange(2))}, np.array(2)])
    trainer = trainer_of(odd, Script("bad", [math.nan, np.float32(np.nan), np.int64(3)]), deep, log)
    trainer.fit(X, T, epochs=2)
    trainer.fit(X, T, validation=(X, T))
    text = stream.getvalue() if kind == "stream" else path.read_text(encoding="utf-8")

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    rows = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    assert [row["loss"] for row in rows] == trainer.history["loss"] and "日本" in text
    assert [row["odd"] for row in rows] == [0.5, None, "日本"]
    assert [row["bad"] for row in rows] == [None, None, 3] and "valid_loss" in rows[2]
    assert [row["deep"] for row in rows] == [[[1.0, None]], {"a": [None, [0, 1]]}, 2]


@pytest.mark.parametrize("write", [CSVLog, JSONLog, SaveBest])
def test_a_file_that_cannot_be_written_is_found_before_the_training(write, tmp_path):
    for path, kind in (tmp_path / "missing" / "log", FileNotFoundError), (tmp_path, IsADirectoryError):
        trainer = trainer_of(write(path))
        with pytest.raises(kind) as caught:
            trainer.fit(X, T)
        assert trainer.step == 0 and str(tmp_path) in str(caught.value)


def test_the_check_of_the_best_leaves_what_is_there(tmp_path):
    (tmp_path / "best.npz").write_bytes(b"precious")
    trainer = trainer_of(SaveBest(tmp_path / "best.npz"), Fails("on_epoch_start"))
    with pytest.raises(RuntimeError):
        trainer.fit(X, T)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("best.npz", b"precious")]


def test_the_order_of_the_list_decides_what_a_log_sees(tmp_path):
    before, after = JSONLog(tmp_path / "before"), JSONLog(tmp_path / "after")
    trainer_of(before, ClipNorm(1.0), after).fit(X, T)
    assert "norm" not in json.loads((tmp_path / "before").read_text())
    assert "norm" in json.loads((tmp_path / "after").read_text())


# -- SampleText -----------------------------------------------------------------------------------


def language_trainer(*callbacks, **options):
    net = char_lm(len(VOCAB), 6)
    net.build((None,))
    return Trainer(net, CrossEntropy(), SGD(0.1), list(callbacks), quiet=True, metrics=[accuracy], **options)


def test_a_sample_is_what_the_net_goes_on_with():
    trainer = language_trainer(SampleText(VOCAB, "the cat", 20, temperature=0.5, seed=3))
    stream = TextStream(VOCAB.encode(TEXT), 2, 30)
    history = trainer.fit(stream, epochs=2)
    expected = "".join(generate_text(trainer.net, VOCAB, "the cat", 20, temperature=0.5, seed=3))
    assert history["sample"][1] == expected and [len(sample) for sample in history["sample"]] == [20, 20]


@pytest.mark.parametrize(
    ("prompt", "vocab", "words"),
    [
        ("", VOCAB, "a prompt of at least one symbol"),
        ("the dog", VOCAB, "symbols, got 'd'"),
        ("abc", CharVocab.of("abc"), "expects the vocabulary that the net was trained with"),
    ],
)
def test_a_prompt_that_will_not_do_is_found_before_the_training(prompt, vocab, words):
    trainer = language_trainer(SampleText(vocab, prompt))
    with pytest.raises(ArgumentError) as caught:
        trainer.fit(TextStream(VOCAB.encode(TEXT), 2, 30))
    assert words in str(caught.value) and trainer.step == 0


def test_a_net_that_went_wrong_is_stopped_by_the_guard_not_by_its_sample():
    class Spoil(Callback):
        def on_step_end(self, trainer):
            trainer.params["dense.b"].value[...] = np.nan

    sample = SampleText(VOCAB, "the ")
    trainer = language_trainer(Spoil(), NanGuard(), sample)
    history = trainer.fit(TextStream(VOCAB.encode(TEXT), 2, 30))
    assert history.reason.startswith("the parameter 'dense.b' is not finite after the update of step 1 (N703, ")
    assert history["sample"] == [""]


def test_history():
    history = minidl.History()
    assert len(history) == 0 and history["loss"] == [] and repr(history) == "History(0 epochs, last None)"
    history.rows += [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "valid_loss": 1.0}]
    assert history["valid_loss"] == [None, 1.0] and len(history) == 2 and history.reason is None
    assert repr(history) == "History(2 epochs, last {'epoch': 2, 'loss': 0.25, 'valid_loss': 1.0})"
