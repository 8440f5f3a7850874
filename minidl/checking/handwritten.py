"""Hand-written functions under check: called on copies, at any point, with the words for what they return."""

from __future__ import annotations

import copy
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from minidl.checking.structure import arrays_of, with_arrays
from minidl.errors import ArgumentError, MinidlError
from minidl.inputs import Array


class Values(NamedTuple):
    """What hand-written code is called with; x and target are what the author's code takes them for."""

    params: dict[str, Array]
    x: Any
    state: Any
    target: Any = None

    def copied(self, dtype: Any = np.float64) -> Values:
        """Arrays of their own: what is done to them stays without consequence."""
        return Values(*(cast(part, dtype) for part in self))


def cast(tree: Any, dtype: Any) -> Any:
    """A copy of a structure, its real numbers in another dtype; ids stay ids."""
    arrays = (np.array(a, dtype if a.dtype.kind in "fc" else a.dtype) for a in arrays_of(tree))
    return with_arrays(tree, arrays)


class Result(NamedTuple):
    """One pass of a hand-written code: outputs, and gradients where they were asked for."""

    y: Any  # a loss has its value here
    after: Any
    dx: Any = None
    dstate: Any = None
    grads: Any = None


def call(function: Callable[..., Any], what: str, parts: str, *args: Any) -> tuple[Any, ...]:
    """Call hand-written code; what it raises, and what it returns in another form, is told in one line."""
    count = parts.count(",") + 1
    try:
        result = function(*args)
    except MinidlError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]
        source = getattr(inspect.unwrap(function), "__code__", None)
        own = [frame for frame in frames if source is None or frame.filename == source.co_filename] or frames
        place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
        words = str(error).rstrip(".")
        raise ArgumentError(f"{what} raises {type(error).__name__}: {words}{place}.") from error
    if not isinstance(result, tuple) or len(result) != count:
        came = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise ArgumentError(f"{what} is expected to return ({parts}), got {came}: return them in this order.")
    return result


def require_signature(function: Any, what: str, arguments: str) -> None:
    """Refuse what cannot be called with these arguments."""
    if not callable(function):
        raise ArgumentError(f"{what} is expected to be a function of ({arguments}), got {type(function).__name__}.")
    try:
        inspect.signature(function).bind(*arguments.split(", "))
    except TypeError:
        came = inspect.signature(function)
        name = getattr(function, "__name__", "the function")
        raise ArgumentError(f"{what} is expected to be a function of ({arguments}), got {name}{came}.") from None
    except ValueError:
        return  # a built-in without a signature


def require_params(params: Any) -> dict[str, Array]:
    """The parameters as a dict of arrays of floats."""
    if not isinstance(params, Mapping):
        raise ArgumentError(f"params is expected to be a dict of arrays by name, got {type(params).__name__}.")
    if not params:
        raise ArgumentError("params is expected to be a dict of arrays by name, got an empty one: name the weights.")
    found = {}
    for name, value in params.items():
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.empty(0)
        if array.dtype.kind not in "fiu" or not array.size or not isinstance(name, str):
            raise ArgumentError(
                f"params expects arrays of numbers by name, got {array.shape} of {array.dtype} for {name!r}: leave "
                f"out what is no parameter."
            )
        found[name] = array.astype(np.float64) if array.dtype.kind == "f" or array.ndim else array
        require_finite(f"params[{name!r}]", found[name])
    return found


def require_double(what: str, tree: Any) -> None:
    """Refuse results in float32: derivatives of rounded numbers are noise."""
    if any(a.dtype in (np.float32, np.float16, np.complex64) for a in arrays_of(tree)):
        raise ArgumentError(
            f"{what} computes in float32 though everything comes in float64: a check needs float64, so let new arrays "
            f"take the dtype of params, np.zeros(shape, W.dtype), and cast nothing."
        )


def require_numbers(what: str, tree: Any) -> None:
    """Refuse anything else among arrays of numbers."""
    for a in arrays_of(tree):
        if a.dtype.kind not in "fciub":
            raise ArgumentError(f"{what} is expected to hold numbers, got {a.dtype}: return arrays, or None.")


