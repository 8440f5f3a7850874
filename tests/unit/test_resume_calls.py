"""Several calls of `fit`, by one trainer or by many: which one a checkpoint is of, and what may change in between."""

import contextlib
import functools
import signal

import numpy as np
import pytest

import minidl
from minidl import ArgumentError, Trainer
from minidl.fingerprints import settings
from tests.parameters import fraction
from tests.unit.test_checkpoint import IDS, Press, Stop, assert_same, data, names, skipping, training


class Fail(minidl.Callback):
    """An error in some hook, as long as it is on."""

    def __init__(self, hook):
        self.on = True
        setattr(self, hook, self.fail)

    def fail(self, trainer):
        if self.on:
            raise ZeroDivisionError


def broken(call, *args, **options):
    with pytest.raises(ZeroDivisionError):
        call(*args, **options)


def fitted(folder, *calls, callbacks=(), **options):
    """A trainer after some calls of fit, that were never broken off."""
    trainer = training(folder, callbacks, **options)
    for length in calls:
        trainer.fit(data(), **length)
    return trainer


# -- fewer and more -------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [4, 6, 0])
@pytest.mark.parametrize("length", [{"steps": 3}, {"epochs": 1}, {"epochs": 1, "steps": 3}])
def test_less_than_is_done_ends_at_once(length, stop, tmp_path):
    first = training(tmp_path, [Stop(stop)])
    with contextlib.suppress(ZeroDivisionError):
        first.fit(data(), steps=7)
    rest = training(tmp_path, [Stop(8)])
    rest.fit(data(), **length, resume=True)
    assert rest.step <= 7 and not rest.epoch_open and len(rest.history) == rest.epoch


def test_more_steps_go_on_in_a_new_epoch(tmp_path):
    fitted(tmp_path / "a", {"steps": 7})
    more = training(tmp_path / "a")
    more.fit(data(), steps=9, resume=True)
    assert_same(more, fitted(tmp_path / "b", {"steps": 7}, {"steps": 2}))


@pytest.mark.parametrize("keep", [1, 3, 5])
def test_as_many_are_kept_by_a_training_that_goes_on(keep, tmp_path):
    broken(training(tmp_path, [Stop(7)], keep=keep).fit, data(), epochs=2)
    broken(training(tmp_path, [Stop(8)], keep=keep).fit, data(), epochs=2, resume=True)
    assert names(tmp_path) == [f"checkpoint-{k:09d}.npz" for k in range(8 - keep, 8)]


# -- calls that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["on_fit_start", "on_fit_end"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_call_that_failed_does_not_count(hook, resume, tmp_path):
    """The same call again, by the same trainer and by another process."""
    failing, stop = Fail(hook), Stop(8)
    trainer = training(tmp_path / "a", [failing, stop])
    broken(trainer.fit, data(), epochs=3, resume=resume)
    failing.on = False
    with contextlib.suppress(ZeroDivisionError):
        trainer.fit(data(), epochs=3, resume=True)
    rest = training(tmp_path / "a")
    rest.fit(data(), epochs=3, resume=True)
    whole = fitted(tmp_path / "b", {"epochs": 3})
    assert_same(rest, whole)
    stop.step = 0
    trainer.fit(data(), epochs=3, resume=True)
    assert_same(trainer, whole)


@pytest.mark.parametrize("hook", ["on_fit_start", "on_fit_end"])
def test_a_call_that_failed_at_its_end_is_no_other_call(hook, tmp_path):
    if hook == "on_fit_start":
        fitted(tmp_path, {"epochs": 2})
    failing = Fail(hook)
    trainer = training(tmp_path, [failing])
    broken(trainer.fit, data(), epochs=2, resume=True)
    failing.on = False
    trainer.fit(data(), epochs=2, resume=True)
    assert (trainer.epoch, trainer.step) == (2, 10)


def test_a_call_that_was_refused_does_not_count(tmp_path):
    fitted(tmp_path, {"epochs": 1})
    trainer = training(tmp_path)
    for other in data(time=5), [1]:
        with pytest.raises(ArgumentError):
            trainer.fit(other, epochs=2, resume=True)
    trainer.fit(data(), epochs=2, resume=True)
    assert trainer.step == 10 and trainer.resumed.endswith("step 5")


def test_a_call_that_ctrl_c_ended_does_not_count(tmp_path):
    """Another one after it, and a new process that knows of one call."""
    press = Press(3)
    trainer = training(tmp_path, [press])
    trainer.fit(data(), epochs=2)
    press.step = 8
    trainer.fit(data(), epochs=2)
    rest = training(tmp_path)
    rest.fit(data(), epochs=2, resume=True)
    press.step = 0
    trainer.fit(data(), epochs=2, resume=True)
    assert rest.step == 13 and rest.epoch == 3
    assert_same(rest, trainer)


