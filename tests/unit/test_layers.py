"""The layers one by one: values that conformance does not know, and one clear line for each mistake."""

import numpy as np
import pytest

import minidl
from minidl import (
    LSTM,
    ArgumentError,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    IdError,
    LastStep,
    LogSoftmax,
    LSTMState,
    NotBuiltError,
    ReLU,
    Sequential,
    ShapeError,
    Sigmoid,
    Softmax,
    Tanh,
    zeros,
)
from minidl.kernels import lstm_forward_reference

B, T, D, H = 3, 5, 2, 4
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
PEEPHOLES = [False, "diagonal", "full"]


def lstm(**options):
    layer = LSTM(H, **options)
    layer.build((None, D), seed=1, dtype=np.float64)
    layer.b.value[...] = np.random.default_rng(2).standard_normal(4 * H)
    return layer


def features(seed=0):
    return np.random.default_rng(seed).standard_normal((B, T, D))


def a_state(seed=9):
    return LSTMState(*np.random.default_rng(seed).standard_normal((2, B, H)))


# -- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(-1), "LSTM expects units to be a positive integer, got -1."),
        (lambda: LSTM(0), "LSTM expects units to be a positive integer, got 0."),
        (lambda: LSTM(True), "LSTM expects units to be a positive integer, got True."),
        (lambda: LSTM(2.5), "LSTM expects units to be a positive integer, got 2.5."),
        (lambda: LSTM(None), "LSTM expects units to be a positive integer, got None."),
        (
            lambda: LSTM(2, peephole="diag"),
            "LSTM expects peephole to be False, True, 'diagonal' or 'full', got 'diag'.",
        ),
        (lambda: LSTM(2, peephole=None), "LSTM expects peephole to be False, True, 'diagonal' or 'full', got None."),
        (
            lambda: LSTM(2, recurrent_dropout=1.0),
            "LSTM expects recurrent_dropout to be a number in [0, 1), got 1.0.",
        ),
        (
            lambda: LSTM(2, recurrent_dropout=-0.1),
            "LSTM expects recurrent_dropout to be a number in [0, 1), got -0.1.",
        ),
        (lambda: LSTM(2, recurrent_dropout=True), "LSTM expects recurrent_dropout to be a number in [0, 1), got True."),
        (lambda: LSTM(2, forget_bias="1"), "LSTM expects forget_bias to be a number, got '1'."),
        (lambda: LSTM(2, forget_bias=np.nan), "LSTM expects forget_bias to be a number, got nan."),
        (lambda: Dropout(1.0), "Dropout expects rate to be a number in [0, 1), got 1.0."),
        (lambda: Dropout(-0.5), "Dropout expects rate to be a number in [0, 1), got -0.5."),
        (lambda: Dropout("half"), "Dropout expects rate to be a number in [0, 1), got 'half'."),
        (lambda: Dropout(np.nan), "Dropout expects rate to be a number in [0, 1), got nan."),
        (lambda: Dense("3"), "Dense expects units to be a positive integer, got '3'."),
        (lambda: Dense(3.0), "Dense expects units to be a positive integer, got 3.0."),
        (lambda: Embedding(0, 3), "Embedding expects vocab to be a positive integer, got 0."),
        (lambda: Embedding(3, [2]), "Embedding expects units to be a positive integer, got [2]."),
        (lambda: Dense(3, tie="embedding"), "Dense expects tie to be an Embedding, got 'embedding'."),
        (
            lambda: Dense(4, tie=Embedding(5, 3)),
            "Dense expects units to be the vocabulary of the tied Embedding, 5, got 4.",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value) == message


def test_integers_of_numpy_are_integers():
    assert LSTM(np.int64(3)).units == 3 and type(LSTM(np.int64(3)).units) is int
    assert Dropout(np.float32(0.5)).rate == 0.5 and type(Dropout(0).rate) is float


