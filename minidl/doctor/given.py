"""`Given`: what a batch's pass was made from, kept so that it can be made again; `repeat` makes it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl import checkpoints
from minidl.data import Batch
from minidl.file_values import count, positive, refuse
from minidl.file_values import number as number_of
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.objective import LossAndGrads, loss_and_grads, loss_value
from minidl.trainer import Trainer


class Given(NamedTuple):
    """A batch, the state that it began from, the number of its Generator (seed, number), and the loss that came out."""

    batch: Batch
    state: Any
    number: int
    value: float

    def rng(self, seed: int) -> np.random.Generator:
        """The Generator of its pass."""
        return np.random.default_rng((seed, self.number))

    def loss(self, net: Layer, loss: Loss, seed: int) -> float:
        """The loss of it now."""
        return float(loss_value(net, loss, self.batch, self.state, self.rng(seed))[0])

    def repeat(self, net: Layer, loss: Loss, seed: int, weigh: bool) -> LossAndGrads:
        """Both passes once more; the gradients are added."""
        return loss_and_grads(net, loss, self.batch, self.state, self.rng(seed), weigh)


class Step(NamedTuple):
    """What an update is made from: one batch, or several whose gradients are averaged."""

    number: int  # of the update, from 1
    given: list[Given]

    @property
    def value(self) -> float:
        """The mean of the losses."""
        return sum(one.value for one in self.given) / len(self.given)

    def repeat(self, net: Layer, loss: Loss, seed: int) -> list[float]:
        """The losses of it now, and the gradients as the trainer makes them, in the net's parameters."""
        net.zero_grads()
        results = [one.repeat(net, loss, seed, len(self.given) > 1) for one in self.given]
        total = sum(result.weight for result in results)
        if len(results) > 1 and total:
            for p in net.params.values():
                p.grad /= total
        return [float(result.value) for result in results]


def step_of(trainer: Trainer) -> Step:
    """The step that is under way; batches in arrays of their own: data may be made in one buffer again and again."""
    first = trainer.batches_seen - len(trainer.values)
    parts = zip(trainer.group, trainer.befores, trainer.values, strict=True)
    return Step(
        trainer.step + 1,
        [Given(copied(batch), state, first + k, value) for k, (batch, state, value) in enumerate(parts)],
    )


def copied(batch: Batch) -> Batch:
    """A batch in arrays of its own."""
    return Batch._make(own(part) for part in batch)


def own(part: Any) -> Any:
    """An array of its own, or a tuple or dict of such."""
    if isinstance(part, tuple):
        return tuple(own(inner) for inner in part)
    if isinstance(part, dict):
        return {name: own(inner) for name, inner in part.items()}
    return part if part is None or isinstance(part, bool) else np.array(part)


def as_step(net: Layer, kept: Any) -> Step:
    """Return a step that was read from a file, of that net.

    Raises:
        ModelFormatError: for what is no step.
    """
    number, given = values("step", kept, 2)
    if type(given) is not list or not given:
        raise refuse("step", "made from a list of batches", given)
    return Step(positive("step", number), [as_given(net, one) for one in given])


def as_given(net: Layer, kept: Any) -> Given:
    """Return a batch and its facts that were read from a file."""
    parts, state, at, value = values("batch of a step", kept, 4)
    batch = Batch._make(values("batch", parts, len(Batch._fields)))
    for name, part in zip(Batch._fields, batch, strict=True):
        if name != "start" or type(part) is not bool:
            check_part(f"batch {name!r}", part, name not in ("x", "t"))
    return Given(batch, checkpoints.carried(net, state), count("batch of a step", at), number_of("loss", value))


def check_part(what: str, part: Any, may_lack: bool) -> None:
    """Refuse what is no array, or tuple or dict of arrays; None where it may lack."""
    if isinstance(part, tuple | dict) and part:
        for inner in part.values() if isinstance(part, dict) else part:
            check_part(what, inner, may_lack)
    elif not (isinstance(part, np.ndarray) or (part is None and may_lack)):
        raise refuse(what, "an array, or a tuple of arrays", part)


def values(what: str, kept: Any, size: int) -> Any:
    """Check a tuple of `size` values."""
    if type(kept) is not tuple or len(kept) != size:
        raise refuse(what, f"{size} values", kept)
    return kept
