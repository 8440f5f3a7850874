"""Losses: figures by hand, exact gradients, what does not count counts for nothing, and fusion at ±1e4."""

from itertools import product

import numpy as np
import pytest

import minidl
from minidl import (
    LSTM,
    ArgumentError,
    Ascending,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    IdError,
    Layer,
    LogSoftmax,
    Loss,
    MeanSquaredError,
    QuantileLoss,
    Sequential,
    ShapeError,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
    loss_and_grads,
    loss_value,
)
from minidl.checking import gradcheck
from minidl.data import Batch
from tests.conformance.cases import public
from tests.parameters import every

by_kernel = pytest.mark.usefixtures("kernels")

B, T, V = 3, 4, 5
LN2, LN3 = np.log(2), np.log(3)


def drawn(kind, seed=0):
    """Outputs or targets of a kind, for B rows of T steps."""
    rng = np.random.default_rng((seed, len(kind)))
    ids = rng.integers(0, V, (B, T))
    return {
        "scores": lambda: 2 * rng.standard_normal((B, T, V)),
        "probabilities": lambda: rng.dirichlet(np.ones(V), (B, T)),
        "chances": lambda: rng.uniform(0.05, 0.95, (B, T, V)),
        "column": lambda: rng.standard_normal((B, T, 1)),
        "column of chances": lambda: rng.uniform(0.05, 0.95, (B, T, 1)),
        "ids": lambda: ids,
        "ids, some -100": lambda: np.where(rng.random((B, T)) < 0.5, -100, ids),
        "ids, 0 ignored": lambda: ids,
        "one-hot": lambda: np.eye(V)[ids],
        "one-hot integers": lambda: np.eye(V, dtype=int)[ids],
        "soft": lambda: rng.dirichlet(np.ones(V), (B, T)),
        "soft, of any mass": lambda: rng.random((B, T, V)),
        "numbers": lambda: rng.standard_normal((B, T, V)),
        "number a step": lambda: rng.standard_normal((B, T)),
        "bits": lambda: rng.integers(0, 2, (B, T, V)),
        "bit a step": lambda: rng.random((B, T)) < 0.5,
    }[kind]()


# (loss, outputs, targets)
CASES = [
    (SoftmaxCrossEntropy(), "scores", "ids"),
    (SoftmaxCrossEntropy(), "scores", "one-hot"),
    (SoftmaxCrossEntropy(), "scores", "one-hot integers"),
    (SoftmaxCrossEntropy(), "scores", "soft"),
    (SoftmaxCrossEntropy(), "scores", "soft, of any mass"),
    (SoftmaxCrossEntropy(ignore_index=-100), "scores", "ids, some -100"),
    (SoftmaxCrossEntropy(ignore_index=0), "scores", "ids, 0 ignored"),
    (CrossEntropy(), "probabilities", "ids"),
    (CrossEntropy(), "probabilities", "one-hot"),
    (CrossEntropy(), "probabilities", "soft"),
    (CrossEntropy(ignore_index=-100), "probabilities", "ids, some -100"),
    (MeanSquaredError(), "scores", "numbers"),
    (MeanSquaredError(), "column", "number a step"),
    (BinaryCrossEntropy(), "chances", "bits"),
    (BinaryCrossEntropy(), "chances", "soft"),
    (BinaryCrossEntropy(), "column of chances", "bit a step"),
    (BinaryCrossEntropy(from_logits=True), "scores", "bits"),
    (BinaryCrossEntropy(from_logits=True), "scores", "soft"),
    (BinaryCrossEntropy(from_logits=True), "column", "bit a step"),
    (QuantileLoss((0.05, 0.3, 0.5, 0.8, 0.95)), "scores", "number a step"),
    (QuantileLoss([0.5]), "column", "number a step"),
]
every_case = pytest.mark.parametrize(
    ("loss", "outputs", "targets"), CASES, ids=[f"{type(c[0]).__name__}-{c[1]}-{c[2]}" for c in CASES]
)


def test_no_public_loss_is_without_a_case():
    covered = {type(loss).__name__ for loss, *_ in CASES} & {type(loss).__name__ for loss, *_ in FIGURES}
    assert public(Loss) <= covered, f"no case for {sorted(public(Loss) - covered)}"


def test_coverage_sees_a_loss_without_a_case(monkeypatch):
    class Unheard(Loss):
        pass

    monkeypatch.setattr(minidl, "Unheard", Unheard, raising=False)
    monkeypatch.setattr(minidl, "__all__", [*minidl.__all__, "Unheard"])
    with pytest.raises(AssertionError, match="no case for \\['Unheard'\\]"):
        test_no_public_loss_is_without_a_case()


