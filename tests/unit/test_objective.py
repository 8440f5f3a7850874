"""loss_and_grads and loss_value: one pass, one value; casts, masks, carried state, and gradients that add up."""

import numpy as np
import pytest

import minidl
from minidl import (
    LSTM,
    Batch,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    LastStep,
    MeanSquaredError,
    NotBuiltError,
    Sequential,
    ShapeError,
    Softmax,
    SoftmaxCrossEntropy,
    loss_and_grads,
    loss_value,
)

B, T, V = 3, 6, 5
MASK = np.arange(T) < np.array([[6], [4], [1]])


def tagger(dtype=np.float64, dropout=0.0):
    """A class per step: [B, T] ids -> [B, T, V]."""
    net = Sequential(
        [
            Embedding(V, 3),
            LSTM(4, peephole=True, return_sequences=True),
            Dropout(dropout),
            LSTM(3, return_sequences=True),
            Dense(V),
            Softmax(),
        ]
    )
    net.build((None,), seed=1, dtype=dtype)
    return net


def regressor(dtype=np.float64):
    """A number per step: [B, T, 2] -> [B, T, 1]."""
    net = Sequential([LSTM(4, return_sequences=True), Dense(1)])
    net.build((None, 2), seed=2, dtype=dtype)
    return net


def ids(seed=0):
    return np.random.default_rng(seed).integers(0, V, (B, T))


def grads_of(net):
    return {name: p.grad.copy() for name, p in net.params.items()}


