"""Mutation matching: every mistake of the library has numbers of its own, and is found again by them."""

from __future__ import annotations

import warnings
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from minidl.checking.naming.findings import CODES, found, in_order
from minidl.checking.naming.forwards import Head, enter
from minidl.checking.naming.head import HEAD
from minidl.checking.naming.matching import Matcher, Placed, Side, Stage, padded
from minidl.checking.naming.mistakes import BACKWARD_MISTAKES
from minidl.checking.naming.reading import Layout
from minidl.checking.naming.textbook import BACKWARD, forward
from tests.parameters import slow, some

B, H = 2, 3
NETS: dict[str, dict[str, Any]] = {
    "plain": {},
    "diagonal": {"peephole": (H,)},
    "full": {"peephole": (H, H)},
    "wide": {"T": 3, "peephole": (H, H), "D": 2},
    "ids": {"T": 3, "ids": True},
    "scores": {"T": 3, "kind": "scores", "V": H, "peephole": (H,)},
    "softmax": {"T": 3, "kind": "softmax", "V": 5},
    "cross-entropy": {"kind": "cross-entropy", "V": H, "factor": 1 / 3, "peephole": (H,)},
    "squares": {"T": 3, "kind": "squares of scores", "V": H, "factor": 1 / 8},
    "embedding": {"T": 3, "kind": "cross-entropy", "V": 5, "factor": 1 / 2, "embedding": True},
    "last step": {"T": 3, "kind": "cross-entropy", "V": H, "factor": 0.5, "last": True},
}
# These show every mistake of the library; the other nets are slow.
BY_DEFAULT = "full", "cross-entropy", "embedding"
Observed = dict[tuple[str, Any], np.ndarray]


def stage_and_head(
    peephole: tuple[int, ...] | None = None, kind: str = "h", D: int = H, T: int = 4, V: int = 0, layers: int = 1,
    ids: bool = False, factor: float = 1.0, last: bool = False, embedding: bool = False,
) -> tuple[Stage, Head]:  # fmt: skip
    """A generic net of the textbook: a backward pass of it, of which nothing is observed yet."""
    rng = np.random.default_rng(0)

    def values(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.7, shape)

    w = {(n, f"Wx_{k}"): values(H if n else D, H) for n in range(layers) for k in "ifog"}
    w |= {(n, f"Wh_{k}"): values(H, H) for n in range(layers) for k in "ifog"}
    w |= {(n, f"b_{k}"): values(H) for n in range(layers) for k in "ifog"}
    if peephole is not None:
        w |= {(n, f"p_{k}"): values(*peephole) for n in range(layers) for k in "ifo"}
    if V:
        w |= {(-1, "W"): values(H, V), (-1, "b"): values(V)}
    rows = np.eye(D)[np.tile(rng.integers(0, D, T), (B, 1))] if ids else values(B, T, D)
    if embedding:
        rows = np.eye(V)[np.array([[0, 1, 0, 0], [0, 2, 1, 0]])[:, :T]]
        w[-1, "E"] = values(V, D)
    run = forward(w, enter(rows, w), [(values(B, H), values(B, H)) for _ in range(layers)])
    F, steps = V or H, 1 if last else T
    head = Head(kind, Layout("BF" if last else "BTF", False, F), factor)
    dstate = [(values(B, H), values(B, H)) for _ in range(layers)]
    dy = target = None
    if kind in ("h", "scores", "softmax"):
        dy = values(B, steps, F)
    else:
        target = np.eye(F)[rng.integers(0, F, (B, steps))] if kind == "cross-entropy" else values(B, steps, F)
        dstate = [(np.zeros((B, H)),) * 2] * layers
    blocks = {("x", None): np.zeros((B, T, D))} | {
        (letter + "0", n): np.zeros((B, H)) for n in range(layers) for letter in "hc"
    }
    blocks |= {("array of " + key[1], key): a for key, a in w.items()}
    return Stage(
        run=run, rows=rows, weights=w, dy=dy, target=target, dstate=dstate, observed=blocks, factor=factor
    ), head


