"""How hand-written code is read: the layouts of its arrays, its state, its loss, and which LSTM its forward pass is."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from minidl.checking.naming.forwards import (
    Head,
    Point,
    Reading,
    agrees,
    candidates,
    plausible,
    read_forward,
    read_loss,
    read_states,
)
from minidl.checking.naming.mistakes import FORWARD_MISTAKES
from minidl.checking.naming.reading import IDS, SEQUENCES, Layout, layouts_of_x, layouts_of_y, read_state, stacked
from minidl.checking.naming.roles import Roles
from minidl.checking.naming.textbook import forward
from minidl.errors import ArgumentError

B, T, D, H, V = 2, 4, 3, 5, 6
X = np.random.default_rng(0).normal(size=(B, T, D))
IDS_OF_X = np.random.default_rng(1).integers(0, D, (B, T))


def laid_out(a: np.ndarray, axes: str) -> np.ndarray:
    """[B, T, F] in another layout: axes that it lacks are cut to their first entry."""
    for at, axis in reversed(list(enumerate("BTF"))):
        if axis not in axes:
            a = np.take(a, 0, axis=at)
    own = [axis for axis in "BTF" if axis in axes]
    a = a.transpose([own.index(axis) for axis in axes if axis != "1"])
    return np.expand_dims(a, [at for at, axis in enumerate(axes) if axis == "1"])


# -- layouts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [axes for several in SEQUENCES.values() for axes in several if "F" in axes])
def test_every_layout_is_read_into_one(axes: str) -> None:
    given = laid_out(X, axes)
    read = Layout(axes, False, D).read(given)
    wanted = X
    for at, axis in enumerate("BTF"):
        wanted = wanted if axis in axes else np.take(wanted, [0], axis=at)
    np.testing.assert_array_equal(read, wanted)
    assert Layout(axes, False, D).fits(given.shape, {"B": B, "T": T})
    assert not Layout(axes, False, D + 1).fits(given.shape, {})


@pytest.mark.parametrize("axes", [axes for several in IDS.values() for axes in several if axes])
def test_ids_become_rows_with_a_one(axes: str) -> None:
    given = laid_out(IDS_OF_X[..., None], axes + "F")[..., 0] if axes != "T1" else IDS_OF_X[0][:, None]
    read = Layout(axes, True, D).read(given)
    assert read.ndim == 3 and (read.sum(axis=-1) == 1).all()
    back = read.argmax(axis=-1)
    np.testing.assert_array_equal(back, IDS_OF_X[: len(back), : back.shape[1]])


def test_positions_stand_where_ids_are_ignored() -> None:
    read = Layout("BT", True, T, positions=True).read(np.zeros((B, T), int))
    np.testing.assert_array_equal(read, np.broadcast_to(np.eye(T), (B, T, T)))


@pytest.mark.parametrize("axes", ["BTF", "TBF", "TF", "TF1", "TFB", "TBF1"])
@pytest.mark.parametrize("steps", [1, 2, T])
def test_the_first_steps(axes: str, steps: int) -> None:
    layout = Layout(axes, False, D)
    given = laid_out(X, axes)
    np.testing.assert_array_equal(layout.read(layout.cut(given, steps)), layout.read(given)[:, :steps])


def test_what_has_no_steps_is_not_cut() -> None:
    assert Layout("BF", False, D).cut(X[:, 0], 1) is not None
    np.testing.assert_array_equal(Layout("BF", False, D).cut(X[:, 0], 1), X[:, 0])


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_of_steps(kind: Any) -> None:
    steps = kind(X.swapaxes(0, 1))
    layout = Layout("TBF", False, D)
    np.testing.assert_array_equal(layout.read(steps), X)
    assert isinstance(layout.cut(steps, 2), kind) and len(layout.cut(steps, 2)) == 2
    np.testing.assert_array_equal(stacked(steps), X.swapaxes(0, 1))


@pytest.mark.parametrize("axes", ["BTF", "TBF", "TF", "BF", "TF1", "TFB", "BF1", "F1", "FB", "TBF1", "BTF1"])
def test_the_right_layout_is_among_those_tried(axes: str) -> None:
    assert Layout(axes, False, D) in layouts_of_x(laid_out(X, axes), D, None)


@pytest.mark.parametrize("axes", [axes for several in IDS.values() for axes in several if axes])
def test_ids_are_tried_first(axes: str) -> None:
    given = IDS_OF_X[0][:, None] if axes == "T1" else laid_out(IDS_OF_X[..., None], axes + "F")[..., 0]
    found = layouts_of_x(given, D, None)
    assert found[0].ids and Layout(axes, True, D) in found


@pytest.mark.parametrize("x", [np.array([[0, D]]), np.array([[0, -1]]), X[..., 0]])
def test_what_is_no_id(x: np.ndarray) -> None:
    assert not [layout for layout in layouts_of_x(x, D, None) if layout.ids]


def test_a_ragged_list_has_no_layout() -> None:
    ragged = [np.zeros((2, D)), np.zeros((1, D))]
    assert layouts_of_x(ragged, D, None) == [] and layouts_of_y(ragged, D, B, T) == []


@pytest.mark.parametrize(
    ("told", "axes"),
    [("BTD", "BTF"), ("TBD", "TBF"), ("BTF", "BTF"), ("TD1", "TF1"), ("TDB", "TFB"), ("BD1", "BF1")],
)
def test_told_axes_are_the_only_ones(told: str, axes: str) -> None:
    assert layouts_of_x(laid_out(X, axes), D, told) == [Layout(axes, False, D)]


def test_told_axes_of_ids() -> None:
    assert layouts_of_x(IDS_OF_X, D, "TB") == [Layout("TB", True, D)]
    assert layouts_of_x(np.zeros((B, T, D), int), D, "BTD") == [Layout("BTF", False, D)]


@pytest.mark.parametrize("told", ["", "BT", "BTDD", "BTT", "XYZ", "BTV", "btd", "DTB", "1TD", "BTD1"])
def test_told_axes_that_do_not_fit(told: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        layouts_of_x(X, D, told)
    words = (
        f"axes expects a letter for each axis of x {X.shape}, B rows, T steps, D = {D} inputs, 1 for an axis of length"
    )
    assert str(refused.value).startswith(words) and str(refused.value).endswith(f"got {told!r}.")


def test_layouts_of_an_output() -> None:
    def axes(shape: tuple[int, ...], rows: int = B) -> set[str]:
        return {layout.axes for layout in layouts_of_y(np.zeros(shape), H, rows, T)}

    assert axes((B, T, H)) == {"BTF"} and axes((T, B, H)) == {"TBF"} and axes((T, H, B)) == {"TFB"}
    assert axes((B, H)) == {"BF"} and axes((H, B)) == {"FB"}  # the last step alone
    assert axes((T, H)) == set() and axes((T, H), rows=1) == {"TF"}  # where the rows are lost, there is one
    assert axes((B, T, H + 1)) == set() and axes((T + 1, B, H)) == set() and axes(()) == set()


# -- states -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "rows", "column"),
    [((B, H), B, False), ((H, B), B, True), ((H, B), B, False), ((H,), 1, False), ((H, 1), 1, True), ((1, H), 1, True)],
)
def test_a_state_is_read(shape: tuple[int, ...], rows: int, column: bool) -> None:
    wanted = np.arange(rows * H).reshape(rows, H)
    given = wanted.T if shape == (H, rows) else wanted.reshape(shape)
    np.testing.assert_array_equal(read_state(given, rows, H, column), wanted)


def test_a_square_state_is_read_by_the_layout_of_x() -> None:
    a = np.arange(H * H).reshape(H, H)
    np.testing.assert_array_equal(read_state(a, H, H, False), a)
    np.testing.assert_array_equal(read_state(a, H, H, True), a.T)


def test_what_is_no_state() -> None:
    assert read_state(np.zeros((B, H + 1)), B, H, False) is None
    assert read_state(np.zeros(H), B, H, False) is None


def weights(seed: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"Wx": (D, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,), "p": (3 * H,), "W": (H, V), "by": (V,)}
    return {name: rng.normal(0, 0.7, shape) for name, shape in shapes.items()}


PARAMS = weights()
ROLES = Roles({"Wx": "Wx:ifog", "Wh": "Wh:ifog", "b": "b:ifog", "p": "p:ifo", "W": "W", "by": "b"}, PARAMS)
STATE = tuple(np.random.default_rng(4).normal(0, 0.7, (2, B, H)))


def test_states_by_layer_and_order() -> None:
    h, c = STATE
    for order, given in (("h", "c"), (h, c)), (("c", "h"), (c, h)), (("h", "c"), [h, c]):
        (read,) = read_states(given, ROLES, order, B, False)
        assert np.array_equal(read[0], h) and np.array_equal(read[1], c)
    assert not np.any(read_states(None, ROLES, ("h", "c"), B, False))
    for wrong in (h,), (h, c, h), (h, c[:, :2]), ():
        assert read_states(wrong, ROLES, ("h", "c"), B, False) is None


# -- which LSTM it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("off", "same"), [(0.0, True), (1e-12, True), (1e-8, True), (1e-4, False), (-1e-4, False), (np.nan, False)]
)
def test_a_number_that_is_off_is_not_the_same(off: float, same: bool) -> None:
    a = np.random.default_rng(5).normal(size=(3, 4))
    a[1, 2] = 1.5 * abs(a).max()
    b = a.copy()
    b[1, 2] *= 1 + off
    assert agrees(a, b) is agrees(b, a) is same


def test_agreement_needs_the_shape() -> None:
    a = np.ones((2, 1))
    assert agrees(a, a.tolist()) and not agrees(a, a.T) and not agrees(a, np.float64(1))
    assert agrees(np.zeros(3), np.zeros(3)) and not agrees(np.zeros(3), np.full(3, 1e-30))
    assert agrees(np.zeros(3), np.full(3, 1e-30), scale=1.0) and not agrees(np.zeros(3), np.full(3, 1e-4), scale=1.0)
    assert not agrees(np.array([np.inf]), np.array([np.inf]))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def passed(pieces: Any = None) -> Any:
    """The textbook's pass over X, and its scores."""
    run = forward(ROLES.weights(PARAMS), X, [STATE], frozenset(), pieces or {})
    return run, run.h @ PARAMS["W"] + PARAMS["by"]


