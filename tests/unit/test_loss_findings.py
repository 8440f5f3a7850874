"""`loss_findings`: each fault of a loss gives its code, with the factor; healthy losses give nothing."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from minidl.models import char_lm

import minidl
from minidl.doctor.loss_findings import loss_findings

from .healthy_data import HEALTHY, IDS, VOCAB, V, lm, rng, sequence_net

LOSS = minidl.CrossEntropy()
B, T = 4, 12


def stream() -> list[minidl.Batch]:
    return list(minidl.TextStream(IDS, B, T))


def only(*args: Any, **more: Any) -> Any:
    (finding,) = loss_findings(*args, **more)
    return finding


def numbers(outputs: int = 1) -> tuple[Any, list[minidl.Batch]]:
    draw = rng()
    x, t = draw.standard_normal((4, 5, 6, 3)), draw.standard_normal((4, 5, outputs))
    return sequence_net(outputs, 3), [minidl.Batch(*pair) for pair in zip(x, t, strict=True)]


class Spoiled(minidl.SoftmaxCrossEntropy):
    """The mean, its value and its gradient times a factor by the sizes of y."""

    def __init__(self, value: str = "", gradient: str = "") -> None:
        super().__init__()
        self.value, self.gradient = value, gradient

    def __call__(self, y: Any, t: Any, weight: Any = None, mask: Any = None) -> Any:
        value, dy, total = super().__call__(y, t, weight, mask)
        n = {"": 1, "B": len(y), "T": y.shape[1], "B and T": len(y) * y.shape[1]}
        return value * n[self.value], dy * n[self.gradient], total


@pytest.mark.parametrize("trained", [None, False])
@pytest.mark.parametrize("kind", HEALTHY)
def test_nothing_is_found_where_all_is_well(kind: str, trained: bool | None) -> None:
    net, loss, batches, _ = HEALTHY[kind]()
    before = copy.deepcopy((batches, [(p.value, p.grad) for p in net.params.values()]))
    assert loss_findings(net, loss, batches, trained=trained) == []
    np.testing.assert_equal((batches, [(p.value, p.grad) for p in net.params.values()]), before)


@pytest.mark.parametrize("count", [4, 16, 64])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_nothing_is_found_in_untrained_nets_of_one_layer_by_chance(classes: int, count: int) -> None:
    for seed in range(40):
        draw = np.random.default_rng(seed)
        x, t = draw.standard_normal((count, 10)), draw.integers(0, classes, count)
        net, one = minidl.Dense(classes), minidl.Dense(1)
        net.build((10,), seed)
        one.build((10,), seed)
        assert loss_findings(net, minidl.SoftmaxCrossEntropy(), [minidl.Batch(x, t)], trained=False) == []
        assert loss_findings(one, minidl.MeanSquaredError(), [minidl.Batch(x, x[:, 0])], trained=False) == []


@pytest.mark.parametrize("units", [4, 64, 256])
@pytest.mark.parametrize("kind", [minidl.LSTM, minidl.GRU, minidl.SimpleRNN])
def test_nothing_is_found_in_untrained_nets_of_any_size(kind: Any, units: int) -> None:
    layers = [kind(units, return_sequences=True), kind(units, return_sequences=True)]
    net = minidl.Sequential([minidl.Embedding(V, 16), *layers, minidl.Dense(V), minidl.Softmax()])
    net.build((None,))
    assert loss_findings(net, LOSS, stream(), trained=False) == []


def test_no_batches_no_findings() -> None:
    assert loss_findings(lm(), LOSS, []) == []
    with pytest.raises(minidl.ArgumentError, match="loss"):
        loss_findings(lm(), "mse", stream())


# -- L501 ------------------------------------------------------------------------------------------


def test_scores_that_are_large_from_the_start() -> None:
    net = lm()
    net.params["dense.W"].value[...] *= 300
    finding = only(net, LOSS, stream())
    assert (finding.code, finding.severity, finding.where) == ("L501", "error", "parameter 'dense.W'")
    assert f"a net that knows nothing has {math.log(V):.3g}, ln {V}" in finding.evidence
    assert "root mean square" in finding.cause and "outputs within ±" in finding.cause
    assert loss_findings(net, LOSS, stream(), trained=True)[0].code == "L505"


def test_a_loss_of_less_than_twice_what_it_must_be_is_a_warning() -> None:
    net = lm()
    b = net.params["dense.b"].value
    b[:] = np.where(np.arange(V) < V // 2, 0, 6)
    finding = only(net, LOSS, stream())
    assert (finding.code, finding.severity) == ("L501", "warning")


def test_data_that_are_not_scaled_are_named() -> None:
    draw = rng()
    net = minidl.Dense(4)
    net.build((3,))
    batch = minidl.Batch(draw.standard_normal((50, 3)) * 200, draw.integers(0, 4, 50))
    finding = only(net, minidl.SoftmaxCrossEntropy(), [batch])
    assert (finding.code, finding.severity, finding.where) == ("L501", "error", "x")
    assert "x has a root mean square of 184" in finding.cause


def test_other_losses_have_another_start() -> None:
    net, batches = numbers()
    net.params["dense.W"].value[...] *= 300
    finding = only(net, minidl.MeanSquaredError(), batches)
    assert "the mean of t^2" in finding.evidence
    yes = [b._replace(t=(b.t > 0).astype(int)) for b in batches]
    finding = only(net, minidl.BinaryCrossEntropy(from_logits=True), yes)
    assert "a net that knows nothing has 0.693, ln 2" in finding.evidence
    assert finding.where == "parameter 'dense.W'"


def test_probabilities_that_the_loss_takes_for_scores_are_no_finding_of_too_much() -> None:
    assert [f.code for f in loss_findings(lm(), minidl.SoftmaxCrossEntropy(), stream())] == ["L502"]


def test_a_loss_that_is_too_low_before_the_first_step() -> None:
    x = rng().standard_normal((60, 5))
    t = x.argmax(axis=1)
    net = minidl.Dense(5)
    net.build((5,))
    net.params["W"].value[...] = 8 * np.eye(5)
    loss, batch = minidl.SoftmaxCrossEntropy(), minidl.Batch(x, t)
    finding = only(net, loss, [batch], trained=False)
    assert (finding.code, finding.severity) == ("L501", "warning")
    assert "too low" in finding.title and "ln 5" in finding.evidence
    assert loss_findings(net, loss, [batch]) == loss_findings(net, loss, [batch], trained=True) == []


def test_of_an_unknown_loss_nothing_is_said() -> None:
    class Cubic(minidl.Loss):
        def positions(self, y: Any, t: Any) -> Any:
            return (abs(y - t) ** 3).mean(axis=-1), 3 * (y - t) * abs(y - t) / y.shape[-1]

    net, batches = numbers()
    net.params["dense.W"].value[...] *= 60
    assert loss_findings(net, Cubic(), batches, trained=False) == []


# -- L504 ------------------------------------------------------------------------------------------

FACTORS = {"B": B, "T": T, "B and T": B * T}


@pytest.mark.parametrize("over", FACTORS)
def test_a_sum_over_rows_or_steps(over: str) -> None:
    finding = only(lm()[:-1], Spoiled(over, over), stream(), trained=False)
    assert (finding.code, finding.severity, finding.where) == ("L504", "error", f"Spoiled, summed over {over}")
    assert f"it is {FACTORS[over]} times too large" in finding.evidence
    assert f"are {FACTORS[over]} times those of the mean" in finding.cause
    assert "y.shape[0]" in finding.remedy or over == "T"


@pytest.mark.parametrize("over", FACTORS)
def test_a_sum_whose_gradient_is_that_of_the_mean(over: str) -> None:
    finding = only(lm()[:-1], Spoiled(over, ""), stream())
    assert finding.where == f"Spoiled, summed over {over}"
    assert "its gradient is that of the mean" in finding.evidence


@pytest.mark.parametrize("over", FACTORS)
def test_a_mean_whose_gradient_is_that_of_the_sum(over: str) -> None:
    finding = only(lm()[:-1], Spoiled("", over), stream())
    assert (finding.code, finding.severity) == ("L504", "error")
    assert finding.where == f"Spoiled, gradient summed over {over}"
    assert f"the gradient is {FACTORS[over]} times the derivative" in finding.evidence


def test_a_gradient_that_is_wrong_otherwise_is_no_sum() -> None:
    class Odd(Spoiled):
        def __call__(self, y: Any, t: Any, weight: Any = None, mask: Any = None) -> Any:
            value, dy, total = super().__call__(y, t, weight, mask)
            return value, 2.5 * dy, total

    assert loss_findings(lm()[:-1], Odd(), stream()) == []


def test_a_sum_over_the_steps_that_are_real() -> None:
    class Sum(minidl.SoftmaxCrossEntropy):
        def __call__(self, y: Any, t: Any, weight: Any = None, mask: Any = None) -> Any:
            value, dy, total = super().__call__(y, t, weight, mask)
            return value * total, dy * total, total

    net, _, batches, _ = HEALTHY["padded_taggers"]()
    finding = only(net, Sum(), batches)
    assert finding.where == "Sum, summed over B and T"
    assert f"it is {batches[0].mask.sum()} times too large" in finding.evidence
    assert "mask.sum()" in finding.remedy


def test_one_target_a_row_may_be_summed_over_rows_only() -> None:
    class Sum(minidl.Loss):
        def positions(self, y: Any, t: Any) -> Any:
            return ((y - t) ** 2).mean(axis=-1), 2 * (y - t) / y.shape[-1]

        def __call__(self, y: Any, t: Any, weight: Any = None, mask: Any = None) -> Any:
            value, dy, total = super().__call__(y, t, weight, mask)
            return value * len(y), dy * len(y), total

    net, batches = numbers()
    finding = only(net, Sum(), batches)
    assert (finding.where, finding.code) == ("Sum, summed over B", "L504")
    assert "it is 5 times too large" in finding.evidence


def test_a_loss_that_knows_how_many_rows_there_are_is_asked_for_its_gradient_only() -> None:
    class Fixed(Spoiled):
        def __call__(self, y: Any, t: Any, weight: Any = None, mask: Any = None) -> Any:
            if y.shape[:2] != (B, T):
                raise ValueError("a fixed size")
            return super().__call__(y, t, weight, mask)

    assert loss_findings(lm()[:-1], Fixed(), stream()[:3]) == []
    assert only(lm()[:-1], Fixed("", "T"), stream()[:3]).where == "Fixed, gradient summed over T"


# -- L505 ------------------------------------------------------------------------------------------


def at_the_frequencies() -> Any:
    """A net that gives the frequencies of the text, whatever comes in."""
    net = lm()
    counts = np.bincount(np.concatenate([b.t.ravel() for b in stream()]), minlength=V)
    net.params["dense.W"].value[...] = 0
    net.params["dense.b"].value[...] = np.log(np.maximum(counts, 1e-3))
    return net


def test_a_net_that_stands_at_the_frequencies() -> None:
    finding = only(at_the_frequencies(), LOSS, stream(), VOCAB, trained=True)
    assert (finding.code, finding.severity) == ("L505", "warning")
    assert "stands at the frequencies" in finding.title
    p = np.bincount(np.concatenate([b.t.ravel() for b in stream()])) / sum(b.t.size for b in stream())
    entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
    assert f"frequencies alone have {entropy:.3f} nats ({entropy / math.log(2):.2f} bits)" in finding.evidence
    assert "% are ' '" in finding.evidence and "bigrams" in finding.evidence
    assert loss_findings(at_the_frequencies(), LOSS, stream()) == []


def test_a_net_that_is_worse_than_the_frequencies() -> None:
    net = at_the_frequencies()
    net.params["dense.b"].value[...] *= -0.2
    finding = only(net, LOSS, stream(), trained=True)
    assert (finding.code, finding.severity) == ("L505", "warning")
    assert "worse than the frequencies" in finding.title
    net.params["dense.b"].value[...] *= 20
    assert only(net, LOSS, stream(), trained=True).severity == "error"


def test_ids_that_nothing_is_to_be_learned_about() -> None:
    """Ids drawn one by one, all alike: an untrained net is as good as any."""
    batches = list(minidl.TextStream(rng().integers(0, 8, 4000), 4, 20))
    net = char_lm(8, 4)
    net.build((None,))
    net.params["dense.W"].value[...] = 0
    assert loss_findings(net, LOSS, batches, trained=True) == []


def test_a_classifier_that_the_inputs_do_not_reach() -> None:
    net = minidl.Sequential([minidl.Dense(4), minidl.Dense(3)])
    net.build((3,))
    net.params["dense.W"].value[...] = 0
    t = np.repeat([0, 1, 2], 20)
    batch = minidl.Batch(rng().standard_normal((60, 3)) + t[:, None], t)
    finding = only(net, minidl.SoftmaxCrossEntropy(), [batch], trained=True)
    assert finding.code == "L505"
    assert "bigrams" not in finding.evidence


def test_a_net_that_learned_is_let_alone() -> None:
    net, batches = lm(), stream()
    minidl.Trainer(net, LOSS, minidl.Adam(0.03), quiet=True).fit(batches, epochs=8)
    assert loss_findings(net, LOSS, batches, trained=True) == []


# -- L502: outputs that are probabilities already -------------------------------------------------


@pytest.mark.parametrize("V", [2, 30])
def test_a_softmax_before_a_loss_on_scores(V):
    net = minidl.Sequential([minidl.Dense(V), minidl.Sequential([minidl.Softmax()])])
    net.build((3,))
    x, t = np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 1, 0])
    loss = minidl.SoftmaxCrossEntropy()
    bound = loss(np.eye(V)[[0]], np.array([0]))[0]  # the best that it can give
    (finding,) = [f for f in loss_findings(net, loss, [minidl.Batch(x, t)]) if f.code == "L502"]
    assert f"cannot get below {bound:.3g}," in finding.evidence and finding.severity == "error"
    assert finding.where == "Softmax before SoftmaxCrossEntropy" and "CrossEntropy() for this net" in finding.remedy
    assert "L502" not in [f.code for f in loss_findings(net, minidl.CrossEntropy(), [minidl.Batch(x, t)])]
    body = net[:1]
    assert "L502" not in [f.code for f in loss_findings(body, loss, [minidl.Batch(x, t)])]


def test_a_sigmoid_before_a_loss_on_scores():
    net = minidl.Sequential([minidl.Dense(1), minidl.Sigmoid()])
    net.build((3,))
    batch = minidl.Batch(np.eye(3), np.array([[0.0], [1.0], [1.0]]))
    (finding,) = loss_findings(net, minidl.BinaryCrossEntropy(from_logits=True), [batch])
    assert (finding.code, finding.where) == ("L502", "Sigmoid before BinaryCrossEntropy")
    assert "below 0.313," in finding.evidence
    assert loss_findings(net, minidl.BinaryCrossEntropy(), [batch]) == []


def test_diagnose_says_it_once():
    net = minidl.Sequential([minidl.Dense(8), minidl.Softmax()])
    x, t = np.eye(8), np.arange(8)
    findings = minidl.diagnose(net, minidl.SoftmaxCrossEntropy(), [minidl.Batch(x, t)]).findings
    assert [f.code for f in findings if f.code == "L502"] == ["L502"] and "twice" in findings[0].title
