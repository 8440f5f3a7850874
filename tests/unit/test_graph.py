"""Graphs: branches, several inputs and outputs, shared nodes, states from node to node; and what is refused."""

import re

import numpy as np
import pytest

import minidl
from minidl import (
    GRU,
    LSTM,
    Add,
    AdditiveAttention,
    ArgumentError,
    Attention,
    Bidirectional,
    Concatenate,
    Conv1D,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    Graph,
    LastStep,
    Layer,
    LearnedState,
    Multiply,
    Sequential,
    ShapeError,
    Softmax,
    Tanh,
    UnknownNameError,
)
from minidl.checking import check_layer, gradcheck


def translator(H=5):
    """An encoder whose final state the decoder starts from, and whose outputs it attends to."""
    net = Graph(inputs=("source", "target"), name="translator")
    net.add("read", Embedding(9, 4), "source")
    net.add("encoder", LSTM(H, return_sequences=True), "read")
    net.add("written", Embedding(9, 4), "target")
    net.add("decoder", LSTM(H, return_sequences=True), "written", state="encoder")
    net.add("attention", Attention(), "decoder", "encoder")
    net.add("both", Concatenate(), "decoder", "attention")
    net.add("scores", Dense(9), "both")
    return net


def ids(rng, *shape):
    return rng.integers(0, 9, shape)


def test_a_chain_is_a_sequential_bit_for_bit():
    def layers():
        return [
            ("embedding", Embedding(9, 4)), ("lstm", LSTM(6, peephole=True, return_sequences=True)),
            ("dropout", Dropout(0.3)), ("second", LSTM(5)), ("scores", Dense(3)),
        ]  # fmt: skip

    chain, row = Graph(), Sequential(layers())
    for (name, layer), source in zip(layers(), ["x", "embedding", "lstm", "dropout", "second"], strict=True):
        chain.add(name, layer, source)
    for net in chain, row:
        net.build((None,), seed=4)
    rng = np.random.default_rng(0)
    x, mask, dy = ids(rng, 4, 7), rng.random((4, 7)) < 0.7, rng.standard_normal((4, 3)).astype(np.float32)
    results = []
    for net in chain, row:
        y, state, cache = net.forward_with_state(x, mask=mask, rng=np.random.default_rng(1))
        dx, dstate = net.backward_with_state(dy, state, cache)
        results.append((y, state, dx, dstate, {name: p.grad for name, p in net.params.items()}))
    (y, state, dx, dstate, grads), (y2, state2, dx2, dstate2, grads2) = results
    assert y.tobytes() == y2.tobytes() and dx is dx2 is None
    assert list(state) == list(state2) == list(dstate) == ["lstm", "second"]
    for name in state:
        for a, b in zip((*state[name], *dstate[name]), (*state2[name], *dstate2[name]), strict=True):
            assert a.tobytes() == b.tobytes()
    assert list(grads) == list(grads2)
    assert all(grads[name].tobytes() == grads2[name].tobytes() for name in grads)


def test_gradients_flow_back_through_the_state_edge():
    """Without the edge the encoder's state gets no gradient: each of its parameters is compared, to 1e-10."""
    net = Graph(inputs=("source", "target"))
    net.add("encoder", LSTM(4), "source").add("decoder", LSTM(4), "target", state="encoder")
    net.build(((None, 3), (None, 2)), dtype=np.float64)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5, 3)), rng.standard_normal((3, 4, 2))
    report = gradcheck(net, x, mask=(rng.random((3, 5)) < 0.7, None))
    assert report.ok and report.tolerance == 1e-10, report
    net.zero_grads()
    y, cache = net.forward(x)
    net.backward(np.ones_like(y), cache)
    assert net.params["encoder.Wx"].grad.any()


