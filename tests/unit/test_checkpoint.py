"""Checkpoints: what goes on is the same training, and what is another one is refused by name."""

import contextlib
import signal
import warnings
from collections import Counter, defaultdict, deque
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

import minidl
from minidl import ArgumentError, ModelFormatError, Trainer
from minidl.archive import archive
from minidl.fingerprints import checksum, differences, of_batch, of_data, settings
from minidl.trees import as_before, from_plain, to_plain
from tests.conftest import setting
from tests.parameters import fraction

IDS = np.random.default_rng(0).integers(0, 5, 200)
TIMES = "seconds", "targets_per_second"


class Stop(minidl.Callback):
    """Ends the process's part of a training after some step, as a kill would: with an error."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            raise ZeroDivisionError


def training(folder, callbacks=(), every=1, seed=3, optimizer=None, net=None, quiet=True, **options):
    net = net or minidl.Sequential([
        minidl.Embedding(5, 3), minidl.LSTM(4, return_sequences=True), minidl.Dropout(0.3), minidl.Dense(5)
    ])  # fmt: skip
    callbacks = [*callbacks, minidl.Checkpoint(folder, every=every, **options)]
    return Trainer(net, minidl.SoftmaxCrossEntropy(), optimizer or minidl.Adam(0.01), callbacks, seed=seed, quiet=quiet)


@contextlib.contextmanager
def skipping():
    """A part in which calls of fit may be done already."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Call . of fit is done already")
        yield


def data(time=10, ids=IDS):
    return minidl.TextStream(ids, 4, time)


def rows(trainer):
    return [{name: value for name, value in row.items() if name not in TIMES} for row in trainer.history.rows]


def assert_same(one, other):
    for name, p in one.net.params.items():
        assert p.value.tobytes() == other.net.params[name].value.tobytes(), name
    for name, slots in one.optimizer.state.items():
        assert all((a == other.optimizer.state[name][slot]).all() for slot, a in slots.items()), name
    assert (one.step, one.epoch, one.batches_seen) == (other.step, other.epoch, other.batches_seen)
    assert rows(one) == rows(other)


# -- going on -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("breaks", "every"), fraction([(1,), (5,), (4, 5, 9, 10), (15,)], [1, 2, 3, 7]))
def test_a_training_that_goes_on_is_the_same(breaks, every, tmp_path):
    """Five updates an epoch, three epochs: broken off in the middle, at the end of an epoch, at the end of all."""
    whole = training(tmp_path / "whole")
    whole.fit(data(), epochs=3, validation=data())
    for step in breaks:
        part = training(tmp_path / "part", [minidl.ClipNorm(0.1)], every)
        part.callbacks.insert(1, Stop(step))
        with pytest.raises(ZeroDivisionError):
            part.fit(data(), epochs=3, validation=data(), resume=True)
    rest = training(tmp_path / "part", [minidl.ClipNorm(0.1)], every)
    history = rest.fit(data(), epochs=3, validation=data(), resume=True)
    clipped = training(tmp_path / "clipped", [minidl.ClipNorm(0.1)])
    clipped.fit(data(), epochs=3, validation=data())
    assert_same(rest, clipped)
    assert len(history) == 3 and (max(breaks) <= every) == (rest.resumed is None)
    assert rest.net["dense"].W.value.tobytes() != whole.net["dense"].W.value.tobytes()


def test_steps_end_where_they_would_have_ended(tmp_path):
    whole = training(tmp_path / "whole")
    whole.fit(data(), steps=7)
    part = training(tmp_path / "part", [Stop(4)])
    with pytest.raises(ZeroDivisionError):
        part.fit(data(), steps=7, resume=True)
    rest = training(tmp_path / "part")
    rest.fit(data(), steps=7, resume=True)
    assert_same(rest, whole)
    assert rest.step == 7 and rest.resumed.endswith("step 3")  # the step at which it was broken off had no checkpoint


def test_a_training_that_has_ended_is_as_it_was(tmp_path):
    first = training(tmp_path)
    first.fit(data(), epochs=2)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = training(tmp_path)
    again.fit(data(), epochs=2, resume=True)
    assert_same(first, again)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_more_epochs_go_on_from_the_end(tmp_path):
    training(tmp_path / "a").fit(data(), epochs=2)
    more = training(tmp_path / "a")
    more.fit(data(), epochs=3, resume=True)
    whole = training(tmp_path / "b")
    whole.fit(data(), epochs=3)
    assert_same(more, whole)


