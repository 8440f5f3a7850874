"""`Optimizer`: the base of the rules that turn gradients into updates of the parameters, in place.

It walks and counts, and knows the learning rate of each parameter; a rule is written for one parameter.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from minidl.arguments import ArgumentHelp, positive_real, real
from minidl.errors import ArgumentError, ShapeError
from minidl.gradients import trainable
from minidl.inputs import Array
from minidl.kernels import share
from minidl.names import matching
from minidl.parameter import Parameter
from minidl.schedules import Schedule

BLOCK = 2**18  # entries of an array that are updated at once: what is computed in between stays in a cache

Slots = dict[str, Array]  # what a rule remembers of one parameter, by the letters of its equations


class Optimizer(ArgumentHelp, ABC):
    """The base of the optimizers. A rule writes `update`, and `slots` where it remembers something.

    All that goes on from one update to the next is in `steps`, `lr_scale` and `state`: put into a new optimizer
    with the same arguments, they continue the training as if nothing had happened. One optimizer serves one net: its
    memory goes by the parameters' names, and a second net would continue with the moments and the schedule of the
    first. A copy (`copy.deepcopy`) may serve another one.

    Args:
        lr: the learning rate, a positive number or a function of `steps`, as in `schedules.py`.
        lr_factors: what multiplies the learning rate of the parameters whose names a pattern fits, as in
            {"encoder.*": 0.1, "*.b": 2.0}; of several that fit the first counts, and where none does, 1. With 0 a
            parameter stays as it is (`layer.freeze(pattern)` says so more clearly, and keeps it out of norms).

    Raises:
        ArgumentError: for arguments out of range; in `step` for a pattern that fits no parameter, and for the
            parameters of a second net.

    Notes:
        What a rule multiplies by lr is scaled along, the decay of the weights included.

    Example:
        >>> class SignSGD(minidl.Optimizer):
        ...     def update(self, value, grad, slots, lr, t):
        ...         value -= lr * np.sign(grad)
        >>> w = minidl.Parameter(np.ones(2))
        >>> w.grad[...] = 5.0, -7.0
        >>> SignSGD(lr=0.5).step({"w": w})
        >>> w.value
        array([0.5, 1.5])
    """

    elementwise: ClassVar[bool] = False  # True: the update of an entry looks at no other one

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "update" in vars(cls) and "elementwise" not in vars(cls):
            cls.elementwise = False  # a rule of its own says so itself

    def __init__(self, lr: float | Schedule, lr_factors: Mapping[str, float] | None = None) -> None:
        owner = type(self).__name__
        if isinstance(lr, Mapping | list | tuple):
            raise ArgumentError(f"{owner} takes the rate, {owner}(1e-3): the Trainer hands over the net's parameters.")
        if isinstance(lr, type) or not callable(lr):
            lr = positive_real(owner, "lr, unless it is a function of the step,", lr)
        if lr_factors is not None and not isinstance(lr_factors, Mapping):
            raise ArgumentError(
                f"{owner} expects lr_factors to be a dict from patterns to numbers, like {{'encoder.*': 0.1}}, "
                f"got {lr_factors!r}."
            )
        self.lr = lr
        self.lr_factors = {
            pattern: real(owner, f"the factor of {pattern!r}", factor, 0.0)
            for pattern, factor in (lr_factors or {}).items()
        } or None
        self.lr_scale = 1.0  # for callbacks; it multiplies numbers and schedules alike
        self.steps = 0  # updates done
        self.state: dict[str, Slots] = {}  # by parameter name
        self._served: dict[str, Parameter] = {}  # the parameters of the net that it has updated
        self._forms: dict[Any, Any] = {}  # of the slots, by shape and dtype of the parameter
        self._factors: tuple[Any, dict[str, float]] = (), {}  # found at the first step, and for which names

    def slots(self, value: Array) -> Slots:
        """What the rule remembers of a parameter, as it is before the first update."""
        return {}

    @abstractmethod
    def update(self, value: Array, grad: Array, slots: Slots, lr: float, t: int) -> None:
        """Change `value` and `slots` in place, and leave `grad` alone; t counts the updates from 1."""

    @property
    def rate(self) -> float:
        """The learning rate of the next update."""
        return self._rate_of(self.steps)

    @property
    def last_rate(self) -> float:
        """The learning rate of the last update; before the first, that of the first."""
        return self._rate_of(max(self.steps - 1, 0))

    def _rate_of(self, step: int) -> float:
        lr = self.lr(step) if callable(self.lr) else self.lr
        return real(type(self).__name__, f"the learning rate of step {step}", lr, 0.0) * float(self.lr_scale)

    def factors(self, params: Mapping[str, Parameter]) -> dict[str, float]:
        """What multiplies the learning rate of each parameter, by name; those that are not named have 1."""
        given = self.lr_factors or {}
        key = *params, *given.items()
        if key != self._factors[0]:
            found: dict[str, float] = {}
            for pattern, factor in given.items():
                for name in matching(f"lr_factors of {type(self).__name__}", pattern, params):
                    found.setdefault(name, factor)
            self._factors = key, found
        return self._factors[1]

    def step(self, params: Mapping[str, Parameter]) -> None:
        """Update all trainable parameters from their gradients, and count; on an error nothing is changed."""
        self.check_same_net(params)
        lr, t, changed = self.rate, self.steps + 1, trainable(params)
        each = self.factors(params)
        todo = [(p, self._slots_of(name, p), lr * each.get(name, 1.0)) for name, p in changed if each.get(name) != 0]
        for p, slots, rate in todo:
            self._update(p.value, p.grad, slots, rate, t)
        self.steps = t
        if params.keys() - self._served.keys():
            self._served = {**self._served, **params}

    def check_same_net(self, params: Mapping[str, Parameter]) -> None:
        """Refuse the parameters of another net than the one that was updated before; parts of that net are fine."""
        shared = [name for name in params if name in self._served]
        if not self.steps or not self._served or not params:
            return
        if not shared or any(self._served[name] is not params[name] for name in shared):
            name, known = type(self).__name__, {id(p) for p in self._served.values()}
            count = f"{self.steps:,} update{'s' * (self.steps != 1)}"
            if all(id(p) in known for p in params.values()):
                what = "of these parameters under other names, by which it knows their moments"
            else:
                what = "of another net, and would continue with its moments and its schedule"
            raise ArgumentError(f"{name} has made {count} {what}. Make a new {name} for each net.")

    def forget_net(self) -> None:
        """Let the next update be of any net."""
        self._served = {}

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_served": {}}  # a copy may serve another net

    @property
    def learning_rate(self) -> float:
        """Refused, like its assignment: the rate is `lr`."""
        if "learning_rate" in vars(self):
            kept: float = vars(self)["learning_rate"]
            return kept
        raise AttributeError(f"{type(self).__name__} has no attribute 'learning_rate'. Use lr.")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if "learning_rate" in inspect.signature(type(self)).parameters:  # a rule of your own may call it so
            vars(self)["learning_rate"] = value
            return
        raise ArgumentError(f"{type(self).__name__} has no learning_rate to set, got {value!r:.60}. Set lr instead.")

    def _update(self, value: Array, grad: Array, slots: Slots, lr: float, t: int) -> None:
        """`update`; where entries do not depend on each other in blocks that fit into the cache, shared by the team."""
        if not self.elementwise or not all(a.flags.c_contiguous for a in (value, grad, *slots.values())):
            self.update(value, grad, slots, lr, t)
            return
        flat = [a.reshape(-1) for a in (value, grad, *slots.values())]

        def entries(first: int, last: int) -> None:
            for k in range(first, last, BLOCK):
                block_value, block_grad, *rest = (a[k : min(k + BLOCK, last)] for a in flat)
                self.update(block_value, block_grad, dict(zip(slots, rest, strict=True)), lr, t)

        share(entries, value.size, value.size // BLOCK)

    def _slots_of(self, name: str, p: Parameter) -> Slots:
        owner, value, grad = type(self).__name__, p.value, p.grad
        if value.dtype.kind != "f" or grad.shape != value.shape:
            raise ShapeError(
                f"{owner} expects {name!r} to hold floats and to have a gradient of its shape, "
                f"got {value.shape} of {value.dtype} and a gradient {grad.shape}: freeze it, or build it as floats."
            )
        key = value.shape, value.dtype
        fresh = {} if name in self.state and key in self._forms else self.slots(value)
        form, slots = self._forms.setdefault(key, _form(fresh)), self.state.setdefault(name, fresh)
        if _form(slots) != form:
            raise ShapeError(
                f"{owner} expects its state of {name!r} to be {_words(form)}, got {_words(_form(slots))}: "
                f"a state serves the net and the options it was made with; take a new {owner}."
            )
        return slots

    def __repr__(self) -> str:
        names = [n for n in inspect.signature(type(self)).parameters if getattr(self, n, None) is not None]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


def _form(slots: Slots) -> dict[str, Any]:
    return {name: (array.shape, array.dtype) for name, array in slots.items()}


def _words(form: dict[str, Any]) -> str:
    return ", ".join(f"{name} {shape} of {dtype}" for name, (shape, dtype) in form.items()) or "empty"
