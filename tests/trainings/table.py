"""Prints the table of the ward of trainings: fault, code expected, codes given; exit code 1 where a criterion fails.

Run it from anywhere: `python tests/trainings/table.py`.
"""

import os
import sys
import time
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.console import Console
from rich.table import Table

from tests.trainings import healthy, sick


def main() -> int:
    """The table, the totals, and 0 or 1."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    table = Table("training", "fault", "expected", "given", "verdict", "time", title="The ward of trainings")
    found = named = accused = 0
    for case in (*sick.CASES, *healthy.CASES):
        began = time.perf_counter()
        try:
            findings = case.examine()
            given = " ".join(f.code + "?" * (f.severity != "error") for f in findings) or "-"
        except Exception as error:
            findings, given = [], f"{type(error).__name__}: {error}"
            if "-v" in sys.argv:
                traceback.print_exc()
        codes = [f.code for f in findings]
        if case.codes:
            found += bool({*codes} & {*case.codes})
            named += codes[:1] != [] and codes[0] in case.codes
            word = "named" if codes and codes[0] in case.codes else "found" if {*codes} & {*case.codes} else "MISSED"
        else:
            errors = [f for f in findings if f.severity == "error"] or (given != "-" and not findings)
            accused += bool(errors)
            word = "ACCUSED" if errors else "left alone" if not findings else "warned"
        colour = "green" if word in ("named", "left alone") else "yellow" if word in ("found", "warned") else "red"
        table.add_row(
            case.name, case.fault or "healthy", " or ".join(case.codes) or "-", given, f"[{colour}]{word}",
            f"{time.perf_counter() - began:.1f} s",
        )  # fmt: skip
    console.print(table)
    console.print(f"found: {found} of {len(sick.CASES)}; the right code first: {named} ({named / len(sick.CASES):.0%})")
    console.print(f"accused of an error: {accused} of {len(healthy.CASES)} healthy trainings")
    return 0 if found == len(sick.CASES) and named >= 0.9 * len(sick.CASES) and not accused else 1


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    raise SystemExit(main())
