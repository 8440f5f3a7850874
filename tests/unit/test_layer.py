"""Parameter and Layer: written in place, built once, one clear line for each mistake."""

import copy
import pickle

import numpy as np
import pytest

import minidl
from minidl import LSTM, ArgumentError, Dense, Embedding, Layer, NotBuiltError, Parameter, Sequential, ShapeError


def test_value_and_grad_are_never_rebound():
    p = Parameter(np.ones(2))
    value, grad = p.value, p.grad
    p.value += 1
    p.grad += 3
    assert p.value is value and p.grad is grad
    with pytest.raises(ArgumentError, match="written in place"):
        p.value = np.zeros(2)
    with pytest.raises(ArgumentError, match="added to in place"):
        p.grad = np.zeros(2)


def test_grad_is_allocated_at_first_use():
    p = Parameter(np.ones(2))
    p.zero_grad()
    assert p._grad is None
    assert (p.grad == 0).all()


def test_parameter_copies_its_array():
    a = np.ones(2)
    p = Parameter(a)
    p.value += 1
    assert (a == 1).all()


def test_unbuilt_says_build():
    for use in (lambda: Dense(3)(np.ones((1, 2))), lambda: LSTM(3).initial_state(2)):
        with pytest.raises(NotBuiltError, match=r"not built. Call build\(in_shape\) first"):
            use()
    dense = Dense(2)
    dense.build((3,))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dense.nonsense


@pytest.mark.parametrize("in_shape", [5, (0,), (-1, 2), ("3",), (2.0,)])
def test_bad_in_shape(in_shape):
    with pytest.raises(ArgumentError, match="in_shape to be a tuple of positive integers or None"):
        Dense(2).build(in_shape)


def test_building_again_keeps_parameters_and_checks_shapes():
    dense = Dense(4)
    dense.build((3,), seed=1)
    W = dense.W.value.copy()
    assert dense.build((None, 3), seed=2) == (None, 4)
    assert (dense.W.value == W).all()
    with pytest.raises(
        ShapeError, match=r"was built for inputs \(3,\), with W \(3, 4\) of float32; here W would be \(5, 4\)"
    ):
        dense.build((5,))
    with pytest.raises(ShapeError, match=r"here W would be \(3, 4\) of float64: .* layer.copy\(np.float64\)"):
        dense.build((3,), dtype=np.float64)


def test_a_failed_build_leaves_nothing():
    def fail(shape, rng):
        raise RuntimeError("no")

    dense = Dense(4, init={"b": fail})
    with pytest.raises(RuntimeError):
        dense.build((3,))
    assert not dense.params and dense.in_shape is None


def test_seed_decides_the_parameters():
    nets = [Sequential([Dense(3), Dense(3)]) for _ in range(3)]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        net.build((3,), seed=seed)
    a, b, c = (net.params["dense.W"].value for net in nets)
    assert (a == b).all() and (a != c).any()
    assert (a != nets[0].params["dense_2.W"].value).any()


def test_each_position_draws_its_own_seed_used_or_not():
    """A layer that comes from elsewhere does not change what its neighbours draw."""
    plain = Sequential([Dense(3), Dense(3)])
    plain.build((3,), seed=0)
    other = Dense(3)
    other.build((3,), seed=99)
    mixed = Sequential([other, Dense(3)])
    mixed.build((3,), seed=0)
    assert (plain.params["dense_2.W"].value == mixed.params["dense_2.W"].value).all()
    assert (plain.params["dense.W"].value != mixed.params["dense.W"].value).any()


def test_a_generator_may_be_the_seed():
    a, b = Dense(3), Dense(3)
    a.build((2,), np.random.default_rng(4))
    b.build((2,), 4)
    assert (a.W.value == b.W.value).all()


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda net: net.copy(), lambda net: net.copy(np.float64)])
def test_copies_keep_sharing(copier):
    embedding = Embedding(5, 3)
    shared = LSTM(3, return_sequences=True)
    net = Sequential([embedding, shared, shared, Dense(5, tie=embedding)])
    net.build((None,))
    twin = copier(net)
    assert list(twin.params) == list(net.params) == ["embedding.E", "lstm.Wx", "lstm.Wh", "lstm.b", "dense.b"]
    assert twin["lstm"] is twin["lstm_2"] is not shared
    assert twin["dense"].W is twin["embedding"].E is not embedding.E


