"""`char_lm`: it learns, is saved and loaded, resumes to the same bits, and its gradients are right."""

from pathlib import Path

import numpy as np
import pytest
from minidl.models import char_lm

import minidl
from minidl import Adam, CharVocab, ClipNorm, CrossEntropy, TextStream, Trainer, load
from tests.integration.broken_off import assert_resumes, same

TEXT = "she sells sea shells by the sea shore, and the shells that she sells are sea shells.\n" * 20
VOCAB = CharVocab.of(TEXT)
IDS = VOCAB.encode(TEXT)


def made(**options):
    net = char_lm(len(VOCAB), 16, **options)
    net.build((None,), seed=1)
    return net


@pytest.mark.parametrize(
    "options", [{}, {"peephole": True}, {"layers": 2, "dropout": 0.1}], ids=lambda o: "-".join(map(str, o)) or "plain"
)
def test_it_learns_a_saying_and_comes_back_from_its_file(tmp_path, options):
    net = made(**options)
    Trainer(net, CrossEntropy(), Adam(0.02), [ClipNorm(5.0)], quiet=True).fit(TextStream(IDS, 4, 20), epochs=12)
    net.vocab = VOCAB
    net.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert same(net, again) and again.vocab == VOCAB
    written = ["".join(minidl.generate_text(one, VOCAB, "she s", 40, temperature=0)) for one in (net, again)]
    assert written[0] == written[1]
    assert f"she s{written[0][:15]}" in TEXT  # which words follow may differ by CPU


def test_a_training_that_was_broken_off_ends_in_the_same_bits(tmp_path):
    assert_resumes(lambda: made(peephole=True, dropout=0.2), TextStream(IDS, 4, 20), tmp_path)


@pytest.mark.parametrize("peephole", [False, "diagonal", "full"])
def test_its_gradients_are_right(peephole):
    net = char_lm(6, 3, layers=2, peephole=peephole, dropout=0.3, embedding=2)
    net.build((None,), seed=1)
    x, t = np.random.default_rng(0).integers(0, 6, (2, 2, 5))
    assert minidl.checking.gradcheck(net, x, CrossEntropy(), t).ok


def test_every_model_has_such_tests():
    here = Path(__file__).parent
    nets = [name for name in minidl.models.__all__ if name.islower()]
    assert len(nets) >= 6 and all((here / f"test_{name}.py").exists() for name in nets)


@pytest.mark.parametrize("name", [name for name in minidl.models.__all__ if name.islower()])
def test_models_refuse_what_is_no_number_of_layers(name):
    for layers in 0, -1, 1.5, True:
        with pytest.raises(minidl.ArgumentError, match="layers to be a positive integer"):
            getattr(minidl.models, name)(7, 4, layers=layers)
