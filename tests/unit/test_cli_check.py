"""`minidl check FILE.py:NAME` and `minidl explain`: exit codes 0, 1 and 2, and one line for every wrong input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from minidl.checking import explain
from minidl.checking.naming.findings import CODES
from tests.command import refused, run
from tests.parameters import fraction

GOOD = """
import numpy as np
import minidl.checking

params = {"W": np.arange(6.0).reshape(3, 2) / 7}
x = np.arange(12.0).reshape(4, 3) / 5
target = np.ones((4, 2))


def forward(params, x, state):
    return np.tanh(x @ params["W"]), state, x


def backward(params, dy, dstate, x):
    dz = dy * (1 - np.tanh(x @ params["W"]) ** 2)
    return dz @ params["W"].T, dstate, {"W": x.T @ dz}


def loss(params, x, target, state):
    error = x @ params["W"] - target
    return (error**2).sum() / 2, {"W": x.T @ error}, state


net = minidl.Sequential([minidl.Dense(2), minidl.Softmax()])
net.build((3,))


def make():
    return net


def report():
    return minidl.checking.gradcheck(net)


number = 5


def one(x):
    return x


def five(a, b, c, d, e):
    return a
"""
LSTM = """
import numpy as np

H, D = 3, 2
rng = np.random.default_rng(0)
params = {"Wx": rng.normal(size=(D, 4 * H)), "Wh": rng.normal(size=(H, 4 * H)), "b": rng.normal(size=4 * H)}
roles = {"Wx": "Wx:ifog", "Wh": "Wh:ifog", "b": "b:ifog"}
x, state = rng.normal(size=(2, 3, D)), (np.zeros((2, H)), np.zeros((2, H)))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(params, x, state):
    c, h = state[::-1]
    ys, cache = [], []
    for t in range(x.shape[1]):
        i, f, o, g = np.split(x[:, t] @ params["Wx"] + h @ params["Wh"] + params["b"], 4, axis=1)
        i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
        cache.append([x[:, t], h, c, i, f, o, g])
        c = f * c + i * g
        h = o * np.tanh(c)
        cache[-1].append(np.tanh(c))
        ys.append(h)
    return np.stack(ys, axis=1), (h, c), cache


def backward(params, dy, dstate, cache):
    dh, dc = dstate
    grads = {name: np.zeros(w.shape) for name, w in params.items()}
    dx = []
    for t in reversed(range(len(cache))):
        x, h, c, i, f, o, g, tc = cache[t]
        dh = dh + dy[:, t]
        dc = dc + dh * o * (1 - tc**2)
        slots = [dc * g * i * (1 - i), dc * c * f * (1 - f), dh * tc * o * (1 - o), dc * i * (1 - g**2)]
        dz = np.hstack(slots)
        grads["Wx"] += x.T @ dz
        grads["Wh"] += h.T @ dz
        grads["b"] += dz.sum(axis=0)
        dx.insert(0, dz @ params["Wx"].T)
        dh, dc = dz @ params["Wh"].T, dc * f
    return np.stack(dx, axis=1), (dh, dc), grads
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "mine.py") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


# -- what works ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["forward", "loss", "net", "make", "report"])
def test_right_code_ends_with_0(capsys: Any, name: str) -> None:
    code, out, err = run(capsys, "check", f"{write(GOOD)}:{name}")
    assert code == 0 and not err
    lines = out.splitlines()
    assert lines[0].split() == ["array", "shape", "error", "worst", "at", "numeric", "backward", "verdict"]
    assert "gradients are right" in lines[-1] and "minidl explain" not in out and "\x1b" not in out


def test_an_lstm_with_roles(capsys: Any) -> None:
    code, out, err = run(capsys, "check", f"{write(LSTM)}:forward")
    assert (code, err) == (0, "") and "all 6 gradients are right" in out


@pytest.mark.parametrize(
    ("right", "wrong", "code"),
    [
        ("dh = dh + dy[:, t]", "dh = dy[:, t]", "G104"),
        ('x.T @ dz\n        grads["Wh"]', '-x.T @ dz\n        grads["Wh"]', "G102"),
        ("dc * i * (1 - g**2)]", "dc * i * (1 - np.tanh(g) ** 2)]", "G107"),
        ('grads["b"] +=', 'grads["b"] =', "G111"),
        ("slots = [", "dy *= 1.5\n        slots = [", "C301"),
        ("h = o * np.tanh(c)\n        cache[-1].append(np.tanh(c))", "h = o * c\n        cache[-1].append(c)", "F204"),
    ],
)
def test_a_mistake_ends_with_1_and_its_code(capsys: Any, right: str, wrong: str, code: str) -> None:
    text = LSTM.replace(right, wrong)
    found, out, err = run(capsys, "check", f"{write(text)}:forward")
    assert not err
    assert found == 1 and text != LSTM
    line = next(line for line in out.splitlines() if line.startswith(f"{code}  "))
    assert line and f"more on it: minidl explain {code}" in out
    assert all(word in out for word in ("where", "seen", "likely cause", "try"))