# -- shapes they are built for --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "in_shape", "message"),
    [
        (
            LSTM(4),
            (7,),
            "LSTM expects inputs of shape [B, T, D], got [B, 7]: add a time axis; where a recurrent layer stands "
            "before it, give that one return_sequences=True.",
        ),
        (Dense(4), (3, None), "Dense expects a known size of the last axis, got in_shape (3, None)."),
        (Dense(4), (), "Dense expects a known size of the last axis, got in_shape ()."),
        (
            Flatten(),
            (None, 3),
            "Flatten expects known lengths, got in_shape (None, 3): give the number of steps, or use LastStep.",
        ),
        (
            LastStep(),
            (),
            "LastStep expects inputs of shape [B, T, ...], got in_shape (): there are no steps.",
        ),
    ],
    ids=repr,
)
def test_bad_input_shapes(layer, in_shape, message):
    with pytest.raises(ShapeError) as caught:
        layer.build(in_shape)
    assert str(caught.value) == message and layer.in_shape is None and not layer.params


def test_an_lstm_built_for_ids():
    """[B, T] has a time axis already; what is missing is the Embedding."""
    with pytest.raises(ShapeError, match=r"LSTM expects inputs of shape \[B, T, D\], got \[B, T\]: .*Embedding"):
        LSTM(4).build((None,))


def test_an_lstm_with_an_axis_too_many():
    """Another time axis is not what helps."""
    with pytest.raises(ShapeError, match=r"of shape \[B, T, D\], got \[B, 5, 3, 7\]: ") as caught:
        LSTM(4).build((5, 3, 7))
    assert "add a time axis" not in str(caught.value)
    with pytest.raises(ShapeError, match=r"of shape \[B, T, 2\], got \(3, 5, 2, 2\) of float64: ") as caught:
        lstm()(np.ones((B, T, 2, 2)))
    assert "add a time axis" not in str(caught.value)


def test_a_tie_to_an_embedding_that_is_not_built():
    embedding = Embedding(5, 3)
    with pytest.raises(NotBuiltError) as caught:
        Sequential([Dense(5, tie=embedding), Softmax()], name="scorer").build((3,))
    assert str(caught.value) == (
        "Dense is tied to an Embedding that is not built: put that one before it in the net. "
        "In Sequential 'scorer', layer 1 of 2, 'dense'."
    )


def test_a_tie_to_an_embedding_of_another_size():
    embedding = Embedding(5, 3)
    with pytest.raises(ShapeError) as caught:
        Sequential([embedding, LSTM(4, return_sequences=True), Dense(5, tie=embedding)]).build((None,))
    assert str(caught.value) == (
        "Dense is tied to an Embedding of 3 units, but its input has 4. In Sequential, layer 3 of 3, 'dense'."
    )


# -- inputs ---------------------------------------------------------------------------------------


def built(layer, *in_shape):
    layer.build(in_shape)
    return layer


@pytest.mark.parametrize(
    ("layer", "x", "message"),
    [
        (
            built(LSTM(4), None, 32),
            np.ones((16, 32)),
            "LSTM expects x of shape [B, T, 32], got (16, 32) of float32: add a time axis; where a recurrent layer "
            "stands before it, give that one return_sequences=True.",
        ),
        (
            built(LSTM(4), None, 32),
            np.ones((16, 32), int),
            "LSTM expects x of shape [B, T, 32], got (16, 32) of int64: put an Embedding in front of it, these look "
            "like ids.",
        ),
        (
            built(LSTM(4), None, 32),
            np.ones((16, 5, 31)),
            "LSTM expects x of shape [B, T, 32], got (16, 5, 31) of float32: it was built for that size.",
        ),
        (
            built(Dense(4), 3),
            np.ones((16, 2)),
            "Dense expects x of shape [..., 3], got (16, 2): it was built for that size.",
        ),
        (built(Dense(4), 3), np.float64(1), "Dense expects x of shape [..., 3], got (): it was built for that size."),
        (
            built(Embedding(5, 2), None),
            np.ones((2, 3)),
            "Embedding expects integer ids, got (2, 3) of float32: write x.astype(int) if they are ids.",
        ),
        (
            built(Embedding(5, 2), None),
            np.ones((2, 3), bool),
            "Embedding expects integer ids, got (2, 3) of bool: write x.astype(int) if they are ids.",
        ),
        (
            built(LastStep(), None, 3),
            np.ones(4),
            "LastStep expects x of shape [B, T, ...], got (4,): there are no steps.",
        ),
    ],
)
def test_bad_inputs(layer, x, message):
    with pytest.raises(ShapeError) as caught:
        layer(x)
    assert str(caught.value) == message


