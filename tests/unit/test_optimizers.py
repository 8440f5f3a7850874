"""The optimizers: figures by hand, and what every rule keeps: place, dtype, frozen parameters, its memory."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from minidl.errors import ArgumentError, ShapeError
from minidl.layer import Parameter
from minidl.optimizer import Optimizer
from minidl.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSProp
from minidl.schedules import CosineLR, StepLR
from tests.conformance.cases import public

pytestmark = pytest.mark.usefixtures("kernels")

MAKERS: dict[str, Any] = {
    "SGD": lambda lr: SGD(lr),
    "SGD momentum": lambda lr: SGD(lr, momentum=0.9),
    "SGD nesterov decay": lambda lr: SGD(lr, momentum=0.9, nesterov=True, weight_decay=0.1),
    "RMSProp": lambda lr: RMSProp(lr),
    "Adagrad": lambda lr: Adagrad(lr),
    "Adadelta": lambda lr: Adadelta(lr),
    "Adam": lambda lr: Adam(lr),
    "Adam amsgrad": lambda lr: Adam(lr, amsgrad=True),
    "AdamW": lambda lr: AdamW(lr, weight_decay=0.1),
}
every_rule = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def test_no_public_optimizer_is_without_a_case():
    covered = {type(make(0.1)).__name__ for make in MAKERS.values()} & {type(o).__name__ for o, _ in FIGURES}
    assert public(Optimizer) <= covered, f"no case for {sorted(public(Optimizer) - covered)}"


def parameter(value: Any, dtype: Any = np.float64, trainable: bool = True) -> Parameter:
    return Parameter(np.array(value, dtype), trainable)


def set_grad(p: Parameter, rng: np.random.Generator) -> None:
    p.grad[...] = rng.standard_normal(p.value.shape)


def walk(optimizer: Optimizer, params: dict[str, Parameter], steps: int, seed: int) -> None:
    """Some updates, from gradients that the seed alone decides."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        for p in params.values():
            set_grad(p, rng)
        optimizer.step(params)


