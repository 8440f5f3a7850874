"""Parameters alone, from a file into a net that is there: a model of minidl, or any .npz of arrays by dotted name."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minidl.archive import about, no_model, opened
from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.names import shown
from minidl.parameter import Parameter
from minidl.saving import HEADER, TRAINING, as_path, blaming, reading

MOST_NAMED = 10  # in a message
MOST_HEADER = 2**12  # bytes of the header of an array: names of fields and what else there may be are refused anyway


class Unfit(NamedTuple):
    """What `load_weights` could not use, by dotted name; all empty where everything fits."""

    missing: list[str]  # in the net, not in the file
    unexpected: list[str]  # in the file, not in the net
    misshapen: list[str]  # in both, of another shape, or no real numbers


class Stored(NamedTuple):
    """An array in a file: its form, and how to read it."""

    shape: tuple[int, ...]
    dtype: Any
    read: Callable[[], Array]

    def fits(self, p: Parameter) -> bool:
        """Whether a parameter can take it over; other real numbers are cast."""
        return self.shape == p.value.shape and self.dtype.kind in "fiu"


def load_weights(net: Layer, path: str | os.PathLike[str], strict: bool = True) -> Unfit:
    """See `Layer.load_weights`."""
    if net.in_shape is None:
        raise ArgumentError(f"load_weights expects a built net, got a {type(net).__name__} that is not: build it.")
    params = net.params
    with stored_arrays(as_path("load_weights", path)) as stored:
        fitting = [name for name, p in params.items() if name in stored and stored[name].fits(p)]
        unfit = Unfit(
            [name for name in params if name not in stored],
            [name for name in stored if name not in params],
            [name for name in params if name in stored and name not in fitting],
        )
        if strict and any(unfit):
            raise about(path, f"does not fit the net: {told(unfit, stored, params)}. strict=False takes what fits.")
        values = {name: cast(path, name, stored[name].read(), params[name].value.dtype) for name in fitting}
    for name, value in values.items():  # nothing is changed before all of it was read
        params[name].value[...] = value
    return unfit


def told(unfit: Unfit, stored: dict[str, Stored], params: Any) -> str:
    """What does not fit, with its forms."""
    words = {
        "missing": [f"{name!r:.60}" for name in unfit.missing],
        "unexpected": [f"{name!r:.60}" for name in unfit.unexpected],
        "misshapen": [
            f"{name!r:.60} {stored[name].shape} of {stored[name].dtype} for {params[name].value.shape}"
            for name in unfit.misshapen
        ],
    }
    return "; ".join(f"{what} {shown(names, MOST_NAMED)}" for what, names in words.items() if names)


def cast(path: Any, name: str, value: Array, dtype: Any) -> Array:
    """An array in the net's dtype; refuse numbers that become infinite by it."""
    with np.errstate(over="ignore"):
        found = value.astype(dtype)
    if not np.isfinite(found).all() and np.isfinite(value).all():
        largest = float(abs(value).max())
        raise about(path, f"holds {largest:.3g} in {name!r:.60}, more than {np.dtype(dtype)} takes: build in float64.")
    return found


@contextmanager
def stored_arrays(path: str) -> Iterator[dict[str, Stored]]:
    """The arrays of a file by name, while it is open."""
    if not is_plain(path):
        with reading(path) as file:
            members = {name: m for name, m in file.members.items() if not name.startswith(TRAINING)}
            yield {name: Stored(m.shape, m.dtype, partial(file.array, name)) for name, m in members.items()}
        return
    with blaming(path), opened(path) as raw, zipfile.ZipFile(raw) as archive:
        found = {}
        for info in archive.infolist():
            name, ending = info.filename[:-4], info.filename[-4:]
            if ending != ".npy" or name in found:
                raise no_model(path, f"its member {info.filename!r:.60} is no array of its own.", "")
            with archive.open(info) as member:
                shape, dtype = form_of(member)
            if info.file_size > MOST_HEADER + np.prod(shape, dtype=float) * dtype.itemsize:
                raise no_model(path, f"its member {info.filename!r:.60} is longer than its array.", "")
            found[name] = Stored(shape, dtype, partial(array_of, archive, info.filename))
        yield found


def is_plain(path: str) -> bool:
    """Whether it is an archive that minidl did not write: such as of np.savez."""
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return f"{HEADER}.npy" not in archive.namelist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            return False  # reading says what it is


def form_of(member: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the dtype that an array's header tells."""
    version = np.lib.format.read_magic(member)
    read: Any = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, dtype = read(member, max_header_size=MOST_HEADER)
    return shape, dtype


def array_of(archive: zipfile.ZipFile, member: str) -> Array:
    """An array of an archive; objects, which only pickle could make again, are refused."""
    with archive.open(member) as file:
        found: Array = np.lib.format.read_array(file, allow_pickle=False, max_header_size=MOST_HEADER)
        return found
