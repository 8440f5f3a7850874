"""The ward of trainings: every fault is found, the right code comes first, nothing is said against healthy ones."""

import pytest

from minidl.checking.naming.findings import CODES
from tests.parameters import every, slow
from tests.trainings import healthy, sick

ALL = {case.name: case for case in (*sick.CASES, *healthy.CASES)}


def is_slow(n, case):
    """Whether a case before this one has the same first code."""
    return any(other.codes[0] == case.codes[0] for other in sick.CASES[:n])


SICK = [slow(case.name) if is_slow(n, case) else case.name for n, case in enumerate(sick.CASES)]


def test_the_ward_is_full():
    assert len(ALL) == len(sick.CASES) + len(healthy.CASES), "two cases have the same name"
    assert len(sick.CASES) >= 20 and len(healthy.CASES) >= 20
    wanted = {code for code in CODES if code[0] in "DLTN"} | {"G101", "G115"}
    assert {code for case in sick.CASES for code in case.codes} == wanted


@pytest.mark.parametrize("name", SICK)
def test_a_fault_is_called_by_its_name(name):
    findings = ALL[name].examine()
    assert [f.code for f in findings][:1] in [[code] for code in ALL[name].codes], [f.title for f in findings]
    assert all(f.where and f.evidence and f.cause and f.remedy for f in findings)


@pytest.mark.parametrize("name", every(6, [case.name for case in healthy.CASES]))
def test_correct_training_is_left_alone(name):
    assert [f"{f.code} {f.where}: {f.evidence}" for f in ALL[name].examine()] == []
