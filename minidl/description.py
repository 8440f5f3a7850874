"""A net as plain data: the JSON header of a file, which says how to build the net again.

It lists the layers as class names with their arguments and the names of their parameters; each mentions only layers
before it. The text has one form only, so that a reader can ask for it byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minidl import layers
from minidl.arguments import arguments_of
from minidl.bidirectional import Bidirectional
from minidl.container import Container
from minidl.errors import ArgumentError, ModelFormatError
from minidl.graph import Graph
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.sequential import Sequential
from minidl.version import __version__

FORMAT = 1
NONE = type(None)
KINDS: dict[str, tuple[type, ...]] = {
    "format": (int,), "minidl": (str,), "layers": (list,), "net": (int,), "dtype": (str,), "frozen": (list,),
    "vocab": (dict, NONE), "facts": (dict,), "training": (dict, NONE),
}  # fmt: skip
MOST_TEXT, MOST_VALUES = 2**21, 200_000  # of a header: bytes, and what JSON makes of them
MOST_LAYERS, MOST_DEPTH = 10_000, 50  # of a net: layers, counted in every net that they are in; nets in nets
LONGEST, DEEPEST, MOST_AXES, LARGEST = 1000, 10, 32, 2**48  # of words and lists in arguments, of shapes
ENTRIES = ["class", "args", "in_shape", "params"]
BUILT_IN: tuple[type[Layer], ...] = (
    layers.Add,
    layers.AdditiveAttention,
    layers.Attention,
    layers.Concatenate,
    layers.Conv1D,
    layers.CoupledLSTM,
    layers.Dense,
    layers.Dropout,
    layers.Embedding,
    layers.Flatten,
    layers.HardSigmoid,
    layers.GRU,
    layers.LSTM,
    layers.LastStep,
    layers.LayerNorm,
    layers.LearnedState,
    layers.LogSoftmax,
    layers.Multiply,
    layers.PoolTime,
    layers.ReLU,
    layers.Sigmoid,
    layers.SimpleRNN,
    layers.Softmax,
    layers.Tanh,
    Sequential,
    Bidirectional,
    Graph,
)


def describe(net: Layer, training: Any = None) -> dict[str, Any]:
    """The header of a built net; `training` is what a checkpoint holds besides.

    Raises:
        ArgumentError: for a net that is not built, or a layer whose arguments cannot be written down.
    """
    params = net.params
    described: list[dict[str, Any]] = []
    index = describe_layer(net, described, {}, {id(p): name for name, p in params.items()})
    try:
        check_layers(described)
    except ValueError as error:
        raise ArgumentError(f"A file holds a net of moderate size, and {error}") from None
    lost = params.keys() - {name for layer in described for name in layer["params"].values()}
    if lost:
        raise ArgumentError(
            f"save found {min(lost)!r} in a layer that is no argument of the layer around it, so that load could not "
            f"make it again: let the constructor take its inner layers as arguments, and keep them."
        )
    return {
        "format": FORMAT,
        "minidl": __version__,
        "layers": described,
        "net": index,
        "dtype": str(net.dtype or np.dtype(np.float32)),
        "frozen": [name for name, p in params.items() if not p.trainable],
        "vocab": net.vocab.to_dict() if isinstance(net, Container) and net.vocab is not None else None,
        "facts": net.facts if isinstance(net, Container) else {},
        "training": training,
    }


def describe_layer(
    layer: Layer, described: list[dict[str, Any]], places: dict[int, int], names: Mapping[int, str]
) -> int:
    """Append the layer, after those that it mentions, to `described`; return its place there.

    `names`: what the arrays of the parameters are called, by the id of each.
    """
    if id(layer) in places:
        return places[id(layer)]

    def plain(value: Any) -> Any:
        if isinstance(value, Layer):
            return {"layer": describe_layer(value, described, places, names)}
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
    if layer.in_shape is None:
        raise ArgumentError(f"save expects a built net, got a {name} that is not: call build first.")
    if type(layer) not in BUILT_IN and name in {cls.__name__ for cls in BUILT_IN}:
        raise ArgumentError(f"A layer of your own has the name of minidl's {name}, and would load as that: rename it.")
    args = {argument: plain(value) for argument, value in layer.config().items()}
    taken = arguments_of(type(layer).__init__)
    lacking = [argument for argument in args if argument not in taken]
    if lacking and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        raise ArgumentError(
            f"{name}.__init__ must take the arguments that its config() tells, {', '.join(lacking)}: load calls it "
            f"with them."
        )
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


def check_layers(described: list[dict[str, Any]]) -> None:
    """Refuse what describes no layers, or nets that take long to build, each layer with every net that it is in."""
    sizes: list[int] = []
    depths: list[int] = []
    total = 0
    for layer in described:
        if list(layer) != ENTRIES or type(layer["args"]) is not dict or type(layer["params"]) is not dict:
            raise ValueError(f"its layers have other entries than {', '.join(ENTRIES)}.")
        shape = layer["in_shape"]
        if not all(
            map(is_shape, shape) if is_list(shape) and shape and all(map(is_list, shape)) else [is_shape(shape)]
        ):
            raise ValueError("its layers have an in_shape that is none, or a huge one.")
        if layer["class"] == "Sequential" and not all(map(is_slot, layer["args"].get("layers", ()))):
            raise ValueError("its Sequential has layers without names.")
        places = list(mentioned(layer["args"]))
        if any(type(k) is not int or not 0 <= k < len(sizes) for k in places):
            raise ValueError("it mentions a layer that does not come before it.")
        sizes.append(1 + sum(sizes[k] for k in places))
        depths.append(1 + max((depths[k] for k in places), default=0))
        total += sizes[-1]
        if total > MOST_LAYERS or depths[-1] > MOST_DEPTH:
            raise ValueError(f"it has more than {MOST_LAYERS:,} layers, or more than {MOST_DEPTH} nets in nets.")


def is_list(value: Any) -> bool:
    """Whether it is a list, or a tuple, which becomes one in a file."""
    return type(value) in (list, tuple)


def is_shape(shape: Any) -> bool:
    """Whether it is the shape of an array, of moderate size."""
    return is_list(shape) and len(shape) <= MOST_AXES and all(
        n is None or (type(n) is int and 0 < n < LARGEST) for n in shape
    )  # fmt: skip


def is_slot(entry: Any) -> bool:
    """Whether it is a layer of a Sequential with its name."""
    slot = entry.get("tuple") if type(entry) is dict else None
    return type(slot) is list and len(slot) == 2 and type(slot[0]) is str


def mentioned(value: Any, depth: int = 0) -> Iterator[Any]:
    """The places of the layers that an argument mentions; long words and deep lists are refused."""
    if depth > DEEPEST:
        raise ValueError(f"its arguments are lists in lists, more than {DEEPEST} deep.")
    for part in value.items() if isinstance(value, dict) else value:
        kind, content = part if isinstance(value, dict) else ("", part)
        if len(kind) > LONGEST or (isinstance(content, str) and len(content) > LONGEST):
            raise ValueError(f"its arguments have words of more than {LONGEST:,} letters.")
        if kind == "layer" and depth:
            yield content
        elif isinstance(content, list | dict):
            yield from mentioned(content, depth + 1)


def recall(value: Any, made: list[Layer]) -> Any:
    """An argument as it was, from its JSON form."""
    if isinstance(value, list):
        return [recall(v, made) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tuple":
        return tuple(recall(v, made) for v in content)
    if kind != "layer":
        raise ValueError("it has an argument that is none.")
    return made[content]


def write_header(header: Mapping[str, Any]) -> Array:
    """A header as an array of bytes."""
    try:
        text = as_json(header)
        if as_json(json.loads(text)) != text:
            raise ValueError("a key that is no word, or stands there twice")
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"A file holds finite numbers and text, the net's facts have others: {error}.") from error
    if len(text) > MOST_TEXT or values_in(text) > MOST_VALUES:
        raise ArgumentError(
            f"A file holds a header of up to {MOST_TEXT:,} bytes and {MOST_VALUES:,} values, got {len(text):,} and "
            f"{values_in(text):,}: a smaller vocabulary, or fewer facts, would fit."
        )
    return np.frombuffer(text, np.uint8)


def read_header(text: bytes) -> dict[str, Any]:
    """A header from its bytes, with the entries that it has to have.

    Raises:
        ModelFormatError: with the reason.
    """
    try:
        if values_in(text) > MOST_VALUES:
            raise ValueError("it has too many values")
        header = json.loads(text.decode())
        number = header.get("format") if type(header) is dict else None
        if type(number) is int and number > FORMAT:
            raise ModelFormatError(f"it has format {number!r:.20}, this minidl reads up to {FORMAT}: a newer wrote it.")
        sound = type(header) is dict and list(header) == list(KINDS) and number == FORMAT and as_json(header) == text
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"its header is none, {error}.") from error
    if not sound or not all(type(header[name]) in kinds for name, kinds in KINDS.items()):  # True is no 1
        raise ModelFormatError(f"its header is not as minidl writes it: {', '.join(KINDS)}.")
    if header["dtype"] not in ("float32", "float64"):
        raise ModelFormatError("its dtype is neither float32 nor float64.")
    return header


def as_json(header: Any) -> bytes:
    """JSON in one form only: no NaN, no key twice, no blank too many."""
    return json.dumps(header, ensure_ascii=False, allow_nan=False).encode()


def values_in(text: bytes) -> int:
    """At most so many values and containers become of a JSON text."""
    return sum(text.count(mark) for mark in (b",", b":", b"[", b"{")) + 1
