"""Initializers: bounds, spreads, orthogonality; chosen per parameter, drawn per gate, and clear words for mistakes."""

import inspect

import numpy as np
import pytest

import minidl
from minidl import (
    LSTM,
    ArgumentError,
    Dense,
    Embedding,
    constant,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    normal,
    ones,
    orthogonal,
    uniform,
    zeros,
)
from minidl.initializers import fans

DIRECT = [glorot_uniform, glorot_normal, he_uniform, he_normal, orthogonal, zeros, ones]
FACTORIES = [uniform, normal, constant]


def rng(seed=0):
    return np.random.default_rng(seed)


# -- what they draw -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("init", "shape", "limit"),
    [
        (glorot_uniform, (100, 50), 0.2),  # sqrt(6 / 150)
        (glorot_uniform, (5, 20, 50), 0.2),  # all axes but the last are inputs
        (glorot_uniform, (3000,), 0.03162277660168379),  # a vector: sqrt(6 / 6000)
        (he_uniform, (150, 40), 0.2),  # sqrt(6 / 150), whatever the outputs
        (he_uniform, (6, 1000), 1.0),
        (uniform(0.05), (100, 50), 0.05),
        (uniform(2), (5000,), 2.0),
    ],
)
def test_bounds_of_the_uniform_ones(init, shape, limit):
    w = init(shape, rng())
    assert w.shape == shape and abs(w).max() <= limit
    assert w.max() > 0.99 * limit and w.min() < -0.99 * limit
    assert w.std() == pytest.approx(limit / np.sqrt(3), rel=0.05) and abs(w.mean()) < 0.05 * limit


@pytest.mark.parametrize(
    ("init", "shape", "std"),
    [
        (glorot_normal, (150, 50), 0.1),  # sqrt(2 / 200)
        (glorot_normal, (5, 30, 50), 0.1),
        (he_normal, (200, 50), 0.1),  # sqrt(2 / 200)
        (he_normal, (2, 10_000), 1.0),
        (normal(0.3), (100, 100), 0.3),
        (normal(3), (10_000,), 3.0),
    ],
)
def test_spread_of_the_normal_ones(init, shape, std):
    w = init(shape, rng())
    assert w.shape == shape and w.std() == pytest.approx(std, rel=0.05) and abs(w.mean()) < 0.05 * std
    assert abs(w).max() > 3 * std  # tails, as no uniform has them


@pytest.mark.parametrize(("init", "value"), [(zeros, 0), (ones, 1), (constant(0.25), 0.25), (constant(-3), -3)])
def test_constants(init, value):
    w = init((2, 3), rng())
    assert w.tolist() == [[value] * 3] * 2 and w.dtype == np.float64


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (1, 5), (5, 1), (2, 3, 4), (2, 3, 12)])
def test_orthogonal_has_an_orthonormal_shorter_side(shape):
    w = orthogonal(shape, rng())
    assert w.shape == shape
    w = w.reshape(-1, shape[-1])
    product = w.T @ w if len(w) >= shape[-1] else w @ w.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-14)


def test_orthogonal_prefers_no_direction():
    """QR alone leaves signs that do not depend on the draw: the mean of many matrices would not be 0."""
    mean = np.mean([orthogonal((3, 3), rng(seed)) for seed in range(2000)], axis=0)
    assert abs(mean).max() < 0.06


def test_orthogonal_wants_a_matrix():
    with pytest.raises(ArgumentError) as caught:
        orthogonal((5,), rng())
    assert str(caught.value) == "orthogonal expects a matrix, got the shape (5,): use normal or uniform for vectors."


def test_fans():
    assert fans((3, 4)) == (3, 4) and fans((2, 3, 4)) == (6, 4) and fans((5,)) == (5, 5)


@pytest.mark.parametrize("init", [*DIRECT, uniform(0.1), normal(0.1), constant(2)])
def test_same_seed_same_draw(init):
    a, b = init((3, 4), rng(1)), init((3, 4), rng(1))
    assert (a == b).all() and isinstance(a, np.ndarray)
    if len(np.unique(a)) > 1:
        assert (a != init((3, 4), rng(2))).all()


