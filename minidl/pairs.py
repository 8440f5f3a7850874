"""Pairs of texts, a source and the target that answers it: batches to train an encoder-decoder on, and its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.arguments import positive_int, with_argument_help
from minidl.decoding import beam_search
from minidl.errors import ArgumentError, MinidlError, ShapeError
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.padding import PaddedBatches, pad
from minidl.text import Vocab


class Answer(NamedTuple):
    """A text that a net wrote.

    Args:
        text: what it wrote.
        log_probability: ln p of all of it, its end included.
        score: by which answers to one source are ranked, see `beam_search`.
        ended: False where it was cut off.
    """

    text: str
    log_probability: float
    score: float
    ended: bool


@with_argument_help
def pair_batches(
    sources: Sequence[str],
    targets: Sequence[str],
    vocab: Vocab,
    batch_size: int = 32,
    shuffle: bool | None = None,
    seed: int = 0,
    by_length: bool = False,
) -> PaddedBatches:
    """Batches of texts and the texts that answer them, as `minidl.models.seq2seq` is trained on.

    Args:
        sources: texts to read.
        targets: as many texts, to be written.
        vocab: the symbols of both; the id behind its last one, len(vocab), is the mark.
        batch_size, shuffle, seed, by_length: as for `PaddedBatches`.

    Shapes:
        x (source [B, S], target [B, T]), the target with a mark before it; t [B, T], with a mark behind it.

    Raises:
        ArgumentError: for what is no list of texts, or a text that the vocabulary cannot tell; it names the row.
        ShapeError: for more sources than targets, or fewer.

    Example:
        >>> vocab = minidl.CharVocab("ab")
        >>> batch = next(iter(minidl.pair_batches(["aab", "b"], ["bb", ""], vocab)))
        >>> batch.x[1].tolist(), batch.t.tolist(), batch.mask[1].tolist()
        ([[2, 1, 1], [2, 0, 0]], [[1, 1, 2], [2, 0, 0]], [[True, True, True], [True, False, False]])
    """
    read = encoded("pair_batches", "sources", sources, vocab)
    written = encoded("pair_batches", "targets", targets, vocab)
    if len(read) != len(written):
        raise ShapeError(f"pair_batches expects a target for each source, got {len(read)} and {len(written)}.")
    mark = np.array([len(vocab)])
    begun = [np.concatenate([mark, ids]) for ids in written]
    ended = [np.concatenate([ids, mark]) for ids in written]
    return PaddedBatches((read, begun), ended, batch_size, shuffle, seed, by_length)


@with_argument_help
def translate(
    net: Layer,
    vocab: Vocab,
    sources: Sequence[str],
    length: int,
    beam: int = 1,
    alpha: float = 0.0,
    batch_size: int = 32,
) -> Iterator[list[Answer]]:
    """Let an encoder-decoder answer texts; yields for each the answers that were found, the best first.

    Args:
        net: as `minidl.models.seq2seq` makes it, trained with `pair_batches`.
        vocab: the vocabulary that it was trained with.
        sources: the texts.
        length, beam, alpha: as for `beam_search`; the mark at the end of an answer counts as one of its symbols.
        batch_size: how many texts are read side by side.

    Raises:
        ArgumentError: for what is no list of texts, a text that the vocabulary cannot tell, or a vocabulary of another
            size than the net's output; the rest as for `beam_search`.

    Example:
        >>> from minidl.models import seq2seq
        >>> vocab = minidl.CharVocab("0123456789+")
        >>> net = seq2seq(len(vocab), 16)
        >>> _ = net.build(((None,), (None,)))
        >>> [answers] = minidl.translate(net, vocab, ["12+30"], length=4, beam=3)
        >>> len(answers), len(answers[0].text) <= 4
        (3, True)
    """
    ids = encoded("translate", "sources", sources, vocab)
    positive_int("translate", "length", length)
    positive_int("translate", "batch_size", batch_size)
    mark = len(vocab)
    out_shape = net.out_shape if isinstance(net, Layer) else None
    if out_shape is not None and out_shape[-1] != mark + 1:
        raise ArgumentError(
            f"translate expects the vocabulary that the net was trained with, {out_shape[-1] - 1} symbols and a mark, "
            f"got one of {mark}: hand over the one that was saved with the net."
        )
    return answers(net, vocab, ids, length, beam, alpha, batch_size)


def answers(
    net: Layer, vocab: Vocab, ids: list[Array], length: int, beam: int, alpha: float, batch_size: int
) -> Iterator[list[Answer]]:
    """See `translate`; the arguments are checked."""
    mark = len(vocab)
    for at in range(0, len(ids), batch_size):
        source, mask = pad(ids[at : at + batch_size])
        found = beam_search(net, source, go=mark, end=mark, length=length, beam=beam, alpha=alpha, mask=mask)
        for hypotheses in found:
            yield [Answer(vocab.decode(h.ids), *h[1:]) for h in hypotheses]


def encoded(owner: str, name: str, texts: Any, vocab: Vocab) -> list[Array]:
    """The ids of texts, as integers that hold the mark too; or what is wrong with one."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        told = f": write list({name})" if isinstance(texts, Iterable) else ""
        hint = f": write [{texts!r:.20}]" if isinstance(texts, str) else told
        raise ArgumentError(f"{owner} expects {name} to be a list of texts, got {type(texts).__name__}{hint}.")
    rows = []
    for n, text in enumerate(texts):
        try:
            rows.append(vocab.encode(text).astype(np.int64))
        except MinidlError as error:
            raise ArgumentError(f"{owner}, {name}[{n}]: {error}") from None
    return rows
