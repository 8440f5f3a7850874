"""`misfits`: outputs that do not fit their loss or their targets, so that no training gets the loss near 0."""

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
from minidl.losses import BinaryCrossEntropy, ClassLoss, Loss, MeanSquaredError, SoftmaxCrossEntropy
from minidl.metrics import position_weights
from minidl.sequential import Sequential

SHARE = 0.01  # of the loss of the best constant: what is out of reach has to cost more than that
RANGES: dict[type[Layer], tuple[float, float]] = {
    Softmax: (0, 1), Sigmoid: (0, 1), HardSigmoid: (0, 1), Tanh: (-1, 1), ReLU: (0, math.inf),
    LSTM: (-1, 1), CoupledLSTM: (-1, 1), GRU: (-1, 1),
}  # fmt: skip


class MisfitWarning(UserWarning):
    """Outputs probably do not fit their loss or their targets."""


class Misfit(NamedTuple):
    """Outputs that do not fit, in words."""

    certain: bool  # no targets make it right
    title: str
    where: str
    evidence: str
    cause: str
    remedy: str


def misfits(net: Layer, loss: Loss, batches: Sequence[Batch]) -> list[Misfit]:
    """What does not fit between the last layer of a built net, the loss, and the targets of some batches.

    Layers, nets and losses of one's own are left alone: they may compute something else.

    Example:
        >>> from minidl.misfits import misfits
        >>> net = minidl.Sequential([minidl.Dense(10), minidl.Softmax()])
        >>> _ = net.build((3,))
        >>> misfits(net, minidl.SoftmaxCrossEntropy(), [])[0].evidence
        'outputs lie in [0, 1]; taken for 10 scores the loss cannot get below 1.46, even where each target has 1'
    """
    last = last_layer(net)
    if last is None or net.out_shape is None:
        return []
    name, units = type(last).__name__, net.out_shape[-1] if net.out_shape else 0
    if type(last) in (Softmax, LogSoftmax) and units == 1 and not isinstance(loss, ClassLoss):
        always = 1 if type(last) is Softmax else 0
        return [
            Misfit(
                True,
                f"{name} over one unit",
                f"{name} after 1 unit",
                f"the output is {always} for every input",
                f"{name} divides among the units, and there is one",
                "Use Sigmoid() and BinaryCrossEntropy() for yes or no, or one unit for each class",
            )
        ]
    if type(last) is Softmax and units and type(loss) is SoftmaxCrossEntropy:
        return [squashed_twice(name, loss, f"{units} scores", math.log(math.e + units - 1) - 1, "CrossEntropy()")]
    if type(last) is Sigmoid and type(loss) is BinaryCrossEntropy and loss.from_logits:
        return [squashed_twice(name, loss, "scores", math.log(1 + 1 / math.e), "BinaryCrossEntropy()")]
    if type(loss) is MeanSquaredError and (bounds := range_of(last)) is not None:
        return out_of_range(net, batches, name, bounds)
    return []


def squashed_twice(name: str, loss: Loss, scores: str, bound: float, right: str) -> Misfit:
    """A Softmax or a Sigmoid before a loss that has it within it."""
    return Misfit(
        True,
        f"{name} is applied twice",
        f"{name} before {loss.title}",
        f"outputs lie in [0, 1]; taken for {scores} the loss cannot get below {bound:.3g}, even where each target "
        f"has 1",
        f"the net ends in {name}, and {loss.title} applies it once more, for it expects scores",
        f"Use {right} for this net, or leave out its {name}",
    )


def out_of_range(net: Layer, batches: Sequence[Batch], name: str, bounds: tuple[float, float]) -> list[Misfit]:
    """Targets of a MeanSquaredError that the last layer cannot reach, where they cost more than a little."""
    counted = [targets_of(net, batch) for batch in batches]
    if not counted or any(found is None for found in counted):
        return []
    t, w = (np.concatenate(parts) for parts in zip(*(found for found in counted if found), strict=True))
    if not w.sum() or not np.isfinite(t).all():
        return []
    beyond = t - np.clip(t, *bounds)
    least = float(np.average((beyond**2).mean(axis=1), weights=w))
    constant = float(np.average(((t - np.average(t, axis=0, weights=w)) ** 2).mean(axis=1), weights=w))
    if least <= SHARE * constant:
        return []
    low, high = bounds
    reach = f"are {low} or more" if high == math.inf else f"lie in [{low}, {high}]"
    return [
        Misfit(
            False,
            f"targets that {name} cannot reach",
            f"{name} before MeanSquaredError",
            f"outputs {reach}, and {(beyond != 0).mean():.0%} of the targets do not: the loss cannot get below "
            f"{least:.3g}, and the best constant has {constant:.3g}",
            f"{name} is the last layer, and bounds what the net can say",
            "Put a Dense without an activation last, or scale the targets into the range",
        )
    ]


def targets_of(net: Layer, batch: Batch) -> tuple[Array, Array] | None:
    """The targets [N, D] that count, and how much each does; None for what are no numbers of the outputs' shape."""
    t, shape = np.asarray(batch.t), net.out_shape or ()
    if t.dtype.kind not in "fiub" or t.ndim not in (len(shape), len(shape) + 1):
        return None
    t = (t if t.ndim > len(shape) else t[..., None]).astype(float)
    mask = as_mask(batch.mask)
    mask = None if mask is None else net.hand_on(mask)
    counts = position_weights("MeanSquaredError", batch.weight, mask, t.shape[:-1])
    return t[counts > 0], counts[counts > 0]


def range_of(layer: Layer) -> tuple[float, float] | None:
    """Between which numbers all outputs of a layer lie; None where they are free."""
    if type(layer) is SimpleRNN:
        return range_of(layer.activation)
    return RANGES.get(type(layer))


def last_layer(net: Layer) -> Layer | None:
    """The layer that the output comes from, in nested nets too; None for nets of one's own, and of several outputs."""
    if type(net) in (Sequential, Graph):
        last = net.last  # type: ignore[attr-defined]
        return None if last is None else last_layer(last)
    return last_layer(net.layer) if type(net) is LearnedState else net


def check_outputs(net: Layer, loss: Loss, batches: Sequence[Batch]) -> None:
    """Refuse outputs that are certainly wrong for the loss, and warn of those that probably are.

    Raises:
        ArgumentError: for a misfit that is certain.
    """
    for misfit in misfits(net, loss, batches):
        evidence = misfit.evidence[0].upper() + misfit.evidence[1:]
        message = f"{misfit.title}: {misfit.cause}. {evidence}. {misfit.remedy}."
        if misfit.certain:
            raise ArgumentError(message)
        warnings.warn(message, MisfitWarning, stacklevel=2)
