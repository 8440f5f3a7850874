"""`data_findings`: what is wrong with the batches of a training, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.checking.naming.findings import Finding
from minidl.data import Batch
from minidl.doctor.continuation import continuation
from minidl.doctor.overlap import overlap
from minidl.doctor.parts import inputs_of, may_be_classes, targets_of
from minidl.doctor.scales import constant, same_targets, unscaled
from minidl.doctor.shifts import positions, shifted
from minidl.doctor.values import not_finite, nothing_counts, out_of_range, weights_not_finite
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.objective import check_given


def data_findings(
    net: Layer,
    loss: Loss,
    batches: Sequence[Batch],
    vocab: Any = None,
    validation: Sequence[Batch] | None = None,
) -> list[Finding]:
    """What is wrong with the data, D401 to D405; nothing is run, and nothing changed.

    Args:
        net: a built layer or net: what its inputs are looked up in, and how many outputs it has, is read from it.
        loss: says what the targets are.
        batches: the first batches of an epoch, in their order; 50 will do.
        vocab: of the ids, to show them as text; a net that has one says so itself in `net.vocab`.
        validation: batches that are validated with, to be compared.

    Raises:
        ArgumentError: for what is no net, loss or Batch.

    Notes:
        Padding, positions of weight 0, and ids to be ignored are never judged. Inputs and targets are compared with
        each other where a net has one input: inputs and outputs of one vocabulary are taken for a language model's
        as soon as the ones are the others, moved. Windows are compared with the windows before them.

    Example:
        >>> from minidl.doctor.data_findings import data_findings
        >>> net = minidl.Sequential([minidl.Embedding(9, 4), minidl.LSTM(8, return_sequences=True), minidl.Dense(9)])
        >>> _ = net.build((None,))
        >>> x = np.array([[0, 3, 1, 4, 1, 5], [2, 6, 5, 3, 5, 8]])
        >>> loss = minidl.SoftmaxCrossEntropy()
        >>> [finding.title for finding in data_findings(net, loss, [minidl.Batch(x, x)])]
        ['the targets are not the inputs shifted by one: the targets equal the inputs']
    """
    batches, held = list(batches), list(validation or [])
    for batch in batches + held:
        check_given(net, loss, batch)
    if not batches:
        return []
    vocab = getattr(net, "vocab", None) if vocab is None else vocab
    inputs, t = inputs_of(net, batches), targets_of(net, loss, batches)
    findings = [finding for part in inputs for finding in out_of_range(part) + not_finite(part, net.dtype)]
    if t is not None:
        findings += out_of_range(t) + not_finite(t, net.dtype)
        findings += nothing_counts(t)
    findings += weights_not_finite(batches, t)
    counted = positions(inputs, t, vocab)
    findings = counted + findings
    if not counted:
        still = constant(inputs)
        findings += still
        if len(inputs) == 1 and not any(finding.severity == "error" for finding in still):
            carried = any(not np.all(b.start) for b in batches[1:])
            findings += shifted(inputs[0], t, carried, vocab)
            findings += continuation(net, inputs[0], t, batches)
    numbers = [] if t is None or may_be_classes(net, loss, batches) else [t]
    for part in [*inputs, *numbers]:
        findings += unscaled(part)
    if t is not None:
        findings += same_targets(t)
    return findings + (overlap(inputs, inputs_of(net, held), batches, held) if held else [])
