"""Resume from crafted checkpoints and replay crafted black boxes: only documented errors, and no half-restored trainer.

    python tests/integration/hostile_runs.py --mutations 20000

Sound files are changed in their bytes, with repaired checksums, and in their content: values of other types and sizes,
entries that lack or come twice, arrays of other shapes and dtypes. Each is given to `Trainer.fit(resume=True)` or to
`doctor.replay`, and to `load`. Each must succeed, or raise ModelFormatError, ArgumentError or OSError within 2 CPU
seconds and 500 MB; a trainer that refuses a checkpoint must be as it was. Prints what came of them, as JSON.
"""

import argparse
import copy
import json
import os
import pickle
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import minidl
from minidl.archive import archive
from minidl.doctor import BlackBox, Rollback, replay
from minidl.saving import HEADER, TRAINING
from minidl.trees import read_tree, to_plain, write_tree

MEMORY = 500 * 2**20
SECONDS = 2.0
DOCUMENTED = minidl.ModelFormatError, minidl.ArgumentError, OSError
STRANGE = [
    None, True, False, 0, 1, -1, 2, 7, 10**9, 2**31, 2**53 + 1, 2**63, 2**64, 10**400, 0.0, -0.0, 0.5, 1e308, -1e308,
    float("nan"), float("inf"), -float("inf"), np.float16(2), np.int8(-3), np.uint64(2**63), np.bool_(True), "", "x",
    "loss", "spike", "update", "W", "lstm.Wx", "Adam", "SGD", "print", "os.system", "../x", "\x1b[2J", "\ud800",
    "x" * 5000, [], {}, (), [[]], [1], [1.0, 2.0], [None], ["x"], {"x": 1}, {"loss": 1.0}, (1, 2), (1, [(1, 2)]),
    {"fit": 1}, [float("nan")] * 200, list(range(3000)), np.zeros(()), np.ones(3), np.zeros((0, 7)),
    np.full((2, 2), np.nan), np.full(4, np.inf, np.float32), np.arange(6), np.ones((3, 1), bool), np.zeros(3, np.int8),
    np.zeros((60_000, 0)),
]  # fmt: skip


