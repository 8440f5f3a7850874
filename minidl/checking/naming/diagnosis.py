"""From a report to findings: what the forward pass is, which mistakes give these gradients, what is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.checking.handwritten import Functions, LossFunction, Result, Values, cast, random_like, zeros_like
from minidl.checking.naming.findings import Finding, found, in_order
from minidl.checking.naming.forwards import Point, Reading, enter, read_forward, read_loss, read_states
from minidl.checking.naming.looks import deaf, look_alikes, told
from minidl.checking.naming.matching import Block, Matcher, Stage
from minidl.checking.naming.reading import Layout, layouts_of_x
from minidl.checking.naming.roles import Roles
from minidl.checking.naming.textbook import Pieces, forward, peep
from minidl.checking.report import GradientReport, Row
from minidl.checking.structure import arrays_of, with_arrays
from minidl.errors import ArgumentError
from minidl.inputs import Array

READ = 4  # steps on which a forward pass is read
# a backward pass that takes the cells which the textbook looks at, whatever the forward pass looked at
LITERAL: Pieces = {
    "p_i": lambda q: peep(q.c_, q.dz["i"], q.w["p_i"]),
    "p_f": lambda q: peep(q.c_, q.dz["f"], q.w["p_f"]),
    "p_o": lambda q: peep(q.c, q.dz["o"], q.w["p_o"]),
}


def name_functions(
    report: GradientReport,
    code: Functions,
    v: Values,
    dy: Any,
    dafter: Any,
    roles: Roles | None,
    order: tuple[str, str],
    axes: str | None,
    rng: np.random.Generator,
) -> list[Finding]:
    """All findings about a pair of functions, in the order in which to mend them."""
    findings = list(report.findings)
    wrong = [row for row in report.rows if not row.ok]
    if wrong and not depends_on_dy(code, v, dy, dafter):
        findings.append(deaf(wrong))
    if roles is None:
        return in_order(findings + look_alikes(wrong, findings))

    def forward_of(x: Any) -> tuple[Any, Any]:
        return code.run(v.copied()._replace(x=cast(x, np.float64)))[:2]

    reading, at = None, v
    for layout, x, (y, after) in runs_on_few_steps(v, layouts_of_x(v.x, roles.features, axes), forward_of):
        point = Point(v.params, x, v.state, order)
        reading = read_forward(roles, point, layout, y, after)
        if reading is not None:
            at = v._replace(x=x)
            break
    findings += about_forward(reading, roles, findings)
    report.warnings += short(reading, v)
    if not wrong:
        return in_order(findings)
    if reading is None or any(finding.code == "C301" for finding in findings):
        return in_order(findings + look_alikes(wrong, findings))

    stages = list(stages_of_functions(code, at, reading, roles, order, rng))
    return in_order(without_echo(findings, explained(wrong, stages, reading, findings)))


def name_loss(
    report: GradientReport,
    code: LossFunction,
    v: Values,
    roles: Roles | None,
    order: tuple[str, str],
    axes: str | None,
    rng: np.random.Generator,
) -> list[Finding]:
    """All findings about a loss function, in the order in which to mend them."""
    findings = list(report.findings)
    wrong = [row for row in report.rows if not row.ok]
    if wrong and not depends_on_target(code, v):
        findings.append(deaf(wrong, "target"))
    if roles is None:
        return in_order(findings + look_alikes(wrong, findings))

    reading, at = None, v
    for layout in layouts_of_x(v.x, roles.features, axes):
        for T in few_steps(layout, v.x):
            cut = cut_both(v, layout, T)
            try:
                result = code.run(cut.copied())
            except ArgumentError:
                continue
            point = Point(v.params, cut.x, v.state, order)
            reading = read_loss(roles, point, layout, cut.target, float(np.real(result.y)), result.after)
            at = cut
            break
        if reading is not None:
            break
    findings += about_forward(reading, roles, findings)
    report.warnings += short(reading, v)
    if not wrong:
        return in_order(findings)
    if reading is None or any(finding.code == "C301" for finding in findings):
        return in_order(findings + look_alikes(wrong, findings))
    stages = list(stages_of_loss(code, at, reading, roles, order))
    return in_order(without_echo(findings, explained(wrong, stages, reading, findings)))


def without_echo(findings: list[Finding], explanation: list[Finding]) -> list[Finding]:
    """Both lists; that dy does not matter is told once, by the one that says more."""
    named = {finding.code for finding in explanation}
    return [f for f in findings if f.code != "G110" or "G110" not in named] + explanation


# -- the forward pass ---------------------------------------------------------------------------------


def few_steps(layout: Layout, x: Any) -> list[int]:
    """Numbers of steps to try: few first, then all."""
    if "T" not in layout.axes:
        return [1]
    T = layout.read(x).shape[1]
    return sorted({min(T, READ), T})


def runs_on_few_steps(v: Values, layouts: list[Layout], run: Any) -> Iterator[tuple[Layout, Any, Any]]:
    """The code's own results on few steps, for each layout that x may have."""
    for layout in layouts:
        for T in few_steps(layout, v.x):
            x = layout.cut(v.x, T)
            try:
                result = run(x)
            except ArgumentError:
                continue  # the number of steps is wired in
            yield layout, x, result
            break


