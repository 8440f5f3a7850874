"""Every example runs to its end with --smoke, as a person would start it, and prints nothing but text."""

import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
TEXTS = {path: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.py"))}
COMMAND = FOLDER / "reproduce.py"
SHARED = [path for path in TEXTS if any(f"\nfrom {path.stem} import" in text for text in TEXTS.values())]
OPTIONAL = "sklearn", "statsmodels"
EXAMPLES = [path for path in TEXTS if path not in SHARED and path != COMMAND]
MADE_UP = '''"""A figure that is made up."""
from curves import Curves
from published import Report, Row, reproduce

def measure(seeds, smoke):
    rows = [Row("a | b", "0.5", f"{sum(seeds):.1f}")]
    return Report("made up", "nothing is trained.", "nobody.", rows, Curves({"a": ([0, 1], [1, 2])}, "x", "y"))

if __name__ == "__main__":
    reproduce(measure, seeds=4)
'''


def run(path, *args, cwd):
    return subprocess.run(
        [sys.executable, "-W", "error", path, *args], capture_output=True, text=True, cwd=cwd, check=False
    )


def skip_without_packages(path):
    """Skip where an optional package is missing that the example imports."""
    for package in OPTIONAL:
        if re.search(rf"^ *(from|import) {package}\b", TEXTS[path], re.M):
            pytest.importorskip(package)


PROCESSES = {"first_net.py"}
LONG = {
    "counting_languages.py", "digits_row_by_row.py", "heal_a_handwritten_lstm.py", "whose_docstring.py",
    "why_is_my_loss_climbing.py", "words_by_the_book.py",
}  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=p.name, marks=() if p.name in PROCESSES else pytest.mark.slow) for p in EXAMPLES],
)
def test_example_runs_as_a_program(path, tmp_path):
    skip_without_packages(path)
    done = run(path, "--smoke", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout and "\x1b" not in done.stdout


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, id=p.name, marks=pytest.mark.slow if p.name in LONG else ())
        for p in EXAMPLES
        if p.name not in PROCESSES
    ],
)
def test_example_runs_in_this_process(path, tmp_path, monkeypatch, capsys):
    """As a program, which finds what it imports in the folder of its file."""
    skip_without_packages(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "--smoke"])
    monkeypatch.syspath_prepend(str(FOLDER))
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed and "\x1b" not in printed


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_has_fewer_than_100_lines(path):
    assert TEXTS[path].count("\n") < 100


@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.name)
def test_what_examples_share(path):
    """What its docstrings show is what comes out."""
    done = run("-m", "doctest", path, cwd=FOLDER)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def folder(tmp_path):
    for name in ("curves.py", "published.py", "reproduce.py"):
        shutil.copy(FOLDER / name, tmp_path)
    (tmp_path / "made_up.py").write_text(MADE_UP, encoding="utf-8")
    begin, end = "<!-- begin: written by reproduce.py -->", "<!-- end -->"
    (tmp_path / "README.md").write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    return tmp_path


def test_the_table_is_written_by_one_command(folder):
    done = run(folder / "reproduce.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| [made up](made_up.py) | a \\| b | 0.5 | 6.0 | seeds 0 to 3 | 0.0 |" in text
    (folder / "other.py").write_text(MADE_UP.replace("made up", "another"), encoding="utf-8")
    assert run(folder / "reproduce.py", "other", cwd=folder).returncode == 0
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "[another](other.py)" in text and "[made up](made_up.py)" in text  # the result of before is kept


def test_a_short_form_writes_nothing(folder):
    before = (folder / "README.md").read_text(encoding="utf-8")
    done = run(folder / "reproduce.py", "--smoke", cwd=folder)
    assert done.returncode == 0 and "these figures mean nothing" in done.stdout
    assert (folder / "README.md").read_text(encoding="utf-8") == before and not [*folder.glob("results/*")]


@pytest.mark.slow
def test_an_example_that_fails_changes_no_table(folder):
    before = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "made_up.py").write_text(MADE_UP.replace("0.5", "{1 / 0}").replace('"{', 'f"{'), encoding="utf-8")
    done = run(folder / "reproduce.py", cwd=folder)
    assert done.returncode and "made_up.py failed" in done.stderr
    assert (folder / "README.md").read_text(encoding="utf-8") == before
    done = run(folder / "reproduce.py", "nonsense", cwd=folder)
    assert done.returncode == 2 and "there is no example 'nonsense'" in done.stderr


@pytest.mark.slow
def test_a_report_and_a_png_are_saved(folder):
    done = run(folder / "made_up.py", "--seeds", "2", "--json", "report.json", "--png", "plot.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["rows"] == [{"net": "a | b", "published": "0.5", "measured": "1.0"}] and report["seeds"] == [0, 1]
    assert (folder / "plot.png").exists() or "needs matplotlib" in done.stdout
    done = run(folder / "made_up.py", "--seeds", "0", cwd=folder)
    assert done.returncode == 2 and "--seeds expects" in done.stderr


def test_without_matplotlib_one_line_says_what_to_install(folder):
    (folder / "matplotlib.py").write_text("raise ImportError", encoding="utf-8")
    done = run(folder / "made_up.py", "--png", "plot.png", cwd=folder)
    assert done.returncode == 0 and "pip install 'minidl[examples]'" in done.stdout
    assert not (folder / "plot.png").exists()


def test_the_table_in_the_readme_is_that_of_the_results(tmp_path):
    copy = shutil.copytree(FOLDER, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    assert run(copy / "reproduce.py", "--table", cwd=tmp_path).returncode == 0
    assert (copy / "README.md").read_text(encoding="utf-8") == (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("results/*.json")), ids=lambda path: path.stem)
def test_the_words_of_a_result_are_those_of_its_script(path):
    """Whoever changes a set-up measures anew."""
    told = json.loads(path.read_text(encoding="utf-8"))
    (call,) = [
        node
        for node in ast.walk(ast.parse(TEXTS[FOLDER / f"{path.stem}.py"]))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Report"
    ]
    words = {word.arg: word.value for word in call.keywords if word.arg in ("task", "setup", "source", "differs")}
    assert len(words) >= 3
    for name, value in words.items():
        parts = value.values if isinstance(value, ast.JoinedStr) else [value]
        pattern = "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in parts)
        assert re.fullmatch(pattern, told[name]), name


def test_a_plot_in_a_terminal_that_knows_ascii_alone(folder):
    done = subprocess.run(
        [sys.executable, folder / "made_up.py"], capture_output=True, cwd=folder, check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"o" in done.stdout and done.stdout.isascii()
