"""Generation: streamed equals recomputed, the draws follow the scores, and what cannot work is said at once."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl.errors import ArgumentError, IdError, NonFiniteError, NotBuiltError, ShapeError
from minidl.generation import choose, generate, generate_text
from minidl.inputs import Array, Shape
from minidl.layer import Layer
from minidl.layers import LSTM, Dense, Dropout, Embedding, LogSoftmax, Softmax
from minidl.saving import load
from minidl.sequential import Sequential
from minidl.text import CharVocab, WordVocab

pytestmark = pytest.mark.usefixtures("kernels")

V = 7


def language_model(*last: Layer, units: int = 12, dtype: Any = np.float64, size: int = V, **options: Any) -> Sequential:
    """A net with weights big enough that what it says depends on all that it read."""
    lstms = [
        LSTM(units, return_sequences=True, peephole=True, **options),
        Dropout(0.5),
        LSTM(units, return_sequences=True),
    ]
    net = Sequential([Embedding(size, 5), *lstms, Dense(size), *last], name="lm")
    net.build((None,), dtype=dtype)
    rng = np.random.default_rng(1)
    for p in net.params.values():
        p.value[...] += rng.normal(0, 0.7, p.value.shape)
    return net


class Fixed(Layer):
    """Outputs [B, T, V] that depend on the ids alone: rows of `table`."""

    def __init__(self, table: Any) -> None:
        self.table = np.asarray(table)

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        return (*in_shape, self.table.shape[-1])

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, None]:
        return self.table[x], None

    def backward(self, dy: Array, cache: None) -> None:
        return None


def fixed(table: Any) -> Layer:
    net = Fixed(table)
    net.build((None,))
    return net


OPTIONS: list[dict[str, Any]] = [
    {},
    {"temperature": 0},
    {"temperature": 0.3},
    {"temperature": 2.5, "top_k": 3},
    {"top_p": 0.6},
    {"top_k": 4, "top_p": 0.8},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_streamed_equals_recomputed(options: dict[str, Any]) -> None:
    net, prompt = language_model(Softmax()), [1, 5, 2]
    kinds = {"rng": np.random.default_rng(3), "temperature": 1.0, "top_k": None, "top_p": None} | options
    ids = list(prompt)
    for _ in range(40):  # the whole sequence anew for each symbol
        ids.append(choose(net[:-1](np.array([ids]))[0, -1], **kinds))
    assert list(generate(net, prompt, 40, seed=3, **options)) == ids[3:]


def test_the_scores_are_those_of_the_whole_sequence() -> None:
    net, prompt = language_model(), [1, 5, 2]
    ids = prompt + list(generate(net, prompt, 30))
    whole = net(np.array([ids]))
    y, state, _ = net.forward_with_state(np.array([prompt]), keep_cache=False)
    steps = [y[0]]
    for symbol in ids[3:]:
        y, state, _ = net.forward_with_state(np.array([[symbol]]), state, keep_cache=False)
        steps.append(y[0])
    np.testing.assert_allclose(np.concatenate(steps), whole[0], rtol=0, atol=1e-12)


class Watched(Layer):
    """Hands x on, and remembers how many steps each pass had."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, None]:
        assert rng is None
        self.seen.append(x.shape[1])
        return x, None

    def backward(self, dy: Array, cache: None) -> Array:
        return dy


def test_the_prompt_is_one_pass_and_each_symbol_one_step() -> None:
    watched = Watched()
    net = Sequential([Embedding(V, 5), LSTM(6, return_sequences=True), watched, Dense(V), Softmax()])
    net.build((None,))
    assert len(list(generate(net, [1, 2, 3, 4], 3))) == 3
    assert watched.seen == [4, 1, 1]  # nothing is computed behind the last symbol


def test_a_seed_is_a_text() -> None:
    net = language_model(Softmax())
    texts = [list(generate(net, [0], 30, seed=seed)) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] == list(generate(net, np.array([0], np.uint8), 30)) != texts[2]
    assert list(generate(net, [0], 30, seed=np.random.default_rng(1))) == texts[2]
    assert all(type(symbol) is int and 0 <= symbol < V for symbol in texts[0])
    assert list(islice(generate(net, [0]), 35))[:30] == texts[0]  # endless


def test_softmax_log_softmax_and_scores_say_the_same() -> None:
    nets = [language_model(*last) for last in ([], [Softmax()], [LogSoftmax()])]
    nested = Sequential([nets[1]])
    nested.build((None,), dtype=np.float64)
    texts = [list(generate(net, [2, 4], 40, seed=5)) for net in [*nets, nested]]
    assert texts[0] == texts[1] == texts[2] == texts[3]