def read(y: Any, after: Any, layout: str = "BTF", x: Any = X, state: Any = STATE) -> Reading | None:
    point = Point(PARAMS, x, state, ("h", "c"))
    return read_forward(ROLES, point, Layout(layout, False, D), y, after)


def test_the_textbook_has_no_mistakes() -> None:
    run, scores = passed()
    for kind, y in ("h", run.h), ("scores", scores), ("softmax", softmax(scores)):
        found = read(y, run.state[0])
        assert found is not None and found.mistakes == () and found.head.kind == kind
        assert found.head.layout.axes == "BTF" and not found.pieces and not found.fitting
    turned = read(run.h.swapaxes(0, 1), run.state[0])
    last = read(scores[:, -1], run.state[0])
    assert turned is not None and turned.head.layout.axes == "TBF"
    assert last is not None and last.head == Head("scores", Layout("BF", False, V))


def test_a_state_that_is_not_returned() -> None:
    run, _ = passed()
    found = read(run.h, None)
    assert found is not None and found.mistakes == ()


def test_numbers_that_are_off_are_not_the_textbooks() -> None:
    run, _ = passed()
    y = run.h.copy()
    y.flat[abs(y).argmax()] *= 1 + 1e-4
    assert read(y, run.state[0]) is None
    assert read(run.h, (run.state[0][0], run.state[0][1] * (1 - 1e-4))) is None


