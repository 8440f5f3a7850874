"""`Record`: the figures of the last steps of a training, in arrays that are made once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minidl.arguments import positive_int
from minidl.errors import UnknownNameError
from minidl.file_values import array, list_of, refuse, text
from minidl.inputs import Array
from minidl.names import shown

FIGURES = "step", "loss", "norm", "rate"  # a number a step
EACH = "grads", "values"  # a number a step and parameter


class Record:
    """The figures of the last `keep` steps, the older ones are overwritten: no memory that grows with the run.

    Args:
        names: of the parameters, whose figures have a number for each.
        keep: how many steps are kept.
        figures: what is noted of a step, a number each.
        each: what is noted of a step and a parameter.

    Example:
        >>> from minidl.doctor.record import Record
        >>> record = Record(["W", "b"], keep=2)
        >>> for step in 1, 2, 3:
        ...     record.add(step=step, loss=1 / step, grads={"W": 0.5 * step, "b": 0.0})
        >>> len(record), record.column("step").tolist(), record.column("grads", "W").tolist()
        (2, [2.0, 3.0], [1.0, 1.5])
    """

    def __init__(
        self,
        names: Iterable[str],
        keep: int = 100,
        figures: Iterable[str] = FIGURES,
        each: Iterable[str] = EACH,
    ) -> None:
        self.names = list(names)
        self.keep = positive_int("Record", "keep", keep)
        self._figures = {figure: np.full(self.keep, np.nan) for figure in figures}
        self._each = {figure: np.full((self.keep, len(self.names)), np.nan) for figure in each}
        self._places = {name: k for k, name in enumerate(self.names)}
        self.count = 0  # of all steps that were added

    def __len__(self) -> int:
        return min(self.count, self.keep)

    @property
    def figures(self) -> list[str]:
        """What it has a number of for each step."""
        return list(self._figures)

    @property
    def each(self) -> list[str]:
        """What it has a number of for each step and parameter."""
        return list(self._each)

    def add(self, **figures: float | Mapping[str, float] | None) -> None:
        """Note a step; of what is not given, it keeps nan."""
        at = self.count % self.keep
        for column in self._figures.values():
            column[at] = np.nan
        for table in self._each.values():
            table[at] = np.nan
        self.count += 1
        self.set(**figures)

    def set(self, **figures: float | Mapping[str, float] | None) -> None:
        """Note more of the step that was added last."""
        at = (self.count - 1) % self.keep
        for figure, given in figures.items():
            if figure in self._figures:
                self._figures[figure][at] = given
            elif figure in self._each:
                table = self._each[figure][at]
                for name, value in given.items() if isinstance(given, Mapping) else ():
                    table[self._places[name]] = value
            else:
                raise self._unknown(figure)

    def column(self, figure: str, name: str | None = None) -> Array:
        """A figure of the steps that are kept, the oldest first: [n]; of all parameters [n, P], or of one [n]."""
        whole: Array | None = self._figures.get(figure)
        if whole is None:
            whole = self._each.get(figure)
        if whole is None or (name is not None and (name not in self._places or figure in self._figures)):
            raise self._unknown(figure if name is None else f"{figure} of {name}")
        if name is not None:
            whole = whole[:, self._places[name]]
        at = self.count % self.keep
        return whole[:at].copy() if self.count < self.keep else np.concatenate([whole[at:], whole[:at]])

    def last(self, figure: str) -> float:
        """A figure of the step that was added last; nan where there is none."""
        return float(self._figures[figure][(self.count - 1) % self.keep]) if self.count else float("nan")

    def clear(self) -> None:
        """Begin anew."""
        self.count = 0

    def remember(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {"names": self.names, "columns": {figure: self.column(figure) for figure in (*self.figures, *self.each)}}

    def recall(self, kept: dict[str, Any]) -> None:
        """Be again what `remember` gave, as far as it has these parameters; `check_record` has passed it."""
        columns = kept["columns"]
        self.clear()
        rows = rows_of(kept)
        for k in range(max(0, rows - self.keep), rows):
            row = {figure: columns[figure][k] for figure in self.figures}
            for figure in self.each:
                values = zip(kept["names"], columns[figure][k].tolist(), strict=True)
                row[figure] = {name: value for name, value in values if name in self._places}
            self.add(**row)

    def _unknown(self, what: str) -> UnknownNameError:
        told = [*self._figures, *self._each]
        return UnknownNameError(
            f"A Record has {', '.join(told)} of {shown(self.names, 5) or 'no parameter'}, got {what!r:.80}."
        )


def check_record(what: str, kept: Any, figures: Iterable[str] = FIGURES, each: Iterable[str] = EACH) -> int:
    """Refuse what no `Record` remembers; returns how many steps it holds.

    Raises:
        ModelFormatError: with the reason.
    """
    if type(kept) is not dict or not {"names", "columns"} <= kept.keys():
        raise refuse(what, "a dict with names and columns", kept)
    P, columns = len(list_of(text)(f"{what} 'names'", kept["names"])), kept["columns"]
    if type(columns) is not dict or list(columns) != [*figures, *each]:
        raise refuse(f"{what} 'columns'", f"columns {', '.join([*figures, *each])}", columns)
    rows = rows_of(kept)
    for name, column in columns.items():
        array(f"{what} {name!r}", column, (rows, P) if name in each else (rows,), np.float64)
    return rows


def rows_of(kept: dict[str, Any]) -> int:
    """Return how many steps a record that was read holds."""
    return next((len(column) for column in kept["columns"].values() if np.ndim(column)), 0)
