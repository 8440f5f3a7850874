"""Tables that are no single series, the oldest step first: each is refused in one line with its place."""

from __future__ import annotations

import pytest

from minidl import Table
from minidl.errors import ArgumentError
from minidl.series_table import check_steps

DATES = [f"2020-{month:02d}-{day:02d}" for month in range(1, 5) for day in range(1, 28)]
DAYS = [f"2020-01-{day:02d}" for day in range(1, 31)]
MONTHS = [f"{year}-{month:02d}" for year in (2019, 2020) for month in range(1, 13)]
NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def table(**columns) -> Table:
    length = len(next(iter(columns.values())))
    return Table(columns, [("s.csv", n + 2) for n in range(length)])


HOURS = [(f"2020-01-{day:02d}", hour) for day in range(1, 8) for hour in range(24)]

HEALTHY = {
    "no dates": table(y=["1", "2", "3"]),
    "days": table(date=DAYS, y=["1"] * 30),
    "days, newest column last": table(y=["1"] * 30, when=DAYS),
    "years and months": table(year=[m[:4] for m in MONTHS], month=[m[5:] for m in MONTHS], y=["1"] * 24),
    "years and month names": table(Year=[m[:4] for m in MONTHS], Month=NAMES * 2, y=["1"] * 24),
    "years and quarters": table(year=["2019"] * 4 + ["2020"] * 4, quarter=list("1234") * 2, y=["1"] * 8),
    "dates and hours": table(date=[d for d, _ in HOURS], hour=[h for _, h in HOURS], load=[1] * 168),
    "dates and times": table(Date=[d for d, _ in HOURS], Time=[f"{h:02d}:00" for _, h in HOURS], load=[1] * 168),
    "dates and times by another name": table(
        day=[d for d, _ in HOURS], clock=[f"{h:02d}:00" for _, h in HOURS], load=[1] * 168
    ),
    "mornings and afternoons": table(date=sorted(DAYS * 2), part=["am", "pm"] * 30, y=[1] * 60),
    "dates and hours, clocks set back": table(
        date=["2020-10-25"] * 25 + ["2020-10-26"] * 24, hour=[0, 1, 2, *range(2, 24), *range(24)], y=[1] * 49
    ),
    "years": table(year=[str(y) for y in range(1900, 1950)], y=["1"] * 50),
    "years without their months": table(y=["1"] * 24, year=[m[:4] for m in MONTHS]),
    "years with a label that repeats": table(year=[str(y) for y in range(1900, 1950)], party=["A", "B"] * 25),
    "days with a weekday": table(date=DAYS, weekday=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] * 5, y=["1"] * 30),
    "years as numbers": table(year=list(range(1900, 1950)), y=[1.5] * 50),
    "eight digits": table(date=[day.replace("-", "") for day in DAYS], y=["1"] * 30),
    "prices that look like years": table(price=["1999", "1999", "2005", "1950"], y=["1", "2", "3", "4"]),
    "another column of dates": table(date=DAYS, shipped=["2020-01-31"] * 15 + ["2020-02-29"] * 15, y=["1"] * 30),
    "a label called sum": table(kind=["sum", "part", "sum"], y=["1", "2", "3"]),
    "dates of which only some are there": table(date=DAYS, holiday=[""] * 28 + ["2020-01-29", "2020-01-30"]),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_tables_are_not_accused(name):
    check_steps(HEALTHY[name])


