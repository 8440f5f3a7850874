"""Decoding: an encoder-decoder reads a source once, and writes its answer symbol by symbol, as beam search leads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from minidl.arguments import positive_int, real, with_argument_help
from minidl.data import natural
from minidl.errors import ArgumentError, NonFiniteError, NotBuiltError, ShapeError
from minidl.generation import are_probabilities
from minidl.graph import Graph, of_sources
from minidl.inputs import Array, as_mask, cast_input, clear_padding
from minidl.kernels import one_blas_thread
from minidl.layer import Layer
from minidl.layers import Attention
from minidl.losses import TINY, CrossEntropy
from minidl.nested import map_arrays, part_of
from minidl.streaming import obstacles


class Hypothesis(NamedTuple):
    """One answer to a source.

    Args:
        ids: its symbols [n], without the ones that stand before the first and behind the last.
        log_probability: of all of it: ln p of each symbol given those before it, and of its end, added up.
        score: by which answers are ranked, see `beam_search`.
        ended: False where it was cut off.
    """

    ids: Array
    log_probability: float
    score: float
    ended: bool


@with_argument_help
def beam_search(
    net: Layer,
    source: Any,
    *,
    go: int,
    end: int | None,
    length: int,
    beam: int = 1,
    alpha: float = 0.0,
    mask: Any = None,
) -> list[list[Hypothesis]]:
    """The most likely answers of an encoder-decoder to each source that are found with a beam of some width.

        log p(answer) = sum over its n symbols, the end among them, of ln p(symbol | source, symbols before it)
        score         = log p(answer) / ((5 + n) / 6)^alpha

    Symbol by symbol, the `beam` likeliest beginnings of an answer are gone on with. One that ends is done if it is
    among the `beam` likeliest of that step; a source is done when it has `beam` answers. A beam of 1 takes the
    likeliest symbol at each step (greedy search); a beam as wide as there are answers finds the best one.

    Args:
        net: a built Graph of two inputs, source and target, with an output per step of the target: scores or
            probabilities [B, T, V] of the target's next symbol, as `minidl.models.seq2seq` has it.
        source: what is to be answered: ids [B, S], features [B, S, D], ...
        go: the id that the target begins with.
        end: the id that ends an answer; None for answers of `length` symbols.
        length: the most symbols of an answer, its end included; a longer one is cut off, and ranked as it is.
        beam: the width of the beam.
        alpha: how much longer answers are favoured, which lose with each symbol: 0 not at all, the score is the log
            probability; 1 about as much as the mean per symbol would.
        mask: [B, S], True where a step of the source is real.

    Returns:
        For each source a list of up to `beam` hypotheses, the best first.

    Raises:
        ArgumentError: for an argument out of range, or a net that is no such Graph, or whose target is not read from
            the first step to the last. NotBuiltError, ShapeError: for a net that is not built, or has no output per
            step. NonFiniteError: for scores of NaN.

    Notes:
        The source is read once. A step takes what its layers take for B * beam rows; what the encoder said is shared
        by the hypotheses of a source, and those of sources that are done are left out.

    Source:
        Graves 2012, Sequence transduction with recurrent neural networks (the search); Wu et al. 2016, Google's neural
        machine translation system (the score).

    Example:
        >>> from minidl.models import seq2seq
        >>> net = seq2seq(10, 16)
        >>> _ = net.build(((None,), (None,)))
        >>> [found] = minidl.beam_search(net, [[3, 1, 4]], go=10, end=10, length=5, beam=4)
        >>> len(found), found[0].score >= found[1].score
        (4, True)
    """
    positive_int("beam_search", "length", length)
    positive_int("beam_search", "beam", beam)
    real("beam_search", "alpha", alpha, 0.0)
    decoder = Decoder(net)
    natural("beam_search", "go", go)
    if end is not None and natural("beam_search", "end", end) >= decoder.classes:
        raise ArgumentError(
            f"beam_search expects end to be an id of the net's output, 0 to {decoder.classes - 1}, or None, got {end}."
        )
    with one_blas_thread():
        memory = decoder.read(source, mask)
        return search(decoder, memory, go, -1 if end is None else end, length, beam, alpha) if memory.sources else []


class Memory(NamedTuple):
    """What is known of the sources: how many there are, what was made of them, where that is real, and states.

    The states are those that the nodes of the other side start from, by their names.
    """

    sources: int
    values: dict[str, Any]
    masks: dict[str, Any]
    states: dict[str, Any]


class Decoder:
    """The two sides of an encoder-decoder: what reads the source, once, and what writes the target, step by step.

    Args:
        net: a Graph of two inputs, source and target.

    Raises:
        ArgumentError, NotBuiltError: for a net that cannot be taken apart so.
    """

    def __init__(self, net: Layer) -> None:
        if not isinstance(net, Graph) or len(net.inputs) != 2 or len(net.outputs) != 1:
            raise ArgumentError(
                f"beam_search expects an encoder-decoder, a Graph of two inputs, source and target, and one output, "
                f"got {net!r:.60}: see minidl.models.seq2seq."
            )
        if net.out_shape is None:
            raise NotBuiltError(
                "beam_search expects a built net, got a Graph that is not: train it, load one, or "
                "build(((None,), (None,)))."
            )
        if len(net.out_shape) != 2:
            raise ShapeError(
                f"beam_search expects a net with an output per step of the target, [B, T, V], got one of "
                f"{len(net.out_shape) + 1} axes: give the decoder's last recurrent layer return_sequences=True."
            )
        body, _ = CrossEntropy().on(net)  # without a last Softmax: scores lose nothing at ±1e4
        assert isinstance(body, Graph)
        self.net, self.classes, self.ends_in_scores = net, net.out_shape[-1], body is not net
        self.nodes, self.output, target = body.nodes, body.outputs[0], net.inputs[1]
        self.writing = {target}
        for name, (layer, sources, origin) in self.nodes.items():
            if self.writing.isdisjoint([*sources, (origin or "").partition(".")[0]]):
                continue
            self.writing.add(name)
            self.check(name, layer, sources, origin)
        if self.output not in self.writing:
            raise ArgumentError(f"beam_search expects a net whose output depends on {target!r}, got {self.output!r}.")

    def check(self, name: str, layer: Layer, sources: tuple[str, ...], origin: str | None) -> None:
        """Refuse a node that could not write step by step."""
        looks_back = isinstance(layer, Attention) and self.writing.isdisjoint(sources[1:])
        if origin is not None and origin.partition(".")[0] in self.writing:
            told = f"which starts from the last state of {origin!r}"
        elif not layer.streams and not looks_back:
            told = f"which cannot be streamed because of {obstacles(layer)}"
        elif not looks_back and not self.writing.issuperset(sources):
            told = f"a {type(layer).__name__} of both sides"
        else:
            return
        raise ArgumentError(
            f"beam_search expects a net that writes the target from its first step to its last, got node {name!r}, "
            f"{told}: let Attention look back at the source, and a state=... start the decoder."
        )

    def read(self, source: Any, mask: Any) -> Memory:
        """Run the side of the source."""
        net, name = self.net, self.net.inputs[0]
        x, mask = cast_input(source, net.dtype), as_mask(mask)
        if isinstance(x, tuple) or x.ndim < 2:
            came = f"a tuple of {len(x)}" if isinstance(x, tuple) else f"{x.shape}"
            raise ShapeError(f"beam_search expects sources [B, S], or [B, S, D], got {came}: one source is [source].")
        values, masks, states = {name: clear_padding(x, mask)}, {name: mask}, dict[str, Any]()
        if not len(x):
            return Memory(0, {}, {}, {})
        for name, (layer, sources, origin) in self.nodes.items():
            if name in self.writing:
                continue
            given = of_sources(masks, sources)
            with net._place(name):
                values[name], states[name], _ = layer.forward_with_state(
                    of_sources(values, sources),
                    part_of(states, origin) if origin else None,
                    mask=given if layer.mixes_steps else None,
                    keep_cache=False,
                )
            masks[name] = None if given is None else layer.hand_on(given)
        looked_at = {source for name in self.writing if name in self.nodes for source in self.nodes[name].sources}
        origins = {name: node.state for name, node in self.nodes.items() if name in self.writing and node.state}
        return Memory(
            len(x),
            {name: a for name, a in values.items() if name in looked_at},
            {name: a for name, a in masks.items() if name in looked_at},
            {name: part_of(states, origin) for name, origin in origins.items()},
        )

    def step(self, ids: Array, states: dict[str, Any], memory: Memory) -> tuple[Array, dict[str, Any]]:
        """What follows the symbols `ids` [R], as many rows for each source: ln p [R, V]; and the states after them."""
        values: dict[str, Any] = {self.net.inputs[1]: ids[:, None]}
        after: dict[str, Any] = {}
        for name, (layer, sources, _) in self.nodes.items():
            if name not in self.writing:
                continue
            with self.net._place(name):
                if sources[-1] in self.writing:
                    x = of_sources(values, sources)
                    values[name], after[name], _ = layer.forward_with_state(x, states.get(name), keep_cache=False)
                else:
                    values[name] = self.look(layer, values[sources[0]], sources[1:], memory)
        y = values[self.output]
        if y.shape[1:] != (1, self.classes):
            raise ShapeError(f"beam_search expects an output per step, [R, 1, {self.classes}], got {y.shape}.")
        return log_probabilities(y[:, 0], self.ends_in_scores), after

    def look(self, attention: Layer, query: Array, sources: tuple[str, ...], memory: Memory) -> Array:
        """What the rows [R, 1, D] see of their sources: those of one source are queries of one pass."""
        looked_at = [memory.values[name] for name in sources]
        masks = [memory.masks[name] for name in sources]
        mask = None if all(part is None for part in masks) else (None, *masks)
        queries = query.reshape(len(looked_at[0]), -1, query.shape[-1])
        y, _, _ = attention.forward_with_state((queries, *looked_at), mask=mask, keep_cache=False)
        seen: Array = y.reshape(len(query), 1, -1)
        return seen


def search(
    decoder: Decoder, memory: Memory, go: int, end: int, length: int, beam: int, alpha: float
) -> list[list[Hypothesis]]:
    """The hypotheses of each source; an end of -1 never comes."""
    B = memory.sources
    found: list[list[Hypothesis]] = [[] for _ in range(B)]
    rows = np.arange(B)  # the sources that are not done
    states = memory.states
    total = np.zeros((B, 1))  # log probabilities of the beginnings [B, k]
    written = np.zeros((B, 1, 0), np.int64)  # their symbols [B, k, n]
    last = np.full((B, 1), go)
    for n in range(1, length + 1):
        gains, states = decoder.step(last.ravel(), states, memory)
        gains = gains.reshape(*total.shape, -1)
        B, k, V = gains.shape
        likeliest, at = best_of((total[:, :, None] + gains).reshape(B, k * V), 2 * beam)
        parent, symbol = at // V, at % V
        for b, place in zip(*np.nonzero(symbol[:, :beam] == end), strict=True):
            ids, log_p = written[b, parent[b, place]], float(likeliest[b, place])
            found[rows[b]].append(Hypothesis(ids, log_p, normalised(log_p, n, alpha), True))
        width = min(beam, k * V - k if end >= 0 else k * V)
        kept = np.argsort(symbol == end, axis=1, kind="stable")[:, :width]  # the likeliest that do not end
        total, parent, last = (np.take_along_axis(a, kept, 1) for a in (likeliest, parent, symbol))
        written = np.concatenate([np.take_along_axis(written, parent[:, :, None], 1), last[:, :, None]], 2)
        going_on = np.flatnonzero([len(found[row]) < beam for row in rows])
        if not len(going_on) or not width:
            break
        origin = (np.arange(B)[:, None] * k + parent)[going_on]
        states = taken(states, origin.ravel())
        if len(going_on) < B:
            memory = Memory(len(going_on), taken(memory.values, going_on), taken(memory.masks, going_on), {})
            rows, total, written, last = rows[going_on], total[going_on], written[going_on], last[going_on]
    else:
        for row, ids, log_ps in zip(rows, written, total.tolist(), strict=True):
            found[row] += [
                Hypothesis(one, log_p, normalised(log_p, length, alpha), False)
                for one, log_p in zip(ids, log_ps, strict=True)
            ]
    return [sorted(each, key=lambda hypothesis: -hypothesis.score)[:beam] for each in found]


def normalised(log_probability: float, n: int, alpha: float) -> float:
    """The score of an answer of n symbols, its end among them."""
    return log_probability / ((5 + n) / 6) ** alpha


def taken(tree: Any, rows: Iterable[int]) -> Any:
    """Some rows of all arrays."""
    return map_arrays(lambda a: a[rows], tree)


def best_of(values: Array, count: int) -> tuple[Array, Array]:
    """The largest values of each row, in order, and where they stand; of equal ones the first comes first."""
    if count < values.shape[1]:
        least = np.partition(values, -count, axis=1)[:, -count, None]
        above, equal = values > least, values == least  # a partition alone would take any of the equal ones
        chosen = above | (equal & (equal.cumsum(axis=1) <= count - above.sum(axis=1, keepdims=True)))
        some = np.nonzero(chosen)[1].reshape(-1, count)
    else:
        some = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    order = np.argsort(-np.take_along_axis(values, some, 1), axis=1, kind="stable")
    at = np.take_along_axis(some, order, 1)
    return np.take_along_axis(values, at, 1), at


def log_probabilities(y: Array, are_scores: bool) -> Array:
    """ln p [R, V] in float64, of scores, or else of what may be probabilities."""
    z = y.astype(np.float64)
    if not are_scores and are_probabilities(y):
        return np.log(np.maximum(z, TINY))
    best = z.max(axis=1, keepdims=True)
    if not np.isfinite(best).all():
        raise NonFiniteError(
            f"beam_search expects finite scores, got {best[~np.isfinite(best)][0]} from the net: its training went "
            f"wrong."
        )
    z -= best
    z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
    return z
