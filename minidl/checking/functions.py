"""`check_functions` and `check_loss`: hand-written code proved right, or its mistakes named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minidl.arguments import positive_int, positive_real, real
from minidl.checking.carried import carried_gradient
from minidl.checking.contract import contract_of_functions, contract_of_loss
from minidl.checking.handwritten import (
    Functions,
    LossFunction,
    Result,
    Values,
    cast,
    moved,
    random_like,
    require_double,
    require_finite,
    require_params,
    snapshot,
    zeros_like,
)
from minidl.checking.judging import compare_gradients
from minidl.checking.naming.diagnosis import name_mistakes
from minidl.checking.naming.findings import in_order
from minidl.checking.naming.observing import StudyOfFunctions, StudyOfLoss
from minidl.checking.naming.roles import Roles
from minidl.checking.numeric import Problem, takes_complex
from minidl.checking.report import ILL_CONDITIONED, GradientReport, Row
from minidl.checking.structure import arrays_of
from minidl.errors import ArgumentError
from minidl.inputs import Array


def check_functions(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    params: Mapping[str, Any],
    x: Any,
    state: Any = None,
    roles: Mapping[str, str | None] | None = None,
    *,
    state_order: tuple[str, str] = ("h", "c"),
    axes: str | None = None,
    jitter: float = 1.0,
    max_entries: int = 50,
    every_entry: bool = False,
    tolerance: float | None = None,
    seed: int = 0,
) -> GradientReport:
    """Check a hand-written forward and backward pass, and name its mistakes.

        forward(params, x, state)            -> y, state, cache
        backward(params, dy, dstate, cache)  -> dx, dstate, grads

    Every gradient is compared with numeric derivatives, in float64, with random cotangents on y and on the state, at
    parameters and from a state that are random. With `roles`, the code is also compared with the LSTM of the textbook
    and with a library of mistakes, and the one that gives the same numbers is named.

    Args:
        forward, backward: the functions; y and x are arrays or lists of arrays, state a tuple of arrays or None, cache
            anything, grads a dict with the keys of params; dx and dstate may be None.
        params: arrays by name.
        x: inputs, floats or ids.
        state: a state in the form that forward takes, for its shapes; None where forward is to be called with None.
        roles: what each array is, {"Wf": "Wx_f", "U": "Wh:ifgo", "b": "b:ifgo", "step": None}; see
            `minidl.checking.naming.roles`.
        state_order: which comes first in the state.
        axes: the axes of x, such as "BTD", "TBD", "TD1"; recognised from the shapes by default.
        jitter: how far the parameters are moved, relative to a fresh initialization; 0 checks at the very values.
        max_entries, every_entry, tolerance, seed: as for `gradcheck`.

    Returns:
        A report with `.ok` (gradients and contract hold), `.rows`, `.findings`, and a table when printed.

    Raises:
        ArgumentError: for functions with another signature or that fail, and roles that do not fit.

    Example:
        >>> def forward(params, x, state):
        ...     return np.tanh(x @ params["W"]), None, x
        >>> def backward(params, dy, dstate, x):
        ...     dz = dy * (1 - np.tanh(x @ params["W"]))  # the square is missing
        ...     return dz @ params["W"].T, None, {"W": x.T @ dz}
        >>> rng = np.random.default_rng(0)
        >>> report = check_functions(forward, backward, {"W": rng.normal(size=(3, 4))}, rng.normal(size=(5, 3)))
        >>> report.ok, [finding.code for finding in report.findings]
        (False, ['G101'])
    """
    code = Functions(forward, backward)
    require_options(state_order, jitter, max_entries, tolerance, seed)
    rng = np.random.default_rng(seed)
    given = require_params(params)
    known = read_roles(roles, given)
    v = Values(moved(given, rng, jitter), cast(x, np.float64), random_like(state, rng, 0.5))

    require_finite("x", v.x)
    y, after, cache = code.run(v.copied())
    require_finite("y", y)
    require_double("forward", (y, after))
    require_finite("the state that forward returns", after)
    dy, dafter = random_like(y, rng), random_like(after, rng)
    y, after = cast(y, np.float64), cast(after, np.float64)
    back = code.back(v.copied(), cast(dy, np.float64), cast(dafter, np.float64), cache)
    result = Result(y, after, *snapshot(back))  # of the very first calls: later ones may suffer from them
    findings = contract_of_functions(code, v, dy, dafter, result)

    def problem_with(dafter: Any) -> Callable[[Any], Problem]:
        def problem(dtype: Any) -> Problem:
            live = v.copied(dtype)

            def value() -> Any:
                y, after, _ = code.run(live.copied(dtype))
                return inner(y, dy) + inner(after, dafter)

            return Problem(named(live, state_order), value)

        return problem

    def check(dafter: Any, analytic: dict[str, Any]) -> GradientReport:
        return compare(problem_with(dafter), analytic, not findings, max_entries, every_entry, tolerance, rng)

    report = check(dafter, analytic_of(result, v, state_order))
    report.findings = findings
    if not report.ok and not findings and state is None and arrays_of(dafter):
        without = code.pull(v.copied(), cast(dy, np.float64), zeros_like(dafter))  # a code without carried gradients
        lenient = check(zeros_like(dafter), analytic_of(without, v, state_order))
        if lenient.ok:
            lenient.findings = findings
            lenient.warnings.append(
                "backward ignores the gradient of the final state: right where windows hand none back, give state= to "
                "check it."
            )
            report = lenient
    report.warnings += tame(report.rows)
    study = StudyOfFunctions(code, v, known, state_order, dy, dafter)
    report.findings = name_mistakes(report, study, axes)
    return report


def check_loss(
    function: Callable[..., Any],
    params: Mapping[str, Any],
    x: Any,
    target: Any,
    state: Any = None,
    roles: Mapping[str, str | None] | None = None,
    *,
    state_order: tuple[str, str] = ("h", "c"),
    axes: str | None = None,
    jitter: float = 1.0,
    max_entries: int = 50,
    every_entry: bool = False,
    tolerance: float | None = None,
    seed: int = 0,
) -> GradientReport:
    """Check a hand-written function that computes a loss and its gradients, and name its mistakes.

        function(params, x, target, state)  -> loss, grads, state

    Args:
        function: the function; grads is a dict with the keys of params.
        target: what the loss compares with: ids, or floats.
        params, x, state, roles: as for `check_functions`.
        state_order, axes, jitter, max_entries, every_entry, tolerance, seed: as for `check_functions`.

    Returns:
        A report with `.ok`, `.rows`, `.findings`, and a table when printed.

    Raises:
        ArgumentError: for a function with another signature or that fails, and roles that do not fit.

    Example:
        >>> def loss(params, x, target, state):
        ...     error = x @ params["W"] - target
        ...     return (error**2).mean(), {"W": 2 * x.T @ error}, None  # the gradient is that of the sum
        >>> rng = np.random.default_rng(0)
        >>> report = check_loss(loss, {"W": rng.normal(size=(3, 2))}, rng.normal(size=(5, 3)), rng.normal(size=(5, 2)))
        >>> report.findings[0].code, report["W"].verdict
        ('G102', 'off by the factor 10')
    """
    code = LossFunction(function)
    require_options(state_order, jitter, max_entries, tolerance, seed)
    rng = np.random.default_rng(seed)
    given = require_params(params)
    known = read_roles(roles, given)
    v = Values(moved(given, rng, jitter), cast(x, np.float64), random_like(state, rng, 0.5), cast(target, np.float64))
    require_finite("x", v.x)
    first = code.run(v.copied())
    require_finite("the loss", first.y)
    require_double("function", (first.y, first.after))
    findings = contract_of_loss(code, v)
    result = code.run(v.copied())

    def problem(dtype: Any) -> Problem:
        live = v.copied(dtype)
        weights = {name: a for name, a in live.params.items() if a.dtype.kind in "fc"}
        return Problem(weights, lambda: code.run(live.copied(dtype)).y)

    report = compare(problem, gradients_of(result, v), not findings, max_entries, every_entry, tolerance, rng)
    report.findings = findings
    report.warnings += tame(report.rows)
    report.findings = name_mistakes(report, StudyOfLoss(code, v, known, state_order), axes)
    carried = carried_gradient(code, v)
    if carried is not None:
        report.findings = in_order([*report.findings, carried])
    return report


def read_roles(roles: Mapping[str, str | None] | None, params: Mapping[str, Array]) -> Roles | None:
    """The roles; None where no array is part of an LSTM."""
    if roles is None:
        return None
    if not isinstance(roles, Mapping):
        raise ArgumentError(f"roles is expected to be a dict from the names of params, got {type(roles).__name__}.")
    if not any(role is not None for role in roles.values()):
        return None
    return Roles(roles, params)


def require_options(state_order: Any, jitter: Any, max_entries: Any, tolerance: Any, seed: Any) -> None:
    """Refuse options that are none."""
    if not isinstance(state_order, tuple | list | str) or sorted(state_order) != ["c", "h"]:
        raise ArgumentError(f'state_order is expected to be ("h", "c") or ("c", "h"), got {state_order!r}.')
    real("the check", "jitter", jitter, 0.0)
    positive_int("the check", "max_entries", max_entries)
    if tolerance is not None:
        positive_real("the check", "tolerance", tolerance)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"the check expects seed to be an integer of at least 0, got {seed!r}.")


def inner(tree: Any, cotangent: Any) -> Any:
    """The sum of the products of two structures."""
    return sum(((a * b).sum() for a, b in zip(arrays_of(tree), arrays_of(cotangent), strict=True)), 0.0)


def state_names(state: Any, order: tuple[str, str]) -> list[str]:
    """Names for the arrays of a state: h0 and c0, with the layer's number in a stack, else by position."""
    count = len(arrays_of(state))
    if count == 2:
        return [f"{letter}0" for letter in order]
    if count % 2 == 0:
        return [f"{letter}0 of layer {n + 1}" for n in range(count // 2) for letter in order]
    return [f"state[{k}]" for k in range(count)]


def named(v: Values, order: tuple[str, str]) -> dict[str, Array]:
    """The arrays that a derivative may be taken by, by name: they are the live ones."""
    xs = arrays_of(v.x)
    found = {("x" if len(xs) == 1 else f"x[{k}]"): a for k, a in enumerate(xs)}
    found |= dict(zip(state_names(v.state, order), arrays_of(v.state), strict=True))
    return {name: a for name, a in (found | v.params).items() if a.dtype.kind in "fc"}


def analytic_of(result: Any, v: Values, order: tuple[str, str]) -> dict[str, Any]:
    """What backward gave, by the names of `named`; dx and dstate are left out where it gives None."""
    found: dict[str, Any] = {}
    if isinstance(result.dx, Mapping):
        raise ArgumentError(
            "dx is expected to be like x, got a dict: backward returns dx, dstate, grads in this order."
        )
    if result.dx is not None:
        dxs = arrays_of(result.dx)
        found |= {("x" if len(arrays_of(v.x)) == 1 else f"x[{k}]"): a for k, a in enumerate(dxs)}
        if len(arrays_of(v.x)) == 1 and len(dxs) > 1:
            found = {"x": np.stack(dxs)}  # a list of steps for an array of steps
        elif len(dxs) != len(arrays_of(v.x)):
            raise ArgumentError(
                f"dx is expected to be like x, {len(arrays_of(v.x))} arrays, got {len(dxs)}: return one for each."
            )
    if result.dstate is not None and v.state is not None:
        names = state_names(v.state, order)
        arrays = arrays_of(result.dstate)
        if len(names) != len(arrays):
            raise ArgumentError(
                f"dstate is expected to be like the state, {len(names)} arrays, got {len(arrays)}: return one for each."
            )
        found |= dict(zip(names, arrays, strict=True))
    return found | gradients_of(result, v)


def gradients_of(result: Any, v: Values) -> dict[str, Any]:
    """The gradients of the parameters; a name that is missing is None."""
    grads = result.grads
    if not isinstance(grads, Mapping):
        raise ArgumentError(f"grads is expected to be a dict with the keys of params, got {type(grads).__name__}.")
    unknown = [name for name in grads if name not in v.params]
    if unknown:
        raise ArgumentError(
            f"grads is expected to have the keys of params, {', '.join(map(str, v.params))}, got {unknown[0]!r}."
        )
    return {name: None if grads.get(name) is None else np.asarray(grads[name]) for name in v.params}


def compare(
    problem: Callable[[Any], Problem],
    analytic: dict[str, Any],
    pure: bool,
    max_entries: int,
    every_entry: bool,
    tolerance: float | None,
    rng: np.random.Generator,
) -> GradientReport:
    """The rows of a report: each array's gradient beside the numeric one.

    Only a pure function is tried with complex numbers: another might keep them.
    """
    with np.errstate(all="ignore"):
        real, complex_ = problem(np.float64), problem(np.complex128)
        complex_step = pure and takes_complex(complex_, real, rng)
        chosen = complex_ if complex_step else real
        tolerance = tolerance if tolerance is not None else 1e-10 if complex_step else 1e-5
        count = 2**62 if every_entry else max_entries
        chosen = Problem({name: a for name, a in chosen.arrays.items() if name in analytic}, chosen.value)
        single = [name for name in chosen.arrays if getattr(analytic[name], "dtype", None) == np.float32]
        if single:
            tolerance = max(tolerance, 1e-4)
        real_parts = {name: real_part(analytic[name]) for name in chosen.arrays}
        rows = compare_gradients(chosen, real_parts, complex_step, tolerance, count, rng)
    method = "complex steps" if complex_step else "central differences"
    report = GradientReport(rows, method, tolerance, every_entry)
    if single:
        report.warnings.append(
            f"the gradient of {', '.join(single)} comes in float32: compared to 1e-4 only. Make it with np.zeros_like."
        )
    return report


def real_part(a: Any) -> Array | None:
    """A gradient as real numbers."""
    return None if a is None else np.real(np.asarray(a)).astype(np.float64)


def tame(rows: list[Row]) -> list[str]:
    """What a point proves nothing about: arrays whose gradients are next to nothing."""
    checked = [row for row in rows if row.verdict != ILL_CONDITIONED]
    largest = max((abs(row.numeric) for row in checked), default=0.0)
    names = [
        row.name for row in checked
        if row.entries and max(abs(numeric) for _, numeric, _, _ in row.entries) < 1e-6 * max(largest, 1e-300)
    ]  # fmt: skip
    if not names:
        return []
    return [
        f"the gradient of {', '.join(names)} is next to 0 at this point (saturated gates, tiny weights, or no part in "
        f"the result): nothing is proved about it. Give other values, or a larger jitter."
    ]
