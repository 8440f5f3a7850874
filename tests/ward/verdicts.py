"""What counts as found, as named and as left alone, for the test and for the table alike."""

import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from tests.ward.case import Case


class Verdict(NamedTuple):
    """What a check made of a case."""

    case: Case
    report: Any
    given: tuple[str, ...]  # the codes in the order of the findings
    errors: tuple[str, ...]  # those among them that are more than a warning
    seconds: float
    crash: str = ""  # what the check itself raised, which is no finding

    @property
    def left_alone(self) -> bool:
        """A healthy case: right, and nothing said against it that is not true of it."""
        return self.report.ok and not self.errors and set(self.given) <= set(self.case.tolerated)

    @property
    def found(self) -> bool:
        """A sick case: failed, or, where only the forward pass is another one, told so."""
        if self.crash:
            return False
        if self.case.sound:
            return bool(self.report.ok) and any(code.startswith("F") for code in self.given)
        return not self.report.ok

    @property
    def named(self) -> bool:
        """The right code comes first; of many faults, at least three are named."""
        if self.case.whole:
            return len(set(self.given) & set(self.case.codes)) >= 3
        return self.given[:1] == self.case.codes[:1]

    @property
    def worst_row(self) -> Any:
        """The row of the worst array among those that are wrong, if there is one."""
        wrong = [row for row in self.report.rows if not row.ok]
        return max(wrong, key=lambda row: row.error, default=None)


def judge(
    case: Case, check_functions: Callable[..., Any], check_loss: Callable[..., Any], roles: bool = True
) -> Verdict:
    """The verdict on one case, with its roles or without any."""
    start = time.perf_counter()
    report = case.check(check_functions, check_loss, roles)
    given = tuple(finding.code for finding in report.findings)
    errors = tuple(finding.code for finding in report.findings if finding.severity == "error")
    return Verdict(case, report, given, errors, time.perf_counter() - start)


def judge_or_tell(*arguments: Any, **options: Any) -> Verdict:
    """As `judge`, but a check that raises is a verdict as well: neither found nor left alone."""
    try:
        return judge(*arguments, **options)
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
        return Verdict(arguments[0], SimpleNamespace(ok=False, rows=(), findings=()), (), ("crash",), 0.0, words)


def named_share(verdicts: Sequence[Verdict]) -> float:
    """The share of single faults whose right code comes first."""
    single = [v.named for v in verdicts if not v.case.whole]
    return sum(single) / len(single)


def criteria(
    sick: Sequence[Verdict], bare: Sequence[Verdict], healthy: Sequence[Verdict], healthy_bare: Sequence[Verdict]
) -> dict[str, bool]:
    """What must hold for the ward as a whole; `bare` verdicts are those without roles."""
    return {
        "every sick case is found": all(v.found for v in sick),
        "the right code comes first in at least 90 % of single faults": named_share(sick) >= 0.9,
        "each whole case has at least three right codes": all(v.named for v in sick if v.case.whole),
        "no healthy case is called wrong": all(v.left_alone for v in healthy),
        "nor without roles": all(v.left_alone for v in healthy_bare),
        "wrong gradients and broken contracts fail without roles, too": all(
            v.crash == "" and not v.report.ok for v in bare if not v.case.sound
        ),
    }
