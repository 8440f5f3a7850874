"""The loss beside that of a model that only counts: a net that is no better learned nothing from its inputs (L505)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.baselines import ngram_bits
from minidl.checking.naming.findings import Finding, found
from minidl.data import Batch
from minidl.doctor.overlap import streams_of
from minidl.doctor.parts import Part, targets_of
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.objective import loss_value

STILL = 0.02  # how near to the frequencies a loss stands still
FAR, LEAST = 1.5, 0.5  # times the frequencies, and by so many nats, from which on it is an error
KNOWN = 0.95  # a bigram below so much of the unigram shows that there is something to learn
FEWEST = 20  # targets to judge by


def counted(
    net: Layer, loss: Loss, batches: Sequence[Batch], vocab: Any = None, trained: bool | None = None
) -> list[Finding]:
    """L505, for a trained net whose loss is that of the targets' frequencies, or above."""
    t = targets_of(net, loss, list(batches)) if trained else None
    if t is None or t.ids is None or t.size is None:
        return []
    ids = np.concatenate([a[real].ravel() for a, real in zip(t.ids, t.real, strict=True)])
    if len(ids) < FEWEST or ids.min() < 0 or ids.max() >= t.size:
        return []
    unigram, bigram = entropy(ids), after_one(t, batches)
    value = carried_loss(net, loss, batches)
    if not math.isfinite(value) or unigram <= 0:
        return []
    evidence = f"the loss is {nats(value)}, frequencies alone have {nats(unigram)}, {most(ids, vocab)}"
    if bigram is not None:
        evidence += f", pairs (bigrams) {nats(bigram)}"
    where = f"the loss of {loss.title} over {len(batches)} batches"
    if value > (1 + STILL) * unigram + STILL:
        severity = "error" if value > FAR * unigram and value > unigram + LEAST else "warning"
        cause = "the training went apart, or has hardly begun: always to give the frequencies would be better"
        remedy = "lower the learning rate, clip the gradients (ClipNorm(5.0)), and look whether the loss falls at all"
        what = "it is worse than the frequencies of the targets"
        return [found("L505", where, evidence, what, severity=severity, cause=cause, remedy=remedy)]
    if value > (1 - STILL) * unigram and (bigram is None or bigram < KNOWN * unigram):
        cause = "it learned the frequencies only: the inputs do not reach the output, or say nothing about the targets"
        remedy = "print(net.predict(batch.x)) for two batches: where they are alike, look for the layer that lets "
        remedy += "nothing through; and compare x with t by eye"
        what = "it stands at the frequencies of the targets"
        return [found("L505", where, evidence, what, severity="warning", cause=cause, remedy=remedy)]
    return []


def entropy(ids: Array) -> float:
    """How many nats a target has, by its frequency."""
    counts = np.bincount(ids.astype(np.int64))
    p = counts[counts > 0] / len(ids)
    return float(-(p * np.log(p)).sum())


def most(ids: Array, vocab: Any = None) -> str:
    """The target that comes most often, as text where a vocabulary tells."""
    counts = np.bincount(ids.astype(np.int64))
    first = int(counts.argmax())
    name = repr(vocab.decode([first])) if vocab is not None and first < len(vocab) else f"class {first}"
    return f"{100 * counts[first] / len(ids):.0f} % are {name}"


def after_one(t: Part, batches: Sequence[Batch]) -> float | None:
    """How many nats a target has after the one before it; None for one target a row."""
    streams = [ids for ids in streams_of(t, list(batches)) if len(ids) > 1]
    if t.ids is None or t.ids[0].ndim != 2 or not streams:
        return None
    ids = np.concatenate(streams)
    return ngram_bits(ids, ids, t.size or 1, order=2)["2-gram"] * math.log(2)


def carried_loss(net: Layer, loss: Loss, batches: Sequence[Batch]) -> float:
    """The mean loss, with the state carried from batch to batch as their `start` says."""
    state, rows, total, weights = None, 0, 0.0, 0.0
    with np.errstate(all="ignore"):
        for batch in batches:
            state = state if len(batch.t) == rows and not np.all(batch.start) else None
            value, weight, _, state = loss_value(net, loss, batch, state)
            rows, total, weights = len(batch.t), total + float(value) * weight, weights + weight
    return total / weights if weights else math.nan


def nats(value: float) -> str:
    """A loss in nats and in bits."""
    return f"{value:.3f} nats ({value / math.log(2):.2f} bits)"
