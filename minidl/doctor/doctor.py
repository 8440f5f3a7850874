"""`Doctor`: a callback that watches a training, and tells what is wrong with it."""

from __future__ import annotations

import copy
import math
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.callbacks.base import Remembering
from minidl.checking.naming.findings import Finding, found
from minidl.checking.report import as_text
from minidl.doctor.blackbox import BlackBox
from minidl.doctor.climbing import beginning_of, climbs
from minidl.doctor.course import Course
from minidl.doctor.data_findings import data_findings
from minidl.doctor.diagnosing import first_batches, of_the_start, spoiled
from minidl.doctor.diagnosis import Diagnosis
from minidl.doctor.flow_findings import flow_findings, late_flow_findings
from minidl.doctor.loss_findings import loss_findings
from minidl.doctor.training_findings import (
    Beginning,
    clipping_findings,
    curve_findings,
    motion_findings,
    rate_finding,
)
from minidl.doctor.trials import RANGE_STEPS, largest_stable_rate, trial
from minidl.errors import ArgumentError
from minidl.feeding import goes_once
from minidl.gradients import are_finite
from minidl.layer import Layer
from minidl.looking import Flow, flows
from minidl.optimizer import Optimizer
from minidl.trainer import Trainer

LOOKS = 100  # updates to the first look at the loss; each later one comes after twice as many
SOME = 4  # batches that tell what the loss was before the first update
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
        Memory: four copies of the parameters, two of the optimizer's memory, and two dozen batches; it does not grow.

    Example:
        >>> import tempfile
        >>> doctor = minidl.Doctor(f"{tempfile.mkdtemp()}/black-box", quiet=True)
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
        self.rule: Optimizer | None = None  # as it began: what an optimizer remembers of a climb spoils a range test
        self.diagnosis: Diagnosis | None = None
        self.around: BaseException | None = None  # in whose except clause fit was called
        self.beginning: Beginning | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        super().on_fit_start(trainer)
        if self.box.left is not None:  # that call has been told of; this one may have other data
            self.box.forget()
            self.forget()
        self.diagnosis, self.around = None, sys.exception()
        if self.begun is None:
            self.begun, self.rule = trainer.net.copy(), copy.deepcopy(trainer.optimizer)
        self.box.on_fit_start(trainer)

    def on_grads_ready(self, trainer: Trainer) -> None:
        self.box.on_grads_ready(trainer)
        if self.box.step is not None:
            self.course.take(trainer, self.box.step)

    def on_step_end(self, trainer: Trainer) -> None:
        self.box.on_step_end(trainer)
        if trainer.stop_reason is None:
            self.course.note(trainer, self.box.record.last("norm"))
        if self.course.updates == self.next_look:
            self.next_look *= 2
            if not self.noticed and self.climbing() is not None:
                self.noticed = flow_findings(self.flows(trainer))

    def climbing(self) -> str | None:
        """How the loss climbs, in words; None where it does not."""
        batches = self.course.batches[:SOME]
        if self.begun is None or self.trainer is None or not batches:
            return None
        net, loss, seed = self.trainer.net, self.trainer.loss, self.trainer.seed
        if self.beginning is None:
            self.beginning = beginning_of(self.begun, loss, batches)
        return climbs(self.course, self.begun, net, loss, seed, self.beginning)

    def too_high_at_once(self, trainer: Trainer) -> Iterator[Finding]:
        """L503, where a number is not finite before the loss could climb, and is finite at lower rates."""
        assert self.begun is not None and self.rule is not None
        given = self.begun, trainer.loss, self.course.batches, self.rule, trainer.callbacks
        course, again = trial(*given, steps=RANGE_STEPS, seed=trainer.seed)
        largest = None if again.stop_reason is None else largest_stable_rate(*given, trainer.seed)
        if largest is not None:
            seen = f"after {course.updates} updates a number is not finite"
            yield rate_finding(self.course, seen, type(trainer.optimizer).__name__, largest)

    def flows(self, trainer: Trainer) -> list[Flow]:
        """Return what flows through the recurrent layers on the last batch; nothing where a parameter is not finite."""
        batch = trainer.batch
        if batch is None or not are_finite(trainer.params):
            return []
        return flows(trainer.net, trainer.loss, batch, trainer.before)

    def on_fit_end(self, trainer: Trainer) -> None:
        self.box.on_fit_end(trainer)
        if sys.exception() is not self.around:  # an error is told as it is
            return
        if self.begun is None or not self.course.batches:
            return
        findings = list(self.findings(trainer))
        if self.box.left is not None:
            findings.append(self.box.left.finding)
        rate = f"rate {self.course.highest_rate:.3g}"
        facts = {"watched": f"{self.course.updates} updates with {type(trainer.optimizer).__name__}, {rate}"}
        if self.box.left is not None:
            facts["stopped"] = self.box.left.place
        curves = {"loss": self.course.losses.values, "norm": self.course.lengths.values}
        self.diagnosis = Diagnosis(findings, curves, facts)
        if findings and not self.quiet:
            width = min(100, shutil.get_terminal_size((100, 24)).columns)
            trainer.history.notes.append(f"the doctor's report\n\n{as_text(self.diagnosis, width)}")

    def findings(self, trainer: Trainer) -> Iterator[Finding]:
        """What is wrong with the data, the loss, the net as it began, the rate, and the run."""
        course, loss, begun = self.course, trainer.loss, self.begun
        assert begun is not None and self.rule is not None  # there are batches
        batches = course.batches
        once = trainer.validation is None or goes_once(trainer.validation)  # then nothing is left to look at
        held = None if once else first_batches(trainer.validation, "validation")
        with np.errstate(all="ignore"):
            data = data_findings(begun, loss, batches, self.vocab, held)
        yield from data
        if spoiled(data):
            return
        start = list(of_the_start(begun, loss, batches, self.vocab))
        yield from start
        yield from clipping_findings(course, trainer.callbacks)
        seen = self.climbing()
        sound = are_finite(trainer.params)
        if seen is not None:
            rule = type(trainer.optimizer).__name__
            if trainer.interrupted is None:
                largest = largest_stable_rate(begun, loss, batches, self.rule, trainer.callbacks, trainer.seed)
                yield rate_finding(course, seen, rule, largest)
            else:  # who pressed Ctrl-C does not wait for a range test
                yield found("L503", f"{rule}, rate {course.highest_rate:.3g}", seen)
        elif self.box.left is not None:
            yield from self.too_high_at_once(trainer)
        if all(f.code not in ("T601", "T602", "T603") for f in start):
            if seen is None:
                yield from late_flow_findings(self.flows(trainer), course.halved)
            else:
                yield from (f for f in self.noticed if f.code == "T601")  # of a climb the others are consequences
        if seen is None:  # what else is strange would follow from that
            yield from motion_findings(course, trainer.params, trainer.optimizer.factors(trainer.params))
        yield from curve_findings(trainer.history.rows, math.nan if self.beginning is None else self.beginning.constant)
        if sound and course.updates >= TRAINED and seen is None:
            yield from (
                f for f in loss_findings(trainer.net, loss, batches, self.vocab, trained=True) if f.code == "L505"
            )
