"""Looking inside: what is noted is what the net computes, and cells made by hand are found and named."""

import io

import numpy as np
import pytest
from rich.console import Console

import minidl
from minidl import (
    GRU,
    LSTM,
    Batch,
    Bidirectional,
    CharVocab,
    CrossEntropy,
    Dense,
    Embedding,
    LearnedState,
    Sequential,
    SimpleRNN,
    Softmax,
    WordVocab,
)
from minidl.looking import (
    PROPERTIES,
    Follower,
    Report,
    activations,
    cell_values,
    correlations,
    fallen_to,
    following,
    gates,
    look,
    properties,
    reach,
    time_constants,
)
from minidl.looking.pictures import SHARE, SIGNED, Scale, coloured, falling, lines_of, marked, shade

TEXT = "He said “no way”, and\nshe (his mother) said “yes, of course” to him.\nAll [of them] went home.\n" * 8
H, QUOTES, LINE, BRACKETS = 6, 3, 4, 1


def language_model(*layers, V=9, dtype=np.float64):
    """A net over V symbols at random weights, large enough that the gates differ."""
    net = Sequential([Embedding(V, 4), *layers, Dense(V), Softmax()])
    net.build((None,), seed=1, dtype=dtype)
    rng = np.random.default_rng(0)
    for p in net.params.values():
        p.value[...] = rng.normal(0, 0.6, p.value.shape)
    return net


def detector(vocab):
    """An LSTM made by hand: cell 3 is on inside quotes, cell 4 counts the place in the line, cell 1 is on in brackets.

    The others do what random weights make them do.
    """
    V = len(vocab)
    net = Sequential([Embedding(V, V), LSTM(H, return_sequences=True), Dense(V), Softmax()])
    net.build((None,), seed=3)
    net.params["embedding.E"].value[...] = np.eye(V)
    Wx, Wh, b = (net.params[f"lstm.{name}"].value for name in ("Wx", "Wh", "b"))
    i, f, o, g = (block * H for block in range(4))
    own = np.array([QUOTES, LINE, BRACKETS])
    for block in i, f, o, g:
        Wx[:, block + own] = 0
        Wh[:, block + own] = 0

    def on(cell, symbols, candidate):
        """Write ±1 into a cell that keeps what it has otherwise."""
        for symbol in set(symbols) & set(vocab.symbols):
            row = vocab.symbols.index(symbol)
            Wx[row, i + cell], Wx[row, f + cell], Wx[row, g + cell] = 40, -40, candidate

    for cell, opening, closing in (QUOTES, "“", "”"), (BRACKETS, "([", ")]"):
        b[i + cell], b[f + cell] = -20, 20
        on(cell, opening, 20)
        on(cell, closing, -20)
    b[i + LINE], b[f + LINE], b[g + LINE] = 20, 20, 0.01
    Wx[vocab.symbols.index("\n"), f + LINE] = -40
    net.vocab = vocab
    return net


@pytest.fixture(scope="module")
def seen():
    vocab = CharVocab.of(TEXT)
    return look(detector(vocab), TEXT)


