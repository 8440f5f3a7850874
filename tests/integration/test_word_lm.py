"""The word model and its recipes: by the command, against the recipe written down a second time."""

import json
import math

import numpy as np
import pytest
from minidl.models import RECIPES, word_lm

import minidl
from minidl import LSTM, Dropout, checking
from minidl.cli import main
from tests.parameters import fraction

LINES = ["the cat sat on the mat", "a dog sat on a log", "the dog ate the cat", "a cat ate a mat", "the log sat"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three texts in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, count in ("train", 1500), ("valid", 60), ("test", 60):
        text = "".join(f"{LINES[k]}\n" for k in rng.integers(0, len(LINES), count))
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return ["--model", "word_lm", "--train", "train.txt", "--valid", "valid.txt", "--test", "test.txt"]


def rows_of(capsys):
    """What the command printed with --json: what comes first, the epochs, what comes last."""
    first, *rows, last = map(json.loads, capsys.readouterr().out.splitlines())
    return first, rows, last


def by_hand(params, x, t):
    """The loss of two LSTM layers: summed over the steps, the mean of the rows; from zero states."""

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    y = params["embedding.E"][x]
    for name in "lstm", "lstm_2":
        Wx, Wh, b = (params[f"{name}.{p}"] for p in ("Wx", "Wh", "b"))
        h = c = np.zeros((len(x), len(Wh)))
        steps = []
        for k in range(x.shape[1]):
            i, f, o, g = np.split(y[:, k] @ Wx + h @ Wh + b, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            steps.append(h)
        y = np.stack(steps, axis=1)
    z = y @ params["dense.W"] + params["dense.b"]
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, t[..., None], axis=-1).sum() / len(x)


@pytest.mark.parametrize("clip", [5.0, 0.05])
def test_the_first_update_is_that_of_the_recipe(files, clip, capsys):
    """By complex steps through a second net; with 5 the gradient of so small a net is not clipped, with 0.05 it is."""
    small = ["--units", "3", "--batch", "2", "--window", "4", "--steps", "1", "--clip", str(clip)]
    assert main(["train", *files, "--preset", "zaremba-small", *small, "--json"]) == 0
    trained = minidl.load("model.npz")
    V = len(trained.vocab)
    begun = RECIPES["zaremba-small"]._replace(units=3).net(V)
    begun.build((None,), seed=0)
    params = {name: p.value.astype(np.float64) for name, p in begun.params.items()}
    ids = trained.vocab.encode(minidl.read_text("train.txt"))
    rows = ids[: 2 * ((len(ids) - 1) // 2)].reshape(2, -1)
    x, t = rows[:, :4], np.stack([ids[1:5], ids[1 + rows.shape[1] : 5 + rows.shape[1]]])
    grads = {name: np.zeros(value.shape) for name, value in params.items()}
    for name, value in params.items():
        for at in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[at] += 1e-30j
            grads[name][at] = by_hand(params | {name: moved}, x, t).imag / 1e-30
    norm = math.sqrt(sum((g**2).sum() for g in grads.values()))
    assert (norm > clip) == (clip == 0.05)
    for name, value in params.items():
        expected = value - 1.0 * min(1, clip / norm) * grads[name]
        np.testing.assert_allclose(trained.params[name].value, expected, atol=2e-6)
    row = rows_of(capsys)[1][0]
    assert row["norm"] == pytest.approx(norm, rel=1e-4)
    assert row["loss"] == pytest.approx(by_hand(params, x, t) / 4, rel=1e-5)
    assert math.exp(row["loss"]) == pytest.approx(V, rel=0.01)  # before it has learned anything


def test_the_recipe_step_by_step(files, capsys):
    """What is drawn, how the rate falls, how long it trains, what is said of each epoch and of the test."""
    small = ["--units", "8", "--preset", "zaremba-small"]
    assert main(["train", *files, *small, "--json"]) == 0
    first, rows, last = rows_of(capsys)
    facts = first["facts"]
    told = {name: facts[name] for name in ("preset", "batch", "window", "lr", "clip", "dropout", "layers")}
    assert told == {
        "preset": "zaremba-small", "batch": 20, "window": 20, "lr": 1.0, "clip": 5.0, "dropout": 0.0, "layers": 2,
    }  # fmt: skip
    assert [row["epoch"] for row in rows] == [*range(1, 14)]
    V = facts["symbols"]
    windows = facts["steps"] // 13
    net = minidl.load("model.npz")
    rates = [trained["rate"] for trained in rows]
    assert rates == [1.0] * 4 + [0.5 ** (e - 4) for e in range(5, 14)]
    length = (len(net.vocab.encode(minidl.read_text("train.txt"))) - 1) // 20
    assert windows == length // 20 and length % 20  # what is left of each row is left out
    assert net.vocab.words[0] in ("the", "<eos>", "a") and {"<eos>", "<unk>"} <= set(net.vocab.words)
    assert not any(isinstance(layer, Dropout) for layer in net) and len(net.vocab) == V
    test = net.vocab.encode(minidl.read_text("test.txt"))
    stream = minidl.TextStream(test, 1, 20)
    trainer = minidl.Trainer(net, minidl.CrossEntropy(), quiet=True)
    assert last["facts"]["test perplexity"] == pytest.approx(math.exp(trainer.evaluate(stream)["loss"]), rel=1e-4)
    assert last["facts"]["valid perplexity"] == pytest.approx(math.exp(rows[-1]["valid_loss"]), rel=1e-4)
    assert rows[-1]["valid_loss"] < min(rows[0]["valid_loss"], math.log(V))  # at first lr 1 is much for so few words


def test_what_the_recipes_draw():
    for name, limit, dropouts in ("zaremba-small", 0.1, 0), ("zaremba-medium", 0.05, 3), ("zaremba-large", 0.04, 3):
        net = RECIPES[name]._replace(units=20).net(50)
        net.build((None,))
        assert sum(isinstance(layer, Dropout) for layer in net) == dropouts
        for path, p in net.params.items():
            drawn = 0.0 if path.startswith("lstm") and path.endswith(".b") else limit
            assert drawn * 0.9 <= abs(p.value).max() <= drawn, path
        assert [layer.units for layer in net if isinstance(layer, LSTM)] == [20, 20]


def test_perplexities_are_what_the_console_shows(files, capsys):
    assert main(["train", *files, "--preset", "zaremba-small", "--units", "8", "--epochs", "2"]) == 0
    out = capsys.readouterr().out
    V = len(minidl.load("model.npz").vocab)
    row = next(line for line in out.splitlines() if line.split()[:1] == ["1"])
    train, valid = (float(figure) for figure in row.split()[1:3])
    facts = minidl.load("model.npz").facts
    assert f"{facts['valid perplexity']:,.2f}" in out and f"uniform {V:.2f}" in out
    assert 1 < train < 2 * V and 1 < valid < 2 * V
    assert "\nvalidation perplexity " in out and "\ntest perplexity " in out
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith(("saved", "validation", "test")))


@pytest.mark.parametrize(("tie", "peephole"), fraction([False, True], [False, True]))
def test_its_gradients_are_right(tie, peephole):
    net = word_lm(7, 4, layers=2, peephole=peephole, tie=tie, dropout=0.3, init=minidl.uniform(0.1))
    net.build((None,))
    rng = np.random.default_rng(0)
    x, t = rng.integers(0, 7, (2, 2, 5))
    assert checking.gradcheck(net, x, loss=minidl.CrossEntropy(), target=t).ok


def test_it_goes_on_to_the_same_bits(files, capsys, monkeypatch):
    options = ["--preset", "zaremba-small", "--units", "6", "--dropout", "0.2", "--epochs", "2", "--quiet"]
    assert main(["train", *files, *options, "--out", "whole.npz"]) == 0
    update = minidl.Trainer._update

    def pressing(self, group):
        update(self, group)
        if self.step == 3:
            self.interrupted = "interrupted by Ctrl-C"

    with monkeypatch.context() as patch:
        patch.setattr(minidl.Trainer, "_update", pressing)
        assert main(["train", *files, *options]) == 130
    assert main(["train", "--resume", "model.run", "--quiet"]) == 0
    one, other = minidl.load("model.npz"), minidl.load("whole.npz")
    assert one.vocab == other.vocab
    for name, p in one.params.items():
        assert p.value.tobytes() == other.params[name].value.tobytes()


def test_its_own_settings_learn_and_predict(files, capsys):
    assert main(["train", *files, "--steps", "200", "--units", "16", "--lr", "0.02", "--quiet"]) == 0
    assert main(["predict", "model.npz", "--text", "the cat sat on the mat\nmat mat mat mat mat"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (usual, one), (odd, other) = (line.split("\t") for line in lines)
    assert (one, other) == ("the cat sat on the mat", "mat mat mat mat mat") and float(usual) < float(odd) / 3
    assert main(["predict", "model.npz", "valid.txt", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == 60 and all(row.keys() == {"perplexity", "text"} for row in told)


def test_what_is_held_out_may_begin_with_empty_lines(files, capsys, tmp_path):
    """The samples then go on from the end of a line, and nobody is told of a prompt that was not given."""
    (tmp_path / "valid.txt").write_text("\n" * 200 + "the cat sat\n", encoding="utf-8")
    assert main(["train", *files, "--steps", "1", "--units", "3", "--quiet"]) == 0
    (tmp_path / "train.txt").write_text("a\n" * 40 + " \t", encoding="utf-8")
    options = ["--model", "word_lm", "train.txt", "--valid", "0.01", "--steps", "1"]
    assert main(["train", *options]) == 2
    assert "--valid 0.01 expects to hold out at least 2 words of the text, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--valid", "empty.txt"], "empty"),
        (["--valid", "nowhere.txt"], "Check the path"),
        (["--test", "nowhere.txt"], "Check the path"),
        (["--vocab-size", "2"], "--vocab-size"),
        (["--valid", "1.5"], "--valid"),
        (["--preset", "zaremba"], "--preset"),
        (["--prompt", ""], "--prompt"),
        (["--batch", "50000"], "--batch 50000"),
        (["text.txt"], "got both"),
        (["--train"], "--train"),
    ],
)
def test_what_is_refused(options, words, files, capsys, tmp_path):
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    try:
        code = main(["train", *files, *options, "--steps", "1"])
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert code == 2 and not out and words in err and err.count("\n") == 1, err
