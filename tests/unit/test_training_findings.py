"""What is said of a run: losses that climb and those that do not, sizes of updates, clipping, curves of epochs."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minidl import AdaptiveClip, ClipNorm, ClipValue
from minidl.doctor.course import Course
from minidl.doctor.training_findings import (
    Beginning,
    clipping_findings,
    curve_findings,
    ends_high,
    leaps,
    motion_findings,
    rate_finding,
    round_number,
)
from minidl.parameter import Parameter

SEEDS = st.integers(0, 2**32 - 1)


def course_of(values):
    course = Course()
    for value in values:
        course.losses.add(float(value))
        course.updates += 1
    return course


def noisy(curve, noise, seed):
    """A curve with noise, and the losses of 12 batches before it."""
    rng = np.random.default_rng(seed)
    return course_of(curve + noise * rng.standard_normal(len(curve))), list(curve[0] + noise * rng.standard_normal(12))


def climbs(course, before, constant=math.nan):
    beginning = Beginning.of(before, constant)
    return ends_high(course, beginning) or leaps(course, beginning)


# -- climbs ---------------------------------------------------------------------------------------


@given(st.integers(20, 400), st.floats(0.5, 5.0), st.floats(0.0, 1.0), st.floats(0.0, 0.03), SEEDS)
def test_a_falling_loss_is_never_accused(count, first, share, noise, seed):
    """From `first` to some share of it, at any pace, noise included."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, count) ** rng.uniform(0.2, 5)
    course, before = noisy(first * (1 + (share - 1) * time), noise * first, seed)
    assert climbs(course, before) is None
    assert climbs(course, before, first) is None


@given(st.integers(20, 400), st.floats(0.01, 100.0), st.floats(0.0, 0.2), SEEDS)
def test_flat_noise_is_never_accused(count, level, noise, seed):
    course, before = noisy(np.full(count, level), 0.1 * level * noise, seed)
    assert climbs(course, before) is None


@given(st.integers(24, 400), st.floats(0.1, 100.0), st.floats(1.5, 50.0), st.floats(0, 0.02), SEEDS)
def test_a_loss_that_ends_far_above_its_beginning_climbs(count, first, times, noise, seed):
    course, before = noisy(first * np.linspace(1, times, count), noise * first, seed)
    assert climbs(course, before).startswith("the loss goes from ")


def test_the_words_have_the_numbers():
    course = course_of(np.linspace(2.0, 6.0, 64))
    first, last = 2.0, np.linspace(2.0, 6.0, 64)[-8:].mean()
    assert climbs(course, [first]) == f"the loss goes from 2 up to {last:.3g} in 64 updates"


def test_a_loss_that_falls_and_climbs_again():
    down, up = np.linspace(4.0, 1.0, 100), np.linspace(1.0, 3.5, 100)
    assert climbs(course_of([*down, *up]), [4.0]).startswith("the loss fell from 4 to 1.")
    assert climbs(course_of([*down, *np.linspace(1.0, 2.0, 100)]), [4.0]) is None  # it lost a third of the gain


def test_a_leap_is_a_mean_of_five_losses_far_above_the_beginning():
    flat = np.full(60, 2.0)
    assert climbs(course_of(flat), [2.0]) is None
    flat[30] = 4.5  # a single hard batch
    assert climbs(course_of(flat), [2.0]) is None
    flat[30] = 9.0
    assert climbs(course_of(flat), [2.0]) == "the loss leaps from 2 up to 3.4, and is 2 at the end"
    assert climbs(course_of(flat), [0.5, 3.5]) is None  # batches differ that much by themselves


def test_a_few_updates_say_only_that_it_leaps():
    assert climbs(course_of([1.0, 1.2, 1.25]), [1.0]) is None
    assert climbs(course_of([1.0, 40.0, 900.0]), [1.0]).startswith("the loss leaps from 1 up to 314")
    assert climbs(Course(), [1.0]) is None


def test_a_net_that_has_learned_climbs_where_it_loses_a_good_part_of_that():
    """From 0.01 to 0.05 is five times as much, and nothing beside the 2.0 of a constant output."""
    course = course_of(np.linspace(0.01, 0.05, 60))
    assert climbs(course, [0.01]) is not None
    assert climbs(course, [0.01], 2.0) is None
    assert climbs(course_of(np.linspace(0.01, 0.6, 60)), [0.01], 2.0) is not None


@pytest.mark.parametrize("before", [[math.inf, 1.0], [math.nan, 1.0], [math.inf], [math.nan] * 2])
def test_losses_that_are_not_finite_before_the_first_update(before):
    course = course_of(np.linspace(1.0, 9.0, 40))
    assert (climbs(course, before) is not None) == (1.0 in before)