def test_a_state_inside_of_a_net_has_a_dotted_path():
    """Of two recurrent layers of an encoder, the decoder starts from the second; both paths get gradients."""
    encoder = Sequential([Embedding(9, 3), ("low", LSTM(4, return_sequences=True)), ("top", LSTM(5))])
    net = Graph(inputs=("source", "target"))
    net.add("encoder", encoder, "source").add("decoder", LSTM(5), "target", state="encoder.top")
    net.build(((None,), (None, 2)), dtype=np.float64)
    rng = np.random.default_rng(0)
    source, target = ids(rng, 3, 6), rng.standard_normal((3, 4, 2))
    _, state, _ = encoder.forward_with_state(source)
    y, _, _ = net["decoder"].forward_with_state(target, state["top"])
    np.testing.assert_array_equal(net((source, target)), y)
    assert check_layer(net, ((None,), (None, 2))).ok
    with pytest.raises(ShapeError, match=r"'encoder' has states of low, top: write state='encoder\.low'"):
        Graph(inputs=("a", "b")).add("encoder", encoder, "a").add("y", LSTM(5), "b", state="encoder.tap").build(
            ((None,), (None, 2)), dtype=np.float64
        )


def test_an_encoder_decoder_with_attention_keeps_every_promise():
    assert check_layer(translator(), ((None,), (None,))).ok


def test_a_shared_encoder_is_one_set_of_parameters_and_its_gradients_add_up():
    read = Sequential([Embedding(9, 4), LSTM(6)])
    net = Graph(inputs=("left", "right"))
    net.add("a", read, "left").add("b", read, "right").add("both", Multiply(), "a", "b").add("y", Dense(1), "both")
    net.build(((None,), (None,)))
    assert list(net.params)[:4] == ["a.embedding.E", "a.lstm.Wx", "a.lstm.Wh", "a.lstm.b"]
    assert net["a"] is net["b"] and net["a.lstm"] is read["lstm"]
    rng = np.random.default_rng(0)
    x = ids(rng, 3, 5), ids(rng, 3, 7)
    y, state, _ = net.forward_with_state(x)
    np.testing.assert_array_equal(net((x[1], x[0])), y)  # symmetric, so the weights are the same
    assert set(state) == {"a", "b"} and not (state["a"]["lstm"].h == state["b"]["lstm"].h).all()


def test_fan_out_does_not_write_into_shared_gradients():
    """Add hands one array to both of its sources: adding to it in place would change the other branch."""
    net = Graph()
    net.add("a", Tanh(), "x").add("once", Add(), "a", "a").add("twice", Add(), "once", "a").add(
        "y", Add(), "twice", "x"
    )
    net.build((3,))
    x, dy = np.full((1, 3), 0.5), np.ones((1, 3))
    y, cache = net.forward(x)
    np.testing.assert_allclose(y, 3 * np.tanh(x) + x)
    np.testing.assert_allclose(net.backward(dy, cache), 3 * (1 - np.tanh(x) ** 2) + 1)
    assert (dy == 1).all()


def test_several_outputs_are_a_tuple_and_each_may_be_used_inside():
    net = Graph(outputs=("words", "label"))
    net.add("read", LSTM(4, return_sequences=True), "x").add("words", Dense(5), "read")
    net.add("end", LastStep(), "words").add("label", Dense(2), "end")
    assert net.build((None, 3)) == ((None, 5), (2,))
    words, label = net(np.ones((2, 6, 3)))
    assert words.shape == (2, 6, 5) and label.shape == (2, 2)
    assert check_layer(net, (None, 3)).ok
    with pytest.raises(ShapeError, match="MeanSquaredError expects one output, got 2: train a Graph"):
        minidl.loss_value(net, minidl.MeanSquaredError(), minidl.Batch(np.ones((2, 6, 3)), np.ones((2, 2))))


def test_the_state_is_carried_by_node():
    net = Graph()
    net.add("a", LSTM(3, return_sequences=True), "x").add("b", LSTM(3, return_sequences=True), "a")
    net.add("sum", Add(), "a", "b")
    net.build((None, 2))
    x = np.random.default_rng(0).standard_normal((2, 8, 2)).astype(np.float32)
    y, whole, _ = net.forward_with_state(x)
    y1, middle, _ = net.forward_with_state(x[:, :3])
    y2, end, _ = net.forward_with_state(x[:, 3:], middle)
    np.testing.assert_allclose(np.concatenate([y1, y2], axis=1), y, rtol=1e-5, atol=1e-6)
    assert list(end) == list(whole) == ["a", "b"] and net.streams


