"""`minidl train` and `minidl predict` of text_classifier and tagger: what is learned, said, saved and refused."""

from __future__ import annotations

import io
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from minidl import load
from minidl.cli.tasks.tagger import Sentences, by_token
from minidl.trainer import Trainer
from tests.command import refused, run

TEXTS = ["--model", "text_classifier", "--units", "8"]
TAGS = ["--model", "tagger", "--units", "8"]
GOOD, BAD = ["good", "lovely", "great"], ["bad", "awful", "dull"]


def write(name, content):
    with open(name, "w", encoding="utf-8") as file:
        file.write(content)
    return name


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    """A table of 120 short reviews in an empty folder: good or bad, by one word."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    rows = [
        f'{n},"{draw.choice(["The", "A"])} {draw.choice(GOOD if n % 2 else BAD)} {draw.choice(["film", "book"])}, '
        f'no. {n}!",{"yes" if n % 2 else "no"}\n'
        for n in range(120)
    ]
    return write("reviews.csv", "id,review,liked\n" + "".join(rows))


@pytest.fixture
def tagged(tmp_path, monkeypatch):
    """A file with 80 sentences, a token and its tag a line, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    words = {"DET": ["the", "a"], "NOUN": ["cat", "run", "walk"], "VERB": ["run", "walk", "sees"]}
    shapes = [["DET", "NOUN", "VERB"], ["NOUN", "VERB", "DET", "NOUN"], ["VERB", "DET", "NOUN"]]
    sentences = ["".join(f"{draw.choice(words[tag])} {tag}\n" for tag in draw.choice(shapes)) for _ in range(80)]
    return write("tagged.txt", "\n".join(f"{sentence}{n} NUM\n" for n, sentence in enumerate(sentences)))


# -- inputs ----------------------------------------------------------------------------------------


def fed(monkeypatch, data):
    """These bytes on standard input, in a locale that is not UTF-8, as Python opens it: line ends as they are."""
    stream = io.TextIOWrapper(io.BytesIO(data), encoding="latin1", newline="\n")
    monkeypatch.setattr(sys, "stdin", stream)


@pytest.fixture
def classifier(reviews, capsys):
    """A model of reviews."""
    assert run(capsys, "train", reviews, *TEXTS, "--steps", "1", "--quiet")[0] == 0
    return "model.npz"


def test_standard_input_is_read_as_files_are(classifier, capsys, monkeypatch):
    """UTF-8 whatever the locale, a mark at the beginning, the line ends of all systems, an empty line, no last end."""
    data = "\ufeffgood caf\xe9\r\n\r\nbad\u2028film".encode()
    Path("lines.txt").write_bytes(data)
    fed(monkeypatch, data)
    piped = run(capsys, "predict", classifier, "--json")
    assert piped == run(capsys, "predict", classifier, "lines.txt", "--json")
    told = [json.loads(line)["text"] for line in piped[1].split("\n")[:-1]]
    assert told == ["good caf\xe9", "", "bad\u2028film"]


def test_a_line_is_what_ends_with_a_line_end(reviews, capsys, monkeypatch):
    """A form feed ends none: a line of output for each of the input, wherever that comes from."""
    write("text.txt", "so\x0c it\u2028 is\n" * 100)
    assert run(capsys, "train", "text.txt", "--steps", "1", "--units", "3", "--quiet")[0] == 0
    write("lines.txt", "it\x0c\n\nis\u2028so\n")
    fed(monkeypatch, "it\x0c\n\nis\u2028so\n".encode())
    given = [], ["lines.txt"], ["--text", "it\x0c\n\nis\u2028so\n"]
    told = [run(capsys, "predict", "model.npz", "--json", *inputs)[1].split("\n")[:-1] for inputs in given]
    assert [json.loads(line)["text"] for line in told[0]] == ["it\x0c", "", "is\u2028so"]
    assert told[0] == told[1] == told[2]