# -- values ---------------------------------------------------------------------------------------

# (loss, y, t, the loss of each position, its gradient), two positions each
FIGURES = [
    # softmax gives (1/4, 3/4) and (1/2, 1/2)
    (SoftmaxCrossEntropy(), [[0, LN3], [7, 7]], [1, 0], [-np.log(0.75), LN2], [[0.25, -0.25], [-0.5, 0.5]]),
    (SoftmaxCrossEntropy(), [[0, LN3], [7, 7]], [[0, 1], [1, 0]], [-np.log(0.75), LN2], [[0.25, -0.25], [-0.5, 0.5]]),
    # half of each class: -(ln 1/4 + ln 3/4) / 2, and ln 2 whatever the target
    (
        SoftmaxCrossEntropy(),
        [[0, LN3], [7, 7]],
        [[0.5, 0.5], [0.25, 0.75]],
        [-np.log(0.1875) / 2, LN2],
        [[-0.25, 0.25], [0.25, -0.25]],
    ),
    (CrossEntropy(), [[0.25, 0.75], [0.5, 0.5]], [1, 0], [-np.log(0.75), LN2], [[0, -4 / 3], [-2, 0]]),
    (CrossEntropy(), [[0.25, 0.75], [0.5, 0.5]], [[0, 1], [1, 0]], [-np.log(0.75), LN2], [[0, -4 / 3], [-2, 0]]),
    (
        CrossEntropy(),
        [[0.25, 0.75], [0.5, 0.5]],
        [[0.5, 0.5], [0.25, 0.75]],
        [-np.log(0.1875) / 2, LN2],
        [[-2, -2 / 3], [-0.5, -1.5]],
    ),
    # a probability of 0 counts as 1e-30: -ln 1e-30 = 30 ln 10
    (CrossEntropy(), [[0.0, 1.0], [0.0, 1.0]], [0, 1], [30 * np.log(10), 0], [[-1e30, 0], [0, -1]]),
    (MeanSquaredError(), [[1, 3], [0, 2]], [[1, 1], [1, 0]], [2, 2.5], [[0, 2], [-1, 2]]),
    (MeanSquaredError(), [[3], [-1]], [1, 0], [4, 1], [[4], [-2]]),
    (MeanSquaredError(), [[3], [-1]], [[1], [0]], [4, 1], [[4], [-2]]),
    # -ln 3/4 and -ln 1/4; -1 / (3/4) and -1 / (1/4), and 1 / (3/4) where the target is 0
    (BinaryCrossEntropy(), [[0.75], [0.25]], [1, 1], [-np.log(0.75), 2 * LN2], [[-4 / 3], [-4]]),
    (
        BinaryCrossEntropy(),
        [[0.75, 0.25], [0.5, 0.5]],
        [[1, 0], [0.25, 1]],
        [-np.log(0.75), LN2],
        [[-2 / 3, 2 / 3], [0.5, -1]],
    ),
    (BinaryCrossEntropy(), [[0.0], [1.0]], [1, 1], [30 * np.log(10), 0], [[-1e30], [-1]]),
    # sigmoid(±ln 3) = 3/4, 1/4
    (BinaryCrossEntropy(True), [[LN3], [-LN3]], [1, 1], [-np.log(0.75), 2 * LN2], [[-0.25], [-0.75]]),
    (
        BinaryCrossEntropy(True),
        [[LN3, -LN3], [0, 0]],
        [[1, 0], [0.25, 1]],
        [-np.log(0.75), LN2],
        [[-0.125, 0.125], [0.125, -0.25]],
    ),
    # errors 2, 1, -1 and 0, 0, -1: what is too low counts q, what is too high 1 - q, what is right nothing
    (
        QuantileLoss((0.1, 0.5, 0.9)),
        [[1, 2, 4], [0, 0, 1]],
        [3, 0],
        [(0.2 + 0.5 + 0.1) / 3, 0.1 / 3],
        [[-0.1 / 3, -0.5 / 3, 0.1 / 3], [0, 0, 0.1 / 3]],
    ),
]
every_figure = pytest.mark.parametrize(
    ("loss", "y", "t", "each", "slopes"), FIGURES, ids=[f"{k}-{type(f[0]).__name__}" for k, f in enumerate(FIGURES)]
)


@by_kernel
@every_figure
def test_values_by_hand(loss, y, t, each, slopes):
    value, dy, weight = loss(np.array(y, float), t)
    assert value == pytest.approx((each[0] + each[1]) / 2, rel=1e-14)
    np.testing.assert_allclose(dy, np.array(slopes) / 2, rtol=1e-13, atol=1e-15)
    assert weight == 2 and type(weight) is float


