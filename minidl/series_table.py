"""`check_steps`: refuse a table whose rows are not the steps of one series, the oldest first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from minidl.dates import Dates, Irregularity, first_irregularity, may_change_clocks, read_dates
from minidl.errors import ArgumentError
from minidl.tables import Table, named

TOTALS = {"total", "totals", "grand total", "subtotal", "sum", "average", "mean", "summe", "gesamt", "insgesamt"}
# Names of columns in which numbers such as 2020 or 20200131 are dates.
DATE_NAME = re.compile(r".*(date|time|day|month|year|quarter|week|period).*|ds|yyyy(mm)?(dd)?|jahr|monat|datum")
# Columns that make a date finer: the rows of a year have a month each, those of a day an hour.
FINER = re.compile(
    r"(month|quarter|week|day|dayofyear|hour|hr|hh|minute|min|time|period|interval|slot|second)s?(_?\w*)?"
)
# Columns that place a row in time, or count it: whole names, so that "sunday_sales" can be forecast.
PLACE = re.compile(
    r"((fiscal|calendar)[ _]?)?(year|quarter|qtr|month|week|day|jahr|monat|tag)([ _]?(num(ber)?|no))?"
    r"|(day|hour|week|month)[ _]?of[ _]?(week|day|month|year)|weekday|dow|doy|date|datetime|hour|minute|second"
    r"|(unix[ _]?)?time(stamp)?|epoch|period|yyyy(mm)?(dd)?|index|idx|id|unnamed: \d+|"
)
TIME_OF_DAY = re.compile(r"\d\d?:\d\d(:\d\d(\.\d+)?)?( ?[ap]m)?|[ap]\.?m\.?")
SERIES_NAME = re.compile(r".*(id|store|shop|item|sku|product|series|group|key|code|station|sensor|site|region)s?")
SHOWN_SERIES = 3


class DateColumn(NamedTuple):
    """A column of dates: its cells as text, its readings, and the first irregularity of each."""

    name: str
    cells: list[str]
    readings: list[Dates]
    faults: list[Irregularity | None]


def check_steps(table: Table) -> None:
    """Refuse a table with a closing total, several series, or dates that are repeated, unsorted or have gaps.

    A table without a column of dates is taken as it is, apart from a closing total.

    Raises:
        ArgumentError: with the place of the first row that is wrong.

    Example:
        >>> from minidl.series_table import check_steps
        >>> check_steps(minidl.Table({"month": ["2020-01", "2020-02", "2020-04"], "sales": ["5", "7", "6"]}))
        Traceback (most recent call last):
        ...
        minidl.errors.ArgumentError: row:3 leaves a gap in column 'month': '2020-02' is followed by '2020-04'. Add the \
