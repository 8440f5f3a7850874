"""minidl train: Train a character model on text, and save it.

Without a PATH it trains on the language reference that every CPython ships. While it runs, a folder beside the model,
model.run, keeps a checkpoint a minute; after Ctrl-C, SIGTERM or a crash, --resume goes on from there.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import shlex
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from minidl import kernels
from minidl.baselines import ngram_bits
from minidl.callbacks import Callback, ClipNorm, ClipValue, Console, EarlyStopping, JSONLog, NanGuard, SampleText
from minidl.callbacks.clipping import Clipping
from minidl.cli import runs
from minidl.cli.finishing import Finish
from minidl.cli.options import count, defaults_of, minutes, part, part_or_none, positive, printable, seed
from minidl.data import TextStream, split
from minidl.errors import ArgumentError, NonFiniteError
from minidl.interrupts import INTERRUPTED, TERMINATED
from minidl.losses import CrossEntropy
from minidl.optimizers import Adam
from minidl.schedules import CosineLR
from minidl.sequential import Sequential
from minidl.text import CharVocab, count_of, language_reference, read_text
from minidl.trainer import Trainer

COUNTED = 5_000_000  # characters that the n-grams are counted on: more would take longer than many a training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", default=[], help="UTF-8 text files (default: Python's language reference)")
    add("--out", metavar="FILE", default="model.npz", help="where the model is saved")
    add("--resume", metavar="RUN", help="go on with a run that was broken off, by its folder (default: begin one)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes", metavar="M", type=minutes, default=1.5, help="train for about so long: a few steps are measured"
    )
    length.add_argument("--epochs", metavar="N", type=count, help="so many passes over the text (default: --minutes)")
    length.add_argument("--steps", metavar="N", type=count, help="so many updates (default: --minutes)")
    add("--units", metavar="N", type=count, default=256, help="cells of each LSTM layer")
    add("--layers", metavar="N", type=count, default=1, help="LSTM layers")
    add("--peephole", choices=["none", "diagonal", "full"], default="diagonal", help="what the gates see of the cell")
    add("--dropout", metavar="P", type=part_or_none, default=0.0, help="share of units silent behind each LSTM layer")
    add("--batch", metavar="N", type=count, default=32, help="rows of text side by side")
    add("--window", metavar="N", type=count, default=64, help="steps of truncated backpropagation through time")
    add("--lr", metavar="X", type=positive, default=8e-3, help="highest rate of Adam; it falls along half a cosine")
    clipping = parser.add_mutually_exclusive_group()
    clipping.add_argument("--clip", metavar="X", type=positive, default=5.0, help="clip the gradients' norm to this")
    clipping.add_argument(
        "--clip-value", metavar="X", type=positive, help="clip each entry to [-X, X] instead (default: --clip)"
    )
    add("--valid", metavar="P", type=part, default=0.1, help="share of the text, from its end, held out")
    add("--prompt", metavar="TEXT", help="what samples go on from (default: the first words held out)")
    add("--seed", metavar="N", type=seed, default=0, help="of everything random: the same seed, the same run")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="print nothing but errors (default: the console)")
    shown.add_argument("--json", action="store_true", help="print JSON, an object a line (default: the console)")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns 0, 130 after Ctrl-C, 143 after SIGTERM, 1 after a NaN.

    What was trained by then is saved in any case, as it was in the epoch of the best validation; unless the last loss
    or the weights are no numbers, then a file that was there stays.
    """
    if args.resume is not None:
        args = runs.options_of(args, defaults_of(add_arguments))
    out = os.path.realpath(args.out) if os.path.islink(args.out) else args.out  # saving would replace the link itself
    check_writable(Path(out), args.paths)
    folder = runs.folder_of(out) if args.resume is None else Path(args.resume)
    if args.resume is None:
        runs.begin(folder)
    text = read_text(args.paths) if args.paths else language_reference()
    train_ids, valid_ids, vocab = prepare(text, args)
    words = text[len(train_ids) :][:40]
    prompt = (words.rsplit(" ", 1)[0] or words) if args.prompt is None else args.prompt
    if not len(vocab.encode(prompt)):
        raise ArgumentError("--prompt expects some text to go on from, got none: leave it out.")
    train = TextStream(train_ids, args.batch, args.window)
    valid = TextStream(valid_ids, min(args.batch, max(1, len(valid_ids) // (2 * args.window))), args.window)
    net = language_model(args, len(vocab))
    net.build((None,), seed=args.seed)
    net.vocab = vocab
    clip = ClipNorm(args.clip) if args.clip_value is None else ClipValue(args.clip_value)
    steps, epochs = plan(args, net, clip, train, valid) if args.resume is None else args.planned
    schedule = CosineLR(args.lr, steps, warmup=min(100, steps // 10), final=args.lr / 100)
    baselines = ngram_bits(train_ids[-COUNTED:], valid_ids[:COUNTED], len(vocab))
    net.facts = {
        "text": title(args.paths), "characters": len(text), "symbols": len(vocab),
        "parameters": sum(p.value.size for p in net.params.values()), "units": args.units, "layers": args.layers,
        "peephole": args.peephole, "dropout": args.dropout, "batch": args.batch, "window": args.window,
        "steps": steps, "minutes": None if args.epochs or args.steps else args.minutes, "lr": args.lr,
        "schedule": str(schedule), "clip": args.clip if args.clip_value is None else None,
        "clip value": args.clip_value, "valid": args.valid, "seed": args.seed,
    }  # fmt: skip
    best = EarlyStopping(patience=epochs + 1)  # it never stops, it brings the best epoch's weights back
    checkpoint = runs.checkpoint_of(folder)
    callbacks: list[Callback] = [NanGuard(), clip, SampleText(vocab, prompt, 200, seed=args.seed), best, checkpoint]
    shown = not args.json and not args.quiet
    if args.json:
        print(json.dumps({"facts": net.facts, "baselines": baselines}, ensure_ascii=False), flush=True)
        callbacks.append(JSONLog(sys.stdout))
    elif shown:
        say_what(net.facts, baselines)
        callbacks.append(Console(bits=True, symbols="chars", baselines=baselines))
    trainer = Trainer(net, CrossEntropy(), Adam(schedule), callbacks, seed=args.seed, quiet=not shown)
    failed: BaseException | None = None
    runs.note(args, folder, steps, epochs)
    with Finish(trainer, aloud=not args.quiet), warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = say_warning  # type: ignore[assignment]  # of which the message is enough
        try:
            with np.errstate(all="ignore"):  # NanGuard tells better what went wrong
                trainer.fit(train, epochs=epochs, steps=steps, validation=valid, resume=args.resume is not None)
        except KeyboardInterrupt:  # Ctrl-C a second time
            trainer.interrupted = trainer.interrupted or INTERRUPTED
        except BaseException as error:  # a pipe without a reader, say: what was learned is kept
            failed = error
        row = trainer.history.rows[best.kept_epoch - 1] if best.kept_epoch else trainer.means.values() | trainer.row
        saved = out if keep(trainer, net, out, row) else None
        reason = trainer.stop_reason or trainer.interrupted
        if (reason is None and failed is None) or not checkpoint.files():
            runs.close(folder)
        if failed is not None and not (isinstance(failed, NonFiniteError) and trainer.stop_reason):
            raise failed  # else the sample failed, after the end
        if args.json:
            closing = {"saved": saved and args.out, "facts": net.facts}
            print(json.dumps(closing, ensure_ascii=False), flush=True)
        elif shown:
            say_result(saved and args.out, row, trainer, baselines, prompt)
        if reason is not None and not shown:
            print(f"minidl train: {reason}", file=sys.stderr)
    return 0 if reason is None else 130 if INTERRUPTED in reason else 143 if TERMINATED in reason else 1


def say_warning(message: Any, *_: Any) -> None:
    """A warning as one line."""
    print(f"minidl train: {printable(str(message))}", file=sys.stderr, flush=True)


def prepare(text: str, args: argparse.Namespace) -> tuple[Any, Any, CharVocab]:
    """The ids to train on, those held out, and the vocabulary; or how long a text these settings take."""

    least = max(args.batch + 1, 5)  # each row takes a symbol and a target, 5-grams five symbols to count

    def enough(characters: int) -> bool:
        held = round(characters * args.valid)
        return held >= 2 and characters - held >= least

    if not enough(len(text)):
        needed = max(1, int(1.5 / args.valid) - 2, int((least - 0.5) / (1 - args.valid)) - 2)
        while not enough(needed):
            needed += 1
        raise ArgumentError(
            f"--batch {args.batch} with --valid {args.valid:g} expects a text of at least {needed:,} characters, got "
            f"{len(text):,}: give a longer text, or a smaller --batch."
        )
    vocab = CharVocab.of(text)
    return *split(vocab.encode(text), args.valid), vocab


def keep(trainer: Trainer, net: Sequential, path: str, row: dict[str, Any]) -> bool:
    """Save what was trained, with the row of the epoch that it comes from; says whether there was anything."""
    finite = math.isfinite(trainer.value) and all(np.isfinite(p.value).all() for p in net.params.values())
    if not trainer.step or not finite:
        return False  # what may be on disk is better than that

    def bits(name: str) -> float | None:
        figure = row.get(name, math.nan) / math.log(2)
        return round(figure, 4) + 0.0 if math.isfinite(figure) else None  # + 0.0 makes a -0.0 zero

    net.facts |= {
        "steps done": row.get("step", trainer.step),
        "epoch": row["epoch"],
        "train bits": bits("loss"),
        "valid bits": bits("valid_loss"),
        "seconds": round(sum(row["seconds"] for row in trainer.history.rows), 1),
        "stopped": (trainer.stop_reason or trainer.interrupted or "").partition(";")[0] or None,
    }
    net.save(path)
    return True


def language_model(args: argparse.Namespace, vocab_size: int) -> Sequential:
    """The net; the command looks whole nets up at run time, for they stand on minidl."""
    models = importlib.import_module("minidl.models")
    peephole = False if args.peephole == "none" else args.peephole
    return models.char_lm(vocab_size, args.units, args.layers, peephole=peephole, dropout=args.dropout)


def title(paths: list[str]) -> str:
    """What is trained on, in few words; names that are no UTF-8 are made so, and fit to be printed."""
    names = [printable(os.fsencode(Path(path).name).decode("utf-8", "replace")) for path in paths]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more or "language reference"


def check_writable(path: Path, texts: list[str]) -> None:
    """Find out before the training, not after it, whether the model can be saved, and that nothing else is lost."""
    if path.is_dir():
        raise ArgumentError(f"--out expects a file, got the folder {path}: write --out {path / 'model.npz'}.")
    if not path.parent.is_dir():
        raise ArgumentError(f"--out expects a folder that exists, got {path}: make {path.parent} first.")
    if path.exists() and not path.is_file():
        raise ArgumentError(f"--out expects a file, got {path}, which is a device or a pipe: name another with --out.")
    if path.exists() and any(Path(text).exists() and path.samefile(text) for text in texts):
        raise ArgumentError(f"--out expects a file of its own, got the text {path}: name another with --out.")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise ArgumentError(
            f"--out expects a folder that can be written, got {path}: {error.strerror}. Name another with --out."
        ) from None


def plan(
    args: argparse.Namespace, net: Sequential, clip: Clipping, train: TextStream, valid: TextStream
) -> tuple[int, int]:
    """The number of updates and of epochs: as asked for, or as many as fit into the minutes, by measuring a few."""
    if args.epochs is not None:
        return args.epochs * len(train), args.epochs
    if args.steps is not None:
        return args.steps, math.ceil(args.steps / len(train))
    # at a rate that moves nothing: only the time matters here, a rate at which it diverges is for the training to tell
    trial = Trainer(net.copy(), CrossEntropy(), Adam(1e-12), [clip], seed=args.seed, quiet=True)
    times = []
    with np.errstate(all="ignore"):
        for _ in range(6):
            began = time.perf_counter()
            if trial.fit(train, epochs=3, steps=3).reason:
                raise KeyboardInterrupt
            times.append((time.perf_counter() - began) / 3)
        step = statistics.median(times[1:])  # the first is slower
        began = time.perf_counter()
        trial.evaluate(next(iter(valid)))
        evaluation = len(valid) * (time.perf_counter() - began)
    epochs, left = divmod(60 * args.minutes, len(train) * step + evaluation)
    rest = (left - evaluation if epochs else max(left - evaluation, left / 2)) / step  # each epoch is evaluated
    steps = max(1, int(epochs) * len(train) + max(0, int(rest)))
    return steps, math.ceil(steps / len(train))


def say_what(facts: dict[str, Any], baselines: dict[str, float]) -> None:
    """The head of the console: what is trained, and what its figures are to be compared with."""
    from rich.console import Console as RichConsole
    from rich.text import Text

    console = RichConsole(highlight=False, markup=False, emoji=False)
    peephole = "" if facts["peephole"] == "none" else f", {facts['peephole']} peepholes"
    parts = [
        "minidl train", facts["text"], f"{facts['characters']:,} characters, {count_of(facts['symbols'], 'symbol')}",
        f"LSTM {facts['layers']}x{facts['units']}{peephole}", f"{facts['parameters']:,} parameters",
        count_of(facts["steps"], "step"), f"kernel {kernels.in_words()}",
    ]  # fmt: skip
    marks = [f"{name} {bits:z.2f}" for name, bits in baselines.items()]
    for line in " · ".join(parts), "bits per character   " + "   ".join(marks):
        for piece in Text(line).wrap(console, console.width):
            piece.rstrip()
            console.print(piece)
    console.print()


def say_result(
    path: str | None, row: dict[str, Any], trainer: Trainer, baselines: dict[str, float], prompt: str
) -> None:
    """The last lines: how good it became, and what to do with it. `row` is of the epoch that was kept."""
    from rich.console import Console as RichConsole

    console = RichConsole(highlight=False, markup=False, emoji=False)
    bits = row.get("valid_loss", math.nan) / math.log(2)
    if math.isfinite(bits):
        best = min(baselines, key=baselines.__getitem__)
        verdict = "below every baseline" if bits < baselines[best] else f"{best} stands at {baselines[best]:z.2f}"
        console.print(f"\nvalidation {bits:z.3f} bits ({row['valid_loss']:z.3f} nats) per character, {verdict}")
        later = [other["valid_loss"] / math.log(2) for other in trainer.history.rows[row["epoch"] :]]
        worse = later and later[-1] > bits + 0.005
        hint = f"; the last had {later[-1]:.3f}: fewer --epochs, or more text, would help" if worse else ""
        if row.get("step", trainer.step) < trainer.step:
            console.print(f"epoch {row['epoch']} is kept{hint}")
    if path is None:
        console.print("nothing was saved: the net as it is would be of no use")
        return
    beginning = shlex.quote(printable((prompt.strip().split("\n")[0] or prompt)[:20].strip() or prompt))
    name = printable(path)
    console.print(f"saved {name} · go on with: minidl sample {shlex.quote(name)} --prompt {beginning}", soft_wrap=True)
