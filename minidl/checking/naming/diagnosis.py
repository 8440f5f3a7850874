"""From a report to findings: what the forward pass is, which mistakes give these gradients, what is left."""

from __future__ import annotations

from minidl.checking.naming.findings import Finding, found, in_order
from minidl.checking.naming.forwards import Reading
from minidl.checking.naming.looks import deaf, look_alikes, told
from minidl.checking.naming.matching import Block, Matcher, Stage
from minidl.checking.naming.observing import Study
from minidl.checking.naming.roles import Roles
from minidl.checking.naming.textbook import Pieces, peep
from minidl.checking.report import GradientReport, Row

# a backward pass that takes the cells which the textbook looks at, whatever the forward pass looked at
LITERAL: Pieces = {
    "p_i": lambda q: peep(q.c_, q.dz["i"], q.w["p_i"]),
    "p_f": lambda q: peep(q.c_, q.dz["f"], q.w["p_f"]),
    "p_o": lambda q: peep(q.c, q.dz["o"], q.w["p_o"]),
}


def name_mistakes(report: GradientReport, study: Study, axes: str | None) -> list[Finding]:
    """All findings about hand-written code, in the order in which to mend them; notes go into the report."""
    findings = list(report.findings)
    wrong = [row for row in report.rows if not row.ok]
    if wrong and not findings and not study.listens():
        findings.append(deaf(wrong, study.error))
    if study.roles is None:
        return in_order(findings + look_alikes(wrong, findings))
    reading, at = study.identify(axes)
    findings += about_forward(reading, study.roles, findings)
    if reading is not None and "T" in reading.x.axes and reading.x.read(study.v.x).shape[1] == 1:
        report.warnings.append("a single step proves nothing about the paths through time: give x with 4 or more.")
    if not wrong:
        return in_order(findings)
    if reading is None or any(finding.code == "C301" for finding in findings):
        return in_order(findings + look_alikes(wrong, findings))
    explanation = explained(wrong, list(study.stages(at, reading)), reading, findings)
    named = {finding.code for finding in explanation}
    heard = [f for f in findings if f.code != "G110" or "G110" not in named]  # told once, by the one that says more
    return in_order(heard + explanation)


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
        findings.append(
            found(
                "F200", "x", evidence, "x is not used, positions enter instead",
                severity="error", cause="a loop over range(len(x)) whose counter stands where x[t] belongs",
                remedy="make the one-hot vector from x[t], not from t",
            )
        )  # fmt: skip
    if reading.strange_state:
        evidence = "the loss is that of the textbook, the state that is returned is not h and c of its last step"
        findings.append(
            found(
                "F200", "state", evidence, "another state is returned",
                severity="error", cause="h and c get other values in the backward loop, or dh and dc are returned",
                remedy="return h and c of the last step: the next window begins from them",
            )
        )  # fmt: skip
    for mistake in reading.mistakes:
        evidence = "with this mistake the textbook gives the same y and state, to 1e-6; without it, it does not"
        findings.append(found(mistake.code, mistake.where, evidence, mistake.what))
    return findings


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
        return look_alikes(wrong, known, hint, compared=True)
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
    return findings + look_alikes(left, known, narrowed(unexplained, stages), compared=True)


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
