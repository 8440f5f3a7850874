"""Generation: a language model goes on from a prompt, symbol by symbol, and carries its state instead of rereading."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.arguments import positive_int, real, with_argument_help
from minidl.errors import ArgumentError, NonFiniteError, NotBuiltError, ShapeError
from minidl.inputs import Array
from minidl.kernels import machine_code
from minidl.layer import Layer
from minidl.losses import TINY, CrossEntropy
from minidl.stepping import stepper
from minidl.streaming import obstacles
from minidl.text import Vocab


@with_argument_help
def generate(
    net: Layer,
    prompt_ids: Any,
    length: int | None = None,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: Any = 0,
    state: Any = None,
) -> Iterator[int]:
    """Let a language model go on from a prompt; yields the ids of the new symbols one by one.

        p = softmax(scores / temperature), of the top_k most likely symbols, and of those of the likeliest
        that together reach top_p

    The prompt is one pass, each further symbol one step from the state before it. The same seed gives the same
    symbols.

    Args:
        net: ids [B, T] -> scores or probabilities [B, T, V]. The scores before a last `Softmax` are used themselves;
            outputs that are probabilities otherwise are used by their logarithm.
        prompt_ids: ids [T] to go on from, at least one.
        length: how many symbols to yield; None never ends.
        temperature: below 1 the likely becomes likelier; 0 always takes the most likely symbol.
        top_k: choose among so many symbols, the most likely ones; None among all.
        top_p: choose among the fewest symbols that together are at least as likely as this; None among all.
        seed: an int or a `np.random.Generator`.
        state: what the net remembers before the prompt; None for its initial state.

    Raises:
        ArgumentError: for an empty prompt, an argument out of range, or a net that cannot be streamed. NotBuiltError,
            ShapeError: for a net that is not built, or has no output per step. NonFiniteError: for scores of NaN.

    Source:
        Fan, Lewis & Dauphin 2018, Hierarchical neural story generation (top k); Holtzman et al. 2020, The curious
        case of neural text degeneration (top p).

    Example:
        >>> net = minidl.Sequential([minidl.Embedding(9, 4), minidl.LSTM(8, return_sequences=True), minidl.Dense(9)])
        >>> _ = net.build((None,))
        >>> ids = list(minidl.generate(net, [1, 2, 3], length=5, temperature=0.7))
        >>> len(ids), ids == list(minidl.generate(net, [1, 2, 3], length=5, temperature=0.7))
        (5, True)
    """
    real("generate", "temperature", temperature, 0.0)
    for name, value in ("length", length), ("top_k", top_k):
        if value is not None:
            positive_int("generate", name, value)
    if top_p is not None and not 0 < real("generate", "top_p", top_p) <= 1:
        raise ArgumentError(f"generate expects top_p to be above 0 and at most 1, got {top_p!r}.")
    if not isinstance(net, Layer) or net.in_shape is None:
        raise NotBuiltError(
            f"generate expects a built net, got {type(net).__name__}: train it, load one, or build((None,))."
        )
    if not net.streams:
        raise ArgumentError(
            f"generate expects a net that goes from the first step to the last, got a {type(net).__name__} that cannot "
            f"be streamed because of {obstacles(net)}: use layers without go_backwards, Conv1D with padding='causal'."
        )
    prompt = np.asarray(prompt_ids)
    if prompt.ndim != 1 or not prompt.size:
        raise ArgumentError(
            f"generate expects a prompt of at least one symbol, ids [T], got {prompt.shape}: give what the text is to "
            f"begin with, a line break for example."
        )
    try:
        rng = np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"generate expects seed to be an integer of at least 0 or a np.random.Generator, got {seed!r}: the same "
            f"seed gives the same text."
        ) from None
    body, _ = CrossEntropy().on(net)  # without a last Softmax: scores lose nothing at ±1e4
    y, after, _ = body.forward_with_state(prompt[None], state, keep_cache=False)
    if y.ndim != 3 or y.shape[:2] != (1, len(prompt)):
        raise ShapeError(
            f"generate expects a net with an output per step, [1, {len(prompt)}, V], got {y.shape}: give the last "
            f"recurrent layer return_sequences=True."
        )
    return symbols(stepper(body, after), y, length, temperature, top_k, top_p, rng)


def symbols(
    step: Callable[[Array], Array],
    y: Array,
    length: int | None,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    rng: np.random.Generator,
) -> Iterator[int]:
    """Symbols, each drawn from the outputs y [1, T, V] of the step before it, from there on."""
    probabilities = are_probabilities(y)
    x = np.zeros((1, 1), np.int64)
    for count in itertools.count(1):
        scores = np.log(np.maximum(y[0, -1], TINY)) if probabilities else y[0, -1]
        symbol = choose(scores, temperature, top_k, top_p, rng)
        yield symbol
        if count == length:
            return
        x[0, 0] = symbol
        y = step(x)


def are_probabilities(y: Array) -> bool:
    """Whether outputs [..., V] are probabilities already, rather than scores."""
    return bool((y >= 0).all() and abs(y.sum(axis=-1) - 1).max() < 1e-3)


def choose(scores: Array, temperature: float, top_k: int | None, top_p: float | None, rng: np.random.Generator) -> int:
    """Draw a symbol by its scores [V]."""
    fast = machine_code("draw", scores.dtype) if temperature and top_k is None and top_p is None else None
    if fast:
        symbol = fast.draw(scores, float(temperature), rng.random())
        if symbol >= 0:
            return symbol
    likeliest = int(scores.argmax())
    best = float(scores[likeliest])  # a NaN counts as the largest
    if not math.isfinite(best):
        raise NonFiniteError(f"generate expects finite scores, got {best} from the net: its training went wrong.")
    if temperature == 0:
        return likeliest
    z = scores.astype(np.float64)
    z -= best
    np.maximum(z, -1000 * temperature, out=z)  # exp(-1000) is 0 already
    z /= temperature
    order = None if top_k is None and top_p is None else np.argsort(-z, kind="stable")[:top_k]
    p = np.exp(z if order is None else z[order])
    up_to = p.cumsum()
    if top_p is not None:
        up_to = up_to[: up_to.searchsorted(top_p * up_to[-1]) + 1]
    at = int(up_to.searchsorted(rng.random() * up_to[-1], side="right"))
    return at if order is None else int(order[at])


@with_argument_help
def generate_text(
    net: Layer,
    vocab: Vocab,
    prompt: str,
    length: int | None = None,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: Any = 0,
    state: Any = None,
) -> Iterator[str]:
    """Let a language model go on from a prompt; yields what comes behind it, a character or a word at a time.

    Words come with the blanks between them, so that `prompt + "".join(pieces)` is a text.

    Args:
        vocab: the vocabulary that the net was trained with.
        prompt: the text to go on from.
        net, length, temperature, top_k, top_p, seed, state: as for `generate`.

    Raises:
        ArgumentError: for a prompt with unknown characters, or a vocabulary of another size than the net's output;
            the rest as for `generate`.

    Example:
        >>> from minidl.models import char_lm
        >>> vocab = minidl.CharVocab.of("abc ")
        >>> net = char_lm(len(vocab), 8)
        >>> _ = net.build((None,))
        >>> len("".join(minidl.generate_text(net, vocab, "a cab", length=10)))
        10
    """
    out_shape = net.out_shape if isinstance(net, Layer) else None
    if out_shape is not None and out_shape[-1] != len(vocab):
        raise ArgumentError(
            f"generate_text expects the vocabulary that the net was trained with, {out_shape[-1]} symbols, got one "
            f"of {len(vocab)}: hand over the one that was saved with the net."
        )
    ids = vocab.encode(prompt)
    options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    written = generate(net, ids, length, state=state, **options)
    return pieces(vocab, None if prompt[-1].isspace() else int(ids[-1]), written)


def pieces(vocab: Vocab, before: int | None, ids: Iterator[int]) -> Iterator[str]:
    """What each symbol adds to the text."""
    for symbol in ids:
        yield vocab.piece(symbol, before)
        before = symbol