# x starts at (1, -2); the gradients of the three steps are (1, -0.5), (2, 0), (-1, 4); lr is 0.1 (Adadelta 0.5).
# The constants are far from the usual ones (betas 0.5 and 0.75, eps 0.5), so that every term shows.
# Figures with few digits are worked out here, the others are the same equations in 50 digits.
FIGURES = [
    # x - 0.1 g
    (SGD(0.1), [[0.9, -1.95], [0.7, -1.95], [0.8, -2.35]]),
    # m = (1, -0.5), (2.5, -0.25), (0.25, 3.875)
    (SGD(0.1, momentum=0.5), [[0.9, -1.95], [0.65, -1.925], [0.625, -2.3125]]),
    # g + m / 2 = (1.5, -0.75), (3.25, -0.125), (-0.875, 5.9375)
    (SGD(0.1, momentum=0.5, nesterov=True), [[0.85, -1.925], [0.525, -1.9125], [0.6125, -2.50625]]),
    # g + x / 2 = (1.5, -1.5), (2.425, -0.925), (-0.69625, 3.12125)
    (SGD(0.1, weight_decay=0.5), [[0.85, -1.85], [0.6075, -1.7575], [0.677125, -2.069625]]),
    # g + x / 2 = (1.5, -1.5), (2.3875, -0.8875), ...; m = (1.5, -1.5), (3.1375, -1.6375), ...
    (
        SGD(0.1, momentum=0.5, nesterov=True, weight_decay=0.5),
        [[0.775, -1.775], [0.379375, -1.604375], [0.422484375, -2.043109375]],
    ),
    # v = (1, 1/4) / 4, so the first step is 0.1 / (1/2 + 1/2) and 0.05 / (1/4 + 1/2)
    (
        RMSProp(0.1, rho=0.75, eps=0.5),
        [
            [0.9, -1.9333333333333333],
            [0.7741920563444974, -1.9333333333333333],
            [0.8379675475068488, -2.092774025906965],
        ],
    ),
    # v = (1, 1/4), so the first step is 0.1 / (1 + 1/2) and 0.05 / (1/2 + 1/2); then v = (5, 1/4), (6, 16.25)
    (
        Adagrad(0.1, eps=0.5),
        [
            [0.9333333333333333, -1.95],
            [0.8602357342807107, -1.95],
            [0.8941399037204181, -2.038278221853732],
        ],
    ),
    # v = (1, 1/4) / 4, so the first step is sqrt(0.01 / 0.26) / 2 and sqrt(0.01 / 0.0725) / 4
    (
        Adadelta(0.5, rho=0.75, eps=0.01),
        [
            [0.901941932430908, -1.907152330911474],
            [0.7739564667393064, -1.907152330911474],
            [0.8593883254028404, -2.0347521427344586],
        ],
    ),
    # corrected m = g and v = g^2 at first: the step is 0.1 / (1 + 1/2) and 0.05 / (1/2 + 1/2)
    (
        Adam(0.1, betas=(0.5, 0.75), eps=0.5),
        [
            [0.9333333333333333, -1.95],
            [0.8557240329017315, -1.9298547974579654],
            [0.8482234960186513, -2.0003304065030583],
        ],
    ),
    # v of the second coordinate falls at the second step, and that of the first one at the third
    (
        Adam(0.1, betas=(0.5, 0.75), eps=0.5, amsgrad=True),
        [
            [0.9333333333333333, -1.95],
            [0.8557240329017315, -1.9310166958014354],
            [0.8483343497911372, -2.0014923048465283],
        ],
    ),
    # x is 0.95 x first: (0.95, -1.9), then Adam's step; the decay stays out of m and v
    (
        AdamW(0.1, betas=(0.5, 0.75), eps=0.5, weight_decay=0.5),
        [
            [0.8833333333333333, -1.85],
            [0.7615573662350648, -1.7373547974579653],
            [0.7159789610402314, -1.7209626666301603],
        ],
    ),
]


@pytest.mark.parametrize(("optimizer", "figures"), FIGURES, ids=[repr(optimizer) for optimizer, _ in FIGURES])
def test_three_steps_by_hand(optimizer: Optimizer, figures: list[list[float]]) -> None:
    optimizer = copy.deepcopy(optimizer)
    w = parameter([1, -2])
    for g, expected in zip([(1, -0.5), (2, 0), (-1, 4)], figures, strict=True):
        w.grad[...] = g
        optimizer.step({"w": w})
        np.testing.assert_allclose(w.value, expected, rtol=1e-14)


@every_rule
def test_updates_in_place_and_leaves_gradients(make: Any) -> None:
    w = parameter([[1, -2, 3], [4, 5, 6]])
    value, before = w.value, w.value.copy()
    set_grad(w, np.random.default_rng(0))
    grad, optimizer = w.grad.copy(), make(0.1)
    for _ in range(3):
        optimizer.step({"w": w})
    assert w.value is value
    assert (value != before).all()
    np.testing.assert_array_equal(w.grad, grad)


@every_rule
@pytest.mark.parametrize("lr", [0.1, lambda step: np.float64(0.1)], ids=["number", "function of float64"])
def test_float32_stays_float32(make: Any, lr: Any) -> None:
    small, exact = parameter([1, -2, 3], np.float32), parameter([1, -2, 3])
    optimizers = make(lr), make(lr)
    for p, optimizer in zip((small, exact), optimizers, strict=True):
        walk(optimizer, {"w": p}, steps=5, seed=1)
    assert small.value.dtype == np.float32
    assert all(slot.dtype == np.float32 for slot in optimizers[0].state["w"].values())
    np.testing.assert_allclose(small.value, exact.value, rtol=1e-5)


