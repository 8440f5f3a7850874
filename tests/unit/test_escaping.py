"""What is escaped and what is not; and commands that are printed to be pasted: a real bash reads them as meant."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.cli import main
from minidl.cli.tasks.language import beginning_of
from minidl.escaping import can_be_typed, escape, is_safe, quote_option, quote_path, quote_word, to_json
from minidl.trainer import Trainer
from tests.command import refused, run

FAMILY = "👩\u200d👩\u200d👧"
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

# -- what is escaped -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "café – 猫",
        FAMILY,
        "می\u200cخواهم",
        "e\u0301",
        "שלום",
        "١٢٣",
        "\u3000\xa0",
        "🇯🇵",
        "\u06dd",
        "a\\x1b",
        "[red]",
        "",
    ],
)
def test_text_of_any_script_is_printed_as_it_is(text):
    assert (
        escape(text) == text
        and json.loads(to_json(text)) == text
        and to_json(text) == json.dumps(text, ensure_ascii=False)
    )


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[31m", r"\x1b[31m"), ("\x07\x00", r"\x07\x00"), ("\r\n\t", r"\r\n\t"), ("\x7f\x9b\x85", r"\x7f\x9b\x85"),
        ("\u202e\u2066\u200f\u061c", r"\u202e\u2066\u200f\u061c"), ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800\udce9", r"\ud800\udce9"), ("\ufeff\u200b\u2060\xad", r"\ufeff\u200b\u2060\xad"),
        ("\ufffe\uffff", r"\ufffe\uffff"), ("\U000e0041", r"\U000e0041"),
    ],
)  # fmt: skip
def test_what_a_terminal_or_a_page_would_obey_is_escaped(text, escaped):
    assert escape(text) == escaped
    assert all(map(is_safe, to_json([text])))


def test_generated_text_keeps_its_lines_and_tabs():
    assert escape("a\n\tb\r\x1b", keep="\n\t") == "a\n\tb\\r\\x1b"


@given(st.text(st.characters(), max_size=20))
def test_nothing_unsafe_is_left(text):
    assert all(map(is_safe, escape(text))) and escape(escape(text)) == escape(text)
    assert all(map(is_safe, to_json({text: text}))) and json.loads(to_json({text: text})) == {text: text}


# -- what is pasted --------------------------------------------------------------------------------------

HOSTILE = [
    "plain", "two words", "it's", '"so"', "<unk> & <eos>", "a!b", "!!", "$HOME `id` $(id)", "back\\slash", "*?[a]~#",
    "-x", "--text", "-5", "", " ", "line\nbreak", "tab\t", "\x1b[31m'!\\x41", "\u202eevil", FAMILY,
    f"é café {FAMILY} שלום", "\x9b\x7f\x01", "{model}", "%s", "\r", "\udce9\udcff", "a=b;c|d>e", "e\u0301\ufeff!",
]  # fmt: skip


def words_of(line: str) -> list[str]:
    """The arguments of minidl on a command line, as bash passes them on."""
    assert all(map(is_safe, line)), line
    script = f"minidl() {{ printf '%s\\0' \"$@\"; }}; {line}"
    done = subprocess.run(["bash", "-c", os.fsencode(script)], capture_output=True, check=True)
    assert not done.stderr
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


@needs_bash
def test_bash_reads_each_quoted_word_as_it_was():
    assert words_of("minidl " + " ".join(map(quote_word, HOSTILE))) == HOSTILE


@needs_bash
def test_a_terminal_that_lacks_a_letter_is_shown_its_bytes(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    words = ["é", f"a {FAMILY}!", "plain"]
    line = "minidl " + " ".join(map(quote_word, words))
    assert line.isascii() and line.endswith(" plain") and words_of(line) == words


@needs_bash
@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=10, max_size=30))
def test_bash_reads_any_text_as_it_was(words):
    assert words_of("minidl " + " ".join(map(quote_word, words))) == words


def test_what_begins_with_a_dash_is_no_option():
    assert quote_path("-x.npz") == "./-x.npz" and quote_path("a b") == "'a b'"
    assert quote_option("--text", "-x") == "--text=-x" and quote_option("--text", "x y") == "--text 'x y'"


def test_what_no_shell_can_pass_on():
    assert can_be_typed("a\x1b\udce9") and can_be_typed("") and not can_be_typed("a\0") and not can_be_typed("\ud800")


def test_a_prompt_is_cut_between_words():
    assert beginning_of("the quick brown fox jumps") == "the quick brown fox"
    assert beginning_of("the quick brown foxes jump") == "the quick brown"
    assert beginning_of("猫" * 30) == "猫" * 20 and beginning_of("\n") == "\n" and beginning_of("\n one\ntwo") == "one"


def printed_command(out: str) -> str:
    """The command at the end of what `minidl train` prints."""
    return out.rstrip("\n").rpartition(" · next: ")[2]


TEXTS = [
    f"é café {FAMILY} שלום ١٢٣\n" * 90,
    '<unk> isn\'t "so" !x $HOME `id` \\n\n' * 90,
    "-x --text -5 begins\n" * 90,
    "\x1b[31m\u202e! it's \x9b\x07\n" * 90,
    "\u200d\n" * 200,
    "\n" * 300,
]


@needs_bash
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("task", ["char_lm", "word_lm"])
def test_the_command_after_a_training_on_text_works(task, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    model = f"it's\x1b !{FAMILY}.npz"
    options = ["--units", "3", "--steps", "1", "--batch", "4", "--window", "8", "--out", model]
    code, out, _ = run(capsys, "train", "text.txt", "--model", task, *options)
    assert code == 0
    argv = words_of(printed_command(out))
    assert argv[:2] == ["sample", model]
    prompt = argv[3] if argv[2] == "--prompt" else argv[2].removeprefix("--prompt=")
    assert prompt in (text if task == "char_lm" else " ".join(text.split())) or prompt.isspace()
    code, out, err = run(capsys, *argv, "--length", "3")
    assert code == 0 and not err and out.startswith(escape(prompt, keep="\n\t"))


EXAMPLES = ["-x is no option", "it's <unk> !x $HOME", f"é {FAMILY}", "\x1b[31m\u202e 'so' \\", "with\0nul", "\ta b\t"]


@needs_bash
@pytest.mark.parametrize("first", EXAMPLES)
@pytest.mark.parametrize("task", ["text_classifier", "tagger", "seq2seq"])
def test_the_command_after_a_training_on_rows_works(task, first, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [{"text": f"{first} {n}", "label": "yn"[n % 2]} for n in range(20)]
    if task == "tagger":
        rows = [
            {"tokens": [*row["text"].split(), "."], "tags": ["A"] * len(row["text"].split()) + ["B"]} for row in rows
        ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    options = ["--units", "3", "--steps", "1", "--out", "-m.npz"]
    code, out, err = run(capsys, "train", "--model", task, "rows.jsonl", *options[:-1], "./-m.npz")
    assert code == 0 and not err
    argv = words_of(printed_command(out))
    assert argv[:2] == ["predict", "./-m.npz"] and ("nul" in first) == (len(argv) < 3 or argv[2] == "--beam")
    if "nul" not in first:
        code, out, err = run(capsys, *argv)
        assert code == 0 and out and not err


@needs_bash
def test_the_command_after_a_training_on_series_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = f"-sales <{FAMILY}> it's\x1b.csv"
    (tmp_path / name).write_text("y\n" + "".join(f"{n % 5}\n" for n in range(60)), encoding="utf-8")
    options = ["--window", "8", "--horizon", "2", "--units", "3", "--steps", "1"]
    code, out, _ = run(capsys, "train", "--model", "forecaster", *options, "--", name)
    assert code == 0
    argv = words_of(printed_command(out))
    assert argv == ["predict", "model.npz", f"./{name}"] and run(capsys, *argv)[0] == 0


@needs_bash
def test_the_command_that_resumes_a_run_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("so it is\n" * 90, encoding="utf-8")
    update = Trainer._update

    def interrupted(self, group):
        update(self, group)
        self.interrupted = "interrupted"

    options = ["--units", "3", "--steps", "2", "--batch", "4", "--window", "8", "--out", f"it's\x1b {FAMILY}!.npz"]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", interrupted)
        _, out, _ = run(capsys, "train", "text.txt", *options)
    line = re.search(r"minidl train --resume .*", out).group()
    assert words_of(line) == ["train", "--resume", f"it's\x1b {FAMILY}!.run"]
    line = re.search(r"minidl train --resume .* goes on", refused(capsys, "train", "text.txt", *options)).group()
    assert run(capsys, *words_of(line.removesuffix(" goes on")), "--quiet") == (0, "", "")


@needs_bash
def test_a_printed_command_runs_in_a_process_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXTS[0], encoding="utf-8")
    assert main(["train", "text.txt", "--units", "3", "--steps", "1", "--batch", "4", "--window", "8"]) == 0
    line = printed_command(capsys.readouterr().out)
    script = f'minidl() {{ "{sys.executable}" -m minidl "$@"; }}; {line} --length 5'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0 and done.stdout.startswith(f"é café {FAMILY}"), done.stderr
