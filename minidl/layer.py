"""The contract: a `Layer` turns x into y, and dy into dx; its `Parameter`s are what training changes.

Read this file and one layer (`layers/dense.py`, then `layers/lstm.py`), and you know the library.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from minidl.errors import ArgumentError, NotBuiltError, ShapeError
from minidl.inputs import Array, Shape, as_mask, cast_input


class Parameter:
    """An array that training changes, and its gradient: both are written in place, never rebound.

    Args:
        value: the initial array; it is copied.
        trainable: False freezes it in every net that holds it; gradients still flow through.

    Example:
        >>> p = minidl.Parameter(np.ones(3))
        >>> p.grad += 2.0
        >>> p.value -= 0.1 * p.grad
        >>> p.value
        array([0.8, 0.8, 0.8])
    """

    __slots__ = ("_grad", "_value", "trainable")

    def __init__(self, value: Array, trainable: bool = True) -> None:
        self._value = np.array(value)
        self._grad: Array | None = None
        self.trainable = trainable

    @property
    def value(self) -> Array:
        return self._value

    @value.setter
    def value(self, new: Array) -> None:
        if new is not self._value:  # p.value *= 2 ends here with the same array
            raise ArgumentError("A parameter's value is written in place: p.value[...] = new, not p.value = new.")

    @property
    def grad(self) -> Array:
        if self._grad is None:
            self._grad = np.zeros_like(self._value)
        return self._grad

    @grad.setter
    def grad(self, new: Array) -> None:
        if new is not self._grad:
            raise ArgumentError("A gradient is added to in place: p.grad += dW, not p.grad = dW (two uses add up).")

    def zero_grad(self) -> None:
        """Set the gradient to zero."""
        if self._grad is not None:
            self._grad[...] = 0

    def cast(self, dtype: Any) -> None:
        """Turn value and gradient into `dtype`: the one place that replaces the arrays."""
        self._value = self._value.astype(dtype)
        self._grad = None if self._grad is None else self._grad.astype(dtype)

    def __repr__(self) -> str:
        return f"Parameter({self._value.shape}, {self._value.dtype}{'' if self.trainable else ', frozen'})"


class Layer:
    """A piece of a net. Nothing about a pass lives on `self`: a pass returns its cache, and backward takes it.

    A layer without memory is two methods, and `setup` if it has parameters:

        y, cache = layer.forward(x)                  # writes nothing to self
        dx = layer.backward(dy, cache)               # adds into layer.params[name].grad

    A recurrent layer, a layer that needs the mask, and a container are written with the longer pair;
    the base class supplies the pair that the author does not write:

        y, state, cache = layer.forward_with_state(x, state, start=start, mask=mask, rng=rng, keep_cache=True)
        dx, dstate = layer.backward_with_state(dy, dstate, cache)

    The rules, which `minidl.checking.check_layer` checks:
        - `backward` adds to gradients, and changes neither `dy` nor `cache`; any cache stays valid.
        - `dy` has the structure of `y`, `dx` that of `x`; integer inputs get None.
        - `rng=None` is inference; a Generator makes it a training pass (dropout). Same rng, same pass.
        - `state=None` is the layer's own initial state; `start` [B] bools let single rows begin there anew,
          and their `dstate` is 0. `dstate=None`: nothing flows in from the future.
        - `mask` [B, T] is True where a step is real. What stands in the padding never changes a result.
        - Arrays that go into or come out of a pass are not written to until its backward is done.

    Example:
        >>> class Scale(minidl.Layer):
        ...     def setup(self, in_shape, rng, dtype):
        ...         self.g = self.add_param("g", np.ones(in_shape[-1], dtype))
        ...         return in_shape
        ...     def forward(self, x, *, rng=None):
        ...         return x * self.g.value, x
        ...     def backward(self, dy, x):
        ...         self.g.grad += (dy * x).sum(axis=tuple(range(x.ndim - 1)))
        ...         return dy * self.g.value
        >>> minidl.checking.check_layer(Scale(), (5, 3)).ok
        True
    """

    mixes_steps: ClassVar[bool] = False  # True: a step of y looks at other steps of x, so the layer wants the mask
    name: str | None = None  # a container's own name; a plain layer is named by its slot in the container
    in_shape: Shape | None  # what it was first built with; None before
    out_shape: Shape | None
    _own_params: dict[str, Parameter]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._own_params = {}
        self.in_shape = self.out_shape = None
        return self

    def __init__(self) -> None:
        """A layer without arguments; a subclass keeps each argument on self under its own name."""

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)

        def wrote(*names: str) -> bool:
            return all(getattr(cls, name) is not getattr(Layer, name) for name in names)

        short, long = wrote("forward", "backward"), wrote("forward_with_state", "backward_with_state")
        if not (short or long or abstract):
            raise TypeError(
                f"{cls.__name__} must define forward and backward (or, with a state or a mask, "
                f"forward_with_state and backward_with_state)."
            )
        if short and not long and "rng" not in inspect.signature(cls.forward).parameters:
            raise TypeError(f"{cls.__name__}.forward must take the keyword rng: def forward(self, x, *, rng=None).")

    # -- the two pairs, each in terms of the other ------------------------------------------------

    def forward(self, x: Any, *, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """Compute y from x, from the initial state where there is one; return (y, cache)."""
        y, _, cache = self.forward_with_state(x, rng=rng)
        return y, cache

    def backward(self, dy: Any, cache: Any) -> Any:
        """Add the parameters' gradients; return dx."""
        return self.backward_with_state(dy, None, cache)[0]

    def forward_with_state(
        self,
        x: Any,
        state: Any = None,
        *,
        start: Any = None,
        mask: Array | None = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Any, Any, Any]:
        """Compute y from x and the state before the first step; return (y, state after the last step, cache)."""
        y, cache = self.forward(x, rng=rng)
        return y, None, cache if keep_cache else None

    def backward_with_state(self, dy: Any, dstate: Any, cache: Any) -> tuple[Any, Any]:
        """Add the parameters' gradients; return (dx, gradient of the state that came in)."""
        return self.backward(dy, cache), None

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        """Create the parameters with `add_param` and return the output's shape, both without the batch axis."""
        return in_shape

    # -- what a layer may say about itself --------------------------------------------------------

    def initial_state(self, batch: int) -> Any:
        """The state that `state=None` stands for, batch first; None for a layer without memory."""
        return None

    def hand_on(self, mask: Array) -> Array | None:
        """The mask of y, given the mask of x; None where y has no steps that could be padding."""
        return mask

    @property
    def streams(self) -> bool:
        """Whether a sequence may be cut into windows with the state carried from one to the next."""
        return True

    def example(self, in_shape: Shape, rng: np.random.Generator, batch: int = 3, time: int = 5) -> Any:
        """A random input for checks: normal numbers [B, *in_shape], free lengths becoming `time`."""
        return rng.standard_normal((batch, *(time if n is None else n for n in in_shape)))

    # -- building and parameters ------------------------------------------------------------------

    def build(self, in_shape: Sequence[int | None], seed: Any = 0, dtype: Any = np.float32) -> Shape:
        """Create the parameters; return the output's shape. What is built already is kept, only shapes are checked.

        Args:
            in_shape: the input's shape without the batch axis; None where the length is free, (None, 32).
            seed: an int or a `np.random.Generator`; the layer spawns a Generator of its own from it.
            dtype: np.float32 or np.float64.
        """
        if isinstance(in_shape, int) or not all(n is None or (isinstance(n, int) and n > 0) for n in in_shape):
            raise ArgumentError(
                f"{type(self).__name__} expects in_shape to be a tuple of positive integers or None, without the "
                f"batch axis, like (None, 32), got {in_shape!r}."
            )
        rng = np.random.default_rng(seed).spawn(1)[0]
        known = dict(self._own_params)
        try:
            out_shape = self.setup(tuple(in_shape), rng, np.dtype(dtype))
        except BaseException:
            self._own_params = known  # half a layer is no layer
            raise
        if self.in_shape is None:
            self.in_shape, self.out_shape = tuple(in_shape), out_shape
        return out_shape

    def add_param(self, name: str, value: Array | Parameter, trainable: bool = True) -> Parameter:
        """Register a parameter in `setup`; where the layer has it already, check the shape and keep that one."""
        known = self._own_params.get(name)
        if known is None:
            known = self._own_params[name] = value if isinstance(value, Parameter) else Parameter(value, trainable)
        new = value.value if isinstance(value, Parameter) else np.asarray(value)
        if (known.value.shape, known.value.dtype) != (new.shape, new.dtype):
            raise ShapeError(
                f"{type(self).__name__} was built for inputs {self.in_shape}, with {name} {known.value.shape} "
                f"of {known.value.dtype}; here {name} would be {new.shape} of {new.dtype}: feed it the same size, "
                f"build with dtype=np.{known.value.dtype}, or use a new layer (or a copy: layer.copy(np.{new.dtype}))."
            )
        return known

    @property
    def params(self) -> dict[str, Parameter]:
        """The parameters by name, in a fixed order; a container's names are dotted paths."""
        return self._own_params

    @property
    def dtype(self) -> Any:
        """The dtype of the parameters; None without any."""
        return next((p.value.dtype for p in self.params.values()), None)

    def zero_grads(self) -> None:
        """Set all gradients to zero."""
        for p in self.params.values():
            p.zero_grad()

    def freeze(self) -> Self:
        """Keep all parameters as they are, in every net that holds them; gradients still flow through."""
        for p in self.params.values():
            p.trainable = False
        return self

    def unfreeze(self) -> Self:
        """Let training change all parameters again."""
        for p in self.params.values():
            p.trainable = True
        return self

    def copy(self, dtype: Any = None) -> Self:
        """An independent copy, in another dtype on request; what is shared inside stays shared."""
        twin = copy.deepcopy(self)
        if dtype is not None:
            for p in twin.params.values():
                p.cast(dtype)
        return twin

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        """Compute y without keeping anything: no cache, no state, no dropout. Many threads may do so at once."""
        return self.forward_with_state(cast_input(x, self.dtype), mask=as_mask(mask), keep_cache=False)[0]

    __call__ = predict

    def save(self, path: Any) -> None:
        """Write architecture and parameters to one .npz file; `minidl.load(path)` brings them back."""
        from minidl.saving import save

        save(self, path)

    # -- descriptions -----------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, read from the attributes of the same names (initializers apart)."""
        names = [n for n in inspect.signature(type(self).__init__).parameters if n not in ("self", "init")]
        for name in names:
            if name not in vars(self):
                raise ArgumentError(f"{type(self).__name__} must keep its argument {name!r} as self.{name}.")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        defaults = {n: p.default for n, p in inspect.signature(type(self).__init__).parameters.items()}
        kept = {n: vars(self)[n] for n in defaults if n in vars(self) and n != "init"}
        shown = (f"{n}={v!r}" for n, v in kept.items() if v is not defaults[n] and v != defaults[n])
        return f"{type(self).__name__}({', '.join(shown)})"

    if not TYPE_CHECKING:  # a type checker should still report unknown attributes

        def __getattr__(self, name: str) -> Any:
            cls = type(self).__name__
            if self.__dict__.get("in_shape") is None and not name.startswith("__"):
                raise NotBuiltError(
                    f"{cls} has no {name!r}: it is not built. Call build(in_shape) first (shape without the "
                    f"batch axis, like (None, 32)), or train it: the first batch builds it."
                )
            raise AttributeError(f"{cls!r} object has no attribute {name!r}")
