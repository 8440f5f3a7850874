"""The contract: a `Layer` turns x into y, and dy into dx; its `Parameter`s are what training changes.

Read this file and one layer (`layers/dense.py`, then `layers/lstm.py`), and you know the library.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from minidl.arguments import kept_arguments, positive_int, with_argument_help, written_out
from minidl.equivalents import missing_attribute
from minidl.errors import ArgumentError, NotBuiltError, ShapeError
from minidl.initializers import Drawn
from minidl.inputs import (
    Array,
    Shape,
    as_mask,
    as_shape,
    as_tuple,
    cast_input,
    clear_padding,
    each_shape,
    run_in_chunks,
)
from minidl.kernels import one_blas_thread
from minidl.layer_tree import LayerTree
from minidl.parameter import DTYPES, Parameter


class Layer(LayerTree):
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
        - `state=None` is the layer's own initial state; `start` [B] bools let single rows begin there again, True all
          rows; their `dstate` is 0. `dstate=None`: nothing flows in from the future.
        - `mask` [B, T] is True where a step is real. The content of the padding, NaN included, never changes a
          result; there a recurrent layer emits 0 and keeps its state.
        - Several inputs are a tuple x, with a tuple of shapes and one of masks; `takes_several` says that it may be.
        - Arrays that go into or come out of a pass are not written to until its backward is done.
        - Layers that a layer holds, as attributes or in lists, tuples and dicts there, are parts of it: `setup` builds
          them, and their parameters are among its own, as "encoder.Wx" or "cells.0.Wx".

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

    mixes_steps: bool = False  # True: a step of y looks at other steps of x, so the layer wants the mask
    takes_several: ClassVar[bool] = False  # True: x may be a tuple of inputs
    typical_shape: ClassVar[str] = "(None, 32)"  # in the message of a layer that is not built
    name: str | None = None  # a container's own name; a plain layer is named by its slot in the container
    in_shape: Shape | None  # what it was first built with; None before
    out_shape: Shape | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls, *args, **kwargs)
        self._own_params = {}
        self._holders, self._freeze_rules = None, ()
        self.in_shape = self.out_shape = None
        return self

    def __init__(self) -> None:
        """A layer without arguments; a subclass keeps each argument on self under its own name."""

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)

        def wrote(*names: str) -> bool:
            return all(getattr(cls, name) is not getattr(Layer, name) for name in names)

        short, long = wrote("forward", "backward"), wrote("forward_with_state", "backward_with_state")
        cls._passes_masks, cls._keeps_state = long, wrote("initial_state")
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
        mask: Any = None,
        rng: np.random.Generator | None = None,
        keep_cache: bool = True,
    ) -> tuple[Any, Any, Any]:
        """Compute y from x and the state before the first step; return (y, state after the last step, cache)."""
        if mask is not None and self.mask_obstacle and not all(m is None or np.all(m) for m in as_tuple(mask)):
            raise ArgumentError(f"{type(self).__name__} got a mask, but {self.mask_obstacle}")
        result = self.forward(clear_padding(x, mask), rng=rng)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(
                f"{type(self).__name__}.forward is expected to return (y, cache), got {type(result).__name__}: "
                f"return y, None where backward needs nothing."
            )
        return result[0], None, result[1] if keep_cache else None

    def backward_with_state(self, dy: Any, dstate: Any, cache: Any) -> tuple[Any, Any]:
        """Add the parameters' gradients; return (dx, gradient of the state that came in)."""
        return self.backward(dy, cache), None

    def setup(self, in_shape: Shape, rng: np.random.Generator, dtype: Any) -> Shape:
        """Create the parameters with `add_param` and return the output's shape, both without the batch axis.

        A file holds what is a parameter: whatever else is drawn here is one with trainable=False.
        """
        return in_shape

    # -- what a layer may say about itself --------------------------------------------------------

    def initial_state(self, batch: int) -> Any:
        """The state that `state=None` stands for, batch first; None for a layer without memory."""
        return None

    def hand_on(self, mask: Any) -> Array | None:
        """The mask of y, given the mask of x (or masks); None where y has no steps that could be padding."""
        return mask

    def example(self, in_shape: Shape, rng: np.random.Generator, batch: int = 3, time: int = 5) -> Any:
        """A random input for checks: normal numbers [B, *in_shape], free lengths becoming `time`."""
        return each_shape(lambda s: rng.standard_normal((batch, *(time if n is None else n for n in s))), in_shape)

    # -- building and parameters ------------------------------------------------------------------

    @with_argument_help
    def build(self, in_shape: Sequence[Any], seed: Any = 0, dtype: Any = np.float32) -> Shape:
        """Create the parameters; return the output's shape. What is built already is kept, only shapes are checked.

        Args:
            in_shape: the input's shape without the batch axis; None where the length is free, (None, 32). A tuple of
                such for several inputs.
            seed: an int or a `np.random.Generator`; the layer spawns a Generator of its own from it.
            dtype: np.float32 or np.float64.
        """
        shape = as_shape(type(self).__name__, in_shape, self.takes_several)
        if np.dtype(dtype).name not in DTYPES:
            raise ArgumentError(f"{type(self).__name__} expects dtype np.float32 or np.float64, got {dtype!r}.")
        rng = np.random.default_rng(seed).spawn(1)[0]
        with self._building(np.dtype(dtype)):
            out_shape = self.setup(shape, rng, np.dtype(dtype))
            if not isinstance(out_shape, tuple):
                raise ArgumentError(f"{type(self).__name__}.setup must return the output's shape, got {out_shape!r}.")
            for name, p in self._own_params.items():
                if p.value.dtype != dtype:
                    raise ArgumentError(
                        f"{type(self).__name__}.setup made {name} in {p.value.dtype}, asked for is {np.dtype(dtype)}: "
                        f"write self.add_param({name!r}, value.astype(dtype))."
                    )
        if self.in_shape in (None, shape):
            self.in_shape, self.out_shape = shape, out_shape
        return out_shape

    def add_param(self, name: str, value: Array | Drawn | Parameter, trainable: bool = True) -> Parameter:
        """Register a parameter in `setup`; where the layer has it already, check the shape and keep that one."""
        known = self._own_params.get(name)
        if known is None:
            if not isinstance(value, Parameter):
                value = Parameter(value.draw() if isinstance(value, Drawn) else value, trainable)
            self._own_params = self._own_params | {name: value}
            return value
        new = value.value if isinstance(value, Parameter) else value if isinstance(value, Drawn) else np.asarray(value)
        if (known.value.shape, known.value.dtype) != (new.shape, new.dtype):
            raise ShapeError(
                f"{type(self).__name__} was built for inputs {self.in_shape}, with {name} {known.value.shape} "
                f"of {known.value.dtype}; here {name} would be {new.shape} of {new.dtype}: feed it the same size, "
                f"build with dtype=np.{known.value.dtype}, or use a new layer (or a copy: layer.copy(np.{new.dtype}))."
            )
        return known

    @property
    def dtype(self) -> Any:
        """The dtype of the parameters; None without any."""
        return next((p.value.dtype for p in self.params.values()), None)

    def zero_grads(self) -> None:
        """Set all gradients to zero."""
        for p in self.params.values():
            p.zero_grad()

    def copy(self, dtype: Any = None) -> Self:
        """An independent copy, in another dtype on request; what is shared inside stays shared."""
        twin = copy.deepcopy(self)
        if dtype is not None:
            for p in twin.params.values():
                p.cast(dtype)
        return twin

    @with_argument_help
    def predict(self, x: Any, *, mask: Any = None, batch_size: int | None = 256) -> Any:
        """Compute y without keeping anything: no cache, no state, no dropout. Many threads may do so at once.

        Args:
            batch_size: rows per pass, which takes less memory and time; None for all, where rows depend on each other.
        """
        size = None if batch_size is None else positive_int("predict", "batch_size", batch_size)

        def run(x: Any, mask: Any) -> Any:
            return self.forward_with_state(x, mask=mask, keep_cache=False)[0]

        with one_blas_thread():
            return run_in_chunks(run, cast_input(x, self.dtype), as_mask(mask), size)

    __call__ = predict

    def save(self, path: Any) -> None:
        """Write architecture and parameters to one .npz file, whole or not at all; `minidl.load(path)` brings it back.

        A warning names the first parameter that holds a NaN or an infinity.

        Raises:
            ArgumentError: for what a file cannot hold. OSError: with what to do; a file that was there is whole.
        """
        from minidl.saving import save

        save(self, path)

    def load_weights(self, path: Any, strict: bool = True) -> Any:
        """Take the parameters of a model, or of any .npz, over by dotted name: all, or with strict=False what fits.

        Returns:
            The names that do not: (missing, unexpected, misshapen).

        Raises:
            ModelFormatError: with these names. OSError: when the file cannot be read.
        """
        from minidl.weights import load_weights

        return load_weights(self, path, strict)

    # -- descriptions -----------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, read from the attributes of the same names (initializers apart)."""
        return kept_arguments(self)

    def __repr__(self) -> str:
        return written_out(self)

    if not TYPE_CHECKING:  # a type checker should still report unknown attributes

        def __getattr__(self, name: str) -> Any:
            made_by_setup = any(name in c.setup.__code__.co_names for c in type(self).__mro__ if "setup" in vars(c))
            if self.__dict__.get("in_shape") is None and made_by_setup:
                raise NotBuiltError(
                    f"{type(self).__name__} has no {name!r}: it is not built. Call build(in_shape) first (shape "
                    f"without the batch axis, like {self.typical_shape}), or train it: the first batch builds it."
                )
            raise AttributeError(missing_attribute(type(self), name))