def test_a_training_that_was_stopped_stays_stopped(tmp_path):
    stopping = [minidl.EarlyStopping(patience=1, min_delta=100)]
    first = training(tmp_path, stopping)
    first.fit(data(), epochs=9)
    again = training(tmp_path, [minidl.EarlyStopping(patience=1, min_delta=100)])
    history = again.fit(data(), epochs=9, resume=True)
    assert history.reason == first.history.reason == "no improvement for 1 epoch, the best was epoch 1"
    assert_same(first, again)


def test_several_calls_of_fit(tmp_path):
    def both(folder, break_at=0):
        trainer = training(folder, [Stop(break_at)])
        trainer.fit(data(), epochs=1, resume=True)
        trainer.net["embedding"].freeze()
        trainer.fit(data(time=7), epochs=2, resume=True)
        trainer.fit(data(), steps=4, resume=True)
        return trainer

    whole = both(tmp_path / "a")
    assert whole.step == 5 + 14 + 4
    for break_at in 3, 5, 6, 11, 19, 20, 23:
        with skipping(), pytest.raises(ZeroDivisionError):
            both(tmp_path / "b", break_at)
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"Call [12] of fit is done already, for .* is of call 3: it does nothing"):
            assert_same(both(tmp_path / "b"), whole)


def test_the_same_trainer_goes_on(tmp_path):
    """As in a notebook: broken off by Ctrl-C or by an error, and called again."""
    whole = training(tmp_path / "a")
    whole.fit(data(), epochs=3)
    for k, callback in enumerate((Stop(7), Press(7))):
        part = training(tmp_path / f"b{k}", [callback])
        with contextlib.suppress(ZeroDivisionError):
            part.fit(data(), epochs=3)
        part.net["dense"].W.value[...] = 0  # whatever was done to it since
        callback.step = 0
        part.callbacks.remove(callback)
        part.fit(data(), epochs=3, resume=True)
        assert_same(part, whole)


def test_nothing_to_go_on_from_begins_anew(tmp_path):
    trainer = training(tmp_path / "new" / "folder")
    trainer.fit(data(), resume=True)
    assert trainer.resumed is None and trainer.step == 5


def test_going_on_without_checkpoints():
    trainer = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), quiet=True)
    with pytest.raises(ArgumentError, match="one Checkpoint among the callbacks, got none: write callbacks="):
        trainer.fit(np.ones((2, 2)), np.ones(2), resume=True)


def test_one_pass_iterators_go_on(tmp_path):
    batches = list(data())

    def run(folder, *callbacks):
        trainer = training(folder, callbacks)
        trainer.fit(iter(batches), resume=True)
        return trainer

    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "a", Stop(3))
    assert_same(run(tmp_path / "a"), run(tmp_path / "b"))


def test_the_carried_state_has_its_names(tmp_path):
    with pytest.raises(ZeroDivisionError):
        training(tmp_path, [Stop(3)]).fit(data())
    rest = training(tmp_path, [Look()])
    rest.fit(data(), resume=True)
    assert isinstance(rest.callbacks[0].state["lstm"], minidl.LSTMState)