@pytest.mark.parametrize("at", range(len(FORWARD_MISTAKES)), ids=lambda k: f"{FORWARD_MISTAKES[k].code}-{k}")
def test_each_forward_mistake_is_read(at: int) -> None:
    mistake = FORWARD_MISTAKES[at]
    run, _ = passed(mistake.pieces)
    found = read(run.h, run.state[0])
    assert found is not None and found.mistakes == (mistake,)
    assert found.pieces == mistake.pieces and found.fitting == mistake.fitting


def test_two_mistakes_of_different_codes() -> None:
    by_code = {mistake.code: mistake for mistake in FORWARD_MISTAKES if mistake.pieces.keys() & {"act_g", "seen_o"}}
    run, _ = passed({**by_code["F204"].pieces, **by_code["F202"].pieces})
    found = read(run.h, run.state[0])
    assert found is not None and {mistake.code for mistake in found.mistakes} == {"F202", "F204"}


def test_candidates_begin_with_none_and_then_one() -> None:
    tried = list(candidates())
    assert tried[0] == () and tried[1 : len(FORWARD_MISTAKES) + 1] == [(m,) for m in FORWARD_MISTAKES]
    assert all(len({m.code for m in several}) == len(several) for several in tried)


# -- losses -------------------------------------------------------------------------------------------