def test_integer_features_of_the_right_shape_are_not_a_wrong_size():
    """One-hot rows, as people make them: the size is right, the dtype is not."""
    with pytest.raises(ShapeError, match=r"got \(2, 3, 5\) of int64: .*float"):
        built(LSTM(4), None, 5)(np.zeros((2, 3, 5), int))


@pytest.mark.parametrize(
    ("x", "wrong", "position"),
    [
        ([[1, 2], [0, 5]], 5, "(1, 1)"),
        ([[1, -1], [9, 5]], -1, "(0, 1)"),
        ([[-100, 2]], -100, "(0, 0)"),
        (np.array([[[0, 0], [7, 0]]], np.uint8), 7, "(0, 1, 0)"),
        (9, 9, "()"),
    ],
)
def test_an_id_outside_of_the_vocabulary(x, wrong, position):
    with pytest.raises(IdError) as caught:
        built(Embedding(5, 2), None)(x)
    assert str(caught.value) == (
        f"Embedding expects ids from 0 to 4 (a vocabulary of 5), got {wrong} at position {position}."
    )


@pytest.mark.parametrize(
    ("mask", "came"),
    [
        (np.ones((B, T), int), f"({B}, {T}) of int64: write mask.astype(bool)"),
        (np.ones((B, T)), f"({B}, {T}) of float64: write mask.astype(bool)"),
        (np.ones((B, T + 1), bool), f"({B}, {T + 1}) of bool"),
        (np.ones(B, bool), f"({B},) of bool"),
        (np.ones((B, T, 1), bool), f"({B}, {T}, 1) of bool"),
    ],
)
@pytest.mark.parametrize("layer", [LSTM(3), Flatten(), LastStep(), Sequential([Tanh()])], ids=repr)
def test_bad_masks(layer, mask, came):
    layer = layer.copy()
    layer.build((T, D))
    with pytest.raises(ShapeError) as caught:
        layer.predict(features(), mask=mask)
    assert str(caught.value) == (
        f"The mask is expected to be bools [B, T] = ({B}, {T}), True where a step is real, got {came}."
    )


@pytest.mark.parametrize(
    ("state", "came"),
    [
        (LSTMState(np.zeros((2, H)), np.zeros((2, H))), "[(2, 4), (2, 4)]"),
        ((np.zeros((B, H)), np.zeros((B, H + 1))), "[(3, 4), (3, 5)]"),
        ((np.zeros((B, H)),), "[(3, 4)]"),
        (np.zeros((2, B, H)), "ndarray"),
        ({"lstm": None}, "dict"),
        ("zeros", "str"),
    ],
)
def test_bad_states(state, came):
    with pytest.raises(ShapeError) as caught:
        lstm().forward_with_state(features(), state)
    hint = "give a tuple of 2 arrays"
    if came == "[(2, 4), (2, 4)]":
        hint = "another batch size needs a new state (state=None, or start=True)"
    assert str(caught.value) == f"LSTM expects a state of arrays [(3, 4), (3, 4)], got {came}: {hint}."


def test_start_true_cures_a_state_of_another_batch_size():
    """As the message above says: no row begins from that state."""
    small = LSTMState(np.ones((2, H)), np.ones((2, H)))
    for start in (True, [True] * B):
        y, after, _ = lstm().forward_with_state(features(), small, start=start)
        assert (y == lstm()(features())).all() and after.h.shape == (B, H)


@pytest.mark.parametrize("state", [None, a_state()], ids=["initial", "carried"])
@pytest.mark.parametrize("start", [[True, False], [True] * 4, np.ones((B, 1), bool), np.ones((B, T), bool)])
def test_start_of_a_wrong_length(start, state):
    with pytest.raises(ShapeError) as caught:
        lstm().forward_with_state(features(), state, start=start)
    assert str(caught.value) == f"start is expected to be a bool or one per row, (3,), got {np.shape(start)}."


# -- values of the LSTM ---------------------------------------------------------------------------


