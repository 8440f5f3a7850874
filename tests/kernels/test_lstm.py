"""The fast LSTM kernel equals its plain twin, forward and backward, on random and on extreme inputs."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import ShapeError
from minidl.kernels import (
    Gate,
    lstm_backward,
    lstm_backward_reference,
    lstm_forward,
    lstm_forward_reference,
    lstm_steps,
)
from tests.kernels.rounding import check_within_rounding, to_float64
from tests.parameters import fraction

pytestmark = pytest.mark.usefixtures("kernels")
size = st.integers(1, 20)


def case(B, T, D, H, peephole, masked, dropped, dtype, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    x, h0, c0 = rng.standard_normal((B, T, D)), rng.standard_normal((B, H)), rng.standard_normal((B, H))
    Wx, Wh, b = rng.standard_normal((D, 4 * H)), rng.standard_normal((H, 4 * H)), rng.standard_normal(4 * H)
    p = {"none": None, "diagonal": rng.standard_normal((3, H)), "full": rng.standard_normal((3, H, H))}[peephole]
    arrays = [None if a is None else (scale * a).astype(dtype) for a in (x, h0, c0, Wx, Wh, b, p)]
    options = {
        "mask": rng.random((B, T)) < 0.6 if masked else None,
        "r": (rng.random((B, H)) < 0.5).astype(dtype) * 2 if dropped else None,
    }
    return arrays, options, rng


@given(
    st.integers(1, 9), st.integers(1, 7), size, size, st.sampled_from(["none", "diagonal", "full"]), st.booleans(),
    st.booleans(), st.booleans(), st.booleans(), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_fast_equals_reference(B, T, D, H, peephole, masked, dropped, backwards, with_dy, dtype, seed):
    arrays, options, rng = case(B, T, D, H, peephole, masked, dropped, dtype, seed)
    y, h, c, cache = lstm_forward(*arrays, **options, go_backwards=backwards)
    dy = rng.standard_normal(y.shape).astype(dtype) if with_dy else None
    dh, dc = (rng.standard_normal(h.shape).astype(dtype) for _ in range(2))
    *dxs, grads = lstm_backward(dy, dh, dc, cache)
    plain = partial(reference, arrays, options, backwards, dy, dh, dc)
    results = {"y": y, "h": h, "c": c, **dict(zip(("dx", "dh0", "dc0"), dxs, strict=True)), **grads}
    assert {*results} == {*plain(to_float64)}
    check_within_rounding(results, plain, dtype)


def reference(arrays, options, backwards, dy, dh, dc, convert):
    """All results of both passes of the plain twin by name, on converted arrays."""
    arrays, (dy, dh, dc) = ([None if a is None else convert(a) for a in some] for some in (arrays, (dy, dh, dc)))
    r = None if options["r"] is None else convert(options["r"])
    y, h, c, cache = lstm_forward_reference(*arrays, mask=options["mask"], r=r, go_backwards=backwards)
    dx, dh0, dc0, grads = lstm_backward_reference(dy, dh, dc, cache)
    return {"y": y, "h": h, "c": c, "dx": dx, "dh0": dh0, "dc0": dc0, **grads}


@pytest.mark.parametrize("block", [1, 100, 200])
@pytest.mark.parametrize("peephole", ["none", "diagonal", "full"])
@pytest.mark.parametrize("masked", [False, True])
def test_blocks_of_steps_change_no_bit(block, peephole, masked, monkeypatch):
    arrays, options, rng = case(3, 7, 4, 6, peephole, masked, True, np.float64, 0)
    y, h, c, cache = lstm_forward(*arrays, **options)
    given = rng.standard_normal(y.shape), rng.standard_normal(h.shape), rng.standard_normal(c.shape)
    *whole, grads = lstm_backward(*given, cache)
    monkeypatch.setattr(lstm_steps, "BLOCK", block)
    *parts, grads_ = lstm_backward(*given, cache)
    assert all((a == b).all() for a, b in zip([*whole, *grads.values()], [*parts, *grads_.values()], strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("peephole", ["none", "diagonal", "full"])
@pytest.mark.parametrize("scale", [1e-4, 1e2, 1e4])
def test_extreme_inputs_give_finite_results(scale, peephole, dtype):
    arrays, options, _ = case(3, 5, 4, 6, peephole, True, True, dtype, 0, scale)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y, h, c, cache = lstm_forward(*arrays, **options)
        dx, dh0, dc0, grads = lstm_backward(np.ones_like(y), np.ones_like(h), np.ones_like(c), cache)
    y_, h_, c_, _ = lstm_forward_reference(*arrays, **options)
    for a, b in (y, y_), (h, h_), (c, c_):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * abs(b).max())
    assert all(np.isfinite(a).all() for a in (dx, dh0, dc0, *grads.values()))


def test_without_a_cache_the_same():
    arrays, options, _ = case(3, 5, 4, 6, "diagonal", True, False, np.float32, 1)
    *kept, cache = lstm_forward(*arrays, **options)
    *light, none = lstm_forward(*arrays, **options, keep_cache=False)
    assert cache is not None and none is None
    assert all((a == b).all() for a, b in zip(kept, light, strict=True))


def test_a_mask_of_numbers_is_a_mask():
    arrays, options, _ = case(3, 5, 4, 6, "diagonal", True, False, np.float64, 1)
    y, *_ = lstm_forward(*arrays, mask=options["mask"])
    y_, *_ = lstm_forward(*arrays, mask=options["mask"].astype(int))
    assert (y == y_).all()


def test_complex_numbers_pass_through():
    arrays, options, _ = case(2, 3, 2, 3, "full", True, True, np.complex128, 2, 0.5)
    arrays[0] = arrays[0] + 0.1j
    y, h, c, _ = lstm_forward(*arrays, **options)
    y_, h_, c_, _ = lstm_forward_reference(*arrays, **options)
    for a, b in (y, y_), (h, h_), (c, c_):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert y.imag.any()


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("peephole", "sizes"), fraction(["none", "diagonal"], [(50, 60, 64, 65), (2, 400, 33, 130), (7, 300, 40, 100)])
)
def test_shared_by_two_threads_equals_the_reference(sizes, peephole):
    arrays, options, _ = case(*sizes, peephole, True, True, np.float64, 3, 0.05)
    passes = []
    for _ in range(2):
        y, h, c, cache = lstm_forward(*arrays, **options)
        *dxs, grads = lstm_backward(y, h, c, cache)
        passes.append((y, h, c, *dxs, *grads.values()))
    assert all((a == b).all() for a, b in zip(*passes, strict=True))
    y_, h_, c_, cache = lstm_forward_reference(*arrays, **options)
    *dxs_, grads_ = lstm_backward_reference(y_, h_, c_, cache)
    for fast, plain in zip(passes[0], (y_, h_, c_, *dxs_, *grads_.values()), strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-10, atol=1e-12 * max(1.0, abs(plain).max()))


def hard(z):
    """Gates of slope 0.3, as complex steps need them."""
    y = 0.3 * z + 0.5
    return np.where(y.real < 0, 0, np.where(y.real > 1, 1, y))


HARD = Gate(hard, lambda dy, y: np.where((y.real > 0) & (y.real < 1), 0.3 * dy, 0))


RARE = {"hard": {"gate": HARD}, "clipped": {"cell_clip": 0.5}, "both": {"gate": HARD, "cell_clip": 0.5}}


@pytest.mark.parametrize("rare", RARE)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("peephole", ["none", "diagonal", "full"])
def test_the_gradients_of_rare_options_by_complex_steps(peephole, backwards, rare):
    arrays, options, rng = case(3, 5, 4, 6, peephole, True, True, np.float64, 7)
    options |= RARE[rare] | {"go_backwards": backwards}
    names = ["x", "h0", "c0", "Wx", "Wh", "b", "p"]
    y, h, c, cache = lstm_forward_reference(*arrays, **options)
    given = [rng.standard_normal(a.shape) for a in (y, h, c)]
    *dxs, grads = lstm_backward_reference(*given, cache)
    found = dict(zip(("x", "h0", "c0"), dxs, strict=True)) | grads
    for at, a in enumerate(arrays):
        if a is None:
            continue
        direction = rng.standard_normal(a.shape)  # sees every entry
        moved = [None if b is None else b + 1e-30j * direction if k == at else b + 0j
                 for k, b in enumerate(arrays)]  # fmt: skip
        results = lstm_forward_reference(*moved, **options)[:3]
        slope = sum((d * out.imag).sum() for d, out in zip(given, results, strict=True)) / 1e-30
        assert (found[names[at]] * direction).sum() == pytest.approx(slope, rel=1e-10, abs=1e-12), names[at]


def test_rare_options_that_change_nothing():
    arrays, options, _ = case(3, 5, 4, 6, "diagonal", True, True, np.float32, 7)
    y, h, c, cache = lstm_forward_reference(*arrays, **options)
    *wide, cache_ = lstm_forward_reference(*arrays, **options, cell_clip=1e6)
    *light, none = lstm_forward_reference(*arrays, **options, cell_clip=1e6, keep_cache=False)
    assert all((a == b).all() and a.dtype == b.dtype for a, b in zip((y, h, c) * 2, (*wide, *light), strict=True))
    assert none is None
    *one, grads = lstm_backward_reference(y, h, c, cache)
    *two, grads_ = lstm_backward_reference(y, h, c, cache_)
    pairs = zip((*one, *grads.values()), (*two, *grads_.values()), strict=True)
    assert all((a == b).all() and a.dtype == b.dtype == np.float32 for a, b in pairs)


def test_complex_gradients_of_the_reference():
    """The backward pass is linear in what comes in, so that complex numbers go through it, part by part."""
    arrays, options, rng = case(2, 4, 3, 5, "full", True, False, np.float64, 7)
    *outs, cache = lstm_forward_reference(*arrays, **options, cell_clip=0.5)
    one, two = ([rng.standard_normal(a.shape) for a in outs] for _ in range(2))

    def gradients(given):
        *dxs, grads = lstm_backward_reference(*given, cache)
        return [*dxs, *grads.values()]

    both = gradients([a + 1j * b for a, b in zip(one, two, strict=True)])
    for came, a, b in zip(both, gradients(one), gradients(two), strict=True):
        np.testing.assert_allclose(came, a + 1j * b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_nan_is_not_lost(bad):
    arrays, _, _ = case(3, 5, 4, 20, "none", False, False, np.float32, 1, 0.3)
    arrays[0][1, 2, 3] = bad
    arrays[3][3] = np.where(arrays[3][3] == 0, 1, arrays[3][3])
    with np.errstate(all="ignore"):
        y, *_ = lstm_forward(*arrays)
        y_, *_ = lstm_forward_reference(*arrays)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(y_))
    assert np.isnan(y[1, 2:]).all() == np.isnan(bad)


@pytest.mark.parametrize("wrong", ["dy", "dh", "dc"])
def test_a_gradient_of_another_shape_is_refused(wrong):
    arrays, _, _ = case(3, 5, 4, 6, "none", False, False, np.float32, 1)
    y, h, c, cache = lstm_forward(*arrays)
    given = {"dy": y, "dh": h, "dc": c}
    given[wrong] = given[wrong][..., :1]
    with pytest.raises(ShapeError, match=f"expects {wrong} of shape"):
        lstm_backward(*given.values(), cache)


@pytest.mark.parametrize("at", range(7))
def test_arguments_of_another_shape_are_refused(at):
    arrays, _, _ = case(3, 5, 4, 6, "diagonal", False, False, np.float32, 1)
    arrays[at] = arrays[at][..., :-1]
    with pytest.raises(ShapeError, match="expects"):
        lstm_forward(*arrays)
