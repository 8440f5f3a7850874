"""Give `minidl.load` files that mean harm, in a process where nothing but reading that file is allowed.

    python tests/integration/hostile_files.py --mutations 100000

Memory is limited to what the process has, the file's size and 64 MiB; an audit hook watches for files that are opened,
code that is imported or run, connections. Every file has to give ModelFormatError within 5 seconds, or a model equal to
the saved one. Prints what came of them, as JSON.
"""

import argparse
import json
import re
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np

import minidl
from minidl.archive import archive
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


def truncations(data):
    for size in range(len(data)):
        yield f"the first {size} bytes", data[:size]


def flips(data, all_values):
    for at in headers_of(data):
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
    {"tuple": {}}, {"evil": 1}, [None, 1], [10**9], "full", 1.5,
]  # fmt: skip


def rewritten(count, seed):
    """Sound files with another header: a value, a key or an entry of it is another one."""
    rng = np.random.default_rng(seed)
    arrays = arrays_of(small_net())
    text = arrays[HEADER].tobytes()
    for k in range(count):
        header = json.loads(text)
        for _ in range(rng.integers(1, 3)):
            places = list(walk(header))
            where, key = places[rng.integers(len(places))]
            match rng.integers(4):
                case 0 if isinstance(where, dict):
                    where[f"{key}x"] = where.pop(key)
                case 1:
                    del where[key]
                case 2 if isinstance(where, list):
                    where.insert(key, where[key])
                case _:
                    where[key] = STRANGE[rng.integers(len(STRANGE))]
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
        "nets in nets": nested(5000),
        "some nets in nets": nested(49),
        "many nets": many(),
        "one net a billion times": doubled(40),
    }.items()


TANH = {"class": "Tanh", "args": {}, "in_shape": [2], "params": {}}


def sequential(layers, name=None):
    return {"class": "Sequential", "args": {"layers": layers, "name": name}, "in_shape": [2], "params": {}}


def deep(value, depth):
    for _ in range(depth):
        value = [value]
    return value


def nested(depth):
    """A net in a net in a net ..."""
    layers = [{"class": "Tanh", "args": {}, "in_shape": [2], "params": {}}]
    for k in range(depth):
        args = {"layers": [{"tuple": ["a", {"layer": k}]}], "name": None}
        layers.append({"class": "Sequential", "args": args, "in_shape": [2], "params": {}})
    return of_layers(layers)


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
    return bytes_of({HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)})


# -- reading them ---------------------------------------------------------------------------------


def main():
    global watched
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all-flips", action="store_true", help="each byte of the headers to each other value")
    options = parser.parse_args()
    data = bytes_of(arrays_of(small_net()))
    files = [
        ("truncated", truncations(data)),
        ("flipped", flips(data, options.all_flips)),
        ("mutated", mutations(data, options.mutations, options.seed)),
        ("rewritten", rewritten(options.mutations // 10, options.seed)),
        ("crafted", crafted(data)),
    ]
    path = Path(tempfile.mkdtemp()) / "model.npz"
    path.write_bytes(data)
    assert bytes_of(arrays_of(minidl.load(path))) == data  # what is loaded lazily is there now
    assert read(path)[0] == "read"
    counts, slowest, failures = Counter(), (0.0, ""), []
    sys.addaudithook(watch)
    for kind, some in files:
        for name, content in some:
            path.write_bytes(content)
            outcome, detail, seconds = read(path)
            counts[f"{kind}, {outcome}"] += 1
            slowest = max(slowest, (seconds, name))
            same = outcome != "read" or kind == "rewritten" or bytes_of(arrays_of(detail)) in (data, content)
            if harm or seconds > 5 or outcome not in ("read", "refused") or not same:
                failures.append(f"{name}: {outcome} {'' if same else 'another model'} {detail!s:.200} {harm}")
                harm.clear()
    print(json.dumps({"counts": counts, "slowest": slowest, "failures": failures}))
    sys.exit(bool(failures))


def read(path):
    """What load makes of a file, under guard."""
    global watched
    size = path.stat().st_size
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + size + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    began = time.perf_counter()
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
    return outcome, detail, time.perf_counter() - began


if __name__ == "__main__":
    main()
