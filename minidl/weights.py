"""`load_weights`: parameters from a file, a model of minidl or any .npz of arrays by dotted name, into a built net."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import IO, Any, NamedTuple

import numpy as np

from minidl.archive import about, no_model, opened
from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.names import shown
from minidl.parameter import Parameter
from minidl.saving import HEADER, TRAINING, as_path, blaming, open_model

MOST_NAMED = 10  # in a message
MOST_HEADER = 2**12  # bytes: headers of numbers are short, and what is longer is refused anyway
HEADERS: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Unfit(NamedTuple):
    """What `load_weights` could not use, by dotted name; all empty where everything fits."""

    missing: list[str]  # in the net, not in the file
    unexpected: list[str]  # in the file, not in the net
    misshapen: list[str]  # in both, of another shape, or no real numbers


class Stored(NamedTuple):
    """An array in a file: its shape and dtype, and a function that reads it."""

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
            raise about(path, f"does not fit the net: {listed(unfit, stored, params)}. strict=False takes what fits.")
        values = {name: cast(path, name, stored[name].read(), params[name].value.dtype) for name in fitting}
    for name, value in values.items():  # nothing is changed before all of it was read
        params[name].value[...] = value
    return unfit


def listed(unfit: Unfit, stored: dict[str, Stored], params: Mapping[str, Parameter]) -> str:
    """Return the names that do not fit, with the shapes of those that are misshapen."""
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
    """Return an array in the net's dtype; refuse numbers that become infinite in it."""
    with np.errstate(over="ignore"):
        found = value.astype(dtype)
    if not np.isfinite(found).all() and np.isfinite(value).all():
        largest = float(abs(value).max())
        raise about(path, f"holds {largest:.3g} in {name!r:.60}, more than {np.dtype(dtype)} takes: build in float64.")
    return found


@contextmanager
def stored_arrays(path: str) -> Iterator[dict[str, Stored]]:
    """Open a file, and yield its arrays by name."""
    with blaming(path), opened(path) as file:
        archive = other_archive(file)
        if archive is None:
            model = open_model(file, path)
            members = {name: m for name, m in model.members.items() if not name.startswith(TRAINING)}
            yield {name: Stored(m.shape, m.dtype, partial(model.array, name)) for name, m in members.items()}
        else:
            with archive:
                yield arrays_in(archive, path)


def other_archive(file: IO[bytes]) -> zipfile.ZipFile | None:
    """Return the zip archive in a file, such as np.savez writes; None for a model of minidl, and for other files."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return None  # the reader of models reports what it is
    return None if f"{HEADER}.npy" in archive.namelist() else archive


def arrays_in(archive: zipfile.ZipFile, path: str) -> dict[str, Stored]:
    """Return the arrays of an archive by name; only their headers are read."""
    found: dict[str, Stored] = {}
    for info in archive.infolist():
        name, ending = info.filename[:-4], info.filename[-4:]
        if ending != ".npy" or name in found:
            raise no_model(path, f"its member {info.filename!r:.60} is not an array with a name of its own.", "")
        with archive.open(info) as member:
            version = np.lib.format.read_magic(member)
            if version not in HEADERS:
                raise no_model(path, f"its member {info.filename!r:.60} has an unknown version {version}.", "")
            shape, _, dtype = HEADERS[version](member, max_header_size=MOST_HEADER)
        if info.file_size > MOST_HEADER + np.prod(shape, dtype=float) * dtype.itemsize:
            raise no_model(path, f"its member {info.filename!r:.60} is longer than its array.", "")
        found[name] = Stored(shape, dtype, partial(array_of, archive, info.filename))
    return found


def array_of(archive: zipfile.ZipFile, member: str) -> Array:
    """Read an array of an archive; objects, which only pickle could restore, are refused."""
    with archive.open(member) as file:
        found: Array = np.lib.format.read_array(file, allow_pickle=False, max_header_size=MOST_HEADER)
        return found