class Press(minidl.Callback):
    """Ctrl-C at some step."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            signal.raise_signal(signal.SIGINT)


class Look(minidl.Callback):
    """Keeps the state that the first update begins from."""

    state = None

    def on_epoch_start(self, trainer):
        self.state = trainer.state


def test_the_memory_order_of_weights_and_slots_stays(tmp_path):
    """A GEMM on another order may give other last bits."""
    fortran = {"W": lambda shape, rng: np.asfortranarray(rng.standard_normal(shape))}

    def make():
        return minidl.Sequential([minidl.Dense(7, init=fortran), minidl.Tanh(), minidl.Dense(1)])

    x = np.random.default_rng(0).standard_normal((40, 6))

    def run(folder, *callbacks):
        trainer = Trainer(
            make(), minidl.MeanSquaredError(), callbacks=[*callbacks, minidl.Checkpoint(folder, every=1)], quiet=True
        )
        trainer.fit(x, x[:, 0], epochs=4, batch_size=8, resume=True)
        return trainer

    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "a", Stop(7))
    part, whole = run(tmp_path / "a"), run(tmp_path / "b")
    assert_same(part, whole)
    for trainer in part, whole:
        assert trainer.net[0].W.value.flags.f_contiguous
        assert trainer.optimizer.state["dense.W"]["m"].flags.f_contiguous


# -- what callbacks remember ----------------------------------------------------------------------


def test_logs_are_cut_back_to_the_checkpoint(tmp_path):
    def logs(folder):
        return [minidl.CSVLog(folder / "log.csv"), minidl.JSONLog(folder / "log.jsonl")]

    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    with pytest.raises(ZeroDivisionError):
        training(tmp_path / "a", [*logs(tmp_path / "a"), Stop(13)], every=6).fit(data(), epochs=3)
    assert (tmp_path / "a" / "log.jsonl").read_text().count("\n") == 2
    for damage in (lambda path: path.write_text(path.read_text() + "half a"), lambda path: path.write_text("")):
        for name in "log.csv", "log.jsonl":
            damage(tmp_path / "a" / name)
        part = training(tmp_path / "a", [*logs(tmp_path / "a"), Stop(14)], every=60)
        with pytest.raises(ZeroDivisionError):
            part.fit(data(), epochs=3, resume=True)
    training(tmp_path / "a", logs(tmp_path / "a"), every=6).fit(data(), epochs=3, resume=True)
    lines = (tmp_path / "a" / "log.csv").read_text().splitlines()
    assert len({line.count(",") for line in lines}) == 1
    assert len(lines) == 4 and [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3"]
    assert (tmp_path / "a" / "log.jsonl").read_text().count("\n") == 3


def test_a_training_that_fails_to_go_on_leaves_the_logs(tmp_path):
    class Fail(minidl.Callback):
        def on_fit_start(self, trainer):
            raise ZeroDivisionError

    training(tmp_path / "run", [minidl.CSVLog(tmp_path / "log.csv")]).fit(data(), epochs=2)
    before = (tmp_path / "log.csv").read_bytes()
    again = training(tmp_path / "run", [minidl.CSVLog(tmp_path / "log.csv"), Fail()])
    with pytest.raises(ZeroDivisionError):
        again.fit(data(), epochs=3, resume=True)
    assert (tmp_path / "log.csv").read_bytes() == before


def test_a_callback_of_ones_own_remembers_what_it_names(tmp_path):
    class Sum(minidl.Callback):
        remembers = "total", "last", "counts"

        def __init__(self):
            self.total, self.last, self.counts = 0.0, deque(maxlen=2), Counter()

        def on_step_end(self, trainer):
            self.total += trainer.value
            self.last.append(trainer.step)
            self.counts[str(trainer.epoch)] += 1

    with pytest.raises(ZeroDivisionError):
        training(tmp_path / "a", [Sum(), Stop(7)]).fit(data(), epochs=2)
    part, whole = training(tmp_path / "a", [Sum()]), training(tmp_path / "b", [Sum()])
    part.fit(data(), epochs=2, resume=True)
    whole.fit(data(), epochs=2)
    a, b = part.callbacks[0], whole.callbacks[0]
    assert (a.total, a.last, a.counts) == (b.total, b.last, b.counts) and a.last.maxlen == 2


def test_what_a_checkpoint_cannot_hold_is_named(tmp_path):
    class Odd(minidl.Callback):
        remembers = ("thing",)
        thing = object()

    with pytest.raises(ArgumentError, match=r"got state\.callbacks\.Odd 1\.thing = <object"):
        training(tmp_path, [Odd()]).fit(data())


def test_a_callback_that_is_new_begins_anew(tmp_path):
    with pytest.raises(ZeroDivisionError):
        training(tmp_path, [Stop(7)]).fit(data(), epochs=2)
    rest = training(tmp_path, [minidl.CSVLog(tmp_path / "log.csv"), minidl.EarlyStopping()])
    rest.fit(data(), epochs=2, resume=True)
    assert rest.callbacks[1].best_epoch == 2


# -- what is refused ------------------------------------------------------------------------------


def wider():
    return minidl.Sequential([
        minidl.Embedding(5, 3), minidl.LSTM(8, return_sequences=True), minidl.Dropout(0.3), minidl.Dense(5)
    ])  # fmt: skip


OTHERS = {
    "data": (lambda folder: training(folder), data(ids=IDS[::-1].copy()), r"data, x was .*, checksum .*, is"),
    "window": (lambda folder: training(folder), data(time=5), "data, batches was 5, is 10; data, time was 10, is 5"),
    "kind": (lambda folder: training(folder), list(data()), "data, class was TextStream, is list"),
    "net": (lambda folder: training(folder, net=wider()), data(), r"layer 2 was .*4.*, is .*8"),
    "optimizer": (
        lambda folder: training(folder, optimizer=minidl.SGD(0.01)),
        data(),
        r"optimizer was Adam\(betas=\(0",
    ),
    "rate": (lambda folder: training(folder, optimizer=minidl.Adam(0.02)), data(), "learning rate was 0.01, is 0.02"),
    "factors": (
        lambda folder: training(folder, optimizer=minidl.Adam(0.01, lr_factors={"*.b": 2})),
        data(),
        r"optimizer was Adam\(betas=.*False\), is Adam\(.*False, lr_factors=\{'\*.b': 2.0\}\)",
    ),
    "seed": (lambda folder: training(folder, seed=4), data(), "seed was 3, is 4"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_training_is_refused_by_name(what, tmp_path):
    make, batches, words = OTHERS[what]
    with pytest.raises(ZeroDivisionError):
        training(tmp_path, [Stop(3)]).fit(data())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ArgumentError, match=words) as caught:
        make(tmp_path).fit(batches, resume=True)
    text = str(caught.value)
    assert "is of another training" in text and "Make it the same, or train anew" in text and "\n" not in text
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_validation_is_refused(tmp_path):
    training(tmp_path).fit(data(), validation=data())
    with pytest.raises(ArgumentError, match=r"validation, x was \(4, 49\) of int64, checksum \w+, is \(4, 24\)"):
        training(tmp_path).fit(data(), epochs=2, validation=data(ids=IDS[:100]), resume=True)


def test_data_whose_order_is_another_one_is_noticed(tmp_path):
    class Drifting:
        """Data of one's own; the same object at first sight."""

        def __init__(self, batches):
            self.batches = batches

        def __len__(self):
            return len(self.batches)

        def __iter__(self):
            return iter(self.batches)

    batches = list(data())
    with pytest.raises(ZeroDivisionError):
        training(tmp_path, [Stop(4)]).fit(Drifting(batches))
    with pytest.raises(ArgumentError, match="what update 3 of epoch 1 was made from is another now"):
        training(tmp_path).fit(Drifting([batches[k] for k in (0, 1, 3, 2, 4)]), resume=True)


