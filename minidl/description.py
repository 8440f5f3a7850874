"""A net as plain data: the JSON header of a file, which says how to build the net again.

It lists the layers as class names with their arguments and the names of their parameters; each mentions only layers
before it. The text has one form only, so that a reader can ask for it byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from minidl.plain_json import Limits, as_json, depth_of, excess, parse
from minidl.sequential import Sequential
from minidl.text import CharVocab, WordVocab
from minidl.version import __version__

FORMAT = 1
NONE = type(None)
KINDS: dict[str, tuple[type, ...]] = {
    "format": (int,), "minidl": (str,), "layers": (list,), "net": (int,), "dtype": (str,), "frozen": (list,),
    "vocab": (dict, NONE), "facts": (dict,), "training": (dict, NONE),
}  # fmt: skip
LIMITS = Limits(size=2**21, values=200_000, depth=100)  # of a header
MOST_LAYERS, MOST_DEPTH = 10_000, 50  # of a net: layers, counted in every net that they are in; nets in nets
LETTERS = 250  # a layer counts as one more with so much text: the messages that tell it, and its sources, take time
LONGEST, DEEPEST, MOST_AXES, LARGEST = 1000, 10, 32, 2**48  # of words and lists in arguments, of shapes
ENTRIES = ["class", "args", "in_shape", "params"]
BUILT_IN: tuple[type[Layer], ...] = (
    layers.Add,
    layers.AdditiveAttention,
    layers.Ascending,
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
    layers.Reshape,
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
        ArgumentError: for a net that is not built, or for what a file cannot hold.
    """
    params = net.params
    described = Description(net)
    try:
        check_layers(described.entries)
    except ModelFormatError as error:
        raise ArgumentError(f"A file holds a net of moderate size, and {error.message}") from None
    except ValueError as error:
        raise ArgumentError(
            f"A file holds finite numbers and text, the names or the arguments of the layers have others: {error}."
        ) from None
    lost = params.keys() - {name for entry in described.entries for name in entry["params"].values()}
    if lost:
        raise ArgumentError(
            f"save found {min(lost)!r} in a layer that is no argument of the layer around it, so that load could not "
            f"make it again: let the constructor take its inner layers as arguments, and keep them."
        )
    dtype = np.dtype(net.dtype or np.float32)
    other = next((name for name, p in params.items() if p.value.dtype != dtype), None)
    if other is not None:
        raise ArgumentError(
            f"A file holds a net of one dtype, got {next(iter(params))!r} of {dtype} and {other!r} of "
            f"{params[other].value.dtype}: copy the net to one, net.copy(np.{dtype})."
        )
    vocab, facts = (net.vocab, net.facts) if isinstance(net, Container) else (None, {})
    if type(vocab) not in (CharVocab, WordVocab, NONE):
        raise ArgumentError(f"A file holds a CharVocab or a WordVocab, net.vocab is a {type(vocab).__name__}.")
    check_facts(facts)
    return {
        "format": FORMAT,
        "minidl": __version__,
        "layers": described.entries,
        "net": len(described.entries) - 1,
        "dtype": str(dtype),
        "frozen": [name for name, p in params.items() if not p.trainable],
        "vocab": None if vocab is None else vocab.to_dict(),
        "facts": facts,
        "training": training,
    }


def check_facts(facts: Any) -> None:
    """Refuse facts that would come back as others: tuples as lists, numbers as words."""
    if not isinstance(facts, dict):
        raise ArgumentError(f"net.facts is expected to be a dict, got {facts!r:.60}.")
    try:
        if parse(as_json(facts), LIMITS) != facts:
            raise ValueError("a key that is no word, or a tuple, which would be a list")
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"A file holds finite numbers and text, the net's facts have others: {error!s:.200}. Write tuples as "
            f"lists, and keys as words."
        ) from None


