"""`SumOverTime`: the gradient of the sum over a window's steps, where the loss is their mean."""

from __future__ import annotations

import numpy as np

from minidl.callbacks.base import Callback
from minidl.errors import ArgumentError
from minidl.gradients import trainable
from minidl.trainer import Trainer


class SumOverTime(Callback):
    """Multiply the gradients by the number of steps, T: those of a loss that is summed over the steps of a window.

        dL = T * d(mean over B and T) = d(sum over T of the mean over B)

    Rates and limits of clipping that were published for such a loss can then be taken as they are. The loss that is
    shown stays the mean. Put it before what clips.

    Source:
        Zaremba, Sutskever & Vinyals 2014, Recurrent neural network regularization, and its code.

    Example:
        >>> callbacks = [minidl.SumOverTime(), minidl.ClipNorm(5.0)]
    """

    def on_grads_ready(self, trainer: Trainer) -> None:
        steps = set()
        for batch in trainer.group:
            t = np.asarray(batch.t)
            steps.add(t.shape[1] if t.ndim > 1 and batch.mask is None and batch.weight is None else 0)
        T = steps.pop()
        if steps or not T:
            raise ArgumentError(
                "SumOverTime expects targets [B, T] of one length, without masks and weights: leave it out where "
                "windows differ."
            )
        for _, p in trainable(trainer.params):
            p.grad *= T