@every_figure
def test_weights_by_hand(loss, y, t, each, slopes):
    value, dy, weight = loss(np.array(y, float), t, weight=[1, 3])
    assert value == pytest.approx((each[0] + 3 * each[1]) / 4, rel=1e-14)
    np.testing.assert_allclose(dy, np.array(slopes) * [[0.25], [0.75]], rtol=1e-13, atol=1e-15)
    assert weight == 4 and type(weight) is float


@every_figure
def test_mask_by_hand(loss, y, t, each, slopes):
    value, dy, weight = loss(np.array(y, float), t, mask=np.array([True, False]))
    assert value == pytest.approx(each[0], rel=1e-14)
    np.testing.assert_allclose(dy[0], slopes[0], rtol=1e-13, atol=1e-15)
    assert weight == 1 and not dy[1].any()


@by_kernel
@pytest.mark.parametrize(("loss", "outputs"), [(SoftmaxCrossEntropy(), "scores"), (CrossEntropy(), "probabilities")])
def test_ids_and_one_hot_agree(loss, outputs):
    y, ids = drawn(outputs), drawn("ids")
    by_id, by_row = loss(y, ids), loss(y, np.eye(V)[ids])
    assert by_id[0] == pytest.approx(by_row[0], rel=1e-14)
    np.testing.assert_allclose(by_id[1], by_row[1], rtol=1e-13, atol=1e-16)


def test_targets_of_any_integer_type_and_lists():
    y, ids = drawn("scores"), drawn("ids")
    expected = SoftmaxCrossEntropy()(y, ids)[0]
    for t in (ids.tolist(), ids.astype(np.uint8), ids.astype(np.int32)):
        assert SoftmaxCrossEntropy()(y, t)[0] == expected


# -- gradients ------------------------------------------------------------------------------------

OPTIONS = {
    "plain": {},
    "weights": {"weight": np.random.default_rng(1).random((B, T))},
    "a weight per row": {"weight": np.array([0.5, 0.0, 2.0])},
    "mask": {"mask": np.random.default_rng(2).random((B, T)) < 0.6},
    "weights and mask": {
        "weight": np.random.default_rng(3).random((B, T)),
        "mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool),
    },
}


@by_kernel
@pytest.mark.parametrize("seed", every(2, range(2)))
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@every_case
def test_gradient_is_that_of_complex_steps(loss, outputs, targets, options, seed):
    y, t = drawn(outputs, seed), drawn(targets, seed + 10)
    _, dy, _ = loss(y, t, **options)
    numeric = np.empty_like(y)
    for at in np.ndindex(y.shape):
        moved = y.astype(complex)
        moved[at] += 1e-30j
        numeric[at] = loss(moved, t, **options)[0].imag / 1e-30
    np.testing.assert_allclose(dy, numeric, rtol=1e-11, atol=1e-14)
    assert dy.any()


@by_kernel
@pytest.mark.parametrize("seed", every(2, range(2)))
@pytest.mark.parametrize(
    ("last", "loss", "targets"),
    [
        ([Softmax()], CrossEntropy(), "ids"),
        ([Softmax()], CrossEntropy(), "soft"),
        ([Softmax()], CrossEntropy(ignore_index=-100), "ids, some -100"),
        ([LogSoftmax()], CrossEntropy(), "ids"),
        ([Sigmoid()], CrossEntropy(), "ids"),
        ([], SoftmaxCrossEntropy(), "ids"),
        ([], SoftmaxCrossEntropy(), "one-hot"),
        ([], MeanSquaredError(), "numbers"),
        ([Softmax()], MeanSquaredError(), "soft"),
        ([Sigmoid()], BinaryCrossEntropy(), "bits"),
        ([Softmax()], BinaryCrossEntropy(), "bits"),
        ([], BinaryCrossEntropy(from_logits=True), "soft"),
        ([Ascending()], QuantileLoss((0.1, 0.2, 0.4, 0.6, 0.9)), "number a step"),
    ],
    ids=lambda value: "+".join(type(v).__name__ for v in value) if isinstance(value, list) else str(value)[:24],
)
def test_gradients_of_a_net_with_its_loss(last, loss, targets, seed):
    net = Sequential([LSTM(3, return_sequences=True), Dense(V), *last])
    net.build((None, 2), seed=seed, dtype=np.float64)
    x = np.random.default_rng(seed).standard_normal((B, T, 2))
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]], bool)
    weight = np.random.default_rng(seed).random((B, T))
    report = gradcheck(net, x, loss=loss, target=drawn(targets, seed), mask=mask, weight=weight, seed=seed)
    assert report.ok and report.method == "complex steps" and report.tolerance == 1e-10, report


