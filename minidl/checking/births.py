"""Passes of a watched net, judged one by one: which of them gave the first number that is not finite, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.checking.naming.findings import Finding, Place, found
from minidl.checking.places import (
    Spot,
    first_in_time,
    quantity,
    reach,
    spot,
    spot_in,
    within,
    without_padding,
)
from minidl.checking.watched import BackwardCall, Call, inner_layers, parts, traced
from minidl.data import Batch
from minidl.inputs import Array, as_mask, cast_input, spread, start_rows
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.nested import leaves
from minidl.parameter import Parameter

CAME = "what comes in is finite, and so are the parameters"
FROM_LOSS = {
    "cause": "a logarithm of 0, a division by 0, a square above the largest number of the dtype, or a target or weight "
    "that is not finite",
    "remedy": "look at the output and the target of that position; compute the loss from scores (SoftmaxCrossEntropy, "
    "BinaryCrossEntropy(from_logits=True)), and put an epsilon under logarithm and division",
}
FROM_DATA = {
    "cause": "the data hold a number that is not finite: a missing value, a division by 0 when they were scaled, or a "
    "number too large for the net's dtype",
    "remedy": "look at that row; fill or leave out what is missing, and mask what is padding",
}
FROM_STATE = {
    "cause": "the state that was carried in is the fruit of an earlier batch that went wrong already",
    "remedy": "look at the batch before this one, and begin with state=None",
}
FROM_PARAMETER = {
    "cause": "an update before this step spoiled the parameter, or a number that is not finite was written into it",
    "remedy": "go back to parameters that were saved before, and see what the update was made from (NanGuard, N703)",
}
FROM_SUM = {
    "cause": "gradients that come back by several ways are finite each, and their sum is too large",
    "remedy": "clip does not help here, for the pass itself overflows: smaller weights, LayerNorm, or dtype=np.float64",
}


class Located(Exception):
    """The first number that is not finite was found."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.title)
        self.finding = finding