def deep(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


STRANGE += [deep(90), deep(120)]


# -- sound files ----------------------------------------------------------------------------------

IDS = np.random.default_rng(0).integers(0, 5, 120)
X = np.random.default_rng(1).standard_normal((24, 4, 2)).astype(np.float32)
T = X.sum(axis=(1, 2))[:, None]


class Crash(minidl.Callback):
    """Ends a run at a step, as a kill would."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            raise ZeroDivisionError


class Counted(minidl.Callback):
    """A callback of a user, with what it remembers."""

    remembers = "steps", "losses", "mean"

    def __init__(self):
        self.steps, self.losses, self.mean = 0, [], None

    def on_step_end(self, trainer):
        self.steps += 1
        self.losses = [*self.losses[-5:], trainer.value]
        self.mean = np.float32(trainer.value)


def text_trainer(folder, *more):
    """A language model that carries its state; checkpoints hold a dict of named tuples."""
    layers = [minidl.Embedding(5, 2), ("lstm", minidl.LSTM(3, return_sequences=True)), minidl.Dense(5)]
    callbacks = [Rollback(every=2, folder=None), Counted(), minidl.AdaptiveClip(50, 20), minidl.EarlyStopping(3)]
    callbacks += [minidl.CSVLog(folder / "log.csv"), *more, minidl.Checkpoint(folder / "run", every=1, best="loss")]
    net, loss = minidl.Sequential(layers), minidl.SoftmaxCrossEntropy()
    trainer = minidl.Trainer(net, loss, minidl.Adam(0.01), callbacks, metrics=[minidl.accuracy], seed=3, quiet=True)
    stream = minidl.TextStream(IDS, 4, 7)
    return trainer, lambda **options: trainer.fit(stream, epochs=3, validation=stream, **options)


def series_trainer(folder, *more):
    """A regression on arrays; the optimizer has a slot and the rate a plateau."""
    callbacks = [BlackBox(folder / "box"), minidl.ClipNorm(1.0), minidl.ReduceLROnPlateau(), *more]
    callbacks += [minidl.JSONLog(folder / "log.jsonl"), minidl.Checkpoint(folder / "run", every=1)]
    net = minidl.Sequential([minidl.LSTM(3), minidl.Dense(1)])
    net.build((None, 2), seed=1)
    net.freeze("dense.b")
    optimizer = minidl.SGD(0.05, momentum=0.9)
    trainer = minidl.Trainer(net, minidl.MeanSquaredError(), optimizer, callbacks, accumulate=2, quiet=True)
    return trainer, lambda **options: trainer.fit(X, T, epochs=3, batch_size=4, validation_split=0.25, **options)


def checkpoints_of(make, steps):
    """The bytes of checkpoints of a run that crashed behind these steps."""
    for step in steps:
        folder = Path(tempfile.mkdtemp())
        _, fit = make(folder, Crash(step))
        try:
            fit()
        except ZeroDivisionError:
            yield max((folder / "run").glob("checkpoint-*.npz")).read_bytes()
        shutil.rmtree(folder)


class Spoil(minidl.Callback):
    """Writes a NaN into a gradient or a weight, or makes a gradient large."""

    def __init__(self, what):
        self.what = what

    def on_grads_ready(self, trainer):
        if trainer.step == 24 and self.what in ("spike", "gradient"):
            trainer.params["dense.W"].grad[0] = 1e4 if self.what == "spike" else np.nan

    def on_step_end(self, trainer):
        if trainer.step == 24 and self.what == "update":
            trainer.params["dense.W"].value[0] = np.nan


def boxes():
    """The bytes of black boxes of each kind of trouble."""
    for what in "loss", "gradient", "update", "spike":
        folder, t = Path(tempfile.mkdtemp()), T.copy()
        net, loss = minidl.Sequential([minidl.LSTM(3), minidl.Dense(1)]), minidl.MeanSquaredError()
        if what == "loss":
            t[13] = np.nan
        callbacks = [Spoil(what), BlackBox(folder / "box")]
        optimizer = minidl.SGD(0.05) if what == "spike" else minidl.Adam(0.01)
        minidl.Trainer(net, loss, optimizer, callbacks, quiet=True).fit(X, t, epochs=6, batch_size=4)
        yield (folder / "box" / "step.npz").read_bytes()
        shutil.rmtree(folder)


class Arrays(dict):
    """The arrays of a sound file, and the training or the box in it, pickled: that is the fastest copy."""

    def __init__(self, arrays):
        super().__init__(arrays)
        parts = {name.removeprefix(TRAINING): a for name, a in arrays.items() if name.startswith(TRAINING)}
        self.content = pickle.dumps(with_lists(read_tree(parts, "state" if "state" in parts else "box")))


def arrays_in(data):
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        file.write(data)
        file.flush()
        return Arrays(dict(np.load(file.name)))


def bytes_of(arrays):
    return b"".join(bytes(part) for part in archive(arrays))


# -- what is made of them -------------------------------------------------------------------------


def places_in(value):
    """All places of a tree, as (container, key)."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places_in(value[key])


def with_lists(value):
    """A tree whose tuples are lists with a mark, so that they can be changed."""
    if isinstance(value, dict):
        return {name: with_lists(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return ["a tuple", *map(with_lists, value)]
    return [with_lists(part) for part in value] if isinstance(value, list) else value


def with_tuples(value):
    """The way back."""
    if isinstance(value, dict):
        return {name: with_tuples(part) for name, part in value.items()}
    if isinstance(value, list):
        parts = [with_tuples(part) for part in value]
        return tuple(parts[1:]) if parts and isinstance(parts[0], str) and parts[0] == "a tuple" else parts
    return value


def changed_array(a, rng):
    """An array of another form, or with other numbers."""
    match rng.integers(8):
        case 0:
            return a.reshape(-1)
        case 1:
            return a[None]
        case 2:
            return a.T
        case 3:
            with np.errstate(all="ignore"):
                return a.astype(rng.choice(["f4", "f8", "i8", "u1", "?", "f2"]))
        case 4:
            return a[..., :-1] if a.ndim and a.shape[-1] else np.zeros(())
        case 5:
            return np.concatenate([a, a]) if a.ndim else a[None]
        case 6:
            other = np.array(a)
            if other.size:
                other.flat[rng.integers(other.size)] = (
                    1 if other.dtype.kind in "b" else 100 if other.dtype.kind in "iu" else np.nan
                )
            return other
    return np.zeros((0, 3), a.dtype)


def change(tree, rng):
    """Change a value, a name or the number of entries at some place of a tree."""
    places = list(places_in(tree))
    if not places:
        return
    where, key = places[rng.integers(len(places))]
    value = where[key]
    match rng.integers(8):
        case 0 if isinstance(where, dict):
            where[["fit", "x", f"{key}x", "on_step_end", "__class__"][rng.integers(5)]] = where.pop(key)
        case 1:
            del where[key]
        case 2 if isinstance(where, list):
            where.insert(key, copy.deepcopy(value))
        case 2:
            where[["fit", "x", "on_step_end", "trainer"][rng.integers(4)]] = copy.deepcopy(value)
        case 3:
            other, elsewhere = places[rng.integers(len(places))]
            where[key], other[elsewhere] = copy.deepcopy(other[elsewhere]), copy.deepcopy(value)
        case 4 | 5 if isinstance(value, np.ndarray):
            where[key] = changed_array(value, rng)
        case 4 if isinstance(value, int | float) and not isinstance(value, bool):
            where[key] = [value + 1, -value, value * 10**9, value * 1.0, str(value)][rng.integers(5)]
        case _:
            where[key] = copy.deepcopy(STRANGE[rng.integers(len(STRANGE))])  # a tree may change it again


def with_changed_content(arrays, rng):
    """A file with another training or box in it, written as minidl writes it."""
    name = next(name for name in ("state", "box") if TRAINING + name in arrays)
    tree = [pickle.loads(arrays.content)]
    for _ in range(rng.integers(1, 4)):
        change(tree[0], rng)
    more = write_tree(with_tuples(tree[0]), name, "A file")
    rest = {n: a for n, a in arrays.items() if not n.startswith(TRAINING)}
    return rest | {TRAINING + n: a for n, a in more.items()}


def with_changed_text(arrays, rng):
    """A file whose JSON has other bytes, with checksums that are right."""
    name = [HEADER, *(TRAINING + n for n in ("state", "box") if TRAINING + n in arrays)][rng.integers(2)]
    text = bytearray(arrays[name].tobytes())
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(len(text))), int(rng.integers(1, 30))
        match rng.integers(5):
            case 0:
                text[at] = rng.integers(256)
            case 1:
                text[at : at + 1] = str(STRANGE[rng.integers(8, 20)]).encode()
            case 2:
                del text[at : at + length]
            case 3:
                text[at:at] = text[at : at + length]
            case 4:
                text[at : at + 1] = b"0123456789-.e[]{}\"',:"[rng.integers(21) :][:1]
    return arrays | {name: np.frombuffer(bytes(text), np.uint8)}


def with_changed_json(arrays, rng):
    """A file whose JSON is another one, without regard to its arrays."""
    name = [HEADER, *(TRAINING + n for n in ("state", "box") if TRAINING + n in arrays)][rng.integers(2)]
    tree = json.loads(arrays[name].tobytes())
    for _ in range(rng.integers(1, 3)):
        change(tree, rng)
    text = json.dumps(tree, default=lambda value: f"{value}").encode("utf-8", "surrogatepass")
    if name == HEADER or rng.integers(2):
        text = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return arrays | {name: np.frombuffer(text, np.uint8)}


def with_changed_member(arrays, rng):
    """A file one of whose arrays has another form or other numbers, is missing, or has another's place."""
    names = [name for name in arrays if name != HEADER]
    one, other = names[rng.integers(len(names))], names[rng.integers(len(names))]
    match rng.integers(4):
        case 0:
            return {name: a for name, a in arrays.items() if name != one}
        case 1:
            return arrays | {one: arrays[other], other: arrays[one]}
        case 2:
            return {(f"{name}x" if name == one else name): a for name, a in arrays.items()}
    a = changed_array(arrays[one], rng)
    return arrays | {one: a.astype(np.float32) if a.dtype == np.float16 else a}


CHANGES = {
    "content": with_changed_content, "text": with_changed_text, "json": with_changed_json,
    "member": with_changed_member,
}  # fmt: skip
SHARES = ["content"] * 6 + ["text", "json", "member", "member"]


# -- reading them ---------------------------------------------------------------------------------


def what_it_is(trainer):
    """All that a refused checkpoint must leave as it was, as bytes and text."""
    net, optimizer = trainer.net, trainer.optimizer
    parts = [(name, p.value.tobytes(), p.trainable) for name, p in net.params.items()]
    slots = {name: {slot: a.tobytes() for slot, a in each.items()} for name, each in optimizer.state.items()}
    place = [getattr(trainer, name) for name in trainer.PLACE]
    callbacks = [dict(callback.remember()) for callback in trainer.callbacks if hasattr(callback, "remember")]
    for kept in callbacks:
        kept.pop("size", None)  # of a log, which is cut off behind the checkpoint before the data is compared
    rest = place, optimizer.steps, optimizer.lr, optimizer.lr_scale, vars(trainer.means), trainer.row, trainer.state
    arrays = {}
    plain = to_plain([list(map(list, [rest])), callbacks, trainer.history.rows, trainer.history.notes], "a", arrays)
    return parts, slots, repr(plain), {name: a.tobytes() for name, a in arrays.items()}


class Resumed:
    """A trainer to which checkpoints are given until it accepts one; then another is made."""

    def __init__(self, make):
        self.make, self.trainer = make, None

    def renew(self, folder):
        self.trainer, self.fit = self.make(folder)
        if self.trainer.net.in_shape is None:
            self.trainer.net.build((None,), seed=3)
        self.before = what_it_is(self.trainer)

    def __call__(self, folder, data):
        """Give it a checkpoint; returns what was wrong."""
        if self.trainer is None:
            self.renew(folder)
        run = folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        (run / "checkpoint-000000007.npz").write_bytes(data)
        outcome = attempt(lambda: self.fit(resume=True))
        if outcome == "accepted":
            self.trainer = None
        elif what_it_is(self.trainer) != self.before:
            self.trainer = None
            return f"{outcome}, but the trainer is changed"
        return outcome


def replayed(folder, data):
    """Replay a box; returns what was wrong."""
    (folder / "step.npz").write_bytes(data)
    return attempt(lambda: replay(folder))


def attempt(call):
    """What came of a call, under guard."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))
    began = time.process_time()  # others may use the machine
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            call()
        outcome = "accepted"
    except DOCUMENTED as error:
        outcome = "refused" if "\n" not in str(error) and len(str(error)) < 2000 else f"a long message: {error!s:.300}"
    except BaseException as error:
        outcome = f"{type(error).__name__}: {error} {traceback.format_exc()[-1500:]}"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    seconds = time.process_time() - began
    attempt.slowest = max(attempt.slowest, seconds)
    return outcome if seconds < SECONDS else f"{seconds:.1f} seconds, {outcome}"


attempt.slowest = 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tempfile.tempdir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    os.fsync = lambda handle: None  # nothing here has to survive a crash of the machine
    texts, series = Resumed(text_trainer), Resumed(series_trainer)
    with np.errstate(all="ignore"):
        files = [("checkpoint", texts, data) for data in checkpoints_of(text_trainer, (2, 4, 8))]
        files += [("checkpoint", series, data) for data in checkpoints_of(series_trainer, (3, 5))]
        files += [("box", replayed, data) for data in boxes()]
    folder, counts, failures = Path(tempfile.mkdtemp()), Counter(), []
    for kind, call, data in files:
        outcome = call(folder, data)
        assert outcome == "accepted", (kind, outcome)  # as they are they are sound
    sound = [(kind, call, arrays_in(data)) for kind, call, data in files]
    for k in range(options.mutations):
        rng = np.random.default_rng((options.seed, k))
        kind, call, arrays = sound[k % len(sound)]
        how = SHARES[rng.integers(len(SHARES))]
        try:
            data = bytes_of(CHANGES[how](arrays, rng))
        except (minidl.ArgumentError, ValueError, TypeError):  # it is nothing that could be written
            counts["not writable"] += 1
            continue
        outcome = call(folder, data)
        if k % 3 == 0:
            (folder / "model.npz").write_bytes(data)
            loaded = attempt(lambda: minidl.load(folder / "model.npz"))
            outcome = outcome if loaded in ("accepted", "refused") else f"load: {loaded}"
        counts[f"{kind}, {how}, {outcome if outcome in ('accepted', 'refused') else 'failed'}"] += 1
        if outcome not in ("accepted", "refused"):
            failures.append(f"mutation {k}, {kind}, {how}: {outcome}")
    shutil.rmtree(folder)
    # ru_maxrss would begin with the memory of the process that started this one, a worker of the tests for instance.
    status = Path("/proc/self/status").read_text()
    memory = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    if memory > MEMORY:
        failures.append(f"{memory / 2**20:.0f} MiB of memory")
    report = {"counts": counts, "slowest": attempt.slowest, "MiB": memory // 2**20, "failures": failures}
    print(json.dumps(report))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
