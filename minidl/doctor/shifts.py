"""How ids and targets lie to each other (D402), and ids that are positions (D401)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.baselines import ngram_bits
from minidl.checking.naming.findings import Finding, found
from minidl.doctor.parts import Part
from minidl.inputs import Array

LEAST_STEPS = 4  # of a row: shorter ones may be counted up by chance
NEARLY = 0.95  # the share from which on it is no chance
FARTHEST = 8  # steps by which targets may be moved
FILLING = 0.4  # of the ids: more than the blanks of a text, so they fill what is between
SHOWN = 12  # ids of a window in a message


def positions(parts: list[Part], t: Part | None, vocab: Any = None) -> list[Finding]:
    """D401, where all inputs are ids, and the ids of nearly all rows count up while the targets do not."""
    counted = [counted_rows(part.ids, part.real, part.size) for part in parts if part.ids is not None]
    if len(counted) < len(parts) or any(up < NEARLY * rows or not rows for up, rows, _ in counted):
        return []
    ids, (up, rows, begins) = parts[0].ids, counted[0]
    assert ids is not None
    if t is not None and t.ids is not None and t.ids[0].shape == ids[0].shape:
        targets_up, target_rows, _ = counted_rows(t.ids, t.real, t.size)
        if targets_up >= NEARLY * target_rows:  # learning to count
            return []
    elif begins > 1:  # the row may tell its target by where it begins
        return []
    first = ids[0][0][parts[0].real[0][0]]
    evidence = f"{up:,} of {rows:,} rows count up by 1; the first window is {shortened(first)}"
    if vocab is not None and first.size and first.min() >= 0 and first.max() < len(vocab):
        evidence += f", decoded {vocab.decode(first[:40])!r}"
    return [found("D401", f"{parts[0].name}, batch 0, row 0", evidence)]


def counted_rows(ids: list[Array] | None, real: list[Array], size: int | None) -> tuple[int, int, int]:
    """How many rows count up by 1 (after the last id comes 0), of how many, and with how many first ids."""
    up, rows, begins = 0, 0, set[int]()
    for a, marks in zip(ids or [], real, strict=True):
        if a.ndim != 2 or not a.shape[1]:
            continue
        pairs = marks[:, 1:] & marks[:, :-1]
        a = a.astype(np.int64)
        steps = (a[:, 1:] - a[:, :-1]) % (size if size is not None and size > 2 else np.iinfo(np.int64).max)
        long = pairs.sum(axis=1) >= LEAST_STEPS - 1
        rows += int(long.sum())
        up += int((((steps == 1) | ~pairs).all(axis=1) & long).sum())
        begins.update(a[long, 0].tolist())
    return up, rows, len(begins)


def shortened(ids: Array) -> str:
    """The first ids, and the last one."""
    head = ", ".join(str(k) for k in ids[:SHOWN].tolist())
    return head if len(ids) <= SHOWN else f"{head}, ... {int(ids[-1])}"


def alike(x: Part, t: Part | None) -> bool:
    """Whether inputs and targets are ids of one vocabulary, step by step, as of a language model."""
    if t is None or x.ids is None or t.ids is None or x.size not in (None, t.size):
        return False
    return all(a.ndim == 2 and a.shape == b.shape for a, b in zip(x.ids, t.ids, strict=True))


def share_of_shift(x: Part, t: Part, k: int) -> tuple[float, int]:
    """The share of t[:, i] == x[:, i + k] among the pairs that tell, and how many of these there are.

    Two filling ids tell nothing: those that come far more often than the blanks of a text.
    """
    same = pairs = 0
    filling = most_of_all(t)
    for a, b, marks_a, marks_b in zip(x.ids or [], t.ids or [], x.real, t.real, strict=True):
        T = a.shape[1]
        if abs(k) >= T:  # the last window may be shorter
            continue
        ahead, behind = slice(max(k, 0), T + min(k, 0)), slice(max(-k, 0), T - max(k, 0))
        both = marks_a[:, ahead] & marks_b[:, behind]
        if filling is not None:
            both &= (a[:, ahead] != filling) | (b[:, behind] != filling)
        same += int(((a[:, ahead] == b[:, behind]) & both).sum())
        pairs += int(both.sum())
    return (same / pairs if pairs else 0.0), pairs


def most_of_all(t: Part) -> int | None:
    """The id that fills what is between the targets; None where none does."""
    ids = np.concatenate([a[real] for a, real in zip(t.ids or [], t.real, strict=True)])
    kinds, counts = np.unique(ids, return_counts=True)
    return int(kinds[counts.argmax()]) if len(kinds) > 1 and counts.max() > FILLING * len(ids) else None


def is_next(x: Part, t: Part | None) -> bool:
    """Whether the targets are the inputs of the next step."""
    return t is not None and alike(x, t) and share_of_shift(x, t, 1)[0] > NEARLY


def shifted(x: Part, t: Part | None, carried: bool, vocab: Any = None) -> list[Finding]:
    """D402, for targets that are the inputs themselves, or moved the wrong way or too far."""
    if t is not None and x.ids is None and t.ids is None:
        return same_series(x, t, carried)
    if t is None or x.ids is None or t.ids is None or x.size not in (None, t.size):
        return []
    if x.ids[0].ndim == 2 and t.ids[0].ndim == 1:
        return last_input(x, t, vocab)
    if not alike(x, t) or share_of_shift(x, t, 1)[0] > NEARLY:
        return []
    T = max(a.shape[1] for a in x.ids)
    order = [0, -1, *range(2, FARTHEST + 1), *range(-2, -FARTHEST - 1, -1)]
    shares = [(*share_of_shift(x, t, k), k) for k in order if abs(k) < T]
    share, pairs, k = max(shares, key=lambda told: told[0])  # the first of equal ones
    if share <= NEARLY or pairs < LEAST_STEPS:
        return []
    if k < 0 and is_idle(x, t):  # who copies, or recalls, has read all of it before it is asked
        return []
    text = most_of_all(t) is None and (vocab is not None or has_order(x, t.size))
    if k < -1 and not text:  # to repeat what came some steps before is a task of its own
        return []
    sure = carried if k == 0 else k > 0 or text
    return [told_shift(x, k, share, pairs)._replace(severity="error" if sure else "warning")]


def is_idle(x: Part, t: Part) -> bool:
    """Whether nearly all input ids are the same where targets count, so that there is nothing to read."""
    ids = np.concatenate([a[marks] for a, marks in zip(x.ids or [], t.real, strict=True)])
    return bool(len(ids)) and int(np.unique(ids, return_counts=True)[1].max()) > NEARLY * len(ids)


def same_series(x: Part, t: Part, carried: bool) -> list[Finding]:
    """D402 for a series that goes on from window to window, with targets that equal the inputs, step by step."""
    shapes = [(a.ndim, a.shape) == (3, b.shape) for a, b in zip(x.arrays, t.arrays, strict=True)]
    if not carried or not all(shapes):  # windows of their own may be coded and decoded again
        return []
    count = sum(int(real.sum()) for real in t.real)
    same = all(np.array_equal(a[real], b[real]) for a, b, real in zip(x.arrays, t.arrays, t.real, strict=True))
    return [told_shift(x, 0, 1.0, count)] if same and count >= LEAST_STEPS else []


def told_shift(x: Part, k: int, share: float, pairs: int) -> Finding:
    """The words for targets that are moved by k steps, where 1 is right."""
    right = share_words(share, pairs)
    if k == 0:
        what, relation = "the targets equal the inputs", "t[:, i] is x[:, i]"
        cause = "x and t were cut from the same place: the net has only to hand on what it sees"
    elif k < 0:
        what = "the targets are shifted the wrong way, they are the past"
        relation = f"t[:, i] is x[:, i - {-k}]"
        cause = "x and t are exchanged, or np.roll went the other way: the net has only to remember"
    else:
        what, relation = f"the targets are shifted by {k} steps, not by 1", f"t[:, i] is x[:, i + {k}]"
        cause = f"t was cut {k} steps behind x: the {k - 1} step{'s' * (k > 2)} between are never predicted"
    evidence = f"{relation} at {right}; to predict what comes next it is x[:, i + 1]"
    return found("D402", f"t against {x.name}, shift {k}", evidence, what, cause=cause)


def last_input(x: Part, t: Part, vocab: Any) -> list[Finding]:
    """D402 for one target a row: the last id of the row in place of the one behind it."""
    same = rows = 0
    for a, b, marks_a, marks_b in zip(x.ids or [], t.ids or [], x.real, t.real, strict=True):
        last = a[np.arange(len(a)), a.shape[1] - 1 - marks_a[:, ::-1].argmax(axis=1)]
        counts = marks_b & marks_a.any(axis=1)
        same, rows = same + int(((last == b) & counts).sum()), rows + int(counts.sum())
    if rows < LEAST_STEPS or same <= NEARLY * rows:
        return []
    if np.unique(np.concatenate(t.ids or [])).size < 2:
        return []
    finding = found(
        "D402",
        f"t against {x.name}, last step",
        f"t is the last id of its row, x[:, -1], at {share_words(same / rows, rows, 'rows')}",
        "the targets are in the inputs",
        cause="the window was cut one step too long, so that it holds what is to be predicted",
        remedy="x = ids[k:k + T] and t = ids[k + T]",
    )
    return [finding if vocab is not None or has_order(x, t.size) else finding._replace(severity="warning")]


def has_order(x: Part, size: int | None) -> bool:
    """Whether the next id depends on the one before, as in any text, and not in ids that were drawn one by one."""
    ids = np.concatenate([a[marks].ravel() for a, marks in zip(x.ids or [], x.real, strict=True)])
    if len(ids) < 100 or not size or ids.min() < 0 or ids.max() >= size:
        return False
    bits = ngram_bits(ids[: len(ids) // 2], ids[len(ids) // 2 :], size, order=2)
    return bits["2-gram"] < 0.95 * bits["unigram"]


def share_words(share: float, count: int, what: str = "positions") -> str:
    """A share as people say it."""
    return f"all {count:,} {what}" if share == 1 else f"{100 * share:.1f} % of {count:,} {what}"
