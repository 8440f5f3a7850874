"""Run the examples that reproduce published figures, and write the table of all of them into README.md.

`python examples/reproduce.py` runs all of them, one after the other; with names, `python examples/reproduce.py
adding_problem`, only those, and the table keeps what the others measured before (in results/, a file each); with
`--table` it is only written anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from published import said

HERE = Path(__file__).parent
BEGIN, END = "<!-- begin: written by reproduce.py -->", "<!-- end -->"


def names() -> list[str]:
    """The examples that reproduce something: those that hand a report over."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.py"))}
    return [name for name, text in texts.items() if "\n    reproduce(" in text]


def table(results: dict[str, dict[str, Any]]) -> str:
    """All rows, published beside measured, and under them how each was set up."""
    lines = ["| task | net | published | measured | seeds | minutes |", "|---|---|---|---|---|---|"]
    for name, result in results.items():
        for k, row in enumerate(result["rows"]):
            first = f"[{result['task']}]({name}.py)", said(result["seeds"]), f"{result['minutes']:.1f}"
            task, seeds, minutes = first if k == 0 else ("", "", "")
            cells = task, row["net"], row["published"] or "-", row["measured"], seeds, minutes
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    for name, result in results.items():
        lines += ["", f"### {result['task']}", "", result["setup"], "", f"Published: {result['source']}"]
        lines += ["", f"Here: {result['differs']}"] if result["differs"] else []
        command = f"python examples/{name}.py --seeds {len(result['seeds'])}"
        lines += [
            "",
            "```text",
            result["plot"],
            "```",
            "",
            f"`{command}`: {result['minutes']:.1f} minutes of processor time on",
        ]
        lines[-1] += f" {result['machine']}."
    return "\n".join(lines)


def write(results: dict[str, dict[str, Any]]) -> None:
    """Put the table into README.md, between the two marks."""
    path = HERE / "README.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        sys.exit(f"reproduce.py expects the lines {BEGIN} and {END} in {path}: write them where the table is to stand.")
    path.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which examples: {', '.join(names())}")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table from results/")
    parser.add_argument("--smoke", action="store_true", help="run the short forms, and write nothing")
    args = parser.parse_args()
    for name in args.names:
        if name not in names():
            parser.error(f"there is no example {name!r} that reproduces a figure: it is one of {', '.join(names())}.")
    kept = HERE / "results"
    kept.mkdir(exist_ok=True)
    for name in [] if args.table else args.names or names():
        print(f"\n{name}", flush=True)
        wanted = ["--smoke"] if args.smoke else ["--json", str(kept / f"{name}.json")]
        if subprocess.run([sys.executable, HERE / f"{name}.py", *wanted], check=False).returncode:
            sys.exit(f"{name}.py failed: nothing was written.")
    if not args.smoke:
        found = [kept / f"{name}.json" for name in names()]
        write({path.stem: json.loads(path.read_text(encoding="utf-8")) for path in found if path.exists()})


if __name__ == "__main__":
    main()