def test_a_folder_of_another_training_is_refused(tmp_path):
    training(tmp_path).fit(data())
    with pytest.raises(ArgumentError, match=r"holds the checkpoints of a training, checkpoint-000000005.npz: fit\(res"):
        training(tmp_path).fit(data())


def test_other_surroundings_are_told_and_gone_on_with(tmp_path):
    trainer = training(tmp_path)
    with setting("MINIDL_KERNELS", "numpy"), setting("MINIDL_THREADS", "1"):
        with pytest.raises(ZeroDivisionError):
            training(tmp_path, [Stop(3)]).fit(data())
        with setting("MINIDL_THREADS", "2"), pytest.warns(UserWarning, match=r"kernels was numpy, .*, is numpy, 2 thr"):
            trainer.fit(data(), resume=True)
    assert trainer.step == 5


def test_a_model_is_no_checkpoint(tmp_path):
    net = minidl.Dense(2)
    net.build((2,))
    net.save(tmp_path / "checkpoint-000000005.npz")
    with pytest.warns(UserWarning, match="it holds a net without a training to resume"):
        assert minidl.Checkpoint(tmp_path).newest() is None


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-30], lambda data: data[:900] + b"\1" + data[901:], lambda d: b""]
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(damage, tmp_path):
    whole = training(tmp_path / "whole")
    whole.fit(data(), epochs=2)
    with pytest.raises(ZeroDivisionError):
        training(tmp_path / "part", [Stop(8)]).fit(data(), epochs=2)
    newest = sorted((tmp_path / "part").iterdir())[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    rest = training(tmp_path / "part", every=100)
    with pytest.warns(UserWarning, match="is no model of minidl.*The checkpoint before it is taken"):
        rest.fit(data(), epochs=2, resume=True)
    assert_same(rest, whole)


def test_no_good_checkpoint_is_deleted_for_a_damaged_one(tmp_path):
    with pytest.raises(ZeroDivisionError):
        training(tmp_path, [Stop(9)], every=4).fit(data(), epochs=2)
    (tmp_path / "checkpoint-000000008.npz").write_bytes(b"damaged")
    rest = training(tmp_path, [Stop(7)], every=2, keep=1)
    with pytest.warns(UserWarning, match="taken"), pytest.raises(ZeroDivisionError):
        rest.fit(data(), epochs=2, resume=True)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-000000006.npz", "checkpoint-000000008.npz"}
    with pytest.warns(UserWarning, match="taken"):
        assert minidl.Checkpoint(tmp_path).newest().facts["step"] == 6


# -- which are written ----------------------------------------------------------------------------


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_are_kept(tmp_path):
    training(tmp_path, every=2, keep=3).fit(data(), epochs=2)
    assert names(tmp_path) == [f"checkpoint-{k:09d}.npz" for k in (6, 8, 10)]


def test_a_checkpoint_now_and_then(tmp_path):
    class Wait(minidl.Callback):
        def on_step_end(self, trainer):
            checkpoint = trainer.callbacks[-1]
            if trainer.step in (2, 4):
                checkpoint.written -= 60  # as if a minute had gone by

    training(tmp_path, [Wait()], every=timedelta(seconds=60), keep=9).fit(data())
    assert names(tmp_path) == [f"checkpoint-{k:09d}.npz" for k in (2, 4, 5)]


def test_the_best_does_not_stand_in_for_the_others(tmp_path):
    class Better(minidl.Callback):
        writes = ("score",)

        def on_epoch_end(self, trainer):
            trainer.row["score"] = trainer.epoch

    class Wait(minidl.Callback):
        def on_step_end(self, trainer):
            trainer.callbacks[-1].written -= 20  # as if it had taken so long

    callbacks = [Better(), Wait(), Stop(12)]
    with pytest.raises(ZeroDivisionError):
        training(tmp_path, callbacks, every=timedelta(seconds=75), best="score", higher_is_better=True, keep=9).fit(
            data(), epochs=9
        )
    assert names(tmp_path) == ["best.npz", *(f"checkpoint-{k:09d}.npz" for k in (4, 8))]


def test_data_that_is_no_list_is_only_looked_at_by_the_training(tmp_path):
    class Shuffling:
        """Data of one's own, in another order each time."""

        def __init__(self):
            self.rng, self.passes = np.random.default_rng(0), 0

        def __iter__(self):
            self.passes += 1
            batches = [batch._replace(start=True) for batch in data()]
            self.rng.shuffle(batches)
            return iter(batches)

    shuffling, trainer = Shuffling(), training(tmp_path)
    trainer.net.build((None,))
    trainer.fit(shuffling, epochs=3)
    assert shuffling.passes == 3


def test_a_state_that_no_file_can_hold_is_found_before_the_training(tmp_path):
    class Odd(minidl.Callback):
        remembers = ("thing",)
        thing = object()

    trainer = training(tmp_path, [Odd()], every=1000, on_error="continue")
    with pytest.raises(ArgumentError, match="A checkpoint holds numbers"):
        trainer.fit(data())
    assert trainer.step == 0


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / ".minidl-0123").write_bytes(b"half")
    training(tmp_path).fit(data())
    assert not (tmp_path / ".minidl-0123").exists()


