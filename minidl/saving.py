"""Models on disk: one .npz that holds the parameters by dotted name, and how to build the net again.

Anyone with NumPy can read it: `np.load("model.npz")["lstm.Wx"]`. The member `__minidl__` is a JSON header: the
layers as class names from a fixed list with their arguments, what they share, and what is frozen. There is no
code in the file, and no name in it is ever imported or used as a path.
"""

from __future__ import annotations

import errno
import io
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from minidl import layers
from minidl.errors import ArgumentError, MinidlError, ModelFormatError
from minidl.initializers import zeros
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.sequential import Sequential
from minidl.text import vocab_from_dict

FORMAT = 1
HEADER = "__minidl__"
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
    if net.in_shape is None:
        raise ArgumentError(f"save expects a built net, got a {type(net).__name__} that is not: call build first.")
    params = net.params
    described: list[dict[str, Any]] = []
    index = describe(net, described, {})
    header = {
        "format": FORMAT,
        "layers": described,  # each mentions only layers before it
        "net": index,
        "dtype": str(net.dtype or np.dtype(np.float32)),
        "frozen": [name for name, p in params.items() if not p.trainable],
        "vocab": net.vocab.to_dict() if isinstance(net, Sequential) and net.vocab is not None else None,
        "facts": net.facts if isinstance(net, Sequential) else {},
    }
    members = {HEADER: np.frombuffer(json.dumps(header, ensure_ascii=False).encode(), np.uint8)}
    write_npz(Path(path), members | {name: p.value for name, p in params.items()})


def load(path: str | os.PathLike[str], classes: Iterable[type[Layer]] = ()) -> Any:
    """Read a net that `net.save(path)` wrote.

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
    members = read_npz(Path(path))
    own = (classes,) if isinstance(classes, type) else tuple(classes)
    try:
        header = json.loads(bytes(members.pop(HEADER)))
        if header["format"] != FORMAT:
            raise ModelFormatError(
                f"{path} has format {header['format']!r}, this minidl reads {FORMAT}: a newer one wrote it."
            )
        known = {cls.__name__: cls for cls in (*BUILT_IN, *own)}
        made: list[Layer] = []
        for entry in header["layers"]:
            if not entry["class"].isidentifier():
                raise ModelFormatError(f"{path} contains a layer whose class name is no name.")
            if entry["class"] not in known:
                raise ModelFormatError(
                    f"{path} contains a layer {entry['class']!r}, which is none of minidl's: hand its class over, "
                    f"load(path, classes=[{entry['class']}])."
                )
            layer = known[entry["class"]](**{name: recall(value, made) for name, value in entry["args"].items()})
            if type(layer) in BUILT_IN and hasattr(layer, "init"):
                layer.init = dict.fromkeys(layer.init, zeros)  # what would be drawn is overwritten anyway
            if entry["in_shape"] is not None:
                layer.build(entry["in_shape"], dtype=np.dtype(header["dtype"]))
            made.append(layer)
        net = made[header["net"]]
        if net.in_shape is None:
            raise ArgumentError("the net has no in_shape.")
        frozen = set(header["frozen"])
        if header["vocab"] is not None:
            net.vocab = vocab_from_dict(header["vocab"])
        if header["facts"]:
            net.facts = dict(header["facts"])
    except ModelFormatError:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, MinidlError) else f"{type(error).__name__}: {error}"
        raise no_model(path, reason, "or damaged") from error
    fill(net, members, str(path))
    for name, p in net.params.items():
        p.trainable = name not in frozen
    return net


def fill(net: Layer, arrays: dict[str, Array], source: str) -> None:
    """Write arrays into the parameters of the same names; one message says all that does not fit."""
    params = net.params
    faults = [f"{name} is missing" for name in params if name not in arrays]
    faults += [f"{name} is not in the net" for name in arrays if name not in params]
    faults += [
        f"{name} has {a.shape} of {a.dtype} instead of {params[name].value.shape} of {params[name].value.dtype}"
        for name, a in arrays.items()
        if name in params and (a.shape, a.dtype) != (params[name].value.shape, params[name].value.dtype)
    ]
    if faults:
        raise ModelFormatError(f"{source} does not fit the net: {'; '.join(faults)}.")
    for name, p in params.items():
        p.value[...] = arrays[name]


def describe(layer: Layer, described: list[dict[str, Any]], places: dict[int, int]) -> int:
    """Append the layer, after those that it mentions, to `described`; return its place there."""
    if id(layer) in places:
        return places[id(layer)]

    def plain(value: Any) -> Any:
        if isinstance(value, Layer):
            return {"layer": describe(value, described, places)}
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
    described.append({"class": name, "args": args, "in_shape": layer.in_shape})
    places[id(layer)] = len(described) - 1
    return places[id(layer)]


def recall(value: Any, made: list[Layer]) -> Any:
    """An argument as it was, from its JSON form."""
    if isinstance(value, dict):
        return tuple(recall(v, made) for v in value["tuple"]) if "tuple" in value else made[value["layer"]]
    return [recall(v, made) for v in value] if isinstance(value, list) else value


def write_npz(path: Path, arrays: dict[str, Array]) -> None:
    """Write arrays as an uncompressed .npz whose bytes depend on nothing but them; atomic and durable."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a file is expected, this is a folder", str(path))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for key, array in arrays.items():
                    buffer = io.BytesIO()
                    np.lib.format.write_array(buffer, np.asarray(array, order="C"), (1, 0), allow_pickle=False)
                    archive.writestr(zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~current_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    if os.name == "posix":  # elsewhere a folder cannot be synced
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def current_umask() -> int:
    """The permissions that new files do not get; a temporary file is private otherwise."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def read_npz(path: Path) -> dict[str, Array]:
    """Read the arrays of an .npz: stored members only, each once, no pickles."""
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if any(i.compress_type != zipfile.ZIP_STORED for i in infos) or sum(i.file_size for i in infos) > len(data):
                raise no_model(path, "its members must be stored, not compressed.")
            if len({i.filename for i in infos}) != len(infos) or any(not i.filename.endswith(".npy") for i in infos):
                raise no_model(path, "its members are no arrays, or stand there twice.")
            if f"{HEADER}.npy" not in {i.filename for i in infos}:
                raise no_model(path, "it has no header.")
            read = {i.filename.removesuffix(".npy"): io.BytesIO(archive.read(i)) for i in infos}
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return {name: np.lib.format.read_array(file, allow_pickle=False) for name, file in read.items()}
    except ModelFormatError:
        raise
    except Exception as error:  # the readers of zip and npy raise a dozen kinds on damaged input
        raise no_model(path, str(error) or type(error).__name__, "or damaged") from error


def no_model(path: Path | str | os.PathLike[str], reason: str, doubt: str = "") -> ModelFormatError:
    """The error for a file that is no model, with its reason, on one line."""
    what = "is no model of minidl" + (f", {doubt}" if doubt else "")
    return ModelFormatError(f"{path} {what}: {' '.join(reason.split())[:300]}")
