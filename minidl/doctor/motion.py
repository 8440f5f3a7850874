"""`Motion`: how far the updates move each parameter, and whether their gradients always point the same way."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minidl.doctor.curves import Curve
from minidl.gradients import trainable
from minidl.inputs import Array
from minidl.parameter import Parameter

EVERY = 25  # steps from one sample to the next; the first steps are all sampled
DENSE = 20


class Motion:
    """Samples of the updates, kept in curves by parameter; it holds two copies of the parameters and no more.

    Attributes:
        ratios: |update| / |value|.
        turns: the cosine between the gradient and that of the sample before.
        still: how many of the samples left the parameter as it was, bit for bit.
        silent: how many of them had a gradient of 0.
        samples: how many there are.
    """

    def __init__(self) -> None:
        self.ratios: dict[str, Curve] = {}
        self.turns: dict[str, Curve] = {}
        self.still: dict[str, int] = {}
        self.silent: dict[str, int] = {}
        self.samples = 0
        self.values: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}

    def wants(self, step: int) -> bool:
        """Whether the update of this step is looked at."""
        return step < DENSE or step % EVERY == 0

    def before(self, params: Mapping[str, Parameter]) -> None:
        """Look at gradients and values before the update."""
        for name, p in trainable(params):
            if name not in self.values:
                self.ratios[name], self.turns[name] = Curve(), Curve()
                self.still[name] = self.silent[name] = 0
                self.values[name], self.grads[name] = np.empty_like(p.value), np.zeros_like(p.value)
            self.values[name][...] = p.value
            old, new = self.grads[name].ravel(), p.grad.ravel()
            lengths = float(np.linalg.norm(old)) * float(np.linalg.norm(new))
            if lengths > 0 and np.isfinite(lengths):
                self.turns[name].add(float(old @ new) / lengths)
            self.silent[name] += not new.any()
            old[...] = new

    def after(self, params: Mapping[str, Parameter]) -> None:
        """Look at the values after it."""
        self.samples += 1
        for name, p in trainable(params):
            if name in self.values:
                size = float(np.linalg.norm(self.values[name]))
                moved = self.values[name]
                np.subtract(p.value, moved, out=moved)
                self.still[name] += not moved.any()
                if size:
                    self.ratios[name].add(float(np.linalg.norm(moved)) / size)
