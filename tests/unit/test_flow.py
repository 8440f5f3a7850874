"""`flows`: |dL/dh| over the lags against numeric derivatives; what is said of gradients and gates."""

import copy

import numpy as np
import pytest

import minidl
from minidl import GRU, LSTM, Batch, Dense, Embedding, Graph, MeanSquaredError, Sequential, SimpleRNN
from minidl.doctor.flow_findings import flow_findings
from minidl.looking import Flow, flows

B, T, D, H = 3, 6, 2, 3
RNG = np.random.default_rng(7)
X = RNG.standard_normal((B, T, D))
STEP = 1e-6
LENGTHS = np.array([6, 2, 4])
MASK = np.arange(T) < LENGTHS[:, None]
KINDS = {"LSTM": LSTM, "peephole": lambda *a, **o: LSTM(*a, peephole=True, **o), "GRU": GRU, "SimpleRNN": SimpleRNN}


def loud(net, seed=1):
    """Weights large enough that the steps differ."""
    net.build((None, D), seed=seed, dtype=np.float64)
    rng = np.random.default_rng(seed)
    for p in net.params.values():
        p.value[...] += 0.5 * rng.standard_normal(p.value.shape)
    return net


def net_of(kind, every_step=True):
    return loud(Sequential([KINDS[kind](H, return_sequences=every_step), Dense(2)]))


def last_loss(y, t):
    """The loss of one row: the mean of the squares over the features of its last step."""
    return float(((y - t) ** 2).mean(axis=-1).sum())


def numeric(net, x, t, end, length):
    """|dL/dh| and |dL/dc| after step `end` - 1 of one row [1, length], by central differences.

    A cell that is moved moves the h of its own step, as far as o lets it.
    """
    body, head = net[0], net[1]
    state = body.forward_with_state(x[:, :end])[1]
    norms = {}
    for name in state._fields:
        slopes = np.zeros((1, H))
        for index in np.ndindex(slopes.shape):
            values = []
            for step in STEP, -STEP:
                moved = {n: a.copy() for n, a in state._asdict().items()}
                moved[name][index] += step
                if name == "c":
                    moved["h"] = state.h / np.tanh(state.c) * np.tanh(moved["c"])
                if end < length:
                    after = body.forward_with_state(x[:, end:length], type(state)(**moved))[1]
                values.append(last_loss(head.forward(moved["h"] if end == length else after.h)[0], t))
            slopes[index] = (values[0] - values[1]) / (2 * STEP)
        norms[name] = float(np.linalg.norm(slopes))
    return norms


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("every_step", [True, False], ids=["sequences", "last"])
def test_the_flow_is_the_numeric_derivative_of_the_last_step(kind, masked, every_step):
    net = net_of(kind, every_step)
    t = RNG.standard_normal((B, T, 2) if every_step else (B, 2))
    mask = MASK if masked else None
    (flow,) = flows(net, MeanSquaredError(), Batch(X, t, mask=mask))
    lengths = LENGTHS if masked else np.full(B, T)
    wanted = {"h": [[] for _ in range(T)], "c": [[] for _ in range(T)]}
    for row, length in enumerate(lengths):
        x, target = X[row : row + 1], t[row, length - 1] if every_step else t[row]
        for lag in range(length):
            for name, norm in numeric(net, x, target, length - lag, length).items():
                wanted[name][lag].append(norm)
    assert flow.kind == type(net[0]).__name__
    np.testing.assert_allclose(flow.dh, [np.mean(norms) for norms in wanted["h"]], rtol=1e-5)
    assert (flow.dc is None) == (flow.kind != "LSTM")
    if kind == "LSTM":  # a peephole moves o as well
        np.testing.assert_allclose(flow.dc, [np.mean(norms) for norms in wanted["c"]], rtol=1e-5)


