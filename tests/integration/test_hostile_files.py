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
@pytest.mark.parametrize(("arguments", "least", "crafted"), [
    pytest.param(["--mutations", "400", "--every", "29"], 50, 10, id="short"),
    pytest.param(["--mutations", "20000"], 1000, 100, id="medium", marks=pytest.mark.slow),
    pytest.param(
        ["--mutations", "100000", "--all-flips", "--seed", "1"], 1000, 100, id="long", marks=pytest.mark.nightly
    ),
])  # fmt: skip
def test_hostile_files_are_refused_or_harmless(arguments, least, crafted):
    came = run(*arguments)
    assert came["failures"] == []
    counts = came["counts"]
    assert counts["truncated, refused"] > least and "truncated, read" not in counts
    assert counts["flipped, refused"] > least and "flipped, read" not in counts
    assert counts["mutated, refused"] > 2 * least and counts["crafted, refused"] > crafted
    assert counts["rewritten, refused"] > least and counts["rewritten, read"] > 5