def about_forward(reading: Reading | None, roles: Roles, known: list[Finding]) -> list[Finding]:
    """What the forward pass is, where it is not the textbook's."""
    findings = []
    if roles.over_time:
        names = ", ".join(roles.over_time)
        findings.append(found("F203", names, f"{names}: weights of their own at each step, by their roles"))
    if reading is None and known:
        return findings  # where the contract is broken, no comparison means anything
    if reading is None:
        evidence = "neither the textbook's forward pass nor one with a known mistake gives these numbers"
        return [*findings, found("F200", "forward", evidence)]
    if reading.x.positions:
        evidence = "with 0, 1, 2, ... in place of the ids the textbook gives the same numbers"
        findings.append(found("F200", "x", evidence, "x is not used, positions enter instead", "error"))
    if reading.strange_state:
        evidence = "the loss is that of the textbook, the state that is returned is not h and c of its last step"
        findings.append(found("F200", "state", evidence, "another state is returned, its gradient perhaps", "error"))
    for mistake in reading.mistakes:
        evidence = "with this mistake the textbook gives the same y and state, to 1e-6; without it, it does not"
        findings.append(found(mistake.code, mistake.where, evidence, mistake.what))
    return findings


def short(reading: Reading | None, v: Values) -> list[str]:
    """What a single step proves nothing about."""
    if reading is None or "T" not in reading.x.axes or reading.x.read(v.x).shape[1] > 1:
        return []
    return ["with a single step nothing is proved about the paths through time: give x with 4 steps or more."]


# -- the backward pass --------------------------------------------------------------------------------


def stages_of_functions(
    code: Functions, v: Values, reading: Reading, roles: Roles, order: tuple[str, str], rng: np.random.Generator
) -> Iterator[Stage]:
    """Backward passes from simple to whole: one step with dc alone, one with dh alone, two steps, more."""
    full = reading.x.read(v.x).shape[1]
    for T, only in dict.fromkeys([(1, "c"), (1, "h"), (1, "y"), (2, ""), (full, "")]):
        if full < T:
            continue
        at = v._replace(x=reading.x.cut(v.x, T))
        try:
            y, after, cache = code.run(at.copied())
            dy, dafter = random_like(y, rng), random_like(after, rng)
            if only:
                dy, dafter = alone(dy, dafter, only, order)
            result = Result(y, after, *code.back(at.copied(), cast(dy, np.float64), cast(dafter, np.float64), cache))
        except ArgumentError:
            continue  # the number of steps is wired in
        stage = stage_of(at, result, reading, roles, order, dafter)
        if stage is not None:
            yield stage._replace(dy=reading.head.layout.read(dy))


