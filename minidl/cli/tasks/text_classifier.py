"""`--model text_classifier`: a label for each text of a table."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minidl.cli.loading import finite_outputs
from minidl.cli.options import count
from minidl.cli.tasks.inputs import example_command, inputs_per_call, lines_of, title
from minidl.cli.tasks.labelled import (
    batches_of,
    by_shares,
    check_guessed_names,
    fact,
    hold_out,
    known_already,
    labels_of,
    labels_to_ids,
    length_fact,
    usual,
    warn_of_unseen,
)
from minidl.cli.tasks.task import Job, Task, from_models, no_default_data
from minidl.container import Container
from minidl.errors import ArgumentError
from minidl.escaping import escape
from minidl.feeding import groups_of
from minidl.inputs import Array
from minidl.losses import CrossEntropy
from minidl.metrics import accuracy
from minidl.padding import pad
from minidl.tables import LABELS, TEXTS, Table, named, read_table
from minidl.text import CharVocab, Vocab, WordVocab, count_of
from minidl.tokens import tokenize


class Examples(NamedTuple):
    """Texts with their labels, and where each stands."""

    texts: list[str]
    labels: list[str]
    places: list[str]

    def take(self, rows: Array) -> Examples:
        """Some of them, by their numbers."""
        return Examples(*([part[n] for n in rows] for part in self))

    def alike(self) -> list[str]:
        """What is equal where two texts differ in capitals and blanks at most."""
        return [" ".join(text.lower().split()) for text in self.texts]


class TextClassifier(Task):
    """Reads words or characters from both ends; says a label and how probable it is."""

    paths = "CSV, TSV or JSONL files, a text and its label a row, with the names of the columns"
    defaults: ClassVar[dict[str, Any]] = {"units": 64, "dropout": 0.3, "batch": 16, "lr": 5e-3}
    length = ("epochs", 20)
    symbols = "texts"

    def add_arguments(self, add: Callable[..., Any]) -> None:
        add("--text-column", metavar="NAME", help="where the texts are (default: text, sentence, ..., or the longest)")
        add("--label-column", metavar="NAME", help="where the labels are (default: label, class, ..., or the last)")
        add(
            "--symbols", choices=["words", "chars"],
            help="what texts are read by (default: words, or chars where most texts have no blanks)",
        )  # fmt: skip
        add("--vocab-size", metavar="N", type=count, default=20_000, help="symbols that are known, the most frequent")
        add("--min-count", metavar="N", type=count, default=2, help="how often a symbol has to come to be known")
        add("--max-length", metavar="N", type=count, default=500, help="symbols that are read of a text, at most")

    def job(self, args: argparse.Namespace) -> Job:
        if not args.paths:
            raise no_default_data("text_classifier", "a table of texts and labels")
        table = read_table(args.paths)
        text, label = columns_of(table, args)
        check_guessed_names(table, [(text, args.text_column, TEXTS), (label, args.label_column, LABELS)])
        args.text_column, args.label_column = text, label
        train = examples(table, args)
        empty, rows = len(table) - len(train.texts), len(train.texts)
        check_labels(train.labels, table, args)
        if isinstance(args.valid, str):
            valid = examples(read_table(args.valid), args)
        else:
            kept, held = hold_out(train.alike(), train.labels, args)
            train, valid = train.take(kept), train.take(held)
        args.symbols = args.symbols or symbols_for(train.texts)
        vocab = vocabulary(train.texts, args)
        labels = sorted(set(train.labels))

        def encoded(part: Examples) -> tuple[list[Array], Array]:
            ids = [to_ids(text, vocab, args.max_length) for text in part.texts]
            return ids, labels_to_ids(part.labels, labels, part.places)

        x, t = encoded(train)
        held_x, held_t = encoded(valid)
        warn_of_unseen("Label", train.labels, valid.labels)
        test = None if args.test is None else encoded(examples(read_table(args.test), args))
        net: Container = from_models("text_classifier")(len(vocab), len(labels), args.units, args.layers, args.dropout)
        net.vocab = vocab
        most = usual(train.labels)
        always = valid.labels.count(most) / len(valid.labels)
        left_out = [f"{count_of(empty, 'row')} without text left out"] if empty else []
        return Job(
            net=net,
            in_shape=(None,),
            train=batches_of(x, t, args.batch, args.seed),
            valid=batches_of(held_x, held_t, 64, None),
            test=None if test is None else batches_of(*test, 64, None),
            loss=CrossEntropy(),
            facts={"data": title(args.paths), "rows": rows, "trained on": len(x), "labels": labels},
            heading=[
                title(args.paths),
                f"{len(x):,} texts in {args.text_column!r} to train on, {len(held_x):,} held out",
                *known_already(train.alike(), valid.alike()),
                *left_out,
                f"{len(labels)} labels in {args.label_column!r}",
                f"always {most!r:.40} would be {100 * always:.1f} % right",
                f"{len(vocab):,} {args.symbols}",
                f"LSTM {args.layers}x{args.units} both ways",
            ],
            uniform=math.log(len(labels)),
            baselines={"label frequencies": by_shares(t, held_t, len(labels))},
            metrics=[accuracy],
            hint=example_command(" ".join(text.split())[:40] for text in valid.texts),
        )

    def predict(self, net: Any, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
        labels, longest = labels_of(net, 1), length_fact(net, "max length")
        for group in groups_of(texts_to_label(args, fact(net, "text column", str)), inputs_per_call(args)):
            ids = [to_ids(text, net.vocab, longest) for text in group]
            x, mask = pad(ids)
            for text, read, y in zip(group, ids, finite_outputs(net.predict(x, mask=mask)), strict=True):
                best, some = int(y.argmax()), len(read) > 0  # of a text without a known character nothing is said
                yield {
                    "label": labels[best] if some else None,
                    "probability": round(float(y[best]), 4) if some else None,
                    "text": text,
                }

    def line(self, row: dict[str, Any]) -> str:
        said = "-\t-" if row["label"] is None else f"{escape(row['label'])}\t{row['probability']:.3f}"
        return f"{said}\t{escape(row['text'])}"

    def verdict(self, figures: dict[str, Any]) -> str:
        return f"{100 * figures['accuracy']:.1f} % right, loss {figures['loss']:z.3f}"


def columns_of(table: Table, args: argparse.Namespace) -> tuple[str, str]:
    """The columns of the texts and of the labels: as asked for, by the usual names, or the longest and the last."""
    label = table.choose("labels", args.label_column, LABELS, -1)
    others = [name for name in table.columns if name != label]
    if not others and args.text_column is None:
        raise ArgumentError(
            f"{table.source} has one column, {label!r}: a classifier takes a text and a label a row, from CSV, TSV "
            f"or JSONL."
        )
    lengths = {name: sum(len(str(value)) for value in table.values[name]) for name in others}
    longest = max(lengths, key=lengths.__getitem__, default=label)
    names = [longest, *(name for name in others if name != longest)]
    text = args.text_column if args.text_column in table.columns else None
    if text is None:
        text = Table({name: table.values[name] for name in names}, table.places).choose(
            "texts", args.text_column, TEXTS
        )
    if text == label:
        raise ArgumentError(f"{table.source} has its texts and its labels in {text!r}: choose another --label-column.")
    return text, label


def examples(table: Table, args: argparse.Namespace) -> Examples:
    """The rows that have a text."""
    texts = table.texts(table.choose("texts", args.text_column))
    labels = [label.strip() for label in table.texts(table.choose("labels", args.label_column))]
    rows = [n for n, text in enumerate(texts) if text.strip()]
    for n in rows:
        if not labels[n]:
            raise ArgumentError(f"{table.place(n)} has an empty {args.label_column!r}: label it, or leave the row out.")
    if not rows:
        raise ArgumentError(f"{table.source} has no text in column {args.text_column!r}: choose --text-column.")
    return Examples([texts[n] for n in rows], [labels[n] for n in rows], [table.place(n) for n in rows])


def check_labels(labels: Sequence[str], table: Table, args: argparse.Namespace) -> None:
    """Refuse what cannot be told apart, or learned."""
    different = len(set(labels))
    if different < 2:
        raise ArgumentError(
            f"{table.source} has one label in column {args.label_column!r}, {labels[0]!r:.60}: a classifier needs two "
            f"or more to tell apart."
        )
    if 2 * different > len(labels):
        others = named([name for name in table.columns if name != args.label_column])
        raise ArgumentError(
            f"{table.source} has {different:,} different labels in {len(labels):,} rows of column "
            f"{args.label_column!r}, such as {labels[0]!r:.40}, too many to learn: "
            f"choose another --label-column ({others}), or give more rows of each."
        )


def symbols_for(texts: Sequence[str]) -> str:
    """Words where there are blanks between them."""
    return "words" if statistics.median(len(text.split()) for text in texts) > 1 else "chars"


def vocabulary(texts: Sequence[str], args: argparse.Namespace) -> Vocab:
    """The symbols of the texts that are there often enough."""
    if args.symbols == "words":
        words = " ".join(word for text in texts for word in tokenize(text.lower()))
        return WordVocab.of(words, limit=max(2, args.vocab_size), min_count=args.min_count)
    symbols, counts = np.unique(np.array(list("".join(texts))), return_counts=True)
    ranked = [str(symbols[k]) for k in np.argsort(-counts, kind="stable") if counts[k] >= args.min_count]
    if not ranked:
        raise ArgumentError(
            f"--min-count {args.min_count} expects longer texts, no character comes so often: lower it."
        )
    return CharVocab("".join(ranked[: args.vocab_size]))


def to_ids(text: str, vocab: Vocab, longest: int) -> Array:
    """The ids of a text: unknown words are <unk>, unknown characters are left out."""
    if isinstance(vocab, WordVocab):
        return vocab.encode(" ".join(tokenize(text.lower())[:longest]))
    return vocab.encode("".join(c for c in text if c in vocab.symbols)[:longest])


def texts_to_label(args: argparse.Namespace, column: str) -> Iterator[str]:
    """The lines of --text or of standard input; of files the column that was trained on, of plain text the lines."""
    if args.text is not None or not args.paths:
        yield from lines_of(args)
        return
    for path in args.paths:
        table = read_table(path)
        yield from table.texts("text" if table.columns == ("text",) else table.choose("texts", column))


TASK = TextClassifier()
