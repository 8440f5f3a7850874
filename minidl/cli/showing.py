"""How the commands show a report with findings: in colours on a terminal, as plain text in a pipe."""

from __future__ import annotations

import sys
from typing import Any


def show(report: Any) -> None:
    """A gradient report or a diagnosis, and where to read on."""
    if sys.stdout.isatty():
        from minidl.plain_console import PlainConsole

        PlainConsole().print(report)
    else:
        print(report)
    if report.findings:
        print(f"\nmore on it: minidl explain {report.findings[0].code}")
