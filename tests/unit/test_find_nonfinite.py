"""`find_nonfinite`: what is not finite is planted in one place, and has to be found in that place."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.checking import find_nonfinite

B, T, D, H = 3, 6, 4, 5
MASK = np.arange(T) < np.array([[T], [4], [3]])
HUGE = 3e38  # almost the largest float32


def sequential(layer: Any = None) -> Any:
    return minidl.Sequential([layer or minidl.LSTM(H), minidl.Dense(2)])


def graph(layer: Any = None) -> Any:
    net = minidl.Graph()
    net.add("read", layer or minidl.LSTM(H), "x").add("scale", minidl.Dense(H), "read")
    return net.add("sum", minidl.Add(), "read", "scale").add("out", minidl.Dense(2), "sum")


def nested(layer: Any = None) -> Any:
    inner = minidl.Sequential([("first", minidl.GRU(D, return_sequences=True)), ("cell", layer or minidl.LSTM(H))])
    return minidl.Sequential([("encoder", inner), ("out", minidl.Dense(2))])


def both(layer: Any = None) -> Any:
    return minidl.Sequential([("both", minidl.Bidirectional(layer or minidl.LSTM(H))), ("out", minidl.Dense(2))])


def learned(layer: Any = None) -> Any:
    return minidl.Sequential([("begun", minidl.LearnedState(layer or minidl.LSTM(H))), ("out", minidl.Dense(2))])


NETS = {
    "lstm": (sequential, "lstm"),
    "read": (graph, "read"),
    "encoder.cell": (nested, "encoder.cell"),
    "both.forward": (both, "both.forward"),
    "both.backward": (both, "both.backward"),
    "begun.layer": (learned, "begun.layer"),
}
LOSS = minidl.MeanSquaredError()


def built(net: Any, dtype: Any = np.float32) -> Any:
    net.build((None, D), 3, dtype)
    return net


def batch_of(mask: Any = None, **more: Any) -> minidl.Batch:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((B, T, D)).astype(np.float32)
    return minidl.Batch(x, rng.standard_normal((B, 2)).astype(np.float32), mask=mask, **more)


def values(net: Any) -> list[Any]:
    return [a.copy() for p in net.params.values() for a in (p.value, p.grad)]


def told(finding: Any) -> str:
    return f"{finding.code} {finding.where}"


# -- healthy --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("make", [sequential, graph, nested, both, learned])
def test_nothing_is_found_in_a_sound_step(make: Any, mask: Any) -> None:
    net, batch = built(make()), batch_of(mask)
    if mask is not None:
        batch.x[~mask] = np.nan  # padding counts for nothing
    before = values(net)
    optimizer = minidl.Adam()
    optimizer.step(net.params)
    before = values(net)
    rng = np.random.default_rng(1)
    assert find_nonfinite(net, LOSS, batch, optimizer=optimizer, rng=rng) is None
    assert all((a == b).all() for a, b in zip(before, values(net), strict=True))
    assert optimizer.steps == 1 and rng.random() == np.random.default_rng(1).random()


def test_infinite_scores_on_purpose_are_no_finding() -> None:
    class Exclude(minidl.Layer):
        def forward(self, x, *, rng=None):
            y = x.copy()
            y[..., 0] = -np.inf
            return y, None

        def backward(self, dy, cache):
            return np.concatenate([0 * dy[..., :1], dy[..., 1:]], axis=-1)

    net = minidl.Sequential([minidl.Dense(3), Exclude(), minidl.Softmax()])
    net.build((D,))
    batch = minidl.Batch(np.ones((2, D), np.float32), np.array([1, 2]))
    assert find_nonfinite(net, minidl.CrossEntropy(), batch) is None


# -- forward --------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("place", NETS)
@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_one_weight(place: str, bad: float, shown: str, masked: bool) -> None:
    make, path = NETS[place]
    net, batch = built(make()), batch_of(MASK if masked else None)
    net.params[f"{path}.Wx"].value[2, H + 3] = bad  # gate f, unit 3
    finding = find_nonfinite(net, LOSS, batch)
    assert f"{path}.Wx[2, {H + 3}] is {shown} (1 of 80 entries" in finding.evidence
    if np.isnan(bad):  # an infinite weight opens or shuts the gate, and spoils the way back
        assert told(finding) == f"N701 parameter '{path}.Wx', entry [2, {H + 3}]"
        step = T - 1 if place == "both.backward" else 0
        assert finding.evidence.endswith(f"layer {path!r} (LSTM), gate f, row 0, step {step}, unit 3 first")
    else:
        assert finding.where == f"parameter '{path}.Wx', entry [2, {H + 3}]"


@pytest.mark.parametrize("place", NETS)
def test_one_input_row(place: str) -> None:
    make, path = NETS[place]
    net, batch = built(make()), batch_of(MASK)
    batch.x[1, 2, 3] = np.nan
    finding = find_nonfinite(net, LOSS, batch)
    assert told(finding) == "N701 the data, x, row 1, step 2, feature 3"
    first, gate = ("encoder.first", "gate r") if place == "encoder.cell" else (path, "gate i")
    if place == "both.backward":
        first = "both.forward"  # it runs before
    assert f"layer {first!r}" in finding.evidence and f"{gate}, row 1, step 2, unit 0 first" in finding.evidence


def test_a_number_that_float32_cannot_hold() -> None:
    net, batch = built(sequential()), batch_of()
    x = batch.x.astype(np.float64)
    x[2, 4, 0] = 1e300
    finding = find_nonfinite(net, LOSS, batch._replace(x=x))
    assert finding.code == "N701" and finding.where == "the data, x, row 2, step 4, feature 0"
    assert "x[2, 4, 0] is inf" in finding.evidence and "(1e+300 in the data, too large for float32)" in finding.evidence


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("make", "gates"), [(minidl.LSTM, "ifog"), (minidl.GRU, "rzn")], ids=["LSTM", "GRU"])
def test_one_gate_at_one_step(make: Any, gates: str, backwards: bool, masked: bool) -> None:
    """Huge weights meet a huge input at a single step of a single row, and from h comes -inf: inf - inf in one gate."""
    for k, gate in enumerate(gates):
        net, batch = built(sequential(make(H, go_backwards=backwards))), batch_of(MASK if masked else None)
        layer, column = net[0], k * H + 4
        batch.x[:, :, 0] = 0
        batch.x[2, 1, 0] = HUGE
        layer.Wx.value[...] = layer.Wh.value[...] = 0
        layer.b.value[...] = 9  # so that h is large
        if make is minidl.GRU:
            layer.b.value[H : 2 * H] = -9
        layer.Wx.value[0, column], layer.Wh.value[:, column] = 1e5, -HUGE
        finding = find_nonfinite(net, LOSS, batch)
        kind = "candidate" if gate in "gn" else "gate"
        name = next(iter(net.layers))
        assert told(finding) == f"N701 layer {name!r} ({make.__name__}), {kind} {gate}, row 2, step 1, unit 4"
        assert f"{gate}[2, 1, 4] is nan (1 of 15 entries of {gate} at that step)" in finding.evidence
        assert "x there within ±3e+38" in finding.evidence and "the largest float32" in finding.cause


def test_the_cell_itself() -> None:
    """Carried beyond the largest float32: a state of 3e38, and f and i * g that add to it."""
    net = built(sequential(minidl.SimpleRNN(H, activation=minidl.ReLU())))
    net[0].Wh.value[...] = 2 * np.eye(H)
    state = {"simple_rnn": (np.zeros((B, H), np.float32),)}
    state["simple_rnn"][0][1, 2] = 1e38
    finding = find_nonfinite(net, LOSS, batch_of(start=False), state)
    assert told(finding) == "N701 layer 'simple_rnn' (SimpleRNN), output h, row 1, step 1, unit 2"


def test_a_state_that_came_in() -> None:
    net, batch = built(nested()), batch_of(start=np.array([True, False, False]))
    state = net.initial_state(B)
    state["encoder"]["cell"].c[0, 1] = np.nan  # begins anew
    assert find_nonfinite(net, LOSS, batch, state) is None
    state["encoder"]["cell"].c[2, 1] = np.nan
    finding = find_nonfinite(net, LOSS, batch, state)
    assert told(finding) == "N701 the state before the batch, encoder.cell.c, row 2, unit 1"
    assert "(LSTM), cell c, row 2, step 0, unit 1 first" in finding.evidence


def test_a_learned_state() -> None:
    net = built(learned())
    net.params["begun.c0"].value[3] = np.nan
    finding = find_nonfinite(net, LOSS, batch_of())
    assert told(finding) == "N701 parameter 'begun.c0', entry [3]"
    assert "layer 'begun.layer' (LSTM), cell c, row 0, step 0, unit 3 first" in finding.evidence


@pytest.mark.parametrize(("bad", "code"), [(np.nan, "N701"), (HUGE, "N701")])
def test_a_layer_without_steps(bad: float, code: str) -> None:
    net = built(graph())
    net.params["scale.W"].value[1, 2] = bad
    net.params["scale.b"].value[2] = 0 if np.isnan(bad) else HUGE
    net["read"].b.value[...] = 9  # so that the output is near 1
    net["read"].Wx.value[...] = 0
    finding = find_nonfinite(net, LOSS, batch_of())
    where = "parameter 'scale.W', entry [1, 2]" if np.isnan(bad) else "layer 'scale' (Dense), output, row 0, unit 2"
    assert told(finding) == f"{code} {where}"


def test_a_lone_layer_and_the_same_layer_twice() -> None:
    lstm = built(minidl.LSTM(2, return_sequences=True))
    batch = batch_of(MASK)._replace(t=np.zeros((B, T, 2)))
    lstm.params["Wh"].value[1, 4] = np.nan
    finding = find_nonfinite(lstm, LOSS, batch)
    assert (
        told(finding) == "N701 parameter 'Wh', entry [1, 4]" and "the LSTM, gate o, row 0, step 0" in finding.evidence
    )
    twice = minidl.Dense(D)
    net = built(minidl.Sequential([twice, minidl.Dense(D), twice, minidl.LastStep()]))
    twice.W.value[...] = 2 * np.eye(D)
    net["dense_2"].b.value[1] = HUGE
    finding = find_nonfinite(net, LOSS, batch_of()._replace(t=np.zeros((B, D))))
    assert told(finding) == "N701 layer 'dense_3' (Dense), output, row 0, step 0, unit 1"


def test_dropout_is_that_of_the_step() -> None:
    net = built(minidl.Sequential([minidl.Dropout(0.5), minidl.LSTM(H, recurrent_dropout=0.5), minidl.Dense(2)]))
    batch = batch_of()
    batch.x[...] = HUGE  # 2 * HUGE is inf where it is not dropped
    kept = np.random.default_rng(4)
    with np.errstate(over="ignore"):
        y = net["dropout"].forward(batch.x, rng=kept)[0]
    row, step, unit = np.argwhere(np.isinf(y))[0]
    finding = find_nonfinite(net, LOSS, batch, rng=np.random.default_rng(4))
    assert told(finding) == f"N701 layer 'dropout' (Dropout), output, row {row}, step {step}, unit {unit}"


def test_a_layer_of_ones_own_without_trace() -> None:
    class Log(minidl.Layer):
        def forward(self, x, *, rng=None):
            return np.log(abs(x)), x

        def backward(self, dy, x):
            return dy / x

    net, batch = built(minidl.Sequential([("log", Log()), minidl.LSTM(H), minidl.Dense(2)])), batch_of(MASK)
    assert find_nonfinite(net, LOSS, batch_of()) is None
    batch.x[0, 3, 1] = 0
    finding = find_nonfinite(net, LOSS, batch)
    assert told(finding) == "N701 layer 'log' (Log), output, row 0, step 3, unit 1"
    assert "a logarithm of 0" in finding.cause


def test_a_loss_that_refuses_is_no_obstacle() -> None:
    net = minidl.Sequential([minidl.Dense(2)])
    net.build((D,))
    net["dense"].b.value[1] = np.inf
    batch = minidl.Batch(np.ones((3, D), np.float32), np.array([0, 1, 1]))
    assert told(find_nonfinite(net, minidl.CrossEntropy(), batch)) == "N701 parameter 'dense.b', entry [1]"


# -- the loss and the backward pass ---------------------------------------------------------------


def test_the_loss_itself() -> None:
    net, batch = built(sequential(minidl.LSTM(H, return_sequences=True))), batch_of(MASK)
    t = np.zeros((B, T, 2), np.float32)
    t[1, 5, 0] = np.nan  # padding
    assert find_nonfinite(net, LOSS, batch._replace(t=t)) is None
    t[1, 3, 1] = np.nan
    finding = find_nonfinite(net, LOSS, batch._replace(t=t))
    assert told(finding) == "N702 MeanSquaredError, row 1, step 3" and "the target there is nan" in finding.evidence


def test_a_loss_of_ones_own() -> None:
    class Ratio(minidl.Loss):
        def positions(self, y, t):
            return (y / t).mean(axis=-1), 1 / t / y.shape[-1]

    t = np.ones((B, 2), np.float32)
    t[2, 0] = 0
    finding = find_nonfinite(built(sequential()), Ratio(), batch_of()._replace(t=t))
    assert told(finding) == "N702 Ratio, row 2" and finding.evidence.startswith("the loss is ")


@pytest.mark.parametrize("place", [name for name in NETS if name != "encoder.cell"])
def test_a_gradient_that_overflows_on_its_way_back(place: str) -> None:
    """Wh is so large that h's gradient is beyond float32 two steps from the end, while h itself stays within ±1."""
    make, path = NETS[place]
    net, batch = built(make(minidl.SimpleRNN(H))), batch_of(MASK)
    path = "simple_rnn" if path == "lstm" else path
    layer = net[path]
    for p in layer.params.values():
        p.value[...] = 0
    layer.Wh.value[2, 2] = 1e25
    finding = find_nonfinite(net, LOSS, batch)
    step = 2 if place == "both.backward" else T - 3  # row 0 is the longest, and begins at T - 1
    assert told(finding) == f"N702 layer {path!r} (SimpleRNN), dh, row 0, step {step}, unit 2"
    assert f"dh[0, {step}, 2] is" in finding.evidence and "Wh within ±1e+25" in finding.evidence
    assert "grow from step to step" in finding.cause


