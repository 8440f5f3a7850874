"""A stack of minidl's recurrent layers whose state is h alone, beside PyTorch's module of the same weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl import Sequential
from tests.oracles.shapes import SHAPES, Shape

torch = pytest.importorskip("torch")

shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def check(
    module: Callable[..., Any],
    layers: list[Any],
    to_torch: Callable[[Any], dict[str, Any]],
    from_torch: Callable[[dict[str, Any]], dict[str, Any]],
    shape: Shape,
    lengths: Any,
    start: Any,
    seed: int,
) -> None:
    """One pass and its backward in both libraries: random weights, states and cotangents, NaN in the padding.

    `to_torch` gives a layer's parameters by PyTorch's names, `from_torch` turns gradients by these into minidl's.
    """
    B, T, D, H = shape[:4]
    rng, last = np.random.default_rng(seed), layers[-1]
    reverse, sequences = last.go_backwards, last.return_sequences
    net = Sequential(layers)
    net.build((None, D), seed=seed, dtype=np.float64)
    x, (h0, dh) = rng.standard_normal((B, T, D)), rng.standard_normal((2, len(layers), B, H))
    dy = rng.standard_normal((B, T, H) if sequences else (B, H))
    mask = None if lengths is None else np.arange(T) < np.array(lengths)[:, None]
    if mask is not None:
        x[~mask] = np.nan

    def by_name(states: Any) -> dict[str, Any]:
        return {name: (h,) for name, h in zip(net.layers, states, strict=True)}

    y, state, cache = net.forward_with_state(x, by_name(h0), start=start, mask=mask)
    dx, dstate = net.backward_with_state(dy, by_name(dh), cache)
    ours = {"y": y, "dx": dx, "h": [s.h for s in state.values()], "dh0": [s.h for s in dstate.values()]}
    ours |= {name: p.grad for name, p in net.params.items()}

    twin = module(D, H, len(layers), batch_first=True, bidirectional=reverse, dtype=torch.float64)
    weights = [
        {name: getattr(twin, f"{name}_l{k}{'_reverse' if reverse else ''}") for name in to_torch(layer)}
        for k, layer in enumerate(layers)
    ]
    with torch.no_grad():
        for layer, named in zip(layers, weights, strict=True):
            for name, value in to_torch(layer).items():
                named[name].copy_(torch.tensor(value))
    tx, th0 = (torch.tensor(a, requires_grad=True) for a in (x, h0))
    goes_on = torch.tensor(np.ones((B, 1)) if start is None else ~np.array(start)[:, None], dtype=torch.float64)
    first = th0 * goes_on
    if reverse:  # the directions alternate: forward, reverse
        assert len(layers) == 1, "the second layer of PyTorch's would see both directions"
        first = torch.cat([torch.zeros_like(first), first])
    if lengths is None:
        ty, th = twin(tx, first)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            tx, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        ty, th = twin(packed, first)
        ty, _ = torch.nn.utils.rnn.pad_packed_sequence(ty, batch_first=True, total_length=T)
    if reverse:
        ty, th = ty[..., H:], th[1::2]
    ty = ty if sequences else th[-1]
    ((ty * torch.tensor(dy)).sum() + (th * torch.tensor(dh)).sum()).backward()
    theirs = {"y": ty.detach(), "dx": tx.grad, "h": th.detach(), "dh0": th0.grad}
    for slot, named in zip(net.layers, weights, strict=True):
        grads = from_torch({name: p.grad.numpy() for name, p in named.items()})
        theirs |= {f"{slot}.{name}": grad for name, grad in grads.items()}

    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        expected = np.asarray(theirs[name])
        assert np.shape(array) == expected.shape, name
        np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-10, err_msg=name)
