"""`Diagnosis`: the order of the findings, the report at any width, JSON, and curves as bars."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from minidl import Diagnosis
from minidl.checking.naming.findings import CODES, found
from minidl.checking.report import as_text
from minidl.doctor.diagnosis import ORDER, sparkline
from minidl.looking.pictures import MARKS

DOCTORS = sorted(code for code in CODES if code[0] in "DLTN" or code in ("G115", "C301"))
LONG = "a path of layers without any blank " + "encoder.block_12.lstm." * 9 + "Wx, and then some more words of it"


def of(*codes, where="here", **more):
    return [found(code, where, "seen", **more) for code in codes]


# -- the findings ---------------------------------------------------------------------------------


def test_every_code_of_the_doctor_has_a_place_in_the_order():
    assert set(DOCTORS) - {*ORDER} == set() and len(ORDER) == len({*ORDER})


def test_errors_come_first_and_causes_before_consequences():
    findings = [
        found("T605", "ClipNorm", "seen", severity="warning"),
        found("L503", "Adam", "seen", severity="error"),
        found("D403", "x", "seen", severity="warning"),
        found("T606", "Wx", "seen", severity="error"),
        found("D401", "t", "seen", severity="error"),
    ]
    wanted = ["D401", "T606", "L503", "D403", "T605"]
    assert Diagnosis(findings).codes == wanted
    assert Diagnosis(findings[::-1]).codes == wanted


@given(st.lists(st.tuples(st.sampled_from(DOCTORS), st.sampled_from(["error", "warning"])), max_size=12))
def test_any_findings_are_in_order(pairs):
    found_in_order = Diagnosis(found(code, f"place {k}", "seen", severity=s) for k, (code, s) in enumerate(pairs))
    ranks = [(finding.severity != "error", ORDER.index(finding.code)) for finding in found_in_order.findings]
    assert ranks == sorted(ranks) and len(ranks) == len(pairs)


def test_an_unknown_code_comes_last_of_its_kind():
    assert Diagnosis(of("G109", "T607", severity="warning")).codes == ["T607", "G109"]


def test_no_finding_comes_twice_but_the_same_code_elsewhere_does():
    again = [*of("D404"), *of("D404"), *of("D404", where="there")]
    assert [f.where for f in Diagnosis(again).findings] == ["here", "there"]


def test_ok_means_no_error():
    assert Diagnosis([]).ok
    assert Diagnosis(of("T602", "T604", severity="warning")).ok
    assert not Diagnosis([*of("T602", severity="warning"), *of("T603", severity="error")]).ok


def test_findings_may_come_from_an_iterator_and_nothing_given_is_changed():
    findings, curves, facts = of("T607", "D401"), {"loss": [1.0]}, {"steps": "3"}
    diagnosis = Diagnosis(iter(findings), curves, facts)
    assert diagnosis.codes == ["D401", "T607"]
    assert [f.code for f in findings] == ["T607", "D401"] and curves == {"loss": [1.0]} and facts == {"steps": "3"}


# -- JSON -----------------------------------------------------------------------------------------


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def test_json_is_valid_with_nan_and_infinity_in_curves():
    curves = {"loss": [1.5, math.nan, math.inf, -math.inf], "norm": []}
    diagnosis = Diagnosis(of("D401", severity="error"), curves, {"steps": "3"})
    back = json.loads(json.dumps(diagnosis.as_json()), parse_constant=no_constant)
    assert back["ok"] is False and back["facts"] == {"steps": "3"}
    assert back["curves"] == {"loss": [1.5, None, None, None], "norm": []}
    (finding,) = back["findings"]
    assert finding["code"] == "D401" and finding["severity"] == "error" and finding["where"] == "here"
    assert {"title", "evidence", "cause", "remedy"} <= {*finding}


# -- the report -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("code", DOCTORS)
def test_the_report_is_never_wider_than_it_may_be(width, code):
    finding = found(code, LONG, f"{LONG} {'▁▂▃' * 40} {LONG}", remedy=LONG.replace(" ", "_"))
    curves = {"loss": [10.0**k for k in range(-30, 30)], "norm": [math.nan] * 1000}
    text = as_text(Diagnosis([finding], curves, {"looked at": LONG, "trial": "x" * 150}), width)
    assert max(map(cell_len, text.splitlines())) <= width
    flat = "".join(text.split())
    assert code in text and "".join(LONG.split()) in flat and "x" * 150 in flat  # all of it is there


def test_words_in_brackets_are_no_markup():
    text = str(Diagnosis([found("D404", "x[0]", "h [red]is[/red] [3]")], facts={"a": "[bold]b"}))
    assert "x[0]" in text and "h [red]is[/red] [3]" in text and "[bold]b" in text


def test_the_report_of_nothing():
    assert str(Diagnosis([])) == "nothing was found"
    assert "nothing was found" not in str(Diagnosis(of("D401")))
    assert "nothing yet" in str(Diagnosis([], {"loss": []}))


def test_str_and_repr_are_plain_text():
    diagnosis = Diagnosis(of("D401"), {"loss": [2.0, 1.0]})
    assert str(diagnosis) == repr(diagnosis) and "\x1b" not in str(diagnosis)
    assert "█▁  2 to 1" in str(diagnosis)


# -- sparklines -----------------------------------------------------------------------------------


def test_a_sparkline_of_few_values_of_a_constant_and_of_nothing():
    assert sparkline([]) == ""
    assert sparkline([7.0]) == "▁"
    assert sparkline([3.0] * 5) == "▁" * 5
    assert sparkline([0.0, 7.0, 3.0, 1.0]) == "▁█▄▂"


def test_a_sparkline_of_what_is_not_finite():
    assert sparkline([math.nan]) == "!"
    assert sparkline([math.nan, math.inf, -math.inf]) == "!!!"
    assert sparkline([1.0, math.inf, 2.0]) == "▁!█"


def test_a_sparkline_of_a_thousand_values_is_their_means():
    rising = sparkline([float(k) for k in range(1000)])
    assert len(rising) == 32 and rising == "".join(sorted(rising)) and {*rising} == {*MARKS}
    one = [0.0] * 1000
    one[999] = math.nan
    assert sparkline(one) == "▁" * 31 + "!"
    assert len(sparkline([1.0] * 1000, width=5)) == 5


def test_a_sparkline_of_numbers_at_the_end_of_what_floats_hold():
    """The difference of two finite numbers may be infinite."""
    assert sparkline([-1.7e308, 1.7e308]) == "▁█"
    assert sparkline([1.7e308, 0.0, 1.7e308]) == "█▁█"


@given(st.lists(st.floats(), max_size=200), st.integers(1, 40))
def test_a_sparkline_has_a_bar_for_each_stretch(values, width):
    line = sparkline(values, width)
    assert len(line) == min(width, len(values)) and {*line} <= {*MARKS, "!"}
