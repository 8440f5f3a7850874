"""`Graph`: layers that take from whichever layers were added before them, which together are a layer again."""

from __future__ import annotations

import copy
from collections import ChainMap
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.container import Container
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Shape, check_kept, clear_padding, several
from minidl.layer import Layer
from minidl.nested import added, as_part, outline, part_of, zeros_like
from minidl.summary import print_tree
from minidl.wiring import Node, as_given, as_names, check_origin, check_sources, check_start, check_used, masks_given


class GraphCache(NamedTuple):
    """The caches of the nodes, in order, the outline of the y of those with a state, and the inputs' masks."""

    nodes: list[Any]
    outlines: dict[str, Any]
    mask: Any


class Graph(Container):
    """Layers that take from whichever layers stand before them: branches, several inputs and outputs, shared parts.

    A node names its sources, and only what is there already can be named; so the order in which nodes are added is an
    order in which they can run, and a net cannot go in circles.

    Args:
        inputs: the name of the input, or the names of several.
        outputs: the names of the nodes that the net returns; by default the last one that was added.
        nodes: nodes to begin with, as (name, layer, sources, state); `add` is easier to read.
        name: what error messages and an enclosing container call it.

    Shapes:
        One input or output is an array, several are a tuple in the order of their names, and so are their shapes,
        masks and gradients: build(((None,), (None, 8))). The state is a dict by node name.

    Params:
        The layers', by dotted names: "encoder.Wx". A layer that is added under two names is one set of parameters,
        under its first name.

    Raises:
        UnknownNameError: for a source that is not there (yet). ArgumentError: for a node that nobody uses.
        ShapeError: for shapes that do not go together; it names the node.

    Notes:
        `state="encoder"` starts a node from the final state of that node, and sends the gradient back there. Such a
        node keeps no state of its own between passes, and the net cannot be fed window by window.

    Example:
        >>> net = minidl.Graph(inputs=("question", "answer"))
        >>> read = minidl.Sequential([minidl.Embedding(50, 8), minidl.LSTM(16)])
        >>> _ = net.add("asked", read, "question").add("answered", read, "answer")
        >>> _ = net.add("both", minidl.Multiply(), "asked", "answered").add("scores", minidl.Dense(2), "both")
        >>> net.build(((None,), (None,)))
        (2,)
        >>> list(net.params)
        ['asked.embedding.E', 'asked.lstm.Wx', 'asked.lstm.Wh', 'asked.lstm.b', 'scores.W', 'scores.b']
    """

    def __init__(
        self,
        *,
        inputs: str | Sequence[str] = "x",
        outputs: str | Sequence[str] | None = None,
        nodes: Iterable[tuple[str, Layer, Sequence[str], str | None]] = (),
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.nodes: dict[str, Node] = {}
        self.inputs = as_names(self._title(), "inputs", inputs)
        self._inputs: dict[str, Any] = dict.fromkeys(self.inputs)  # to look them up
        for one in self.inputs:
            self._check_name(one, "an input's name")
        if len(self._inputs) < len(self.inputs):
            raise ArgumentError(f"{self._title()} expects inputs to have names of their own, got {self.inputs}.")
        self.given_outputs = None if outputs is None else as_names(self._title(), "outputs", outputs)
        for entry in nodes:
            if not isinstance(entry, tuple) or len(entry) != 4 or not isinstance(entry[2], list | tuple):
                raise ArgumentError(
                    f"{self._title()} expects nodes as (name, layer, sources, state), got {entry!r:.80}: or use add."
                )
            self.add(entry[0], entry[1], *entry[2], state=entry[3])

    def add(self, name: str, layer: Layer, *sources: str, state: str | None = None) -> Graph:
        """Add a node; returns the net, so that calls can be chained.

        Args:
            name: what other nodes call it.
            layer: what it computes; the same layer may be added under several names.
            sources: inputs or nodes that it takes its x from; several make x a tuple.
            state: a node whose final state this one starts from; of a net inside, the dotted path: "encoder.lstm".
        """
        if isinstance(name, Layer):
            raise ArgumentError(
                f'{self._title()} expects a name first, got {name!r}: write add("name", layer, "source").'
            )
        self._check_name(name, "a node's name")
        if name in self._inputs:
            raise ArgumentError(f"{self._title()} has an input {name!r} already: choose another name.")
        self._check_layer(layer)
        there: ChainMap[str, Any] = ChainMap(self.nodes, self._inputs)
        check_sources(self._title(), name, sources, there)
        if state is not None:
            check_origin(self._title(), name, state, self._inputs, there)
        self.layers[name] = layer
        self.nodes[name] = Node(layer, sources, state)
        self.in_shape = self.out_shape = None  # to be built again: what is there is kept
        return self

    def _attributes(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in super()._attributes() if name != "nodes"]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the nodes whose y the net returns."""
        return self.given_outputs or tuple(self.nodes)[-1:]

    # -- the pass ---------------------------------------------------------------------------------

    def forward_with_state(
        self,
        x: Any,
        state: dict[str, Any] | None = None,
        *,
        start: Any = None,
        mask: Any = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Any, dict[str, Any] | None, GraphCache | None]:
        self._check_state(state)
        values = self._by_input(as_given(self._title(), self.inputs, x))
        masks = self._by_input(masks_given(self._title(), self.inputs, mask))
        for name in self.inputs:
            with self._place(name):
                values[name] = clear_padding(values[name], masks[name])
        finals: dict[str, Any] = {}
        outlines: dict[str, Any] = {}
        caches = []
        for name, (layer, sources, origin) in self.nodes.items():
            node_mask = of_sources(masks, sources)
            with self._place(name):
                values[name], after, cache = layer.forward_with_state(
                    of_sources(values, sources),
                    part_of(finals, origin) if origin else None if state is None else state.get(name),
                    start=None if origin else start,
                    mask=node_mask if layer.mixes_steps else None,
                    rng=rng,
                    keep_cache=keep_cache,
                )
            masks[name] = None if node_mask is None else layer.hand_on(node_mask)
            finals[name] = after
            caches.append(cache)
            if after is not None and keep_cache:  # for backward where no gradient comes in from above
                outlines[name] = outline(values[name])
        carried = {name: after for name, after in finals.items() if after is not None and not self.nodes[name].state}
        return (
            of_sources(values, self.outputs),
            carried or None,
            GraphCache(caches, outlines, mask) if keep_cache else None,
        )

    def backward_with_state(
        self, dy: Any, dstate: dict[str, Any] | None, cache: GraphCache
    ) -> tuple[Any, dict[str, Any] | None]:
        self._check_state(dstate)
        check_kept(self._title(), cache)
        grads: dict[str, Any] = {}
        for name, d in zip(self.outputs, dy if len(self.outputs) > 1 else (dy,), strict=True):
            grads[name] = added(grads.get(name), d)
        after = dict(dstate or {})  # the gradients of final states, from outside and from nodes that start there
        before: dict[str, Any] = {}
        for (name, node), node_cache in zip(reversed(self.nodes.items()), reversed(cache.nodes), strict=True):
            d = grads.pop(name, None)
            if d is None:
                if after.get(name) is None:
                    continue  # nothing flows back into it
                d = zeros_like(cache.outlines[name])
            with self._place(name):
                dx, dbefore = node.layer.backward_with_state(d, after.get(name), node_cache)
            if node.state:
                after = added(after, as_part(node.state, dbefore))
            elif dbefore is not None:
                before[name] = dbefore
            for source, part in zip(node.sources, dx if len(node.sources) > 1 else (dx,), strict=True):
                grads[source] = added(grads.get(source), part)
        dx = tuple(grads.get(name) for name in self.inputs)
        return clear_padding(dx if len(dx) > 1 else dx[0], cache.mask), dict(reversed(before.items())) or None

    def _by_input(self, parts: Any) -> dict[str, Any]:
        """What came for the inputs, by their names."""
        parts = parts if len(self.inputs) > 1 else (parts,)
        return dict(zip(self.inputs, parts, strict=True))

    def _check_state(self, state: Any) -> None:
        super()._check_state(state)
        begun = [name for name in state or () if self.nodes[name].state]
        if begun:
            raise ShapeError(
                f"{self._title()} expects no state for node {begun[0]!r}, which starts from that of "
                f"{self.nodes[begun[0]].state!r}: leave it out."
            )

    # -- building ---------------------------------------------------------------------------------

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Any:
        if not self.nodes:
            raise ArgumentError(f"{self._title()} has no nodes to build: add some first.")
        check_used(self._title(), self.inputs, self.nodes, self.outputs)
        count, wanted = len(in_shape) if several(in_shape) else 1, len(self.inputs)
        if count != wanted:
            example = ", ".join("(None,)" for _ in self.inputs)
            what = f"the shapes of {wanted} inputs" if wanted > 1 else "the shape of one input"
            raise ShapeError(
                f"{self._title()} expects {what}, {', '.join(self.inputs)}, got {in_shape}: write "
                f"build({f'({example})' if wanted > 1 else example})."
            )
        shapes = self._by_input(in_shape[0] if several(in_shape) and count == 1 else in_shape)
        for name, (layer, sources, origin) in self.nodes.items():
            with self._place(name):
                shapes[name] = layer.build(of_sources(shapes, sources), rng, dtype)
                if origin is not None:
                    check_start(name, layer, origin, self.nodes)
        if self.in_shape in (None, in_shape):
            self.shapes = {name: shapes[name] for name in self.nodes}
        return of_sources(shapes, self.outputs)

    def initial_state(self, batch: int) -> dict[str, Any] | None:
        own = {name: node.layer.initial_state(batch) for name, node in self.nodes.items() if not node.state}
        return {name: state for name, state in own.items() if state is not None} or None

    def hand_on(self, mask: Any) -> Any:
        masks = self._by_input(mask)
        for name, node in self.nodes.items():
            node_mask = of_sources(masks, node.sources)
            masks[name] = None if node_mask is None else node.layer.hand_on(node_mask)
        return of_sources(masks, self.outputs)

    @property
    def streams(self) -> bool:
        return super().streams and not any(node.state for node in self.nodes.values())

    def example(self, in_shape: Shape, rng: np.random.Generator, batch: int = 3, time: int = 5) -> Any:
        shapes = self._by_input(in_shape)
        examples = {name: super(Graph, self).example(shape, rng, batch, time) for name, shape in shapes.items()}
        for layer, sources, _ in reversed(self.nodes.values()):
            if all(source in self.inputs for source in sources):  # it knows what it takes: ids, or numbers
                known = layer.example(of_sources(shapes, sources), rng, batch, time)
                examples |= zip(sources, known if len(sources) > 1 else (known,), strict=True)
        return of_sources(examples, self.inputs)

    @property
    def last(self) -> Layer | None:
        return self.nodes[self.outputs[0]].layer if len(self.outputs) == 1 and self.nodes else None

    # -- parts ------------------------------------------------------------------------------------

    def replace_last(self, layer: Layer | None) -> Graph | None:
        """A net of the same layers with another one in place of the last; with None it returns what that one took.

        None where the last layer takes from several sources, and is to be left out.
        """
        name = self.outputs[0]
        _, sources, state = self.nodes[name]
        if layer is None and len(sources) > 1:
            return None
        nodes = {n: node for n, node in self.nodes.items() if n != name or layer is not None}
        if layer is not None:
            nodes[name] = Node(layer, sources, state)
        outputs = sources if layer is None else self.outputs
        part = copy.copy(self)  # the very same layers, wired as they are: nothing to check again, at each step
        part.nodes, part.given_outputs = nodes, outputs
        part.layers = {n: node.layer for n, node in nodes.items()}
        if self.in_shape is not None:
            part.shapes = {n: self.shapes[n] for n in nodes}
            if layer is not None and layer.out_shape is not None:
                part.shapes[name] = layer.out_shape
            part.out_shape = of_sources(part.shapes | self._by_input(self.in_shape), outputs)
        return part

    def config(self) -> dict[str, Any]:
        nodes = [(name, layer, sources, state) for name, (layer, sources, state) in self.nodes.items()]
        return {"inputs": self.inputs, "outputs": self.given_outputs, "nodes": nodes, "name": self.name}

    def summary(self) -> None:
        """Print a tree of the nodes: name, type, where they take from, output shape, parameters."""
        print_tree(self)

    def __repr__(self) -> str:
        def told(name: str, node: Node) -> str:
            state = f", state={node.state}" if node.state else ""
            return f"{name} = {node.layer!r}({', '.join(node.sources)}{state})"

        nodes = "; ".join(told(name, node) for name, node in self.nodes.items())
        outputs = f" -> {', '.join(self.given_outputs)}" if self.given_outputs else ""
        return f"{self._title()}[{', '.join(self.inputs)}: {nodes}{outputs}]"

    def _where(self, name: str) -> str:
        return f"{self._title()}, {'input' if name in self._inputs else 'node'} {name!r}"


def of_sources(values: dict[str, Any], sources: Sequence[str]) -> Any:
    """The value of one source, or a tuple of those of several; None where none of them has one."""
    if len(sources) == 1:
        return values[sources[0]]
    parts = tuple(values[source] for source in sources)
    return None if all(part is None for part in parts) else parts
