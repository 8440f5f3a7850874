"""Give `minidl.load` files that mean harm, in a process where nothing but reading that file is allowed.

    python tests/integration/hostile_files.py --mutations 100000

Memory is limited to what the process has, the file's size and 64 MiB; an audit hook watches for files that are opened,
code that is imported or run, connections. Every file has to give ModelFormatError within 5 seconds, or a model equal to
the saved one. Prints what came of them, as JSON.
"""

import argparse
import copy
import json
import re
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np

import minidl
from minidl.archive import END, archive
from minidl.saving import HEADER, arrays_of

HARMLESS = re.compile(r"object\.__|sys\._|gc\.|builtins\.id|array\.|tempfile\.")
ROOM = 2**26
watched: Path | None = None
harm: list[str] = []


def watch(event, args):
    """Note what a reader of one file has no business with."""
    if watched is None or HARMLESS.match(event) or (event == "open" and str(args[0]) == str(watched)):
        return
    harm.append(f"{event} {args!r:.100}")


def small_net():
    net = minidl.Sequential([minidl.Embedding(3, 2), ("lstm", minidl.LSTM(2, peephole=True)), minidl.Dense(3)])
    net.vocab, net.facts = minidl.CharVocab("abc"), {"steps": 5, "text": "a b c"}
    net.build((None,), seed=3)
    return net


def graph_net():
    """What is not in the small net: several inputs, branches, states that are learned or handed on."""
    gates = minidl.HardSigmoid(slope=0.2)
    encoder = minidl.LearnedState(minidl.LSTM(2, return_sequences=True, recurrent_activation=gates, cell_clip=5.0))
    net = minidl.Graph(inputs=("ids", "x"), outputs=("scores", "pooled"), name="two")
    net.add("words", minidl.Embedding(3, 2), "ids").add("encoder", encoder, "words")
    net.add("decoder", minidl.LSTM(2, return_sequences=True), "x", state="encoder")
    net.add("looked up", minidl.Attention(), "decoder", "encoder")
    net.add("asked", minidl.AdditiveAttention(1), "decoder", "encoder").add("sum", minidl.Add(), "asked", "looked up")
    net.add("gated", minidl.Multiply(), "sum", "decoder").add("side", minidl.Concatenate(), "gated", "sum")
    net.add("both", minidl.Bidirectional(minidl.CoupledLSTM(1, return_sequences=True), merge=minidl.Add()), "side")
    rest = minidl.Sequential(
        [minidl.Conv1D(2, 2, padding="causal"), minidl.LayerNorm(), minidl.Dense(3), minidl.LogSoftmax()]
    )
    net.add("scores", rest, "both").add("pooled", minidl.PoolTime(kind="max"), "both")
    net.build(((None,), (None, 2)), seed=3)
    return net


def bytes_of(arrays):
    return b"".join(bytes(part) for part in archive(arrays))


# -- the files ------------------------------------------------------------------------------------


def headers_of(data):
    """The positions of all bytes that are no numbers."""
    arrays = arrays_of(small_net())
    numbers = set()
    at = 0
    for name, a in arrays.items():
        if name != HEADER:
            at = data.index(a.tobytes(), at)
            numbers.update(range(at, at + a.nbytes))
            at += a.nbytes
    return [k for k in range(len(data)) if k not in numbers]


def truncations(data, every=1):
    for size in range(0, len(data), every):
        yield f"the first {size} bytes", data[:size]


def flips(data, all_values, every=1):
    for at in headers_of(data)[::every]:
        for mask in range(1, 256) if all_values else (0x01, 0x80, 0xFF):
            flipped = bytearray(data)
            flipped[at] ^= mask
            yield f"byte {at} ^ {mask}", bytes(flipped)


