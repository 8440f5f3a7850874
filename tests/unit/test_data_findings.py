"""`data_findings`: each fault of the data gives its code and its place, and healthy data of every kind give nothing."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.doctor.data_findings import data_findings

from .healthy_data import HEALTHY, IDS, TEXT, VOCAB, V, lm, rng, sequence_net

LOSS = minidl.CrossEntropy()


def told(*args: Any, **more: Any) -> list[tuple[str, str, str]]:
    return [(f.code, f.severity, f.where) for f in data_findings(*args, **more)]


def only(*args: Any, **more: Any) -> Any:
    (finding,) = data_findings(*args, **more)
    return finding


def stream(B: int = 4, T: int = 12) -> list[minidl.Batch]:
    return list(minidl.TextStream(IDS, B, T))


def numbers(D: int = 3, count: int = 4) -> tuple[Any, Any, list[minidl.Batch]]:
    """A healthy regression, to be spoiled."""
    draw = rng()
    x, t = draw.standard_normal((count, 5, 6, D)), draw.standard_normal((count, 5, 2))
    return sequence_net(2, D), minidl.MeanSquaredError(), [minidl.Batch(*pair) for pair in zip(x, t, strict=True)]


@pytest.mark.parametrize("kind", HEALTHY)
def test_nothing_is_found_in_healthy_data(kind: str) -> None:
    net, loss, batches, validation = HEALTHY[kind]()
    before = copy.deepcopy((batches, [p.value for p in net.params.values()]))
    assert data_findings(net, loss, batches, validation=validation) == []
    np.testing.assert_equal((batches, [p.value for p in net.params.values()]), before)


def test_no_batches_no_findings() -> None:
    assert data_findings(lm(), LOSS, []) == []
    with pytest.raises(minidl.ArgumentError, match="batch"):
        data_findings(lm(), LOSS, [(IDS, IDS)])


# -- D401 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 12])
def test_positions_in_place_of_tokens(offset: int) -> None:
    """From 0 in every window, or on and on through all windows, up to V and from 0 again."""
    batches = [
        b._replace(x=np.tile((np.arange(b.x.shape[1]) + offset * k) % V, (4, 1))) for k, b in enumerate(stream())
    ]
    finding = only(lm(), LOSS, batches, VOCAB)
    assert (finding.code, finding.severity, finding.where) == ("D401", "error", "x, batch 0, row 0")
    rows = 4 * len(batches)
    assert f"{rows:,} of {rows:,} rows count up by 1" in finding.evidence
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11" in finding.evidence
    assert repr(VOCAB.decode(np.arange(12))) in finding.evidence


def test_positions_as_one_hot_vectors_of_a_hand_written_net() -> None:
    net, loss, batches, _ = HEALTHY["one_hot_stream"]()
    eye = np.eye(V, dtype=np.float32)
    assert told(net, loss, [b._replace(x=np.stack([eye[: b.x.shape[1]]] * 4)) for b in batches])[0][0] == "D401"


def test_positions_beside_a_class_say_nothing_unless_rows_begin_elsewhere() -> None:
    net = minidl.Sequential([minidl.Embedding(30, 4), minidl.LSTM(5), minidl.Dense(3)])
    net.build((None,))
    t = rng().integers(0, 3, 8)
    same, other = np.tile(np.arange(6), (8, 1)), np.arange(6) + np.arange(8)[:, None]
    loss = minidl.SoftmaxCrossEntropy()
    assert [code for code, *_ in told(net, loss, [minidl.Batch(same, t)])] == ["D401"]
    assert told(net, loss, [minidl.Batch(other, t)]) == []


def test_few_steps_may_count_up_by_chance() -> None:
    assert told(lm(), LOSS, [minidl.Batch(np.array([[0, 1, 2]]), np.array([[4, 3, 7]]))]) == []


# -- D402 ------------------------------------------------------------------------------------------


def moved(k: int, carried: bool = True) -> list[minidl.Batch]:
    """Windows whose targets are k steps ahead."""
    B, T, most = 4, 12, 12
    length = (len(IDS) - 2 * most) // B
    rows = np.stack([IDS[most + r * length - most : most + (r + 1) * length + most] for r in range(B)])
    at = range(most, most + length - T, T)
    return [minidl.Batch(rows[:, j : j + T], rows[:, j + k : j + k + T], start=not carried or j == most) for j in at]


@pytest.mark.parametrize("k", [0, -1, -3, 2, 3, 8])
def test_targets_that_are_moved_by_another_number_of_steps(k: int) -> None:
    finding = only(lm(), LOSS, moved(k))
    assert (finding.code, finding.severity, finding.where) == ("D402", "error", f"t against x, shift {k}")
    title = {0: "equal the inputs", -1: "the wrong way", -3: "the wrong way"}.get(k, f"shifted by {k} steps")
    assert title in finding.title
    assert "at all" in finding.evidence


def test_the_last_window_may_be_shorter_than_the_shift() -> None:
    last = [b._replace(x=b.x[:, :n], t=b.t[:, :n], start=True) for b, n in zip(moved(3), (12, 12, 3, 1), strict=False)]
    assert told(lm(), LOSS, last) == [("D402", "error", "t against x, shift 3")]
    short = [minidl.Batch(b.x[:, :n], b.x[:, :n] // 2) for b, n in zip(moved(1), (12, 1), strict=False)]
    assert told(lm(), LOSS, short) == []


def test_the_right_shift_is_right() -> None:
    assert told(lm(), LOSS, moved(1)) == []


def test_targets_that_equal_the_inputs_are_a_warning_where_no_state_is_carried() -> None:
    """A net may be meant to copy."""
    assert told(lm(), LOSS, moved(0, carried=False)) == [("D402", "warning", "t against x, shift 0")]


def test_ids_without_order_that_are_repeated_are_a_warning() -> None:
    x = rng().integers(0, V, (4, 40))
    batch = minidl.Batch(x[:, 1:], x[:, :-1])
    assert told(lm(), LOSS, [batch]) == [("D402", "warning", "t against x, shift -1")]
    assert told(lm(), LOSS, [batch], VOCAB) == [("D402", "error", "t against x, shift -1")]


@pytest.mark.parametrize("back", [1, 4, 7])
def test_to_copy_what_was_read_is_a_task(back: int) -> None:
    """The copy task of the papers: read some symbols, then, asked by blanks, say them; the rest has no weight."""
    draw, batches = rng(), []
    for _ in range(12):
        word = draw.integers(2, V, (16, back))
        x, t = np.zeros((2, 16, 2 * back), int)
        x[:, :back], t[:, back:] = word, word
        weight = np.broadcast_to(np.arange(2 * back) >= back, x.shape).astype(float)
        batches.append(minidl.Batch(x, t, weight=weight))
    assert data_findings(lm(), LOSS, batches) == []


def test_padding_is_not_compared() -> None:
    x = np.stack([IDS[k : k + 12] for k in range(0, 240, 12)])
    mask = np.arange(12) < np.arange(1, 21)[:, None]
    t = np.where(mask, x, rng().integers(0, V, x.shape))
    finding = only(lm(), LOSS, [minidl.Batch(x, t, mask=mask)])
    assert f"all {mask.sum()} positions" in finding.evidence


def test_a_target_that_is_the_last_input() -> None:
    net, loss, _, _ = HEALTHY["next_symbol_alone"]()
    windows = np.lib.stride_tricks.sliding_window_view(IDS, 12)[::5]
    finding = only(net, loss, [minidl.Batch(windows, windows[:, -1])])
    assert (finding.code, finding.severity, finding.where) == ("D402", "error", "t against x, last step")


# -- D403 ------------------------------------------------------------------------------------------


def test_an_id_that_the_embedding_has_no_row_for() -> None:
    batches = [b._replace(x=b.x.astype(int).copy()) for b in stream()]
    batches[2].x[3, 7], batches[4].x[0, 0] = V + 4, -1
    finding = only(lm(), LOSS, batches)
    assert (finding.code, finding.severity, finding.where) == ("D403", "error", "x, batch 2, row 3, step 7")
    assert f"the id is {V + 4}, the Embedding has {V} rows: 0 to {V - 1}; 2 of" in finding.evidence
    assert f"Embedding({V + 5}" in finding.remedy


def test_a_target_that_the_net_has_no_output_for() -> None:
    batches = [b._replace(t=b.t.astype(int).copy()) for b in stream()]
    batches[1].t[2, 5] = V
    finding = only(lm(), LOSS, batches)
    assert (finding.code, finding.where) == ("D403", "t, batch 1, row 2, step 5")
    assert f"the net has {V} outputs" in finding.evidence


@pytest.mark.parametrize("sick", [np.nan, np.inf, 1e300])
def test_a_number_that_is_not_finite(sick: float) -> None:
    net, loss, batches = numbers()
    batches[3].x[4, 5, 1] = sick
    finding = data_findings(net, loss, batches)[0]
    assert (finding.code, finding.severity, finding.where) == ("D403", "error", "x, batch 3, row 4, step 5, feature 1")
    assert "1 of 360 entries" in finding.evidence


def test_a_target_or_a_weight_that_is_not_finite() -> None:
    net, loss, batches = numbers()
    batches[1].t[2, 0] = np.nan
    batches[2] = batches[2]._replace(weight=np.array([1, 1, np.nan, 1, -1]))
    found = data_findings(net, loss, batches)
    assert [f.where for f in found] == ["t, batch 1, row 2, feature 0", "weight, batch 2, row 2"]
    assert all(f.code == "D403" and f.severity == "error" for f in found)


def test_nan_in_the_second_of_several_inputs() -> None:
    net, loss, batches, _ = HEALTHY["two_inputs"]()
    batches[1].x[1][3, 1] = np.nan
    assert told(net, loss, batches) == [("D403", "error", "x[1], batch 1, row 3, feature 1")]


def test_what_is_masked_or_has_no_weight_is_not_judged() -> None:
    net, loss, batches = numbers()
    mask = np.ones((5, 6), bool)
    mask[4, 5:] = False
    batches[3].x[4, 5, 1] = np.nan
    batches[1].t[2] = np.nan
    batches[3] = batches[3]._replace(mask=mask)
    batches[1] = batches[1]._replace(weight=np.array([1, 1, 0, 1, 1]))
    assert told(net, loss, batches) == []


@pytest.mark.parametrize("ids", [True, False])
def test_inputs_that_never_change(ids: bool) -> None:
    if ids:
        found = data_findings(lm(), LOSS, [b._replace(x=np.full_like(b.x, 3)) for b in stream()])
    else:
        net, loss, batches = numbers()
        found = data_findings(net, loss, [b._replace(x=np.full_like(b.x, 0.5)) for b in batches])
    assert (found[0].code, found[0].severity, found[0].where) == ("D403", "error", "x")
    assert "are 3" in found[0].evidence or "are 0.5, 0.5, 0.5" in found[0].evidence


def test_a_feature_that_never_changes() -> None:
    net, loss, batches = numbers()
    for b in batches:
        b.x[..., 1] = 0.25
    finding = only(net, loss, batches)
    assert (finding.code, finding.severity, finding.where) == ("D403", "warning", "x, feature 1")
    assert "np.delete(x, [1], axis=-1)" in finding.remedy and finding.remedy.startswith("see whether it changes")
    assert "of these 4 batches" in finding.evidence


@pytest.mark.parametrize(("factor", "plus"), [(500.0, 0.0), (1e-5, 0.0), (1.0, 200.0)])
def test_features_that_are_not_scaled(factor: float, plus: float) -> None:
    net, loss, batches = numbers()
    for b in batches:
        b.x[..., 2] = b.x[..., 2] * factor + plus
    finding = only(net, loss, batches)
    assert (finding.code, finding.severity, finding.where) == ("D403", "warning", "x, feature 2")
    assert "mean" in finding.evidence and "standard deviation" in finding.evidence


def test_three_features_are_named_at_most() -> None:
    net, loss, batches = numbers(D=6)
    finding = only(net, loss, [b._replace(x=b.x * 100) for b in batches])
    assert finding.where == "x, features 0, 1, 2, ..."
    assert "and 3 more" in finding.evidence


def test_targets_that_are_not_scaled_or_never_change() -> None:
    net, loss, batches = numbers()
    assert told(net, loss, [b._replace(t=b.t * 100 + 7) for b in batches]) == [("D403", "warning", "t, features 0, 1")]
    assert told(net, loss, [b._replace(t=np.full((5, 2), 7.0)) for b in batches]) == [("D403", "warning", "t")]


# -- D404 ------------------------------------------------------------------------------------------


class OwnEntropy(minidl.Loss):
    """Cross-entropy of scores for ids, as people write it."""

    def targets(self, y: Any, t: Any) -> Any:
        return t

    def positions(self, y: Any, t: Any) -> Any:
        p = np.exp(y - y.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        hot = np.eye(y.shape[-1])[t]
        return -np.log((p * hot).sum(axis=-1)), p - hot


def test_ids_of_a_loss_of_ones_own_are_no_numbers_that_want_scaling() -> None:
    net, x = sequence_net(900, 3), rng().standard_normal((64, 6, 3))
    ids = rng().integers(0, 900, 64)
    assert data_findings(net, OwnEntropy(), [minidl.Batch(x, ids)]) == []
    assert only(sequence_net(1, 3), minidl.MeanSquaredError(), [minidl.Batch(x, ids)]).code == "D403"


def in_turn(size: int, order: Any) -> list[minidl.Batch]:
    x, t = rng().standard_normal((240, 6, 3)), np.arange(240) % 4
    t = t[order(t)]
    return [minidl.Batch(x[k : k + size], t[k : k + size]) for k in range(0, 240, size)]


def test_rows_that_are_sorted_by_their_class() -> None:
    net = sequence_net(4, 3)
    for size in 8, 16, 32:
        finding = only(net, minidl.SoftmaxCrossEntropy(), in_turn(size, np.argsort))
        assert (finding.code, finding.severity, finding.where) == ("D403", "error", "t")
        assert finding.title.endswith("sorted by their target") and "shuffle" in finding.remedy
        assert data_findings(net, minidl.SoftmaxCrossEntropy(), in_turn(size, lambda t: slice(None))) == []
    whole = in_turn(240, np.argsort)  # within one batch the order of the rows is without effect
    assert data_findings(net, minidl.SoftmaxCrossEntropy(), whole) == []


def stacked(start: Any) -> list[minidl.Batch]:
    """Windows that were cut first and stacked then: row r + 1 goes on where row r ended."""
    n = (len(IDS) - 1) // 48 * 48
    x, t = IDS[:n].reshape(-1, 4, 12), IDS[1 : n + 1].reshape(-1, 4, 12)
    return [minidl.Batch(a, b, start=start(k)) for k, (a, b) in enumerate(zip(x, t, strict=True))]


def test_rows_that_do_not_continue_though_their_state_is_carried() -> None:
    finding = only(lm(), LOSS, stacked(lambda k: k == 0))
    assert (finding.code, finding.severity) == ("D404", "error")
    assert finding.where == "window 1, row 0"
    assert "row r + 1 goes on where row r ended" in finding.evidence
    assert told(lm(), LOSS, stacked(lambda k: True)) == []


def test_windows_in_another_order() -> None:
    batches = stream()
    mixed = [batches[k]._replace(start=n == 0) for n, k in enumerate(rng().permutation(len(batches) - 1))]
    finding = only(lm(), LOSS, mixed)
    assert (finding.code, finding.severity) == ("D404", "error")
    assert "row r + 1" not in finding.evidence


def test_only_rows_that_are_carried_are_looked_at() -> None:
    """Row 0 always begins a text of its own; the others go on."""
    batches = stream()
    first = np.arange(4) == 0
    batches = [
        b._replace(x=np.where(first[:, None], b.x[::-1], b.x), t=np.where(first[:, None], b.t[::-1], b.t))
        for b in batches
    ]
    mixed = [b._replace(start=True if k == 0 else first) for k, b in enumerate(batches)]
    assert told(lm(), LOSS, mixed) == []


def test_state_that_is_thrown_away() -> None:
    finding = only(lm(), LOSS, [b._replace(start=True) for b in stream()])
    assert (finding.code, finding.severity, finding.where) == ("D404", "warning", "window 1, row 0")
    assert "state is thrown away" in finding.title


def test_a_net_without_memory_has_no_state_to_throw_away() -> None:
    net = minidl.Sequential([minidl.Embedding(V, 4), minidl.Dense(V), minidl.Softmax()])
    net.build((None,))
    assert told(net, LOSS, [b._replace(start=True) for b in stream()]) == []


def test_a_series_whose_windows_do_not_go_on() -> None:
    net, loss, batches, _ = HEALTHY["series_to_next_step"]()
    assert told(net, loss, batches[:1] + batches[1::2]) == [("D404", "error", "window 2, row 0")]
    assert told(net, loss, [b._replace(start=True) for b in batches]) == [("D404", "warning", "window 1, row 0")]


# -- D405 ------------------------------------------------------------------------------------------


def test_a_text_that_is_validated_with_what_it_was_trained_on() -> None:
    draw = rng().permutation(np.repeat(np.arange(V), 60))
    batches = list(minidl.TextStream(draw, 4, 16))
    inside = list(minidl.TextStream(draw[101:400], 2, 16))
    finding = only(lm(), LOSS, batches, validation=inside)
    assert (finding.code, finding.severity, finding.where) == ("D405", "error", "validation, at any offset")
    assert "100 % of the" in finding.evidence
    half = list(minidl.TextStream(np.concatenate([draw[100:300], rng().integers(0, V, 300)]), 2, 16))
    finding = only(lm(), LOSS, batches, validation=half)
    assert (finding.code, finding.severity) == ("D405", "warning")


def test_rows_that_are_in_both() -> None:
    net, loss, batches = numbers()
    held = [b._replace(x=rng().standard_normal((5, 6, 3)) + 3) for b in batches[:2]]
    held[1].x[3] = batches[2].x[0]
    assert told(net, loss, batches, validation=held) == [("D405", "warning", "validation, batch 1, row 3")]
    assert told(net, loss, batches, validation=batches[2:]) == [("D405", "error", "validation, batch 0, row 0")]


def test_the_text_of_these_tests_says_something() -> None:
    assert len(TEXT) > 5000
