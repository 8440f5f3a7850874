"""The LSTM's variants against plain loops of their own equations: hard gates, a clipped cell, coupled gates."""

import numpy as np
import pytest

import minidl
from minidl import LSTM, ArgumentError, CoupledLSTM, Dense, Embedding, HardSigmoid, Sequential, Sigmoid, Tanh
from minidl.checking import gradcheck
from tests.parameters import fraction

B, T, D, H = 3, 6, 4, 5
PEEPHOLES = [False, "diagonal", "full"]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def hard(slope):
    return lambda z: np.minimum(1, np.maximum(0, slope * z + 0.5))


def loop(layer, x, h, c, gate=sigmoid, limit=np.inf, mask=None):
    """y and the final state of one row after the other, cell by cell where a peephole is diagonal."""
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    Wx, Wh, b = ({k: a.value[..., n * H : n * H + H] for n, k in enumerate(layer.blocks)} for a in
                 (layer.Wx, layer.Wh, layer.b))  # fmt: skip
    rows = dict(zip(layer.blocks.replace("g", ""), layer.p.value if layer.peephole else [], strict=False))
    y = np.zeros((len(x), x.shape[1], H))
    h, c = h.copy(), c.copy()

    def opened(k, n, t, cell):
        seen = 0 if k not in rows else cell * rows[k] if rows[k].ndim == 1 else cell @ rows[k]
        return gate(x[n, t] @ Wx[k] + h[n] @ Wh[k] + b[k] + seen)

    for n in range(len(x)):
        for t in reversed(range(x.shape[1])) if layer.go_backwards else range(x.shape[1]):
            if not mask[n, t]:
                continue
            f = opened("f", n, t, c[n])
            i = opened("i", n, t, c[n]) if "i" in layer.blocks else 1 - f
            g = np.tanh(x[n, t] @ Wx["g"] + h[n] @ Wh["g"] + b["g"])
            c[n] = np.clip(f * c[n] + i * g, -limit, limit)
            h[n] = y[n, t] = opened("o", n, t, c[n]) * np.tanh(c[n])
    return y, h, c


def built(layer, spread=1.0, seed=0):
    layer.build((None, D), dtype=np.float64)
    rng = np.random.default_rng(seed)
    for p in layer.params.values():
        p.value[...] = rng.normal(0, spread, p.value.shape)
    return layer


def some(seed=1):
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((B, T, D)),
        rng.standard_normal((B, H)),
        rng.standard_normal((B, H)),
        (rng.random((B, T)) < 0.7),
    )


VARIANTS = {
    "plain": (LSTM, {}, {}),
    "hard 0.2": (LSTM, {"recurrent_activation": HardSigmoid(slope=0.2)}, {"gate": hard(0.2)}),
    "hard 1/6": (LSTM, {"recurrent_activation": HardSigmoid()}, {"gate": hard(1 / 6)}),
    "clipped": (LSTM, {"cell_clip": 0.4}, {"limit": 0.4}),
    "hard and clipped": (
        LSTM, {"recurrent_activation": HardSigmoid(slope=0.2), "cell_clip": 0.4}, {"gate": hard(0.2), "limit": 0.4},
    ),
    "coupled": (CoupledLSTM, {}, {}),
    "coupled, hard": (CoupledLSTM, {"recurrent_activation": HardSigmoid(slope=0.2)}, {"gate": hard(0.2)}),
    "coupled, clipped": (CoupledLSTM, {"cell_clip": 0.4}, {"limit": 0.4}),
}  # fmt: skip


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("variant", "peephole", "backwards", "masked"), fraction(list(VARIANTS), PEEPHOLES, [False, True], [False, True])
)
def test_a_variant_is_the_loop_of_its_equations(variant, peephole, backwards, masked):
    make, options, equations = VARIANTS[variant]
    layer = built(make(H, peephole=peephole, return_sequences=True, go_backwards=backwards, **options))
    x, h, c, mask = some()
    mask = mask if masked else None
    y, state, _ = layer.forward_with_state(x, (h, c), mask=mask)
    wanted = loop(layer, x, h, c, mask=mask, **equations)
    for came, right in zip((y, *state), wanted, strict=True):
        np.testing.assert_allclose(came, right, rtol=0, atol=1e-13)
    if "limit" in equations:
        new = state.c if mask is None else state.c[mask.any(axis=1)]
        assert (abs(new) == 0.4).any() and (abs(new) < 0.4).any()  # the limit was met, and not by all


