"""What the checks say to a call that cannot be meant."""

import re

import numpy as np
import pytest

from minidl import LSTM, ArgumentError, Dense, Sequential, Tanh, UnknownNameError
from minidl.checking import Subject, check_layer, gradcheck
from minidl.nested import leaves


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check_layer(LSTM, (None, 2)), "check_layer expects a layer, got .*LSTM.*: write LSTM(...)."),
        (lambda: check_layer("lstm", (None, 2)), "check_layer expects a layer, got 'lstm'."),
        (lambda: gradcheck(LSTM), "gradcheck expects a layer, got .*LSTM.*: write LSTM(...)."),
        (lambda: check_layer(Dense(3), 5), "expects in_shape to be a tuple .* like (None, 8) or (3,), got 5."),
        (lambda: check_layer(Dense(3), (0, 2)), "check_layer expects in_shape .* got (0, 2)."),
        (lambda: check_layer(Dense(3), "abc"), "check_layer expects in_shape .* got 'abc'."),
    ],
)  # fmt: skip
def test_arguments_are_checked_first(call, words):
    pattern = re.escape(words).replace(r"\.\*", ".*").replace(r"\ ", " ")
    with pytest.raises(ArgumentError, match=pattern):
        call()


def built(layer, in_shape):
    layer.build(in_shape)
    return layer


def test_a_row_that_is_not_there():
    report = gradcheck(built(LSTM(3), (None, 2)))
    with pytest.raises(UnknownNameError, match="no array 'zz': it has x, h0, c0, Wx, Wh, b"):
        report["zz"]


@pytest.mark.parametrize(
    ("layer", "in_shape", "state", "words"),
    [
        (LSTM(3), (None, 2), (np.ones((3, 3)),), r"state of LSTM to be h \(3, 3\), c \(3, 3\), got \[0\] \(3, 3\): "),
        (LSTM(3), (None, 2), (np.ones((3, 3)), np.ones((3, 4))), r"got \[0\] \(3, 3\), \[1\] \(3, 4\): leave it out"),
        (LSTM(3), (None, 2), np.ones((3, 3)), r"to be h \(3, 3\), c \(3, 3\), got \(3, 3\): leave it out"),
        (Sequential([LSTM(3)]), (None, 2), {"lstn": 1}, r"to be lstm.h \(3, 3\), lstm.c \(3, 3\), got lstn"),
        (Dense(3), (2,), np.ones(3), r"state of Dense to be none, got \(3,\): leave it out for a layer without"),
    ],
)
def test_a_state_that_is_not_like_the_layers_own(layer, in_shape, state, words):
    with pytest.raises(ArgumentError, match=words):
        gradcheck(built(layer, in_shape), state=state)


@pytest.mark.parametrize("make", [tuple, list, lambda state: state])
def test_a_state_may_be_a_plain_tuple(make):
    lstm = built(LSTM(3, peephole=True), (None, 2))
    assert gradcheck(lstm, state=make(lstm.initial_state(3))).ok


def test_a_mask_may_be_lists():
    assert gradcheck(built(LSTM(3), (None, 2)), np.ones((1, 3, 2)), mask=[[True, True, False]]).ok


def test_a_crash_that_hits_every_check_is_told_once():
    class Crashes(Tanh):
        def forward(self, x, *, rng=None):
            raise KeyError("oops")

    report = check_layer(Crashes(), (3,))
    assert all("raised KeyError: 'oops'" in message for message in report.messages.values())
    assert str(report).count("oops") == 1 and str(report).count("the same as copy") == len(report.messages) - 1


def test_everything_under_check_is_drawn_apart():
    subject = Subject(LSTM(3), (None, 3))
    drawn = [*leaves((subject.x, subject.state, subject.dy, subject.dafter)).values()]
    assert len({array.ravel()[:9].tobytes() for array in drawn}) == len(drawn)
