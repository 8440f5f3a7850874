"""Roles: what each array of hand-written code is in an LSTM, in minidl's letters, and the arrays taken apart by gate.

"Wh_f"               one gate                       "Wx:fgio"          gates side by side in this order
"Wxh_f", "Wxh:ifgo"  rows of x above rows of h      "Whx_f"            rows of h above rows of x
"b_i", "p_o"         bias, peephole                 "W", "b"           an output layer on top
"E"                  an embedding in front, [V, D], of which x are the ids
"Wx_i.T"             the transpose                  "2.Wx_i"           of the second layer of a stack
"Wx[iofg,T,H,D]"     axis by axis: gates in their order, T steps, H cells, D inputs (K: the h that comes in)
None                 no part of the LSTM
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ArgumentError
from minidl.inputs import Array

GATES = "ifog"
FORM = re.compile(r"(?:(\d+)\.)?(Wxh|Whx|Wx|Wh|W|b|p|E)(?:_([ifog])|:([ifog]{2,4}))?(?:\[([^\]]*)\])?(\.T)?")
FORMS = 'forms are "Wx_i", "Wx:ifog", "Wxh_f", "b_o", "p_i", "W", "b", "E", each with ".T" behind it for the transpose'

Key = tuple[int, str]  # (layer from 0, "Wx_i"); around the layers there are (-1, "W"), (-1, "b"), (-1, "E")


class Role(NamedTuple):
    """One array's role: whose layer, which letter, of which gates, on which axes."""

    name: str
    text: str
    layer: int
    letter: str
    gates: str  # "" for the output layer
    axes: tuple[str, ...]  # () where the letter says it
    transposed: bool

    def refuse(self, shape: tuple[int, ...], expected: str) -> ArgumentError:
        """A role that does not fit its array."""
        return ArgumentError(
            f"Role {self.text!r} of {self.name!r} expects {expected}, got an array {shape}: name another role, put "
            f'".T" behind it where rows and columns are exchanged, or tell the axes, as in "Wx[iofg,T,H,D]".'
        )


def parse(name: str, text: Any) -> Role:
    """Read one role."""
    found = FORM.fullmatch(text.replace(" ", "")) if isinstance(text, str) else None
    if found is None:
        raise ArgumentError(f"Role {text!r} of {name!r} is none: {FORMS}; None for an array that is no part of it.")
    layer, letter, gate, packed, axes, transposed = found.groups()
    parts = tuple(axes.split(",")) if axes is not None else ()
    order = next((part for part in parts if re.fullmatch("[ifog]{2,4}", part)), None)
    gates = gate or packed or order or ""
    if len(set(gates)) != len(gates) or any(a for a in parts if a != order and a not in ("T", "H", "D", "K")):
        raise ArgumentError(f"Role {text!r} of {name!r} names a gate twice, or an unknown axis: {FORMS}.")
    output = letter in ("W", "b", "E") and not gates
    if letter in ("W", "E") and not output:
        raise ArgumentError(f'Role {text!r} of {name!r} names gates: the weights of gates are "Wx_i" and "Wh_i".')
    if not (output or gates):
        raise ArgumentError(
            f'Role {text!r} of {name!r} does not say of which gates: write "{letter}_i", "{letter}:ifog".'
        )
    if letter == "p" and "g" in gates:
        raise ArgumentError(f"Role {text!r} of {name!r} gives g a peephole: only i, f and o have one.")
    number = -1 if output else int(layer or 1) - 1
    return Role(name, text, number, letter, gates, parts, transposed is not None)


