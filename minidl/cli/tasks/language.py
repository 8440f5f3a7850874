"""Language models of the command: what those of characters and those of words have in common."""

from __future__ import annotations

import argparse
import math
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from minidl.baselines import ngram_bits
from minidl.callbacks import SampleText
from minidl.cli.options import count
from minidl.cli.tasks import NAMES, task_of
from minidl.cli.tasks.inputs import lines_of, title
from minidl.cli.tasks.task import Job, Task
from minidl.container import Container
from minidl.corpus import FOLDER, LARGE, Corpus, is_long
from minidl.data import Batch, TextStream, split
from minidl.errors import ArgumentError
from minidl.escaping import quote_option
from minidl.inputs import Array
from minidl.losses import CrossEntropy
from minidl.objective import loss_value
from minidl.text import Vocab, count_of

COUNTED = 5_000_000  # symbols that the n-grams are counted on: more would take longer than many a training
HELD = 1_000_000  # symbols of the part held out that a net is validated with, and the n-grams as well


class Texts(NamedTuple):
    """The ids of the parts of a text, and what the samples of a training go on from."""

    vocab: Vocab
    train: Array
    valid: Array
    test: Array | None
    prompt: str


class LanguageTask(Task):
    """Trains on plain text, each target being the next symbol; says what lines of text cost it."""

    paths = "UTF-8 text files (default: Python's language reference)"
    each: ClassVar[str]  # what a target is called: "character"

    def add_arguments(self, add: Callable[..., Any]) -> None:
        shapes = ["none", "diagonal", "full"]
        add("--peephole", choices=shapes, default="diagonal", help="what the gates see of the cell")
        add("--window", metavar="N", type=count, default=64, help="steps of truncated backpropagation through time")
        add("--prompt", metavar="TEXT", help="what samples go on from (default: the first words held out)")

    @abstractmethod
    def read(self, args: argparse.Namespace) -> Texts:
        """The text as ids, cut into its parts."""

    @abstractmethod
    def net(self, args: argparse.Namespace, V: int) -> Container:
        """The net for V symbols."""

    def job(self, args: argparse.Namespace) -> Job:
        texts = self.read(args)
        vocab, V = texts.vocab, len(texts.vocab)
        held = texts.valid if isinstance(args.valid, str) else texts.valid[:HELD]  # a file is validated with as it is
        if not len(vocab.encode(texts.prompt)):
            raise ArgumentError("--prompt expects some text to go on from, got none: leave it out.")
        net = self.net(args, V)
        net.vocab = vocab
        rows = min(args.batch, max(1, len(held) // (2 * args.window)))
        bits = ngram_bits(texts.train[-COUNTED:], held[:HELD], V)
        sample = sample_of(texts, len(held), self.each)
        symbols = len(texts.train) + len(texts.valid) + (0 if texts.test is None else len(texts.test))
        name = title(args.paths) or "language reference"
        peephole = "" if args.peephole == "none" else f", {args.peephole} peepholes"
        return Job(
            net=net,
            in_shape=(None,),
            train=self.stream(texts.train, args),
            valid=TextStream(held, rows, args.window),
            test=None if texts.test is None else TextStream(texts.test, 1, args.window),
            loss=CrossEntropy(),
            facts={"text": name, f"{self.each}s": symbols, "symbols": V} | ({"sample": sample} if sample else {}),
            heading=[
                name,
                f"{count_of(symbols, self.each)}, {count_of(V, 'symbol')}",
                f"LSTM {args.layers}x{args.units}{peephole}",
            ],
            uniform=math.log(V),
            baselines={order: self.figure(value * math.log(2)) for order, value in bits.items()},
            sample=sample,
            callbacks=[SampleText(vocab, texts.prompt, 200, seed=args.seed)],
            hint=f"minidl sample {{model}} {quote_option('--prompt', beginning_of(texts.prompt))}",
        )

    def stream(self, ids: Array, args: argparse.Namespace) -> TextStream:
        """The windows to train on."""
        return TextStream(ids, args.batch, args.window)

    def predict(self, net: Any, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
        for line in lines_of(args):
            ids = net.vocab.encode(f"\n{line}") if knows_line_breaks(net.vocab) else net.vocab.encode(line)
            told: dict[str, Any] = {self.unit: None}
            if len(ids) > 1:  # of the first symbol nothing is said
                batch = Batch(ids[None, :-1], ids[None, 1:])
                told = {self.unit: round(self.figure(float(loss_value(net, CrossEntropy(), batch)[0])), 4)}
            yield told | {"text": line}


def beginning_of(prompt: str) -> str:
    """Return the first words of a prompt, about 20 characters; all of it where it is blank."""
    line = prompt.strip().split("\n")[0].strip() or prompt
    if len(line) <= 20:
        return line
    return line[:21].rsplit(maxsplit=1)[0] if len(line[:21].split()) > 1 else line[:20]


def knows_line_breaks(vocab: Vocab) -> bool:
    """Whether a line break is a symbol of its own, from which a line can be begun."""
    try:
        return len(vocab.encode("\n")) > 0
    except ArgumentError:
        return False


def check_language_model(net: Any, path: str, hint: str) -> None:
    """Refuse a model that the command trained for something else than to go on with a text."""
    name = getattr(net, "facts", {}).get("model")
    if name in NAMES and not isinstance(task_of(name), LanguageTask):
        raise ArgumentError(f"{path} is expected to be a language model, got a {name}: {hint}.")


def sample_of(texts: Texts, held: int, each: str) -> str:
    """What the figures of a long text are of, in words; nothing where they are of all of it."""
    counted, all_held = len(texts.train), len(texts.valid)
    if counted <= COUNTED and all_held <= HELD:
        return ""
    too = ", and so does the validation" if held < all_held else ""
    return (
        f"the n-grams are of a sample: counted on the last {min(COUNTED, counted):,} of {counted:,} {each}s, they "
        f"predict the first {min(HELD, all_held):,} of {all_held:,} held out{too}"
    )


def others_of(args: argparse.Namespace) -> list[str]:
    """The files of --valid and --test."""
    return [path for path in (args.valid, args.test) if isinstance(path, str)]


def say_long(args: argparse.Namespace) -> None:
    """Say what takes a while: a gigabyte takes about ten seconds, as words a minute or two."""
    files = [Path(path) for path in args.paths]
    if args.quiet or not files or not is_long(files, LARGE):
        return
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    told = f"{title(args.paths)}, {megabytes:,.0f} MB, is read; its ids are kept on disk, in {FOLDER}"
    print(f"minidl train: {told}", file=sys.stderr, flush=True)


def cut(ids: Any, args: argparse.Namespace, each: str) -> tuple[Any, Any]:
    """The ids to train on, and those held out; or how long a text these settings take."""
    least = max(args.batch + 1, 5)  # each row takes a symbol and a target, 5-grams five symbols to count

    def enough(symbols: int) -> bool:
        held = round(symbols * args.valid)
        return held >= 2 and symbols - held >= least

    if not enough(len(ids)):
        needed = max(1, int(1.5 / args.valid) - 2, int((least - 0.5) / (1 - args.valid)) - 2)
        while not enough(needed):
            needed += 1
        raise ArgumentError(
            f"--batch {args.batch} with --valid {args.valid:g} expects a text of at least {needed:,} {each}s, got "
            f"{len(ids):,}: give a longer text, or a smaller --batch."
        )
    return split(ids, args.valid)


def parts_of(args: argparse.Namespace, each: str, corpora: list[Corpus]) -> tuple[Array, Array, Array | None]:
    """The ids to train on, to validate with and to test, each long enough, of the texts that have files."""
    ids, *others = (corpus.ids for corpus in corpora)
    tested = None if args.test is None else long_enough("--test", each, others.pop(), 2)
    if not others:
        return *cut(ids, args, each), tested
    held = others.pop()
    if isinstance(args.valid, float) and len(held) < 2:
        raise ArgumentError(
            f"--valid {args.valid:g} expects to hold out at least 2 {each}s of the text, got {len(held)}: give a "
            f"longer text, or a larger share."
        )
    held = long_enough("--valid", each, held, 2)
    return long_enough(f"--batch {args.batch}", each, ids, max(args.batch + 1, 5)), held, tested


def long_enough(option: str, each: str, ids: Array, least: int) -> Array:
    """The ids of a text in a file of its own, or how many it needs."""
    if len(ids) < least:
        raise ArgumentError(
            f"{option} expects a text of at least {least:,} {each}s, got {len(ids):,}: name a longer one."
        )
    return ids