def test_a_warning_alone_is_no_error(capsys: Any) -> None:
    other = LSTM.replace("np.stack(ys, axis=1), (h", "1.5 * np.stack(ys, axis=1), (h").replace(
        "dy[:, t]", "1.5 * dy[:, t]"
    )
    code, out, err = run(capsys, "check", f"{write(other)}:forward")
    assert (code, err) == (0, "") and "F200  " in out and "more on it: minidl explain F200" in out


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("forward", "def forward(params, x, state)", "def forward(params, x, state=None, train=False)"),
        ("forward", "def forward(params, x, state):", "def forward(p, x, state=None):\n    params = p"),
        ("forward", "def forward(params, x, state):", "def forward(w, x, state, train=False):\n    params = w"),
        ("loss", "def loss(params, x, target, state):", "def loss(params, x, t, state=None):\n    target = t"),
        ("forward", "def forward(params, x, state):", "def forward(*args):\n    params, x, state = args"),
        ("loss", "def loss(params, x, target, state)", "def loss(params, x, target, state=None, scale=1)"),
    ],
)
def test_arguments_with_defaults_do_not_count(capsys: Any, name: str, old: str, new: str) -> None:
    assert old in GOOD
    write(GOOD.replace(old, new))
    assert run(capsys, "check", f"mine.py:{name}")[0] == 0


def test_what_the_code_prints_is_no_part_of_the_json(capsys: Any) -> None:
    write(GOOD + "print('hello')\n")
    status, out, err = run(capsys, "check", "mine.py:forward", "--json")
    assert status == 0 and json.loads(out)["ok"] and "hello" in err


def test_names_of_the_file_are_taken(capsys: Any) -> None:
    turned = LSTM.replace("c, h = state[::-1]", "c, h = state").replace(
        "np.stack(ys, axis=1), (h, c), cache", "np.stack(ys, axis=1), (c, h), cache"
    )
    turned = turned.replace("dh, dc = dstate", "dc, dh = dstate").replace(
        "axis=1), (dh, dc), grads", "axis=1), (dc, dh), grads"
    )
    assert run(capsys, "check", f"{write(turned)}:forward")[0] == 1  # F201 by default
    told = turned + '\nstate_order = ("c", "h")\naxes = "BTD"\n'
    code, out, _ = run(capsys, "check", f"{write(told, 'told.py')}:forward")
    assert code == 0 and "c0" in out.splitlines()[2]
    wrong_axes = refused(capsys, "check", f"{write(told.replace('BTD', 'XYZ'), 'axes.py')}:forward")
    assert "axes expects a letter for each axis of x (2, 3, 2)" in wrong_axes


def test_json(capsys: Any) -> None:
    code, out, err = run(capsys, "check", f"{write(LSTM)}:forward", "--json")
    assert (code, err) == (0, "") and out.count("\n") == 1
    told = json.loads(out)
    assert list(told) == ["ok", "method", "rows", "findings", "notes"] and told["ok"] is True
    assert told["method"] == "complex steps" and told["findings"] == [] and told["notes"] == []
    assert [row["name"] for row in told["rows"]] == ["x", "h0", "c0", "Wx", "Wh", "b"]
    row = told["rows"][3]
    assert row["shape"] == [2, 12] and row["ok"] is True and row["verdict"] == "ok" and len(row["worst"]) == 2
    assert row["error"] < 1e-10 and row["numeric"] == pytest.approx(row["backward"])


def test_json_of_a_mistake(capsys: Any) -> None:
    bad = LSTM.replace("dh = dh + dy[:, t]", "dh = dy[:, t]")
    code, out, err = run(capsys, "check", f"{write(bad)}:forward", "--json")
    told = json.loads(out)
    assert (code, err) == (1, "") and told["ok"] is False and not all(row["ok"] for row in told["rows"])
    finding = told["findings"][0]
    assert list(finding) == ["code", "severity", "title", "where", "evidence", "cause", "remedy"]
    assert finding["code"] == "G104" and finding["severity"] == "error"


