"""Checks of how a layer is made: copied, built once more, in float32.

Each takes a `Subject` and returns None, or one sentence that says what is broken.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minidl.checking.judging import HEADROOM
from minidl.checking.structure import contents, is_finite, is_numeric
from minidl.checking.subject import Subject, differing, parts, same
from minidl.layer import Layer
from minidl.nested import leaves, map_arrays

SINGLE = 5e-5  # of an entry and of the largest one: float32 is as near to float64; half precision (5e-4) is not


def check_copy(s: Subject) -> str | None:
    """A copy computes the same, and is independent."""
    before = s.run()
    for twin in copy.deepcopy(s.layer), s.layer.copy(), s.layer.copy(np.float64):
        if any(np.shares_memory(p.value, q.value) for p in s.layer.params.values() for q in twin.params.values()):
            return "changing a copy changes the layer: arrays are shared."
        if not same(parts(s.run(twin)), parts(before)):
            return "a copy of the layer computes something else."
        if list(twin.params) != list(s.layer.params):
            return "a copy of the layer has other parameters."
    return None


def check_rebuild(s: Subject) -> str | None:
    """Building what is built already keeps what the layer has."""
    before = contents(s.layer)
    s.layer.build(s.in_shape, seed=s.seed + 1, dtype=s.layer.dtype or np.float64)
    after = contents(s.layer)
    names = [f"self.{name}" for name in after if after[name] != before.get(name)]
    if names:
        told = ", ".join(n for n in names if n != "self._own_params") or "a parameter"
        return f"building a layer again must keep what it has, but {told} changed{no_parameter(s.layer)}."
    return None


def no_parameter(layer: Layer) -> str:
    """What to do about an array that setup has put on self as it is."""
    names = [name for name, value in vars(layer).items() if isinstance(value, np.ndarray) and is_numeric(value)]
    if not names:
        return ""
    return f": self.{names[0]} is an array, no parameter: use add_param (with trainable=False for a constant)"


def check_float32(s: Subject) -> str | None:
    """In float32 everything stays float32, and agrees with float64; and large inputs give no NaN."""

    def run(layer: Layer, dtype: Any, options: dict[str, Any]) -> dict[str, Any]:
        """A pass of what float32 can hold, in `dtype`."""

        def cast(tree: Any) -> Any:
            return map_arrays(lambda a: a.astype(np.float32).astype(dtype) if is_numeric(a) else a, tree)

        return parts(s.run(layer, cast(s.x), cast(s.dy), state=cast(s.state), dafter=cast(s.dafter), **options))

    twins = [s.layer.copy(np.float32)]
    same_weights = twins[0].copy(np.float64)
    if not s.given.params:  # built anew: a copy is cast, whatever setup has made of the dtype
        twins.append(s.given.copy())
        twins[1].build(s.in_shape, seed=s.seed, dtype=np.float32)

    def amplified(wide: dict[str, Any], options: dict[str, Any]) -> bool:
        """Whether weights that are rounded otherwise in float32 lead as far away in float64: the layer is chaotic."""
        rng, far = np.random.default_rng(s.seed), set[str]()
        for _ in range(3):
            nudged = same_weights.copy()
            for p in nudged.params.values():
                p.value *= 1 + np.finfo(np.float32).eps * rng.standard_normal(p.value.shape)
            far.update(differing(wide, run(nudged, np.float64, options), SINGLE / HEADROOM))
        return far == set(wide)

    for words, options in s.settings:
        wide = run(same_weights, np.float64, options)
        for twin in twins:
            low = run(twin, np.float32, options)
            for name, value in low.items():
                for array in leaves(value).values():
                    if is_numeric(array) and array.dtype != np.float32:
                        cause = no_parameter(twin) or ": some constant or array is float64"
                        return f"{words}in float32, {name} comes out as {array.dtype}{cause}."
            names = differing(low, wide, SINGLE) if twin is twins[0] else []
            if names and not amplified({name: wide[name] for name in names}, options):
                return (
                    f"{words}in float32, {', '.join(names)} is far from the float64 result (more than {SINGLE:g}): "
                    f"something is computed in fewer digits, or terms that cancel are large."
                )
    return large_inputs(s)


def large_inputs(s: Subject) -> str | None:
    """No overflow turns into NaN for inputs of 1e4, the kind that a net in trouble has."""
    overflows: list[str] = []
    with np.errstate(all="ignore", over="call", call=lambda kind, flag: overflows.append(kind)):
        p = s.run(x=map_arrays(lambda a: 1e4 * a if is_numeric(a) else a, s.x))
    names = [name for name, value in parts(p).items() if any(np.isnan(a).any() for a in leaves(value).values())]
    if not overflows or not names or (not is_finite(p.y) and "y" not in names):
        return None  # no overflow: outside of the layer's domain; an infinite y is the author's business
    return (
        f"inputs of 1e4 give NaN in {', '.join(names)}: a number grows too large for floats. Subtract the largest "
        f"one before exp (softmax), or use a form that does not overflow (0.5 * np.tanh(0.5 * x) + 0.5)."
    )