AB = ["A"] * 15 + ["B"] * 15
TWICE = DAYS[:15] * 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            table(shop=AB, date=TWICE, sales=["1"] * 30),
            r"^s\.csv holds several series, one for each of the 2 values in column 'shop': 'A', 'B'\. ",
        ),
        (table(date=["2020-01-01"] * 3, hour=[1, 1, 2], y=[1] * 3), r"^s\.csv:3 repeats the date '2020-01-01'"),
        (table(date=sorted(TWICE), shop=["A", "B"] * 15, y=[1] * 30), r"several series, .* in column 'shop'"),
        (table(date=TWICE, store_id=[1] * 15 + [2] * 15, y=[1] * 30), r"several series, .* in column 'store_id'"),
        (table(country=AB, year=[*range(1990, 2005)] * 2, y=[1] * 30), r"several series, .* in column 'country'"),
        (
            table(date=DAYS[:8] * 4, shop=(["A"] * 8 + ["B"] * 8) * 2, item=["x"] * 16 + ["y"] * 16, y=[1] * 32),
            r"the 4 values in column 'shop', 'item': 'A/x', 'B/x', 'A/y', \.\.\.\. Choose",
        ),
        (table(date=DAYS[:5] + DAYS[4:], y=[1] * 31), r"^s\.csv:7 repeats the date '2020-01-05' in column 'date'\."),
        (table(date=sorted(TWICE), y=[*range(30)]), r"^s\.csv:3 repeats the date '2020-01-01'"),
        (
            table(date=DAYS[:9] + DAYS[10:], y=[1] * 29),
            r"^s\.csv:11 leaves a gap in column 'date': '2020-01-09' is followed by '2020-01-11'\. Add the",
        ),
        (table(month=MONTHS[:9] + MONTHS[11:], y=[1] * 22), r"^s\.csv:11 leaves a gap in column 'month'"),
        (table(year=[2000, 2001, 2002, 2004], y=[1] * 4), r"^s\.csv:5 leaves a gap in column 'year'"),
        (table(date=DAYS[:9] + DAYS[4:9], y=[1] * 14), r"^s\.csv:11 goes back in time .* Sort the rows by date\.$"),
        (
            table(date=DAYS[::-1], y=[1] * 30),
            r"^s\.csv must have the oldest step first, got '2020-01-30' before '2020-01-01' in column 'date'\. Reverse",
        ),
        (table(date=[*DAYS, "Total"], y=["1"] * 31), r"^s\.csv:32 must have a date in column 'date', got 'Total'\."),
        (table(date=[*DAYS, ""], y=["1"] * 31), r"^s\.csv:32 must have a date in column 'date', got an empty field\."),
        (table(date=[*DAYS, None], y=["1"] * 31), r"^s\.csv:32 must have a date .* got an empty field\."),
        (table(date=[*DAYS, "Source: us"], y=["1"] * 31), r"^s\.csv:32 must have a date .* got 'Source: us'\."),
        (table(n=["a", "b", "Total:"], y=["1"] * 3), r"^s\.csv:4 is a total, not a step: 'Total:' in column 'n'\."),
        (
            Table({"2020-01-01": DAYS[1:], "100": ["1"] * 29}, [("s.csv", n + 2) for n in range(29)]),
            r"^s\.csv must begin with the names of the columns, got the date '2020-01-01'\.",
        ),
        (
            table(date=[d.replace("-", "") for d in (*DAYS[:9], *DAYS[8:])], y=[1] * 31),
            r"^s\.csv:11 repeats the date '20200109'",
        ),
        (table(year=[2000, 2001, 2001, 2002, 2003], y=[1] * 5), r"^s\.csv:4 repeats the date '2001'"),
        (table(yyyymm=sorted(m.replace("-", "") for m in MONTHS * 2), y=[1] * 48), r"^s\.csv:3 repeats .* '201901'"),
        (
            table(date=[f"{d[8:]}/{d[5:7]}/{d[:4]}" for d in DATES[:9] + DATES[8:]], y=[1] * 109),
            r"^s\.csv:11 repeats the date '09/01/2020'",
        ),
    ],
)  # fmt: skip
def test_wrong_tables_are_refused_with_the_place(wrong, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        check_steps(wrong)
    assert "\n" not in str(caught.value)


def test_long_cells_do_not_make_long_messages():
    with pytest.raises(ArgumentError) as caught:
        check_steps(table(date=[*DAYS, "x" * 5000], y=["1"] * 31))
    assert len(str(caught.value)) < 200
