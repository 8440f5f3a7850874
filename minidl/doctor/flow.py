"""What runs through the recurrent layers of a net in one pass: gates, and the gradient on its way back through time.

The loss of the last step alone is sent back, so that the norm of dL/dh_t shows how far the past is heard: where it
grows from step to step towards the past gradients explode, where it fades they vanish.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.checking.births import traced
from minidl.checking.naming.findings import Finding, found
from minidl.checking.watched import BackwardCall, watch
from minidl.data import Batch
from minidl.doctor.diagnosis import sparkline
from minidl.inputs import Array, as_mask, cast_input
from minidl.kernels import one_blas_thread
from minidl.layer import Layer
from minidl.losses import Loss

GROWS, ALARMS = 30.0, 1e3  # times: the longest gradient on the way back over that of the last step
FADES = 1e-2  # a share of the gradient that counts as gone
SHORT, LONG = 4, 20  # steps back after which it is gone, where there are so many: shorter than a word
SATURATED = 0.01  # so close to 0 or 1 a gate has no slope to learn from
MOST = 0.9  # of rows and steps, for a unit to count as saturated
HALF = 0.5  # of the units
GATES = "iforz"


class Flow(NamedTuple):
    """What was seen in one recurrent layer; lag 0 is the step of the loss, lag k is k steps before it."""

    path: str
    kind: str
    dh: Array  # [lags] norms of dL/dh, the mean over the rows that reach so far back
    dc: Array | None  # [lags], of a layer with cells
    gates: dict[str, Array]  # [N, H], all real steps of all rows

    @property
    def title(self) -> str:
        """What messages call the layer."""
        return f"layer {self.path!r} ({self.kind})" if self.path else f"the {self.kind}"


def flows(net: Layer, loss: Loss, batch: Batch, state: Any = None) -> list[Flow]:
    """The flow through each recurrent layer that can be traced, in the order of the net; nothing given is changed.

    A layer that runs backwards under outputs at every step is left out: the last step is its first one.

    Example:
        >>> from minidl.doctor.flow import flows
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
        arrays = {} if last_first and getattr(y, "ndim", 3) > 2 else traced(back.call, back)
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


def last_step(y: Any, mask: Any) -> Array | None:
    """Weights that leave the last real step of each row; None where there is one output a row, or several outputs."""
    if not isinstance(y, np.ndarray) or y.ndim < 3:
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
    return Flow(call.path, type(call.layer).__name__, dh, dc, gates)


def over_lags(a: Array, real: Array, last_first: bool) -> Array:
    """The norms [T] of [B, T, H] by how many steps a step lies before the last one of its row."""
    norms = np.linalg.norm(a.astype(np.float64), axis=2)
    rows = [row[keep] if last_first else row[keep][::-1] for row, keep in zip(norms, real, strict=True)]
    longest = max(map(len, rows), default=0)
    return np.array([np.mean([row[k] for row in rows if k < len(row)]) for k in range(longest)])


def flow_findings(seen: list[Flow]) -> list[Finding]:
    """T601, T602 and T603 of the layers.

    Example:
        >>> from minidl.doctor.flow import flow_findings, flows
        >>> net = minidl.Sequential([minidl.SimpleRNN(4), minidl.Dense(1)])
        >>> _ = net.build((None, 3))
        >>> net.params["simple_rnn.Wh"].value[...] *= 0.05
        >>> batch = minidl.Batch(np.ones((2, 30, 3)), np.ones((2, 1)))
        >>> [finding.code for finding in flow_findings(flows(net, minidl.MeanSquaredError(), batch))]
        ['T602']
    """
    findings = []
    for flow in seen:
        findings += [finding for finding in (exploding(flow), vanishing(flow)) if finding is not None]
        findings += saturated(flow)
    return findings


def exploding(flow: Flow) -> Finding | None:
    """T601: the gradient grows on its way back."""
    for name, norms in ("h", flow.dh), ("c", flow.dc):
        if norms is None or len(norms) < 2 or not np.isfinite(norms).all() or not norms[0]:
            continue
        lag = int(norms.argmax())
        times = float(norms[lag] / norms[0])
        if lag and times > GROWS:
            seen = (
                f"|dL/d{name}| is {norms[0]:.2g} at the last step and {norms[lag]:.2g} {lag} steps before it: "
                f"{times:.3g} times as large, {times ** (1 / lag):.3g} times a step  "
                f"{sparkline(list(norms[::-1]))} (time runs right)"
            )
            where = f"{flow.title}, {lag} steps back from the last one"
            return found("T601", where, seen, severity="error" if times > ALARMS else "warning")
    return None


def vanishing(flow: Flow) -> Finding | None:
    """T602: after few steps nothing of it is left."""
    norms = flow.dh
    if len(norms) < LONG or not np.isfinite(norms).all() or not norms[0]:
        return None
    gone = reach(norms)
    if gone > SHORT or (flow.dc is not None and reach(flow.dc) > SHORT):
        return None
    means = ", ".join(f"{name} {float(a.mean()):.2f}" for name, a in flow.gates.items())
    seen = (
        f"|dL/dh| falls below {FADES:.0%} of its size {gone} steps back, of {len(norms) - 1}  "
        f"{sparkline(list(norms[::-1]))} (time runs right){f'; mean of the gates: {means}' if means else ''}"
    )
    return found("T602", flow.title, seen)


def reach(norms: Array) -> int:
    """After how many steps back nothing is left of the gradient."""
    return int(np.flatnonzero(norms > FADES * norms[0])[-1]) + 1 if norms[0] else len(norms)


def saturated(flow: Flow) -> list[Finding]:
    """T603: gates of most units that are always shut or always open; f and z that are open are memory, and no fault."""
    told = []
    for name, a in flow.gates.items():
        if not len(a):  # all of it is padding
            continue
        shut, opened = ((side.mean(axis=0) > MOST) for side in (a < SATURATED, a > 1 - SATURATED))
        units = ((a < SATURATED) | (a > 1 - SATURATED)).mean(axis=0) > MOST
        if name in "fz":
            units &= ~opened
        if units.mean() > HALF:
            sides = f"{int(shut.sum())} of them always shut, {int(opened.sum())} always open"
            told.append((name, f"{name}: {int(units.sum())} of {len(units)} units, {sides}"))
    if not told:
        return []
    words = "; ".join(words for _, words in told)
    seen = (
        f"below 0.01 or above 0.99 in more than {MOST:.0%} of the steps are gate {words}. "
        f"Their slope a (1 - a) is below {SATURATED:g} there, 0.25 at best"
    )
    where = f"{flow.title}, gate{'s' * (len(told) > 1)} {', '.join(name for name, _ in told)}"
    return [found("T603", where, seen)]