def mutations(data, count, seed):
    """Some bytes changed, put in, taken out, doubled."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        changed = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            at, length = int(rng.integers(len(changed))), int(rng.integers(1, 40))
            match rng.integers(5):
                case 0:
                    changed[at] = rng.integers(256)
                case 1:
                    changed[at : at + length] = rng.bytes(length)
                case 2:
                    changed[at:at] = rng.bytes(length)
                case 3:
                    del changed[at : at + length]
                case 4:
                    to = int(rng.integers(len(changed)))
                    changed[to:to] = changed[at : at + length]
        yield f"mutation {k} of seed {seed}", bytes(changed)


STRANGE = [
    True, False, None, 2.0, -1, 0, 1, 3, 10**9, 2**31, 2**50, 2**63, 2**64, 10**300, 1e308, "", "x", "lstm.Wx", "../x",
    "\ud800", "LSTM", "os.system", [], {}, [[]], {"layer": 0}, {"layer": 99}, {"layer": True}, {"tuple": []},
    {"tuple": {}}, {"evil": 1}, [None, 1], [10**9], "full", 1.5, [[None, 2], [None, 2]], [None, 2**47], ["ids", "x"],
    {"tuple": ["x", {"layer": 0}, {"tuple": ["x"]}, None]}, {"tuple": ["x", "x"]}, {"layer": 3}, "encoder",
]  # fmt: skip


def rewritten(count, seed):
    """Sound files with another header: a value, a key or an entry of it is another one."""
    rng = np.random.default_rng(seed)
    nets = [arrays_of(small_net()), arrays_of(graph_net())]
    for k in range(count):
        arrays = nets[k % 2]
        header = json.loads(arrays[HEADER].tobytes())
        for _ in range(rng.integers(1, 3)):
            places = list(walk(header))
            where, key = places[rng.integers(len(places))]
            match rng.integers(4):
                case 0 if isinstance(where, dict):
                    where[f"{key}x"] = where.pop(key)
                case 1:
                    del where[key]
                case 2 if isinstance(where, list):
                    where.insert(key, copy.deepcopy(where[key]))
                case _:
                    where[key] = copy.deepcopy(STRANGE[rng.integers(len(STRANGE))])  # a tree may change it again
        try:
            changed = json.dumps(header, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            changed = json.dumps(header).encode()
        yield f"header {k} of seed {seed}", bytes_of(arrays | {HEADER: np.frombuffer(changed, np.uint8)})


def walk(value):
    """All places of a tree, as (container, key)."""
    for key in range(len(value)) if isinstance(value, list) else list(value):
        yield value, key
        if isinstance(value[key], list | dict):
            yield from walk(value[key])


def with_header(text):
    """The small net under another header, which may be any bytes."""
    return bytes_of(arrays_of(small_net()) | {HEADER: np.frombuffer(text, np.uint8)})


def with_vocab(words):
    """The small net with a vocabulary of words."""
    vocab = {"kind": "word", "words": words, "unknown": words[0], "end_of_line": None}
    text = arrays_of(small_net())[HEADER].tobytes()
    return with_header(text.replace(b'{"kind": "char", "symbols": "abc"}', json.dumps(vocab).encode()))


def with_entry(args, cls="LSTM", in_shape=(None, 2), params=None):
    """A net of one layer, as its header describes it; there are no arrays for it."""
    layer = {"class": cls, "args": args, "in_shape": in_shape, "params": params or {}}
    header = {
        "format": 1, "minidl": "0.1.0", "layers": [layer], "net": 0, "dtype": "float32", "frozen": [], "vocab": None,
        "facts": {}, "training": None,
    }  # fmt: skip
    return bytes_of({HEADER: np.frombuffer(json.dumps(header, ensure_ascii=False).encode(), np.uint8)})


def zipped(members, compression=zipfile.ZIP_STORED):
    file = BytesIO()
    with zipfile.ZipFile(file, "w", compression) as opened:
        for name, content in members:
            opened.writestr(name, content)
    return file.getvalue()


def npy(array, **options):
    file = BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


class Bomb:
    """What a pickle would run."""

    def __reduce__(self):
        return eval, ("open('/tmp/opened', 'w')",)


def overlapping(data):
    """Two members whose entries point to the same bytes."""
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    changed = bytearray(data)
    changed[second + 42 : second + 46] = changed[first + 42 : first + 46]
    return bytes(changed)


def crafted(data):
    """Files that somebody thought about."""
    arrays = arrays_of(small_net())
    text = arrays[HEADER].tobytes()
    members = [(f"{name}.npy", npy(a)) for name, a in arrays.items()]
    big = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1125899906842624,), }"
    yield from {
        "nothing": b"",
        "zeros": bytes(5000),
        "the end of a zip": data[-22:],
        "a zip of NumPy": zipped(members),
        "a deflate bomb": zipped([*members, ("bomb.npy", npy(np.zeros(2**26, np.uint8)))], zipfile.ZIP_DEFLATED),
        "an lzma bomb": zipped([("bomb.npy", bytes(2**26))], zipfile.ZIP_LZMA),
        "a member outside": zipped([*members, ("../../etc/x", b"root")]),
        "a member with a root": zipped([("/etc/x.npy", npy(np.ones(2)))]),
        "a pickle": zipped([*members, ("bomb.npy", npy(np.array([Bomb()], object), allow_pickle=True))]),
        "overlapping members": overlapping(data),
        "members twice": data[:-22] + data,
        "a name that is a path": bytes_of(arrays | {"../../etc/x": np.ones(2, np.float32)}),
        "a name of a root": bytes_of(arrays | {"/etc/passwd": np.ones(2, np.float32)}),
        "a name of bytes": bytes_of(arrays | {"\0\n\r": np.ones(2, np.float32)}),
        "2**50 numbers": data.replace(
            re.search(rb"\{'descr': '<f4', [^}]*\}", data)[0],
            big[: len(re.search(rb"\{'descr': '<f4', [^}]*\}", data)[0])],
        ),
        "an LSTM of a billion cells": with_entry({"units": 10**9}, params={"Wx": "Wx", "Wh": "Wh", "b": "b"}),
        "an LSTM of a billion cells without parameters": with_entry({"units": 10**9}),
        "a huge embedding": with_entry({"vocab": 10**9, "units": 10**9}, "Embedding", [None], {"E": "E"}),
        "a huge input": with_entry({"units": 2}, in_shape=[None, 2**62]),
        "a cell that is True": with_entry({"units": True}),
        "2.0 cells": with_entry({"units": 2.0}),
        "units of 300 digits": with_entry({"units": 10**300}),
        "a class by its path": with_entry({}, "os.system"),
        "a class of Python": with_entry({"object": 1}, "Parameter"),
        "a shape of a billion axes": with_entry({}, "Tanh", [1] * 150_000),
        "no JSON": with_header(b"{"),
        "a key twice": with_header(text.replace(b'"net":', b'"net": 0, "net":')),
        "NaN": with_header(text.replace(b'"net": 3', b'"net": NaN')),
        "an infinity": with_header(text.replace(b'"steps": 5', b'"steps": 1e999')),
        "a fact of 5,000 digits": with_header(text.replace(b'"steps": 5', b'"steps": ' + b"9" * 5000)),
        "deep lists": with_header(b"[" * 200_000),
        "deep dicts": with_header(b'{"a":' * 200_000),
        "deep facts": with_header(text.replace(b'"steps": 5', b'"steps": ' + b"[" * 900 + b"]" * 900)),
        "many values": with_header(b"[" + b"0," * 2**20 + b"0]"),
        "four MiB of text": with_header(b'"' + b"x" * 2**22 + b'"'),
        "a header of zeros": with_header(bytes(2**20)),
        "a vocabulary of a million characters": with_header(
            text.replace(b"abc", "".join(map(chr, range(0xE000, 0x10000 + 1_040_000))).encode())
        ),
        "a word as vocabulary": with_header(text.replace(b'"vocab": {', b'"vocab": "x", "v": {')),
        "sizes of 4,300 digits": with_entry({}, "Flatten", [10**4299] * 400),
        "many layers without names": of_layers([TANH, sequential([{"layer": 0}] * 9000)]),
        "a name of a megabyte, often": of_layers(
            [TANH, sequential([], name="x" * 10**6), sequential([{"layer": 1}] * 200)]
        ),
        "an argument with a name of a megabyte": with_entry({"x" * 10**6: 1}),
        "a word of a megabyte": with_entry({"units": "x" * 10**6}),
        "a dtype of many fields": with_header(text.replace(b'"float32"', b'"' + b"f4," * 300_000 + b'f4"')),
        "a dtype with a shape": with_header(text.replace(b'"dtype": "float32"', b'"dtype": "(2,3)f4,f8"')),
        "the same frozen twice": with_header(text.replace(b'"frozen": []', b'"frozen": ["dense.b", "dense.b"]')),
        "a vocabulary of words in one word": with_vocab(["a " * 900_000]),
        "many short words": with_header(
            text.replace(b'"a b c"', "[{}]".format(", ".join(['"ab"'] * 190_000 + ['"\U0001f600"'])).encode())
        ),
        "a vocabulary of 190,000 words": with_vocab([f"{k:x}" for k in range(190_000)]),
        "mentions deep in lists": with_entry({"units": deep([{"layer": 0}] * 20_000, 800)}),
        "no UTF-8": with_header(text.replace(b"a b c", b"a \xff c")),
        "nets in nets, each told in full": nested(48, {"class": "Dense", "args": {"units": {"layer": 48}}}),
        "a wide net in nets": nested(47, bottom=wide(180)),
        "long names in nets": nested(40, bottom=wide(150, "\U0001f600" * 240)),
        "layers that the net does not use": of_layers([TANH] * 9000 + [sequential([slot(0)])]),
        "as many LSTMs as there may be": many_lstms(2300),
        "more LSTMs than there may be": many_lstms(4990),
        "junk before the directory": with_junk(data, at_the_end=False),
        "junk behind the directory": with_junk(data, at_the_end=True),
        "an array twice": bytes_of(Doubled(arrays)),
        "a layer norm of 2**47": with_entry({"eps": 1e-5}, "LayerNorm", [None, 2**47], {"g": "g", "b": "b"}),
        "nets in nets": nested(5000),
        "some nets in nets": nested(49),
        "many nets": many(),
        "one net a billion times": doubled(40),
    }.items()
    yield from graphs()


def graphs():
    """Files of graphs that somebody thought about."""
    yield from {
        "a graph": graph([node("a", 0, "x")]),
        "a graph of no nodes": of_layers([graph_entry([])]),
        "a name twice": graph([node("a", 0, "x"), node("a", 0, "x")]),
        "a node called as the input": graph([node("x", 0, "x")]),
        "a node that takes from itself": graph([node("a", 0, "a")]),
        "a node that takes from the next": graph([node("a", 0, "b"), node("b", 0, "x")]),
        "a node that takes from nothing": graph([node("a", 0)]),
        "a source that is a layer": graph([{"tuple": ["a", {"layer": 0}, {"tuple": [{"layer": 0}]}, None]}]),
        "sources that are a list": graph([{"tuple": ["a", {"layer": 0}, ["x"], None]}]),
        "sources that are a word": graph([{"tuple": ["a", {"layer": 0}, "x", None]}]),
        "a name that is a list": graph([{"tuple": [[], {"layer": 0}, {"tuple": ["x"]}, None]}]),
        "a node that is no layer": graph([{"tuple": ["a", 5, {"tuple": ["x"]}, None]}], ()),
        "a node of three": graph([{"tuple": ["a", {"layer": 0}, {"tuple": ["x"]}]}]),
        "a node that is a word": graph(["abcd"], ()),
        "nodes that are a number": graph(5, ()),
        "nodes that are none": graph(None, ()),
        "a state of a layer that has none": graph([node("a", 0, "x"), node("b", 0, "a", state="a")]),
        "a state of an input": graph([node("a", 0, "x", state="x")]),
        "a state that is empty": graph([node("a", 0, "x", state="")]),
        "a state that is a list": graph([node("a", 0, "x", state=[])]),
        "inputs that are a number": graph([node("a", 0, "x")], inputs=5),
        "inputs of one name": graph([node("a", 0, "x")], inputs={"tuple": ["x", "x"]}),
        "an output that is not there": graph([node("a", 0, "x")], outputs={"tuple": ["b"]}),
        "an output that is an input": graph([node("a", 0, "x")], outputs={"tuple": ["x"]}),
        "no outputs": graph([node("a", 0, "x")], outputs={"tuple": []}),
        "an input too many": graph([node("a", 0, "x")], inputs={"tuple": ["x", "y"]}, in_shape=[[2], [2]]),
        "a shape too many": graph([node("a", 0, "x")], in_shape=[[2], [2]]),
        "shapes in shapes": graph([node("a", 0, "x")], in_shape=[[[2]]]),
        "shapes and sizes": graph([node("a", 0, "x")], in_shape=[[2], 3]),
        "a huge shape of several": graph([node("a", 0, "x")], in_shape=[[2], [2**62]]),
        "40,000 shapes": with_entry({}, "Add", [[2]] * 40_000),
        "15,000 inputs": graph(
            [node("a", 0, *map(str, range(15_000)))],
            [dict(ADD, in_shape=[[2]] * 15_000)],
            inputs={"tuple": [*map(str, range(15_000))]},
            in_shape=[[2]] * 15_000,
        ),
        "a source 100,000 times": graph([node("a", 0, *["x"] * 100_000)], [ADD]),
        "a source 50,000 times, in nets": nested(40, bottom=[ADD, graph_entry([node("a", 0, *["x"] * 50_000)])]),
        "many nodes": graph([node(f"{k}", 0, f"{k - 1}" if k else "x") for k in range(3000)]),
        "many sources, of which one is not there": graph(
            [node(near(k), 0, near(k - 1) if k else "x") for k in range(900)] + [node("a", 0, near(-1))]
        ),
        "many outputs": graph([node("a", 0, "x")], outputs={"tuple": ["a"] * 100_000}),
        "a big net that many start from": graph(
            [node("big", 2, "x"), *(node(f"{k}", 3, "x", state="big") for k in range(800))],
            [LSTM, TANH, *(dict(net, in_shape=[None, 1]) for net in BIG_AND_SMALL)],
            in_shape=[None, 1],
            outputs={"tuple": ["big", *map(str, range(800))]},
        ),
        "graphs in graphs": graphs_in_graphs(49),
        "graphs in graphs, deep": graphs_in_graphs(500),
        "a graph twice in a graph, and so on": graphs_in_graphs(40, twice=True),
        "both ways of no recurrent layer": of_layers([TANH, bidirectional(layer=0, merge=0, backward=0)]),
        "both ways the same way": of_layers([LSTM, TANH, bidirectional(layer=0, merge=1, backward=0)]),
        "both ways of a number": with_entry({"layer": 5, "merge": None, "backward": None}, "Bidirectional"),
        "one way, the other drawn": of_layers([LSTM, dict(bidirectional(layer=0), in_shape=[None, 1])]),
        "the state of a number": with_entry({"layer": 5}, "LearnedState"),
        "the state of a layer that has none": of_layers([TANH, learned(0)]),
        "the state of a net": of_layers([LSTM, dict(sequential([slot(0)]), in_shape=[None, 1]), learned(1)]),
        "states of states": of_layers([LSTM, *(learned(k) for k in range(45))]),
        "the state of a billion cells": of_layers([dict(LSTM, args={"units": 10**9}), learned(0)]),
        "gates of a net": of_layers(
            [TANH, sequential([slot(0)]), dict(LSTM, args={"units": 1, "recurrent_activation": {"layer": 1}})]
        ),
        "a convolution a billion steps wide": with_entry(
            {"units": 1, "width": 10**9, "padding": "same", "bias": False}, "Conv1D", [None, 2], {"W": "W"}
        ),
    }.items()


TANH = {"class": "Tanh", "args": {}, "in_shape": [2], "params": {}}
ADD = {"class": "Add", "args": {}, "in_shape": [[2], [2]], "params": {}}
LSTM = {
    "class": "LSTM",
    "args": minidl.LSTM(1, return_sequences=True).config(),
    "in_shape": [None, 1],
    "params": {"Wx": "a.Wx", "Wh": "a.Wh", "b": "a.b"},
}
WEIGHTS = {"a.Wx": (1, 4), "a.Wh": (1, 4), "a.b": (4,), "a.h": (1,)}


def sequential(layers, name=None):
    return {"class": "Sequential", "args": {"layers": layers, "name": name}, "in_shape": [2], "params": {}}


def slot(place, name="a"):
    return {"tuple": [name, {"layer": place}]}


def node(name, place, *sources, state=None):
    return {"tuple": [name, {"layer": place}, {"tuple": list(sources)}, state]}


def graph_entry(nodes, inputs=None, outputs=None, in_shape=(2,)):
    args = {"inputs": inputs or {"tuple": ["x"]}, "outputs": outputs, "nodes": nodes, "name": None}
    return {"class": "Graph", "args": args, "in_shape": in_shape, "params": {}}


def graph(nodes, layers=(TANH,), **options):
    return of_layers([*layers, graph_entry(nodes, **options)])


def graphs_in_graphs(depth, twice=False):
    nodes = [[node("a", k, "x"), *([node("b", k, "a")] if twice else [])] for k in range(depth)]
    return of_layers([TANH, *map(graph_entry, nodes)])


def bidirectional(**places):
    args = {name: {"layer": place} for name, place in places.items()}
    return {"class": "Bidirectional", "args": args, "in_shape": [None, 1], "params": {}}


def learned(place):
    params = {"h0": "a.h", "c0": "a.h"}
    return {"class": "LearnedState", "args": {"layer": {"layer": place}}, "in_shape": [None, 1], "params": params}


def near(k):
    """Long names that are alike."""
    return "".join("ab"[k >> bit & 1] * 19 for bit in range(10)) if k >= 0 else "ab" * 95


def wide(count, name="a"):
    return [*[TANH] * count, sequential([slot(k, f"{name}{k}") for k in range(count)])]


BIG_AND_SMALL = sequential([slot(0, "a"), *(slot(1, f"t{k}") for k in range(2000))]), sequential([slot(0, "a")])


def many_lstms(count):
    layers = sequential([slot(k, f"a{k or ''}") for k in range(count)])
    return of_layers([LSTM] * count + [dict(layers, in_shape=[None, 1])])


class Doubled(dict):
    """Arrays of which one comes twice."""

    def items(self):
        return [*super().items(), ("dense.b", np.full(3, 7, np.float32))]

    def __len__(self):
        return super().__len__() + 1


def with_junk(data, at_the_end):
    """Bytes that nobody needs, and an end that knows of them."""
    mark, a, b, count, counted, listed, start, comment = END.unpack(data[-END.size :])
    if at_the_end:
        return data[: -END.size] + b"JUNK" + END.pack(mark, a, b, count, counted, listed + 4, start, comment)
    end = END.pack(mark, a, b, count, counted, listed, start + 4, comment)
    return data[:start] + b"JUNK" + data[start : -END.size] + end


def deep(value, depth):
    for _ in range(depth):
        value = [value]
    return value


def nested(depth, last=None, bottom=(TANH,)):
    """A net in a net in a net ..., from the last of `bottom` on, and another layer on top."""
    layers = list(bottom)
    for _ in range(depth):
        layers.append(sequential([slot(len(layers) - 1)]))
    return of_layers([*layers, dict(TANH, **last)] if last else layers)


def many():
    """As many layers as a file may have, in one net."""
    layers = [{"class": "Tanh", "args": {}, "in_shape": [2], "params": {}} for _ in range(4999)]
    inner = [{"tuple": [f"a{k}", {"layer": k}]} for k in range(4999)]
    layers.append({"class": "Sequential", "args": {"layers": inner, "name": None}, "in_shape": [2], "params": {}})
    return of_layers(layers)


def doubled(times):
    """Each net contains the one before it twice."""
    layers = [{"class": "Tanh", "args": {}, "in_shape": [2], "params": {}}]
    for k in range(times):
        both = [{"tuple": ["a", {"layer": k}]}, {"tuple": ["b", {"layer": k}]}]
        layers.append({"class": "Sequential", "args": {"layers": both, "name": None}, "in_shape": [2], "params": {}})
    return of_layers(layers)


def of_layers(layers):
    header = {
        "format": 1, "minidl": "0.1.0", "layers": layers, "net": len(layers) - 1, "dtype": "float32", "frozen": [],
        "vocab": None, "facts": {}, "training": None,
    }  # fmt: skip
    text = json.dumps(header, ensure_ascii=False).encode()
    weights = {name: np.zeros(shape, np.float32) for name, shape in WEIGHTS.items() if name.encode() in text}
    return bytes_of({HEADER: np.frombuffer(text, np.uint8)} | weights)


# -- reading them ---------------------------------------------------------------------------------


def main():
    global watched
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all-flips", action="store_true", help="each byte of the headers to each other value")
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        help="truncate and flip at each n-th byte only, and take one of n crafted files, or of 7",
    )
    options = parser.parse_args()
    data, other = (bytes_of(arrays_of(net())) for net in (small_net, graph_net))
    files = [
        ("truncated", truncations(data, options.every)),
        ("flipped", flips(data, options.all_flips, options.every)),
        ("mutated", mutations(data, options.mutations * 2 // 3, options.seed)),
        ("mutated", mutations(other, options.mutations // 3, options.seed + 1)),
        ("rewritten", rewritten(options.mutations // 2, options.seed)),
        ("crafted", islice(crafted(data), 0, None, min(options.every, 7))),
    ]
    path = Path(tempfile.mkdtemp()) / "model.npz"
    counts, slowest, failures = Counter(), (0.0, ""), []
    sys.addaudithook(watch)
    for whole in (data, other):  # the first file that this process loads: what is imported lazily would be noted
        path.write_bytes(whole)
        outcome, net, _ = read(path)
        assert outcome == "read" and not harm and bytes_of(arrays_of(net)) == whole, (outcome, net, harm)
    for kind, some in files:
        for name, content in some:
            path.write_bytes(content)
            outcome, detail, seconds = read(path)
            counts[f"{kind}, {outcome}"] += 1
            slowest = max(slowest, (seconds, name))
            same = outcome != "read" or is_equal(detail, content)
            if harm or seconds > 5 or outcome not in ("read", "refused") or not same:
                failures.append(f"{name}: {outcome} {'' if same else 'another model'} {detail!s:.200} {harm}")
                harm.clear()
    print(json.dumps({"counts": counts, "slowest": slowest, "failures": failures}))
    sys.exit(bool(failures))


def is_equal(net, content):
    """Whether a net is what a file says, which may be an older one: arguments may lack, and a training be with it."""
    if bytes_of(dict(np.load(BytesIO(content)))) != content:
        return False  # there is something in it that nobody asked for
    ours, theirs = (dict(np.load(BytesIO(some))) for some in (bytes_of(arrays_of(net)), content))
    now, then = (json.loads(arrays.pop(HEADER).tobytes()) for arrays in (ours, theirs))
    then |= {name: now[name] for name in ("minidl", "training")}
    for entry, written in zip(now["layers"], then["layers"], strict=True):
        entry["args"] = {name: value for name, value in entry["args"].items() if name in written["args"]}
    return now == then and {n: a.tobytes() for n, a in ours.items()} == {n: a.tobytes() for n, a in theirs.items()}


def read(path):
    """What load makes of a file, under guard."""
    global watched
    size = path.stat().st_size
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + size + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    began = time.process_time()
    watched = path
    try:
        outcome, detail = "read", minidl.load(path)
    except minidl.ModelFormatError as error:
        outcome, detail = "refused", str(error)
    except BaseException as error:
        outcome, detail = type(error).__name__, str(error)
    finally:
        watched = None
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if outcome == "refused" and (not detail.startswith(str(path)) or "\n" in detail or len(detail) > 1000):
        outcome = "a message that is no line"
    return outcome, detail, time.process_time() - began


if __name__ == "__main__":
    main()
