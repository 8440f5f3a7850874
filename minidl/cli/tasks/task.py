"""`Task`: what the command does with one of the models; `Job`: a training that is ready to begin."""

from __future__ import annotations

import argparse
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from minidl.callbacks import Callback
from minidl.container import Container
from minidl.errors import ArgumentError
from minidl.escaping import escape
from minidl.figures import Metric
from minidl.losses import Loss
from minidl.optimizer import Optimizer
from minidl.optimizers import Adam
from minidl.schedules import CosineLR


@dataclass
class Job:
    """A training that is ready to begin: the files are read, the net is made, but not built.

    Args:
        net: what is trained; `net.vocab` is set where there is one.
        in_shape: what it is built for, as `Layer.build` takes it.
        train, valid, test: batches; test may be None.
        loss: what is made small.
        facts: what the model's file is to tell: of the data first, and all that a prediction needs.
        heading: what the first line of the console says of the data and the net, in parts.
        baselines: figures to compare the validation with, in the unit of the task, by name; none is fine.
        uniform: the validation loss of a uniform guess, which a useful model is below; None for that of the untrained
            net.
        sample: what of the data these figures are of, in words, where they are not of all of it.
        metrics, callbacks: of the trainer, beside those of every training.
        keep_best: whether the weights of the epoch of the best validation are saved, or else the last ones.
        hint: what to do with the model, a line of the shell in which {model} stands for its file.
    """

    net: Container
    in_shape: Any
    train: Any
    valid: Any
    test: Any
    loss: Loss
    facts: dict[str, Any]
    heading: list[str]
    uniform: float | None = None
    baselines: dict[str, float] = field(default_factory=dict)
    sample: str = ""
    metrics: list[Metric] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)
    keep_best: bool = True
    hint: str = "minidl predict {model}"


class Task(ABC):
    """What the command does with one of the models. A subclass writes `add_arguments`, `job` and `predict`.

    Attributes:
        paths: what the files are that it is trained on, for the help.
        defaults: of the options that all models have, where they are others.
        length: how long it trains where nothing is said: an option and its value.
        unit: what losses are shown in: "bits", "perplexity", or "loss".
        measure: what the losses are, in words, beside the baselines: "bits per character".
        symbols: what the targets are called: "chars", "rows".
    """

    paths: ClassVar[str]
    defaults: ClassVar[dict[str, Any]] = {}
    length: ClassVar[tuple[str, float]] = ("minutes", 1.5)
    unit: ClassVar[str] = "loss"
    measure: ClassVar[str] = "loss"
    symbols: ClassVar[str] = "rows"

    @abstractmethod
    def add_arguments(self, add: Callable[..., Any]) -> None:
        """The options that this model has beside those of all."""

    def defaults_of(self, given: Sequence[str]) -> dict[str, Any]:
        """The defaults of the options, which may depend on others that were given."""
        return self.defaults

    def length_of(self, args: argparse.Namespace) -> tuple[str, float]:
        """How long it trains where nothing is said."""
        return self.length

    @abstractmethod
    def job(self, args: argparse.Namespace) -> Job:
        """Read the files, and make all that a training takes."""

    def optimizer(self, args: argparse.Namespace, steps: int, steps_per_epoch: int) -> Optimizer:
        """How the parameters are updated, in a training of so many steps."""
        return Adam(CosineLR(args.lr, steps, warmup=min(100, steps // 10), final=args.lr / 100))

    @abstractmethod
    def predict(self, net: Any, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
        """What a trained net says of the inputs: a dict for each line of the output."""

    def line(self, row: dict[str, Any]) -> str:
        """A row of the predictions as a line for people."""
        return "\t".join(f"{value:.4g}" if isinstance(value, float) else escape(str(value)) for value in row.values())

    def figure(self, loss: float) -> float:
        """A loss in the unit that is shown."""
        return loss

    def verdict(self, figures: dict[str, Any]) -> str:
        """A loss, in the unit that is shown, and metrics as words, for the last lines."""
        return ", ".join(f"{name} {value:z.4g}" for name, value in figures.items())


def from_models(name: str) -> Any:
    """Return a public name of `minidl.models`, imported at run time because the models import minidl."""
    return getattr(importlib.import_module("minidl.models"), name)


def no_default_data(name: str, what: str) -> ArgumentError:
    """The error for a model that has no data of its own to train on."""
    return ArgumentError(f"--model {name} expects {what} to train on, got none: name a file.")
