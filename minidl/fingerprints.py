"""What the bits of a training depend on, as words that can be compared: the net, the data, the optimizer, the machine.

A training that goes on from a checkpoint has to be the same in all of it; where it is not, `differences` names it.
"""

from __future__ import annotations

import inspect
import json
import platform
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl import kernels
from minidl.data import Batch
from minidl.description import describe
from minidl.figures import name_of
from minidl.inputs import Array
from minidl.kernels.threads import blas_threads
from minidl.mapped import whole_of
from minidl.version import __version__

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in the repr of an object: another one in each process


def checksum(value: Any, start: int = 0) -> int:
    """A checksum of arrays in tuples and lists."""
    if value is None:
        return zlib.crc32(b"none", start)
    if isinstance(value, tuple | list) and any(isinstance(part, tuple | list | np.ndarray) for part in value):
        start = zlib.crc32(f"{len(value)} parts".encode(), start)
        for part in value:
            start = checksum(part, start)
        return start
    a: Array = np.ascontiguousarray(value)
    if a.dtype.kind not in "fiubcUS":
        return zlib.crc32(ADDRESS.sub("", repr(a.tolist())).encode("utf-8", "replace"), start)
    return zlib.crc32(a.reshape(-1).view(np.uint8).data, zlib.crc32(f"{a.shape} {a.dtype.str}".encode(), start))


def settings(thing: Any, without: str = "") -> str:
    """An object by its class and what its constructor was given: Adam(betas=(0.9, 0.999), ...)."""
    given = {name: getattr(thing, name, None) for name in inspect.signature(type(thing)).parameters if name != without}
    words = [f"{name}={word(value)}" for name, value in given.items() if value is not None]
    return f"{type(thing).__name__}({', '.join(words)})"


def word(value: Any) -> str:
    """A value as it is in every process."""
    return ADDRESS.sub("", repr(value))


def of_data(data: Any) -> dict[str, Any]:
    """Data to train on or to validate with, by its class, its sizes, and checksums of its arrays."""
    if data is None:
        return {}
    facts: dict[str, Any] = {"class": type(data).__name__}
    if hasattr(data, "__len__"):
        facts["batches"] = len(data)
    if type(data).__module__.startswith("minidl."):
        for name, value in vars(data).items():
            facts[name] = value if value is None or isinstance(value, bool | int | str) else form(value)
    elif isinstance(data, list | tuple):
        facts["content"] = form(data)
    elif hasattr(data, "epoch"):  # to look into another iterable may change it
        facts["first batch"] = form(next(iter(data.epoch(0)), None))
    return facts


def form(value: Any) -> str:
    """Arrays by shape, dtype and checksum; batches and lists of arrays by their checksum.

    Of ids that are mapped from a file, the file's checksum does: to read them all would take as long as they are.
    """
    if isinstance(value, np.ndarray) and (whole := whole_of(value)) is not None:
        at, steps = value.ctypes.data - whole.ctypes.data, value.strides
        return f"{value.shape} of {value.dtype}, from byte {at} by {steps} of ids with checksum {whole.checksum:08x}"
    shape = f"{value.shape} of {value.dtype}, " if isinstance(value, np.ndarray) else ""
    return f"{shape}checksum {checksum(value):08x}"


def of_batch(batch: Batch) -> int:
    """A batch by its checksum."""
    return checksum(tuple(batch))


def fits(batch: Batch, known: Any, state: Any) -> bool:
    """Whether a batch has this checksum, and a state that is carried has as many rows."""
    rows = rows_in(batch.x)
    return of_batch(batch) == known and (not rows or rows_in(state) <= rows)


def rows_in(tree: Any) -> set[int]:
    """Return the sizes of the first axis of the arrays in a tree; one size where all is well."""
    if isinstance(tree, tuple | list | dict):
        parts = tree.values() if isinstance(tree, dict) else tree
        return {rows for part in parts for rows in rows_in(part)}
    return {len(tree)} if isinstance(tree, np.ndarray) and tree.ndim else set()


def of_training(trainer: Any) -> dict[str, Any]:
    """What has to be the same for a training to go on; which parameters are frozen may change on the way."""
    net = describe(trainer.net)
    facts: dict[str, Any] = {"seed": trainer.seed, "accumulate": trainer.accumulate}
    facts |= {"metrics": ", ".join(map(name_of, trainer.metrics))}
    facts |= {"loss": settings(trainer.loss), "optimizer": settings(trainer.optimizer, without="lr")}
    lr = trainer.optimizer.lr
    if any(hasattr(callback, "stretch") for callback in trainer.callbacks):  # it stretches the schedule on the way
        lr = getattr(lr, "schedule", lr)
    facts |= {"learning rate": word(lr)}
    for what in "data", "validation":  # first, for the symbols of another text make another net as well
        facts |= {f"{what}, {name}": value for name, value in of_data(getattr(trainer, what)).items()}
    for k, layer in enumerate(net["layers"]):
        told = {key: layer[key] for key in ("class", "args", "in_shape")}
        facts[f"layer {k + 1}"] = json.dumps(told, ensure_ascii=False)
    for name, p in trainer.net.params.items():
        facts[f"parameter {name}"] = f"{p.value.shape} of {p.value.dtype}"
    return facts


def of_machine() -> dict[str, Any]:
    """What the last bits depend on besides."""
    return {
        "minidl": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "kernels": kernels.in_words(),
        "BLAS threads": blas_threads(),
        "processor": processor(),
    }


def processor() -> str:
    """The name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration, ValueError):
        return platform.processor() or platform.machine()


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is another than it was, in words."""
    names = [*then, *(name for name in now if name not in then)]
    return [
        f"{name} was {then.get(name, 'not there')}, is {now.get(name, 'not there')}"
        for name in names
        if then.get(name) != now.get(name)
    ]
