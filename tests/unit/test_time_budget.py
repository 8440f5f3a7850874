"""TimeBudget: a run ends at the asked time whatever the speed does, and its plan repeats it to the bit."""

import json
import math
import warnings
from itertools import pairwise

import numpy as np
import pytest

import minidl
from minidl import Adam, Batch, Checkpoint, CosineLR, OneCycleLR, StepLR, StretchedLR, TimeBudget, Trainer
from minidl.callbacks import Callback
from minidl.callbacks.time_budget import steps_that_fit
from minidl.errors import ArgumentError
from tests.parameters import fraction

MINUTES = 2.0
UPDATE, VALIDATION = 0.5, 2.0  # seconds on the calm machine


class Machine(Callback):
    """A clock that the work itself moves: each update and each epoch takes its time, `load` times as long."""

    def __init__(self, load=lambda seconds: 1.0):
        self.load, self.now = load, 0.0

    def work(self, seconds):
        self.now += seconds * self.load(self.now)

    def on_grads_ready(self, trainer):
        self.work(UPDATE)

    def on_epoch_end(self, trainer):
        self.work(VALIDATION)

    def metric(self, y, t, weight, mask):
        """A metric that takes time, in training and in validation."""
        self.work(UPDATE / 2)
        return 0.0, 1.0


class Rates(Callback):
    """The learning rate of each update."""

    def __init__(self):
        self.rates = []

    def on_step_end(self, trainer):
        self.rates.append(trainer.optimizer.last_rate)


def batches(count):
    rng = np.random.default_rng(0)
    return [Batch(x := rng.standard_normal((4, 3)).astype(np.float32), x.sum(1, keepdims=True)) for _ in range(count)]


def trained(load, guess, data=40, lr=None, callbacks=(), resume=False):
    """A run of two minutes on a machine under load, and what watched it."""
    machine, rates = Machine(load), Rates()
    budget = TimeBudget(MINUTES, clock=lambda: machine.now)
    optimizer = Adam(lr or CosineLR(0.01, guess, warmup=min(20, guess // 10), final=1e-4))
    own = [machine, rates, budget, *callbacks]
    trainer = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), optimizer, own, quiet=True)
    trainer.fit(batches(data), steps=guess, resume=resume)
    return trainer, machine, rates.rates, budget


def weights(trainer):
    return {name: p.value.tobytes() for name, p in trainer.net.params.items()}


CALM = int(60 * MINUTES / UPDATE)
LOADS = {
    "calm": (lambda t: 1.0, CALM),
    "load after 30 s": (lambda t: 3.0 if t > 30 else 1.0, CALM),
    "load ends after 30 s": (lambda t: 1.0 if t > 30 else 3.0, CALM // 3),
    "measured under load, calm later": (lambda t: 1.0, CALM // 4),
    "load for a while": (lambda t: 2.5 if 50 < t < 80 else 1.0, CALM),
    "load near the end": (lambda t: 2.5 if t > 110 else 1.0, CALM),
    "load that comes and goes": (lambda t: 2.5 if t % 20 > 10 else 1.0, CALM),
    "guess far too high": (lambda t: 1.0, 50 * CALM),
}


@pytest.mark.parametrize(("load", "data"), fraction(list(LOADS), [7, 40, 2000]))
def test_run_ends_at_the_asked_time_whatever_the_speed_does(load, data):
    trainer, machine, rates, _ = trained(*LOADS[load], data)
    assert machine.now == pytest.approx(60 * MINUTES, rel=0.1)
    assert trainer.step == trainer.last_step and trainer.stop_reason is None
    falling = rates[rates.index(max(rates)) :]
    assert all(later <= rate for rate, later in pairwise(falling))  # no jump up, whatever was planned
    assert rates[-1] < 0.1 * max(rates)  # the rate comes down before the end
    steepest = max(abs(a - b) for a, b in pairwise(falling))
    assert steepest < 0.25 * max(rates)
    assert trainer.history.rows[-1]["last_step"] == trainer.step


def test_plan_that_holds_is_left_alone():
    machine, validation = Machine(), batches(8)
    machine.on_grads_ready = lambda trainer: machine.work(UPDATE / 2)
    machine.on_epoch_end = lambda trainer: None
    guess = steps_that_fit(60 * MINUTES / UPDATE, 0, 40, len(validation) / 2)
    budget = TimeBudget(MINUTES, clock=lambda: machine.now)
    own, metrics = [machine, budget], [machine.metric]
    optimizer = Adam(CosineLR(0.01, guess))
    trainer = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), optimizer, own, metrics=metrics, quiet=True)
    trainer.fit(batches(40), steps=guess, validation=validation)
    assert budget.plan == [[0, guess]] and trainer.step == guess  # the time of the validation is known from the start
    assert isinstance(trainer.optimizer.lr, CosineLR)
    assert machine.now == pytest.approx(60 * MINUTES, abs=2)


@pytest.mark.parametrize("lr", [None, OneCycleLR(0.01, CALM), lambda step: 0.01 / (1 + step), StepLR(0.01, 60)])
def test_plan_repeats_the_run_to_the_bit_without_a_clock(lr):
    trainer, _, rates, budget = trained(*LOADS["load that comes and goes"], lr=lr)
    assert len(budget.plan) > 5
    again, seen = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), Adam(trainer.optimizer.lr), quiet=True), Rates()
    again.callbacks.append(seen)
    again.fit(batches(40), steps=budget.plan[-1][1])
    assert seen.rates == rates and weights(again) == weights(trainer)
    stretched = isinstance(trainer.optimizer.lr, StretchedLR)
    assert stretched == (lr is None or isinstance(lr, OneCycleLR))  # the others have no end
    if lr is None:  # as it is kept in the facts of a model
        assert eval(repr(trainer.optimizer.lr), vars(minidl)) == trainer.optimizer.lr


