"""`--model forecaster`: how series of numbers go on, with quantiles, learned from tables with a step a row."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from minidl.arguments import is_real
from minidl.cli.loading import finite_outputs
from minidl.cli.options import count
from minidl.cli.tasks.forecast_lines import ForecastRow, bar, number_texts
from minidl.cli.tasks.inputs import standard_input, title
from minidl.cli.tasks.task import Job, Task, from_models, no_default_data
from minidl.errors import ArgumentError
from minidl.escaping import escape, quote_path
from minidl.forecasting import forecast, naive_forecast
from minidl.inputs import Array
from minidl.quantiles import QuantileLoss, coverage, median_error
from minidl.series import Scaler, SeriesWindows, split_series
from minidl.series_table import check_steps, places_rows
from minidl.tables import Table, parse_table, plain_numbers, read_table
from minidl.text import count_of

QUANTILES = 0.1, 0.5, 0.9
USUAL = "y", "target", "value"
COUNTED = 10_000  # windows of the training part that the spread of a naive forecast is taken from


class Forecaster(Task):
    """Trains on windows of series, each followed by the steps to tell; says how a series goes on behind its end."""

    paths = (
        "CSV, TSV or JSONL files, each a series: a step a row, the oldest first, numbers in its columns (no default)"
    )
    defaults: ClassVar[dict[str, Any]] = {"units": 32, "lr": 5e-3, "clip": 1.0}
    length = ("epochs", 30)
    measure = "quantile loss"
    symbols = "numbers"

    def add_arguments(self, add: Callable[..., Any]) -> None:
        add("--target", metavar="COLUMN,...", help="what is told, by column (default: y, target or value, or the last)")
        add("--inputs", metavar="COLUMN,...", help="what the net sees (default: all of numbers but counted steps)")
        add("--horizon", metavar="N", type=count, default=12, help="how many steps it tells")
        add("--window", metavar="N", type=count, default=36, help="how many steps before them it sees")
        add(
            "--season", metavar="N", type=count,
            help="after how many steps it comes round, 12 for months: a baseline (default: no such one)",
        )  # fmt: skip

    def job(self, args: argparse.Namespace) -> Job:
        if not args.paths:
            raise no_default_data("forecaster", "a table with a step a row, CSV say,")
        if args.season is not None and args.season > args.window:
            raise ArgumentError(
                f"--season {args.season} expects a window that is as long, got --window {args.window}: write --window "
                f"{2 * args.season}, say."
            )
        tables = [read_table(path) for path in args.paths]
        columns, targets, left_out = choose(tables[0], args)
        share = args.valid if isinstance(args.valid, float) else 0.0
        series = [series_of(table, columns, args, share) for table in tables]
        if isinstance(args.valid, str):
            train, valid = series, [series_of(read_table(args.valid), columns, args)]
        else:
            train, valid = split_series(series, share, args.window)
        scaler, places = Scaler.of(train), [columns.index(name) for name in targets]

        def windows(parts: list[Array], **options: Any) -> SeriesWindows:
            scaled = [scaler.transform(part).astype(np.float32) for part in parts]
            return SeriesWindows(scaled, args.window, args.horizon, places, relative=True, **options)

        test = None
        if args.test is not None:
            test = windows([series_of(read_table(args.test), columns, args)], batch_size=256)
        loss, scales = QuantileLoss(QUANTILES), scaler.take(places).scale
        metrics = [Error(targets, k, scales) for k in range(len(targets))]
        held = windows(valid, batch_size=256)
        stride = max(1, sum(map(len, train)) // COUNTED)
        counted, losses, errors = windows(train, stride=stride, batch_size=256), {}, []
        for name, season in {"persistence": 1, "seasonal naive": args.season}.items():
            if season is not None:
                losses[name], told = naive(counted, held, season, loss, metrics)
                errors.append(f"{name} {', '.join(f'{error} {value:.4g}' for error, value in told.items())}")
        names = ", ".join(map(escape, targets))
        steps = sum(map(len, series))
        seen = f"{names} from {count_of(len(columns), 'column')}"
        without = [f"without {', '.join(escape(name) or repr(name) for name in left_out)}"] if left_out else []
        return Job(
            net=from_models("forecaster")(
                args.horizon, len(targets), args.units, args.layers, QUANTILES, dropout=args.dropout
            ),
            in_shape=(None, len(columns)),
            train=windows(train, batch_size=args.batch, shuffle=True, seed=args.seed),
            valid=held,
            test=test,
            loss=loss,
            facts={
                "series": title(args.paths), "rows": steps, "columns": columns, "targets": targets,
                "quantiles": list(QUANTILES), "relative": True, "scaler": scaler.to_dict(),
            },
            heading=[
                title(args.paths), count_of(steps, "step"), seen, *without,
                f"{args.window} steps in, {args.horizon} out", f"LSTM {args.layers}x{args.units}",
                *errors,
            ],
            baselines=losses,
            metrics=[*metrics, coverage],
            hint=f"minidl predict {{model}} {quote_path(args.paths[0])}",
        )  # fmt: skip

    def predict(self, net: Any, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
        columns, targets, scaler, window = known(net)
        for table in tables_of(args):
            series = numbers_of(table, columns)
            if len(series) < window:
                raise ArgumentError(
                    f"{table.source} expects at least {count_of(window, 'step')}, as many as the net sees, got "
                    f"{len(series)}: give more of the series."
                )
            places = [columns.index(name) for name in targets]
            told = finite_outputs(forecast(net, series, scaler, window, places))
            for k, name in enumerate(targets):
                low, high = told[:, k].min(), told[:, k].max()
                texts = number_texts(told[:, k])
                for step, values in enumerate(told[:, k].tolist(), 1):
                    quantiles = dict(zip(map(str, net.facts["quantiles"]), values, strict=True))
                    row = ForecastRow({"column": name, "step": step} | quantiles)
                    row.numbers, row.bar = texts[step - 1], bar(values, low, high)
                    if len(args.paths) > 1:
                        row["file"] = table.source
                    yield row

    def line(self, row: dict[str, Any]) -> str:
        """The median, and from where to where the outer quantiles go; on a terminal a bar of it beside."""
        assert isinstance(row, ForecastRow)
        name, step, *values = row.values()
        low, high, median = row.numbers[0], row.numbers[-1], row.numbers[len(row.numbers) // 2]
        cells = [escape(name), f"+{step}", median, f"{low} to {high}"]
        if sys.stdout.isatty() and str(sys.stdout.encoding).lower().startswith("utf"):
            cells.append(row.bar)
        return "\t".join([*cells, *map(escape, values[len(row.numbers) :])])


class Error:
    """The metric of a target: the mean absolute error of its median, in the units of the data."""

    higher_is_better = False

    def __init__(self, targets: Sequence[str], k: int, scales: Array) -> None:
        self.__name__ = "mae" if len(targets) == 1 else f"mae {targets[k]}"
        self.k, self.scale = k, float(scales[k])

    def __call__(self, y: Any, t: Any, weight: Any = None, mask: Any = None) -> tuple[float, float]:
        error, total = median_error(y[:, :, self.k], t[:, :, self.k], weight, mask)
        return error * self.scale, total


def choose(table: Table, args: argparse.Namespace) -> tuple[list[str], list[str], list[str]]:
    """The columns that the net sees, those that it tells, and those that are left out."""
    targets = [] if args.target is None else named("--target", args.target, table)
    if args.inputs is not None:
        columns = named("--inputs", args.inputs, table)
        columns += [name for name in targets if name not in columns]
    else:
        numeric = [name for name in table.columns if name in targets or is_numeric(table.values[name])]
        columns = [name for name in numeric if name in targets or not counts_steps(seen(table, name))] or numeric
    if not columns:
        first = ", ".join(f"{values[0]!r:.40}" for values in [*table.values.values()][:4])
        raise ArgumentError(f"{table.place(0)} must have a number in a column, got {first}. Write it as 1234.5.")
    refuse_row_as_header(table, columns)
    targets = targets or [default_target(table, columns)]
    return columns, targets, [name for name in table.columns if args.inputs is None and name not in columns]


def default_target(table: Table, columns: Sequence[str]) -> str:
    """The column to forecast if none is named: one of a usual name, or the last that does not place rows in time."""
    small = {name.lower(): name for name in reversed(columns)}
    usual = next((small[name] for name in USUAL if name in small), None)
    others = [name for name in columns if not places_rows(name)]
    if usual is None and not others:
        raise ArgumentError(
            f"{table.source} has no column to forecast but {columns[-1]!r:.40}, which looks like a date or an index. "
            f"Name the column with --target."
        )
    return usual or others[-1]


def refuse_row_as_header(table: Table, columns: Sequence[str]) -> None:
    """Refuse names of columns that are a row of data: numbers with decimals, or text that the column has as well."""
    for name, values in table.values.items():
        number = "." in name and is_numeric([name]) and name in columns
        if number or (name.strip() and name in values and not is_numeric([name])):
            what = f"the number {name!r:.40}" if number else f"{name!r:.40}, which is also a value below"
            raise ArgumentError(table.has_no_header(what))


def named(option: str, given: str, table: Table) -> list[str]:
    """The columns that an option names, with commas between; each has to be there, once."""
    names = [given] if given in table.columns else [name.strip() for name in given.split(",")]
    return list(dict.fromkeys(table.choose(option, name) for name in names))


def seen(table: Table, name: str) -> Array:
    """The numbers of a column that nobody asked for; if one is missing, the column may be left out as well."""
    try:
        return table.numbers(name)
    except ArgumentError as error:
        told = str(error).removesuffix(".")
        raise ArgumentError(f"{told}, or name the columns that are of use with --inputs and --target.") from None


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether the first value that is there is meant as a number; if it is not plain, it is refused later."""
    first = next((value for value in values if value is not None and not is_gap(value)), None)
    if isinstance(first, str):
        with contextlib.suppress(ValueError):
            return math.isfinite(float(first.replace(",", ".")))
        return bool(plain_numbers(first))  # such as $1,234.50
    return is_real(first)


