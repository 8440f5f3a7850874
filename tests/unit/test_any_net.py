"""Whatever net is built, its file brings it back: the same outputs bit for bit, and the same file again."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import (
    GRU,
    LSTM,
    Conv1D,
    CoupledLSTM,
    Dense,
    Dropout,
    Embedding,
    HardSigmoid,
    LastStep,
    LayerNorm,
    LearnedState,
    LogSoftmax,
    PoolTime,
    ReLU,
    Sequential,
    Sigmoid,
    SimpleRNN,
    Softmax,
    Tanh,
)

GOLDEN = Path(__file__).parent / "format-1.npz"


@st.composite
def nets(draw):
    """A net over sequences of ids or features: any layers, nets in nets, layers that stand in twice, tied weights."""
    D = draw(st.integers(1, 4))
    vocab = draw(st.none() | st.integers(1, 6))
    embedding = None if vocab is None else Embedding(vocab, D)
    layers, used, size = [], [], D
    gates = HardSigmoid(0.2)  # may be those of several

    def recurrent(size):
        kind = draw(st.sampled_from([LSTM, CoupledLSTM, GRU, SimpleRNN]))
        options = {
            "return_sequences": True, "go_backwards": draw(st.booleans()), "recurrent_dropout": draw(st.floats(0, 0.9))
        }  # fmt: skip
        if kind is GRU:
            options["reset_after"] = draw(st.booleans())
        elif kind is SimpleRNN:
            options["activation"] = draw(st.sampled_from([Tanh(), ReLU()]))
        else:
            options |= {
                "peephole": draw(st.sampled_from([False, True, "diagonal", "full"])),
                "forget_bias": draw(st.floats(-2, 2)), "cell_clip": draw(st.none() | st.floats(0.1, 9)),
                "recurrent_activation": draw(st.sampled_from([None, Sigmoid(), HardSigmoid(), gates])),
            }  # fmt: skip
        layer = kind(size, **options)
        return draw(st.sampled_from([layer, LearnedState(layer)]))

    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["lstm", "dense", "conv", "plain", "net", "again"]))
        fitting = [layer for width, layer in used if width == size]
        if kind == "again" and fitting:
            layers.append(draw(st.sampled_from(fitting)))
            continue
        layer = {
            "lstm": lambda: recurrent(size),
            "dense": lambda: Dense(size, bias=draw(st.booleans())),
            "conv": lambda: Conv1D(size, draw(st.integers(1, 3)), draw(st.sampled_from(["valid", "same", "causal"]))),
            "net": lambda: Sequential([recurrent(size), Tanh()], name=draw(st.sampled_from([None, "inner", "ä b"]))),
        }.get(
            kind,
            lambda: draw(
                st.sampled_from([Tanh(), ReLU(), Sigmoid(), Dropout(0.3), LayerNorm(0.1), LogSoftmax(), Softmax()])
            ),
        )()
        layers.append(layer)
        used.append((size, layer))
    if embedding is not None and draw(st.booleans()):
        layers.append(Dense(vocab, tie=embedding))
    elif draw(st.booleans()):
        layers.append(draw(st.sampled_from([LastStep(), LSTM(3), Dense(2), PoolTime(), PoolTime("max")])))
    layers = [embedding, *layers] if embedding is not None else layers or [Dense(2)]
    pairs = [(f"{k}" + draw(st.text("äb _-/\n")), layer) for k, layer in enumerate(layers)]
    net = Sequential(pairs if draw(st.booleans()) else layers, name=draw(st.none() | st.text(max_size=5)))
    in_shape = (None,) if embedding is not None else (None, D)
    net.build(in_shape, seed=draw(st.integers(0, 99)), dtype=draw(st.sampled_from([np.float32, np.float64])))
    for p in net.params.values():
        p.trainable = draw(st.booleans())
        p.value[...] *= draw(st.sampled_from([1.0, -3.0, 1e-30]))
    net.facts = draw(st.dictionaries(st.text(max_size=3), st.integers() | st.text() | st.floats(-1, 1), max_size=3))
    return net, in_shape


@settings(max_examples=100, deadline=None)
@given(nets())
def test_any_net_comes_back(tmp_path_factory, made):
    net, in_shape = made
    path = tmp_path_factory.mktemp("net") / "net.npz"
    net.save(path)
    loaded = minidl.load(path)
    x = net.example(in_shape, np.random.default_rng(0), time=9)  # four convolutions take two steps each
    assert net(x).tobytes() == loaded(x).tobytes() and repr(net) == repr(loaded)
    assert [p.trainable for p in net.params.values()] == [p.trainable for p in loaded.params.values()]
    loaded.save(path.with_name("again.npz"))
    assert path.read_bytes() == path.with_name("again.npz").read_bytes()
    other = net.copy()
    for p in other.params.values():
        p.value[...] = 0
    assert other.load_weights(path) == ([], [], [])
    assert other(x).tobytes() == net(x).tobytes()


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