def test_freeze_is_a_fact_of_the_parameter():
    dense = Dense(2)
    a, b = Sequential([dense]), Sequential([dense, Dense(1)])
    a.build((2,))
    b.build((2,))
    a.freeze()
    assert [p.trainable for p in b.params.values()] == [False, False, True, True]
    a.unfreeze()
    assert all(p.trainable for p in b.params.values())


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(LSTM(4, peephole=True)) == "LSTM(units=4, peephole=True)"
    assert repr(Dense(3)) == "Dense(units=3)"


def test_predict_takes_lists_and_casts():
    dense = Dense(2)
    dense.build((2,))
    assert dense([[1.0, 2.0]]).dtype == np.float32
    assert Sequential([Embedding(3, 2)]).layers["embedding"].build((None,)) == (None, 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LSTM(32, return_sequence=True), "no argument 'return_sequence'. Did you mean return_sequences?"),
        (lambda: Dense(3, activation="relu"), "no argument 'activation'. Put an activation layer after it"),
        (
            lambda: Dense(3, bias="relu"),
            "expects bias to be True or False, got 'relu': an activation is a layer behind it",
        ),
        (lambda: LSTM(10, peephole=1), "expects peephole to be False, True, 'diagonal' or 'full', got 1"),
        (lambda: minidl.Attention(5), "Attention takes no arguments, got 5. Write Attention()."),
        (
            lambda: minidl.Concatenate([Dense(2), Dense(3)]),
            "Concatenate takes no arguments, got [Dense(units=2), Dense(",
        ),
        (
            lambda: minidl.LayerNorm(0.1),
            "LayerNorm takes no arguments by position, got 0.1. Pass the rest by name: eps=.",
        ),
        (
            lambda: LSTM(4, True),
            "LSTM takes only units by position, got 2 values. Pass the rest by name: peephole=",
        ),
        (
            lambda: minidl.Adam(1, 2, 3, 4, 5, 6),
            "Adam takes only lr, betas, eps, amsgrad, lr_factors, got 6 values. Leave",
        ),
        (lambda: Dense(3, foo=1), "no argument 'foo'. It has units, bias, tie, init"),
    ],
)
def test_habits_from_elsewhere(make, words):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert words in str(caught.value)


def test_dtypes():
    for dtype in int, np.float16, "flot":
        with pytest.raises((ArgumentError, TypeError)):
            Dense(2).build((3,), dtype=dtype)
    dense = Dense(2)
    dense.build((3,))
    with pytest.raises(ArgumentError, match=r"np.float32 or np.float64, got int64"):
        dense.copy(int)


def test_setup_that_ignores_the_dtype_is_told():
    class Careless(Dense):
        def setup(self, in_shape, rng, dtype):
            self.W = self.add_param("W", rng.standard_normal((in_shape[-1], self.units)))
            return (self.units,)

    with pytest.raises(ArgumentError, match=r"made W in float64, asked for is float32: write self.add_param\('W',"):
        Careless(2).build((3,))


def test_setup_without_return_and_forward_without_cache_are_told():
    class Forgetful(Dense):
        def setup(self, in_shape, rng, dtype):
            super().setup(in_shape, rng, dtype)

    with pytest.raises(ArgumentError, match=r"Forgetful.setup must return the output's shape, got None"):
        Forgetful(2).build((3,))

    class NoCache(Layer):
        def forward(self, x, *, rng=None):
            return x * 2

        def backward(self, dy, cache):
            return dy * 2

    with pytest.raises(ArgumentError, match=r"NoCache.forward is expected to return \(y, cache\), got ndarray"):
        NoCache()(np.ones((2, 2)))


def test_a_typo_on_an_unbuilt_layer_is_no_missing_build():
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'fit'") as caught:
        _ = Dense(3).fit
    assert not isinstance(caught.value, NotBuiltError)


