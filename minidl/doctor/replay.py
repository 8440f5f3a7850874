"""`replay`: the step in the folder of a black box, made again in another process."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from minidl.checking.naming.findings import Finding
from minidl.doctor.blackbox import STEP
from minidl.doctor.box import Box, read
from minidl.doctor.examining import Examined, examine
from minidl.layer import Layer
from minidl.losses import Loss
from minidl.optimizer import Optimizer
from minidl.saving import as_path, blaming


class Replay(NamedTuple):
    """A box, and what came of its step when it was made again."""

    box: Box
    examined: Examined


def replay(
    folder: str | os.PathLike[str],
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    classes: Iterable[type[Layer]] = (),
) -> Finding:
    """Make the step of a black box again, and walk to the operation where it went wrong.

    The finding is N701 for the forward pass, N702 for the loss and the backward pass, N703 for the update, each with
    its place; L503 for a loss that jumps, with the loss before and after the update, the largest gradient, and how far
    the update went. Where the replay has not the very bits of the training, the evidence says what is another; where
    every operation gives finite numbers, so that they came from outside of the step, the finding says that.

    Args:
        folder: of the box.
        loss, optimizer: where they are of classes of your own, for there is no code in the box.
        classes: the classes of layers of your own.

    Raises:
        OSError: for a box that cannot be read. ModelFormatError: for what is no box. ArgumentError: for what has to be
            given.

    Example:
        >>> import tempfile
        >>> folder = f"{tempfile.mkdtemp()}/black-box"
        >>> net, batch = minidl.Dense(1), minidl.Batch(np.ones((2, 3)), np.array([[1.0], [np.nan]]))
        >>> box = minidl.doctor.BlackBox(folder)
        >>> _ = minidl.Trainer(net, minidl.MeanSquaredError(), callbacks=[box], quiet=True).fit(batch)
        >>> finding = minidl.doctor.replay(folder)
        >>> finding.code, finding.where
        ('N702', 'MeanSquaredError, row 1')
    """
    return reproduce(folder, loss, optimizer, classes).examined.finding


def reproduce(
    folder: str | os.PathLike[str],
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    classes: Iterable[type[Layer]] = (),
) -> Replay:
    """As `replay`, with all that is in the box, and whether the bits are the same."""
    path = Path(as_path("replay", folder))
    file = path / STEP if path.is_dir() else path
    box = read(file, loss, optimizer, classes)
    with blaming(file):  # a batch that the net does not take
        return Replay(box, examine(box))
