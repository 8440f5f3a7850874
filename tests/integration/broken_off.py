"""A training of a whole net that is broken off, and one that is not: what both have to end in."""

import numpy as np
import pytest

from minidl import Adam, Checkpoint, ClipNorm, CrossEntropy, Trainer


class BreakOff:
    """End the process's part of a training with an error, as a kill would."""

    def on_step_end(self, trainer):
        if trainer.step == 9:
            raise ZeroDivisionError


def same(net, other):
    """Whether all weights have the same bits."""
    return all(p.value.tobytes() == other.params[name].value.tobytes() for name, p in net.params.items())


def assert_resumes(make_net, data, folder, loss=None):
    """Fifteen updates, and the same with a break after the ninth: the net is built by `make_net` each time."""

    def training(name, *callbacks):
        return Trainer(
            make_net(), loss or CrossEntropy(), Adam(0.02),
            [ClipNorm(5.0), *callbacks, Checkpoint(folder / name, every=2)], quiet=True,
        )  # fmt: skip

    whole, part, rest = training("whole"), training("part", BreakOff()), training("part")
    whole.fit(data, steps=15, resume=True)
    with pytest.raises(ZeroDivisionError):
        part.fit(data, steps=15, resume=True)
    rest.fit(data, steps=15, resume=True)
    assert rest.resumed.endswith("step 8") and rest.step == whole.step == 15
    assert same(whole.net, rest.net) and not same(whole.net, part.net)
    assert all(np.isfinite(p.value).all() for p in whole.net.params.values())
