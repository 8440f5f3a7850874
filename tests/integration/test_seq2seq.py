"""The encoder-decoder as people use it: trained on pairs, saved and loaded, broken off and resumed, its gradients."""

from __future__ import annotations

import random

import numpy as np
import pytest
from minidl.models import seq2seq

from minidl import (
    Adam,
    CharVocab,
    Checkpoint,
    ClipNorm,
    CrossEntropy,
    Trainer,
    accuracy,
    beam_search,
    exact_match,
    load,
    pair_batches,
    translate,
)
from minidl.checking import gradcheck
from tests.parameters import every

VOCAB = CharVocab("0123456789+")
OPTIONS = [
    {}, {"layers": 2, "dropout": 0.3}, {"attention": False}, {"attention": False, "layers": 2, "dropout": 0.3}
]  # fmt: skip


def sums(count, seed=0):
    """Questions and their answers, all different."""
    draw = random.Random(seed)
    every = [(a, b) for a in range(50) for b in range(10)]
    chosen = draw.sample(every, count)
    return [f"{a}+{b}" for a, b in chosen], [str(a + b) for a, b in chosen]


def trainer(net, *callbacks, seed=3):
    return Trainer(
        net, CrossEntropy(), Adam(5e-3), [ClipNorm(1.0), *callbacks], metrics=[accuracy, exact_match], seed=seed,
        quiet=True,
    )  # fmt: skip


def bits(net):
    return [p.value.tobytes() for p in net.params.values()]


def test_it_learns_to_add_and_writes_what_its_metric_says():
    questions, answers = sums(200)
    net = seq2seq(len(VOCAB), 48)
    data = pair_batches(questions, answers, VOCAB, 20)
    learned = trainer(net)
    learned.fit(data, epochs=14)
    figures = learned.evaluate(data)
    assert 0.5 < figures["exact_match"] < figures["accuracy"] < 1
    written = [found[0] for found in translate(net, VOCAB, questions, length=5)]
    right = [answer.text == wanted for answer, wanted in zip(written, answers, strict=True)]
    assert np.mean(right) == pytest.approx(figures["exact_match"])  # greedy search is what the metric measures
    wide = [found[0] for found in translate(net, VOCAB, questions, length=5, beam=4)]
    gains = [w.log_probability - g.log_probability for w, g in zip(wide, written, strict=True)]
    assert min(gains) > -1e-6


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_saved_and_loaded_it_is_the_same_to_the_bit(tmp_path, options):
    questions, answers = sums(30)
    net = seq2seq(len(VOCAB), 10, **options)
    trainer(net).fit(pair_batches(questions, answers, VOCAB, 8), epochs=2)
    net.vocab = VOCAB
    net.save(tmp_path / "adder.npz")
    twin = load(tmp_path / "adder.npz")
    assert bits(twin) == bits(net) and list(twin.params) == list(net.params) and twin.vocab == VOCAB
    batch = next(iter(pair_batches(questions, answers, VOCAB, 8)))
    assert (twin.predict(batch.x, mask=batch.mask) == net.predict(batch.x, mask=batch.mask)).all()
    found = [beam_search(n, batch.x[0], go=11, end=11, length=5, beam=3, mask=batch.mask[0]) for n in (net, twin)]
    assert str(found[0]) == str(found[1])


def test_broken_off_and_resumed_it_ends_at_the_same_bits(tmp_path):
    questions, answers = sums(60)

    class Stop:
        """End the training as Ctrl-C would, in the middle of an epoch."""

        def on_step_end(self, trainer):
            if trainer.step == 11:
                trainer.interrupted = "interrupted by Ctrl-C"

    def run(folder, *callbacks, resume=False):
        net = seq2seq(len(VOCAB), 10, dropout=0.2)
        data = pair_batches(questions, answers, VOCAB, 8, seed=1, by_length=True)
        held_out = pair_batches(*sums(20, seed=1), VOCAB, 8, shuffle=False)
        going = trainer(net, Checkpoint(tmp_path / folder), *callbacks)
        history = going.fit(data, epochs=3, validation=held_out, resume=resume)
        return net, going.step, history["valid_exact_match"]

    whole, steps, _ = run("whole")
    broken, stopped, _ = run("broken", Stop())
    assert stopped == 11 < steps
    assert bits(broken) != bits(whole)
    resumed, ended, _ = run("broken", resume=True)
    assert ended == steps and bits(resumed) == bits(whole)


@pytest.mark.parametrize("options", every(2, OPTIONS), ids=str)
def test_its_gradients_are_right(options):
    net = seq2seq(5, 4, embedding=3, **options)
    net.build(((None,), (None,)))
    report = gradcheck(net)
    assert report.ok, report


def test_what_is_padding_changes_nothing():
    questions, answers = sums(6)
    net = seq2seq(len(VOCAB), 10, layers=2)
    net.build(((None,), (None,)), dtype=np.float64)
    learner = trainer(net)
    together = learner.evaluate(pair_batches(questions, answers, VOCAB, 6))
    alone = [learner.evaluate(pair_batches([q], [a], VOCAB)) for q, a in zip(questions, answers, strict=True)]
    symbols = [len(answer) + 1 for answer in answers]
    assert together["loss"] == pytest.approx(np.average([one["loss"] for one in alone], weights=symbols), abs=1e-12)
