"""minidl against PyTorch, in float64: LayerNorm, Conv1D, attention with masks; y and all gradients."""

from typing import Any

import numpy as np
import pytest

from minidl import Attention, Conv1D, LayerNorm

torch = pytest.importorskip("torch")
F = torch.nn.functional


def agree(ours: Any, theirs: Any) -> None:
    """The same numbers, to the rounding of sums that run in another order."""
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12, atol=1e-12)


def leaf(array: Any) -> torch.Tensor:
    """A copy as a tensor that collects a gradient."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("shape", [(1, 1), (4, 7), (3, 5, 16), (2, 3, 4, 9)], ids=str)
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_layer_norm(shape: tuple[int, ...], eps: float) -> None:
    layer = LayerNorm(eps=eps)
    layer.build(shape[1:], dtype=np.float64)
    layer.g.value[...], layer.b.value[...] = random(2, shape[-1], seed=1)
    x, dy = 3 * random(*shape) + 2, random(*shape, seed=2)
    y, cache = layer.forward(x)
    dx = layer.backward(dy, cache)
    tx, tg, tb = leaf(x), leaf(layer.g.value), leaf(layer.b.value)
    ty = F.layer_norm(tx, shape[-1:], tg, tb, eps)
    ty.backward(torch.tensor(dy))
    for ours, theirs in (y, ty), (dx, tx.grad), (layer.g.grad, tg.grad), (layer.b.grad, tb.grad):
        agree(ours, theirs)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # theirs pads a copy, it says
@pytest.mark.parametrize(("B", "T", "D", "H"), [(1, 9, 1, 1), (3, 12, 5, 4), (2, 30, 17, 33)])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_conv1d(padding: str, width: int, B: int, T: int, D: int, H: int) -> None:
    layer = Conv1D(H, width, padding=padding)
    layer.build((None, D), seed=1, dtype=np.float64)
    layer.b.value[...] = random(H, seed=1)
    x = random(B, T, D)
    y, cache = layer.forward(x)
    dy = random(*y.shape, seed=2)
    dx = layer.backward(dy, cache)
    tx, tW, tb = leaf(x), leaf(layer.W.value), leaf(layer.b.value)
    rows, weight = tx.transpose(1, 2), tW.permute(2, 1, 0)  # theirs: x [B, D, T], W [H, D, width]
    if padding == "causal":
        ty = F.conv1d(F.pad(rows, (width - 1, 0)), weight, tb).transpose(1, 2)
    else:
        ty = F.conv1d(rows, weight, tb, padding=padding).transpose(1, 2)
    ty.backward(torch.tensor(dy))
    for ours, theirs in (y, ty), (dx, tx.grad), (layer.W.grad, tW.grad), (layer.b.grad, tb.grad):
        agree(ours, theirs)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("B", "TQ", "TV", "D", "DV"), [(1, 1, 1, 1, 1), (3, 4, 6, 5, 2), (4, 20, 9, 8, 16)])
def test_attention(B: int, TQ: int, TV: int, D: int, DV: int, masked: bool) -> None:
    layer = Attention()
    layer.build(((None, D), (None, DV), (None, D)), dtype=np.float64)
    x = 2 * random(B, TQ, D), random(B, TV, DV, seed=1), 2 * random(B, TV, D, seed=2)
    lengths = 1 + np.random.default_rng(3).integers(0, TV, B)  # with none at all theirs gives NaN
    mask = np.arange(TV) < lengths[:, None]
    dy = random(B, TQ, DV, seed=4)
    y, _, cache = layer.forward_with_state(x, mask=(None, mask, None) if masked else None)
    dx, _ = layer.backward_with_state(dy, None, cache)
    query, value, key = map(leaf, x)
    allowed = torch.tensor(mask)[:, None, :] if masked else None
    ty = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    ty.backward(torch.tensor(dy))
    agree(y, ty)
    for ours, theirs in zip(dx, (query, value, key), strict=True):
        agree(ours, theirs.grad)
