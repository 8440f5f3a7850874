"""Whatever net is built, its file brings it back: the same outputs bit for bit, and the same file again."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import (
    GRU,
    LSTM,
    Add,
    AdditiveAttention,
    Attention,
    Bidirectional,
    Concatenate,
    Conv1D,
    CoupledLSTM,
    Dense,
    Dropout,
    Embedding,
    Graph,
    HardSigmoid,
    LastStep,
    LayerNorm,
    LearnedState,
    LogSoftmax,
    Multiply,
    PoolTime,
    ReLU,
    Sequential,
    Sigmoid,
    SimpleRNN,
    Softmax,
    Tanh,
)
from minidl.nested import leaves

GOLDEN = Path(__file__).parent / "format-1.npz"


def recurrent(draw, size, sequences=True, backwards=None):
    """Any recurrent layer with one state."""
    kind = draw(st.sampled_from([LSTM, CoupledLSTM, GRU, SimpleRNN]))
    options = {
        "return_sequences": sequences,
        "go_backwards": draw(st.booleans()) if backwards is None else backwards,
        "recurrent_dropout": draw(st.floats(0, 0.9)),
    }
    if kind is GRU:
        options["reset_after"] = draw(st.booleans())
    elif kind is SimpleRNN:
        options["activation"] = draw(st.sampled_from([Tanh(), ReLU()]))
    else:
        options["peephole"] = draw(st.sampled_from([False, True, "diagonal", "full"]))
        options["forget_bias"] = draw(st.floats(-2, 2))
        options["recurrent_activation"] = draw(
            st.sampled_from([None, Sigmoid(), HardSigmoid(), HardSigmoid(slope=0.2)])
        )
        options["cell_clip"] = draw(st.none() | st.floats(0.1, 9))
    layer = kind(size, **options)
    return LearnedState(layer) if draw(st.booleans()) else layer


def merge(draw):
    return draw(st.sampled_from([Add, Multiply]))()


@st.composite
def parts(draw, size):
    """A layer from [B, T, size] to [B, T, size], or a net of some."""
    match draw(st.sampled_from(["recurrent", "dense", "plain", "net", "both", "branches", "joined", "attention"])):
        case "recurrent":
            return recurrent(draw, size)
        case "dense":
            return Dense(size, bias=draw(st.booleans()))
        case "net":
            name = draw(st.sampled_from([None, "inner", "ä b"]))
            return Sequential([recurrent(draw, size), draw(parts(size))], name=name)
        case "both":
            return Bidirectional(recurrent(draw, size, backwards=False), merge=merge(draw))
        case "joined":
            backward = recurrent(draw, size, backwards=True) if draw(st.booleans()) else None
            forward = recurrent(draw, size, backwards=False)
            return Sequential([Bidirectional(forward, backward=backward), Dense(size)])
        case "branches":
            net = Graph(name=draw(st.none() | st.just("branches")))
            net.add("a", draw(parts(size)), "x").add("b", draw(parts(size)), "a")
            net.add("c", net["a"] if draw(st.booleans()) else draw(parts(size)), "b")
            return net.add("y", merge(draw), *draw(st.permutations(["x", "a", "b", "c"])))
        case "attention":
            net = Graph().add("a", draw(parts(size)), "x")
            sources = draw(st.sampled_from([("x", "a"), ("a", "x"), ("a", "x", "a")]))
            return net.add("y", draw(st.sampled_from([Attention(), AdditiveAttention(2)])), *sources)
    convolution = Conv1D(
        size, draw(st.integers(1, 3)), padding=draw(st.sampled_from(["same", "causal"])), bias=draw(st.booleans())
    )
    plain = [Tanh(), ReLU(), Sigmoid(), HardSigmoid(slope=0.3), Dropout(0.3), LogSoftmax(), Softmax(), LayerNorm()]
    return draw(st.sampled_from([*plain, convolution]))


def finished(draw, net, in_shape):
    """A net that is built, with parameters of all sizes, some frozen, and facts."""
    net.build(in_shape, seed=draw(st.integers(0, 99)), dtype=draw(st.sampled_from([np.float32, np.float64])))
    for p in net.params.values():
        p.trainable = draw(st.booleans())
        p.value[...] *= draw(st.sampled_from([1.0, -3.0, 1e-30]))
    net.facts = draw(st.dictionaries(st.text(max_size=3), st.integers() | st.text() | st.floats(-1, 1), max_size=3))
    return net, in_shape


@st.composite
def rows(draw):
    """A net over sequences of ids or features: any layers, nets in nets, layers that stand in twice, tied weights."""
    D = draw(st.integers(1, 4))
    vocab = draw(st.none() | st.integers(1, 6))
    embedding = None if vocab is None else Embedding(vocab, D)
    layers = []
    for _ in range(draw(st.integers(0, 3))):
        layers.append(draw(st.sampled_from(layers)) if layers and draw(st.booleans()) else draw(parts(D)))
    if embedding is not None and draw(st.booleans()):
        layers.append(Dense(vocab, tie=embedding))
    elif draw(st.booleans()):
        layers.append(draw(st.sampled_from([LastStep(), PoolTime(), PoolTime(kind="max"), LSTM(3), Dense(2)])))
    layers = [embedding, *layers] if embedding is not None else layers or [Dense(2)]
    pairs = [(f"{k}" + draw(st.text("äb _-/\n")), layer) for k, layer in enumerate(layers)]
    net = Sequential(pairs if draw(st.booleans()) else layers, name=draw(st.none() | st.text(max_size=5)))
    return finished(draw, net, (None,) if embedding is not None else (None, D))


@st.composite
def graphs(draw):
    """A net of several inputs and outputs, of nodes that take from any before them, some from a final state."""
    D, ids = draw(st.integers(1, 3)), draw(st.booleans())
    inputs = draw(st.sampled_from([("x",), ("x", "ä b")]))
    names, entries, recurrents = [*inputs], [], []
    if ids:
        entries.append(("words", Embedding(4, D), ("x",), None))
        names[0] = "words"
    for k in range(draw(st.integers(1, 5))):
        name, state = f"{k}" + draw(st.text("äb -\n", max_size=2)), None
        sources = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
        if len(sources) > 1:
            layer = draw(st.sampled_from([Add(), Multiply(), Attention(), AdditiveAttention(1)]))
        elif draw(st.booleans()):
            layer = LSTM(D, return_sequences=True)
            state = draw(st.sampled_from([None, *recurrents]))
            recurrents.append(name)
        else:
            layer = draw(parts(D))
        entries.append((name, layer, tuple(sources), state))
        names.append(name)
    used = {source for _, _, sources, state in entries for source in (*sources, state)}
    loose = [name for name in names if name not in used]
    entries.append(("all", Concatenate(), (*loose, *loose), None))
    outputs = draw(st.sampled_from([None, ("all",), ("all", entries[-2][0]), ("all", "all")]))
    net = Graph(inputs=inputs, outputs=outputs, nodes=entries, name=draw(st.none() | st.text(max_size=5)))
    shapes = tuple((None,) if ids and k == 0 else (None, D) for k in range(len(inputs)))
    return finished(draw, net, shapes if len(inputs) > 1 else shapes[0])


def bits(y):
    """The outputs of a net, bit for bit."""
    return [(name, a.dtype, a.shape, a.tobytes()) for name, a in leaves(y).items()]


@given(rows() | graphs())
def test_any_net_comes_back(tmp_path_factory, made):
    net, in_shape = made
    path = tmp_path_factory.mktemp("net") / "net.npz"
    net.save(path)
    loaded = minidl.load(path)
    x = net.example(in_shape, np.random.default_rng(0))
    assert bits(net(x)) == bits(loaded(x)) and repr(net) == repr(loaded)
    assert [p.trainable for p in net.params.values()] == [p.trainable for p in loaded.params.values()]
    loaded.save(path.with_name("again.npz"))
    assert path.read_bytes() == path.with_name("again.npz").read_bytes()
    other = net.copy()
    for p in other.params.values():
        p.value[...] = 0
    assert other.load_weights(path) == ([], [], [])
    assert bits(other(x)) == bits(net(x))


@pytest.mark.usefixtures("kernels")
def test_eight_threads_share_a_net_that_another_one_saves(tmp_path):
    net = Sequential([Embedding(7, 5), LSTM(40, peephole=True, return_sequences=True), LSTM(9, return_sequences=True),
                      Dense(7)])  # fmt: skip
    net.build((None,), seed=1)
    inputs = [np.random.default_rng(k).integers(0, 7, (k + 1, 30)) for k in range(8)]
    serial = [(net(x).tobytes(), list(minidl.generate(net, [1, 2], 40, seed=k))) for k, x in enumerate(inputs)]
    net.save(tmp_path / "serial.npz")
    failures, going = [], threading.Event()
    going.set()

    def work(k):
        for _ in range(5):
            came = net(inputs[k]).tobytes(), list(minidl.generate(net, [1, 2], 40, seed=k))
            if came != serial[k]:
                failures.append(k)

    def save():
        while going.is_set():
            net.save(tmp_path / "net.npz")
            if (tmp_path / "net.npz").read_bytes() != (tmp_path / "serial.npz").read_bytes():
                failures.append("save")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    saver = threading.Thread(target=save)
    for thread in (saver, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    going.clear()
    saver.join()
    assert not failures


def test_files_of_format_1_stay_readable():
    """Written by minidl 0.1.0: an embedding, a frozen LSTM with peepholes, a net inside, tied weights, a vocabulary."""
    net = minidl.load(GOLDEN)
    assert repr(net) == (
        "Sequential(layers={'words': Embedding(vocab=5, units=3), 'lstm': LSTM(units=3, peephole=True, "
        "return_sequences=True), 'head': Sequential(layers={'tanh': Tanh(), 'dropout': Dropout(rate=0.5)}, name='head')"
        ", "
        "'dense': Dense(units=5, tie=Embedding(vocab=5, units=3))}, name='golden')"
    )
    assert net.vocab == minidl.CharVocab("abcdé") and net.facts == {"text": "a golden file", "bits": 1.5, "steps": 0}
    assert [name for name, p in net.params.items() if not p.trainable] == ["lstm.Wx", "lstm.Wh", "lstm.b", "lstm.p"]
    assert net["dense"].W is net["words"].E
    np.testing.assert_allclose(net(np.array([[0, 4, 2]]))[0, -1], EXPECTED, rtol=1e-5)


EXPECTED = [0.05249375104904175, 0.37712547183036804, -0.040928762406110764, 0.19630590081214905, 0.016467779874801636]
