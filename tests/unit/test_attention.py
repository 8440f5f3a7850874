"""Attention: values by hand, masks, rows that have nothing to look at, and its errors."""

import numpy as np
import pytest

import minidl
from minidl import AdditiveAttention, Attention, ShapeError

B, TQ, TV, D, DV = 4, 3, 5, 2, 3
QUERIES = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 0], [1, 0, 1]], bool)
VALUES = np.array([[1, 1, 1, 1, 1], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]], bool)


def inputs(keys=True, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(B, TQ, D), (B, TV, DV), (B, TV, D)]
    return tuple(rng.standard_normal(shape) for shape in shapes[: 3 if keys else 2])


def scaled():
    layer = Attention()
    layer.build(((None, D), (None, DV), (None, D)), dtype=np.float64)
    return layer


def additive():
    layer = AdditiveAttention(4)
    layer.build(((None, D), (None, DV), (None, D)), seed=1, dtype=np.float64)
    layer.v.value[...] = [1.0, -2.0, 0.5, 3.0]
    return layer


kinds = pytest.mark.parametrize("make", [scaled, additive], ids=["scaled", "additive"])


def spoilt(x, masks, rubbish):
    return tuple(a if mask is None else np.where(mask[..., None], a, rubbish) for a, mask in zip(x, masks, strict=True))


def test_by_hand():
    query, key = np.array([[[2.0, 0.0]]]), np.array([[[0.0, 5.0], [np.log(3) / np.sqrt(2), 1.0]]])
    value = np.array([[[1.0], [2.0]]])
    np.testing.assert_allclose(Attention().weights((query, value, key)), [[[0.25, 0.75]]], rtol=1e-14)
    np.testing.assert_allclose(Attention()((query, value, key)), [[[1.75]]], rtol=1e-14)


def test_additive_is_its_equation():
    layer, (query, value, key) = additive(), inputs()
    Wq, Wk, v = (p.value for p in layer.params.values())
    a = layer.weights((query, value, key))
    for b in range(B):
        for i in range(TQ):
            s = [np.exp(np.tanh(query[b, i] @ Wq + key[b, j] @ Wk) @ v) for j in range(TV)]
            np.testing.assert_allclose(a[b, i], np.array(s) / sum(s), rtol=1e-12)
    np.testing.assert_allclose(layer((query, value, key)), np.einsum("bij,bjd->bid", a, value), rtol=1e-12)


@kinds
def test_without_a_key_the_value_is_the_key(make):
    query, _, key = inputs()
    two, three = (
        AdditiveAttention(4) if make is additive else Attention() for _ in range(2)
    )  # built for other shapes each
    two.build(((None, D), (None, D)), dtype=np.float64)
    three.build(((None, D), (None, D), (None, D)), dtype=np.float64)
    y, cache = two.forward((query, key))
    same, cache3 = three.forward((query, key, key))
    assert (y == same).all()
    (dq, dv), (dq3, dv3, dk3) = two.backward(np.ones_like(y), cache), three.backward(np.ones_like(y), cache3)
    np.testing.assert_allclose(dq, dq3, rtol=1e-13)
    np.testing.assert_allclose(dv, dv3 + dk3, rtol=1e-13)


@kinds
@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize(
    "masks", [(QUERIES, VALUES, None), (None, VALUES, None), (QUERIES, None, VALUES), (QUERIES, VALUES, VALUES)]
)
def test_padding_counts_for_nothing(make, rubbish, masks):
    """Each row is its real queries and values alone; a row without values gives 0, and nothing is NaN."""
    layer, x = make(), inputs()
    values = next(mask for mask in masks[1:] if mask is not None)
    queries = np.ones((B, TQ), bool) if masks[0] is None else masks[0]
    dy = np.random.default_rng(3).standard_normal((B, TQ, DV))
    with np.errstate(all="raise", under="ignore"):
        y, _, cache = layer.forward_with_state(spoilt(x, masks, rubbish), mask=masks)
        dx, _ = layer.backward_with_state(np.where(queries[..., None], dy, rubbish), None, cache)
        a = layer.weights(spoilt(x, masks, rubbish), masks)
    grads = {name: p.grad.copy() for name, p in layer.params.items()}
    layer.zero_grads()
    assert not y[~queries].any() and not y[2].any() and not dx[0][~queries].any()
    assert not any(d[~values].any() for d in dx[1:])
    assert (a[:, :, :][~np.broadcast_to(values[:, None], a.shape)] == 0).all()
    np.testing.assert_allclose(a.sum(axis=2), queries & values.any(axis=1)[:, None], rtol=1e-14)
    for row in (0, 1, 3):
        cut = tuple(part[row : row + 1, real[row]] for part, real in zip(x, (queries, values, values), strict=True))
        y1, cache1 = layer.forward(cut)
        np.testing.assert_allclose(y[row, queries[row]], y1[0], rtol=1e-12)
        dx1 = layer.backward(dy[row : row + 1, queries[row]], cache1)
        for d, d1, real in zip(dx, dx1, (queries, values, values), strict=True):
            np.testing.assert_allclose(d[row, real[row]], d1[0], rtol=1e-12, atol=1e-14)
    for name, p in layer.params.items():
        np.testing.assert_allclose(p.grad, grads[name], rtol=1e-12, atol=1e-14)


