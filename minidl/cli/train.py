"""minidl train: Train a model on plain files, and save it.

Without --model and PATH it trains a character model on the language reference that every CPython ships. While it runs,
a folder beside the model, model.run, keeps a checkpoint a minute; after Ctrl-C, SIGTERM or a crash, --resume goes on
from there. Other models have options of their own: minidl train --model NAME --help.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl.callbacks import Callback, ClipNorm, ClipValue, Console, EarlyStopping, JSONLog, NanGuard
from minidl.cli import runs
from minidl.cli.finishing import Finish
from minidl.cli.options import (
    Parser,
    count,
    defaults_of,
    minutes,
    part_or_file,
    part_or_none,
    positive,
    seed,
    value_of,
)
from minidl.cli.planning import plan
from minidl.cli.tasks import NAMES, Job, Task, task_of
from minidl.cli.telling import say_result, say_what
from minidl.errors import ArgumentError, NonFiniteError
from minidl.escaping import escape, to_json
from minidl.interrupts import INTERRUPTED, TERMINATED
from minidl.trainer import Trainer

DEFAULT = "char_lm"
LENGTHS: dict[str, tuple[str, Callable[[str], float], str]] = {
    "minutes": ("M", minutes, "train for about so long: a few steps are measured"),
    "epochs": ("N", count, "so many passes over the data"),
    "steps": ("N", count, "so many updates"),
}


def add_arguments(parser: Parser) -> None:
    """The options of the subcommand: those of all models, and those of the one that is asked for."""
    name = value_of("--model", parser.given)
    task = task_of(name if name in NAMES else DEFAULT)
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", default=[], help=task.paths)
    add("--model", metavar="NAME", choices=NAMES, default=DEFAULT, help=f"what is trained: {', '.join(NAMES)}")
    add("--train", nargs="+", metavar="FILE", help="the files to train on (default: each PATH)")
    add(
        "--valid", metavar="P|FILE", type=part_or_file, default=0.1,
        help="what is held out: a share of the data, or a file of its own",
    )  # fmt: skip
    add("--test", metavar="FILE", help="what the trained model is tested with (default: nothing)")
    add("--out", metavar="FILE", default="model.npz", help="where the model is saved")
    add("--resume", metavar="RUN", help="go on with a run that was broken off, by its folder (default: begin one)")
    kind, usual = task.length
    default = {name: f"(default: {f'{usual:g}' if name == kind else f'--{kind}'})" for name in LENGTHS}
    length = parser.add_mutually_exclusive_group()
    for name, (metavar, parse, words) in LENGTHS.items():
        length.add_argument(f"--{name}", metavar=metavar, type=parse, help=f"{words} {default[name]}")
    add("--units", metavar="N", type=count, default=256, help="cells of each LSTM layer")
    add("--layers", metavar="N", type=count, default=1, help="LSTM layers")
    add("--dropout", metavar="P", type=part_or_none, default=0.0, help="share of units silent behind each LSTM layer")
    add("--batch", metavar="N", type=count, default=32, help="rows side by side in a batch")
    add("--lr", metavar="X", type=positive, default=8e-3, help="highest rate of Adam; it falls along half a cosine")
    clipping = parser.add_mutually_exclusive_group()
    clipping.add_argument("--clip", metavar="X", type=positive, default=5.0, help="clip the gradients' norm to this")
    clipping.add_argument(
        "--clip-value", metavar="X", type=positive, help="clip each entry to [-X, X] instead (default: --clip)"
    )
    task.add_arguments(add)
    add("--seed", metavar="N", type=seed, default=0, help="of everything random: the same seed, the same run")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="print nothing but errors (default: the console)")
    shown.add_argument("--json", action="store_true", help="print JSON, an object a line (default: the console)")
    parser.set_defaults(**task.defaults_of(parser.given))


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; returns 0, 130 after Ctrl-C, 143 after SIGTERM, 1 after a NaN.

    What was trained by then is saved in any case, as it was in the epoch of the best validation; unless the last loss
    or the weights are no numbers, then a file that was there stays.
    """
    if args.resume is not None:
        args = runs.options_of(args, lambda model: defaults_of(add_arguments, ["--model", model]))
    if args.paths and args.train:
        raise ArgumentError("The files are expected as PATH or behind --train, got both: leave one out.")
    args.paths, args.train = args.train or args.paths, None
    task = task_of(args.model)
    if args.minutes is args.epochs is args.steps is None:
        kind, length = task.length_of(args)
        setattr(args, kind, length)
    out = os.path.realpath(args.out) if os.path.islink(args.out) else args.out  # saving would replace the link itself
    check_writable(Path(out), [*args.paths, *(p for p in (args.valid, args.test) if isinstance(p, str))])
    folder = runs.folder_of(out) if args.resume is None else Path(args.resume)
    if args.resume is None:
        runs.begin(folder)
    job = task.job(args)
    net = job.net
    net.build(job.in_shape, seed=args.seed)
    clip = ClipNorm(args.clip) if args.clip_value is None else ClipValue(args.clip_value)
    steps, epochs = plan(args, job, clip) if args.resume is None else args.planned
    optimizer = task.optimizer(args, steps, len(job.train))
    net.facts = facts_of(args, job, steps, str(optimizer.lr))
    best = EarlyStopping(patience=epochs + 1)  # it never stops, it brings the best epoch's weights back
    checkpoint = runs.checkpoint_of(folder)
    own = [best] if job.keep_best else []
    callbacks: list[Callback] = [NanGuard(), *job.callbacks, clip, *own, checkpoint]
    shown = not args.json and not args.quiet
    if args.json:
        print(to_json({"facts": net.facts, "baselines": job.baselines}), flush=True)
        callbacks.append(JSONLog(sys.stdout))
    elif shown:
        say_what(job, task, net.facts["parameters"], steps)
        units = {"bits": task.unit == "bits", "perplexity": task.unit == "perplexity"}
        callbacks.append(Console(symbols=task.symbols, baselines=job.baselines, **units))
    trainer = Trainer(net, job.loss, optimizer, callbacks, metrics=job.metrics, seed=args.seed, quiet=not shown)
    failed: BaseException | None = None
    runs.note(args, folder, steps, epochs)
    with Finish(trainer, aloud=not args.quiet), warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = say_warning  # type: ignore[assignment]  # of which the message is enough
        test: dict[str, float] = {}
        try:
            with np.errstate(all="ignore"):  # NanGuard tells better what went wrong
                trainer.fit(job.train, epochs=epochs, steps=steps, validation=job.valid, resume=args.resume is not None)
                if job.test is not None and trainer.stop_reason is trainer.interrupted is None:
                    test = trainer.evaluate(job.test)
        except KeyboardInterrupt:  # Ctrl-C a second time
            trainer.interrupted = trainer.interrupted or INTERRUPTED
        except BaseException as error:  # a pipe without a reader, say: what was learned is kept
            failed = error
        row = trainer.history.rows[best.kept_epoch - 1] if best.kept_epoch else trainer.means.values() | trainer.row
        row = row | {f"test_{name}": value for name, value in test.items()}
        saved = out if keep(trainer, net, out, row, task) else None
        reason = trainer.stop_reason or trainer.interrupted
        if (reason is None and failed is None) or not checkpoint.files():
            runs.close(folder)
        if failed is not None and not (isinstance(failed, NonFiniteError) and trainer.stop_reason):
            raise failed  # else the sample failed, after the end
        if args.json:
            closing = {"saved": saved and args.out, "facts": net.facts}
            print(to_json(closing), flush=True)
        elif shown:
            say_result(saved and args.out, row, trainer, task, job)
        if reason is not None and not shown:
            print(f"minidl train: {escape(reason)}", file=sys.stderr)
    return 0 if reason is None else 130 if INTERRUPTED in reason else 143 if TERMINATED in reason else 1


