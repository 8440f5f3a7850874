"""Models whose weights, outputs or facts are not those of a training: each command refuses them in one line."""

from __future__ import annotations

import json
from itertools import islice, product

import numpy as np
import pytest
from minidl.models import char_lm, forecaster, seq2seq, tagger, text_classifier, word_lm

import minidl
from minidl.archive import archive
from minidl.cli import main
from minidl.cli.tasks.seq2seq import LONGEST_ANSWER
from minidl.saving import arrays_of
from tests.command import run
from tests.parameters import slow

WORDS = minidl.WordVocab.of("the cat sees a dog the end")
SERIES = {
    "columns": ["y"], "targets": ["y"], "quantiles": [0.1, 0.5, 0.9], "relative": True, "window": 3,
    "scaler": minidl.Scaler([0.0], [1.0]).to_dict(),
}  # fmt: skip
TABLE = "y\n" + "\n".join(str(k % 3) for k in range(9))


def model(name):
    """A small net of each task, with what its training would have told of it, and an input."""
    vocab, text, facts = WORDS, "the cat", {}
    if name == "char_lm":
        vocab = minidl.CharVocab("the cat\n")
        net = char_lm(len(vocab), 4)
    elif name == "word_lm":
        net = word_lm(len(vocab), 4)
    elif name == "text_classifier":
        net, facts = text_classifier(len(vocab), 2, 4), {"labels": ["a", "b"], "max length": 9, "text column": "text"}
    elif name == "tagger":
        net, facts = tagger(len(vocab), 2, 4), {"labels": ["A", "B"], "tokens column": None}
    elif name == "seq2seq":
        vocab = minidl.CharVocab("the cat")
        facts = {"longest target": 3, "columns": {"source": "source", "target": "target"}}
        net = seq2seq(len(vocab), 4)
    else:
        vocab, text, net, facts = None, TABLE, forecaster(2, 1, 4, quantiles=(0.1, 0.5, 0.9)), SERIES
    net.vocab, net.facts = vocab, {"model": name, **facts}
    net.build({"forecaster": (None, 1), "seq2seq": ((None,), (None,))}.get(name, (None,)), seed=3)
    return net, text


NAMES = "char_lm", "word_lm", "text_classifier", "tagger", "seq2seq", "forecaster"


def one_line(err):
    return err.startswith("minidl ") and err.count("\n") == 1 and "Traceback" not in err