def test_a_node_that_starts_from_another_keeps_no_state_of_its_own():
    net = translator()
    net.build(((None,), (None,)))
    _, state, _ = net.forward_with_state((np.zeros((2, 3), int), np.zeros((2, 4), int)))
    assert list(state) == list(net.initial_state(2)) == ["encoder"]
    assert not net.streams
    with pytest.raises(ShapeError, match="no state for node 'decoder', which starts from that of 'encoder'"):
        net.forward_with_state((np.zeros((2, 3), int), np.zeros((2, 4), int)), {"decoder": state["encoder"]})


def test_one_mask_per_input():
    """Padding of the one input, or of the other, whatever stands in it, changes nothing."""
    net = translator()
    net.build(((None,), (None,)), dtype=np.float64)
    rng = np.random.default_rng(1)
    source, target = ids(rng, 2, 5), ids(rng, 2, 4)
    plain = net((source, target))
    longer = np.concatenate([source, np.full((2, 3), -7)], axis=1)
    mask = np.arange(8) < np.full((2, 1), 5)
    np.testing.assert_allclose(net((longer, target), mask=(mask, None)), plain, rtol=1e-12)
    wider = np.concatenate([np.full((2, 2), 10**6), target], axis=1)
    left = np.broadcast_to(np.arange(6) >= 2, (2, 6))
    y = net((source, wider), mask=(None, left))
    np.testing.assert_allclose(y[:, 2:], plain, rtol=1e-12)
    assert (net.hand_on((None, left)) == left).all() and net.hand_on((mask, None)) is None


def test_cross_entropy_sees_the_scores_of_a_graph_that_ends_in_softmax():
    def net(*last):
        graph = Graph()
        graph.add("a", Dense(3, init={"W": minidl.constant(5e3)}), "x").add("b", Dense(3), "x").add(
            "y", Add(), "a", "b"
        )
        for name, layer in last:
            graph.add(name, layer, "y")
        graph.build((2,), seed=3)
        return graph

    batch = minidl.Batch(np.array([[1.0, -1.5], [2.0, 1.0]]), [0, 2])
    fused = net(("p", Softmax()))
    nested = net(("head", Sequential([Dense(3), Softmax()])))
    scores = minidl.loss_and_grads(net(), minidl.SoftmaxCrossEntropy(), batch)
    result = minidl.loss_and_grads(fused, CrossEntropy(), batch)
    assert result.value == scores.value and (result.y == scores.y).all()
    body, loss = CrossEntropy().on(nested)
    assert type(loss).__name__ == "SoftmaxCrossEntropy" and body.out_shape == (3,)
    assert body["head"][0] is nested["head"][0] and len(body["head"]) == 1
    shared = net(("p", Softmax()))
    shared.add("used", Add(), "p", "y")
    assert CrossEntropy().on(shared)[0] is shared


def test_metrics_see_the_outputs_of_a_fused_graph():
    net = Graph()
    net.add("scores", Dense(3), "x").add("p", Softmax(), "scores")
    seen = []

    def spy(y, t, weight, mask):
        seen.append(y)
        return 0.0, 1.0

    trainer = minidl.Trainer(net, CrossEntropy(), metrics=[spy], quiet=True)
    trainer.fit(np.eye(4, 2), np.arange(4) % 3)
    np.testing.assert_allclose(seen[0].sum(axis=-1), 1, rtol=1e-6)


def test_a_graph_trains_on_arrays_and_masks():
    rng = np.random.default_rng(0)
    net = translator(12)
    source = rng.integers(1, 9, (64, 3))
    target = np.concatenate([np.zeros((64, 1), int), source[:, :0:-1]], axis=1)
    t = source[:, ::-1]
    trainer = minidl.Trainer(net, minidl.SoftmaxCrossEntropy(), minidl.Adam(0.02), quiet=True)
    history = trainer.fit((source, target), t, epochs=40)
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    mask = np.ones((64, 3), bool)
    batch = minidl.Batch((source, target), t, mask=(mask, mask))
    assert abs(trainer.evaluate([batch])["loss"] - trainer.evaluate((source, target), t)["loss"]) < 1e-6


