"""`text_classifier`: it learns, is saved and loaded, resumes to the same bits, and its gradients are right."""

import numpy as np
import pytest
from minidl.models import text_classifier

import minidl
from minidl import Adam, ClipNorm, CrossEntropy, PaddedBatches, Trainer, accuracy, load
from tests.integration.broken_off import assert_resumes, same
from tests.parameters import slow

VOCAB, BEGIN, END = 12, 10, 11
rng = np.random.default_rng(0)


def texts(count):
    """3 to 12 ids; the class is which of two marks comes first, or 2 where there is none: a matter of order."""
    rows, labels = [], []
    for label in rng.integers(0, 3, count):
        row = rng.integers(0, 10, rng.integers(3, 13))
        if label < 2:
            first, second = sorted(rng.choice(len(row), 2, replace=False))
            row[[first, second]] = (BEGIN, END) if label == 0 else (END, BEGIN)
        rows.append(row)
        labels.append(label)
    return rows, labels


ROWS, LABELS = texts(600)
UNSEEN = PaddedBatches(*texts(300), batch_size=64, shuffle=False)


def trainer_of(net):
    return Trainer(net, CrossEntropy(), Adam(0.02), [ClipNorm(5.0)], metrics=[accuracy], quiet=True)


@pytest.mark.parametrize(
    "options",
    [{"pool": "max", "dropout": 0.1}, slow({"pool": "mean", "layers": 2})],
    ids=lambda o: "-".join(map(str, o)),
)
def test_it_learns_an_order_and_comes_back_from_its_file(tmp_path, options):
    net = text_classifier(VOCAB, 3, units=12, **options)
    net.build((None,), seed=1)
    trainer = trainer_of(net)
    trainer.fit(PaddedBatches(ROWS, LABELS, batch_size=32, seed=1), epochs=12)
    assert trainer.evaluate(UNSEEN)["accuracy"] > 0.9
    net.save(tmp_path / "model.npz")
    again, batch = load(tmp_path / "model.npz"), next(iter(UNSEEN))
    assert same(net, again)
    assert np.array_equal(net.predict(batch.x, mask=batch.mask), again.predict(batch.x, mask=batch.mask))


def test_padding_changes_no_result():
    net = text_classifier(VOCAB, 3, units=6)
    net.build((None,), seed=1, dtype=np.float64)
    x, mask = minidl.pad([[1, 2, 3], [4, 5, 6]])
    alone, padded = net.predict(x, mask=mask), np.pad(mask, ((0, 0), (0, 4)))
    zeros, ids = (
        net.predict(np.pad(x, ((0, 0), (0, 4)), constant_values=fill), mask=padded) for fill in (0, VOCAB - 1)
    )
    assert np.array_equal(zeros, ids)
    # some BLAS kernels add up the products of a wider array in another order
    np.testing.assert_allclose(ids, alone, rtol=1e-12)
    assert alone.sum(axis=-1) == pytest.approx([1, 1])


def test_a_training_that_was_broken_off_ends_in_the_same_bits(tmp_path):
    def make_net():
        net = text_classifier(VOCAB, 3, units=8, dropout=0.2)
        net.build((None,), seed=1)
        return net

    assert_resumes(make_net, PaddedBatches(ROWS[:200], LABELS[:200], batch_size=32, seed=3), tmp_path)


@pytest.mark.parametrize("pool", [slow("max"), "mean"])
def test_its_gradients_are_right(pool):
    net = text_classifier(7, 3, units=2, layers=2, dropout=0.3, embedding=2, pool=pool)
    net.build((None,), seed=1)
    x, mask = minidl.pad([[1, 2, 3, 4, 5], [6, 0, 1]])
    report = minidl.checking.gradcheck(net, x, CrossEntropy(), np.array([0, 2]), mask=mask)
    assert report.ok, str(report)