def test_a_gate_on_the_way_back() -> None:
    class Broken(minidl.Layer):
        """A derivative that divides by 0 at one place."""

        def forward(self, x, *, rng=None):
            return np.sqrt(abs(x)), x

        def backward(self, dy, x):
            return dy * np.sign(x) / (2 * np.sqrt(abs(x)))

    net, batch = built(minidl.Sequential([("root", Broken()), minidl.LSTM(H), minidl.Dense(2)])), batch_of()
    batch.x[2, 3, 1] = 0
    assert find_nonfinite(net, LOSS, batch) is None  # nothing below it is trained
    net = built(minidl.Sequential([minidl.Dense(D), ("root", Broken()), minidl.LSTM(H), minidl.Dense(2)]))
    net["dense"].W.value[...] = np.eye(D)
    finding = find_nonfinite(net, LOSS, batch)
    assert told(finding) == "N702 layer 'root' (Broken), dx, row 2, step 3, unit 1"
    assert "0/0" in finding.cause


def test_a_gradient_of_a_parameter() -> None:
    net = minidl.Sequential([minidl.Dense(2)])
    net.build((D,))
    net["dense"].W.value[...] = 0
    batch = minidl.Batch(np.full((64, D), 1e38, np.float32), np.full((64, 2), 1e3, np.float32))
    finding = find_nonfinite(net, LOSS, batch)
    assert told(finding) == "N702 layer 'dense' (Dense), gradient of 'dense.W', entry [0, 0]"


