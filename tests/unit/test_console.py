"""The console: plain lines in a pipe, a bar that leaves nothing behind on a terminal, a table that stays one."""

import fcntl
import io
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest

from minidl import (
    LSTM,
    SGD,
    Batch,
    BinaryCrossEntropy,
    Callback,
    ClipNorm,
    Console,
    CrossEntropy,
    Dense,
    Embedding,
    MeanSquaredError,
    Sequential,
    Sigmoid,
    Softmax,
    TextStream,
    Trainer,
    accuracy,
)
from minidl.callbacks.console import clock, hundredths, long, rate_text, short, thousandths
from tests.parameters import slow

IDS = np.random.default_rng(0).integers(0, 5, 401)
X = np.random.default_rng(0).standard_normal((40, 3))


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch):
    """80 columns, whatever the terminal that runs the tests."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "TERM", "JUPYTER_COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


class Row(Callback):
    """Figures for the row of each epoch: a dict, or one for each."""

    def __init__(self, *rows):
        self.rows = rows

    def on_epoch_end(self, trainer):
        trainer.row.update(self.rows[min(trainer.epoch, len(self.rows)) - 1])


def language_model(classes=5):
    return Sequential([Embedding(5, 3), LSTM(4, return_sequences=True), Dense(classes), Softmax()])


def shown(*callbacks, net=None, loss=None, data=None, metrics=(), fits=1, console=None, accumulate=1, **options):
    """What a training prints into a pipe."""
    file = io.StringIO()
    console = Console(file=file, **console or {})
    trainer = Trainer(
        net or language_model(), loss or CrossEntropy(), SGD(0.1), [*callbacks, console], metrics=metrics,
        accumulate=accumulate,
    )  # fmt: skip
    for _ in range(fits):
        trainer.fit(TextStream(IDS, 4, 20) if data is None else data, **options)
    return file.getvalue()


def columns_of(line):
    """The titles or cells by where they end; two blanks or more stand between them."""
    return {match.end(): match[0] for match in re.finditer(r"\S+(?: \S+)*", line)}


def aligned(text):
    """The cells of the table by title, row for row; every cell must end where its title ends."""
    header, *rows = [line for line in text.splitlines() if not line.startswith("  ") or line.lstrip()[0].isdigit()]
    titles = {end: title for end, title in columns_of(header).items() if not title.startswith("loss in ")}
    table = []
    for row in rows:
        cells = columns_of(row)
        found = {title: cells.get(end) for end, title in titles.items()}
        assert None not in found.values(), f"not aligned:\n{header}\n{row}"
        table.append(found)
    return table


# -- in a pipe ------------------------------------------------------------------------------------


def test_a_language_model_in_80_columns():
    baselines = {"unigram": 1e9, "4-gram": 1e8, "5-gram": 0.0}
    text = shown(
        ClipNorm(1e-3),
        Row({"sample": "a\x1b[31mred\x07 [bold]one[/bold] :smile:\r\n " + "and on it goes " * 40}),
        console={"bits": True, "symbols": "chars", "baselines": baselines},
        epochs=3,
        validation=TextStream(IDS, 2, 30),
    )
    lines = text.splitlines()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text) and max(map(len, lines)) <= 80
    assert len(lines) == 1 + 3 * 3 + 1  # the header; row and sample; the largest gradient
    assert lines[0].endswith("loss in bits") and all(line.endswith("  below 4-gram") for line in lines[1:10:3])
    titles = ["epoch", "train", "valid", "|grad|", "clipped", "rate", "chars/s", "time"]
    table = aligned("\n".join(lines[:1] + lines[1:10:3]))
    assert list(table[0]) == titles and [row["epoch"] for row in table] == ["1", "2", "3"]
    assert {row["clipped"] for row in table} == {"100 %"} and {row["rate"] for row in table} == {"1.0e-1"}
    assert lines[2].startswith("  sample  a\\x1b[31mred\\x07 [bold]one[/bold] :smile: and on")
    assert lines[3].startswith("          ") and lines[3].endswith("…")
    assert lines[-1].startswith("  the largest gradient was most often that of ")


def test_figures_are_in_the_unit_that_is_asked_for():
    rows = Row({"loss": math.log(8), "valid_loss": math.log(4)})
    wide = {"bits": True}
    bits = aligned(shown(rows, console=wide))[0]
    assert (bits["train"], bits["valid"]) == ("3.00", "2.00")
    nats = aligned(shown(rows))[0]
    assert (nats["train"], nats["valid"], nats["perplexity"]) == ("2.08", "1.39", "4.00")


def test_below_names_the_hardest_baseline_that_is_beaten():
    def note(valid):
        rows = Row({"loss": 0.0, "valid_loss": valid * math.log(2)})
        baselines = {"uniform": 5.0, "2-gram": 3.0, "5-gram": 2.0, "4-gram": 2.5}
        text = shown(rows, console={"bits": True, "baselines": baselines})
        return text.splitlines()[1].partition("below ")[2]

    assert [note(v) for v in (6.0, 4.0, 2.2, 2.0, 1.9, math.nan)] == ["", "uniform", "4-gram", "4-gram", "5-gram", ""]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("kind", ["language model", "classes", "yes or no", "regression"])
def test_every_net_gets_columns_that_suit_it(kind, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    net, loss, data, metrics = {
        "language model": (language_model(), CrossEntropy(), None, [accuracy]),
        "classes": (Sequential([Dense(3), Softmax()]), CrossEntropy(), [Batch(X, np.eye(3)[IDS[:40] % 3])], [accuracy]),
        "yes or no": (Sequential([Dense(1), Sigmoid()]), BinaryCrossEntropy(), [Batch(X, X[:, 0] > 0)], [accuracy]),
        "regression": (Dense(1), MeanSquaredError(), [Batch(X, X[:, 0])], []),
    }[kind]
    text = shown(ClipNorm(5.0), net=net, loss=loss, data=data, metrics=metrics, epochs=2, validation=data or IDS_STREAM)
    titles = list(aligned(text)[0])
    assert titles[:3] == ["epoch", "train", "valid"]
    assert max(len(line) for line in text.splitlines()[:3]) <= width
    assert ("loss in nats" in text) == (kind == "language model")
    if width >= 80:
        assert titles[-1] == "time"
        assert ("valid accuracy" in titles) == bool(metrics)
    if width >= 120:
        more = ["|grad|", "clipped", "rate", "targets/s"]
        assert set(more) <= set(titles)
    assert ("perplexity" in titles) == (kind == "language model" and width >= 120)


IDS_STREAM = TextStream(IDS, 2, 30)


def test_without_validation_the_loss_is_the_loss():
    titles = list(aligned(shown())[0])
    assert titles == ["epoch", "loss", "perplexity", "rate", "targets/s", "time"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1e30, 1e30, 999.999, 1e5, -1e5, 0.0, 1e-30])
@pytest.mark.parametrize("language", [True, False])
def test_no_figure_breaks_the_table(value, language, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    rows = Row({}, dict.fromkeys(("loss", "valid_loss", "norm", "accuracy", "valid_accuracy"), value))
    options = {} if language else {"net": Dense(1), "loss": MeanSquaredError(), "data": [Batch(X, X[:, 0])]}
    first = Row({"norm": 1.0, "valid_loss": 1.0, "accuracy": 1.0, "valid_accuracy": 1.0, "clipped": 0.5})
    text = shown(first, rows, console={"bits": True}, metrics=[accuracy] if language else [], epochs=2, **options)
    assert len(aligned(text)) == 2


def test_interval_zero_shows_a_line_per_step():
    lines = shown(console={"interval": 0}, epochs=2).splitlines()
    steps = [line for line in lines if line.startswith("  epoch")]
    assert len(steps) == 10 and max(map(len, lines)) <= 80
    assert re.fullmatch(r"  epoch 1/2   20 %  step 1  1\.6\d nats  [\d,]+ targets/s  0:\d\d left", steps[0]), steps[0]
    assert steps[4].startswith("  epoch 1/2  100 %  step 5 ") and steps[5].startswith("  epoch 2/2   20 %  step 6 ")
    assert steps[-1].endswith("0:00 left") and lines[5].split()[0] == "epoch" and lines[6].split()[0] == "1"


def test_a_long_interval_shows_the_epochs_alone():
    assert len(shown(console={"interval": 1e9}, epochs=3).splitlines()) == 4


def test_a_run_of_one_step():
    lines = shown(console={"interval": 0}, steps=1).splitlines()
    assert lines[0].startswith("  epoch 1/1   20 %  step 1  ") and len(lines) == 3
    assert len(aligned("\n".join(lines[1:]))) == 1


def test_epochs_and_what_is_left_where_steps_end_the_training():
    def first_line(data=None, **options):
        return shown(console={"interval": 0}, data=data, **options).splitlines()[0]

    assert first_line(steps=12).startswith("  epoch 1/3   20 %  step 1 ")
    assert first_line(steps=12, epochs=2).startswith("  epoch 1/2   20 %  step 1 ")
    assert first_line(steps=3, accumulate=2).startswith("  epoch 1/1   40 %  step 1 ")
    unknown = first_line(data=iter(list(TextStream(IDS, 4, 20))), steps=3)
    assert unknown.startswith("  epoch 1  step 1 ") and unknown.endswith(" left")
    unknown = first_line(data=iter(list(TextStream(IDS, 4, 20))))
    assert unknown.startswith("  epoch 1/1  step 1 ") and unknown.endswith("targets/s")


def test_epochs_go_on_in_another_fit():
    text = shown(console={"interval": 0}, fits=2, epochs=2)
    assert "  epoch 3/4   20 %  step 11 " in text and len([r for r in text.splitlines() if "loss in" in r]) == 2


def test_a_stop_is_said_last():
    class Stop(Callback):
        def on_step_end(self, trainer):
            trainer.stop("the cat wants out")

    assert shown(Stop(), ClipNorm(1.0)).splitlines()[-1] == "  stopped: the cat wants out"


def test_no_sample_no_line():
    for sample in "", " \n ":
        assert "sample" not in shown(Row({"sample": sample}))


def test_a_japanese_sample_takes_two_lines_of_its_cells():
    lines = [line for line in shown(Row({"sample": "吾輩は猫である。" * 30})).splitlines() if "猫" in line]
    assert len(lines) == 2 and all(len(line) - 10 <= 35 for line in lines)
    both = lines[0].removeprefix("  sample  ") + lines[1].strip().removesuffix("…")
    assert ("吾輩は猫である。" * 30).startswith(both)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_the_output_cannot_encode_does_not_end_the_training(encoding):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=file)
    trainer = Trainer(language_model(), CrossEntropy(), SGD(0.1), [Row({"sample": "ä猫…"}), console])
    trainer.fit(TextStream(IDS, 4, 20))
    file.flush()
    text = raw.getvalue().decode(encoding)
    assert {"ascii": "sample  ???", "cp1252": "sample  ä?…", "utf-8": "sample  ä猫…"}[encoding] in text


@pytest.mark.parametrize("forced", [True, False])
def test_colours_forced_upon_a_pipe_bring_no_bar(forced, monkeypatch):
    """CI sets FORCE_COLOR: a log then may have colours, but nothing that moves the cursor."""
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
    text = shown(console={"interval": 0})
    codes = set(re.findall(r"\x1b\[[0-9;?]*([A-Za-z])", text))
    assert codes == ({"m"} if forced else set()) and "\r" not in text


def test_fit_shows_it_by_default_and_quiet_does_not(capsys):
    Trainer(Dense(1), MeanSquaredError()).fit(X, X[:, 0])
    out, err = capsys.readouterr()
    assert out.split()[:2] == ["epoch", "loss"] and not err
    Trainer(Dense(1), MeanSquaredError(), quiet=True).fit(X, X[:, 0])
    assert capsys.readouterr() == ("", "")


def test_an_error_before_its_turn_is_the_error_that_is_seen():
    class Fails(Callback):
        def on_fit_start(self, trainer):
            raise RuntimeError("before the console")

    trainer = Trainer(Dense(1), MeanSquaredError(), callbacks=[ClipNorm(1.0), Console(file=io.StringIO())])
    trainer.fit(X, X[:, 0])
    trainer.callbacks[:] = [Fails(), Console(file=io.StringIO())]
    with pytest.raises(RuntimeError, match="before the console"):
        trainer.fit(X, X[:, 0])


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        (clock, {0.4: "0:00", 59.6: "1:00", 3723: "1:02:03"}),
        (rate_text, {4e-3: "4.0e-3", 0.0: "0.0e0", 1.0: "1.0e0", 9.99e-11: "1.0e-10"}),
        (short, {-1e-3: "0.00", 2.054: "2.05", 998.99: "998.99", 999.5: "1e+03", 1e300: "1e+300", math.nan: "nan"}),
        (thousandths, {-1e-9: "0.000", 4.2e-5: "4.2e-05", 0.9166: "0.917", 1e4: "1e+04"}),
        (hundredths, {-1e-9: "0.00", 7.9: "7.90", 12345.678: "12,345.68", 1e7: "1.0e+07", math.inf: "inf"}),
        (
            long,
            {-0.0: "0.000", 0.0123456: "0.01235", 1.12: "1.120", 25013.71: "25,013.7", 1e7: "1.0e+07", math.nan: "nan"},
        ),
    ],
)
def test_figures_as_text(show, expected):
    assert {value: show(value) for value in expected} == expected


# -- on a terminal --------------------------------------------------------------------------------

PROGRAM = """
import fcntl, sys, termios, time, numpy as np
from minidl import *
from minidl.models import char_lm

fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C on it is for this program

class Slow(Callback):
    def on_step_end(self, trainer):
        time.sleep(0.03)
        if "error" in sys.argv and trainer.step == 12:
            raise SystemExit("an error in the loop")

class Say(Callback):
    def on_epoch_end(self, trainer):
        trainer.row["sample"] = "to be or not to be " * 20
        print("printed by a callback")

ids = np.random.default_rng(0).integers(0, 5, 401)
data = TextStream(ids, 4, 10)
if "unknown" in sys.argv:
    data = iter(list(data))
net = char_lm(5, 4)
console = Console(bits=True, symbols="chars", baselines={"4-gram": 9.0})
trainer = Trainer(net, CrossEntropy(), callbacks=[ClipNorm(1.0), Slow(), Say(), console])
trainer.fit(data, epochs=1 if "unknown" in sys.argv else 2, validation=TextStream(ids, 2, 30))
"""


COMMAND = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from minidl.cli import main
sys.exit(main(["train", *sys.argv[2:]]))
"""


def on_a_terminal(width, *args, program=PROGRAM, **environment):
    """What a program writes to a terminal of so many columns; with "interrupt", Ctrl-C is pressed in epoch 2."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
    clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI")}
    environment = clean | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | environment
    process = subprocess.Popen(
        [sys.executable, "-c", program, *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    parts, press = [], "interrupt" in args
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        parts.append(part)
        if press and b" 2/" in part:
            press = False
            os.write(ours, b"\x03")
    os.close(ours)
    return b"".join(parts).decode(), process.wait()


def screen(output, width):
    """The lines that are left on a terminal of so many columns, after every movement of the cursor."""
    lines, row, column = [""], 0, 0
    for code, number, letter, symbol in re.findall(r"(\x1b\[\??([0-9;]*)([A-Za-z]))|([\s\S])", output):
        if letter == "A":
            row -= int(number or 1)
            assert row >= 0
        elif letter == "K":
            lines[row] = "" if number == "2" else lines[row][:column]
        elif code:
            assert letter in "mhl", f"the terminal of this test does not know {code!r}"
        elif symbol == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif symbol == "\r":
            column = 0
        else:
            if column == width:
                row, column = row + 1, 0
                lines += [""] * (row == len(lines))
            lines[row] = lines[row][:column].ljust(column) + symbol + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize(("width", "colour"), [(80, True), slow(80, False), slow(120, True), slow(120, False)])
def test_the_bar_leaves_nothing_behind(width, colour):
    output, status = on_a_terminal(width, **({} if colour else {"NO_COLOR": "1"}))
    lines = screen(output, width)
    assert status == 0, output
    assert "━" in output and "\x1b[?25l" in output  # there was a bar, with the cursor hidden
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert bool(re.search(r"\x1b\[(?:\d+;)*(?:3\d|9\d)[;m]", output)) == colour
    text = "\n".join(lines)
    assert not re.search("[━╸╺⠁-⣿]", text), text
    assert [line for line in lines if line == "printed by a callback"] == ["printed by a callback"] * 2
    table = aligned("\n".join(line for line in lines if "loss in bits" in line or line.endswith("below 4-gram")))
    assert [row["epoch"] for row in table] == ["1", "2"]
    assert len([line for line in lines if line.startswith("  sample  to be")]) == 2
    assert max(map(len, lines)) <= width
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    bars = [line for line in re.split(r"[\r\n]", plain) if "chars/s" in line and "step" in line]
    assert bars and max(map(len, bars)) <= width and all(" left" in bar for bar in bars)


def test_ctrl_c_on_a_terminal():
    """The terminal echoes ^C behind the bar: that must not break its line."""
    output, status = on_a_terminal(80, "interrupt")
    lines = [line for line in screen(output, 80) if line]
    assert "^C" in output
    assert status == 0 and lines[-1] == "  stopped: interrupted by Ctrl-C"
    assert "Traceback" not in output and not re.search("[━╸╺⠁-⣿]", "".join(lines))
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")


@pytest.mark.slow
def test_the_command_answers_ctrl_c_on_a_terminal(tmp_path):
    """The bar stays one line, and so does the answer; then the figures come, and the model."""
    (tmp_path / "text.txt").write_text("the cat sat on the mat. " * 2000)
    options = ["--units", "16", "--batch", "4", "--window", "16", "--epochs", "50", "--out", str(tmp_path / "m.npz")]
    output, status = on_a_terminal(80, "interrupt", str(tmp_path / "text.txt"), *options, program=COMMAND)
    lines = [line.strip() for line in screen(output, 80) if line]
    assert status == 130 and "Traceback" not in output and not re.search("[━╸╺⠁-⣿]", "".join(lines))
    answer = lines.index("finishing: a checkpoint and the model will be saved (Ctrl-C again ends at once)")
    rest = re.sub(r"\s", "", "".join(lines[answer + 1 :]))  # the lines break where the terminal ends
    assert re.search(r"stopped:interruptedbyCtrl-C;togoonfromstep[\d,]+:minidltrain--resume.*m\.run.*saved", rest), (
        output
    )
    assert (tmp_path / "m.npz").exists()


@pytest.mark.slow
def test_after_an_error_the_cursor_is_back():
    output, status = on_a_terminal(80, "error")
    lines = [line for line in screen(output, 80) if line]
    assert status == 1 and lines[-1] == "an error in the loop" and not re.search("[━╸╺⠁-⣿]", "".join(lines))
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")


@pytest.mark.slow
def test_without_a_known_length_the_bar_only_moves():
    output, status = on_a_terminal(80, "unknown")
    assert status == 0 and "━" in output and not re.search("[━╸╺⠁-⣿]", "".join(screen(output, 80)))


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_terminal_that_can_draw_no_bar_gets_lines(environment):
    output, status = on_a_terminal(80, **environment)
    assert status == 0 and "━" not in output and "?25l" not in output
    assert "loss in bits" in output
