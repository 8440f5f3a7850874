"""LayerNorm: values by hand, and rows that are large or constant."""

import numpy as np
import pytest

import minidl
from minidl import ArgumentError, LayerNorm, ShapeError


def norm(D=4, dtype=np.float32, **options):
    layer = LayerNorm(**options)
    layer.build((D,), dtype=dtype)
    return layer


def test_by_hand():
    layer = norm(2, np.float64, eps=0.75)
    layer.g.value[...], layer.b.value[...] = [2.0, 10.0], [0.5, -1.0]
    np.testing.assert_allclose(layer(np.array([[4.5, 5.5]])), [[0.5 - 1.0, -1.0 + 5.0]], rtol=1e-14)


@pytest.mark.parametrize("size", [1e4, 1e7])
def test_large_rows_are_as_exact_as_small_ones(size):
    """What is far from 0 loses the digits that float32 cannot hold, and no more."""
    x = (size + 100 * np.random.default_rng(0).standard_normal((3, 64))).astype(np.float32)
    exact = norm(64, np.float64)(x.astype(np.float64))
    with np.errstate(all="raise"):
        np.testing.assert_allclose(norm(64)(x), exact, atol=2e-6)


@pytest.mark.parametrize("value", [0.0, 1e4, 12345.678, -3e7, 1e-30, 1e18])
def test_a_constant_row_gives_the_shift(value):
    layer = norm(7)
    layer.b.value[...] = 0.25
    x = np.full((2, 7), value, np.float32)
    with np.errstate(all="raise", under="ignore"):
        y, cache = layer.forward(x)
        dx = layer.backward(np.arange(14, dtype=np.float32).reshape(2, 7), cache)
    assert (y == 0.25).all() and np.isfinite(dx).all()


def test_integers_stay_float32():
    assert norm(2)([[1, 3]]).dtype == np.float32


def test_it_comes_back_from_a_file(tmp_path):
    layer = norm(3, eps=0.5)
    layer.g.value[...] = [1, 2, 3]
    layer.save(tmp_path / "norm.npz")
    loaded = minidl.load(tmp_path / "norm.npz")
    assert loaded.eps == 0.5 and (loaded([[1.0, 2.0, 4.0]]) == layer([[1.0, 2.0, 4.0]])).all()


def test_errors():
    for eps in (0, -1.0, "small", True, np.inf):
        with pytest.raises(ArgumentError, match="LayerNorm expects eps to be a positive number, got"):
            LayerNorm(eps=eps)
    with pytest.raises(ArgumentError, match=r"eps below 1, got 32: it takes its size from its input, write LayerNorm"):
        LayerNorm(eps=32)
    with pytest.raises(ShapeError, match=r"LayerNorm expects a known size of the last axis, got in_shape \(3, None\)"):
        LayerNorm().build((3, None))
    with pytest.raises(ShapeError, match=r"LayerNorm expects x of shape \[..., 4\], got \(2, 3\): it was built for"):
        norm()(np.ones((2, 3)))