def say_warning(message: Any, *_: Any) -> None:
    """A warning as one line."""
    print(f"minidl train: {escape(str(message))}", file=sys.stderr, flush=True)


def facts_of(args: argparse.Namespace, job: Job, steps: int, schedule: str) -> dict[str, Any]:
    """What the file of the model tells of its training: the data, the options, and the plan."""
    elsewhere = "paths", "train", "out", "resume", "command", "run", "quiet", "json", "planned", "clip", "clip_value"
    options = {
        name.replace("_", " "): value
        for name, value in vars(args).items()
        if name not in elsewhere and name not in ("minutes", "epochs", "steps", "prompt", "valid", "test")
    }
    return {
        **job.facts, "parameters": sum(p.value.size for p in job.net.params.values()), **options, "steps": steps,
        "minutes": args.minutes, "schedule": schedule, "clip": args.clip if args.clip_value is None else None,
        "clip value": args.clip_value, "valid": args.valid,
    }  # fmt: skip


def keep(trainer: Trainer, net: Any, path: str, row: dict[str, Any], task: Task) -> bool:
    """Save what was trained, with the row of the epoch that it comes from; says whether there was anything."""
    finite = math.isfinite(trainer.value) and all(np.isfinite(p.value).all() for p in net.params.values())
    if not trainer.step or not finite:
        return False  # what may be on disk is better than that

    def figure(name: str) -> float | None:
        value = task.figure(row[name]) if name.endswith("loss") and name in row else row.get(name, math.nan)
        return round(value, 4) + 0.0 if math.isfinite(value) else None  # + 0.0 makes a -0.0 zero

    metrics = [name for name in row if name.startswith(("valid_", "test_"))]
    names = ["loss", "valid_loss", *(name for name in metrics if name != "valid_loss")]
    net.facts |= {
        "steps done": row.get("step", trainer.step),
        "epoch": row["epoch"],
        **{told(name, task): figure(name) for name in names},
        "seconds": round(sum(row["seconds"] for row in trainer.history.rows), 1),
        "stopped": (trainer.stop_reason or trainer.interrupted or "").partition(";")[0] or None,
    }
    net.save(path)
    return True


def told(name: str, task: Task) -> str:
    """A figure of a row as the facts call it: "valid bits" for valid_loss."""
    part, _, figure = name.partition("_") if name.startswith(("valid_", "test_")) else ("train", "", name)
    return f"{part} {task.unit if figure == 'loss' else figure}"


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
