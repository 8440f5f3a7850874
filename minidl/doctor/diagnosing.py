"""`diagnose`: the data, the loss and the training of a net, looked at one after the other, on copies."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from minidl.arguments import positive_int, with_argument_help
from minidl.checking.naming.findings import Finding, found
from minidl.checking.nonfinite import find_nonfinite
from minidl.data import Batch
from minidl.doctor.climbing import beginning_of, climbs
from minidl.doctor.constant import best_constant
from minidl.doctor.course import Course
from minidl.doctor.data_findings import data_findings
from minidl.doctor.diagnosis import Diagnosis
from minidl.doctor.flow_findings import flow_findings, late_flow_findings
from minidl.doctor.given import copied
from minidl.doctor.loss_findings import loss_findings
from minidl.doctor.slopes import wrong_gradients
from minidl.doctor.training_findings import (
    clipping_findings,
    curve_findings,
    motion_findings,
    rate_finding,
)
from minidl.doctor.trials import (
    Heart,
    by_heart,
    ignores_targets,
    largest_stable_rate,
    rows_of,
    smaller,
    trial,
)
from minidl.errors import ArgumentError
from minidl.feeding import batches_of, epoch_of
from minidl.history import History
from minidl.layer import Layer
from minidl.looking import flows
from minidl.losses import Loss
from minidl.misfits import loss_misfit
from minidl.objective import check_given
from minidl.optimizer import Optimizer
from minidl.trainer import Trainer, build_for

CLIMBS = {
    "cause": "the gradient leads away from where the loss falls: its sign, or a derivative, is wrong",
    "remedy": "check each layer of your own, and the loss: minidl check, or minidl.checking.check_layer",
}
BATCHES = 50  # of an epoch that are looked at
HINDERS = "D403", "T601", "T603"  # they keep a net from learning
EXPLAINED = "L504", "T606"  # why gradients are others than those of the loss


@with_argument_help
def diagnose(
    net: Layer,
    loss: Loss,
    batches: Any,
    optimizer: Optimizer | None = None,
    vocab: Any = None,
    *,
    validation: Any = None,
    callbacks: Sequence[Any] = (),
    history: History | None = None,
    trained: bool | None = None,
    steps: int = 100,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Why a training does not learn: what is wrong with its data, its loss, its rate, the net inside, with numbers.

    It looks at the batches, at the loss before any update, for numbers that are not finite, at what flows through the
    recurrent layers, whether the gradients are about those of the loss, whether a small batch can be learned by heart;
    then it trains a copy for some steps, and where the loss climbs looks for a rate at which it does not. Nothing that
    is handed in is changed.

    Args:
        net: a net, built or not, at any stage of its training.
        loss: as for `Trainer`.
        batches: as for `Trainer.fit`: an iterable of `Batch`, or a pair of arrays (x, t). The first 50 are used.
        optimizer: what the training uses; None leaves out what is said of rates and updates.
        vocab: with `decode(ids)`, so that what the net reads can be shown.
        validation: as `batches`; whether the two overlap is looked at.
        callbacks: those of the training; what clips is used in the trial.
        history: of the training so far, for what its curves say.
        trained: True where the net has had its training, so that it should know more than frequencies; False where it
            has had none; None where neither is known.
        steps: of the trial.
        seed: of an unbuilt net's weights, of dropout.
        progress: called with what is being done, in words.

    Returns:
        A `Diagnosis`: `.findings`, errors first, causes before consequences; `.ok`; a report when printed.

    Raises:
        ArgumentError: for what is no net, loss, batches or optimizer, and for data that are empty.

    Notes:
        It takes about as long as `steps` + 100 updates, and twice that where the rate is too high.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> net = minidl.Sequential([minidl.Embedding(20, 8), minidl.LSTM(8, return_sequences=True), minidl.Dense(20)])
        >>> ids = np.tile(np.arange(10), (4, 1))  # positions, where the ids of a text belong
        >>> batches = [minidl.Batch(ids, rng.integers(0, 20, (4, 10))) for _ in range(3)]
        >>> minidl.diagnose(net, minidl.SoftmaxCrossEntropy(), batches).codes[0]
        'D401'
    """
    say = progress or (lambda words: None)
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise ArgumentError(
            f"diagnose expects optimizer to be an Optimizer such as Adam(1e-3) or None, got {optimizer!r}."
        )
    steps = positive_int("diagnose", "steps", steps)
    check_options(vocab, callbacks, history, trained, seed, progress)
    first = [copied(batch) for batch in first_batches(batches, "data", epoch=0)]  # a layer may write into its inputs
    held = None if validation is None else first_batches(validation, "validation")
    net = built(net, first[0], seed)
    check_given(net, loss, first[0])
    say("the data")
    findings = data_findings(net, loss, first, vocab, held)
    facts = {"looked at": f"{len(first)} batch{'es' * (len(first) > 1)} of {rows_of(first[0])} rows"}
    if spoiled(findings):
        facts["left out"] = "loss, net and training: the data come first"
        return Diagnosis(findings, facts=facts)
    say("numbers that are not finite")
    nonfinite = find_nonfinite(net, loss, first[0], optimizer=optimizer, rng=np.random.default_rng((seed, 0)))
    if nonfinite is not None:
        return Diagnosis([*findings, nonfinite], facts=facts)
    say("loss and gradients before the first update")
    findings += of_the_start(net, loss, first, vocab, trained)
    if loss_misfit(net, loss) is not None:
        facts["left out"] = "training: the outputs have to fit the loss first"
        return Diagnosis(findings, facts=facts)
    if not any(p.trainable for p in net.params.values()):
        return Diagnosis(findings, facts=facts)
    say("whether the gradients are those of the loss")
    if all(finding.code not in EXPLAINED for finding in findings):
        slopes = wrong_gradients(net, loss, smaller(net, loss, first[0])[0], seed)
        findings += [] if slopes is None else [slopes]
    say("whether a small batch can be learned by heart")
    heart = by_heart(net, loss, first, seed)
    if all(finding.code != "L502" for finding in findings):
        findings += heart_findings(heart)
    facts["by heart"] = heart_in_words(heart)
    curves: dict[str, list[float]] = {}
    if optimizer is not None:
        say(f"a trial of {steps} updates")
        course, trainer = trial(net, loss, first, optimizer, callbacks, steps, seed)
        facts["trial"] = f"{course.updates} updates with {type(optimizer).__name__}, rate {course.highest_rate:.3g}"
        curves = {"loss": course.losses.values, "norm": course.lengths.values}
        findings += run_findings(net, loss, first, optimizer, callbacks, course, trainer, say)
        if all(finding.code != "L503" for finding in findings):  # what else is strange would follow from that
            params = trainer.params
            findings += motion_findings(course, params, optimizer.factors(net.params))
            if not any(finding.code in ("T601", "T603") for finding in findings):
                findings += late_flow_findings(flows(trainer.net, loss, first[0]), course.halved)
    if history is not None:
        findings += curve_findings(history.rows, best_constant(net, loss, first))
    return Diagnosis(raised(findings), curves, facts)


