"""How fast minidl trains, generates and predicts, beside everyone that is installed; by hand, on a calm machine.

    python tests/benchmarks/speed.py [--rows 1x100,2x128] [--peers minidl,fast,torch] [--markdown] [--json FILE]

Each competitor runs in a process of its own, at the thread setting that is best for it; they take turns of a few
steps, so that whatever else the machine does slows all of them. README.md beside this file says what each figure is.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from competitors import COMPETITORS, KERNELS, missing, takes_part
from machine import load, machine, versions
from measuring import kernel_of, measure
from printing import console, facts, markdown, show
from tables import tables
from tasks import PEEPHOLES, SIZES, TASKS, tiny

CALM = 0.1  # cores that others may keep busy without a word in the report


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="How fast minidl is, beside everyone that is installed.")
    smoke = {"rows": ["2x128"], "peers": ["minidl", "fast", "gemms"]}
    for name, choices, what in (
        ("rows", list(SIZES), "which nets"),
        ("tasks", TASKS, "what is done with them"),
        ("peers", list(COMPETITORS), "who takes part"),
    ):
        parser.add_argument(f"--{name}", metavar="A,B", help=f"{what}: some of {','.join(choices)}; all by default")
    parser.add_argument("--turns", type=int, help="how many turns are timed; each net has its own number by default")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="print compact tables as Markdown")
    parser.add_argument("--smoke", action="store_true", help="tiny nets, two turns: only to see whether it runs")
    args = parser.parse_args()
    for name, choices in ("rows", list(SIZES)), ("tasks", TASKS), ("peers", list(COMPETITORS)):
        given = getattr(args, name)
        chosen = given.split(",") if given else smoke.get(name, choices) if args.smoke else choices
        if not set(chosen) <= set(choices):
            parser.error(f"--{name} expects some of {','.join(choices)}, got {given}")
        setattr(args, name, [choice for choice in choices if choice in chosen])
    if args.turns is not None and args.turns < 2:
        parser.error(f"--turns expects at least 2, got {args.turns}")
    return args


def present(peers: list[str]) -> tuple[list[str], list[str]]:
    """Those that can take part, and a sentence about each that cannot."""
    able, absent = [], []
    for name in peers:
        title, lacking = COMPETITORS[name].title, missing(name)
        wanted = COMPETITORS[name].env.get("MINIDL_KERNELS")
        if lacking:
            absent.append(f"{title} takes no part: {' and '.join(lacking)} not installed")
        elif name in KERNELS and (kernel := kernel_of(name)) != wanted:
            absent.append(f"{title} takes no part: with MINIDL_KERNELS={wanted} this minidl runs on {kernel}")
        else:
            able.append(name)
    return able, absent


def measured(args: argparse.Namespace, peers: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """All rows that the command line asks for, and what failed: one row must not cost the others."""
    rows, failures = [], []
    for task in args.tasks:
        for name in args.rows:
            size = SIZES[name]
            if (task == "generation" and not size.generated) or (task == "peepholes" and name not in PEEPHOLES):
                continue
            size = tiny(size) if args.smoke else size._replace(turns=args.turns or size.turns)
            row = f"tiny {name}" if args.smoke else name  # no floor stands for it
            print(f"{task} {size.title} ...", file=sys.stderr, flush=True)
            if not any(takes_part(peer, task, size.layer) for peer in peers):
                continue
            try:
                rows.append(measure(task, row, size, peers, choose=not args.smoke))
            except RuntimeError as error:
                failures.append(f"{task} {size.title} failed: {error}")
    return rows, failures


def main() -> int:
    """Measure, and print the tables."""
    args = arguments()
    peers, absent = present(args.peers)
    found = machine() | {"load before": load()}
    rows, failures = measured(args, peers)
    found |= {"load after": load()} | versions(rows)
    out = console()
    busy = [f"{row['busy']:.2f} during {row['task']} {row['row']}" for row in rows if row["busy"] > CALM]
    disturbed = [f"Not calm, cores that others kept busy: {', '.join(busy)}"] if busy else []
    lines = [facts(found), *absent, *disturbed, *failures]
    if args.markdown:
        print("\n".join(lines), *(markdown(table) for table in tables(rows, compact=True)), sep="\n\n")
    else:
        out.print("\n".join(lines), "")
        for table in tables(rows, compact=False):
            show(out, table)
    if args.json:
        report = {"machine": found, "absent": absent, "failures": failures, "rows": rows}
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