@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
@pytest.mark.parametrize("weight", [None, np.array([0.5, 1, 2])], ids=["equal", "weighted"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_two_agree(dtype, weight, mask):
    net = tagger(dtype, dropout=0.3)
    batch = Batch(ids(), ids(1), weight=weight, mask=mask)
    result = loss_and_grads(net, CrossEntropy(), batch, rng=np.random.default_rng(7))
    value, count, y, state = loss_value(net, CrossEntropy(), batch, rng=np.random.default_rng(7))
    assert value == result.value and count == result.weight and (y == result.y).all()
    assert value.dtype == y.dtype == dtype
    assert list(state) == list(result.state) == ["lstm", "lstm_2"]
    assert all((a == b).all() for name in state for a, b in zip(state[name], result.state[name], strict=True))


def test_the_value_is_what_the_loss_says_of_the_outputs():
    net = tagger()
    y = net(ids())
    value, weight, scores, _ = loss_value(net, CrossEntropy(), Batch(ids(), ids(1)))
    picked = np.take_along_axis(y, ids(1)[..., None], -1)
    assert value == pytest.approx(-np.log(picked).mean(), rel=1e-12) and weight == B * T
    np.testing.assert_allclose(Softmax()(scores), y, rtol=1e-12)


def test_only_loss_and_grads_leaves_gradients():
    net = tagger()
    loss_value(net, CrossEntropy(), Batch(ids(), ids(1)))
    assert not any(p.grad.any() for p in net.params.values())
    loss_and_grads(net, CrossEntropy(), Batch(ids(), ids(1)))
    assert all(p.grad.any() for p in net.params.values())


def test_gradients_add_up_over_two_calls():
    net = tagger()
    first, second = Batch(ids(0), ids(1)), Batch(ids(2), ids(3))
    loss_and_grads(net, CrossEntropy(), first)
    a = grads_of(net)
    loss_and_grads(net, CrossEntropy(), second)
    both = grads_of(net)
    net.zero_grads()
    loss_and_grads(net, CrossEntropy(), second)
    b = grads_of(net)
    for name, grad in both.items():
        np.testing.assert_allclose(grad, a[name] + b[name], rtol=1e-12, atol=1e-16, err_msg=name)
        assert (a[name] != b[name]).any()


def test_accumulated_and_weighted_gradients_are_those_of_the_whole_batch():
    """Rows in two calls, weighted by what each counts, give the gradient of all rows at once."""
    net, x, t = tagger(), ids(), ids(1)
    whole = loss_and_grads(net, CrossEntropy(), Batch(x, t, mask=MASK))
    expected = grads_of(net)
    total = dict.fromkeys(expected, 0.0)
    for rows in (slice(0, 1), slice(1, 3)):
        net.zero_grads()
        part = loss_and_grads(net, CrossEntropy(), Batch(x[rows], t[rows], mask=MASK[rows]))
        for name, grad in grads_of(net).items():
            total[name] = total[name] + grad * (part.weight / whole.weight)
    assert whole.weight == MASK.sum() == 11
    for name, grad in total.items():
        np.testing.assert_allclose(grad, expected[name], rtol=1e-10, atol=1e-15, err_msg=name)


def test_weighed_gradients_add_up_to_those_of_the_whole_batch():
    """The same, without keeping the gradients of each call apart."""
    net, x, t, rows = tagger(), ids(), ids(1), np.array([0.5, 1.0, 3.0])
    loss_and_grads(net, CrossEntropy(), Batch(x, t, weight=rows, mask=MASK))
    expected = grads_of(net)
    net.zero_grads()
    parts = [
        loss_and_grads(net, CrossEntropy(), Batch(x[k], t[k], weight=rows[k], mask=MASK[k]), weigh=True)
        for k in (slice(0, 1), slice(1, 3))
    ]
    total = sum(part.weight for part in parts)
    assert total == (rows[:, None] * MASK).sum() == 10.0
    for name, grad in grads_of(net).items():
        np.testing.assert_allclose(grad / total, expected[name], rtol=1e-10, atol=1e-15, err_msg=name)


# -- what comes in --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lists_and_float64_are_cast_to_the_dtype_of_the_net(dtype):
    net = regressor(dtype)
    x, t = np.random.default_rng(0).standard_normal((B, T, 2)), np.random.default_rng(1).standard_normal((B, T, 1))
    expected = loss_and_grads(net, MeanSquaredError(), Batch(x.astype(dtype), t.astype(dtype)))
    for batch in (Batch(x, t), Batch(x.tolist(), t.tolist()), Batch(x.astype(np.float32).astype(dtype), t)):
        result = loss_and_grads(net, MeanSquaredError(), batch)
        assert result.y.dtype == result.dx.dtype == result.value.dtype == dtype
        assert result.value == pytest.approx(expected.value, rel=1e-6)
        assert loss_value(net, MeanSquaredError(), batch)[0] == result.value


def test_ids_in_lists():
    net = tagger()
    expected = loss_value(
        net, CrossEntropy(), Batch(ids(), ids(1), weight=np.array([1, 2, 3]), start=np.array([True] * B))
    )
    lists = Batch(ids().tolist(), ids(1).tolist(), weight=[1, 2, 3], start=[True] * B)
    assert loss_value(net, CrossEntropy(), lists)[0] == expected[0]


def test_a_mask_in_lists():
    net = tagger()
    expected = loss_value(net, CrossEntropy(), Batch(ids(), ids(1), mask=MASK))
    assert loss_value(net, CrossEntropy(), Batch(ids(), ids(1), mask=MASK.tolist()))[0] == expected[0]


def test_the_batch_stays_as_it_is():
    arrays = ids(), ids(1), np.ones((B, T)), MASK.copy(), np.array([True, False, True])
    for a in arrays:
        a.setflags(write=False)
    net = tagger()
    state = net.initial_state(B)
    assert loss_and_grads(net, CrossEntropy(), Batch._make(arrays), state).weight == 11


def test_a_net_that_is_not_built():
    with pytest.raises(NotBuiltError, match=r"not built. Call build\(in_shape\) first"):
        loss_value(Sequential([Dense(2), Softmax()]), CrossEntropy(), Batch(np.ones((1, 2)), [0]))


def test_a_lone_layer_is_a_net():
    dense = Dense(2)
    dense.build((2,), dtype=np.float64)
    dense.W.value[...] = [[1, 0], [0, 1]]
    result = loss_and_grads(dense, MeanSquaredError(), Batch([[1.0, 2.0]], [[0.0, 0.0]]))
    assert result.value == 2.5 and result.state is None and result.dstate is None
    assert result.dx.tolist() == [[1, 2]] and dense.b.grad.tolist() == [1, 2]


def test_ids_have_no_gradient():
    assert loss_and_grads(tagger(), CrossEntropy(), Batch(ids(), ids(1))).dx is None


# -- state ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(3,), (1, 2), (2, 5)])
@pytest.mark.parametrize("masked", [False, True])
def test_windows_with_carried_state_are_one_pass(cuts, masked):
    net, x, t = tagger(), ids(), ids(1)
    mask = MASK if masked else None
    whole, total, y, after = loss_value(net, CrossEntropy(), Batch(x, t, mask=mask))
    state, values, weights, outputs = None, [], [], []
    for k, window in enumerate(np.split(np.arange(T), cuts)):
        batch = Batch(x[:, window], t[:, window], mask=None if mask is None else mask[:, window], start=k == 0)
        value, weight, part, state = loss_value(net, CrossEntropy(), batch, state)
        values.append(value)
        weights.append(weight)
        outputs.append(part)
    assert np.dot(values, weights) / total == pytest.approx(whole, rel=1e-12) and sum(weights) == total
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), y, rtol=1e-12)
    for name in after:
        np.testing.assert_allclose(state[name], after[name], rtol=1e-12)