def read_a_loss(target: Any, value: float, after: Any) -> Reading | None:
    return read_loss(ROLES, Point(PARAMS, X, STATE, ("h", "c")), Layout("BTF", False, D), target, value, after)


@pytest.mark.parametrize("factor", [1.0, 1 / T, 1 / (B * T), 2.0, 0.5])
def test_cross_entropy(factor: float) -> None:
    run, scores = passed()
    ids = np.random.default_rng(6).integers(0, V, (B, T))
    value = factor * float(-np.log((softmax(scores) * np.eye(V)[ids]).sum(axis=-1)).sum())
    found = read_a_loss(ids, value, run.state[0])
    assert found is not None and found.mistakes == () and found.head.kind == "cross-entropy"
    assert found.head.factor == pytest.approx(factor, rel=1e-15) and found.head.layout.ids


def test_a_loss_that_is_off_is_not_read() -> None:
    scores = passed()[1]
    target = np.zeros((B, T, V))
    value = float((scores**2).sum())
    assert read_a_loss(target, value, None) is not None and read_a_loss(target, value * (1 + 1e-4), None) is None


@pytest.mark.parametrize("kind", ["h", "scores", "softmax"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 1 / (2 * T)])
def test_squares(kind: str, factor: float) -> None:
    run, scores = passed()
    out = {"h": run.h, "scores": scores, "softmax": softmax(scores)}[kind]
    target = np.random.default_rng(7).normal(size=out.shape)
    found = read_a_loss(target, factor * float(((out - target) ** 2).sum()), run.state[0])
    assert found is not None and found.head.kind == f"squares of {kind}"
    assert found.head.factor == pytest.approx(2 * factor, rel=1e-15)


def test_a_state_that_nothing_explains_is_left_aside() -> None:
    run, scores = passed()
    target = np.zeros((B, T, V))
    value = float((scores**2).sum())
    found = read_a_loss(target, value, run.state[0])
    strange = read_a_loss(target, value, (run.state[0][0] + 1, run.state[0][1]))
    assert found is not None and not found.strange_state
    assert strange is not None and strange.strange_state and strange.head == found.head


def test_plausible_factors() -> None:
    assert plausible(3.0, 3.0, B, T, V) == 1.0 and plausible(6.0, 3.0, B, T, V) == 2.0
    assert plausible(3.0 / 8, 3.0, B, T, V) == 1 / (B * T)
    for factor in 3.0, -1.0, 1 + 1e-6, 0.0:
        assert plausible(3.0 * factor, 3.0, B, T, V) is None


def test_gates_in_any_order_are_one_lstm() -> None:
    run, _ = passed()
    for order in permutations("ifog"):
        cut = {k: slice(n * H, (n + 1) * H) for n, k in enumerate("ifog")}
        params = {
            n: np.concatenate([a[..., cut[k]] for k in order], -1) for n, a in PARAMS.items() if n[:2] in ("Wx", "Wh")
        }
        name = "".join(order)
        rest = {"b": PARAMS["b"], "p": PARAMS["p"]}
        roles = Roles({"Wx": f"Wx:{name}", "Wh": f"Wh:{name}", "b": "b:ifog", "p": "p:ifo"}, params | rest)
        point = Point(params | rest, X, STATE, ("h", "c"))
        found = read_forward(roles, point, Layout("BTF", False, D), run.h, run.state[0])
        assert found is not None and found.mistakes == ()
