"""Models on disk: one .npz that holds the parameters by dotted name, and how to build the net again.

Anyone with NumPy can read it: `np.load("model.npz")["lstm.Wx"]`. The member `__minidl__` is a JSON header: the
layers as class names from a fixed list with their arguments, which parameter of theirs is which array, and what is
frozen. There is no code in the file, and no name in it is ever imported or used as a path.

A reader trusts nothing: `archive.py` compares every byte of the headers with what it has to be; the arrays have to have
the sizes that the layers' arguments ask for before a parameter is made, and no more is kept in memory than they take.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from minidl import layers
from minidl.archive import Member, no_model, opened, read_array, read_directory, read_into, write_file
from minidl.errors import ArgumentError, MinidlError, ModelFormatError
from minidl.initializers import Drawn
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.parameter import Parameter
from minidl.sequential import Sequential
from minidl.text import vocab_from_dict
from minidl.version import __version__

FORMAT = 1
HEADER = "__minidl__"
KEYS = ["format", "minidl", "layers", "net", "dtype", "frozen", "vocab", "facts"]
KINDS = [int, str, list, int, str, list, None, dict]
MOST_TEXT, MOST_VALUES, MOST_LAYERS = 2**22, 400_000, 10_000  # of a header: bytes, what JSON makes of them, layers
BUILT_IN: tuple[type[Layer], ...] = (
    layers.Dense,
    layers.Dropout,
    layers.Embedding,
    layers.Flatten,
    layers.LSTM,
    layers.LastStep,
    layers.LogSoftmax,
    layers.ReLU,
    layers.Sigmoid,
    layers.Softmax,
    layers.Tanh,
    Sequential,
)




def save(net: Layer, path: str | os.PathLike[str]) -> None:
    """Write a net to a file, all or nothing: a file that was there before stays until the new one is complete.

    A Sequential's `vocab` and `facts` travel with it.

    Args:
        net: a built layer or net.
        path: where to; by custom it ends in ".npz".

    Raises:
        ArgumentError: for a net that is not built, or a layer whose arguments cannot be written down.
    """
    write_file(Path(path), arrays_of(net))


def arrays_of(net: Layer) -> dict[str, Array]:
    """What the file of a net holds, by name: the header, and the parameters."""
    if net.in_shape is None:
        raise ArgumentError(f"save expects a built net, got a {type(net).__name__} that is not: call build first.")
    params = net.params
    names = {id(p): name for name, p in params.items()}
    described: list[dict[str, Any]] = []
    index = describe(net, described, {}, names)
    header = {
        "format": FORMAT,
        "minidl": __version__,
        "layers": described,  # each mentions only layers before it
        "net": index,
        "dtype": str(net.dtype or np.dtype(np.float32)),
        "frozen": [name for name, p in params.items() if not p.trainable],
        "vocab": net.vocab.to_dict() if isinstance(net, Sequential) and net.vocab is not None else None,
        "facts": net.facts if isinstance(net, Sequential) else {},
    }
    return {HEADER: as_bytes(header)} | {name: p.value for name, p in params.items()}


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
    with opened(path) as file:
        members = read_directory(file, path)
        header = header_of(file, members, path)
        del members[HEADER]
        try:
            return rebuilt(header, Stored(file, members, path), {cls.__name__: cls for cls in (*BUILT_IN, *own)})
        except (ModelFormatError, OSError):
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, MinidlError) else f"{type(error).__name__}: {error}"
            raise no_model(path, reason) from error


class Stored:
    """The parameters of a file; each is made when the first layer asks for it, and is the same for the others."""

    def __init__(self, file: IO[bytes], members: dict[str, Member], path: Any) -> None:
        self.file, self.members, self.path = file, members, path
        self.made: dict[str, Parameter] = {}

    def parameter(self, name: str, shape: tuple[int, ...], dtype: Any) -> Parameter:
        """The parameter of that name; what is stored has to have the shape and the dtype."""
        member = self.members.get(name)
        if member is None:
            raise no_model(self.path, f"{name!r:.60} is missing.")
        if (member.shape, member.dtype) != (shape, dtype):
            raise no_model(
                self.path,
                f"{name} has {member.shape} of {member.dtype}, the net {shape} of {np.dtype(dtype)}."
            )
        if name not in self.made:
            p = Parameter(np.broadcast_to(np.zeros((), member.dtype), member.shape))  # one number, until it is copied
            if not read_into(self.file, member, p.value):
                raise no_model(self.path, f"the checksum of {name!r:.60} is wrong.")
            self.made[name] = p
        return self.made[name]


def rebuilt(header: dict[str, Any], stored: Stored, known: dict[str, type[Layer]]) -> Layer:
    """The net that a header describes."""
    path = stored.path
    made: list[Layer] = []
    sizes: list[int] = []  # with all that is inside, as often as it is there
    for entry in header["layers"]:
        if list(entry) != ["class", "args", "in_shape", "params"]:
            raise no_model(path, "its layers have other entries than class, args, in_shape, params.")
        if entry["class"] not in known:
            if not entry["class"].isidentifier():
                raise no_model(path, "the name of a layer's class is no name.")
            raise ModelFormatError(
                f"{path} contains a layer {entry['class']!r:.60}, which is none of minidl's: hand its class over, "
                f"load(path, classes=[{entry['class'][:60]}])."
            )
        mentioned: list[int] = []
        args = {name: recall(value, made, mentioned) for name, value in entry["args"].items()}
        sizes.append(1 + sum(sizes[k] for k in mentioned))
        if sizes[-1] > MOST_LAYERS:
            raise no_model(path, f"its net has more than {MOST_LAYERS:,} layers.")
        layer = known[entry["class"]](**args)
        if entry["in_shape"] is not None:
            build_from(layer, entry["in_shape"], np.dtype(header["dtype"]), dict(entry["params"]), stored)
        made.append(layer)
    if type(header["net"]) is not int or not 0 <= header["net"] < len(made):
        raise no_model(path, "its net is none of its layers.")
    net = made[header["net"]]
    if net.in_shape is None:
        raise no_model(path, "its net has no in_shape.")
    params = net.params
    if list(params) != list(stored.members) or any(p is not stored.made.get(name) for name, p in params.items()):
        extra = [name for name in stored.members if name not in params]
        raise no_model(path, f"{extra[0]!r:.60} is not in the net." if extra else "its arrays have another order.")
    for name in header["frozen"]:
        params[name].trainable = False
    if header["vocab"] is not None:
        net.vocab = vocab_from_dict(header["vocab"])  # type: ignore[attr-defined]  # of a Sequential
    if header["facts"]:
        net.facts = dict(header["facts"])  # type: ignore[attr-defined]
    return net


def build_from(layer: Layer, in_shape: Any, dtype: Any, names: dict[str, str], stored: Stored) -> None:
    """Build a layer whose parameters are in a file: nothing is drawn."""

    def add_param(name: str, value: Array | Drawn | Parameter, trainable: bool = True) -> Parameter:
        if name not in names:
            raise no_model(stored.path, f"{type(layer).__name__} has a parameter {name!r} that is not there.")
        form = value.value if isinstance(value, Parameter) else value if isinstance(value, Drawn) else np.asarray(value)
        p = stored.parameter(names.pop(name), form.shape, form.dtype)
        if isinstance(value, Parameter) and value is not p:
            raise no_model(stored.path, f"{type(layer).__name__} shares its {name!r} with another layer.")
        layer._own_params = layer._own_params | {name: p}
        return p

    layer.add_param = add_param  # type: ignore[method-assign]  # while it is built
    try:
        layer.build(in_shape, dtype=dtype)
    finally:
        del layer.add_param
    if names:
        raise no_model(stored.path, f"{type(layer).__name__} has no parameter {next(iter(names))!r:.60}.")


class Unfit(NamedTuple):
    """What `load_weights` could not use, by dotted name."""

    missing: list[str]  # in the net, not in the file
    unexpected: list[str]  # in the file, not in the net
    misshapen: list[str]  # in both, of another shape or dtype

    def words(self, source: Any) -> str:
        """One line that says all of it."""
        parts = [f"{what} {', '.join(names)}" for what, names in zip(self._fields, self, strict=True) if names]
        return f"{source} does not fit the net: {'; '.join(parts)}."


def load_weights(net: Layer, path: str | os.PathLike[str], strict: bool = True) -> Unfit:
    """See `Layer.load_weights`."""
    params = net.params
    with opened(path) as file:
        members = read_directory(file, path)
        header_of(file, members, path)
        del members[HEADER]

        def fits(name: str) -> bool:
            return (members[name].shape, members[name].dtype) == (params[name].value.shape, params[name].value.dtype)

        unfit = Unfit(
            [name for name in params if name not in members],
            [name for name in members if name not in params],
            [
                f"{name} ({list(members[name].shape)} of {members[name].dtype} for {list(p.value.shape)} of {p.value.dtype})"
                for name, p in params.items()
                if name in members and not fits(name)
            ],
        )
        if strict and any(unfit):
            raise ModelFormatError(unfit.words(path) + " strict=False takes what fits.")
        read = {name: read_array(file, members[name]) for name in params if name in members and fits(name)}
    for name, value in read.items():
        if value is None:
            raise no_model(path, f"the checksum of {name!r:.60} is wrong.")
    for name, value in read.items():
        params[name].value[...] = value
    return unfit


# -- the header -----------------------------------------------------------------------------------


def as_bytes(header: Any) -> Array:
    """A header as an array of bytes."""
    try:
        text = as_json(header)
    except ValueError as error:
        raise ArgumentError(f"A file holds finite numbers and text, which the net's facts or words are not: {error}.") from error
    if len(text) > MOST_TEXT or values_in(text) > MOST_VALUES:
        raise ArgumentError(
            f"A file holds a header of up to {MOST_TEXT:,} bytes and {MOST_VALUES:,} values, got {len(text):,} and "
            f"{values_in(text):,}: a smaller vocabulary, or fewer facts, would fit."
        )
    return np.frombuffer(text, np.uint8)


def header_of(file: IO[bytes], members: Mapping[str, Member], path: Any) -> dict[str, Any]:
    """The header of a file, with the entries that it has to have."""
    member = members.get(HEADER)
    if member is None:
        raise no_model(path, "it has no header.", "")
    if len(member.shape) != 1 or member.dtype != np.uint8 or member.nbytes > MOST_TEXT:
        raise no_model(path, "its header is no text, or too long.")
    data = read_array(file, member)
    if data is None:
        raise no_model(path, "the checksum of its header is wrong.")
    text = data.tobytes()
    try:
        if values_in(text) > MOST_VALUES:
            raise ValueError("too many values")
        header = json.loads(text)
        if type(header) is dict and type(header.get("format")) is int and header["format"] > FORMAT:
            raise ModelFormatError(
                f"{path} has format {header['format']!r:.20}, this minidl reads up to {FORMAT}: a newer one wrote it."
            )
        sound = type(header) is dict and list(header) == KEYS and header["format"] == FORMAT and as_json(header) == text
    except ModelFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise no_model(path, f"its header: {error}") from error
    if not sound or any(type(value) is not kind for value, kind in zip(header.values(), KINDS, strict=True) if kind):
        raise no_model(path, f"its header is not what this minidl writes, {', '.join(KEYS)}.")
    return header


def as_json(header: Any) -> bytes:
    """JSON in one form only, so that a reader can ask for it byte for byte: no NaN, no key twice, no blank more."""
    return json.dumps(header, ensure_ascii=False, allow_nan=False).encode()


def values_in(text: bytes) -> int:
    """At most so many values and containers become of a JSON text."""
    return sum(text.count(mark) for mark in (b",", b":", b"[", b"{")) + 1


def describe(layer: Layer, described: list[dict[str, Any]], places: dict[int, int], names: dict[int, str]) -> int:
    """Append the layer, after those that it mentions, to `described`; return its place there.

    `names`: what the arrays of the parameters are called, by the id of each.
    """
    if id(layer) in places:
        return places[id(layer)]

    def plain(value: Any) -> Any:
        if isinstance(value, Layer):
            return {"layer": describe(value, described, places, names)}
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, tuple):
            return {"tuple": [plain(v) for v in value]}
        if isinstance(value, list):
            return [plain(v) for v in value]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise ArgumentError(
            f"{type(layer).__name__} has an argument that a file cannot hold, {value!r}: numbers, words, lists and "
            f"layers are what a constructor may keep on self."
        )

    name = type(layer).__name__
    if type(layer) not in BUILT_IN and name in {cls.__name__ for cls in BUILT_IN}:
        raise ArgumentError(f"A layer of your own has the name of minidl's {name}, and would load as that: rename it.")
    args = {name: plain(value) for name, value in layer.config().items()}
    for own, p in layer._own_params.items():
        if id(p) not in names:
            raise ArgumentError(
                f"A {name} that the net mentions has a parameter {own!r} that is none of net.params: it would be lost. "
                f"Let the params of the layer that mentions it contain it."
            )
    params = {own: names[id(p)] for own, p in layer._own_params.items()}
    described.append({"class": name, "args": args, "in_shape": layer.in_shape, "params": params})
    places[id(layer)] = len(described) - 1
    return places[id(layer)]


def recall(value: Any, made: list[Layer], mentioned: list[int]) -> Any:
    """An argument as it was, from its JSON form; layers are noted in `mentioned`."""
    if isinstance(value, list):
        return [recall(v, made, mentioned) for v in value]
    if not isinstance(value, dict):
        return value
    (kind, content), = value.items()
    if kind == "tuple":
        return tuple(recall(v, made, mentioned) for v in content)
    if kind != "layer" or type(content) is not int or not 0 <= content < len(made):
        raise ValueError("an argument that is none")
    mentioned.append(content)
    return made[content]
