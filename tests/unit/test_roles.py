"""Roles: arrays of every layout taken apart into the same gates, and each malformed role refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl.checking.naming.roles import Roles, parse
from minidl.errors import ArgumentError

D, H, V, T = 2, 3, 5, 4  # sizes that all differ: a transpose is another shape


def gates(peephole: tuple[int, ...] = (H,), D: int = D, steps: tuple[int, ...] = (), seed: int = 0) -> dict[str, Any]:
    """The canonical arrays: Wx_k [D, H], Wh_k [H, H], b_k [H], p_k [H] or [H, H], W [H, V], b [V]."""
    rng = np.random.default_rng(seed)
    shapes = {f"{w}_{k}": s for k in "ifog" for w, s in (("Wx", (D, H)), ("Wh", (H, H)), ("b", (H,)))}
    shapes |= {f"p_{k}": peephole for k in "ifo"} | {"W": (H, V), "b": (V,)}
    return {name: rng.normal(size=(*steps, *shape) if "_" in name else shape) for name, shape in shapes.items()}


G = gates()
FULL = gates((H, H))
OVER_TIME = gates((H, H), steps=(T,))


def side(g: dict[str, Any], letter: str, order: str) -> np.ndarray:
    """Gates side by side along the last axis."""
    return np.concatenate([g[f"{letter}_{k}"] for k in order], axis=-1)


def rows(g: dict[str, Any], letters: str, k: str) -> np.ndarray:
    """Rows of x and of h above each other, "xh" or "hx"."""
    return np.concatenate([g[f"W{a}_{k}"] for a in letters], axis=-2)


def front(g: dict[str, Any], letter: str, order: str) -> np.ndarray:
    """Gates on an axis of their own, in front."""
    return np.stack([g[f"{letter}_{k}"] for k in order])


WX, WH = {"Wx:ifog": side(G, "Wx", "ifog")}, {"Wh:ifog": side(G, "Wh", "ifog")}
FORMS: dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]] = {
    # what it is: (array by role, the gates that it has)
    "one gate an array": ({f"{w}_{k}": G[f"{w}_{k}"] for w in ("Wx", "Wh", "b") for k in "gofi"}, G),
    "each transposed": ({f"{w}_{k}.T": G[f"{w}_{k}"].T for w in ("Wx", "Wh") for k in "ifog"}, G),
    "side by side": ({f"{w}:ifog": side(G, w, "ifog") for w in ("Wx", "Wh", "b")}, G),
    "in other orders": (
        {"Wx:fgio": side(G, "Wx", "fgio"), "Wh:ofig": side(G, "Wh", "ofig"), "b:gifo": side(G, "b", "gifo")},
        G,
    ),
    "packed and transposed": ({f"{w}:fgio.T": side(G, w, "fgio").T for w in ("Wx", "Wh", "b")}, G),
    "two packs": ({f"{w}:{o}": side(G, w, o) for w in ("Wx", "Wh", "b") for o in ("of", "gi")}, G),
    "three and one": (
        {f"{w}:iof": side(G, w, "iof") for w in ("Wx", "Wh")} | {f"{w}_g": G[f"{w}_g"] for w in ("Wx", "Wh")},
        G,
    ),
    "x above h": ({f"Wxh_{k}": rows(G, "xh", k) for k in "ifog"}, G),
    "h above x": ({f"Whx_{k}": rows(G, "hx", k) for k in "ifog"}, G),
    "h beside x": ({f"Whx_{k}.T": rows(G, "hx", k).T for k in "ifog"}, G),
    "x above h, packed": ({"Wxh:oifg": np.hstack([rows(G, "xh", k) for k in "oifg"])}, G),
    "h above x, packed": ({"Whx:ifgo": np.hstack([rows(G, "hx", k) for k in "ifgo"])}, G),
    "x beside h, packed": ({"Wxh:ifog.T": np.vstack([rows(G, "xh", k).T for k in "ifog"])}, G),
    "biases as columns": (WX | WH | {f"b_{k}": G[f"b_{k}"][:, None] for k in "ifog"}, G),
    "biases as a row": (WX | WH | {"b:gfoi": side(G, "b", "gfoi")[None]}, G),
    "biases as a column": (WX | WH | {"b:gfoi": side(G, "b", "gfoi")[:, None]}, G),
    "diagonal peepholes": (WX | WH | {f"p_{k}": G[f"p_{k}"] for k in "ifo"}, G),
    "peepholes as columns": (WX | WH | {f"p_{k}": G[f"p_{k}"][:, None] for k in "ifo"}, G),
    "peepholes side by side": (WX | WH | {"p:fio": side(G, "p", "fio")}, G),
    "a peephole alone": (WX | WH | {"p_o": G["p_o"]}, G),
    "full peepholes": ({name: FULL[name] for name in FULL if name[:2] in ("Wx", "Wh", "p_")}, FULL),
    "full ones side by side": (
        {f"{w}:{o}": side(FULL, w, o) for w, o in (("Wx", "ifog"), ("Wh", "ifog"), ("p", "ofi"))},
        FULL,
    ),
    "full ones transposed": (
        {f"{w}:{o}.T": side(FULL, w, o).T for w, o in (("Wx", "ifog"), ("Wh", "ifog"), ("p", "ofi"))},
        FULL,
    ),
    "gates in front": (
        {f"{w}[{a}]": front(G, w, a[:4]) for w, a in (("Wx", "gofi,D,H"), ("Wh", "ifog,K,H"), ("b", "ofgi,H"))},
        G,
    ),
    "gates in front, transposed": (
        {"Wx[iofg,H,D]": front(G, "Wx", "iofg").swapaxes(1, 2), "Wh[fgio,H,K]": front(G, "Wh", "fgio").swapaxes(1, 2)},
        G,
    ),
    "gates behind": (
        {
            "Wx[D,H,ifog]": np.moveaxis(front(G, "Wx", "ifog"), 0, 2),
            "Wh[H,ifgo,K]": front(G, "Wh", "ifgo").transpose(2, 0, 1),
        },
        G,
    ),
    "peepholes in front": (WX | WH | {"p[oif,H]": front(G, "p", "oif")}, G),
    "peepholes behind": (WX | WH | {"p[H,ifo]": front(G, "p", "ifo").T}, G),
    "full ones in front": (
        {f"{w}:ifog": side(FULL, w, "ifog") for w in ("Wx", "Wh")} | {"p[ifo,K,H]": front(FULL, "p", "ifo")},
        FULL,
    ),
    "stacked in front": (
        {"Wxh[ifog,D,H]": np.stack([rows(G, "xh", k) for k in "ifog"])},
        G,
    ),
    "weights at each step": (
        {
            "Wx[iofg,T,H,D]": front(OVER_TIME, "Wx", "iofg").swapaxes(2, 3),
            "Wh[ifgo,T,K,H]": front(OVER_TIME, "Wh", "ifgo"),
            "b[T,ifog,H]": front(OVER_TIME, "b", "ifog").swapaxes(0, 1),
            "p[ifo,T,K,H]": front(OVER_TIME, "p", "ifo"),
        },
        OVER_TIME,
    ),
    "one gate, step by step": (
        {f"{w}_{k}[T,{a},H]": OVER_TIME[f"{w}_{k}"] for w, a in (("Wx", "D"), ("Wh", "K")) for k in "ifog"},
        OVER_TIME,
    ),
}  # fmt: skip


def arrays_and_roles(forms: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays under names that say nothing, and their roles."""
    names = {f"a{n}": role for n, role in enumerate(forms)}
    return {name: forms[role] for name, role in names.items()}, names


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_gates_back(form: str) -> None:
    forms, wanted = FORMS[form]
    arrays, names = arrays_and_roles(forms)
    roles = Roles(names, arrays)
    found = {key: block for (_, key), block in roles.blocks(arrays).items()}
    assert found.keys() == roles.keys and {layer for layer, _ in found} == {0}
    for (_, letter), block in found.items():
        np.testing.assert_array_equal(block, wanted[letter])
    assert roles.cells == {0: H} and roles.inputs == {0: D} and roles.layers == [0]


