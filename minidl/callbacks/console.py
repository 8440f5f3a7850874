"""`Console`: what a person sees of a training; live on a terminal, plain lines in a pipe."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from rich.cells import cell_len, chop_cells
from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.constrain import Constrain
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column as TableColumn
from rich.text import Text

from minidl.callbacks.base import Callback
from minidl.errors import ArgumentError
from minidl.escaping import escape
from minidl.figures import name_of
from minidl.losses import ClassLoss
from minidl.metrics import perplexity
from minidl.plain_console import PlainConsole
from minidl.trainer import Trainer


class Column(NamedTuple):
    """A column of the table of epochs: shown where `key` is in the row, while the line has room for its `rank`."""

    title: str
    key: str
    show: Callable[[Any], str]
    width: int
    rank: int  # of the columns that do not fit, those of the highest rank go first


def clock(seconds: float) -> str:
    """A time as people read it: 0:09, 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def rate_text(rate: float) -> str:
    """A learning rate in six characters: 4.0e-3."""
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def short(value: float) -> str:
    """A figure in at most six characters: 2.05, 3e+20, nan; z makes a -0.00 zero."""
    return f"{value:z.2f}" if abs(value) < 999 or not math.isfinite(value) else f"{value:.0e}"


def thousandths(value: float) -> str:
    """A figure in at most eight characters, with three decimals: 0.917; a smaller one as 4.2e-05."""
    if 0 < value < 5e-4:
        return f"{value:.1e}"
    return f"{value:z.3f}" if abs(value) < 999 else short(value)


def hundredths(value: float) -> str:
    """A figure in at most ten characters, with two decimals: 7.90, 12,345.67."""
    return f"{value:z,.2f}" if abs(value) < 1e6 or not math.isfinite(value) else f"{value:.1e}"


def long(value: float) -> str:
    """A figure in at most ten characters, with four digits or more: 0.01234, 25,013.7, 1.2e+30."""
    if 999.9 <= abs(value) < 1e6:
        return f"{value:,.1f}"
    return f"{value:z#.4g}" if abs(value) < 1e3 or not math.isfinite(value) else f"{value:.1e}"


class Short(NamedTuple):
    """A line that ends three columns early: the ^C that a terminal echoes behind it must not wrap."""

    line: RenderableType

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield Constrain(self.line, options.max_width - 3)


