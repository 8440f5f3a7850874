"""A training on disk: a model file that holds, besides the net, all that the rest of the training follows from.

`write` takes it from a trainer, `read` reads it back and proves every checksum, `restore` puts it into a trainer that
has the same net, data and optimizer. Since the order of the data and all randomness follow from the seed and from how
many batches were seen, a training that goes on from there has the bits of one that was never interrupted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl import durable, fingerprints
from minidl.archive import archive
from minidl.checkpoint_checks import check_carried, check_fit, check_state
from minidl.errors import ArgumentError, ModelFormatError
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.saving import TRAINING, arrays_of, blaming, reading
from minidl.trainer import Trainer
from minidl.trees import as_before, read_tree, write_tree

STATE = "state"  # the member with the JSON of everything but the arrays


class Saved(NamedTuple):
    """A checkpoint that was read."""

    path: Path
    facts: dict[str, Any]  # of its header: step, epoch
    frozen: list[str]
    weights: dict[str, Array]
    state: dict[str, Any]


def write(trainer: Trainer, path: Path, over: bool = False) -> None:
    """Write a training as it is between two updates, whole or not at all; `over`: this call of fit has come to its end.

    Raises:
        OSError: with what to do. ArgumentError: for a state that a file cannot hold.
    """
    durable.replace(path, archive(contents(trainer, over)))


def contents(trainer: Trainer, over: bool = False) -> dict[str, Array]:
    """What a checkpoint holds, by name."""
    state = {
        "what": trainer.what,
        "machine": fingerprints.of_machine(),
        "place": {name: getattr(trainer, name) for name in Trainer.PLACE},
        "call": trainer.calls + 1,
        "call is over": over,
        "ended": None if trainer.stop_reason == trainer.interrupted else trainer.stop_reason,
        "elapsed": time.perf_counter() - trainer.epoch_began,
        "history": trainer.history.rows,
        "row": trainer.row,
        "means": trainer.means.state_dict(),
        "carried": trainer.state,
        "last batch": None if trainer.learned is None else fingerprints.of_batch(trainer.learned),
        "optimizer": {name: getattr(trainer.optimizer, name) for name in ("steps", "lr_scale", "state")}
        | {"lr": number_of(trainer.optimizer.lr)},
        "callbacks": {name: callback.remember() for name, callback in remembering(trainer)},
    }
    arrays = write_tree(state, STATE, "A training")
    facts = {"step": trainer.step, "epoch": trainer.epoch}
    return arrays_of(trainer.net, facts, arrays)


def read(path: Path) -> Saved:
    """Read a checkpoint; every byte of it is proven before anything is made of it.

    Raises:
        OSError: when it cannot be read. ModelFormatError: when it is none, or damaged.
    """
    with reading(path) as file:
        facts = file.header["training"]
        if facts is None:
            raise ModelFormatError("it holds a net without a training to resume.")
        values = {name: file.array(name) for name in file.members}
        kept = {name.removeprefix(TRAINING): a for name, a in values.items() if name.startswith(TRAINING)}
        if STATE not in kept:
            raise ModelFormatError("it holds no training to resume.")
        state = check_state(read_tree(kept, STATE), facts)
        weights = {name: value for name, value in values.items() if not name.startswith(TRAINING)}
        if not set(file.header["frozen"]) <= weights.keys():
            raise ModelFormatError("it freezes parameters that it does not hold.")
        return Saved(path, facts, file.header["frozen"], weights, state)


def remembering(trainer: Trainer) -> Iterator[tuple[str, Any]]:
    """The callbacks that remember something, by class and number."""
    seen: Counter[str] = Counter()
    for callback in trainer.callbacks:
        if hasattr(callback, "remember"):
            kind = type(callback).__name__
            seen[kind] += 1
            yield f"{kind} {seen[kind]}", callback


def check(trainer: Trainer, saved: Saved, left: Any = None) -> list[str]:
    """Refuse a training that is another one; return what may change the last bits, in words.

    Args:
        trainer, saved: that goes on, and from where.
        left: the learning rate that the trainer's last call of fit left, where it had one.

    Raises:
        ArgumentError: with what is different. ModelFormatError: for a checkpoint that does not fit the trainer.
    """
    then, now = saved.state["what"], trainer.what
    rate = number_of(trainer.optimizer.lr)
    if trainer.over:  # another call of fit may have other data, and all that can be set in between
        then, now = (
            {name: words for name, words in what.items() if name.startswith(("layer ", "parameter "))}
            for what in (then, now)
        )
    elif rate is not None and rate in (saved.state["optimizer"]["lr"], left):  # a callback has set it on the way
        then, now = ({**what, "learning rate": rate} for what in (then, now))
    others = fingerprints.differences(then, now)
    if others:
        more = f"; and {len(others) - 2} more" if len(others) > 2 else ""
        raise ArgumentError(
            f"{saved.path} is of another training: {'; '.join(shortened(words) for words in others[:2])}{more}. "
            f"Make it the same, or train anew in another folder."
        )
    with blaming(saved.path):
        check_fit(trainer, saved.weights, saved.state)
        kept = saved.state["callbacks"]
        for name, callback in remembering(trainer):
            if name in kept and hasattr(callback, "check_recall"):
                callback.check_recall(trainer, kept[name])
    return fingerprints.differences(saved.state["machine"], fingerprints.of_machine())


def restore(trainer: Trainer, saved: Saved) -> None:
    """Put a checkpoint that has passed `check` into a trainer whose net is built.

    What its callbacks remember comes with `recall`.
    """
    state = saved.state
    trainer.what = state["what"]  # as the call was begun with, whatever a callback has set since
    for name, p in trainer.net.params.items():
        p.value[...] = saved.weights[name]
        p.trainable = name not in saved.frozen
    for name in Trainer.PLACE:
        setattr(trainer, name, state["place"][name])
    trainer.stop_reason, trainer.last_batch = state["ended"], state["last batch"]
    trainer.epoch_began = time.perf_counter() - state["elapsed"]
    trainer.history.rows[:] = state["history"]
    trainer.row = state["row"]
    if not trainer.epoch_open and trainer.history.rows:
        trainer.row = trainer.history.rows[-1]
    kept = state["means"]["metrics"]
    metrics = {n: as_before(kept[n], vars(metric)) for n, metric in trainer.means.metrics.items() if n in kept}
    trainer.means.load_state_dict(state["means"] | {"metrics": metrics})
    trainer.state = carried(trainer.net, state["carried"])
    optimizer = trainer.optimizer
    optimizer.forget_net()
    optimizer.steps, optimizer.lr_scale = state["optimizer"]["steps"], state["optimizer"]["lr_scale"]
    if state["optimizer"]["lr"] is not None:
        optimizer.lr = state["optimizer"]["lr"]
    optimizer.state = {
        name: in_layout(optimizer.slots(trainer.net.params[name].value), slots)
        for name, slots in state["optimizer"]["state"].items()
    }


def recall(trainer: Trainer, saved: Saved) -> None:
    """Give the callbacks back what they remembered; one that was not there begins anew."""
    kept = saved.state["callbacks"]
    for name, callback in remembering(trainer):
        if name in kept:
            callback.recall(trainer, kept[name])


def carried(net: Layer, state: Any) -> Any:
    """Return the state of a recurrent net with its named tuples.

    Raises:
        ModelFormatError: for a state that the net does not have.
    """
    check_carried(net, state)
    return None if state is None else as_before(state, net.initial_state(1))


def number_of(rate: Any) -> Any:
    """A learning rate that is a number; None for a schedule, which is no part of a file."""
    return None if callable(rate) else rate


def leaves(value: Any) -> Iterator[Array]:
    """The arrays in a tree."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict | tuple | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)


def in_layout(fresh: dict[str, Array], stored: Mapping[str, Array]) -> dict[str, Array]:
    """Slots of an optimizer, in the memory order in which it makes them."""
    for name, value in stored.items():
        if name in fresh and fresh[name].shape == value.shape:
            fresh[name][...] = value
        else:
            fresh[name] = value
    return fresh


def shortened(words: str) -> str:
    """Words that fit into a message, on one line."""
    words = " ".join(words.split())
    return words if len(words) <= 200 else f"{words[:199]}…"
