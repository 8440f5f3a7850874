"""Models on disk: one .npz that holds the parameters by dotted name, and how to build the net again.

Anyone with NumPy can read it: `np.load("model.npz")["lstm.Wx"]`. The member `__minidl__` is a JSON header: the
layers as class names from a fixed list with their arguments, which parameter of theirs is which array, and what is
frozen (`description.py`). There is no code in the file, and no name in it is ever imported or used as a path.

A reader trusts nothing: `archive.py` compares every byte of the headers with what it has to be; the arrays have to have
the sizes that the layers' arguments ask for before a parameter is made, and no more is kept in memory than they take.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from minidl import durable
from minidl.archive import Member, about, archive, no_model, opened, read_array, read_directory, read_into
from minidl.arguments import arguments_of, with_argument_help
from minidl.container import Container
from minidl.description import (
    BUILT_IN,
    LIMITS,
    Description,
    check_layers,
    describe,
    mentioned,
    params_to_store,
    plain,
    read_header,
    recall,
    write_header,
)
from minidl.errors import ArgumentError, MinidlError, ModelFormatError
from minidl.gradients import nonfinite_parameter
from minidl.initializers import Drawn
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.parameter import Parameter
from minidl.plain_json import as_json
from minidl.text import vocab_from_dict

HEADER = "__minidl__"
TRAINING = "__training__/"  # what the names of a checkpoint's other arrays begin with


def save(net: Layer, path: str | os.PathLike[str]) -> None:
    """See `Layer.save`."""
    text = as_path("save", path)
    if text.endswith((os.sep, os.altsep or os.sep)):
        raise IsADirectoryError(errno.EISDIR, "a file is expected, this is the name of a folder", text)
    arrays = checked(net)
    bad = nonfinite_parameter(net.params)
    if bad is not None:
        warnings.warn(f"{text}: {bad}. The commands of minidl refuse such a model.", stacklevel=3)
    durable.replace(Path(text), archive(arrays))


def checked(net: Layer) -> dict[str, Array]:
    """What the file of a net holds, by name, after all that could be lost by it was refused, or told.

    Raises:
        ArgumentError: for what a file cannot hold, or load could not make again.
    """
    arrays = arrays_of(net)
    rehearse(net, arrays[HEADER])
    return arrays


def as_path(owner: str, path: Any) -> str:
    """A path as text; a number would be a file that somebody else has open."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
    if not text or "\0" in text:
        raise ArgumentError(f"{owner} expects the path of a file, like 'model.npz', got {path!r:.60}.")
    return text