def test_probabilities_of_a_layer_of_ones_own_are_taken_as_such() -> None:
    p = np.array([[0.05, 0.9, 0.05], [0.7, 0.3, 0.0], [0.2, 0.3, 0.5]])
    symbols = list(generate(fixed(p), [0], 3000))
    pairs = np.zeros((3, 3))
    np.add.at(pairs, ([0, *symbols[:-1]], symbols), 1)
    assert pairs[1, 2] == 0
    np.testing.assert_allclose(pairs / pairs.sum(axis=1, keepdims=True), p, atol=0.06)


def test_a_state_goes_on() -> None:
    net, ids = language_model(Softmax()), [1, 5, 2, 6, 0]
    _, state, _ = net.forward_with_state(np.array([ids[:3]]))
    assert list(generate(net, ids[3:], 30, state=state)) == list(generate(net, ids, 30))
    assert list(generate(net, ids[3:], 30)) != list(generate(net, ids, 30))


def test_a_saved_net_goes_on_as_the_one_in_memory(tmp_path: Path) -> None:
    net = language_model(Softmax(), dtype=np.float32)
    net.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    for options in OPTIONS:
        assert list(generate(net, [3, 1], 60, **options)) == list(generate(again, [3, 1], 60, **options))


def draws(scores: Any, count: int = 4000, **options: Any) -> Array:
    kinds = {"rng": np.random.default_rng(0), "temperature": 1.0, "top_k": None, "top_p": None} | options
    found = [choose(np.asarray(scores), **kinds) for _ in range(count)]
    return np.bincount(found, minlength=len(scores)) / count


P = np.array([0.1, 0.4, 0.2, 0.3])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, P),
        ({"temperature": 0.5}, P**2 / (P**2).sum()),
        ({"temperature": 1e9}, [0.25] * 4),
        ({"temperature": 1e-12}, [0, 1, 0, 0]),
        ({"temperature": 5e-324}, [0, 1, 0, 0]),
        ({"temperature": 0}, [0, 1, 0, 0]),
        ({"top_k": 1}, [0, 1, 0, 0]),
        ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_k": 99}, P),
        ({"top_p": 1.0}, P),
        ({"top_p": 1e-9}, [0, 1, 0, 0]),
        ({"top_p": 0.39}, [0, 1, 0, 0]),
        ({"top_p": 0.6}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_k": 3, "top_p": 0.75}, [0, 4 / 7, 0, 3 / 7]),  # 0.7 / 0.9 is above 0.75, of all it is not
        ({"temperature": 0.5, "top_p": 0.8}, [0, 16 / 25, 0, 9 / 25]),  # the temperature comes first
    ],
    ids=str,
)
def test_draws_follow_the_scores(options: dict[str, Any], expected: Any) -> None:
    found = draws(np.log(P) + 50, **options)
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert ((found > 0) == (np.array(expected) > 0)).all()


@pytest.mark.parametrize("r", [0.0, 1 - 2**-53])  # the ends of what `Generator.random` gives
def test_what_is_impossible_is_never_drawn(r: float) -> None:
    rng: Any = SimpleNamespace(random=lambda: r)
    assert choose(np.array([-np.inf, 3.0, -np.inf]), 1.0, None, None, rng) == 1


def test_equal_scores_leave_exactly_k() -> None:
    assert (draws(np.zeros(5), top_k=2) > 0).tolist() == [True, True, False, False, False]
    assert draws(np.zeros(5), temperature=0)[0] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"temperature": 0.01}, {"temperature": 100.0, "top_k": 2}, {"top_p": 0.5}])
def test_extreme_scores_are_no_matter(dtype: Any, options: dict[str, Any]) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for size in 1e4, 1e30:
            assert draws(np.array([-size, size, -size], dtype), 50, **options).tolist() == [0, 1, 0]
        assert draws(np.array([-np.inf, 3.0], dtype), 50, **options).tolist() == [0, 1]
        table = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
        for last in [], [Softmax()], [LogSoftmax()]:
            net = Sequential([Fixed(table), *last])
            net.build((None,))
            assert list(generate(net, [0], 5, **options)) == [0] * 5
            assert list(generate(net, [1], 5, **options)) == [1] * 5


def test_characters_are_streamed() -> None:
    text = "吾輩は猫である。名前はまだ無い。\n"
    vocab = CharVocab.of(text)
    net = language_model(Softmax(), size=len(vocab))
    found = list(generate_text(net, vocab, "吾輩は", 25, temperature=0.8, seed=2))
    assert len(found) == 25 and all(len(piece) == 1 for piece in found)
    assert vocab.encode("".join(found)).tolist() == list(
        generate(net, vocab.encode("吾輩は"), 25, temperature=0.8, seed=2)
    )


