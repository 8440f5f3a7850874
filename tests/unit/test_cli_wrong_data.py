"""Data that cannot be what `minidl train` takes it for: refused in one line that names the place, or warned of."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pytest

from minidl import load
from minidl.cli.tasks.forecast_lines import number_texts
from tests.command import refused, run

DAYS = [str(date(2020, 1, 1) + timedelta(days=k)) for k in range(120)]
WAVE = [round(100 + 10 * np.sin(k), 2) for k in range(len(DAYS))]
SERIES = ["--model", "forecaster", "--units", "4", "--window", "12", "--horizon", "3", "--steps", "2"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, header: str, rows: list[str]) -> str:
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join([*([header] if header else []), *rows]) + "\n")
    return name


def months(count: int) -> list[str]:
    return [f"{2000 + k // 12}-{k % 12 + 1:02d}" for k in range(count)]


# -- series -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("shop,month,y", [f"{shop},{m},{k % 9}" for shop in "AB" for k, m in enumerate(months(60))], "several series"),
        ("month,y", [f"{m},{k % 9}" for k, m in enumerate(months(60)) if k != 20], "w.csv:22 leaves a gap"),
        ("month,y", [f"{m},{k % 9}" for k, m in enumerate(months(60)) for _ in "ab"], "w.csv:3 repeats the date"),
        ("month,y", [*(f"{m},1" for m in months(60)), "Total,60"], "w.csv:62 must have a date in column 'month'"),
        ("month,y", [f'{m},"1{k:02d},000.50"' for k, m in enumerate(months(60))], "'100,000.50': write it as 100000.5"),
        ("month,y,n", [f"{m},${k}.50,{k % 7}" for k, m in enumerate(months(60))], "w.csv:2 expects a number in column"),
        ("month,y", [f"{m},{k} %" for k, m in enumerate(months(60))], "'y', got '0 %': write it as 0"),
        ("month,y", [f"{m},1'{k:03d} CHF" for k, m in enumerate(months(60))], "got \"1'000 CHF\": write it as 1000"),
        ("month,y", [f"{m},{k} kg" for k, m in enumerate(months(60))], "must have a number in a column, got"),
        ("2000-01-01,3.5", [f"{day},{k % 9}" for k, day in enumerate(DAYS)], "must begin with the names of the"),
        ("a,3.5", [f"b,{k % 9}.5" for k in range(60)], "must begin with the names of the columns, got the number"),
        ("A,5", [f"{'AB'[k % 2]},{k % 9}" for k in range(60)], "got 'A', which is also a value below"),
        ("sales of,year", [f"x,{1990 + k // 12}" for k in range(60)], "no column to forecast but 'year'"),
        ("month,y", [*(f"{m},1" for m in months(60)), "2005-01"], "w.csv:62 expects 2 fields, as the header has"),
    ],
)  # fmt: skip
def test_series_that_are_none_are_refused_by_their_place(folder, capsys, header, rows, words):
    write("w.csv", header, rows)
    assert words in refused(capsys, "train", "w.csv", *SERIES)


@pytest.mark.parametrize("end", ["{0},1\n{0},1", "2021-01-01,1", "Total,5", "{0},$5"])
def test_predict_refuses_what_train_refuses(folder, capsys, end):
    rows = [f"{day},{value}" for day, value in zip(DAYS, WAVE, strict=True)]
    write("s.csv", "date,y", rows)
    assert run(capsys, "train", "s.csv", *SERIES, "--quiet")[0] == 0
    write("w.csv", "date,y", rows + end.format("2020-04-30").split("\n"))
    assert "w.csv:" in refused(capsys, "predict", "model.npz", "w.csv")


def test_the_year_is_not_forecast_unless_it_is_asked_for(folder, capsys):
    write("s.csv", "sales,year", [f"{k % 9},{1990 + k // 12}" for k in range(90)])
    assert run(capsys, "train", "s.csv", *SERIES, "--quiet")[0] == 0
    assert load("model.npz").facts["targets"] == ["sales"]
    assert run(capsys, "train", "s.csv", *SERIES, "--quiet", "--target", "year")[0] == 0
    assert load("model.npz").facts["targets"] == ["year"]


@pytest.mark.parametrize("scale", [1e9, 1.0, 1e-298, -1e12])
def test_predict_prints_the_scale_and_the_ends_of_each_interval(folder, capsys, scale):
    """Of numbers that differ in the ninth digit, as of those next to the smallest of float64."""
    width = 1e-8 if abs(scale) > 1e6 else 1.0
    values = [scale * (1 + width * 0.1 * np.sin(k)) for k in range(len(DAYS))]
    write("s.csv", "date,y", [f"{day},{value!r}" for day, value in zip(DAYS, map(float, values), strict=True)])
    assert run(capsys, "train", "s.csv", *SERIES[:-1], "30", "--quiet")[0] == 0
    rows = [line.split("\t") for line in run(capsys, "predict", "model.npz", "s.csv")[1].splitlines()]
    told = [json.loads(line) for line in run(capsys, "predict", "model.npz", "s.csv", "--json")[1].splitlines()]
    assert len({len(row[2]) for row in rows}) == len({len(row[3]) for row in rows}) == 1  # aligned
    for row, numbers in zip(rows, told, strict=True):
        low, high = map(float, row[3].split(" to "))
        assert low < float(row[2]) < high and high - low == pytest.approx(numbers["0.9"] - numbers["0.1"], rel=0.01)
        assert min(values) - 3 * np.ptp(values) < float(row[2]) < max(values) + 3 * np.ptp(values)


def test_numbers_of_a_forecast_are_readable():
    assert number_texts(np.array([[20.1234567, 22.5, 25.0]])) == [["20.1235", "22.5000", "25.0000"]]
    assert number_texts(np.array([[0.0, 0.0]])) == [["0.00000", "0.00000"]]
    assert number_texts(np.array([[-5e7, 1.0, 1e8]])) == [["-50000000", "        1", "100000000"]]
    assert number_texts(np.array([[1e20, 2e20]])) == [["1.00000e+20", "2.00000e+20"]]


# -- texts with labels ------------------------------------------------------------------------------------

CLASSIFIER = ["--model", "text_classifier", "--units", "4", "--steps", "1"]
REVIEWS = [f"a {'good' if k % 2 else 'bad'} film {k},{'pos' if k % 2 else 'neg'}" for k in range(60)]


def test_a_label_that_is_not_validated_is_warned_of(folder, capsys):
    write(
        "r.csv", "text,label", [f"plain text {k},common" for k in range(99)] + ["one here,rare", "none,odd", "no,new"]
    )
    code, out, err = run(capsys, "train", "r.csv", *CLASSIFIER, "--json")
    assert code == 0 and all(map(json.loads, out.splitlines())) and err.count("\n") == 1
    assert err.startswith("minidl train: Labels 'new', 'odd', 'rare' do not occur in the validation set")


def test_a_tag_that_is_not_validated_is_warned_of(folder, capsys):
    sentences = [f"the A\nfilm{k} B\n" for k in range(40)] + ["rare C\nfilm B\n"]
    write("t.txt", "", sentences)
    code, _, err = run(capsys, "train", "t.txt", "--model", "tagger", "--units", "4", "--steps", "1")
    assert code == 0 and err.startswith(
        "minidl train: Tag 'C' does not occur in the validation set, which says nothing"
    )


def test_a_first_row_of_data_is_refused_and_may_be_named(folder, capsys):
    write("r.csv", "", REVIEWS)
    assert "'neg' is also a value below. Put a line with names first" in refused(capsys, "train", "r.csv", *CLASSIFIER)
    code, _, err = run(capsys, "train", "r.csv", *CLASSIFIER, "--label-column", "neg", "--text-column", "a bad film 0")
    assert code == 0 and not err


@pytest.mark.parametrize("header", ["text,label", "review,rating", "How did you like the film?,grade", "id and text,y"])
def test_names_of_columns_are_not_taken_for_data(folder, capsys, header):
    write("r.csv", header, REVIEWS)
    code, _, err = run(capsys, "train", "r.csv", *CLASSIFIER)
    assert code == 0 and (not err or "the header looks like data, 'How did you like the film?'" in err)


def test_jsonl_has_names_with_its_values(folder, capsys):
    rows = [{"pos": f"a film {k}", "neg": "neg" if k % 2 else "pos"} for k in range(60)]
    write("r.jsonl", "", [json.dumps(row) for row in rows])
    assert run(capsys, "train", "r.jsonl", *CLASSIFIER)[0] == 0


def test_a_field_that_is_missing_is_called_so(folder, capsys):
    write("r.csv", "text,label", [*REVIEWS, "only one field"])
    words = "r.csv:62 expects 2 fields, as the header has, got 1: 1 field is missing; commas separate fields"
    assert words in refused(capsys, "train", "r.csv", *CLASSIFIER)


# -- pairs and tags ---------------------------------------------------------------------------------------

PAIRS = ["--model", "seq2seq", "--units", "4", "--steps", "1"]


@pytest.mark.parametrize("name", ["source", "target"])
@pytest.mark.parametrize("where", ["train", "valid", "test"])
def test_an_empty_side_of_a_pair_is_refused(folder, capsys, name, where):
    good = [f"a{k}\tb{k}" for k in range(30)]
    bad = [*good, "\tb" if name == "source" else "a\t"]
    for file in "train", "valid", "test":
        write(f"{file}.tsv", "source\ttarget", bad if file == where else good)
    options = ["--valid", "valid.tsv", "--test", "test.tsv"]
    assert f"{where}.tsv:32 has an empty '{name}'" in refused(capsys, "train", "train.tsv", *PAIRS, *options)


def test_a_first_pair_of_sentences_as_header_is_warned_of(folder, capsys):
    write("p.tsv", "", ["Go.\tVa !"] + [f"I run {k}.\tJe cours {k}." for k in range(40)])
    code, _, err = run(capsys, "train", "p.tsv", *PAIRS)
    assert code == 0 and err.startswith("minidl train: p.tsv: the header looks like data, 'Go.', 'Va !'")


def test_a_first_pair_as_header_is_warned_of_and_the_columns_are_shown(folder, capsys):
    write("p.csv", "", [f"{k}+{k},{2 * k}" for k in range(40)])
    code, out, err = run(capsys, "train", "p.csv", *PAIRS)
    assert code == 0 and "the header looks like data, '0+0', '0'" in err and "'0+0' to '0'" in " ".join(out.split())
    write("p.csv", "sum,result", [f"{k}+{k},{2 * k}" for k in range(40)])
    assert run(capsys, "train", "p.csv", *PAIRS)[2] == ""


CONLLU = "# sent_id = 1\n# text = Dogs bark\n1-2\tDogsbark\t_\t_\n1\tDogs\tdog\tNOUN\n2\tbark\tbark\tVERB\n\n"


@pytest.mark.parametrize(
    "text",
    [
        CONLLU * 30,
        CONLLU.replace("# sent_id = 1\n# text = Dogs bark\n", "") * 30,
        "1\tDogs\tdog\tNOUN\tNN\t_\t2\tnsubj\t_\t_\n2\tbark\tbark\tVERB\tVB\t_\t0\troot\t_\t_\n\n" * 30,
        "# newdoc id = x\nDogs\tNOUN\n\n" * 30,
    ],
    ids=["comments", "ranges", "ten columns", "comments over two columns"],
)
@pytest.mark.parametrize("name", ["t.conllu", "t.txt"])
def test_conllu_is_named(folder, capsys, text, name):
    write(name, "", [text])
    said = refused(capsys, "train", name, "--model", "tagger", "--units", "4", "--steps", "1")
    assert f"{name} is CoNLL-U" in said and "a token and its tag a line" in said


@pytest.mark.parametrize("header", ["token\ttag", "Word POS", "form\tlemma\tupos"])
def test_a_header_over_tokens_is_refused(folder, capsys, header):
    mark = "\t" if "\t" in header else " "
    fields = header.count(mark)
    write("t.tsv", header, [mark.join(["so", *["A"] * fields]) + "\n" + mark.join(["it", *["B"] * fields])] * 30)
    said = refused(capsys, "train", "t.tsv", "--model", "tagger", "--steps", "1")
    assert "t.tsv must begin with a token, got the header" in said


def test_an_empty_tag_is_refused(folder, capsys):
    write("t.jsonl", "", ['{"tokens": ["so", "it"], "tags": ["A", "B"]}'] * 20 + ['{"tokens": ["a"], "tags": [" "]}'])
    said = refused(capsys, "train", "t.jsonl", "--model", "tagger", "--steps", "1")
    assert "t.jsonl:21 must have a tag for each token, got an empty one" in said


@pytest.mark.parametrize("line", ["# O", "#\tO", "#tag O", "1 NUM"])
def test_marks_and_numbers_are_tokens(folder, capsys, line):
    mark = "\t" if "\t" in line else " "
    write("t.txt", "", [f"{line}\nso{mark}A\n"] * 30)
    assert run(capsys, "train", "t.txt", "--model", "tagger", "--units", "4", "--steps", "1", "--valid", "0.5")[0] in (
        0,
        2,
    )
    assert "CoNLL-U" not in run(capsys, "train", "t.txt", "--model", "tagger", "--units", "4", "--steps", "1")[2]
