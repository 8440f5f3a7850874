"""The update of a training step: which parameter or slot of the optimizer is not finite, or would become so."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.checking.naming.findings import Finding, Place, found
from minidl.checking.places import Spot, spot
from minidl.gradients import trainable
from minidl.inputs import Array
from minidl.optimizer import Optimizer
from minidl.parameter import Parameter


def spoiled(params: Mapping[str, Parameter], optimizer: Optimizer | None = None) -> Finding | None:
    """The first parameter or slot of the optimizer that is not finite now; None where all are.

    Example:
        >>> from minidl.checking.update import spoiled
        >>> w = minidl.Parameter(np.array([1.0, np.nan]))
        >>> spoiled({"w": w}).where
        "parameter 'w', entry [1]"
    """
    kept = {} if optimizer is None else optimizer.state
    for name, p in params.items():
        bad = spot(p.value, name)
        for slot, a in kept.get(name, {}).items():
            slot_bad = spot(a, f"{slot} of {name}")
            if slot_bad is not None:
                also = "" if bad is None else f"; {bad.told}"
                return of_slot(optimizer, name, slot, slot_bad, "is", slot_bad.told + also)
        if bad is not None:
            return of_parameter(
                name,
                bad,
                "is",
                bad.told,
                cause="an update that was made before from a gradient or a slot that was not finite, or a number that "
                "was written into it",
                remedy="go back to parameters that were saved before (Checkpoint, SaveBest), and let NanGuard() stand "
                "first among the callbacks",
            )
    return None


def becoming(params: Mapping[str, Parameter], optimizer: Optimizer) -> Finding | None:
    """What would not be finite after the next step, made from the gradients that are there; `params` are changed."""
    twin = copy.deepcopy(optimizer)
    before = {name: p.value.copy() for name, p in trainable(params)}
    slots_before = {name: {slot: a.copy() for slot, a in slots.items()} for name, slots in optimizer.state.items()}
    rate, factors = twin.rate, twin.factors(params)
    twin.step(params)
    for name, p in trainable(params):
        lr = rate * factors.get(name, 1.0)
        for slot, a in twin.state.get(name, {}).items():
            bad = spot(a, f"{slot} of {name}")
            if bad is not None:
                old = slots_before.get(name, {}).get(slot)
                came = "" if old is None else f", {slot} {number(old, bad)} before"
                seen = f"{becomes(bad)} from a gradient of {number(p.grad, bad)}{came}"
                return of_slot(optimizer, name, slot, bad, "becomes", seen)
        bad = spot(p.value, name)
        if bad is not None:
            seen = f"{becomes(bad)} from {number(before[name], bad)}, gradient {number(p.grad, bad)}, rate {lr:.3g}"
            return of_parameter(name, bad, "becomes", seen)
    return None


def becomes(bad: Spot) -> str:
    """What an entry turns into."""
    return f"{bad.entry} becomes {bad.value:g} ({bad.many:,} of {bad.size:,} entries do)"


def number(a: Array, bad: Spot) -> str:
    """The number at the place of another one; the largest size where the array is of another shape."""
    fits = len(bad.at) == a.ndim and all(k < n for k, n in zip(bad.at, a.shape, strict=True))
    return f"{float(a[bad.at]):.3g}" if fits else f"up to {float(abs(a).max(initial=0)):.3g}"


def of_parameter(name: str, bad: Spot, verb: str, seen: str, **own: Any) -> Finding:
    """The finding on a parameter."""
    where = f"parameter {name!r}, entry [{', '.join(map(str, bad.at))}]"
    own["place"] = Place(parameter=name, entry=bad.at)
    return found("N703", where, seen, f"parameter {name!r} {verb} {bad.value:g}", **own)


def of_slot(optimizer: Optimizer | None, name: str, slot: str, bad: Spot, verb: str, seen: str) -> Finding:
    """The finding on a slot."""
    rule = type(optimizer).__name__
    where = f"{rule}, slot {slot!r} of parameter {name!r}, entry [{', '.join(map(str, bad.at))}]"
    return found(
        "N703",
        where,
        seen,
        f"slot {slot!r} of {rule} {verb} {bad.value:g}",
        cause=f"a gradient that was not finite, or whose square is above {np.finfo(np.float32).max:.2g}, the largest "
        f"float32: what the optimizer remembers keeps it, and spoils or stops each update after this one",
        remedy="clip before the update (ClipNorm), and begin with a new optimizer, or from a checkpoint before: the "
        "slots do not recover",
        place=Place(parameter=name, slot=slot, entry=bad.at),
    )