@pytest.mark.parametrize(
    ("prompt", "expected"), [("a", " b c a"), ("b c", "\na b c"), ("a ", "b c a"), ("b c\n", "a b c\na")]
)
def test_words_come_with_their_blanks(prompt: str, expected: str) -> None:
    line = "\n" in prompt or prompt == "b c"
    vocab = WordVocab(["a", "b", "c", "$"], end_of_line="$" if line else None)
    after = {"a": "b", "b": "c", "c": "$" if line else "a", "$": "a", "<unk>": "a"}
    table = np.array([[100.0 * (word == after[before]) for word in vocab.words] for before in vocab.words])
    found = "".join(generate_text(fixed(table), vocab, prompt, 5, top_k=1))
    assert found.startswith(expected)
    assert vocab.encode(prompt + found).tolist()[-5:] == list(generate(fixed(table), vocab.encode(prompt), 5, top_k=1))


def test_text_that_cannot_be_gone_on_from() -> None:
    vocab = CharVocab("abcdefg")
    net = language_model(Softmax())
    with pytest.raises(ArgumentError, match=r"'x' \(U\+0078\) at position 1"):
        generate_text(net, vocab, "axe", 5)
    for other, empty in (vocab, ""), (WordVocab([*"abcdef"]), " \n "):
        with pytest.raises(ArgumentError, match="a prompt of at least one symbol"):
            generate_text(net, other, empty, 5)
    for other in CharVocab("abc"), CharVocab("abcdefgh"):
        with pytest.raises(ArgumentError, match=f"7 symbols, got one of {len(other)}"):
            generate_text(net, other, "abch"[: len(other)], 5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"temperature": -1}, "temperature to be a number of at least 0, got -1"),
        ({"temperature": np.nan}, "temperature"),
        ({"temperature": np.inf}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_k": 0}, "top_k to be a positive integer, got 0"),
        ({"top_k": 2.5}, "top_k"),
        ({"top_p": 0}, "top_p to be above 0 and at most 1, got 0"),
        ({"top_p": 1.1}, "top_p to be above 0 and at most 1, got 1.1"),
        ({"top_p": np.nan}, "top_p"),
        ({"top_p": True}, "top_p"),
        ({"length": 0}, "length to be a positive integer, got 0"),
        ({"length": -5}, "length"),
        ({"seed": -1}, "seed to be an integer of at least 0 or a np.random.Generator, got -1"),
        ({"seed": "x"}, "seed to be an integer .* got 'x'"),
    ],
    ids=str,
)
def test_options_out_of_range(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        generate(language_model(), [1], **options)


def test_prompts_that_are_none() -> None:
    net = language_model()
    for prompt in [], np.zeros((1, 3), int), 3:
        with pytest.raises(ArgumentError, match=r"at least one symbol, ids .* give what the text is to begin with"):
            generate(net, prompt)
    with pytest.raises(IdError, match="got 7 at position"):
        generate(net, [1, 7])


def test_a_net_that_writes_symbols_it_cannot_read() -> None:
    net = Sequential([Embedding(3, 4), LSTM(5, return_sequences=True), Dense(50)])
    net.build((None,))
    with pytest.raises(IdError, match="Embedding expects ids from 0 to 2"):
        list(generate(net, [1, 2], 50))


def test_nets_that_are_no_language_models() -> None:
    last = Sequential([Embedding(V, 4), LSTM(5), Dense(V)])
    last.build((None,))
    with pytest.raises(ShapeError, match=r"\[1, 2, V\], got \(1, 7\): .* return_sequences=True"):
        generate(last, [1, 2])
    with pytest.raises(
        ArgumentError, match=r"Sequential that cannot be streamed because of 'lstm', LSTM.*: use layers without go_"
    ):
        generate(language_model(go_backwards=True), [1, 2])
    wrong: Any
    for wrong in Sequential([Embedding(V, 4)]), LSTM, None:
        with pytest.raises(NotBuiltError, match="a built net"):
            generate(wrong, [1])
        with pytest.raises(NotBuiltError, match="a built net"):
            generate_text(wrong, CharVocab("a"), "a")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_net_that_went_wrong(bad: float) -> None:
    with pytest.raises(NonFiniteError, match=f"finite scores, got {bad}"):
        next(generate(fixed([[bad, 0.0], [0.0, 0.0]]), [0]))
