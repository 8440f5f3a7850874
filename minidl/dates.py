"""Dates in tables: `read_dates` reads a column of them, `first_irregularity` finds the first step out of order.

Steps are regular if they are of one length, or if the calendar makes them differ: months of 28 to 31 days, leap years,
business days with holidays, trading hours, and the two clock changes of a year.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median_low
from typing import Literal, NamedTuple

MOST_ARE_DATES = 0.9  # share of the cells of a column; the others are mistakes, such as a closing row
GAP = 1.75  # usual steps: the 59 days of two months with February are 1.9 steps of 31 days
HOLIDAYS = 7  # business days that may be missing in a row; Japan's Golden Week of 2019 closed for six
CLOCK_CHANGES = (2, 3, 4, 9, 10, 11)  # months, on both hemispheres
DAY, HOUR = timedelta(days=1), timedelta(hours=1)

MONTHS = "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? +)?"
YEAR, MONTH, DAY_OF_MONTH = r"(?P<year>\d{4})", r"(?P<month>\d\d?)", r"(?P<day>\d\d?)"
ANY_YEAR = r"(?P<year>\d{4}|\d\d)"
NAME = rf"(?P<name>(?:{'|'.join(MONTHS)})[a-z]{{0,6}})\.?"
TIME = (
    r"(?:[T ]+(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s?(?P<half>[ap]m)?\s?(?P<zone>Z|UTC|[-+]\d\d:?\d\d)?)?"
)
WRITTEN = (
    rf"{WEEKDAY}{YEAR}(?P<mark>[-/.]){MONTH}(?P=mark){DAY_OF_MONTH}{TIME}",
    rf"{WEEKDAY}{DAY_OF_MONTH}(?P<mark>[-/.]){MONTH}(?P=mark){ANY_YEAR}{TIME}",
    rf"{WEEKDAY}{MONTH}(?P<mark>[-/.]){DAY_OF_MONTH}(?P=mark){ANY_YEAR}{TIME}",
    rf"{WEEKDAY}{DAY_OF_MONTH}(?:st|nd|rd|th)?\.?[-/ ]?{NAME}[-/ ,]*{ANY_YEAR}{TIME}",
    rf"{WEEKDAY}{NAME} +{DAY_OF_MONTH}(?:st|nd|rd|th)?,? +{YEAR}{TIME}",
    rf"{YEAR}[-/]{MONTH}",
    rf"{YEAR}-?M{MONTH}",
    rf"{MONTH}[-/]{YEAR}",
    rf"{NAME}[-/ ,]*{ANY_YEAR}",
    rf"{YEAR}[-/ ]?{NAME}",
    rf"{YEAR}[-/ ]?Q(?P<quarter>[1-4])",
    rf"Q(?P<quarter>[1-4])[-/ ]?{YEAR}",
    rf"{YEAR}-?W(?P<week>\d\d)(?:-?(?P<weekday>[1-7]))?",
)
NUMBERS = (  # dates that are numbers as well
    r"(?P<year>(?:1[89]|20|21)\d\d)(?P<month>\d\d)(?P<day>\d\d)",
    r"(?P<year>(?:1[89]|20|21)\d\d)(?P<month>\d\d)",
    r"(?P<year>1\d{3}|2[01]\d\d)(?:\.0)?",
)

Unit = Literal["month", "day", "time"]


class Dates(NamedTuple):
    """A column of dates in one reading; None stands for a cell that is no date."""

    unit: Unit  # the finest difference: months are counted as such, for their lengths differ
    moments: list[datetime | None]  # without a time zone: offsets are taken off
    zoned: bool  # whether each has an offset from UTC, so that clocks do not change


class Irregularity(NamedTuple):
    """A row that does not follow the one before it as the others do."""

    kind: Literal["duplicate", "backwards", "gap"]
    before: int  # the numbers of the two rows
    row: int


def read_dates(values: Sequence[str], numbers: bool = False) -> list[Dates]:
    """Return the readings of a column of dates: none if it holds something else, two for days and months in doubt.

    Args:
        values: the cells.
        numbers: whether 2020, 202001 and 20200101 are dates as well.

    Example:
        >>> from minidl.dates import read_dates
        >>> [dates.moments[1].month for dates in read_dates(["03/04/2020", "04/04/2020"])]
        [4, 4]
        >>> [dates.unit for dates in read_dates(["2020Q1", "2020Q2"])], read_dates(["so", "it is"])
        (['month'], [])
    """
    least = max(2, MOST_ARE_DATES * len(values))
    found: list[Dates] = []
    best = 0
    for pattern in (*WRITTEN, *(NUMBERS if numbers else ())):
        if sum(re.fullmatch(pattern, value.strip(), re.IGNORECASE) is not None for value in values[:20]) < 2:
            continue
        moments, zoned = moments_in(pattern, values)
        count = sum(moment is not None for moment in moments)
        if count < least or count < best:
            continue
        dates = Dates(unit_of(pattern, moments), moments, zoned)
        found = [*found, dates] if count == best else [dates]
        best = count
    return found


def moments_in(pattern: str, values: Sequence[str]) -> tuple[list[datetime | None], bool]:
    """Return the moments of cells that are written so, and whether each of them has an offset from UTC."""
    read = re.compile(pattern, re.IGNORECASE).fullmatch
    moments: list[datetime | None] = []
    zoned = True
    for value in values:
        match = read(value.strip())
        try:  # ten times as fast as putting the fields together
            if match is None or pattern != WRITTEN[0]:
                raise ValueError
            moment = datetime.fromisoformat(match.string)
            zoned = zoned and moment.tzinfo is not None
            moments.append(moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None))
        except (ValueError, OverflowError):
            zoned = zoned and (match is None or bool(match.groupdict().get("zone")))
            moments.append(moment_of(match))
    return moments, zoned


def moment_of(match: re.Match[str] | None) -> datetime | None:
    """Return the moment of a date that is written so; None if there is no such day."""
    if match is None:
        return None
    field = match.groupdict()
    year = int(field["year"])
    if len(field["year"]) == 2:
        year += 1900 if year >= 69 else 2000  # as POSIX reads them
    month = int(field.get("month") or 1)
    if field.get("name"):
        month = MONTHS.index(field["name"][:3].lower()) + 1
    elif field.get("quarter"):
        month = 3 * int(field["quarter"]) - 2
    try:
        if field.get("week"):
            return datetime.fromisocalendar(year, int(field["week"]), int(field["weekday"] or 1))
        moment = datetime(year, month, int(field.get("day") or 1))
        return moment + time_of(field)
    except (ValueError, OverflowError):
        return None


def time_of(field: dict[str, str | None]) -> timedelta:
    """Return the time of the day in UTC if there is an offset, else as it is written; 24:00 is the next day's 0:00."""
    hour, minute = int(field.get("hour") or 0), int(field.get("minute") or 0)
    if field.get("half"):
        hour = hour % 12 + (12 if str(field["half"]).lower() == "pm" else 0)
    if hour > 24 or minute > 59:
        raise ValueError("no time of the day")
    fraction = int((field.get("fraction") or "0").ljust(6, "0")[:6])
    offset = timedelta()
    zone = field.get("zone") or "Z"
    if zone[0] in "+-":
        offset = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[-2:]))
    second = int(field.get("second") or 0)
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=fraction) - offset