def test_the_rate_is_told_with_that_of_the_range_test():
    course = Course()
    course.highest_rate = 30.0
    finding = rate_finding(course, "it climbs", "Adam", 0.0316)
    assert finding.code == "L503" and finding.where == "Adam, rate 30" and finding.remedy.startswith("lr=0.032,")
    assert "it climbs; a range test from the same parameters is stable at 0.032" in finding.evidence
    assert "finds no rate that is stable" in rate_finding(course, "it climbs", "Adam", None).evidence


def test_numbers_as_people_write_them():
    assert [round_number(v) for v in (948.7, 0.00316, 1e-9, 1.0, 12345.0)] == ["950", "0.0032", "1e-09", "1", "12000"]


# -- updates --------------------------------------------------------------------------------------


def moving(ratios, turns=None, silent=(), still=(), updates=40, shapes=None, losses=None):
    """A course of `updates` updates with these curves of constant values."""
    course = course_of([1.0] * updates if losses is None else losses)
    course.updates = course.motion.samples = updates
    course.rate = 0.01
    for name, ratio in ratios.items():
        course.motion.ratios[name], course.motion.turns[name] = course_of([ratio] * updates).losses, Course().losses
        for _ in range(updates):
            course.motion.turns[name].add((turns or {}).get(name, 0.0))
        course.motion.still[name] = updates if name in still or name in silent else 0
        course.motion.silent[name] = updates if name in silent else 0
    return course, {n: Parameter(np.zeros((shapes or {}).get(n, (2, 2)))) for n in ratios}


def said(course, params, factors=None):
    return [(f.code, f.where, f.title) for f in motion_findings(course, params, factors)]


@pytest.mark.parametrize(
    ("ratio", "fault"),
    [(1e-3, None), (0.19, None), (0.21, "too large"), (2e-6, None), (0.9e-6, "too small"), (0.0, "too small")],
)
def test_the_size_of_updates(ratio, fault):
    findings = motion_findings(*moving({"Wx": ratio, "Wh": 1e-3}))
    assert [f.code for f in findings] == ([] if fault is None else ["T604"])
    if fault:
        (finding,) = findings
        assert finding.where == "parameter 'Wx'" and fault in finding.title and f"{ratio:.1e}" in finding.evidence
        assert finding.remedy.startswith("lower" if fault == "too large" else "raise")
        assert "the learning rate, 0.01 now" in finding.remedy


def test_small_updates_of_a_warm_up_and_large_ones_that_teach_are_healthy():
    course, params = moving({"Wx": 1e-7})
    course.first_rate, course.highest_rate, course.rate = 1e-6, 1e-3, 1e-3
    assert said(course, params) == []
    course.rate = 5e-4  # it is over
    assert [code for code, *_ in said(course, params)] == ["T604"]
    assert said(*moving({"Wx": 0.5}, losses=np.linspace(2.0, 1.0, 40))) == []


def test_the_worst_of_several_is_named_and_vectors_are_left_out():
    course, params = moving({"Wx": 0.3, "Wh": 0.8, "b": 5.0}, shapes={"b": (4,)})
    (finding,) = motion_findings(course, params)
    assert finding.where == "parameter 'Wh'" and "; likewise of 'Wx'" in finding.evidence


def test_few_updates_say_nothing():
    assert said(*moving({"Wx": 0.9}, silent=["Wx"], updates=19)) == []


def test_a_parameter_that_never_gets_a_gradient():
    course, params = moving({"Wx": 0.0, "Wh": 1e-3}, silent=["Wx"])
    assert said(course, params) == [("T606", "'Wx'", "a parameter never moves")]
    assert said(course, params, {"Wx": 0.0}) == []  # it is not to move
    assert said(course, params, {"Wx": 0.5}) == said(course, params)


def test_a_parameter_that_stands_still_under_a_gradient_is_not_said_to_get_none():
    assert [code for code, *_ in said(*moving({"Wx": 0.0}, still=["Wx"]))] == ["T604"]


def test_a_constant_direction_is_a_drift_where_nothing_is_learned():
    turns = {"Wx": 0.99, "Wh": 0.97}
    ratios = dict.fromkeys(turns, 1e-3)
    (finding,) = motion_findings(*moving(ratios, turns))
    assert finding.code == "T606" and "drift in a constant direction" in finding.title and "0.970" in finding.evidence
    assert said(*moving(ratios, turns, losses=np.linspace(2, 1, 40))) == []  # it learns
    assert said(*moving(ratios, turns | {"Wh": 0.9})) == []  # not all of them


# -- clipping -------------------------------------------------------------------------------------