def test_lags_count_from_the_last_step_of_each_row():
    """A row of 2 steps says nothing of lags above 1, and its padding nothing at all."""
    net, t = net_of("LSTM"), RNG.standard_normal((B, T, 2))
    (whole,) = flows(net, MeanSquaredError(), Batch(X, t, mask=MASK))
    assert len(whole.dh) == 6 and len(whole.gates["f"]) == LENGTHS.sum()
    spoiled = np.where(MASK[..., None], X, 1e6)
    (again,) = flows(net, MeanSquaredError(), Batch(spoiled, t, mask=MASK))
    np.testing.assert_array_equal(again.dh, whole.dh)
    parts = [
        flows(net, MeanSquaredError(), Batch(X[k : k + 1, :n], t[k : k + 1, :n]))[0] for k, n in enumerate(LENGTHS)
    ]
    for lag in range(6):
        rows = [part.dh[lag] for part in parts if lag < len(part.dh)]
        assert whole.dh[lag] == pytest.approx(np.mean(rows))


def test_gates_are_those_of_the_real_steps():
    net = net_of("LSTM")
    (flow,) = flows(net, MeanSquaredError(), Batch(X, np.zeros((B, T, 2)), mask=MASK))
    lstm = net[0]
    z = X[:, 0] @ lstm.params["Wx"].value + lstm.params["b"].value
    wanted = 1 / (1 + np.exp(-z[:, :H]))
    np.testing.assert_allclose(flow.gates["i"][[0, 6, 8]], wanted)  # the first steps of the rows of 6, 2 and 4
    assert sorted(flow.gates) == ["f", "i", "o"]
    assert sorted(flows(net_of("GRU"), MeanSquaredError(), Batch(X, np.zeros((B, T, 2))))[0].gates) == ["r", "z"]
    assert flows(net_of("SimpleRNN"), MeanSquaredError(), Batch(X, np.zeros((B, T, 2))))[0].gates == {}


def test_a_layer_that_runs_backwards():
    """It is the layer that runs forwards over the reversed input; under outputs at every step it is left out."""
    forwards, t = net_of("GRU", every_step=False), RNG.standard_normal((B, 2))
    backwards = Sequential([GRU(H, go_backwards=True), Dense(2)])
    loud(backwards)
    (plain,) = flows(forwards, MeanSquaredError(), Batch(X[:, ::-1], t))
    (flow,) = flows(backwards, MeanSquaredError(), Batch(X, t))
    np.testing.assert_allclose(flow.dh, plain.dh)
    (masked,) = flows(backwards, MeanSquaredError(), Batch(X, t, mask=MASK))
    assert len(masked.dh) == 6 and masked.dh[0] > 0
    both = loud(
        Sequential([GRU(H, go_backwards=True, return_sequences=True), LSTM(H, return_sequences=True), Dense(2)])
    )
    assert [f.path for f in flows(both, MeanSquaredError(), Batch(X, np.zeros((B, T, 2))))] == ["lstm"]


def test_several_layers_in_the_order_of_the_net_and_layers_in_containers():
    inner = Sequential([LSTM(H, return_sequences=True), GRU(H, return_sequences=True)])
    net = loud(Sequential([("first", SimpleRNN(H, return_sequences=True)), ("inner", inner), LSTM(H), Dense(1)]))
    seen = flows(net, MeanSquaredError(), Batch(X, np.zeros((B, 1))))
    assert [(f.path, f.kind) for f in seen] == [
        ("first", "SimpleRNN"), ("inner.lstm", "LSTM"), ("inner.gru", "GRU"), ("lstm", "LSTM"),
    ]  # fmt: skip
    assert [f.title for f in seen][1] == "layer 'inner.lstm' (LSTM)"


def test_a_layer_alone_and_a_net_without_recurrent_layers():
    (flow,) = flows(loud(LSTM(H)), MeanSquaredError(), Batch(X, np.zeros((B, H))))
    assert flow.kind == "LSTM" and len(flow.dh) == T
    dense = loud(Sequential([Dense(2)]))
    assert flows(dense, MeanSquaredError(), Batch(X, np.zeros((B, T, 2)))) == []


