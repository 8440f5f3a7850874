"""Dates of a column: healthy calendars in common formats are not accused, and each kind of fault is found."""

from __future__ import annotations

import calendar
import random
from datetime import date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.dates import first_irregularity, read_dates
from tests.parameters import slow

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NEW_YEAR = date(2019, 1, 1)


def days(count: int, start: date = NEW_YEAR, step: int = 1) -> list[date]:
    return [start + k * step * DAY for k in range(count)]


def months(count: int, day: int = 1, step: int = 1, year: int = 2018, month: int = 1) -> list[date]:
    found = []
    for k in range(count):
        y, m = divmod(12 * year + month - 1 + step * k, 12)
        found.append(date(y, m + 1, min(day, calendar.monthrange(y, m + 1)[1])))
    return found


def moments(count: int, step: timedelta) -> list[datetime]:
    return [datetime(2020, 1, 1) + k * step for k in range(count)]


# hours from UTC in winter, and the moments in UTC between which it is summer, or winter if the latter comes first
PLACES = {
    "Berlin": (1, datetime(2020, 3, 29, 1), datetime(2020, 10, 25, 1)),
    "New York": (-5, datetime(2020, 3, 8, 7), datetime(2020, 11, 1, 6)),
    "Sydney": (10, datetime(2020, 10, 3, 16), datetime(2020, 4, 4, 16)),
    "Santiago": (-4, datetime(2020, 9, 6, 4), datetime(2020, 4, 5, 3)),
}


def local(place: str, count: int, step: timedelta) -> list[datetime]:
    """A year in a place that changes its clocks, with the offset from UTC."""
    offset, begin, end = PLACES[place]
    found = []
    for moment in moments(count, step):
        summer = begin <= moment < end if begin < end else not end <= moment < begin
        hours = timedelta(hours=offset + summer)
        found.append((moment + hours).replace(tzinfo=timezone(hours)))
    return found


def written(format: str, some: list) -> list[str]:
    return [f"{moment:{format}}" for moment in some]


WORKDAYS = [day for day in days(800) if day.weekday() < 5]
CLOSED = {date(2019, 1, 21), date(2019, 4, 19), date(2019, 7, 4), date(2019, 11, 28), date(2019, 12, 25)}
GOLDEN_WEEK = [day for day in WORKDAYS if not date(2019, 4, 27) <= day <= date(2019, 5, 6)]
SESSIONS = [datetime.combine(day, time(9, 30)) + k * HOUR for day in WORKDAYS[:200] for k in range(7)]
LUNCH = [datetime.combine(day, time(9)) + k * HOUR / 12 for day in WORKDAYS[:60] for k in range(72) if not 30 <= k < 42]
CURRENCIES = [
    moment for moment in moments(2400, HOUR)
    if not (moment.weekday() == 5 or (moment.weekday() == 4 and moment.hour >= 22)
            or (moment.weekday() == 6 and moment.hour < 22))
]  # fmt: skip