def test_json_has_no_infinity(capsys: Any) -> None:
    bad = GOOD.replace('{"W": x.T @ dz}', '{"W": dz}')
    code, out, _ = run(capsys, "check", f"{write(bad)}:forward", "--json")
    told = json.loads(out, parse_constant=pytest.fail)
    assert code == 1 and told["rows"][-1]["error"] is None and told["rows"][-1]["numeric"] is None


def test_every_entry(capsys: Any) -> None:
    code, out, err = run(capsys, "check", f"{write(GOOD)}:forward", "--every-entry")
    entries = [line for line in out.splitlines() if line.endswith("[OK]")]
    assert (code, err) == (0, "") and len(entries) == 12 + 6
    assert entries[0].startswith("x[0, 0] ") and " expected " in entries[0] and " backward " in entries[0]
    bad = GOOD.replace('{"W": x.T @ dz}', '{"W": x.T @ dz + np.eye(3, 2)}')
    code, out, _ = run(capsys, "check", f"{write(bad, 'bad.py')}:forward", "--every-entry")
    wrong = [line.split("]")[0] for line in out.splitlines() if line.endswith("[WRONG]")]
    assert code == 1 and wrong == ["W[0, 0", "W[1, 1"]


def test_the_seed_changes_the_point(capsys: Any) -> None:
    what = f"{write(GOOD)}:forward"
    first, same, other = (run(capsys, "check", what, "--seed", seed)[1] for seed in ("3", "3", "4"))
    assert first == same != other


def test_neighbours_of_the_file_are_importable(capsys: Any) -> None:
    Path("sub").mkdir()
    write("scale = 2.0\n", "sub/neighbour_of_mine.py")
    write("from neighbour_of_mine import scale\n" + GOOD, "sub/mine.py")
    before = list(sys.path)
    assert run(capsys, "check", "sub/mine.py:forward")[0] == 0
    assert sys.path == before


def test_a_file_with_another_encoding_of_names(capsys: Any) -> None:
    text = GOOD.replace('"W"', '"重み"')
    code, out, _ = run(capsys, "check", f"{write(text, 'モデル.py')}:forward", "--json")
    assert code == 0 and '"重み"' in out


# -- refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what", "words"),
    [
        (None, "mine.py:forward", "mine.py cannot be read: there is no such file"),
        (GOOD, "mine.py", "mine.py does not say what to check: write mine.py:NAME, it has params, x, target, forward"),
        ("", "mine.py", "it has nothing"),
        (GOOD, "mine.py:", "does not say what to check"),
        (GOOD, "mine.py:foward", "mine.py has no 'foward': did you mean forward?"),
        (GOOD, "mine.py:qqqqq", "mine.py has no 'qqqqq': it has params"),
        (GOOD, "mine.py:number", "mine.py:number is expected to be a layer, or forward(params, x, state)"),
        (GOOD, "mine.py:params", "got dict"),
        (GOOD, "mine.py:one", "got one(x)"),
        (GOOD, "mine.py:five", "got five(a, b, c, d, e)"),
        ("def f(:\n", "mine.py:f", "mine.py does not import: SyntaxError: invalid syntax, line 1"),
        ("import nothing_of_the_kind\n", "mine.py:f", "does not import: ModuleNotFoundError: No module named"),
        ("\n\nx = 1 / 0\n", "mine.py:x", "does not import: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", "mine.py:x", "does not import: SystemExit: 3"),
        ("raise ValueError('one\\ntwo')\n", "mine.py:x", "does not import: ValueError: one\\ntwo"),
        (
            "def make():\n    return 7\n",
            "mine.py:make",
            "mine.py:make() is expected to return a layer or a report, got int",
        ),
        (
            GOOD.replace("def backward", "def back"),
            "mine.py:forward",
            "with backward, params, x of the same file, backward is",
        ),
        (GOOD.replace("params =", "parameters ="), "mine.py:forward", "params is missing: define it there"),
        (
            GOOD.replace("target =", "wanted ="),
            "mine.py:loss",
            "with params, x, target of the same file, target is missing",
        ),
        (
            GOOD.replace("dstate, x):", "dstate):"),
            "mine.py:forward",
            "backward is expected to be a function of (params, dy,",
        ),
        (
            GOOD.replace("state, x\n", "state\n"),
            "mine.py:forward",
            "expected to return (y, state, cache), got a tuple of 2",
        ),
        (GOOD.replace('["W"]), state', '["U"]), state'), "mine.py:forward", "raises KeyError: 'U'"),
        (GOOD.replace('{"W": x.T @ dz}', "None"), "mine.py:forward", "grads is expected to be a dict with the keys of"),
        (GOOD.replace("sum() / 2", "sum(axis=0)"), "mine.py:loss", "a loss that is one number, got"),
        (GOOD.replace("params = {", "params = 5, {"), "mine.py:forward", "params is expected to be a dict of arrays"),
        (GOOD + "roles = {'W': 'nonsense'}\n", "mine.py:forward", "Role 'nonsense' of 'W' is none"),
        (
            LSTM + "roles['b'] = 'b_i'\n",
            "mine.py:forward",
            "Role 'b_i' of 'b' expects 1 x 3 along an axis, got an array (12,)",
        ),
        (LSTM + "del roles['Wh']\n", "mine.py:forward", "Wh_i is missing"),
        (LSTM + "roles['U'] = 'b_i'\n", "mine.py:forward", "got 'U': name it alike"),
        (LSTM + "state_order = ('h', 'h')\n", "mine.py:forward", "state_order is expected to be"),
        ("import minidl\nnet = minidl.Dense\n", "mine.py:net", "mine.py:net is expected to be a layer"),
        ("big = max\n", "mine.py:big", "got <built-in function max>"),
        ("def make():\n    raise ValueError('no.')\n", "mine.py:make", "mine.py:make() raises ValueError: no."),
        ("import sys\n" + GOOD.replace("return np.tanh", "sys.exit(1)"), "mine.py:forward", "raises SystemExit: 1"),
        ("\n\nx = 1 / 0\n", "mine.py:x", "division by zero, line 3"),
        (GOOD + "roles = ['Wx_i']\n", "mine.py:forward", "roles is expected to be a dict"),
        (LSTM + "axes = 5\n", "mine.py:forward", 'axes expects letters such as "BTD"'),
        (GOOD.replace("return np.tanh", "return np.nan * "), "mine.py:forward", "y is expected to be finite"),
        (GOOD.replace("7}", "7, 0: np.ones(2)}"), "mine.py:forward", "params expects arrays of numbers by name"),
        (GOOD.replace("np.tanh(x @", "np.float32(x @"), "mine.py:forward", "forward computes in float32"),
        (
            GOOD.replace('{"W": x.T @ dz}', '{"W": "many"}'),
            "mine.py:forward",
            "grads is expected to hold numbers, got <U4",
        ),
    ],
)
def test_what_cannot_be_checked_is_one_line(capsys: Any, text: str | None, what: str, words: str) -> None:
    if text is not None:
        write(text)
    assert words in refused(capsys, "check", what)


