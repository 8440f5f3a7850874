"""The textbook's LSTM in pieces: the reference's numbers; forward mistakes, and the backward pass that fits each."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

from minidl.checking.naming.findings import CODES
from minidl.checking.naming.mistakes import FORWARD_MISTAKES
from minidl.checking.naming.textbook import BACKWARD, FORWARD, Pieces, backward, by_step, forward
from minidl.kernels import lstm_backward_reference, lstm_forward_reference

B, T, D, H = 2, 4, 3, 5
PEEPHOLES = {"plain": None, "diagonal": (H,), "full": (H, H)}
NOTHING: Pieces = MappingProxyType({})


class Net(NamedTuple):
    """Weights by key, x, the initial states, and cotangents of h and of the final states."""

    weights: dict[tuple[int, str], np.ndarray]
    x: np.ndarray
    state: list[tuple[np.ndarray, np.ndarray]]
    dy: np.ndarray
    dstate: list[tuple[np.ndarray, np.ndarray]]
    over_time: frozenset[tuple[int, str]] = frozenset()

    def run(self, pieces: Pieces = NOTHING) -> Any:
        return forward(self.weights, self.x, self.state, self.over_time, pieces)

    def value(self, pieces: Pieces = NOTHING) -> Any:
        """The scalar that the cotangents make of a pass."""
        run = self.run(pieces)
        pairs = zip(chain(*run.state), chain(*self.dstate), strict=True)
        return (run.h * self.dy).sum() + sum((a * b).sum() for a, b in pairs)

    def gradients(self, pieces: Pieces = NOTHING, fitting: Pieces = NOTHING) -> dict[Any, np.ndarray]:
        """The textbook's gradients of `value`, by the names of `arrays`."""
        result = backward(self.run(pieces), self.dy, self.dstate, [fitting] * len(self.state))
        starts = {(letter, n): a for n, pair in enumerate(result.dstate) for letter, a in zip("hc", pair, strict=True)}
        return {"x": result.dx} | starts | result.weights

    def arrays(self) -> dict[Any, np.ndarray]:
        starts = {(letter, n): a for n, pair in enumerate(self.state) for letter, a in zip("hc", pair, strict=True)}
        return {"x": self.x} | starts | self.weights

    def with_array(self, name: Any, a: np.ndarray) -> Net:
        arrays = self.arrays() | {name: a}
        state = [(arrays["h", n], arrays["c", n]) for n in range(len(self.state))]
        return self._replace(x=arrays["x"], state=state, weights={key: arrays[key] for key in self.weights})


def net(peephole: str = "plain", layers: int = 1, over_time: bool = False, seed: int = 0) -> Net:
    rng = np.random.default_rng(seed)

    def values(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.7, shape)

    weights = {}
    steps = (T,) if over_time else ()
    for n in range(layers):
        for k in "ifog":
            weights[n, f"Wx_{k}"] = values(*steps, H if n else D, H)
            weights[n, f"Wh_{k}"] = values(*steps, H, H)
            weights[n, f"b_{k}"] = values(*steps, H)
        for k in "ifo" if PEEPHOLES[peephole] else "":
            weights[n, f"p_{k}"] = values(*steps, *PEEPHOLES[peephole])
    state, dstate = ([(values(B, H), values(B, H)) for _ in range(layers)] for _ in range(2))
    several = frozenset(weights) if over_time else frozenset()
    return Net(weights, values(B, T, D), state, values(B, T, H), dstate, several)


def packed(weights: dict[Any, np.ndarray], layer: int = 0) -> tuple[Any, ...]:
    """Wx, Wh, b, p as the reference takes them."""
    Wx, Wh, b = (np.concatenate([weights[layer, f"{w}_{k}"] for k in "ifog"], -1) for w in ("Wx", "Wh", "b"))
    p = np.stack([weights[layer, f"p_{k}"] for k in "ifo"]) if (layer, "p_i") in weights else None
    return Wx, Wh, b, p


def slope(at: Net, name: Any, direction: np.ndarray, pieces: Pieces) -> float:
    """The derivative of the value along a direction of one array, by a complex step."""
    moved = at.with_array(name, at.arrays()[name] + 1e-30j * direction)
    return float(np.imag(moved.value(pieces))) / 1e-30


def numbers_of(run: Any) -> np.ndarray:
    """All that a pass of one layer hands out."""
    return np.concatenate([run.h.ravel(), *(a.ravel() for a in run.state[0])])