def test_no_public_initializer_is_forgotten():
    module = inspect.getmodule(zeros)
    public = [f for f in map(minidl.__dict__.get, minidl.__all__) if inspect.getmodule(f) is module]
    assert set(public) == {*DIRECT, *FACTORIES}


# -- chosen per parameter -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "in_shape", "expected"),
    [
        (Dense(2, init={"W": constant(3)}), (3,), {"W": 3, "b": 0}),
        (Dense(2, init={"W": ones, "b": constant(-1)}), (3,), {"W": 1, "b": -1}),
        (Embedding(5, 2, init={"E": constant(0.5)}), (None,), {"E": 0.5}),
        (LSTM(2, forget_bias=0.0, init={"b": constant(7)}), (None, 3), {"b": 7}),
        (LSTM(2, peephole=True, init={"p": constant(2), "Wx": ones}), (None, 3), {"p": 2, "Wx": 1}),
        (LSTM(2, peephole="full", init={"p": zeros, "Wh": constant(4)}), (None, 3), {"p": 0, "Wh": 4}),
    ],
    ids=lambda value: repr(value) if isinstance(value, minidl.Layer) else None,
)
def test_a_parameter_is_drawn_by_the_one_that_was_chosen(layer, in_shape, expected):
    layer.build(in_shape)
    for name, value in expected.items():
        assert (layer.params[name].value == value).all() and layer.params[name].value.dtype == np.float32


def test_the_others_keep_their_defaults():
    dense, embedding, lstm = (
        Dense(50, init={"b": ones}),
        Embedding(100, 50),
        LSTM(64, peephole=True, init={"Wx": zeros}),
    )
    for layer, in_shape in (dense, (100,)), (embedding, (None,)), (lstm, (None, 3)):
        layer.build(in_shape)
    assert 0.19 < abs(dense.W.value).max() <= np.float32(0.2)  # glorot_uniform
    assert embedding.E.value.std() == pytest.approx(1.0, rel=0.05)  # normal(1.0)
    assert lstm.p.value.std() == pytest.approx(0.1, rel=0.2)
    assert not lstm.Wx.value.any() and lstm.Wh.value.any()


def test_any_function_of_shape_and_rng_will_do():
    asked = []

    def mine(shape, rng):
        asked.append(shape)
        return rng.integers(0, 9, shape)

    lstm = LSTM(2, peephole=True, init={"Wx": mine, "Wh": mine, "b": mine, "p": mine})
    lstm.build((None, 3), dtype=np.float64)
    assert {shape: asked.count(shape) for shape in asked} == {(2,): 4 + 3, (3, 2): 4, (2, 2): 4}
    assert lstm.Wx.value.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_gate_of_an_lstm_is_drawn_for_itself(dtype):
    """A block of Wh is orthogonal, and Wx is spread as for [D, H], not as for [D, 4H]."""
    lstm = LSTM(16)
    lstm.build((None, 48), seed=3, dtype=dtype)
    blocks = np.split(lstm.Wh.value.astype(float), 4, axis=1)
    for k, block in enumerate(blocks):
        np.testing.assert_allclose(block @ block.T, np.eye(16), atol=1e-6 if dtype == np.float32 else 1e-14)
        assert all(abs(block - other).max() > 0.1 for other in blocks[:k])
    limit = np.sqrt(6 / (48 + 16))
    for block in np.split(lstm.Wx.value, 4, axis=1):
        assert 0.95 * limit < abs(block).max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize(("bias", "blocks"), [(1.0, [0, 1, 0, 0]), (0.0, [0, 0, 0, 0]), (-2.5, [0, -2.5, 0, 0])])
def test_forget_bias_is_in_block_f_of_i_f_o_g(bias, blocks):
    lstm = LSTM(3, forget_bias=bias)
    lstm.build((None, 2))
    assert lstm.b.value.tolist() == np.repeat(blocks, 3).tolist()


