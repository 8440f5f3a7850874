"""`Doctor`: a callback that watches a training, and tells what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.callbacks.base import Remembering
from minidl.checking.naming.findings import Finding
from minidl.doctor.blackbox import BlackBox
from minidl.doctor.course import Course
from minidl.doctor.data_findings import data_findings
from minidl.doctor.diagnosing import SPOILED, before_updates, first_batches, unmoved_by_targets
from minidl.doctor.diagnosis import Diagnosis
from minidl.doctor.flow import flow_findings, flows
from minidl.doctor.loss_findings import loss_findings
from minidl.doctor.training_findings import (
    climbs,
    clipping_findings,
    curve_findings,
    motion_findings,
    rate_finding,
)
from minidl.doctor.trials import best_constant, ignores_targets, largest_stable_rate
from minidl.errors import ArgumentError
from minidl.layer import Layer
from minidl.trainer import Trainer

LOOKS = 100  # updates to the first look at the loss; each later one comes after twice as many
TRAINED = 1000  # updates after which a net should know more than frequencies


class Doctor(Remembering):
    """Watches a training, and says at its end what is wrong with it, with numbers; nothing where all is well.

    Each step costs it some norms and two copies of the parameters. When something goes wrong, it looks at all of it: at
    the first number that is not finite, and where the loss leaps, it ends the training and leaves a black box, which
    `minidl doctor --replay FOLDER` opens; where the loss climbs, it looks at what flows through the net at that moment.
    Put it first in the list.

    Args:
        folder: of the black box; it is made when there is something to put into it.
        vocab: with `decode(ids)`, so that what the net reads can be shown.
        quiet: True to leave the report in `diagnosis` and print nothing.

    Attributes:
        diagnosis: of the last call of `fit`, a `Diagnosis`; None before its end.

    Notes:
        Memory: three copies of the parameters, two of the optimizer's memory, and a dozen batches; it does not grow.

    Example:
        >>> doctor = minidl.Doctor(quiet=True)
        >>> x = np.random.default_rng(0).standard_normal((64, 3))
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), minidl.SGD(9.0), [doctor], quiet=True)
        >>> with np.errstate(all="ignore"):
        ...     history = trainer.fit(x, x.sum(axis=1), epochs=20)
        >>> doctor.diagnosis.codes[0]
        'L503'
    """

    def __init__(self, folder: str = "black-box", vocab: Any = None, quiet: bool = False) -> None:
        if vocab is not None and not hasattr(vocab, "decode"):
            raise ArgumentError(f"Doctor expects vocab to have decode(ids), such as CharVocab, got {vocab!r:.80}.")
        self.box = BlackBox(folder)
        self.vocab, self.quiet = vocab, bool(quiet)
        self.forget()

    def forget(self) -> None:
        self.course = Course()
        self.noticed: list[Finding] = []  # in the moment when something went wrong
        self.next_look = LOOKS
        self.begun: Layer | None = None
        self.diagnosis: Diagnosis | None = None
        self.beginning: list[float] = []

    def on_fit_start(self, trainer: Trainer) -> None:
        super().on_fit_start(trainer)
        if self.begun is None:
            self.begun = trainer.net.copy()
        self.box.on_fit_start(trainer)

    def on_grads_ready(self, trainer: Trainer) -> None:
        self.course.on_grads_ready(trainer)
        self.box.on_grads_ready(trainer)

    def on_step_end(self, trainer: Trainer) -> None:
        self.box.on_step_end(trainer)
        if trainer.stop_reason is None:
            self.course.on_step_end(trainer)
        if self.course.updates == self.next_look:
            self.next_look *= 2
            if not self.noticed and self.climbing() is not None:
                self.noticed = self.inside(trainer)

    def climbing(self) -> str | None:
        """How the loss climbs, in words; None where it does not."""
        batches = self.course.batches
        if self.begun is None or self.trainer is None or not batches:
            return None
        self.beginning = self.beginning or before_updates(self.begun, self.trainer.loss, batches)
        return climbs(self.course, self.beginning, best_constant(self.begun, self.trainer.loss, batches))

    def inside(self, trainer: Trainer) -> list[Finding]:
        """What flows through the net on the last batch."""
        batch = trainer.batch
        if batch is None or not all(np.isfinite(p.value).all() for p in trainer.params.values()):
            return []
        found = flow_findings(flows(trainer.net, trainer.loss, batch, trainer.before))
        return [finding for finding in found if finding.code != "T602"]  # what is learned first is near

    def on_fit_end(self, trainer: Trainer) -> None:
        self.box.on_fit_end(trainer)
        if self.begun is None or not self.course.batches or sys.exception() is not None:  # an error is told as it is
            return
        findings = list(self.findings(trainer))
        if self.box.left is not None and self.box.left.finding is not None:
            findings.append(self.box.left.finding)
        rate = f"rate {self.course.highest_rate:.3g}"
        facts = {"watched": f"{self.course.updates} updates with {type(trainer.optimizer).__name__}, {rate}"}
        if self.box.left is not None:
            facts["stopped"] = self.box.left.place
        curves = {"loss": self.course.losses.values, "norm": self.course.lengths.values}
        self.diagnosis = Diagnosis(findings, curves, facts)
        if findings and not self.quiet:
            trainer.history.notes.append(str(self.diagnosis))

    def findings(self, trainer: Trainer) -> Iterator[Finding]:
        """What is wrong with the data, the loss, the net as it began, the rate, and the run."""
        course, loss, begun = self.course, trainer.loss, self.begun
        assert begun is not None  # there are batches
        batches = course.batches
        held = None if trainer.validation is None else first_batches(trainer.validation, "validation")
        with np.errstate(all="ignore"):
            data = data_findings(begun, loss, batches, self.vocab, held)
        yield from data
        if any(finding.code == SPOILED and finding.severity == "error" for finding in data):
            return
        yield from loss_findings(begun, loss, batches, self.vocab)
        if ignores_targets(begun, loss, batches[0]):
            yield unmoved_by_targets()
        yield from clipping_findings(course, trainer.callbacks)
        seen = self.climbing()
        sound = all(np.isfinite(p.value).all() for p in trainer.params.values())
        if seen is not None and trainer.interrupted is None:
            largest = largest_stable_rate(begun, loss, batches, trainer.optimizer, trainer.callbacks, trainer.seed)
            yield rate_finding(course, seen, type(trainer.optimizer).__name__, largest)
        inside = flow_findings(flows(begun, loss, batches[0])) or self.noticed
        yield from inside or (self.inside(trainer) if seen is None else [])
        if seen is None:  # what else is strange would follow from that
            yield from motion_findings(course, trainer.params, trainer.optimizer.factors(trainer.params))
        yield from curve_findings(trainer.history.rows, best_constant(begun, loss, batches))
        if sound and course.updates >= TRAINED and seen is None:
            yield from (
                f for f in loss_findings(trainer.net, loss, batches, self.vocab, trained=True) if f.code == "L505"
            )
