"""Sequential: names, parts, sharing, states, summary, and errors that carry the path."""

import numpy as np
import pytest

from minidl import (
    LSTM,
    ArgumentError,
    Batch,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    LastStep,
    Sequential,
    ShapeError,
    Softmax,
    UnknownNameError,
    loss_and_grads,
)
from minidl.checking.report import as_text
from minidl.summary import summary_table


def language_model(vocab=6, units=4, name=None):
    net = Sequential([Embedding(vocab, 3), LSTM(units, return_sequences=True), Dense(vocab), Softmax()], name=name)
    net.build((None,), dtype=np.float64)
    return net


def test_names_and_parts():
    net = Sequential([Dense(2), Dense(2), ("scores", Dense(3))]).add(LastStep()).add(Softmax(), name="out")
    assert list(net.layers) == ["dense", "dense_2", "scores", "last_step", "out"]
    assert net[0] is net["dense"] and net[-1] is net["out"] and len(net) == 5
    assert [type(layer).__name__ for layer in net][-1] == "Softmax"
    assert list(net[1:3].layers) == ["dense_2", "scores"] and net[1:3][0] is net[1]
    assert [repr(k) for k in Sequential([Embedding(2, 2)])] == ["Embedding(vocab=2, units=2)"]


def test_snake_case_of_abbreviations():
    class MyLSTM2Layer(LSTM):
        pass

    assert list(Sequential([LSTM(2), MyLSTM2Layer(2)]).layers) == ["lstm", "my_lstm2_layer"]


def test_nested_paths():
    inner = Sequential([LSTM(3)], name="encoder")
    net = Sequential([Embedding(5, 2), inner])
    net.build((None,))
    assert net["encoder.lstm"] is inner[0]
    assert "encoder.lstm.Wx" in net.params
    with pytest.raises(UnknownNameError, match="has no layer 'gru': it has embedding, encoder"):
        net["gru"]
    with pytest.raises(UnknownNameError, match="no layer 'gru': it has lstm"):
        net["encoder.gru"]
    with pytest.raises(KeyError, match="Embedding, it has no layers"):
        net["embedding.E"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("lstm", "expects layers, got 'lstm'"),
        (LSTM, r"expects layers, got .*: write LSTM\(...\)"),
        (("a.b", Dense(2)), "a word without dots, got 'a.b'"),
        ((3, Dense(2)), "a word without dots, got 3"),
    ],
)
def test_bad_layers(wrong, words):
    with pytest.raises(ArgumentError, match=words):
        Sequential([wrong])


def test_a_name_twice():
    with pytest.raises(ArgumentError, match="has a layer 'a' already"):
        Sequential([("a", Dense(2)), ("a", Dense(2))])


def test_nothing_to_build():
    with pytest.raises(ArgumentError, match="no layers to build"):
        Sequential().build((3,))


def test_shared_with_another_net_trains_the_very_same_parameters():
    net = language_model()
    head = Sequential([net["embedding"], net["lstm"], LastStep(), Dense(2), Softmax()])
    head.build((None,), dtype=np.float64)
    assert head.params["lstm.Wx"] is net.params["lstm.Wx"]
    before = net(np.array([[1, 2, 3]]))
    loss_and_grads(head, CrossEntropy(), Batch(np.array([[1, 2, 3]]), np.array([1])))
    for p in head.params.values():
        p.value -= 0.1 * p.grad
    assert (net(np.array([[1, 2, 3]])) != before).any()


