"""`Box`: a step that went wrong with all that it followed from, in memory and in a file of minidl's container.

The file is a model as well, `minidl.load("black-box/step.npz")`: the parameters as they were before the step. There is
no code in it: a loss or an optimizer of one's own is there by name alone, and has to be given to who reads it.
"""

from __future__ import annotations

import copy
import inspect
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from minidl import durable, fingerprints, losses, optimizers, quantiles
from minidl.archive import archive
from minidl.checkpoint_checks import anything, check_slots, word
from minidl.doctor.given import Step, as_step
from minidl.doctor.record import Record, check_record
from minidl.doctor.watch import Trouble, Watch, What
from minidl.errors import ArgumentError, ModelFormatError
from minidl.file_values import (
    Check,
    arrays,
    count,
    dict_of,
    entries,
    list_of,
    names,
    natural,
    number,
    optional,
    positive,
    refuse,
    size,
    text,
)
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.optimizer import Optimizer
from minidl.saving import TRAINING, arrays_of, load, reading
from minidl.trainer import Trainer
from minidl.trees import read_tree, write_tree

MEMBER = "box"  # with the JSON of everything but the arrays
LOSSES: dict[str, type[Loss]] = {
    cls.__name__: cls
    for cls in (
        losses.BinaryCrossEntropy, losses.CrossEntropy, losses.MeanSquaredError, losses.SoftmaxCrossEntropy,
        quantiles.QuantileLoss,
    )
}  # fmt: skip
OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.__name__: cls
    for cls in (
        optimizers.Adadelta, optimizers.Adagrad, optimizers.Adam, optimizers.AdamW, optimizers.RMSProp, optimizers.SGD,
    )
}  # fmt: skip


def trouble(what: str, value: Any) -> None:
    """Check the kind of a trouble and its step."""
    if type(value) is not list or len(value) != 2 or value[0] not in get_args(What):
        raise refuse(what, f"one of {', '.join(get_args(What))}, and a step", value)
    positive(what, value[1])


MADE: dict[str, Check] = {"class": text, "arguments": optional(dict_of(anything))}
CONTENT: dict[str, Check] = {
    "what": trouble,
    "words": text,
    "seed": natural,
    "epoch": count,
    "steps": list_of(anything, 2),
    "loss": lambda what, value: entries(what, value, MADE),
    "optimizer": lambda what, value: entries(
        what, value, MADE | {"steps": count, "lr_scale": size, "state": dict_of(dict_of(anything))}
    ),
    "after": dict_of(anything),
    "grads": dict_of(anything),
    "sums": dict_of(count),
    "level": number,
    "median": number,
    "record": dict_of(anything),
    "machine": dict_of(word),
}


class Box(NamedTuple):
    """What a black box holds.

    Of a spike the steps are two: the loss of the second shows what the update of the first has done. Of all other
    troubles there is one.
    """

    trouble: Trouble
    net: Layer  # with the parameters before the first of the steps
    loss: Loss
    optimizer: Optimizer  # with its memory before the first of the steps
    seed: int
    epoch: int
    steps: list[Step]
    after: dict[str, Array]  # the parameters before the second step
    grads: dict[str, Array]  # where they or the update went wrong, what that was made from, clipped as it was
    sums: dict[str, int]  # checksums of the gradients; of the parameters after the update, where that went wrong
    level: float  # what losses were to stay below
    median: float  # of the losses before
    record: Record
    machine: dict[str, Any]


def boxed(watch: Watch, trainer: Trainer, trouble: Trouble) -> Box:
    """What a watch keeps of the step that went wrong."""
    assert watch.step is not None  # it was begun
    back = trouble.what == "spike" and watch.step_before is not None and watch.earlier.step is not None
    steps = [watch.step_before, watch.step] if back and watch.step_before is not None else [watch.step]
    kept = watch.earlier if back else watch.snapshot
    net, optimizer = trainer.net.copy(), copy.deepcopy(trainer.optimizer)
    for name, p in net.params.items():
        p.value[...] = kept.values[name]
    optimizer.steps, optimizer.lr_scale = kept.steps, kept.lr_scale
    optimizer.state = {name: {slot: a.copy() for slot, a in slots.items()} for name, slots in kept.slots.items()}
    update = trouble.what == "update"
    return Box(
        trouble,
        net,
        trainer.loss,
        optimizer,
        trainer.seed,
        trainer.epoch,
        steps,
        {name: a.copy() for name, a in watch.snapshot.values.items()} if back else {},
        {name: p.grad.copy() for name, p in trainer.params.items()} if update or trouble.what == "gradient" else {},
        sums({name: p.value if update else p.grad for name, p in trainer.params.items()}),
        float("inf") if watch.spikes is None else watch.spikes.level,
        float("nan") if watch.spikes is None else watch.spikes.median,
        watch.record,
        fingerprints.of_machine(),
    )


def sums(arrays: Mapping[str, Array]) -> dict[str, int]:
    """A checksum of each; one nan is as good as another."""
    return {name: zlib.crc32(np.where(np.isnan(a), np.nan, a).astype(a.dtype).tobytes()) for name, a in arrays.items()}


# -- the file -------------------------------------------------------------------------------------