def is_gap(value: Any) -> bool:
    """Whether a field stands for a number that is not there: empty, NaN, NA."""
    return str(value).strip().lower() in ("", "nan", "na", "n/a", "null", "none")


def counts_steps(values: Array) -> bool:
    """Whether a column merely counts, as years or row numbers do: it tells nothing, and never comes again."""
    steps = np.diff(values)
    return len(steps) > 1 and bool(steps[0] and np.ptp(steps) <= 1e-9 * abs(steps[0]))


def numbers_of(table: Table, columns: Sequence[str]) -> Array:
    """A table's columns as a series [N, D]; refused if its rows are not the steps of one series."""
    for name in columns:
        if name not in table.columns:
            table.choose("net", name)
    check_steps(table)
    return np.stack([table.numbers(name) for name in columns], axis=1)


def series_of(table: Table, columns: Sequence[str], args: argparse.Namespace, share: float = 0.0) -> Array:
    """A table as a series that is long enough, `share` of it to be held out; or how long it has to be."""
    series, span = numbers_of(table, columns), args.window + args.horizon

    def enough(steps: int) -> bool:
        held = round(steps * share)
        return steps - held >= span and (not share or held >= args.horizon)

    if not enough(len(series)):
        least = span
        while not enough(least):
            least += 1
        held = f", --valid {share:g}" if share else ""
        raise ArgumentError(
            f"{table.source} expects at least {least:,} steps for --window {args.window}, --horizon "
            f"{args.horizon}{held}, got {len(series):,}: give a longer series, or smaller numbers."
        )
    return series


