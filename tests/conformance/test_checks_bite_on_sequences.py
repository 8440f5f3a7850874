"""Deliberately broken layers with states, masks and windows: each must fail the public checks, with plain words."""

import re

import numpy as np
import pytest

from minidl import LSTM, LastStep, Layer, LSTMState
from minidl.checking import CHECKS, check_layer
from tests.conformance.cases import finding

CHECK = {check.__name__: check for check in CHECKS}


class IgnoresMask(LastStep):
    def forward_with_state(self, x, state=None, *, mask=None, **rest):
        return super().forward_with_state(x, state, mask=None, **rest)


class IgnoresStart(LSTM):
    def forward_with_state(self, x, state=None, *, start=None, **rest):
        return super().forward_with_state(x, state, start=None, **rest)


class IgnoresStartWithMask(LSTM):
    def forward_with_state(self, x, state=None, *, start=None, mask=None, **rest):
        start = start if mask is None else None
        return super().forward_with_state(x, state, start=start, mask=mask, **rest)


class LeaksThroughStart(LSTM):
    """Rows begin anew in the forward pass, but the gradient flows back all the same."""

    def backward_with_state(self, dy, dstate, cache):
        return super().backward_with_state(dy, dstate, cache._replace(start=None))


class ForgetsState(LSTM):
    def forward_with_state(self, x, state=None, **rest):
        return super().forward_with_state(x, None, **rest)


class AddsPaddingToDx(LSTM):
    def backward_with_state(self, dy, dstate, cache):
        dx, before = super().backward_with_state(dy, dstate, cache)
        return dx + 1e-3, before


class NeedsDstate(LSTM):
    """Every test of its author hands a dstate in."""

    def backward_with_state(self, dy, dstate, cache):
        dh, dc = dstate
        return super().backward_with_state(dy, (dh, dc), cache)


class NoDstateIsOnes(LSTM):
    def backward_with_state(self, dy, dstate, cache):
        if dstate is None:
            dstate = (np.ones_like(cache.kernel.h[0]),) * 2
        return super().backward_with_state(dy, dstate, cache)


class DoublesDxWithMaskAndStart(LSTM):
    def forward_with_state(self, x, state=None, *, mask=None, start=None, **rest):
        y, after, cache = super().forward_with_state(x, state, mask=mask, start=start, **rest)
        return y, after, (cache, 1 if mask is None or start is None else 2)

    def backward_with_state(self, dy, dstate, cache):
        dx, before = super().backward_with_state(dy, dstate, cache[0])
        return cache[1] * dx, before


class InvertedMask(LSTM):
    def hand_on(self, mask):
        return ~mask


class LosesMask(LSTM):
    def hand_on(self, mask):
        return None


class KeepsMask(LastStep):
    def hand_on(self, mask):
        return mask


class EmitsOnes(LSTM):
    def forward_with_state(self, x, state=None, *, mask=None, **rest):
        y, after, cache = super().forward_with_state(x, state, mask=mask, **rest)
        return (y if mask is None else np.where(mask[..., None], y, 1)), after, (cache, mask)

    def backward_with_state(self, dy, dstate, cache):
        dy = dy if cache[1] is None else np.where(cache[1][..., None], dy, 0)
        return super().backward_with_state(dy, dstate, cache[0])


class ForgetsEmptyRows(LSTM):
    """A row of padding alone has state 0 behind it."""

    def forward_with_state(self, x, state=None, *, mask=None, **rest):
        y, after, cache = super().forward_with_state(x, state, mask=mask, **rest)
        real = np.ones(1) if mask is None else mask.any(axis=1)[:, None]
        return y, LSTMState(*(a * real for a in after)), (cache, real)

    def backward_with_state(self, dy, dstate, cache):
        dstate = None if dstate is None else tuple(d * cache[1] for d in dstate)
        return super().backward_with_state(dy, dstate, cache[0])


class HalfBackwards(LSTM):
    """y of an even number of steps is that of one step less."""

    def forward_with_state(self, x, state=None, *, mask=None, **rest):
        even = x.shape[1] % 2 == 0
        mask = np.ones(x.shape[:2], bool) if mask is None and even else mask
        if even:
            mask = mask & (np.arange(x.shape[1]) < x.shape[1] - 1)
        return super().forward_with_state(x, state, mask=mask, **rest)