def test_summary_is_a_tree(capsys):
    net = translator()
    net.build(((None,), (None,)))
    net.summary()
    out = capsys.readouterr().out
    assert re.search(r"── decoder +LSTM +written, state of encoder +\[B, T, 5\] +200", out)
    assert re.search(r"── source +input +\[B, T\]", out) and re.search(r"total .* 571  2.3 kB", out)
    assert max(map(len, out.splitlines())) <= 80


def test_a_wide_summary_stands_closer_and_no_line_is_broken(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    net = Graph(inputs=("source", "target"))
    net.add("read", Dense(512), "source").add("encoder", Bidirectional(GRU(128, return_sequences=True)), "read")
    net.add("first", GRU(512), "encoder").add("decoder", GRU(512, return_sequences=True), "target", state="first")
    net.add("attention", AdditiveAttention(64), "decoder", "encoder")
    net.build(((None, 8), (None, 8)))
    net["read"].freeze()
    net.summary()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 + 5 + 3 + 1 and not any(line != line.rstrip() for line in lines)
    assert all(len(line) <= 80 for line in lines if "frozen" not in line)


def test_a_layer_that_stands_twice_is_listed_once(capsys):
    read = Sequential([Embedding(9, 4), LSTM(6)])
    net = Graph(inputs=("left", "right"))
    net.add("a", read, "left").add("b", read, "right").add("both", Add(), "a", "b")
    net.summary()
    out = capsys.readouterr().out
    assert out.count("lstm") == 1 and re.search(r"── b .*same as a", out) and "not built" in out


# -- mistakes -------------------------------------------------------------------------------------


def chain():
    return Graph(name="net").add("read", LSTM(4, return_sequences=True), "x")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: chain().add("y", Dense(2), "raed"),
            UnknownNameError,
            "names 'raed', which is not there yet: there is x, read; did you mean 'read'?",
        ),
        (
            lambda: chain().add("y", Dense(2), "later"),
            UnknownNameError,
            "a node can only take from what was added before it",
        ),
        (lambda: chain().add("y", LSTM(4), "x", state="later"), UnknownNameError, "'later', which is not there yet"),
        (
            lambda: chain().add("y", Dense(2)),
            ArgumentError,
            "Graph 'net' expects a source for node 'y', got none: write add('y', layer, 'read').",
        ),
        (
            lambda: chain().add("y", Dense(2), Dense(3)),
            ArgumentError,
            "sources of node 'y' to be names, got Dense(units=3)",
        ),
        (
            lambda: chain().add(Dense(2), "y", "x"),
            ArgumentError,
            "expects a name first, got Dense(units=2)",
        ),
        (lambda: chain().add("y", "read", "x"), ArgumentError, "expects layers, got 'read'"),
        (lambda: chain().add("y", Dense, "x"), ArgumentError, "write Dense(...)"),
        (lambda: chain().add("read", Dense(2), "x"), ArgumentError, "has a layer 'read' already"),
        (lambda: chain().add("x", Dense(2), "x"), ArgumentError, "has an input 'x' already"),
        (lambda: chain().add("a.b", Dense(2), "x"), ArgumentError, "a word without dots"),
        (
            lambda: chain().add("y", LSTM(4), "read", state="x"),
            ArgumentError,
            "cannot start from 'x', an input has no state",
        ),
        (lambda: Graph(inputs=("a", "a")), ArgumentError, "inputs to have names of their own"),
        (lambda: Graph(inputs=()), ArgumentError, "inputs to be a name or a list of names"),
        (lambda: Graph(nodes=[("y", Dense(2))]), ArgumentError, "nodes as (name, layer, sources, state)"),
        (lambda: Graph().build((3,)), ArgumentError, "Graph has no nodes to build"),
        (
            lambda: chain().add("y", Dense(2), "x").build((None, 3)),
            ArgumentError,
            "node 'read' is used by no node: take from it, name it in outputs=(..., 'read')",
        ),
        (
            lambda: Graph(inputs=("a", "b")).add("y", Dense(2), "a").build(((3,), (3,))),
            ArgumentError,
            "input 'b' is used by no node",
        ),
        (
            lambda: Graph(outputs="z").add("y", Dense(2), "x").build((3,)),
            UnknownNameError,
            "has no node 'z' to return: outputs are among y",
        ),
        (
            lambda: translator().build((None,)),
            ShapeError,
            "expects the shapes of 2 inputs, source, target, got (None,): write build(((None,), (None,)))",
        ),
        (
            lambda: chain().add("y", LSTM(5), "x", state="read").build((None, 3)),
            ShapeError,
            "'y' starts from a state of h [B, 5], c [B, 5], but 'read' ends in h [B, 4]",
        ),
        (
            lambda: chain().add("d", Dense(3), "read").add("y", LSTM(4), "x", state="d").build((None, 3)),
            ShapeError,
            "'d' has no state: state= goes from one recurrent layer to another",
        ),
        (
            lambda: chain().add("d", Dense(3), "read").add("y", Add(), "d", "x").build((None, 2)),
            ShapeError,
            "In Graph 'net', node 'y'",
        ),
        (lambda: chain().build((None,)), ShapeError, "In Graph 'net', node 'read'"),
        (lambda: chain()["raed"], UnknownNameError, "has no layer 'raed': it has read"),
        (
            lambda: Bidirectional(Dense(3)),
            ArgumentError,
            "expects a recurrent layer such as LSTM(8), got Dense(units=3)",
        ),
        (lambda: Bidirectional(LSTM(3), merge="concat"), ArgumentError, "write merge=Concatenate()"),
        (lambda: Bidirectional(LSTM), ArgumentError, "write LSTM(...)"),
        (
            lambda: Bidirectional(Conv1D(3, 3)),
            ArgumentError,
            "A recurrent layer such as LSTM(8) is expected, to run both ways, got Conv1D(units=3, width=3)",
        ),
        (
            lambda: Bidirectional(LearnedState(Conv1D(3, 3, padding="causal"))),
            ArgumentError,
            "A recurrent layer such as LSTM(8) is expected, to run both ways, got Conv1D(",
        ),
        (
            lambda: Bidirectional(LSTM(3, go_backwards=True)),
            ArgumentError,
            "reads forwards, got LSTM(units=3, go_backwards=True): leave go_backwards out",
        ),
        (
            lambda: Bidirectional(LSTM(3), backward=LSTM(3)),
            ArgumentError,
            "expects backward to be a recurrent layer with go_backwards=True, got LSTM(units=3).",
        ),
        (
            lambda: Bidirectional(LSTM(3), backward=LSTM(3, return_sequences=True, go_backwards=True)),
            ArgumentError,
            "both layers to return sequences",
        ),
    ],
)
def test_a_mistake_is_told(call, error, words):
    with pytest.raises(error, match=re.escape(words)):
        call()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: chain().add("y", Dense(2), ["x", "read"]), ArgumentError, "write add('y', layer, 'x', 'read')"),
        (lambda: chain().add("y", LSTM(4), "x", state=LSTM(4)), ArgumentError, "state of node 'y' to be the name of"),
        (lambda: chain().add("y", LSTM(4), "x", state="x.h"), ArgumentError, "cannot start from 'x', an input has no"),
        (lambda: chain().add("y", Dense(2), "read.Wx"), UnknownNameError, "a source is the whole output of a node"),
        (
            lambda: Graph(inputs="a", outputs="b").add("y", Dense(2), "a").build((3,)),
            UnknownNameError,
            "inputs=('a', 'b')",
        ),
        (
            lambda: chain().build({"x": (None, 3)}),
            ArgumentError,
            "a tuple of shapes in the order of its inputs, got a d",
        ),
        (lambda: chain().build(((None, 3), (None, 3))), ShapeError, "expects the shape of one input, x, got"),
        (
            lambda: starting(Sequential([Dense(3), LSTM(4)]), LSTM(4)),
            ShapeError,
            "name the layer inside, state='a.lstm'",
        ),
        (
            lambda: starting(LSTM(4), Sequential([Dense(3), LSTM(4)])),
            ShapeError,
            "add the layers inside of 'b' as nodes",
        ),
        (
            lambda: starting(Sequential([("r", LSTM(4))]), Sequential([("w", LSTM(4))])),
            ShapeError,
            "give the layers inside the same names",
        ),
        (
            lambda: two_into(Tanh()),
            ShapeError,
            "Tanh expects one input, got ([B, T, 2], [B, T, 2]): put a Concatenate()",
        ),
        (lambda: two_into(Dense(3)), ShapeError, "Dense expects one input"),
        (lambda: two_into(LSTM(3)), ShapeError, "In Graph, node 'y'"),
        (lambda: two_into(Sequential([Embedding(3, 2)])), ShapeError, "Embedding expects one input"),
        (lambda: Sequential([Dense(2)]).build(((3,), (3,))), ShapeError, "Dense expects one input"),
        (
            lambda: Bidirectional(LSTM(3)).add("act", Tanh(), "merge"),
            ArgumentError,
            "has its three nodes: put Tanh() behi",
        ),
    ],
)
def test_what_a_newcomer_tries_is_told(call, error, words):
    with pytest.raises(error, match=re.escape(words)):
        call()


