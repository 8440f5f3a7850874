"""The tasks of the examples that reproduce published figures: what is drawn is the task, and success is success."""

import importlib
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

import minidl

# the inner grammar by hand, apart from the table that the strings are drawn from: X T* V P leads back to where X stood
LOOP = "(XT*VP)*(S|XT*VV)"
INNER = f"B(TS*X{LOOP}|PT*V(V|P{LOOP}))E"
EMBEDDED = re.compile(f"B(?:T{INNER}T|P{INNER}P)E")


@pytest.fixture(autouse=True)
def _beside_the_examples(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")


def example(name):
    return importlib.import_module(name)


def test_every_reber_string_is_of_the_grammar_and_the_grammar_bites():
    rng = np.random.default_rng(0)
    texts = [example("reber").string(rng)[0] for _ in range(2000)]
    assert all(EMBEDDED.fullmatch(text) for text in texts)
    assert {text[1] for text in texts} == {"T", "P"} and len(set(texts)) > 200
    spoilt = [text[:-2] + ("P" if text[-2] == "T" else "T") + "E" for text in texts]
    assert not any(EMBEDDED.fullmatch(text) for text in spoilt)


def test_what_is_allowed_is_what_comes():
    rng, seen, allowed = np.random.default_rng(0), defaultdict(Counter), {}
    for _ in range(5000):
        text, could = example("reber").string(rng)
        # the last but one is settled by the second: whoever knows how the string goes on knows that it is the end
        for at, symbol in enumerate(text):
            seen[text[:at], at == len(text) - 2][symbol] += 1
            assert allowed.setdefault((text[:at], at == len(text) - 2), set(could[at])) == set(could[at])
            assert symbol in could[at]
    often = [place for place, counts in seen.items() if counts.total() > 100]
    assert len(often) > 50 and all(set(seen[place]) == allowed[place] for place in often)


def test_a_stream_marks_the_far_places():
    text = example("reber").draw(np.random.default_rng(3), 40)
    words = "".join(example("reber").SYMBOLS[k] for k in text.ids)
    assert len(text.ids) == len(text.allowed) == len(text.far) and text.far.sum() == 40
    found, at = EMBEDDED.match(words), 0
    while found:
        (far,) = np.flatnonzero(text.far[found.start() : found.end()])
        assert far == len(found[0]) - 2 and found[0][far] == found[0][1]
        assert text.allowed[found.start() + far].sum() == 1
        at = found.end()
        found = EMBEDDED.match(words, at)
    assert at == len(words)
    assert text.allowed[np.arange(len(text.ids)), text.ids].all()


def test_success_is_judged():
    judge = example("reber").judge
    text = example("reber").draw(np.random.default_rng(0), 50)
    perfect = text.allowed + 0.1 * np.random.default_rng(1).random(text.allowed.shape)
    assert judge(perfect, text.allowed, text.far) == (1, 1, 1)
    guess = perfect.copy()
    guess[text.far] = np.where(text.ids[text.far] == 1, 2, 1)[:, None] == np.arange(7)  # always the wrong one of T, P
    legal, far, strict = judge(guess, text.allowed, text.far)
    assert far == 0 and legal == strict == pytest.approx(1 - text.far.mean())
    one = np.eye(7)[text.ids]  # knows what comes, and so finds one allowed symbol, not all
    legal, far, strict = judge(one, text.allowed, text.far)
    assert legal == far == 1 and strict == pytest.approx((text.allowed.sum(axis=1) == 1).mean())


def test_strings_that_are_padded_are_judged_as_each_alone():
    reber, embedded = example("reber"), example("embedded_reber")
    net, rng = reber.small_lstm(4, 50.0, 0), np.random.default_rng(0)
    for p in net.params.values():
        p.value += rng.normal(0, 0.5, p.value.shape)
    texts = [reber.draw(rng) for _ in range(20)]
    alone = [embedded.right(net, [text]) for text in texts]
    steps = [len(text.ids) - 1 for text in texts]
    together = embedded.right(net, texts)
    assert together[0] == pytest.approx(np.average([a[0] for a in alone], weights=steps))
    assert together[1] == pytest.approx(np.mean([a[1] for a in alone]))
    assert together[2] == pytest.approx(np.average([a[2] for a in alone], weights=steps))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_forget_bias_of_50_is_the_lstm_without_forget_gate(dtype):
    rng, H = np.random.default_rng(0), 5
    lstm = minidl.LSTM(H, return_sequences=True, forget_bias=50.0)
    lstm.build((None, 7), dtype=dtype)
    x, before = rng.normal(0, 1, (3, 40, 7)).astype(dtype), {k: p.value.copy() for k, p in lstm.params.items()}
    y, state, cache = lstm.forward_with_state(x)
    h, c = np.zeros((3, H)), np.zeros((3, H))
    for t in range(40):
        i, _, o, g = np.split(x[:, t] @ before["Wx"] + h @ before["Wh"] + before["b"], 4, axis=1)
        c = c + np.tanh(g) / (1 + np.exp(-i))  # no f
        h = np.tanh(c) / (1 + np.exp(-o))
    np.testing.assert_allclose(state.c, c, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-4)
    lstm.backward_with_state(rng.normal(0, 1, y.shape).astype(dtype), None, cache)
    f = slice(H, 2 * H)
    assert all((p.grad[..., f] == 0).all() and (p.grad[..., :H] != 0).all() for p in lstm.params.values())
    minidl.Adam(0.1).step(lstm.params)
    for name, p in lstm.params.items():
        assert (p.value[..., f] == before[name][..., f]).all() and (p.value[..., :H] != before[name][..., :H]).all()


def test_the_answer_of_the_adding_problem_is_the_sum_of_the_marked():
    adding = example("adding_problem")
    x, t, *_ = adding.draw(np.random.default_rng(0), 300)
    marks = x[..., 1] == 1
    assert x.shape == (300, adding.T, 2) and np.isin(x[..., 1], (0, 1)).all()
    assert (marks[:, : adding.T // 2].sum(axis=1) == 1).all() and (marks[:, adding.T // 2 :].sum(axis=1) == 1).all()
    np.testing.assert_allclose(t, (x[..., 0] * marks).sum(axis=1), atol=1e-6)
    assert np.mean(t**2) == pytest.approx(2 / 3, abs=0.1)


def test_the_answer_of_temporal_order_is_the_pair_in_its_order():
    order = example("temporal_order")
    x, t, *_ = order.draw(np.random.default_rng(0), 400)
    words = ["".join("abcdXYBE"[k] for k in row) for row in x.argmax(axis=-1)]
    assert (x.sum(axis=-1) == 1).all() and set(t) == {0, 1, 2, 3}
    for word, label in zip(words, t, strict=True):
        found = re.fullmatch(r"B[abcd]{2,11}([XY])[abcd]{12,36}([XY])[abcd]{8,23}E", word)
        assert found and len(word) == 50
        assert ["XX", "XY", "YX", "YY"][label] == found[1] + found[2]


def test_fresh_data_is_decided_by_seed_and_epoch():
    data = example("fresh").Fresh(example("adding_problem").draw, seed=3, batches=2)
    first, again, other = ([batch.x for batch in data.epoch(k)] for k in (0, 0, 1))
    assert len(data) == len(first) == 2 and np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1]) and not np.array_equal(first[0], other[0])


def test_curves_are_drawn_where_they_are():
    Curves = example("curves").Curves
    lines = Curves({"up": ([0, 10], [1, 100]), "bad": ([0, 5, 10], [np.nan, 10, -1])}, "x", "y", log=True).text(40, 5)
    top, *_, bottom = lines.splitlines()[1:6]
    assert top.startswith("100 ") and top.endswith("●") and bottom.startswith("  1 ") and "●" in bottom[:7]
    assert "○" in lines.splitlines()[3] and lines.count("○") == 2  # one point that can be drawn, and the name
    for values in ([], [2.0], [2.0, 2.0], [np.inf, np.nan]):
        text = Curves({"flat": (range(len(values)), values)}, "x", "y").text(40, 5)
        assert len(text.splitlines()) == 9 and (text.count("●") > 1) == bool(np.isfinite(values).any())