def test_a_folder_and_an_empty_path(capsys: Any) -> None:
    Path("mine.py").mkdir()
    assert "mine.py cannot be read" in refused(capsys, "check", "mine.py:forward")
    refused(capsys, "check", ".py:x")


@pytest.mark.parametrize("argv", [["--seed", "x"], ["--seed", "-1"], ["--entries"], ["mine.py:forward", "more"]])
def test_options_that_are_none(capsys: Any, argv: list[str]) -> None:
    refused(capsys, "check", *argv)


def test_a_file_that_is_no_model(capsys: Any) -> None:
    write("no model", "model.npz")
    assert "model.npz" in refused(capsys, "check", "model.npz")
    assert "missing.npz" in refused(capsys, "check", "missing.npz")


# -- explain ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["en", "ja", "zh"])
def test_the_list_of_all_codes(capsys: Any, lang: str) -> None:
    code, out, err = run(capsys, "explain", "--lang", lang)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(CODES)
    assert all(len(line.split(maxsplit=1)) == 2 for line in out.splitlines())


@pytest.mark.parametrize(("code", "lang"), fraction(list(CODES), ["en", "ja", "zh"]))
def test_each_page(capsys: Any, code: str, lang: str) -> None:
    assert run(capsys, "explain", code, "--lang", lang) == (0, explain(code, lang) + "\n", "")


def test_english_is_the_default(capsys: Any) -> None:
    assert (
        run(capsys, "explain", "G107")
        == run(capsys, "explain", "g107")
        == run(capsys, "explain", "G107", "--lang", "en")
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["G199"], "explain knows no code 'G199'"),
        (["G11"], "did you mean G11"),
        (["xyz"], "explain knows no code 'xyz': there are C301, D401"),
        ([""], "explain knows no code ''"),
        (["G107", "--lang", "de"], "invalid choice: 'de'"),
        (["G107", "G108"], "unrecognized arguments: G108"),
        (["one\ntwo"], r"explain knows no code 'one\ntwo'"),
    ],
)
def test_pages_that_there_are_none_of(capsys: Any, argv: list[str], words: str) -> None:
    assert words in refused(capsys, "explain", *argv)