missing rows, or remove the column if the rows are even steps.
    """
    columns = list(date_columns(table))
    for column in columns:
        check_cells(table, column)
    check_total(table)
    if columns and not any(None in column.faults for column in columns):
        refuse(table, columns[0])


def places_rows(name: str) -> bool:
    """Return whether a column is called as one that places rows in time, or counts them."""
    return PLACE.fullmatch(name.strip().lower()) is not None


def date_columns(table: Table) -> Iterator[DateColumn]:
    """The columns of dates, those whose names say so first."""
    for name in sorted(table.columns, key=lambda name: not DATE_NAME.fullmatch(name.lower())):
        cells = ["" if value is None else str(value) for value in table.values[name]]
        readings = read_dates(cells, numbers=DATE_NAME.fullmatch(name.lower()) is not None)
        if not readings or (
            is_repeated_number(cells) and any(is_finer(table, other) for other in table.columns if other != name)
        ):
            continue
        yield DateColumn(name, cells, readings, [first_irregularity(dates) for dates in readings])


def is_repeated_number(cells: Sequence[str]) -> bool:
    """Return whether a column holds numbers, some more than once: a year with a column of months next to it."""
    return all(cell.isdecimal() for cell in cells) and len(set(cells)) < len(cells)


def is_finer(table: Table, name: str) -> bool:
    """Return whether a column makes a date finer, by its name or because it holds times of the day."""
    cells = (str(value).strip().lower() for value in table.values[name][:5])
    return FINER.fullmatch(name.strip().lower()) is not None or all(map(TIME_OF_DAY.fullmatch, cells))


def has_finer_steps(table: Table, column: DateColumn, dates: Dates) -> bool:
    """Return whether other columns tell rows of one date apart, but for the hour that comes twice in autumn."""
    finer = [name for name in table.columns if name != column.name and is_finer(table, name)]
    keys = list(zip(column.cells, *(map(str, table.values[name]) for name in finer), strict=True))
    seen: set[tuple[str, ...]] = set()
    for key, moment in zip(keys, dates.moments, strict=True):
        if key in seen and not (moment and may_change_clocks(moment)):
            return False
        seen.add(key)
    return bool(finer)


def check_cells(table: Table, column: DateColumn) -> None:
    """Refuse a cell that is no date among dates, and a header that is one."""
    if read_dates([column.name] * 2):
        raise ArgumentError(table.has_no_header(f"the date {column.name!r:.40}"))
    dates = max(column.readings, key=lambda dates: sum(moment is not None for moment in dates.moments))
    for row, moment in enumerate(dates.moments):
        if moment is None:
            cell = repr(column.cells[row])[:60] if column.cells[row].strip() else "an empty field"
            raise ArgumentError(
                f"{table.place(row)} must have a date in column {column.name!r}, got {cell}. Remove the row, or "
                f"correct it."
            )


def check_total(table: Table) -> None:
    """Refuse a last row that sums up the others."""
    for name, values in table.values.items():
        last = str(values[-1]).strip().rstrip(":").lower()
        if last in TOTALS and all(str(value).strip().rstrip(":").lower() != last for value in values[:-1]):
            raise ArgumentError(
                f"{table.place(len(table) - 1)} is a total, not a step: {values[-1]!r:.40} in column {name!r}. Remove "
                f"the row."
            )


def refuse(table: Table, column: DateColumn) -> None:
    """Say what is wrong with the dates of a table, and what to do; a finer column may explain repeated dates."""
    dates, fault = next((d, f) for d, f in zip(column.readings, column.faults, strict=True) if f is not None)
    before, after = column.cells[fault.before], column.cells[fault.row]
    place, where = table.place(fault.row), f"in column {column.name!r}"
    if fault.kind == "gap":
        raise ArgumentError(
            f"{place} leaves a gap {where}: {before!r:.40} is followed by {after!r:.40}. Add the missing rows, or "
            f"remove the column if the rows are even steps."
        )
    if goes_back(dates):
        raise ArgumentError(
            f"{table.source} must have the oldest step first, got {column.cells[0]!r:.40} before "
            f"{column.cells[-1]!r:.40} {where}. Reverse the row order."
        )
    if has_finer_steps(table, column, dates):
        return
    series = columns_of_series(table, column, dates, fault)
    if series:
        keys = list(dict.fromkeys(zip(*(map(str, table.values[name]) for name in series), strict=True)))
        shown = ", ".join(repr("/".join(key))[:40] for key in keys[:SHOWN_SERIES])
        more = ", ..." if len(keys) > SHOWN_SERIES else ""
        raise ArgumentError(
            f"{table.source} holds several series, one for each of the {len(keys)} values in column "
            f"{named(series)}: {shown}{more}. Choose one, or write each to a file of its own and pass the files."
        )
    if are_years_of_parts(column.cells):
        return  # years whose months have no column
    if fault.kind == "duplicate":
        raise ArgumentError(
            f"{place} repeats the date {after!r:.40} {where}. Keep one row for each date, or write each series to a "
            f"file of its own."
        )
    raise ArgumentError(
        f"{place} goes back in time {where}: {before!r:.40} is followed by {after!r:.40}. Sort the rows by date."
    )


def are_years_of_parts(cells: Sequence[str]) -> bool:
    """Return whether cells are years in order with the same number of rows each; the first and last may have fewer."""
    if not all(re.fullmatch(r"\d{4}(\.0)?", cell.strip()) for cell in cells) or sorted(cells) != list(cells):
        return False
    counts = list(Counter(cells).values())
    inner = counts[1:-1] or [max(counts)]
    return len(set(inner)) == 1 and inner[0] > 1 and max(counts) <= inner[0]


def goes_back(dates: Dates) -> bool:
    """Return whether each date is earlier than the one before it."""
    moments = [moment for moment in dates.moments if moment is not None]
    return len(moments) > 1 and all(after < before for before, after in pairwise(moments))


def columns_of_series(table: Table, column: DateColumn, dates: Dates, fault: Irregularity) -> list[str]:
    """The columns that say to which of several series a row belongs: within each of them the dates go forward."""
    labels = [name for name in table.columns if name != column.name and is_label(table, name)]
    for names in [*([name] for name in labels), labels]:
        keys = list(zip(*(map(str, table.values[name]) for name in names), strict=True))
        if not names or keys[fault.before] == keys[fault.row] or len(set(keys)) > len(table) / 2:
            continue
        latest: dict[tuple[str, ...], object] = {}
        forward = True
        for key, moment in zip(keys, dates.moments, strict=True):
            earlier = latest.get(key)
            forward = forward and (earlier is None or earlier < moment)  # type: ignore[operator]
            latest[key] = moment
        if forward:
            return names
    return []


def is_label(table: Table, name: str) -> bool:
    """Return whether a column may name series: text, or numbers in a column that is called so."""
    values = [str(value) for value in table.values[name]]
    if SERIES_NAME.fullmatch(name.lower()):
        return True
    return not all(re.fullmatch(r"[-+]?[\d.,]*(e[-+]?\d+)?|nan", value.strip().lower()) for value in values)