def carried(net, seed=4):
    """A state as earlier windows leave it."""
    _, _, _, state = loss_value(net, CrossEntropy(), Batch(ids(seed), ids(seed)))
    return state


@pytest.mark.parametrize(
    ("start", "fresh"),
    [
        (True, [True, True, True]),
        (False, [False, False, False]),
        (np.array([True, False, False]), [True, False, False]),
        ([False, True, True], [False, True, True]),
    ],
    ids=["all", "none", "array", "list"],
)
def test_start_says_which_rows_begin_anew(start, fresh):
    net = tagger()
    state = carried(net)
    batch = Batch(ids(), ids(1), start=start)
    result = loss_and_grads(net, CrossEntropy(), batch, state)
    assert (loss_value(net, CrossEntropy(), batch, state)[2] == result.y).all()
    anew = loss_and_grads(net, CrossEntropy(), Batch(ids(), ids(1)), None).y
    on = loss_and_grads(net, CrossEntropy(), Batch(ids(), ids(1), start=False), state).y
    assert (anew != on).any(axis=(1, 2)).all()
    for row, is_fresh in enumerate(fresh):
        np.testing.assert_array_equal(result.y[row], (anew if is_fresh else on)[row])
        for name in ("lstm", "lstm_2"):
            assert result.dstate[name].h[row].any() == result.dstate[name].c[row].any() == (not is_fresh)


def test_start_is_true_unless_it_is_said():
    net = tagger()
    first = loss_value(net, CrossEntropy(), Batch(ids(), ids(1)))[0]
    assert loss_value(net, CrossEntropy(), Batch(ids(), ids(1)), carried(net))[0] == first


def test_without_a_state_start_false_begins_from_the_initial_one():
    net = tagger()
    first = loss_value(net, CrossEntropy(), Batch(ids(), ids(1)))[0]
    assert loss_value(net, CrossEntropy(), Batch(ids(), ids(1), start=False))[0] == first


def test_the_state_handed_in_is_not_changed():
    net = tagger()
    state = carried(net)
    before = {name: [a.copy() for a in s] for name, s in state.items()}
    loss_and_grads(net, CrossEntropy(), Batch(ids(), ids(1), start=[True, False, True]), state)
    assert all((a == b).all() for name in state for a, b in zip(state[name], before[name], strict=True))


def test_dstate_is_the_gradient_of_the_state_that_came_in():
    net, x, t = regressor(), np.random.default_rng(0).standard_normal((B, T, 2)), np.zeros((B, T, 1))
    h, c, dh, dc = np.random.default_rng(1).standard_normal((4, B, 4))
    batch = Batch(x, t, mask=MASK, start=False)
    dstate = loss_and_grads(net, MeanSquaredError(), batch, {"lstm": (h, c)}).dstate["lstm"]
    moved = (h + 1e-30j * dh, c + 1e-30j * dc)
    value, *_ = loss_value(net.copy(complex), MeanSquaredError(), batch, {"lstm": moved})
    assert value.imag / 1e-30 == pytest.approx((dstate.h * dh).sum() + (dstate.c * dc).sum(), rel=1e-12)


def test_a_state_of_another_batch_size():
    net = tagger()
    with pytest.raises(ShapeError, match=r"another batch size needs a new state \(state=None, or start=True\)"):
        loss_value(net, CrossEntropy(), Batch(ids()[:2], ids()[:2], start=False), carried(net))


# -- masks ----------------------------------------------------------------------------------------


def test_padding_does_not_matter_in_features():
    net = regressor()
    x, t = np.random.default_rng(0).standard_normal((B, T, 2)), np.random.default_rng(1).standard_normal((B, T, 1))
    plain = loss_and_grads(net, MeanSquaredError(), Batch(x, t, mask=MASK))
    expected = grads_of(net)
    net.zero_grads()
    rubbish_x, rubbish_t = np.where(MASK[..., None], x, np.nan), np.where(MASK[..., None], t, np.nan)
    result = loss_and_grads(net, MeanSquaredError(), Batch(rubbish_x, rubbish_t, mask=MASK))
    assert result.value == plain.value and result.weight == plain.weight == 11
    assert (result.dx == plain.dx).all() and not result.dx[~MASK].any()
    assert all((grad == expected[name]).all() for name, grad in grads_of(net).items())


