"""`trace`: what it names is what the pass computed, forward and backward, whichever way the layer runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl

B, T, D, H = 3, 6, 4, 5
MASK = np.arange(T) < np.array([[T], [4], [2]])
TOLERANCE = 1e-10  # float64: the fast kernel adds in another order than its plain twin

LAYERS = {
    "lstm": lambda **o: minidl.LSTM(H, **o),
    "peephole": lambda **o: minidl.LSTM(H, peephole=True, **o),
    "full peephole": lambda **o: minidl.LSTM(H, peephole="full", **o),
    "hard": lambda **o: minidl.LSTM(H, recurrent_activation=minidl.HardSigmoid(slope=0.2), cell_clip=0.3, **o),
    "coupled": lambda **o: minidl.CoupledLSTM(H, peephole=True, **o),
    "gru": lambda **o: minidl.GRU(H, **o),
    "gru of Cho": lambda **o: minidl.GRU(H, reset_after=False, **o),
    "rnn": lambda **o: minidl.SimpleRNN(H, **o),
    "relu": lambda **o: minidl.SimpleRNN(H, activation=minidl.ReLU(), **o),
    "learned": lambda **o: minidl.LearnedState(minidl.LSTM(H, **o)),
}
FORWARD = {"lstm": "ifgcoh", "coupled": "ifgcoh", "gru": "rznh", "rnn": "h"}


def built(name: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    """A layer with big random weights, and what a pass through it is given."""
    rng = np.random.default_rng(5)
    layer = LAYERS[name](**options)
    layer.build((None, D), 1, np.float64)
    for p in layer.params.values():
        p.value[...] = rng.standard_normal(p.value.shape)
    first = layer.initial_state(B)
    state = type(first)(*(rng.standard_normal(a.shape) for a in first))
    dstate = type(first)(*(rng.standard_normal(a.shape) for a in first))
    shape = (B, T, H) if layer.return_sequences else (B, H)
    x, dy = rng.standard_normal((B, T, D)), rng.standard_normal(shape)
    return layer, {"x": x, "state": state, "dy": dy, "dstate": dstate}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_it_is_the_pass(name: str, sequences: bool, backwards: bool, masked: bool) -> None:
    layer, given = built(name, return_sequences=sequences, go_backwards=backwards)
    mask, start = MASK if masked else None, np.array([False, True, False])
    y, after, cache = layer.forward_with_state(given["x"], given["state"], start=start, mask=mask)
    layer.backward_with_state(given["dy"], given["dstate"], cache)
    grads = {name: p.grad.copy() for name, p in layer.params.items()}
    traced = layer.trace(**given, start=start, mask=mask)
    assert all(a.shape == (B, T, H) and a.dtype == np.float64 for a in traced.values())
    assert all((a[~MASK] == 0).all() for a in traced.values() if masked)
    if sequences:
        np.testing.assert_allclose(traced["h"], y, rtol=TOLERANCE, atol=TOLERANCE)
    else:
        last = np.zeros(B, int) if backwards else (MASK.sum(axis=1) - 1 if masked else np.full(B, T - 1))
        np.testing.assert_allclose(traced["h"][np.arange(B), last], after.h, rtol=TOLERANCE, atol=TOLERANCE)
    inner = "layer." if name == "learned" else ""
    blocks = {"coupled": "fog", "gru": "rzn", "gru of Cho": "rzn", "rnn": "", "relu": ""}.get(name, "ifog")
    prefix = "da_" if "gru" in name else "dz_"
    deltas = [traced[prefix + k] for k in blocks] if blocks else [traced["dz"]]
    dz = np.concatenate(deltas, axis=-1)
    x = np.where(mask[..., None], given["x"], 0) if masked else given["x"]
    np.testing.assert_allclose(dz.sum(axis=(0, 1)), grads[f"{inner}b"], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(np.einsum("btd,bth->dh", x, dz), grads[f"{inner}Wx"], rtol=1e-8, atol=1e-9)
    if "bh" in grads:
        np.testing.assert_allclose(traced["ds"].sum(axis=(0, 1)), grads["bh"], rtol=1e-8, atol=1e-9)
    assert all((p.grad == grads[key]).all() for key, p in layer.params.items())  # nothing was added


@pytest.mark.parametrize("name", FORWARD)
def test_without_a_gradient_there_is_none(name: str) -> None:
    layer, given = built(name)
    assert "".join(layer.trace(given["x"])) == FORWARD[name]
    assert "dh" in layer.trace(given["x"], dstate=layer.initial_state(B))


def test_the_gates_are_those_of_the_equations() -> None:
    layer, given = built("lstm", return_sequences=True, go_backwards=True)
    q = layer.trace(given["x"], given["state"])
    after = np.concatenate([q["c"][:, 1:], given["state"].c[:, None]], axis=1)  # it runs from the last step on
    np.testing.assert_allclose(q["f"] * after + q["i"] * q["g"], q["c"], rtol=1e-12)
    np.testing.assert_allclose(q["o"] * np.tanh(q["c"]), q["h"], rtol=1e-12)


def test_coupled_gates_add_up_to_one() -> None:
    layer, given = built("coupled")
    q = layer.trace(**given)
    np.testing.assert_allclose(q["i"] + q["f"], 1, rtol=1e-12)
    assert "dz_i" not in q


def test_dropout_is_that_of_the_pass() -> None:
    layer, given = built("gru", return_sequences=True, recurrent_dropout=0.5)
    y = layer.forward_with_state(given["x"], rng=np.random.default_rng(3))[0]
    np.testing.assert_allclose(layer.trace(given["x"], rng=np.random.default_rng(3))["h"], y, rtol=TOLERANCE)
    assert abs(layer.trace(given["x"])["h"] - y).max() > 1e-3


def test_a_gradient_reaches_back_through_dh() -> None:
    layer, given = built("rnn", return_sequences=True)
    dy = np.zeros_like(given["dy"])
    dy[1, 3] = 1
    dh = layer.trace(given["x"], dy=dy)["dh"]
    assert (dh[1, 3] == 1).all() and not dh[1, 4:].any() and not dh[[0, 2]].any() and dh[1, :3].all()


def test_an_empty_sequence_has_empty_quantities() -> None:
    layer, given = built("lstm", return_sequences=True)
    traced = layer.trace(given["x"][:, :0], dy=given["dy"][:, :0])
    assert len(traced) == 12 and all(a.shape == (B, 0, H) for a in traced.values())


def test_what_does_not_fit_is_refused() -> None:
    layer, given = built("lstm")
    with pytest.raises(minidl.ShapeError, match=r"LSTM expects x of shape \[B, T, 4\]"):
        layer.trace(given["x"][..., :2])
    with pytest.raises(minidl.ShapeError, match="LSTM expects a state of arrays"):
        layer.trace(given["x"], state=(given["x"],))


def test_a_learned_state_tells_where_there_is_nothing_to_trace() -> None:
    class Bare(minidl.Stateful):
        def initial_state(self, batch):
            return (np.zeros((batch, D)),)

        def forward_with_state(self, x, state=None, *, start=None, mask=None, rng=None, keep_cache=True):
            return x, state, None

        def backward_with_state(self, dy, dstate, cache):
            return dy, dstate

    learned = minidl.LearnedState(Bare())
    learned.build((None, D))
    with pytest.raises(minidl.ArgumentError, match="LearnedState cannot trace a Bare, which has no trace"):
        learned.trace(np.zeros((B, T, D)))
