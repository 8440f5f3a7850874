"""`examine`: the step in a black box made once more, to see where it went wrong and whether it is the same step."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import numpy as np

from minidl import fingerprints
from minidl.checking.naming.findings import Finding, Place, found
from minidl.checking.nonfinite import find_nonfinite
from minidl.checking.places import spot
from minidl.checking.update import becoming, spoiled
from minidl.doctor.box import Box, sums
from minidl.gradients import lengths, trainable
from minidl.inputs import Array
from minidl.layer import Layer

JUMPS = "the loss jumps"
MANY = 3.0  # times the usual gradient or rate
FROM_BEFORE = {
    "cause": "the parameters were on their way before the last update already: the losses of the last steps show since "
    "when",
    "remedy": "look at norms.csv; a lower rate, ClipNorm(1.0), or Rollback()",
}

FINITE = "made again, each operation of the step gives finite numbers"
BORN = {"loss": "N701", "state": "N701", "gradient": "N702", "update": "N703"}
FROM_OUTSIDE = {
    "title": "a number that is not finite comes from outside of the step",
    "cause": "something that is not in the box writes numbers, or makes them anew each time: a callback, or a layer, a "
    "loss or an optimizer of your own",
    "remedy": "look at what changes parameters, gradients or optimizer.state; the doctor stands first among the "
    "callbacks",
}


class Examined(NamedTuple):
    """What came of it."""

    finding: Finding
    same: bool  # whether the losses, and what is made from them, have the bits that the training saw
    notes: list[str]  # what is another, and what that may come from


def examine(box: Box) -> Examined:
    """Make the step of a box once more, on copies.

    Raises:
        Errors of a pass that have other reasons than numbers come through.
    """
    with np.errstate(all="ignore"):
        net = box.net.copy()
        others = compare(box, net)
        what = box.trouble.what
        finding = jumped(box) if what == "spike" else in_update(box) if what == "update" else in_passes(box)
    finding = finding or from_outside(box)
    if others:
        machine = fingerprints.differences(box.machine, fingerprints.of_machine())
        why = f"other surroundings may do that: {'; '.join(machine)}"
        others.append(
            why if machine else "something that is not in the box takes part, a callback or a layer of your own"
        )
        finding = finding._replace(evidence=f"{finding.evidence}; in the replay {'; '.join(others)}")
    return Examined(finding, not others, others)


def compare(box: Box, net: Layer) -> list[str]:
    """What is another than the training saw; `net` is changed."""
    others = []
    for k, step in enumerate(box.steps):
        if k:
            put(net, box.after)
        try:
            losses = step.repeat(net, box.loss, box.seed)
        except Exception as error:  # a layer or a loss may refuse what is not finite
            return [f"step {step.number:,} cannot be made again, {type(error).__name__}: {error!s:.200}"]
        then = [given.value for given in step.given]
        if not all(same_float(a, b) for a, b in zip(losses, then, strict=True)):
            others.append(f"the loss of step {step.number:,} was {digits(then)}, is {digits(losses)}")
    if not others and box.trouble.what == "gradient":
        others += other_bits("gradient", {name: p.grad for name, p in net.params.items()}, box)
    if not others and box.trouble.what == "update":
        put_grads(net, box.grads)
        try:
            copy.deepcopy(box.optimizer).step(net.params)
        except Exception as error:
            return [f"the update cannot be made again, {type(error).__name__}: {error!s:.200}"]
        others += other_bits("update", {name: p.value for name, p in net.params.items()}, box)
    return others


def other_bits(what: str, arrays: dict[str, Array], box: Box) -> list[str]:
    """The first parameter whose array has not the checksum that the training saw."""
    name = next((name for name, crc in sums(arrays).items() if crc != box.sums[name]), None)
    return [] if name is None else [f"the {what} of {name!r} has other bits"]


def in_passes(box: Box) -> Finding | None:
    """The operation in the forward or the backward pass, or in an update of before, that gave the first bad number."""
    (step,) = box.steps
    for given in step.given:
        finding = find_nonfinite(box.net, box.loss, given.batch, given.state, None, given.rng(box.seed))
        if finding is not None:
            return finding
    return spoiled(box.net.params, box.optimizer)


def in_update(box: Box) -> Finding | None:
    """The parameter or slot that the update spoiled, from the gradients that it was made from."""
    finding = spoiled(box.net.params, box.optimizer)
    if finding is None:
        net = box.net.copy()
        put_grads(net, box.grads)
        finding = becoming(net.params, box.optimizer)
    return finding


def from_outside(box: Box) -> Finding:
    """What is to be said where each operation of the step gives finite numbers when it is made again."""
    what, number, words = box.trouble
    for name, grad in box.grads.items():
        bad = spot(grad, name) if what == "gradient" else None
        if bad is not None:
            where, seen = f"the gradient of {name!r}, entry [{', '.join(map(str, bad.at))}]", bad.told
            place = Place(quantity="gradient", parameter=name, entry=bad.at)
            return found("N702", where, f"{seen}; {FINITE}", place=place, **FROM_OUTSIDE)
    return found(BORN[what], f"step {number:,}", f"{words}; {FINITE}", **FROM_OUTSIDE)


def jumped(box: Box) -> Finding:
    """What the loss was before the last update and after it, and which gradients that was made from."""
    first, last = box.steps[0], box.steps[-1]
    told = f"the loss is {last.value:.4g}, where the median of the steps before is {box.median:.4g}"
    if len(box.steps) == 1:
        seen = f"{told}; the step before it is in no box, for the training began or went on with this one"
        return found("L503", f"step {last.number:,}", seen, title=JUMPS, severity="error", **FROM_BEFORE)
    before, after = box.net.copy(), box.net.copy()
    put(after, box.after)
    first.repeat(before, box.loss, box.seed)
    grads = lengths({name: p.grad for name, p in trainable(before.params)})
    whole = math.hypot(*grads.values())
    largest = max(grads, key=grads.__getitem__)
    usual, rates = (usual_of(box, figure) for figure in ("norm", "rate"))
    rate = float(box.record.column("rate")[-2])
    then, now = (mean([g.loss(net, box.loss, box.seed) for g in last.given]) for net in (before, after))
    own = mean([g.loss(after, box.loss, box.seed) for g in first.given])
    sizes = lengths({name: p.value for name, p in trainable(before.params)})
    steps = lengths({name: box.after[name] - before.params[name].value for name in sizes})
    ratios = {name: steps[name] / size for name, size in sizes.items() if size}
    moved = max(ratios, key=ratios.__getitem__) if ratios else None
    parts = [
        f"before the update of step {first.number:,} the batch of step {last.number:,} has a loss of {then:.4g}, after "
        f"it {now:.4g}; its own batch had {first.value:.4g} before and has {own:.4g} after it",
        f"its gradient has the norm {whole:.3g}, {usual:.3g} is usual, most of it from {largest!r} "
        f"({grads[largest]:.3g}); its rate is {rate:.3g}, {rates:.3g} is usual",
    ]
    if moved is not None:
        parts.append(f"it moved {moved!r} by {ratios[moved]:.2g} of its size, where 0.001 is healthy")
    by_update = not then > box.level
    where = f"the update of step {first.number:,}" if by_update else f"before the update of step {first.number:,}"
    cause, remedy = why_of(whole, usual, rate, rates) if by_update else FROM_BEFORE.values()
    seen = f"{told}; {'; '.join(parts)}"
    place = Place(parameter=moved or largest)
    return found("L503", where, seen, title=JUMPS, severity="error", cause=cause, remedy=remedy, place=place)


def usual_of(box: Box, figure: str) -> float:
    """The median of a figure in the steps before the two; nan where there are none."""
    values = box.record.column(figure)[:-2]
    return float(np.median(values)) if len(values) else math.nan


def why_of(norm: float, usual: float, rate: float, rates: float) -> tuple[str, str]:
    """Why an update went too far, and what to try: its gradient, its rate, or neither of them alone."""
    if norm > MANY * usual:
        return (
            f"the gradient of that update is {norm / usual:.2g} times the usual one: one strange batch, or gradients "
            f"that explode through time",
            f"look at that batch; ClipNorm({2 * usual:.2g}), or Rollback() to go on without it",
        )
    if rate > MANY * rates:
        return (
            f"the rate of that update is {rate / rates:.2g} times the usual one",
            "look at what sets it: the schedule, a callback that changes optimizer.lr or lr_scale",
        )
    return (
        "an update as large as those before it, at a place where the loss is steep: the rate is too high for it",
        f"a lower rate, ClipNorm({usual if usual > 0 else 1:.2g}), or Rollback() to go on with half of the rate",
    )


def put(net: Layer, values: dict[str, Array]) -> None:
    """Put values into a net's parameters."""
    for name, value in values.items():
        net.params[name].value[...] = value


def put_grads(net: Layer, grads: dict[str, Array]) -> None:
    """Put gradients into a net's parameters."""
    for name, value in grads.items():
        net.params[name].grad[...] = value


def mean(values: list[float]) -> float:
    """The mean; values are few."""
    return sum(values) / len(values)


def same_float(a: float, b: float) -> bool:
    """Whether two numbers are one, nan included."""
    return a == b or (math.isnan(a) and math.isnan(b))


def digits(values: list[float]) -> str:
    """Numbers with all digits."""
    return ", ".join(f"{value!r}" for value in values)
