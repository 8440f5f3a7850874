"""Add, Multiply, Concatenate: values, masks, and its errors."""

import numpy as np
import pytest

from minidl import Add, Concatenate, Multiply, ShapeError, load

A, B, C = (np.array([[a, b]]) for a, b in ((1.0, 2.0), (3.0, 0.0), (5.0, 6.0)))
LAYERS = [Add(), Multiply(), Concatenate()]
layers = pytest.mark.parametrize("layer", LAYERS, ids=repr)


@pytest.mark.parametrize(
    ("layer", "y", "dx"),
    [
        (Add(), [[9, 8]], [[[10, 100]]] * 3),
        (Multiply(), [[15, 0]], [[[150, 0]], [[50, 1200]], [[30, 0]]]),
        (Concatenate(), [[1, 2, 3, 0, 5, 6]], [[[10, 100]], [[1, 2]], [[3, 4]]]),
    ],
    ids=repr,
)
def test_by_hand(layer, y, dx):
    came, cache = layer.forward((A, B, C))
    assert came.tolist() == y
    dy = np.array([[10.0, 100.0, 1, 2, 3, 4]])[:, : came.shape[1]]
    assert [d.tolist() for d in layer.backward(dy, cache)] == dx


def test_a_product_of_zeros_has_a_gradient():
    with np.errstate(all="raise"):
        _, cache = Multiply().forward((A, B * 0, C))
        da, db, dc = Multiply().backward(np.ones((1, 2)), cache)
    assert not da.any() and (db == A * C).all() and not dc.any()


def test_the_same_array_twice_is_its_square():
    y, cache = Multiply().forward((A, A))
    assert (y == A * A).all() and (sum(Multiply().backward(np.ones((1, 2)), cache)) == 2 * A).all()


@layers
def test_a_step_is_real_where_it_is_in_all_inputs(layer):
    one, two = np.array([[True, True, False]]), np.array([[False, True, True]])
    assert layer.hand_on((one, None, two)).tolist() == [[False, True, False]]
    assert layer.hand_on((one, None)).tolist() == one.tolist() and layer.hand_on((None, None)) is None
    x = np.where(one[..., None], 1.0, np.nan), np.where(two[..., None], 1.0, np.nan)
    assert np.isfinite(layer.predict(x, mask=(one, two))).all()


@layers
def test_lengths_that_are_free_in_one_input_are_known_in_another(layer):
    assert layer.copy().build(((None, 3), (5, 3)))[0] == 5
    assert layer.copy().build(((None, 3), (None, 3)))[0] is None


@layers
def test_it_comes_back_from_a_file(layer, tmp_path):
    layer = layer.copy()
    layer.build(((None, 2), (None, 2)))
    layer.save(tmp_path / "layer.npz")
    loaded = load(tmp_path / "layer.npz")
    assert type(loaded) is type(layer) and loaded.in_shape == ((None, 2), (None, 2))


def said(function, *args):
    with pytest.raises(ShapeError) as caught:
        function(*args)
    return str(caught.value)


@layers
def test_one_input_only(layer):
    name = type(layer).__name__
    expected = f"{name} expects a tuple of two or more inputs, got "
    told = " alone: name several sources in the Graph."
    assert said(layer.build, (None, 4)) == f"{expected}[B, T, 4]{told}"
    assert said(layer.build, ((None, 4),)) == f"{expected}[B, T, 4]{told}"
    assert said(layer.predict, A) == said(layer.predict, (A,)) == f"{expected}(1, 2){told}"


def test_shapes_that_differ():
    hint = ": bring them to one size first, with a Dense for example."
    assert said(Add().build, ((None, 4), (None, 4), (None, 3))) == (
        f"Add expects inputs of one shape, got [B, T, 4] as input 0 and [B, T, 3] as input 2{hint}"
    )
    assert said(Multiply().build, ((5, 4), (None, 4), (6, 4))).startswith("Multiply expects inputs of one shape, got")
    assert said(Multiply().build, ((None, 4), (4,))).endswith(f"[B, T, 4] as input 0 and [B, 4] as input 1{hint}")
    assert said(Concatenate().build, ((5, 4), (6, 4))) == (
        f"Concatenate expects inputs that differ in the last axis alone, got [B, 5, 4] as input 0 and [B, 6, 4] as "
        f"input 1{hint}"
    )
    assert said(Concatenate().build, ((5, None), (5, 4))) == (
        "Concatenate expects known sizes of the last axis, got ([B, 5, T], [B, 5, 4])."
    )
    assert said(Add().predict, (A, np.ones((2, 2)))) == (
        f"Add expects inputs of one shape, got (1, 2) as input 0 and (2, 2) as input 1{hint}"
    )
    assert said(Concatenate().predict, (A, np.ones((1, 3, 2)))).startswith("Concatenate expects inputs that differ in")


def test_ids_are_no_summands():
    assert said(Add().predict, (A, np.ones((1, 2), int))) == (
        "Add expects floats, got (1, 2) of int64 as input 1: put an Embedding in front of it, or make them floats, "
        "x.astype(np.float32)."
    )