class Births:
    """The judge of the passes of one net on one batch: `forward` and `backward` are told each of them.

    They raise `Located` at the first one that gives what is not finite, so all that came before it was finite.

    Args:
        body: the net that runs, which a loss that is fused with the last layer has taken that layer from.
        names: of the parameters by id.
        batch, state: what it runs on, and from.
    """

    def __init__(self, body: Layer, names: dict[int, str], batch: Batch, state: Any) -> None:
        self.body = body
        self.names = names
        self.batch, self.state = batch, state
        self.layers = dict(parts(body))

    # -- forward ----------------------------------------------------------------------------------

    def forward(self, call: Call) -> None:
        """Look at what a layer gave."""
        bad = spot_in(without_padding(call.y, call.y_mask), "y")
        if bad is None:
            bad = spot_in(call.after, "state after the last step")
        if bad is None:
            return
        place = in_trace(call)
        if place is None:
            where = f"{call.title}, {bad.name if bad.name != 'y' else 'output'}, {bad.words}"
            seen, at = bad.told, bad.place(call.path, bad.name)
        else:
            where = f"{call.title}, {quantity(place.name)}, {place.words}"
            seen, at = told_at_step(place), place.place(call.path, place.name)
        self.from_outside("N701", call, where, (place or bad).row)
        born = f"{seen}{self.before(call, None, place)}; {CAME}: {self.sizes(call, 'x', call.x, place)}"
        what = f"in {call.title}" if place is None else f"in {quantity(place.name)} of {call.title}"
        raise Located(found("N701", where, born, what, place=at, **cause_of(call, call.x, place)))

    def from_outside(self, code: str, call: Call, where: str, row: int | None) -> None:
        """Raise where the layer was given what is not finite, or holds it."""
        if spot_in(without_padding(call.x, call.mask)) is not None:
            bad = self.in_data(row)
            if bad is None:
                came = spot_in(call.x, "x")
                seen = f"x of {call.title} is not finite, {'' if came is None else came.told}; it spoils {where} first"
                at = Place(call.path, "x") if came is None else came.place(call.path, came.name)
                raise Located(found("N701", where, seen, f"between layers, before {call.title}", place=at))
            seen = f"{bad.told}{self.too_large(bad)}; it spoils {where} first"
            place = f"the data, {bad.name}, {bad.words.replace('unit', 'feature')}"
            at = bad.place(None, bad.name)
            raise Located(found("N701", place, seen, "it comes with the data", place=at, **FROM_DATA))
        begun = None if call.state is None else self.carried(call)
        if begun is not None:
            if self.state is None or spot_in(self.state) is None:
                around = call.path
                while around:  # a layer around it may have the state that it begins from
                    around = around.rpartition(".")[0]
                    self.parameters(code, vars(self.layers[around])["_own_params"], where)
            place = f"the state before the batch, {begun.name}, {begun.words}"
            seen = f"{begun.told}; it spoils {where} first"
            at = begun.place(None, begun.name)
            raise Located(found(code, place, seen, "it comes with the state", place=at, **FROM_STATE))
        self.parameters(code, call.layer.params, where)

    def parameters(self, code: str, params: Mapping[str, Parameter], where: str) -> None:
        """Raise for the first parameter that is not finite."""
        for name, p in params.items():
            bad = spot(p.value, self.names.get(id(p), name))
            if bad is not None:
                place = f"parameter {bad.name!r}, entry [{', '.join(map(str, bad.at))}]"
                seen = f"{bad.told}; it spoils {where} first"
                at = Place(parameter=bad.name, entry=bad.at)
                what = f"parameter {bad.name!r} is not finite"
                raise Located(found(code, place, seen, what, place=at, **FROM_PARAMETER))

    def in_data(self, row: int | None) -> Spot | None:
        """The first input that is not finite outside of the padding, one of the spoiled rows before others."""
        x = cast_input(self.batch.x, self.body.dtype)
        return spot_in(without_padding(x, as_mask(self.batch.mask)), "x", row)

    def too_large(self, bad: Spot) -> str:
        """What is to be said of a number that only the net's dtype cannot hold."""
        parts = self.batch.x if isinstance(self.batch.x, tuple) else (self.batch.x,)
        part = parts[int(bad.name[2:-1])] if bad.name != "x" else parts[0]
        given = float(np.asarray(part)[bad.at].real)
        return f" ({given:g} in the data, too large for {self.body.dtype})" if np.isfinite(given) else ""

    def carried(self, call: Call) -> Spot | None:
        """The first number of the state that came in which is not finite, in the rows that go on from it."""
        for path, a in leaves(call.state).items():
            goes_on = np.ones(a.shape, bool)
            if call.start is not None and a.ndim:
                goes_on = goes_on & ~start_rows(call.start, len(a), a.ndim)
            bad = spot(np.where(goes_on, a, 0), f"{call.path}.{path}" if call.path else path)
            if bad is not None:
                return bad
        return None

    # -- the loss ---------------------------------------------------------------------------------

    def of_loss(self, loss: Loss, y: Any, value: Any, dy: Any, mask: Any) -> None:
        """Look at the loss and at the gradient that it gives."""
        bad = spot(value, "the loss")
        if bad is None and spot_in(dy) is None:
            return
        title = loss.title
        at = None if isinstance(y, tuple) else position_of(loss, y, self.batch, mask)
        if at is None:
            seen = f"the loss is {float(value):g}; no position alone gives that, {within('y', reach_all(y))}"
            raise Located(found("N702", title, seen, f"in {title}", place=Place(quantity="loss"), **FROM_LOSS))
        axes: dict[str, Any] = dict(zip(("row", "step"), at, strict=False))
        words = ", ".join(f"{name} {k}" for name, k in axes.items()) if len(at) <= 2 else f"position {list(at)}"
        place = Place(quantity="loss")
        place = place._replace(**axes) if len(at) <= 2 else place._replace(entry=at)
        told = [f"the loss is {float(value):g}, {within('y at that position', y[at])}"]
        t = np.asarray(self.batch.t)
        target = spot(t[at], "t") if t.ndim >= len(at) else None
        what = f"in {title}"
        if target is not None:
            told.append(f"the target there is {target.value:g}")
            what = f"in {title}, from a target"
        elif t.ndim >= len(at) and t.dtype.kind == "f":
            told.append(within("the target there", t[at]))
        raise Located(found("N702", f"{title}, {words}", "; ".join(told), what, place=place, **FROM_LOSS))

    # -- backward ---------------------------------------------------------------------------------

    def backward(self, back: BackwardCall) -> None:
        """Look at the gradients that a layer gave."""
        call = back.call
        came = spot_in(back.dy, "dy") or spot_in(back.dstate, "dstate")
        if came is not None:
            where = f"{call.title}, {came.name}, {came.words}"
            at = came.place(call.path, came.name)
            raise Located(found("N702", where, came.told, f"on the way into {call.title}", place=at, **FROM_SUM))
        whole = call.layer is self.body or not inner_layers(call.layer)
        own = call.layer.params if whole else vars(call.layer)["_own_params"]
        names = {f"gradient of {name!r}": name for name in (self.names.get(id(p), key) for key, p in own.items())}
        spots = [spot(p.grad, name) for name, p in zip(names, own.values(), strict=True)]
        bad = next((one for one in [spot_in(back.dx, "dx"), *spots, spot_in(back.dbefore, "dstate")] if one), None)
        if bad is None:
            return
        place = in_trace(call, back)
        if place is not None and place.name in traced(call):
            where = f"{call.title}, {quantity(place.name)}, {place.words}"
            self.from_outside("N701", call, where, place.row)
            seen = f"{told_at_step(place)}; {CAME}: {self.sizes(call, 'x', call.x, place)}"
            at = place.place(call.path, place.name)
            raise Located(found("N701", where, seen, f"in {quantity(place.name)} of {call.title}", place=at))
        if place is not None:
            where = f"{call.title}, {place.name}, {place.words}"
            seen, row, at = told_at_step(place), place.row, place.place(call.path, place.name)
        elif bad.name in names:
            where = f"{call.title}, {bad.name}, entry [{', '.join(map(str, bad.at))}]"
            seen, row = bad.told, None
            at = Place(call.path, "gradient", parameter=names[bad.name], entry=bad.at)
        else:
            where = f"{call.title}, {bad.name}, {bad.words}"
            seen, row, at = bad.told, bad.row, bad.place(call.path, bad.name)
        self.from_outside("N702", call, where, row)
        padding = spot_in(call.x, "x")
        if padding is not None:
            seen += f"; in the padding, {padding.told}"
        born = f"{seen}{self.before(call, back, place)}; {CAME}: {self.sizes(call, 'dy', back.dy, None)}"
        what = f"in {call.title}" if place is None else f"in {place.name} of {call.title}"
        raise Located(found("N702", where, born, what, place=at, **cause_of(call, back.dy, place)))

    # -- numbers ----------------------------------------------------------------------------------

    def before(self, call: Call, back: BackwardCall | None, place: Spot | None) -> str:
        """How large the same quantity was at the step that ran before, in the same row."""
        if place is None:
            return ""
        forwards = bool(getattr(call.layer, "go_backwards", False)) == (back is not None)
        t, a = place.at[1] + (-1 if forwards else 1), traced(call, back)[place.name]
        if not 0 <= t < a.shape[1]:
            return ""
        return f"; {within(f'{place.name} of step {t}', a[place.at[0], t])}"

    def sizes(self, call: Call, name: str, came: Any, place: Spot | None) -> str:
        """How large what came in is, at the step and row where that is known, and the parameters."""
        told = []
        for path, a in leaves(came).items():
            at = a
            here = ""
            if place is not None and a.ndim >= 2 and place.at[0] < len(a) and place.at[1] < a.shape[1]:
                at, here = a[place.at[:2]], " there"
            told.append(within(f"{name}{path}{here}", at))
        told += [within(key, p.value) for key, p in call.layer.params.items()]
        return ", ".join(told)


