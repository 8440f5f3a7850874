"""What the documentation shows runs: the examples in docstrings, and the Python blocks of the README."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import minidl.models
import numpy as np
import pytest

import minidl

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    m.name
    for package in (minidl, minidl.models)
    for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not m.name.endswith("__main__")
)
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    if name.startswith("minidl.kernels.compiled"):
        pytest.importorskip("numba")
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"minidl": minidl, "np": np}, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("name", [n for n in minidl.__all__ if isinstance(getattr(minidl, n), type)])
def test_public_classes_have_an_example(name):
    if issubclass(getattr(minidl, name), (Exception, tuple)) and name not in ("MinidlError", "Batch"):
        return
    assert ">>>" in getattr(minidl, name).__doc__


@pytest.mark.parametrize("heading", ["## Run", "## Test"])
def test_readme_has_one_line_to_paste(heading):
    block = re.search(rf"^{heading}\b.*?^```\w*\n(.*?)^```", README, re.S | re.M)
    assert block and len(block.group(1).strip().splitlines()) == 1


def test_readme_python_blocks_run_and_print_what_is_shown(tmp_path, monkeypatch, capsys):
    """The text below a Python block is what the block prints, numbers apart (the last digits differ by machine)."""

    def shape(text: str) -> list[str]:
        return re.sub(r"[-+]?\d[\d.,]*(e[-+]\d+)?", "#", text).split()

    monkeypatch.chdir(tmp_path)
    Path("my_text.txt").write_text("The cat sat on the mat. The dog did not.\n" * 60, encoding="utf-8")
    names: dict = {}
    compared = 0
    blocks = re.findall(r"^```python\n(.*?)^```\n(\n(?:[^`\n]+\n\n)?```text\n(.*?)^```)?", README, re.S | re.M)
    assert len(blocks) == README.count("\n```python\n")
    for code, _, shown in blocks:  # in one session, as a reader types them
        exec(compile(code, "README.md", "exec"), names)
        printed = capsys.readouterr().out
        if shown:
            compared += 1
            assert shape(printed) == shape(shown)
    assert compared >= 4
