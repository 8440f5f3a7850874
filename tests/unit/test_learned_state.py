"""A learned initial state: where it is begun from, what its gradient is, and that it goes wherever a layer goes."""

import numpy as np
import pytest

import minidl
from minidl import (
    LSTM,
    SGD,
    ArgumentError,
    Batch,
    Conv1D,
    CoupledLSTM,
    Dense,
    Embedding,
    LearnedState,
    LSTMState,
    MeanSquaredError,
    MinidlError,
    Sequential,
    ShapeError,
    Stateful,
    Trainer,
    UnknownNameError,
)
from minidl.checking import check_layer

B, T, D, H = 4, 5, 3, 2


def built(layer=None):
    learned = LearnedState(layer or LSTM(H, return_sequences=True))
    learned.build((None, D), dtype=np.float64)
    rng = np.random.default_rng(0)
    for p in learned.params.values():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    return learned


def some():
    rng = np.random.default_rng(1)
    return rng.standard_normal((B, T, D)), tuple(rng.standard_normal((B, H)) for _ in range(2))


def own(learned):
    return tuple(learned.params[name].value for name in ("h0", "c0"))


def test_it_starts_at_zero_and_is_the_layer_then():
    lstm = LSTM(H)
    learned = LearnedState(lstm)
    assert learned.build((None, D), dtype=np.float64) == (H,)
    assert list(learned.params) == ["h0", "c0", "layer.Wx", "layer.Wh", "layer.b"]
    assert not learned.params["h0"].value.any() and learned.params["c0"].value.shape == (H,)
    x, _ = some()
    assert (learned(x) == lstm(x)).all()
    assert learned.params["layer.Wx"] is lstm.Wx


def test_rows_that_begin_anew_begin_from_it():
    learned = built()
    x, state = some()
    first = tuple(np.tile(a, (B, 1)) for a in own(learned))
    wanted = learned.layer.forward_with_state(x, first)
    for start in None, True, [False] * B:
        y, after, _ = learned.forward_with_state(x, start=start)
        assert (y == wanted[0]).all() and isinstance(after, LSTMState)
        assert all((a == b).all() for a, b in zip(after, wanted[1], strict=True))
    start = np.array([True, False, True, False])
    y, *_ = learned.forward_with_state(x, state, start=start)
    carried = learned.layer.forward_with_state(x, state)[0]
    np.testing.assert_array_equal(y, np.where(start[:, None, None], wanted[0], carried))
    assert (learned.forward_with_state(x, state)[0] == carried).all()


@pytest.mark.parametrize("start", [None, False, True, [True, False, True, False]])
def test_its_gradient_is_the_sum_over_rows_that_began_from_it(start):
    learned = built()
    x, state = some()
    rows = np.broadcast_to(np.asarray(False if start is None else start), B)[:, None]
    begun = tuple(np.where(rows, a, b) for a, b in zip(own(learned), state, strict=True))
    y, _, cache = learned.layer.forward_with_state(x, begun)
    dx, wanted = learned.layer.backward_with_state(y, state, cache)
    learned.zero_grads()
    y, _, cache = learned.forward_with_state(x, state, start=start)
    for times in 1, 2:  # gradients add up
        dx_, dstate = learned.backward_with_state(y, state, cache)
        assert (dx == dx_).all()
        for name, d, came in zip(("h0", "c0"), wanted, dstate, strict=True):
            np.testing.assert_allclose(learned.params[name].grad, times * np.where(rows, d, 0).sum(0), atol=1e-14)
            np.testing.assert_array_equal(came, np.where(rows, 0, d))


def test_without_a_state_nothing_flows_out():
    learned = built()
    y, _, cache = learned.forward_with_state(some()[0])
    _, dstate = learned.backward_with_state(y, None, cache)
    assert isinstance(dstate, LSTMState) and not any(d.any() for d in dstate)
    assert all(learned.params[name].grad.all() for name in ("h0", "c0"))


def test_what_it_says_is_what_the_layer_says():
    mask = np.ones((2, 3), bool)
    for sequences in False, True:
        for backwards in False, True:
            lstm = LSTM(H, return_sequences=sequences, go_backwards=backwards)
            learned = LearnedState(lstm)
            assert (learned.return_sequences, learned.go_backwards) == (sequences, backwards)
            assert learned.streams == lstm.streams and (learned.hand_on(mask) is mask) == sequences