def in_trace(call: Call, back: BackwardCall | None = None) -> Spot | None:
    """The first quantity of a recurrent layer that is not finite, as its trace tells; None without one."""
    forward = traced(call)
    if not forward:
        return None
    last_first = bool(getattr(call.layer, "go_backwards", False))
    place = first_in_time(forward, forward, last_first)
    if place is not None or back is None:
        return place
    everything = traced(call, back)
    return first_in_time(everything, [name for name in everything if name not in forward], not last_first)


def told_at_step(place: Spot) -> str:
    """The entry, its value, and in how many of the entries of its step."""
    return f"{place.entry} is {place.value:g} ({place.many:,} of {place.size:,} entries of {place.name} at that step)"


def cause_of(call: Call, came: Any, place: Spot | None) -> dict[str, str]:
    """Numbers too large for the dtype, where they can be; else what the code says, or an operation without value."""
    dtype = np.dtype(call.layer.dtype or np.float32)
    size = max((reach(a) for a in leaves(came).values()), default=0.0)
    weights = max((reach(p.value) * max(p.value.shape, default=1) for p in call.layer.params.values()), default=0.0)
    limit = float(np.finfo(dtype).max)
    if max(size, 1.0) * max(weights, 1.0) >= limit:
        told = (
            f"products and sums of numbers that are finite and too large: above {limit:.2g}, the largest {dtype}, they "
            f"are inf, and inf - inf and 0 * inf are nan"
        )
        return {"cause": told}
    if place is not None:
        return {}
    return {
        "cause": "an operation without a value in the layer itself: a logarithm of 0, 0/0, the root of a negative "
        "number, exp of a large one",
        "remedy": "look at its forward and backward at that place, with the numbers that came in",
    }


def reach_all(y: Any) -> Array:
    """The largest size in each array of an output."""
    return np.array([reach(a) for a in leaves(y).values()])


def position_of(loss: Loss, y: Array, batch: Batch, mask: Any) -> tuple[int, ...] | None:
    """The first position that alone gives a loss or a gradient that is not finite, found by halves."""
    shape, t = y.shape[:-1], np.asarray(batch.t)
    if t.shape[: len(shape)] != shape or not y.size:
        return None
    count = int(np.prod(shape))
    y, t = y.reshape(count, -1), t.reshape(count, *t.shape[len(shape) :])
    weight, real = (
        None if a is None else spread("find_nonfinite", what, a, shape).ravel()
        for what, a in (("weight", batch.weight), ("mask", mask))
    )

    def bad(first: int, last: int) -> bool:
        part = slice(first, last)
        value, dy, _ = loss(y[part], t[part], *(None if a is None else a[part] for a in (weight, real)))
        return spot(value) is not None or spot_in(dy) is not None

    first, last = 0, count
    try:
        while last - first > 1:
            middle = (first + last) // 2
            if bad(first, middle):
                last = middle
            elif bad(middle, last):
                first = middle
            else:
                return None
        return tuple(int(k) for k in np.unravel_index(first, shape)) if bad(first, last) else None
    except Exception:  # a loss of somebody's own may want the batch as it is
        return None