def assert_true_gradients(at: Net, pieces: Pieces = NOTHING, fitting: Pieces = NOTHING) -> None:
    """Each array's gradient agrees with the numeric derivative along a random direction, which sees all entries."""
    rng = np.random.default_rng(9)
    gradients = at.gradients(pieces, fitting)
    for name, a in at.arrays().items():
        assert gradients[name].shape == a.shape
        direction = rng.standard_normal(a.shape)
        wanted = float((gradients[name] * direction).sum())
        assert slope(at, name, direction, pieces) == pytest.approx(wanted, rel=1e-10, abs=1e-12), name


# -- the numbers of the reference ---------------------------------------------------------------------


@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_the_forward_pass_is_the_reference(peephole: str) -> None:
    at = net(peephole)
    run = at.run()
    y, h, c, _ = lstm_forward_reference(at.x, *at.state[0], *packed(at.weights))
    for ours, theirs in (run.h, y), (run.state[0][0], h), (run.state[0][1], c):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("peephole", PEEPHOLES)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_backward_pass_is_the_reference(peephole: str, layers: int) -> None:
    at = net(peephole, layers)
    x, below = at.x, []
    for n in range(layers):
        below.append(lstm_forward_reference(x, *at.state[n], *packed(at.weights, n)))
        x = below[-1][0]
    run = at.run()
    np.testing.assert_allclose(run.h, x, rtol=0, atol=1e-12)
    ours = at.gradients()
    dy = at.dy
    for n in reversed(range(layers)):
        np.testing.assert_allclose(run.state[n], below[n][1:3], rtol=0, atol=1e-12)
        dy, dh0, dc0, grads = lstm_backward_reference(dy, *at.dstate[n], below[n][3])
        dWx, dWh, db, dp = packed(ours, n)
        pairs = [(ours["h", n], dh0), (ours["c", n], dc0), (dWx, grads["Wx"]), (dWh, grads["Wh"]), (db, grads["b"])]
        for own, theirs in [*pairs, *([] if dp is None else [(dp, grads["p"])])]:
            np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours["x"], dy, rtol=0, atol=1e-12)


def test_a_missing_bias_is_zero() -> None:
    at = net("diagonal")
    zero = {key: 0 * a if key[1][0] == "b" else a for key, a in at.weights.items()}
    without = {key: a for key, a in at.weights.items() if key[1][0] != "b"}
    np.testing.assert_array_equal(at._replace(weights=zero).run().h, at._replace(weights=without).run().h)
    gradients = at._replace(weights=without).gradients()
    assert not [key for key in gradients if isinstance(key, tuple) and str(key[1]).startswith("b_")]


def test_one_array_may_look_at_a_single_gate() -> None:
    at = net("full")
    only_o = at._replace(weights={key: a for key, a in at.weights.items() if key[1] not in ("p_i", "p_f")})
    zero = at._replace(weights={key: 0 * a if key[1] in ("p_i", "p_f") else a for key, a in at.weights.items()})
    np.testing.assert_array_equal(only_o.run().h, zero.run().h)
    assert_true_gradients(only_o)


# -- its gradients, where there is no reference -------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("over_time", [False, True])
@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_gradients_are_true(peephole: str, over_time: bool, layers: int) -> None:
    assert_true_gradients(net(peephole, layers, over_time))


def test_some_weights_of_their_own_at_each_step() -> None:
    at = net("diagonal")
    several = frozenset({(0, "Wh_f"), (0, "b_o"), (0, "p_i")})
    rng = np.random.default_rng(4)
    weights = at.weights | {key: rng.normal(0, 0.7, (T, *at.weights[key].shape)) for key in several}
    assert_true_gradients(at._replace(weights=weights, over_time=several))


def test_equal_weights_at_each_step_are_shared_ones() -> None:
    at = net("full")
    repeated = {key: np.broadcast_to(a, (T, *a.shape)) for key, a in at.weights.items()}
    apart = at._replace(weights=repeated, over_time=frozenset(repeated))
    np.testing.assert_array_equal(apart.run().h, at.run().h)
    shared, single = at.gradients(), apart.gradients()
    for key in at.weights:
        np.testing.assert_allclose(single[key].sum(axis=0), shared[key], rtol=0, atol=1e-12)


def test_weights_step_by_step() -> None:
    at = net("plain", 2)
    layers = by_step(at.weights, set(), 3)
    assert [len(layer) for layer in layers] == [3, 3]
    assert all(step["Wx_i"] is at.weights[1, "Wx_i"] for step in layers[1])
    W = np.arange(3.0)
    assert [step["b_i"] for step in by_step(at.weights | {(0, "b_i"): W}, {(0, "b_i")}, 3)[0]] == [0.0, 1.0, 2.0]