class Killed(BaseException):
    """The process ends here."""


class Killer(Callback):
    """Ends the run at a step, without notice."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            raise Killed


@pytest.mark.parametrize("kills", [[5], [133], [41, 99, 155]])
def test_killed_run_resumes_to_the_bit_with_the_same_speed(kills, tmp_path):
    load, guess = LOADS["load that comes and goes"]
    whole, machine, _, budget = trained(load, guess)
    now = 0.0
    for kill in [*kills, None]:
        checkpoint = Checkpoint(tmp_path / "run", every=10)

        class Continued(Machine):
            """The clock of the machine where the checkpoint left it."""

            def remember(self):
                return {"now": self.now}

            def recall(self, trainer, kept):
                self.now = kept["now"]

        machine = Continued(load)
        part = TimeBudget(MINUTES, clock=lambda machine=machine: machine.now)
        optimizer = Adam(CosineLR(0.01, guess, warmup=20, final=1e-4))
        own = [machine, part, checkpoint, *([] if kill is None else [Killer(kill)])]
        trainer = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), optimizer, own, quiet=True)
        try:
            trainer.fit(batches(40), steps=guess, resume=True)
        except Killed:
            assert kill is not None
    assert now == 0.0 and part.plan == budget.plan and weights(trainer) == weights(whole)
    assert repr(trainer.optimizer.lr) == repr(whole.optimizer.lr)
    assert trainer.history["last_step"] == whole.history["last_step"]


def test_resumed_run_keeps_its_rates_and_has_the_rest_of_the_time(tmp_path):
    load, guess = LOADS["load after 30 s"]
    with pytest.raises(Killed):
        trained(load, guess, callbacks=[Checkpoint(tmp_path / "run", every=10), Killer(95)])
    checkpoint = Checkpoint(tmp_path / "run", every=10)
    trainer, machine, *_ = trained(lambda t: 1.0, guess, callbacks=[checkpoint], resume=True)
    spent = 30 + 3 * UPDATE * (90 - 56) + 3 * VALIDATION  # by the step of the checkpoint, 90; 30 s: 56 steps, 1 epoch
    assert machine.now == pytest.approx(60 * MINUTES - spent, rel=0.05)
    again = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), Adam(trainer.optimizer.lr), quiet=True)
    again.fit(batches(40), steps=trainer.step)
    assert weights(again) == weights(trainer)


def test_second_fit_has_a_budget_of_its_own_and_resumes(tmp_path):
    def run(folder, kill=None):
        machine = Machine(LOADS["load that comes and goes"][0])
        rates, killer = Rates(), [] if kill is None else [Killer(kill)]
        own = [machine, rates, TimeBudget(MINUTES, clock=lambda: machine.now), Checkpoint(folder, every=10), *killer]
        optimizer = Adam(CosineLR(0.01, 600, final=1e-4))
        trainer = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), optimizer, own, quiet=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Call 1 of fit is done already")
            trainer.fit(batches(40), steps=300, resume=True)
            trainer.fit(batches(40), steps=300, resume=True)
        return trainer, machine.now

    trainer, seconds = run(tmp_path / "whole")
    assert seconds == pytest.approx(2 * 60 * MINUTES, rel=0.1)
    with pytest.raises(Killed):
        run(tmp_path / "killed", kill=trainer.first_step + 55)
    resumed, _ = run(tmp_path / "killed")
    first = [list(pair) for pair in resumed.optimizer.lr.plan if pair[0] <= trainer.first_step]
    assert first == [list(pair) for pair in trainer.optimizer.lr.plan if pair[0] <= trainer.first_step]


def test_suspended_process_brings_the_rate_down_before_it_ends():
    def load(seconds):
        return 1200.0 if 10 < seconds < 11 else 1.0  # ten minutes within a run of two

    _, machine, rates, _ = trained(load, CALM)
    assert machine.now < 10 + 600 + VALIDATION * 2 + 0.1 * 60 * MINUTES
    assert rates[-1] < 0.2 * max(rates)  # of a handful of updates, the last one is a step away from the end


def test_validation_longer_than_the_budget_leaves_half_of_it_for_training():
    assert steps_that_fit(100, 0, 1000, min(400, 100 / 2)) == 50
    assert steps_that_fit(60, 40, 1000, 50) == 10  # 40 steps later: the same end


@pytest.mark.parametrize("done", [0, 3, 10])
@pytest.mark.parametrize("per_epoch", [None, 1, 7, 10, 1000])
@pytest.mark.parametrize("cost", [0, 0.5, 4, 30])
def test_steps_that_fit_fit_and_one_more_does_not(done, per_epoch, cost):
    done = min(done, per_epoch or done)

    def time_of(steps):
        ends = 1 if per_epoch is None else math.ceil((done + steps) / per_epoch)
        return steps + cost * ends

    for time in 0, 5.5, 29.9, 100, 1234.5:
        steps = steps_that_fit(time, done, per_epoch, cost)
        assert steps == 0 or time_of(steps) <= time
        assert time_of(steps + 1) > time - 1e-9


def test_large_change_is_noted():
    trainer, *_ = trained(lambda t: 1.0, CALM // 4)
    assert any("steps fit into 2 minutes, not 60" in note for note in trainer.history.notes)


def iter_of(data):
    """Data that has no length."""

    class Endless:
        def __iter__(self):
            return iter(data)

    return Endless()


def test_epochs_are_a_first_guess_as_well():
    machine = Machine()
    budget = TimeBudget(MINUTES, clock=lambda: machine.now)
    trainer = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[machine, budget], quiet=True)
    trainer.fit(batches(40), epochs=2)
    assert budget.plan[0] == [0, 80] and machine.now == pytest.approx(60 * MINUTES, rel=0.1)


def test_budget_without_a_first_guess_is_refused():
    trainer = Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[TimeBudget(1)], quiet=True)
    with pytest.raises(ArgumentError, match="first guess"):
        trainer.fit(iter_of(batches(3)), epochs=2)
    with pytest.raises(ArgumentError, match="positive number"):
        TimeBudget(0)


def test_plan_is_plain_data():
    *_, budget = trained(*LOADS["load after 30 s"])
    assert json.loads(json.dumps(budget.remember()))["plan"] == budget.plan


@pytest.mark.parametrize("damage", [
    {"plan": []}, {"plan": [[0, 10**9], [5]]}, {"plan": [[3, 9], [1, 9]]}, {"plan": "ab"}, {"plan": [[0, 2.5]]},
    {"spent": "x"}, {"deadline": math.inf}, {"epoch_end": None},
])  # fmt: skip
def test_crafted_state_is_refused(damage):
    trainer, *_, budget = trained(*LOADS["load after 30 s"])
    (name, value), *_ = damage.items()
    for refuse in budget.check_recall, budget.recall:
        with pytest.raises(
            minidl.ModelFormatError, match=rf"its TimeBudget '{name}' must be .* got {value!r:.3}".replace("[", r"\[")
        ):
            refuse(trainer, budget.remember() | damage)


def test_state_with_a_value_missing_is_refused_before_it_is_restored():
    trainer, *_, budget = trained(*LOADS["load after 30 s"])
    kept = budget.remember()
    budget.check_recall(trainer, kept)
    for other in {name: kept[name] for name in [*kept][1:]}, kept | {"more": 1}, {}:
        with pytest.raises(minidl.ModelFormatError, match="its TimeBudget must be a dict with plan, spent"):
            budget.check_recall(trainer, other)


def test_metric_cannot_have_the_name_of_the_key_that_the_budget_writes():
    def last_step(y, t, weight, mask):
        return 0.0, 1.0

    with pytest.raises(ArgumentError, match="'last_step', a value that the row has already"):
        Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[TimeBudget(1)], metrics=[last_step], quiet=True)


@pytest.mark.parametrize("plan", [(), ((1, 2, 3),), ((5, 9), (4, 9)), ((0, -1),), 7])
def test_plan_of_a_schedule_is_checked(plan):
    with pytest.raises(ArgumentError, match="plan must be pairs of integers"):
        StretchedLR(CosineLR(0.1, 10), plan)


def test_console_shows_the_time_left_of_the_budget(capsys):
    machine = Machine()
    budget = TimeBudget(MINUTES, clock=lambda: machine.now)
    own = [machine, budget, minidl.Console(interval=0)]
    Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=own).fit(batches(40), steps=CALM)
    shown = capsys.readouterr().out
    assert "1:00 left" in shown and "0:10 left" in shown
