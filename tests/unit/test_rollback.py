"""`Rollback`: a training that meets what is not finite, or a loss that jumps, and goes on all the same."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.doctor import BlackBox, Rollback, replay
from tests.parameters import fraction

D, H = 3, 4
RNG = np.random.default_rng(5)
X = RNG.standard_normal((64, 6, D)).astype(np.float32)
T = X.sum(axis=(1, 2))[:, None] / 4
OPTIMIZERS = {
    "SGD": lambda: minidl.SGD(0.05),
    "momentum": lambda: minidl.SGD(0.05, momentum=0.9),
    "Adam": lambda: minidl.Adam(0.01),
    "AdamW": lambda: minidl.AdamW(0.01),
    "RMSProp": lambda: minidl.RMSProp(0.01),
    "Adagrad": lambda: minidl.Adagrad(0.05),
    "Adadelta": lambda: minidl.Adadelta(),
    "schedule": lambda: minidl.Adam(lambda step: 0.01 / (1 + 0.1 * step)),
}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class At(minidl.Callback):
    """Do something when a step is over, once or always."""

    remembers = ("done",)

    def __init__(self, step: int, do: Any) -> None:
        self.step, self.do, self.done = step, do, False

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == self.step and not self.done:
            self.done = True
            self.do(trainer)


def trainer_of(*callbacks: Any, optimizer: Any = None, **options: Any) -> Any:
    net = minidl.Sequential([minidl.LSTM(H), minidl.Dense(1)])
    return minidl.Trainer(
        net, minidl.MeanSquaredError(), optimizer or minidl.Adam(0.01), list(callbacks), quiet=True, **options
    )


def nan_row(row: int = 21) -> Any:
    x = X.copy()
    x[row, 4, 1] = np.nan
    return x


def values(trainer: Any) -> dict[str, Any]:
    return {name: p.value.copy() for name, p in trainer.params.items()}


# -- back and on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_bad_batch_is_left_out_and_the_training_goes_on(make: Any) -> None:
    """As if the two batches before the bad one and that itself had never been, at half the rate."""
    trainer = trainer_of(Rollback(folder=None), optimizer=make())
    history = trainer.fit(nan_row(), T, batch_size=8, shuffle=False)
    assert trainer.stop_reason is None and trainer.step == 7 and trainer.optimizer.lr_scale == 0.5
    assert history["rollbacks"] == [1] and math.isfinite(history["loss"][0])
    other = trainer_of(optimizer=make())
    other.optimizer.lr_scale = 0.5
    other.net.build((None, D))
    other.batches_seen = 3  # there is no dropout, but say so
    other.fit(X[24:], T[24:], batch_size=8, shuffle=False)
    assert all((p.value == other.params[name].value).all() for name, p in trainer.params.items())
    assert trainer.optimizer.steps == other.optimizer.steps == 5


def test_it_is_told(tmp_path: Path) -> None:
    shown = io.StringIO()
    callbacks = Rollback(folder=tmp_path / "box"), minidl.Console(file=shown), minidl.CSVLog(tmp_path / "log.csv")
    trainer = trainer_of(*callbacks)
    history = trainer.fit(nan_row(), T, epochs=2, batch_size=8, shuffle=False)
    assert len(history.notes) == 2 and history["rollbacks"] == [1, 2]
    assert history.notes[0] == (
        f"step 3: the loss is nan (N701, the data, x, row 5, step 4, feature 1); the parameters are those of step 0, "
        f"the rate is 0.005: rollback 1 of 3; the black box lies in {tmp_path / 'box'}: "
        f"minidl doctor --replay {tmp_path / 'box'}"
    )
    assert all(note in shown.getvalue() for note in history.notes) and shown.getvalue().count("rollback 1 of 3") == 1
    assert replay(tmp_path / "box").place.row == 5 and replay(tmp_path / "box-2").place.row == 5
    assert "rollbacks" in (tmp_path / "log.csv").read_text().splitlines()[0]


def test_after_so_many_times_it_stops_with_good_parameters() -> None:
    trainer = trainer_of(Rollback(times=2, folder=None))
    history = trainer.fit(nan_row(), T, epochs=9, batch_size=8, shuffle=False)
    assert len(history.notes) == 2 and trainer.epoch == 3
    assert (
        history.reason is not None
        and "the loss is nan, after 2 rollbacks; the parameters are those of" in history.reason
    )
    assert all(np.isfinite(p.value).all() for p in trainer.params.values()) and trainer.optimizer.lr_scale == 0.25


def test_it_goes_back_to_what_proved_good() -> None:
    """By `every` to twice as many steps: the parameters have to be those after a step in between."""
    seen: dict[int, Any] = {0: None}

    class Keep(minidl.Callback):
        def on_step_end(self, trainer: Any) -> None:
            seen[trainer.step] = values(trainer), {
                name: {slot: a.copy() for slot, a in slots.items()} for name, slots in trainer.optimizer.state.items()
            }  # fmt: skip

    def spoil(trainer: Any) -> None:
        trainer.params["lstm.Wx"].value[0, 0] = np.nan

    class Look(minidl.Callback):
        after: Any = None

        def on_step_end(self, trainer: Any) -> None:
            if rollback.rollbacks and self.after is None:
                self.after = trainer.step

    rollback = Rollback(every=5, folder=None)
    trainer = trainer_of(rollback, Keep(), At(18, spoil), Look())
    taken: list[Any] = []
    restore = rollback.good.__class__.restore

    def noted(self: Any, trainer: Any) -> None:
        restore(self, trainer)
        slots = {name: {slot: a.copy() for slot, a in s.items()} for name, s in trainer.optimizer.state.items()}
        taken.append((self.step, values(trainer), slots))

    rollback.good.restore = noted.__get__(rollback.good)  # type: ignore[method-assign]
    rollback.candidate.restore = noted.__get__(rollback.candidate)  # type: ignore[method-assign]
    trainer.fit(X, T, epochs=4, batch_size=8)
    ((step, then, slots),) = taken
    assert step == 10
    assert all((then[name] == seen[10][0][name]).all() for name in then)
    assert all((slots[n][s] == seen[10][1][n][s]).all() for n in slots for s in slots[n])
    assert "the parameters are those of step 10" in rollback.notes[0] and trainer.stop_reason is None


def test_a_sick_update() -> None:
    def too_far(trainer: Any) -> None:
        trainer.optimizer.lr_scale = 1e41

    rollback = Rollback(times=5, folder=None, factor=1e-12)
    trainer = trainer_of(rollback, At(10, too_far), optimizer=minidl.SGD(0.05))
    trainer.fit(X, T, epochs=4, batch_size=8)
    assert trainer.stop_reason is None and rollback.rollbacks == 4
    assert "is not finite after the update" in rollback.notes[0] and rollback.notes[0].startswith("step 11:")
    assert all(np.isfinite(p.value).all() for p in trainer.params.values())


def test_a_slot_of_the_optimizer() -> None:
    def spoil(trainer: Any) -> None:
        trainer.optimizer.state["lstm.Wx"]["v"][1, 7] = np.inf

    trainer = trainer_of(Rollback(folder=None, every=5), At(27, spoil))
    trainer.fit(X, T, epochs=6, batch_size=8)
    assert trainer.stop_reason is None and len(trainer.history.notes) == 1
    assert all(np.isfinite(a).all() for slots in trainer.optimizer.state.values() for a in slots.values())


def test_a_loss_that_jumps() -> None:
    def too_far(trainer: Any) -> None:
        trainer.optimizer.lr_scale = 300.0

    rollback = Rollback(folder=None, factor=1 / 400)
    trainer = trainer_of(rollback, At(60, too_far))
    history = trainer.fit(X, T, epochs=20, batch_size=8)
    assert trainer.stop_reason is None and rollback.rollbacks == 1 and "the loss jumps" in rollback.notes[0]
    assert history["loss"][-1] < 2 * history["loss"][6]


# -- with others ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "others", [[minidl.ClipNorm(1.0), minidl.NanGuard()], [minidl.NanGuard(), minidl.ClipValue(1.0)]]
)
def test_it_stands_before_clipping_and_guard(others: Any) -> None:
    trainer = trainer_of(Rollback(folder=None), *others)
    trainer.fit(nan_row(), T, batch_size=8, shuffle=False)
    assert trainer.stop_reason is None and trainer.step == 7
    trainer = trainer_of(*others[:1], minidl.NanGuard(), Rollback(folder=None))
    behind = f"Rollback stands behind {type(others[0]).__name__}, which ends .* put Rollback first"
    if isinstance(others[0], minidl.ClipNorm):
        with pytest.raises(minidl.NonFiniteError), pytest.warns(UserWarning, match=behind):  # clipping cannot
            trainer.fit(nan_row(), T, batch_size=8, shuffle=False)
    else:
        with pytest.warns(UserWarning, match=behind):
            trainer.fit(nan_row(), T, batch_size=8, shuffle=False)
        assert "no update was made from it" in trainer.stop_reason and not trainer.history.notes


def test_before_a_black_box(tmp_path: Path) -> None:
    trainer = trainer_of(Rollback(folder=None), BlackBox(tmp_path / "box"))
    trainer.fit(nan_row(), T, batch_size=8, shuffle=False)
    assert trainer.stop_reason is None and not list(tmp_path.iterdir())


def test_with_accumulation() -> None:
    trainer = trainer_of(Rollback(folder=None), accumulate=3)
    history = trainer.fit(nan_row(), T, batch_size=8, shuffle=False)
    assert trainer.step == 2 and trainer.groups_done == 3 and math.isfinite(history["loss"][0])
    other = trainer_of(accumulate=3)
    other.optimizer.lr_scale = 0.5
    other.net.build((None, D))
    other.fit(X[24:], T[24:], batch_size=8, shuffle=False)
    assert all((p.value == other.params[name].value).all() for name, p in trainer.params.items())


def test_the_carried_state_goes_back_as_well() -> None:
    ids = RNG.integers(0, 7, 601)
    net = minidl.Sequential(
        [minidl.Embedding(7, 3), minidl.LSTM(H, return_sequences=True), minidl.Dense(7), minidl.Softmax()]
    )
    states: dict[int, Any] = {}

    class Watch(minidl.Callback):
        def on_step_end(self, trainer: Any) -> None:
            states[trainer.step] = trainer.before, trainer.state

    def spoil(trainer: Any) -> None:
        trainer.params["lstm.b"].value[0] = np.nan

    rollback = Rollback(folder=None, every=4)
    trainer = minidl.Trainer(net, minidl.CrossEntropy(), None, [rollback, At(13, spoil), Watch()], quiet=True)
    trainer.fit(minidl.TextStream(ids, 3, 10))
    assert trainer.step == 19 and "step 8," in rollback.notes[0]
    assert (
        states[14][0]["lstm"].c == states[8][1]["lstm"].c
    ).all()  # step 14 was made after the batch that was skipped
    assert np.isfinite(trainer.state["lstm"].c).all()


def test_another_number_of_rows_begins_from_the_initial_state() -> None:
    def batch(rows: int, start: bool, bad: bool = False) -> minidl.Batch:
        x = np.full((rows, 4, D), np.nan if bad else 1.0, np.float32)
        return minidl.Batch(x, np.ones((rows, 1)), start=start)

    data = [batch(3, True), batch(3, False), batch(2, True), batch(2, False, True), batch(2, False)]
    trainer = trainer_of(Rollback(folder=None))
    trainer.fit(data)
    assert trainer.step == 4 and trainer.stop_reason is None


def test_all_batches_of_an_epoch() -> None:
    trainer = trainer_of(Rollback(folder=None, times=9))
    history = trainer.fit(np.full((16, 6, D), np.nan), np.ones((16, 1)), batch_size=8, epochs=2)
    assert trainer.step == 0 and np.isnan(history["loss"]).all() and history["rollbacks"] == [2, 4]


@pytest.mark.parametrize(("kill", "every"), fraction([3, 11, 20, 25], [4, 7]))
def test_a_training_that_is_resumed_has_the_same_bits(tmp_path: Path, kill: int, every: int) -> None:
    """Broken off before, between and after the rollbacks."""

    def run(folder: Path, *more: Any) -> Any:
        rollback = Rollback(folder=None, every=5)
        checkpoint = minidl.Checkpoint(folder, every=every)
        trainer = trainer_of(rollback, *more, checkpoint, seed=3)
        trainer.fit(nan_row(), T, epochs=5, batch_size=8, resume=True)
        return trainer

    class Killed(Exception):
        pass

    def killed(trainer: Any) -> None:
        raise Killed

    whole = run(tmp_path / "whole", At(-1, None))
    assert whole.optimizer.lr_scale == 0.125 and whole.stop_reason is not None
    with pytest.raises(Killed):
        run(tmp_path / "run", At(kill, killed))
    other = run(tmp_path / "run", At(-1, None))
    assert all((p.value == whole.params[name].value).all() for name, p in other.params.items())
    assert other.optimizer.lr_scale == 0.125 and other.step == whole.step and other.history.notes == whole.history.notes
    assert other.history["loss"] == whole.history["loss"] and other.stop_reason == whole.stop_reason


def test_another_training_begins_anew() -> None:
    rollback = Rollback(folder=None)
    trainer_of(rollback).fit(nan_row(), T, batch_size=8)
    assert rollback.rollbacks == 1
    trainer = trainer_of(rollback)
    trainer.fit(X, T, batch_size=8)
    assert rollback.rollbacks == 0 and trainer.history["rollbacks"] == [0]


def test_arguments() -> None:
    for options, words in (
        ({"times": -1}, "Rollback expects times"),
        ({"factor": 1.5}, "Rollback expects factor"),
        ({"factor": 0}, "Rollback expects factor"),
        ({"every": 0}, "Rollback expects every"),
        ({"spike": -1}, "expects spike"),
    ):
        with pytest.raises(minidl.ArgumentError, match=words):
            Rollback(**options)
