"""Every optimizer and schedule, step for step against PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from minidl.layer import Parameter
from minidl.optimizer import Optimizer
from minidl.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSProp
from minidl.schedules import CosineLR, ExponentialLR, OneCycleLR, StepLR

torch = pytest.importorskip("torch")

STEPS = 20
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def grid(**options: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())]


def alike(name: str, ours: Any, names: dict[str, str], options: list[dict[str, Any]]) -> list[Any]:
    """Cases (our class, torch's name, our options, torch's), each with an id."""
    return [
        pytest.param(ours, name, o, {names.get(k, k): v for k, v in o.items()}, id=f"{name}-{i}")
        for i, o in enumerate(options)
    ]


CASES = [
    *alike("SGD", SGD, {}, grid(lr=[0.1], momentum=[0.0, 0.5, 0.9], weight_decay=[0.0, 0.1])),
    *alike("SGD-nesterov", SGD, {}, grid(lr=[0.1], momentum=[0.5, 0.9], nesterov=[True], weight_decay=[0.0, 0.1])),
    *alike("RMSprop", RMSProp, {"rho": "alpha"}, [{}, *grid(lr=[0.1], rho=[0.0, 0.5, 0.9], eps=[1e-8, 0.1])]),
    *alike("Adagrad", Adagrad, {}, [{}, *grid(lr=[0.01, 0.5], eps=[1e-10, 0.1])]),
    *alike("Adadelta", Adadelta, {}, [{}, *grid(lr=[0.1, 2.0], rho=[0.5, 0.95], eps=[1e-6, 0.1])]),
    *alike(
        "Adam",
        Adam,
        {},
        [{}, *grid(lr=[0.1], betas=[(0.9, 0.999), (0.0, 0.5)], eps=[1e-8, 0.1], amsgrad=[False, True])],
    ),
    *alike(
        "AdamW",
        AdamW,
        {},
        [{}, *grid(lr=[0.1], betas=[(0.8, 0.9)], weight_decay=[0.0, 0.01, 0.5], amsgrad=[False, True])],
    ),
]


def gradients(dtype: str) -> np.ndarray:
    """Gradients of very different size; those of some entries are 0 at first, or for a while, or always."""
    rng = np.random.default_rng(0)
    grads = rng.standard_normal((STEPS, 4, 5)) * 10.0 ** rng.integers(-3, 3, (4, 5))
    grads[:5, 0] = grads[8:12, 1] = grads[:, 2, 0] = 0
    return grads.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("ours", "name", "options", "torch_options"), CASES)
def test_optimizers(ours: Any, name: str, options: dict[str, Any], torch_options: dict[str, Any], dtype: str) -> None:
    start = np.random.default_rng(1).standard_normal((4, 5)).astype(dtype)
    mine, theirs = Parameter(start), torch.tensor(start, requires_grad=True)
    optimizer = ours(**options)
    oracle = getattr(torch.optim, name.partition("-")[0])([theirs], **torch_options)
    for grad in gradients(dtype):
        mine.grad[...] = grad
        theirs.grad = torch.tensor(grad)
        optimizer.step({"w": mine})
        oracle.step()
        expected = theirs.detach().numpy()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(mine.value, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale)
    assert mine.value.dtype == dtype
    assert (mine.value != start).sum() >= 15


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("ours", "name", "options", "torch_options"), CASES)
def test_factors_are_parameter_groups(
    ours: Any, name: str, options: dict[str, Any], torch_options: dict[str, Any], dtype: str
) -> None:
    """The decay of the weights included; a factor of 0 leaves the values as they are."""
    factors = {"encoder.*": 0.1, "head.b": 3.0, "head.E": 0.0}
    rates = {"encoder.W": 0.1, "head.b": 3.0, "head.W": 1.0, "head.E": 0.0}
    start = np.random.default_rng(1).standard_normal((4, 5)).astype(dtype)
    mine = {key: Parameter(start) for key in rates}
    theirs = {key: torch.tensor(start, requires_grad=True) for key in rates}
    make = getattr(torch.optim, name.partition("-")[0])
    optimizer = ours(**options, lr_factors=factors)
    groups = [{"params": [theirs[key]], "lr": optimizer.lr * factor} for key, factor in rates.items()]
    oracle = make(groups, **torch_options)
    for grad in gradients(dtype):
        for k, key in enumerate(rates):
            mine[key].grad[...] = np.roll(grad, k)
            theirs[key].grad = torch.tensor(mine[key].grad)
        optimizer.step(mine)
        oracle.step()
        for key in rates:
            expected = theirs[key].detach().numpy()
            scale = np.abs(expected).max()
            np.testing.assert_allclose(
                mine[key].value, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale, err_msg=key
            )


@pytest.mark.parametrize("ours", [SGD, RMSProp, Adagrad, Adadelta, Adam, AdamW])
def test_defaults_are_torchs(ours: type[Optimizer]) -> None:
    name = {"RMSProp": "RMSprop"}.get(ours.__name__, ours.__name__)
    defaults = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
    optimizer = ours()  # type: ignore[call-arg]
    shared = {k: v for k, v in vars(optimizer).items() if k in defaults}
    if "rho" in vars(optimizer) and "rho" not in defaults:
        assert vars(optimizer)["rho"] == defaults["alpha"]
    if ours is SGD:
        defaults["lr"] = 0.01  # torch has 0.001
    assert shared == {k: defaults[k] for k in shared}
    assert "lr" in shared


def schedule_of(make: Any, steps: int) -> list[float]:
    """The learning rates of torch's updates 0, 1, 2, ..."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = make(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    return rates