def test_the_sum_of_several_ways() -> None:
    net = minidl.Graph()
    net.add("first", minidl.Dense(1), "x").add("a", minidl.Dense(1), "first").add("b", minidl.Dense(1), "first")
    net.add("sum", minidl.Add(), "a", "b")
    net.build((1,))
    net["first"].W.value[...] = 0
    net["a"].W.value[...] = net["b"].W.value[...] = HUGE
    batch = minidl.Batch(np.ones((2, 1), np.float32), np.full((2, 1), -1, np.float32))  # dy is 1 in each row
    finding = find_nonfinite(net, LOSS, batch)
    assert told(finding) == "N702 layer 'first' (Dense), dy, row 0, unit 0"


def test_padding_that_spoils_a_gradient() -> None:
    """A number that is not finite in the padding alone does no harm forward; a Dense makes it part of its gradient."""

    class Invert(minidl.Layer):
        def forward(self, x, *, rng=None):
            with np.errstate(divide="ignore"):
                return 1 / x, x

        def backward(self, dy, x):
            return np.where(x == 0, 0, -dy / np.where(x == 0, 1, x * x))

    rnn = minidl.SimpleRNN(2)
    net = built(minidl.Sequential([Invert(), minidl.Dense(3), rnn]))
    finding = find_nonfinite(net, LOSS, batch_of(MASK))
    assert told(finding) == "N702 layer 'dense' (Dense), gradient of 'dense.W', entry [0, 0]"
    assert "in the padding, x[1, 4, 0] is " in finding.evidence
    assert find_nonfinite(net, LOSS, batch_of()) is None


