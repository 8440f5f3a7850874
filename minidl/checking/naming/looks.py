"""Findings by what wrong numbers look like: a factor, a transpose, or nothing that has a name."""

from __future__ import annotations

from minidl.checking.naming.findings import Finding, found
from minidl.checking.report import SIGN, Row


def deaf(wrong: list[Row], what: str = "dy") -> Finding:
    """A backward pass that does not listen."""
    evidence = f"another {what} gives the very same gradients; {told(max(wrong, key=lambda row: row.error))}"
    return found("G110", ", ".join(row.name for row in wrong), evidence)


UNNAMED = {  # a gradient that was compared with the textbook's
    "cause": "none of the known mistakes gives these numbers",
    "remedy": "check at T = 1 first, then T = 2, one gate at a time; compare with minidl/kernels/lstm_reference.py",
}
NEGATED = {
    "cause": "the sign of a term, or of the whole error: y - t where t - y was taken",
    "remedy": "turn the sign around for an update that is subtracted, W -= rate * grad; where you add the update, "
    "W += rate * grad, it is right as it is",
}


def look_alikes(wrong: list[Row], known: list[Finding], hint: str = "", compared: bool = False) -> list[Finding]:
    """Findings by what the numbers look like; arrays with the same look share one.

    Args:
        wrong: the rows of a report.
        known: findings of before.
        hint: where to look.
        compared: whether known mistakes of an LSTM were tried.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in wrong:
        verdict = "" if row.verdict == "wrong" else row.verdict
        groups.setdefault((row.code, verdict), []).append(row)
    findings = []
    for (code, verdict), rows in groups.items():
        if code == "G101" and any(f.code in ("C301", "G110") for f in known):
            continue  # told already, by one that says more
        worst = max(rows, key=lambda row: row.error)
        evidence = f"{told(worst)}; {hint}" if hint and code == "G101" else told(worst)
        own = NEGATED if verdict == SIGN else UNNAMED if compared and code == "G101" and not verdict else {}
        findings.append(found(code, ", ".join(row.name for row in rows), evidence, verdict or None, **own))
    return findings


def told(row: Row) -> str:
    """The worst entry of an array, in numbers."""
    if not row.entries:
        return f"{row.name}: {row.verdict}"
    at = f"[{', '.join(map(str, row.worst))}]" if row.worst else ""
    return f"{row.name}{at} should be {row.numeric:.6g}, backward gives {row.analytic:.6g}"
