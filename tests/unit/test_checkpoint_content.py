"""What a checkpoint holds, bit for bit and type for type, and what it says where it cannot."""

import contextlib
import errno
import os
import signal
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import ArgumentError, Trainer, checkpoints
from minidl.fingerprints import checksum
from minidl.trees import as_before, from_plain, to_plain
from tests.parameters import every
from tests.unit.test_checkpoint import Stop, assert_same, data, names, training


def broken_and_whole(tmp_path, make, at, **options):
    """A training that went on behind a step, and one that was not broken off; `make` gives the callbacks."""
    with pytest.raises(ZeroDivisionError):
        training(tmp_path / "part", [*make(), Stop(at)], **options).fit(data(), epochs=2)
    rest, whole = training(tmp_path / "part", make(), **options), training(tmp_path / "whole", make(), **options)
    rest.fit(data(), epochs=2, resume=True)
    whole.fit(data(), epochs=2)
    return rest, whole


# -- numbers --------------------------------------------------------------------------------------

NUMBERS = [
    np.float64(0.1), np.float32(0.1), np.float16(0.1), np.int8(-3), np.int64(2**62), np.uint64(2**63), np.bool_(True),
    np.float64("nan"), np.float32("-inf"), -0.0, np.float64(-0.0), 5, True, None, "x", np.str_("x"),
]  # fmt: skip


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
def test_numbers_keep_their_type(value):
    back = from_plain(to_plain(value, "t", {}), {}.__getitem__)
    assert type(back) is type(value) and repr(back) == repr(value)


@pytest.mark.parametrize("dtype", every(3, ["?", "i1", "u1", "i8", "i2", "u2", "f4", "i4", "u4", "f2", "u8", "f8"]))
def test_arrays_keep_their_type(dtype, tmp_path):
    class Keeper(minidl.Callback):
        remembers = ("values",)

        def __init__(self, values):
            self.values = values

    bits = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 256, (3, 8), np.uint8)
    for values in bits.view(dtype), bits.view(dtype)[:0], np.asfortranarray(bits.view(dtype)), bits.view(dtype)[0, 0]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        training(folder, [Keeper(values)]).fit(data())
        again = Keeper(None)
        training(folder, [again]).fit(data(), resume=True)
        assert again.values.dtype == dtype and again.values.shape == values.shape
        assert np.array_equal(again.values, values, equal_nan=dtype.startswith("f"))


@pytest.mark.parametrize("plain", [{"scalar": ["object", 1]}, {"scalar": ["O", 1]}, {"narrow": ["float32", "a"]}])
def test_other_types_of_numbers_are_refused(plain):
    with pytest.raises(ArgumentError, match="A checkpoint holds float, scalar, array, narrow, dict and tuple, got"):
        from_plain(plain, {"a": np.ones(1)}.__getitem__)


@pytest.mark.parametrize("value", [np.longdouble(1), np.ones(2, np.longdouble), np.complex64(1), np.array(["x"])])
def test_what_no_file_holds_is_named(value):
    with pytest.raises(ArgumentError, match=r"got t\.a = .*: make it one of these, or leave it out\."):
        to_plain({"a": value}, "t", {})


def test_a_number_of_numpy_gives_the_same_bits(tmp_path):
    """float64 * float32 array is a float64 array, with a number of Python it would be float32."""

    class Scaling(minidl.Callback):
        remembers = ("mean",)

        def __init__(self):
            self.mean = np.float64(1)

        def on_grads_ready(self, trainer):
            for p in trainer.params.values():
                p.grad[...] = p.grad * self.mean
            self.mean = np.float64(0.9 * self.mean + 0.1 * trainer.value) if trainer.step < 2 else self.mean

    rest, whole = broken_and_whole(tmp_path, lambda: [Scaling()], 6)
    assert_same(rest, whole)
    assert type(rest.callbacks[0].mean) is np.float64


def test_checksums_see_every_word_and_every_border():
    words = np.array(["a"] * 2000).astype("U3")
    other = words.copy()
    other[1000] = "zzz"
    assert checksum(words) != checksum(other) and checksum(words.astype("S")) != checksum(other.astype("S"))
    assert checksum(words.astype(object)) != checksum(other.astype(object))
    a, b = np.ones(2), np.zeros(2)
    assert len({checksum(tree) for tree in ([a, [b]], [[a], b], [a, b], [[a, b]])}) == 4


# -- the state ------------------------------------------------------------------------------------


@dataclass
class Parts:
    """A state that is no tuple."""

    a: Any
    b: Any

    def __iter__(self):
        return iter((self.a, self.b))


