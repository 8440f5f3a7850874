"""`History`: the values of all epochs, which `Trainer.fit` returns."""

from __future__ import annotations

import difflib
from typing import Any

from minidl.arguments import ArgumentHelp
from minidl.errors import UnknownNameError


class History(ArgumentHelp):
    """A row of values per epoch, in the order in which they were trained.

    `history.rows` is a list of dicts. `history["valid_loss"]` is one key over the epochs, with None where an epoch does
    not have it. `history.reason` says why the training ended before its last epoch, None if it did not.
    `history.notes` are messages of callbacks on what happened in between, such as a rollback.

    Raises:
        UnknownNameError: for a key that no epoch has.

    Example:
        >>> history = minidl.History()
        >>> history.rows.append({"epoch": 1, "loss": 0.5})
        >>> history["loss"], "valid_loss" in history
        ([0.5], False)
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.reason: str | None = None
        self.notes: list[str] = []

    def __getitem__(self, name: str) -> list[Any]:
        known = {key: None for row in self.rows for key in row}
        if self.rows and name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"They have {', '.join(known)}."
            if str(name).startswith("val") and not any(key.startswith("valid_") for key in known):
                hint = "The epochs had no validation data."
            raise UnknownNameError(f"No epoch of the history has {name!r}. {hint}")
        return [row.get(name) for row in self.rows]

    def __contains__(self, name: object) -> bool:
        return any(name in row for row in self.rows)

    def after(self, epoch: int, notes: int = 0) -> History:
        """Return the history after an epoch, without the first notes, as an object of its own."""
        part = History()
        part.rows = [dict(row) for row in self.rows if row["epoch"] > epoch]
        part.reason, part.notes = self.reason, self.notes[notes:]
        return part

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"History({len(self.rows)} epochs, last {self.rows[-1] if self.rows else None})"
