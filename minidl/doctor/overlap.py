"""Whether what is validated with was trained on: the same rows, or the same stretches of a text (D405)."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np

from minidl.checking.naming.findings import Finding, found
from minidl.data import Batch
from minidl.doctor.parts import Part
from minidl.inputs import Array, start_rows

STRETCH = 32  # ids in a row that no text repeats by chance
PIECE, DISCRETE = 4, 0.01  # steps of a series; how often two steps are the same
SHORTEST = 8  # steps of a row of ids; shorter ones come again by chance
FEW_ROWS, FEW_STRETCHES = 0.02, 0.2  # shares that are let pass; chapters on one matter have many words in common
MOST = 0.5  # the share from which on it is an error
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits well mixed


def overlap(train: list[Part], held: list[Part], batches: list[Batch], validation: list[Batch]) -> list[Finding]:
    """D405, where more of the validation data is found in the training data than these hold twice themselves."""
    findings = [same_rows(train, held)]
    if len(train) == 1 and train[0].ids is not None and held[0].ids is not None:
        findings.append(same_stretches(streams_of(train[0], batches), streams_of(held[0], validation)))
    elif len(train) == 1 and not train[0].whole:
        findings.append(same_pieces(train[0], held[0]))
    told = [finding for finding in findings if finding is not None]
    return sorted(told, key=lambda finding: finding.severity)[:1]  # "error" comes before "warning"


def same_rows(train: list[Part], held: list[Part]) -> Finding | None:
    """The finding for rows that are in both, to the last bit."""
    known, asked = rows_of(train), rows_of(held)
    if not known or not asked:
        return None
    seen = Counter(row for row, _ in known)
    hits = [where for row, where in asked if row in seen]
    share = len(hits) / len(asked)
    twice = sum(n for n in seen.values() if n > 1) / len(known)  # which come again by chance, or by nature
    if share < max(FEW_ROWS, 2 * twice):
        return None
    evidence = (
        f"{len(hits):,} of {len(asked):,} validation rows ({100 * share:.0f} %) are among the {len(known):,} training "
        f"rows that were looked at"
    )
    return severe(found("D405", f"validation, {hits[0]}", evidence), share)


def rows_of(parts: list[Part]) -> list[tuple[bytes, str]]:
    """The rows, as bytes, that say enough to be told apart, and where they stand."""
    rows = []
    for k in range(len(parts[0].arrays)):
        for r in range(len(parts[0].arrays[k])):
            pieces = [part.arrays[k][r][part.real[k][r]] for part in parts]
            if any(is_telling(piece, part) for piece, part in zip(pieces, parts, strict=True)):
                rows.append((b"|".join(in_bytes(piece) for piece in pieces), f"batch {k}, row {r}"))
    return rows


def in_bytes(piece: Array) -> bytes:
    """A row's numbers, whatever type they came in; which ids are stored in bytes is no difference."""
    return np.ascontiguousarray(piece, np.int64 if piece.dtype.kind in "iub" else np.float64).tobytes()


def is_telling(piece: Array, part: Part) -> bool:
    """Whether a row is long enough, and not the same all along, as silence is."""
    long = len(piece) >= SHORTEST if part.ids is not None else piece.size >= SHORTEST // 2
    return long and bool((piece != piece[0]).any())


def streams_of(part: Part, batches: list[Batch]) -> list[Array]:
    """The ids of each row, joined over the windows that carry on."""
    open_rows: list[list[Array]] = []
    done: list[list[Array]] = []
    for ids, real, batch in zip(part.ids or [], part.real, batches, strict=True):
        if ids.ndim != 2:
            return []
        begins = start_rows(batch.start, len(ids))[:, 0]
        if len(ids) != len(open_rows):
            begins = np.ones(len(ids), bool)
            done, open_rows = done + open_rows, [[] for _ in ids]
        for r in range(len(ids)):
            if begins[r]:
                done.append(open_rows[r])
                open_rows[r] = []
            open_rows[r].append(ids[r][real[r]])
    return [np.concatenate(pieces) for pieces in [*done, *open_rows] if pieces]


def same_stretches(train: list[Array], held: list[Array]) -> Finding | None:
    """The finding for stretches of ids that are in both, wherever they stand."""
    known, asked = stretches(train), stretches(held)
    if not len(known) or not len(asked):
        return None
    share = float(np.isin(asked, known).mean())
    own = own_share(train)
    if share < 2 * own + FEW_STRETCHES:
        return None
    evidence = (
        f"{100 * share:.0f} % of the {len(asked):,} stretches of {STRETCH} ids in the validation data are in the "
        f"training data that were looked at; one half of these holds {100 * own:.0f} % of the other"
    )
    return severe(found("D405", "validation, at any offset", evidence), share)


def own_share(train: list[Array]) -> float:
    """How much of one half of the training data is found in the other: what a text repeats of itself."""
    if len(train) > 1:
        halves = train[: len(train) // 2], train[len(train) // 2 :]
    else:
        halves = [train[0][: len(train[0]) // 2]], [train[0][len(train[0]) // 2 :]]
    first, second = (stretches(half) for half in halves)
    return float(np.isin(second, first).mean()) if len(first) and len(second) else 0.0


def same_pieces(train: Part, held: Part) -> Finding | None:
    """The finding for windows of a series that share steps, as when they are shuffled before they are split."""
    rows = [
        [a[r][real[r]] for a, real in zip(p.arrays, p.real, strict=True) for r in range(len(a))] for p in (train, held)
    ]
    if any(row.ndim != 2 or row.shape[1:] != rows[0][0].shape[1:] for side in rows for row in side):
        return None
    _, codes, counts = np.unique(
        np.concatenate([step for side in rows for step in side]), axis=0, return_inverse=True, return_counts=True
    )
    if ((counts / counts.sum()) ** 2).sum() > DISCRETE:  # steps that come again by nature
        return None
    streams = np.split(codes.reshape(-1), np.cumsum([len(row) for side in rows for row in side])[:-1])
    known, asked = (stretches(side, PIECE) for side in (streams[: len(rows[0])], streams[len(rows[0]) :]))
    share = float(np.isin(asked, known).mean()) if len(asked) and len(known) else 0.0
    if share < 2 * FEW_STRETCHES:  # two windows may meet where the data were split
        return None
    evidence = (
        f"{100 * share:.0f} % of the {len(asked):,} stretches of {PIECE} steps in the validation data are in the "
        f"training data that were looked at, to the last bit"
    )
    return severe(found("D405", "validation, at any offset", evidence), share)


def stretches(streams: list[Array], length: int = STRETCH) -> Array:
    """A number for each stretch of ids, equal where the ids are."""
    joined = np.concatenate(streams).astype(np.uint64) if streams else np.zeros(0, np.uint64)
    if len(joined) < length:
        return joined[:0]
    codes = np.zeros(len(joined) - length + 1, np.uint64)
    for k in range(length):  # modulo 2^64
        codes = codes * FACTOR + (joined[k : k + len(codes)] + np.uint64(1))
    inside = np.zeros(len(codes), bool)
    ends = np.cumsum([0, *map(len, streams)])
    for begin, end in pairwise(ends.tolist()):
        inside[begin : max(begin, end - length + 1)] = True
    return codes[inside]


def severe(finding: Finding, share: float) -> Finding:
    """An error where most of it is in both."""
    return finding._replace(severity="error") if share > MOST else finding