@cache
def matcher(net: str) -> Matcher:
    stage, head = stage_and_head(**NETS[net])
    return Matcher([stage], head, {})


def with_mistakes(stages: list[Stage], head: Head, *placed: Placed) -> Matcher:
    """A matcher that observes what the textbook gives with these mistakes."""
    source = Matcher(stages, head, {})
    seen = []
    for k, stage in enumerate(stages):
        side = source.side(k, placed)
        ends = [*side.begins[1:], len(side.numbers)]
        numbers = {
            block: side.numbers[a:b].reshape(stage.observed[block].shape)
            for block, a, b in zip(side.blocks, side.begins, ends, strict=True)
        }
        seen.append(stage._replace(observed=numbers))
    return Matcher(seen, head, {})


def chosen(words: str) -> Any:
    """The one mistake whose words begin so."""
    found = [m for m in BACKWARD_MISTAKES if m.what.startswith(words)]
    assert len(found) == 1, [m.what for m in found]
    return found[0]


@cache
def numbers(net: str) -> np.ndarray:
    """All gradients of a net with each mistake; the last row is without any."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sides = [matcher(net).side(0, (Placed(mistake, None),)) for mistake in BACKWARD_MISTAKES]
    return np.array([side.numbers for side in [*sides, matcher(net).side(0, ())]])


# -- the library --------------------------------------------------------------------------------------


def test_each_mistake_has_a_code_and_words() -> None:
    known = BACKWARD.keys() | HEAD.keys() | {"scale", "E"}
    for mistake in BACKWARD_MISTAKES:
        assert mistake.code in CODES and mistake.code[0] == "G"
        assert mistake.what and mistake.where and "\n" not in mistake.what
        assert mistake.pieces and mistake.pieces.keys() <= known and not mistake.fitting
    named = {code for code in CODES if code[0] == "G"} - {"G115"}  # of a training loop, not of a backward pass
    assert named == {mistake.code for mistake in BACKWARD_MISTAKES}


@pytest.mark.parametrize("net", some(BY_DEFAULT, NETS))
def test_no_mistake_raises_or_warns(net: str) -> None:
    assert len(numbers(net)) == len(BACKWARD_MISTAKES) + 1


def test_each_mistake_changes_some_number() -> None:
    effect = np.zeros(len(BACKWARD_MISTAKES), bool)
    for net in BY_DEFAULT:
        *wrong, right = numbers(net)
        effect |= ~(np.array(wrong) == right).all(axis=1)
    assert not [m.what for m, changes in zip(BACKWARD_MISTAKES, effect, strict=True) if not changes]


@pytest.mark.parametrize("net", some(BY_DEFAULT, ["plain", "diagonal", "full", "wide", "ids"]))
def test_without_an_output_layer_its_mistakes_change_nothing(net: str) -> None:
    *wrong, right = numbers(net)
    for mistake, row in zip(BACKWARD_MISTAKES, wrong, strict=True):
        if mistake.where in ("W", "W of the output layer", "the output layer", "b of the output layer"):
            assert np.array_equal(row, right), mistake.what


def twins(net: str) -> set[tuple[int, int]]:
    """Pairs of mistakes with different codes that give the same numbers, and finite ones."""
    *wrong, right = numbers(net)
    rows = np.array(wrong)
    index = [k for k, row in enumerate(rows) if np.isfinite(row).all() and not np.array_equal(row, right)]
    rows = rows[index]
    order = np.argsort(rows @ np.random.default_rng(1).standard_normal(rows.shape[1]))
    groups = np.split(order, 1 + np.flatnonzero(abs(np.diff(rows[order], axis=0)).max(axis=1) > 1e-9))
    pairs = {(index[min(a, b)], index[max(a, b)]) for group in groups for a, b in combinations(group.tolist(), 2)}
    return {(a, b) for a, b in pairs if BACKWARD_MISTAKES[a].code != BACKWARD_MISTAKES[b].code}


@pytest.mark.parametrize(
    "net",
    some(BY_DEFAULT, ["plain", "diagonal", "full", "wide", "ids", "scores", "softmax", "cross-entropy", "squares"]),
)
def test_mistakes_of_different_codes_give_different_numbers(net: str) -> None:
    """But for two kinds, where the name that says more comes first in the library, and so wins."""
    for first, second in twins(net):
        one, two = BACKWARD_MISTAKES[first], BACKWARD_MISTAKES[second]
        assert two.code == "G101", f"{one.what} | {two.what}"
        assert one.what.startswith("the peephole weights of") or one.what == "the incoming dy is ignored"


# -- agreement ----------------------------------------------------------------------------------------


def sides(off: float, at: float = 1.0) -> Any:
    """The agreement of three blocks with themselves, where one entry of the second is off."""
    rng = np.random.default_rng(2)
    blocks: Observed = {("a", 0): rng.normal(size=(3, 2)), ("b", 0): rng.normal(size=4), ("c", 0): rng.normal(size=())}
    blocks["b", 0][1] = at * 5.0
    other = {block: a.copy() for block, a in blocks.items()}
    other["b", 0][1] *= 1 + off
    return Side.of(blocks).agreement(Side.of(other)).tolist()


@pytest.mark.parametrize("off", [0.0, 1e-12, 1e-8])
def test_rounding_is_no_difference(off: float) -> None:
    assert sides(off) == sides(-off) == [True, True, True]


@pytest.mark.parametrize("off", [1e-5, 1e-4, -1e-4, 1.0, np.nan])
def test_a_number_that_is_off_is_not_the_same(off: float) -> None:
    assert sides(off) == [True, False, True]


def test_next_to_zero_is_zero() -> None:
    a: Observed = {("a", 0): np.ones(2), ("b", 0): np.zeros(2), ("c", 0): np.full(2, 1e-8)}
    b: Observed = {("a", 0): np.ones(2), ("b", 0): np.full(2, 1e-12), ("c", 0): np.zeros(2)}
    assert Side.of(a).agreement(Side.of(b)).tolist() == [True, True, False]


def test_equal_sides() -> None:
    a: Observed = {("a", 0): np.array([1.0, np.nan])}
    assert Side.of(a).equals(Side.of(a))
    assert not Side.of(a).equals(Side.of({("a", 0): np.array([1.0, 2.0])}))


def test_steps_that_did_not_run_have_no_gradient() -> None:
    a = np.ones((2, 3, 4))
    np.testing.assert_array_equal(padded(a, (4, 3, 4)), np.concatenate([a, 0 * a]))
    for shape in (2, 3, 4), (1, 3, 4), (4, 3, 5), (3, 4):
        assert padded(a, shape) is a


# -- found again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", some(BY_DEFAULT, NETS))
def test_the_textbook_needs_no_mistake(net: str) -> None:
    stage, head = stage_and_head(**NETS[net])
    explanation = with_mistakes([stage], head).explain()
    assert explanation.placed == () and len(explanation.right) == len(stage.observed)


SINGLE = [
    ("plain", "dh of step t+1 is not added"),
    ("full", "the peephole of o sends nothing back"),
    ("plain", "the derivative of g is taken of the pre-activation"),
    ("plain", "the errors of i and f are exchanged"),
    ("plain", "dWh of i, f, o, g has the sum of its input"),
    ("plain", "the error that enters is the constant 1, whatever"),
    ("plain", "the gradient of all weights is overwritten"),
    ("plain", "dh0, the gradient"),
    ("plain", "only dy of the last step"),
    ("plain", "dg = dc, where"),
    ("plain", "dh comes back through Wh as it is"),
    ("cross-entropy", "the error is p, the target is left out"),
    ("squares", "the gradient is that of the sum"),
    ("embedding", "ids that occur more than once are counted once in the embedding's gradient: dE"),
    ("diagonal", "all gradients are off by the factor 1/T"),
]


@pytest.mark.parametrize(
    ("net", "words"),
    [(slow if k % 4 else pytest.param)(*one) for k, one in enumerate(SINGLE)],
    ids=[words for _, words in SINGLE],
)
def test_a_single_mistake_is_found_again(net: str, words: str) -> None:
    mistake = chosen(words)
    seen = with_mistakes(*in_list(stage_and_head(**{**NETS[net], "T": 2})), Placed(mistake, None))
    explanation = seen.explain()
    assert explanation.right == seen.blocks
    assert [placed.mistake.code for placed in explanation.placed] == [mistake.code]


def in_list(made: tuple[Stage, Head]) -> tuple[list[Stage], Head]:
    return [made[0]], made[1]


def test_only_the_right_blocks_are_right() -> None:
    mistake = chosen("the peephole weights of i get no gradient")
    seen = with_mistakes(*in_list(stage_and_head(**NETS["full"])), Placed(mistake, None))
    assert seen.blocks - seen.right(()) == {(0, ("array of p_i", (0, "p_i")))}
    assert seen.right((Placed(mistake, None),)) == seen.blocks


def test_two_mistakes_are_peeled_off_one_after_the_other() -> None:
    two = chosen("the derivative of f is missing"), chosen("dc f is missing")
    stages = [stage_and_head(peephole=(H,), T=T)[0] for T in (1, 2)]
    seen = with_mistakes(stages, stage_and_head()[1], *(Placed(mistake, None) for mistake in two))
    explanation = seen.explain()
    assert explanation.right == seen.blocks
    assert {placed.mistake.code for placed in explanation.placed} == {mistake.code for mistake in two}


@pytest.mark.parametrize("layer", [0, slow(None)])
def test_the_layer_of_a_mistake_is_found(layer: int | None) -> None:
    stage, head = stage_and_head(layers=2, T=1)
    mistake = chosen("the derivative of o is missing")
    explanation = with_mistakes([stage], head, Placed(mistake, layer)).explain()
    assert explanation.placed == (Placed(mistake, layer),)


def test_what_no_mistake_gives_stays_unexplained() -> None:
    stage, head = stage_and_head(T=1)
    right = with_mistakes([stage], head).stages[0].observed
    strange = {block: a + np.pi if block[0] in ("x", "array of Wx_i") else a for block, a in right.items()}
    seen = Matcher([stage._replace(observed=strange)], head, {})
    unexplained = seen.blocks - seen.explain().right
    assert {block for _, block in unexplained} == {("x", None), ("array of Wx_i", (0, "Wx_i"))}


def test_a_matcher_for_a_forward_pass_with_a_mistake() -> None:
    stage, head = stage_and_head(T=2)
    base = {"slope_g": lambda q: np.ones_like(q.g)}  # right where g has no tanh
    own = Matcher([stage], head, {})
    assert not own.side(0, ()).equals(Matcher([stage], head, base).side(0, ()))
    replaced = Placed(chosen("the derivative of g is that of a sigmoid"), None)
    assert own.side(0, (replaced,)).equals(Matcher([stage], head, base).side(0, (replaced,)))


# -- findings -----------------------------------------------------------------------------------------

# unless the finding says otherwise
WARNINGS = {"F200", "D405", "L501", "L505", "T601", "T602", "T603", "T604", "T605", "T607"}


def test_findings_come_in_the_order_of_mending() -> None:
    codes = ["T603", "G110", "N701", "F205", "L504", "G102", "C301", "F200", "D402", "G101"]
    ordered = [finding.code for finding in in_order([found(code, "x", "seen") for code in codes])]
    assert ordered == ["C301", "D402", "F205", "F200", "G110", "G102", "G101", "L504", "N701", "T603"]


@pytest.mark.parametrize("code", CODES)
def test_a_finding_says_it_all(code: str) -> None:
    finding = found(code, "dWh", "1 where 2 belongs")
    assert finding.code == code and finding.where == "dWh" and finding.evidence == "1 where 2 belongs"
    assert finding.severity == ("warning" if code in WARNINGS else "error")
    assert all(words and words == words.strip() and "\n" not in words for words in finding[:-1])  # the last is a place
    assert found(code, "dWh", "", "more exactly").title == f"{finding.title}: more exactly"
