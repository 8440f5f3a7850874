"""G115: what a hand-written training loop carries into the next window, a state or by mistake its gradient."""

import numpy as np
import pytest

from minidl.checking import check_loss

D, H, B, T = 2, 3, 2, 4
RNG = np.random.default_rng(3)
PARAMS = {
    "Wx": RNG.standard_normal((D, 4 * H)), "Wh": RNG.standard_normal((H, 4 * H)), "b": RNG.standard_normal(4 * H),
}  # fmt: skip
X, TARGET = RNG.standard_normal((T, B, D)), RNG.standard_normal((T, B, H))
STATE = np.zeros((B, H)), np.zeros((B, H))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_loss(params, x, target, state):
    """The loss, its gradients, the state behind it, and the gradient of the state before it."""
    h, c = state
    steps, loss, dhs = [], 0.0, []
    for t in range(len(x)):
        z = x[t] @ params["Wx"] + h @ params["Wh"] + params["b"]
        i, f, o = (sigmoid(part) for part in (z[:, :H], z[:, H : 2 * H], z[:, 2 * H : 3 * H]))
        g = np.tanh(z[:, 3 * H :])
        before = h, c
        c = f * c + i * g
        h = o * np.tanh(c)
        steps.append((before, i, f, o, g, c))
        loss = loss + ((h - target[t]) ** 2).sum()
        dhs.append(2 * (h - target[t]))
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    dh, dc = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(len(x))):
        (h0, c0), i, f, o, g, now = steps[t]
        dh = dh + dhs[t]
        dc = dc + dh * o * (1 - np.tanh(now) ** 2)
        parts = dc * g * i * (1 - i), dc * c0 * f * (1 - f), dh * np.tanh(now) * o * (1 - o), dc * i * (1 - g**2)
        dz = np.concatenate(parts, axis=1)
        grads["Wx"] += x[t].T @ dz
        grads["Wh"] += h0.T @ dz
        grads["b"] += dz.sum(axis=0)
        dh, dc = dz @ params["Wh"].T, dc * f
    return loss, grads, (h, c), (dh, dc)


def right(params, x, target, state):
    return lstm_loss(params, x, target, state)[:3]


def carries(pick):
    """The loss with another state behind it, made from the state and its gradient."""

    def function(params, x, target, state):
        loss, grads, after, back = lstm_loss(params, x, target, state)
        return loss, grads, pick(after, back)

    return function


def codes(function, state=STATE, **more):
    report = check_loss(function, PARAMS, X, TARGET, state, **more)
    return [f.code for f in report.findings], report


def test_a_state_that_is_right():
    found, report = codes(right)
    assert found == [] and report.ok


@pytest.mark.parametrize(
    "pick",
    [
        lambda after, back: back,
        lambda after, back: (back[0], after[1]),
        lambda after, back: (after[0], back[1]),
        lambda after, back: back[::-1],
        lambda after, back: (after[1], back[0]),
    ],
    ids=["both", "dh as h", "dc as c", "exchanged", "dh as c"],
)
def test_the_gradient_in_place_of_the_state(pick):
    found, report = codes(carries(pick))
    assert found == ["G115"] and not report.ok
    assert all(row.ok for row in report.rows)  # the gradients of the parameters are right
    assert report.findings[0].where == "the state that the function returns"


def test_the_evidence_says_which_array_is_which():
    _, report = codes(carries(lambda after, back: (after[1], back[0])))
    assert report.findings[0].evidence.startswith("array 1 of the state that comes out is dL/d(array 0 of the state")


@pytest.mark.parametrize(
    "pick",
    [
        lambda after, back: after[::-1],
        lambda after, back: (after[0], 0.5 * after[1]),
        lambda after, back: (-back[0], -back[1]),
        lambda after, back: tuple(a * 0 for a in after),
    ],
    ids=["exchanged", "scaled", "minus the gradient", "zeros"],
)
def test_other_states_are_no_gradient(pick):
    assert "G115" not in codes(carries(pick))[0]


def test_a_teacher_forced_state_depends_on_the_target_and_is_no_gradient():
    def teacher(params, x, target, state):
        h, c = state
        loss, grads, _, _ = lstm_loss(params, x, target, state)
        return loss, grads, (target[-1] + 0 * h, c + 0)

    assert "G115" not in codes(teacher)[0]


def test_a_teacher_forced_output_fed_back():
    """y of a step is what the target was; the loss depends on the state by one matrix alone."""
    weights = {"W": RNG.standard_normal((H, H))}

    def function(params, x, target, state):
        y = state @ params["W"]
        dy = 2 * (y - target)
        return ((y - target) ** 2).sum(), {"W": state.T @ dy}, target

    report = check_loss(function, weights, np.zeros(1), RNG.standard_normal((B, H)), np.zeros((B, H)))
    assert report.findings == []

    def wrong(params, x, target, state):
        loss, grads, _ = function(params, x, target, state)
        return loss, grads, 2 * (state @ params["W"] - target) @ params["W"].T

    report = check_loss(wrong, weights, np.zeros(1), RNG.standard_normal((B, H)), np.zeros((B, H)))
    assert [f.code for f in report.findings] == ["G115"]


def test_without_a_state_there_is_nothing_to_carry():
    def function(params, x, target, state):
        error = x @ params["W"] - target
        return (error**2).sum(), {"W": 2 * x.T @ error}, None

    report = check_loss(function, {"W": np.ones((2, 3))}, RNG.standard_normal((5, 2)), RNG.standard_normal((5, 3)))
    assert report.ok and report.findings == []


def test_a_state_that_plays_no_part_has_no_gradient():
    def function(params, x, target, state):
        error = x @ params["W"] - target
        return (error**2).sum(), {"W": 2 * x.T @ error}, state * 0

    report = check_loss(
        function, {"W": np.ones((2, 3))}, RNG.standard_normal((5, 2)), RNG.standard_normal((5, 3)), np.zeros((5, 2))
    )
    assert "G115" not in [f.code for f in report.findings]


def test_nothing_given_is_changed():
    before = [a.tobytes() for a in (*PARAMS.values(), X, TARGET, *STATE)]
    codes(carries(lambda after, back: back))
    assert [a.tobytes() for a in (*PARAMS.values(), X, TARGET, *STATE)] == before