def test_forget_bias_comes_on_top_of_what_is_drawn():
    lstm = LSTM(2, forget_bias=1.0, init={"b": constant(0.5)})
    lstm.build((None, 2))
    assert lstm.b.value.tolist() == [0.5, 0.5, 1.5, 1.5, 0.5, 0.5, 0.5, 0.5]


def test_full_peepholes_are_matrices_of_each_gate():
    lstm = LSTM(20, peephole="full", init={"p": orthogonal})
    lstm.build((None, 2), dtype=np.float64)
    for p in lstm.p.value:
        np.testing.assert_allclose(p @ p.T, np.eye(20), atol=1e-14)
    default = LSTM(20, peephole="full")
    default.build((None, 2))
    limit = np.sqrt(6 / 40)
    assert 0.95 * limit < abs(default.p.value).max() <= limit * (1 + 1e-6)


# -- mistakes -------------------------------------------------------------------------------------

LAYERS = {
    "Dense": lambda init: Dense(2, init=init),
    "Embedding": lambda init: Embedding(3, 2, init=init),
    "LSTM": lambda init: LSTM(2, peephole=True, init=init),
}
NAMES = {"Dense": "W", "Embedding": "E", "LSTM": "Wh"}
every_layer = pytest.mark.parametrize("owner", LAYERS)


@every_layer
@pytest.mark.parametrize("wrong", ["glorot_uniform", "orthogonal", 0.1, None, [1, 2]])
def test_no_function(owner, wrong):
    name = NAMES[owner]
    with pytest.raises(ArgumentError) as caught:
        LAYERS[owner]({name: wrong})
    assert str(caught.value) == (
        f"{owner} expects init['{name}'] to be a function (shape, rng) -> array, got {wrong!r}: "
        f"write minidl.glorot_uniform, minidl.orthogonal, minidl.normal(0.1), ..."
    )


@pytest.mark.parametrize(
    ("owner", "name", "known"), [("Dense", "w", "W, b"), ("Embedding", "W", "E"), ("LSTM", "U", "Wh, Wx, b, p")]
)
def test_an_unknown_parameter(owner, name, known):
    with pytest.raises(ArgumentError) as caught:
        LAYERS[owner]({name: ones})
    assert str(caught.value) == f"{owner} has no parameter {name!r} to initialize: it has {known}."


@every_layer
@pytest.mark.parametrize(
    "wrong", ["orthogonal", orthogonal, 0.1, [("W", ones)]], ids=["word", "bare", "number", "list"]
)
def test_init_is_a_mapping_by_parameter(owner, wrong):
    """As people who know Keras would write it: init=orthogonal."""
    with pytest.raises(ArgumentError, match=f"{owner} expects init to be"):
        LAYERS[owner](wrong)


@every_layer
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_factory_that_was_not_called(owner, factory):
    """init={"W": normal} instead of normal(0.1)."""
    with pytest.raises(ArgumentError, match=r"want a number first, normal\(0.1\)"):
        LAYERS[owner]({NAMES[owner]: factory}).build((None, 2))


@pytest.mark.parametrize(
    ("init", "came"),
    [
        (lambda shape, rng: 0.5, "float"),
        (lambda shape, rng: [[1.0] * shape[1]] * shape[0], "list"),
        (lambda shape, rng: rng.random(shape[::-1]), r"one of shape \(2, 3\)"),
        (lambda shape, rng: rng.random(shape[-1]), r"one of shape \(2,\)"),
        (lambda shape, rng: None, "NoneType"),
    ],
    ids=["float", "list", "transposed", "vector", "None"],
)
def test_what_came_is_no_array_of_that_shape(init, came):
    with pytest.raises(ArgumentError, match=rf"was to return an array of shape \(3, 2\), got {came}: "):
        Dense(2, init={"W": init}).build((3,))


def test_orthogonal_for_a_vector_names_the_cure():
    with pytest.raises(ArgumentError, match="use normal or uniform for vectors"):
        LSTM(2, init={"b": orthogonal}).build((None, 3))