@every_rule
def test_frozen_is_not_touched(make: Any) -> None:
    params = {"a": parameter([1, 2]), "b": parameter([1, 2], trainable=False)}
    optimizer = make(0.1)
    walk(optimizer, params, steps=3, seed=2)
    assert (params["a"].value != [1, 2]).all()
    np.testing.assert_array_equal(params["b"].value, [1, 2])
    assert list(optimizer.state) == ["a"]


@every_rule
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1, 2, 2)])
def test_any_shape_and_layout(make: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    start = rng.standard_normal(shape)
    params = {
        "w": Parameter(start),
        "transposed": Parameter(np.asfortranarray(start)),
        "flat": Parameter(start.ravel()),
    }
    grads = rng.standard_normal((3, *shape))
    optimizer = make(0.1)
    with np.errstate(all="raise"):
        for g in grads:
            for p in params.values():
                p.grad[...] = g.reshape(p.value.shape)
            optimizer.step(params)
    for p in params.values():
        np.testing.assert_allclose(p.value.ravel(), params["flat"].value, rtol=1e-15)
    assert params["w"].value.shape == shape
    assert (params["w"].value != start).all()


@every_rule
def test_zero_gradients_are_safe(make: Any) -> None:
    w = parameter([1, -2], np.float32)
    with np.errstate(all="raise"):
        make(0.1).step({"w": w})
    assert np.isfinite(w.value).all()


@every_rule
def test_resumes_bit_for_bit(make: Any) -> None:
    def fresh() -> Optimizer:
        optimizer: Optimizer = make(StepLR(0.1, every=3, factor=0.5))
        return optimizer

    whole, halves = parameter([1, -2, 3], np.float32), parameter([1, -2, 3], np.float32)
    first, second, third = fresh(), fresh(), fresh()
    for optimizer, w in ((first, whole), (second, halves)):
        optimizer.lr_scale = 0.5
        walk(optimizer, {"w": w}, steps=4, seed=4)
    third.steps, third.lr_scale, third.state = second.steps, second.lr_scale, copy.deepcopy(second.state)
    walk(first, {"w": whole}, steps=4, seed=5)
    walk(third, {"w": halves}, steps=4, seed=5)
    np.testing.assert_array_equal(whole.value, halves.value)
    assert third.steps == 8


def test_rate_is_that_of_the_next_update() -> None:
    asked: list[int] = []

    def schedule(step: int) -> float:
        asked.append(step)
        return 1.0 / (step + 1)

    optimizer, w = SGD(schedule), parameter([0.0])
    w.grad[...] = 1
    optimizer.step({"w": w})
    optimizer.step({"w": w})
    assert asked == [0, 1]
    assert optimizer.steps == 2
    np.testing.assert_allclose(w.value, [-1.5])
    assert optimizer.rate == pytest.approx(1 / 3)
    optimizer.lr_scale = 0.5
    assert optimizer.rate == pytest.approx(1 / 6)


def test_last_rate_is_that_of_the_last_update() -> None:
    optimizer, w = SGD(lambda step: 1.0 / (step + 1)), parameter([0.0])
    w.grad[...] = 1
    assert optimizer.last_rate == optimizer.rate == 1
    optimizer.step({"w": w})
    assert (optimizer.last_rate, optimizer.rate) == (1, 0.5)
    optimizer.step({"w": w})
    assert optimizer.last_rate == 0.5
    np.testing.assert_allclose(w.value, [-1.5])


def test_lr_scale_scales_the_update() -> None:
    w, optimizer = parameter([1.0]), SGD(0.5)
    w.grad[...] = 1
    optimizer.lr_scale = 0.5
    optimizer.step({"w": w})
    np.testing.assert_array_equal(w.value, [0.75])


def test_a_rule_of_ones_own() -> None:
    class RowAdagrad(Optimizer):
        """One number a row: slots need not have the parameter's shape."""

        def slots(self, value: np.ndarray) -> dict[str, np.ndarray]:
            return {"row": np.zeros(len(value))}

        def update(self, value: np.ndarray, grad: np.ndarray, slots: Any, lr: float, t: int) -> None:
            slots["row"] += (grad**2).sum(axis=1)
            value -= lr * grad / np.sqrt(slots["row"])[:, None] / t

    w, optimizer = parameter([[1.0, 1.0]]), RowAdagrad(1.0)
    w.grad[...] = 3, 4
    optimizer.step({"w": w})
    optimizer.step({"w": w})
    np.testing.assert_allclose(w.value, [[1 - 3 / 5 - 3 / 50**0.5 / 2, 1 - 4 / 5 - 4 / 50**0.5 / 2]])
    assert repr(optimizer) == "RowAdagrad(lr=1.0)"


def test_a_rule_without_update_cannot_be_made() -> None:
    class Nothing(Optimizer):
        pass

    with pytest.raises(TypeError, match="update"):
        Nothing(0.1)  # type: ignore[abstract]


def test_repr_shows_the_arguments() -> None:
    assert repr(SGD(0.5, 0.9, True)) == "SGD(lr=0.5, momentum=0.9, nesterov=True, weight_decay=0.0)"
    assert repr(RMSProp()) == "RMSProp(lr=0.01, rho=0.99, eps=1e-08)"
    assert repr(Adam(CosineLR(1.0, 10))) == (
        "Adam(lr=CosineLR(lr=1.0, steps=10, warmup=0, final=0.0), betas=(0.9, 0.999), eps=1e-08, amsgrad=False)"
    )
    assert repr(AdamW(betas=[0.5, 0.75])).endswith("eps=1e-08, amsgrad=False, weight_decay=0.01)")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(-0.1), "SGD expects lr, unless it is a function of the step, to be a positive number, got -0.1."),
        (lambda: Adam(0), "Adam expects lr, unless it is a function of the step, to be a positive number, got 0."),
        (lambda: AdamW("fast"), "AdamW expects lr, .* got 'fast'"),
        (lambda: Adam(float("nan")), "Adam expects lr, .* got nan"),
        (lambda: Adam(True), "Adam expects lr, .* got True"),
        (lambda: Adam(CosineLR), "Adam expects lr, .* got <class"),
        (lambda: SGD(momentum=1), r"SGD expects momentum to be a number in \[0, 1\), got 1\."),
        (lambda: SGD(momentum="0.9"), "SGD expects momentum to be a number in .* got '0.9'"),
        (lambda: SGD(nesterov=True), "SGD expects a momentum above 0 with nesterov=True, got 0"),
        (lambda: SGD(weight_decay=-1), "SGD expects weight_decay to be a number of at least 0, got -1"),
        (lambda: RMSProp(rho=1.0), "RMSProp expects rho to be"),
        (lambda: RMSProp(eps=0), "RMSProp expects eps to be a positive number, got 0"),
        (lambda: Adagrad(eps=-1e-8), "Adagrad expects eps"),
        (lambda: Adadelta(rho=-0.1), "Adadelta expects rho"),
        (lambda: Adadelta(eps=None), "Adadelta expects eps"),
        (lambda: Adam(betas=0.9), r"Adam expects betas to be a pair of numbers, like \(0.9, 0.999\), got 0.9"),
        (lambda: Adam(betas=(0.9, 0.99, 0.999)), "Adam expects betas to be a pair"),
        (lambda: AdamW(betas=(0.9, 1.0)), r"AdamW expects betas\[1\] to be a number in \[0, 1\), got 1\.0"),
        (lambda: AdamW(weight_decay="0"), "AdamW expects weight_decay"),
    ],
)
def test_bad_arguments_are_named_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf"), None, "0.1"])
def test_a_bad_schedule_is_named_before_anything_changes(bad: Any) -> None:
    w = parameter([1.0])
    optimizer = SGD(lambda step: bad if step == 1 else 0.1)
    optimizer.step({"w": w})
    w.grad[...] = 1
    with pytest.raises(ArgumentError, match="SGD expects the learning rate of step 1 to be a number of at least 0"):
        optimizer.step({"w": w})
    assert optimizer.steps == 1
    np.testing.assert_array_equal(w.value, [1.0])