class SwapsDstateInWindows(LSTM):
    """What comes back from a later window (a plain tuple) is taken as (dc, dh)."""

    def backward_with_state(self, dy, dstate, cache):
        dx, (dh, dc) = super().backward_with_state(dy, dstate, cache)
        return dx, (LSTMState(dc, dh) if dstate is not None and not dy.any() else LSTMState(dh, dc))


class MeanOverTime(Layer):
    """The mean of the real steps; a row without any divides by 0."""

    mixes_steps = True
    least = 0

    def setup(self, in_shape, rng, dtype):
        return in_shape[1:]

    def hand_on(self, mask):
        return None

    def forward_with_state(self, x, state=None, *, start=None, mask=None, rng=None, keep_cache=True):
        mask = np.ones(x.shape[:2], bool) if mask is None else mask
        with np.errstate(all="ignore"):
            share = mask / np.maximum(mask.sum(axis=1, keepdims=True), self.least).astype(x.real.dtype)
        share = share[..., None].astype(x.real.dtype)
        x = np.where(mask[..., None], x, 0)
        return (x * share).sum(axis=1), None, (share, mask)

    def backward_with_state(self, dy, dstate, cache):
        share, mask = cache
        return np.where(mask[..., None], dy[:, None] * share, 0), None


class MeanOverRealSteps(MeanOverTime):
    least = 1


class WrongForFullMask(MeanOverRealSteps):
    def forward_with_state(self, x, state=None, *, mask=None, **rest):
        y, state, (share, mask_) = super().forward_with_state(x, state, mask=mask, **rest)
        factor = 2 if mask is not None and mask.all() else 1
        return factor * y, state, (factor * share, mask_)


class CumulativeSum(Layer):
    """It mixes steps, and does not say so."""

    def forward(self, x, *, rng=None):
        return np.cumsum(x, axis=1), None

    def backward(self, dy, cache):
        return np.cumsum(dy[:, ::-1], axis=1)[:, ::-1]


class SecretMean(Layer):
    def setup(self, in_shape, rng, dtype):
        return in_shape[1:]

    def forward(self, x, *, rng=None):
        return x.mean(axis=1), x.shape

    def backward(self, dy, shape):
        return np.broadcast_to(dy[:, None] / shape[1], shape)


class WritesPaddingToX(MeanOverRealSteps):
    """Only where no cache is kept, and only with a mask."""

    def forward_with_state(self, x, state=None, *, mask=None, keep_cache=True, **rest):
        if mask is not None and not keep_cache:
            x[~mask] = 0
        return super().forward_with_state(x, state, mask=mask, keep_cache=keep_cache, **rest)


class Float64Mask(MeanOverRealSteps):
    def forward_with_state(self, x, state=None, *, mask=None, **rest):
        y, state, cache = super().forward_with_state(x, state, mask=mask, **rest)
        return (y if mask is None else y * mask.any(axis=1, keepdims=True).astype(float)), state, cache


class Differences(Layer):
    """y[t] = x[t + 1] - x[t], one step fewer than x has."""

    mixes_steps = True

    def setup(self, in_shape, rng, dtype):
        T, D = in_shape
        return (None if T is None else T - 1, D)

    def hand_on(self, mask):
        return mask[:, 1:] & mask[:, :-1]

    def forward_with_state(self, x, state=None, *, mask=None, **rest):
        x = x if mask is None else np.where(mask[..., None], x, 0)
        return x[:, 1:] - x[:, :-1], None, mask

    def backward_with_state(self, dy, dstate, mask):
        dx = np.pad(dy, ((0, 0), (1, 0), (0, 0))) - np.pad(dy, ((0, 0), (0, 1), (0, 0)))
        return (dx if mask is None else np.where(mask[..., None], dx, 0)), None


class LongMask(Differences):
    def hand_on(self, mask):
        return mask


class LostMask(Differences):
    def hand_on(self, mask):
        return None


class AnnouncesAllSteps(Differences):
    def setup(self, in_shape, rng, dtype):
        return in_shape


