"""Learning does not depend on the kernels: the same curve to rounding, and from run to run the same bits."""

import numpy as np
import pytest
from minidl.models import char_lm

import minidl
from minidl import Adam, CharVocab, ClipNorm, CrossEntropy, TextStream, Trainer
from tests.conftest import setting
from tests.parameters import slow

SUMS = " ".join(f"{a}+{b}={a + b}" for a in range(40) for b in range(0, 40, 3))


def trained(peephole=False):
    """The losses on held-out text after each epoch, and the weights."""
    vocab = CharVocab.of(SUMS)
    train, valid = minidl.split(vocab.encode(SUMS), 0.2)
    net = char_lm(len(vocab), 40, 2, embedding=24, peephole=peephole)
    trainer = Trainer(net, CrossEntropy(), Adam(5e-3), callbacks=[ClipNorm(5.0)], seed=1, quiet=True)
    history = trainer.fit(TextStream(train, 12, 30), epochs=6, validation=TextStream(valid, 4, 30))
    return np.array(history["valid_loss"]), [p.value.copy() for p in net.params.values()]


@pytest.mark.parametrize("peephole", [slow(False), True])
def test_both_kernels_learn_alike(peephole):
    pytest.importorskip("numba")
    curves = []
    for kernel in "numpy", "numba":
        with setting("MINIDL_KERNELS", kernel):
            curves.append(trained(peephole)[0])
    assert curves[0][-1] < 0.8 * curves[0][0]
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-3)  # float32: differences grow from update to update


@pytest.mark.usefixtures("kernels", "two_threads")
def test_the_same_seed_gives_the_same_bits():
    (curve, weights), (again, weights_again) = trained(), trained()
    assert (curve == again).all()
    assert all((a == b).all() for a, b in zip(weights, weights_again, strict=True))
