"""Transplants: what goes where by name and shape, what does not, and that a mistake changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl import LSTM, ArgumentError, Dense, Embedding, Sequential, UnknownNameError, transplant
from minidl.transplant import Misshapen


def language_model(seed: int = 0, dtype: Any = np.float64) -> Sequential:
    net = Sequential([Embedding(7, 4), LSTM(3, return_sequences=True), Dense(7)], name="lm")
    net.build((None,), seed, dtype)
    return net


def classifier(seed: int = 1) -> Sequential:
    encoder = Sequential([Embedding(7, 4), LSTM(3)])
    net = Sequential([("encoder", encoder), ("dense", Dense(2))])
    net.build((None,), seed)
    return net


def values(net: Any) -> dict[str, np.ndarray]:
    return {name: p.value.copy() for name, p in net.params.items()}


def changed(before: dict[str, np.ndarray], net: Any) -> list[str]:
    return [name for name, p in net.params.items() if not np.array_equal(before[name], p.value)]


def test_by_name_and_shape_into_the_targets_dtype() -> None:
    source, target = language_model(), classifier()
    held, before, own = values(source), values(target), target.params["encoder.lstm.Wx"].value
    target.freeze("encoder.*")
    with np.errstate(all="raise"):
        report = transplant(source, target, map={"encoder": ""})
    assert report.copied == [
        ("embedding.E", "encoder.embedding.E"),
        ("lstm.Wx", "encoder.lstm.Wx"),
        ("lstm.Wh", "encoder.lstm.Wh"),
        ("lstm.b", "encoder.lstm.b"),
    ]
    assert report.misshapen == [
        Misshapen("dense.W", "dense.W", (3, 7), (3, 2)),
        Misshapen("dense.b", "dense.b", (7,), (2,)),
    ]
    assert report.missing == [] and report.unused == []
    assert target.params["encoder.lstm.Wx"].value is own and own.dtype == np.float32
    for name, into in report.copied:
        assert np.array_equal(target.params[into].value, held[name].astype(np.float32))
        assert not target.params[into].trainable
    assert set(changed(before, target)) <= {into for _, into in report.copied} and changed(held, source) == []
    source.params["lstm.Wx"].value[...] = 9
    assert not (own == 9).any()  # the nets stay apart


def test_a_map_says_what_the_target_takes_from() -> None:
    source, target = language_model(), classifier()
    report = transplant(source, target, map={"encoder.lstm": "lstm", "encoder.lstm.b": "dense.b"})
    assert report.copied == [("lstm.Wx", "encoder.lstm.Wx"), ("lstm.Wh", "encoder.lstm.Wh")]
    assert report.missing == ["encoder.embedding.E"]
    assert [m.target for m in report.misshapen] == ["encoder.lstm.b", "dense.W", "dense.b"]
    assert report.unused == ["embedding.E", "lstm.b"]


def test_one_part_may_fill_two_and_two_may_be_exchanged() -> None:
    source = language_model()
    twins = Sequential([("one", LSTM(3, return_sequences=True)), ("two", LSTM(3))])
    twins.build((None, 3), seed=5)
    other = Sequential([("only", LSTM(3))])
    other.build((None, 3), seed=6)
    report = transplant(other, twins, map={"one": "only", "two": "only"})
    assert len(report.copied) == 6 and report.unused == report.missing == []
    assert np.array_equal(twins.params["one.Wx"].value, twins.params["two.Wx"].value)
    twins.params["one.Wx"].value[...] = 1
    twins.params["two.Wx"].value[...] = 2
    transplant(twins, twins, map={"one": "two", "two": "one"})
    assert (twins.params["one.Wx"].value == 2).all() and (twins.params["two.Wx"].value == 1).all()
    before = values(source)
    assert len(transplant(source, source).copied) == 6 and changed(before, source) == []


def test_what_is_shared_goes_by_its_first_name() -> None:
    embedding, tied = Embedding(7, 4), Embedding(7, 4)
    source = Sequential([embedding, LSTM(4), Dense(7, tie=embedding)])
    target = Sequential([tied, LSTM(4), Dense(7, tie=tied)])
    for seed, net in enumerate((source, target)):
        net.build((None,), seed)
    report = transplant(source, target)
    assert report.copied == [(name, name) for name in source.params] and "dense.E" not in source.params
    assert np.array_equal(target["dense"].params["E"].value, embedding.E.value)


def test_single_layers_and_nothing_in_common() -> None:
    source = language_model()
    lstm = LSTM(3)
    lstm.build((None, 4), seed=8)
    assert len(transplant(source["lstm"], lstm).copied) == 3
    assert np.array_equal(lstm.Wx.value, source.params["lstm.Wx"].value.astype(np.float32))
    report = transplant(source, lstm)
    assert report.copied == report.misshapen == [] and report.missing == ["Wx", "Wh", "b"] and len(report.unused) == 6


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"encodr": "lstm"}, UnknownNameError, r"parts of the target, got 'encodr', which is none: .*did you mean"),
        ({"encoder": "lm.lstm"}, UnknownNameError, r"parts of the source, got 'lm\.lstm', which is none: .*embedding"),
        ({"enc": ""}, UnknownNameError, "got 'enc', which is none"),
        ({3: ""}, UnknownNameError, "got 3, which is none"),
        ("encoder", ArgumentError, "map to be a dict from parts of the target to parts of the source, got 'encoder'"),
    ],
)
def test_a_map_that_is_wrong_changes_nothing(given: Any, kind: type[Exception], message: str) -> None:
    source, target = language_model(), classifier()
    before = values(target)
    with pytest.raises(kind, match=message) as raised:
        transplant(source, target, map={"encoder": ""} | given if isinstance(given, dict) else given)
    assert changed(before, target) == [] and "\n" not in str(raised.value)


def test_nets_that_cannot_be_used() -> None:
    net = language_model()
    with pytest.raises(ArgumentError, match=r"source to be a net, got a dict: for arrays by name write net\.params"):
        transplant({"dense.W": np.zeros((3, 2))}, net)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"expects the target to be a net, got 'model\.npz'"):
        transplant(net, "model.npz")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"expects built nets, but the source is not: call build\(in_shape\)"):
        transplant(Sequential([Dense(2)]), net)


def test_the_report_is_a_list_in_80_columns() -> None:
    source, target = language_model(), classifier()
    told = str(transplant(source, target, map={"encoder.lstm": "lstm"}))
    assert told.splitlines() == [
        "copied     lstm.Wx -> encoder.lstm.Wx",
        "           lstm.Wh -> encoder.lstm.Wh",
        "           lstm.b  -> encoder.lstm.b",
        "misshapen  dense.W -> dense.W          3 x 7 for 3 x 2",
        "           dense.b -> dense.b          7 for 2",
        "missing    encoder.embedding.E",
        "unused     embedding.E",
        "3 of the target's 6 parameters have new values",
    ]
    deep = Sequential([("a_layer_with_a_long_name", Sequential([("another_inside", target)]))])
    deep.build((None,))
    told = repr(transplant(target, deep, map={"a_layer_with_a_long_name.another_inside": ""}))
    assert max(map(len, told.splitlines())) <= 80 and "6 of the target's 6" in told
