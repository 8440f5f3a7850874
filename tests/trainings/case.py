"""A case of the ward of trainings: what is wrong, the code that must come first, and what the doctor says."""

from collections.abc import Callable
from functools import cache
from pydoc_data.topics import topics
from typing import Any, NamedTuple

import numpy as np

import minidl
from minidl.checking import Finding


class Training(NamedTuple):
    """A training; `examine` returns the doctor's findings on it, and `codes` are those that may come first."""

    name: str
    examine: Callable[[], list[Finding]]
    codes: tuple[str, ...] = ()
    fault: str = ""


@cache
def ids() -> tuple[Any, Any]:
    """Some 9,000 characters that every Python has, as ids, and their vocabulary."""
    text = "".join(topics[name] for name in ("assignment", "class", "exceptions", "if", "while"))[:9000]
    vocab = minidl.CharVocab.of(text)
    return vocab.encode(text), vocab


def streams(rows: int = 8, steps: int = 24, share: float = 0.2) -> tuple[Any, Any]:
    """Windows of the text to train on, and some to validate with."""
    train, held = minidl.split(ids()[0], share)
    return minidl.TextStream(train, rows, steps), minidl.TextStream(held, 2, steps)


def language_model(*layers: Any, embedding: int = 16) -> minidl.Sequential:
    """A net that reads symbols and predicts the next one."""
    V = len(ids()[1])
    return minidl.Sequential([minidl.Embedding(V, embedding), *layers, minidl.Dense(V), minidl.Softmax()])


def lstm(units: int = 32, **more: Any) -> minidl.LSTM:
    """An LSTM with an output at every step."""
    return minidl.LSTM(units, return_sequences=True, **more)


def built(net: Any, in_shape: Any = (None,)) -> Any:
    """The net with its weights."""
    net.build(in_shape, 0)
    return net


def series(count: int = 96, steps: int = 20, features: int = 3, seed: int = 0) -> Any:
    """Random features [N, T, D]."""
    return np.random.default_rng(seed).standard_normal((count, steps, features)).astype(np.float32)


def diagnosed(net: Any, loss: Any, batches: Any, optimizer: Any = None, **more: Any) -> list[Finding]:
    """What `diagnose` finds."""
    return minidl.diagnose(net, loss, batches, optimizer, **more).findings


def watched(net: Any, loss: Any, data: Any, optimizer: Any, callbacks: Any = (), **fit: Any) -> list[Finding]:
    """What `Doctor` finds in a training."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        doctor = minidl.Doctor(f"{folder}/black-box", quiet=True)
        trainer = minidl.Trainer(net, loss, optimizer, [doctor, *callbacks], quiet=True)
        trainer.fit(data, **fit)
        assert doctor.diagnosis is not None
        return doctor.diagnosis.findings
