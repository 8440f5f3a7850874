"""`--model tagger`: a tag for each token of a sentence."""

from __future__ import annotations

import argparse
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minidl.cli.loading import finite_outputs
from minidl.cli.options import count
from minidl.cli.tasks.inputs import example_command, inputs_per_call, lines_of, title
from minidl.cli.tasks.labelled import (
    batches_of,
    by_shares,
    hold_out,
    known_already,
    labels_of,
    labels_to_ids,
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
from minidl.tables import Table
from minidl.tagged import read_tagged
from minidl.text import WordVocab
from minidl.tokens import tokenize


class Sentences(NamedTuple):
    """Tokens and tags of each sentence, and where it stands."""

    tokens: list[list[str]]
    tags: list[list[str]]
    places: list[str]

    @classmethod
    def of(cls, table: Table) -> Sentences:
        """Those of a table."""
        return cls(table.lists("tokens"), table.lists("tags"), [table.place(n) for n in range(len(table))])

    def take(self, rows: Array) -> Sentences:
        """Some of them, by their numbers."""
        return Sentences([self.tokens[n] for n in rows], [self.tags[n] for n in rows], [self.places[n] for n in rows])


class Tagger(Task):
    """Reads sentences from both ends; says a tag for each token."""

    paths = (
        'JSONL files, a sentence a line: {"tokens": ["So", "it", "is"], "tags": ["A", "B", "C"]}; or, by any other '
        "name, text with a token and its tag a line and an empty line behind each sentence, as CoNLL files have"
    )
    defaults: ClassVar[dict[str, Any]] = {"units": 64, "dropout": 0.3, "batch": 16, "lr": 5e-3}
    length = ("epochs", 20)
    symbols = "tags"

    def add_arguments(self, add: Callable[..., Any]) -> None:
        add("--tokens-column", metavar="NAME", help="what JSONL calls the tokens (default: tokens or words)")
        add("--tags-column", metavar="NAME", help="what JSONL calls the tags (default: tags, labels, pos, ner, ...)")
        add("--vocab-size", metavar="N", type=count, default=20_000, help="tokens that are known, the most frequent")
        add("--min-count", metavar="N", type=count, default=2, help="how often a token has to come to be known")

    def job(self, args: argparse.Namespace) -> Job:
        if not args.paths:
            raise no_default_data("tagger", "sentences with tags")

        def read(paths: Any) -> Sentences:
            return Sentences.of(read_tagged(paths, args.tokens_column, args.tags_column))

        train = read(args.paths)
        rows, counts = len(train.tokens), Counter(tag for tags in train.tags for tag in tags)
        labels = sorted(counts)
        if len(labels) < 2:
            raise ArgumentError(
                f"{title(args.paths)} has one tag, {labels[0]!r:.60}: a tagger needs two or more to tell apart."
            )
        if isinstance(args.valid, str):
            valid = read(args.valid)
        else:
            rarest = [min(tags, key=lambda tag: (counts[tag], tag)) for tags in train.tags]
            kept, held = hold_out(train.tokens, rarest, args)
            train, valid = train.take(kept), train.take(held)
        vocab = WordVocab.of(
            " ".join(spelled(token) for tokens in train.tokens for token in tokens),
            limit=max(2, args.vocab_size),
            min_count=args.min_count,
        )
        known = set(vocab.words)

        def encoded(part: Sentences) -> tuple[list[Array], list[Array]]:
            ids = [to_ids(tokens, vocab, known) for tokens in part.tokens]
            places = zip(part.tags, part.places, strict=True)
            return ids, [labels_to_ids(tags, labels, [place] * len(tags)) for tags, place in places]

        x, t = encoded(train)
        held_x, held_t = encoded(valid)
        warn_of_unseen("Tag", labels, (tag for tags in valid.tags for tag in tags))
        test = None if args.test is None else encoded(read(args.test))
        net: Container = from_models("tagger")(len(vocab), len(labels), args.units, args.layers, args.dropout)
        net.vocab = vocab
        shares = Counter(labels) + Counter(tag for tags in train.tags for tag in tags)  # none is impossible
        most = shares.most_common(1)[0][0]
        always = np.mean([tag == most for tags in valid.tags for tag in tags])
        right, loss = by_token(train, valid, shares)
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
                f"{len(x):,} sentences to train on, {len(held_x):,} held out",
                *known_already(map(tuple, train.tokens), map(tuple, valid.tokens)),
                f"{len(labels)} tags",
                f"always {most!r:.40} would be {100 * always:.1f} % right",
                f"each token's usual tag {100 * right:.1f} %",
                f"{len(vocab):,} tokens known",
                f"LSTM {args.layers}x{args.units} both ways",
            ],
            uniform=math.log(len(labels)),
            baselines={
                "tag frequencies": by_shares(np.concatenate(t), np.concatenate(held_t), len(labels)),
                "tags by token": loss,
            },
            metrics=[accuracy],
            hint=example_command(" ".join(tokens[:8]) for tokens in valid.tokens),
        )

    def predict(self, net: Any, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
        labels, column = labels_of(net, 2), net.facts.get("tokens column")
        if not isinstance(net.vocab, WordVocab) or not isinstance(column, str | None):
            raise ArgumentError("The model must have a vocabulary of words and tell its column. Train it again.")
        known = set(net.vocab.words)
        for group in groups_of(sentences_to_tag(args, column), inputs_per_call(args)):
            x, mask = pad([to_ids(tokens, net.vocab, known) for tokens in group])
            for tokens, y in zip(group, finite_outputs(net.predict(x, mask=mask)), strict=True):
                tags = [labels[id] for id in y[: len(tokens)].argmax(axis=-1)]
                yield {"tokens": tokens, "tags": tags}

    def line(self, row: dict[str, Any]) -> str:
        pairs = zip(row["tokens"], row["tags"], strict=True)
        return "".join(f"{escape(token)}\t{escape(tag)}\n" for token, tag in pairs)

    def verdict(self, figures: dict[str, Any]) -> str:
        return f"{100 * figures['accuracy']:.1f} % of the tags right, loss {figures['loss']:z.3f}"


def spelled(token: str) -> str:
    """A token as the vocabulary has it: without blanks."""
    return "_".join(token.split()) or "_"


def to_ids(tokens: Sequence[str], vocab: WordVocab, known: set[str]) -> Array:
    """The ids of tokens; one that is not known may be so in small letters."""
    words = map(spelled, tokens)
    return vocab.encode(" ".join(word if word in known else spelled(word.lower()) for word in words))


def by_token(train: Sentences, valid: Sentences, shares: Counter[str]) -> tuple[float, float]:
    """The share of tags that are right, and the loss in nats, of who knows how often each token had each tag.

    Of a token that is new the shares of the tags tell; of the others they count as one more time that it was there.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for tokens, tags in zip(train.tokens, train.tags, strict=True):
        for token, tag in zip(tokens, tags, strict=True):
            found[token][tag] += 1
    right, losses = [], []
    for tokens, tags in zip(valid.tokens, valid.tags, strict=True):
        for token, tag in zip(tokens, tags, strict=True):
            had = found[token] if token in found else Counter[str]()
            right.append(tag == (had or shares).most_common(1)[0][0])
            losses.append(-np.log((had[tag] + shares[tag] / shares.total()) / (had.total() + 1)))
    return float(np.mean(right)), float(np.mean(losses))


def sentences_to_tag(args: argparse.Namespace, column: str | None) -> Iterator[list[str]]:
    """The tokens of the files; of --text or of standard input those of each line."""
    if args.text is None and args.paths:
        yield from read_tagged(args.paths, column, tagged=False).lists("tokens")
    else:
        yield from map(tokenize, lines_of(args))


TASK = Tagger()
