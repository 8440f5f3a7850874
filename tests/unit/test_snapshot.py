"""`Snapshot`: there and back, in place, in arrays that are made once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl
from minidl.doctor import Snapshot

X = np.random.default_rng(0).standard_normal((8, 5, 3)).astype(np.float32)
T = X.sum(axis=2)


def trainer_of(optimizer: Any, **options: Any) -> Any:
    net = minidl.Sequential([minidl.LSTM(4, return_sequences=True), minidl.Dense(1)])
    return minidl.Trainer(net, minidl.MeanSquaredError(), optimizer, quiet=True, **options)


def values(trainer: Any) -> dict[str, Any]:
    return {name: p.value.copy() for name, p in trainer.params.items()}


OPTIMIZERS = {
    "SGD": lambda: minidl.SGD(0.1),
    "momentum": lambda: minidl.SGD(0.1, momentum=0.9),
    "Adam": lambda: minidl.Adam(0.01),
    "Adadelta": lambda: minidl.Adadelta(),
    "AdamW": lambda: minidl.AdamW(0.01),
    "schedule": lambda: minidl.RMSProp(lambda step: 0.01 / (1 + step)),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_training_goes_on_as_it_went_on(make: Any) -> None:
    trainer, snapshot = trainer_of(make()), Snapshot()
    trainer.fit(X, T, epochs=3, batch_size=4, shuffle=False)
    snapshot.take(trainer, trainer.state)
    arrays = {name: p.value for name, p in trainer.params.items()}
    trainer.fit(X, T, epochs=3, batch_size=4, shuffle=False)
    then = values(trainer)
    assert any((then[name] != snapshot.values[name]).any() for name in then)
    snapshot.restore(trainer)
    assert trainer.optimizer.steps == 6
    trainer.fit(X, T, epochs=3, batch_size=4, shuffle=False)
    assert all(p.value is arrays[name] and (p.value == then[name]).all() for name, p in trainer.params.items())


def test_slots_that_were_not_there_are_removed() -> None:
    trainer, snapshot = trainer_of(minidl.Adam()), Snapshot()
    trainer.fit(X[:4], T[:4])
    del trainer.optimizer.state["lstm.Wx"]
    snapshot.take(trainer)
    trainer.fit(X[:4], T[:4])
    assert "lstm.Wx" in trainer.optimizer.state
    snapshot.restore(trainer)
    assert "lstm.Wx" not in trainer.optimizer.state and "lstm.Wh" in trainer.optimizer.state


def test_arrays_are_made_once() -> None:
    trainer, snapshot = trainer_of(minidl.Adam()), Snapshot()
    assert snapshot.step is None
    trainer.fit(X[:4], T[:4])
    snapshot.take(trainer)
    made = [id(a) for a in (*snapshot.values.values(), *(a for s in snapshot.slots.values() for a in s.values()))]
    for _ in range(3):
        trainer.fit(X[:4], T[:4])
        snapshot.take(trainer)
    assert snapshot.step == 4 and snapshot.steps == 4
    assert made == [
        id(a) for a in (*snapshot.values.values(), *(a for s in snapshot.slots.values() for a in s.values()))
    ]
    assert not any(np.shares_memory(snapshot.values[name], p.value) for name, p in trainer.params.items())
