"""Hand-written code named on the command line, FILE.py:NAME: imported, understood, and checked."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from minidl.checking import GradientReport, check_functions, check_loss, gradcheck
from minidl.errors import ArgumentError, MinidlError
from minidl.layer import Layer

FORMS = "forward(params, x, state), loss(params, x, target, state), or a function without arguments"
OPTIONAL = ("state", "roles", "state_order", "axes")


def is_code(what: str) -> bool:
    """Whether it names code and no model file."""
    return what.endswith(".py") or ".py:" in what


def load_code(where: str, options: dict[str, Any]) -> GradientReport:
    """Check what FILE.py:NAME is."""
    what, place, module = named(where, "check")
    return check(what, place, module, options)


def named(where: str, purpose: str) -> tuple[Any, str, ModuleType]:
    """What FILE.py:NAME names, FILE.py:NAME itself, and the file as a module."""
    path, _, name = where.rpartition(":") if not where.endswith(".py") else (where, "", "")
    module = import_file(Path(path))
    if not name:
        raise ArgumentError(f"{where} does not say what to {purpose}: write {path}:NAME, it has {names_of(module)}.")
    if not hasattr(module, name):
        close = difflib.get_close_matches(name, vars(module), 1)
        hint = f"did you mean {close[0]}?" if close else f"it has {names_of(module)}."
        raise ArgumentError(f"{path} has no {name!r}: {hint}")
    return getattr(module, name), f"{path}:{name}", module


def called(what: Any, where: str) -> Any:
    """What a function without arguments returns; its errors are told in one line."""
    try:
        return what()
    except MinidlError:
        raise
    except (Exception, SystemExit) as error:
        raise ArgumentError(f"{where}() raises {type(error).__name__}: {str(error).rstrip('.')}.") from error


def import_file(path: Path) -> ModuleType:
    """Run all code of a file, as a module; its errors become one line."""
    if not path.is_file():
        raise ArgumentError(f"{path} cannot be read: there is no such file. Check the path.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"{path} is expected to be a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # its neighbours are importable, as when it is run
    try:
        spec.loader.exec_module(module)
    except MinidlError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f.lineno for f in frames if Path(f.filename).resolve() == path.resolve()]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        place = "" if line is None else f", line {line}"
        what = (error.msg if isinstance(error, SyntaxError) else str(error)).rstrip(".")
        raise ArgumentError(f"{path} does not import: {type(error).__name__}: {what}{place}.") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def check(what: Any, where: str, module: ModuleType, options: dict[str, Any]) -> GradientReport:
    """Check a layer, a pair of functions, a loss function, or what a function without arguments returns."""
    if isinstance(what, GradientReport):
        return what
    if isinstance(what, Layer):
        return gradcheck(what, **options)
    if not callable(what) or isinstance(what, type):
        raise ArgumentError(f"{where} is expected to be a layer, or {FORMS}, got {type(what).__name__}.")
    try:
        parameters = inspect.signature(what).parameters.values()
    except ValueError:  # a built-in
        raise ArgumentError(f"{where} is expected to be {FORMS}, got {what!r}.") from None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p.name for p in positional if p.default is p.empty]
    names = [p.name for p in positional]
    if len(needed) == 2 and len(names) > 2:
        needed = names[:3]  # forward(p, x, state=None)
    elif len(needed) == 3 and len(names) > 3:
        of_loss = "state" in names[3] or "target" in needed or not hasattr(module, "backward")
        needed = names[: 4 if of_loss else 3]  # loss(p, x, t, state=None), or forward(p, x, state, training=False)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):  # forward(*args): the file tells which it is
        needed = list("abc") if hasattr(module, "backward") else list("abcd")
    if not needed:
        result = called(what, where)
        if not isinstance(result, Layer | GradientReport):
            raise ArgumentError(f"{where}() is expected to return a layer or a report, got {type(result).__name__}.")
        return check(result, where, module, options)
    extra = {name: getattr(module, name) for name in OPTIONAL if hasattr(module, name)} | options
    if len(needed) == 3 and "target" not in needed:  # such a loss is refused, with the form that it has to have
        return check_functions(what, *taken(module, where, "backward", "params", "x"), **extra)
    if len(needed) == 4:
        return check_loss(what, *taken(module, where, "params", "x", "target"), **extra)
    raise ArgumentError(f"{where} is expected to be {FORMS}, got {what.__name__}{inspect.signature(what)}.")


def taken(module: ModuleType, where: str, *names: str) -> list[Any]:
    """The arguments of a check, by their names in the file."""
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise ArgumentError(
            f"{where} is to be checked with {', '.join(names)} of the same file, {missing[0]} is missing: define it "
            f"there (state and roles, too, where there are any)."
        )
    return [getattr(module, name) for name in names]


def names_of(module: ModuleType) -> str:
    """What a file defines itself."""
    own = [n for n, v in vars(module).items() if not n.startswith("_") and not isinstance(v, ModuleType)]
    return ", ".join(own[:12]) or "nothing"