def test_a_pass_leaves_what_it_is_given() -> None:
    at = net("full", 2)
    before = {name: a.copy() for name, a in at.arrays().items()}
    cotangents = at.dy.copy(), [tuple(a.copy() for a in pair) for pair in at.dstate]
    at.gradients()
    assert all(np.array_equal(a, before[name]) for name, a in at.arrays().items())
    np.testing.assert_array_equal(at.dy, cotangents[0])
    np.testing.assert_array_equal(at.dstate, cotangents[1])


# -- pieces exchanged ---------------------------------------------------------------------------------


def test_the_textbooks_own_pieces_change_nothing() -> None:
    at = net("diagonal")
    plain, same = at.gradients(), at.gradients(dict(FORWARD), dict(BACKWARD))
    assert all(np.array_equal(a, same[name]) for name, a in plain.items())


def test_pieces_of_one_layer_stay_there() -> None:
    at = net("plain", 2)
    run = at.run()
    plain = backward(run, at.dy, at.dstate, [{}, {}])
    lower = backward(run, at.dy, at.dstate, [{"slope_g": lambda q: 1.0}, {}])
    changed = {key for key in plain.weights if not np.array_equal(plain.weights[key], lower.weights[key])}
    assert changed and {layer for layer, _ in changed} == {0}
    np.testing.assert_array_equal(plain.dstate[1], lower.dstate[1])


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ("set", lambda shares: shares[0]),
        ("lose", lambda shares: 0 * shares[0]),
        ("add", lambda shares: sum(shares)),
    ],
)
def test_what_is_kept_of_each_step(what: str, wanted: Callable[[Any], Any]) -> None:
    at = net("diagonal")
    repeated = {key: np.broadcast_to(a, (T, *a.shape)) for key, a in at.weights.items()}
    shares = at._replace(weights=repeated, over_time=frozenset(repeated)).gradients()
    kept = at.gradients(NOTHING, {"keep": lambda name, t, T: what if name in ("Wh_o", "p_f", "b_g") else "add"})
    plain = at.gradients()
    for key in at.weights:
        right = wanted(shares[key]) if key[1] in ("Wh_o", "p_f", "b_g") else plain[key]
        np.testing.assert_allclose(kept[key], right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mistake", FORWARD_MISTAKES, ids=[f"{m.code}-{k}" for k, m in enumerate(FORWARD_MISTAKES)])
class TestForwardMistakes:
    """Each mistake of a forward pass, by itself."""

    def test_it_has_a_code_and_words(self, mistake: Any) -> None:
        assert mistake.code in CODES and mistake.code[0] == "F"
        assert mistake.what and mistake.where
        assert mistake.pieces.keys() <= FORWARD.keys() and mistake.fitting.keys() <= BACKWARD.keys()

    def test_it_changes_the_numbers(self, mistake: Any) -> None:
        at = net("diagonal")
        right, wrong = at.run(), at.run(mistake.pieces)
        assert abs(numbers_of(right) - numbers_of(wrong)).max() > 1e-3

    def test_the_fitting_pieces_are_its_true_gradient(self, mistake: Any) -> None:
        assert_true_gradients(net("full"), mistake.pieces, mistake.fitting)

    def test_they_are_in_a_stack_as_well(self, mistake: Any) -> None:
        at = net("diagonal", 2)
        rng = np.random.default_rng(6)
        directions = {name: rng.standard_normal(a.shape) for name, a in at.arrays().items()}
        gradients = at.gradients(mistake.pieces, mistake.fitting)
        wanted = sum(float((gradients[name] * d).sum()) for name, d in directions.items())
        for name, d in directions.items():
            at = at.with_array(name, at.arrays()[name] + 1e-30j * d)
        assert float(np.imag(at.value(mistake.pieces))) / 1e-30 == pytest.approx(wanted, rel=1e-10)


def test_forward_mistakes_give_numbers_of_their_own() -> None:
    at = net("full", seed=3)
    numbers = np.array([numbers_of(at.run(mistake.pieces)) for mistake in FORWARD_MISTAKES])
    distances = abs(numbers[:, None] - numbers[None]).max(axis=-1) + np.eye(len(numbers))
    assert distances.min() > 1e-3
    assert len({(mistake.code, mistake.what) for mistake in FORWARD_MISTAKES}) == len(FORWARD_MISTAKES)


def test_without_the_fitting_pieces_the_gradient_is_not_true() -> None:
    at = net("diagonal")
    rng = np.random.default_rng(5)
    for mistake in FORWARD_MISTAKES:
        if mistake.fitting:
            wrong = at.gradients(mistake.pieces)
            directions = {name: rng.standard_normal(a.shape) for name, a in at.arrays().items()}
            slopes = {name: slope(at, name, d, mistake.pieces) for name, d in directions.items()}
            errors = [abs((wrong[name] * d).sum() - slopes[name]) for name, d in directions.items()]
            assert max(errors) > 1e-3, mistake.what