def test_a_file_with_another_state_is_no_checkpoint(tmp_path):
    training(tmp_path).fit(data())
    path = tmp_path / "checkpoint-000000005.npz"
    arrays = {name: a for name, a in np.load(path).items() if not name.startswith("__training__/")}
    arrays["__training__/state"] = np.frombuffer(b'{"dict": {"what": {"dict": {}}}}', np.uint8)
    path.write_bytes(b"".join(bytes(part) for part in archive(arrays)))
    with pytest.raises(ModelFormatError, match="its training must be a dict with what, machine, place"):
        minidl.checkpoints.read(path)


def test_the_best_is_kept_besides(tmp_path):
    class Script(minidl.Callback):
        writes = ("score",)

        def on_epoch_end(self, trainer):
            trainer.row["score"] = [1, 3, 2, 3, 9][trainer.epoch - 1]

    def run(epochs, *more):
        trainer = training(tmp_path, [Script(), *more], best="score", higher_is_better=True)
        trainer.fit(data(), epochs=epochs, resume=True)
        return trainer

    with pytest.raises(ZeroDivisionError):
        run(4, Stop(17))
    assert minidl.load(tmp_path / "best.npz").in_shape == (None,)
    assert minidl.checkpoints.read(tmp_path / "best.npz").facts["epoch"] == 2
    run(4)
    assert minidl.checkpoints.read(tmp_path / "best.npz").facts["epoch"] == 2  # as good is no better
    run(5)
    assert minidl.checkpoints.read(tmp_path / "best.npz").facts["epoch"] == 5


