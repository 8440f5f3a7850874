"""`BlackBox`: what is left of a training that went wrong, in a folder from which the step can be made again."""

from __future__ import annotations

import csv
import io
import textwrap
from contextlib import ExitStack, suppress
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from minidl import durable
from minidl.checking.naming.findings import Finding, found
from minidl.description import BUILT_IN, Description
from minidl.doctor.box import LOSSES, OPTIMIZERS, Box, boxed, write
from minidl.doctor.examining import BORN, JUMPS, Examined, examine
from minidl.doctor.record import Record
from minidl.doctor.watch import Trouble, Watch
from minidl.errors import ArgumentError, MinidlError
from minidl.escaping import escape, quote_path
from minidl.folder_lock import NAME, FolderLock
from minidl.trainer import Trainer

STEP, REPORT, NORMS = "step.npz", "report.txt", "norms.csv"
MOST_BOXES = 1000  # of one name
LINES = 10  # of the last steps in the report


class BlackBox(Watch):
    """Stop at the first number that is not finite, or loss that jumps, and leave all that led to it in a folder.

    `step.npz` holds the parameters and the optimizer's memory before the step, the batch, the state that it began
    from, seed and step, and the figures of the last 100 steps; of a loss that jumps it holds the step before as well,
    whose update did it. `minidl doctor --replay black-box` makes the step again in a new process, and walks to the
    operation. `report.txt` is for people, `norms.csv` for tables. A folder that is there is never written to:
    the next one is black-box-2.

    Put it first in the list, before clipping: others may stop at such numbers with an error. It costs a copy of the
    parameters and of the optimizer's memory in each step. Its own troubles never end a training with an error: where
    the folder cannot be written, the reason says so.

    Args:
        folder: where to; it is made when something went wrong.
        spike, keep: as in `Watch`: what counts as a jump, None for none; and how many steps' figures are kept.

    Attributes:
        left: the finding, and where the box lies, in words; None as long as all is well.

    Notes:
        Memory: two copies of the parameters and of the optimizer's memory, and the last batches; it does not grow.

    Example:
        >>> import tempfile
        >>> box = minidl.doctor.BlackBox(f"{tempfile.mkdtemp()}/black-box")
        >>> trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[box], quiet=True)
        >>> trainer.fit(minidl.Batch(np.ones((2, 3)), np.array([[1.0], [np.nan]]))).reason.partition("; ")[0]
        'step 1: the loss is nan (N702, MeanSquaredError, row 1)'
    """

    def __init__(self, folder: str | PathLike[str] = "black-box", spike: float | None = 10.0, keep: int = 100) -> None:
        super().__init__(spike, keep)
        if not isinstance(folder, str | PathLike):
            raise ArgumentError(f"A black box expects a folder such as 'black-box', got {folder!r:.80}.")
        self.folder = Path(folder)

    def forget(self) -> None:
        super().forget()
        self.left: Left | None = None

    def act(self, trainer: Trainer, trouble: Trouble) -> None:
        self.left = leave(boxed_or_error(self, trainer, trouble), self.folder, trouble)
        finding, place = self.left
        trainer.stop(f"step {trouble.step:,}: {trouble.words} ({finding.code}, {finding.where}); {place}")


class Left(NamedTuple):
    """What came of writing a box: the finding, and where the box lies or why it does not, in words."""

    finding: Finding
    place: str


def boxed_or_error(watch: Watch, trainer: Trainer, trouble: Trouble) -> Box | Exception:
    """A box, or why there is none."""
    try:
        return boxed(watch, trainer, trouble)
    except Exception as error:  # the training is to end in order, whatever a layer of somebody's own does
        return error


def leave(box: Box | Exception, folder: Path, trouble: Trouble) -> Left:
    """Write a box to a folder; whatever goes wrong in it is told, and raises nothing."""
    if isinstance(box, Exception):
        return Left(unplaced(trouble), f"no black box could be made: {told(box)}")
    examined: Examined | None = None
    lacking = []
    try:
        examined = examine(box)
    except Exception as error:
        lacking.append(f"the place could not be found: {told(error)}")
    finding = unplaced(trouble) if examined is None else examined.finding
    with ExitStack() as held:
        try:
            path = new_folder(folder, held)
        except OSError as error:
            return Left(finding, f"no black box could be written: {told(error)}")
        try:
            write(box, path / STEP)
        except Exception as error:
            lacking.append(f"the step could not be written: {told(error)}")
        try:
            durable.replace(path / NORMS, [table(box.record).encode()])
            durable.replace(path / REPORT, [report(box, examined, lacking, path).encode("utf-8", "replace")])
            durable.sync_folder(path.parent)
        except Exception as error:
            lacking.append(f"the report could not be written: {told(error)}")
    again = f": {how_again(box, path)}" if (path / STEP).exists() else ""
    return Left(finding, "; ".join([f"the black box lies in {path}{again}", *lacking]))