def arrays_of(net: Layer, training: Any = None, more: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """What the file of a net holds, by name: the header, the parameters, and `more` of a checkpoint."""
    header = write_header(describe(net, training))
    params = {name: p.value for name, p in net.params.items()}
    for name in params:
        if name.startswith("__"):
            raise ArgumentError(f"A file keeps names that begin with __ for itself, got {name!r}: rename the layer.")
    return {HEADER: header} | params | {TRAINING + name: values for name, values in (more or {}).items()}


def rehearse(net: Layer, header: Array) -> None:
    """Refuse a net of which something would be lost: where it has layers of one's own, it is made again as by load.

    (Checkpoints do without: they go back into a net that is there.)
    """
    layers = Description(net).layers
    for inner in layers[:-1]:
        if isinstance(inner, Container) and (inner.vocab is not None or inner.facts):
            warnings.warn(
                f"A file holds the vocabulary and the facts of the whole net, not those of {inner!r:.60} in it: where "
                f"they are wanted, give them to the whole net (net.vocab, net.facts).",
                stacklevel=5,
            )
    known = {type(layer).__name__: type(layer) for layer in layers}
    if set(known.values()) <= set(BUILT_IN):
        return
    params = net.params
    forms = {name: (p.value.shape, p.value.dtype) for name, p in params.items()}
    stored = Stored(forms, lambda name, out: np.copyto(out, params[name].value))
    try:
        made = rebuilt(read_header(header.tobytes()), stored, known)
    except (MemoryError, OSError):
        raise
    except Exception as error:
        raise ArgumentError(f"load could not make this net again: {in_words(error)}") from error
    for layer, again in zip(layers, made, strict=True):
        for name, value in vars(layer).items() if type(layer) not in BUILT_IN else ():
            anew: Any = vars(again).get(name)
            arrays = isinstance(value, np.ndarray) and isinstance(anew, np.ndarray)
            if arrays and not np.array_equal(value, anew, equal_nan=value.dtype.kind in "fc"):
                warnings.warn(
                    f"{type(layer).__name__} keeps an array self.{name} that load makes anew, with other numbers: "
                    f"where they matter, make it a parameter in setup, self.add_param({name!r}, value, "
                    f"trainable=False).",
                    stacklevel=5,
                )


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
    with blaming(path), opened(path) as file:
        yield open_model(file, path)


def open_model(file: IO[bytes], path: str | os.PathLike[str]) -> File:
    """Read the header and the directory of a model in an open file."""
    members = read_directory(file, path)
    header = members.pop(HEADER, None)
    if header is None:
        raise no_model(path, "it has no header.", "")
    if len(header.shape) != 1 or header.dtype != np.uint8 or header.nbytes > LIMITS.size:
        raise no_model(path, "its header is no text, or too long.")
    return File(path, file, read_header(read_array(file, header).tobytes()), members)


@contextmanager
def blaming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn every error of what is done with the content of a file into a ModelFormatError that names the file.

    Errors of the operating system and of memory stay as they are.
    """
    try:
        yield
    except (OSError, MemoryError):
        raise
    except ModelFormatError as error:
        raise error if error.path is not None else no_model(path, str(error)) from None
    except Exception as error:
        raise no_model(path, in_words(error)) from error


def in_words(error: Exception) -> str:
    """What was wrong; of an error that is none of minidl's, its kind as well."""
    return str(error) if isinstance(error, MinidlError) else f"{type(error).__name__}: {error}"


@with_argument_help
def load(path: str | os.PathLike[str], classes: Iterable[type[Layer]] = ()) -> Any:
    """Read a net that `net.save(path)` wrote.

    Whatever the file holds, it runs no code and opens no other file; what is kept in memory is its size, and 64 MiB
    at most. (A layer of your own builds itself as it was written.)

    Args:
        path: the file.
        classes: layer classes of your own that the net may contain; a name in the file is looked up here and
            among minidl's own layers, and nowhere else.

    Raises:
        OSError: when the file cannot be read. ModelFormatError: when it is no model, with the reason. ArgumentError:
            for what is no path, or no classes.

    Example:
        >>> import tempfile, os
        >>> net = minidl.Sequential([minidl.LSTM(4, peephole=True), minidl.Dense(2)])
        >>> _ = net.build((None, 3))
        >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
        >>> net.save(path)
        >>> bool((minidl.load(path)(np.ones((1, 5, 3))) == net(np.ones((1, 5, 3)))).all())
        True
    """
    known = {cls.__name__: cls for cls in (*BUILT_IN, *own_classes(classes))}
    with reading(as_path("load", path)) as file:
        members = {name: m for name, m in file.members.items() if not name.startswith(TRAINING)}
        forms = {name: (m.shape, m.dtype) for name, m in members.items()}
        stored = Stored(forms, lambda name, out: read_into(file.file, members[name], out))
        check_layers(file.header["layers"])
        unknown = next((entry["class"] for entry in file.header["layers"] if entry["class"] not in known), None)
        if unknown is not None:
            raise about(
                path,
                f"contains a layer {unknown!r:.60}, which is none of minidl's: hand its class over, load(path, "
                f"classes=[{unknown[:60]}]).",
            )
        return rebuilt(file.header, stored, known)[-1]


def own_classes(classes: Any) -> tuple[type[Layer], ...]:
    """The classes that were handed over, or what is wrong with them."""
    own = (classes,) if isinstance(classes, type) else tuple(classes) if isinstance(classes, Iterable) else (classes,)
    names: dict[str, Any] = {cls.__name__: cls for cls in BUILT_IN}
    for cls in own:
        if not isinstance(cls, type) or not issubclass(cls, Layer):
            raise ArgumentError(f"load expects classes to be classes of layers, like [MyLayer], got {cls!r:.60}.")
        if names.setdefault(cls.__name__, cls) is not cls:
            raise ArgumentError(f"load got two classes that are called {cls.__name__}: rename one, and save anew.")
    return own


class Stored:
    """The parameters that a net is to get; each is made when the first layer asks for it, and shared by the others.

    Args:
        forms: shape and dtype of each, by name.
        read: puts the numbers of a name into an array.
    """

    def __init__(self, forms: Mapping[str, tuple[Any, Any]], read: Callable[[str, Array], None]) -> None:
        self.forms = forms
        self.read = read
        self.made: dict[str, Parameter] = {}
        self._taken: set[int] = set()

    def parameter(self, name: str, form: Array | Drawn) -> Parameter:
        """The parameter of that name; what is stored has to have shape and dtype of `form`."""
        self.check(name, form)
        if name not in self.made:
            empty = np.broadcast_to(np.zeros((), form.dtype), form.shape)  # one number, until it is copied
            self.adopt(name, Parameter(empty))
        return self.made[name]

    def adopt(self, name: str, p: Parameter) -> bool:
        """Take a parameter that a layer made as the one of that name, if none of the others is either."""
        self.check(name, p.value)
        if name not in self.made and id(p) not in self._taken:
            self.read(name, p.value)
            self.made[name] = p
            self._taken.add(id(p))
        return self.made.get(name) is p

    def check(self, name: str, form: Array | Drawn) -> None:
        """Refuse a name that is not there, or is of another form."""
        if name not in self.forms:
            raise ModelFormatError(f"{name!r:.60} is missing.")
        shape, dtype = self.forms[name]
        if (shape, dtype) != (form.shape, form.dtype):
            raise ModelFormatError(
                f"{name!r:.60} has {shape} of {dtype}, the net {form.shape} of {np.dtype(form.dtype)}."
            )


def rebuilt(header: dict[str, Any], stored: Stored, known: Mapping[str, type[Layer]]) -> list[Layer]:
    """The layers that a header describes; the last is the net."""
    made: list[Layer] = []
    places: dict[int, int] = {}
    if header["net"] != len(header["layers"]) - 1:
        raise ModelFormatError("its net is not the last of its layers.")
    for entry in header["layers"]:
        name, args = entry["class"], entry["args"]
        needed = [n for n, p in arguments_of(known[name].__init__).items() if p.default is p.empty and n != "self"]
        if not set(needed) <= args.keys():
            raise ModelFormatError(f"a {name} of it lacks an argument: it needs {', '.join(needed)}.")
        layer = known[name](**{argument: recall(value, made) for argument, value in args.items()})
        kept = {n: plain(name, value, lambda inner: places.get(id(inner))) for n, value in layer.config().items()}
        if None in mentioned(kept):
            raise ModelFormatError(f"a {name} of it has a layer inside that is not in the file, and would be drawn.")
        kept = {n: value for n, value in kept.items() if n in args}  # an older minidl wrote fewer
        if as_json(kept) != as_json(args):
            raise ModelFormatError(f"a {name} of it was not written by minidl: it would have other arguments.")
        build_from(layer, entry["in_shape"], np.dtype(header["dtype"]), entry["params"], stored)
        places[id(layer)] = len(made)
        made.append(layer)
    net: Any = made[-1]
    if not isinstance(net, Container) and (header["vocab"] is not None or header["facts"]):
        raise ModelFormatError("it has a vocabulary or facts, which only a net of layers has.")
    params = net.params
    if list(params) != list(stored.forms) or any(p is not stored.made.get(name) for name, p in params.items()):
        extra = [name for name in stored.forms if name not in params]
        raise ModelFormatError(f"{extra[0]!r:.60} is not in the net." if extra else "its arrays have another order.")
    frozen = {name for name in header["frozen"] if type(name) is str}
    if header["frozen"] != [name for name in params if name in frozen]:
        raise ModelFormatError("it freezes what is no parameter of the net, or in another order.")
    for name, p in params.items():
        p.trainable = name not in frozen
    if header["vocab"] is not None:
        net.vocab = vocab_from_dict(header["vocab"])
    if header["facts"]:
        net.facts = dict(header["facts"])
    return made


def build_from(layer: Layer, in_shape: Any, dtype: Any, names: Mapping[str, str], stored: Stored) -> None:
    """Build a layer whose parameters are stored: nothing is drawn."""

    def stored_name(name: str) -> str:
        if name not in names:
            raise ModelFormatError(f"{type(layer).__name__} has a parameter {name!r} that is not there.")
        return names[name]

    def adopt(name: str, p: Parameter) -> None:
        if not stored.adopt(stored_name(name), p):
            raise ModelFormatError(f"{type(layer).__name__} shares its {name!r} with another layer.")

    def add_param(name: str, value: Array | Drawn | Parameter, trainable: bool = True) -> Parameter:
        if isinstance(value, Parameter) and name not in layer._own_params:
            adopt(name, value)
        elif name not in layer._own_params:
            value = stored.parameter(stored_name(name), value if isinstance(value, Drawn) else np.asarray(value))
        return type(layer).add_param(layer, name, value, trainable)

    for name, p in layer._own_params.items():  # a constructor made them
        adopt(name, p)
    layer.add_param = add_param  # type: ignore[method-assign]  # while it is built
    try:
        layer.build(in_shape, dtype=dtype)
    finally:
        vars(layer).pop("add_param", None)
    made = params_to_store(layer)
    for name in made.keys() - layer._own_params.keys():  # drawn by layers that the layer made itself
        adopt(name, made[name])
    if list(made) != list(names):
        raise ModelFormatError(f"{type(layer).__name__} has other parameters than {', '.join(names) or 'none'}.")