def test_several_inputs_and_a_state_from_another_node() -> None:
    net = minidl.Graph(inputs=("question", "answer"))
    net.add("asked", minidl.LSTM(H, return_sequences=True), "question")
    net.add("said", minidl.LSTM(H, return_sequences=True), "answer", state="asked")
    net.add("seen", minidl.Attention(), "said", "asked").add("out", minidl.Dense(2), "seen")
    net.build(((None, D), (None, 3)))
    rng = np.random.default_rng(0)
    x = tuple(rng.standard_normal(shape).astype(np.float32) for shape in ((B, T, D), (B, 4, 3)))
    masks = MASK, np.arange(4) < np.array([[4], [3], [2]])
    for part, mask in zip(x, masks, strict=True):
        part[~mask] = np.nan
    batch = minidl.Batch(x, np.zeros((B, 4, 2), np.float32), mask=masks)
    assert find_nonfinite(net, LOSS, batch) is None
    x[1][1, 2, 0] = np.nan
    finding = find_nonfinite(net, LOSS, batch)
    assert told(finding) == "N701 the data, x[1], row 1, step 2, feature 0"
    assert "layer 'said' (LSTM), gate i, row 1, step 2, unit 0 first" in finding.evidence
    x[1][...] = 0
    net.params["said.Wh"].value[1, H + 2] = np.nan
    assert told(find_nonfinite(net, LOSS, batch)) == f"N701 parameter 'said.Wh', entry [1, {H + 2}]"


