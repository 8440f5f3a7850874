"""The ward: fault, code expected, code given, for hand-written code that is sick, and for some that is not."""

from functools import cache

import pytest

from minidl.checking import check_functions, check_loss
from tests.ward import healthy, sick
from tests.ward.verdicts import criteria, judge, named_share

ALL = {case.name: case for case in (*sick.CASES, *healthy.CASES)}
CODES = {f"F20{n}" for n in range(6)} | {f"G{n}" for n in range(101, 115)} | {"C301"}


@cache
def verdict(name, roles=True):
    return judge(ALL[name], check_functions, check_loss, roles)


def test_the_ward_is_full():
    assert len(ALL) == len(sick.CASES) + len(healthy.CASES), "two cases have the same name"
    assert {case.codes[0] for case in sick.CASES} == CODES
    assert len(sick.CASES) >= 40 and len(healthy.CASES) >= 20
    assert sum(case.whole for case in sick.CASES) == 2


# Their faults are found only after all of the search, which takes seconds.
LONG_SEARCH = {
    "bare_cell_textbook", "full_dp_transposed", "joint_batch_first", "packed_square_forgotten", "rows_dx_backwards",
    "softmax_diagonal", "target_left_out", "unshared_summed", "whole_peephole_nan",
}  # fmt: skip


def repeats(n, case):
    """Whether a case before this one has the same first code."""
    return any(other.codes[0] == case.codes[0] for other in sick.CASES[:n] if other.name not in LONG_SEARCH)


def marked(cases, is_slow):
    """Return the names of the cases, as parameters; is_slow gets the number of a case and the case."""
    return [pytest.param(c.name, marks=pytest.mark.slow if is_slow(n, c) else ()) for n, c in enumerate(cases)]


def test_long_searches_are_names_of_cases():
    assert set(ALL) > LONG_SEARCH


@pytest.mark.parametrize("name", marked(sick.CASES, lambda n, case: case.name in LONG_SEARCH or repeats(n, case)))
def test_faulty_code_is_found_with_the_right_code_first(name):
    case, result = ALL[name], verdict(name)
    assert result.found, case.fault
    if case.whole:
        assert len(set(result.given) & set(case.codes)) >= 3, result.given
    else:
        assert result.given[:1] == case.codes[:1], f"{case.fault} Given: {result.given}"
    kinds = ["CFG".index(code[0]) for code in result.given if code[0] in "CFG"]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize("name", marked(sick.CASES, lambda n, case: n % 12 > 0))
def test_faulty_code_without_roles_is_found_where_its_gradients_are_wrong(name):
    bare = verdict(name, roles=False)
    if ALL[name].sound:
        assert bare.report.ok and not bare.errors, "its gradients are right, and nobody said that it is an LSTM"
        return
    assert not bare.report.ok
    assert bare.errors, "a report that is not ok says why"
    if ALL[name].codes[0] != "C301":
        assert bare.worst_row is not None and bare.worst_row.name


@pytest.mark.parametrize("name", marked(healthy.CASES, lambda n, case: n % 8 > 0))
def test_correct_code_is_left_alone(name):
    assert_left_alone(verdict(name))


@pytest.mark.parametrize("name", marked(healthy.CASES, lambda n, case: n % 12 > 0))
def test_correct_code_without_roles_is_left_alone(name):
    assert_left_alone(verdict(name, roles=False))


def assert_left_alone(result):
    assert result.report.ok, [row for row in result.report.rows if not row.ok]
    assert not result.errors and result.left_alone, result.given


@pytest.mark.slow
def test_the_whole_ward_meets_the_criteria():
    groups = [
        [verdict(c.name) if roles else verdict(c.name, roles=False) for c in cases]
        for cases in (sick.CASES, healthy.CASES)
        for roles in (True, False)
    ]
    held = criteria(*groups)
    assert all(held.values()), (held, named_share(groups[0]))