class Description:
    """The layers of a net as plain data, each behind those that it mentions; the net is the last.

    Raises:
        ArgumentError: for what a file cannot hold.
    """

    def __init__(self, net: Layer) -> None:
        self.entries: list[dict[str, Any]] = []
        self.layers: list[Layer] = []
        self._places: dict[int, int] = {}
        self._around: list[int] = []  # the layers that are being described
        self._names: dict[int, str] = {}  # of the parameters' arrays in the file
        for name, p in net.params.items():
            if id(p) in self._names:
                raise ArgumentError(
                    f"{type(net).__name__}.params has one parameter as {self._names[id(p)]!r} and as {name!r}: let it "
                    f"stand there once, under its first name."
                )
            self._names[id(p)] = name
        self._add(net)

    def _add(self, layer: Layer) -> int:
        """Describe a layer, after those that it mentions; return its place."""
        if id(layer) in self._places:
            return self._places[id(layer)]
        cls, name = type(layer), type(layer).__name__
        if id(layer) in self._around:
            raise ArgumentError(f"A {name} has itself among its arguments: load could not make it again.")
        if layer.in_shape is None:
            raise ArgumentError(f"save expects a built net, got a {name} that is not: call build first.")
        if cls not in BUILT_IN and name in {other.__name__ for other in BUILT_IN}:
            raise ArgumentError(
                f"A layer of your own has the name of minidl's {name}, and would load as that: rename it."
            )
        self._around.append(id(layer))
        args = {argument: plain(name, value, self._add) for argument, value in layer.config().items()}
        self._around.pop()
        if any(type(other).__name__ == name and type(other) is not cls for other in self.layers):
            raise ArgumentError(f"The net has layers of two classes that are called {name}: rename one.")
        check_named(cls, args)
        for own, p in layer._own_params.items():
            if id(p) not in self._names:
                raise ArgumentError(
                    f"A {name} that the net mentions has a parameter {own!r} that is none of net.params: it would be "
                    f"lost. Let the params of the layer that mentions it contain it."
                )
        params = {own: self._names[id(p)] for own, p in layer._own_params.items()}
        self.entries.append({"class": name, "args": args, "in_shape": layer.in_shape, "params": params})
        self.layers.append(layer)
        self._places[id(layer)] = len(self.layers) - 1
        return self._places[id(layer)]