@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_taken_apart_as_parameters_are(form: str) -> None:
    arrays, names = arrays_and_roles(FORMS[form][0])
    roles = Roles(names, arrays)
    doubled = {block: 2 * a for block, a in roles.blocks(arrays).items()}
    found = roles.blocks({name: 2 * a for name, a in arrays.items()})
    assert found.keys() == doubled.keys() and all(np.array_equal(a, doubled[block]) for block, a in found.items())
    count = sum(a.size for a in found.values())
    assert count == sum(a.size for a in arrays.values())  # every entry is in one block


@pytest.mark.parametrize(
    ("role", "array", "wanted"),
    [("W", G["W"], G["W"]), ("W.T", G["W"].T, G["W"]), ("b", G["b"], G["b"]), ("b", G["b"][:, None], G["b"])],
)
def test_the_output_layer(role: str, array: np.ndarray, wanted: np.ndarray) -> None:
    forms = WX | WH | ({"W": G["W"]} if role == "b" else {}) | {role: array}
    arrays, names = arrays_and_roles(forms)
    roles = Roles(names, arrays)
    np.testing.assert_array_equal(roles.blocks(arrays)[list(arrays)[-1], (-1, role[0])], wanted)


def test_an_embedding_in_front() -> None:
    E = np.random.default_rng(2).normal(size=(V, D))
    arrays, names = arrays_and_roles(WX | WH | {"E": E})
    roles = Roles(names, arrays)
    assert roles.features == V and Roles(*reversed(arrays_and_roles(WX | WH))).features == D
    np.testing.assert_array_equal(roles.weights(arrays)[-1, "E"], E)
    turned, names = arrays_and_roles(WX | WH | {"E.T": E.T})
    np.testing.assert_array_equal(Roles(names, turned).weights(turned)[-1, "E"], E)