def unit_of(pattern: str, moments: Sequence[datetime | None]) -> Unit:
    """Return the finest unit in which dates of a pattern differ."""
    if "(?P<day>" not in pattern and "(?P<week>" not in pattern:
        return "month"
    return "time" if any(moment and moment.time() != datetime.min.time() for moment in moments) else "day"


def first_irregularity(dates: Dates) -> Irregularity | None:
    """Return the first row that repeats a date, goes back in time, or comes after a gap; None if all is regular.

    A gap is at least 1.75 times as long as the usual step, and not explained by the calendar.

    Example:
        >>> from minidl.dates import first_irregularity, read_dates
        >>> month_ends, = read_dates(["2020-01-31", "2020-02-29", "2020-03-31", "2020-05-31"])
        >>> first_irregularity(month_ends)
        Irregularity(kind='gap', before=2, row=3)
    """
    rows = [(n, moment) for n, moment in enumerate(dates.moments) if moment is not None]
    if dates.unit == "month":
        rows = [(n, datetime.min + (12 * moment.year + moment.month) * DAY) for n, moment in rows]  # a day for a month
    steps = [after - before for (_, before), (_, after) in pairwise(rows)]
    forward = [step for step in steps if step > timedelta()]
    usual = median_low(forward) if forward else DAY
    calendar = Calendar(dates, [moment for _, moment in rows], usual)
    for (before, earlier), (row, later) in pairwise(rows):
        step = later - earlier
        if step <= timedelta():
            if not calendar.clock_goes_back(earlier, step):
                return Irregularity("duplicate" if not step else "backwards", before, row)
        elif len(forward) > 1 and step >= GAP * usual and not calendar.explains(earlier, later):
            return Irregularity("gap", before, row)
    return None


