"""Gradients as a whole: how long they are, whether they are finite, and clipping them to a length or a range.

All functions take a layer's `params` and leave frozen parameters out; they raise `NonFiniteError` before they
change anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from minidl.arguments import real, with_argument_help
from minidl.errors import ArgumentError, NonFiniteError
from minidl.inputs import Array
from minidl.kernels import one_blas_thread, share
from minidl.parameter import Parameter

ENTRIES = 2**20  # of a gradient whose squares are worth a thread


@with_argument_help
def global_norm(params: Mapping[str, Parameter]) -> float:
    """The length of all gradients together, as one vector: sqrt(sum g^2).

    Args:
        params: parameters by name, a layer's `params`.

    Returns:
        The norm; it is right where its square, or the square of one gradient, overflows or underflows.

    Raises:
        NonFiniteError: for a NaN or an infinity among the gradients, with the name of the parameter.

    Example:
        >>> w = minidl.Parameter(np.zeros(2))
        >>> w.grad[...] = 3.0, 4.0
        >>> minidl.global_norm({"w": w})
        5.0
    """
    each = norms(params)
    total = math.hypot(*each.values())
    if total == math.inf:
        raise _too_long(max(each, key=each.__getitem__))
    return total


@with_argument_help
def norms(params: Mapping[str, Parameter]) -> dict[str, float]:
    """The length of each parameter's gradient, by name; see `global_norm`."""
    with np.errstate(all="ignore"), one_blas_thread():
        return {name: _norm(name, p.grad) for name, p in trainable(params)}


@with_argument_help
def clip_norm(params: Mapping[str, Parameter], max_norm: float) -> float:
    """Scale all gradients by max_norm / norm, in place, where their common norm is above `max_norm`.

    The direction stays the same, whatever the norm was.

    Args:
        params: parameters by name, a layer's `params`.
        max_norm: the longest norm that is left as it is.

    Returns:
        The norm before.

    Raises:
        NonFiniteError: for a NaN or an infinity among the gradients; none of them has been changed then.

    Source:
        Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks.

    Example:
        >>> w = minidl.Parameter(np.zeros(2))
        >>> w.grad[...] = 3.0, 4.0
        >>> minidl.clip_norm({"w": w}, 1.0)
        5.0
        >>> w.grad
        array([0.6, 0.8])
    """
    max_norm = _bound("clip_norm", "max_norm", max_norm)
    norm = global_norm(params)
    if norm > max_norm:
        factor, root = max_norm / norm, math.sqrt(max_norm) / math.sqrt(norm)
        for _, p in trainable(params):
            # a factor below the normal numbers of the dtype would have lost its digits: its root twice has not
            for part in (factor,) if factor >= np.finfo(p.value.dtype).tiny else (root, root):
                p.grad *= part
    return norm


@with_argument_help
def clip_value(params: Mapping[str, Parameter], limit: float) -> float:
    """Move every entry of the gradients into [-limit, limit], in place: this changes their direction.

    Args:
        params: parameters by name, a layer's `params`.
        limit: the largest entry that is left as it is.

    Returns:
        The global norm before.

    Raises:
        NonFiniteError: for a NaN or an infinity among the gradients; none of them has been changed then.

    Example:
        >>> w = minidl.Parameter(np.zeros(2))
        >>> w.grad[...] = 3.0, -0.5
        >>> norm = minidl.clip_value({"w": w}, 1.0)
        >>> w.grad
        array([ 1. , -0.5])
    """
    limit = _bound("clip_value", "limit", limit)
    norm = global_norm(params)
    for _, p in trainable(params):
        within = min(limit, float(np.finfo(p.value.dtype).max))
        np.clip(p.grad, -within, within, out=p.grad)
    return norm


@with_argument_help
def check_finite(params: Mapping[str, Parameter]) -> None:
    """Raise where a gradient has a NaN or an infinity.

    Raises:
        NonFiniteError: naming the parameter, how many entries, of which kind, and where the first one stands.

    Example:
        >>> w = minidl.Parameter(np.zeros((2, 3)))
        >>> w.grad[1, 2] = np.nan
        >>> try:
        ...     minidl.check_finite({"w": w})
        ... except minidl.NonFiniteError as error:
        ...     print(str(error).partition(":")[0])
        The gradient of 'w' must be finite, got 1 nan among its 6 entries, the first at [1, 2]
    """
    for name, p in trainable(params):
        if not math.isfinite(_square(p.grad)) and not np.isfinite(p.grad).all():
            raise _non_finite(name, p.grad)