def starting(first, second):
    net = Graph(inputs=("s", "t")).add("a", first, "s").add("b", second, "t", state="a")
    return net.build(((None, 2), (None, 2)))


def two_into(layer):
    return Graph(inputs=("a", "b")).add("y", layer, "a", "b").build(((None, 2), (None, 2)))


def test_a_net_for_one_input_refuses_two():
    net = Sequential([Dense(2)])
    net.build((3,))
    with pytest.raises(ShapeError, match="Sequential expects one input, got a tuple of 2: a Graph takes several"):
        net((np.ones((1, 3)), np.ones((1, 3))))


def test_inputs_of_other_rows_are_told():
    net = translator()
    net.build(((None,), (None,)))
    with pytest.raises(ShapeError, match=r"as many rows in each input, got source \(3, 4\), target \(10, 4\)"):
        net((np.zeros((3, 4), int), np.zeros((10, 4), int)))
    mask = np.ones((3, 5), bool)
    with pytest.raises(ShapeError, match="In Graph 'translator', input 'target'"):
        net((np.zeros((3, 5), int), np.zeros((3, 4), int)), mask=(mask, mask))


class Argmax(Layer):
    """Numbers become ids: nothing flows back."""

    def setup(self, in_shape, rng, dtype):
        return in_shape[:-1]

    def forward(self, x, *, rng=None):
        return x.argmax(axis=-1), None

    def backward(self, dy, cache):
        return None