def check_named(cls: type[Layer], args: Mapping[str, Any]) -> None:
    """Refuse a constructor that cannot be called with these arguments by name."""
    taken = arguments_of(cls.__init__)
    by_name = [n for n, p in taken.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    lacking = [argument for argument in args if argument not in by_name]
    if lacking and (set(lacking) & set(taken) or not any(p.kind is p.VAR_KEYWORD for p in taken.values())):
        raise ArgumentError(
            f"{cls.__name__}.__init__ must take the arguments that its config() tells, {', '.join(lacking)}, by name: "
            f"load calls it with them."
        )


def plain(owner: str, value: Any, place: Callable[[Layer], int | None]) -> Any:
    """The JSON form of an argument; `place` tells where a layer stands in the file."""
    if isinstance(value, Layer):
        return {"layer": place(value)}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple):
        return {"tuple": [plain(owner, v, place) for v in value]}
    if isinstance(value, list):
        return [plain(owner, v, place) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ArgumentError(
        f"{owner} has an argument that a file cannot hold, {value!r:.200}: numbers, words, lists and layers are what a "
        f"constructor may keep on self."
    )


def check_layers(described: list[dict[str, Any]]) -> None:
    """Refuse what describes no layers, or nets that take long to build, each layer with every net that it is in.

    Raises:
        ModelFormatError: with the reason.
    """
    sizes: list[int] = []
    depths: list[int] = []
    parts: list[list[int]] = []
    total = 0
    for layer in described:
        check_entry(layer)
        parts.append(list(mentioned(layer["args"])))
        if any(type(k) is not int or not 0 <= k < len(sizes) for k in parts[-1]):
            raise ModelFormatError("it mentions a layer that does not come before it.")
        own = 1 + len(as_json(layer)) // LETTERS
        sizes.append(own + sum(sizes[k] for k in parts[-1]))
        depths.append(1 + max((depths[k] for k in parts[-1]), default=0))
        total += sizes[-1]
        if total > MOST_LAYERS or depths[-1] > MOST_DEPTH:
            raise ModelFormatError(f"it has more than {MOST_LAYERS:,} layers, or more than {MOST_DEPTH} nets in nets.")
    order: list[int] = []
    if described:
        in_order(parts, len(described) - 1, order)
    if order != list(range(len(described))):
        raise ModelFormatError("it has layers that its net does not use, or in another order.")


def check_entry(layer: Any) -> None:
    """Refuse what describes no layer."""
    if type(layer) is not dict or list(layer) != ENTRIES:
        raise ModelFormatError(f"its layers have other entries than {', '.join(ENTRIES)}.")
    args, params = layer["args"], layer["params"]
    if type(layer["class"]) is not str or not layer["class"].isidentifier():
        raise ModelFormatError("the name of a layer's class is no name.")
    if type(args) is not dict or type(params) is not dict or not all(type(name) is str for name in params.values()):
        raise ModelFormatError("the arguments or the parameters of a layer are no objects, or have no names.")
    if "self" in args or "cls" in args:
        raise ModelFormatError("a layer has an argument that none can have.")
    shape = layer["in_shape"]
    if not all(map(is_shape, shape) if is_list(shape) and shape and all(map(is_list, shape)) else [is_shape(shape)]):
        raise ModelFormatError("its layers have an in_shape that is none, or a huge one.")
    slots = args.get("layers", []) if layer["class"] == "Sequential" else []
    if type(slots) is not list or not all(map(is_slot, slots)):
        raise ModelFormatError("its Sequential has layers without names.")
    if layer["class"] == "Graph" and type(args.get("nodes", [])) is not list:
        raise ModelFormatError("its Graph has nodes that are no list.")


def in_order(parts: list[list[int]], place: int, order: list[int], seen: set[int] | None = None) -> None:
    """Append the places in which a layer and those that it mentions are written."""
    seen = set() if seen is None else seen
    if place not in seen:
        seen.add(place)
        for part in parts[place]:
            in_order(parts, part, order, seen)
        order.append(place)


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
        raise ModelFormatError(f"its arguments are lists in lists, more than {DEEPEST} deep.")
    for part in value.items() if isinstance(value, dict) else value:
        kind, content = part if isinstance(value, dict) else ("", part)
        if len(kind) > LONGEST or (isinstance(content, str) and len(content) > LONGEST):
            raise ModelFormatError(f"its arguments have words of more than {LONGEST:,} letters.")
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
    content: Any
    kind, content = next(iter(value.items()), ("", None))
    if len(value) != 1 or not (kind == "layer" or (kind == "tuple" and type(content) is list)):
        raise ModelFormatError("it has an argument that is none.")
    return made[content] if kind == "layer" else tuple(recall(v, made) for v in content)


def write_header(header: Mapping[str, Any]) -> Array:
    """A header as an array of bytes."""
    text = as_json(header)
    too_much = excess(text, LIMITS)
    if too_much is None and depth_of(header) > LIMITS.depth:
        too_much = f"lists and dicts nested more than {LIMITS.depth} deep"
    if too_much is not None:
        raise ArgumentError(f"A file's header has {too_much}: a smaller vocabulary, or fewer facts, would fit.")
    return np.frombuffer(text, np.uint8)


def read_header(text: bytes) -> dict[str, Any]:
    """A header from its bytes, with the entries that it has to have.

    Raises:
        ModelFormatError: with the reason.
    """
    header = parse(text, LIMITS)
    number = header.get("format") if type(header) is dict else None
    if type(number) is int and number > FORMAT:
        raise ModelFormatError(f"it has format {number!r:.20}, this minidl reads up to {FORMAT}: a newer wrote it.")
    try:
        sound = type(header) is dict and list(header) == list(KINDS) and number == FORMAT and as_json(header) == text
    except ValueError as error:
        raise ModelFormatError(f"its header is none, {error}.") from error
    if not sound or not all(type(header[name]) in kinds for name, kinds in KINDS.items()):  # True is no 1
        raise ModelFormatError(f"its header is not as minidl writes it: {', '.join(KINDS)}.")
    if header["dtype"] not in ("float32", "float64"):
        raise ModelFormatError("its dtype is neither float32 nor float64.")
    return header
