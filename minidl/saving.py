"""Models on disk: one .npz that holds the parameters by dotted name, and how to build the net again.

Anyone with NumPy can read it: `np.load("model.npz")["lstm.Wx"]`. The member `__minidl__` is a JSON header: the
layers as class names from a fixed list with their arguments, which parameter of theirs is which array, and what is
frozen (`description.py`). There is no code in the file, and no name in it is ever imported or used as a path.

A reader trusts nothing: `archive.py` compares every byte of the headers with what it has to be; the arrays have to have
the sizes that the layers' arguments ask for before a parameter is made, and no more is kept in memory than they take.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from minidl import durable
from minidl.archive import Member, archive, no_model, opened, read_array, read_directory, read_into
from minidl.container import Container
from minidl.description import BUILT_IN, MOST_TEXT, check_layers, describe, read_header, recall, write_header
from minidl.errors import ArgumentError, MinidlError, ModelFormatError
from minidl.initializers import Drawn
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.parameter import Parameter
from minidl.text import vocab_from_dict

HEADER = "__minidl__"
TRAINING = "__training__/"  # what the names of a checkpoint's other arrays begin with


def save(net: Layer, path: str | os.PathLike[str]) -> None:
    """See `Layer.save`."""
    durable.replace(Path(path), archive(arrays_of(net)))


def arrays_of(net: Layer, training: Any = None, more: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """What the file of a net holds, by name: the header, the parameters, and `more` of a checkpoint."""
    header = write_header(describe(net, training))
    params = {name: p.value for name, p in net.params.items()}
    for name in params:
        if name.startswith("__"):
            raise ArgumentError(f"A file keeps names that begin with __ for itself, got {name!r}: rename the layer.")
    return {HEADER: header} | params | {TRAINING + name: values for name, values in (more or {}).items()}


class File(NamedTuple):
    """A file that is open, with its header and its directory."""

    path: Any
    file: IO[bytes]
    header: dict[str, Any]
    members: dict[str, Member]  # without the header

    def array(self, name: str) -> Array:
        """A member as an array."""
        return read_array(self.file, self.members[name])


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[File]:
    """Open a file, and say of all that is wrong with it that it is no model.

    Raises:
        OSError: when the file cannot be read. ModelFormatError: when it is no model, with the reason.
    """
    try:
        with opened(path) as file:
            members = read_directory(file, path)
            header = members.pop(HEADER, None)
            if header is None:
                raise no_model(path, "it has no header.", "")
            if len(header.shape) != 1 or header.dtype != np.uint8 or header.nbytes > MOST_TEXT:
                raise no_model(path, "its header is no text, or too long.")
            yield File(path, file, read_header(read_array(file, header).tobytes()), members)
    except (OSError, MemoryError):
        raise
    except ModelFormatError as error:
        raise error if str(error).startswith(str(path)) else no_model(path, str(error)) from None
    except Exception as error:
        reason = str(error) if isinstance(error, MinidlError) else f"{type(error).__name__}: {error}"
        raise no_model(path, reason) from error


def load(path: str | os.PathLike[str], classes: Iterable[type[Layer]] = ()) -> Any:
    """Read a net that `net.save(path)` wrote.

    Whatever the file holds, it runs no code and opens no other file; what is kept in memory is its size, and 64 MiB
    at most. (A layer of your own builds itself as it was written.)

    Args:
        path: the file.
        classes: layer classes of your own that the net may contain; a name in the file is looked up here and
            among minidl's own layers, and nowhere else.

    Raises:
        OSError: when the file cannot be read. ModelFormatError: when it is no model, with the reason.

    Example:
        >>> import tempfile, os
        >>> net = minidl.Sequential([minidl.LSTM(4, peephole=True), minidl.Dense(2)])
        >>> _ = net.build((None, 3))
        >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
        >>> net.save(path)
        >>> bool((minidl.load(path)(np.ones((1, 5, 3))) == net(np.ones((1, 5, 3)))).all())
        True
    """
    own = (classes,) if isinstance(classes, type) else tuple(classes)
    with reading(path) as file:
        return rebuilt(file, {cls.__name__: cls for cls in (*BUILT_IN, *own)})


class Stored:
    """The parameters of a file; each is made when the first layer asks for it, and is the same for the others."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.members = {name: m for name, m in file.members.items() if not name.startswith(TRAINING)}
        self.made: dict[str, Parameter] = {}

    def parameter(self, name: str, shape: tuple[int, ...], dtype: Any) -> Parameter:
        """The parameter of that name; what is stored has to have the shape and the dtype."""
        member = self.members.get(name)
        if member is None:
            raise ModelFormatError(f"{name!r:.60} is missing.")
        if (member.shape, member.dtype) != (shape, dtype):
            raise ModelFormatError(
                f"{name!r:.60} has {member.shape} of {member.dtype}, the net {shape} of {np.dtype(dtype)}."
            )
        if name not in self.made:
            p = Parameter(np.broadcast_to(np.zeros((), member.dtype), member.shape))  # one number, until it is copied
            read_into(self.file.file, member, p.value)
            self.made[name] = p
        return self.made[name]


