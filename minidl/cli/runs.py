"""The folder of a run of `minidl train`: its checkpoints, and the options it was begun with.

It stands beside the model, model.run beside model.npz, is there as long as the training, and behind it only where the
training was broken off.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minidl import durable
from minidl.callbacks import Checkpoint
from minidl.errors import ArgumentError
from minidl.escaping import quote_path

OPTIONS = "options.json"
FILES = "out", "valid", "test"  # options that may be paths
SHOWN = "quiet", "json"  # options that another process may choose anew


def folder_of(out: str) -> Path:
    """The folder of the run that writes this model: model.run for model.npz, model.v2.run for model.v2."""
    return Path(out).with_suffix(".run") if out.endswith(".npz") else Path(f"{out}.run")


def checkpoint_of(folder: Path) -> Checkpoint:
    """The checkpoints of a run, one a minute; one that cannot be written does not end the training."""
    checkpoint = Checkpoint(folder, on_error="continue")
    checkpoint.how = f"minidl train --resume {quote_path(folder)}"
    return checkpoint


def begin(folder: Path) -> None:
    """Refuse to begin where another run was broken off."""
    name = quote_path(folder)
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"The checkpoints belong into the folder {name}, which is a file: name another with --out.")
    if checkpoint_of(folder).files():
        raise ArgumentError(
            f"{name} holds a training that did not come to its end: minidl train --resume {name} goes on with it; "
            f"to begin anew, remove it, or name another model with --out."
        )


def note(args: argparse.Namespace, folder: Path, steps: int, epochs: int) -> None:
    """Keep the options, and how long the run is to be: that was measured, and stays."""
    kept = {name: value for name, value in vars(args).items() if name not in ("command", "run", "resume", *SHOWN)}
    kept |= {"paths": [str(Path(path).resolve()) for path in args.paths]}
    kept |= {name: str(Path(kept[name]).resolve()) for name in FILES if isinstance(kept[name], str)}
    kept |= {"planned": [steps, epochs]}
    folder.mkdir(exist_ok=True)
    durable.replace(
        folder / OPTIONS, [json.dumps(kept, ensure_ascii=False, indent=1).encode("utf-8", "surrogateescape")]
    )


def options_of(args: argparse.Namespace, defaults_of: Callable[[str], dict[str, Any]]) -> argparse.Namespace:
    """The options of the run that `--resume` names, shown as this command asks for.

    Args:
        defaults_of: the defaults of all options for a model, by its name.

    Raises:
        ArgumentError: for a folder without a run, and for options beside --resume.
    """
    defaults = defaults_of(args.model)
    given = [
        name for name, value in defaults.items() if name not in ("resume", *SHOWN) and getattr(args, name) != value
    ]
    if given:
        what = "a PATH" if given[0] == "paths" else f"--{given[0].replace('_', '-')}"
        raise ArgumentError(f"--resume takes the options of the run, got {what} as well: leave it out.")
    path = Path(args.resume) / OPTIONS
    try:
        kept = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
    except (FileNotFoundError, NotADirectoryError):
        raise ArgumentError(
            f"--resume expects the folder of a run that was broken off, such as model.run, got {args.resume}: "
            f"there is no {OPTIONS} in it."
        ) from None
    except ValueError:
        kept = None
    defaults = defaults_of(str(kept.get("model"))) if isinstance(kept, dict) else {}
    expected = {name for name in defaults if name not in ("resume", *SHOWN)} | {"planned"}
    if not isinstance(kept, dict) or kept.keys() != expected or not sound(kept, defaults):
        raise ArgumentError(f"{path} is damaged, or of another minidl: train anew, with another --out.")
    kept |= {"paths": [near(path) for path in kept["paths"]]}
    kept |= {name: near(kept[name]) for name in FILES if isinstance(kept[name], str)}
    return argparse.Namespace(**kept, **{name: getattr(args, name) for name in ("command", "run", "resume", *SHOWN)})


def sound(kept: dict[str, Any], defaults: dict[str, Any]) -> bool:
    """Whether options that were read are such as the command line gives."""
    planned, paths = kept["planned"], kept["paths"]
    lists = isinstance(paths, list) and isinstance(planned, list) and len(planned) == 2
    if not lists or not all(isinstance(path, str) for path in paths) or not all(type(n) is int for n in planned):
        return False

    def fits(name: str, value: Any, default: Any) -> bool:
        if isinstance(default, str):
            return isinstance(value, str)
        if name in FILES and isinstance(value, str):
            return True
        return isinstance(value, int | float) or (default is None and isinstance(value, str | None))

    return all(
        fits(name, kept[name], default) for name, default in defaults.items() if name in kept and name != "paths"
    )


def near(path: str) -> str:
    """A path as short as it can be named from here."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def close(folder: Path) -> None:
    """Remove what a run that has come to its end leaves: the model has taken its place."""
    durable.sweep(folder)
    for path in [*checkpoint_of(folder).files(), folder / OPTIONS]:
        with contextlib.suppress(OSError):
            path.unlink()
    with contextlib.suppress(OSError):  # where somebody else keeps something in it
        folder.rmdir()
