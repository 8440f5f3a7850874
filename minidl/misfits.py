"""Outputs that do not fit: a last layer that the loss applies again, or that cannot reach the targets.

`loss_misfit` needs the net and the loss, `target_misfit` the targets as well. `fit` refuses the one and warns of the
other before the first update; `diagnose` reports both.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minidl.data import Batch
from minidl.errors import ArgumentError
from minidl.graph import Graph
from minidl.inputs import Array, as_mask
from minidl.layer import Layer
from minidl.layers import (
    GRU,
    LSTM,
    CoupledLSTM,
    HardSigmoid,
    LearnedState,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SimpleRNN,
    Softmax,
    Tanh,
)
from minidl.losses import BinaryCrossEntropy, ClassLoss, CrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from minidl.metrics import position_weights
from minidl.sequential import Sequential

LEAST_SHARE = 0.01  # of the best constant's loss: rounding a little beyond the range costs less (test_misfits.py)
RANGES: dict[type[Layer], tuple[float, float]] = {
    Softmax: (0, 1), Sigmoid: (0, 1), HardSigmoid: (0, 1), Tanh: (-1, 1), ReLU: (0, math.inf),
    LSTM: (-1, 1), CoupledLSTM: (-1, 1), GRU: (-1, 1),
}  # fmt: skip


class MisfitWarning(UserWarning):
    """The last layer cannot reach the targets."""


class Misfit(NamedTuple):
    """Outputs that do not fit, in the words of a finding."""

    title: str
    where: str
    evidence: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.title}: {self.cause}. {self.evidence[0].upper()}{self.evidence[1:]}. {self.remedy}."


def loss_misfit(net: Layer, loss: Loss) -> Misfit | None:
    """Return the misfit between the last layer of a built net and the loss, which is wrong for any targets.

    User-defined layers, nets and losses may compute something else, and are not judged.

    Example:
        >>> from minidl.misfits import loss_misfit
        >>> net = minidl.Sequential([minidl.Dense(10), minidl.Softmax()])
        >>> _ = net.build((3,))
        >>> loss_misfit(net, minidl.SoftmaxCrossEntropy()).evidence
        'outputs lie in [0, 1]; taken for 10 scores the loss cannot get below 1.46, even where each target has 1'
    """
    last = last_layer(net)
    if last is None or not net.out_shape:
        return None
    name, units = type(last).__name__, net.out_shape[-1]
    if type(last) in (Softmax, LogSoftmax) and units == 1 and not isinstance(loss, ClassLoss):
        return Misfit(
            f"{name} over one unit",
            f"{name} after 1 unit",
            f"the output is {1 if type(last) is Softmax else 0} for every input",
            f"{name} divides among the units, and there is one",
            "Use Sigmoid() and BinaryCrossEntropy() for yes or no, or one unit for each class",
        )
    if type(last) in RANGES and type(last) is not Softmax and type(loss) is CrossEntropy:
        return Misfit(
            f"{name} before CrossEntropy",
            f"{name} before {loss.title}",
            "the outputs do not add up to 1, so that all of them may rise together",
            f"{loss.title} takes probabilities of classes, and the net ends in {name}",
            "End in Softmax() for one class of several; for labels of which several hold use BinaryCrossEntropy()",
        )
    if type(last) is Softmax and type(loss) is SoftmaxCrossEntropy:
        scores, bound, right = f"{units} scores", math.log(math.e + units - 1) - 1, "CrossEntropy()"
    elif type(last) is Sigmoid and type(loss) is BinaryCrossEntropy and loss.from_logits:
        scores, bound, right = "scores", math.log(1 + 1 / math.e), "BinaryCrossEntropy()"
    else:
        return None
    return Misfit(
        f"{name} is applied twice",
        f"{name} before {loss.title}",
        f"outputs lie in [0, 1]; taken for {scores} the loss cannot get below {bound:.3g}, even where each target "
        f"has 1",
        f"the net ends in {name}, and {loss.title} applies it once more, for it expects scores",
        f"Use {right} for this net, or leave out its {name}",
    )


def target_misfit(net: Layer, loss: Loss, batches: Sequence[Batch]) -> Misfit | None:
    """Return the misfit between the last layer of a built net and the targets of a MeanSquaredError.

    The targets in these batches are outside the range of the layer by more than a small share of their variance.

    Example:
        >>> from minidl.misfits import target_misfit
        >>> net = minidl.Sequential([minidl.Dense(1), minidl.Tanh()])
        >>> _ = net.build((3,))
        >>> batch = minidl.Batch(np.ones((2, 3)), np.array([[-3.0], [0.5]]))
        >>> target_misfit(net, minidl.MeanSquaredError(), [batch]).evidence
        'outputs lie in [-1, 1], and 50% of the targets do not: the loss cannot get below 2, ...'
    """
    last = last_layer(net)
    bounds = None if last is None or type(loss) is not MeanSquaredError else range_of(last)
    if bounds is None:
        return None
    targets = [weighted_targets(net, batch) for batch in batches]
    if not targets or None in targets:
        return None
    t, weight = (np.concatenate(parts) for parts in zip(*targets, strict=True))
    if not weight.sum() or not np.isfinite(t).all():
        return None
    beyond, spread = t - np.clip(t, *bounds), t - np.average(t, axis=0, weights=weight)
    least, constant = (float(np.average((error**2).mean(axis=1), weights=weight)) for error in (beyond, spread))
    if least <= LEAST_SHARE * constant:
        return None
    low, high = bounds
    name, reach = type(last).__name__, f"are {low} or more" if high == math.inf else f"lie in [{low}, {high}]"
    return Misfit(
        f"targets that {name} cannot reach",
        f"{name} before MeanSquaredError",
        f"outputs {reach}, and {(beyond != 0).mean():.0%} of the targets do not: the loss cannot get below "
        f"{least:.3g}, and the best constant has {constant:.3g}",
        f"{name} is the last layer, and limits the outputs",
        "Put a Dense without an activation last, or scale the targets into the range",
    )


def weighted_targets(net: Layer, batch: Batch) -> tuple[Array, Array] | None:
    """Return the targets [N, D] that count, and their weights [N]; None if they do not have the output's axes."""
    t, shape = np.asarray(batch.t), net.out_shape or ()
    if t.dtype.kind not in "fiub" or t.ndim not in (len(shape), len(shape) + 1):
        return None
    t = (t if t.ndim > len(shape) else t[..., None]).astype(float)
    mask = None if batch.mask is None else net.hand_on(as_mask(batch.mask))
    weight = position_weights("MeanSquaredError", batch.weight, mask, t.shape[:-1])
    return t[weight > 0], weight[weight > 0]


def range_of(layer: Layer) -> tuple[float, float] | None:
    """Return the interval that holds all outputs of a layer; None if they are unbounded, or not known to be bounded."""
    if type(layer) is LearnedState:  # a GRU mixes in its first state, which is then free
        return None if type(layer.layer) is GRU else range_of(layer.layer)
    if type(layer) is SimpleRNN:
        return range_of(layer.activation)
    return RANGES.get(type(layer))


def last_layer(net: Layer) -> Layer | None:
    """Return the layer that the output comes from, in nested nets too; None if there are several or none."""
    if type(net) not in (Sequential, Graph):
        return net
    last = net.last  # type: ignore[attr-defined]
    return None if last is None else last_layer(last)


def check_outputs(net: Layer, loss: Loss, batches: Sequence[Batch]) -> None:
    """Refuse outputs that cannot fit the loss, and warn of targets that they cannot reach.

    Raises:
        ArgumentError: for a misfit between the last layer and the loss.
    """
    if (wrong := loss_misfit(net, loss)) is not None:
        raise ArgumentError(str(wrong))
    if (doubtful := target_misfit(net, loss, batches)) is not None:
        warnings.warn(str(doubtful), MisfitWarning, stacklevel=6)  # the call of fit