# -- activations --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [LSTM, GRU, SimpleRNN, lambda *a, **k: LSTM(*a, peephole=True, **k)])
def test_activations_are_those_of_the_pass(make):
    net = language_model(make(5, return_sequences=True))
    ids = np.random.default_rng(2).integers(0, 9, 23)
    name = next(iter(activations(net, ids)))
    found = activations(net, ids, chunk=7)[name]
    x = net["embedding"](ids[None])
    whole = net[name].trace(x)
    assert list(found) == list(whole)
    for letter, a in whole.items():
        np.testing.assert_allclose(found[letter], a[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["h"], net[name](x)[0], rtol=0, atol=1e-12)


def test_every_recurrent_layer_is_seen_in_its_place():
    net = language_model(LSTM(5, return_sequences=True), Sequential([GRU(4, return_sequences=True)], name="inner"))
    found = activations(net, [1, 2, 3])
    assert {path: list(traced) for path, traced in found.items()} == {"lstm": list("ifgcoh"), "inner.gru": list("rznh")}
    assert found["inner.gru"]["z"].shape == (3, 4)


def test_a_net_that_cannot_be_streamed_is_read_at_once():
    net = language_model(Bidirectional(LSTM(3, return_sequences=True)))
    ids = np.arange(9)
    found = activations(net, ids, chunk=2)
    assert list(found) == ["bidirectional.forward", "bidirectional.backward"]
    h = np.concatenate([traced["h"] for traced in found.values()], axis=1)
    np.testing.assert_allclose(h, net[:2](ids[None])[0], atol=1e-12)


def test_a_learned_state_begins_where_it_begins():
    net = language_model(LearnedState(LSTM(3, return_sequences=True)))
    found = activations(net, [4, 4], chunk=1)
    assert list(found) == ["learned_state.layer"]
    np.testing.assert_allclose(found["learned_state.layer"]["h"], net[:2](np.array([[4, 4]]))[0], atol=1e-12)


def test_a_lone_layer_goes_by_its_class():
    lstm = LSTM(3)
    lstm.build((None, 2))
    assert list(activations(lstm, np.ones((4, 2)))) == ["lstm"]


def test_looking_changes_nothing():
    net = language_model(LSTM(3, return_sequences=True))
    before = {name: p.value.copy() for name, p in net.params.items()}
    activations(net, [1, 2, 3])
    reach(net, CrossEntropy(), Batch(np.array([[1, 2]]), np.array([[2, 3]])))
    assert all(np.array_equal(p.value, before[name]) and not p.grad.any() for name, p in net.params.items())
    assert "forward_with_state" not in vars(net["lstm"])


def test_what_cannot_be_looked_into_is_refused():
    plain = Sequential([Embedding(9, 4), Dense(9)])
    plain.build((None,))
    with pytest.raises(minidl.ArgumentError, match="no recurrent layer"):
        activations(plain, [1, 2])
    with pytest.raises(minidl.NotBuiltError, match="built net"):
        activations(Sequential([LSTM(3)]), [1])
    net = language_model(LSTM(3, return_sequences=True))
    for wrong in np.zeros((2, 3), int), [], 3:
        with pytest.raises(minidl.ShapeError, match="one sequence"):
            activations(net, wrong)
    net.params["lstm.b"].value[0] = np.nan
    with pytest.raises(minidl.NonFiniteError, match="layer 'lstm'"):
        activations(net, [1, 2])


# -- properties ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("inside quotes", "a “b c” d", "001111000"),
        ("inside quotes", 'x "y" z', "0011000"),
        ("inside quotes", "it's 'me', don't", "0000011100000000"),
        ("inside quotes", 'a "b\n\nc', "00111" + "00"),
        ("inside brackets", "f(a[1])x", "01111100"),
        ("depth of brackets", "f(a[1])x", "01122100"),
        ("depth of brackets", "))(\n\n(", "001101"),
        ("inside a comment", "a # b\nc#d // e", "00111000001111"),
        ("inside a comment", "http://x", "00000000"),
        ("position in the line", "ab\ncd", "12012"),
        ("indentation", "a\n  b\n\n c", "0" + "0122" + "0" + "0" + "11"),
        ("line ends soon", "abcdefg\nh", "001111100"),
        ("position in the word", "ab, c d2", "12001012"),
        ("between sentences", "Hi! So 1.5.", "00110000001"),
        ("blank", "a b\n", "0101"),
        ("capital letter", "aBÉ", "011"),
        ("digit", "a12", "011"),
    ],
)
def test_properties_are_what_they_are_called(name, text, expected):
    assert "".join(f"{value:.0f}" for value in PROPERTIES[name](text)) == expected


def test_properties_of_no_text_and_of_words():
    assert all(p.shape == (0,) for p in properties("").values())
    assert properties(["He", " (was", " here)"])["inside brackets"].tolist() == [0, 1, 0]


# -- cells that follow something ----------------------------------------------------------------------


def test_cells_made_by_hand_are_found_and_named(seen):
    for name, cell in ("inside quotes", QUOTES), ("position in the line", LINE), ("inside brackets", BRACKETS):
        best = seen.followers[name][0]
        assert (best.layer, best.cell) == ("lstm", cell) and best.r > 0.9 and best.found_with > 0.9
    assert {shown.cell for shown in seen.best(3)} == {QUOTES, LINE, BRACKETS}
    assert seen.best()[0].follows in ("inside quotes", "inside brackets")


def test_what_has_to_be_remembered_is_shown_first(seen):
    told = seen._replace(
        followers={
            "blank": [Follower("lstm", 0, 0.9, 0.9)],
            "indentation": [Follower("lstm", 1, 0.2, 0.9)],
            "inside quotes": [Follower("lstm", 2, -0.5, 0.5)],
            "inside brackets": [Follower("lstm", 2, 0.4, 0.5)],
            "depth of brackets": [],
        }
    )
    shown = [(one.follows, one.cell) for one in told.best(3)]
    assert shown == [("inside quotes", 2), ("blank", 0), ("indentation", 1)]


