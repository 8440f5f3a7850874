"""`Record`: the figures of the last steps, in time order, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.doctor.record import Record


def test_it_keeps_the_last_steps_in_order() -> None:
    record = Record(["W", "b"], keep=3)
    assert len(record) == 0 and record.column("loss").shape == (0,) and record.column("grads").shape == (0, 2)
    assert np.isnan(record.last("loss"))
    for step in range(1, 8):
        record.add(step=step, loss=step / 2, norm=1.0, rate=0.1, grads={"W": step, "b": -step})
        assert len(record) == min(step, 3)
        assert record.column("step").tolist() == [k for k in range(step - 2, step + 1) if k > 0]
    assert record.last("loss") == 3.5 and record.column("loss").tolist() == [2.5, 3.0, 3.5]
    assert record.column("grads").tolist() == [[5, -5], [6, -6], [7, -7]]
    assert record.column("grads", "b").tolist() == [-5, -6, -7]


def test_what_is_not_given_is_nan_and_not_what_stood_there() -> None:
    record = Record(["W", "b"], keep=2)
    record.add(step=1, loss=1.0, grads={"W": 1.0, "b": 1.0})
    record.add(step=2, loss=1.0, grads={"W": 1.0, "b": 1.0})
    record.add(step=3, grads={"b": 2.0})  # W is frozen now
    assert np.isnan(record.last("loss")) and np.isnan(record.column("grads", "W")[-1])
    record.set(loss=9.0, values={"W": 4.0})
    assert record.last("loss") == 9.0 and record.column("values", "W").tolist()[-1] == 4.0 and len(record) == 2
    record.clear()
    assert len(record) == 0


def test_columns_are_copies_and_memory_does_not_grow() -> None:
    record = Record(["W"], keep=2)
    arrays = [id(a) for a in (*record._figures.values(), *record._each.values())]
    for step in range(50):
        record.add(step=step, grads={"W": 1.0})
    record.column("step")[0] = -1
    record.column("grads")[0] = -1
    assert record.column("step")[0] == 48 and record.column("grads")[0, 0] == 1
    assert arrays == [id(a) for a in (*record._figures.values(), *record._each.values())]


def test_other_figures_and_names_that_are_none() -> None:
    record = Record(["W"], figures=["step", "ratio"], each=["updates"])
    record.add(step=1, ratio=1e-3, updates={"W": 2.0})
    assert (record.figures, record.each) == (["step", "ratio"], ["updates"]) and record.last("ratio") == 1e-3
    for call in (lambda: record.add(loss=1.0), lambda: record.column("loss"), lambda: record.column("updates", "b")):
        with pytest.raises(minidl.UnknownNameError, match="A Record has step, ratio, updates of W, got"):
            call()
    with pytest.raises(minidl.ArgumentError, match="Record expects keep"):
        Record(["W"], keep=0)
