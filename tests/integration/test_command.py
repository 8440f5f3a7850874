"""The command as people run it: in a process of its own, with signals and pipes, until it has learned something."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from minidl import generate_text, load

MINIDL = [sys.executable, "-m", "minidl"]
SMALL = ["--units", "8", "--batch", "4", "--window", "16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a text that can be learned, and one in Japanese."""
    folder = tmp_path_factory.mktemp("command")
    lines = [f"{n} plus {m} is {n + m}, and {n} times {m} is {n * m}.\n" for n in range(30) for m in range(30)]
    (folder / "sums.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "neko.txt").write_text(
        "吾輩は猫である。名前はまだ無い。\nどこで生れたか頓と見当がつかぬ。\n" * 60, "utf-8"
    )
    return folder


def run(folder, *argv, env=None, **options):
    """The finished process."""
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})}
    return subprocess.run(
        [*MINIDL, *argv], cwd=folder, env=env, capture_output=True, text=True, encoding="utf-8", timeout=60, **options
    )


@pytest.fixture(scope="module")
def model(folder):
    """A model of the sums, and what was printed while it was trained."""
    options = ["--units", "24", "--epochs", "4", "--batch", "8", "--window", "32", "--json"]
    done = run(folder, "train", "sums.txt", *options)
    assert done.returncode == 0 and not done.stderr
    return "model.npz", [json.loads(line) for line in done.stdout.splitlines()]


def test_a_small_net_learns_more_than_letter_frequencies(model):
    first, *rows, last = model[1]
    assert last["facts"]["valid bits"] < first["baselines"]["unigram"] - 1
    assert rows[-1]["loss"] < rows[0]["loss"] and len(rows) == 4


def test_a_new_process_goes_on_as_the_net_in_memory(folder, model):
    net = load(folder / model[0])
    options = ["--prompt", "12 plus", "--length", "80", "--temperature", "0.9", "--top-p", "0.95", "--seed", "3"]
    done = run(folder, "sample", model[0], *options)
    pieces = generate_text(net, net.vocab, "12 plus", 80, temperature=0.9, top_p=0.95, seed=3)
    assert done.returncode == 0 and done.stdout == "12 plus" + "".join(pieces) + "\n"


CONTROL = r"[\x00-\x09\x0b-\x1f\x7f-\x9f]"


@pytest.fixture(scope="module")
def odd_model(folder):
    """A model of a text with control characters, in the text and in its file's name; and what was printed."""
    odd = "\x1b[31mneko\r\x07\x9b.txt"
    text = (folder / "neko.txt").read_text("utf-8")
    (folder / odd).write_text(text.replace("。", "。\x1b[2J\x07\x9b\x7f"), "utf-8", newline="")
    done = run(folder, "train", "neko.txt", odd, *SMALL, "--steps", "2", "--out", f"{odd}.npz")
    return f"{odd}.npz", done


