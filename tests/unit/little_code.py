"""Little hand-written functions that the tests of the checks begin from."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.checking import GradientReport, check_functions

D, V = 3, 4


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.7, shape)


def forward(params: Any, x: Any, state: Any) -> Any:
    """A layer with a state that is added: y = tanh(x W) + s, s = s + sum y."""
    s = 0.0 if state is None else state[0]
    a = np.tanh(x @ params["W"])
    return a + s, (s + a.sum(axis=0),), (x, a)


def backward(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
    x, a = cache
    dz = (dy + dstate[0]) * (1 - a**2)
    return dz @ params["W"].T, (dy.sum(axis=0) + dstate[0],), {"W": x.T @ dz}


PARAMS, X, STATE = {"W": values(D, V)}, values(5, D, seed=1), (np.zeros(V),)
TARGET = values(5, V, seed=2)


def check(f: Any = forward, b: Any = backward, p: Any = PARAMS, x: Any = X, state: Any = STATE, **kw: Any) -> Any:
    return check_functions(f, b, p, x, state, **kw)


def squares(params: Any, x: Any, target: Any, state: Any) -> Any:
    """Half the sum of squares, and its gradient."""
    error = x @ params["W"] - target
    return (error**2).sum() / 2, {"W": x.T @ error}, state


def codes(report: GradientReport) -> list[str]:
    return [finding.code for finding in report.findings]