def test_one_layer_twice_adds_its_gradients_and_keeps_two_states():
    shared = LSTM(3, return_sequences=True)
    net = Sequential([shared, shared])
    net.build((None, 3), dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    y, state, cache = net.forward_with_state(x)
    assert list(state) == ["lstm", "lstm_2"] and (state["lstm"].h != state["lstm_2"].h).any()
    net.backward(y, cache)
    both = shared.Wx.grad.copy()
    # the same computation with two layers of equal weights: the gradients of the two add up
    a, b = shared.copy(), shared.copy()
    pair = Sequential([a, b])
    pair.zero_grads()
    _, _, cache = pair.forward_with_state(x)
    pair.backward(y, cache)
    np.testing.assert_allclose(both, a.Wx.grad + b.Wx.grad, rtol=1e-12)


def test_tied_weights_add_once_from_each_use():
    embedding = Embedding(5, 3)
    net = Sequential([embedding, Dense(5, tie=embedding, bias=False)])
    net.build((None,), dtype=np.float64)
    x = np.array([[1, 3, 1]])
    y, cache = net.forward(x)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    net.backward(dy, cache)
    expected = np.zeros((5, 3))
    np.add.at(expected, x[0], dy[0] @ embedding.E.value)  # as rows that were looked up
    expected += dy[0].T @ embedding.E.value[x[0]]  # as the matrix of the output layer
    np.testing.assert_allclose(embedding.E.grad, expected, rtol=1e-12)


def test_state_is_a_dict_by_slot():
    net = language_model()
    _, state, _ = net.forward_with_state(np.array([[1, 2]]))
    assert list(state) == ["lstm"] == list(net.initial_state(1))
    assert Sequential([Dense(2)]).initial_state(3) is None
    with pytest.raises(ShapeError, match=r"a state that is a dict by layer name, got one for gru"):
        net.forward_with_state(np.array([[1]]), {"gru": None})
    with pytest.raises(ShapeError, match=r"another batch size needs a new state.*In Sequential, layer 2 of 4, 'lstm'"):
        net.forward_with_state(np.array([[1]] * 3), state)


def test_streams():
    assert language_model().streams
    assert not Sequential([LSTM(2, go_backwards=True)]).streams


def test_errors_carry_the_path():
    inner = Sequential([LSTM(4)], name="encoder")
    net = Sequential([Dense(32), inner, Dense(2)], name="tagger")
    with pytest.raises(ShapeError) as caught:
        net.build((7,))
    assert str(caught.value) == (
        "LSTM expects inputs of shape [B, T, D], got [B, 32]: add a time axis; where a recurrent layer stands before "
        "it, give that one return_sequences=True. In Sequential 'encoder', layer 1 of 1, 'lstm', "
        "in Sequential 'tagger', layer 2 of 3, 'encoder'."
    )


def test_errors_of_foreign_code_get_a_note():
    class Fails(Dense):
        def forward(self, x, *, rng=None):
            raise ZeroDivisionError("mine")

    net = Sequential([Fails(2)])
    net.build((2,))
    with pytest.raises(ZeroDivisionError) as caught:
        net(np.ones((1, 2)))
    assert caught.value.__notes__ == ["In Sequential, layer 1 of 1, 'fails'."]


def test_summary():
    embedding = Embedding(10, 4)
    shared = LSTM(4, return_sequences=True)
    encoder = Sequential([shared, shared], name="encoder")
    net = Sequential([embedding, encoder, Dense(10, tie=embedding), Softmax()], name="tiny")
    assert as_text(summary_table(net)).count("not built") == 6
    net.build((None,))
    embedding.freeze()
    lines = [line.split() for line in as_text(summary_table(net)).splitlines()]
    assert lines[1] == ["embedding", "Embedding", "[B,", "T,", "4]", "40", "frozen"]
    assert lines[2] == ["encoder", "Sequential", "[B,", "T,", "4]"]
    assert lines[3] == ["encoder.lstm", "LSTM", "[B,", "T,", "4]", "144"]
    assert lines[4] == ["encoder.lstm_2", "LSTM", "[B,", "T,", "4]", "144", "shared", "with", "encoder.lstm"]
    assert lines[5][:6] == ["dense", "Dense", "[B,", "T,", "10]", "50"]
    assert " ".join(lines[5][6:]) == "partly frozen, shared with embedding"
    assert " ".join(lines[7]) == "total 194 776 bytes, 40 of them frozen"


def test_summary_fits_80_columns(capsys):
    net = language_model()
    net.summary()
    out = capsys.readouterr().out
    assert "embedding" in out and max(map(len, out.splitlines())) <= 80 and "\x1b" not in out


def test_slice_of_a_built_net_is_built():
    net = language_model()
    body = net[:-1]
    assert body.in_shape == (None,) and body.out_shape == (None, 6)
    assert list(body.params) == list(net.params)


def test_layers_that_are_no_list():
    with pytest.raises(ArgumentError, match=r"expects a list of layers, got Dense\(units=3\): write Sequential"):
        Sequential(Dense(3), name=Softmax())


def test_a_net_that_could_not_be_built_is_as_it_was():
    net = Sequential([("in", Sequential([Dense(32)])), LSTM(4)])
    with pytest.raises(ShapeError):
        net.build((7,))
    assert not net.params and net["in.dense"].in_shape is None
    assert net.build((None, 9)) == (4,)


def test_a_layer_added_to_a_built_net_has_to_be_built():
    net = language_model()
    before = net.params["dense.W"].value.copy()
    net.add(Dense(2))
    with pytest.raises(ArgumentError, match="not: call build first"):
        net.save("never.npz")
    assert net.build((None,), dtype=np.float64) == (None, 2)
    assert (net.params["dense.W"].value == before).all()


def test_building_for_another_length_keeps_what_is_told():
    net = language_model()
    net.build((7,), dtype=np.float64)
    assert net.in_shape == (None,) and net.shapes["dense"] == (None, 6)


def test_a_slice_knows_its_shapes():
    net = language_model()
    assert net[1:3].in_shape == (None, 3) and net[1:3].out_shape == (None, 6)
    assert net[::2].in_shape is None


def test_a_pass_without_cache_cannot_go_back():
    net = language_model()
    y, _, cache = net.forward_with_state(np.array([[1, 2]]), keep_cache=False)
    with pytest.raises(ArgumentError, match="run it with keep_cache=True"):
        net.backward(y, cache)
    _, _, cache = net["lstm"].forward_with_state(np.ones((1, 2, 3)), keep_cache=False)
    with pytest.raises(ArgumentError, match="run it with keep_cache=True"):
        net["lstm"].backward(np.ones((1, 2, 4)), cache)


def test_the_output_is_not_the_state():
    lstm = LSTM(3)
    lstm.build((None, 2))
    y, state, _ = lstm.forward_with_state(np.ones((1, 2, 2), np.float32))
    y *= 0
    assert state.h.any()


def test_ids_may_pass_layers_without_gradient():
    net = Sequential([Dropout(0.0), Embedding(4, 2), LSTM(2)])
    net.build((None,))
    y, cache = net.forward(np.array([[1, 2]]))
    assert net.backward(y, cache) is None and net.params["embedding.E"].grad.any()