def warm_cosine(optimizer: Any) -> Any:
    lrs = torch.optim.lr_scheduler
    up = lrs.LinearLR(optimizer, start_factor=1 / 5, total_iters=4)
    down = lrs.CosineAnnealingLR(optimizer, T_max=15)
    return lrs.SequentialLR(optimizer, [up, down], milestones=[5])


@pytest.mark.parametrize(
    ("ours", "make"),
    [
        (StepLR(0.5, every=7), lambda o: torch.optim.lr_scheduler.StepLR(o, 7)),
        (StepLR(0.5, every=3, factor=0.5), lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5)),
        (ExponentialLR(0.5, 0.9), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        (CosineLR(0.5, 20), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20)),
        (CosineLR(0.5, 20, final=0.1), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, 0.1)),
        (CosineLR(0.5, 20, warmup=5), warm_cosine),
    ],
    ids=lambda value: "torch" if callable(value) and not hasattr(value, "lr") else repr(value),
)
def test_schedules(ours: Any, make: Any) -> None:
    rates = schedule_of(make, 21)
    np.testing.assert_allclose([ours(step) for step in range(21)], rates, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("steps", [2, 3, 10, 21, 33])
@pytest.mark.parametrize("warmup", [0.3, 0.6, 0.05])  # where steps * warmup is 1, torch divides 0 by 0
def test_one_cycle(steps: int, warmup: float) -> None:
    def make(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.5, total_steps=steps, pct_start=warmup, cycle_momentum=False
        )

    ours = OneCycleLR(0.5, steps, warmup)
    np.testing.assert_allclose([ours(step) for step in range(steps)], schedule_of(make, steps), rtol=1e-12)


def test_a_schedule_inside_an_optimizer() -> None:
    mine, theirs = Parameter(np.ones(5)), torch.ones(5, dtype=torch.float64, requires_grad=True)
    optimizer = Adam(CosineLR(0.5, STEPS, warmup=5))
    oracle = torch.optim.Adam([theirs], lr=0.5)
    scheduler = warm_cosine(oracle)
    for grad in gradients("float64")[:, 3]:
        mine.grad[...] = grad
        theirs.grad = torch.tensor(grad)
        optimizer.step({"w": mine})
        oracle.step()
        scheduler.step()
        np.testing.assert_allclose(mine.value, theirs.detach().numpy(), rtol=1e-12)
