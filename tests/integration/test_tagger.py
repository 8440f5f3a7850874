"""`tagger`: it learns, is saved and loaded, resumes to the same bits, and its gradients are right."""

import numpy as np
import pytest
from minidl.models import tagger

import minidl
from minidl import Adam, ClipNorm, CrossEntropy, PaddedBatches, Trainer, accuracy, load
from tests.integration.broken_off import assert_resumes, same

VOCAB = 8
rng = np.random.default_rng(0)


def sentences(count):
    """2 to 10 ids; the tag of each is 0 to 3: whether the id before it, and the one behind it, is less than 4."""
    rows = [rng.integers(0, VOCAB, rng.integers(2, 11)) for _ in range(count)]
    return rows, [np.r_[0, row[:-1] < 4] + 2 * np.r_[row[1:] < 4, 0] for row in rows]


ROWS, TAGS = sentences(500)
UNSEEN = PaddedBatches(*sentences(200), batch_size=64, shuffle=False)


def trainer_of(net):
    return Trainer(net, CrossEntropy(), Adam(0.02), [ClipNorm(5.0)], metrics=[accuracy], quiet=True)


@pytest.mark.parametrize("options", [{}, {"layers": 2, "dropout": 0.1}], ids=["one", "two"])
def test_it_learns_from_both_sides_and_comes_back_from_its_file(tmp_path, options):
    net = tagger(VOCAB, 4, units=12, **options)
    net.build((None,), seed=1)
    trainer = trainer_of(net)
    trainer.fit(PaddedBatches(ROWS, TAGS, batch_size=32, seed=1), epochs=8)
    assert trainer.evaluate(UNSEEN)["accuracy"] > 0.95
    net.save(tmp_path / "model.npz")
    again, batch = load(tmp_path / "model.npz"), next(iter(UNSEEN))
    assert same(net, again)
    assert np.array_equal(net.predict(batch.x, mask=batch.mask), again.predict(batch.x, mask=batch.mask))


def test_padding_changes_no_real_step():
    net = tagger(VOCAB, 4, units=6)
    net.build((None,), seed=1, dtype=np.float64)
    x, mask = minidl.pad([[1, 2, 3], [4, 5, 6]])
    alone, padded = net.predict(x, mask=mask), np.pad(mask, ((0, 0), (0, 4)))
    assert alone.shape == (2, 3, 4)
    zeros, ids = (
        net.predict(np.pad(x, ((0, 0), (0, 4)), constant_values=fill), mask=padded)[:, :3] for fill in (0, VOCAB - 1)
    )
    assert np.array_equal(zeros, ids)
    # some BLAS kernels add up the products of a wider array in another order
    np.testing.assert_allclose(ids, alone, rtol=1e-12)


def test_a_training_that_was_broken_off_ends_in_the_same_bits(tmp_path):
    def make_net():
        net = tagger(VOCAB, 4, units=8, dropout=0.2)
        net.build((None,), seed=1)
        return net

    assert_resumes(make_net, PaddedBatches(ROWS[:200], TAGS[:200], batch_size=32, seed=3, by_length=True), tmp_path)


def test_its_gradients_are_right():
    net = tagger(7, 3, units=3, layers=2, dropout=0.3, embedding=2)
    net.build((None,), seed=1)
    x, mask = minidl.pad([[1, 2, 3, 4, 5], [6, 0, 1]])
    t, _ = minidl.pad([[0, 1, 2, 0, 1], [2, 2, 1]])
    report = minidl.checking.gradcheck(net, x, CrossEntropy(), t, mask=mask)
    assert report.ok, str(report)