@pytest.mark.parametrize("peephole", PEEPHOLES)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
def test_without_sequences_it_returns_the_final_h(mask, backwards, peephole):
    steps = lstm(peephole=peephole, go_backwards=backwards, return_sequences=True)
    final = lstm(peephole=peephole, go_backwards=backwards)
    y, (h, c), _ = final.forward_with_state(features(), a_state(), mask=mask)
    all_y, (all_h, all_c), _ = steps.forward_with_state(features(), a_state(), mask=mask)
    assert (y == h).all() and (h == all_h).all() and (c == all_c).all()
    assert all_y.shape == (B, T, H)
    lengths = [T] * B if mask is None else mask.sum(axis=1)
    for row, length in enumerate(lengths):
        expected = a_state().h[row] if length == 0 else all_y[row, 0 if backwards else length - 1]
        assert (y[row] == expected).all()


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_a_masked_row_is_the_row_cut_to_its_length(peephole, backwards):
    layer = lstm(peephole=peephole, go_backwards=backwards, return_sequences=True)
    y, (h, c), _ = layer.forward_with_state(features(), a_state(), mask=MASK)
    for row, length in enumerate(MASK.sum(axis=1)):
        one = slice(row, row + 1)
        cut = LSTMState(a_state().h[one], a_state().c[one])
        y1, (h1, c1), _ = layer.forward_with_state(features()[one, :length], cut)
        np.testing.assert_allclose(y[one, :length], y1, rtol=1e-13)
        np.testing.assert_allclose(h[one], h1, rtol=1e-13)
        np.testing.assert_allclose(c[one], c1, rtol=1e-13)
        assert not y[row, length:].any()


@pytest.mark.parametrize("state", [None, a_state()], ids=["initial", "carried"])
@pytest.mark.parametrize("sequences", [False, True])
def test_a_row_without_real_steps_returns_the_state_it_began_from(sequences, state):
    layer = lstm(return_sequences=sequences)
    y, after, cache = layer.forward_with_state(features(), state, mask=MASK)
    began = layer.initial_state(B) if state is None else state
    assert (after.h[2] == began.h[2]).all() and (after.c[2] == began.c[2]).all()
    assert (y[2] == (0 if sequences else began.h[2])).all()
    dafter = LSTMState(np.full((B, H), 2.0), np.full((B, H), 3.0))
    dx, dstate = layer.backward_with_state(np.ones_like(y), dafter, cache)
    assert not dx[2].any()
    assert (dstate.h[2] == (2 if sequences else 3)).all() and (dstate.c[2] == 3).all()


def test_no_steps_at_all():
    layer = lstm(return_sequences=True)
    y, after, cache = layer.forward_with_state(features()[:, :0], a_state())
    assert y.shape == (B, 0, H) and (after.h == a_state().h).all() and (after.c == a_state().c).all()
    dx, dstate = layer.backward_with_state(y, a_state(4), cache)
    assert dx.shape == (B, 0, D) and (dstate.h == a_state(4).h).all() and not layer.Wx.grad.any()


@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_go_backwards_keeps_y_beside_its_x(peephole):
    """It is the flipped input through the same weights, flipped back: outputs, state and gradients."""
    ahead, back = (lstm(peephole=peephole, return_sequences=True, go_backwards=b) for b in (False, True))
    y, state, cache = back.forward_with_state(features(), a_state())
    y_, state_, cache_ = ahead.forward_with_state(features()[:, ::-1], a_state())
    assert (y == y_[:, ::-1]).all() and (state.h == state_.h).all() and (state.c == state_.c).all()
    assert (y[:, 0] == state.h).all() and (y[:, 0] != y[:, -1]).all()
    dy = np.random.default_rng(5).standard_normal(y.shape)
    dx, dstate = back.backward_with_state(dy, a_state(6), cache)
    dx_, dstate_ = ahead.backward_with_state(dy[:, ::-1], a_state(6), cache_)
    np.testing.assert_allclose(dx, dx_[:, ::-1], rtol=1e-12)
    np.testing.assert_allclose(dstate, dstate_, rtol=1e-12)
    for name, p in back.params.items():
        np.testing.assert_allclose(p.grad, ahead.params[name].grad, rtol=1e-12)


def test_go_backwards_begins_with_the_last_real_step():
    """On padding at the end, y of the real steps is that of the row without the padding."""
    layer = lstm(return_sequences=True, go_backwards=True)
    y, _, _ = layer.forward_with_state(features(), mask=MASK)
    alone, _, _ = layer.forward_with_state(features()[1:2, :3])
    np.testing.assert_allclose(y[1:2, :3], alone, rtol=1e-13)


