"""The rules: `SGD`, `RMSProp`, `Adagrad`, `Adadelta`, `Adam`, `AdamW`.

Each says what it remembers of a parameter, and how it updates it; the rest is in the base class, `optimizer.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minidl.arguments import flag, positive_real, real
from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.kernels import machine_code
from minidl.optimizer import Optimizer, Slots
from minidl.schedules import Schedule


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum on request.

        g = grad + weight_decay x                 the L2 penalty
        m = momentum m + g
        x = x - lr m                              without momentum x - lr g, nesterov x - lr (g + momentum m)

    Args:
        lr: the learning rate, a number or a function step -> lr.
        momentum: how much of m goes on from update to update, in [0, 1).
        nesterov: look one step of momentum ahead.
        weight_decay: the strength of the penalty.
        lr_factors: by name patterns, as in `Optimizer`.

    Source:
        Sutskever et al. 2013, On the importance of initialization and momentum in deep learning.

    Example:
        >>> minidl.SGD(0.1, momentum=0.9)
        SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    elementwise = True

    def __init__(
        self,
        lr: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        lr_factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(lr, lr_factors)
        self.momentum = real("SGD", "momentum", momentum, 0.0, 1.0)
        self.nesterov = flag("SGD", "nesterov", nesterov)
        self.weight_decay = real("SGD", "weight_decay", weight_decay, 0.0)
        if self.nesterov and not self.momentum:
            raise ArgumentError("SGD expects a momentum above 0 with nesterov=True, got 0: write momentum=0.9.")

    def slots(self, value: Array) -> Slots:
        return {"m": np.zeros_like(value)} if self.momentum else {}

    def update(self, value: Array, grad: Array, slots: Slots, lr: float, t: int) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * value
        if self.momentum:
            m = slots["m"]
            m *= self.momentum
            m += grad
            grad = grad + self.momentum * m if self.nesterov else m
        value -= lr * grad


class RMSProp(Optimizer):
    """Steps divided by the running size of each gradient: v = rho v + (1 - rho) g^2, x = x - lr g / (sqrt(v) + eps).

    Args:
        lr: the learning rate, a number or a function step -> lr.
        rho: how much of v goes on from update to update, in [0, 1).
        eps: keeps the division safe.
        lr_factors: by name patterns, as in `Optimizer`.

    Source:
        Tieleman & Hinton 2012, Lecture 6.5, Neural networks for machine learning, Coursera.

    Example:
        >>> minidl.RMSProp()
        RMSProp(lr=0.01, rho=0.99, eps=1e-08)
    """

    elementwise = True

    def __init__(
        self,
        lr: float | Schedule = 0.01,
        rho: float = 0.99,
        eps: float = 1e-8,
        lr_factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(lr, lr_factors)
        self.rho, self.eps = real("RMSProp", "rho", rho, 0.0, 1.0), positive_real("RMSProp", "eps", eps)

    def slots(self, value: Array) -> Slots:
        return {"v": np.zeros_like(value)}

    def update(self, value: Array, grad: Array, slots: Slots, lr: float, t: int) -> None:
        _average_square(slots["v"], self.rho, grad)
        _divided_step(value, grad, slots["v"], lr, self.eps)


class Adagrad(Optimizer):
    """Steps divided by the length of all gradients so far: v = v + g^2, x = x - lr g / (sqrt(v) + eps).

    Args:
        lr: the learning rate, a number or a function step -> lr.
        eps: keeps the division safe.
        lr_factors: by name patterns, as in `Optimizer`.

    Source:
        Duchi, Hazan & Singer 2011, Adaptive subgradient methods for online learning and stochastic optimization.

    Example:
        >>> minidl.Adagrad(lr=0.1)
        Adagrad(lr=0.1, eps=1e-10)
    """

    elementwise = True

    def __init__(
        self, lr: float | Schedule = 0.01, eps: float = 1e-10, lr_factors: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(lr, lr_factors)
        self.eps = positive_real("Adagrad", "eps", eps)

    def slots(self, value: Array) -> Slots:
        return {"v": np.zeros_like(value)}

    def update(self, value: Array, grad: Array, slots: Slots, lr: float, t: int) -> None:
        slots["v"] += grad * grad
        _divided_step(value, grad, slots["v"], lr, self.eps)


class Adadelta(Optimizer):
    """Steps in the unit of x: the running size of the steps over that of the gradients.

        v = rho v + (1 - rho) g^2
        s = sqrt(d + eps) / sqrt(v + eps) g
        d = rho d + (1 - rho) s^2
        x = x - lr s

    Args:
        lr: the learning rate, a number or a function step -> lr; the paper has 1.
        rho: how much of v and d goes on from update to update, in [0, 1).
        eps: keeps the division safe, and makes the first step.
        lr_factors: by name patterns, as in `Optimizer`.

    Source:
        Zeiler 2012, ADADELTA: an adaptive learning rate method.

    Example:
        >>> minidl.Adadelta()
        Adadelta(lr=1.0, rho=0.9, eps=1e-06)
    """

    elementwise = True

    def __init__(
        self,
        lr: float | Schedule = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        lr_factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(lr, lr_factors)
        self.rho, self.eps = real("Adadelta", "rho", rho, 0.0, 1.0), positive_real("Adadelta", "eps", eps)

    def slots(self, value: Array) -> Slots:
        return {"v": np.zeros_like(value), "d": np.zeros_like(value)}

    def update(self, value: Array, grad: Array, slots: Slots, lr: float, t: int) -> None:
        v, d = slots["v"], slots["d"]
        _average_square(v, self.rho, grad)
        s = np.sqrt(d + self.eps)
        s /= np.sqrt(v + self.eps)
        s *= grad
        _average_square(d, self.rho, s)
        s *= lr
        value -= s


class Adam(Optimizer):
    """Steps along the running mean of the gradients, divided by their running size.

        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        x = x - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)      amsgrad: the largest v so far

    Args:
        lr: the learning rate, a number or a function step -> lr.
        betas: how much of m and v goes on from update to update, in [0, 1).
        eps: keeps the division safe.
        amsgrad: divide by the largest v so far.
        lr_factors: by name patterns, as in `Optimizer`.

    Source:
        Kingma & Ba 2015, Adam: a method for stochastic optimization.
        Reddi, Kale & Kumar 2018, On the convergence of Adam and beyond (amsgrad).

    Example:
        >>> w = minidl.Parameter(np.ones(2))
        >>> w.grad[...] = 5.0, -7.0
        >>> minidl.Adam(0.1).step({"w": w})  # the first step is lr, whatever the gradient
        >>> w.value.round(6)
        array([0.9, 1.1])
    """

    elementwise = True

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        amsgrad: bool = False,
        lr_factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(lr, lr_factors)
        owner = type(self).__name__
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ArgumentError(f"{owner} expects betas to be a pair of numbers, like (0.9, 0.999), got {betas!r}.")
        self.betas = real(owner, "betas[0]", betas[0], 0.0, 1.0), real(owner, "betas[1]", betas[1], 0.0, 1.0)
        self.eps = positive_real(owner, "eps", eps)
        self.amsgrad = flag(owner, "amsgrad", amsgrad)

    def slots(self, value: Array) -> Slots:
        return {name: np.zeros_like(value) for name in (("m", "v", "v_max") if self.amsgrad else ("m", "v"))}

    def _keep(self, lr: float) -> float:
        """What an update leaves of the weights before its step."""
        return 1.0

    def update(self, value: Array, grad: Array, slots: Slots, lr: float, t: int) -> None:
        (beta1, beta2), m, v = self.betas, slots["m"], slots["v"]
        root = (1 - beta2**t) ** 0.5
        rate, eps, keep = lr * root / (1 - beta1**t), self.eps * root, self._keep(lr)
        fast = machine_code("adam", value.dtype, grad.dtype) if value.ndim == 1 and not self.amsgrad else None
        if fast:
            fast.adam(value, grad, m, v, beta1, beta2, rate, eps, keep)
            return
        m *= beta1
        m += (1 - beta1) * grad
        _average_square(v, beta2, grad)
        if self.amsgrad:
            v = np.maximum(slots["v_max"], v, out=slots["v_max"])
        if keep != 1:
            value *= keep
        _divided_step(value, m, v, rate, eps)


class AdamW(Adam):
    """Adam with a decay of the weights that the division does not touch: x = x - lr weight_decay x, then Adam.

    Args:
        lr, betas, eps, amsgrad: as in `Adam`.
        weight_decay: the strength of the decay.
        lr_factors: by name patterns, as in `Optimizer`.

    Source:
        Loshchilov & Hutter 2019, Decoupled weight decay regularization.

    Example:
        >>> minidl.AdamW(weight_decay=0.1)
        AdamW(lr=0.001, betas=(0.9, 0.999), eps=1e-08, amsgrad=False, weight_decay=0.1)
    """

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        amsgrad: bool = False,
        weight_decay: float = 0.01,
        lr_factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(lr, betas, eps, amsgrad, lr_factors)
        self.weight_decay = real("AdamW", "weight_decay", weight_decay, 0.0)

    def _keep(self, lr: float) -> float:
        return 1 - lr * self.weight_decay


def _average_square(v: Array, rho: float, g: Array) -> None:
    """v = rho v + (1 - rho) g^2, with one temporary."""
    square = g * g
    square *= 1 - rho
    v *= rho
    v += square


def _divided_step(value: Array, direction: Array, v: Array, lr: float, eps: float) -> None:
    """value = value - lr direction / (sqrt(v) + eps), with one temporary."""
    scratch = np.sqrt(v, out=np.empty_like(v))
    scratch += eps
    np.divide(direction, scratch, out=scratch)
    scratch *= lr
    value -= scratch
