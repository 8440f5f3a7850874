"""Conv1D: values by hand, the same sequence with any padding, whole or in windows, and its errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ArgumentError, Conv1D, Conv1DState, ShapeError

B, T, D, H = 4, 6, 2, 3
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0], [1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0]], bool)


def conv(width=3, padding="causal", **options):
    layer = Conv1D(H, width, padding=padding, **options)
    layer.build((None, D), seed=1, dtype=np.float64)
    if layer.bias:
        layer.b.value[...] = [0.5, -1.0, 2.0]
    return layer


def features(steps=T, rows=B, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, steps, D))


def plainly(x, layer, left, steps):
    """The equation of the docstring, number by number."""
    W = layer.W.value
    y = np.zeros((len(x), steps, W.shape[2])) + layer.b.value
    for t in range(steps):
        for k in range(layer.width):
            if 0 <= t + k - left < x.shape[1]:
                y[:, t] += x[:, t + k - left] @ W[k]
    return y


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_it_is_the_equation(padding, width):
    layer, x = conv(width, padding), features()
    left = {"valid": 0, "same": (width - 1) // 2, "causal": width - 1}[padding]
    y = layer(x)
    assert y.shape[1] == (T - width + 1 if padding == "valid" else T)
    np.testing.assert_allclose(y, plainly(x, layer, left, y.shape[1]), rtol=1e-12)  # the sums run in another order


def test_by_hand():
    layer = Conv1D(1, 2, bias=False)
    assert layer.build((3, 1)) == (2, 1)
    layer.W.value[...] = [[[1.0]], [[10.0]]]
    y, cache = layer.forward(np.array([[[1.0], [2.0], [3.0]]], np.float32))
    assert y.ravel().tolist() == [21.0, 32.0]
    assert layer.backward(np.array([[[1.0], [2.0]]], np.float32), cache).ravel().tolist() == [1.0, 12.0, 20.0]
    assert layer.W.grad.ravel().tolist() == [5.0, 8.0]


def test_a_causal_one_looks_at_no_later_step():
    layer, x = conv(), features()
    later = x.copy()
    later[:, 3:] = 9.0
    assert (layer(x)[:, :3] == layer(later)[:, :3]).all() and (layer(x)[:, 3:] != layer(later)[:, 3:]).all()


@pytest.mark.parametrize(("padding", "streams"), [("valid", False), ("same", False), ("causal", True)])
def test_only_a_causal_one_has_a_state_and_streams(padding, streams):
    layer = conv(padding=padding)
    assert layer.streams is streams and (layer.initial_state(2) is not None) is streams
    assert (layer.forward_with_state(features())[1] is not None) is streams


def test_the_state_is_the_last_inputs():
    x = features()
    _, state, _ = conv(3).forward_with_state(x)
    assert isinstance(state, Conv1DState) and (state.x == x[:, -2:]).all()
    _, state, _ = conv(4).forward_with_state(x[:, :1], (np.full((B, 3, D), 7.0),))
    assert (state.x == np.concatenate([np.full((B, 2, D), 7.0), x[:, :1]], axis=1)).all()


def test_no_steps_at_all():
    layer = conv()
    state = Conv1DState(features(2))
    y, after, cache = layer.forward_with_state(features()[:, :0], state)
    assert y.shape == (B, 0, H) and (after.x == state.x).all()
    dx, dstate = layer.backward_with_state(y, (np.ones((B, 2, D)),), cache)
    assert dx.shape == (B, 0, D) and (dstate.x == 1).all() and not layer.W.grad.any()


@given(
    st.integers(1, 5), st.lists(st.integers(0, 4), min_size=1, max_size=4), st.booleans(), st.booleans(),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_windows_are_the_whole(width, lengths, masked, anew, seed):
    """However a sequence is cut, with any mask, carried state and dstate handed back: as in one pass."""
    rng = np.random.default_rng(seed)
    layer, x = conv(width), rng.standard_normal((B, sum(lengths), D))
    mask = rng.random(x.shape[:2]) < 0.6 if masked else None
    state = Conv1DState(rng.standard_normal((B, width - 1, D)))
    start = rng.random(B) < 0.4 if anew else None
    dy, dlast = rng.standard_normal((B, sum(lengths), H)), Conv1DState(rng.standard_normal((B, width - 1, D)))

    y, last, cache = layer.forward_with_state(x, state, start=start, mask=mask)
    dx, dstate = layer.backward_with_state(dy, dlast, cache)
    grads = {name: p.grad.copy() for name, p in layer.params.items()}

    layer.zero_grads()
    ends = np.cumsum(lengths)
    parts = [slice(end - n, end) for end, n in zip(ends, lengths, strict=True)]
    ys, caches, carried = [], [], state
    for part in parts:
        y_, carried, c = layer.forward_with_state(
            x[:, part], carried, start=start if part is parts[0] else None, mask=None if mask is None else mask[:, part]
        )
        ys.append(y_)
        caches.append(c)
    dxs, d = [], dlast
    for part, c in zip(parts[::-1], caches[::-1], strict=True):
        dx_, d = layer.backward_with_state(dy[:, part], d, c)
        dxs.insert(0, dx_)
    close = {"rtol": 1e-12, "atol": 1e-12}  # products of other shapes add up in another order
    np.testing.assert_allclose(np.concatenate(ys, axis=1), y, **close)
    np.testing.assert_array_equal(carried.x, last.x)
    np.testing.assert_allclose(np.concatenate(dxs, axis=1), dx, **close)
    np.testing.assert_allclose(d.x, dstate.x, **close)
    for name, p in layer.params.items():
        np.testing.assert_allclose(p.grad, grads[name], **close)
    if anew:
        assert not dstate.x[start].any()


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_a_causal_one_skips_padding(width):
    """Each row is its real steps alone, wherever the padding stands: y, the state and all gradients."""
    layer, x, state = conv(width), features(), Conv1DState(features(width - 1, seed=2))
    dy, dlast = np.random.default_rng(3).standard_normal((B, T, H)), Conv1DState(features(width - 1, seed=4))
    y, after, cache = layer.forward_with_state(np.where(MASK[..., None], x, np.nan), state, mask=MASK)
    dx, dstate = layer.backward_with_state(np.where(MASK[..., None], dy, np.nan), dlast, cache)
    assert not y[~MASK].any() and not dx[~MASK].any()
    grads = {name: p.grad.copy() for name, p in layer.params.items()}
    layer.zero_grads()
    for row, real in enumerate(MASK):
        one = slice(row, row + 1)
        y1, after1, cache1 = layer.forward_with_state(x[one, real], (state.x[one],))
        dx1, dstate1 = layer.backward_with_state(dy[one, real], (dlast.x[one],), cache1)
        for got, wanted in (
            (y[one, real], y1),
            (dx[one, real], dx1),
            (after.x[one], after1.x),
            (dstate.x[one], dstate1.x),
        ):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)
    for name, p in layer.params.items():
        np.testing.assert_allclose(grads[name], p.grad, rtol=1e-12)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize("rubbish", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize(("left", "right"), [(3, 0), (0, 3), (2, 4)])
def test_no_amount_of_padding_matters(padding, rubbish, left, right):
    """A batch of rows of several lengths, on the left or the right, and the same with more rubbish around it."""
    lengths, n = [5, 3, 0, 1], 5
    results = []
    for before, behind in (0, 0), (left, right):
        layer = conv(2, padding)
        x = np.full((4, before + n + behind, D), rubbish)
        mask = np.zeros(x.shape[:2], bool)
        for row, length in enumerate(lengths):
            mask[row, before : before + length] = True
            x[row, before : before + length] = features(n, 1, seed=row)[0, :length]
        with np.errstate(all="raise", under="ignore"):
            y, _, cache = layer.forward_with_state(x, mask=mask)
            real = layer.hand_on(mask)
            dy = np.full(y.shape, rubbish)
            dy[real] = np.random.default_rng(5).standard_normal((real.sum(), H))
            dx = layer.backward(dy, cache)
        assert not y[~real].any() and not dx[~mask].any()
        results.append((y[real], dx[mask], layer.W.grad, layer.b.grad))
        assert real.sum() == {"valid": 4 + 2, "same": 9, "causal": 9}[padding]
    for plain, padded in zip(*results, strict=True):
        np.testing.assert_allclose(padded, plain, rtol=1e-12, atol=1e-13)


def test_a_step_of_a_valid_one_is_real_where_its_window_is():
    assert conv(3, "valid").hand_on(MASK).tolist() == [
        [True] * 4, [False, False, True, False], [False] * 4, [False] * 4,
    ]  # fmt: skip
    assert conv(3, "same").hand_on(MASK) is MASK and conv(3, "causal").hand_on(MASK) is MASK


def test_rows_of_padding_alone_keep_the_state():
    layer = conv()
    nothing = np.zeros((B, T), bool)
    y, after, cache = layer.forward_with_state(features(), Conv1DState(features(2)), mask=nothing)
    assert y.shape == (B, T, H) and not y.any() and (after.x == features(2)).all()
    dx, dstate = layer.backward_with_state(np.ones_like(y), (np.ones((B, 2, D)),), cache)
    assert dx.shape == (B, T, D) and not dx.any() and (dstate.x == 1).all()


def test_it_stands_in_front_of_an_lstm_and_behind():
    """The mask goes through: a net on padded rows is the net on each row alone."""
    net = minidl.Sequential(
        [Conv1D(4, 2), minidl.LSTM(3, return_sequences=True), Conv1D(2, 3, padding="same"), minidl.PoolTime()]
    )
    net.build((None, D), dtype=np.float64)
    mask = np.arange(T) < np.array([6, 4, 3, 2])[:, None]
    y = net.predict(np.where(mask[..., None], features(), np.nan), mask=mask)
    for row, length in enumerate([6, 4, 3, 2]):
        np.testing.assert_allclose(y[row], net(features()[row : row + 1, :length])[0], rtol=1e-12)


def test_a_parameter_in_another_memory_order_trains():
    """An initializer may return a transposed view; its gradient must arrive all the same."""
    layer = Conv1D(3, 2, init={"W": lambda shape, rng: rng.standard_normal(shape[::-1]).T})
    layer.build((None, D), dtype=np.float64)
    assert minidl.checking.gradcheck(layer).ok


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_it_comes_back_from_a_file(padding, tmp_path):
    net = minidl.Sequential([Conv1D(3, 2, padding=padding, bias=False), Conv1D(2, 1)])
    net.build((None, D))
    net.save(tmp_path / "net.npz")
    loaded = minidl.load(tmp_path / "net.npz")
    assert repr(loaded) == repr(net) and (loaded(features()) == net(features())).all()


class BreaksOff(minidl.Callback):
    def on_step_end(self, trainer):
        if trainer.step == 35:
            raise ZeroDivisionError


@pytest.mark.parametrize("width", [1, 3])
def test_a_training_goes_on_with_the_state_of_the_middle_of_an_epoch(width, tmp_path):
    def train(folder, *callbacks):
        net = minidl.Sequential(
            [minidl.Embedding(7, 4), Conv1D(5, width, padding="causal"), minidl.LayerNorm(), minidl.Dense(7)]
        )
        callbacks = [minidl.Checkpoint(tmp_path / folder, every=10), *callbacks]
        trainer = minidl.Trainer(net, minidl.SoftmaxCrossEntropy(), callbacks=callbacks, quiet=True)
        trainer.fit(minidl.TextStream(np.arange(2000) ** 2 % 7, 4, 10), epochs=2, resume=True)
        return [p.value.tobytes() for p in net.params.values()]

    with pytest.raises(ZeroDivisionError):
        train("part", BreaksOff())
    assert train("part") == train("whole")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv1D(0, 3), "Conv1D expects units to be a positive integer, got 0."),
        (lambda: Conv1D(3, 2.0), "Conv1D expects width to be a positive integer, got 2.0."),
        (lambda: Conv1D(3, 2, padding="full"), "Conv1D expects padding to be 'valid', 'same' or 'causal', got 'full'."),
        (lambda: Conv1D(3, 2, padding=1), "Conv1D expects padding to be 'valid', 'same' or 'causal', got 1."),
        (
            lambda: Conv1D(3, 2, bias=minidl.Tanh()),
            "Conv1D expects bias to be True or False, got Tanh(): an activation is a layer behind it, such as ReLU().",
        ),
        (
            lambda: Conv1D(3, 2, kernel_size=3),
            "Conv1D has no argument 'kernel_size'. Write width=.",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value) == message


SHORT = (
    "Conv1D expects at least 4 steps, its width, got 3: make the sequences longer, or take padding='same' or 'causal'."
)


def test_fewer_steps_than_a_window():
    with pytest.raises(ShapeError) as caught:
        Conv1D(3, 4).build((3, D))
    assert str(caught.value) == SHORT
    with pytest.raises(ShapeError) as caught:
        conv(4, "valid")(features(3))
    assert str(caught.value) == SHORT
    assert conv(4, "same")(features(3)).shape == conv(4)(features(3)).shape == (B, 3, H)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((3, D)), r"Conv1D expects x of shape \[B, T, 2\], got \(3, 2\) of float64: add a time axis"),
        (np.ones((3, 4, 5)), r"Conv1D expects x of shape \[B, T, 2\], got \(3, 4, 5\) of float64: it was built for"),
        (np.ones((3, 4), int), r"Conv1D expects x of shape \[B, T, 2\], got \(3, 4\) of int64: put an Embedding"),
    ],
)
def test_bad_inputs(x, message):
    with pytest.raises(ShapeError, match=message):
        conv()(x)


def test_bad_states():
    with pytest.raises(ShapeError, match=r"Conv1D expects a state of arrays \[\(4, 2, 2\)\], got \[\(4, 3, 2\)\]"):
        conv().forward_with_state(features(), Conv1DState(features(3)))
    with pytest.raises(ShapeError, match=r"another batch size needs a new state"):
        conv().forward_with_state(features(), Conv1DState(features(2, rows=5)))