def nonfinite_parameter(params: Mapping[str, Parameter]) -> str | None:
    """Describe the first parameter that holds a NaN or an infinity; None where all of them are finite.

    Example:
        >>> from minidl.gradients import nonfinite_parameter
        >>> w = minidl.Parameter(np.array([[0.0, np.nan], [1.0, np.inf]]))
        >>> nonfinite_parameter({"w": w})
        "the parameter 'w' has 1 NaN and 1 inf among its 4 entries, the first at [0, 1]"
    """
    bad = [name for name, p in params.items() if not is_finite(p.value)]
    if not bad:
        return None
    more = f"; {len(bad) - 1:,} more parameters hold such numbers" if len(bad) > 1 else ""
    return f"the parameter {bad[0]!r} has {nonfinite_entries(params[bad[0]].value).replace('nan', 'NaN')}{more}"


def nonfinite_entries(a: Array) -> str:
    """Describe the entries of an array that are NaN or infinite: their number and the place of the first."""
    bad = ~np.isfinite(a)
    nans = int(np.isnan(a).sum())
    infs = int(bad.sum()) - nans
    kinds = " and ".join(f"{count:,} {kind}" for count, kind in ((nans, "nan"), (infs, "inf")) if count)
    first = [int(i) for i in np.unravel_index(int(bad.argmax()), a.shape)]
    return f"{kinds} among its {a.size:,} entries, the first at {first}"


def is_finite(a: Array) -> bool:
    """Whether all numbers of an array are finite; quick where they are.

    Example:
        >>> from minidl.gradients import is_finite
        >>> is_finite(np.array([1.0, 1e300])), is_finite(np.array([1.0, np.inf]))
        (True, False)
    """
    return math.isfinite(_square(a)) or bool(np.isfinite(a).all())


def are_finite(params: Mapping[str, Parameter]) -> bool:
    """Return whether all numbers of all parameters are finite; quick where they are.

    Example:
        >>> from minidl.gradients import are_finite
        >>> are_finite({"w": minidl.Parameter(np.ones(3)), "b": minidl.Parameter(np.array([np.nan]))})
        False
    """
    return all(is_finite(p.value) for p in params.values())


def lengths(arrays: Mapping[str, Array]) -> dict[str, float]:
    """The norm of each array; nan where a number in it is not finite, inf where float64 cannot hold the norm.

    Example:
        >>> from minidl.gradients import lengths
        >>> lengths({"a": np.array([3.0, 4.0]), "b": np.array([1.0, np.inf])})
        {'a': 5.0, 'b': nan}
    """
    found = {}
    with np.errstate(all="ignore"), one_blas_thread():
        for name, a in arrays.items():
            try:
                found[name] = _norm(name, a)
            except NonFiniteError:
                found[name] = math.inf if np.isfinite(a).all() else math.nan
    return found


def trainable(params: Mapping[str, Parameter]) -> list[tuple[str, Parameter]]:
    """The parameters that training changes, with their names."""
    if not isinstance(params, Mapping):
        raise ArgumentError(
            f"Parameters are expected as a mapping from name to Parameter, got a {type(params).__name__}: "
            f"give the params of the layer, net.params."
        )
    return [(name, p) for name, p in params.items() if p.trainable]


def _square(g: Array) -> float:
    """The sum of squares, in the array's own dtype: it may overflow or underflow there."""
    with np.errstate(all="ignore"), one_blas_thread():
        return _dot(g.ravel(order="K"))


def _dot(flat: Array) -> float:
    """The sum of squares, with errors and threads as they are set."""
    if len(flat) < 2 * ENTRIES:
        return float(np.dot(flat, flat))
    parts = {}

    def entries(first: int, last: int) -> None:
        parts[first] = float(np.dot(flat[first:last], flat[first:last]))

    share(entries, len(flat), len(flat) // ENTRIES)
    return sum(parts[first] for first in sorted(parts))


def _norm(name: str, g: Array) -> float:
    square, limits = _dot(g.ravel(order="K")), np.finfo(g.dtype)
    if g.size * float(limits.tiny) / float(limits.eps) <= square < math.inf:  # what underflowed is below rounding
        return math.sqrt(square)
    peak = max(float(g.max()), -float(g.min()))
    if not math.isfinite(peak):
        raise _non_finite(name, g)
    if peak == 0:
        return 0.0
    norm = peak * math.sqrt(_square(np.divide(g, peak, dtype=np.float64)))
    if norm == math.inf:
        raise _too_long(name)
    return norm


def _non_finite(name: str, g: Array) -> NonFiniteError:
    return NonFiniteError(
        f"The gradient of {name!r} must be finite, got {nonfinite_entries(g)}: lower the learning rate, "
        f"clip from the first step on, or look for log(0) and 0/0."
    )


def _too_long(name: str) -> NonFiniteError:
    return NonFiniteError(
        f"The gradient of {name!r} is expected to have a norm that float64 can hold, got a longer one: "
        f"lower the learning rate, or clip from the first step on."
    )


def _bound(owner: str, name: str, value: float) -> float:
    if real(owner, name, value) <= 0:
        raise ArgumentError(
            f"{owner} expects {name} to be a positive number, got {value!r}: to train without clipping, leave it out."
        )
    return float(value)