def test_padding_does_not_matter_in_ids():
    """Neither an id outside of the vocabulary nor the number of steps."""
    net = tagger()
    plain = loss_and_grads(net, CrossEntropy(ignore_index=-1), Batch(ids(), np.where(MASK, ids(1), -1), mask=MASK))
    expected = grads_of(net)
    net.zero_grads()
    x = np.pad(np.where(MASK, ids(), 999), ((0, 0), (0, 3)), constant_values=-7)
    t = np.pad(np.where(MASK, ids(1), -1), ((0, 0), (0, 3)), constant_values=-1)
    result = loss_and_grads(net, CrossEntropy(ignore_index=-1), Batch(x, t, mask=np.pad(MASK, ((0, 0), (0, 3)))))
    assert result.value == pytest.approx(plain.value, rel=1e-14) and result.weight == plain.weight == 11
    for name, grad in grads_of(net).items():
        np.testing.assert_allclose(grad, expected[name], rtol=1e-12, atol=1e-16, err_msg=name)


def test_mask_takes_positions_out_of_the_loss():
    net = tagger()
    value, weight, y, _ = loss_value(net, CrossEntropy(), Batch(ids(), ids(1), mask=MASK))
    expected, _, _ = SoftmaxCrossEntropy()(y[MASK], ids(1)[MASK])
    assert value == pytest.approx(expected, rel=1e-12) and weight == 11


@pytest.mark.parametrize("last", [[LSTM(3)], [LSTM(3, return_sequences=True), LastStep()]], ids=["final", "LastStep"])
def test_the_loss_gets_the_mask_as_the_net_hands_it_on(last):
    """One output a row: no mask is left, each row counts, and each is that of the row cut to its real steps."""
    net = Sequential([Embedding(V, 3), *last, Dense(2), Softmax()])
    net.build((None,), dtype=np.float64)
    t = np.array([0, 1, 1])
    result = loss_and_grads(net, CrossEntropy(), Batch(ids(), t, mask=MASK))
    assert result.weight == B
    each = [
        loss_value(net, CrossEntropy(), Batch(ids()[k : k + 1, : MASK[k].sum()], t[k : k + 1]))[0] for k in range(B)
    ]
    assert result.value == pytest.approx(np.mean(each), rel=1e-12)


def test_nothing_is_real():
    net = tagger()
    with np.errstate(all="raise", under="ignore"):
        result = loss_and_grads(net, CrossEntropy(), Batch(ids(), ids(1), mask=np.zeros((B, T), bool)))
    assert result.value == 0 and result.weight == 0
    assert not any(p.grad.any() for p in net.params.values())


# -- randomness -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [[LSTM(4), Dropout(0.5)], [LSTM(4, recurrent_dropout=0.5)]], ids=repr)
def test_dropout_acts_with_a_generator_only(layers):
    net = Sequential([Embedding(V, 3), *layers, Dense(V), Softmax()])
    net.build((None,), dtype=np.float64)
    batch = Batch(ids(), ids(1)[:, 0])

    def values(seed):
        rngs = [None if seed is None else np.random.default_rng(seed) for _ in range(2)]
        with_grads = loss_and_grads(net, CrossEntropy(), batch, rng=rngs[0]).value
        assert with_grads == loss_value(net, CrossEntropy(), batch, rng=rngs[1])[0]
        return float(with_grads)

    assert values(None) == values(None) and values(1) == values(1)
    assert len({values(seed) for seed in (None, 1, 2)}) == 3


@pytest.mark.parametrize("result", [
    lambda y: (y.sum(axis=-1), np.ones_like(y), 1.0),
    lambda y: (y.sum(), np.ones(len(y)), 1.0),
    lambda y: (y.sum(), np.ones((1, *y.shape[1:])), 1.0),
    lambda y: (y.sum(), (np.ones_like(y),) * 2, 1.0),
], ids=["value", "gradient", "gradient of one row", "two gradients"])  # fmt: skip
def test_a_loss_whose_own_call_returns_other_shapes_is_refused(result):
    class Own(minidl.Loss):
        def positions(self, y, t):
            raise NotImplementedError

        def __call__(self, y, t, weight=None, mask=None):
            return result(y)

    net = minidl.Dense(2)
    net.build((3,))
    with pytest.raises(minidl.ShapeError, match="Own must return one number and a gradient"):
        minidl.loss_and_grads(net, Own(), minidl.Batch(np.ones((4, 3)), np.ones((4, 2))))


def test_a_loss_may_leave_out_the_gradient_of_an_output():
    class First(minidl.Loss):
        def positions(self, y, t):
            raise NotImplementedError

        def __call__(self, y, t, weight=None, mask=None):
            value, dy, count = minidl.MeanSquaredError()(y[0], t, weight)
            return value, (dy, None), count

    net = minidl.Graph(inputs="x", outputs=("a", "b"))
    net.add("a", minidl.Dense(1), "x").add("b", minidl.Dense(2), "x").build((3,))
    minidl.loss_and_grads(net, First(), minidl.Batch(np.ones((4, 3)), np.ones(4)))
    assert net.params["a.W"].grad.any() and not net.params["b.W"].grad.any()