def test_a_cell_is_judged_on_the_half_that_did_not_choose_it():
    rng = np.random.default_rng(0)
    noise, property = rng.normal(size=(60, 400)), rng.normal(size=60)
    (best,) = following({"rnn": {"h": noise}}, {"p": property}, best=1)["p"]
    half = correlations(noise[:30], property[:30])
    assert best.cell == int(np.argmax(abs(half))) and best.found_with == half[best.cell] and abs(best.found_with) > 0.4
    assert best.r == pytest.approx(np.corrcoef(noise[30:, best.cell], property[30:])[0, 1])
    assert abs(best.r) < abs(best.found_with)


def test_correlations_are_pearsons_and_never_nan():
    rng = np.random.default_rng(1)
    values, property = rng.normal(size=(50, 3)).astype(np.float32), rng.random(50) < 0.3
    values[:, 1] = 0.1
    r = correlations(values, property)
    assert r[1] == 0 and r[0] == pytest.approx(np.corrcoef(values[:, 0], property)[0, 1], abs=1e-6)
    assert not correlations(values, np.ones(50)).any()
    assert correlations(np.zeros((0, 3)), np.zeros(0)).tolist() == [0, 0, 0]
    with pytest.raises(minidl.ShapeError, match="50 steps"):
        correlations(values, property[:9])


def test_what_is_in_one_half_alone_has_no_followers():
    values = np.random.default_rng(0).normal(size=(8, 4))
    told = {"never": np.zeros(8), "early": np.array([1.0, 0, 1, 0, 0, 0, 0, 0])}
    assert following({"rnn": {"h": values}}, told) == {"never": [], "early": []}
    assert following({"rnn": {"h": values[:1]}}, {"p": np.ones(1)}) == {"p": []}


# -- gates and the way back ---------------------------------------------------------------------------


def test_gates_are_counted():
    found = gates(
        {"r": np.array([[0.05, 0.3]] * 4), "z": np.array([[0.95, 0.0], [0.95, 1.0]] * 2), "h": np.ones((4, 2))}
    )
    assert list(found) == ["r", "z"]
    assert found["r"].shut.tolist() == [1, 0] and found["z"].open.tolist() == [1, 0.5]
    assert time_constants(found["z"].mean) == pytest.approx([20, 2])
    assert time_constants(1.0) > 1e8


@pytest.mark.parametrize("layer", [LSTM, GRU, SimpleRNN])
def test_reach_is_the_gradient_of_the_last_loss(layer):
    net = language_model(layer(5, return_sequences=True))
    rng = np.random.default_rng(4)
    x, t = rng.integers(0, 9, (1, 8)), rng.integers(0, 9, (1, 8))
    (norms,) = reach(net, CrossEntropy(), Batch(x, t)).values()
    name = list(net.layers)[1]
    for lag in range(1, 8):
        k = 8 - lag
        _, state, _ = net.forward_with_state(x[:, :k])
        batch = Batch(x[:, k:], t[:, k:], weight=np.arange(k, 8)[None] == 7, start=False)
        dstate = minidl.loss_and_grads(net, CrossEntropy(), batch, state).dstate[name]
        assert norms[lag] == pytest.approx(np.linalg.norm(dstate.h), rel=1e-9)
        if lag == 3:  # and by central differences

            def loss_at(j, e, k=k, batch=batch, state=state):
                h = state[name].h.copy()
                h[0, j] += e
                moved = {name: state[name]._replace(h=h)}
                return float(minidl.loss_value(net, CrossEntropy(), batch, moved)[0])

            numeric = [(loss_at(j, 1e-5) - loss_at(j, -1e-5)) / 2e-5 for j in range(5)]
            assert norms[lag] == pytest.approx(np.linalg.norm(numeric), rel=1e-6)


def test_reach_is_the_mean_over_rows_each_with_its_own_loss():
    net = language_model(LSTM(5, return_sequences=True), GRU(4, return_sequences=True))
    rng = np.random.default_rng(4)
    x, t = rng.integers(0, 9, (3, 6)), rng.integers(0, 9, (3, 6))
    together = reach(net, CrossEntropy(), Batch(x, t))
    alone = [reach(net, CrossEntropy(), Batch(x[k : k + 1], t[k : k + 1])) for k in range(3)]
    assert list(together) == ["lstm", "gru"]
    for path, norms in together.items():
        np.testing.assert_allclose(norms, np.mean([one[path] for one in alone], axis=0), rtol=1e-9)