def clipped(norms, fired, callbacks, updates=None):
    course = Course()
    course.recent_norms, course.fired, course.updates = list(norms), fired, updates or len(norms)
    for norm in norms:
        course.lengths.add(float(norm))
    return clipping_findings(course, callbacks)


def test_clipping_that_always_fires():
    norms = np.linspace(8, 12, 100)
    (finding,) = clipped(norms, 100, [ClipNorm(1.0)])
    assert finding.code == "T605" and finding.where == "ClipNorm" and "always fires" in finding.title
    assert "100 of 100 updates were clipped" in finding.evidence and "median 10 and" in finding.evidence
    assert finding.remedy.startswith("ClipNorm(12)")
    assert clipped(norms, 97, [ClipNorm(1.0)]) == []
    assert clipped(norms, 100, [ClipNorm(5.0)]) == []  # not far below the norms
    assert [f.where for f in clipped(norms, 100, [ClipValue(1e-3)])] == ["ClipValue"]


def test_clipping_that_never_fires():
    norms = np.full(100, 0.1)
    (finding,) = clipped(norms, 0, [ClipNorm(10.1)])
    assert "never fires" in finding.title and "none of 100 updates was clipped at 10.1" in finding.evidence
    assert clipped(norms, 0, [ClipNorm(9.9)]) == clipped(norms, 1, [ClipNorm(10.1)]) == []


def test_clipping_of_which_nothing_can_be_said():
    norms = np.full(100, 9.0)
    assert clipped(norms, 100, []) == clipped(norms[:19], 19, [ClipNorm(1.0)]) == []
    assert clipped([math.inf] * 90 + [9.0] * 10, 100, [ClipNorm(1.0)]) == []
    assert clipped(norms, 0, [AdaptiveClip(90)]) == []


# -- epochs ---------------------------------------------------------------------------------------


def rows_of(train, valid=None):
    return [{"loss": a, **({} if valid is None else {"valid_loss": valid[k]})} for k, a in enumerate(train)]


def test_overfitting_has_its_epoch_and_numbers():
    (finding,) = curve_findings(rows_of([3, 2, 1.5, 1, 0.5], [3, 2.2, 2.3, 2.5, 2.9]))
    assert finding.code == "T607" and "overfitting" in finding.title and finding.where == "validation"
    assert "best in epoch 2 of 5 at 2.2 and is 2.9 now" in finding.evidence and "from 2 to 0.5" in finding.evidence


@pytest.mark.parametrize(
    "valid",
    [
        [3, 2.2, 2.1, 2.05, 2.0],  # falls
        [3, 2.2, 2.2, 2.25, 2.27],  # hardly rises
        [3, 2.5, 2.3, 2.0, 2.6],  # was best just now
        [3, 2.2, 2.3, 2.5, math.nan],
    ],
)
def test_no_overfitting(valid):
    assert curve_findings(rows_of([3, 2, 1.5, 1, 0.5], valid)) == []


def test_no_overfitting_where_training_is_as_bad():
    losses = [3, 2.2, 2.3, 2.5, 2.9]
    assert curve_findings(rows_of(losses, losses)) == []


def test_underfitting_is_a_loss_that_stays_where_a_constant_is():
    rows = rows_of([2.1, 2.0, 2.0, 2.0, 2.0, 2.0], [2.05] * 6)
    (finding,) = curve_findings(rows, 2.0)
    assert finding.code == "T607" and "underfitting" in finding.title and finding.where == "training"
    assert "stays at 2 from epoch 4 to 6, where a constant output has 2, and validation is 2.05" in finding.evidence
    assert finding.remedy.startswith("a longer training first")
    assert curve_findings([row | {"step": 52} for row in rows], 2.0)[0].remedy.startswith(
        "a longer training than the 52 updates so far first"
    )
    assert curve_findings(rows) == [] and curve_findings(rows, 2.5) == []  # not known; well below it
    assert curve_findings(rows_of([2.1, 2.0, 2.0, 2.0, 1.9, 1.8]), 2.0) == []  # it falls


def test_few_epochs_say_nothing():
    assert curve_findings([]) == curve_findings([{}]) == []
    assert curve_findings(rows_of([3, 2, 1], [1, 2, 9])) == []
    assert curve_findings(rows_of([2.0, 2.0, 2.0]), 2.0) == []


@given(st.integers(4, 60), st.floats(0.3, 0.95), SEEDS)
def test_curves_that_fall_together_are_never_accused(epochs, pace, seed):
    assume(pace**epochs < 0.5)
    rng = np.random.default_rng(seed)
    train = 1.0 + 2.0 * pace ** np.arange(epochs)
    valid = train + 0.1 + 0.01 * rng.standard_normal(epochs)
    assert curve_findings(rows_of(train, valid), 3.0) == []
