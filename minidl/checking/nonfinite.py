"""`find_nonfinite`: where the first NaN or infinity of a training step is born, forward, backward or in the update."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minidl.checking.births import Births, Located
from minidl.checking.naming.findings import Finding
from minidl.checking.places import spot, spot_in
from minidl.checking.update import becoming, spoiled
from minidl.checking.watched import watch
from minidl.data import Batch
from minidl.errors import ArgumentError
from minidl.gradients import trainable
from minidl.inputs import as_mask, cast_input
from minidl.kernels import one_blas_thread
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.objective import check_given, loss_and_grads
from minidl.optimizer import Optimizer


def find_nonfinite(
    net: Layer,
    loss: Loss,
    batch: Batch,
    state: Any = None,
    optimizer: Optimizer | None = None,
    rng: np.random.Generator | None = None,
) -> Finding | None:
    """Where the first number that is not finite is born in a training step on a batch; None where all is sound.

    N701 is the forward pass, N702 the loss and the backward pass, N703 the update. Of a recurrent layer it tells the
    gate, the step and the row, from its `trace`. What came in as such, by the data, the state or a parameter, is named
    as the origin. Rows, steps and entries are counted from 0.

    Args:
        net: a built layer or net.
        loss, batch, state, rng: as for `loss_and_grads`: those of the step that went wrong.
        optimizer: as it was before that step; None leaves the update out.

    Raises:
        ArgumentError: for what is no net, loss, batch, optimizer or Generator. Errors of a pass that have other reasons
            come through.

    Notes:
        All of it runs on copies: net, optimizer and rng stay as they are. It costs a training step, and where something
        is not finite another one that keeps all inputs and outputs. The update is made from the gradients of this
        batch as they are, without what callbacks would clip. Padding, and outputs that are infinite on purpose (scores
        of what is excluded), are no finding as long as loss, gradients and state are finite.

    Example:
        >>> net = minidl.Sequential([minidl.LSTM(4), minidl.Dense(1)])
        >>> _ = net.build((None, 3))
        >>> net.params["lstm.Wx"].value[2, 5] = np.inf  # a weight of gate f
        >>> x = np.ones((2, 6, 3), np.float32)
        >>> x[0, :, 2] = x[1, :4, 2] = 0  # inf * 0 is nan
        >>> finding = minidl.checking.find_nonfinite(net, minidl.MeanSquaredError(), minidl.Batch(x, np.ones((2, 1))))
        >>> print(finding.code, finding.where)
        N701 parameter 'lstm.Wx', entry [2, 5]
        >>> print(finding.evidence.partition("; ")[2])
        it spoils layer 'lstm' (LSTM), gate f, row 0, step 0, unit 1 first
    """
    check_given(net, loss, batch)
    for what, value, kind in ("optimizer", optimizer, Optimizer), ("rng", rng, np.random.Generator):
        if value is not None and not isinstance(value, kind):
            raise ArgumentError(f"find_nonfinite expects {what} to be a {kind.__name__} or None, got {value!r:.60}.")
    with np.errstate(all="ignore"):
        twin = net.copy()
        twin.zero_grads()
        refused: Exception | None = None
        try:
            result = loss_and_grads(twin, loss, batch, state, copy.deepcopy(rng))
        except Exception as error:  # a layer or a loss may refuse what is not finite
            refused = error
        if refused is not None or not sound(twin, result.value, result.state):
            twin.zero_grads()
            finding = in_passes(twin, loss, batch, state, copy.deepcopy(rng))
            if finding is not None:
                return finding
            if refused is not None:
                raise refused
        finding = spoiled(twin.params, optimizer)
        if finding is None and optimizer is not None:
            finding = becoming(twin.params, optimizer)
        return finding


def sound(net: Layer, value: Any, state: Any) -> bool:
    """Whether all that goes on from a step is finite: the loss, the gradients, the state."""
    grads = (spot(p.grad) for _, p in trainable(net.params))
    return spot(value) is None and spot_in(state) is None and all(found is None for found in grads)


def in_passes(net: Layer, loss: Loss, batch: Batch, state: Any, rng: Any) -> Finding | None:
    """Run the two passes again, watched, up to the first number that is not finite; `net` is changed."""
    names = {id(p): name for name, p in net.params.items()}
    dtype = net.dtype
    body, loss = loss.on(net)
    births = Births(body, names, batch, state)
    watch(body, births.forward, births.backward)
    x, mask = cast_input(batch.x, dtype), as_mask(batch.mask)
    try:
        with one_blas_thread():
            y, _, cache = body.forward_with_state(x, state, start=batch.start, mask=mask, rng=rng)
            y_mask = None if mask is None else body.hand_on(mask)
            value, dy, _ = loss(y, batch.t, batch.weight, y_mask)
            births.of_loss(loss, y, value, dy, y_mask)
            body.backward_with_state(dy, None, cache)
    except Located as located:
        return located.finding
    return None