def test_a_call_that_is_done_says_so(tmp_path):
    whole, rest = fitted(tmp_path, {"epochs": 1}, {"epochs": 1}), training(tmp_path)
    with pytest.warns(UserWarning, match=r"Call 1 of fit is done already, for .*10\.npz is of call 2: it does nothing"):
        rest.fit(data(), epochs=9, resume=True)
    rest.fit(data(), epochs=1, resume=True)
    assert_same(rest, whole)


# -- the same trainer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("press", "breaks", "every"), fraction([1, 2, 0], [(6,), (8, 9), (10, 13), (7, 10, 15)], [1, 3, 1000])
)
def test_the_same_trainer_goes_on_with_a_later_call(press, breaks, every, tmp_path):
    """Broken off by an error, by Ctrl-C, and by Ctrl-C twice, with and without a checkpoint since the call began."""

    class Break(minidl.Callback):
        def on_step_end(self, trainer):
            if trainer.step == at:
                for _ in range(press):
                    signal.raise_signal(signal.SIGINT)
                if not press:
                    raise ZeroDivisionError

    def callbacks():
        return [minidl.ClipNorm(0.1), minidl.EarlyStopping(2, "loss"), Break()]

    at = 0
    trainer, whole = training(tmp_path / "a", callbacks(), every=every), training(tmp_path / "b", callbacks())
    for one in trainer, whole:
        one.fit(data(), epochs=1, resume=True)
        one.net["embedding"].freeze()
        one.optimizer.lr = 0.02
    for step in breaks:
        at = step
        with contextlib.suppress(ZeroDivisionError, KeyboardInterrupt):
            trainer.fit(data(time=9), epochs=2, resume=True)
        trainer.net["dense"].W.value[...] = 0  # whatever was done to it since
    at = 0
    trainer.fit(data(time=9), epochs=2, resume=True)
    whole.fit(data(time=9), epochs=2, resume=True)
    assert_same(trainer, whole)
    assert not trainer.net["embedding"].E.trainable and trainer.optimizer.lr == 0.02
    for one in trainer, whole:
        one.fit(data(), steps=4)
    assert_same(trainer, whole)


def test_a_first_call_without_a_checkpoint_is_not_gone_on_with(tmp_path):
    stop = Stop(3)
    trainer = training(tmp_path, [stop], every=1000)
    broken(trainer.fit, data(), epochs=2, resume=True)
    stop.step = 0
    with pytest.raises(
        ArgumentError, match=r"a checkpoint of what was broken off, but .* has none of it: make the net"
    ):
        trainer.fit(data(), epochs=2, resume=True)
    again = training(tmp_path)
    again.fit(data(), epochs=2, resume=True)
    assert again.step == 10


# -- what changes on the way ----------------------------------------------------------------------


class Change(minidl.Callback):
    """Something is set at the beginning of an epoch."""

    def __init__(self, epoch, change):
        self.epoch, self.change = epoch, change

    def on_epoch_start(self, trainer):
        if trainer.epoch == self.epoch:
            self.change(trainer)


def freeze(trainer):
    trainer.net["embedding"].freeze()


def slow_down(trainer):
    trainer.optimizer.lr = 0.001


@pytest.mark.parametrize(("ends", "change"), fraction([Stop, Press], [freeze, slow_down]))
def test_what_a_callback_sets_goes_on(ends, change, tmp_path):
    """In another process, and by the same trainer."""
    whole = fitted(tmp_path / "whole", {"epochs": 3}, callbacks=[Change(2, change)])
    for step in 7, 10, 13:
        end = ends(step)
        part = training(tmp_path / f"part {step}", [Change(2, change), end])
        with contextlib.suppress(ZeroDivisionError):
            part.fit(data(), epochs=3)
        rest = training(tmp_path / f"part {step}", [Change(2, change)])
        end.step = 0
        if step == 10:
            rest = part
        rest.fit(data(), epochs=3, resume=True)
        assert_same(rest, whole)


@pytest.mark.parametrize(
    ("every", "change"), fraction([1, 4], [freeze, slow_down])
)  # the last checkpoint knows of it, or not
def test_what_a_callback_sets_goes_on_twice(every, change, tmp_path):
    """By the same trainer, where it is set already, and then by another process, where it is not."""
    stop = Stop(7)
    part = training(tmp_path / "part", [Change(2, change), stop], every=every)
    for stop.step in 7, 13:
        broken(part.fit, data(), epochs=3, resume=True)
    rest = training(tmp_path / "part", [Change(2, change)])
    rest.fit(data(), epochs=3, resume=True)
    assert_same(rest, fitted(tmp_path / "whole", {"epochs": 3}, callbacks=[Change(2, change)]))


def test_another_rate_for_the_same_trainer_is_refused(tmp_path):
    part = training(tmp_path, [Press(7)])
    part.fit(data(), epochs=3)
    slow_down(part)
    with pytest.raises(ArgumentError, match=r"learning rate was 0\.01, is 0\.001"):
        part.fit(data(), epochs=3, resume=True)