def require_finite(what: str, tree: Any) -> None:
    """Refuse NaN and infinity: nothing can be compared with them."""
    require_numbers(what, tree)
    for a in arrays_of(tree):
        if not np.isfinite(a).all():
            at = tuple(int(k) for k in np.argwhere(~np.isfinite(a))[0])
            raise ArgumentError(
                f"{what} is expected to be finite, got {a[at]} at {at}: at a point with small weights and inputs there "
                f"should be none, so look there first."
            )


class Functions:
    """The pair `forward(params, x, state) -> y, state, cache` and `backward(params, dy, dstate, cache)`."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        require_signature(forward, "forward", "params, x, state")
        require_signature(backward, "backward", "params, dy, dstate, cache")
        self.forward, self.backward = forward, backward

    def run(self, v: Values) -> tuple[Any, Any, Any]:
        """A forward pass: (y, state, cache)."""
        y, after, cache = call(self.forward, "forward(params, x, state)", "y, state, cache", v.params, v.x, v.state)
        return y, after, cache

    def pull(self, v: Values, dy: Any, dafter: Any) -> Result:
        """A forward and a backward pass."""
        y, after, cache = self.run(v)
        return Result(y, after, *self.back(v, dy, dafter, cache))

    def back(self, v: Values, dy: Any, dafter: Any, cache: Any) -> tuple[Any, ...]:
        """A backward pass: (dx, dstate, grads)."""
        what = "backward(params, dy, dstate, cache)"
        result = call(self.backward, what, "dx, dstate, grads", v.params, dy, dafter, cache)
        for part, tree in zip(("dx", "dstate", "grads"), result, strict=True):
            require_numbers(part, tree)
        return result


class LossFunction:
    """One function `function(params, x, target, state) -> loss, grads, state`, gradients inside."""

    def __init__(self, function: Callable[..., Any]) -> None:
        require_signature(function, "function", "params, x, target, state")
        self.function = function

    def run(self, v: Values) -> Result:
        """The loss, its gradients, and the state behind it."""
        what = "function(params, x, target, state)"
        loss, grads, after = call(self.function, what, "loss, grads, state", v.params, v.x, v.target, v.state)
        loss = np.asarray(loss)
        if loss.size != 1 or loss.dtype.kind not in "fciu":
            raise ArgumentError(
                f"{what} is expected to return a loss that is one number, got {loss.shape} of {loss.dtype}."
            )
        require_numbers("grads", grads)
        require_numbers("the state that is returned", after)
        return Result(np.reshape(np.asarray(loss), ()), after, grads=grads)


def random_like(tree: Any, rng: np.random.Generator, scale: float = 1.0) -> Any:
    """Normal numbers in the form of a structure; NaN counts as a number here, ids become floats."""
    return with_arrays(tree, (scale * rng.standard_normal(np.shape(a)) for a in arrays_of(tree)))


def zeros_like(tree: Any) -> Any:
    """Zeros in the form of a structure."""
    return with_arrays(tree, (np.zeros(np.shape(a)) for a in arrays_of(tree)))


def moved(params: Mapping[str, Array], rng: np.random.Generator, jitter: float) -> dict[str, Array]:
    """Parameters at a random point nearby, where no gradient is 0 by accident."""
    found = {}
    for name, value in params.items():
        if value.dtype.kind != "f":
            found[name] = value  # a size, not a weight
            continue
        spread = 0.3 if value.ndim < 2 or min(value.shape[-2:]) == 1 else 0.5 / np.sqrt(min(value.shape[-2:]))
        found[name] = value + jitter * spread * rng.standard_normal(value.shape)
    return found


def pairs(tree: Any, other: Any) -> Iterator[tuple[Array, Array]]:
    """The arrays of two structures side by side; what has no counterpart stands beside an empty array."""
    left, right = arrays_of(tree), arrays_of(other)
    for k in range(max(len(left), len(right))):
        yield (left[k] if k < len(left) else np.empty(0)), (right[k] if k < len(right) else np.empty(0))


def snapshot(tree: Any) -> Any:
    """A copy of anything that can be copied; what cannot (a module, an open file) stands for itself."""
    try:
        return copy.deepcopy(tree)
    except Exception:
        return tree