def test_nets_can_be_pickled():
    net = Sequential([Embedding(5, 3), LSTM(3, peephole=True), Dense(2, init={"b": minidl.constant(0.1)})])
    net.build((None,))
    twin = pickle.loads(pickle.dumps(net))
    assert (twin(np.array([[1, 2]])) == net(np.array([[1, 2]]))).all()


def test_padding_of_a_lone_layer_counts_for_nothing():
    dense = Dense(2)
    dense.build((None, 3))
    x, mask = np.ones((1, 2, 3), np.float32), np.array([[True, False]])
    x[~mask] = np.nan
    y, _, cache = dense.forward_with_state(x, mask=mask)
    dense.backward(np.where(mask[..., None], y, 0), cache)
    assert np.isfinite(dense.W.grad).all()


def test_padding_may_be_too_large_for_the_nets_dtype():
    dense = Dense(2)
    dense.build((None, 3))
    x, mask = np.ones((1, 2, 3)), np.array([[True, False]])
    x[~mask] = 1e300
    with np.errstate(all="raise"):
        assert (dense.predict(x, mask=mask)[mask] == dense(np.ones((1, 3)))).all()


# -- predict in chunks -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 256, None])
def test_predict_in_chunks_equals_one_pass(size):
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((20, 5, 3)).astype(np.float32), rng.integers(0, 4, (20, 6))
    mask = rng.random((20, 5)) < 0.7
    net = minidl.Graph(inputs=("a", "b"), outputs=("x", "y"))
    net.add("x", minidl.Bidirectional(minidl.LSTM(4, return_sequences=True)), "a")
    net.add("ids", minidl.Embedding(4, 3), "b").add("h", minidl.GRU(4), "ids").add("y", minidl.Dense(2), "h")
    net.build(((None, 3), (None,)))
    whole, _, _ = net.forward_with_state((left, right), mask=(mask, None))
    parts = net.predict((left, right), mask=(mask, None), batch_size=size)
    assert isinstance(parts, tuple)
    assert all(np.allclose(a, b, atol=1e-6) and a.dtype == b.dtype for a, b in zip(whole, parts, strict=True))


def test_predict_takes_no_rows_and_refuses_what_is_not_a_size():
    dense = minidl.Dense(2)
    dense.build((3,))
    assert dense.predict(np.zeros((0, 3))).shape == (0, 2)
    with pytest.raises(minidl.ArgumentError, match="batch_size to be a positive integer, got 0"):
        dense.predict(np.zeros((4, 3)), batch_size=0)


@pytest.mark.parametrize(("x", "words"), [
    (np.array([["a", "b", "c"]]), r"must be numbers, got an array of <U1 with .*'a'.* Encode text as ids"),
    (np.array([[None, 1, 2]]), r"must be numbers, got an array of object with None. Convert them"),
    (np.array([["2020-01-01"] * 3], "datetime64[D]"), r"must be numbers, got an array of datetime64"),
    ([["a", "b", "c"]], "Encode text as ids"),
])  # fmt: skip
@pytest.mark.parametrize(
    "layer", [minidl.Dense(2), minidl.Tanh(), minidl.LayerNorm()], ids=["Dense", "Tanh", "LayerNorm"]
)
def test_inputs_that_are_not_numbers_are_refused(layer, x, words):
    layer = layer.copy()
    layer.build((3,))
    with pytest.raises(minidl.ArgumentError, match=words):
        layer.predict(x)


def test_predict_in_chunks_takes_dicts_and_lists():
    class Several(Layer):
        def forward(self, x, *, rng=None):
            return {"a": x, "b": [x, x[:, 0]]}, None

        def backward(self, dy, cache):
            return dy["a"]

    layer = Several()
    layer.build((3,))
    x = np.random.default_rng(0).standard_normal((600, 3)).astype(np.float32)
    y = layer.predict(x)
    assert np.array_equal(y["a"], x) and np.array_equal(y["b"][0], x) and np.array_equal(y["b"][1], x[:, 0])
