"""`minidl doctor`: code, models and black boxes; its exit codes, and that every mistake is one line."""

import json

import numpy as np
import pytest
from minidl.models import char_lm, seq2seq

import minidl
from tests.command import refused, run

TEXT = "the cat sat on the mat, and the dog sat on the log.\n" * 60
HEAD = """
import numpy as np
import minidl

x = np.random.default_rng(0).standard_normal((64, 3))
t = x.sum(axis=1)
net, loss, rule = minidl.Dense(1), minidl.MeanSquaredError(), minidl.SGD(0.05)
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """Writes code.py in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def write(body):
        (tmp_path / "code.py").write_text(HEAD + body, encoding="utf-8")

    return write


def as_json(capsys, *argv):
    exit_code, out, err = run(capsys, "doctor", *argv, "--json")
    assert not err and out.count("\n") == 1
    return exit_code, json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


# -- code -----------------------------------------------------------------------------------------

RETURNS = [
    "return net, loss, (x, t)",
    "return net, loss, (x, t), rule",
    "return {'net': net, 'loss': loss, 'batches': (x, t), 'optimizer': rule, 'steps': 30, 'seed': 3}",
    "return dict(net=net, loss=loss, batches=(x, t), validation=(x + 9, t), callbacks=[minidl.ClipNorm(9.0)])",
]


@pytest.mark.parametrize("returns", RETURNS)
def test_a_healthy_training_in_all_forms(code, capsys, returns):
    code(f"def training():\n    {returns}\n")
    exit_code, out, err = run(capsys, "doctor", "code.py:training")
    assert exit_code == 0 and not err
    assert out.startswith("looked at  2 batches of 32 rows\n") and out.endswith("nothing was found\n")
    steps = 30 if "steps" in returns else 100
    assert (f"{steps} updates with SGD, rate 0.05" in out) == ("rule" in returns)


def test_what_is_found_and_where_to_read_on(code, capsys):
    code("rule = minidl.SGD(3.0)\ndef training():\n    return net, loss, (x, t), rule\n")
    exit_code, out, err = run(capsys, "doctor", "code.py:training")
    assert exit_code == 1 and not err and "\x1b" not in out
    assert "L503" in out and out.endswith("\nmore on it: minidl explain L503\n")
    assert max(map(len, out.splitlines())) <= 100


def test_json(code, capsys):
    code("rule = minidl.SGD(3.0)\ndef training():\n    return net, loss, (x, t), rule\n")
    exit_code, found = as_json(capsys, "code.py:training", "--steps", "20")
    assert exit_code == 1 and found["ok"] is False and found["findings"][0]["code"] == "L503"
    assert found["facts"]["trial"] == "20 updates with SGD, rate 3" and found["curves"]["loss"]
    code("t = t.copy()\nt[3] = np.nan\ndef training():\n    return net, loss, (x, t)\n")
    exit_code, found = as_json(capsys, "code.py:training")
    assert exit_code == 1 and [f["code"] for f in found["findings"]] == ["D403"]


def test_warnings_alone_are_no_error(code, capsys):
    code("def training():\n    return dict(net=net, loss=loss, batches=(x, t), optimizer=minidl.SGD(0.05),\n"
         "                callbacks=[minidl.ClipNorm(1e5)])\n")  # fmt: skip
    exit_code, found = as_json(capsys, "code.py:training")
    assert exit_code == 0 and found["ok"] and [f["code"] for f in found["findings"]] == ["T605"]


