"""`split_rows`: hold out a share of independent rows, with nothing of it left among those to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from minidl.arguments import real, with_argument_help
from minidl.data import natural
from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.text import count_of


@with_argument_help
def split_rows(rows: Any, share: float, labels: Any = None, groups: Any = None, seed: int = 0) -> tuple[Array, Array]:
    """Choose a share of the rows at random, to be held out: the numbers of the others and of these, both ascending.

    Equal rows stay together, on one side or the other: a net that learned one by heart would be right about the other
    for the wrong reason. A part of a series or of a text is not independent of the next one: cut those with `split`.

    Args:
        rows: what the net will see, a row an entry: texts, lists of words, arrays.
        share: how much is held out, between 0 and 1.
        labels: a class for each row; both sides have each in the same share, as far as whole rows allow, and what
            is trained on has every class.
        groups: what belongs together, an entry for each row, such as who wrote it; it takes the place of equality.
            A group counts as of the class that most of its rows have.
        seed: of the choice.

    Returns:
        (train [N - M], held_out [M]) numbers of rows.

    Raises:
        ArgumentError: for a share that is not between 0 and 1, as many labels or groups as there are no rows, or where
            nothing can be held out.

    Notes:
        Whole groups can miss the share by half of one. Held out from what was left, a second share makes a third part.

    Example:
        >>> texts, labels = ["so", "no", "so", "ok", "oh", "ah"], list("ynynny")
        >>> train, held_out = minidl.split_rows(texts, 1 / 3, labels)
        >>> train.tolist(), held_out.tolist()
        ([0, 1, 2, 3], [4, 5])
    """
    share = real("split_rows", "share", share, 0, 1)
    seed = natural("split_rows", "seed", seed)
    keys = keys_of("rows", rows)
    keys = keys if groups is None else keys_of("groups", groups)
    classes: list[Hashable] = [None] * len(rows) if labels is None else keys_of("labels", labels)
    for name, length in ("labels", len(classes)), ("groups", len(keys)):
        if length != len(rows):
            raise ArgumentError(f"split_rows expects {name} for {len(rows)} rows, got {length}: one a row.")
    together: dict[Hashable, list[int]] = {}
    for n, key in enumerate(keys):
        together.setdefault(key, []).append(n)
    whole = list(together.values())
    shuffled = [whole[k] for k in np.random.default_rng([seed, *b"split"]).permutation(len(whole))]
    strata: dict[Hashable, list[list[int]]] = {}
    for members in shuffled:
        label = classes[members[0]]
        if len(members) > 1:
            label = Counter(classes[n] for n in members).most_common(1)[0][0]
        strata.setdefault(label, []).append(members)
    left, due = Counter(classes), 0.0
    held: list[int] = []
    for stratum in strata.values():
        for members in sorted(stratum, key=len, reverse=True):  # or small groups would always come before large ones
            due += share * len(members)
            if due < len(members) / 2:
                continue
            taken = Counter(classes[n] for n in members)
            if all(left[label] > count for label, count in taken.items()):
                held += members
                left.subtract(taken)
                due -= len(members)
    if not held:
        few = f"{count_of(len(rows), 'row')} in {count_of(len(whole), 'group')}"
        classed = "" if labels is None else f" with {count_of(len(left), 'label')}"
        raise ArgumentError(
            f"split_rows cannot hold {share:.4g} out of {few}{classed}: give more rows, or a larger share."
        )
    out = np.zeros(len(rows), bool)
    out[held] = True
    return np.flatnonzero(~out), np.flatnonzero(out)


def keys_of(name: str, entries: Any) -> list[Hashable]:
    """For each entry something that is equal where entries are."""
    if not isinstance(entries, Iterable) or isinstance(entries, str | dict) or not hasattr(entries, "__len__"):
        raise ArgumentError(f"split_rows expects {name} to be a list, an entry for each row, got {entries!r:.60}.")
    keys = [key_of(entry) for entry in entries]
    for n, key in enumerate(keys):
        if not isinstance(key, Hashable):
            raise ArgumentError(f"split_rows expects {name} that can be compared, got {key!r:.60} at {n}.")
    return keys


def key_of(entry: Any) -> Any:
    """Something to compare an entry by: arrays and lists by what they hold."""
    if isinstance(entry, np.ndarray):
        return entry.shape, entry.dtype.str, entry.tobytes()
    return tuple(map(key_of, entry)) if isinstance(entry, list | tuple) else entry
