"""`loss_findings`: what is wrong with a loss, or with what a net has of it, from some forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.checking.naming.findings import Finding, found
from minidl.data import Batch
from minidl.doctor.averaging import summed
from minidl.doctor.counting import counted
from minidl.doctor.untrained import first_loss
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.misfits import loss_misfit, target_misfit
from minidl.objective import check_given


def loss_findings(
    net: Layer, loss: Loss, batches: Sequence[Batch], vocab: Any = None, trained: bool | None = None
) -> list[Finding]:
    """What is wrong with the loss: L501, L504, L505, and L502 where it cannot get low; only forward passes are run.

    Args:
        net: a built layer or net.
        loss: also one of somebody's own, which may override `__call__`.
        batches: the first batches of an epoch, in their order; 50 will do.
        vocab: of the targets, to show them as text; a net that has one says so itself in `net.vocab`.
        trained: False for a net before its first step, True for one that had time to learn; None where nothing is
            known: then a loss that is too low, or no better than counting, says nothing.

    Raises:
        ArgumentError: for what is no net, loss or Batch. Errors of a pass come through: see to the data first
            (`data_findings`).

    Notes:
        L501 knows the losses of minidl and what is derived from them; L504 asks any loss; L505 is about classes.

    Example:
        >>> from minidl.doctor.loss_findings import loss_findings
        >>> class SummedError(minidl.Loss):
        ...     def positions(self, y, t):
        ...         return ((y - t) ** 2).sum(axis=-1), 2 * (y - t)
        ...     def __call__(self, y, t, weight=None, mask=None):
        ...         value, dy, total = super().__call__(y, t, weight, mask)
        ...         return value * total, dy * total, total
        >>> net = minidl.Dense(2)
        >>> _ = net.build((3,))
        >>> batch = minidl.Batch(np.ones((8, 3)), np.ones((8, 2)))
        >>> [(finding.code, finding.where) for finding in loss_findings(net, SummedError(), [batch])]
        [('L504', 'SummedError, summed over B')]
    """
    for batch in batches:
        check_given(net, loss, batch)
    batches = list(batches)
    if not batches:
        return []
    vocab = getattr(net, "vocab", None) if vocab is None else vocab
    findings = unfit(net, loss, batches) + summed(net, loss, batches) + first_loss(net, loss, batches, trained)
    return findings + counted(net, loss, batches, vocab, trained)


def unfit(net: Layer, loss: Loss, batches: Sequence[Batch]) -> list[Finding]:
    """L502, where outputs do not fit the loss or the targets, so that it cannot get low."""
    misfit = loss_misfit(net, loss) or target_misfit(net, loss, batches)
    if misfit is None:
        return []
    return [found("L502", misfit.where, misfit.evidence, misfit.title, cause=misfit.cause, remedy=misfit.remedy)]