def test_layers_of_a_stack() -> None:
    above = gates(D=H, seed=1)
    forms = {f"1.{w}:ifog": side(G, w, "ifog") for w in ("Wx", "Wh", "b")}
    forms |= {f"2.{w}_{k}.T": above[f"{w}_{k}"].T for w in ("Wx", "Wh") for k in "ifog"} | {"W": G["W"]}
    arrays, names = arrays_and_roles(forms)
    roles = Roles(names, arrays)
    assert roles.layers == [0, 1] and roles.cells == {0: H, 1: H} and roles.inputs == {0: D, 1: H}
    weights = roles.weights(arrays)
    for layer, wanted in (0, G), (1, above):
        np.testing.assert_array_equal(weights[layer, "Wx_f"], wanted["Wx_f"])
        np.testing.assert_array_equal(weights[layer, "Wh_g"], wanted["Wh_g"])
    assert (1, "b_i") not in weights and (0, "b_i") in weights


def test_a_number_is_not_needed_for_the_first_layer() -> None:
    arrays, names = arrays_and_roles(WX | WH)
    first = Roles({name: f"1.{role}" for name, role in names.items()}, arrays)
    assert first.keys == Roles(names, arrays).keys


def test_two_arrays_of_one_role_add_up() -> None:
    arrays = {
        "Wx": side(G, "Wx", "ifog"),
        "Wh": side(G, "Wh", "ifog"),
        "b1": side(G, "b", "ifog"),
        "b2": np.ones(4 * H),
    }
    roles = Roles({"Wx": "Wx:ifog", "Wh": "Wh:ifog", "b1": "b:ifog", "b2": "b:gofi"}, arrays)
    np.testing.assert_array_equal(roles.weights(arrays)[0, "b_o"], G["b_o"] + 1)
    assert {name for name, key in roles.blocks(arrays) if key == (0, "b_o")} == {"b1", "b2"}  # gradients stay apart


def test_no_part_of_the_lstm() -> None:
    arrays, names = arrays_and_roles(WX | WH)
    roles = Roles(names | {"step": None}, arrays | {"step": np.ones(7), "untold": np.ones(2)})
    assert {name for name, _ in roles.blocks(arrays | {"step": np.ones(7)})} == set(names)


def test_arrays_that_are_missing_are_left_out() -> None:
    arrays, names = arrays_and_roles(WX | WH)
    roles = Roles(names, arrays)
    assert {name for name, _ in roles.blocks({"a0": arrays["a0"]})} == {"a0"}
    assert {name for name, _ in roles.blocks(arrays | {"a0": None})} == {"a1"}