def test_training_changes_it_unless_it_is_frozen():
    x, _ = some()
    net = Sequential([LearnedState(CoupledLSTM(H)), Dense(1)])
    net.build((None, D))
    batches = [Batch(x, np.ones((B, 1)), start=True)]
    Trainer(net, MeanSquaredError(), SGD(0.1), quiet=True).fit(batches, epochs=3)
    first = net.params["learned_state.h0"].value.copy()
    assert first.any()
    net["learned_state"].freeze()
    before = {name: p.value.copy() for name, p in net.params.items()}
    Trainer(net, MeanSquaredError(), SGD(0.1), quiet=True).fit(batches, epochs=3)
    changed = {name for name, p in net.params.items() if (p.value != before[name]).any()}
    assert changed == {"dense.W", "dense.b"}


def test_the_same_instance_twice_and_the_same_layer_in_two():
    learned = LearnedState(LSTM(D, return_sequences=True))
    net = Sequential([learned, learned, LearnedState(learned.layer), learned.layer])
    net.build((None, D), dtype=np.float64)
    names = [f"learned_state.{name}" for name in ("h0", "c0", "layer.Wx", "layer.Wh", "layer.b")]
    assert list(net.params) == [*names, "learned_state_3.h0", "learned_state_3.c0"]
    twin = net.copy()
    assert twin[0] is twin[1] and twin[2].layer is twin[0].layer is twin[3]
    assert twin[0].sublayers["layer"] is twin[0].layer
    assert minidl.checking.check_layer(net, (None, D)).ok


def test_it_saves_and_loads(tmp_path):
    shared = LearnedState(LSTM(D, return_sequences=True))
    net = Sequential(
        [shared, ("more", LearnedState(LSTM(3, peephole=True, return_sequences=True))), ("bare", shared.layer)]
    )
    net.build((None, D), dtype=np.float64)
    net["more"].params["c0"].value[...] = 0.3
    net["more"].params["h0"].trainable = False
    net.save(tmp_path / "net.npz")
    loaded = minidl.load(tmp_path / "net.npz")
    x, _ = some()
    assert loaded["bare"] is loaded[0].layer
    assert (loaded(x) == net(x)).all() and repr(loaded) == repr(net)
    assert [p.trainable for p in loaded.params.values()] == [p.trainable for p in net.params.values()]
    assert loaded.params["more.c0"].value.tolist() == [0.3] * 3


def test_generation_begins_from_it():
    net = Sequential([Embedding(7, 4), LearnedState(LSTM(5, return_sequences=True)), Dense(7)])
    net.build((None,), seed=3, dtype=np.float64)
    rng = np.random.default_rng(0)
    for p in net.params.values():
        p.value[...] = rng.normal(0, 1, p.value.shape)
    ids = [1]
    for symbol in minidl.generate(net, [1], length=12, temperature=0):
        assert symbol == int(net(np.array([ids]))[0, -1].argmax())
        ids.append(symbol)


def test_the_summary_shows_both(capsys):
    net = Sequential([LearnedState(LSTM(4)), Dense(2)])
    net.build((None, 3))
    net.summary()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["learned_state", "LearnedState", "[B,", "4]", "8"]
    assert lines[2] == ["learned_state.layer", "LSTM", "[B,", "4]", "128"]


def test_a_net_that_could_not_be_built_is_as_it_was():
    net = Sequential([LearnedState(LSTM(4)), LSTM(2)])
    with pytest.raises(ShapeError, match="return_sequences"):
        net.build((None, 3))
    assert net[0].in_shape is None and net[0].layer.in_shape is None and not net.params
    assert Sequential([net[0]]).build((None, 7)) == (4,)


class Leaky(LearnedState):
    """The gradient of what came in is forgotten."""

    def backward_with_state(self, dy, dstate, cache):
        dx, d = super().backward_with_state(dy, dstate, cache)
        return dx, LSTMState(*(0 * a for a in d))


class Deaf(LearnedState):
    """The parameters of the state get no gradient."""

    def backward_with_state(self, dy, dstate, cache):
        grads = [self.params[name].grad.copy() for name in ("h0", "c0")]
        result = super().backward_with_state(dy, dstate, cache)
        for name, grad in zip(("h0", "c0"), grads, strict=True):
            self.params[name].grad[...] = grad
        return result


STATES = ["h0 (coming in)", "c0 (coming in)"]


