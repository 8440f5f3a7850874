"""Mutation matching: which mistakes, put into the textbook's backward pass, give exactly the numbers that came.

Each stage is one backward pass of the hand-written code on few steps; the blocks of its gradients, array by array and
gate by gate, are what has to be reproduced. Mistakes are peeled off one after the other: the one that explains most
blocks comes first, and the next is sought with it in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minidl.checking.naming.forwards import AGREE, Head, State
from minidl.checking.naming.head import head_backward
from minidl.checking.naming.mistake import Mistake
from minidl.checking.naming.mistakes import BACKWARD_MISTAKES
from minidl.checking.naming.textbook import Pass, Pieces, backward
from minidl.inputs import Array

Block = tuple[str, Any]  # (name of the array, gate's key or None)
BEAM = 4  # explanations that are followed at once
ROUNDS = 8  # mistakes at most
BUDGET = 40_000  # steps of a layer that the search may compute, some 8 seconds: it has to end where nothing fits


class Stage(NamedTuple):
    """One backward pass of the hand-written code, and what the textbook needs to do the same."""

    run: Pass
    rows: Array  # x as it came, [B, T, D], or one-hot
    weights: Mapping[Any, Array]
    dy: Array | None  # [B, T, F] behind the head; None in a loss
    target: Array | None  # [B, T, F] in a loss
    dstate: State
    observed: dict[Block, Array]
    factor: float  # of a loss, at this number of steps


class Placed(NamedTuple):
    """A mistake and the layer it is in; None for all layers."""

    mistake: Mistake
    layer: int | None


class Explanation(NamedTuple):
    """Mistakes, and the blocks of each stage that they reproduce."""

    placed: tuple[Placed, ...]
    right: frozenset[tuple[int, Block]]


class Matcher:
    """Seeks the mistakes behind what was observed, step by step and greedily: few mistakes, but not surely the fewest.

    Args:
        stages: what was observed.
        head: what stands behind the LSTM.
        base: pieces of a backward pass that fits the forward pass's mistakes, or none.
    """

    def __init__(self, stages: list[Stage], head: Head, base: Pieces) -> None:
        self.stages, self.head, self.base = stages, head, base
        self.depth = len(stages[0].run.steps)
        self.blocks = frozenset((k, block) for k, stage in enumerate(stages) for block in stage.observed)
        self.seen = [Side.of(stage.observed) for stage in stages]
        self.active = list(range(len(stages)))
        self.spent = 0
        layers: list[int | None] = [None] if self.depth == 1 else [None, *range(self.depth)]
        self.candidates = [Placed(mistake, layer) for mistake in BACKWARD_MISTAKES for layer in layers]

    def explain(self) -> Explanation:
        """The explanation that reproduces most blocks, as far as the search finds one."""
        plain = Explanation((), self.right(()))
        if plain.right == self.blocks:
            return plain
        self.candidates, whole = self.try_each()
        for placed in whole:
            right = self.right((placed,))
            if right == self.blocks:
                return Explanation((placed,), right)
        lengths = sorted({self.length(k) for k in range(len(self.stages))})
        every = self.candidates
        # where dh or dc never goes back in time, that of the final state goes nowhere either: no mistake of its own
        self.candidates = [placed for placed in every if "end" not in placed.mistake.pieces]
        best = self.peeled(lengths)  # one step first, then what time adds
        if best.right != self.blocks:
            self.candidates = every
            best = max(best, self.peeled(lengths), key=lambda e: len(e.right))
        return best

    def peeled(self, lengths: list[int]) -> Explanation:
        """Mistakes one after the other, on stages of growing length."""
        beam = [Explanation((), frozenset())]
        for T in lengths:
            self.active = [k for k in range(len(self.stages)) if self.length(k) <= T]
            beam = self.widened([Explanation(e.placed, self.right(e.placed)) for e in beam])
        return self.shortest(beam[0])

    def widened(self, beam: list[Explanation]) -> list[Explanation]:
        """Explanations with more mistakes, until all that is active is reproduced, or none helps."""
        goal = {(k, block) for k, block in self.blocks if k in self.active}
        for _ in range(ROUNDS):
            beam.sort(key=lambda e: -len(e.right))
            if beam[0].right == goal or self.spent > BUDGET:
                break
            longer = {frozenset(map(id, better.placed)): better for known in beam for better in self.extend(known)}
            if not longer:
                break
            most = max(len(e.right) for e in longer.values())
            beam = [e for e in longer.values() if len(e.right) == most][:BEAM]
        return beam

    def length(self, k: int) -> int:
        """The number of steps of a stage."""
        return self.stages[k].run.h.shape[1]

    def try_each(self) -> tuple[list[Placed], list[Placed]]:
        """Each mistake alone, at the last stage: those that change anything here, and those that explain it all.

        Without peepholes, none of theirs changes anything.
        """
        last = len(self.stages) - 1
        plain = self.side(last, ())
        effective, whole = [], []
        for placed in self.candidates:
            side = self.side(last, (placed,))
            if not plain.equals(side):
                effective.append(placed)
                if self.seen[last].agreement(side).all():
                    whole.append(placed)
        return effective, whole

    def extend(self, known: Explanation) -> list[Explanation]:
        """The explanation with one mistake more, where that reproduces more; the best few."""
        taken = {name for p in known.placed for name in p.mistake.pieces}
        found = []
        single = self.length(self.active[-1]) == 1
        for candidate in self.candidates:
            if single and candidate.mistake.pieces.keys() & {"steps", "keep"}:
                continue  # which steps run, and what is kept of each, is told by more than one
            if not taken & candidate.mistake.pieces.keys():
                placed = (*known.placed, candidate)
                right = self.right(placed)
                if len(right) > len(known.right):
                    found.append(Explanation(placed, right))
        return sorted(found, key=lambda e: -len(e.right))[:BEAM]

    def shortest(self, explanation: Explanation) -> Explanation:
        """Without mistakes that a later one made superfluous."""
        self.active = list(range(len(self.stages)))
        explanation = Explanation(explanation.placed, self.right(explanation.placed))
        for p in explanation.placed:
            rest = tuple(other for other in explanation.placed if other is not p)
            right = self.right(rest)
            if len(right) >= len(explanation.right):
                explanation = Explanation(rest, right)
        return explanation

    def right(self, placed: tuple[Placed, ...]) -> frozenset[tuple[int, Block]]:
        """The blocks that these mistakes reproduce."""
        return frozenset(
            (k, block)
            for k in self.active
            for seen in [self.seen[k]]
            for block, same in zip(seen.blocks, seen.agreement(self.side(k, placed)), strict=True)
            if same
        )

    def side(self, k: int, placed: tuple[Placed, ...]) -> Side:
        """What the textbook gives at a stage with these mistakes, block by block as it was observed."""
        stage = self.stages[k]
        self.spent += self.depth * self.length(k)
        pieces = [
            {**self.base, **{k: f for p in placed if p.layer in (None, n) for k, f in p.mistake.pieces.items()}}
            for n in range(self.depth)
        ]
        head = self.head._replace(factor=stage.factor)
        with np.errstate(all="ignore"):
            dh, out = head_backward(head, stage.run, stage.weights, stage.dy, stage.target, pieces[-1])
            result = backward(stage.run, dh, stage.dstate, pieces)
        predicted: dict[Any, Array] = {("x", None): result.dx} | result.weights | out
        if (-1, "E") in stage.weights:
            predicted[-1, "E"] = pieces[0].get("E", embedding_gradient)(stage.rows, result.dx)
        for n, (dh0, dc0) in enumerate(result.dstate):
            predicted |= {("h0", n): dh0, ("c0", n): dc0}
        B, T = stage.run.h.shape[:2]
        found = {}
        for block, seen in stage.observed.items():
            name, key = block
            layer, letter = (key, name) if block in predicted else key
            scale = pieces[layer if isinstance(layer, int) and layer >= 0 else -1].get("scale")
            numbers = padded(predicted[block if block in predicted else key], seen.shape)
            found[block] = numbers if scale is None else numbers * scale(letter, T, B)
        return Side.of(found)


class Side(NamedTuple):
    """The gradients of one stage behind each other, to be compared block by block at once."""

    blocks: list[Block]
    numbers: Array
    begins: Array
    sizes: Array  # the largest entry of each block

    @classmethod
    def of(cls, gradients: Mapping[Block, Array]) -> Side:
        """Put the blocks behind each other."""
        numbers = np.concatenate([a.ravel() for a in gradients.values()])
        begins = np.cumsum([0, *(a.size for a in gradients.values())])[:-1]
        return cls(list(gradients), numbers, begins, np.maximum.reduceat(abs(numbers), begins))

    def agreement(self, other: Side) -> Array:
        """Block by block, whether the numbers agree; what is next to 0 in both does."""
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.maximum.reduceat(abs(self.numbers - other.numbers), self.begins)
            sizes = np.maximum(self.sizes, other.sizes)
            finite = self.sizes[np.isfinite(self.sizes)]
            same = np.isfinite(error) & (error <= AGREE * sizes)
            return same | (sizes <= 1e-9 * finite.max(initial=0.0))

    def equals(self, other: Side) -> bool:
        """Whether all numbers are the same."""
        return np.array_equal(self.numbers, other.numbers, equal_nan=True)


def embedding_gradient(rows: Array, dx: Array) -> Array:
    """The gradient of an embedding: each id's dx adds up in its row."""
    return np.tensordot(rows, dx, ([0, 1], [0, 1]))


def padded(a: Array, shape: tuple[int, ...]) -> Array:
    """Weights of their own at each step, of which the last steps did not run: their gradient is 0."""
    if a.ndim == len(shape) and a.ndim and len(a) < shape[0] and a.shape[1:] == shape[1:]:
        return np.concatenate([a, np.zeros((shape[0] - len(a), *shape[1:]))])
    return a
