"""Beam search: greedy with one, exhaustive with many, step by step what a whole pass gives, and rows by themselves."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from minidl.models import seq2seq

from minidl import (
    GRU,
    LSTM,
    AdditiveAttention,
    ArgumentError,
    Attention,
    Bidirectional,
    Concatenate,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Graph,
    Hypothesis,
    IdError,
    Layer,
    LayerNorm,
    LearnedState,
    LogSoftmax,
    NonFiniteError,
    NotBuiltError,
    Sequential,
    ShapeError,
    Softmax,
    beam_search,
)
from minidl.decoding import best_of
from minidl.inputs import Array

by_kernel = pytest.mark.usefixtures("kernels")

V = 4  # symbols; the mark is the fifth


def loud(net: Graph, size: float = 0.7, shape: Any = ((None,), (None,))) -> Graph:
    """Built in float64, with weights big enough that what it says depends on all that it read."""
    net.build(shape, dtype=np.float64)
    rng = np.random.default_rng(1)
    for p in net.params.values():
        p.value[...] += rng.normal(0, size, p.value.shape)
    return net


def speaker(encoder: Layer, decoder: Layer, *last: Layer, attention: Layer | None = None, state: str | None) -> Graph:
    """A net of its own making: any encoder and decoder, any attention, any end."""
    net = Graph(inputs=("source", "target"))
    net.add("read", Embedding(V + 1, 5), "source").add("encoder", encoder, "read")
    net.add("written", Embedding(V + 1, 5), "target").add("decoder", decoder, "written", state=state)
    if attention is not None:
        net.add("attention", attention, "decoder", "encoder").add("both", Concatenate(), "decoder", "attention")
    net.add("out", Sequential([Dense(V + 1), *last]), "both" if attention is not None else "decoder")
    return net


def lstm() -> LSTM:
    return LSTM(6, return_sequences=True)


NETS = {
    "seq2seq": lambda: seq2seq(V, 6),
    "two layers and dropout": lambda: seq2seq(V, 6, layers=2, dropout=0.4),
    "no attention": lambda: seq2seq(V, 6, attention=False),
    "additive, both ways": lambda: speaker(
        Bidirectional(lstm()), GRU(4, return_sequences=True), Softmax(), attention=AdditiveAttention(3), state=None
    ),
    "nested, peepholes, log": lambda: speaker(
        Sequential([("deep", LSTM(6, return_sequences=True, peephole=True)), LayerNorm()]),
        LSTM(6, return_sequences=True, peephole="full"),
        LogSoftmax(),
        attention=Attention(),
        state="encoder.deep",
    ),
    "convolution, learned state, scores": lambda: speaker(
        lstm(),
        Sequential([Conv1D(6, 3, padding="causal"), LearnedState(lstm()), Dropout(0.5)]),
        attention=Attention(),
        state=None,
    ),
}


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> Graph:
    return loud(NETS[request.param]())


SOURCES = np.random.default_rng(3).integers(0, V, (5, 6))
MASK = np.arange(6) < np.array([6, 1, 4, 0, 3])[:, None]


def log_p(net: Graph, row: int, ids: Any) -> float:
    """ln p of an answer, in one pass over all of it."""
    y = net.predict((SOURCES[row : row + 1], np.array([[V, *ids[:-1]]])), mask=(MASK[row : row + 1], None))[0]
    if isinstance(net.last, Softmax) or (isinstance(net.last, Sequential) and isinstance(net.last[-1], Softmax)):
        y = np.log(y)
    y = y - np.log(np.exp(y).sum(axis=-1, keepdims=True))
    return float(sum(y[n, symbol] for n, symbol in enumerate(ids)))


def whole(found: Hypothesis) -> list[int]:
    """The symbols with the mark at their end."""
    return [*found.ids.tolist(), *([V] if found.ended else [])]


def all_answers(T: int) -> list[tuple[int, ...]]:
    """Every answer of up to T symbols that ends, and every one of T that does not."""
    ended = [(*ids, V) for n in range(T) for ids in itertools.product(range(V), repeat=n)]
    return ended + list(itertools.product(range(V), repeat=T))


def same(found: list[list[Hypothesis]], others: list[list[Hypothesis]]) -> None:
    """The same answers, with the same figures to rounding."""
    assert len(found) == len(others)
    for mine, theirs in zip(found, others, strict=True):
        assert [(h.ids.tolist(), h.ended) for h in mine] == [(h.ids.tolist(), h.ended) for h in theirs]
        np.testing.assert_allclose([h[1:3] for h in mine], [h[1:3] for h in theirs], atol=1e-12)


@by_kernel
def test_a_beam_of_one_takes_the_likeliest_symbol_at_each_step(net: Graph) -> None:
    found = beam_search(net, SOURCES, go=V, end=V, length=8, mask=MASK)
    for row, [hypothesis] in enumerate(found):
        target = [V]
        while len(target) <= 8 and (len(target) == 1 or target[-1] != V):
            y = net.predict((SOURCES[row : row + 1], np.array([target])), mask=(MASK[row : row + 1], None))
            target.append(int(y[0, -1].argmax()))
        assert whole(hypothesis) == target[1:]
        assert hypothesis.log_probability == pytest.approx(log_p(net, row, target[1:]), abs=1e-12)


def test_a_beam_as_wide_as_there_are_answers_is_exhaustive(net: Graph) -> None:
    answers = all_answers(3)
    figures = [{ids: log_p(net, row, ids) for ids in answers} for row in range(len(SOURCES))]
    for alpha in 0.0, 0.6, 1.0:
        assert_exhaustive(net, alpha, figures)


def assert_exhaustive(net: Graph, alpha: float, all_figures: list[dict[tuple[int, ...], float]]) -> None:
    """The widest beam gives every answer in the order of its score, with its ln p."""
    T = 3
    found = beam_search(net, SOURCES, go=V, end=V, length=T, beam=(V + 1) ** T, alpha=alpha, mask=MASK)
    for row, figures in enumerate(all_figures):
        ranked = sorted(figures, key=lambda ids: -figures[ids] / ((5 + len(ids)) / 6) ** alpha)
        assert [tuple(whole(h)) for h in found[row]] == ranked
        np.testing.assert_allclose([h.log_probability for h in found[row]], [figures[i] for i in ranked], atol=1e-12)
        assert sum(np.exp(h.log_probability) for h in found[row]) == pytest.approx(1)  # they are all that there is


@by_kernel
@pytest.mark.parametrize("beam", [2, 3, 7])
def test_a_narrow_beam_says_what_a_whole_pass_says(net: Graph, beam: int) -> None:
    found = beam_search(net, SOURCES, go=V, end=V, length=7, beam=beam, alpha=0.8, mask=MASK)
    for row, hypotheses in enumerate(found):
        assert len(hypotheses) == beam == len({tuple(whole(h)) for h in hypotheses})
        for h in hypotheses:
            ids = whole(h)
            assert h.ended or len(ids) == 7
            assert h.log_probability == pytest.approx(log_p(net, row, ids), abs=1e-12)
            assert h.score == h.log_probability / ((5 + len(ids)) / 6) ** 0.8
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)


@by_kernel
@pytest.mark.parametrize("beam", [1, 4])
def test_rows_side_by_side_are_rows_one_by_one(net: Graph, beam: int) -> None:
    options: dict[str, Any] = {"go": V, "end": V, "length": 9, "beam": beam}
    alone = [beam_search(net, SOURCES[k : k + 1, :n], **options)[0] for k, n in enumerate(MASK.sum(axis=1)) if n]
    together = beam_search(net, SOURCES, **options, mask=MASK)
    same(together[:3] + together[4:], alone)
    wide = np.pad(np.where(MASK, SOURCES, 99), [(0, 0), (0, 5)], constant_values=-7)
    same(beam_search(net, wide, **options, mask=np.pad(MASK, [(0, 0), (0, 5)])), together)


def by_hand(net: Graph, row: int, beam: int, T: int) -> list[list[int]]:
    """The search as it is told in words, over whole passes, without any state."""
    live, done = [([], 0.0)], list[tuple[list[int], float]]()
    for _ in range(T):
        longer = [([*ids, k], log_p(net, row, [*ids, k])) for ids, _ in live for k in range(V + 1)]
        longer.sort(key=lambda one: -one[1])
        done += [one for one in longer[:beam] if one[0][-1] == V]
        live = [one for one in longer if one[0][-1] != V][:beam]
        if len(done) >= beam:
            live = []
            break
    return [ids for ids, _ in sorted(done + live, key=lambda one: -one[1])][:beam]


def test_the_search_is_what_it_is_told_to_be() -> None:
    net = loud(seq2seq(V, 6))
    for beam in 2, 3, 5:
        found = beam_search(net, SOURCES, go=V, end=V, length=6, beam=beam, mask=MASK)
        assert [[whole(h) for h in hypotheses] for hypotheses in found] == [
            by_hand(net, row, beam, 6) for row in range(len(SOURCES))
        ]


def test_a_wider_beam_finds_what_a_greedy_search_passes_by() -> None:
    net = loud(seq2seq(V, 6), 1.0)
    best = [
        [each[0].log_probability for each in beam_search(net, SOURCES, go=V, end=V, length=8, beam=beam, mask=MASK)]
        for beam in (1, 8)
    ]
    assert (np.array(best[1]) >= best[0]).all() and max(np.subtract(best[1], best[0])) > 0.1


def test_of_equal_ones_the_first_come_first() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values, count = rng.choice([-np.inf, 0.0, 1.0, 2.0], (3, 50)), int(rng.integers(1, 53))
        found, at = best_of(values, count)
        assert (at == np.argsort(-values, axis=1, kind="stable")[:, :count]).all()
        assert (found == np.take_along_axis(values, at, axis=1)).all()
    net = seq2seq(60, 4)
    net.build(((None,), (None,)))
    net.params["scores.W"].value[...] = 0  # all symbols are alike, the end is the last of them
    assert [h.ids.tolist() for [h] in beam_search(net, SOURCES, go=60, end=60, length=3)] == 5 * [[0, 0, 0]]


@by_kernel
def test_without_an_end_all_answers_have_one_length() -> None:
    net = loud(seq2seq(V, 6))
    found = beam_search(net, SOURCES, go=V, end=None, length=2, beam=100)
    assert {len(hypotheses) for hypotheses in found} == {(V + 1) ** 2}
    assert {(len(h.ids), h.ended) for hypotheses in found for h in hypotheses} == {(2, False)}
    assert sum(np.exp(h.log_probability) for h in found[0]) == pytest.approx(1)


def test_a_net_that_only_ends_gives_the_empty_answer() -> None:
    net = loud(seq2seq(V, 6))
    net.params["scores.b"].value[V] = 1e4  # far beyond what exp can hold
    found = beam_search(net, SOURCES, go=V, end=V, length=5)
    assert [(h.ids.size, h.log_probability, h.ended) for [h] in found] == [(0, 0.0, True)] * 5


def test_features_are_a_source_too_and_no_sources_have_no_answers() -> None:
    net = Graph(inputs=("source", "target"))
    net.add("encoder", LSTM(6), "source").add("written", Embedding(V + 1, 5), "target")
    net.add("decoder", LSTM(6, return_sequences=True), "written", state="encoder")
    net.add("scores", Dense(V + 1), "decoder")
    loud(net, shape=((None, 3), (None,)))
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    found = beam_search(net, x.tolist(), go=V, end=V, length=3, beam=2)
    assert [len(hypotheses) for hypotheses in found] == [2, 2]
    assert beam_search(net, x[:0], go=V, end=V, length=3) == []


@by_kernel
def test_float32_and_a_float64_copy_agree() -> None:
    net = seq2seq(V, 6)
    net.build(((None,), (None,)), seed=2)
    found = beam_search(net, SOURCES, go=V, end=V, length=5, beam=3)
    exact = beam_search(net.copy(np.float64), SOURCES, go=V, end=V, length=5, beam=3)
    for mine, theirs in zip(found, exact, strict=True):
        np.testing.assert_allclose([h.score for h in mine], [h.score for h in theirs], rtol=1e-5)


class Same(Layer):
    """Gives what it takes."""

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, None]:
        return x, None

    def backward(self, dy: Array, cache: None) -> Array:
        return dy


def test_probabilities_of_a_layer_of_ones_own_count_as_such() -> None:
    plain, own = NETS["seq2seq"](), NETS["seq2seq"]()
    own.add("same", Same(), "softmax")
    found = [beam_search(loud(net), SOURCES, go=V, end=V, length=5, beam=3) for net in (plain, own)]
    same(*found)


def refused(change: Any) -> Graph:
    net = Graph(inputs=("source", "target"))
    net.add("read", Embedding(5, 5), "source").add("encoder", LSTM(5, return_sequences=True), "read")
    net.add("written", Embedding(5, 5), "target")
    change(net)
    net.build(((None,), (None,)))
    return net


WRONG_NETS: list[tuple[Any, type[Exception], str]] = [
    (lambda: Sequential([Embedding(5, 4)]), ArgumentError, "a Graph of two inputs"),
    (lambda: seq2seq(V, 6), NotBuiltError, r"build\(\(\(None,\), \(None,\)\)\)"),
    (
        lambda: refused(lambda net: net.add("d", Bidirectional(lstm()), "written", state=None).add(
            "a", AdditiveAttention(3), "d", "encoder")),
        ArgumentError, "node 'd', which cannot be streamed",
    ),
    (
        lambda: refused(lambda net: net.add("a", Attention(), "encoder", "written")),
        ArgumentError, "node 'a', which cannot be streamed",
    ),
    (
        lambda: refused(lambda net: net.add("a", Attention(), "written", "encoder").add("self", Attention(), "a", "a")),
        ArgumentError, "node 'self', which cannot be streamed",
    ),
    (
        lambda: refused(lambda net: net.add("both", Concatenate(), "written", "encoder")),
        ArgumentError, "node 'both', a Concatenate of both sides",
    ),
    (
        lambda: refused(lambda net: net.add("one", LSTM(5, return_sequences=True), "written").add(
            "two", LSTM(5, return_sequences=True), "encoder", state="one")),
        ArgumentError, "node 'two', which starts from the last state of 'one'",
    ),
    (
        lambda: refused(lambda net: net.add("d", LSTM(5), "written", state="encoder")),
        ShapeError, "an output per step of the target",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "words"), WRONG_NETS, ids=[case[2][:30] for case in WRONG_NETS])
def test_nets_that_cannot_write(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        beam_search(make(), SOURCES, go=4, end=4, length=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"length": 0}, ArgumentError, "length"),
        ({"beam": 2.0}, ArgumentError, "beam"),
        ({"alpha": -1}, ArgumentError, "alpha"),
        ({"go": True}, ArgumentError, "go to be an integer"),
        ({"go": 9}, IdError, "node 'written'"),
        ({"end": V + 1}, ArgumentError, "end to be an id of the net's output, 0 to 4"),
        ({"source": [1, 2]}, ShapeError, r"one source is \[source\]"),
        ({"source": [[1, 2], [3]]}, ShapeError, "pad them"),
        ({"source": [[7]]}, IdError, "node 'read'"),
        ({"mask": np.ones((5, 6))}, ShapeError, "mask"),
    ],
    ids=str,
)
def test_wrong_arguments(change: dict[str, Any], error: type[Exception], words: str) -> None:
    net = loud(seq2seq(V, 6))
    given = {"source": SOURCES, "go": V, "end": V, "length": 3} | change
    with pytest.raises(error, match=words) as caught:
        beam_search(net, **given)
    assert "\n" not in str(caught.value)


def test_a_net_that_says_nan_is_told() -> None:
    net = loud(seq2seq(V, 6))
    net.params["scores.b"].value[1] = np.nan
    with pytest.raises(NonFiniteError, match="finite scores, got nan"):
        beam_search(net, SOURCES, go=V, end=V, length=3)
