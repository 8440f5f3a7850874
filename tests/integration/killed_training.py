"""Kill trainings at random instants, inside of a save as well, let them go on, and compare the last bits.

    python tests/integration/killed_training.py --kills 200

Two of three signals are SIGKILL, the others Ctrl-C and SIGTERM. Each training is run once without interruption and once
with at least three kills; weights, optimizer, random state,
history and logs have to be the same. Prints how many kills there were and how many of them hit a save.
"""

import argparse
import csv
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import minidl
from minidl import durable

TIMES = "seconds", "targets_per_second"  # of a row: the only figures that are not the same


# -- what is trained ------------------------------------------------------------------------------

OPTIMIZERS = [
    lambda rate: minidl.SGD(rate),
    lambda rate: minidl.SGD(rate, momentum=0.9, nesterov=True),
    lambda rate: minidl.RMSProp(rate),
    lambda rate: minidl.Adagrad(rate),
    lambda rate: minidl.Adadelta(),
    lambda rate: minidl.Adam(rate),
    lambda rate: minidl.Adam(rate, amsgrad=True),
    lambda rate: minidl.AdamW(rate),
]
RATES = [
    0.01,
    minidl.CosineLR(0.02, steps=150, warmup=20),
    minidl.OneCycleLR(0.02, steps=150),
    minidl.StepLR(0.02, every=40, factor=0.5),
    minidl.ExponentialLR(0.02, decay=0.5, every=50),
]


def stateful():
    """Truncated backpropagation through time, with a state that is carried from window to window, and dropout."""
    ids = np.random.default_rng(1).integers(0, 7, 900)
    net = minidl.Sequential([
        minidl.Embedding(7, 5), minidl.LSTM(6, peephole=True, return_sequences=True), minidl.Dropout(0.2),
        minidl.LSTM(5, recurrent_dropout=0.3, return_sequences=True), minidl.Dense(7),
    ])  # fmt: skip
    return net, minidl.SoftmaxCrossEntropy(), minidl.TextStream(ids, 4, 6), minidl.TextStream(ids[:200], 4, 6)


def shuffled():
    """Sequences of different lengths, in an order of its own in each epoch."""
    rng = np.random.default_rng(2)
    rows = [rng.standard_normal((rng.integers(2, 8), 3)) for _ in range(120)]
    targets = [int(row.sum() > 0) for row in rows]
    net = minidl.Sequential([minidl.LSTM(5, peephole="full"), minidl.Dropout(0.3), minidl.Dense(2)])
    return net, minidl.SoftmaxCrossEntropy(), minidl.PaddedBatches(rows, targets, 4, seed=5), None


