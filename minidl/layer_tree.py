"""`LayerTree`: what a layer holds: parameters of its own, and other layers with theirs, under dotted names."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from minidl.arguments import ArgumentHelp
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import Shape
from minidl.parameter import Parameter, Parameters, set_trainable

BUILT: ContextVar[list[Any] | None] = ContextVar("BUILT", default=None)  # layers that the build under way has built
ORDER = itertools.count()  # of the calls of freeze and unfreeze on layers that are not built yet


class FreezeRule(NamedTuple):
    """A call of `freeze` or `unfreeze` on an unbuilt layer, to be applied when its parameters exist."""

    order: int
    pattern: str | None
    trainable: bool


class FreezeError(ArgumentError):
    """The pattern of a call of `freeze` before the build fits no parameter."""

    def __init__(self, message: str, layer: LayerTree, rule: FreezeRule) -> None:
        super().__init__(message)
        self.layer, self.rule = layer, rule


class Snapshot:
    """A layer as it was: its attributes, and what is in the lists and dicts among them."""

    def __init__(self, layer: LayerTree) -> None:
        self.layer, self.attributes = layer, dict(vars(layer))
        self.contents = [(part, copy.copy(part)) for part in containers_in(list(self.attributes.values()))]
        self.sublayers = layer.sublayers

    def restore(self, names: Collection[str] | None = None) -> None:
        """Put the attributes back, all of them or those of these names."""
        if names is None:
            vars(self.layer).clear()
        vars(self.layer).update({name: v for name, v in self.attributes.items() if names is None or name in names})
        for part, content in self.contents:
            if isinstance(part, list):
                part[:] = content
            elif part != content:
                part.clear()
                part.update(content)


class LayerTree(ArgumentHelp):
    """A layer as a tree: its parameters and the layers inside it, how they are named, found and frozen."""

    in_shape: Shape | None
    mixes_steps: bool
    runs_layers: ClassVar[bool] = False  # of containers: whether a mask matters depends on the layers inside
    _passes_masks: ClassVar[bool]  # whether the author wrote the pair that takes a mask
    _keeps_state: ClassVar[bool]  # whether the author wrote initial_state
    _own_params: dict[str, Parameter]
    _holders: tuple[str, ...] | None  # once it is built: the attributes that hold layers, or empty lists and dicts
    _freeze_rules: tuple[FreezeRule, ...]

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, np.ndarray | list | tuple) and isinstance(vars(self).get(name), Parameter):
            raise ArgumentError(
                f"{type(self).__name__}.{name} is a parameter, got a {type(value).__name__}: write into it, "
                f"{name}.value[...] = array."
            )
        super().__setattr__(name, value)

    @property
    def params(self) -> Parameters:
        """The parameters by name, in a fixed order: the layer's own, then those of the layers inside, by dotted path.

        A parameter that is shared is listed once, under its first name. The mapping is read-only: write to a parameter
        in place, `params["dense.W"].value[...] = W`.
        """
        inner = self.sublayers
        if not inner:
            return Parameters(self._own_params)
        found, seen = dict(self._own_params), {id(p) for p in self._own_params.values()}
        try:
            named = [(f"{slot}.{name}", p) for slot, layer in inner.items() for name, p in layer.params.items()]
        except RecursionError:
            raise ArgumentError(f"{type(self).__name__} holds itself. Keep no layer that contains this one.") from None
        for name, p in named:
            if name in self._own_params:
                raise ArgumentError(f"{type(self).__name__} has a parameter {name!r} and a layer's. Rename one.")
            if id(p) not in seen:
                seen.add(id(p))
                found[name] = p
        return Parameters(found)

    @property
    def sublayers(self) -> dict[str, Any]:
        """The layers that this one holds: in attributes, and in lists, tuples and dicts there, as "cells.0".

        Override it where an attribute refers to a layer that is not a part of this one.

        Raises:
            ArgumentError: for a layer in a set, or under a key that is not a word or a number.
        """
        found: dict[str, Any] = {}
        for attribute, value in self._attributes():
            for name, layer in layers_in(type(self).__name__, attribute, value):
                if name in found:
                    raise ArgumentError(f"{type(self).__name__} holds two layers as {name!r}. Choose other keys.")
                found[name] = layer
        return found

    def _tree(self, around: tuple[LayerTree, ...] = ()) -> Iterator[LayerTree]:
        """Yield this layer and all layers inside it."""
        yield self
        if not any(layer is self for layer in around):
            for layer in self.sublayers.values():
                yield from layer._tree((*around, self))

    def _attributes(self) -> list[tuple[str, Any]]:
        """The attributes that may hold layers: all before the first build, then layers, and lists that held any."""
        holders = self._holders
        if holders is None:
            return list(vars(self).items())
        return [(name, value) for name, value in vars(self).items() if isinstance(value, LayerTree) or name in holders]

    def needs_mask(self) -> bool:
        """Return whether a step of y depends on other steps of x, here or in a layer inside."""
        inner = self.sublayers.values()
        return any(layer.needs_mask() for layer in inner) if self.runs_layers and inner else self.mixes_steps

    @property
    def mask_obstacle(self) -> str | None:
        """Why a mask does not reach a layer inside that needs it: the pair forward/backward has none to pass on."""
        inner = self.sublayers if self._holders and not self._passes_masks else {}
        name = next((name for name, layer in inner.items() if layer.needs_mask()), None)
        return name and (
            f"cannot pass it to its {name!r}, {inner[name]!r:.60}. Write forward_with_state and backward_with_state "
            f"instead of forward and backward."
        )

    @property
    def streams(self) -> bool:
        """Whether a sequence may be cut into windows with the state carried from one to the next.

        Where a layer holds a recurrent one and has no state of its own, that state would be lost between windows.
        """
        inner: Any = self.sublayers.values()
        return all(
            layer.streams and (self._keeps_state or layer.in_shape is None or layer.initial_state(1) is None)
            for layer in inner
        )

    # -- building ---------------------------------------------------------------------------------

    @contextmanager
    def _building(self, dtype: Any) -> Iterator[None]:
        """Take the layers that `setup` has built as parts; where it fails, leave all of them as they were."""
        before = [Snapshot(layer) for layer in self._tree()]
        around, built = BUILT.get(), list[Any]()
        token = BUILT.set(built)
        try:
            yield
            again, self._holders = self._holders is not None, None  # to look at all attributes
            self._refuse_invisible(built)
            if again:
                self._keep_layers(before[0])
            self._take_sublayers(dtype)
            if around is None:
                self._apply_freeze_rules()
        except BaseException as error:
            for snapshot in before:
                snapshot.restore()
            if isinstance(error, FreezeError):  # or the layer could never be built
                error.layer._freeze_rules = tuple(rule for rule in error.layer._freeze_rules if rule != error.rule)
            raise
        finally:
            BUILT.reset(token)
        if around is not None:
            around.append(self)

    def _keep_layers(self, before: Snapshot) -> None:
        """Where `setup` makes layers again that the layer has already, keep those that it has."""
        old, new = before.sublayers, self.sublayers
        if old.items() == new.items():
            return
        more = next((name for name in new if name not in old), None)
        if more is not None:
            raise ArgumentError(
                f"{type(self).__name__}.setup adds the layer {more!r} when it is built again. Make layers in __init__, "
                f"or in setup only while they are missing."
            )
        for name, layer in old.items():
            if forms_of(layer) != forms_of(new.get(name, layer)):
                raise ShapeError(
                    f"{type(self).__name__} was built for inputs {self.in_shape}, and its {name!r} would have other "
                    f"parameters here. Feed it the same size, or use a new layer."
                )
        before.restore(names={name.partition(".")[0] for name in old})

    def _refuse_invisible(self, built: list[Any]) -> None:
        """Refuse a layer that `setup` has built and that is not a part: it would be neither trained nor saved."""
        tree = {id(layer) for layer in self._tree()}
        lost = next((layer for layer in built if id(layer) not in tree and layer.params), None)
        if lost is not None and not any(p is q for p in lost.params.values() for q in self.params.values()):
            raise ArgumentError(
                f"{type(self).__name__}.setup built {lost!r:.60}, which the layer does not hold in an attribute, or in "
                f"a list, tuple or dict there, so it would be neither trained nor saved. Keep it in one."
            )

    def _take_sublayers(self, dtype: Any) -> None:
        """Note which attributes hold layers, and refuse a layer that has no name or was not built by `setup`."""
        owner = type(self).__name__
        for name, layer in self.sublayers.items():
            if layer is self or any(inner is self for inner in layer._tree()):
                raise ArgumentError(f"{owner} holds itself, as {name!r}. Keep no layer that contains this one.")
            if layer.in_shape is None:
                raise ArgumentError(
                    f"{owner}.setup must build the layer {name!r}, {layer!r:.60}. "
                    f"Call build(in_shape, rng, dtype) of it in setup."
                )
            for own, p in layer.params.items():
                if p.value.dtype != dtype:
                    raise ArgumentError(
                        f"{owner}.setup must build '{name}.{own}' as {dtype}, got {p.value.dtype}. "
                        f"Pass rng and dtype on: build(in_shape, rng, dtype)."
                    )
            self.mixes_steps = self.mixes_steps or layer.needs_mask()
        self._holders = tuple(
            name
            for name, value in self._attributes()
            if name != "_own_params"
            and ((isinstance(value, list | dict) and not value) or any(layers_in(owner, name, value)))
        )

    # -- freezing ---------------------------------------------------------------------------------

    def freeze(self, pattern: str | None = None) -> Self:
        """Keep all parameters as they are, or those whose names fit a pattern such as "encoder.*" or "*.b".

        It holds in every net that the parameters are in, and gradients still flow through. Before the layer is built,
        it is noted and applied by `build`.

        Raises:
            ArgumentError: for a pattern that no parameter fits; before the build, `build` raises it.
        """
        return self._set_trainable("freeze", pattern, False)

    def unfreeze(self, pattern: str | None = None) -> Self:
        """Let training change all parameters again, or those whose names the pattern fits."""
        return self._set_trainable("unfreeze", pattern, True)

    def _set_trainable(self, owner: str, pattern: str | None, trainable: bool) -> Self:
        if self.in_shape is None:
            self._freeze_rules = (*self._freeze_rules, FreezeRule(next(ORDER), pattern, trainable))
        else:
            set_trainable(owner, self.params, pattern, trainable)
        return self

    def _apply_freeze_rules(self) -> None:
        """Apply what was frozen and unfrozen before the build, here and in the layers inside, in that order."""
        tree = {id(layer): layer for layer in self._tree()}
        rules = [(rule, layer) for layer in tree.values() for rule in layer._freeze_rules]
        for rule, layer in sorted(rules, key=lambda entry: entry[0].order):
            owner = "unfreeze" if rule.trainable else "freeze"
            try:
                set_trainable(owner, layer.params, rule.pattern, rule.trainable)
            except ArgumentError as error:
                raise FreezeError(error.message, layer, rule) from None
        for layer in tree.values():
            layer._freeze_rules = ()

    @property
    def trainable(self) -> bool:
        """Whether training changes any parameter. Setting it calls `unfreeze()` or `freeze()`."""
        whole = [rule.trainable for rule in self._freeze_rules if rule.pattern is None]
        return whole[-1] if whole else not self.params or any(p.trainable for p in self.params.values())

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool | np.bool_):
            raise ArgumentError(f"{type(self).__name__}.trainable must be True or False, got {value!r:.60}.")
        self._set_trainable("trainable", None, bool(value))


def forms_of(layer: LayerTree) -> dict[str, Any]:
    """Return shape and dtype of each parameter."""
    return {name: (p.value.shape, p.value.dtype) for name, p in layer.params.items()}


def containers_in(values: list[Any]) -> Iterator[Any]:
    """Yield the lists and dicts among values and in them, however deep, each once."""
    seen, todo = set[int](), [*values]
    while todo:
        part = todo.pop()
        if isinstance(part, list | tuple | dict) and id(part) not in seen:
            seen.add(id(part))
            todo += part.values() if isinstance(part, dict) else part
            if not isinstance(part, tuple):
                yield part


def layers_in(owner: str, name: str, value: Any) -> Iterator[tuple[str, LayerTree]]:
    """Yield the layers in an attribute under their names: itself, or in lists, tuples and dicts, however deep."""
    if isinstance(value, LayerTree):
        yield name, value
    elif isinstance(value, list | tuple):
        for k, part in enumerate(value):
            yield from layers_in(owner, f"{name}.{k}", part)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            for path, layer in layers_in(owner, f"{name}.{key}", part):
                if not isinstance(key, str | int) or not str(key) or "." in str(key):
                    raise ArgumentError(
                        f"{owner} holds a layer in {name!r} under {key!r:.60}. Use a word without dots as the key."
                    )
                yield path, layer
    elif isinstance(value, set | frozenset) and any(isinstance(part, LayerTree) for part in value):
        raise ArgumentError(
            f"{owner} holds layers in the set {name!r}, where they have no names. Use a list or a dict."
        )
