"""`--model forecaster` of the command: what it trains on, what it says, and that every mistake is one line."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from minidl import Scaler, load
from minidl.cli import main
from minidl.cli.tasks.forecaster import bar, counts_steps
from minidl.trainer import Trainer
from tests.unit.test_cli import refused, run

SMALL = [
    "--model", "forecaster", "--units", "6", "--window", "12", "--horizon", "4", "--batch", "16", "--epochs", "2",
    "--valid", "0.25",
]  # fmt: skip
ROWS = 120
WAVE = np.round(20 + 5 * np.sin(2 * np.pi * np.arange(ROWS) / 12), 3)
NOISE = np.round(np.random.default_rng(0).normal(1000, 10, ROWS), 2)


def write(path, heat=WAVE, header="day,number,load,heat"):
    rows = [f"day {k},{k},{NOISE[k]},{value}" for k, value in enumerate(heat)]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a table in it: a date, a counter, a column of noise, and a wave."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "s.csv")
    return tmp_path


def train(*argv):
    return main(["train", *argv, *SMALL, "--quiet"])


# -- what works -----------------------------------------------------------------------------------


def test_it_sees_the_numbers_and_tells_the_last_column(folder):
    assert train("s.csv") == 0
    net = load("model.npz")
    assert net.facts["columns"] == ["load", "heat"] and net.facts["targets"] == ["heat"]
    assert net.facts["model"] == "forecaster" and net.facts["rows"] == ROWS
    assert net.in_shape == (None, 2) and net.out_shape == (4, 1, 3)


def test_the_scaler_is_that_of_the_training_part_alone(folder):
    """The last quarter is far away from the rest, and the scaler does not know it."""
    write(folder / "far.csv", np.where(np.arange(ROWS) < 90, WAVE, 1e6))
    assert train("far.csv") == 0
    scaler = Scaler.from_dict(load("model.npz").facts["scaler"])
    np.testing.assert_allclose(scaler.mean[1], WAVE[:90].mean(), rtol=1e-12)
    np.testing.assert_allclose(scaler.scale[1], WAVE[:90].std(), rtol=1e-12)


def test_it_says_what_it_does_in_the_units_of_the_data(folder, capsys):
    """Persistence misses the wave by what can be computed by hand; the season hits it."""
    code, out, err = run(capsys, "train", "s.csv", *SMALL, "--season", "12")
    assert code == 0 and not err
    first, y = 90, WAVE
    missed = np.mean([abs(y[at + h] - y[at - 1]) for at in range(first, ROWS - 3) for h in range(4)])
    said = " ".join(out.split())
    for words in (
        "s.csv", "120 steps", "heat from 2 columns", "without day, number", "12 steps in, 4 out", "LSTM 1x6",
        f"persistence mae {missed:.4g}", "seasonal naive mae 0", "quantile loss persistence", "valid mae",
        "valid coverage", "saved model.npz · next: minidl predict model.npz s.csv",
    ):  # fmt: skip
        assert words in said, out


def test_targets_and_inputs_by_name(folder):
    assert train("s.csv", "--target", "heat,load", "--inputs", "number") == 0
    facts = load("model.npz").facts
    assert facts["columns"] == ["number", "heat", "load"] and facts["targets"] == ["heat", "load"]
    assert {"valid mae heat", "valid mae load", "valid coverage"} <= facts.keys()


def test_a_column_with_a_comma_in_its_name(folder):
    write(folder / "comma.csv", header='day,number,load,"heat, outside"')
    assert train("comma.csv", "--target", "heat, outside") == 0
    assert load("model.npz").facts["targets"] == ["heat, outside"]


def test_what_is_usually_the_target_goes_before_the_last(folder):
    write(folder / "y.csv", header="day,number,Y,heat")
    assert train("y.csv") == 0
    assert load("model.npz").facts["targets"] == ["Y"]


def test_a_column_that_counts_is_taken_where_there_is_no_other(folder):
    (folder / "line.csv").write_text("height\n" + "\n".join(map(str, range(1900, 2000))) + "\n", encoding="utf-8")
    assert train("line.csv") == 0
    assert load("model.npz").facts["columns"] == ["height"]
    assert counts_steps(np.arange(5) * 0.1) and not counts_steps(np.ones(5)) and not counts_steps(WAVE)


def test_a_constant_column_does_no_harm(folder):
    write(folder / "flat.csv", np.full(ROWS, 7.5))
    assert train("flat.csv") == 0
    told = load("model.npz").facts
    assert told["scaler"]["scale"][1] == 1.0 and math.isfinite(told["valid mae"])


def test_several_files_are_several_series_and_others_validate_and_test(folder):
    write(folder / "t.csv", WAVE[:40])
    assert main(["train", "s.csv", "t.csv", *SMALL[:-2], "--valid", "t.csv", "--test", "s.csv", "--quiet"]) == 0
    facts = load("model.npz").facts
    assert facts["rows"] == 160 and facts["series"] == "s.csv, t.csv" and "test mae" in facts


def test_json_lines_as_well(folder):
    lines = [json.dumps({"heat": value, "day": f"day {k}"}) for k, value in enumerate(WAVE.tolist())]
    (folder / "s.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert train("s.jsonl") == 0
    assert load("model.npz").facts["columns"] == ["heat"]


def test_a_run_goes_on_to_the_same_bits(folder, monkeypatch):
    """Broken off after the sixth update, in the second epoch, and gone on with: the file of one that was not."""
    assert train("s.csv", "--out", "whole.npz", "--dropout", "0.2") == 0
    real = Trainer._update

    def failing(self, group):
        real(self, group)
        if self.step == 6:
            self.interrupted = "interrupted"

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", failing)
        train("s.csv", "--out", "part.npz", "--dropout", "0.2")
    assert main(["train", "--resume", "part.run", "--quiet"]) == 0
    whole, part = load("whole.npz"), load("part.npz")
    assert all((p.value == part.params[name].value).all() for name, p in whole.params.items())
    assert whole.facts["scaler"] == part.facts["scaler"] and not (folder / "part.run").exists()


# -- predict --------------------------------------------------------------------------------------


def test_predict_goes_on_behind_the_end(folder, capsys):
    assert train("s.csv", "--target", "heat,load") == 0
    code, out, err = run(capsys, "predict", "model.npz", "s.csv", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and not err and [row["step"] for row in rows] == [1, 2, 3, 4] * 2
    assert [row["column"] for row in rows] == ["heat"] * 4 + ["load"] * 4
    assert all(row["0.1"] <= row["0.5"] <= row["0.9"] for row in rows)
    assert all(0 < row["0.5"] < 40 for row in rows[:4]) and all(900 < row["0.5"] < 1100 for row in rows[4:])
    _, text, _ = run(capsys, "predict", "model.npz", "s.csv")
    name, step, median, between = text.splitlines()[0].split("\t")
    assert (name, step) == ("heat", "+1") and float(median) == pytest.approx(rows[0]["0.5"], rel=1e-5)
    assert [float(v) for v in between.split(" to ")] == pytest.approx([rows[0]["0.1"], rows[0]["0.9"]], rel=1e-5)
    _, told, _ = run(capsys, "predict", "model.npz", "s.csv", "s.csv", "--json")
    assert [json.loads(line)["file"] for line in told.splitlines()] == ["s.csv"] * 16
    _, told, _ = run(capsys, "predict", "model.npz", "--text", (folder / "s.csv").read_text(), "--json")
    assert told == out


def test_only_the_last_window_counts(folder, capsys):
    """What came before it may be missing: the end of a long file is enough."""
    assert train("s.csv", "--target", "heat") == 0
    _, whole, _ = run(capsys, "predict", "model.npz", "s.csv", "--json")
    lines = (folder / "s.csv").read_text(encoding="utf-8").splitlines()
    (folder / "end.csv").write_text("\n".join([lines[0], *lines[-12:]]), encoding="utf-8")
    assert run(capsys, "predict", "model.npz", "end.csv", "--json")[1] == whole


def test_a_bar_is_where_the_numbers_are():
    assert bar([0.0, 5.0, 10.0], 0.0, 10.0) == "├" + "─" * 19 + "●" + "─" * 18 + "┤"
    assert bar([3.0, 3.0, 3.0], 3.0, 3.0) == "●" and bar([10.0, 10.0, 10.0], 0.0, 10.0) == " " * 39 + "●"


# -- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "got an empty field: fill it in, or leave the row out"),
        ("nan", "got 'nan': fill it in, or leave the row out"),
        ("warm", "got 'warm': choose a column of numbers"),
        ('"21,5"', "got '21,5': write it as 21.5"),
    ],
)
def test_a_value_that_is_no_number_is_named_by_its_line(folder, capsys, value, words):
    heat = WAVE.tolist()
    heat[50] = value
    write(folder / "broken.csv", heat)
    said = refused(capsys, "train", "broken.csv", *SMALL)
    other = "or name the columns that are of use with --inputs and --target"
    assert said == f"minidl train: broken.csv:52 expects a number in column 'heat', {words}, {other}.\n"
    assert train("broken.csv", "--inputs", "load", "--target", "load") == 0


@pytest.mark.parametrize("value", ["NaN", "NA", "null", ""])
def test_a_column_that_begins_with_a_gap_is_one_of_numbers(folder, capsys, value):
    """Left out in silence, another would be told in its place."""
    write(folder / "gap.csv", [value, *WAVE[1:]])
    assert "gap.csv:2 expects a number in column 'heat', got" in refused(capsys, "train", "gap.csv", *SMALL)


def test_decimal_commas_from_the_first_row_on(folder, capsys):
    rows = "\n".join(f"day {k};{str(v).replace('.', ',')}" for k, v in enumerate(WAVE))
    (folder / "decimal.csv").write_text(f"day;heat\n{rows}\n", encoding="utf-8")
    assert "decimal.csv:2 expects a number in column 'heat', got '20,0': write it as 20.0," in refused(
        capsys, "train", "decimal.csv", *SMALL
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "heta"], "s.csv has no column 'heta' for the --target: did you mean 'heat'?"),
        (["--inputs", "cold"], "s.csv has no column 'cold' for the --inputs: it has 'day', 'number', 'load', 'heat'."),
        (["--target", "day"], "s.csv:2 expects a number in column 'day', got 'day 0': choose a column of numbers."),
        (["--season", "24"], "--season 24 expects a window that is as long, got --window 12: write --window 48, say."),
        (
            ["--window", "100"],
            "s.csv expects at least 138 steps for --window 100, --horizon 4, --valid 0.25, got 120: give a longer "
            "series, or smaller numbers.",
        ),
        (["--valid", "t.csv"], "t.csv expects at least 16 steps for --window 12, --horizon 4, got 10: "),
        (["--test", "t.csv"], "t.csv expects at least 16 steps for --window 12, --horizon 4, got 10: "),
    ],
)
def test_options_that_do_not_fit(folder, capsys, options, words):
    write(folder / "t.csv", WAVE[:10])
    assert words in refused(capsys, "train", "s.csv", *SMALL, *options)


def test_tables_that_hold_no_series(folder, capsys):
    (folder / "words.csv").write_text("name,word\na,b\nc,d\n", encoding="utf-8")
    (folder / "other.csv").write_text("cold\n1\n2\n", encoding="utf-8")
    words = "words.csv:2 must have a number in a column, got 'a', 'b'. Write it as 1234.5."
    assert words in refused(capsys, "train", "words.csv", *SMALL)
    assert "expects a table with a step a row, CSV say, to train on, got none" in refused(capsys, "train", *SMALL)
    assert "other.csv has no column 'load' for the net" in refused(capsys, "train", "s.csv", "other.csv", *SMALL)


def test_numbers_whose_spread_cannot_be_told(folder, capsys):
    write(folder / "vast.csv", WAVE * 1e300)
    words = "numbers whose squares float64 holds, up to about 1e150, got 2.5e+301: give them in a larger unit."
    assert words in refused(capsys, "train", "vast.csv", *SMALL)


def test_rows_from_the_newest_to_the_oldest(folder, capsys):
    """Nothing but the dates tells it: the numbers would be learned backwards."""
    rows = [f"20{99 - k // 12:02d}-{12 - k % 12:02d}-01,{v}" for k, v in enumerate(WAVE)]
    (folder / "back.csv").write_text("\n".join(["date,heat", *rows]) + "\n", encoding="utf-8")
    (folder / "on.csv").write_text("\n".join(["date,heat", *reversed(rows)]) + "\n", encoding="utf-8")
    words = (
        "back.csv must have the oldest step first, got '2099-12-01' before '2090-01-01' in column 'date'. Reverse the"
    )
    assert words in refused(capsys, "train", "back.csv", *SMALL)
    assert train("on.csv") == 0
    assert words in refused(capsys, "predict", "model.npz", "back.csv")


def test_predict_with_other_data_or_facts(folder, capsys):
    assert train("s.csv") == 0
    write(folder / "t.csv", WAVE[:10])
    assert "t.csv expects at least 12 steps, as many as the net sees, got 10" in refused(
        capsys, "predict", "model.npz", "t.csv"
    )
    assert "--text has no column 'load' for the net: it has 'a'." in refused(
        capsys, "predict", "model.npz", "--text", "a\n1\n"
    )
    net = load("model.npz")
    good = dict(net.facts)
    for wrong in (
        {"columns": None}, {"targets": ["cold"]}, {"columns": [["load"], "heat"]}, {"window": 0}, {"window": "12"},
        {"quantiles": [0.5]}, {"scaler": {}}, {"scaler": {"mean": [0.0], "scale": [1.0]}}, {"scaler": 3},
    ):  # fmt: skip
        net.facts = good | wrong
        net.save("wrong.npz")
        assert refused(capsys, "predict", "wrong.npz", "s.csv")


def test_a_column_without_a_name_is_left_out_by_that_name(folder, capsys):
    """As other programs write the index of a table: ",heat"."""
    rows = "\n".join(f"day {k},{v}" for k, v in enumerate(WAVE))
    (folder / "index.csv").write_text(f",heat\n{rows}\n", encoding="utf-8")
    _, out, _ = run(capsys, "train", "index.csv", *SMALL)
    assert "without ''" in " ".join(out.split())