# -- the update -----------------------------------------------------------------------------------


def test_one_slot() -> None:
    net, optimizer = built(nested()), minidl.Adam()
    optimizer.step(net.params)
    optimizer.state["encoder.cell.Wh"]["v"][3, 7] = np.inf
    finding = find_nonfinite(net, LOSS, batch_of(), optimizer=optimizer)
    assert told(finding) == "N703 Adam, slot 'v' of parameter 'encoder.cell.Wh', entry [3, 7]"
    assert finding.title.endswith("slot 'v' of Adam is inf") and find_nonfinite(net, LOSS, batch_of()) is None


def test_a_parameter_that_the_batch_does_not_use() -> None:
    net = minidl.Sequential([minidl.Embedding(9, 3), minidl.LSTM(2)])
    net.build((None,))
    net["embedding"].E.value[8, 1] = np.nan
    batch = minidl.Batch(np.array([[1, 2, 3]]), np.zeros((1, 2)))
    assert told(find_nonfinite(net, LOSS, batch)) == "N703 parameter 'embedding.E', entry [8, 1]"
    finding = find_nonfinite(net, LOSS, batch._replace(x=np.array([[1, 8, 3]])))
    assert told(finding) == "N701 parameter 'embedding.E', entry [8, 1]"
    assert finding.evidence.endswith("it spoils layer 'embedding' (Embedding), output, row 0, step 1, unit 1 first")


def test_a_step_that_would_spoil_a_parameter() -> None:
    net, optimizer = built(graph()), minidl.SGD(1.0)
    optimizer.lr_scale = 1e39
    batch = batch_of()
    before = values(net)
    finding = find_nonfinite(net, LOSS, batch, optimizer=optimizer)
    assert finding.code == "N703" and re.fullmatch(r"parameter '\w+\.\w+', entry \[.*\]", finding.where)
    assert "becomes" in finding.evidence and "rate 1e+39" in finding.evidence
    assert all((a == b).all() for a, b in zip(before, values(net), strict=True)) and optimizer.steps == 0


def test_a_step_that_would_spoil_a_slot() -> None:
    net = minidl.Sequential([minidl.Dense(2)])
    net.build((D,))
    batch = minidl.Batch(np.full((2, D), 1e15, np.float32), np.full((2, 2), 1e15, np.float32))
    net["dense"].W.value[...] = 0
    optimizer = minidl.Adam()
    finding = find_nonfinite(net, LOSS, batch, optimizer=optimizer)
    assert told(finding) == "N703 Adam, slot 'v' of parameter 'dense.W', entry [0, 0]"
    assert "becomes inf" in finding.evidence and "from a gradient of -1e+30" in finding.evidence and not optimizer.state


# -- arguments ------------------------------------------------------------------------------------


def test_bad_arguments() -> None:
    net, batch = built(sequential()), batch_of()
    with pytest.raises(minidl.ArgumentError, match="Expected as net is a Layer"):
        find_nonfinite(None, LOSS, batch)
    with pytest.raises(minidl.ArgumentError, match="Expected as batch is a Batch"):
        find_nonfinite(net, LOSS, (batch.x, batch.t))
    with pytest.raises(minidl.ArgumentError, match="find_nonfinite expects optimizer to be a Optimizer or None"):
        find_nonfinite(net, LOSS, batch, optimizer="adam")
    with pytest.raises(minidl.ArgumentError, match="find_nonfinite expects rng to be a Generator or None, got 3"):
        find_nonfinite(net, LOSS, batch, rng=3)
    with pytest.raises(minidl.ShapeError, match="LSTM expects x of shape"):
        find_nonfinite(net, LOSS, batch._replace(x=batch.x[..., :2]))
    with pytest.raises(minidl.NotBuiltError):
        find_nonfinite(sequential(), LOSS, batch)
