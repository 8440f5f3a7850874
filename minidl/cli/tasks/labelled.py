"""What the tasks with labels have in common: labels as ids, what is known without a net, what a model file tells."""

from __future__ import annotations

import argparse
import re
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.padding import PaddedBatches
from minidl.splits import split_rows
from minidl.tables import Table, named
from minidl.text import count_of


def hold_out(rows: Sequence[Any], labels: Sequence[str] | None, args: argparse.Namespace) -> tuple[Array, Array]:
    """The numbers of the rows to train on, and of those that --valid holds out."""
    try:
        return split_rows(rows, args.valid, labels, seed=args.seed)
    except ArgumentError:
        each = "" if labels is None else " and leave some of each label"
        raise ArgumentError(
            f"--valid {args.valid:g} cannot hold out any of {count_of(len(rows), 'row')}{each}: give more rows, a "
            f"larger share or a file."
        ) from None


def known_already(train: Iterable[Hashable], held: Iterable[Hashable]) -> list[str]:
    """How many of the rows of another file are trained on, in words; none where none is."""
    trained = set(train)
    same = sum(row in trained for row in held)
    return [f"{same:,} of these are trained on as well"] if same else []


def labels_to_ids(labels: Sequence[str], known: Sequence[str], places: Sequence[str]) -> Array:
    """The ids of labels, each of them among the known ones; or where a strange one stands."""
    index = {label: id for id, label in enumerate(known)}
    for label, place in zip(labels, places, strict=True):
        if label not in index:
            raise ArgumentError(
                f"{place} expects a label that is trained on, got {label!r:.60}: there are {named(known)}."
            )
    return np.array([index[label] for label in labels], np.int64)


def warn_of_unseen(what: str, trained: Iterable[str], held: Iterable[str]) -> None:
    """Warn of labels that the validation set lacks: its accuracy says nothing about them."""
    unseen = sorted(set(trained) - set(held))
    if unseen:
        more = f" and {len(unseen) - 3} more" if len(unseen) > 3 else ""
        does, says = ("does", "it") if len(unseen) == 1 else ("do", "them")
        warnings.warn(
            f"{what}{'s' * (len(unseen) > 1)} {', '.join(f'{label!r:.40}' for label in unseen[:3])}{more} {does} not "
            f"occur in the validation set, which says nothing about {says}. Give more examples of {says}.",
            stacklevel=2,
        )


def check_guessed_names(table: Table, columns: Iterable[tuple[str, str | None, Sequence[str]]]) -> None:
    """Refuse or warn of names of columns that look like a row of data; JSONL has a name with each value.

    Args:
        columns: the name of each column that is used, the name that was asked for, and names that are usual.
    """
    guessed = [name for name, given, usual in columns if given is None and name.lower() not in usual]
    if not guessed or table.places[0][0].lower().endswith((".jsonl", ".ndjson", ".txt")):
        return
    for name in guessed:
        if name in table.values[name] and len(set(map(str, table.values[name]))) < len(table):
            came = f"{named(table.columns)}: {name!r:.40} is also a value below"
            raise ArgumentError(table.has_no_header(came, ", or name the columns that are meant"))
    odd = [name for name in guessed if looks_like_data(name)]
    if odd:
        warnings.warn(
            f"{table.source}: the header looks like data, {named(odd)}. If it is, put a line with the names of the "
            f"columns first.",
            stacklevel=2,
        )


def looks_like_data(name: str) -> bool:
    """Return whether the name of a column is more like a text or a number: long, a sentence, or without a letter."""
    return (
        len(name.split()) > 4 or len(name) > 40 or name[-1:] in tuple(".!?。！？…") or not re.search(r"[^\W\d_]", name)
    )


def by_shares(ids: Array, held: Array, count: int) -> float:
    """The loss in nats of who knows how often each label comes, and nothing else; none is impossible."""
    counts = np.bincount(ids, minlength=count) + 1.0
    return float(-np.log(counts / counts.sum())[held].mean())


def usual(labels: Iterable[Any]) -> Any:
    """The most frequent label, of equally frequent ones the first."""
    return Counter(labels).most_common(1)[0][0]


def worth_sorting(count: int, size: int) -> bool:
    """Return whether there are enough rows to group them by length.

    With few rows, sorting by length would give the same batches in every epoch.
    """
    return count > 100 * size


def batches_of(sequences: Sequence[Any], targets: Any, size: int, seed: int | None) -> PaddedBatches:
    """Return batches, shuffled if a seed is given; rows of similar length share a batch if there are many rows."""
    alike = seed is None or worth_sorting(len(sequences), size)
    return PaddedBatches(sequences, targets, size, shuffle=seed is not None, seed=seed or 0, by_length=alike)


def fact(net: Any, name: str, kind: type) -> Any:
    """Return a fact of a model file, an instance of `kind`."""
    value = net.facts.get(name)
    if not isinstance(value, kind):
        raise ArgumentError(f"The model's {name!r} must be of type {kind.__name__}, got {value!r:.40}. Train it again.")
    return value


def length_fact(net: Any, name: str) -> int:
    """Return a length among the facts of a model file: a positive integer."""
    value: int = fact(net, name, int)
    if isinstance(value, bool) or value < 1:
        raise ArgumentError(f"The model's {name!r} must be a positive integer, got {value!r:.40}. Train it again.")
    return value


def labels_of(net: Any, axes: int) -> list[str]:
    """The labels that a net was trained on, in the order of its outputs, an array with this number of axes."""
    labels: list[str] = fact(net, "labels", list)
    if not all(isinstance(label, str) for label in labels) or len(net.out_shape) != axes:
        raise ArgumentError("The model's labels or outputs are not those of such a task. Train it again.")
    if (len(labels),) != net.out_shape[-1:] or net.vocab is None:
        raise ArgumentError(f"The model has {net.out_shape[-1]} outputs for {len(labels)} labels. Train it again.")
    return labels
