"""Outputs that are probabilities already, for a loss that expects scores: no training gets it below a bound."""

from __future__ import annotations

import math

from minidl.checking.naming.findings import Finding, found
from minidl.layer import Layer
from minidl.layers import Sigmoid, Softmax
from minidl.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, without_last


def squashed_twice(net: Layer, loss: Loss) -> list[Finding]:
    """L502, where the net ends in the Softmax or the Sigmoid that its loss has within it.

    Example:
        >>> from minidl.doctor.squashed import squashed_twice
        >>> net = minidl.Sequential([minidl.Dense(10), minidl.Softmax()])
        >>> _ = net.build((3,))
        >>> squashed_twice(net, minidl.SoftmaxCrossEntropy())[0].evidence
        'outputs lie in [0, 1]; taken for 10 scores the loss cannot get below 1.46, even where each target has 1'
    """
    if type(loss) is SoftmaxCrossEntropy and without_last(net, (Softmax,)) is not None:
        assert net.out_shape is not None  # it is built
        V = net.out_shape[-1]
        last, right = "Softmax", "CrossEntropy()"
        scores, bound = f"{V} scores", math.log(math.e + V - 1) - 1
    elif type(loss) is BinaryCrossEntropy and loss.from_logits and without_last(net, (Sigmoid,)) is not None:
        last, right = "Sigmoid", "BinaryCrossEntropy()"
        scores, bound = "scores", math.log(1 + 1 / math.e)
    else:
        return []
    return [
        found(
            "L502",
            f"{last} before {loss.title}",
            f"outputs lie in [0, 1]; taken for {scores} the loss cannot get below {bound:.3g}, even where each target "
            f"has 1",
            f"{last} is applied twice",
            cause=f"the net ends in {last}, and {loss.title} applies it once more, for it expects scores",
            remedy=f"{right} for this net, or the net without its {last}",
        )
    ]