SEQUENCES = (None, 2)
BROKEN = [
    (IgnoresMask(), SEQUENCES, "check_padding", "what stands in the padding must not matter"),
    (IgnoresStart(3), SEQUENCES, "check_start", "start=True must begin from the initial state"),
    (
        IgnoresStartWithMask(3),
        SEQUENCES,
        "check_start",
        "with a mask, rows with start=True must begin from the initial",
    ),
    (LeaksThroughStart(3), SEQUENCES, "check_start", "incoming state must be 0 in rows with start=True"),
    (ForgetsState(3), SEQUENCES, "check_windows", "carried state gives another result"),
    (ForgetsState(3), SEQUENCES, "check_gradients", "gradient of h0"),
    (AddsPaddingToDx(3, return_sequences=True), SEQUENCES, "check_padding", "dx must be 0 in the steps"),
    (NeedsDstate(3), SEQUENCES, "check_linear", "dstate=None means that nothing .*, but .* raised TypeError"),
    (
        NoDstateIsOnes(3),
        SEQUENCES,
        "check_linear",
        "dstate=None means that nothing flows in .* another dx, dstate, dWx",
    ),
    (DoublesDxWithMaskAndStart(3), SEQUENCES, "check_gradients", "with a mask and start=True .*off by the factor 2"),
    (
        InvertedMask(3, return_sequences=True),
        SEQUENCES,
        "check_padding",
        r"hand_on\(mask\) must return the mask, bools",
    ),
    (LosesMask(3, return_sequences=True), SEQUENCES, "check_padding", r"hand_on\(mask\) must return the mask .* None"),
    (KeepsMask(), SEQUENCES, "check_padding", r"no steps that could be padding, so hand_on\(mask\) must return None"),
    (KeepsMask(), (4, 3, 2), "check_padding", r"no steps that could be padding, so hand_on\(mask\) must return None"),
    (EmitsOnes(3, return_sequences=True), SEQUENCES, "check_padding", "must emit 0 in the steps that are padding"),
    (ForgetsEmptyRows(3), SEQUENCES, "check_padding", "must keep its state .* row of padding alone"),
    (HalfBackwards(3), SEQUENCES, "check_windows", "two windows with carried state gives another result"),
    (HalfBackwards(3), SEQUENCES, "check_padding", "one more step of padding on the right must not matter"),
    (
        SwapsDstateInWindows(3, go_backwards=True),
        SEQUENCES,
        "check_windows",
        "over two windows.* differ from those of one pass in dstate",
    ),
    (MeanOverTime(), SEQUENCES, "check_padding", "with a mask, y.* is not finite.*np.maximum"),
    (
        WrongForFullMask(),
        SEQUENCES,
        "check_padding",
        "a mask that is True everywhere must be the same as no mask, but y",
    ),
    (
        CumulativeSum(),
        SEQUENCES,
        "check_padding",
        "y at some steps depends on x at other steps, but mixes_steps is False",
    ),
    (CumulativeSum(), (5, 3), "check_padding", "y at some steps depends on x at other steps, but mixes_steps is False"),
    (SecretMean(), SEQUENCES, "check_padding", "y has not the 5 steps of x.*set mixes_steps = True in SecretMean"),
    (WritesPaddingToX(), SEQUENCES, "check_keeps_inputs", "with a mask, with keep_cache=False .* but x changed"),
    (LongMask(), SEQUENCES, "check_padding", r"must return theirs, bools \(3, 4\), got another array \(3, 5\)"),
    (LostMask(), SEQUENCES, "check_padding", r"y has steps of its own, so hand_on\(mask\) must .* got None"),
    (AnnouncesAllSteps(), SEQUENCES, "check_shapes", r"announced outputs of shape \(3, 5, 2\) .* returned \(3, 4, 2\)"),
    (Float64Mask(), SEQUENCES, "check_float32", "with a mask, in float32, y comes out as float64"),
]


@pytest.mark.parametrize(
    ("layer", "in_shape", "check", "words"), BROKEN, ids=[f"{type(b[0]).__name__}-{b[2]}" for b in BROKEN]
)
def test_named_check_reports_a_broken_layer(layer, in_shape, check, words):
    message = finding(CHECK[check], layer, in_shape)
    assert message is not None
    assert re.search(words, message), message


def test_the_mended_mean_passes():
    report = check_layer(MeanOverRealSteps(), SEQUENCES)
    assert report.ok, report


@pytest.mark.parametrize("in_shape", [SEQUENCES, (4, 2)])
def test_a_layer_whose_y_has_fewer_steps_passes(in_shape):
    report = check_layer(Differences(), in_shape)
    assert report.ok, report