def test_train_prints_plain_lines_to_a_pipe(odd_model):
    done = odd_model[1]
    assert done.returncode == 0 and not done.stderr
    assert not re.search(CONTROL, done.stdout)
    assert "neko.txt, \\x1b[31mneko\\r\\x07" in done.stdout and "saved \\x1b[31mneko" in done.stdout


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_info_prints_plain_lines_to_a_pipe_in_any_environment(folder, odd_model, env):
    done = run(folder, "info", odd_model[0], env=env)
    assert done.returncode == 0 and not done.stderr
    assert not re.search(CONTROL, done.stdout)
    assert "neko" in done.stdout


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_accident(folder, model):
    for argv in ["check", "--every-entry"], ["sample", model[0], "--length", "100000"], ["info", model[0]]:
        with subprocess.Popen([*MINIDL, *argv], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode in (0, 141)  # what is short may be out before the reader goes


@pytest.mark.slow
@pytest.mark.parametrize(("options", "seen"), [(["--json"], b'"epoch": 1'), ([], b"sample")])
def test_a_training_whose_reader_goes_away_keeps_what_was_learned(folder, options, seen):
    argv = ["train", "sums.txt", *SMALL, "--epochs", "500", "--out", f"pipe{len(options)}.npz", *options]
    with subprocess.Popen([*MINIDL, *argv], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while seen not in process.stdout.readline():
            pass
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
    assert load(folder / argv[argv.index("--out") + 1]).facts["steps done"] > 0


@pytest.mark.slow
def test_no_standard_output_at_all(folder):
    argv = [*MINIDL, "train", "sums.txt", *SMALL, "--steps", "1", "--out", "closed.npz"]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *argv], cwd=folder, capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stderr == b"" and load(folder / "closed.npz").vocab is not None


def interrupted(folder, argv, seen, presses=1):
    """Press Ctrl-C when a line that has `seen` in it was printed; (exit code, output, errors)."""
    with subprocess.Popen(
        [*MINIDL, *argv], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        printed = []
        for line in process.stdout:
            printed.append(line)
            if seen in line:
                break
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        printed += process.stdout.readlines()
        return process.wait(), "".join(printed), process.stderr.read()


@pytest.mark.parametrize("presses", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_ctrl_c_ends_the_training_in_order(folder, presses):
    out = f"pressed{presses}.npz"
    argv = ["train", "sums.txt", *SMALL, "--epochs", "500", "--out", out, "--json"]
    code, printed, err = interrupted(folder, argv, '"epoch": 1', presses)
    assert code == 130
    words = "finishing: a checkpoint and the model will be saved (Ctrl-C again ends at once)\n"
    end = rf"minidl train: interrupted by Ctrl-C; to go on from step \d+: minidl train --resume pressed{presses}\.run\n"
    assert re.fullmatch(re.escape(words) + end, err)
    facts = load(folder / out).facts
    assert json.loads(printed.splitlines()[-1]) == {"saved": out, "facts": facts}
    assert facts["steps done"] > 0 and facts["valid bits"] > 0 and facts["stopped"] == "interrupted by Ctrl-C"


@pytest.mark.slow
def test_ctrl_c_shows_the_figures(folder):
    argv = ["train", "sums.txt", *SMALL, "--epochs", "500", "--out", "figures.npz"]
    code, printed, err = interrupted(folder, argv, "sample")
    assert code == 130 and err.startswith("finishing: ") and err.count("\n") == 1
    assert "interrupted" in printed and "validation" in printed and "saved figures.npz" in printed


def test_ctrl_c_while_it_writes(folder, model):
    code, printed, err = interrupted(folder, ["sample", model[0], "--length", "1000000"], "\n")
    assert code == 130 and printed.endswith("\n") and err == "minidl sample: interrupted by Ctrl-C\n"


PRESS = """
import os, runpy, signal, sys

_, module, how = sys.argv
sys.argv[1:] = ["train", "sums.txt", "--units", "8", "--steps", "1"]

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
import minidl  # what comes before the command's own code is Python's
if how == "module":
    runpy.run_module("minidl", run_name="__main__")
else:
    from minidl.cli import main
    sys.exit(main())
"""


@pytest.mark.parametrize(
    ("module", "how", "words"),
    [
        ("minidl.cli", "module", ""),
        pytest.param("minidl.cli.options", "module", "", marks=pytest.mark.slow),
        pytest.param("minidl.cli.train", "module", "minidl: interrupted by Ctrl-C\n", marks=pytest.mark.slow),
        ("minidl.cli.train", "script", "minidl: interrupted by Ctrl-C\n"),
        ("rich.progress", "script", "minidl: interrupted by Ctrl-C\n"),
    ],
)
def test_ctrl_c_while_the_command_is_imported(folder, module, how, words):
    argv = [sys.executable, "-c", PRESS, module, how]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", words)


def test_a_mistake_is_one_line(folder):
    for argv in ["train", "nothing.txt"], ["sample", "sums.txt"], ["teach"]:  # more in tests/unit/test_cli.py
        done = run(folder, *argv)
        assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_file_name_that_is_no_utf_8(folder):
    name = os.fsdecode(b"caf\xe9.txt")
    (folder / name).write_text("abc def\n" * 100, encoding="utf-8")
    assert b"caf\xe9.txt" in os.listdir(os.fsencode(folder))
    done = run(folder, "train", name, *SMALL, "--steps", "1", "--out", "name.npz")
    assert done.returncode == 0 and load(folder / "name.npz").facts["text"] == "caf\ufffd.txt"