class Roles:
    """The roles of all arrays of a hand-written LSTM: takes parameters, and their gradients, apart by gate.

    Args:
        roles: role by name of the parameter, or None.
        params: the parameters, for their shapes.

    Raises:
        ArgumentError: for a role that is none, does not fit its array, or lacks its counterparts.
    """

    def __init__(self, roles: Mapping[str, Any], params: Mapping[str, Array]) -> None:
        unknown = [name for name in roles if name not in params]
        if unknown:
            raise ArgumentError(
                f"Roles expect the names of params, {', '.join(map(str, params))}, got {unknown[0]!r}: name it alike."
            )
        self.roles = [parse(name, text) for name, text in roles.items() if text is not None]
        self.cells: dict[int, int] = {}  # H by layer
        self.inputs: dict[int, int] = {}  # D by layer
        for role in self.roles:
            self._measure(role, params[role.name].shape)
        self.layers = sorted(self.cells)
        self.keys = {key for role in self.roles for key in self._split(role, params[role.name])}
        by_step = [role for role in self.roles if "T" in role.axes]
        self.over_time = sorted({role.name for role in by_step})
        self.keys_over_time = {key for role in by_step for key in self._split(role, params[role.name])}
        self._check_complete()
        self.vocabulary = 0
        self._check_around(params)

    # -- arrays by gate ---------------------------------------------------------------------------

    def blocks(self, arrays: Mapping[str, Array]) -> dict[tuple[str, Key], Array]:
        """Parameters or gradients by name and gate, each in minidl's orientation; [T, ...] where a step has its own."""
        return {
            (role.name, key): block
            for role in self.roles
            if arrays.get(role.name) is not None
            for key, block in self._split(role, np.asarray(arrays[role.name])).items()
        }

    def weights(self, params: Mapping[str, Array]) -> dict[Key, Array]:
        """The reference's parameters: two arrays of one role (two biases) add up."""
        found: dict[Key, Array] = {}
        for (_, key), block in self.blocks(params).items():
            found[key] = found[key] + block if key in found else block
        return found

    @property
    def features(self) -> int:
        """The features of x: D, or the size of the vocabulary where an embedding stands in front."""
        return self.vocabulary or self.inputs[0]

    # -- shapes -----------------------------------------------------------------------------------

    def _measure(self, role: Role, shape: tuple[int, ...]) -> None:
        """Take H and D of the layer from a weight matrix."""
        if role.letter not in ("Wx", "Wh", "Wxh", "Whx"):
            return
        if role.axes:
            if len(role.axes) != len(shape):
                raise role.refuse(shape, f"{len(role.axes)} axes")
            sizes = dict(zip(role.axes, shape, strict=True))
            if "H" not in sizes:
                raise role.refuse(shape, "an axis H, the cells")
            H, rows = sizes["H"], sizes.get("D")
        else:
            if len(shape) != 2:
                raise role.refuse(shape, "two axes")
            rows, columns = shape[::-1] if role.transposed else shape
            H, rest = divmod(columns, len(role.gates))
            if rest:
                raise role.refuse(shape, f"{len(role.gates)} gates side by side")
        if self.cells.setdefault(role.layer, H) != H:
            raise role.refuse(shape, f"H = {self.cells[role.layer]} cells, as in the other arrays")
        if role.letter == "Wh":
            if not role.axes and rows != H:
                raise role.refuse(shape, f"rows of h, [{H}, {len(role.gates) * H}] or the like")
            return
        D = rows if role.letter == "Wx" else (rows or 0) - H
        if D is None or D < 1 or self.inputs.setdefault(role.layer, D) != D:
            raise role.refuse(shape, f"D = {self.inputs.get(role.layer, '1 or more')} inputs, as in the other arrays")

    def _split(self, role: Role, array: Array) -> dict[Key, Array]:
        """One array by gate."""
        letter, layer, shape = role.letter, role.layer, array.shape
        array = array.T if role.transposed else array
        if layer == -1:
            return {(-1, letter): array.reshape(-1) if letter == "b" else array}
        if layer not in self.cells:
            raise role.refuse(shape, f"weights of layer {layer + 1} beside it, roles Wx and Wh")
        H = self.cells[layer]
        parts = dict(self._by_axes(role, array) if role.axes else self._side_by_side(role, array, H))
        found: dict[Key, Array] = {}
        for gate, part in parts.items():
            if letter in ("Wxh", "Whx"):
                D = self.inputs[layer]
                first, second = ("Wx", "Wh") if letter == "Wxh" else ("Wh", "Wx")
                cut = D if first == "Wx" else H
                found[layer, f"{first}_{gate}"] = part[..., :cut, :]
                found[layer, f"{second}_{gate}"] = part[..., cut:, :]
            else:
                found[layer, f"{letter}_{gate}"] = part
        for (_, name), part in found.items():
            rows = {"Wx": self.inputs.get(layer), "Wh": H, "b": None, "p": H}[name[:-2]]
            least = part.ndim - ("T" in role.axes)
            wanted = [(H,)] if rows is None else [(rows, H), (H,)][: 2 if letter == "p" else 1]
            if part.shape[part.ndim - least :] not in wanted:
                raise role.refuse(shape, " or ".join(f"[{', '.join(map(str, w))}]" for w in wanted) + " for a gate")
        return found

    def _side_by_side(self, role: Role, array: Array, H: int) -> list[tuple[str, Array]]:
        """Gates packed along the last axis; a bias or a diagonal may stand as a column or a row."""
        if role.letter in ("b", "p") and array.size == len(role.gates) * H == max(array.shape):
            array = array.reshape(-1)
        if not array.ndim or array.shape[-1] != len(role.gates) * H:
            raise role.refuse(array.shape, f"{len(role.gates)} x {H} along an axis")
        return [(gate, array[..., k * H : (k + 1) * H]) for k, gate in enumerate(role.gates)]

    def _by_axes(self, role: Role, array: Array) -> list[tuple[str, Array]]:
        """Gates on an axis of their own, or none; the axes in the order T, rows, H."""
        if len(role.axes) != array.ndim:
            raise role.refuse(array.shape, f"{len(role.axes)} axes")
        order = [axis for axis in (role.gates, "T", "D", "K", "H") if axis in role.axes]
        if len(order) != len(role.axes):
            raise role.refuse(array.shape, "each axis once, rows D of Wx and K of Wh, cells H")
        array = array.transpose([role.axes.index(axis) for axis in order])
        if role.gates not in role.axes:
            return [(role.gates, array)]
        if len(array) != len(role.gates):
            raise role.refuse(array.shape, f"an axis of {len(role.gates)} gates")
        return [(gate, array[k]) for k, gate in enumerate(role.gates)]

    def _check_around(self, params: Mapping[str, Array]) -> None:
        """The embedding and the output layer fit the layers between them; weights by step have one number of steps."""
        H, V, steps = self.cells[self.layers[-1]], 0, 0
        for role in sorted(self.roles, key=lambda role: role.letter != "W"):  # W says what b has to be
            shape = params[role.name].shape
            if "T" in role.axes:
                steps = steps or shape[role.axes.index("T")]
                if shape[role.axes.index("T")] != steps:
                    raise role.refuse(shape, f"T = {steps} steps, as in the other arrays")
            if role.layer != -1:
                continue
            own = self._split(role, params[role.name])[-1, role.letter]
            if role.letter == "E":
                if own.ndim != 2 or own.shape[1] != self.inputs[0]:
                    raise role.refuse(shape, f"[V, {self.inputs[0]}], a row for each id")
                self.vocabulary = len(own)
            elif role.letter == "W":
                if own.ndim != 2 or len(own) != H:
                    raise role.refuse(shape, f"[{H}, V], a row for each cell")
                V = own.shape[1]
            elif not V or own.size != V:
                raise role.refuse(shape, f"[{V}], as wide as W" if V else "a W of the output layer beside it")

    def _check_complete(self) -> None:
        """A layer has all four gates; layers follow each other."""
        if not self.layers:
            raise ArgumentError(f"Roles expect the weights of an LSTM, Wx and Wh, got none of them: {FORMS}.")
        if self.layers != list(range(len(self.layers))):
            raise ArgumentError(f"Roles expect layers 1, 2, ... without a gap, got {[n + 1 for n in self.layers]}.")
        for layer in self.layers:
            missing = [f"{w}_{g}" for w in ("Wx", "Wh") for g in GATES if (layer, f"{w}_{g}") not in self.keys]
            if missing:
                raise ArgumentError(
                    f"Roles expect all weights of the four gates, {missing[0]} is missing: give its array that role."
                )
            below = self.cells.get(layer - 1)
            if layer and self.inputs[layer] != below:
                raise ArgumentError(
                    f"Roles expect layer {layer + 1} to read the {below} cells below it, its Wx reads "
                    f"{self.inputs[layer]}: number the layers from below."
                )