class Bar(Progress):
    """A live bar that is a short line."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from map(Short, super().get_renderables())


class Console(Callback):
    """A row of figures per epoch, and between the rows a live bar, or a plain line now and then.

    A loss over classes at every step (a language model) is shown in nats with its perplexity, or in bits where
    `bits` is asked for, or as perplexity alone; anything else as loss and metrics.

    Args:
        bits: show losses in bits per symbol, for character models.
        perplexity: show losses as perplexities, for word models.
        symbols: what the targets are called: "chars", "words", "rows".
        baselines: losses to compare with, in the unit that is shown; a row says which of them the net is below.
        interval: seconds between two lines where there is no terminal.
        file: where to print; standard output by default.

    Example:
        >>> console = minidl.Console(bits=True, symbols="chars", baselines={"4-gram": 2.03})
    """

    def __init__(
        self,
        bits: bool = False,
        symbols: str = "targets",
        baselines: Mapping[str, float] | None = None,
        interval: float = 10.0,
        file: Any = None,
        perplexity: bool = False,
    ) -> None:
        if bits and perplexity:
            raise ArgumentError("Console shows losses in bits or as perplexities, got both: leave one out.")
        self.bits, self.perplexity = bits, perplexity
        self.symbols = symbols
        self.baselines = dict(baselines or {})
        self.interval = interval
        self.file = file
        self.console = PlainConsole(file=file)
        self.progress: Progress | None = None
        self.columns: list[Column] = []

    # -- the moments of a training ----------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer) -> None:
        self.console = PlainConsole(file=self.file)
        self.columns = []
        self.language = isinstance(trainer.loss, ClassLoss) and len(trainer.net.out_shape or ()) > 1
        self.unit = "bits" if self.bits else "perplexity" if self.perplexity else "nats"
        self.began = self.last_line = self.epoch_began = time.perf_counter()
        self.first_step = self.epoch_step = trainer.step
        self.noted = len(trainer.history.notes)
        if trainer.resumed:
            self.say(f"  goes on from {trainer.resumed}", "bold")
        if self.live():
            self.progress = Bar(
                TextColumn(" "),
                SpinnerColumn(),
                TextColumn("{task.fields[epoch]}", markup=False, table_column=TableColumn(no_wrap=True)),
                BarColumn(bar_width=None, complete_style="cyan", finished_style="cyan"),
                TextColumn("{task.fields[facts]}", markup=False, table_column=TableColumn(no_wrap=True)),
                console=self.console,
                transient=True,
                expand=True,
                redirect_stdout=self.file is None,
            )
            total = 1.0 if trainer.batches_per_epoch else None  # without a length the bar only moves
            self.task = self.progress.add_task("", total=total, epoch=self.epoch_text(trainer, 1), facts="")
            self.progress.start()

    def live(self) -> bool:
        """Whether the output is a terminal that can draw the bar; colours alone may be forced upon a pipe."""
        console = self.console
        terminal = console.is_terminal and not console.is_dumb_terminal and console.file.isatty()
        return terminal and console.encoding.startswith("utf")

    def on_epoch_start(self, trainer: Trainer) -> None:
        self.epoch_step, self.epoch_began = trainer.step - trainer.groups_done, trainer.epoch_began

    def on_step_end(self, trainer: Trainer) -> None:
        self.say_notes(trainer)
        now = time.perf_counter()
        if now - self.last_line < (self.interval if self.progress is None else 0.1):
            return
        self.last_line = now
        share, epoch, facts = self.epoch_share(trainer), self.epoch_text(trainer), self.facts(trainer, now)
        percent = "" if share is None else f"{100 * share:3.0f} %  "
        if self.progress is None:
            self.say(f"  epoch {epoch}  {percent}{facts}")
        else:
            self.progress.update(self.task, completed=share or 0.0, epoch=epoch, facts=percent + facts)

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.say_notes(trainer)
        row = trainer.row
        if not self.columns:
            self.columns = self.choose_columns(trainer, row)
            titles = "  ".join(column.title.rjust(column.width) for column in self.columns)
            unit = "perplexity" if self.perplexity else f"loss in {self.unit}"
            self.say(f"{titles}  {unit if self.language else ''}".rstrip(), "bold")
        cells = [(column.show(row[column.key]) if column.key in row else "") for column in self.columns]
        line = "  ".join(cell.rjust(column.width) for cell, column in zip(cells, self.columns, strict=True))
        self.say(f"{line}  {self.beaten(row)}".rstrip())
        if row.get("sample"):
            self.show_sample(row["sample"])

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
        self.say_notes(trainer)
        dominant = Counter(row["dominant"] for row in trainer.history.rows if row.get("dominant"))
        if dominant:
            self.say(f"  the largest gradient was most often that of {dominant.most_common(1)[0][0]}")
        if trainer.stop_reason:
            self.say(f"  stopped: {trainer.stop_reason}", "bold")

    # -- the words --------------------------------------------------------------------------------

    def say(self, line: str, style: str = "") -> None:
        """Print a line as it is, whatever its width; what the output cannot encode becomes a question mark."""
        encoding, line = self.console.encoding, escape(line, keep="\n")
        self.console.print(Text(line.encode(encoding, "replace").decode(encoding), style=style), soft_wrap=True)

    def say_notes(self, trainer: Trainer) -> None:
        """Print what callbacks noted since the last time."""
        for note in trainer.history.notes[self.noted :]:
            self.say(f"  {note}", "bold")
        self.noted = len(trainer.history.notes)

    def show_sample(self, sample: str) -> None:
        """Print the first two lines of a sample, its line breaks as blanks."""
        words = escape(" ".join(sample.split()))
        width = max(20, min(self.console.width, 120) - 11)
        first = next((line.plain.rstrip() for line in Text(words).wrap(self.console, width)), "")
        if cell_len(first) < width // 2:  # a script without blanks breaks anywhere
            first = next(iter(chop_cells(words, width)), "")
        rest = Text(words[len(first) :].lstrip())
        rest.truncate(width, overflow="ellipsis")
        for title, line in ("sample", first), ("", rest.plain):
            if line:
                self.say(f"  {title:6}  {line}", "dim")

    def choose_columns(self, trainer: Trainer, row: Mapping[str, Any]) -> list[Column]:
        """The columns that this training has figures for, and that the line has room for."""
        show, width = (lambda v: short(self.figure(v)), 6) if self.language else (long, 10)
        if self.language and self.perplexity:
            show, width = lambda v: hundredths(self.figure(v)), 10
        model = "valid_loss" if "valid_loss" in row else "loss"
        metrics = [name_of(metric) for metric in trainer.metrics]
        in_nats_or_bits = self.language and not self.perplexity
        candidates = [
            Column("epoch", "epoch", str, 5, 0),
            Column("train" if "valid_loss" in row else "loss", "loss", show, width, 0),
            Column("valid", "valid_loss", show, width, 0),
            *([Column("perplexity", model, lambda v: hundredths(perplexity(v)), 10, 9)] if in_nats_or_bits else []),
            *(Column(name, name, thousandths, 8, 2) for name in metrics),
            *(Column(f"valid {name}", f"valid_{name}", thousandths, 8, 1) for name in metrics),
            Column("|grad|", "norm", short, 6, 5),
            Column("clipped", "clipped", lambda v: f"{100 * v:.0f} %", 7, 4),
            Column("rate", "rate", rate_text, 6, 6),
            Column(f"{self.symbols}/s", "targets_per_second", lambda v: f"{v:,.0f}", 8, 7),
            Column("time", "seconds", clock, 7, 3),
        ]
        columns = [c._replace(width=max(c.width, len(c.title))) for c in candidates if c.key in row]
        note = max((len(f"  below {name}") for name in self.baselines), default=14 if self.language else 0)
        while sum(c.width + 2 for c in columns) - 2 + note > self.console.width and any(c.rank for c in columns):
            columns.remove(max(columns, key=lambda c: c.rank))
        return columns

    def figure(self, loss: float) -> float:
        """A loss in the unit that is shown."""
        if not self.language:
            return loss
        return loss / math.log(2) if self.bits else perplexity(loss) if self.perplexity else loss

    def beaten(self, row: Mapping[str, Any]) -> str:
        """The hardest baseline that the net is below, as "below 4-gram"."""
        value = self.figure(row.get("valid_loss", row["loss"]))
        below = {name: other for name, other in self.baselines.items() if value < other}
        return f"below {min(below, key=below.__getitem__)}" if below else ""

    def epoch_text(self, trainer: Trainer, ahead: int = 0) -> str:
        """Epoch and number of epochs, 3/12; the latter unknown where the number of steps ends the training."""
        epoch, last = trainer.epoch + ahead, trainer.last_epoch
        if trainer.last_step is not None and trainer.batches_per_epoch:
            per_epoch = math.ceil(trainer.batches_per_epoch / trainer.accumulate)
            left = math.ceil((trainer.last_step - self.epoch_step) / per_epoch)
            last = min(last, epoch + left - 1)
        return f"{epoch}" if last == math.inf else f"{epoch}/{last}"

    def epoch_share(self, trainer: Trainer) -> float | None:
        """How much of the epoch is done; None where its length is not known."""
        if not trainer.batches_per_epoch:
            return None
        return min(1.0, (trainer.step - self.epoch_step) * trainer.accumulate / trainer.batches_per_epoch)

    def facts(self, trainer: Trainer, now: float) -> str:
        """Step, loss, norm, rate, speed and time left, as one line."""
        parts = [f"step {trainer.step:,}"]
        parts.append(
            f"{short(self.figure(trainer.value))} {self.unit}" if self.language else f"loss {long(trainer.value)}"
        )
        norm = next((c.before for c in trainer.callbacks if hasattr(c, "before")), None)
        if norm is not None and self.console.width >= 100:
            parts.append(f"|g| {short(norm)}")
        if self.console.width >= 100:
            parts.append(f"rate {rate_text(trainer.optimizer.rate)}")
        parts.append(f"{trainer.means.count / max(now - self.epoch_began, 1e-9):,.0f} {self.symbols}/s")
        left = self.seconds_left(trainer, now)
        if left is not None:
            parts.append(f"{clock(left)} left")
        return "  ".join(parts)

    def seconds_left(self, trainer: Trainer, now: float) -> float | None:
        """From the speed so far, or a time budget; None where the length of the training is not known."""
        budget = next((c for c in trainer.callbacks if hasattr(c, "time_left")), None)
        if budget is not None:
            return float(budget.time_left())
        if not trainer.batches_per_epoch and trainer.last_step is None:
            return None
        ends: list[float] = []
        if trainer.last_step is not None:
            ends.append(trainer.last_step - trainer.step)
        if trainer.batches_per_epoch:
            per_epoch = math.ceil(trainer.batches_per_epoch / trainer.accumulate)
            ends.append((trainer.last_epoch - trainer.epoch + 1) * per_epoch - (trainer.step - self.epoch_step))
        done = trainer.step - self.first_step
        return max(0.0, min(ends)) * (now - self.began) / done if done and min(ends) < math.inf else None