@pytest.mark.parametrize(
    ("other", "options", "message"),
    [
        (parameter([1, 2, 3]), {}, r"'w' to be m \(3,\) of float64, v .*, got m \(2,\) of float64"),
        (parameter([1, 2], np.float32), {}, r"'w' to be m \(2,\) of float32, v .*, got m \(2,\) of float64"),
        (parameter([1, 2]), {"amsgrad": True}, r"'a' to be m .*, v .*, v_max \(1,\) of float64, got m .*, v \(1,\)"),
    ],
    ids=["size", "dtype", "options"],
)
def test_a_state_from_elsewhere_is_refused(other: Parameter, options: dict[str, bool], message: str) -> None:
    first, second = parameter([7.0]), copy.deepcopy(other)
    used, resumed = Adam(0.1), Adam(0.1, **options)
    walk(used, {"a": first, "w": parameter([1, 2])}, steps=1, seed=6)
    resumed.state, resumed.steps = used.state, used.steps
    before = first.value.copy(), second.value.copy()
    with pytest.raises(ShapeError, match=f"Adam expects its state of {message}.*: a state serves the net"):
        resumed.step({"a": first, "w": second})
    np.testing.assert_array_equal(first.value, before[0])
    np.testing.assert_array_equal(second.value, before[1])
    assert resumed.steps == 1


