"""No command prints a control character of a model file or of a data file, neither as text nor as JSON or a page."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from minidl import Console, Dense, Graph, Sequential, load
from minidl.cli import main
from minidl.escaping import is_safe
from minidl.plain_console import PlainConsole
from tests.command import run
from tests.parameters import some

# The title of the window, the screen cleared, a bell; DEL, C1, bidi overrides, other line ends; and markup of rich.
ATTACK = "\x1b]0;t\x07\x1b[2J\x7f\x9b\u202e\u2066\u200f\r[red]"
WORD = f"w{ATTACK}w"
STEPS = ["--units", "4", "--steps", "2", "--batch", "4"]
LANGUAGE = ["char_lm", "word_lm"]
TASKS = [*LANGUAGE, "text_classifier", "tagger", "seq2seq", "forecaster"]


def write_data(task: str) -> str:
    """Write a file with control characters everywhere in the current folder, and return its name."""
    rows: list[dict[str, object]]
    if task in LANGUAGE:
        name = f"text{ATTACK}.txt"
        Path(name).write_text(f"so {WORD} it\tis\n{WORD} so\n" * 60, encoding="utf-8")
        return name
    if task == "text_classifier":
        rows = [{f"text{ATTACK}": f"{WORD} no {n}", "label": f"{'yn'[n % 2]}{ATTACK}"} for n in range(40)]
    elif task == "tagger":
        rows = [{"tokens": [WORD, "so", str(n)], "tags": [f"A{ATTACK}", "B", f"C{ATTACK}"]} for n in range(40)]
    elif task == "seq2seq":
        rows = [{f"a{ATTACK}": f"{WORD}{n}", f"b{ATTACK}": f"{ATTACK}{n}\n\t"} for n in range(40)]
    else:
        rows = [{f"x{ATTACK}": n % 7, f"y{ATTACK}": n % 5} for n in range(120)]
    name = f"data{ATTACK}.jsonl"
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return name


def rename_layers(path: str) -> None:
    """Give the layers of a model names with control characters, and the model facts with such."""
    net = load(path)
    if isinstance(net, Graph):
        renamed = Graph(inputs=[f"{name}{ATTACK}" for name in net.inputs], name=f"net{ATTACK}")
        for name, node in net.nodes.items():
            state = None if node.state is None else node.state + ATTACK
            renamed.add(name + ATTACK, net.layers[name], *(f"{source}{ATTACK}" for source in node.sources), state=state)
    else:
        renamed = Sequential([(name + ATTACK, layer) for name, layer in net.layers.items()], name=f"net{ATTACK}")
    renamed.build(net.in_shape, dtype=net.dtype)
    renamed.vocab = net.vocab
    renamed.facts = {**net.facts, f"fact{ATTACK}": f"value{ATTACK}\n"}
    renamed.save(path)


@pytest.fixture(scope="module", params=some(["char_lm", "forecaster"], TASKS))
def model(request, tmp_path_factory):
    """A folder with a file of data and a model.npz trained on it; (task, folder, data)."""
    folder = tmp_path_factory.mktemp(request.param)
    before = Path.cwd()
    os.chdir(folder)
    try:
        data = write_data(request.param)
        assert main(["train", "--model", request.param, data, *STEPS, *window(request.param), "--quiet"]) == 0
        rename_layers("model.npz")
    finally:
        os.chdir(before)
    return request.param, folder, data


def window(task: str) -> list[str]:
    """Options without which the small files of the test are too short."""
    if task == "forecaster":
        return ["--window", "8", "--horizon", "2"]
    return ["--window", "8"] if task in LANGUAGE else []


def unsafe(text: str) -> set[str]:
    """The characters of an output that are not fit for a terminal."""
    return {c for c in text if not (is_safe(c) or c in "\n\t")}


def commands(task: str, data: str) -> list[list[str]]:
    """The command lines to run with a model of a task."""
    found = [
        ["info", "model.npz"],
        ["check", "model.npz"],
        ["check", "model.npz", "--json"],
        ["predict", "model.npz", data],
        ["predict", "model.npz", data, "--json"],
        ["train", "--model", task, data, *STEPS, *window(task), "--out", f"a{ATTACK}.npz", "--json"],
        ["train", "--model", task, data, *STEPS, *window(task), "--out", f"b{ATTACK}.npz"],
        ["train", "--model", task, data, *STEPS, "--valid", f"missing{ATTACK}.csv"],
        ["info", data],
        ["explain", f"G{ATTACK}"],
        ["predict", f"missing{ATTACK}.npz"],
        ["predict", "model.npz", "--text", f"strange{ATTACK}\x01"],
    ]
    if task in LANGUAGE:
        found += [
            ["sample", "model.npz", "--length", "200", "--temperature", "2"],
            ["sample", "model.npz", "--prompt", WORD, "--length", "9"],
            ["look", "model.npz", data, "--html", "look.html", "--svg", "look.svg"],
            ["look", "model.npz", data, "--json"],
            ["look", "model.npz", data, "--cell", "0"],
            ["look", "model.npz", data, "--layer", f"no{ATTACK}"],
            ["doctor", "model.npz", data, "--steps", "2", "--lr", "0.1"],
            ["doctor", "model.npz", data, "--steps", "2", "--json"],
        ]
    elsewhere = [["look", "model.npz", data], ["doctor", "model.npz", data, "--steps", "2"], ["sample", "model.npz"]]
    return found if task in LANGUAGE else [*found, *elsewhere]  # which refuse it


def test_no_command_prints_a_control_character_of_a_file(model, capsys, monkeypatch):
    task, folder, data = model
    monkeypatch.chdir(folder)
    for argv in commands(task, data):
        code, out, err = run(capsys, *argv)
        assert code in (0, 1, 2) and "Traceback" not in err, (argv, err)
        assert not unsafe(out + err), (argv, unsafe(out + err))
        if "--json" in argv:
            assert all(isinstance(json.loads(line), dict) for line in out.splitlines()), argv
        if argv == ["info", "model.npz"]:
            assert "\\x1b]0;t\\x07" in out and "[red]" in out  # escaped, neither dropped nor taken for markup
        if argv == ["check", "model.npz"]:
            assert "\\x1b]0;t" in out  # in a column, whose lines are broken


def test_pages_of_look_are_valid_and_without_control_characters(model, capsys, monkeypatch):
    task, folder, data = model
    if task not in LANGUAGE:
        return
    monkeypatch.chdir(folder)
    assert run(capsys, "look", "model.npz", data, "--html", "look.html", "--svg", "look.svg")[0] == 0
    picture = Path("look.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(picture)
    assert not unsafe(picture) and not unsafe(Path("look.html").read_text(encoding="utf-8"))
    assert "\\x1b]0;t" in "".join(ElementTree.fromstring(picture).itertext()).replace("\xa0", " ")


def test_json_holds_the_text_as_it_is(model, capsys, monkeypatch):
    """Escaped for the terminal, and read back as it was."""
    task, folder, data = model
    if task not in ("text_classifier", "tagger", "forecaster", "seq2seq"):
        return
    monkeypatch.chdir(folder)
    rows = [json.loads(line) for line in run(capsys, "predict", "model.npz", data, "--json")[1].splitlines()]
    assert any(ATTACK in value for row in rows for value in str_values(row)), rows[0]


def str_values(row: dict[str, object]) -> list[str]:
    """The strings in a row of output."""
    lists = [value for value in row.values() if isinstance(value, list)]
    return [v for v in [*row.values(), *(v for some in lists for v in some)] if isinstance(v, str)]


# What rich itself sends: colors, the cursor hidden and shown, lines erased, the cursor moved up, columns.
OWN = re.compile(r"\x1b\[[\d;]*m|\x1b\[\?25[lh]|\x1b\[[\d;]*[KAG]|\r")


def on_a_terminal(monkeypatch, *commands: list[str]) -> str:
    """What the commands send to a terminal."""
    pty = pytest.importorskip("pty")  # which Windows lacks
    parent, child = pty.openpty()
    parts: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(parent, 1 << 16):
                parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    with monkeypatch.context() as patch, os.fdopen(child, "w", encoding="utf-8") as terminal:
        for name, value in {"TERM": "xterm-256color", "COLUMNS": "100"}.items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        codes = [main(argv) for argv in commands]
    reader.join()
    os.close(parent)
    assert codes == [0] * len(commands)
    return b"".join(parts).decode()


def test_on_a_terminal_only_colors_and_the_bar_are_sent(model, monkeypatch):
    task, folder, data = model
    monkeypatch.chdir(folder)
    some = [["info", "model.npz"], ["check", "model.npz"], ["predict", "model.npz", data]]
    some += [["look", "model.npz", data], ["sample", "model.npz", "--length", "60"]] if task in LANGUAGE else []
    text = on_a_terminal(monkeypatch, *some, ["train", "--model", task, data, *STEPS, *window(task), "--out", "c.npz"])
    assert "\x1b[" in text and not unsafe(OWN.sub("", text)), unsafe(OWN.sub("", text))
    assert "[red]" in text  # which is no markup


def test_summary_of_a_net_in_python(capsys):
    """The library prints as well."""
    net = Sequential([(f"a{ATTACK}", Dense(2))], name=f"n{ATTACK}")
    net.build((3,))
    net.summary()
    out = capsys.readouterr().out
    assert not unsafe(out) and "[red]" in out and "\\x1b" in out


def test_a_console_escapes_what_a_report_forgot(capsys):
    PlainConsole().print(f"[bold]{ATTACK}\nnext :smile:")
    out = capsys.readouterr().out
    assert not unsafe(out) and out.startswith("[bold]\\x1b]0;t\\x1b[2J") and out.endswith("\nnext :smile:\n")


def test_a_spinner_takes_no_markup(capsys):
    assert PlainConsole().status(f"[/b]{ATTACK}").renderable.text.plain.startswith("[/b]\\x1b]0;t")


def test_a_note_of_several_lines_keeps_them(capsys):
    Console().say(f"the report\n\n{ATTACK}")
    out = capsys.readouterr().out
    assert out.startswith("the report\n\n\\x1b]0;t") and not unsafe(out)


def test_errors_of_the_library_are_fit_to_be_printed():
    net = Sequential([(f"a{ATTACK}", Dense(2))])
    net.build((3,))
    with pytest.raises(KeyError) as caught:
        net["b"]
    assert not unsafe(str(caught.value)) and "\\x1b" in str(caught.value)
    assert np.isfinite(net.predict(np.zeros((1, 3)))).all()
