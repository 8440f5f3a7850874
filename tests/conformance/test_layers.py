"""Every public layer, with every option, keeps every promise; and no layer is forgotten."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import LSTM, Embedding, Layer, LearnedState, Sequential
from minidl.checking import CHECKS, check_layer, gradcheck
from tests.conformance.cases import LAYERS, NETS, by_default, finding, on_kernels, parameters, public
from tests.parameters import fraction

ON_KERNELS = [case for case in LAYERS if on_kernels(case[0])]
OTHERS = [case for case in LAYERS + NETS if case not in ON_KERNELS]
by_kernel = pytest.mark.usefixtures("kernels")


STRUCTURE = {  # how a layer treats its arguments and itself, which is the same code for each kernel
    "check_copy", "check_shapes", "check_keeps_self", "check_keeps_inputs", "check_random", "check_linear",
    "check_adds", "check_interleaved", "check_rebuild",
}  # fmt: skip


@by_kernel
@pytest.mark.parametrize("case", parameters(ON_KERNELS))
def test_recurrent_layer_keeps_every_promise_on_each_kernel(case, kernels):
    checks = [check for check in CHECKS if kernels == "numpy" or check.__name__ not in STRUCTURE]
    assert not broken_promises(case, checks)


@pytest.mark.parametrize("case", parameters(OTHERS))
def test_layer_keeps_every_promise(case):
    assert not broken_promises(case, CHECKS)


def broken_promises(case, checks):
    """Return what each check found, by its name; overflow and warnings count as findings."""
    with np.errstate(over="raise", invalid="raise", divide="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {check.__name__: finding(check, *case) for check in checks}
    return {name: message for name, message in found.items() if message}


def test_structural_checks_are_names_of_checks():
    assert {check.__name__ for check in CHECKS} > STRUCTURE


def options_of(cases):
    """The values of all options, as (class, option, value)."""
    layers = [layer.layer if isinstance(layer, LearnedState) else layer for layer, _ in cases]
    return {(type(layer).__name__, name, repr(value)) for layer in layers for name, value in layer.config().items()}


def test_each_value_of_each_option_is_in_the_default_run():
    assert options_of(case for case in LAYERS if by_default(case[0])) == options_of(LAYERS)


def test_no_public_layer_is_without_a_case():
    covered = {type(layer).__name__ for layer, _ in LAYERS + NETS}
    assert public(Layer) <= covered, f"no case for {sorted(public(Layer) - covered)} in cases.py"


def test_coverage_sees_a_layer_without_a_case(monkeypatch):
    import minidl

    class Unheard(Layer):
        def forward(self, x, *, rng=None):
            return x, None

        def backward(self, dy, cache):
            return dy

    monkeypatch.setattr(minidl, "Unheard", Unheard, raising=False)
    monkeypatch.setattr(minidl, "__all__", [*minidl.__all__, "Unheard"])
    with pytest.raises(AssertionError, match="no case for \\['Unheard'\\]"):
        test_no_public_layer_is_without_a_case()


sizes = st.integers(1, 4)


@by_kernel
@given(
    sizes, sizes, sizes, sizes, st.sampled_from([False, "diagonal", "full"]), st.booleans(), st.booleans(),
    st.sampled_from([0.0, 0.3]), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_lstm_gradients_at_any_size(B, T, D, H, peephole, sequences, backwards, dropout, masked, seed):
    """T = 1, B = 1, H = 1, any mask, rows that start anew: complex steps agree to 1e-10."""
    lstm = LSTM(H, peephole=peephole, return_sequences=sequences, go_backwards=backwards, recurrent_dropout=dropout)
    lstm.build((None, D), seed=seed, dtype=np.float64)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((B, T, D))
    mask = rng.random((B, T)) < 0.7 if masked else None
    report = gradcheck(lstm, x, mask=mask, start=rng.random(B) < 0.3, seed=seed)
    assert report.ok and report.method == "complex steps" and report.tolerance == 1e-10, report


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=4), st.integers(1, 3))
def test_embedding_gradients_with_repeated_ids(ids, units):
    net = Sequential([Embedding(4, units), LSTM(2)])
    net.build((None,), dtype=np.float64)
    assert gradcheck(net, np.array(ids)).ok


@by_kernel
@pytest.mark.parametrize(("peephole", "seed"), fraction([False, "diagonal", "full"], range(3)))
def test_a_real_size_is_proved_by_random_directions(peephole, seed):
    lstm = LSTM(16, peephole=peephole, return_sequences=True)
    lstm.build((None, 5), seed=seed)
    assert gradcheck(lstm, max_entries=30, seed=seed).ok


def test_check_layer_leaves_the_layer_alone():
    lstm = LSTM(3, peephole=True)
    assert check_layer(lstm, (None, 2)).ok
    assert lstm.in_shape is None and not lstm.params
    lstm.build((None, 2))
    before = {name: p.value.copy() for name, p in lstm.params.items()}
    assert check_layer(lstm, (None, 2)).ok
    assert all((p.value == before[name]).all() and not p.grad.any() for name, p in lstm.params.items())