def saved(net, tmp_path):
    path = tmp_path / "model.npz"
    net.save(path)
    return str(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_predict_with_a_sound_model_succeeds(name, options, tmp_path, capsys):
    net, text = model(name)
    code, out, err = run(capsys, "predict", saved(net, tmp_path), "--text", text, *options)
    assert code == 0 and out and not err


# -- weights that are not finite --------------------------------------------------------------------


def with_nan(name, tmp_path):
    net, text = model(name)
    first = next(iter(net.params.values()))
    first.value.flat[1] = np.nan
    first.value.flat[2] = np.inf
    with pytest.warns(UserWarning, match=r"model\.npz: the parameter .* has 1 NaN and 1 inf among its"):
        return saved(net, tmp_path), text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_predict_refuses_weights_with_nan(name, options, tmp_path, capsys):
    path, text = with_nan(name, tmp_path)
    code, out, err = run(capsys, "predict", path, "--text", text, *options)
    assert (code, out) == (2, "") and one_line(err)
    assert f"{path} cannot be used, the parameter" in err and "has 1 NaN and 1 inf among its" in err
    assert "Train it again" in err


@pytest.mark.parametrize("command", ["sample", "look", "doctor", "check"])
def test_other_commands_refuse_weights_with_nan_alike(command, tmp_path, capsys):
    path, _ = with_nan("char_lm", tmp_path)
    code, out, err = run(capsys, command, path)
    assert (code, out) == (2, "") and one_line(err)
    assert f"minidl {command}: {path} cannot be used, the parameter" in err


def test_info_shows_a_model_whose_weights_have_nan(tmp_path, capsys):
    path, _ = with_nan("char_lm", tmp_path)
    code, out, _ = run(capsys, "info", path)
    assert code == 0 and "vocabulary" in out
    assert "weights     the parameter" in out and "has 1 NaN and 1 inf" in out


def test_save_of_finite_weights_does_not_warn(tmp_path):
    saved(model("char_lm")[0], tmp_path)  # a warning would be an error


# -- outputs that are not finite --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["text_classifier", "tagger", "forecaster", "char_lm"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_predict_refuses_outputs_that_overflow(name, options, tmp_path, capsys):
    net, text = model(name)
    for p in net.params.values():
        p.value[...] = np.where(p.value > 0, 3e38, -3e38)
    if name == "forecaster":  # its outputs are finite, in the units of the data they are not
        net.facts["scaler"] = minidl.Scaler([0.0], [1e300]).to_dict()
    code, out, err = run(capsys, "predict", saved(net, tmp_path), "--text", text, *options)
    assert (code, out) == (2, "") and one_line(err) and "must be finite" in err


@pytest.mark.parametrize("command", ["sample", "look", "check"])
def test_other_commands_print_no_traceback_where_outputs_overflow(command, tmp_path, capsys):
    net, _ = model("char_lm")
    for p in net.params.values():
        p.value[...] = np.where(p.value > 0, 3e38, -3e38)
    options = {"sample": ["--length", "5"], "look": ["--json", "--text", "the cat"], "check": ["--json"]}[command]
    with np.errstate(all="ignore"):
        code, out, err = run(capsys, command, saved(net, tmp_path), *options)
    assert code in (0, 1, 2) and (not err or one_line(err))
    if command != "sample" and out:
        json.loads(out, parse_constant=pytest.fail)


# -- facts that are not those of a training ---------------------------------------------------------

HOSTILE = [
    None, True, 0, -1, 2.5, 10**9, 10**300, "", "x", "\x1b[2J", [], [1], [[]], ["y", "y"], ["a", 5], [None] * 2, {},
    {"x": 1}, {"mean": [0.0], "scale": [0.0]}, {"mean": ["x"], "scale": [1.0]}, [0.1, "x", 0.9], [3.0, 2.0, 1.0],
    {"source": [1]}, "tagger", "forecaster", "seq2seq",
]  # fmt: skip


@pytest.mark.parametrize("step", [slow(1), 4])  # of this many cases, one
@pytest.mark.parametrize("name", ["text_classifier", "tagger", "seq2seq", "forecaster", "word_lm"])
def test_predict_with_hostile_facts_succeeds_or_refuses_in_one_line(name, step, tmp_path, capsys, monkeypatch):
    net, text = model(name)
    monkeypatch.setattr("minidl.cli.tasks.seq2seq.LONGEST_ANSWER", 20)  # this net never ends an answer
    facts, path = dict(net.facts), tmp_path / "model.npz"
    (tmp_path / "rows.csv").write_text("text,source,y\nthe cat,the,1\nthe dog,cat,2\na,e,3\n")
    for k, (fact, value) in enumerate(islice(product(facts, HOSTILE), 0, None, step)):
        net.facts = facts | {fact: value}
        given = ["--text", text] if k % 2 else [str(tmp_path / "rows.csv")]
        path.write_bytes(b"".join(map(bytes, archive(arrays_of(net)))))  # as save does, without flushing the disk
        code, _, err = run(capsys, "predict", str(path), *given)
        assert code in (0, 2) and (one_line(err) if code else not err), (fact, value, err)


def test_longest_answer_of_a_model_file_is_capped(tmp_path, capsys, monkeypatch):
    net, _ = model("seq2seq")
    net.facts["longest target"] = 10**12
    lengths = []

    def translate(net, vocab, sources, length, **options):
        lengths.append(length)
        return minidl.translate(net, vocab, sources, 3, **options)

    monkeypatch.setattr("minidl.cli.tasks.seq2seq.translate", translate)
    assert main(["predict", saved(net, tmp_path), "--text", "the"]) == 0
    assert lengths == [LONGEST_ANSWER]