def raised(findings: list[Finding]) -> list[Finding]:
    """The findings, with what keeps a batch from being learned by heart as errors: it is the cause of L502."""
    if all(finding.code != "L502" for finding in findings):
        return findings
    return [f._replace(severity="error") if f.code in HINDERS else f for f in findings]


def first_batches(data: Any, what: str, epoch: int | None = None) -> list[Batch]:
    """Return the first batches of an epoch of a training run, or in order where it is None."""
    return list(islice(epoch_of(batches_of(data, None, 32), epoch, what), BATCHES))


def check_options(vocab: Any, callbacks: Any, history: Any, trained: Any, seed: Any, progress: Any) -> None:
    """Refuse what none of these can be."""
    expected = [
        (vocab is None or hasattr(vocab, "decode"), "vocab to have decode(ids), such as CharVocab", vocab),
        (isinstance(callbacks, Sequence), "callbacks to be a list", callbacks),
        (history is None or isinstance(history, History), "history to be what fit returns", history),
        (trained in (None, True, False), "trained to be True, False or None", trained),
        (isinstance(seed, int) and seed >= 0, "seed to be an integer of at least 0", seed),
        (progress is None or callable(progress), "progress to be a function of words", progress),
    ]
    for fits, what, got in expected:
        if not fits:
            raise ArgumentError(f"diagnose expects {what}, got {got!r:.80}.")


def built(net: Any, batch: Batch, seed: int) -> Layer:
    """The net; one that is not built, as a copy that is."""
    if isinstance(net, Layer) and net.in_shape is None:
        net = copy.deepcopy(net)
        build_for(net, batch.x, seed)
    return net  # what it is, is checked beside loss and batch


def spoiled(findings: Sequence[Finding]) -> bool:
    """Whether the data are such that what else would be found follows from them."""
    return any(finding.code == "D403" and finding.severity == "error" for finding in findings)


def of_the_start(
    net: Layer, loss: Loss, batches: Sequence[Batch], vocab: Any, trained: bool | None = None
) -> Iterator[Finding]:
    """What is wrong before the first update: the loss, gradients that ignore it, a net that is frozen, the flow."""
    yield from loss_findings(net, loss, batches, vocab, trained)
    if ignores_targets(net, loss, batches[0]):
        seen = (
            "all gradients are the same, to a millionth, when the targets of the first batch are exchanged for others"
        )
        yield found("T606", "the loss", seen, title="the gradients do not change with the target")
    if not any(p.trainable for p in net.params.values()):
        yield found("T606", "the net", "all of its parameters are frozen", "there is nothing to be trained")
    yield from flow_findings(flows(net, loss, batches[0]))


def heart_findings(heart: Heart) -> Iterator[Finding]:
    """L502, where a small batch could not be learned by heart."""
    if not heart.known:
        yield found("L502", "the first batch", heart_in_words(heart), **(CLIMBS if heart.climbs else {}))


def heart_in_words(heart: Heart) -> str:
    """How the trial went."""
    steps = "" if heart.steps is None else f", {heart.steps} steps each"
    constant = "" if math.isnan(heart.constant) else f"; a constant output has {heart.constant:.3g}"
    return (
        f"{heart.rows} rows{steps}: loss {heart.first:.3g} to {heart.last:.3g} in {heart.updates} updates of Adam(1e-2)"
        f"{constant}"
    )


def run_findings(
    net: Layer,
    loss: Loss,
    batches: Sequence[Batch],
    optimizer: Optimizer,
    callbacks: Sequence[Any],
    course: Course,
    trainer: Trainer,
    say: Callable[[str], None],
) -> Iterator[Finding]:
    """L503 and T605 of a trial from `net`."""
    yield from clipping_findings(course, callbacks)
    seen = climbs(course, net, trainer.net, loss, trainer.seed, beginning_of(net, loss, batches))
    if trainer.stop_reason is not None:
        seen = f"after {course.updates} updates a number is not finite; {seen or 'the loss did not climb before'}"
    if seen is not None:
        say("a rate that stays stable")
        largest = largest_stable_rate(net, loss, batches, optimizer, callbacks, trainer.seed)
        yield rate_finding(course, seen, type(optimizer).__name__, largest)