class Calendar:
    """The calendar of a series: the days of the week that it has, and the hours of its sessions."""

    def __init__(self, dates: Dates, moments: Sequence[datetime], usual: timedelta) -> None:
        self.dates, self.usual = dates, usual
        days = sorted({moment.date() for moment in moments})
        self.weekdays = {day.weekday() for day in days}
        if days and days[-1] - days[0] < 14 * DAY:  # too short to say which weekdays are closed, weekends excepted
            self.weekdays |= {0, 1, 2, 3, 4}
        self.days = len(days)
        self.between = Counter(key_of(a, b) for a, b in pairwise(moments) if b - a >= GAP * usual)
        nights = [b - a for a, b in pairwise(moments) if b.date() != a.date()]
        self.has_sessions = bool(nights) and median_low(nights) >= GAP * usual and dates.unit == "time"
        daily = usual == DAY or self.has_sessions
        self.holidays = HOLIDAYS if daily and len(self.weekdays) in (4, 5, 6) else 0

    def explains(self, earlier: datetime, later: datetime) -> bool:
        """Return whether the calendar explains why nothing lies between two moments."""
        if self.dates.unit == "month" or self.usual > 4 * DAY:
            return False
        if self.dates.unit == "time" and not self.has_sessions and self.usual < DAY:
            weekend = later.date() - earlier.date() > DAY / 2 and self.between[key_of(earlier, later)] > 1
            return weekend or self.clock_goes_forward(earlier, later)
        if earlier.date() == later.date():  # a pause within the day, such as for lunch
            return self.between[key_of(earlier, later)] >= max(2, self.days // 2)
        if (earlier.month, earlier.day, later.month, later.day) == (2, 28, 3, 1):
            return True  # climate data often leave out February 29
        count = (later.date() - earlier.date()).days
        missing = sum((earlier + k * DAY).weekday() in self.weekdays for k in range(1, count))
        return missing <= self.holidays

    def clock_goes_forward(self, earlier: datetime, later: datetime) -> bool:
        """Return whether an hour is missing because clocks are set to summer time."""
        return self.changes_clocks(earlier) and later - earlier == self.usual + HOUR

    def clock_goes_back(self, earlier: datetime, step: timedelta) -> bool:
        """Return whether an hour comes twice because clocks are set back."""
        return self.changes_clocks(earlier) and step == self.usual - HOUR

    def changes_clocks(self, moment: datetime) -> bool:
        """Return whether local clocks may change after a moment: in a night of a weekend in spring or autumn."""
        local = self.dates.unit == "time" and not self.dates.zoned and self.usual <= HOUR
        return local and may_change_clocks(moment) and (moment + HOUR).hour <= 5


def may_change_clocks(day: datetime) -> bool:
    """Return whether local clocks may change on a day: at a weekend in spring or autumn, from Friday on."""
    return day.month in CLOCK_CHANGES and day.weekday() >= 4


def key_of(earlier: datetime, later: datetime) -> tuple[object, ...]:
    """Return what two borders of a pause have in common if it recurs every day or every week."""
    days = (later.date() - earlier.date()).days
    return (earlier.time(), later.time(), days, earlier.weekday() if days else None)
