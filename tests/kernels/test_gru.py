"""The fast GRU kernel equals its plain twin, forward and backward, on random and on extreme inputs."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import ShapeError
from minidl.kernels import gru_backward, gru_backward_reference, gru_forward, gru_forward_reference, gru_steps
from tests.kernels.rounding import check_within_rounding, to_float64
from tests.parameters import slow

pytestmark = pytest.mark.usefixtures("kernels")
size = st.integers(1, 20)
resets = pytest.mark.parametrize("reset_after", [False, True])


def case(B, T, D, H, reset_after, masked, dropped, dtype, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = (B, T, D), (B, H), (D, 3 * H), (H, 3 * H), (3 * H,), (H,)
    arrays = [(scale * rng.standard_normal(shape)).astype(dtype) for shape in shapes]
    if not reset_after:
        arrays[-1] = None
    options = {
        "mask": rng.random((B, T)) < 0.6 if masked else None,
        "drop": (rng.random((B, H)) < 0.5).astype(dtype) * 2 if dropped else None,
    }
    return arrays, options, rng


def reference(arrays, options, backwards, dy, dh, convert):
    """All results of both passes of the plain twin by name, on converted arrays."""
    arrays, (dy, dh) = ([None if a is None else convert(a) for a in some] for some in (arrays, (dy, dh)))
    _, _, Wx, Wh, _, bh = arrays
    drop = None if options["drop"] is None else convert(options["drop"])
    y, h, steps = gru_forward_reference(*arrays, mask=options["mask"], drop=drop, go_backwards=backwards)
    dx, dh0, grads = gru_backward_reference(dy, dh, steps, Wx, Wh, bh, drop=drop)
    return {"y": y, "h": h, "dx": dx, "dh0": dh0, **grads}


@given(
    st.integers(1, 9), st.integers(0, 7), size, size, st.booleans(), st.booleans(), st.booleans(), st.booleans(),
    st.booleans(), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_fast_equals_reference(B, T, D, H, reset_after, masked, dropped, backwards, with_dy, dtype, seed):
    arrays, options, rng = case(B, T, D, H, reset_after, masked, dropped, dtype, seed)
    y, h, cache = gru_forward(*arrays, **options, go_backwards=backwards)
    dy = rng.standard_normal(y.shape).astype(dtype) if with_dy else None
    dh = rng.standard_normal(h.shape).astype(dtype)
    dx, dh0, grads = gru_backward(dy, dh, cache)
    plain = partial(reference, arrays, options, backwards, dy, dh)
    results = {"y": y, "h": h, "dx": dx, "dh0": dh0, **grads}
    assert {*results} == {*plain(to_float64)}
    check_within_rounding(results, plain, dtype)


@pytest.mark.parametrize("block", [1, 100, 200])
@pytest.mark.parametrize("masked", [False, True])
@resets
def test_blocks_of_steps_change_no_bit(block, reset_after, masked, monkeypatch):
    arrays, options, rng = case(3, 7, 4, 6, reset_after, masked, True, np.float64, 0)
    y, h, cache = gru_forward(*arrays, **options)
    given = rng.standard_normal(y.shape), rng.standard_normal(h.shape)
    *whole, grads = gru_backward(*given, cache)
    monkeypatch.setattr(gru_steps, "BLOCK", block)
    *parts, grads_ = gru_backward(*given, cache)
    assert all((a == b).all() for a, b in zip([*whole, *grads.values()], [*parts, *grads_.values()], strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-4, 1e2, 1e4])
@resets
def test_extreme_inputs_give_finite_results(scale, reset_after, dtype):
    arrays, options, _ = case(3, 5, 4, 6, reset_after, True, True, dtype, 0, scale)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y, h, cache = gru_forward(*arrays, **options)
        dx, dh0, grads = gru_backward(np.ones_like(y), np.ones_like(h), cache)
    y_, h_, _ = gru_forward_reference(*arrays, **options)
    for a, b in (y, y_), (h, h_):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * abs(b).max())
    assert all(np.isfinite(a).all() for a in (dx, dh0, *grads.values()))


@resets
def test_without_a_cache_the_same(reset_after):
    arrays, options, _ = case(3, 5, 4, 6, reset_after, True, False, np.float32, 1)
    *kept, cache = gru_forward(*arrays, **options)
    *light, none = gru_forward(*arrays, **options, keep_cache=False)
    assert cache is not None and none is None
    assert all((a == b).all() for a, b in zip(kept, light, strict=True))


@resets
def test_complex_numbers_pass_through(reset_after):
    arrays, options, rng = case(2, 3, 2, 3, reset_after, True, True, np.complex128, 2, 0.5)
    arrays[0] = arrays[0] + 0.1j
    y, h, cache = gru_forward(*arrays, **options)
    dy, dh = rng.standard_normal(y.shape), rng.standard_normal(h.shape)
    *dxs, grads = gru_backward(dy, dh, cache)
    plain = reference(arrays, options, False, dy, dh, lambda a: a.astype(np.complex128))
    for fast, exact in zip((y, h, *dxs, *grads.values()), plain.values(), strict=True):
        np.testing.assert_allclose(fast, exact, rtol=1e-12, atol=1e-14)
    assert y.imag.any() and dxs[0].imag.any()


@pytest.mark.usefixtures("two_threads")
@resets
@pytest.mark.parametrize("sizes", [(50, 60, 64, 65), *map(slow, [(2, 400, 33, 130), (7, 300, 40, 100)])])
def test_shared_by_two_threads_equals_the_reference(sizes, reset_after):
    arrays, options, _ = case(*sizes, reset_after, True, True, np.float64, 3, 0.05)
    passes = []
    for _ in range(2):
        y, h, cache = gru_forward(*arrays, **options)
        *dxs, grads = gru_backward(y, h, cache)
        passes.append((y, h, *dxs, *grads.values()))
    assert all((a == b).all() for a, b in zip(*passes, strict=True))
    plain = reference(arrays, options, False, *passes[0][:2], to_float64)
    for fast, exact in zip(passes[0], plain.values(), strict=True):
        np.testing.assert_allclose(fast, exact, rtol=1e-10, atol=1e-12 * max(1.0, abs(exact).max()))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@resets
def test_a_nan_is_not_lost(bad, reset_after):
    arrays, _, _ = case(3, 5, 4, 20, reset_after, False, False, np.float32, 1, 0.3)
    arrays[0][1, 2, 3] = bad
    with np.errstate(all="ignore"):
        y, *_ = gru_forward(*arrays)
        y_, *_ = gru_forward_reference(*arrays)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(y_))
    assert np.isnan(y[1, 2:]).all() == np.isnan(bad)


@pytest.mark.parametrize("wrong", ["dy", "dh"])
def test_a_gradient_of_another_shape_is_refused(wrong):
    arrays, _, _ = case(3, 5, 4, 6, True, False, False, np.float32, 1)
    y, h, cache = gru_forward(*arrays)
    given = {"dy": y, "dh": h}
    given[wrong] = given[wrong][..., :1]
    with pytest.raises(ShapeError, match=f"The GRU expects {wrong} of shape"):
        gru_backward(*given.values(), cache)


@pytest.mark.parametrize("at", range(6))
def test_arguments_of_another_shape_are_refused(at):
    arrays, _, _ = case(3, 5, 4, 6, True, False, False, np.float32, 1)
    arrays[at] = arrays[at][..., :-1]
    with pytest.raises(ShapeError, match="expects"):
        gru_forward(*arrays)
