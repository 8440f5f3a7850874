"""The house: imports point one way, files stay short, every public name is listed and explained."""

import ast
import configparser
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import minidl

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("minidl/**/*.py"), *ROOT.glob("models/**/*.py")])

# a module may import from the levels above its own, and from its own package
LEVELS = [
    ["escaping"],
    ["errors", "equivalents", "ownership", "version", "durable"],
    ["arguments", "dates", "folder_lock", "inputs", "names", "plain_console"],
    ["file_values", "history", "hooks"],
    ["initializers", "kernels", "nested", "parameter", "summary", "archive", "mapped", "plain_json"],
    ["layer_tree"],
    ["layer"],
    ["container", "wiring"],
    ["layers"],
    ["sequential", "graph"],
    ["bidirectional"],
    ["losses", "stepping", "streaming", "data", "text", "baselines", "metrics", "schedules", "gradients"],
    ["objective", "optimizer", "feeding", "padding", "transplant", "quantiles", "pieces", "tables", "tokens"],
    ["misfits", "series", "series_table", "splits", "tagged"],
    ["checking", "description", "forecasting", "generation", "optimizers", "encoding"],
    ["looking", "decoding", "corpus"],
    ["saving", "pairs"],
    ["figures", "interrupts", "trees", "weights"],
    ["fingerprints"],
    ["trainer"],
    ["checkpoint_checks"],
    ["checkpoints"],
    ["resumption"],
    ["callbacks"],
    ["doctor"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
LATE = {  # inside a function: save and load_weights, and fit's default console
    ("layer", "saving"), ("layer", "weights"), ("trainer", "callbacks"),
}  # fmt: skip


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """The modules of minidl that a file imports, and whether at the top of the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(ast.walk(ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "minidl":
            parts = node.module.split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
            found += [(name, node in top) for name in names if name != "__version__"]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    relative = path.relative_to(ROOT)
    if relative.parts[0] == "models" or relative == Path("minidl/__init__.py"):
        return  # models import the public names; __init__ collects them
    own = relative.parts[1].removesuffix(".py")
    assert own in LEVEL, f"{relative} has no level: put it into LEVELS"
    for name, at_top in imports_of(path):
        if (own, name) in LATE:
            assert not at_top, f"{relative} imports {name} at the top: it would be a circle"
            continue
        assert name == own or LEVEL[name] < LEVEL[own], f"{relative} imports minidl.{name}, which stands on it"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines: split it by concept"


def test_the_contract_and_the_lstm_are_a_short_read():
    lines = sum((ROOT / "minidl" / f).read_text().count("\n") for f in ("layer.py", "layers/lstm.py"))
    assert lines < 450


def test_no_drawers():
    assert not [p for p in FILES if p.stem in ("utils", "helpers", "common", "misc")]


def test_all_is_complete_and_true():
    assert all(hasattr(minidl, name) for name in minidl.__all__)
    assert len(set(minidl.__all__)) == len(minidl.__all__)
    # some are fetched when they are first used, for they take a while
    public = {n for n, v in vars(minidl).items() if not n.startswith("_") and not inspect.ismodule(v)}
    assert public | {*minidl._LATE} == {n for n in minidl.__all__ if not inspect.ismodule(getattr(minidl, n))}


def test_optional_arguments_of_layers_are_given_by_name():
    by_place = set()
    for name in minidl.__all__:
        cls = getattr(minidl, name)
        if isinstance(cls, type) and issubclass(cls, minidl.Layer):
            optional = [p for p in inspect.signature(cls).parameters.values() if p.default is not p.empty]
            by_place |= {(name, p.name) for p in optional if p.kind is not p.KEYWORD_ONLY}
    assert by_place == {("Sequential", "layers"), ("Container", "name")}  # of a Sequential, its one subject


def test_every_public_name_is_explained():
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path.relative_to(ROOT)} has no docstring"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.relative_to(ROOT)}: {node.name} has no docstring"


def test_import_is_light():
    """`import minidl` loads neither scipy nor rich nor numba nor argparse."""
    code = "import sys, minidl; print([m for m in ('scipy', 'rich', 'numba', 'argparse') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


def test_every_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("minidl/**/__init__.py")}
    assert set(listed) == found | {"minidl.models"}