def test_files_may_stand_before_and_behind_the_options(classifier, capsys):
    write("a.txt", "good\n")
    write("b.txt", "bad\n")
    told = run(capsys, "predict", classifier, "a.txt", "b.txt", "--json")
    assert told[0] == 0 and told[1].count("\n") == 2
    assert run(capsys, "predict", classifier, "--json", "a.txt", "b.txt") == told
    assert run(capsys, "predict", classifier, "a.txt", "--json", "b.txt") == told
    assert "unrecognized arguments: --jsno" in refused(capsys, "predict", classifier, "--jsno", "a.txt")


def test_standard_input_that_is_closed_or_no_text(classifier, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert run(capsys, "predict", classifier) == (0, "", "")
    fed(monkeypatch, b"good\ncaf\xe9\n")
    code, out, err = run(capsys, "predict", classifier)
    assert code == 2 and out.count("\n") == 1  # the lines before it are answered
    assert "standard input is expected to be text in UTF-8, but 0xE9 in line 2 is none" in err and err.count("\n") == 1


# -- texts ------------------------------------------------------------------------------------------


def test_a_table_of_texts_is_learned_and_predicted(reviews, capsys, monkeypatch):
    code, out, err = run(capsys, "train", reviews, *TEXTS, "--epochs", "8", "--lr", "0.02", "--text-column", "review")
    assert code == 0 and not err
    told = " ".join(out.split())
    for words in (
        "reviews.csv · 108 texts in 'review' to train on, 12 held out · 2 labels in 'liked'",
        "would be 50.0 % right",
        "label frequencies 0.69",
        "valid accuracy",
        "validation 100.0 % right",
        "saved model.npz · next: minidl predict model.npz --text ",
    ):
        assert words in told
    assert all(len(line) <= 80 for line in out.splitlines() if "saved" not in line)
    net = load("model.npz")
    assert net.facts["labels"] == ["no", "yes"] and net.facts["model"] == "text_classifier"
    assert net.facts["label column"] == "liked" and net.facts["symbols"] == "words"
    assert {"lovely", "dull", ",", "!", "<unk>"} < set(net.vocab.words) and "117" not in net.vocab.words

    code, out, _ = run(capsys, "predict", "model.npz", "--text", "A LOVELY thing!\nsuch an awful thing")
    assert code == 0 and [line.split("\t")[0] for line in out.splitlines()] == ["yes", "no"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("good\n\nbad\n"))
    _, out, _ = run(capsys, "predict", "model.npz", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["label"] for row in rows] == ["yes", None, "no"] and rows[1]["probability"] is None
    assert all(0.5 < row["probability"] <= 1 for row in rows[::2])
    write("new.csv", 'review,author\n"good,\nreally",x\n,y\n')
    _, out, _ = run(capsys, "predict", "model.npz", "new.csv")
    assert [line.split("\t")[::2] for line in out.splitlines()] == [["yes", "good,\\nreally"], ["-", ""]]
    write("new.txt", "dull\ngreat\n")
    _, out, _ = run(capsys, "predict", "model.npz", "new.txt", "new.csv")
    assert [line.split("\t")[0] for line in out.splitlines()] == ["no", "yes", "yes", "-"]


@pytest.mark.parametrize("suffix", ["tsv", "jsonl"])
def test_other_tables_give_the_same_model(reviews, capsys, suffix):
    rows = [(f"{word} film", "yes" if word in GOOD else "no") for word in GOOD + BAD] * 4
    write("a.csv", "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    if suffix == "tsv":
        write("a.tsv", "label\ttext\n" + "".join(f"{label}\t{text}\n" for text, label in rows))
    else:
        write("a.jsonl", "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    for name in "a.csv", f"a.{suffix}":
        assert (
            run(capsys, "train", name, *TEXTS, "--steps", "3", "--quiet", "--valid", "0.5", "--out", f"{name}.npz")[0]
            == 0
        )
    one, other = load("a.csv.npz"), load(f"a.{suffix}.npz")
    assert all(np.array_equal(p.value, other.params[name].value) for name, p in one.params.items())


def test_texts_without_blanks_are_read_by_characters(reviews, capsys):
    names = [f"{name}{n},{label}\n" for n in range(6) for name, label in (("Anna", "f"), ("Maria", "f"), ("Otto", "m"))]
    write("names.csv", "name,sex\n" + "".join(names))
    code, out, _ = run(capsys, "train", "names.csv", *TEXTS, "--steps", "2", "--label-column", "sex")
    assert code == 0 and "chars ·" in out and load("model.npz").facts["symbols"] == "chars"
    code, out, _ = run(capsys, "predict", "model.npz", "--text", "Annaξ\nAnna\nξ")  # unknown ones are left out
    one, other, nothing = (line.split("\t") for line in out.splitlines())
    assert code == 0 and one[:2] == other[:2] and nothing == ["-", "-", "ξ"]
    run(capsys, "train", "names.csv", *TEXTS, "--steps", "2", "--label-column", "sex", "--symbols", "words")
    assert load("model.npz").facts["symbols"] == "words"


def test_files_to_validate_and_test_with(reviews, capsys):
    write("held.csv", 'liked,review\nyes,good\nno,bad\nno,"This bad film, no. 0!"\n')
    write("test.csv", "review,liked\ndull,no\n")
    code, out, err = run(capsys, "train", reviews, *TEXTS, "--steps", "5", "--valid", "held.csv", "--test", "test.csv")
    told = " ".join(out.split())
    assert (code, err) == (0, "") and "120 texts in 'review' to train on, 3 held out" in told and "\ntest " in out
    assert load("model.npz").facts["rows"] == 120


def test_texts_that_are_the_same_are_on_one_side(reviews, capsys):
    write("twice.csv", "text,label\n" + "a good film,yes\nA  GOOD film,yes\nso bad,no\nso dull,no\n" * 20)
    assert "cannot hold out any" not in run(capsys, "train", "twice.csv", *TEXTS, "--steps", "1", "--valid", "0.3")[2]
    write("held.csv", "text,label\na good film,yes\nnew one,no\n")
    _, out, _ = run(capsys, "train", "twice.csv", *TEXTS, "--steps", "1", "--valid", "held.csv")
    assert "1 of these are trained on as well" in " ".join(out.split())


def test_rows_without_text_are_left_out_and_counted(reviews, capsys):
    with open(reviews, "a", encoding="utf-8") as file:
        file.write('200,,yes\n201," ",\n')
    code, out, _ = run(capsys, "train", reviews, *TEXTS, "--steps", "1")
    assert code == 0 and "2 rows without text left out" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expects a table of texts and labels to train on, got none: name a file"),
        (["nothing.csv"], "nothing.csv cannot be read"),
        (["reviews.csv", "--label-column", "like"], "no column 'like' for the labels: did you mean 'liked'?"),
        (["reviews.csv", "--label-column", "id"], "120 different labels in 120 rows of column 'id', such as '0', too"),
        (["reviews.csv", "--text-column", "text"], "no column 'text' for the texts: it has 'review', 'id'"),
        (["reviews.csv", "--text-column", "liked"], "has its texts and its labels in 'liked'"),
        (["one.csv"], "one.csv has one label in column 'label', 'x': a classifier needs two or more"),
        (["two.csv"], "two.csv has 2 different labels in 2 rows"),
        (["four.csv"], "--valid 0.1 cannot hold out any of 4 rows and leave some of each label"),
        (["empty.csv"], "empty.csv has no text in column 'text': choose --text-column"),
        (["unlabelled.csv"], "unlabelled.csv:3 has an empty 'label': label it"),
        (["column.csv"], "column.csv has one column, 'text': a classifier takes a text and a label a row"),
        (["lines.txt"], "lines.txt has one column, 'text'"),
        (["reviews.csv", "--valid", "strange.csv"], "strange.csv:3 expects a label that is trained on, got 'maybe'"),
        (["reviews.csv", "--test", "strange.csv"], "strange.csv:3 expects a label that is trained on, got 'maybe'"),
        (["reviews.csv", "--valid", "four.csv"], "four.csv has no column 'review' for the texts: it has 'text', "),
        (["reviews.csv", "--symbols", "chars", "--min-count", "9999"], "--min-count 9999 expects longer texts"),
        (["ragged.csv"], "ragged.csv:2 expects 2 fields, as the header has, got 3"),
        (["numbers.jsonl"], "numbers.jsonl:1 expects 'text' to be a string, got ['a']"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_one_line(reviews, capsys, arguments, message):
    write("one.csv", "text,label\na b,x\nc d,x\n")
    write("two.csv", "text,label\na b,x\nc d,y\n")
    write("four.csv", "text,label\na b,x\nc d,y\ne f,x\ng h,y\n")
    write("empty.csv", "text,label\n,x\n ,y\n")
    write("unlabelled.csv", "text,label\na b,x\nc d,\n")
    write("column.csv", "text\na b\n")
    write("lines.txt", "a b\n")
    write("strange.csv", "review,liked\na,yes\nb,maybe\n")
    write("ragged.csv", "text,label\na,b,x\n")
    write("numbers.jsonl", '{"text": ["a"], "label": 1}\n')
    assert message in refused(capsys, "train", *arguments, *TEXTS, "--steps", "1")
    assert not {"model.npz", "model.run"} & {*os.listdir()}


# -- tags ---------------------------------------------------------------------------------------------


def test_sentences_are_learned_and_tagged(tagged, capsys, monkeypatch):
    code, out, err = run(
        capsys, "train", tagged, *TAGS, "--epochs", "25", "--batch", "8", "--lr", "0.02", "--valid", "0.2"
    )
    assert code == 0 and not err
    told = " ".join(out.split())
    for words in (
        "tagged.txt · 64 sentences to train on, 16 held out · 4 tags · always 'NOUN' would be",
        "each token's usual tag",
        "tag frequencies 1.",
        "tags by token 0.",
        "validation 100.0 % of the tags right",
        "saved model.npz · next: minidl predict model.npz --text '",
    ):
        assert words in told
    assert all(len(line) <= 80 for line in out.splitlines() if "saved" not in line)
    assert load("model.npz").facts["labels"] == ["DET", "NOUN", "NUM", "VERB"]

    _, out, _ = run(capsys, "predict", "model.npz", "--text", "The walk run a run 9999")
    assert out == "The\tDET\nwalk\tNOUN\nrun\tVERB\na\tDET\nrun\tNOUN\n9999\tNUM\n\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("the cat run 7\n\n"))
    _, out, _ = run(capsys, "predict", "model.npz", "--json")
    assert [json.loads(line)["tags"] for line in out.splitlines()] == [["DET", "NOUN", "VERB", "NUM"], []]
    write("new.txt", "the\ncat\nrun\n7\n\nwalk\na\nrun\n8\n")
    write("new.jsonl", '{"tokens": ["the", "cat", "run", "7"]}\n{"tokens": ["walk", "a", "run", "8"]}\n')
    outputs = [run(capsys, "predict", "model.npz", name)[1] for name in ("new.txt", "new.jsonl")]
    assert outputs[0] == outputs[1] and outputs[0].count("\n\n") == 2 and "walk\tVERB\n" in outputs[0]


def test_what_is_known_of_each_token_without_a_net():
    """By hand: "run" was V twice and N once, "the" D once; "new" is new; V 2, N 1, D 1 and one more of each."""
    train = Sentences([["the", "run"], ["run", "run"]], [["D", "N"], ["V", "V"]], ["", ""])
    valid = Sentences([["run", "run", "the", "new"]], [["V", "N", "D", "D"]], [""])
    shares = Counter({"V": 3, "N": 2, "D": 2})
    right, loss = by_token(train, valid, shares)
    assert right == 0.5  # the most frequent tag of all is V
    expected = [(2 + 3 / 7) / 4, (1 + 2 / 7) / 4, (1 + 2 / 7) / 2, 2 / 7]
    assert loss == pytest.approx(-np.log(expected).mean())


def test_jsonl_with_names_of_its_own(tagged, capsys):
    rows = [{"ws": ["so", "it", word], "ts": ["A", "B", tag]} for word, tag in (("is", "V"), ("thing", "N"))] * 10
    write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert "has no column 'tokens' for the tokens: it has 'ws', 'ts'" in refused(capsys, "train", "a.jsonl", *TAGS)
    write("b.jsonl", "".join(json.dumps(row | {"ws": [f"{n}", *row["ws"][1:]]}) + "\n" for n, row in enumerate(rows)))
    names = ["--tokens-column", "ws", "--tags-column", "ts"]
    assert run(capsys, "train", "b.jsonl", *TAGS, *names, "--steps", "2", "--quiet")[0] == 0
    code, out, _ = run(capsys, "predict", "model.npz", "a.jsonl")
    assert code == 0 and out.count("so\t") == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expects sentences with tags to train on, got none: name a file"),
        (["untagged.txt"], "untagged.txt:1 expects a token and its tag, got 'so'"),
        (["one.txt"], "one.txt has one tag, 'A': a tagger needs two or more to tell apart"),
        (["few.txt"], "--valid 0.1 cannot hold out any of 1 row and"),
        (["tagged.txt", "--valid", "strange.txt"], "strange.txt:3 expects a label that is trained on, got 'X'"),
        (["table.csv"], "table.csv is expected to be JSONL, or text with a token a line, got CSV"),
    ],
)
def test_sentences_that_cannot_be_learned_are_one_line(tagged, capsys, arguments, message):
    write("untagged.txt", "so\nit\n")
    write("one.txt", "so A\nit A\n")
    write("few.txt", "so A\nit B\n")
    write("strange.txt", "the DET\n\na DET\ncat X\n")
    write("table.csv", "tokens,tags\n")
    assert message in refused(capsys, "train", *arguments, *TAGS, "--steps", "1")


# -- both ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["text_classifier", "tagger"])
def test_a_run_that_was_broken_off_goes_on_to_the_same_bits(reviews, tagged, capsys, monkeypatch, model):
    data = reviews if model == "text_classifier" else tagged
    options = [data, "--model", model, "--units", "8", "--steps", "6", "--batch", "16", "--quiet"]
    assert run(capsys, "train", *options, "--out", "whole.npz")[0] == 0
    update = Trainer._update

    def pressed(self, group):
        if self.step == 3:
            self.interrupted = "interrupted by Ctrl-C"
        update(self, group)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", pressed)
        run(capsys, "train", *options)
    code, out, err = run(capsys, "train", "--resume", "model.run", "--quiet")
    assert (code, out, err) == (0, "", "")
    one, other = load("whole.npz"), load("model.npz")
    assert all(np.array_equal(p.value, other.params[name].value) for name, p in one.params.items())


def test_what_is_for_language_models_says_so(reviews, capsys):
    run(capsys, "train", reviews, *TEXTS, "--steps", "1", "--quiet")
    err = refused(capsys, "sample", "model.npz")
    assert "model.npz is no language model, so it cannot go on with a text: use minidl predict" in err
    err = refused(capsys, "doctor", "model.npz")
    assert "model.npz is expected to be a language model, got a text_classifier: write a function that" in err


@pytest.mark.parametrize("model", ["text_classifier", "tagger"])
def test_a_model_that_tells_too_little_is_refused(reviews, tagged, capsys, model):
    run(capsys, "train", reviews if model == "text_classifier" else tagged, "--model", model, "--steps", "1", "--quiet")
    for labels in None, ["a"], 7:
        net = load("model.npz")
        net.facts["labels"] = labels
        net.save("other.npz")
        assert "Train it again" in refused(capsys, "predict", "other.npz", "--text", "so")
