"""The folder of a run of `minidl train`: its checkpoints, and the options that it was started with.

It is next to the model, model.run next to model.npz, and is removed when the run has come to its end. One process at a
time uses it.

A run folder is data: nothing in it is executed. But it chooses which files a resumed run reads. `--resume` therefore
writes only inside of the folder and the model that the folder's name stands for, next to it, unless --out names another
file; it names input files that are outside of the folder's parent; and it reports a folder of another user. In a folder
that others can write to, they can still choose the data and the weights of the model.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minidl import durable
from minidl.callbacks import Checkpoint
from minidl.cli.options import Parser, actions_of, fits
from minidl.errors import ArgumentError, ModelFormatError
from minidl.escaping import quote_path
from minidl.folder_lock import NAME, FolderLock
from minidl.saving import reading

OPTIONS = "options.json"
MAX_OPTIONS = 2**20  # bytes of a file that is read; a real one has about 1,000
FILES = "valid", "test"  # options that may be paths
ROOT = 0  # the user who can change every folder anyway
FREE = "resume", "quiet", "json", "out"  # options that may be passed with --resume
HINT = "Wait for it, stop it, or choose another --out."
UNSAVED = "command", "run", "resume", "quiet", "json"


def folder_of(out: str) -> Path:
    """Return the folder of the run that writes this model: model.run for model.npz, model.v2.run for model.v2."""
    return Path(out).with_suffix(".run") if out.endswith(".npz") else Path(f"{out}.run")


def target_of(out: str) -> str:
    """Return the file that a link leads to, for saving would replace the link itself."""
    return os.path.realpath(out) if os.path.islink(out) else out


def checkpoint_of(args: argparse.Namespace) -> Checkpoint:
    """Return the checkpoints of a run, one a minute; one that cannot be written does not end the training."""
    folder = folder_of(target_of(args.out)) if args.resume is None else Path(args.resume)
    checkpoint = Checkpoint(folder, on_error="continue")
    checkpoint.how = f"minidl train --resume {quote_path(folder)}"
    if args.resume is None:
        checkpoint.lock.hint = HINT
    else:
        checkpoint.lock.hint = "Wait for it, or stop it."
        if args.out is not None and place_of(folder_of(target_of(args.out))) != place_of(folder):
            checkpoint.how += f" --out {quote_path(Path(args.out))}"
    return checkpoint


# -- a new run ------------------------------------------------------------------------------------


def begin(checkpoint: Checkpoint) -> None:
    """Refuse to begin where an earlier run was interrupted."""
    folder = checkpoint.folder
    name = quote_path(folder)
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"The checkpoints belong into the folder {name}, which is a file: name another with --out.")
    if checkpoint.files():
        raise ArgumentError(
            f"{name} holds a training that did not come to its end: minidl train --resume {name} goes on with it; "
            f"to begin anew, remove it, or name another model with --out."
        )


def note(args: argparse.Namespace, folder: Path, steps: int, epochs: int) -> None:
    """Write the options, and how long the run is to be: that was measured, and stays.

    Paths inside of the folder's parent are relative to it, so that a run can be moved together with its files.
    """
    kept = {name: value for name, value in vars(args).items() if name not in UNSAVED}
    place = place_of(folder)

    def relative(path: str) -> str:
        full = Path(path).resolve()
        return full.relative_to(place.parent).as_posix() if full.is_relative_to(place.parent) else str(full)

    kept |= {"paths": [relative(path) for path in args.paths], "out": relative(args.out)}
    kept |= {name: relative(kept[name]) for name in FILES if isinstance(kept[name], str)}
    kept |= {"planned": [steps, epochs]}
    folder.mkdir(exist_ok=True)
    path = folder / OPTIONS
    if path.is_symlink():  # it would lead out of the folder
        path.unlink()
    durable.replace(path, [json.dumps(kept, ensure_ascii=False, indent=1).encode("utf-8", "surrogateescape")])


def close(checkpoint: Checkpoint) -> None:
    """Remove what a run that has come to its end leaves: the model has taken its place. The lock removes the folder."""
    if not checkpoint.lock.is_current():
        return  # it is another run's
    durable.sweep(checkpoint.folder)
    for path in [*checkpoint.files(), checkpoint.folder / OPTIONS]:
        with contextlib.suppress(OSError):
            path.unlink()
    checkpoint.lock.remove_empty = True


# -- a run that is resumed ------------------------------------------------------------------------


def check_resume(args: argparse.Namespace, parser_of: Callable[[str], Parser]) -> None:
    """Refuse a folder without a run, and options beside --resume, before anything is written."""
    defaults = actions_of(parser_of(args.model))
    given = [name for name, (_, default) in defaults.items() if name not in FREE and getattr(args, name) != default]
    if given:
        what = "a PATH" if given[0] == "paths" else f"--{given[0].replace('_', '-')}"
        raise ArgumentError(f"--resume takes the options of the run, got {what} as well: leave it out.")
    folder = Path(args.resume)
    if not (folder / OPTIONS).is_file() and not (folder / NAME).exists():  # with a lock alone it may be about to begin
        raise ArgumentError(
            f"--resume expects the folder of a run that was broken off, such as model.run, got {args.resume}: "
            f"there is no {OPTIONS} in it."
        )


def options_of(args: argparse.Namespace, parser_of: Callable[[str], Parser]) -> argparse.Namespace:
    """Return the options of the run that `--resume` names, shown as this command asks for.

    Args:
        parser_of: the parser of the options for a model, by its name.

    Raises:
        ArgumentError: for options that the command line could not have given, a model elsewhere, a missing input.
    """
    folder = Path(args.resume)
    kept = read_options(folder / OPTIONS, parser_of)
    place = place_of(folder)
    kept["paths"] = [near(place.parent / path) for path in kept["paths"]]
    kept |= {name: near(place.parent / kept[name]) for name in FILES if isinstance(kept[name], str)}
    kept["out"] = model_of(folder, kept["out"]) if args.out is None else args.out
    check_inputs(folder, [*kept["paths"], *(kept[name] for name in FILES if isinstance(kept[name], str))])
    report_owner(folder)
    return argparse.Namespace(**kept, **{name: getattr(args, name) for name in UNSAVED})


def read_options(path: Path, parser_of: Callable[[str], Parser]) -> dict[str, Any]:
    """Return the options in a file, with every value one that the command line could have given."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_OPTIONS + 1)
        kept = json.loads(content.decode("utf-8", "surrogateescape")) if len(content) <= MAX_OPTIONS else None
    except FileNotFoundError:
        raise ArgumentError(f"{path} does not exist: the run had not started, or has ended. Start a new one.") from None
    except (ValueError, RecursionError):
        kept = None
    expected = actions_of(parser_of(str(kept.get("model")))) if isinstance(kept, dict) else {}
    names = {name for name in expected if name not in UNSAVED} | {"planned"}
    if not isinstance(kept, dict) or kept.keys() != names or not sound(kept, expected):
        raise ArgumentError(f"{path} is damaged, or of another minidl: train anew, with another --out.")
    return kept