def test_a_checkpoint_is_a_model(tmp_path):
    trainer = training(tmp_path)
    trainer.fit(data())
    path = tmp_path / "checkpoint-000000005.npz"
    assert (minidl.load(path)(IDS[None]) == trainer.net(IDS[None])).all()
    trainer.net.load_weights(path)
    assert "lstm.Wx" in np.load(path).files and "__training__/state.optimizer.state.lstm.Wx.m" in np.load(path).files


def test_an_update_that_was_no_number_is_no_checkpoint(tmp_path):
    trainer = Trainer(
        minidl.Dense(1), minidl.MeanSquaredError(),
        callbacks=[minidl.NanGuard(), minidl.Checkpoint(tmp_path, every=1)], quiet=True,
    )  # fmt: skip
    x = np.ones((6, 2))
    x[4] = np.nan
    trainer.fit(x, np.ones(6), batch_size=1, shuffle=False)
    assert trainer.stop_reason.startswith("the loss is nan")
    assert names(tmp_path) == [f"checkpoint-{k:09d}.npz" for k in (3, 4)]


@pytest.mark.parametrize(("options", "words"), [
    ({"every": 0}, "every, unless it is a timedelta, to be a positive integer, got 0"),
    ({"every": 1.5}, "got 1.5"),
    ({"every": timedelta()}, "expects every to be a time above 0, got 0:00:00"),
    ({"keep": 0}, "keep to be a positive integer, got 0"),
    ({"on_error": "ignore"}, "on_error to be 'stop' or 'continue', got 'ignore'"),
])  # fmt: skip
def test_arguments(options, words, tmp_path):
    with pytest.raises(ArgumentError, match=words):
        minidl.Checkpoint(tmp_path, **options)


def test_what_was_frozen_on_the_way_stays_frozen(tmp_path):
    class Freeze(minidl.Callback):
        def on_epoch_start(self, trainer):
            if trainer.epoch == 2:
                trainer.net["embedding"].freeze()

        def on_step_end(self, trainer):
            if trainer.step == break_at:
                raise ZeroDivisionError

    break_at = 0
    whole = training(tmp_path / "b", [Freeze()])
    whole.fit(data(), epochs=3)
    break_at = 13
    with pytest.raises(ZeroDivisionError):
        training(tmp_path / "a", [Freeze()]).fit(data(), epochs=3)
    break_at = 0
    rest = training(tmp_path / "a", [Freeze()])
    rest.fit(data(), epochs=3, resume=True)
    assert_same(rest, whole)