def test_what_the_code_prints_is_no_part_of_the_report(code, capsys):
    code("print('importing')\ndef training():\n    print('hello')\n    return net, loss, (x, t)\n")
    exit_code, out, err = run(capsys, "doctor", "code.py:training", "--json")
    assert exit_code == 0 and err == "importing\nhello\n" and json.loads(out)["ok"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def training():\n    return net, loss\n", "(net, loss, batches)"),
        ("def training():\n    return net, loss, (x, t), rule, 5\n", "(net, loss, batches)"),
        ("def training():\n    pass\n", "got NoneType"),
        ("def training():\n    return [net, loss, (x, t)]\n", "got list"),
        ("def training():\n    return {'net': net, 'loss': loss}\n", "got dict"),
        ("def training():\n    return {'net': net, 'loss': loss, 'batches': (x, t), 'lr': 1}\n", "'lr'"),
        ("def training():\n    return {'net': net, 'loss': loss, 'batches': (x, t), 3: 1}\n", "3"),
        ("def training():\n    return loss, net, (x, t)\n", "net"),
        ("def training():\n    return net, loss, x\n", "Batch"),
        ("def training():\n    return net, loss, []\n", "batches"),
        ("def training():\n    return net, loss, (x, t), 0.1\n", "optimizer"),
        ("def training():\n    return net, loss, (x, t[:7])\n", "7"),
        ("def training():\n    return 1 / 0\n", "ZeroDivisionError"),
        ("def training():\n    raise SystemExit('bye')\n", "bye"),
        ("def training(a):\n    return net, loss, (x, t)\n", "TypeError"),
        ("training = 3\n", "a function, got int"),
        ("import nonsense_that_is_not_there\n", "nonsense_that_is_not_there"),
        ("def training(:\n", "SyntaxError"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_code_is_told_in_one_line(code, capsys, body, words):
    code(body)
    assert words in refused(capsys, "doctor", "code.py:training")


def test_a_name_that_is_not_there(code, capsys):
    code("def training():\n    return net, loss, (x, t)\n")
    assert "did you mean training?" in refused(capsys, "doctor", "code.py:trainin")
    assert "code.py:NAME" in refused(capsys, "doctor", "code.py")
    assert "no such file" in refused(capsys, "doctor", "other.py:training")
    assert "expects no text" in refused(capsys, "doctor", "code.py:training", "text.txt")


@pytest.mark.parametrize(
    "argv",
    [["--steps", "0"], ["--steps", "x"], ["--lr", "-1"], ["--seed", "-1"], ["--nonsense"]],
    ids=" ".join,
)
def test_wrong_options(code, capsys, argv):
    code("def training():\n    return net, loss, (x, t)\n")
    exit_code, out, err = run(capsys, "doctor", "code.py:training", *argv)
    assert exit_code == 2 and not out and "Traceback" not in err


def test_nothing_and_two_things_asked_for(code, capsys):
    for argv in [], ["code.py:training", "--replay", "box"]:
        assert "one of them" in refused(capsys, "doctor", *argv)


# -- models ---------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path, code):
    """model.npz beside text.txt."""
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    net = char_lm(len(set(TEXT)), 8)
    net.build((None,), seed=0)
    net.vocab = minidl.CharVocab.of(TEXT)
    net.save("model.npz")
    return "model.npz"


def test_a_model_and_a_text(model, capsys):
    exit_code, found = as_json(capsys, model, "text.txt")
    assert exit_code in (0, 1) and "trial" not in found["facts"] and found["curves"] == {}
    assert found["facts"]["looked at"].endswith("rows") and "by heart" in found["facts"]


def test_a_model_with_a_rate_has_a_trial(model, capsys):
    _, found = as_json(capsys, model, "text.txt", "--lr", "0.01", "--steps", "20")
    assert found["facts"]["trial"] == "20 updates with Adam, rate 0.01" and len(found["curves"]["loss"]) == 20
    exit_code, found = as_json(capsys, model, "text.txt", "--lr", "1000", "--steps", "20")
    assert exit_code == 1 and "L503" in [f["code"] for f in found["findings"]]


def test_a_model_that_is_none_or_has_no_vocabulary(model, capsys, tmp_path):
    assert "no-such.npz" in refused(capsys, "doctor", "no-such.npz")
    assert "text.txt" in refused(capsys, "doctor", "text.txt")
    assert "no-such.txt" in refused(capsys, "doctor", model, "no-such.txt")
    net = minidl.Dense(2)
    net.build((3,))
    net.save("plain.npz")
    assert "expects a language model, with a vocabulary" in refused(capsys, "doctor", "plain.npz")
    pairs = seq2seq(5, 4)
    pairs.build(((None,), (None,)))
    pairs.vocab = minidl.CharVocab("abcde")
    pairs.save("pairs.npz")
    assert "expects a language model, with a vocabulary" in refused(capsys, "doctor", "pairs.npz")
    assert str(tmp_path.name) in refused(capsys, "doctor", str(tmp_path))


def test_a_text_that_is_too_short_or_has_other_symbols(model, capsys, tmp_path):
    for name, text in ("short.txt", "the cat"), ("empty.txt", ""), ("other.txt", "ΩΩΩ " * 500):
        (tmp_path / name).write_text(text, encoding="utf-8")
        refused(capsys, "doctor", model, name)


# -- black boxes ----------------------------------------------------------------------------------


@pytest.fixture
def box(code):
    """black-box of a training that ended in NaN."""
    x = np.random.default_rng(0).standard_normal((16, 3))
    t = x.sum(axis=1)
    t[5] = np.nan
    trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[minidl.Doctor()], quiet=True)
    with np.errstate(all="ignore"):
        trainer.fit(x, t, shuffle=False)
    return "black-box"


def test_a_black_box_is_made_again(box, capsys):
    exit_code, out, err = run(capsys, "doctor", "--replay", box)
    assert exit_code == 1 and not err
    assert "N702" in out and "step 1, epoch 1, seed 0: the loss is nan" in out and "the same as in the training" in out
    assert "row 5" in out and out.endswith("minidl explain N702\n")
    exit_code, found = as_json(capsys, "--replay", box)
    assert exit_code == 1 and [f["code"] for f in found["findings"]] == ["N702"]
    assert found["curves"]["loss"] == [None]
    exit_code, again, _ = run(capsys, "doctor", "--replay", f"{box}/step.npz")
    assert exit_code == 1 and again == out


def test_what_is_no_black_box(model, box, capsys, tmp_path):
    assert "nowhere" in refused(capsys, "doctor", "--replay", "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(capsys, "doctor", "--replay", "empty")
    assert "model.npz" in refused(capsys, "doctor", "--replay", model)
    (tmp_path / box / "step.npz").write_bytes(b"PK nonsense")
    assert "step.npz" in refused(capsys, "doctor", "--replay", box)