def sound(kept: dict[str, Any], expected: dict[str, tuple[argparse.Action, Any]]) -> bool:
    """Return whether options that were read are such as the command line gives."""
    planned = kept["planned"]
    if not isinstance(planned, list) or len(planned) != 2 or not all(type(n) is int and n > 0 for n in planned):
        return False
    paths = [*(kept["paths"] if isinstance(kept["paths"], list) else [0]), kept["out"]]
    if not all(isinstance(path, str) and path for path in paths):
        return False
    if any("\0" in path for path in [*paths, *(str(kept[name]) for name in FILES)]):
        return False
    return all(fits(*expected[name], kept[name]) for name in expected if name in kept and name not in ("paths", "out"))


def model_of(folder: Path, out: str) -> str:
    """Return the model that a run may write without being asked: the one that the name of its folder stands for.

    Raises:
        ArgumentError: for a file elsewhere, and for a link, which may lead elsewhere.
    """
    place = place_of(folder)
    path = place.parent / out
    if path.parent.resolve() != place.parent or folder_of(path.name) != Path(place.name) or path.is_symlink():
        raise ArgumentError(
            f"The model of {folder} must be the file next to it that its name stands for, got {out}. The folder was "
            f"renamed, or someone else made it. Pass --out FILE to choose where the model is saved."
        )
    if path.exists() and not is_model(path):
        raise ArgumentError(f"{near(path)} must be a model to be replaced by that of {folder}. Pass --out FILE.")
    return near(path)


def is_model(path: Path) -> bool:
    """Return whether a file is a model of minidl, damaged ones not included."""
    try:
        with reading(path):
            return True
    except (ModelFormatError, OSError):
        return False


def check_inputs(folder: Path, paths: list[str]) -> None:
    """Refuse inputs that are missing or no files; report those outside of the folder's parent before they are read."""
    parent = place_of(folder).parent
    for path in paths:
        if not Path(path).is_file():
            raise ArgumentError(
                f"{path} must be a file, for {folder} was trained on it. If the folder was moved or copied, put its "
                f"input files next to it, as before."
            )
    outside = [path for path in paths if not Path(path).resolve().is_relative_to(parent)]
    if outside:
        warnings.warn(f"{folder} reads files outside of {parent}: {', '.join(outside)}", stacklevel=2)


def report_owner(folder: Path) -> None:
    """Report a folder of another user, who can change what the run reads and learns."""
    if hasattr(os, "geteuid"):
        owners = {path.stat().st_uid for path in (folder, folder / OPTIONS)}
        if not owners <= {ROOT, os.geteuid()}:
            warnings.warn(f"{folder} belongs to another user, who chooses what this run reads.", stacklevel=2)


@contextlib.contextmanager
def holding_model(folder: Path, out: str) -> Iterator[None]:
    """Keep other runs from writing a model that is not the one of the run folder."""
    own = folder_of(out)
    if place_of(own) == place_of(folder):
        yield
    else:
        with FolderLock(own, HINT):
            yield


def place_of(folder: Path) -> Path:
    """Return the full path of a folder: its parent resolved, and its own name, which may be a link's."""
    if folder.name in ("", os.pardir):
        folder = folder.resolve()
    return folder.parent.resolve() / folder.name


def near(path: Path) -> str:
    """Return a path as short as it can be written from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative
