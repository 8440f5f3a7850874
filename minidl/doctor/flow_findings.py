"""The flow through recurrent layers: gradients that explode or vanish, gates that have no slope."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl.checking.naming.findings import Finding, found
from minidl.doctor.diagnosis import sparkline
from minidl.inputs import Array
from minidl.looking import Flow, fallen_to

GROWS, ALARMS = 30.0, 1e3  # times: the longest gradient on the way back over that of the last step
STRETCHED = 1.05  # times a step, also on the far half of that way: what steps only add to grows ever more slowly
FADES = 1e-2  # a share of the gradient that counts as gone
SHORT, LONG = 4, 20  # steps back after which it is gone, where there are so many: shorter than a word
SATURATED = 0.01  # so close to 0 or 1 a gate has no slope to learn from
MOST = 0.9  # of rows and steps, for a unit to count as saturated
HALF = 0.5  # of the units


def flow_findings(seen: Sequence[Flow]) -> list[Finding]:
    """T601, T602 and T603 of the layers.

    Example:
        >>> from minidl.doctor.flow_findings import flow_findings
        >>> from minidl.looking import flows
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


def late_flow_findings(seen: Sequence[Flow], halved: bool) -> list[Finding]:
    """Return the findings on a net that was trained.

    T602 is left out, for what is near is learned first; where half of the loss is gone, warnings are as well.
    """
    findings = (finding for finding in flow_findings(seen) if finding.code != "T602")
    return [finding for finding in findings if finding.severity == "error" or not halved]


def exploding(flow: Flow) -> Finding | None:
    """T601: the gradient grows on its way back."""
    last = flow.dh[0] if len(flow.dh) else 0.0  # of c as well: where tanh(c) is saturated, dc is next to nothing there
    for name, norms in ("h", flow.dh), ("c", flow.dc):
        if norms is None or len(norms) < 2 or not np.isfinite(norms).all() or not last:
            continue
        lag = int(norms.argmax())
        times = float(norms[lag] / last)
        if lag and times > GROWS and stretched(norms[: lag + 1]) > STRETCHED:
            seen = (
                f"|dL/dh| is {last:.2g} at the last step and{' |dL/dc|' * (name == 'c')} {norms[lag]:.2g} {lag} steps "
                f"before it: "
                f"{times:.3g} times as large, {times ** (1 / lag):.3g} times a step  "
                f"{sparkline(list(norms[::-1]))} (time runs right)"
            )
            where = f"{flow.title}, {lag} steps back from the last one"
            return found("T601", where, seen, severity="error" if times > ALARMS else "warning")
    return None


def stretched(norms: Array) -> float:
    """Return the growth of the norms per step, on the whole way or on its far half, whichever is smaller."""
    logs = np.log(np.maximum(norms, np.finfo(np.float64).tiny))
    parts = logs, logs[min(len(logs) // 2, len(logs) - 2) :]
    return float(np.exp(min(np.polyfit(np.arange(len(part)), part, 1)[0] for part in parts)))


def vanishing(flow: Flow) -> Finding | None:
    """T602: after few steps nothing of it is left."""
    norms = flow.dh
    if len(norms) < LONG or not np.isfinite(norms).all() or not norms[0]:
        return None
    gone, of_cells = (fallen_to(a, FADES) for a in (norms, norms if flow.dc is None else flow.dc))
    if gone is None or of_cells is None or max(gone, of_cells) > SHORT:
        return None
    means = ", ".join(f"{name} {float(a.mean()):.2f}" for name, a in flow.gates.items())
    seen = (
        f"|dL/dh| falls below {FADES:.0%} of its size {gone} steps back, of {len(norms) - 1}  "
        f"{sparkline(list(norms[::-1]))} (time runs right){f'; mean of the gates: {means}' if means else ''}"
    )
    return found("T602", flow.title, seen)


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
