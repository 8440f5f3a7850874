"""Initializers: functions `(shape, rng) -> array` that draw a parameter's first values.

`uniform`, `normal` and `constant` take a number and return such a function; the others are one.
Select them per parameter: `Dense(10, init={"W": he_normal, "b": constant(0.1)})`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minidl.arguments import positive_real, real, with_argument_help
from minidl.errors import ArgumentError
from minidl.inputs import Array

Initializer = Callable[[tuple[int, ...], np.random.Generator], Array]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of a weight of input-first shape [in, out]; a vector counts for both."""
    return (math.prod(shape[:-1]), shape[-1]) if len(shape) > 1 else (shape[0], shape[0])


@with_argument_help
def glorot_uniform(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Uniform in ±sqrt(6 / (in + out)), for tanh and softmax.

    Source:
        Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.

    Example:
        >>> w = minidl.glorot_uniform((100, 50), np.random.default_rng(0))
        >>> bool(abs(w).max() <= (6 / 150) ** 0.5)
        True
    """
    limit = math.sqrt(6 / sum(fans(shape)))
    return rng.uniform(-limit, limit, shape)


@with_argument_help
def glorot_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal with standard deviation sqrt(2 / (in + out)); source as `glorot_uniform`."""
    return rng.normal(0, math.sqrt(2 / sum(fans(shape))), shape)


@with_argument_help
def he_uniform(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Uniform in ±sqrt(6 / in), for ReLU.

    Source:
        He et al. 2015, Delving deep into rectifiers.
    """
    limit = math.sqrt(6 / fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


@with_argument_help
def he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal with standard deviation sqrt(2 / in), for ReLU; source as `he_uniform`."""
    return rng.normal(0, math.sqrt(2 / fans(shape)[0]), shape)


@with_argument_help
def orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """A random matrix whose shorter side is orthonormal: repeated products neither grow nor vanish.

    Source:
        Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear dynamics of learning.

    Example:
        >>> q = minidl.orthogonal((4, 4), np.random.default_rng(0))
        >>> np.allclose(q @ q.T, np.eye(4))
        True
    """
    if len(shape) < 2:
        raise ArgumentError(f"orthogonal expects a matrix, got the shape {shape}: use normal or uniform for vectors.")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))  # makes the distribution uniform over all orthogonal matrices
    return (q if rows >= columns else q.T).reshape(shape)


@with_argument_help
def uniform(limit: float) -> Initializer:
    """Uniform in ±limit."""
    return partial(_uniform, positive_real("uniform", "limit", limit))


@with_argument_help
def normal(std: float) -> Initializer:
    """Normal with mean 0 and standard deviation `std`."""
    return partial(_normal, real("normal", "std", std, 0.0))


@with_argument_help
def constant(value: float) -> Initializer:
    """The same number everywhere."""
    return partial(_constant, real("constant", "value", value))


def _uniform(limit: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return rng.uniform(-limit, limit, shape)


def _normal(std: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return rng.normal(0, std, shape)


def _constant(value: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return np.full(shape, value)


@with_argument_help
def zeros(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """0 everywhere."""
    return np.zeros(shape)


@with_argument_help
def ones(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """1 everywhere."""
    return np.ones(shape)


def choose(owner: str, init: Mapping[str, Initializer] | None, **defaults: Initializer) -> dict[str, Initializer]:
    """A layer's initializers by parameter name: its defaults, with the user's `init` on top.

    Raises:
        ArgumentError: for a parameter the layer does not have, and for what is no initializer.
    """
    if init is not None and not isinstance(init, Mapping):
        example = f"{{{next(iter(defaults))!r}: minidl.orthogonal}}"
        raise ArgumentError(f"{owner} expects init to be a dict by parameter, like {example}, got {init!r}.")
    for name, chosen in (init or {}).items():
        if name not in defaults:
            raise ArgumentError(
                f"{owner} has no parameter {name!r} to initialize: it has {', '.join(sorted(defaults))}."
            )
        if not callable(chosen):
            raise ArgumentError(
                f"{owner} expects init[{name!r}] to be a function (shape, rng) -> array, got {chosen!r}: "
                f"write minidl.glorot_uniform, minidl.orthogonal, minidl.normal(0.1), ..."
            )
    return defaults | dict(init or {})


class Drawn(NamedTuple):
    """The value of a parameter before it is drawn; where the layer has the parameter already, it never is."""

    shape: tuple[int, ...]
    dtype: Any
    draw: Callable[[], Array]


def drawn(init: Initializer, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Drawn:
    """A value that an initializer is to draw."""
    return Drawn(shape, dtype, lambda: draw(init, shape, rng, dtype))


def drawn_blocks(
    init: Initializer, shape: tuple[int, ...], blocks: str, rng: np.random.Generator, dtype: Any, **plus: float
) -> Drawn:
    """A value of blocks side by side, each with a letter and drawn on its own; `f=1.0` is added to block f."""

    def draw_blocks() -> Array:
        return np.concatenate([draw(init, shape, rng, dtype) + plus.get(k, 0.0) for k in blocks], axis=-1)

    return Drawn((*shape[:-1], len(blocks) * shape[-1]), dtype, draw_blocks)


def drawn_rows(init: Initializer, shape: tuple[int, ...], rows: int, rng: np.random.Generator, dtype: Any) -> Drawn:
    """A value of rows, each drawn on its own."""
    return Drawn((rows, *shape), dtype, lambda: np.stack([draw(init, shape, rng, dtype) for _ in range(rows)]))


def draw(init: Initializer, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    """Draw the values and check that an array of that shape came back."""
    value = init if init in (uniform, normal, constant) else init(shape, rng)  # which want their number first
    if not isinstance(value, np.ndarray) or value.shape != shape:
        name = getattr(init, "__name__", repr(init))
        came = f"one of shape {value.shape}" if isinstance(value, np.ndarray) else f"{type(value).__name__}"
        raise ArgumentError(
            f"The initializer {name} was to return an array of shape {shape}, got {came}: "
            f"uniform, normal and constant want a number first, normal(0.1)."
        )
    return value.astype(dtype)
