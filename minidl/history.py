"""`History`: the figures of all epochs, which `Trainer.fit` returns."""

from __future__ import annotations

from typing import Any


class History:
    """A row of figures per epoch, in the order in which they were trained.

    `history.rows` is a list of dicts; `history["valid_loss"]` is one figure over the epochs (None where an epoch has
    none); `history.reason` says why the training ended before its last epoch, None if it did not; `history.notes` are
    the words of callbacks on what happened in between, such as a rollback.

    Example:
        >>> history = minidl.History()
        >>> history.rows.append({"epoch": 1, "loss": 0.5})
        >>> history["loss"]
        [0.5]
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.reason: str | None = None
        self.notes: list[str] = []

    def __getitem__(self, name: str) -> list[Any]:
        return [row.get(name) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"History({len(self.rows)} epochs, last {self.rows[-1] if self.rows else None})"