class LogCosh(Loss):
    """A smooth loss of one's own."""

    def positions(self, y, t):
        return np.log(np.cosh(y - t)).mean(axis=-1), np.tanh(y - t) / y.shape[-1]


class AbsoluteError(Loss):
    """The example of the docstring; abs does not take complex steps."""

    def positions(self, y, t):
        return abs(y - t).mean(axis=-1), np.sign(y - t) / y.shape[-1]


@pytest.mark.parametrize(
    ("loss", "method"), [(LogCosh(), "complex steps"), (AbsoluteError(), "central differences")], ids=["smooth", "abs"]
)
def test_a_loss_of_ones_own(loss, method):
    net = Sequential([LSTM(3, return_sequences=True), Dense(V)])
    net.build((None, 2), dtype=np.float64)
    report = gradcheck(net, np.ones((B, T, 2)), loss=loss, target=drawn("numbers"), weight=np.array([1, 2, 3]))
    assert report.ok and report.method == method, report


def test_a_wrong_loss_of_ones_own_is_found():
    class Doubled(LogCosh):
        def positions(self, y, t):
            each, dy = super().positions(y, t)
            return each, 2 * dy

    net = Sequential([Dense(V)])
    net.build((2,), dtype=np.float64)
    assert not gradcheck(net, np.ones((B, 2)), loss=Doubled(), target=np.zeros((B, V))).ok


def test_a_loss_without_positions():
    with pytest.raises(TypeError, match=r"abstract.*\bpositions\b"):
        type("Nothing", (Loss,), {})()


# -- what counts ----------------------------------------------------------------------------------


@every_case
def test_a_weight_per_row_is_one_for_each_of_its_steps(loss, outputs, targets):
    y, t, rows = drawn(outputs), drawn(targets), np.array([0.5, 1.0, 3.0])
    value, dy, weight = loss(y, t, rows)
    value_, dy_, weight_ = loss(y, t, np.repeat(rows[:, None], T, axis=1))
    assert value == value_ and weight == weight_ and (dy == dy_).all()


@by_kernel
@every_case
def test_mask_is_a_weight_of_0_or_1(loss, outputs, targets):
    y, t = drawn(outputs), drawn(targets)
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]], bool)
    value, dy, weight = loss(y, t, mask=mask)
    value_, dy_, weight_ = loss(y, t, mask.astype(float))
    assert value == value_ and weight == weight_ and (dy == dy_).all()
    assert not dy[~mask].any()


@every_case
def test_equal_weights_change_nothing_but_the_weight(loss, outputs, targets):
    y, t = drawn(outputs), drawn(targets)
    value, dy, weight = loss(y, t)
    value_, dy_, weight_ = loss(y, t, 2.0)
    assert value_ == pytest.approx(value, rel=1e-14) and weight_ == 2 * weight
    np.testing.assert_allclose(dy_, dy, rtol=1e-14)


@every_case
def test_parts_average_by_their_weights(loss, outputs, targets):
    y, t = drawn(outputs), drawn(targets)
    weight = np.random.default_rng(0).random((B, T))
    whole, _, total = loss(y, t, weight)
    parts = [loss(y[k : k + 1], t[k : k + 1], weight[k : k + 1]) for k in range(B)]
    assert sum(value * w for value, _, w in parts) / total == pytest.approx(whole, rel=1e-13)
    assert sum(w for *_, w in parts) == pytest.approx(total, rel=1e-14)


@by_kernel
@every_case
@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -1e300])
def test_what_stands_at_masked_positions_does_not_matter(loss, outputs, targets, rubbish):
    y, t = drawn(outputs), drawn(targets)
    mask = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    expected = loss(y, t, mask=mask)
    y, t = y.copy(), t.copy()
    y[~mask] = rubbish
    t[~mask] = rubbish if t.dtype.kind == "f" else -100 if t.dtype.kind == "i" else True
    with np.errstate(all="raise", under="ignore"):
        value, dy, weight = loss(y, t, mask=mask)
    assert value == expected[0] and weight == expected[2] and (dy == expected[1]).all()


@by_kernel
@pytest.mark.parametrize(("loss", "outputs"), [(SoftmaxCrossEntropy, "scores"), (CrossEntropy, "probabilities")])
@pytest.mark.parametrize("ignored", [-100, 2, 99])
def test_ignored_ids_are_positions_that_do_not_count(loss, outputs, ignored):
    y, t = drawn(outputs), drawn("ids")
    ignore = np.random.default_rng(5).random((B, T)) < 0.5
    t = np.where(ignore, ignored, np.where(t == ignored, 0, t))
    y_nan = np.where(ignore[..., None], np.nan, y)
    value, dy, weight = loss(ignore_index=ignored)(y_nan, t)
    value_, dy_, weight_ = loss()(y, np.where(ignore, 0, t), mask=~ignore)
    assert value == value_ and weight == weight_ == (~ignore).sum() and (dy == dy_).all()