class Pair(minidl.Stateful):
    """Two LSTMs side by side, whose states are kept in what `kind` makes."""

    kind: Any = None
    return_sequences = True

    def __init__(self, units=4):
        self.units = units
        self.a, self.b = minidl.LSTM(units, return_sequences=True), minidl.LSTM(units, return_sequences=True)

    def setup(self, in_shape, rng, dtype):
        for name, layer in ("a", self.a), ("b", self.b):
            layer.build(in_shape, rng, dtype)
            for own, p in layer.params.items():
                self.add_param(name + own, p)
        return in_shape[0], self.units

    def initial_state(self, rows):
        return type(self).kind(self.a.initial_state(rows), self.b.initial_state(rows))

    def forward_with_state(self, x, state=None, *, start=None, mask=None, rng=None, keep_cache=True):
        ways = {"start": start, "mask": mask, "rng": rng, "keep_cache": keep_cache}
        before = (None, None) if state is None else state
        assert all(part is None or part.h.shape == part.c.shape for part in before)
        (y, *a), (z, *b) = (
            layer.forward_with_state(x, part, **ways) for layer, part in zip((self.a, self.b), before, strict=True)
        )
        return y + z, type(self).kind(a[0], b[0]), (a[1], b[1])

    def backward_with_state(self, dy, dstate, cache):
        parts = zip((self.a, self.b), cache, strict=True)
        return sum(layer.backward_with_state(dy, None, kept)[0] for layer, kept in parts), None


def paired(folder, kind, *callbacks, **options):
    layer = type("Pair", (Pair,), {"kind": staticmethod(kind)})()
    net = minidl.Sequential([minidl.Embedding(5, 3), layer, minidl.Dense(5)])
    return training(folder, callbacks, net=net, **options)


@pytest.mark.parametrize("kind", [lambda a, b: (a, b), lambda a, b: [a, b]], ids=["tuple", "list"])
def test_a_state_of_states_has_its_names(kind, tmp_path):
    with pytest.raises(ZeroDivisionError):
        paired(tmp_path / "a", kind, Stop(3)).fit(data())
    rest, whole = paired(tmp_path / "a", kind), paired(tmp_path / "b", kind)
    rest.fit(data(), resume=True)
    whole.fit(data())
    assert_same(rest, whole)


def test_lists_of_another_length_stay_as_they_came():
    state = minidl.LSTMState(1, 2)
    assert as_before([(1, 2)], [state, state]) == [(1, 2)] and not hasattr(as_before([(1, 2)], [state, state])[0], "h")
    assert as_before([(3, 4)], [state])[0].h == 3 and as_before({"k": ([1],)}, {"k": ([2],)}) == {"k": ([1],)}


class Confusion(minidl.Callback):
    """A figure that no file holds."""

    def on_epoch_end(self, trainer):
        trainer.row["confusion"] = {0: 3, 1: 5}


@pytest.mark.parametrize("which", ["row", "state"])
def test_what_cannot_be_held_is_a_failed_write(which, tmp_path):
    def make(folder, on_error):
        if which == "row":
            return training(folder, [Confusion()], on_error=on_error)
        return paired(folder, Parts, on_error=on_error)

    named = r"state\.history\.0\.confusion = \{0: 3, 1: 5\}" if which == "row" else r"state\.carried\.pair = Parts"
    words = rf"no checkpoint could be written\. A checkpoint holds numbers, .* got {named}.*: make it one of these, or "
    going_on = make(tmp_path / "a", "continue")
    with pytest.warns(UserWarning, match=rf"checkpoint-0.*: {words}.*\. The training goes on without\."):
        going_on.fit(data(), epochs=2)
    assert going_on.step == 10
    with pytest.raises(ArgumentError, match=rf"checkpoint-0.*: {words}"):
        make(tmp_path / "b", "stop").fit(data(), epochs=2)
    if which == "row":
        assert names(tmp_path / "b") == [f"checkpoint-{k:09d}.npz" for k in (4, 5)]


# -- the place ------------------------------------------------------------------------------------


def test_a_stop_that_leaves_out_an_update_and_ctrl_c(tmp_path):
    """The batch of the update that was left out is not the last one that was learned from."""

    class Enough(minidl.Callback):
        def on_grads_ready(self, trainer):
            if trainer.step == 3:
                trainer.stop("enough")
                signal.raise_signal(signal.SIGINT)

    first = training(tmp_path, [Enough()], every=1000)
    first.fit(data(), epochs=2)
    rest = training(tmp_path)
    history = rest.fit(data(), epochs=2, resume=True)
    assert (rest.step, history.reason, len(history)) == (3, "enough", 1)


def test_what_the_last_update_was_made_from_is_known_at_the_end_of_an_epoch(tmp_path):
    class Figures(minidl.Callback):
        def on_epoch_end(self, trainer):
            trainer.row["sum"] = sum(trainer.values)

    class Fail(minidl.Callback):
        def on_epoch_end(self, trainer):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        training(tmp_path / "a", [Figures(), Fail()]).fit(data())
    rest, whole = training(tmp_path / "a", [Figures()]), training(tmp_path / "b", [Figures()])
    rest.fit(data(), resume=True)
    whole.fit(data())
    assert_same(rest, whole)
    assert rest.row["sum"] > 0