def unplaced(trouble: Trouble) -> Finding:
    """What went wrong, where its place could not be found."""
    where = f"step {trouble.step:,}"
    if trouble.what == "spike":
        return found("L503", where, trouble.words, title=JUMPS, severity="error")
    return found(BORN[trouble.what], where, trouble.words)


def how_again(box: Box, path: Path) -> str:
    """What makes the step of a box again: the command, or the call that takes the classes it has no code of."""
    layers = {type(layer) for layer in Description(box.net).layers} - {*BUILT_IN}
    own = [f"classes=[{', '.join(sorted(cls.__name__ for cls in layers))}]"] if layers else []
    for name, part, known in ("loss", box.loss, LOSSES), ("optimizer", box.optimizer, OPTIMIZERS):
        if type(part) not in known.values():
            own.append(f"{name}={type(part).__name__}(...)")
    if own:
        return f"minidl.doctor.replay({str(path)!r}, {', '.join(own)})"
    return f"minidl doctor --replay {quote_path(path)}"


def new_folder(folder: Path, held: ExitStack) -> Path:
    """Make a folder of that name, or of the next number that is free; an empty one will do.

    It is locked until `held` is closed: an empty one may be that of another process, which is about to write to it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for k in range(1, MOST_BOXES + 1):
        path = folder if k == 1 else folder.with_name(f"{folder.name}-{k}")
        with suppress(FileExistsError):
            path.mkdir()
        with ExitStack() as lock, suppress(ArgumentError):  # in use
            if not path.is_dir() or holds_files(path):
                continue
            lock.enter_context(FolderLock(path))
            if not holds_files(path):
                held.push(lock.pop_all())
                return path
    raise OSError(None, f"there are {MOST_BOXES:,} of them already: remove some", str(folder))


def holds_files(folder: Path) -> bool:
    """Return whether a folder holds more than a lock."""
    return any(path.name != NAME for path in folder.iterdir())


def told(error: Exception) -> str:
    """An error on one line."""
    if isinstance(error, OSError) and error.strerror:
        words = ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    else:
        words = str(error) if isinstance(error, MinidlError | OSError) else f"{type(error).__name__}: {error}"
    return " ".join(words.split())[:300]


# -- what people read -----------------------------------------------------------------------------


def table(record: Record) -> str:
    """The figures of the last steps as CSV."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow([*record.figures, *(f"{figure} {name}" for figure in record.each for name in record.names)])
    columns = [record.column(figure) for figure in record.figures]
    tables = [record.column(figure) for figure in record.each]
    for k in range(len(record)):
        numbers = [float(column[k]) for column in columns] + [float(v) for each in tables for v in each[k]]
        rows.writerow([int(v) if v == int(v) else repr(v) for v in numbers[:1]] + [f"{v:.9g}" for v in numbers[1:]])
    return file.getvalue()


def report(box: Box, examined: Examined | None, lacking: list[str], path: Path) -> str:
    """The report of a box."""
    trouble, record = box.trouble, box.record
    lines = [f"The black box of a training: step {trouble.step:,}, epoch {box.epoch}, seed {box.seed}", ""]
    lines += wrapped("what", trouble.words)
    finding = None if examined is None else examined.finding
    if finding is not None:
        lines += wrapped("finding", f"{finding.code}, {finding.title}")
        for name, words in ("where", finding.where), ("seen", finding.evidence), ("why", finding.cause):
            lines += wrapped(name, words)
        lines += wrapped("try", finding.remedy)
    for note in lacking:
        lines += wrapped("note", note)
    lines += wrapped("net", f"{box.net!r:.500}")
    lines += wrapped("trained by", f"{box.optimizer!r}, {type(box.loss).__name__}")
    lines += ["", "The last steps:", "", f"{'step':>10}  {'loss':>12}  {'|grad|':>12}  {'rate':>10}"]
    columns = [record.column(figure)[-LINES:] for figure in ("step", "loss", "norm", "rate")]
    for step, loss, norm, rate in zip(*columns, strict=True):
        lines.append(f"{int(step):>10,}  {loss:>12.6g}  {norm:>12.6g}  {rate:>10.3g}")
    lines += ["", f"In {escape(str(path))}:", ""]
    if (path / STEP).exists():
        lines += wrapped(STEP, "the step, to be made again: minidl doctor --replay FOLDER, or "
                         "minidl.doctor.replay(FOLDER); and a model, minidl.load, before it")  # fmt: skip
    lines += wrapped(NORMS, f"loss, rate and the norms of {len(record)} steps, by parameter")
    return "\n".join([*lines, ""])


def wrapped(name: str, words: str) -> list[str]:
    """A paragraph behind its name."""
    return textwrap.wrap(escape(words), 112, initial_indent=f"{name:<12}", subsequent_indent=" " * 12)
