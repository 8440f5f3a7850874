"""Hand-written code under check: its layouts, a loss with its gradients, notes, and what is refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.checking import check_functions, check_loss
from minidl.errors import ArgumentError, MinidlError
from tests.unit.little_code import PARAMS, STATE, TARGET, D, V, X, backward, check, codes, forward, squares, values

H, T = 2, 3


def test_right_code_is_right() -> None:
    report = check()
    assert report.ok and not report.findings and [row.name for row in report.rows] == ["x", "state[0]", "W"]
    assert check_loss(squares, PARAMS, X, TARGET).ok


# -- notes --------------------------------------------------------------------------------------------


def test_a_point_that_proves_nothing_is_told() -> None:
    report = check(p={"W": PARAMS["W"], "unused": np.ones(2)}, b=with_zeros)
    assert report.ok and len(report.warnings) == 1
    assert report.warnings[0].startswith("the gradient of unused is next to 0 at this point")
    assert "note: the gradient of unused" in str(report)
    assert not check().warnings


def with_zeros(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
    dx, after, grads = backward(params, dy, dstate, cache)
    return dx, after, grads | {"unused": np.zeros(2)}


def test_saturated_activations_are_told() -> None:
    saturated = {"W": 60 * np.sign(PARAMS["W"])}
    report = check_functions(forward, backward, saturated, np.abs(X) + 1, STATE, jitter=0)
    assert any("W" in note and "saturated" in note for note in report.warnings)


# -- layouts ------------------------------------------------------------------------------------------


def forward_list(params: Any, xs: Any, state: Any) -> Any:
    ys = [np.tanh(x @ params["W"]) for x in xs]
    return ys, None, (xs, ys)


def backward_list(params: Any, dys: Any, dstate: Any, cache: Any) -> Any:
    dzs = [dy * (1 - y**2) for dy, y in zip(dys, cache[1], strict=True)]
    return [dz @ params["W"].T for dz in dzs], None, {"W": sum(x.T @ dz for x, dz in zip(cache[0], dzs, strict=True))}


def test_lists_of_steps() -> None:
    steps = [values(2, D, seed=k) for k in range(T)]
    report = check(forward_list, backward_list, x=steps, state=None)
    assert report.ok and [row.name for row in report.rows] == ["x[0]", "x[1]", "x[2]", "W"]
    stacked = check(forward_list, backward_list, x=np.stack(steps), state=None)
    assert stacked.ok and [(row.name, row.shape) for row in stacked.rows] == [("x", (T, 2, D)), ("W", (D, V))]


def test_a_list_with_one_wrong_step() -> None:
    def wrong(params: Any, dys: Any, dstate: Any, cache: Any) -> Any:
        dxs, after, grads = backward_list(params, dys, dstate, cache)
        return [dxs[0], 2 * dxs[1], dxs[2]], after, grads

    report = check(forward_list, wrong, x=[values(2, D, seed=k) for k in range(T)], state=None)
    assert codes(report) == ["G102"] and report.findings[0].where == "x[1]"


def test_ids_have_no_gradient() -> None:
    ids = np.array([0, 2, 2, 1])
    report = check(
        lambda params, x, state: (params["W"][x], None, x),
        lambda params, dy, dstate, x: (None, None, {"W": np.eye(D)[x].T @ dy}),
        x=ids,
        state=None,
    )
    assert report.ok and [row.name for row in report.rows] == ["W"]


ROLES = {f"{w}{k}": f"{w}_{k}.T" if w != "b" else f"b_{k}" for w in ("Wx", "Wh", "b") for k in "ifog"}


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def forward_columns(params: Any, xs: Any, state: Any) -> Any:
    """An LSTM of column vectors: x [T, D, 1] or [T, D, B], W @ x, biases [H, 1]."""
    h, c = state
    hs, cache = [], []
    for x in xs:
        z = {k: params["Wx" + k] @ x + params["Wh" + k] @ h + params["b" + k] for k in "ifog"}
        i, f, o, g = sigmoid(z["i"]), sigmoid(z["f"]), sigmoid(z["o"]), np.tanh(z["g"])
        before, c = (h, c), f * c + i * g
        h = o * np.tanh(c)
        cache.append((x, *before, i, f, o, g, c))
        hs.append(h)
    return np.stack(hs), (h, c), cache


def backward_columns(params: Any, dy: Any, dstate: Any, cache: Any, through: float = 1.0) -> Any:
    dh, dc = dstate
    grads = {name: np.zeros(a.shape) for name, a in params.items()}
    dxs = []
    for (x, h_, c_, i, f, o, g, c), dy_t in zip(reversed(cache), reversed(dy), strict=True):
        dh = through * dh + dy_t
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        dz = {"i": dc * g * i * (1 - i), "f": dc * c_ * f * (1 - f), "g": dc * i * (1 - g**2)}
        dz["o"] = dh * np.tanh(c) * o * (1 - o)
        for k, d in dz.items():
            grads["Wx" + k] += d @ x.T
            grads["Wh" + k] += d @ h_.T
            grads["b" + k] += d.sum(axis=1, keepdims=True)
        dxs.insert(0, sum(params["Wx" + k].T @ d for k, d in dz.items()))
        dh, dc = sum(params["Wh" + k].T @ d for k, d in dz.items()), dc * f
    return np.stack(dxs), (dh, dc), grads


@pytest.mark.parametrize(("rows", "axes"), [(1, None), (1, "TD1"), (H, None), (H, "TDB"), (D, "TDB")])
def test_column_vectors(rows: int, axes: str | None) -> None:
    shapes = {"Wx": (H, D), "Wh": (H, H), "b": (H, 1)}
    params = {w + k: values(*s, seed=ord(k)) for w, s in shapes.items() for k in "ifog"}
    state = (np.zeros((H, rows)), np.zeros((H, rows)))
    x = values(T, D, rows)
    report = check_functions(forward_columns, backward_columns, params, x, state, ROLES, axes=axes, max_entries=6)
    assert report.ok and not report.findings
    if rows == H and axes is None:

        def cut(*args: Any) -> Any:
            return backward_columns(*args, through=0.0)

        wrong = check_functions(forward_columns, cut, params, x, state, ROLES, max_entries=6)
        assert codes(wrong) == ["G104"]


# -- losses -------------------------------------------------------------------------------------------


def loss(function: Any = squares, **kw: Any) -> Any:
    return check_loss(function, PARAMS, kw.pop("x", X), kw.pop("target", TARGET), **kw)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_loss_is_one_number(shape: tuple[int, ...]) -> None:
    def shaped(*args: Any) -> Any:
        value, grads, state = squares(*args)
        return np.reshape(value, shape), grads, state

    assert loss(shaped).ok and loss().method == "complex steps"


def test_a_loss_that_takes_real_numbers_only() -> None:
    def real(*args: Any) -> Any:
        value, grads, state = squares(*args)
        return float(np.real(value)), grads, state

    report = loss(real)
    assert report.ok and report.method == "central differences" and report.tolerance == 1e-5


@pytest.mark.parametrize(
    ("grads", "code", "verdict"),
    [
        (lambda x, error: -x.T @ error, "G102", "the sign is wrong"),
        (lambda x, error: 2 * x.T @ error, "G102", "off by the factor 2"),
        (lambda x, error: x.T @ error / 5, "G102", "off by the factor 0.2"),
        (lambda x, error: error.T @ x, "G103", "backward gives an array of shape (4, 3)"),
        (lambda x, error: (x.T @ error).sum(), "G109", "backward gives an array of shape ()"),
        (lambda x, error: x.T @ np.ones_like(error), "G110", "wrong"),
        (lambda x, error: (x.T @ error)[[1, 2, 0]], "G108", "rows exchanged"),
        (lambda x, error: x.T @ error * np.nan, "G101", "backward gives NaN or infinity"),
        (lambda x, error: x.T @ error * np.inf, "G101", "backward gives NaN or infinity"),
    ],
)
def test_a_wrong_gradient_of_a_loss(grads: Any, code: str, verdict: str) -> None:
    def wrong(params: Any, x: Any, target: Any, state: Any) -> Any:
        error = x @ params["W"] - target
        with np.errstate(invalid="ignore"):
            return (error**2).sum() / 2, {"W": grads(x, error)}, state

    report = loss(wrong)
    assert not report.ok and codes(report)[0] == code and report["W"].verdict.startswith(verdict)


def test_targets_may_be_ids() -> None:
    ids = np.array([0, 3, 1, 1, 2])

    def entropy(params: Any, x: Any, target: Any, state: Any) -> Any:
        assert target.dtype.kind == "i"
        p = np.exp(x @ params["W"])
        p = p / p.sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(5), target]).mean(), {"W": x.T @ (p - np.eye(V)[target]) / 5}, state

    def deaf(params: Any, x: Any, target: Any, state: Any) -> Any:
        return entropy(params, x, target, state)[0], {"W": x.T @ x @ params["W"]}, state

    assert loss(entropy, target=ids).ok
    assert codes(loss(deaf, target=ids))[0] == "G110"


# -- refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"f": None}, "forward is expected to be a function of (params, x, state), got NoneType."),
        ({"f": lambda x: x}, "forward is expected to be a function of (params, x, state), got <lambda>(x)."),
        ({"b": 3}, "backward is expected to be a function of (params, dy, dstate, cache), got int."),
        ({"b": forward}, "backward is expected to be a function of (params, dy, dstate, cache), got forward("),
        (
            {"f": lambda p, x, s: (x, s)},
            "forward(params, x, state) is expected to return (y, state, cache), got a tuple of 2",
        ),
        ({"f": lambda p, x, s: x}, "forward(params, x, state) is expected to return (y, state, cache), got ndarray"),
        ({"f": lambda p, x, s: None}, "got NoneType: return them in this order."),
        ({"f": lambda p, x, s: 1 / 0}, "forward(params, x, state) raises ZeroDivisionError: division by zero ("),
        ({"f": lambda p, x, s: p["U"]}, "forward(params, x, state) raises KeyError: 'U' ("),
        (
            {"b": lambda p, dy, ds, c: {}},
            "backward(params, dy, dstate, cache) is expected to return (dx, dstate, grads)",
        ),
        ({"b": lambda p, dy, ds, c: c[7]}, "backward(params, dy, dstate, cache) raises IndexError"),
        (
            {"b": lambda p, dy, ds, c: (None, None, [1])},
            "grads is expected to be a dict with the keys of params, got list.",
        ),
        ({"b": lambda p, dy, ds, c: (None, None, None)}, "with the keys of params, got NoneType."),
        ({"b": lambda p, dy, ds, c: (None, None, {"U": 1.0})}, "the keys of params, W, got 'U'"),
        ({"p": None}, "params is expected to be a dict of arrays by name, got NoneType."),
        ({"p": [values(D, V)]}, "params is expected to be a dict of arrays by name, got list."),
        ({"p": {}}, "params is expected to be a dict of arrays by name, got"),
        ({"p": {"W": "weights"}}, "params expects arrays of numbers"),
        ({"p": {"W": None}}, "params expects arrays of numbers"),
        ({"p": {"W": np.zeros((0, 2))}}, "leave out what is no parameter"),
        ({"p": {"W": values(D, V) * np.nan}}, "finite"),
        ({"roles": {"U": None, "W": "Wx_i"}}, "Roles expect the names of params, W, got 'U'"),
        ({"roles": {"W": "nonsense"}}, "Role 'nonsense' of 'W' is none"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        check(**change)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_where_it_fails_is_told() -> None:
    def failing(params: Any, x: Any, state: Any) -> Any:
        return x @ params["W"].T @ x

    with pytest.raises(ArgumentError, match=r"raises ValueError: .*test_handwritten\.py:\d+\)\.$"):
        check(failing)


def test_errors_of_minidl_pass_through() -> None:
    def failing(params: Any, x: Any, state: Any) -> Any:
        raise MinidlError("of its own")

    with pytest.raises(MinidlError, match=r"^of its own$"):
        check(failing)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (None, "function is expected to be a function of (params, x, target, state), got NoneType."),
        (forward, "function is expected to be a function of (params, x, target, state), got forward("),
        (lambda p, x, t, s: 0.0, "is expected to return (loss, grads, state), got float"),
        (lambda p, x, t, s: (x, {}, s), "is expected to return a loss that is one number, got"),
        (lambda p, x, t, s: (0.0, None, s), "grads is expected to be a dict with the keys of params, got NoneType."),
        (lambda p, x, t, s: x["t"], "function(params, x, target, state) raises IndexError"),
    ],
)
def test_a_loss_that_cannot_be_checked(function: Any, words: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        loss(function)
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("axes", ["BT", "XYZ", "", "BTDD"])
def test_axes_that_do_not_fit(axes: str) -> None:
    shapes = {"Wx": (H, D), "Wh": (H, H), "b": (H, 1)}
    params = {w + k: values(*s, seed=ord(k)) for w, s in shapes.items() for k in "ifog"}
    with pytest.raises(ArgumentError, match=r"axes expects a letter for each axis of x \(3, 3, 1\)"):
        check_functions(
            forward_columns, backward_columns, params, values(T, D, 1), (np.zeros((H, 1)),) * 2, ROLES, axes=axes
        )
