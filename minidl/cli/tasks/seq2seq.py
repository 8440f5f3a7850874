"""`--model seq2seq`: an encoder-decoder that reads a text and writes its answer; trained on pairs in two columns."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minidl.baselines import ngram_bits
from minidl.cli.tasks.inputs import example_command, inputs_per_call, lines_of, title
from minidl.cli.tasks.labelled import check_guessed_names, fact, hold_out, length_fact, worth_sorting
from minidl.cli.tasks.task import Job, Task, from_models, no_default_data
from minidl.errors import ArgumentError
from minidl.escaping import escape
from minidl.feeding import groups_of
from minidl.inputs import Array
from minidl.losses import CrossEntropy
from minidl.metrics import accuracy, exact_match
from minidl.pairs import Answer, pair_batches, translate
from minidl.tables import KINDS, Table, read_table
from minidl.text import CharVocab, Vocab, WordVocab, count_of

SOURCES = "source", "question", "input", "src", "from", "text"
LONGEST_ANSWER = 10_000  # symbols: a model that never ends its answer stops there
TARGETS = "target", "answer", "output", "tgt", "to", "label"


class Seq2Seq(Task):
    """Trains on pairs of texts, and writes the answers to new ones."""

    paths = "CSV, TSV or JSONL files with two columns, source and target (no default)"
    defaults: ClassVar[dict[str, Any]] = {"units": 128, "batch": 64, "lr": 5e-3, "clip": 1.0}
    measure = "nats per symbol, from the targets alone"
    symbols = "symbols"

    def add_arguments(self, add: Callable[..., Any]) -> None:
        add("--source", metavar="NAME", help="the column of what is read (default: source, or the first)")
        add("--target", metavar="NAME", help="the column of what is written (default: target, or the last)")
        add("--symbols", choices=["chars", "words"], default="chars", help="what texts are made of")

    def job(self, args: argparse.Namespace) -> Job:
        if not args.paths:
            raise no_default_data("seq2seq", "pairs of texts, two columns,")
        table = read_table(args.paths)
        source = table.choose("source", args.source, SOURCES)
        target = table.choose("target", args.target, TARGETS, -1)
        if source == target:
            raise ArgumentError(
                f"{table.source} expects two columns, a source and a target, got {source!r} for both: name them with "
                f"--source and --target."
            )
        check_guessed_names(table, [(source, args.source, SOURCES), (target, args.target, TARGETS)])
        check_pairs(table, source, target)
        if isinstance(args.valid, str):
            train, valid = table, read_table(args.valid)
        else:
            kept, held = hold_out(table.texts(source), None, args)
            train, valid = table.take(kept), table.take(held)
        parts = [train, valid] + ([] if args.test is None else [read_table(args.test)])
        for part in parts[1:]:
            check_pairs(part, source, target)
        read, written = ([part.texts(name) for part in parts] for name in (source, target))
        vocab: Vocab
        if args.symbols == "chars":
            vocab = CharVocab.of("".join(text for texts in read + written for text in texts))
        else:
            vocab = WordVocab.of("\n".join(read[0] + written[0]))  # a word of the other parts may be unknown
        alike = worth_sorting(len(train), args.batch)
        batches = [
            pair_batches(x, t, vocab, args.batch, shuffle=n == 0, seed=args.seed, by_length=n > 0 or alike)
            for n, (x, t) in enumerate(zip(read, written, strict=True))
        ]
        counted, held_out = (behind_marks(part.targets, len(vocab)) for part in batches[:2])
        bits = ngram_bits(counted, held_out, len(vocab) + 1, min(5, len(counted)))
        longest = max(len(ids) for ids in batches[0].targets) - 1
        net = from_models("seq2seq")(len(vocab), args.units, args.layers, dropout=args.dropout)
        net.vocab = vocab
        name, pairs = title(args.paths), sum(map(len, parts))
        return Job(
            net=net,
            in_shape=((None,), (None,)),
            train=batches[0],
            valid=batches[1],
            test=batches[2] if len(batches) > 2 else None,
            loss=CrossEntropy(),
            facts={
                "text": name, "pairs": pairs, "vocabulary": len(vocab), "longest target": longest,
                "columns": {"source": source, "target": target},
            },
            heading=[
                name,
                f"{count_of(pairs, 'pair')}, {source!r:.40} to {target!r:.40}",
                count_of(len(vocab), "symbol"),
                f"LSTM {args.layers}x{args.units}, twice, attention",
            ],
            uniform=math.log(len(vocab) + 1),
            baselines={order: value * math.log(2) for order, value in bits.items()},
            metrics=[accuracy, exact_match],
            hint=example_command((text[:40] for text in read[1]), " --beam 4"),
        )  # fmt: skip

    def predict(self, net: Any, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
        longest, columns = length_fact(net, "longest target"), fact(net, "columns", dict)
        if net.vocab is None:
            raise ArgumentError(f"{args.model} has no vocabulary, so it cannot read a text. Train it again.")
        texts = sources_of(str(columns.get("source")), args)
        length = min(2 * longest + 1, LONGEST_ANSWER)  # the number comes from a file, and may be any
        for some in groups_of(texts, inputs_per_call(args)):
            for place, text in some:
                try:
                    net.vocab.encode(text)
                except ArgumentError as error:
                    raise ArgumentError(f"{place}: {error}") from None
            found = translate(net, net.vocab, [text for _, text in some], length, beam=args.beam)
            for (_, text), (best, *others) in zip(some, found, strict=True):
                row = {"source": text} | figures_of(best)
                yield row | ({"others": [figures_of(answer) for answer in others]} if args.beam > 1 else {})

    def line(self, row: dict[str, Any]) -> str:
        return escape(str(row["target"]), keep="\n\t")

    def verdict(self, figures: dict[str, Any]) -> str:
        return (
            f"{figures['loss']:z.3g} nats per symbol, {figures['accuracy']:.2%} of the symbols right, "
            f"{figures['exact_match']:.2%} of the answers as a whole"
        )


def check_pairs(table: Table, source: str, target: str) -> None:
    """Refuse a row without a source or without a target."""
    for name in (source, target):
        for row, text in enumerate(table.texts(name)):
            if not text:
                raise ArgumentError(f"{table.place(row)} has an empty {name!r}: fill it in, or leave the row out.")


def behind_marks(targets: list[Array], mark: int) -> Array:
    """The targets as one text, each between marks: what n-grams count that know nothing of the sources."""
    return np.concatenate([[mark], *targets])


def figures_of(answer: Answer) -> dict[str, Any]:
    """An answer as a line of the output tells it."""
    return {"target": answer.text, "log_probability": round(answer.log_probability, 4), "ended": answer.ended}


def sources_of(column: str, args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The texts to answer, each with its place: of tables that column, else a text a line."""
    if args.text is None and args.paths and all(Path(path).suffix.lower() in KINDS for path in args.paths):
        table = read_table(args.paths)
        name = table.choose("source", None, (column.lower(), *SOURCES))
        yield from ((table.place(n), text) for n, text in enumerate(table.texts(name)))
    else:
        what = "--text" if args.text is not None else "standard input"
        yield from ((f"{what}, line {n}", line) for n, line in enumerate(lines_of(args), 1))


TASK = Seq2Seq()