@pytest.mark.parametrize(("variant", "peephole"), fraction(list(VARIANTS), PEEPHOLES))
def test_the_gradients_of_a_variant_by_complex_steps(variant, peephole):
    make, options, _ = VARIANTS[variant]
    layer = built(make(H, peephole=peephole, return_sequences=True, **options))
    x, *_, mask = some()
    report = gradcheck(layer, x, mask=mask)
    assert report.ok and report.method == "complex steps" and report.tolerance == 1e-10, report


def test_a_clipped_cell_sends_no_gradient_back():
    layer = built(LSTM(H, cell_clip=1e-6))
    x, *_ = some()
    y, _, cache = layer.forward_with_state(x)
    dx, dstate = layer.backward_with_state(np.ones_like(y), None, cache)
    assert not dstate.c.any()  # every c is clipped, and o does not look at the state before
    blocks = {k: layer.b.grad[n * H : n * H + H] for n, k in enumerate("ifog")}
    assert blocks["o"].all() and not any(blocks[k].any() for k in "ifg")
    assert dx.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("variant", VARIANTS)
def test_dtypes_and_passes_without_a_cache(variant, dtype):
    make, options, _ = VARIANTS[variant]
    layer = make(H, peephole=True, return_sequences=True, **options)
    layer.build((None, D), dtype=dtype)
    x = some()[0].astype(dtype)
    y, state, cache = layer.forward_with_state(x)
    light, state_, none = layer.forward_with_state(x, keep_cache=False)
    assert all((a == b).all() and a.dtype == dtype for a, b in zip((y, *state), (light, *state_), strict=True))
    dx, dstate = layer.backward_with_state(y, None, cache)
    assert {a.dtype for a in (dx, *dstate, *(p.grad for p in layer.params.values()))} == {np.dtype(dtype)}
    assert none.kernel is None
    with pytest.raises(ArgumentError, match=f"{make.__name__} expects the cache of a pass that kept one"):
        layer.backward_with_state(y, None, none)


def test_a_sigmoid_by_instance_is_the_plain_lstm():
    one, two = LSTM(H), LSTM(H, recurrent_activation=Sigmoid())
    for layer in one, two:
        layer.build((None, D))
    x = some()[0].astype(np.float32)
    assert not two.rare_options() and (one(x) == two(x)).all()