@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_recurrent_dropout_is_one_mask_a_sequence(peephole):
    """A unit of h' is dropped in all steps or in none: the mask that explains step 2 explains all of them."""
    layer = lstm(peephole=peephole, recurrent_dropout=0.5, return_sequences=True)
    weights = [layer.params[name].value for name in ("Wx", "Wh", "b", "p") if name in layer.params]
    y, state, _ = layer.forward_with_state(features(), a_state(), rng=np.random.default_rng(3))
    masks = 2.0 * (np.arange(2**H)[:, None] >> np.arange(H) & 1)  # all ways to drop units, the others doubled
    explains = np.empty((T, B, 2**H), bool)
    for k, r in enumerate(masks):
        whole = lstm_forward_reference(features(), *a_state(), *weights, r=np.tile(r, (B, 1)))[0]
        explains[:, :, k] = np.isclose(whole, y, rtol=1e-10).all(axis=2).T
    assert (explains[0].sum(axis=1) == 1).all()  # one mask per row, and it is found at the first step,
    assert (explains == explains[0]).all()  # which explains the last as well
    found = masks[explains[0].argmax(axis=1)]
    assert 0 < (found == 0).sum() < found.size and (found != found[0]).any()
    np.testing.assert_allclose(state.h, y[:, -1], rtol=1e-12)


def test_recurrent_dropout_without_a_generator_is_none():
    plain, dropped = lstm(return_sequences=True), lstm(return_sequences=True, recurrent_dropout=0.5)
    assert (plain(features()) == dropped(features())).all()
    y, _ = dropped.forward(features(), rng=np.random.default_rng(0))
    again, _ = dropped.forward(features(), rng=np.random.default_rng(0))
    assert (y == again).all() and (y != plain(features())).any()


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("options", [{}, {"return_sequences": True}, {"go_backwards": True}, {"peephole": "full"}])
def test_nothing_in_the_padding_matters(options, rubbish):
    results = []
    for content in (0.0, rubbish):
        layer = lstm(**options)
        x = np.where(MASK[..., None], features(), content)
        with np.errstate(all="raise", under="ignore"):
            y, state, cache = layer.forward_with_state(x, a_state(), mask=MASK)
            dx, dstate = layer.backward_with_state(np.ones_like(y), a_state(4), cache)
        results.append([y, *state, dx, *dstate, *(p.grad for p in layer.params.values())])
    for plain, spoilt in zip(*results, strict=True):
        np.testing.assert_array_equal(plain, spoilt)
        assert np.isfinite(plain).all()


def test_rubbish_in_dy_of_padding_does_not_matter():
    layer = lstm(return_sequences=True)
    y, _, cache = layer.forward_with_state(features(), mask=MASK)
    dx = layer.backward(np.where(MASK[..., None], np.ones_like(y), np.nan), cache)
    assert np.isfinite(dx).all() and not dx[~MASK].any()
    assert all(np.isfinite(p.grad).all() for p in layer.params.values())


def test_a_state_may_be_a_tuple_or_lists():
    h, c = a_state()
    expected = lstm()(features())
    assert (lstm().forward_with_state(features(), (h * 0, c * 0))[0] == expected).all()
    with_state = lstm().forward_with_state(features(), a_state())[0]
    assert (lstm().forward_with_state(features(), [h.tolist(), c.tolist()])[0] == with_state).all()


def test_initial_state_is_zero_and_its_parts_are_two_arrays():
    state = lstm().initial_state(2)
    assert state.h.shape == state.c.shape == (2, H) and not state.h.any() and not state.c.any()
    assert not np.shares_memory(state.h, state.c)


def test_an_lstm_by_hand():
    """One cell, one step; all gates but g are open half way: c = 1/2 c' + 1/2 tanh(x), h = 1/2 tanh(c)."""
    layer = LSTM(1, forget_bias=0.0, init={"Wx": zeros, "Wh": zeros})
    layer.build((None, 1), dtype=np.float64)
    layer.Wx.value[0, 3] = 1.0
    y, (h, c), _ = layer.forward_with_state(np.array([[[2.0]]]), (np.array([[5.0]]), np.array([[3.0]])))
    assert c[0, 0] == pytest.approx(1.5 + 0.5 * np.tanh(2)) and h[0, 0] == y[0, 0]
    assert y[0, 0] == pytest.approx(0.5 * np.tanh(c[0, 0]))