def test_a_value_is_real_where_its_key_is_too():
    first, second = VALUES.copy(), VALUES.copy()
    first[0, 0] = second[0, 1] = False
    a = scaled().weights(inputs(), (None, first, second))
    assert (a[0, :, :2] == 0).all() and (a[0, :, 2:] > 0).all()


@kinds
def test_nothing_to_look_at_and_nothing_to_ask(make):
    layer, (query, value, key) = make(), inputs()
    y, cache = layer.forward((query, value[:, :0], key[:, :0]))
    assert y.shape == (B, TQ, DV) and not y.any()
    assert [d.shape for d in layer.backward(y, cache)] == [(B, TQ, D), (B, 0, DV), (B, 0, D)]
    y, cache = layer.forward((query[:, :0], value, key))
    assert y.shape == (B, 0, DV) and not any(d.any() for d in layer.backward(y, cache))


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_any_size_are_safe(make, dtype):
    layer = make().copy(dtype)
    x = tuple((1e4 * a).astype(dtype) for a in inputs())
    masks = (QUERIES, VALUES, VALUES)
    with np.errstate(all="raise", under="ignore"):
        y, _, cache = layer.forward_with_state(x, mask=masks)
        dx, _ = layer.backward_with_state(np.ones_like(y), None, cache)
    assert y.dtype == dtype and all(np.isfinite(d).all() and d.dtype == dtype for d in dx)


def test_weights_is_a_pure_function_of_its_inputs():
    layer, x = additive(), inputs()
    before = [a.copy() for a in (*x, *(p.value for p in layer.params.values()))]
    attributes = set(vars(layer))
    a = layer.weights(tuple(part.tolist() for part in x), tuple(m.tolist() for m in (QUERIES, VALUES, VALUES)))
    assert (a == layer.weights(x, (QUERIES, VALUES, VALUES))).all() and set(vars(layer)) == attributes
    after = [*x, *(p.value for p in layer.params.values())]
    assert all((one == two).all() for one, two in zip(before, after, strict=True))


def test_the_mask_of_y_is_that_of_the_query():
    assert Attention().hand_on((QUERIES, VALUES)) is QUERIES and Attention().hand_on((None, VALUES)) is None


def test_what_looks_at_the_whole_sequence_cannot_be_streamed():
    assert not Attention().streams and not AdditiveAttention(2).streams


@kinds
def test_it_comes_back_from_a_file(make, tmp_path):
    layer = make()
    layer.save(tmp_path / "attention.npz")
    loaded = minidl.load(tmp_path / "attention.npz")
    assert type(loaded) is type(layer) and (loaded(inputs()) == layer(inputs())).all()


TUPLE = "expects a tuple (query [B, Tq, D], value [B, Tv, Dv]), or with a key [B, Tv, Dk] as the third, got "
SOURCES = ": name two or three sources in the Graph, recurrent ones with return_sequences=True."


@pytest.mark.parametrize(
    ("layer", "in_shape", "message"),
    [
        (Attention(), (None, 4), f"Attention {TUPLE}[B, T, 4]{SOURCES}"),
        (AdditiveAttention(2), ((4,), (None, 4)), f"AdditiveAttention {TUPLE}([B, 4], [B, T, 4]){SOURCES}"),
        (Attention(), ((None, None), (None, 4)), f"Attention {TUPLE}([B, T, T], [B, T, 4]){SOURCES}"),
        (
            Attention(),
            ((None, 4), (None, 3)),
            "Attention expects a query and a key of one size, got 4 and 3: put a Dense behind one of them, or take "
            "AdditiveAttention(units).",
        ),
        (
            Attention(),
            ((5, 4), (6, 4), (7, 4)),
            "Attention expects a key for each value, got 6 values and 7 keys.",
        ),
    ],
)
def test_bad_shapes(layer, in_shape, message):
    with pytest.raises(ShapeError) as caught:
        layer.build(in_shape)
    assert str(caught.value) == message and layer.in_shape is None and not layer.params


def test_bad_inputs():
    def said(layer, x, **options):
        with pytest.raises(ShapeError) as caught:
            layer.predict(x, **options)
        return str(caught.value)

    query, value, key = inputs()
    assert said(scaled(), query) == f"Attention {TUPLE}(4, 3, 2) of float64{SOURCES}"
    assert "got (4, 3, 2) of float64, (4, 2) of float64: name two or three" in said(scaled(), (query, key[:, -1]))
    assert said(scaled(), (query, value)).startswith("Attention expects a query and a key of one size, got 2 and 3: ")
    assert "a key for each value, got 5 values and 4 keys." in said(scaled(), (query, value, key[:, 1:]))
    assert "as many rows in each input, got (4, 3, 2) of float64, (3, 5, 3)" in said(scaled(), (query, value[1:], key))
    assert "expects floats, as many rows" in said(scaled(), (query, value, key.astype(int)))
    assert said(additive(), (query, value)) == (
        "AdditiveAttention expects a query of size 2 and a key of size 2, got 2 and 3: it was built for these."
    )
    assert "a tuple, a mask or None for each of 3 inputs, got one array" in said(scaled(), inputs(), mask=QUERIES)
    assert "got (4, 5) of bool" in said(scaled(), inputs(), mask=(VALUES, None, None))
    with pytest.raises(minidl.NotBuiltError, match=r"AdditiveAttention has no 'Wq': it is not built"):
        AdditiveAttention(2)(inputs())