def test_a_limit_that_is_never_met_changes_nothing():
    one, two = built(LSTM(H, peephole=True)), built(LSTM(H, peephole=True, cell_clip=1e6))
    x, *_ = some()
    np.testing.assert_allclose(two(x), one(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_a_coupled_lstm_is_an_lstm_with_the_weights_of_i_negated(peephole):
    coupled, plain = built(CoupledLSTM(H, peephole=peephole)), built(LSTM(H, peephole=peephole))
    for name, p in plain.params.items():
        q = coupled.params[name].value
        p.value[...] = np.concatenate([-q[:1], q]) if name == "p" else np.concatenate([-q[..., :H], q], -1)
    x, h, c, _ = some()
    y, _, cache = coupled.forward_with_state(x, (h, c))
    y_, _, cache_ = plain.forward_with_state(x, (h, c))
    assert (y == y_).all()
    dx, dstate = coupled.backward_with_state(np.ones_like(y), None, cache)
    dx_, dstate_ = plain.backward_with_state(np.ones_like(y), None, cache_)
    assert all((a == b).all() for a, b in zip((dx, *dstate), (dx_, *dstate_), strict=True))
    i, f = (plain.Wx.grad[:, n * H : n * H + H] for n in range(2))
    np.testing.assert_allclose(coupled.Wx.grad[:, :H], f - i, rtol=0, atol=1e-14)


def test_the_forget_bias_of_a_coupled_lstm_is_in_its_first_block():
    layer = CoupledLSTM(2, peephole="full", forget_bias=3.0)
    layer.build((None, 4))
    assert layer.b.value.tolist() == [3, 3, 0, 0, 0, 0]
    assert [p.value.shape for p in layer.params.values()] == [(4, 6), (2, 6), (6,), (2, 2, 2)]


def test_a_slot_is_named_in_snake_case():
    assert list(Sequential([CoupledLSTM(2), LSTM(2), HardSigmoid(), minidl.ReLU()]).layers) == [
        "coupled_lstm", "lstm", "hard_sigmoid", "relu",
    ]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_generation_goes_on_as_the_net_does(variant):
    make, options, _ = VARIANTS[variant]
    net = Sequential([Embedding(7, 4), make(H, peephole=True, return_sequences=True, **options), Dense(7)])
    net.build((None,), seed=3, dtype=np.float64)
    for p in net.params.values():
        p.value[...] *= 3
    ids = [1, 2, 3]
    for symbol in minidl.generate(net, [1, 2, 3], length=12, temperature=0):
        assert symbol == int(net(np.array([ids]))[0, -1].argmax())
        ids.append(symbol)


KERAS_2_OR_3 = "write recurrent_activation=HardSigmoid(slope=0.2) as in Keras 2, or HardSigmoid() as in Keras 3."


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(2, recurrent_activation="hard_sigmoid"), f"got 'hard_sigmoid': {KERAS_2_OR_3}"),
        (lambda: LSTM(2, recurrent_activation=HardSigmoid), f"HardSigmoid'>: {KERAS_2_OR_3}"),
        (
            lambda: CoupledLSTM(2, recurrent_activation="sigmoid"),
            "got 'sigmoid': write recurrent_activation=Sigmoid().",
        ),
        (lambda: LSTM(2, recurrent_activation="sigmoid"), "LSTM expects recurrent_activation to be an instance"),
        (
            lambda: LSTM(2, recurrent_activation=Tanh()),
            "got Tanh(): a gate is a number from 0 to 1, write one of them.",
        ),
        (lambda: LSTM(2, activation="tanh"), "LSTM has no argument 'activation'. Put an activation layer after it"),
        (lambda: LSTM(2, cell_clip=0), "LSTM expects cell_clip to be a positive number, got 0."),
        (lambda: LSTM(2, cell_clip=True), "LSTM expects cell_clip to be a positive number, got True."),
        (lambda: CoupledLSTM(2, cell_clip=-1.0), "CoupledLSTM expects cell_clip to be a positive number, got -1.0."),
        (lambda: CoupledLSTM(0), "CoupledLSTM expects units to be a positive integer, got 0."),
        (lambda: CoupledLSTM(2, peephole="x"), "CoupledLSTM expects peephole to be False, True, 'diagonal' or 'full'"),
        (lambda: HardSigmoid(slope=0), "HardSigmoid expects slope to be a positive number, got 0."),
        (lambda: HardSigmoid(slope="0.2"), "HardSigmoid expects slope to be a positive number, got '0.2'."),
    ],
)
def test_a_mistake_is_explained(make, message):
    with pytest.raises(ArgumentError) as raised:
        make()
    assert message in str(raised.value)


@pytest.mark.parametrize("slope", [0.2, 1 / 6, 1.0])
def test_hard_sigmoid(slope):
    layer, x = HardSigmoid(slope=slope), np.array([-1e4, -1e-3, 0.0, 1e-3, 1e4, np.nan])
    y, cache = layer.forward(x)
    np.testing.assert_array_equal(y[:5], hard(slope)(x[:5]))
    assert np.isnan(y[5])
    np.testing.assert_array_equal(layer.backward(np.ones(5), cache[:5]), [0, slope, slope, slope, 0])
    edge, cache = layer.forward(np.array([-0.5, 0.5]) / slope)
    assert edge.tolist() == [0, 1] and not layer.backward(np.ones(2), cache).any()
    assert layer.forward(x.astype(np.float32))[0].dtype == np.float32
    assert layer.forward(np.array([0.1 + 1e-30j, 9 + 1e-30j]))[0].imag.tolist() == pytest.approx([slope * 1e-30, 0])