def test_gates_and_peepholes_by_hand():
    """Each gate from its own block of i f o g and its own row of i f o; o looks at the new cell."""
    layer = LSTM(1, peephole=True, forget_bias=0.0)
    layer.build((None, 1), dtype=np.float64)
    layer.Wx.value[...], layer.Wh.value[...] = [[0.1, 0.2, 0.3, 0.4]], [[0.5, 0.6, 0.7, 0.8]]
    layer.b.value[...], layer.p.value[...] = [0.9, 1.0, 1.1, 1.2], [[1.3], [1.4], [1.5]]
    _, (h, c), _ = layer.forward_with_state(np.array([[[2.0]]]), (np.array([[-1.0]]), np.array([[0.5]])))
    i = 1 / (1 + np.exp(-(0.2 - 0.5 + 0.9 + 1.3 * 0.5)))
    f = 1 / (1 + np.exp(-(0.4 - 0.6 + 1.0 + 1.4 * 0.5)))
    g = np.tanh(0.8 - 0.8 + 1.2)
    new = f * 0.5 + i * g
    o = 1 / (1 + np.exp(-(0.6 - 0.7 + 1.1 + 1.5 * new)))
    assert c[0, 0] == pytest.approx(new, rel=1e-14) and h[0, 0] == pytest.approx(o * np.tanh(new), rel=1e-14)


# -- values of the others -------------------------------------------------------------------------


def test_dense_by_hand():
    dense = built(Dense(2), 3)
    dense.W.value[...], dense.b.value[...] = [[1, 2], [3, 4], [5, 6]], [10, 20]
    y, cache = dense.forward(np.array([[[1.0, 0, -1]]], np.float32))
    assert y.tolist() == [[[6, 16]]]
    assert dense.backward(np.array([[[1.0, 2]]], np.float32), cache).tolist() == [[[5, 11, 17]]]
    assert dense.W.grad.tolist() == [[1, 2], [0, 0], [-1, -2]] and dense.b.grad.tolist() == [1, 2]


def test_dense_on_integers_stays_float32():
    dense = built(Dense(2), 3)
    assert dense([[1, 2, 3]]).dtype == dense(np.ones((1, 3), bool)).dtype == np.float32


def test_a_tied_dense_multiplies_by_the_transpose():
    embedding = built(Embedding(5, 3), None)
    dense = built(Dense(5, tie=embedding, bias=False), 3)
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    np.testing.assert_allclose(dense(x), x @ embedding.E.value.T, rtol=1e-6)
    assert dense.params["E"] is embedding.E and not hasattr(dense, "b")