@by_kernel
@every_case
@pytest.mark.parametrize("way", ["mask", "weight", "ignore_index"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_counts(loss, outputs, targets, way, dtype):
    y, t = drawn(outputs).astype(dtype), drawn(targets)
    options = {"mask": np.zeros((B, T), bool)} if way == "mask" else {"weight": np.zeros(B)} if way == "weight" else {}
    if way == "ignore_index":
        if loss.ignore_index is None:
            loss, y, t = SoftmaxCrossEntropy(ignore_index=-100), drawn("scores").astype(dtype), drawn("ids")
        t = np.full_like(t, loss.ignore_index)
    with np.errstate(all="raise", under="ignore"):
        value, dy, weight = loss(y, t, **options)
    assert value == 0 and weight == 0 and dy.shape == y.shape and not dy.any()
    assert value.dtype == dy.dtype == dtype


@by_kernel
@every_case
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_float32_stays_float32(loss, outputs, targets, options):
    """Whatever the targets and weights are: a float64 target would make the whole backward pass float64."""
    y, t = drawn(outputs), drawn(targets)
    value, dy, _ = loss(y.astype(np.float32), t, **options)
    assert value.dtype == dy.dtype == np.float32
    exact = loss(y, t, **options)
    assert value == pytest.approx(exact[0], rel=1e-5)
    np.testing.assert_allclose(dy, exact[1], rtol=1e-4, atol=1e-6)


@by_kernel
@every_case
def test_nothing_is_written_to_what_came(loss, outputs, targets):
    y, t, weight, mask = drawn(outputs), drawn(targets), np.ones((B, T)), np.ones((B, T), bool)
    for array in (y, t, weight, mask):
        array.setflags(write=False)
    assert loss(y, t, weight, mask)[1].shape == y.shape


# -- fused with the last layer --------------------------------------------------------------------


def scaled(*last, dtype):
    """A net whose scores are 1e4 x: Dense(1e4 I), then the last layers."""
    net = Sequential([Dense(3, init={"W": lambda shape, rng: 1e4 * np.eye(3)}), *last])
    net.build((3,), dtype=dtype)
    return net


@by_kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("last", [Softmax(), LogSoftmax(), Sequential([Softmax()])], ids=repr)
@pytest.mark.parametrize("one_hot", [False, True])
def test_cross_entropy_of_huge_scores_is_exact(last, dtype, one_hot):
    net = scaled(last, dtype=dtype)
    x, t = np.array([[1.0, -1, 0], [-1, 1, 1]]), np.array([1, 1])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        result = loss_and_grads(net, CrossEntropy(), Batch(x, np.eye(3)[t] if one_hot else t))
    # scores (1e4, -1e4, 0): 2e4, slopes (1, -1, 0); scores (-1e4, 1e4, 1e4): ln 2, slopes (0, -1/2, 1/2)
    assert result.value == dtype(1e4 + LN2 / 2)
    assert net["dense"].b.grad.tolist() == [0.5, -0.75, 0.25]
    assert result.dx.tolist() == [[5e3, -5e3, 0], [0, -2500, 2500]]
    assert net["dense"].W.grad.tolist() == [[0.5, -0.25, -0.25], [-0.5, 0.25, 0.25], [0, -0.25, 0.25]]
    assert result.value.dtype == result.dx.dtype == dtype


@by_kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("last", [Sigmoid(), Sequential([Sigmoid()])], ids=repr)
def test_binary_cross_entropy_of_huge_scores_is_exact(last, dtype):
    net = scaled(last, dtype=dtype)
    x, t = np.array([[1.0, -1, 0], [-1, 1, 1]]), np.array([[0, 1, 1], [0, 1, 0.5]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        result = loss_and_grads(net, BinaryCrossEntropy(), Batch(x, t))
    # (1e4 + 1e4 + ln 2) / 3, slopes (1, -1, -1/2) / 3; (0 + 0 + 5e3) / 3, slopes (0, 0, 1/2) / 3
    assert result.value == pytest.approx((2.5e4 + LN2) / 6, rel=1e-7 if dtype == np.float32 else 1e-15)
    np.testing.assert_allclose(net["dense"].b.grad, [1 / 6, -1 / 6, 0], rtol=1e-6, atol=0)
    np.testing.assert_allclose(result.dx, [[1e4 / 6, -1e4 / 6, -1e4 / 12], [0, 0, 1e4 / 12]], rtol=1e-6, atol=0)
    assert result.value.dtype == result.dx.dtype == dtype


@by_kernel
@pytest.mark.parametrize(
    ("loss", "last", "fused", "targets"),
    [
        (CrossEntropy(), Softmax(), SoftmaxCrossEntropy, "ids"),
        (CrossEntropy(), Softmax(), SoftmaxCrossEntropy, "soft"),
        (CrossEntropy(), Softmax(), SoftmaxCrossEntropy, "soft, of any mass"),
        (CrossEntropy(ignore_index=3), Softmax(), SoftmaxCrossEntropy, "ids"),
        (BinaryCrossEntropy(), Sigmoid(), BinaryCrossEntropy, "bits"),
    ],
    ids=["ids", "soft", "mass", "ignore_index", "binary"],
)
@pytest.mark.parametrize("nested", [0, 1, 2])
def test_fused_equals_unfused(loss, last, fused, targets, nested):
    tail = [Dense(V), last]
    for _ in range(nested):
        tail = [Sequential(tail)]
    net = Sequential([LSTM(4, return_sequences=True), Tanh(), *tail])
    net.build((None, 2), dtype=np.float64)
    x, t = np.random.default_rng(0).standard_normal((B, T, 2)), drawn(targets)

    body, inner = loss.on(net)
    assert type(inner) is fused and inner.ignore_index == loss.ignore_index
    assert list(body.params) == list(net.params)
    assert all(p is net.params[name] for name, p in body.params.items())

    y, cache = net.forward(x)
    value, dy, weight = loss(y, t)
    dx = net.backward(dy, cache)
    plain = {name: p.grad.copy() for name, p in net.params.items()}
    net.zero_grads()
    result = loss_and_grads(net, loss, Batch(x, t))
    assert result.value == pytest.approx(value, rel=1e-12) and result.weight == weight
    np.testing.assert_allclose(result.dx, dx, rtol=1e-12, atol=1e-15)
    for name, p in net.params.items():
        np.testing.assert_allclose(p.grad, plain[name], rtol=1e-12, atol=1e-15, err_msg=name)
    np.testing.assert_allclose(last(result.y), y, rtol=1e-12)  # the loss saw the scores


def test_on_log_softmax_it_is_the_mean_of_what_the_net_says():
    net = Sequential([Dense(V), LogSoftmax()])
    net.build((2,), dtype=np.float64)
    x, t = np.random.default_rng(0).standard_normal((6, 2)), np.array([0, 1, 2, 3, 4, 0])
    value, *_ = loss_value(net, CrossEntropy(), Batch(x, t))
    assert value == pytest.approx(-net(x)[np.arange(6), t].mean(), rel=1e-12)


@pytest.mark.parametrize("last", [Softmax(), LogSoftmax()], ids=repr)
def test_a_net_that_is_nothing_but_a_softmax(last):
    net = Sequential([last])
    net.build((2,))
    result = loss_and_grads(net, CrossEntropy(), Batch(np.array([[1e4, -1e4], [0, 0]]), [1, 0]))
    assert result.value == pytest.approx(1e4 + LN2 / 2) and result.dx.tolist() == [[0.5, -0.5], [-0.25, 0.25]]


@pytest.mark.parametrize(
    ("loss", "net"),
    [
        (CrossEntropy(), Sequential([Dense(3)])),
        (CrossEntropy(), Sequential([Dense(3), Sigmoid()])),
        (CrossEntropy(), Sequential([Softmax(), Dropout(0.5)])),
        (CrossEntropy(), Sequential([Softmax(), Sequential([Dense(3)])])),
        (CrossEntropy(), Sequential()),
        (CrossEntropy(), Dense(3)),
        (SoftmaxCrossEntropy(), Sequential([Dense(3), Softmax()])),
        (MeanSquaredError(), Sequential([Dense(3), Softmax()])),
        (BinaryCrossEntropy(), Sequential([Dense(3), Softmax()])),
        (BinaryCrossEntropy(from_logits=True), Sequential([Dense(3), Sigmoid()])),
    ],
    ids=lambda value: repr(value) if isinstance(value, Layer) else type(value).__name__,
)
def test_what_is_not_fused_stays_itself(loss, net):
    body, same = loss.on(net)
    assert body is net and same is loss


# -- messages -------------------------------------------------------------------------------------


def text_of(loss, y, t, **options):
    with pytest.raises((ShapeError, IdError)) as caught:
        loss(y, t, **options)
    return str(caught.value)


def test_targets_of_a_wrong_shape():
    assert text_of(MeanSquaredError(), np.zeros((3, 2)), np.zeros((4, 2))) == (
        "MeanSquaredError expects targets of shape (3, 2) for outputs (3, 2), got (4, 2) of float64: "
        "the last layer's units and the targets have to agree."
    )
    assert text_of(CrossEntropy(), np.zeros((2, 4, 5)), np.zeros((2, 4, 6))).startswith(
        "CrossEntropy expects targets of shape (2, 4) (integer ids) or (2, 4, 5) (one-hot) for outputs (2, 4, 5), "
        "got (2, 4, 6) of float64: "
    )


@pytest.mark.parametrize("loss", [CrossEntropy(), SoftmaxCrossEntropy(), MeanSquaredError(), BinaryCrossEntropy()])
def test_an_output_a_sequence_with_targets_a_step(loss):
    text = text_of(loss, np.zeros((3, 5)), np.zeros((3, 4), int))
    assert "for outputs (3, 5), got (3, 4) of int64" in text and "needs return_sequences=True" in text


@pytest.mark.parametrize("loss", [CrossEntropy(), SoftmaxCrossEntropy(), MeanSquaredError(), BinaryCrossEntropy()])
def test_an_output_a_step_with_targets_a_sequence(loss):
    text = text_of(loss, np.zeros((3, 4, 5)), np.zeros(3, int))
    assert "for outputs (3, 4, 5), got (3,) of int64" in text
    assert "return_sequences=False" in text and "LastStep" in text


@pytest.mark.parametrize(
    ("metric", "shape"),
    [
        *product([CrossEntropy(), minidl.MeanSquaredError()], [(3, 2), (3,), (3, 1)]),
        (minidl.accuracy, (3, 2)),
        (minidl.exact_match, (3, 2)),
    ],
)
def test_outputs_and_targets_that_are_swapped_are_refused(metric, shape):
    y, t = np.full(shape, 0.5), np.array([0, 1, 1])
    with pytest.raises(
        ArgumentError, match=r"takes outputs, then targets, got int64 \(3,\) and float64 .*Swap the two"
    ):
        metric(t, y)


def test_float_ids():
    """The shape is right, so a hint at the last layer's units would lead astray."""
    text = text_of(CrossEntropy(), np.zeros((3, 4, 5)), np.zeros((3, 4)))
    assert "(3, 4) (integer ids)" in text and "got (3, 4) of float64" in text
    assert "units" not in text


@by_kernel
@pytest.mark.parametrize("wrong", [5, -1, -100])
@pytest.mark.parametrize("loss", [CrossEntropy(), SoftmaxCrossEntropy(), CrossEntropy(ignore_index=0)])
def test_an_id_out_of_range(loss, wrong):
    t = np.zeros((3, 4), int)
    t[1, 2] = t[2, 0] = wrong
    text = text_of(loss, np.zeros((3, 4, 5)), t)
    assert text.startswith(
        f"{type(loss).__name__} expects target ids from 0 to 4 (the output has 5 classes), got {wrong} at position "
        f"(1, 2): "
    )
    assert "ignore_index" in text


@every_case
@pytest.mark.parametrize("what", ["weight", "mask"])
@pytest.mark.parametrize("shape", [(T,), (T, B), (B, T, 1), (B, T, V), (2,)])
def test_weight_or_mask_of_a_wrong_shape(loss, outputs, targets, what, shape):
    text = text_of(loss, drawn(outputs), drawn(targets), **{what: np.ones(shape)})
    assert text.startswith(f"{type(loss).__name__} expects a {what} for positions (3, 4), got {shape}")


def test_subclasses_are_not_fused():
    class Tempered(Softmax):
        def forward(self, x, *, rng=None):
            return super().forward(x / 2)

        def backward(self, dy, cache):
            return super().backward(dy, cache) / 2

    class Louder(Sequential):
        def forward_with_state(self, x, *args, **options):
            return super().forward_with_state(10 * x, *args, **options)

    x, t = np.random.default_rng(0).standard_normal((4, 4)), np.array([0, 1, 2, 0])
    for net in Sequential([Dense(3), Tempered()]), Louder([Dense(3), Softmax()]):
        net.build((4,), dtype=np.float64)
        value = loss_and_grads(net, CrossEntropy(), Batch(x, t)).value
        np.testing.assert_allclose(value, -np.log(net(x)[np.arange(4), t]).mean(), rtol=1e-12)


@by_kernel
def test_nan_is_never_swallowed():
    nan = np.array([[np.nan, np.nan]])
    assert np.isnan(CrossEntropy()(nan, np.array([0]))[0])
    assert np.isnan(BinaryCrossEntropy()(nan, np.array([[0.0, 1.0]]))[0])
    assert np.isnan(minidl.ReLU()(nan)).all()


@pytest.mark.parametrize(
    ("loss", "y", "t", "words"),
    [
        (CrossEntropy(), [[3.0, -2.0, 5.0]], [2], "probabilities in [0, 1], got 3 at (0, 0): put a Softmax last"),
        (BinaryCrossEntropy(), [[-1.35]], [[1]], "probabilities in [0, 1], got -1.35 at (0, 0): put a Sigmoid last"),
        (BinaryCrossEntropy(from_logits=True), [[0.3]], [[-1]], "targets in [0, 1], got -1 at (0, 0)"),
        (SoftmaxCrossEntropy(), np.zeros((2, 4)), [[0, 1, 2, 3]] * 2, "return_sequences=True"),
    ],
)
def test_scores_and_labels_of_another_habit(loss, y, t, words):
    with pytest.raises(ArgumentError) as caught:
        loss(np.array(y), np.array(t))
    assert words in str(caught.value)


def test_a_fused_loss_keeps_its_name():
    net = Sequential([Dense(3), Softmax()])
    net.build((2,))
    with pytest.raises(ShapeError, match=r"^CrossEntropy expects targets"):
        loss_and_grads(net, CrossEntropy(), Batch(np.zeros((4, 2)), np.zeros(5, int)))


@by_kernel
def test_a_score_of_minus_infinity():
    y = np.array([[0.0, -np.inf, 1.0]])
    ids, one_hot = SoftmaxCrossEntropy()(y, np.array([2])), SoftmaxCrossEntropy()(y, np.array([[0, 0, 1]]))
    assert ids[0] == one_hot[0] == pytest.approx(np.log(1 + np.exp(-1)))


def test_instances_are_wanted():
    net = Dense(2)
    net.build((2,))
    for bad in (CrossEntropy, "mse"):
        with pytest.raises(ArgumentError, match="Expected as loss is a Loss such as CrossEntropy"):
            loss_and_grads(net, bad, Batch(np.zeros((1, 2)), np.zeros((1, 2))))
    with pytest.raises(ArgumentError, match=r"Expected as batch is a Batch such as Batch\(x, t\)"):
        loss_and_grads(net, MeanSquaredError(), (np.zeros((1, 2)), np.zeros((1, 2))))


@pytest.mark.parametrize(("base", "last"), [(CrossEntropy, Softmax), (BinaryCrossEntropy, Sigmoid)])
def test_a_subclass_that_computes_otherwise_is_not_passed_over(base, last):
    class Doubled(base):
        def __call__(self, y, t, weight=None, mask=None):
            value, dy, total = super().__call__(y, t, weight, mask)
            return 2 * value, 2 * dy, total

    class Renamed(base):
        pass

    net = minidl.Sequential([minidl.Dense(1 if base is BinaryCrossEntropy else 2), last()])
    net.build((3,))
    batch = minidl.Batch(np.ones((4, 3)), np.ones((4, 1)) if base is BinaryCrossEntropy else np.array([0, 1, 1, 0]))
    value = minidl.loss_value(net, base(), batch)[0]
    np.testing.assert_allclose(minidl.loss_value(net, Doubled(), batch)[0], 2 * value, rtol=1e-6)
    assert Doubled().on(net)[0] is net and Renamed().on(net)[0] is not net


@pytest.mark.parametrize("result", [
    lambda y, t: (abs(y - t), np.sign(y - t)),
    lambda y, t: (abs(y - t).mean(), np.sign(y - t)),
    lambda y, t: (abs(y - t).mean(axis=-1), np.sign(y - t)[..., 0]),
    lambda y, t: (abs(y - t).mean(axis=-1), np.sign(y - t).mean(axis=-1, keepdims=True)[:1]),
    lambda y, t: abs(y - t).mean(axis=-1),
], ids=["not averaged", "averaged over all", "gradient too small", "gradient of one row", "no gradient"])  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 1), (3, 2), (4, 4), (2, 3, 3)])
@pytest.mark.parametrize("method", ["positions", "weighted"])
def test_a_loss_whose_shapes_would_be_broadcast_is_refused(result, shape, method):
    class Own(minidl.Loss):
        def positions(self, y, t):
            return result(y, t)

    if method == "weighted":
        Own.weighted = lambda self, y, t, share: result(y, t)
    y = np.random.default_rng(0).standard_normal(shape)
    with pytest.raises(ShapeError, match=r"Own\.positions must return the loss of each position .* and its gradient"):
        Own()(y, np.zeros(shape))