HEALTHY = {
    "daily": written("%Y-%m-%d", days(900)),
    "daily, a dozen": written("%Y-%m-%d", days(12)),
    "daily, slashes": written("%Y/%m/%d", days(90)),
    "daily, German": written("%d.%m.%Y", days(400)),
    "daily, American": written("%m/%d/%Y", days(400)),
    "daily, British": written("%d/%m/%Y", days(400)),
    "daily, American, two digits": written("%m/%d/%y", days(400)),
    "daily, without zeros": [f"{day.month}/{day.day}/{day.year}" for day in days(40)],
    "daily, days up to 12": written("%d/%m/%Y", days(12)),
    "daily, month names": [f"{day.day} {day:%b %Y}" for day in days(100)],
    "daily, American month names": [f"{day:%B} {day.day}, {day.year}" for day in days(100)],
    "daily, Oracle": written("%d-%b-%y", days(100)),
    "daily, weekdays written": written("%a %Y-%m-%d", days(60)),
    "daily, without leap days": [f"{day}" for day in days(900) if (day.month, day.day) != (2, 29)],
    "first of the month, American": written("%m/%d/%Y", months(60)),
    "first of the month, British": written("%d/%m/%Y", months(60)),
    "fifth of the month, British": written("%d/%m/%Y", months(60, 5)),
    "fifth of the month, American": written("%m/%d/%Y", months(60, 5)),
    "month ends": written("%Y-%m-%d", months(60, 31)),
    "month ends, half a year": written("%Y-%m-%d", months(6, 31)),
    "last business days": [f"{day - max(0, day.weekday() - 4) * DAY}" for day in months(100, 31)],
    "quarter ends": written("%Y-%m-%d", months(60, 31, 3, 2000, 3)),
    "years": written("%Y-%m-%d", months(60, 1, 12, 1960)),
    "years, from a leap day": written("%Y-%m-%d", months(60, 29, 12, 1960, 2)),
    "months": written("%Y-%m", months(60)),
    "months, slashes": written("%m/%Y", months(60)),
    "months, names": written("%b %Y", months(60)),
    "months, names and two digits": written("%b-%y", months(60)),
    "months, M": written("%YM%m", months(60)),
    "quarters": [f"{day.year}Q{(day.month + 2) // 3}" for day in months(60, 1, 3)],
    "quarters, the year last": [f"Q{(day.month + 2) // 3} {day.year}" for day in months(60, 1, 3)],
    "weeks": written("%Y-%m-%d", days(150, step=7)),
    "weeks, ISO": [f"{d.isocalendar()[0]}-W{d.isocalendar()[1]:02d}" for d in days(150, step=7)],
    "weeks, moved by holidays": [f"{day - (k % 11 == 5) * DAY}" for k, day in enumerate(days(100, step=7))],
    "business days": written("%Y-%m-%d", WORKDAYS),
    "business days, nine": written("%Y-%m-%d", WORKDAYS[:9]),
    "business days, holidays": [f"{day:%m/%d/%Y}" for day in WORKDAYS if day not in CLOSED],
    "business days, Golden Week": written("%Y-%m-%d", GOLDEN_WEEK),
    "Monday to Saturday": [f"{day}" for day in days(300) if day.weekday() < 6],
    "Sunday to Thursday": [f"{day}" for day in days(300) if day.weekday() not in (4, 5)],
    "Monday, Wednesday, Friday": [f"{day}" for day in days(300) if day.weekday() in (0, 2, 4)],
    "Tuesday, Thursday": [f"{day}" for day in days(300) if day.weekday() in (1, 3)],
    "ten days": [f"{day}" for day in days(900) if day.day in (1, 11, 21)],
    "half months": [f"{day}" for day in days(900) if day.day == 15 or (day + DAY).day == 1],
    "eight days, from each New Year": [f"{d}" for y in (2018, 2019, 2020) for d in days(46, date(y, 1, 1), 8)],
    "hours": [f"{moment}" for moment in moments(3000, HOUR)],
    "hours, ISO in UTC": [f"{moment.isoformat()}Z" for moment in moments(300, HOUR)],
    "hours, American": written("%m/%d/%Y %I:%M %p", moments(300, HOUR)),
    "hours, up to 24:00": [
        f"{moment:%Y-%m-%d %H:%M}" if moment.hour else f"{moment - DAY:%Y-%m-%d} 24:00" for moment in moments(99, HOUR)
    ],
    "quarter hours": written("%Y-%m-%d %H:%M", moments(3000, HOUR / 4)),
    "milliseconds": [moment.isoformat() for moment in moments(50, timedelta(milliseconds=20))],
    "trading hours": [f"{moment}" for moment in SESSIONS if moment.date() not in CLOSED],
    "trading hours, a half day": [f"{moment}" for moment in SESSIONS if not (moment.day == 3 and moment.hour > 12)],
    "trading hours, lunch": [f"{moment}" for moment in LUNCH],
    "currencies": [f"{moment}" for moment in CURRENCIES],
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_calendars_are_not_accused(name):
    readings = read_dates(HEALTHY[name])
    assert readings and any(first_irregularity(dates) is None for dates in readings)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("step", [HOUR, slow(HOUR / 2)], ids=["hours", "half hours"])
def test_clock_changes_are_not_accused(place, step):
    some = local(place, 8800 * int(HOUR / step), step)
    for cells in written("%Y-%m-%d %H:%M", some), [moment.isoformat() for moment in some]:
        (dates,) = read_dates(cells)
        assert first_irregularity(dates) is None


CLOSES = "business", "Monday to", "Sunday to", "trading", "daily, a dozen"  # where a missing row may be a closed day
NOT_BUSINESS = [name for name in HEALTHY if not name.startswith(CLOSES)]


@pytest.mark.parametrize("name", NOT_BUSINESS)
def test_a_row_that_is_missing_is_a_gap(name):
    cells = HEALTHY[name]
    at = random.Random(name).randrange(len(cells) // 3, 2 * len(cells) // 3)
    found = [first_irregularity(dates) for dates in read_dates(cells[:at] + cells[at + 1 :])]
    assert all(found) and any((fault.kind, fault.before, fault.row) == ("gap", at - 1, at) for fault in found)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_row_that_comes_twice_is_a_duplicate(name):
    cells = HEALTHY[name]
    at = random.Random(name).randrange(len(cells) // 3, 2 * len(cells) // 3)
    found = [first_irregularity(dates) for dates in read_dates(cells[:at] + cells[at - 1 :])]
    assert all(found) and any((fault.kind, fault.row) == ("duplicate", at) for fault in found)


def test_many_missing_business_days_are_a_gap():
    cells = written("%Y-%m-%d", WORKDAYS[:100] + WORKDAYS[110:])
    (dates,) = read_dates(cells)
    assert first_irregularity(dates) == ("gap", 99, 100)


def test_a_missing_night_is_a_gap():
    cells = [f"{moment}" for k, moment in enumerate(moments(200, HOUR)) if not 80 <= k < 86]
    (dates,) = read_dates(cells)
    assert first_irregularity(dates) == ("gap", 79, 80)


def test_rows_out_of_order_go_back():
    cells = written("%Y-%m-%d", days(30))
    cells[9], cells[10] = cells[10], cells[9]
    (dates,) = read_dates(cells)
    assert first_irregularity(dates).kind == "gap" or first_irregularity(dates) == ("backwards", 9, 10)
    (dates,) = read_dates(written("%Y-%m-%d", days(10) + days(5)))
    assert first_irregularity(dates) == ("backwards", 9, 10)


def test_days_and_months_in_doubt_have_two_readings():
    assert len(read_dates(["03/04/2020", "04/04/2020"])) == 2
    (dates,) = read_dates(["03/04/2020", "13/04/2020"])
    assert [moment.month for moment in dates.moments] == [4, 4]


@pytest.mark.parametrize(
    "cells",
    [
        ["1.5", "2.5", "3.5"], ["2020.01", "2020.02"], ["1749", "1750", "1751"], ["20200101", "20200102"], ["a", "b"],
        ["", ""], [], ["12:00", "13:00"], ["10/11", "11/11"], ["2020-13-01", "2020-14-01"], ["1-2", "3-4"],
        ["2020-01-01"], ["31/02/2020", "30/02/2020"],
    ],
)  # fmt: skip
def test_what_is_no_column_of_dates(cells):
    assert read_dates(cells) == []


@pytest.mark.parametrize("cells", [["1749", "1750"], ["202001", "202002"], ["20200131", "20200201"]])
def test_numbers_are_dates_where_they_may_be(cells):
    (dates,) = read_dates(cells, numbers=True)
    assert first_irregularity(dates) is None


def test_a_few_cells_may_be_no_dates():
    cells = [*written("%Y-%m-%d", days(30)), "Total"]
    (dates,) = read_dates(cells)
    assert dates.moments[-1] is None and first_irregularity(dates) is None


@given(st.lists(st.text(max_size=12) | st.dates().map(str) | st.datetimes().map(str), max_size=30), st.booleans())
def test_any_cells_are_read_or_not(cells, numbers):
    for dates in read_dates(cells, numbers):
        assert len(dates.moments) == len(cells)
        fault = first_irregularity(dates)
        assert fault is None or 0 <= fault.before < fault.row < len(cells)