def test_data_is_looked_at_once_a_fit(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(minidl.fingerprints, "of_data", lambda data: calls.append(data) or {})
    training(tmp_path).fit(data(), epochs=2, validation=data())
    assert len(calls) == 2


# -- parts ----------------------------------------------------------------------------------------


def test_names_that_look_alike_keep_their_arrays():
    arrays = {}
    tree = {"a.b": np.ones(1), "a": {"b": np.zeros(2)}}
    back = from_plain(to_plain(tree, "t", arrays), arrays.__getitem__)
    assert len(back["a.b"]) == 1 and len(back["a"]["b"]) == 2


def test_what_makes_entries_is_kept():
    came = as_before({"a": 1}, defaultdict(list, b=[2]))
    assert came == {"a": 1} and came["c"] == []


def test_trees_come_back_as_they_were():
    tree = {
        "a": (1, 2.5, [None, True, "x"], {}), "b": float("nan"), "c": -float("inf"), "d": np.arange(3), "": {"b": ()},
    }  # fmt: skip
    arrays = {}
    back = from_plain(to_plain(tree, "t", arrays), arrays.__getitem__)
    assert repr(back) == repr(tree) and list(arrays) == ["t.d"]
    assert to_plain(deque([1]), "t", arrays) == [1]
    with pytest.raises(ArgumentError, match=r"t\.k = \{1: 2\}"):
        to_plain({"k": {1: 2}}, "t", arrays)
    with pytest.raises(ArgumentError, match="got 'evil'"):
        from_plain({"evil": 1}, arrays.__getitem__)
    assert as_before({"lstm": (1, 2)}, {"lstm": minidl.LSTMState(0, 0)}) == {"lstm": minidl.LSTMState(1, 2)}


def test_checksums_see_every_difference():
    a = np.arange(6.0)
    values = [a, a.astype(np.float32), a[::-1], a.reshape(2, 3), a + 0.0 * a, [a, a], (a,), None, "x", ["x", "y"], -a]
    sums = [checksum(value) for value in values]
    assert sums[0] == sums[4] and len({*sums}) == len(values) - 1
    assert all(x != y for x, y in pairwise(sorted({*sums})))


def test_settings_do_not_depend_on_the_process():
    assert settings(minidl.Adam(minidl.CosineLR(0.1, steps=9))).startswith("Adam(lr=CosineLR(lr=0.1, steps=9, warmup=0")
    assert settings(minidl.SGD(lambda step: 0.1)).startswith(
        "SGD(lr=<function test_settings_do_not_depend_on_the_process.<locals>.<lambda>>, "
    )


def test_differences_are_named():
    assert differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == [
        "a was 1, is not there", "b was 2, is 3", "c was not there, is 4"
    ]  # fmt: skip
    assert (
        of_data(None) == {} and "content" in of_data(list(data())) and of_data(iter([1])) == {"class": "list_iterator"}
    )


def test_padded_data_is_told_apart_by_its_sequences_and_its_buckets():
    left, right = [[1, 2], [], [3]], [[4], [5], []]

    def differing(then, now):
        return [words.split()[0] for words in differences(of_data(then), of_data(now))]

    first = minidl.PaddedBatches((left, right), [0, 1, 2])
    assert differing(first, minidl.PaddedBatches((left, right), [0, 1, 2])) == []
    assert differing(first, minidl.PaddedBatches((left, right), [0, 1, 2], by_length=True)) == ["by_length"]
    for other in ((left, left), (right, left), ([[1, 2], [3], []], right), left):
        assert differing(first, minidl.PaddedBatches(other, [0, 1, 2])) == ["sequences"]
    batch, other = (next(iter(minidl.PaddedBatches((left, part), [0, 1, 2]))) for part in (right, left))
    assert of_batch(batch) == of_batch(next(iter(first))) != of_batch(other)


def test_a_training_on_buckets_goes_on_to_the_same_bits(tmp_path):
    rows = [IDS[n : n + 1 + n % 7] for n in range(60)]
    batches = minidl.PaddedBatches(rows, [row[::-1] for row in rows], 4, by_length=True)
    factors = {"embedding.*": 0.1, "*.b": 2.0}

    def made(folder, callbacks=()):
        return training(folder, callbacks, optimizer=minidl.AdamW(0.01, lr_factors=factors))

    whole, rest = made(tmp_path / "whole"), made(tmp_path / "rest")
    whole.fit(batches, epochs=3)
    with pytest.raises(ZeroDivisionError):
        made(tmp_path / "rest", [Stop(20)]).fit(batches, epochs=3)
    rest.fit(batches, epochs=3, resume=True)
    assert rest.resumed and rest.history["loss"] == whole.history["loss"]
    for name, p in whole.net.params.items():
        assert np.array_equal(p.value, rest.net.params[name].value)


def test_a_checkpoint_that_is_no_checkpoint(tmp_path):
    (tmp_path / "file").write_bytes(b"hello")
    with pytest.raises(ModelFormatError):
        minidl.checkpoints.read(tmp_path / "file")