@pytest.mark.parametrize(("make", "wrong"), [(LearnedState, []), (Leaky, STATES), (Deaf, ["h0", "c0"])])
@pytest.mark.parametrize("nested", [False, True])
def test_gradcheck_tells_the_parameter_from_the_state(make, wrong, nested):
    layer = make(LSTM(H))
    layer = Sequential([("one", layer)]) if nested else layer
    layer.build((None, D))
    report = minidl.checking.gradcheck(layer, start=[True, False, False])
    place = "one." if nested else ""
    assert [row.name for row in report.rows if not row.ok] == [place + name for name in wrong]
    assert {place + name for name in ["h0", "c0", *STATES]} <= {row.name for row in report.rows}


class PlainState(Stateful):
    """A layer of one's own whose state is a plain tuple, with an array of three axes."""

    def setup(self, in_shape, rng, dtype):
        self.a = self.add_param("a", np.full(in_shape[1], 0.5, dtype))
        return in_shape

    def initial_state(self, batch):
        return (np.zeros((batch, 1, len(self.a.value)), self.a.value.dtype),)

    def forward_with_state(self, x, state=None, *, start=None, mask=None, rng=None, keep_cache=True):
        (s,) = self.begin(x, state, start)
        y = np.concatenate([s, x[:, :-1]], axis=1) * self.a.value
        return y, (x[:, -1:].copy(),), (x, s, start)

    def backward_with_state(self, dy, dstate, cache):
        x, s, start = cache
        self.a.grad += (np.concatenate([s, x[:, :-1]], axis=1) * dy).sum((0, 1))
        d = dy * self.a.value
        last = np.zeros_like(x[:, :1]) if dstate is None else dstate[0]
        return np.concatenate([d[:, 1:], last], axis=1), minidl.layers.recurrent.stop_at_start((d[:, :1],), start)


def test_a_layer_of_ones_own_with_a_plain_tuple():
    learned = LearnedState(PlainState())
    learned.build((None, D))
    assert learned.params["state0"].value.shape == (1, D)
    checks = minidl.checking.check_layer(learned, (None, D)).messages
    # it ignores the mask; all else holds
    assert {name for name, message in checks.items() if message} == {"check_padding"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LearnedState(LSTM), "LearnedState expects a recurrent layer, like LSTM(32), got <class"),
        (lambda: LearnedState(LSTM), "write LSTM(...)."),
        (lambda: LearnedState(Dense(2)), "got Dense(units=2): there is no state to learn."),
        (lambda: LearnedState("LSTM"), "got 'LSTM': there is no state to learn."),
        (
            lambda: LearnedState(Sequential([LSTM(2)])).build((None, D)),
            "got dict of a Sequential: of a container, wrap",
        ),
        (
            lambda: LearnedState(Conv1D(3, 2, padding="same")).build((None, D)),
            "got NoneType of a Conv1D: as it is, it has no state, as a Conv1D has one with padding='causal' alone",
        ),
        (lambda: LearnedState(LSTM(2)).build((D,)), "In LearnedState, its LSTM."),
        (lambda: built()(np.ones((2, 3))), "LSTM expects x of shape [B, T, 3], got (2, 3)"),
        (lambda: built()(np.ones((2, 3))), "In LearnedState, its LSTM."),
        (lambda: built().forward_with_state(some()[0], (1,)), "LearnedState expects a state of arrays"),
        (lambda: LearnedState(LSTM(2)).initial_state(1), "LSTM has no 'Wx': it is not built."),
    ],
)
def test_a_mistake_is_explained(make, message):
    with pytest.raises(MinidlError) as raised:
        make()
    assert message in str(raised.value)


def test_a_state_of_no_entries_can_be_checked():
    """A causal window of one step remembers none: h0 has no rows, and no size to draw random weights by."""
    assert check_layer(LearnedState(Conv1D(3, 1, padding="causal")), (None, D)).ok


def test_other_errors_inside_say_where(monkeypatch):
    learned = built()
    monkeypatch.setattr(learned.layer, "weights", lambda: 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError) as raised:
        learned(some()[0])
    assert raised.value.__notes__ == ["In LearnedState, its LSTM."]


def test_a_pass_without_a_cache_has_no_way_back():
    learned = built()
    y, _, cache = learned.forward_with_state(some()[0], keep_cache=False)
    with pytest.raises(ArgumentError, match=r"LSTM expects the cache of a pass that kept one.*In LearnedState"):
        learned.backward_with_state(y, None, cache)


def test_the_layer_inside_has_a_dotted_path():
    lstm = LSTM(3)
    net = Sequential([("encoder", LearnedState(lstm)), Dense(2)])
    assert net["encoder.layer"] is lstm
    with pytest.raises(UnknownNameError, match="'encoder' has no layer 'lstm': it has layer"):
        net["encoder.lstm"]