def test_a_graph():
    net = Graph(inputs="x")
    net.add("up", LSTM(H, return_sequences=True), "x")
    net.add("down", SimpleRNN(H, return_sequences=True), "up")
    net.add("out", Dense(2), "down")
    loud(net)
    seen = flows(net, MeanSquaredError(), Batch(X, np.zeros((B, T, 2))))
    assert [f.path for f in seen] == ["up", "down"]
    twin = Sequential([("up", net["up"]), ("down", net["down"]), ("out", net["out"])])
    twin.build((None, D), dtype=np.float64)
    for f, g in zip(seen, flows(twin, MeanSquaredError(), Batch(X, np.zeros((B, T, 2)))), strict=True):
        np.testing.assert_allclose(f.dh, g.dh)


def test_it_begins_from_the_state_that_is_given():
    net, batch = net_of("LSTM"), Batch(X, np.zeros((B, T, 2)), start=False)
    state = net.forward_with_state(X)[1]
    (cold,), (warm,) = flows(net, MeanSquaredError(), batch), flows(net, MeanSquaredError(), batch, state)
    assert abs(cold.dh - warm.dh).max() > 1e-6


def test_a_loss_that_is_fused_with_softmax():
    ids = RNG.integers(0, 5, (B, T))
    net = Sequential([Embedding(5, D), LSTM(H, return_sequences=True), Dense(5), minidl.Softmax()])
    net.build((None,), seed=1)
    plain = Sequential([net[k] for k in range(3)])
    plain.build((None,))
    (one,), (two,) = (
        flows(n, loss, Batch(ids, ids))
        for n, loss in ((net, minidl.CrossEntropy()), (plain, minidl.SoftmaxCrossEntropy()))
    )
    np.testing.assert_allclose(one.dh, two.dh, rtol=1e-5)


def test_nothing_given_is_changed():
    net, t = net_of("LSTM"), RNG.standard_normal((B, T, 2))
    for p in net.params.values():
        p.grad[...] = 3.0
    batch, state = Batch(X.copy(), t, mask=MASK.copy()), net.forward_with_state(X)[1]
    before = copy.deepcopy((batch, state, {n: (p.value, p.grad) for n, p in net.params.items()}))
    kinds = [type(net[k]) for k in range(2)], {*vars(net[0])}
    flows(net, MeanSquaredError(), batch, state)
    after = (batch, state, {n: (p.value, p.grad) for n, p in net.params.items()})
    np.testing.assert_equal(after, before)
    assert kinds == ([type(net[k]) for k in range(2)], {*vars(net[0])})


# -- what is said of them -------------------------------------------------------------------------


def flow(dh, dc=None, **gates):
    return Flow("lstm", "LSTM", np.array(dh), None if dc is None else np.array(dc), gates)


def said(*seen):
    return [(f.code, f.severity) for f in flow_findings(list(seen))]


@pytest.mark.parametrize("T", [35, 60, 120, 400])
def test_what_each_step_adds_to_does_not_explode(T):
    """Of a pool over time, dh is a sum over the steps behind; of saturated cells, dc of the last step is next to 0."""
    assert said(flow(np.arange(1.0, T + 1))) == []
    assert said(flow(np.ones(T), np.r_[1e-8, np.full(T - 1, 0.5)])) == []
    bumps = 1 + 0.3 * np.sin(np.arange(T))
    assert said(flow(np.arange(1.0, T + 1) * bumps)) == []
    assert said(flow(1.12 ** np.arange(T))) == [("T601", "warning" if T < 61 else "error")]


def test_a_pool_over_a_long_memory():
    net = Sequential([LSTM(16, forget_bias=5.0, return_sequences=True), minidl.PoolTime(), Dense(1)])
    net.build((None, 2), seed=0)
    x = np.random.default_rng(0).standard_normal((8, 120, 2))
    (seen,) = flows(net, MeanSquaredError(), Batch(x, x[:, 0, :1]))
    assert seen.dh.max() > 30 * seen.dh[0] and flow_findings([seen]) == []