def alone(dy: Any, dafter: Any, only: str, order: tuple[str, str]) -> tuple[Any, Any]:
    """Cotangents of which all but one are 0: of y, of h, or of c."""
    if only == "y":
        return dy, zeros_like(dafter)
    arrays = arrays_of(dafter)
    kept = iter([a if order[k % 2] == only else np.zeros_like(a) for k, a in enumerate(arrays)])
    return zeros_like(dy), with_arrays(dafter, kept)


def stages_of_loss(
    code: LossFunction, v: Values, reading: Reading, roles: Roles, order: tuple[str, str]
) -> Iterator[Stage]:
    """The loss on one step, two steps, and more."""
    full = reading.x.read(v.x).shape[1]
    for T in sorted({1, min(2, full), full}):
        at = cut_both(v, reading.x, T)
        try:
            result = code.run(at.copied())
        except ArgumentError:
            continue
        stage = stage_of(at, result, reading, roles, order, None)
        if stage is not None:
            factor = reading.head.factor if full == T else refactored(code, at, reading, roles, order, result)
            if factor is not None:
                yield stage._replace(target=reading.head.layout.read(at.target), factor=factor)


def refactored(
    code: LossFunction, at: Values, reading: Reading, roles: Roles, order: tuple[str, str], result: Result
) -> float | None:
    """The factor of the loss at another number of steps: a mean has another one."""
    point = Point(at.params, at.x, at.state, order)
    again = read_loss(roles, point, reading.x, at.target, float(np.real(result.y)), result.after)
    return None if again is None else again.head.factor


def cut_both(v: Values, layout: Layout, T: int) -> Values:
    """x and target on the first steps, where the target has steps."""
    x, target = layout.cut(v.x, T), v.target
    full = layout.read(v.x).shape[1]
    axes = layout.axes.replace("F", "")
    a = np.asarray(v.target)
    if "T" in axes and a.ndim > axes.index("T") and a.shape[axes.index("T")] == full:
        target = np.take(a, range(T), axis=axes.index("T"))
    return v._replace(x=x, target=target)


def stage_of(
    v: Values, result: Result, reading: Reading, roles: Roles, order: tuple[str, str], dafter: Any
) -> Stage | None:
    """What was observed, and what the textbook needs to do the same."""
    rows = reading.x.read(v.x)
    B = len(rows)
    weights = roles.weights(v.params)
    state = read_states(v.state, roles, order, B, reading.column)
    dstate = read_states(dafter, roles, order, B, reading.column)
    if state is None or dstate is None:
        return None
    run = forward(weights, enter(rows, weights), state, roles.keys_over_time, reading.pieces)
    observed: dict[Block, Array] = {}
    if result.dx is not None and not reading.x.ids and np.shape(result.dx) == np.shape(v.x):
        observed["x", None] = reading.x.read(result.dx)
    if result.dstate is not None and v.state is not None:
        read = read_states(result.dstate, roles, order, B, reading.column) or []
        for n, (dh0, dc0) in enumerate(read):
            observed |= {("h0", n): dh0, ("c0", n): dc0}
    grads = result.grads if isinstance(result.grads, dict) else {}
    fitting = {name: np.real(np.asarray(a)) for name, a in grads.items() if np.shape(a) == v.params[name].shape}
    observed |= dict(roles.blocks(fitting).items())
    return Stage(run, rows, weights, None, None, dstate, observed, reading.head.factor)


