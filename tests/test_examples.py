"""Every example runs to its end with --smoke, as a person would start it, and prints nothing but text."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(path, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", path, "--smoke"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout and "\x1b" not in done.stdout
    assert path.read_text(encoding="utf-8").count("\n") < 100