def rebuilt(file: File, known: dict[str, type[Layer]]) -> Layer:
    """The net that a file describes."""
    header, stored = file.header, Stored(file)
    made: list[Layer] = []
    check_layers(header["layers"])
    for entry in header["layers"]:
        if entry["class"] not in known:
            if not entry["class"].isidentifier():
                raise ModelFormatError("the name of a layer's class is no name.")
            raise ModelFormatError(
                f"{file.path} contains a layer {entry['class']!r:.60}, which is none of minidl's: hand its class over, "
                f"load(path, classes=[{entry['class'][:60]}])."
            )
        layer = known[entry["class"]](**{name: recall(value, made) for name, value in entry["args"].items()})
        build_from(layer, entry["in_shape"], np.dtype(header["dtype"]), dict(entry["params"]), stored)
        made.append(layer)
    if not 0 <= header["net"] < len(made):
        raise ModelFormatError("its net is none of its layers.")
    net = made[header["net"]]
    if not isinstance(net, Container) and (header["vocab"] is not None or header["facts"]):
        raise ModelFormatError("it has a vocabulary or facts, which only a net of layers has.")
    params = net.params
    if list(params) != list(stored.members) or any(p is not stored.made.get(name) for name, p in params.items()):
        extra = [name for name in stored.members if name not in params]
        raise ModelFormatError(f"{extra[0]!r:.60} is not in the net." if extra else "its arrays have another order.")
    if len(set(header["frozen"])) < len(header["frozen"]):
        raise ModelFormatError("it freezes a parameter twice.")
    for name in header["frozen"]:
        params[name].trainable = False
    if header["vocab"] is not None:
        net.vocab = vocab_from_dict(header["vocab"])
    if header["facts"]:
        net.facts = dict(header["facts"])
    return net


def build_from(layer: Layer, in_shape: Any, dtype: Any, names: dict[str, str], stored: Stored) -> None:
    """Build a layer whose parameters are in a file: nothing is drawn."""

    def add_param(name: str, value: Array | Drawn | Parameter, trainable: bool = True) -> Parameter:
        if name not in names:
            raise ModelFormatError(f"{type(layer).__name__} has a parameter {name!r} that is not there.")
        form = value.value if isinstance(value, Parameter) else value if isinstance(value, Drawn) else np.asarray(value)
        p = stored.parameter(names.pop(name), form.shape, form.dtype)
        if isinstance(value, Parameter) and value is not p:
            raise ModelFormatError(f"{type(layer).__name__} shares its {name!r} with another layer.")
        layer._own_params = layer._own_params | {name: p}
        return p

    layer.add_param = add_param  # type: ignore[method-assign]  # while it is built
    try:
        layer.build(in_shape, dtype=dtype)
    finally:
        del layer.add_param
    if names:
        raise ModelFormatError(f"{type(layer).__name__} has no parameter {next(iter(names))!r:.60}.")


class Unfit(NamedTuple):
    """What `load_weights` could not use, by dotted name; all empty where everything fits."""

    missing: list[str]  # in the net, not in the file
    unexpected: list[str]  # in the file, not in the net
    misshapen: list[str]  # in both, of another shape or dtype


def load_weights(net: Layer, path: str | os.PathLike[str], strict: bool = True) -> Unfit:
    """See `Layer.load_weights`."""
    if net.in_shape is None:
        raise ArgumentError(f"load_weights expects a built net, got a {type(net).__name__} that is not: build it.")
    params = net.params
    with reading(path) as file:
        stored = Stored(file).members
        forms = {name: (p.value.shape, p.value.dtype) for name, p in params.items()}
        fitting = [
            name for name in params if name in stored and (stored[name].shape, stored[name].dtype) == forms[name]
        ]
        unfit = Unfit(
            [name for name in params if name not in stored],
            [name for name in stored if name not in params],
            [name for name in params if name in stored and name not in fitting],
        )
        if strict and any(unfit):
            words = {
                "missing": ", ".join(unfit.missing),
                "unexpected": ", ".join(unfit.unexpected),
                "misshapen": ", ".join(
                    f"{name} {stored[name].shape} of {stored[name].dtype} for {forms[name][0]} of {forms[name][1]}"
                    for name in unfit.misshapen
                ),
            }
            listed = "; ".join(f"{what} {names}" for what, names in words.items() if names)
            raise ModelFormatError(f"{path} does not fit the net: {listed}. strict=False takes what fits.")
        values = {name: file.array(name) for name in fitting}
    for name, value in values.items():  # nothing is changed before all of it was read
        params[name].value[...] = value
    return unfit
