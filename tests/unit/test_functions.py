"""`check_functions`: what is right, which entries are checked and how, what wrong gradients are called, the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl.checking import Finding, GradientReport, check_functions
from minidl.errors import ArgumentError, UnknownNameError
from tests.parameters import slow

B, T, D, H = 2, 3, 3, 4
ROLES = {"Wx": "Wx:ifog", "Wh": "Wh:ifog", "b": "b:ifog"}
Code = tuple[Callable[..., Any], Callable[..., Any]]


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.6, shape)


def params(D: int = D) -> dict[str, np.ndarray]:
    return {"Wx": values(D, 4 * H), "Wh": values(H, 4 * H, seed=1), "b": values(4 * H, seed=2)}


X, STATE = values(B, T, D, seed=3), (np.zeros((B, H)), np.zeros((B, H)))


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def forward(params: Any, x: Any, state: Any) -> Any:
    """An LSTM over x [B, T, D], as a person would write it."""
    h, c = state if state is not None else (np.zeros((len(x), H)), np.zeros((len(x), H)))
    ys, cache = [], []
    for t in range(x.shape[1]):
        z = x[:, t] @ params["Wx"] + h @ params["Wh"] + params["b"]
        i, f, o = (sigmoid(z[:, k * H : (k + 1) * H]) for k in range(3))
        g = np.tanh(z[:, 3 * H :])
        before, c = (h, c), f * c + i * g
        h = o * np.tanh(c)
        cache.append((x[:, t], *before, i, f, o, g, c))
        ys.append(h)
    return np.stack(ys, axis=1), (h, c), cache


def backward(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
    """Its gradients."""
    dh, dc = dstate
    grads = {name: np.zeros(w.shape) for name, w in params.items()}
    dx = np.zeros((*dy.shape[:2], params["Wx"].shape[0]))
    for t in reversed(range(len(cache))):
        x, h_, c_, i, f, o, g, c = cache[t]
        dh = dh + dy[:, t]
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        parts = [dc * g * i * (1 - i), dc * c_ * f * (1 - f), dh * np.tanh(c) * o * (1 - o), dc * i * (1 - g**2)]
        dz = np.concatenate(parts, axis=1)
        grads["Wx"] += x.T @ dz
        grads["Wh"] += h_.T @ dz
        grads["b"] += dz.sum(axis=0)
        dx[:, t] = dz @ params["Wx"].T
        dh, dc = dz @ params["Wh"].T, dc * f
    return dx, (dh, dc), grads


def spoilt(change: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
    """The backward pass with something done to its results dx, dstate, grads."""
    return lambda *args: change(*backward(*args))


def check(f: Any = forward, b: Any = backward, x: Any = X, state: Any = STATE, roles: Any = None, **kw: Any) -> Any:
    return check_functions(f, b, kw.pop("params", params()), x, state, roles, **kw)


def codes(report: GradientReport) -> list[str]:
    return [finding.code for finding in report.findings]


# -- what is right ------------------------------------------------------------------------------------


@pytest.mark.parametrize("roles", [None, {}, {"Wx": None}, ROLES, ROLES | {"b": None}])
def test_right_code_is_right(roles: Any) -> None:
    report = check(roles=roles)
    assert report.ok and report.method == "complex steps" and report.tolerance == 1e-10 and not report.warnings
    assert [(row.name, row.shape) for row in report.rows] == [
        ("x", (B, T, D)), ("h0", (B, H)), ("c0", (B, H)), ("Wx", (D, 4 * H)), ("Wh", (H, 4 * H)), ("b", (4 * H,)),
    ]  # fmt: skip
    assert all(row.error < 1e-10 and row.verdict == "ok" for row in report.rows)
    assert codes(report) == ([] if roles != ROLES | {"b": None} else ["F200"])  # without its bias it is another LSTM


def test_a_report_by_name_and_as_text() -> None:
    report = check()
    assert report["Wh"] is report.rows[4]
    with pytest.raises(UnknownNameError, match="no array 'W': it has x, h0, c0, Wx, Wh, b"):
        report["W"]
    lines = str(report).splitlines()
    assert lines[0].split() == ["array", "shape", "error", "worst", "at", "numeric", "backward", "verdict"]
    assert lines[4].startswith("Wx ") and "3 x 16" in lines[4] and lines[4].endswith("ok")
    assert lines[-1].startswith("all 6 gradients are right (complex steps")


def test_the_same_seed_is_the_same_check() -> None:
    one, same, other = check(), check(), check(seed=1)
    assert one.rows == same.rows and one["Wx"].entries != other["Wx"].entries


def test_what_is_given_stays_as_it_is() -> None:
    given = params(), X.copy(), tuple(a.copy() for a in STATE)
    check_functions(forward, backward, *given, ROLES)
    assert all(np.array_equal(a, params()[name]) for name, a in given[0].items())
    np.testing.assert_array_equal(given[1], X)
    assert not np.any(given[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_runs_in_float64(dtype: Any) -> None:
    seen = set()

    def spy(params: Any, x: Any, state: Any) -> Any:
        seen.update(a.dtype for a in (*params.values(), x, *state))
        return forward(params, x, state)

    rounded = {name: a.astype(dtype) for name, a in params().items()}
    assert check(spy, params=rounded, x=X.astype(dtype), state=tuple(a.astype(dtype) for a in STATE)).ok
    assert seen == {np.dtype(np.float64), np.dtype(np.complex128)}


def test_jitter_moves_the_parameters_and_nothing_does_without() -> None:
    first: list[Any] = []

    def spy(params: Any, x: Any, state: Any) -> Any:
        first.append({name: a.copy() for name, a in params.items()})
        return forward(params, x, state)

    distances = {}
    for jitter in 0.0, 1.0, 3.0:
        first.clear()
        assert check(spy, jitter=jitter).ok
        distances[jitter] = max(abs(a - params()[name]).max() for name, a in first[0].items())
    assert distances[0.0] == 0 < distances[1.0] and distances[3.0] == pytest.approx(3 * distances[1.0])


def test_the_state_is_a_random_one() -> None:
    seen = []

    def spy(params: Any, x: Any, state: Any) -> Any:
        seen.append(state)
        return forward(params, x, state)

    check(spy)
    assert all(abs(a).max() > 0.1 for a in np.real(seen[0]))
    seen.clear()
    check(spy, state=None)
    assert set(seen) == {None}


# -- entries, tolerances, methods ---------------------------------------------------------------------


def test_large_arrays_are_sampled() -> None:
    few = check(max_entries=5)
    assert few.ok and all(len(row.entries) in (5, 6) for row in few.rows)
    report = check()
    assert [len(row.entries) for row in report.rows if np.prod(row.shape) <= 50] == [18, 8, 8, 48, 16]
    assert len(report["Wh"].entries) in (50, 51)


def test_every_entry() -> None:
    report = check(every_entry=True)
    assert [len(row.entries) for row in report.rows] == [np.prod(row.shape) for row in report.rows]
    lines = [line for line in str(report).splitlines() if line.endswith("[OK]")]
    assert len(lines) == sum(len(row.entries) for row in report.rows)
    assert lines[0].startswith("x[0, 0, 0] ") and " expected " in lines[0] and " backward " in lines[0]


@pytest.mark.parametrize("at", [(0, 0), (3, 15), (2, 7)])
def test_the_worst_entry_of_a_large_array_is_found(at: tuple[int, int]) -> None:
    def one_wrong(dx: Any, dstate: Any, grads: Any) -> Any:
        grads["Wh"][at] += 0.3
        return dx, dstate, grads

    report = check(b=spoilt(one_wrong), max_entries=2)
    row = report["Wh"]
    assert not report.ok and row.worst == at and row.analytic == pytest.approx(row.numeric + 0.3)
    assert [r.name for r in report.rows if not r.ok] == ["Wh"]
    assert f"Wh[{at[0]}, {at[1]}] should be {row.numeric:.6g}, backward gives" in report.findings[0].evidence


@pytest.mark.parametrize(("off", "right"), [(0.0, True), (1e-13, True), (1e-4, False), (-1e-4, False)])
def test_a_gradient_that_is_off_is_wrong(off: float, right: bool) -> None:
    def shifted(dx: Any, dstate: Any, grads: Any) -> Any:
        largest = np.unravel_index(abs(grads["Wx"]).argmax(), grads["Wx"].shape)
        grads["Wx"][largest] *= 1 + off
        return dx, dstate, grads

    report = check(b=spoilt(shifted))
    assert report.ok is right and codes(report) == ([] if right else ["G101"])


def test_a_tolerance_that_is_given() -> None:
    twice = spoilt(lambda dx, dstate, grads: (dx * (1 + 1e-6), dstate, grads))
    assert not check(b=twice).ok and check(b=twice, tolerance=1e-5).ok and check(tolerance=1e-5).tolerance == 1e-5


def cast_to_real(params: Any, x: Any, state: Any) -> Any:
    """Refuses complex numbers."""
    if any(np.iscomplexobj(a) for a in (*params.values(), x, *(state or ()))):
        raise TypeError("real numbers only")
    return forward(params, x, state)


def into_real_arrays(params: Any, x: Any, state: Any) -> Any:
    """Loses imaginary parts, with a warning."""
    y, after, cache = forward(params, x, state)
    out = np.zeros(y.shape)
    out[...] = y
    return out, after, cache


def in_silence(params: Any, x: Any, state: Any) -> Any:
    """Loses imaginary parts, without one."""
    y, after, cache = forward(params, x, state)
    return np.real(y), tuple(np.real(a) for a in after), cache


@pytest.mark.parametrize("function", [slow(cast_to_real), slow(into_real_arrays), in_silence])
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_central_differences_where_complex_numbers_fail(function: Any) -> None:
    report = check(function, roles=ROLES)
    assert report.ok and report.method == "central differences" and report.tolerance == 1e-5 and not codes(report)
    wrong = check(function, spoilt(lambda dx, dstate, grads: (dx, dstate, grads | {"b": 2 * grads["b"]})), roles=ROLES)
    assert codes(wrong) == ["G102"] and "central differences" not in wrong.findings[0].evidence


# -- wrong gradients, without and with roles ----------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "verdict"),
    [
        (lambda a: -a, "G102", "the sign is wrong"),
        (lambda a: a / 3, "G102", "off by the factor 0.333333"),
        (lambda a: a.T, "G103", "backward gives an array of shape (16, 3)"),
        (lambda a: a.sum(), "G109", "backward gives an array of shape ()"),
        (lambda a: a[:1], "G101", "backward gives an array of shape (1, 16)"),
        (lambda a: None, "G101", "backward gives nothing"),
        (lambda a: 0 * a, "G101", "backward gives 0 everywhere"),
        (lambda a: a[[1, 0, 2]], "G108", "rows exchanged: row 0 holds what belongs into row 1"),
        (lambda a: a + 1, "G101", "wrong"),
    ],
)
def test_what_a_wrong_gradient_looks_like(change: Any, code: str, verdict: str) -> None:
    report = check(b=spoilt(lambda dx, dstate, grads: (dx, dstate, grads | {"Wx": change(grads["Wx"])})))
    assert not report.ok and codes(report) == [code] and report["Wx"].verdict.startswith(verdict)
    assert report.findings[0].where == "Wx" and [row.name for row in report.rows if not row.ok] == ["Wx"]


def test_a_square_matrix_that_is_transposed() -> None:
    wrong = check_functions(
        lambda p, x, state: (x @ p["W"], None, x),
        lambda p, dy, dstate, x: (dy @ p["W"].T, None, {"W": dy.T @ x}),
        {"W": values(3, 3)},
        values(5, 3),
    )
    assert codes(wrong) == ["G103"] and wrong["W"].verdict.startswith("transposed")


def test_a_gradient_that_is_left_out() -> None:
    def without(dx: Any, dstate: Any, grads: Any) -> Any:
        del grads["b"]
        return dx, dstate, grads

    report = check(b=spoilt(without))
    assert report["b"].verdict == "backward gives nothing" and codes(report) == ["G101"]


def test_dx_and_dstate_may_be_none() -> None:
    report = check(b=spoilt(lambda dx, dstate, grads: (None, None, grads)), roles=ROLES)
    assert report.ok and [row.name for row in report.rows] == ["Wx", "Wh", "b"]


def test_a_backward_that_does_not_listen() -> None:
    def deaf(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
        return backward(params, np.ones_like(dy), dstate, cache)

    for roles in None, ROLES:
        report = check(b=deaf, roles=roles)
        assert not report.ok and codes(report)[0] == "G110" and codes(report).count("G110") == 1


def forgetful(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
    """Nothing comes back through Wh, and db is that of the last step that ran."""
    dh, dc = dstate
    grads = {name: np.zeros(w.shape) for name, w in params.items()}
    dx = np.zeros((*dy.shape[:2], len(params["Wx"])))
    for t in reversed(range(len(cache))):
        dx[:, t : t + 1], (_, dc), own = backward(params, dy[:, t : t + 1], (dh, dc), cache[t : t + 1])
        dh = 0 * dh
        grads = {"Wx": grads["Wx"] + own["Wx"], "Wh": grads["Wh"] + own["Wh"], "b": own["b"]}
    return dx, (dh, dc), grads


def test_mistakes_are_named_with_roles() -> None:
    report = check(b=forgetful, roles=ROLES)
    assert not report.ok and sorted(codes(report)) == ["G104", "G111"]
    for finding in report.findings:
        assert isinstance(finding, Finding) and finding.severity == "error" and "same numbers" in finding.evidence
        assert finding.code in str(report) and finding.remedy.split()[0] in str(report)
    assert set(codes(check(b=forgetful))) == {"G101"}


def test_another_forward_is_a_finding_and_no_error_of_gradients() -> None:
    def scaled(params: Any, x: Any, state: Any) -> Any:
        y, after, cache = forward(params, x, state)
        return y * (1 + 1e-4), after, cache

    report = check(
        scaled, lambda params, dy, dstate, cache: backward(params, dy * (1 + 1e-4), dstate, cache), roles=ROLES
    )
    assert report.ok and [(f.code, f.severity) for f in report.findings] == [("F200", "warning")]


# -- the state ----------------------------------------------------------------------------------------


def in_other_order(params: Any, x: Any, state: Any) -> Any:
    y, (h, c), cache = forward(params, x, None if state is None else state[::-1])
    return y, (c, h), cache


def back_in_other_order(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
    dx, (dh, dc), grads = backward(params, dy, dstate[::-1], cache)
    return dx, (dc, dh), grads


def test_the_order_of_the_state() -> None:
    report = check(in_other_order, back_in_other_order, roles=ROLES, state_order=("c", "h"))
    assert report.ok and not codes(report) and [row.name for row in report.rows[1:3]] == ["c0", "h0"]
    untold = check(in_other_order, back_in_other_order, roles=ROLES)
    assert untold.ok and codes(untold) == ["F201"]


@pytest.mark.parametrize("order", [("h", "h"), ("c",), ("a", "b"), ("h", "c", "x"), ()])
def test_an_order_that_is_none(order: Any) -> None:
    with pytest.raises(ArgumentError, match=r'state_order is expected to be \("h", "c"\) or \("c", "h"\), got \('):
        check(state_order=order)


def lazy(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
    """Takes no gradient of the final state, as truncated windows do."""
    dx, _, grads = backward(params, dy, tuple(0 * a for a in dstate), cache)
    return dx, None, grads


def in_columns(order: tuple[int, ...]) -> Code:
    """The code in another layout: the axes of x and y as [B, T, F] have them in this order, the state is [H, B]."""
    back = np.argsort(order)

    def forward_(p: Any, x: Any, state: Any) -> Any:
        y, after, cache = forward(p, x.transpose(back), tuple(a.T for a in state))
        return y.transpose(order), tuple(a.T for a in after), cache

    def backward_(p: Any, dy: Any, dstate: Any, cache: Any) -> Any:
        dx, ds, grads = backward(p, dy.transpose(back), tuple(a.T for a in dstate), cache)
        return dx.transpose(order), tuple(a.T for a in ds), grads

    return forward_, backward_


@pytest.mark.parametrize("order", [(2, 0, 1), (2, 1, 0), (1, 2, 0)])
def test_columns_of_rows_and_steps_in_any_order(order: tuple[int, ...]) -> None:
    rows, steps, features = 2, 4, D
    x, state = values(rows, steps, features, seed=3).transpose(order), (np.zeros((H, rows)), np.zeros((H, rows)))
    report = check(*in_columns(order), x, state, ROLES)
    assert report.ok and not report.findings, report


def test_columns_of_one_row() -> None:
    def forward_(p: Any, x: Any, state: Any) -> Any:  # x [D, T], the state [H, 1]
        y, after, cache = forward(p, x.T[None], tuple(a.T for a in state))
        return y[0].T, tuple(a.T for a in after), cache

    def backward_(p: Any, dy: Any, dstate: Any, cache: Any) -> Any:
        dx, ds, grads = backward(p, dy.T[None], tuple(a.T for a in dstate), cache)
        return dx[0].T, tuple(a.T for a in ds), grads

    report = check(forward_, backward_, values(D, 5, seed=3), (np.zeros((H, 1)), np.zeros((H, 1))), ROLES)
    assert report.ok and not report.findings, report


@pytest.mark.parametrize("roles", [None, ROLES])
def test_the_final_state_may_be_ignored_where_none_is_given(roles: Any) -> None:
    report = check(b=lazy, state=None, roles=roles)
    assert report.ok and not codes(report)
    assert len(report.warnings) == 1 and "ignores the gradient of the final state" in report.warnings[0]
    assert "note: backward ignores" in str(report).replace("\n", " ")
    given = check(b=lazy, roles=roles)
    assert not given.ok and not given.warnings


def test_ignoring_the_state_excuses_nothing_else() -> None:
    def wrong(params: Any, dy: Any, dstate: Any, cache: Any) -> Any:
        dx, dstate, grads = lazy(params, dy, dstate, cache)
        return dx, dstate, grads | {"b": 2 * grads["b"]}

    report = check(b=wrong, state=None)
    assert not report.ok and not report["b"].ok


def test_no_excuse_is_needed_where_the_state_counts() -> None:
    assert not check(state=None).warnings