def test_the_same_optimizer_on_another_net_is_refused() -> None:
    optimizer, first = SGD(0.1, momentum=0.9), {"W": parameter(np.ones((2, 3))), "b": parameter(np.ones(3))}
    optimizer.step(first)
    for shape, name in ((4, 3), "W"), ((2, 3), "W"), ((2, 3), "V"):
        with pytest.raises(ArgumentError, match=r"SGD has made 1 update of another net.* Make a new SGD for each net"):
            optimizer.step({name: parameter(np.ones(shape))})
    with pytest.raises(ArgumentError, match=r"SGD has made 1 update of these parameters under other names"):
        optimizer.step({f"body.{name}": p for name, p in first.items()})
    optimizer.step({})
    optimizer.steps = 1
    optimizer.step({"W": first["W"]})
    optimizer.step(first | {"more": parameter([1.0])})
    copy.deepcopy(optimizer).step({name: parameter(p.value) for name, p in first.items()})
    assert optimizer.steps == 3
    optimizer.state["W"]["m"] = np.ones((4, 3))
    with pytest.raises(ShapeError, match=r"'W' to be m \(2, 3\) of float64, got m \(4, 3\) of float64: a state"):
        optimizer.step(first)


def test_learning_rate_is_refused_as_the_name_of_lr() -> None:
    optimizer = Adam(0.1)
    with pytest.raises(ArgumentError, match=r"Adam has no learning_rate to set, got 0.5. Set lr instead"):
        optimizer.learning_rate = 0.5
    with pytest.raises(AttributeError, match="Use lr"):
        optimizer.learning_rate  # noqa: B018
    assert not hasattr(optimizer, "learning_rate")

    class Own(SGD):
        def __init__(self, learning_rate: float) -> None:
            super().__init__(learning_rate)
            self.learning_rate = learning_rate

    assert Own(0.5).learning_rate == 0.5


def test_a_gradient_of_another_shape_is_refused() -> None:
    w = parameter([1, 2])
    w.grad.resize((3,), refcheck=False)
    with pytest.raises(ShapeError, match=r"SGD expects 'lstm.b' to .* got \(2,\) of float64 and a gradient \(3,\)"):
        SGD().step({"lstm.b": w})