def arrays():
    """Plain arrays, weighted, several batches to an update."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((160, 4))
    net = minidl.Sequential([minidl.Dense(6), minidl.Tanh(), minidl.Dense(1)])
    data = minidl.ArrayBatches(x, np.sin(x.sum(axis=1)), 4, shuffle=True, seed=1, weight=rng.random(160))
    return net, minidl.MeanSquaredError(), data, (x[:20], np.sin(x[:20].sum(axis=1)))


def branched():
    """A graph: an encoder from both ends, attention, a state from node to node; batches of two inputs by length."""
    rng = np.random.default_rng(4)
    sources = [rng.integers(0, 5, n) for n in rng.integers(0, 7, 120)]
    targets = [rng.integers(0, 5, n) for n in rng.integers(1, 7, 120)]
    net = minidl.Graph(inputs=("source", "target"))
    net.add("read", minidl.Embedding(5, 4), "source")
    net.add("encoder", minidl.Bidirectional(minidl.LearnedState(minidl.GRU(3, return_sequences=True))), "read")
    net.add("last", minidl.GRU(6), "encoder")
    net.add("written", minidl.Embedding(5, 4), "target").add("wide", minidl.Conv1D(5, 2, padding="causal"), "written")
    net.add("decoder", minidl.GRU(6, return_sequences=True, recurrent_dropout=0.2), "wide", state="last")
    net.add("attention", minidl.AdditiveAttention(4), "decoder", "encoder")
    net.add("both", minidl.Concatenate(), "decoder", "attention").add("norm", minidl.LayerNorm(), "both")
    net.add("scores", minidl.Dense(5), "norm")
    data = minidl.PaddedBatches((sources, targets), targets, 4, seed=5, by_length=True)
    return net, minidl.SoftmaxCrossEntropy(), data, None


DATA = [stateful, shuffled, arrays, branched]
BROKEN_OFF = 130
LINES = 3  # of a training that comes to its end: begins, trains, and the digest


class Pause(minidl.Callback):
    """Makes the steps long enough to be hit, and says when the first is done."""

    said = False

    def say(self):
        if not self.said:
            print("trains", flush=True)
            self.said = True

    def on_step_end(self, trainer):
        self.say()
        time.sleep(0.003)

    def on_fit_end(self, trainer):
        if not trainer.interrupted:
            self.say()  # it was at its end already


def make(scenario, folder, every):
    """A trainer; what is combined follows from the number of the scenario."""
    net, loss, data, validation = DATA[scenario % len(DATA)]()
    optimizer = OPTIMIZERS[scenario // len(DATA) % len(OPTIMIZERS)](RATES[scenario % len(RATES)])
    clip = [minidl.ClipNorm(0.5), minidl.AdaptiveClip(80, history=20), minidl.ClipValue(0.1)][scenario % 3]
    callbacks = [
        minidl.NanGuard(),
        clip,
        minidl.EarlyStopping(patience=2, restore_best=scenario % 2 == 0),
        minidl.ReduceLROnPlateau(patience=1),
        minidl.SaveBest(folder / "saved.npz"),
        minidl.CSVLog(folder / "log.csv"),
        minidl.JSONLog(folder / "log.jsonl"),
        Pause(),
        minidl.Checkpoint(folder / "run", every=every, best="loss"),
    ]
    accumulate = 2 if data is not None and scenario % 4 == 1 else 1
    trainer = minidl.Trainer(net, loss, optimizer, callbacks, seed=scenario, accumulate=accumulate, quiet=True)
    return trainer, data, validation


def digest(trainer, folder):
    """Everything that has to be the same, as one word."""

    def timeless(row):
        return {name: value for name, value in row.items() if name not in TIMES}

    found = hashlib.sha256()
    for name, p in trainer.net.params.items():
        found.update(name.encode() + p.value.tobytes())
    optimizer = trainer.optimizer
    for name, slots in sorted(optimizer.state.items()):
        for slot, values in sorted(slots.items()):
            found.update(f"{name} {slot}".encode() + values.tobytes())
    random_state = trainer.seed, trainer.batches_seen
    place = optimizer.steps, optimizer.lr_scale, trainer.step, trainer.epoch, trainer.stop_reason, random_state
    found.update(repr(place).encode())
    with open(folder / "log.csv", newline="", encoding="utf-8") as file:
        logs = [timeless(row) for row in csv.DictReader(file)]
    logs += [timeless(json.loads(line)) for line in (folder / "log.jsonl").read_text().splitlines()]
    found.update(repr([timeless(row) for row in trainer.history.rows] + logs).encode())
    found.update((folder / "saved.npz").read_bytes())
    best = minidl.load(folder / "run" / "best.npz")
    found.update(b"".join(p.value.tobytes() for p in best.params.values()))
    return found.hexdigest()


def train(scenario, folder, every, slow):
    """One process: train, or go on, and print what came of it."""
    if slow:
        plain_write = durable.write

        def slow_write(handle, part):
            Path(folder / "saving").touch()
            half = len(part) // 2
            for piece in part[:half], part[half:]:
                time.sleep(0.001)
                plain_write(handle, piece)

        def slow_replace(source, target, plain=os.replace):
            time.sleep(0.002)
            plain(source, target)
            (folder / "saving").unlink(missing_ok=True)

        durable.write, durable.os.replace = slow_write, slow_replace
    trainer, data, validation = make(scenario, folder, every)
    print("begins", flush=True)
    trainer.fit(data, epochs=6, validation=validation, resume=True)
    if trainer.interrupted:
        sys.exit(BROKEN_OFF)
    print(digest(trainer, folder), flush=True)


# -- killing it -----------------------------------------------------------------------------------


def launch(scenario, folder, every, slow):
    command = [sys.executable, __file__, "--train", str(scenario), str(folder), str(every), "slow" if slow else ""]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def end_of(process):
    output = process.communicate()[0].split()
    if process.returncode or len(output) != LINES:
        raise AssertionError(f"a training ended with {process.returncode}: {output}")
    return output[-1]


def killed(scenario, kills, rng, folder):
    """The end of a training that was killed so often, and how many kills hit a save."""
    hits = done = 0
    while done < kills:
        every, slow = rng.choice([1, 3, 7, 20]), rng.random() < 0.7
        (folder / "saving").unlink(missing_ok=True)  # of the kill before
        process = launch(scenario, folder, every, slow)
        said = [process.stdout.readline() for _ in range(rng.choice([1, 2, 2, 2]))]  # mostly when it has an update
        time.sleep(rng.uniform(0, 0.35))
        number = rng.choice([signal.SIGKILL] * 4 + [signal.SIGINT, signal.SIGTERM])
        process.send_signal(number)
        said += process.communicate()[0].split()
        if process.returncode and len(said) < LINES:
            if process.returncode not in (-number, BROKEN_OFF if number == signal.SIGINT else None):
                raise AssertionError(f"a training failed by itself, with {process.returncode}")
            done += 1
            hits += (folder / "saving").exists()
        else:  # it came to its end before: from the beginning, for as many kills as are left
            return end_of(launch(scenario, folder, every, False)), hits, done
    return end_of(launch(scenario, folder, 10, False)), hits, done


def compare(scenario, kills, seed):
    """Run a scenario twice; returns (the same?, kills, kills inside of a save)."""
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as harmed:
        whole = end_of(launch(scenario, Path(plain), 10, False))
        again, hits, done = killed(scenario, kills, random.Random(seed), Path(harmed))
    return whole == again, done, hits


def main():
    if sys.argv[1:2] == ["--train"]:
        scenario, folder, every, slow = sys.argv[2:]
        train(int(scenario), Path(folder), int(every), bool(slow))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kills = hits = 0
    failed = []
    for run in itertools.count():
        if kills >= options.kills:
            break
        same, done, hit = compare(run, 4, options.seed + run)
        kills, hits = kills + done, hits + hit
        failed += [] if same else [run]
        print(
            f"training {run}: {'the same bits' if same else 'OTHER BITS'} after {done} kills, {hit} inside of a save",
            flush=True,
        )
    print(f"{kills} kills in {run} trainings, {hits} of them inside of a save; other bits: {failed or 'none'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
