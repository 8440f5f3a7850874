"""What wrong numbers look like: a factor, also of single numbers; a sign; and what is said where nothing is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.checking import check_loss
from tests.unit.little_code import codes

X, T = np.random.default_rng(0).normal(size=(2, 5))
LINE = {"a": np.array(0.3), "c": np.array(0.1)}


def line(change: Any) -> Any:
    """A line with two single numbers as parameters, whose gradients (d/da, d/dc) are changed."""

    def loss(params: Any, x: Any, target: Any, state: Any) -> Any:
        error = params["a"] * x + params["c"] - target
        da, dc = change((2 * error * x).mean(), (2 * error).mean())
        return (error**2).mean(), {"a": da, "c": dc}, None

    return loss


def test_single_numbers_that_share_a_factor() -> None:
    report = check_loss(line(lambda da, dc: (5 * da, 5 * dc)), LINE, X, T)
    finding = report.findings[0]
    assert codes(report) == ["G102"] and finding.where == "a, c" and finding.title.endswith("off by the factor 5")


def test_a_single_number_that_has_the_factor_of_an_array() -> None:
    def loss(params: Any, x: Any, target: Any, state: Any) -> Any:
        error = x @ params["W"] + params["c"] - target
        return (error**2).mean(), {"W": 2 * x.T @ error, "c": 2 * error.sum()}, None

    x = np.random.default_rng(1).normal(size=(5, 3))
    report = check_loss(loss, {"W": np.ones(3), "c": np.array(0.2)}, x, T)
    assert codes(report) == ["G102"] and report.findings[0].where == "W, c"


@pytest.mark.parametrize("change", [lambda da, dc: (5 * da, dc), lambda da, dc: (5 * da, 4 * dc)])
def test_a_single_number_alone_has_no_factor(change: Any) -> None:
    assert codes(check_loss(line(change), LINE, X, T)) == ["G101"]


def test_a_sign_is_right_where_the_update_is_added() -> None:
    finding = check_loss(line(lambda da, dc: (-da, -dc)), LINE, X, T).findings[0]
    assert finding.code == "G102" and "where you add the update" in finding.remedy


def test_what_was_not_compared_with_an_lstm_does_not_speak_of_one() -> None:
    finding = check_loss(line(lambda da, dc: (da + 1, dc)), LINE, X, T).findings[0]
    assert finding.code == "G101" and "lstm" not in finding.remedy and "known mistakes" not in finding.cause


def test_a_single_number_of_the_wrong_sign() -> None:
    report = check_loss(line(lambda da, dc: (-da, dc)), LINE, X, T)
    assert codes(report) == ["G102"] and report["a"].verdict.startswith("the sign is wrong")
    assert "1 of 2 gradients is wrong: a" in str(report)
