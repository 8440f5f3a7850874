"""What a gradient check found: a row per array, and the table that shows them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidl.checking.naming.findings import Finding
from minidl.errors import UnknownNameError
from minidl.escaping import escape
from minidl.inputs import Array

if TYPE_CHECKING:
    from rich.table import Table


SIGN = "the sign is wrong: backward gives -1 times the gradient"
ILL_CONDITIONED = "too ill-conditioned to check"
TITLES = {"where": "where", "evidence": "seen", "cause": "likely cause", "remedy": "try"}


class Row(NamedTuple):
    """One array of a gradient check. `error` is the largest relative error, `worst` the entry that has it."""

    name: str
    shape: tuple[int, ...]
    error: float
    worst: tuple[int, ...]
    numeric: float
    analytic: float
    verdict: str  # "ok", "ok (constant)", `ILL_CONDITIONED`, or what is wrong in words
    entries: list[tuple[tuple[int, ...], float, float, bool]]  # (index, numeric, analytic, ok) of all that was checked
    code: str = ""  # of the mistake that it looks like

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it, as far as rounding lets it be seen."""
        return self.verdict.startswith("ok") or self.verdict == ILL_CONDITIONED


class GradientReport:
    """The result of `gradcheck`: `.ok`, `.rows`, and a table when printed.

    Args:
        rows: one per array.
        method: how the numeric derivatives were taken.
        tolerance: the relative error up to which a gradient counts as right.
        every_entry: whether printing lists each scalar.
    """

    def __init__(self, rows: list[Row], method: str, tolerance: float, every_entry: bool = False) -> None:
        self.rows = rows
        self.method = method
        self.tolerance = tolerance
        self.every_entry = every_entry
        self.findings: list[Finding] = []
        unclear = [row.error for row in rows if row.verdict == ILL_CONDITIONED]
        self.warnings: list[str] = []
        if unclear:
            self.warnings.append(
                f"changing each number in its last digit alters a gradient that cannot be checked as much as it "
                f"differs from the numeric one (by up to {max(unclear):.0e}). The steps amplify rounding: check fewer "
                f"steps, or smaller weights."
            )

    @property
    def ok(self) -> bool:
        """Whether gradients and contract hold; a forward pass of another kind is no fault of its gradient."""
        broken = (f for f in self.findings if f.code.startswith("C") or f.code == "G115")
        return all(row.ok for row in self.rows) and not any(broken)

    def __getitem__(self, name: str) -> Row:
        found = next((row for row in self.rows if row.name == name), None)
        if found is None:
            raise UnknownNameError(
                f"The report has no array {name!r}: it has {', '.join(row.name for row in self.rows)}."
            )
        return found

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.text import Text

        if self.every_entry:
            for row in self.rows:
                otherwise = "[UNCLEAR]" if row.verdict == ILL_CONDITIONED else "[WRONG]"
                for index, numeric, analytic, ok in row.entries:
                    place = f"{escape(row.name)}[{', '.join(map(str, index))}]"
                    end = "[OK]" if ok else otherwise
                    yield Text(f"{place:24s} expected {numeric:+.10e}  backward {analytic:+.10e}  {end}")
        yield self.table()
        yield Text(self.summary())
        for warning in self.warnings:
            yield Text(f"note: {escape(warning)}")
        for finding in self.findings:
            yield from shown(finding)

    def summary(self) -> str:
        """Return one line: how many gradients are right or wrong, and which cannot be checked."""
        wrong = [escape(row.name) for row in self.rows if not row.ok]
        unclear = [escape(row.name) for row in self.rows if row.verdict == ILL_CONDITIONED]
        right = [row for row in self.rows if row.verdict.startswith("ok")]
        parts = []
        if wrong:
            are = "are" if len(wrong) > 1 else "is"
            parts.append(f"{len(wrong)} of {len(self.rows)} gradients {are} wrong: {', '.join(wrong)}")
        elif right:
            count = f"{len(right)} of {len(self.rows)}" if unclear else f"all {len(self.rows)}"
            error = max(self.tolerance, *(row.error for row in right))
            are = "is" if unclear and len(right) == 1 else "are"
            parts.append(f"{count} gradients {are} right ({self.method}, relative error up to {error:.2g})")
        if unclear:
            parts.append(f"{len(unclear)} cannot be checked: {', '.join(unclear)}")
        return "; ".join(parts)

    def table(self) -> Table:
        """The rows as a rich table."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in "array", "shape", "error", "worst at", "numeric", "backward", "verdict":
            table.add_column(column, justify="right" if column in ("error", "numeric", "backward") else "left")
        for row in self.rows:
            table.add_row(
                Text(escape(row.name)),
                " x ".join(map(str, row.shape)) or "scalar",
                f"{row.error:.1e}",
                ", ".join(map(str, row.worst)),
                f"{row.numeric:.6g}",
                f"{row.analytic:.6g}",
                Text(escape(row.verdict)),
                style=None if row.ok else "bold red",
            )
        return table

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__


def shown(finding: Finding) -> Iterator[Any]:
    """A finding as rich shows it, behind an empty line; in a pipe, too, it says which ones are warnings."""
    from rich.table import Table
    from rich.text import Text

    title, style = f"{finding.code}  {finding.title}", "bold red"
    if finding.severity != "error":
        title, style = f"{title} (warning)", "bold"
    yield Text()
    yield Text(escape(title), style=style)
    details = Table.grid(padding=(0, 2))
    details.add_column()
    details.add_column(overflow="fold")
    for field, words in TITLES.items():
        details.add_row(f"  {words}", Text(escape(getattr(finding, field), keep="\n")))
    yield details


def as_text(renderable: Any, width: int = 100) -> str:
    """What rich would print, as plain text without control characters or trailing blanks."""
    from minidl.plain_console import PlainConsole

    out = io.StringIO()
    PlainConsole(file=out, width=width, no_color=True, force_terminal=False).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().split("\n"))


def relative_error(numeric: Array, analytic: Array) -> Array:
    """|a - n| / max(|a|, |n|), entries far below the array's largest one measured against a share of that.

    Where one of them is NaN or infinite, the error is infinite.
    """
    size = np.maximum(abs(numeric), abs(analytic))
    finite = np.isfinite(size)
    floor = 1e-3 * size[finite].max(initial=0.0)
    error = np.divide(
        abs(analytic - numeric), np.maximum(size, floor), out=np.zeros(size.shape), where=finite & (size > 0)
    )
    return np.where(finite, error, np.inf)


def off_by(factor: float) -> str:
    """The words for a gradient that is a multiple of the right one."""
    return SIGN if math.isclose(factor, -1, rel_tol=1e-5) else f"off by the factor {factor:.6g}"


def fingerprint(numeric: Array, analytic: Array) -> tuple[str, str]:
    """What a wrong gradient looks like: a code, and words; `numeric` is complete (an array of the same shape)."""

    def same(a: Array, b: Array = numeric) -> bool:
        return a.shape == b.shape and float(relative_error(b, a).max(initial=0.0)) < 1e-5

    if not np.isfinite(analytic).all():
        return "G101", "backward gives NaN or infinity"
    if not np.isfinite(numeric).all():
        return "G101", "forward gives NaN or infinity"
    if not analytic.any():
        return "G101", "backward gives 0 everywhere: the gradient is forgotten"
    if same(-analytic):
        return "G102", SIGN
    limit = float(abs(analytic).max())
    if np.count_nonzero(abs(analytic) == limit) > 1 and same(analytic, np.clip(numeric, -limit, limit)):
        return "G101", f"clipped to {limit:.6g}: hand the gradient over before it is clipped"
    several = np.count_nonzero(numeric) > 1  # a single number is always off by a factor
    factor = float((analytic * numeric).sum() / (numeric * numeric).sum()) if several else 0.0
    if factor and abs(factor - 1) > 1e-5 and same(analytic / factor):
        return "G102", off_by(factor)
    if numeric.ndim == 2 and same(analytic.T):
        return "G103", "transposed: rows and columns are exchanged"
    if numeric.ndim > 1 and 1 < len(numeric) <= 8:
        wrong = [k for k, errors in enumerate(relative_error(numeric, analytic)) if errors.max() > 1e-5]
        partner = [next((j for j in wrong if same(analytic[k], numeric[j])), None) for k in wrong]
        if wrong and {*partner} == {*wrong}:  # every wrong row belongs into another one
            told = ", ".join(f"row {k} holds what belongs into row {j}" for k, j in zip(wrong, partner, strict=True))
            return "G108", f"rows exchanged: {told}"
    return "G101", "wrong"