def test_reach_of_rows_of_different_lengths_counts_from_their_own_last_steps():
    net = language_model(LSTM(5, return_sequences=True), GRU(4, return_sequences=True))
    rng = np.random.default_rng(4)
    x, t = rng.integers(0, 9, (3, 6)), rng.integers(0, 9, (3, 6))
    mask = np.arange(6) < np.array([6, 4, 5])[:, None]
    together = reach(net, CrossEntropy(), Batch(x, t, mask=mask))
    alone = [reach(net, CrossEntropy(), Batch(x[k : k + 1, :n], t[k : k + 1, :n])) for k, n in enumerate((6, 4, 5))]
    for path, norms in together.items():
        for lag in range(6):
            there = [one[path][lag] for one in alone if lag < len(one[path])]
            np.testing.assert_allclose(norms[lag], np.mean(there), rtol=1e-9)


def test_fallen_to_stays_below():
    assert fallen_to(np.array([1, 0.5, 0.09, 0.11, 0.05]), 0.1) == 4
    assert fallen_to(np.array([1, 0.5]), 0.1) is None
    assert fallen_to(np.zeros(0), 0.1) is None


# -- look ---------------------------------------------------------------------------------------------


def test_the_way_back_is_that_of_the_last_windows(seen):
    vocab = CharVocab.of(TEXT)
    ids = vocab.encode(TEXT)[-(100 * (len(TEXT) // 100) + 1) :].astype(int)
    batch = Batch(ids[:-1].reshape(-1, 100), ids[1:].reshape(-1, 100))
    np.testing.assert_allclose(seen.reach["lstm"], reach(detector(vocab), CrossEntropy(), batch)["lstm"], rtol=1e-4)


def test_look_gathers_everything(seen):
    assert "".join(seen.pieces) == TEXT
    assert list(seen.reach) == ["lstm"] and seen.reach["lstm"].shape == (100,)
    np.testing.assert_allclose(seen.shown(cell=QUOTES).values, np.tanh(seen.activations["lstm"]["c"][:, QUOTES]))
    np.testing.assert_allclose(seen.shown(gate="f").values, seen.activations["lstm"]["f"].mean(axis=1))
    assert seen.shown(cell=2, gate="o").title == "lstm, cell 2, output gate o"
    assert seen.gates("lstm")["f"].mean[QUOTES] > 0.9


def test_what_is_not_there_cannot_be_shown(seen):
    for options, words in (
        ({"cell": 6}, "cells 0 to 5, got 6"),
        ({"gate": "z"}, "has the gates i f o, got 'z'"),
        ({"layer": "lstn", "cell": 0}, "no recurrent layer 'lstn'.*'lstm'"),
        ({}, "got neither"),
    ):
        with pytest.raises(minidl.ArgumentError, match=words):
            seen.shown(**options)
    two = look(
        language_model(SimpleRNN(3, return_sequences=True), GRU(3, return_sequences=True)),
        "abcabc" * 3,
        CharVocab("abc"),
    )
    with pytest.raises(minidl.ArgumentError, match="several layers"):
        two.shown(cell=0)
    with pytest.raises(minidl.ArgumentError, match="has no gates"):
        two.shown("simple_rnn", gate="f")
    assert list(two.of("gru").activations) == list(two.of("gru").reach) == ["gru"]


def test_an_excerpt_is_where_a_property_changes(seen):
    text = "aaa\n" * 20 + "b (c)\n" * 4 + "aaa\n" * 20
    told = seen._replace(pieces=list(text), properties=properties(text))
    follower = seen.shown(cell=BRACKETS)._replace(follows="inside brackets")
    assert text[told.excerpt(20, follower)] == "b (c)\nb (c)\naaa\naaa\n"  # whole lines
    assert told.excerpt(10_000, follower) == slice(0, len(text))
    moving = follower._replace(follows=None, values=properties(text)["inside brackets"])
    assert told.excerpt(20, moving) == told.excerpt(20, follower)
    text = "a" * 200 + "(b) " * 5 + "a" * 200
    told = seen._replace(pieces=list(text), properties=properties(text))
    assert "(b)" in text[told.excerpt(20, follower)]


def test_the_last_symbols_are_read():
    vocab = CharVocab.of(TEXT)
    assert "".join(look(detector(vocab), TEXT, read=50).pieces) == TEXT[-50:]
    assert look(detector(vocab), "H").reach == {}


def test_words_are_read_as_words():
    text = "the cat (and the dog) sat on the mat . " * 20
    vocab = WordVocab.of(text)
    told = look(language_model(LSTM(4, return_sequences=True), V=len(vocab)), text, vocab)
    assert "".join(told.pieces).split() == text.split()
    assert "follows" not in str(Report(told, told.shown(cell=1), chars=9)).splitlines()[0]
    assert "(and" in str(Report(told))


# -- pictures -----------------------------------------------------------------------------------------


def test_lines_break_at_blanks_and_hard_where_there_are_none():
    text = "one two three\nfourfivesix"
    assert [text[a:b] for a, b in lines_of(text, 8)] == ["one two ", "three\n", "fourfive", "six"]
    assert list(lines_of("", 8)) == []
    assert [b - a for a, b in lines_of("日本語", 4)] == [2, 1]  # two columns each


def test_marks_stand_below_their_symbols():
    values = np.array([-1, 0.2, 1, 0])
    assert list(marked("a日\t\n", values, SIGNED, 40)) == [("a日→↵", "▁▅▅█▅")]
    assert next(iter(marked("\x1bb", values, SIGNED, 40, "01"))) == ("·b", "01")


def test_colours_go_from_blue_to_red():
    assert shade(0.0, SIGNED) == shade(0.0, SHARE) == (247, 247, 247)
    (r, _, b), (r2, _, b2) = shade(-0.9, SIGNED), shade(0.9, SIGNED)
    assert b > r and r2 > b2
    assert shade(0.7, Scale(0.4, 0.7, "", "")) == shade(1.0, SHARE)
    line = next(iter(coloured("ab", np.array([-1.0, 1.0]), SIGNED, 10)))
    assert line.plain == "ab" + " " * 8 and len(line.spans) == 3


def test_falling_norms_are_an_area():
    assert falling(np.array([1.0, 1e-2, 1e-4, 0]), 4, rows=1) == ["█▄▁▁"]
    assert falling(np.zeros(3), 4) == []


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_report_fits_and_says_the_same_with_and_without_colours(seen, width):
    plain, colours = io.StringIO(), io.StringIO()
    Console(file=plain, width=width).print(Report(seen, title="a title"))
    Console(file=colours, width=width, force_terminal=True, color_system="truecolor").print(Report(seen))
    assert "\x1b" not in plain.getvalue() and "48;2;178;24;43" in colours.getvalue()
    assert all(len(line) <= width for line in plain.getvalue().splitlines())
    assert f"{seen.followers['inside quotes'][0].r:+.2f}" in plain.getvalue()
    for words in "inside quotes", "cell 3, tanh(c)", "forget gate", "the gradient's way back", "steps back":
        assert words in plain.getvalue() and words in colours.getvalue()
    assert "▁" in plain.getvalue()


def test_where_only_ascii_can_be_written_marks_are_digits(seen):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    Console(file=out, width=80).print(Report(seen, seen.shown(cell=QUOTES)))
    Console(file=out, width=80).print(Report(seen))
    out.seek(0)
    said = out.read()
    assert "-1 01234567 +1" in said and "####" in said and "0000007777" in said


def test_the_report_of_a_layer_without_gates():
    net = language_model(SimpleRNN(3, return_sequences=True), V=3)
    told = look(net, "abcab" * 30, CharVocab("abc"))
    said = str(Report(told))
    assert "forget" not in said and "the gradient's way back" in said
    assert "mean" in str(Report(told, told.shown(cell=0)))
    assert told.shown(cell=0).title == "simple_rnn, cell 0, h" and told.shown(cell=0).scale == SIGNED
    told.activations["simple_rnn"]["h"][3, 1] = -2.5
    assert told.shown(cell=1).scale == Scale(-2.5, 2.5, "-2.5", "+2.5")


def test_a_page_and_a_picture_need_nothing_else(seen):
    report = Report(seen, seen.shown(cell=QUOTES), title="quotes & more")
    page, picture = report.html(), report.svg()
    assert page.startswith("<!DOCTYPE html>") and "#b2182b" in page and "quotes &amp; more" in page
    assert picture.startswith("<svg") and "#b2182b" in picture
    assert "url(http" not in page + picture and "<link" not in page and "<script" not in page


def test_plain_data_says_the_same(seen):
    data = Report(seen).as_dict()
    assert data["following"]["inside quotes"]["cells"][0]["cell"] == QUOTES
    picture = data["pictures"][0]
    assert 250 < len(picture["values"]) == len(picture["symbols"]) <= 500 and picture["symbols"][-1] == "\n"
    assert data["layers"]["lstm"]["cells"] == H and len(data["layers"]["lstm"]["reach"]) == 100
    assert cell_values(seen.activations["lstm"]).shape == (len(TEXT), H)
