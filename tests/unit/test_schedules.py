"""The schedules, at the steps where their shape shows."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from minidl.errors import ArgumentError
from minidl.schedules import ConstantLR, CosineLR, ExponentialLR, OneCycleLR, StepLR


def test_constant() -> None:
    assert [ConstantLR(0.25)(step) for step in (0, 10**9)] == [0.25, 0.25]


def test_stairs_fall_at_multiples_of_every() -> None:
    schedule = StepLR(8.0, every=3, factor=0.5)
    assert [schedule(step) for step in range(8)] == [8, 8, 8, 4, 4, 4, 2, 2]
    assert StepLR(1.0, every=1)(2) == pytest.approx(0.01)


def test_the_first_stair_is_longer_by_hold() -> None:
    schedule = StepLR(8.0, every=2, factor=0.5, hold=3)
    assert [schedule(step) for step in range(10)] == [8, 8, 8, 8, 8, 4, 4, 2, 2, 1]


def test_exponential_passes_lr_decay_and_its_root() -> None:
    schedule = ExponentialLR(3.0, decay=0.25, every=4)
    assert [schedule(step) for step in (0, 2, 4, 8)] == pytest.approx([3, 1.5, 0.75, 0.1875])
    assert ExponentialLR(1.0, decay=2.0)(10) == 1024


def test_cosine_without_warmup() -> None:
    schedule = CosineLR(1.0, steps=6, final=0.5)
    # 0.5 + 0.25 (1 + cos(k pi / 6)), k = 0, 2, 3, 4, 6: cos = 1, 1/2, 0, -1/2, -1
    assert [schedule(step) for step in (0, 2, 3, 4, 6)] == pytest.approx([1, 0.875, 0.75, 0.625, 0.5])
    assert [schedule(step) for step in (6, 7, 1000)] == [0.5, 0.5, 0.5]


def test_cosine_warms_up_in_a_straight_line() -> None:
    schedule = CosineLR(2.0, steps=10, warmup=4)
    assert [schedule(step) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert schedule(7) == pytest.approx(1.0)
    assert schedule(10) == schedule(11) == 0.0


def test_one_cycle_passes_start_peak_and_end() -> None:
    schedule = OneCycleLR(1.0, steps=20, warmup=0.25, start_factor=10, final_factor=100)
    assert schedule(0) == pytest.approx(0.1)
    assert schedule(2) == pytest.approx(0.55)  # half of the way up to step 0.25 * 20 - 1 = 4
    assert schedule(4) == pytest.approx(1.0)
    assert schedule(19) == schedule(20) == schedule(10**6) == pytest.approx(0.001)
    down = [schedule(step) for step in range(4, 20)]
    assert down == sorted(down, reverse=True) and len(set(down)) == 16


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("warmup", [0, 0.25, 0.5, 0.99])
def test_short_cycles_stay_between_end_and_peak(steps: int, warmup: float) -> None:
    schedule = OneCycleLR(1.0, steps, warmup)
    assert all(schedule(steps - 1) <= schedule(step) <= 1 for step in range(2 * steps))
    assert schedule(steps - 1) == pytest.approx(1 / 25 / 1e4)


def test_schedules_are_values() -> None:
    assert CosineLR(0.1, 100) == CosineLR(0.1, 100, warmup=0)
    assert repr(StepLR(0.1, 10)) == "StepLR(lr=0.1, every=10, factor=0.1, hold=0)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        ConstantLR(0.1).lr = 0.2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantLR(0), "ConstantLR expects lr to be a positive number, got 0"),
        (lambda: ConstantLR("0.1"), "ConstantLR expects lr to be a positive number, got '0.1'"),
        (lambda: ConstantLR(math.inf), "ConstantLR expects lr to be a positive number, got inf"),
        (lambda: StepLR(0.1, every=0), "StepLR expects every to be a positive integer, got 0"),
        (lambda: StepLR(0.1, every=2.5), "StepLR expects every to be a positive integer, got 2.5"),
        (lambda: StepLR(0.1, 1, hold=-1), "StepLR expects hold to be a positive integer, got -1"),
        (lambda: StepLR(0.1, 1, hold=0.5), "StepLR expects hold to be a positive integer, got 0.5"),
        (lambda: StepLR(0.1, 1, factor=0), "StepLR expects factor to be a positive number, got 0"),
        (lambda: ExponentialLR(0.1, decay=-0.5), "ExponentialLR expects decay to be a positive number, got -0.5"),
        (lambda: ExponentialLR(0.1, 0.5, every=0), "ExponentialLR expects every to be a positive integer, got 0"),
        (lambda: CosineLR(0.1, steps=0), "CosineLR expects steps to be a positive integer, got 0"),
        (lambda: CosineLR(0.1, 10, warmup=-1), "CosineLR expects warmup to be a positive integer, got -1"),
        (lambda: CosineLR(0.1, 10, warmup=10), "CosineLR expects warmup to be shorter than steps, 10, got 10: steps"),
        (lambda: CosineLR(0.1, 10, final=-1), "CosineLR expects final to be a number of at least 0, got -1"),
        (lambda: OneCycleLR(0.1, 10, warmup=1), r"OneCycleLR expects warmup to be a number in \[0, 1\), got 1"),
        (lambda: OneCycleLR(0.1, 10, start_factor=0), "OneCycleLR expects start_factor to be a positive number"),
        (lambda: OneCycleLR(0.1, 10, final_factor=-1), "OneCycleLR expects final_factor to be a positive number"),
    ],
)
def test_bad_arguments_are_named(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