def test_a_final_state_has_its_gradient_where_none_comes_from_above():
    """The encoder's outputs become ids, so only its state reaches the result."""
    net = Graph().add("e", GRU(5, return_sequences=True), "x").add("ids", Argmax(), "e")
    net.add("rows", Embedding(5, 3), "ids").add("d", GRU(5), "rows", state="e")
    row = Sequential([GRU(5, return_sequences=True), Argmax(), Embedding(5, 3), GRU(4)])
    x = np.random.default_rng(0).standard_normal((2, 4, 2))
    for part in net, row:
        part.build((None, 2), dtype=np.float64)
        # no complex steps through an argmax; central differences reach 1e-6 or so
        assert gradcheck(part, x, tolerance=1e-5).ok
        part.zero_grads()
        y, state, cache = part.forward_with_state(x)
        part.backward_with_state(np.ones_like(y), state, cache)
        assert next(iter(part.params.values())).grad.any()


def test_an_output_that_is_named_twice_gets_both_gradients():
    net = Graph(outputs=("y", "y")).add("y", Dense(2), "x")
    net.build((3,), dtype=np.float64)
    assert check_layer(net, (3,)).ok


def test_a_state_edge_alone_keeps_a_net_from_being_streamed():
    net = Graph(inputs=("a", "b")).add("e", LSTM(2), "a").add("y", LSTM(2), "b", state="e")
    assert not net.streams and all(layer.streams for layer in net)


