"""Crafted checkpoints and black boxes are refused in one line or do no harm; `hostile_runs.py` by hand for more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "hostile_runs.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as Linux does it")
@pytest.mark.parametrize("mutations", [150, 20_000])
def test_crafted_checkpoints_and_boxes_raise_documented_errors_only(mutations):
    done = subprocess.run([sys.executable, SCRIPT, "--mutations", str(mutations)], capture_output=True, text=True)
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    came = json.loads(done.stdout)
    assert came["failures"] == []
    refused = sum(number for what, number in came["counts"].items() if what.endswith("refused"))
    accepted = sum(number for what, number in came["counts"].items() if what.endswith("accepted"))
    assert refused > mutations / 2 and accepted > mutations / 50
