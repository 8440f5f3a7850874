"""The contract of hand-written code: what comes in stays as it is, and no call remembers another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.checking import check_loss
from tests.unit.little_code import PARAMS, STATE, TARGET, D, V, X, backward, check, codes, forward, squares


def forward_that(change: Any) -> Any:
    def changed(params: Any, x: Any, state: Any) -> Any:
        result = forward(params, x.copy(), state)
        change(params, x, state)
        return result

    return changed


def backward_that(change: Any) -> Any:
    def changed(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
        result = backward(params, dy, dstate, cache)
        change(params, dy, dstate, cache)
        return result

    return changed


def add_one(a: np.ndarray) -> None:
    a += 1


@pytest.mark.parametrize(
    ("f", "b", "where", "title"),
    [
        (forward_that(lambda p, x, s: add_one(p["W"])), backward, "params['W']", "forward changes params['W']"),
        (forward_that(lambda p, x, s: add_one(x)), backward, "x", "forward changes x"),
        (forward_that(lambda p, x, s: add_one(s[0])), backward, "state", "forward changes state"),
        (forward, backward_that(lambda p, dy, ds, c: add_one(p["W"])), "params['W']", "backward changes params['W']"),
        (forward, backward_that(lambda p, dy, ds, c: add_one(dy)), "dy", "backward changes dy"),
        (forward, backward_that(lambda p, dy, ds, c: add_one(ds[0])), "dstate", "backward changes dstate"),
        (forward, backward_that(lambda p, dy, ds, c: add_one(c[1])), "the cache", "backward changes the cache"),
    ],
)
def test_what_is_given_must_not_change(f: Any, b: Any, where: str, title: str) -> None:
    report = check(f, b)
    assert not report.ok and codes(report)[0] == "C301" and codes(report).count("C301") == 1
    assert report.findings[0].where == where and report.findings[0].title.endswith(title)
    assert report.findings[0].severity == "error"


def test_the_contract_counts_where_gradients_are_right() -> None:
    report = check(b=backward_that(lambda p, dy, dstate, cache: add_one(dy)))
    assert all(row.ok for row in report.rows) and not report.ok


def remembering() -> tuple[Any, Any]:
    """The state of the last call is where the next one begins."""
    kept = [np.zeros(V)]

    def start(params: Any, x: Any, state: Any) -> Any:
        y, after, cache = forward(params, x, (kept[0],))
        kept[0] = np.real(after[0])
        return y, after, cache

    return start, backward


def one_cache() -> tuple[Any, Any]:
    """The cache is a global: two passes at once disturb each other."""
    kept: list[Any] = []

    def keep(params: Any, x: Any, state: Any) -> Any:
        y, after, cache = forward(params, x, state)
        kept[:] = cache
        return y, after, None

    return keep, lambda params, dy, dstate, cache: backward(params, dy, dstate, kept)


def gathering() -> tuple[Any, Any]:
    """Gradients of earlier calls are still in there."""
    total = np.zeros((D, V))

    def gather(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
        dx, ds, grads = backward(params, dy, dstate, cache)
        add_to(total, grads["W"])
        return dx, ds, {"W": total.copy()}

    return forward, gather


def one_output() -> tuple[Any, Any]:
    """Each call writes into the array that the one before has returned."""
    out = np.zeros((5, V))

    def reuse(params: Any, x: Any, state: Any) -> Any:
        y, after, cache = forward(params, x, state)
        out[...] = np.real(y)
        return out, after, cache

    return reuse, backward


def add_to(a: np.ndarray, b: np.ndarray) -> None:
    a += b


@pytest.mark.parametrize(
    ("made", "function"),
    [(remembering, "forward"), (one_cache, "backward"), (gathering, "backward"), (one_output, "forward")],
)
def test_no_call_remembers_another(made: Any, function: str) -> None:
    report = check(*made())
    assert not report.ok and codes(report)[0] == "C301"
    assert f"{function} depends on an earlier call" in report.findings[0].title
    assert "differ by up to" in report.findings[0].evidence


@pytest.mark.parametrize("what", ["x", "target", "params['W']", "state"])
def test_a_loss_must_not_change_what_it_is_given(what: str) -> None:
    def changing(params: Any, x: Any, target: Any, state: Any) -> Any:
        result = squares(params, x.copy(), target.copy(), state)
        add_one({"x": x, "target": target, "params['W']": params["W"], "state": state[0]}[what])
        return result

    report = check_loss(changing, PARAMS, X, TARGET, STATE)
    assert not report.ok and codes(report)[0] == "C301" and report.findings[0].where == what


def test_a_loss_must_not_remember() -> None:
    total = {"W": np.zeros((D, V))}

    def gathering(params: Any, x: Any, target: Any, state: Any) -> Any:
        loss, grads, after = squares(params, x, target, state)
        total["W"] = total["W"] + np.real(grads["W"])
        return loss, dict(total), after

    assert codes(check_loss(gathering, PARAMS, X, TARGET))[0] == "C301"


class Step:
    """A layer written as a class: its gradients are attributes, overwritten by each backward pass."""

    def __init__(self, W: Any) -> None:
        self.W, self.dW = W, np.zeros_like(W)

    def forward(self, x: Any) -> Any:
        self.x, self.a = x, np.tanh(x @ self.W)
        return self.a

    def backward(self, dy: Any) -> Any:
        dz = dy * (1 - self.a**2)
        self.dW[...] = self.x.T @ dz
        return dz @ self.W.T


def test_an_object_in_the_cache_may_hold_its_own_gradients() -> None:
    def ahead(params: Any, x: Any, state: Any) -> Any:
        step = Step(params["W"])
        return step.forward(x), None, step

    def back(params: Any, dy: Any, dstate: Any, step: Any) -> Any:
        return step.backward(dy), None, {"W": step.dW}

    report = check(ahead, back, state=None)
    assert report.ok and not report.findings, report

    def adding(params: Any, dy: Any, dstate: Any, step: Any) -> Any:  # a second call from the same cache is wrong
        before = step.dW.copy()
        dx = step.backward(dy)
        step.dW += before
        return dx, None, {"W": step.dW}

    assert codes(check(ahead, adding, state=None)) == ["C301"]
