"""Patterns of parameter names: freezing by name, and what is said where a pattern fits nothing."""

from __future__ import annotations

from typing import Any

import pytest

from minidl import LSTM, ArgumentError, Dense, Embedding, Sequential
from minidl.names import below, matching

NAMES = ["encoder.lstm.Wx", "encoder.lstm.b", "dense.W", "dense.b"]


def test_patterns() -> None:
    for pattern, found in (
        ("*", NAMES),
        ("encoder.*", NAMES[:2]),
        ("*.b", [NAMES[1], NAMES[3]]),
        ("dense.W", [NAMES[2]]),
        ("dense.?", NAMES[2:]),
        ("dense.[b]", [NAMES[3]]),
    ):
        assert matching("freeze", pattern, NAMES) == found


def test_brackets_in_a_name_are_part_of_it() -> None:
    names = ["a[0].W", "a[0].b", "a0.W", "a0.b[1]"]
    assert matching("freeze", "a[0].*", names) == names[:2] and matching("freeze", "a[0].W", names) == names[:1]
    assert matching("freeze", "a[012].*", names) == names[2:] and matching("freeze", "a0.b[1]", names) == names[3:]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("encoder", r"got 'encoder', which fits none: did you mean 'encoder\.\*'\?"),
        ("encodre.lstm.*", r"did you mean 'encoder\.lstm\.\*'\? There are encoder\.lstm\.Wx, encoder\.lstm\.b"),
        ("DENSE.*", r"did you mean 'dense\.\*'\?"),
        ("dense.w", r"did you mean 'dense\.W'\?"),
        ("nothing", r"there are encoder\.lstm\.Wx, encoder\.lstm\.b, dense\.W, dense\.b\."),
        (3, r"freeze expects a pattern of parameter names, like 'encoder\.\*', got 3\."),
    ],
)
def test_a_pattern_that_fits_nothing(pattern: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as raised:
        matching("freeze", pattern, NAMES)
    assert "\n" not in str(raised.value)


def test_many_names_are_not_all_listed() -> None:
    with pytest.raises(ArgumentError, match=r"there are p0, .*, p11 and 8 more\."):
        matching("freeze", "nothing", [f"p{k}" for k in range(20)])


def test_below_is_by_whole_words() -> None:
    assert below("lstm.Wx", "lstm") and below("lstm.Wx", "lstm.Wx") and below("lstm.Wx", "")
    assert not below("lstm_2.Wx", "lstm") and not below("lstm", "lstm.Wx")


def test_freeze_and_unfreeze_by_name() -> None:
    net = Sequential([Embedding(5, 4), LSTM(3), Dense(2)])
    net.build((None,))

    def frozen() -> list[str]:
        return [name for name, p in net.params.items() if not p.trainable]

    assert net.freeze("lstm.*") is net and frozen() == ["lstm.Wx", "lstm.Wh", "lstm.b"]
    assert net.unfreeze("*.b") is net and frozen() == ["lstm.Wx", "lstm.Wh"]
    for change in net.freeze, net.unfreeze:
        with pytest.raises(ArgumentError, match=rf"{change.__name__} expects .* did you mean 'lstm\.\*'\?"):
            change("lst.*")
    assert frozen() == ["lstm.Wx", "lstm.Wh"]
    net.freeze()
    assert frozen() == list(net.params)
    net.unfreeze()
    assert frozen() == []
