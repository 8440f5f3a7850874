"""What runs through the recurrent layers of a net in one pass: gates, and the gradient on its way back through time.

The loss of the last step alone is sent back, so that the norm of dL/dh_t shows how far the past is heard: where it
grows from step to step towards the past gradients explode, where it fades they vanish.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.checking.watched import BackwardCall, traced, watch
from minidl.data import Batch
from minidl.inputs import Array, as_mask, cast_input
from minidl.kernels import one_blas_thread
from minidl.layer import Layer
from minidl.looking.activations import name_of, traceable
from minidl.losses import Loss

GATES = "iforz"


class Flow(NamedTuple):
    """What was seen in one recurrent layer; lag 0 is the step of the loss, lag k is k steps before it."""

    path: str
    kind: str
    dh: Array  # [lags] norms of dL/dh, L being the loss of a row; the mean over the rows that reach so far back
    dc: Array | None  # [lags] likewise, of a layer with cells
    gates: dict[str, Array]  # [N, H], all real steps of all rows

    @property
    def title(self) -> str:
        """What messages call the layer."""
        return f"layer {self.path!r} ({self.kind})"


def flows(net: Layer, loss: Loss, batch: Batch, state: Any = None) -> list[Flow]:
    """The flow through each recurrent layer that can be traced, in the order of the net; nothing given is changed.

    A layer that runs backwards under outputs at every step is left out: the last step is its first one.

    Example:
        >>> from minidl.looking import flows
        >>> net = minidl.Sequential([minidl.LSTM(4), minidl.Dense(1)])
        >>> _ = net.build((None, 3))
        >>> flow, = flows(net, minidl.MeanSquaredError(), minidl.Batch(np.ones((2, 8, 3)), np.ones((2, 1))))
        >>> flow.path, flow.dh.shape, list(flow.gates)
        ('lstm', (8,), ['i', 'f', 'o'])
    """
    seen: list[Flow] = []
    body, loss = loss.on(net.copy())
    mask = as_mask(batch.mask)

    def backward(back: BackwardCall) -> None:
        last_first = bool(getattr(back.call.layer, "go_backwards", False))
        arrays = {} if last_first and every_step(y) else traced(back.call, back)
        if "dh" in arrays:
            seen.append(flow_of(back, arrays, last_first))

    watch(body, lambda call: None, backward)
    with np.errstate(all="ignore"), one_blas_thread():
        x = cast_input(batch.x, net.dtype)
        y, _, cache = body.forward_with_state(x, state, start=batch.start, mask=mask)
        y_mask = None if mask is None else body.hand_on(mask)
        _, dy, _ = loss(y, batch.t, last_step(y, y_mask), y_mask)
        body.backward_with_state(dy, None, cache)
    return seen[::-1]


def every_step(y: Any) -> bool:
    """Whether there is an output at every step; of several outputs nobody knows which one is to come last."""
    return isinstance(y, np.ndarray) and y.ndim > 2


def last_step(y: Any, mask: Array | None) -> Array | None:
    """Weights that leave the last real step of each row; None where there is one output a row."""
    if not every_step(y):
        return None
    weight = np.zeros(y.shape[:2])
    last = np.full(len(y), y.shape[1] - 1) if mask is None else y.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    weight[np.arange(len(y)), last] = 1
    return weight


def flow_of(back: BackwardCall, arrays: dict[str, Array], last_first: bool) -> Flow:
    """The flow of a layer from its trace."""
    call = back.call
    B, T = arrays["dh"].shape[:2]
    real = np.ones((B, T), bool) if call.mask is None else np.asarray(call.mask)
    dh, dc = (over_lags(arrays[name], real, last_first) if name in arrays else None for name in ("dh", "dc"))
    assert dh is not None
    gates = {name: a[real].astype(np.float64) for name, a in arrays.items() if name in GATES}
    return Flow(name_of(call), type(call.layer).__name__, dh, dc, gates)


def over_lags(a: Array, real: Array, last_first: bool) -> Array:
    """The norms [T] of [B, T, H] by how many steps a step lies before the last one of its row."""
    norms = len(a) * np.linalg.norm(a.astype(np.float64), axis=2)  # the loss of a batch is the mean over its rows
    rows = [row[keep] if last_first else row[keep][::-1] for row, keep in zip(norms, real, strict=True)]
    longest = max(map(len, rows), default=0)
    return np.array([np.mean([row[k] for row in rows if k < len(row)]) for k in range(longest)])


def reach(net: Layer, loss: Loss, batch: Batch, state: Any = None) -> dict[str, Array]:
    """How large dL_T/dh_t is, t being so many steps before T, the last one, whose loss is the only one that counts.

    Args:
        net: a built net; neither its parameters nor their gradients are touched.
        loss: what it is trained with.
        batch: windows; rows of different lengths, by a mask, count from their own last steps.
        state: what the net remembers before the first step.

    Returns:
        By the layer's dotted path: [T], the norm of dL_T/dh_t over the cells, by lag (0 is the last step), L_T being
        the loss of one row, and the norms averaged over the rows that reach so far back.

    Raises:
        ArgumentError: for a net without a recurrent layer.

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
    return {flow.path: flow.dh for flow in flows(net, loss, batch, state)}


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