def naive(
    train: SeriesWindows, held: SeriesWindows, season: int, loss: QuantileLoss, metrics: Sequence[Error]
) -> tuple[float, dict[str, float]]:
    """The loss and the errors of a naive forecast, whose quantiles are spread as its errors in the training part."""

    def pairs(windows: SeriesWindows) -> tuple[Array, Array]:
        places = windows.targets.tolist()
        both = [(naive_forecast(batch.x, windows.horizon, season, places), batch.t) for batch in windows]
        y, t = map(np.concatenate, zip(*both, strict=True))
        return y[..., None], t

    y, t = pairs(train)
    spread = np.moveaxis(np.quantile(t - y[..., 0], loss.quantiles, axis=0), 0, -1)
    y, t = pairs(held)
    return float(loss(y + spread, t)[0]), {metric.__name__: metric(y, t)[0] for metric in metrics}


def known(net: Any) -> tuple[list[str], list[str], Scaler, int]:
    """What a model's file tells of its series: columns, targets, scaler, window."""
    match net.facts:
        case {"columns": list(columns), "targets": list(targets), "quantiles": list(asked), "scaler": dict(scaler)}:
            window, shape = net.facts.get("window"), net.out_shape[1:]
            sound = all(isinstance(name, str) for name in [*columns, *targets]) and set(targets) <= set(columns)
            if sound and type(window) is int and window > 0 and shape == (len(targets), len(asked)):
                return columns, targets, Scaler.from_dict(scaler), window
    raise ArgumentError("The model file does not name the series of its training. Train it with minidl train.")


def tables_of(args: argparse.Namespace) -> Iterator[Table]:
    """The series to go on with: of files, of --text, or of standard input."""
    if args.paths:
        yield from map(read_table, args.paths)
        return
    text, source = ("\n".join(standard_input()), "standard input") if args.text is None else (args.text, "--text")
    yield parse_table(text, "jsonl" if text.lstrip().startswith("{") else "csv", source)


TASK = Forecaster()
