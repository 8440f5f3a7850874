"""What a gigabyte of text costs: its ids, and training on them beside a megabyte.

python tests/benchmarks/corpus.py [--megabytes 1000] [--turns 9] [--text FILE ...] [--folder FOLDER]

The text is the language reference that every Python ships, and the files, cut at empty lines, shuffled and repeated;
the other one is Japanese, made of its own pieces. Peaks of memory are of a process for each.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import memory
from minidl.models import char_lm

import minidl
from minidl.text import language_reference, read_text

JAPANESE = (
    "吾輩は猫である。",
    "名前はまだ無い。",
    "どこで生れたかとんと見当がつかぬ。",
    "何でも薄暗い所で泣いていた事だけは記憶している。",
)


def make(path: Path, parts: list[str], joint: str, megabytes: float) -> None:
    """Write the parts again and again, each time in another order."""
    rng, left = random.Random(0), int(megabytes * 1e6)
    with open(path, "wb") as file:
        while left > 0:
            rng.shuffle(parts)
            data = joint.join([*parts, ""]).encode()[:left].decode(errors="ignore").encode()
            left -= file.write(data) or left


def child(what: str, *args: object) -> dict[str, float]:
    """What a process of its own says."""
    command = [sys.executable, __file__, "--child", what, *map(str, args)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def encode(path: str, kind: str = "chars") -> dict[str, float]:
    """The time that ids take, and the memory."""
    memory.forget_peak()
    before, began, used = memory.peak(), time.perf_counter(), time.process_time()
    corpus = minidl.char_corpus(path, least=0) if kind == "chars" else minidl.word_corpus(path, limit=10_000, least=0)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    return {"seconds": seconds, "used": used, "ids": len(corpus.ids), "before": before, "peak": memory.peak()}


def trainer_of(path: str, folder: Path) -> tuple[minidl.Trainer, minidl.TextStream]:
    """A training with checkpoints."""
    corpus = minidl.char_corpus(path, least=0)
    net = char_lm(len(corpus.vocab), 256)
    keeper = minidl.Checkpoint(folder)
    callbacks = [minidl.ClipNorm(5.0), keeper]
    trainer = minidl.Trainer(net, minidl.CrossEntropy(), minidl.Adam(2e-3), callbacks, quiet=True)
    return trainer, minidl.TextStream(minidl.split(corpus.ids, 0.1)[0], 32, 64)


def train(*paths: str, turns: int, steps: int = 40) -> None:
    """Train on one text and on the other, in turns; then resume each."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [trainer_of(path, Path(folder) / Path(path).stem) for path in paths]
        times: list[list[float]] = [[] for _ in runs]
        for turn in range(turns + 1):
            for (trainer, stream), spent in zip(runs, times, strict=True):
                began = time.process_time()
                trainer.fit(stream, steps=steps)
                spent += [time.process_time() - began] if turn else []
        ratios = [long / short for long, short in zip(*times, strict=True)]
        for path, spent in zip(paths, times, strict=True):
            print(f"{Path(path).name}: {steps / statistics.median(spent):.1f} steps a second of the processor")
        spread = f"({min(ratios):.3f}-{max(ratios):.3f})"
        print(f"time of the first over that of the second: {statistics.median(ratios):.3f} {spread}")
    for path in paths:
        print(f"{Path(path).name}: ", end="")
        with tempfile.TemporaryDirectory() as folder:
            child("begin", path, folder)
            told = child("resume", path, folder)
        seconds, corpus, peak = told["seconds"], told["corpus"], told["peak"]
        print(f"resumed in {seconds:.1f} s, of which the corpus {corpus:.1f} s; peak {peak:.0f} MB")


def begin(path: str, folder: str, steps: int = 30) -> dict[str, float]:
    """A training that Ctrl-C ends."""

    class Press(minidl.Callback):
        def on_step_end(self, trainer: minidl.Trainer) -> None:
            if trainer.step == steps:
                trainer.interrupted = "interrupted"

    trainer, stream = trainer_of(path, Path(folder))
    trainer.callbacks.append(Press())
    trainer.fit(stream, steps=2 * steps)
    return {}


def resume(path: str, folder: str, steps: int = 30) -> dict[str, float]:
    """The same training, up to its first step and on to its last."""
    memory.forget_peak()
    began = time.perf_counter()
    trainer, stream = trainer_of(path, Path(folder))
    corpus, first = time.perf_counter() - began, []

    class Note(minidl.Callback):
        def on_step_end(self, trainer: minidl.Trainer) -> None:
            first.append(time.perf_counter() - began)

    trainer.callbacks.append(Note())
    trainer.fit(stream, steps=2 * steps, resume=True)
    assert trainer.step == 2 * steps
    assert len(first) == steps
    return {"seconds": first[0], "corpus": corpus, "peak": memory.peak()}


def main() -> None:
    """Make the texts, encode them, train on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=1000)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--text", nargs="*", default=[])
    parser.add_argument("--folder", help="where the texts are made (default: a temporary one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as home:
        parts = [part for text in [language_reference(), *map(read_text, args.text)] for part in text.split("\n\n")]
        names = {"big.txt": args.megabytes, "small.txt": 1, "tenth.txt": args.megabytes / 10}
        paths = [str(Path(home) / name) for name in names]
        for path, megabytes in zip(paths, names.values(), strict=True):
            make(Path(path), parts, "\n\n", megabytes)
        japanese = str(Path(home) / "japanese.txt")
        make(Path(japanese), [*JAPANESE] * 500, "\n", args.megabytes / 5)
        for path, kind in (paths[0], "chars"), (paths[0], "chars"), (japanese, "chars"), (paths[2], "words"):
            told, size = child("encode", path, kind), Path(path).stat().st_size / 1e6
            clock, used = size / told["seconds"], size / told["used"]
            print(
                f"{Path(path).name}, {size:,.0f} MB, {told['ids']:,} ids of {kind}: {clock:.0f} MB/s by the clock, "
                f"{used:.0f} MB/s of the processor, peak {told['peak']:.0f} MB (before: {told['before']:.0f})",
                flush=True,
            )
        train(*paths[:2], turns=args.turns)
        shutil.rmtree(Path(home) / ".minidl")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps({"encode": encode, "begin": begin, "resume": resume}[sys.argv[2]](*sys.argv[3:])))
    else:
        main()