def explained(wrong: list[Row], stages: list[Stage], reading: Reading, known: list[Finding]) -> list[Finding]:
    """The mistakes that give these gradients; what remains gets the words that fit its look."""
    if not stages:
        return look_alikes(wrong, known)
    bases: list[Pieces] = [{}, reading.fitting, LITERAL] if reading.mistakes else [{}]
    matcher = max((Matcher(stages, reading.head, base) for base in bases), key=lambda m: len(m.right(())))
    plain = matcher.right(())
    if plain == matcher.blocks:
        if reading.mistakes:
            return []  # the backward pass is the textbook's: only the forward pass has to be mended
        T = max(stage.run.h.shape[1] for stage in stages)
        hint = f"on the first {T} steps all is right (gradients that are clipped, or cut off, look like this)"
        return look_alikes(wrong, known, hint)
    explanation = matcher.explain()
    solved, unsolved = len(explanation.right - plain), len(matcher.blocks - plain)
    whole = explanation.right == matcher.blocks
    left = wrong
    findings = []
    if whole or solved >= (0.9 if reading.mistakes else 0.5) * unsolved:
        share = "all blocks" if whole else f"{solved} of {unsolved} wrong blocks, so there is more, or it is another"
        evidence = (
            f"put into the textbook's backward pass, it gives the same numbers, to 1e-6 ({share}); "
            f"{told(max(wrong, key=lambda row: row.error))}"
        )
        for mistake, layer in explanation.placed:
            where = mistake.where if layer is None else f"{mistake.where} of layer {layer + 1}"
            what = mistake.what if whole else f"perhaps {mistake.what}"
            findings.append(found(mistake.code, where, evidence, what))
        names = {block[0] for _, block in matcher.blocks - explanation.right}
        left = [row for row in wrong if row.name in names or not row.entries]
    if reading.mistakes and not findings:
        return []  # mend the forward pass first: what is compared with may change
    unexplained = matcher.blocks - (explanation.right if findings else plain)
    return findings + look_alikes(left, known, narrowed(unexplained, stages))


def narrowed(unexplained: frozenset[tuple[int, Block]], stages: list[Stage]) -> str:
    """Where to look for what has no name: what is wrong on a single step already, gate by gate."""
    single = [k for k, stage in enumerate(stages) if stage.run.h.shape[1] == 1]
    if not single or not unexplained:
        return ""
    blocks = [block for k, block in unexplained if k in single]
    if not blocks:
        return "on a single step all is right: look at what goes from one step to the one before"
    gates = sorted({key[1][-1] for _, key in blocks if isinstance(key, tuple) and key[0] >= 0}, key="ifog".index)
    if not gates or len(gates) == 4:
        return ""
    return f"on a single step, of the weights only those of {' and '.join(gates)} have a wrong gradient"


# -- without roles, or where they did not help ----------------------------------------------------------


def depends_on_dy(code: Functions, v: Values, dy: Any, dafter: Any) -> bool:
    """Whether another dy gives another gradient."""
    one = code.pull(v.copied(), cast(dy, np.float64), cast(dafter, np.float64))
    two = code.pull(v.copied(), with_noise(dy), cast(dafter, np.float64))
    return changes((one.dx, one.dstate, one.grads), (two.dx, two.dstate, two.grads))


def depends_on_target(code: LossFunction, v: Values) -> bool:
    """Whether another target gives another gradient."""
    target = np.asarray(v.target)
    other = np.roll(target, 1) if target.dtype.kind in "iub" else with_noise(v.target)
    if target.dtype.kind in "iub" and (other == target).all():
        return True
    one, two = code.run(v.copied()), code.run(v.copied()._replace(target=other))
    return changes(one.grads, two.grads)


def with_noise(tree: Any) -> Any:
    """Other numbers in the same form."""
    rng = np.random.default_rng(3)
    return with_arrays(tree, (np.asarray(a) + rng.standard_normal(np.shape(a)) for a in arrays_of(tree)))


def changes(one: Any, two: Any) -> bool:
    """Whether two structures differ anywhere."""
    return any(a.shape != b.shape or (a != b).any() for a, b in zip(arrays_of(one), arrays_of(two), strict=True))
