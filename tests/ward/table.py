"""Prints the ward's table: fault, code expected, codes given, verdict; exit code 1 if a criterion fails.

Run it from anywhere: `python tests/ward/table.py`.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.console import Console
from rich.table import Table

from minidl.checking import check_functions, check_loss
from tests.ward import healthy, sick
from tests.ward.verdicts import Verdict, criteria, judge_or_tell, named_share


def rows(table: Table, verdicts: list[Verdict], bare: list[Verdict]) -> None:
    """One line for each case; the last column is the check without roles."""
    for with_roles, without in zip(verdicts, bare, strict=True):
        case = with_roles.case
        if case.codes:
            good = with_roles.found and with_roles.named
            word = "named" if good else "found" if with_roles.found else "MISSED"
            alone = "ok" if without.report.ok else "fails"
            good_alone = without.report.ok == case.sound and not without.crash
        else:
            good = with_roles.left_alone
            word = "left alone" if good else "ACCUSED"
            good_alone = without.left_alone
            alone = "ok" if good_alone else "ACCUSED"
        table.add_row(
            case.name,
            case.fault or "healthy",
            " ".join(case.codes) or "-",
            with_roles.crash or without.crash or " ".join(dict.fromkeys(with_roles.given)) or "-",
            f"[{'green' if good else 'red'}]{word}",
            f"[{'green' if good_alone else 'red'}]{alone}",
            f"{with_roles.seconds:.1f} s",
        )
    table.add_section()


def main() -> int:
    """The table, the totals, and 0 or 1."""
    groups = []
    console = Console(width=None if sys.stdout.isatty() else 180)
    with console.status("examining") if console.is_terminal else open(os.devnull):
        for cases in (sick.CASES, healthy.CASES):
            for roles in (True, False):
                groups.append([judge_or_tell(case, check_functions, check_loss, roles) for case in cases])
    sick_ones, sick_bare, healthy_ones, healthy_bare = groups
    table = Table("case", "fault", "expected", "given", "verdict", "no roles", "time", title="The ward")
    rows(table, sick_ones, sick_bare)
    rows(table, healthy_ones, healthy_bare)
    console.print(table)
    single = [v.named for v in sick_ones if not v.case.whole]
    console.print(f"found: {sum(v.found for v in sick_ones)} of {len(sick_ones)} sick cases")
    console.print(f"right code first: {sum(single)} of {len(single)} single faults ({named_share(sick_ones):.1%})")
    for v in sick_ones:
        if v.case.whole:
            console.print(f"{v.case.name}: {len(set(v.given) & set(v.case.codes))} right codes of {len(v.case.codes)}")
    for words, verdicts in (("with roles", healthy_ones), ("without", healthy_bare)):
        console.print(f"left alone {words}: {sum(v.left_alone for v in verdicts)} of {len(verdicts)} healthy cases")
    held = criteria(*groups)
    for words, yes in held.items():
        console.print(f"[{'green' if yes else 'red'}]{'holds' if yes else 'FAILS'}[/]  {words}")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
