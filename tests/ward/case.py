"""A case of the ward: hand-written code, the numbers it is called with, and what is wrong with it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """Hand-written code with its data; `codes` are the right ones, the one that must come first in front."""

    name: str
    functions: Any  # (forward, backward), or (loss function,); a callable that makes them where they remember things
    params: Callable[[np.random.Generator], dict[str, np.ndarray]]
    x: np.ndarray
    roles: dict[str, str | None] | None
    target: np.ndarray | None = None
    state: tuple[np.ndarray, ...] | None = None
    options: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple's default, never written to
    codes: tuple[str, ...] = ()
    fault: str = ""
    sound: bool = False  # the gradients are those of the forward pass as it stands
    whole: bool = False  # many faults at once
    tolerated: tuple[
        str, ...
    ] = ()  # warnings that are true of it, for instance a loss that the reference does not know

    @property
    def form(self) -> str:
        """Which of the two checks takes it."""
        return "functions" if self.target is None else "loss"

    def values(self) -> dict[str, np.ndarray]:
        """The parameters, the same at every call."""
        return self.params(np.random.default_rng(4))

    def check(self, check_functions: Callable[..., Any], check_loss: Callable[..., Any], roles: bool = True) -> Any:
        """The report of the check that fits the case, on fresh functions and fresh arrays."""
        functions = self.functions() if callable(self.functions) else self.functions
        state = None if self.state is None else tuple(a.copy() for a in self.state)
        told = self.roles if roles else None
        params, x = self.values(), self.x.copy()
        if self.form == "loss":
            return check_loss(*functions, params, x, self.target.copy(), state, told, **self.options)
        return check_functions(*functions, params, x, state, told, **self.options)


def sigmoid(z):
    """The logistic function, for complex numbers too."""
    return 1 / (1 + np.exp(-z))


def values(seed, *shape, scale=0.7):
    """Reproducible normal numbers."""
    return np.random.default_rng(seed).normal(0, scale, shape)


def ids(seed, high, *shape):
    """Reproducible integers below `high`."""
    return np.random.default_rng(seed).integers(0, high, shape)


def weights(scale=0.5, **shapes):
    """A function that draws every named array from a normal distribution."""
    return lambda rng: {name: rng.normal(0, scale, shape) for name, shape in shapes.items()}


def per_gate(gates="ifog", scale=0.5, **shapes):
    """As `weights`, with an array for each gate: `Wx` becomes `Wxi`, `Wxf`, ..."""
    return weights(scale, **{name + k: shape for name, shape in shapes.items() for k in gates})