def test_integers_are_refused() -> None:
    with pytest.raises(ShapeError, match="SGD expects 'w' to hold floats"):
        SGD().step({"w": parameter([1, 2], np.int64)})


def test_params_are_a_mapping() -> None:
    with pytest.raises(ArgumentError, match=r"mapping from name to Parameter, got a list: .* net\.params"):
        SGD().step([parameter([1.0])])  # type: ignore[arg-type]


# -- learning-rate factors ------------------------------------------------------------------------

FACTORS = {"a.W": 0.5, "a.*": 0.0, "*.b": 2.0}
RULES: dict[str, Any] = {
    "SGD": lambda lr, **more: SGD(lr, momentum=0.9, weight_decay=0.1, **more),
    "RMSProp": RMSProp,
    "Adagrad": Adagrad,
    "Adadelta": Adadelta,
    "Adam": Adam,
    "AdamW": AdamW,
}


@pytest.mark.parametrize("make", RULES.values(), ids=RULES.keys())
def test_a_factor_is_another_learning_rate(make: Any) -> None:
    """The first pattern that fits counts; 0 changes nothing, and what no pattern fits goes at the whole rate."""
    names = {"a.W": 0.05, "a.b": None, "d.b": 0.2, "d.W": 0.1}
    together = {name: parameter([1, -2, 3], np.float32) for name in names}
    optimizer = make(0.1, lr_factors=FACTORS)
    walk(optimizer, together, steps=3, seed=7)
    for name, lr in names.items():
        alone = {other: parameter([1, -2, 3], np.float32) for other in names}
        walk(make(0.1 if lr is None else lr), alone, steps=3, seed=7)
        expected = [1, -2, 3] if lr is None else alone[name].value
        np.testing.assert_allclose(together[name].value, expected, rtol=1e-6)
    assert list(optimizer.state) == ["a.W", "d.b", "d.W"]


def test_a_factor_goes_with_schedules_and_callbacks() -> None:
    optimizer, w = SGD(StepLR(1.0, every=1, factor=0.5), lr_factors={"w": 0.5}), parameter([1.0])
    w.grad[...] = 1
    optimizer.step({"w": w})
    optimizer.lr_scale = 0.1
    optimizer.step({"w": w})
    np.testing.assert_allclose(w.value, [1 - 0.5 - 0.5 * 0.5 * 0.1])
    assert optimizer.rate == pytest.approx(0.025)


def test_factors_are_seen_in_the_arguments_only_where_they_are_given() -> None:
    assert repr(RMSProp(lr_factors={"*": 1})) == "RMSProp(lr=0.01, rho=0.99, eps=1e-08, lr_factors={'*': 1.0})"
    assert "lr_factors" not in repr(RMSProp(lr_factors={}))


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf"), "0.1", None, True])
def test_a_bad_factor_is_refused(bad: Any) -> None:
    with pytest.raises(ArgumentError, match=r"Adam expects the factor of 'a\.\*' to be a number of at least 0, got"):
        Adam(lr_factors={"a.*": bad})
    with pytest.raises(ArgumentError, match=r"lr_factors to be a dict from patterns to numbers, like \{'enc"):
        Adam(lr_factors=bad or 3)


def test_a_pattern_that_fits_nothing_is_an_error_of_the_first_step() -> None:
    w = parameter([1.0])
    optimizer = Adam(lr_factors={"encodr.*": 0.1})
    with pytest.raises(ArgumentError, match=r"lr_factors of Adam .* 'encodr\.\*', .* mean 'encoder\.\*'\? There are"):
        optimizer.step({"encoder.W": w, "dense.W": w})
    assert optimizer.steps == 0 and not optimizer.state
    optimizer.step({"encodr.W": w, "b": (b := parameter([1.0]))})
    w.trainable = False
    optimizer.step({"encodr.W": w, "b": b})  # what is frozen is there
    with pytest.raises(ArgumentError, match="lr_factors"):
        optimizer.step({"b": b})
