"""What the doctor found: the findings, causes before consequences, and the figures they were read from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from minidl.checking.naming.findings import Finding
from minidl.checking.report import as_text, shown
from minidl.escaping import escape
from minidl.looking.pictures import MARKS

# causes before what follows from them: data, what the loss is, the net as it stands, the rate, and what they lead to
ORDER = [
    "C301", "D401", "D403", "D402", "D404", "D405", "G115", "L504", "T601", "L501", "T606", "G101", "L503", "N701",
    "N702", "N703", "T603", "L502", "T602", "T605", "T604", "L505", "T607",
]  # fmt: skip


class Diagnosis:
    """The result of `diagnose`: `.findings`, `.ok`, and a report when printed.

    Args:
        findings: in any order; they are sorted, errors first, causes before consequences, and none comes twice.
        curves: what ran over time, by name, shown as sparklines.
        facts: figures in words, by name, that say what was looked at.

    Example:
        >>> print(minidl.Diagnosis([], {"loss": [4.5, 3.1, 2.4]}, {"steps": "3"}))
        steps  3
        loss   █▃▁  4.5 to 2.4
        nothing was found
    """

    def __init__(
        self,
        findings: Iterable[Finding],
        curves: dict[str, list[float]] | None = None,
        facts: dict[str, str] | None = None,
    ) -> None:
        unlike = {(finding.code, finding.where): finding for finding in findings}
        self.findings = sorted(unlike.values(), key=rank)
        self.curves, self.facts = curves or {}, facts or {}

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    @property
    def codes(self) -> list[str]:
        """The codes of the findings, in their order."""
        return [finding.code for finding in self.findings]

    def as_json(self) -> dict[str, Any]:
        """For machines: what cannot be a number of JSON is null."""
        curves = {name: [v if math.isfinite(v) else None for v in values] for name, values in self.curves.items()}
        findings = [finding.words for finding in self.findings]
        return {"ok": self.ok, "findings": findings, "facts": self.facts, "curves": curves}

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.table import Table
        from rich.text import Text

        if self.facts or self.curves:
            grid = Table.grid(padding=(0, 2))
            grid.add_column()
            grid.add_column(overflow="fold")
            for name, words in self.facts.items():
                grid.add_row(Text(escape(name)), Text(escape(words)))
            for name, values in self.curves.items():
                grid.add_row(Text(escape(name)), Text(f"{sparkline(values)}  {ends(values)}"))
            yield grid
        for finding in self.findings:
            yield from shown(finding)
        if not self.findings:
            yield Text("nothing was found")

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__


def rank(finding: Finding) -> tuple[bool, int]:
    """Errors before warnings, causes before consequences."""
    return finding.severity != "error", ORDER.index(finding.code) if finding.code in ORDER else len(ORDER)


def sparkline(values: list[float], width: int = 32) -> str:
    """A curve as a row of bars, the means of at most `width` stretches; "!" where a number is not finite.

    Example:
        >>> from minidl.doctor.diagnosis import sparkline
        >>> sparkline([1.0, 2.0, 3.0, float("nan")])
        '▁▅█!'
    """
    if not values:
        return ""
    count = min(width, len(values))
    parts = [values[len(values) * k // count : len(values) * (k + 1) // count] for k in range(count)]
    means = [sum(part) / len(part) for part in parts]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = high / 2 - low / 2 or 1.0  # of halves: the difference of two numbers may be infinite
    bars = (
        int((mean / 2 - low / 2) / span * (len(MARKS) - 1) + 0.5) if math.isfinite(mean) else None for mean in means
    )
    return "".join("!" if bar is None else MARKS[bar] for bar in bars)


def ends(values: list[float]) -> str:
    """From where to where a curve runs."""
    return "nothing yet" if not values else f"{values[0]:.4g} to {values[-1]:.4g}"