def test_embedding_looks_rows_up():
    embedding = built(Embedding(3, 2), None)
    embedding.E.value[...] = [[1, 2], [3, 4], [5, 6]]
    y, cache = embedding.forward(np.array([[2, 0, 2]]))
    assert y.tolist() == [[[5, 6], [1, 2], [5, 6]]]
    assert embedding.backward(np.array([[[1.0, 2], [3, 4], [5, 6]]]), cache) is None
    assert embedding.E.grad.tolist() == [[3, 4], [0, 0], [6, 8]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_are_safe_at_any_size(dtype):
    x = np.array([[-1e30, -1e4, -1, 0, 1, 1e4, 1e30]], dtype)
    with np.errstate(all="raise", under="ignore"):
        results = {type(layer).__name__: layer.forward(x) for layer in (Tanh(), Sigmoid(), ReLU(), Softmax())}
    y = {name: result[0] for name, result in results.items()}
    assert all(array.dtype == dtype for array in y.values())
    assert y["Tanh"][0, [0, 1, 3, 5, 6]].tolist() == [-1, -1, 0, 1, 1]
    assert y["Sigmoid"][0, [0, 1, 3, 5, 6]].tolist() == [0, 0, 0.5, 1, 1]
    assert y["ReLU"][0].tolist() == [0, 0, 0, 0, 1, dtype(1e4), dtype(1e30)]
    assert y["Softmax"][0].tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_softmax_and_its_logarithm_by_hand():
    x = np.log([[1.0, 2, 5]]) + 1000
    np.testing.assert_allclose(Softmax()(x), [[0.125, 0.25, 0.625]], rtol=1e-12)
    np.testing.assert_allclose(LogSoftmax()(x), np.log([[0.125, 0.25, 0.625]]), rtol=1e-12)
    y, cache = LogSoftmax().forward(np.array([[1e4, -1e4]]))
    assert y.tolist() == [[0, -2e4]] and LogSoftmax().backward(np.array([[0.0, 1]]), cache).tolist() == [[-1, 1]]


def test_dropout_keeps_the_mean():
    x = np.ones((100, 1000), np.float32)
    y, keep = Dropout(0.2).forward(x, rng=np.random.default_rng(0))
    assert sorted(set(y.ravel().tolist())) == [0.0, 1.25] and y.dtype == np.float32
    assert (y == 0).mean() == pytest.approx(0.2, abs=0.005)
    assert (Dropout(0.2).backward(x, keep) == y).all()
    assert Dropout(0.2).forward(x)[0] is x


def test_last_step_takes_the_last_real_one():
    x = np.arange(B * T * D, dtype=float).reshape(B, T, D)
    mask = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
    y, state, cache = LastStep().forward_with_state(np.where(mask[..., None], x, np.nan), mask=mask)
    assert y.tolist() == [x[0, 4].tolist(), x[1, 2].tolist(), [0, 0]] and state is None
    dx, _ = LastStep().backward_with_state(np.ones((B, D)), None, cache)
    assert dx.sum(axis=2).tolist() == [[0, 0, 0, 0, 2], [0, 0, 2, 0, 0], [0, 0, 0, 0, 0]]
    assert (LastStep()(x) == x[:, -1]).all()


@pytest.mark.parametrize("mask", [None, np.zeros((B, 0), bool)], ids=["free", "masked"])
def test_the_last_of_no_steps_is_zero(mask):
    y, _, cache = LastStep().forward_with_state(np.ones((B, 0, D), np.float32), mask=mask)
    assert y.shape == (B, D) and y.dtype == np.float32 and not y.any()
    assert LastStep().backward(y, cache).shape == (B, 0, D)


def test_last_step_does_not_look_back_into_the_window_before():
    """What its notes say: whole, and in two windows of which the second is padding."""
    x, mask = np.ones((1, 6, D)), np.array([[True] * 3 + [False] * 3])
    assert LastStep().predict(x, mask=mask).all()
    assert not LastStep().predict(x[:, 3:], mask=mask[:, 3:]).any()


def test_flatten_clears_the_padding():
    x = np.where(MASK[..., None], 1.0, np.nan) * np.ones((B, T, D))
    assert Flatten().predict(x, mask=MASK).sum(axis=1).tolist() == [10, 6, 0]


@pytest.mark.parametrize("layer", [Flatten(), LastStep(), LSTM(2)], ids=repr)
def test_what_has_no_steps_hands_on_no_mask(layer):
    assert layer.hand_on(MASK) is None


@pytest.mark.parametrize("layer", [LSTM(2, return_sequences=True), Dense(2), Dropout(0.1), Softmax()], ids=repr)
def test_what_keeps_the_steps_hands_the_mask_on(layer):
    assert layer.hand_on(MASK) is MASK


@pytest.mark.parametrize(
    ("layer", "in_shape"),
    [
        (minidl.LSTM(2), (None, 3)), (minidl.GRU(2), (None, 3)), (minidl.SimpleRNN(2), (None, 3)), (Dense(2), (3,)),
        (minidl.Embedding(5, 2), (None,)), (minidl.LayerNorm(), (3,)), (minidl.PoolTime(), (None, 3)),
        (minidl.Bidirectional(minidl.LSTM(2)), (None, 3)), (minidl.Sequential([Dense(2)]), (3,)),
        (minidl.Conv1D(2, width=2), (None, 3)), (minidl.Flatten(), (2, 3)),
    ],
)  # fmt: skip
def test_a_pass_takes_arrays_and_a_call_takes_lists(layer, in_shape):
    layer.build(in_shape)
    x = layer.example(in_shape, np.random.default_rng(0))
    for f in layer.forward, layer.forward_with_state:
        with pytest.raises(ArgumentError, match=r"expects arrays, got a list: write np\.asarray\(x\), or call the net"):
            f(x.tolist())
    np.testing.assert_allclose(layer(x.tolist()), layer(x), rtol=1e-6)