@pytest.mark.parametrize(("epoch", "change"), fraction([2, 3], [freeze, slow_down]))
def test_what_is_set_in_a_later_call_goes_on(epoch, change, tmp_path):
    def run(folder, at=0):
        trainer = training(folder, [Change(epoch, change), Stop(at)])
        trainer.fit(data(), epochs=1, resume=True)
        trainer.fit(data(), epochs=2, resume=True)
        return trainer

    whole = run(tmp_path / "whole")
    for at in 8, 13:
        broken(skipping()(run), tmp_path / "part", at)
    with skipping():
        assert_same(run(tmp_path / "part"), whole)


def test_what_is_set_between_two_calls_goes_on(tmp_path):
    def run(folder, at=0):
        trainer = training(folder, [Stop(at)])
        trainer.fit(data(), epochs=1, resume=True)
        slow_down(trainer), freeze(trainer)
        trainer.metrics.append(minidl.accuracy)
        trainer.loss = minidl.SoftmaxCrossEntropy(ignore_index=2)
        trainer.fit(data(), epochs=2, resume=True)
        return trainer

    whole = run(tmp_path / "whole")
    for at in 8, 13:
        broken(skipping()(run), tmp_path / "part", at)
    with skipping():
        assert_same(run(tmp_path / "part"), whole)


# -- which trainings are told apart ---------------------------------------------------------------


class Falling:
    """A schedule of one's own."""

    def __init__(self, rate):
        self.rate = rate

    def __repr__(self):
        return f"Falling({self.rate})"

    def __call__(self, step):
        return self.rate

    def method(self, step):
        return self.rate


def falling(rate, step):
    return rate


@pytest.mark.parametrize("make", [Falling, lambda rate: functools.partial(falling, rate), lambda r: Falling(r).method])
def test_another_schedule_is_refused(make, tmp_path):
    assert " at 0x" not in settings(minidl.Adam(make(0.01)))
    fitted(tmp_path, {"epochs": 1}, optimizer=minidl.Adam(make(0.01)))
    with pytest.raises(ArgumentError, match=r"learning rate was .*0\.01.*, is .*0\.5"):
        training(tmp_path, optimizer=minidl.Adam(make(0.5))).fit(data(), epochs=2, resume=True)
    training(tmp_path, optimizer=minidl.Adam(make(0.01))).fit(data(), epochs=2, resume=True)


class Scale(minidl.Layer):
    """A layer of one's own whose parameters are another matter than its arguments."""

    names, ndim = ("g",), 1

    def setup(self, in_shape, rng, dtype):
        for name in self.names:
            self.add_param(name, np.ones((4,) * (self.ndim - 1) + in_shape[-1:], dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        return x, None

    def backward(self, dy, cache):
        return dy


@pytest.mark.parametrize(("other", "words"), [
    ({"names": ("g", "h")}, r"parameter scale.h was not there, is \(3,\) of float32"),
    ({"names": ()}, r"parameter scale.g was \(3,\) of float32, is not there"),
    ({"ndim": 2}, r"parameter scale.g was \(3,\) of float32, is \(4, 3\) of float32"),
])  # fmt: skip
def test_other_parameters_are_refused(other, words, tmp_path):
    def run(**changed):
        kind = type("Scale", (Scale,), changed)
        net = minidl.Sequential(
            [minidl.Embedding(5, 3), kind(), minidl.LSTM(4, return_sequences=True), minidl.Dense(5)]
        )
        trainer = training(tmp_path, net=net)
        for _ in range(2):  # the second call is done, so that the first is passed over
            trainer.fit(data(), epochs=1, resume=True)

    run()
    with pytest.raises(ArgumentError, match=words), skipping():
        run(**other)


# -- data and callbacks of one's own --------------------------------------------------------------


def test_data_that_has_epochs_alone(tmp_path):
    class Epochs:
        def __init__(self, batches):
            self.batches = batches

        def epoch(self, k):
            return iter(self.batches)

    broken(training(tmp_path / "a", [Stop(7)]).fit, Epochs(list(data())), epochs=2)
    rest = training(tmp_path / "a")
    rest.fit(Epochs(list(data())), epochs=2, resume=True)
    assert_same(rest, fitted(tmp_path / "b", {"epochs": 2}))
    with pytest.raises(ArgumentError, match="to yield batches in every epoch, got none in epoch 1: give at least one"):
        training(tmp_path / "c").fit(Epochs([]))


def test_a_callback_that_has_a_method_resume_writes_no_checkpoints():
    class Pauser(minidl.Callback):
        def resume(self):
            """Of its own."""

    net = minidl.Sequential([minidl.Embedding(5, 3), minidl.LSTM(4, return_sequences=True), minidl.Dense(5)])
    trainer = Trainer(net, minidl.SoftmaxCrossEntropy(), callbacks=[Pauser()], quiet=True)
    trainer.fit(minidl.TextStream(IDS, 4, 10))
    assert trainer.keepers == [] and trainer.step == 5
