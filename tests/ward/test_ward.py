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


def names(cases, wanted=lambda case: True):
    return [case.name for case in cases if wanted(case)]


def test_the_ward_is_full():
    assert len(ALL) == len(sick.CASES) + len(healthy.CASES), "two cases have the same name"
    assert {case.codes[0] for case in sick.CASES} == CODES
    assert len(sick.CASES) >= 40 and len(healthy.CASES) >= 20
    assert sum(case.whole for case in sick.CASES) == 2


@pytest.mark.parametrize("name", names(sick.CASES))
def test_a_sick_case_is_found(name):
    assert verdict(name).found, ALL[name].fault


@pytest.mark.parametrize("name", names(sick.CASES, lambda case: not case.whole))
def test_a_fault_is_called_by_its_name(name):
    assert verdict(name).given[:1] == ALL[name].codes[:1], f"{ALL[name].fault} Given: {verdict(name).given}"


@pytest.mark.parametrize("name", names(sick.CASES, lambda case: case.whole))
def test_a_whole_case_gets_three_right_codes(name):
    assert len(set(verdict(name).given) & set(ALL[name].codes)) >= 3, verdict(name).given


@pytest.mark.parametrize("name", names(sick.CASES))
def test_findings_come_in_order(name):
    kinds = ["CFG".index(code[0]) for code in verdict(name).given if code[0] in "CFG"]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize("name", names(sick.CASES))
def test_without_roles(name):
    bare = verdict(name, roles=False)
    if ALL[name].sound:
        assert bare.report.ok and not bare.errors, "its gradients are right, and nobody said that it is an LSTM"
        return
    assert not bare.report.ok
    assert bare.errors, "a report that is not ok says why"
    if ALL[name].codes[0] != "C301":
        assert bare.worst_row is not None and bare.worst_row.name


@pytest.mark.parametrize("roles", [True, False], ids=["roles", "bare"])
@pytest.mark.parametrize("name", names(healthy.CASES))
def test_a_healthy_case_is_left_alone(name, roles):
    healthy_one = verdict(name, roles)
    assert healthy_one.report.ok, [row for row in healthy_one.report.rows if not row.ok]
    assert not healthy_one.errors and healthy_one.left_alone, healthy_one.given


def test_what_must_hold_for_the_whole_ward():
    groups = [
        [verdict(c.name) if roles else verdict(c.name, roles=False) for c in cases]
        for cases in (sick.CASES, healthy.CASES)
        for roles in (True, False)
    ]
    held = criteria(*groups)
    assert all(held.values()), (held, named_share(groups[0]))