# -- files ----------------------------------------------------------------------------------------


def test_the_best_after_a_full_disk(tmp_path, monkeypatch):
    """The next epoch that is better than the one in the file is written, be it worse than the one that was lost."""

    class Script(minidl.Callback):
        writes = ("score",)

        def on_epoch_end(self, trainer):
            trainer.row["score"] = [1, 5, 3, 4, 2][trainer.epoch - 1]

    def write(trainer, path, over=False, plain=checkpoints.write):
        if path.name == "best.npz" and trainer.epoch == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        plain(trainer, path, over)

    monkeypatch.setattr(checkpoints, "write", write)
    trainer = training(tmp_path, [Script()], best="score", higher_is_better=True, on_error="continue")
    with pytest.warns(UserWarning, match="best.npz: no checkpoint could be written, No space left"):
        trainer.fit(data(), epochs=5)
    assert checkpoints.read(tmp_path / "best.npz").facts["epoch"] == 4
    assert trainer.callbacks[-1].best.best_epoch == 4


def test_a_folder_by_the_name_of_a_checkpoint(tmp_path):
    training(tmp_path).fit(data())
    (tmp_path / "checkpoint-000000099.npz").mkdir()
    rest = training(tmp_path)
    with pytest.warns(UserWarning, match="this is a folder.*The checkpoint before it is taken"):
        rest.fit(data(), epochs=2, resume=True)
    assert rest.step == 10 and rest.resumed.endswith("step 5")


def test_when_all_checkpoints_are_damaged(tmp_path):
    training(tmp_path).fit(data())
    for path in tmp_path.iterdir():
        path.write_bytes(b"x")
    rest = training(tmp_path)
    with (
        pytest.warns(UserWarning, match="it is too short") as told,
        pytest.raises(ArgumentError, match=r"None of the checkpoints in .* can be read: remove them, or name another"),
    ):
        rest.fit(data(), resume=True)
    assert len(told) == 2 and not any("taken" in str(warning.message) for warning in told)


class Skip(minidl.Callback):
    """Leaves sick batches out; presses Ctrl-C at a step."""

    def __init__(self, press_at):
        self.press_at = press_at

    def on_grads_ready(self, trainer):
        if not np.isfinite(trainer.value):
            trainer.net.zero_grads()
        if trainer.step == self.press_at:
            signal.raise_signal(signal.SIGINT)


def sick(folder, press_at, *callbacks):
    x = np.random.default_rng(0).standard_normal((12, 3))
    y, x[8:] = x[:, 0].copy(), np.nan
    callbacks = [*callbacks, Skip(press_at), minidl.Checkpoint(folder, every=1000)]
    trainer = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), minidl.SGD(0.1), callbacks, quiet=True)
    return trainer, minidl.ArrayBatches(x, y, 4, shuffle=False)


def test_a_loss_that_is_no_number_is_no_matter_where_the_weights_are(tmp_path):
    for press_at, step in (5, 6), (99, 9):
        part, batches = sick(tmp_path / str(press_at), press_at)
        part.fit(batches, epochs=3)
        assert np.isnan(part.value) and names(tmp_path / str(press_at)) == [f"checkpoint-{step:09d}.npz"]
        rest, _ = sick(tmp_path / str(press_at), 99)
        rest.fit(batches, epochs=3, resume=True)
        whole, _ = sick(tmp_path / f"whole {press_at}", 99)
        whole.fit(batches, epochs=3)
        assert rest.net.W.value.tobytes() == whole.net.W.value.tobytes() and rest.step == 9


@pytest.mark.parametrize("press_at", [1, 99])
def test_weights_that_are_no_numbers_are_told(press_at, tmp_path):
    class Spoil(minidl.Callback):
        def on_step_end(self, trainer):
            trainer.net.W.value[...] = np.nan

    trainer, batches = sick(tmp_path, press_at, Spoil())
    with pytest.warns(UserWarning, match=r"the end, step \d, is not written, for its weights"):
        trainer.fit(batches)
    assert names(tmp_path) == []
    trainer, batches = sick(tmp_path, press_at, minidl.NanGuard(), Spoil())
    with warnings.catch_warnings(), contextlib.suppress(UserWarning):  # the guard says it
        warnings.simplefilter("error")
        trainer.fit(batches)
    assert trainer.stop_reason


def test_a_training_that_was_stopped_at_a_loss_that_is_none_is_not_closed(tmp_path):
    trainer, batches = sick(tmp_path, 99, minidl.NanGuard())
    trainer.fit(batches, epochs=2)
    assert trainer.step == 2 and trainer.stop_reason.startswith("the loss is nan") and names(tmp_path) == []