def test_weights_of_each_step_are_known() -> None:
    arrays, names = arrays_and_roles(FORMS["weights at each step"][0] | {"W": G["W"]})
    roles = Roles(names, arrays)
    assert roles.over_time == ["a0", "a1", "a2", "a3"]
    assert roles.keys_over_time == roles.keys - {(-1, "W")}
    assert Roles(*reversed(arrays_and_roles(WX | WH))).keys_over_time == set()


def test_blanks_do_not_matter() -> None:
    assert parse("a", " Wx [ iofg, T, H, D ] ") == parse("a", "Wx[iofg,T,H,D]")._replace(text=" Wx [ iofg, T, H, D ] ")


# -- refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "role",
    ["nonsense", "", "wx:ifog", "Wx;ifog", "Wx_a", "Wx_if", "Wx:i", "Wx:ifogi", "Wxx_i", "Wx_i.t", "Wx_i.T.T", "x.Wx_i",
     "Wx[ifog", "Wx_i:f", "c", 5, 1.5, ["Wx:ifog"], {}, True, b"Wx_i"],
)  # fmt: skip
def test_what_is_no_role(role: Any) -> None:
    with pytest.raises(ArgumentError) as refused:
        parse("weights", role)
    told = str(refused.value)
    assert told.startswith(f"Role {role!r} of 'weights' is none: forms are ") and '"Wx:ifog"' in told
    assert "\n" not in told and told.endswith(".")


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("Wx:iiog", "names a gate twice"),
        ("Wx[ifog,Z]", "an unknown axis"),
        ("Wx[ifog,H,B]", "an unknown axis"),
        ("Wx[if,og,D,H]", "an unknown axis"),
        ("Wx", 'does not say of which gates: write "Wx_i", "Wx:ifog"'),
        ("Wh.T", 'does not say of which gates: write "Wh_i", "Wh:ifog"'),
        ("Wxh", 'does not say of which gates: write "Wxh_i", "Wxh:ifog"'),
        ("p", 'does not say of which gates: write "p_i"'),
        ("Wx[D,H]", "does not say of which gates"),
        ("p_g", "gives g a peephole: only i, f and o have one"),
        ("p:ifog", "gives g a peephole"),
        ("p[ifog,H]", "gives g a peephole"),
    ],
)
def test_a_role_that_makes_no_sense(role: str, words: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        parse("weights", role)
    assert str(refused.value).startswith(f"Role {role!r} of 'weights' ") and words in str(refused.value)


@pytest.mark.parametrize(
    ("role", "shape", "words"),
    [
        ("Wx:ifog", (4 * H, D), "4 gates side by side"),
        ("Wx:ifog.T", (D, 4 * H), "4 gates side by side"),
        ("Wx:ifog", (4 * H,), "two axes"),
        ("Wx:ifog", (), "two axes"),
        ("Wx:ifog", (D, 4, H), "two axes"),
        ("Wh:ifog", (H + 1, 4 * H), "rows of h, [3, 12] or the like"),
        ("Wh:ifog.T", (4 * H, D), "rows of h"),
        ("Wh:ifog", (H, 4 * H + 4), "H = 3 cells, as in the other arrays"),
        ("Wh[ifog,K,H]", (4, H + 1, H), "[3, 3] for a gate"),
        ("Wh[ifog,K,H]", (4, H, H + 1), "H = 3 cells"),
        ("Wh[ifog,K,H]", (3, H, H), "an axis of 4 gates"),
        ("Wh[ifog,K,H]", (H, 4 * H), "3 axes"),
        ("Wh[ifog,K]", (4, H), "an axis H, the cells"),
        ("Wx:ifog", (D + 1, 4 * H), "D = 2 inputs, as in the other arrays"),
        ("Wxh:ifog", (H, 4 * H), "D = 2 inputs"),
        ("Wxh:ifog", (H + D + 1, 4 * H), "D = 2 inputs"),
        ("b:ifog", (4 * H + 1,), "4 x 3 along an axis"),
        ("b:ifog", (D, 4 * H), "[3] for a gate"),
        ("b_i", (H + 1,), "1 x 3 along an axis"),
        ("b_i", (), "1 x 3 along an axis"),
        ("b[ifog,H]", (3, H), "an axis of 4 gates"),
        ("b[ifog,H]", (4 * H,), "2 axes"),
        ("b[ifog,H]", (4, H + 1), "[3] for a gate"),
        ("p_i", (H + 1,), "1 x 3 along an axis"),
        ("p_i", (D, H), "[3, 3] or [3] for a gate"),
        ("p:ifo", (2 * H,), "3 x 3 along an axis"),
        ("p[ifo,H]", (H, 2), "[3, 3] or [3] for a gate"),
        ("E", (D, V), "[V, 2], a row for each id"),
        ("E", (V,), "[V, 2], a row for each id"),
        ("2.b:ifog", (4 * H,), "weights of layer 2 beside it, roles Wx and Wh"),
    ],
)
def test_a_role_that_does_not_fit_its_array(role: str, shape: tuple[int, ...], words: str) -> None:
    arrays = {"Wx": side(G, "Wx", "ifog"), "Wh": side(G, "Wh", "ifog"), "mine": np.ones(shape)}
    with pytest.raises(ArgumentError) as refused:
        Roles({"Wx": "Wx:ifog", "Wh": "Wh:ifog", "mine": role}, arrays)
    told = str(refused.value)
    assert told.startswith(f"Role {role!r} of 'mine' expects ") and words in told and f"got an array {shape}" in told
    assert "\n" not in told


BELOW = {"1.Wx:ifog": side(G, "Wx", "ifog"), "1.Wh:ifog": side(G, "Wh", "ifog")}


@pytest.mark.parametrize(
    ("forms", "words"),
    [
        (lambda: WX, "all weights of the four gates, Wh_i is missing"),
        (lambda: WX | {f"Wh_{k}": G[f"Wh_{k}"] for k in "ifg"}, "Wh_o is missing"),
        (lambda: {"b:ifog": side(G, "b", "ifog")}, "weights of layer 1 beside it"),
        (lambda: {"W": G["W"]}, "the weights of an LSTM, Wx and Wh, got none of them"),
        (dict, "the weights of an LSTM, Wx and Wh, got none of them"),
        (lambda: {f"3{role[1:]}": a for role, a in BELOW.items()} | BELOW, r"without a gap, got [1, 3]"),
        (lambda: {f"2{role[1:]}": a for role, a in BELOW.items()}, r"without a gap, got [2]"),
        (lambda: BELOW | {f"2{role[1:]}": a for role, a in BELOW.items()}, "layer 2 to read the 3 cells below it"),
    ],
)  # fmt: skip
def test_roles_that_lack_their_counterparts(forms: Callable[[], dict[str, np.ndarray]], words: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        Roles(*reversed(arrays_and_roles(forms())))
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_name_that_params_lack() -> None:
    with pytest.raises(ArgumentError, match=r"the names of params, Wx, Wh, got 'U': name it alike\.$"):
        Roles({"Wx": "Wx:ifog", "U": "Wh:ifog"}, {"Wx": side(G, "Wx", "ifog"), "Wh": side(G, "Wh", "ifog")})


@pytest.mark.parametrize(
    ("role", "shape", "words"),
    [
        ("W", (5, 7), r"Role 'W' of 'out' expects \[4, V\], a row for each cell"),
        ("W", (4,), r"a row for each cell"),
        ("b", (7,), "a W of the output layer beside it"),
        ("E", (9, 5), r"\[V, 3\], a row for each id"),
        ("W_i", (3, 4), "the weights of gates are"),
        ("b:ifog", (4, 4), "expects 4 x 4 along an axis"),
        ("b[T,ifog,H]", (2, 4, 4), "T = 5 steps, as in the other arrays"),
    ],
)
def test_what_stands_around_the_cells_has_to_fit(role: str, shape: tuple[int, ...], words: str) -> None:
    params = {"Wx": np.zeros((3, 16)), "Wh": np.zeros((5, 4, 4, 4)), "out": np.zeros(shape)}
    with pytest.raises(ArgumentError, match=words):
        Roles({"Wx": "Wx:ifog", "Wh": "Wh[T,ifog,K,H]", "out": role}, params)
