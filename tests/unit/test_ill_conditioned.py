"""Exploding and chaotic nets: their right gradients are never called wrong, and their wrong ones are found."""

import numpy as np
import pytest

import minidl
from minidl import GRU, LSTM, Batch, Dense, MeanSquaredError, Sequential, SimpleRNN
from minidl.checking import check_functions, check_layer, gradcheck
from minidl.checking.report import ILL_CONDITIONED
from tests.parameters import fraction

LAYERS = {"rnn": SimpleRNN, "gru": GRU, "lstm": LSTM}
CHAOTIC = [("rnn", 1.0, 40, 48), ("gru", 3.0, 60, 40), ("lstm", 3.0, 60, 40)]
MILD = [("rnn", 0.5, 40, 32), ("gru", 1.0, 40, 16), ("lstm", 1.0, 40, 32)]


def wild(layer, scale, T, seed=0):
    """A net whose recurrent weights are N(scale), and a batch for it."""
    rng = np.random.default_rng(seed)
    net = Sequential([layer, Dense(2)])
    net.build((None, 3), seed=seed)
    recurrent = layer.params["Wh"].value
    recurrent[...] = rng.normal(0, scale, recurrent.shape)
    return net, Batch(rng.standard_normal((3, T, 3)), rng.standard_normal((3, 2)))


@pytest.mark.parametrize(("kind", "scale", "T", "H"), [*MILD, *CHAOTIC])
def test_right_gradients_are_not_called_wrong(kind, scale, T, H):
    net, batch = wild(LAYERS[kind](H), scale, T)
    for given in (), (MeanSquaredError(), batch.t):
        report = gradcheck(net, batch.x, *given, max_entries=2, jitter=0.0)
        assert report.ok and not report.findings, report
        if (kind, scale, T, H) in CHAOTIC:
            report.every_entry = True
            assert "[UNCLEAR]" in str(report) and "[WRONG]" not in str(report)
            assert any(row.verdict == ILL_CONDITIONED for row in report.rows)
            assert "cannot be checked:" in str(report)
        else:
            assert all(row.verdict.startswith("ok") for row in report.rows)
    assert "G101" not in minidl.diagnose(net, MeanSquaredError(), [batch]).codes


@pytest.mark.parametrize(
    "count", [pytest.param(10, marks=pytest.mark.slow), pytest.param(70, marks=pytest.mark.nightly)]
)
@pytest.mark.parametrize("kind", LAYERS)
def test_many_wild_nets(kind, count):
    rng = np.random.default_rng(1)
    for seed in range(count):
        scale, T = rng.choice([0.35, 0.5, 1.0, 2.0]), int(rng.integers(10, 101))
        net, batch = wild(LAYERS[kind](int(rng.integers(8, 65))), scale, T, seed)
        report = gradcheck(net, batch.x, max_entries=3, jitter=0.0)
        assert report.ok and not report.findings, report
        assert check_layer(net[0], (None, 3)).ok
        assert "G101" not in minidl.diagnose(net, MeanSquaredError(), [batch]).codes


@pytest.mark.parametrize(("kind", "T", "fault"), fraction([*LAYERS], [3, 10], ["sign", "half", "forgotten"]))
def test_wrong_gradients_of_the_same_nets_are_found(kind, T, fault):
    factor = {"sign": -1.0, "half": 0.5, "forgotten": 0.0}[fault]

    class Faulty(LAYERS[kind]):
        def backward_with_state(self, dy, dstate, cache):
            grad = self.params["Wh"].grad
            before = grad.copy()
            result = super().backward_with_state(dy, dstate, cache)
            grad[...] = before + factor * (grad - before)
            return result

    for scale in 0.5, 2.0:
        net, batch = wild(Faulty(32), scale, T)
        report = gradcheck(net, batch.x, max_entries=3, jitter=0.0)
        assert not report["faulty.Wh"].ok and report["faulty.b"].ok
        assert "G101" in minidl.diagnose(net, MeanSquaredError(), [batch]).codes


@pytest.mark.parametrize("takes_complex", [True, False])
@pytest.mark.parametrize("T", [8, 80])
def test_hand_written_code(takes_complex, T):
    def forward(p, x, state):
        h, hs = np.zeros((len(x), 24), x.dtype if takes_complex else float), []
        for t in range(T):
            h = np.tanh(x[:, t] @ p["U"] + h @ p["W"])
            hs.append(h)
        return h, None, (x, hs)

    def backward(p, dh, dstate, cache):
        x, hs = cache
        grads, dx = {name: np.zeros_like(a) for name, a in p.items()}, np.zeros_like(x)
        for t in reversed(range(T)):
            dz = dh * (1 - hs[t] ** 2)
            grads["U"] += x[:, t].T @ dz
            grads["W"] += (hs[t - 1].T if t else 0 * hs[0].T) @ dz
            dx[:, t], dh = dz @ p["U"].T, dz @ p["W"].T
        return dx, None, grads

    rng = np.random.default_rng(0)
    params = {"U": rng.normal(0, 1, (2, 24)), "W": rng.normal(0, 0.7, (24, 24))}
    x = rng.standard_normal((3, T, 2))
    report = check_functions(forward, backward, params, x, jitter=0.0, max_entries=3)
    assert report.ok and not report.findings, report

    def half(p, dh, dstate, cache):
        dx, _, grads = backward(p, dh, dstate, cache)
        return dx, None, grads | {"W": 0.5 * grads["W"]}

    if T == 8:
        report = check_functions(forward, half, params, x, jitter=0.0, max_entries=3)
        assert not report["W"].ok and report["U"].ok