def test_cross_entropy_sees_scores_that_are_the_input_itself():
    alone = Graph().add("p", Softmax(), "x")
    inside = Graph().add("d", Dense(3, init={"W": minidl.ones}), "x").add("q", Graph().add("p", Softmax(), "x"), "d")
    batch = minidl.Batch(np.array([[1e4, 0.0, 0.0]]), [1])
    for net, value in (alone, 1e4), (inside, np.log(3)):
        net.build((3,))
        assert minidl.loss_and_grads(net, CrossEntropy(), batch).value == pytest.approx(value)


def test_a_net_inside_may_grow():
    inner = Graph().add("a", Dense(3), "x")
    net = Graph().add("inner", inner, "x")
    net.build((2,))
    inner.add("b", Dense(5), "a")
    assert net.build((2,)) == net.out_shape == net.shapes["inner"] == (5,)


@pytest.mark.parametrize(
    ("x", "mask", "words"),
    [
        (np.zeros((2, 3), int), None, "'translator' expects a tuple of 2 arrays, source, target, got one ndarray"),
        ((np.zeros((2, 3), int),) * 3, None, "expects a tuple of 2 arrays, source, target, got a tuple of 3"),
        (
            (np.zeros((2, 3), int),) * 2,
            np.ones((2, 3), bool),
            "expects a tuple of 2 masks, source, target (None for no padding), got one ndarray",
        ),
        *(
            (
                (np.zeros((2, 3), int), np.zeros((2, T), int)),
                [np.ones((2, 3), bool), np.ones((2, T), bool)],
                "got a list that is no such array: masks of several inputs are a tuple, mask=(left, right)",
            )
            for T in (3, 4)
        ),
        ([np.zeros((2, 3), int), np.zeros((2, 4), int)], None, "several inputs are a tuple, (left, right)"),
        ({"source": np.zeros((2, 3), int)}, None, "a tuple of arrays in the order of the net's inputs, got a dict"),
        ((np.zeros((2, 3)), np.zeros((2, 3), int)), None, "In Graph 'translator', node 'read'"),
    ],
)
def test_wrong_inputs_are_told(x, mask, words):
    net = translator()
    net.build(((None,), (None,)))
    with pytest.raises(ShapeError, match=re.escape(words)):
        net.predict(x, mask=mask)


def test_a_graph_that_could_not_be_built_is_as_it_was():
    net = chain().add("y", LSTM(5), "x", state="read")
    with pytest.raises(ShapeError):
        net.build((None, 3))
    assert net["read"].in_shape is None and not net["read"].params


# -- both directions ------------------------------------------------------------------------------


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("merge", [None, Add(), Multiply()])
def test_bidirectional_is_two_runs(sequences, merge):
    net = Bidirectional(LSTM(4, peephole=True, return_sequences=sequences), merge=merge)
    net.build((None, 3), seed=1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 6, 3)).astype(np.float32)
    lengths = np.array([[6], [2], [0]])
    mask = np.arange(6) < lengths
    forward, backward = net["forward"](x, mask=mask), np.zeros_like(net["backward"](x))
    reader = LSTM(4, peephole=True, return_sequences=sequences)
    reader.build((None, 3))
    for name, p in net["backward"].params.items():
        reader.params[name].value[...] = p.value
    for row, (length,) in enumerate(lengths):  # each row turned round by itself, at its own length
        y = reader(x[row : row + 1, :length][:, ::-1])
        if sequences:
            backward[row, :length] = y[0, ::-1]
        else:
            backward[row] = y[0]
    y = np.concatenate([forward, backward], axis=-1) if merge is None else merge((forward, backward))
    np.testing.assert_allclose(net(x, mask=mask), y, rtol=1e-5, atol=1e-6)


def test_the_backward_half_has_options_and_weights_of_its_own():
    net = Bidirectional(LSTM(4, forget_bias=2.5, init={"Wh": minidl.normal(0.1)}))
    net.build((None, 3))
    assert net["backward"].go_backwards and net["backward"].forget_bias == 2.5
    assert abs(net["backward"].Wh.value).max() < 1
    assert not (net["forward"].Wx.value == net["backward"].Wx.value).any()
    built = net["forward"]
    again = Bidirectional(built)
    again.build((None, 3), seed=9)
    assert again["forward"] is built and not (again["backward"].Wx.value == built.Wx.value).any()
