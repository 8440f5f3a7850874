"""Another process that has come to a point in its code and waits there."""

import subprocess
import sys
from typing import Any


def waiting(code: str, path: Any) -> Any:
    """A process that runs `code` with a path as its argument, has printed "ready", and waits for standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process
