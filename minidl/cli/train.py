"""minidl train: Train a model on plain files, and save it.

Without --model and PATH it trains a character model on the language reference that every CPython ships. While it runs,
a folder beside the model, model.run, keeps a checkpoint a minute; after Ctrl-C, SIGTERM, a closed terminal or a
crash, --resume continues from there. Other models have options of their own: minidl train --model NAME --help.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minidl.callbacks import (
    Callback,
    Checkpoint,
    ClipNorm,
    ClipValue,
    Console,
    EarlyStopping,
    JSONLog,
    NanGuard,
    TimeBudget,
)
from minidl.callbacks.logs import plain
from minidl.cli import runs
from minidl.cli.files import try_output
from minidl.cli.finishing import Finish, exit_code, rescue
from minidl.cli.options import (
    Parser,
    count,
    minutes,
    parser_of,
    part_or_file,
    part_or_none,
    positive,
    seed,
    value_of,
)
from minidl.cli.outcome import Outcome, save
from minidl.cli.planning import plan
from minidl.cli.prepared_run import PreparedRun
from minidl.cli.tasks import NAMES, Job, task_of
from minidl.cli.telling import say_result, say_what
from minidl.errors import ArgumentError, NonFiniteError
from minidl.escaping import escape, to_json
from minidl.interrupts import INTERRUPTED
from minidl.trainer import Trainer

DEFAULT = "char_lm"
OUT = "model.npz"
LENGTHS: dict[str, tuple[str, Callable[[str], float], str]] = {
    "minutes": ("M", minutes, "target training time; the number of steps follows the measured speed"),
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
    add("--out", metavar="FILE", help=f"where the model is saved (default: {OUT}; with --resume, next to its folder)")
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
    """Run the subcommand; returns 0, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, or 1.

    1 means a training run that was stopped by a NaN, or a model that is worse than a uniform guess.

    However the training ends, the model is saved, as it was in the epoch of the best validation. It is not saved with
    NaN in its weights or, without a validation, in its last loss; one worse than a uniform guess replaces no file.
    """
    if args.resume is not None:
        runs.check_resume(args, parser_for)
    elif args.paths and args.train:
        raise ArgumentError("The files are expected as PATH or behind --train, got both: leave one out.")
    else:
        args.paths, args.train = args.train or args.paths, None
        args.out = OUT if args.out is None else args.out
        check_writable(Path(runs.target_of(args.out)), inputs_of(args))
    checkpoint = runs.checkpoint_of(args)
    with checkpoint.lock:
        if args.resume is None:
            runs.begin(checkpoint)
            return train(args, checkpoint)
        args = runs.options_of(args, parser_for)
        check_writable(Path(runs.target_of(args.out)), inputs_of(args))
        with runs.holding_model(checkpoint.folder, runs.target_of(args.out)):
            return train(args, checkpoint)


def parser_for(model: str) -> Parser:
    """Return the parser of the options of a model."""
    return parser_of(add_arguments, ["--model", model])


def inputs_of(args: argparse.Namespace) -> list[str]:
    """Return the files that the run reads."""
    return [*args.paths, *(path for path in (args.valid, args.test) if isinstance(path, str))]


def train(args: argparse.Namespace, checkpoint: Checkpoint) -> int:
    """Train with these options, in a run folder that is held; returns the exit code."""
    run = set_up(args, checkpoint)
    trainer, failed = run.trainer, None
    checkpoint.recreated = partial(runs.note, args, checkpoint.folder, run.steps, run.epochs)
    checkpoint.recreated()
    with Finish(trainer, aloud=not args.quiet):
        test: dict[str, float] = {}
        try:
            test = fit(run)
        except KeyboardInterrupt:  # Ctrl-C a second time
            trainer.interrupted = trainer.interrupted or INTERRUPTED
        except BaseException as error:  # a pipe without a reader, say: what was learned is kept
            failed = error
        row = run.kept_row() | {f"test_{name}": value for name, value in test.items()}
        with rescue(run.job.net, run.out, checkpoint):
            outcome = save(run, row)
        reason = trainer.stop_reason or trainer.interrupted
        if (reason is None and failed is None and not outcome.kept_back) or not checkpoint.files():
            runs.close(checkpoint)
        if failed is not None and not (isinstance(failed, NonFiniteError) and trainer.stop_reason):
            raise failed  # else the sample failed, after the end
        report(run, row, outcome, reason)
    return exit_code(reason) or int(outcome.failed)


def set_up(args: argparse.Namespace, checkpoint: Checkpoint) -> PreparedRun:
    """Read the files, build the net, measure how long a step takes, and print the head of the console."""
    task = task_of(args.model)
    if args.minutes is args.epochs is args.steps is None:
        kind, length = task.length_of(args)
        setattr(args, kind, length)
    job = task.job(args)
    net = job.net
    net.build(job.in_shape, seed=args.seed)
    clip = ClipNorm(args.clip) if args.clip_value is None else ClipValue(args.clip_value)
    steps, epochs = plan(args, job, clip) if args.resume is None else args.planned
    optimizer = task.optimizer(args, steps, len(job.train))
    net.facts = facts_of(args, job, steps, str(optimizer.lr))
    best = EarlyStopping(patience=2**31)  # it never stops, it brings the best epoch's weights back
    own = [best] if job.keep_best else []
    budget = [] if args.minutes is None else [TimeBudget(args.minutes)]
    callbacks: list[Callback] = [NanGuard(), *job.callbacks, clip, *own, *budget, checkpoint]
    shown = not args.json and not args.quiet
    if args.json:
        print(to_json(plain({"facts": net.facts, "baselines": job.baselines})), flush=True)
        callbacks.append(JSONLog(sys.stdout))
    elif shown:
        say_what(job, task, net.facts["parameters"], steps)
        units = {"bits": task.unit == "bits", "perplexity": task.unit == "perplexity"}
        callbacks.append(Console(symbols=task.symbols, baselines=job.baselines, **units))
    trainer = Trainer(net, job.loss, optimizer, callbacks, metrics=job.metrics, seed=args.seed, quiet=not shown)
    if job.uniform is None:
        useless = "the untrained net", trainer.evaluate(job.valid)["loss"]
    else:
        useless = "a uniform guess", job.uniform
    return PreparedRun(args, runs.target_of(args.out), task, job, trainer, checkpoint, best, steps, epochs, *useless)


def fit(run: PreparedRun) -> dict[str, float]:
    """Train, and return the metrics of the test."""
    job, trainer = run.job, run.trainer
    resume = run.args.resume is not None
    with np.errstate(all="ignore"):  # NanGuard tells better what went wrong
        trainer.fit(job.train, epochs=run.epochs, steps=run.steps, validation=job.valid, resume=resume)
        if job.test is not None and trainer.stop_reason is trainer.interrupted is None:
            return trainer.evaluate(job.test)
    return {}


def report(run: PreparedRun, row: dict[str, Any], outcome: Outcome, reason: str | None) -> None:
    """Print how the run ended."""
    if run.args.json:
        closing = {"saved": outcome.saved, "facts": run.job.net.facts}
        print(to_json(plain(closing)), flush=True)
    elif run.shown:
        say_result(outcome.saved, row, run.trainer, run.task, run.job)
        if outcome.saved is None and not outcome.kept_back:
            print("nothing was saved: the net as it is would be of no use")
    if reason is not None and not run.shown:
        print(f"minidl train: {escape(reason)}", file=sys.stderr)
    for note in outcome.notes:
        warnings.warn(note, UserWarning, stacklevel=2)


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
    try_output("--out", str(path))