def test_what_grows_explodes():
    assert said(flow(1.3 ** np.arange(10))) == []  # 10 times
    assert said(flow(2.0 ** np.arange(6))) == [("T601", "warning")]
    assert said(flow(2.0 ** np.arange(11))) == [("T601", "error")]
    assert said(flow([1.0, 1.0, 1.0], [1.0, 50.0, 1.0])) == [("T601", "warning")]
    assert said(flow(np.ones(11), 2.0 ** np.arange(11))) == [("T601", "error")]
    (of_cells,) = flow_findings([flow(np.ones(11), 2.0 ** np.arange(11))])
    assert "1 at the last step and |dL/dc| 1e+03 10 steps before it" in of_cells.evidence
    assert said(flow([0.0, 1.0]), flow([1.0]), flow([]), flow([1.0, np.inf]), flow([1.0, np.nan])) == []
    (finding,) = flow_findings([flow(2.0 ** np.arange(11))])
    assert finding.where == "layer 'lstm' (LSTM), 10 steps back from the last one"
    assert "1 at the last step and 1e+03 10 steps before it" in finding.evidence
    assert "1.02e+03 times as large, 2 times a step" in finding.evidence


def test_what_fades_at_once_vanishes():
    f, i = np.full((4, 3), 0.25), np.full((4, 3), 0.5)
    (finding,) = flow_findings([flow(0.1 ** np.arange(25), f=f, i=i)])
    assert finding.code == "T602" and "below 1% of its size 3 steps back, of 24" in finding.evidence
    assert "mean of the gates: f 0.25, i 0.50" in finding.evidence
    assert said(flow(0.1 ** np.arange(19))) == []  # too short to tell
    assert said(flow(0.5 ** np.arange(25))) == []  # heard for 7 steps
    assert said(flow(np.r_[0.1 ** np.arange(5), np.zeros(19), 0.5])) == []  # a way back around the fade


def test_what_is_heard_for_four_steps_vanishes_and_for_five_does_not():
    """`SHORT` steps are within what counts as gone."""
    four, five = np.zeros(25), np.zeros(25)
    four[:4], five[:5] = 1.0, 1.0
    assert [code for code, _ in said(flow(four))] == ["T602"] and said(flow(five)) == []


@pytest.mark.parametrize(("value", "letter", "wanted"), [
    (0.001, "i", True), (0.999, "i", True), (0.001, "f", True), (0.999, "f", False), (0.001, "o", True),
    (0.999, "o", True), (0.001, "z", True), (0.999, "z", False), (0.001, "r", True), (0.5, "i", False),
    (0.011, "i", False), (0.989, "o", False),
])  # fmt: skip
def test_gates_without_a_slope(value, letter, wanted):
    seen = said(flow([1.0, 1.0], **{letter: np.full((20, 4), value)}))
    assert [code for code, _ in seen] == (["T603"] if wanted else [])


def test_most_units_in_most_steps_make_a_saturated_gate():
    half, most = np.full((20, 4), 0.5), np.full((20, 4), 0.5)
    half[:, :2], most[:, :3] = 0.0, 0.0
    assert said(flow([1.0, 1.0], i=half)) == []
    (finding,) = flow_findings([flow([1.0, 1.0], i=most, o=half)])
    assert finding.code == "T603" and "i: 3 of 4 units, 3 of them always shut, 0 always open" in finding.evidence
    assert finding.where.endswith("gate i")
    most[:3] = 0.5  # in 17 of 20 steps
    assert said(flow([1.0, 1.0], i=most)) == []


def test_a_net_whose_gradient_explodes_and_one_whose_fades():
    net = Sequential([SimpleRNN(H), Dense(1)])
    net.build((None, D), seed=0)
    batch = Batch(0.01 * RNG.standard_normal((4, 24, D)), np.ones((4, 1)))
    wh = net.params["simple_rnn.Wh"].value
    wh[...] = 1.5 * np.eye(H)
    net.params["simple_rnn.Wx"].value[...] *= 1e-8  # stays in the slope of tanh
    (finding,) = flow_findings(flows(net, MeanSquaredError(), batch))
    assert finding.code == "T601" and finding.severity == "error" and "1.5 times a step" in finding.evidence
    assert "23 steps before" in finding.evidence
    wh[...] = 0.01 * np.eye(H)
    assert said(*flows(net, MeanSquaredError(), batch))[0][0] == "T602"
    wh[...] = np.eye(H)
    assert said(*flows(net, MeanSquaredError(), batch)) == []
