"""Files that mean harm are refused in one line, and nothing else happens; `hostile_files.py` by hand for 100,000."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "hostile_files.py"


def run(*arguments):
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as Linux does it")
@pytest.mark.parametrize("arguments", [
    ["--mutations", "3000"],
    pytest.param(["--mutations", "100000", "--all-flips", "--seed", "1"], marks=pytest.mark.slow),
], ids=["short", "long"])  # fmt: skip
def test_hostile_files_are_refused_or_harmless(arguments):
    came = run(*arguments)
    assert came["failures"] == []
    counts = came["counts"]
    assert counts["truncated, refused"] > 1000 and "truncated, read" not in counts
    assert counts["flipped, refused"] > 1000 and "flipped, read" not in counts
    assert counts["mutated, refused"] > 2000 and counts["crafted, refused"] > 100
    assert counts["rewritten, refused"] > 1000 and counts["rewritten, read"] > 10
