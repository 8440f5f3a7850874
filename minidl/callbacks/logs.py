"""Figures on disk: `CSVLog` and `JSONLog` write a line per epoch, as it ends."""

from __future__ import annotations

import csv
import math
import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from minidl.callbacks.base import Remembering
from minidl.escaping import to_json
from minidl.file_values import Check, count, list_of, optional, refuse, text
from minidl.trainer import Trainer


class Log(Remembering):
    """The base of the logs: of a training that goes on, what stands in the file behind the checkpoint is cut off.

    A subclass writes `write(row)`, which appends a row. Where the file lacks some of what was written, it is written
    anew from the history.
    """

    path: Path | None  # None for an open file, which is left as it is

    @abstractmethod
    def write(self, row: dict[str, Any]) -> None:
        """Append a row."""

    def forget(self) -> None:
        if self.path is not None:
            self.path.write_text("", encoding="utf-8")  # a file that cannot be written is found before the training

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.write(trainer.row)

    def remember(self) -> dict[str, Any]:
        size = self.path.stat().st_size if self.path is not None and self.path.exists() else None
        return super().remember() | {"size": size}

    def check_recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        if "size" not in kept:
            raise refuse(type(self).__name__, "a dict with size", list(kept))
        optional(count)(f"{type(self).__name__} 'size'", kept["size"])
        if type(self).remember is Log.remember:
            self.check_attributes({name: value for name, value in kept.items() if name != "size"})

    def recall(self, trainer: Trainer, kept: dict[str, Any]) -> None:
        size = kept["size"]
        super().recall(trainer, {name: value for name, value in kept.items() if name != "size"})
        if self.path is not None and size is not None and self.path.exists() and self.path.stat().st_size >= size:
            os.truncate(self.path, size)
        elif self.path is not None:
            self.path.write_text("", encoding="utf-8")
            for row in trainer.history.rows:
                self.write(row)


class CSVLog(Log):
    """Write the rows of the epochs to a CSV file; its columns are those of the first epoch.

    Put it last in the list: it writes what the callbacks before it have put into the row.

    Args:
        path: the file; a training with another trainer overwrites it, another `fit` of the same one goes on.

    Example:
        >>> log = minidl.CSVLog("log.csv")
    """

    remembers = ("columns",)
    checks: ClassVar[Mapping[str, Check]] = {"columns": list_of(text)}
    path: Path

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.columns: list[str] = []

    def forget(self) -> None:
        super().forget()
        self.columns = []

    def write(self, row: dict[str, Any]) -> None:
        first = not self.path.exists() or not self.path.stat().st_size
        self.columns = self.columns or list(row)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
            if first:
                writer.writeheader()
            writer.writerow(row)


class JSONLog(Log):
    """Write the rows of the epochs, a JSON object a line.

    Arrays become lists; NaN and infinities, which JSON does not have, become null.

    Put it last in the list: it writes what the callbacks before it have put into the row.

    Args:
        target: the path of a file, which a training with another trainer overwrites, while another `fit` of the same
            one goes on; or an open text file, such as `sys.stdout`.

    Example:
        >>> log = minidl.JSONLog("log.jsonl")
    """

    def __init__(self, target: str | os.PathLike[str] | IO[str]) -> None:
        self.target = target
        self.path = Path(target) if isinstance(target, str | os.PathLike) else None

    def write(self, row: dict[str, Any]) -> None:
        text = {name: plain(value) for name, value in row.items()}
        line = to_json(text) + "\n"
        if isinstance(self.target, str | os.PathLike):
            with Path(self.target).open("a", encoding="utf-8") as file:
                file.write(line)
        else:
            self.target.write(line)
            self.target.flush()


def plain(value: Any) -> Any:
    """A figure as JSON can hold it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
