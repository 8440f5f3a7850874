"""The gradient's reach back through time: how much the last loss still asks of a step that lies far behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.checking.watched import BackwardCall, watch
from minidl.data import Batch
from minidl.errors import ArgumentError
from minidl.inputs import Array, cast_input
from minidl.layer import Layer
from minidl.looking.activations import can_trace, name_of, trace_of, traceable
from minidl.losses import Loss


def reach(net: Layer, loss: Loss, batch: Batch, state: Any = None) -> dict[str, Array]:
    """How large dL_T/dh_t is, t being so many steps before T, the last one, whose loss is the only one that counts.

    Args:
        net: a built net; neither its parameters nor their gradients are touched.
        loss: what it is trained with.
        batch: windows of equal length; a mask is refused.
        state: what the net remembers before the first step.

    Returns:
        By the layer's dotted path: [T], the norm of dL_T/dh_t over the cells, by lag (0 is the last step), L_T being
        the loss of one row, and the norms averaged over the rows.

    Notes:
        dh is all that flows into h of a step: from the layers above it, and from the steps behind it.

    Source:
        Bengio, Simard & Frasconi 1994, Learning long-term dependencies with gradient descent is difficult; Pascanu,
        Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks.

    Example:
        >>> from minidl.looking import reach
        >>> net = minidl.Sequential([minidl.SimpleRNN(4, return_sequences=True), minidl.Dense(1)])
        >>> _ = net.build((None, 1))
        >>> norms = reach(net, minidl.MeanSquaredError(), minidl.Batch(np.ones((2, 6, 1)), np.ones((2, 6, 1))))
        >>> norms["simple_rnn"].shape
        (6,)
    """
    traceable(net)
    if batch.mask is not None:
        raise ArgumentError("reach expects windows of equal length, got a batch with a mask: leave the padding out.")
    norms: dict[str, Array] = {}

    def note(back: BackwardCall) -> None:
        call = back.call
        if can_trace(call.layer):
            traced = trace_of(call, back.dy, back.dstate)
            if "dh" in traced:
                each = np.sqrt((traced["dh"].astype(np.float64) ** 2).sum(axis=2))  # [B, T]
                norms[name_of(call)] = len(each) * each.mean(axis=0)[::-1]

    body, loss = loss.on(net.copy())
    watch(body, lambda call: None, note)
    x = cast_input(batch.x, net.dtype)
    y, _, cache = body.forward_with_state(x, state, start=batch.start)
    _, dy, _ = loss(y, batch.t, last_step_alone(y, batch.weight))
    body.backward_with_state(dy, None, cache)
    return dict(reversed(norms.items()))


def last_step_alone(y: Any, weight: Any) -> Any:
    """Weights that leave only the last step; an output without steps is the last one already."""
    if not isinstance(y, np.ndarray) or y.ndim < 3:
        return weight
    shape = y.shape[:-1]
    alone = np.zeros(shape)
    given = np.ones(shape) if weight is None else np.asarray(weight, np.float64)
    alone[:, -1] = np.broadcast_to(given.reshape(given.shape + (1,) * (len(shape) - given.ndim)), shape)[:, -1]
    return alone


def fallen_to(norms: Array, share: float) -> int | None:
    """The lag from which on the norms stay below a share of that at lag 0; None where they do not in this window.

    Example:
        >>> from minidl.looking import fallen_to
        >>> fallen_to(np.array([1.0, 0.05, 0.2, 0.04, 0.01]), 0.1)
        3
    """
    above = np.flatnonzero(norms >= share * norms[0]) if len(norms) else np.zeros(0, int)
    lag = int(above[-1]) + 1 if len(above) else 0
    return lag if lag < len(norms) else None