def write(box: Box, path: Path) -> None:
    """Write a box, whole or not at all.

    Raises:
        OSError: with what to do. ArgumentError: for what a file cannot hold.
    """
    trouble, record, optimizer = box.trouble, box.record, copy.copy(box.optimizer)
    if callable(optimizer.lr):  # a schedule is code, and one step has one rate
        optimizer.lr = optimizer.lr(optimizer.steps)
    content = {
        "what": [trouble.what, trouble.step],
        "words": trouble.words,
        "seed": box.seed,
        "epoch": box.epoch,
        "steps": [tuple(step) for step in box.steps],
        "loss": arguments(box.loss, LOSSES),
        "optimizer": arguments(optimizer, OPTIMIZERS)
        | {name: getattr(optimizer, name) for name in ("steps", "lr_scale", "state")},
        "after": box.after,
        "grads": box.grads,
        "sums": box.sums,
        "level": box.level,
        "median": box.median,
        "record": record.remember() | {"keep": record.keep, "figures": record.figures, "each": record.each},
        "machine": box.machine,
    }
    members = write_tree(content, MEMBER, "A black box")
    facts = {"step": trouble.step, "epoch": box.epoch}
    durable.replace(path, archive(arrays_of(box.net, facts, members)))


def arguments(thing: Any, known: Mapping[str, type]) -> dict[str, Any]:
    """A loss or an optimizer by its class and what it was given; of a class of one's own only the name."""
    name = type(thing).__name__
    if known.get(name) is not type(thing):
        return {"class": name, "arguments": None}
    return {"class": name, "arguments": {key: getattr(thing, key) for key in inspect.signature(type(thing)).parameters}}


def read(
    path: Path, loss: Loss | None = None, optimizer: Optimizer | None = None, classes: Iterable[type[Layer]] = ()
) -> Box:
    """Read a box; every byte of it is proven before anything is made of it.

    Args:
        path: the file.
        loss, optimizer: where those of the training are classes of one's own; the optimizer's memory is in the file.
        classes: of layers of one's own.

    Raises:
        OSError: when it cannot be read. ModelFormatError: when it is no box. ArgumentError: for what has to be given.
    """
    lacking: str | None = None
    with reading(path) as file:
        if TRAINING + MEMBER not in file.members:
            raise ModelFormatError("it is no black box: it holds no step that went wrong.")
        values = {name: file.array(name) for name in file.members if name.startswith(TRAINING)}
        content = read_tree({name.removeprefix(TRAINING): a for name, a in values.items()}, MEMBER)
        entries("black box", content, CONTENT)
        for what, known, given in ("loss", LOSSES, loss), ("optimizer", OPTIMIZERS, optimizer):
            lacking = lacking or to_be_given(what, content[what]["class"], content[what]["arguments"], known, given)
    if lacking is not None:
        raise ArgumentError(lacking)
    net = load(path, classes)
    with reading(path):  # what does not fit in it is told as such
        loss, optimizer = made(content["loss"], LOSSES, loss), made(content["optimizer"], OPTIMIZERS, optimizer)
        return unpacked(content, net, loss, optimizer)


def unpacked(content: dict[str, Any], net: Layer, loss: Loss, optimizer: Optimizer) -> Box:
    """A box from what a file holds; all of it has to be such as `boxed` makes it."""
    memory, kept = content["optimizer"], content["record"]
    what, at = content["what"]
    params = net.params
    check_slots(optimizer, params, memory["state"])
    optimizer.steps, optimizer.lr_scale, optimizer.state = memory["steps"], memory["lr_scale"], memory["state"]
    positive("record 'keep'", kept.get("keep"))
    rows = check_record("record", kept)
    names("record 'names'", kept["names"], params)
    record = Record(kept["names"], max(1, rows))  # its own `keep` says nothing of what the file holds
    record.recall(kept)
    steps = [as_step(net, step) for step in content["steps"]]
    if not 1 <= len(steps) <= (2 if what == "spike" else 1) or rows < len(steps):
        raise ModelFormatError("its steps are not those of its trouble.")
    like = {name: p.value for name, p in params.items()}
    arrays("parameters 'after'", content["after"], like if len(steps) > 1 else {})
    arrays("gradients", content["grads"], like if what in ("gradient", "update") else {})
    if content["sums"].keys() != like.keys():
        raise ModelFormatError("its checksums are not those of the net's parameters.")
    return Box(
        Trouble(what, at, content["words"]),
        net,
        loss,
        optimizer,
        content["seed"],
        content["epoch"],
        steps,
        content["after"],
        content["grads"],
        content["sums"],
        content["level"],
        content["median"],
        record,
        content["machine"],
    )


def to_be_given(what: str, name: str, arguments: Any, known: Mapping[str, type], given: Any) -> str | None:
    """What is to be said where the file's class is one's own and none was given, or another one; else None."""
    if given is not None and type(given).__name__ != name:
        return f"The training's {what} was a {name!s:.60}, got {given!r:.60}: give one like it, or none."
    if given is None and (arguments is None or name not in known):
        return (
            f"The training's {what} was a {name!s:.60}, a class of your own, which is not in the file: give it, "
            f"replay(folder, {what}={name!s:.60}(...))."
        )
    return None


def made(kept: Mapping[str, Any], known: Mapping[str, type], given: Any) -> Any:
    """The loss or the optimizer of a file, or a copy of the one that was given."""
    return copy.deepcopy(given) if given is not None else known[kept["class"]](**kept["arguments"])
