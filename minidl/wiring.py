"""What may be wired to what in a `Graph`: names, sources, uses, states; and what is said where it does not fit."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ArgumentError, ShapeError, UnknownNameError
from minidl.inputs import shape_text
from minidl.layer import Layer
from minidl.names import shown
from minidl.nested import leaves, part_of


class Node(NamedTuple):
    """A layer's place in a graph: what it takes its x from, and whose final state it starts from."""

    layer: Layer
    sources: tuple[str, ...]
    state: str | None


def as_names(owner: str, what: str, names: Any) -> tuple[str, ...]:
    """One name or several as a tuple."""
    names = (names,) if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not names or not all(isinstance(n, str) for n in names):
        raise ArgumentError(f"{owner} expects {what} to be a name or a list of names, got {names!r:.80}.")
    return tuple(names)


def check_sources(owner: str, name: str, sources: tuple[Any, ...], there: Mapping[str, Any]) -> None:
    """Refuse sources that are none, or not there yet."""
    if not sources:
        raise ArgumentError(
            f"{owner} expects a source for node {name!r}, got none: write add({name!r}, layer, {list(there)[-1]!r})."
        )
    for source in sources:
        if isinstance(source, list | tuple) and all(isinstance(part, str) for part in source):
            listed = ", ".join(map(repr, source))
            raise ArgumentError(
                f"{owner} expects the sources of node {name!r} one after the other, got {source!r:.80}: write "
                f"add({name!r}, layer, {listed})."
            )
        if not isinstance(source, str):
            raise ArgumentError(
                f"{owner} expects the sources of node {name!r} to be names, got {source!r:.80}: add that layer under a "
                f"name first."
            )
        check_there(owner, name, source, there)


def check_there(owner: str, name: str, source: str, there: Mapping[str, Any]) -> None:
    """Refuse a name that is not there."""
    if source in there:
        return
    near = difflib.get_close_matches(source[:40], [known for known in [*there][-200:] if len(known) <= 40], 1)  # fast
    hint = f"did you mean {near[0]!r}?" if near else "a node can only take from what was added before it."
    if source.partition(".")[0] in there:
        hint = "a source is the whole output of a node; what is inside of it has to be a node of this graph."
    raise UnknownNameError(
        f"{owner}: node {name!r} names {source!r}, which is not there yet: there is {shown(there)}; {hint}"
    )


def check_origin(owner: str, name: str, state: Any, inputs: Collection[str], there: Mapping[str, Any]) -> None:
    """Refuse what names no node whose final state another one could start from."""
    if not isinstance(state, str):
        raise ArgumentError(f"{owner} expects the state of node {name!r} to be the name of a node, got {state!r:.80}.")
    first = state.partition(".")[0]
    if first in inputs:
        raise ArgumentError(f"{owner}: node {name!r} cannot start from {first!r}, an input has no state.")
    check_there(owner, name, first, there)


def check_used(owner: str, inputs: Collection[str], nodes: Mapping[str, Node], outputs: tuple[str, ...]) -> None:
    """Refuse outputs that are not there, and nodes and inputs that nobody takes."""
    for name in outputs:
        if name not in nodes:
            hint = f"; several inputs are inputs={(*inputs, name)}" if len(inputs) == 1 else ""
            raise UnknownNameError(f"{owner} has no node {name!r} to return: outputs are among {shown(nodes)}{hint}.")
    used = {source for node in nodes.values() for source in node.sources} | set(outputs)
    used |= {node.state.partition(".")[0] for node in nodes.values() if node.state}
    for name in (*inputs, *nodes):
        if name not in used:
            what, cure = ("input", "") if name in inputs else ("node", f", name it in outputs=(..., {name!r})")
            raise ArgumentError(f"{owner}: {what} {name!r} is used by no node: take from it{cure}, or leave it out.")


def check_start(name: str, layer: Layer, origin: str, nodes: Mapping[str, Node]) -> None:
    """Refuse a final state that is not like the state which the node starts from; both layers are built."""
    first = origin.partition(".")[0]
    whole = nodes[first].layer.initial_state(1)
    given, wanted = leaves(part_of({first: whole}, origin)), leaves(layer.initial_state(1))
    if not given and isinstance(whole, dict):
        raise ShapeError(
            f"node {name!r} is to start from the final state of {origin!r}, but {first!r} has states of "
            f"{shown(whole)}: write state='{first}.{next(iter(whole))}'."
        )
    if not given or not wanted:
        raise ShapeError(
            f"node {name!r} is to start from the final state of {origin!r}, but {name if given else origin!r} has no "
            f"state: state= goes from one recurrent layer to another."
        )
    forms = [{part: a.shape[1:] for part, a in of.items()} for of in (wanted, given)]
    if forms[0] == forms[1]:
        return
    inside = [{part.rpartition(".")[0] for part in form} for form in forms]
    hint = "give both the same units, and the same kind of layer"
    if inside[0] == {""} and len(inside[1]) >= 1 and inside[1] != {""}:
        hint = f"name the layer inside, state='{origin}.{min(inside[1])}'"
    elif inside[1] == {""} and inside[0] != {""}:
        hint = f"add the layers inside of {name!r} as nodes of their own, and let the recurrent one start there"
    elif inside[0] != inside[1]:
        hint = "give the layers inside the same names"
    told = [", ".join(f"{part} {shape_text(shape)}" for part, shape in form.items()) for form in forms]
    raise ShapeError(f"node {name!r} starts from a state of {told[0]}, but {origin!r} ends in {told[1]}: {hint}.")


def as_given(owner: str, inputs: tuple[str, ...], x: Any) -> Any:
    """x, refused where it is no tuple of as many arrays, of as many rows, as there are inputs."""
    count = len(inputs)
    if (len(x) if isinstance(x, tuple) else 1) != count:
        came = f"a tuple of {len(x)}" if isinstance(x, tuple) else f"one {type(x).__name__}"
        wanted = f"a tuple of {count} arrays, {', '.join(inputs)}" if count > 1 else "one array"
        raise ShapeError(f"{owner} expects {wanted}, got {came}: x = ({', '.join(inputs)}).")
    if count == 1:
        return x[0] if isinstance(x, tuple) else x
    rows = {len(part) for part in x if isinstance(part, np.ndarray) and part.ndim}
    if len(rows) > 1:
        told = ", ".join(f"{name} {np.shape(part)}" for name, part in zip(inputs, x, strict=True))
        raise ShapeError(f"{owner} expects as many rows in each input, got {told}.")
    return x


def masks_given(owner: str, inputs: tuple[str, ...], mask: Any) -> Any:
    """The mask of one input, or a tuple of one mask or None for each of several."""
    count = len(inputs)
    if count == 1:
        return mask
    if mask is not None and (not isinstance(mask, tuple) or len(mask) != count):
        came = f"a tuple of {len(mask)}" if isinstance(mask, tuple) else f"one {type(mask).__name__}"
        raise ShapeError(
            f"{owner} expects a tuple of {count} masks, {', '.join(inputs)} (None for no padding), got {came}."
        )
    return (None,) * count if mask is None else mask
