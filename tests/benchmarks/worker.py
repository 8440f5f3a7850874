"""A process of one competitor: it reads requests from stdin and answers on stdout, a line of JSON each.

    python tests/benchmarks/worker.py torch_net

Kernels and threads are chosen once per process, from the environment; so everyone runs in a process of its own. On
stdout stands nothing but answers: what the libraries print goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

import memory
from tasks import SIZES, Size, tiny


class Player:
    """The competitor's side of the game: imports done, waiting for a task."""

    def __init__(self, peer: ModuleType) -> None:
        self.peer = peer
        self.run: Callable[[int], Any] | None = None
        memory.forget_peak()
        self.after_imports = memory.now()
        self.after_tiny = self.after_imports

    def about(self) -> dict[str, Any]:
        """Who plays."""
        return self.peer.about()

    def prepare(self, task: str, size: list[Any], options: dict[str, Any]) -> dict[str, Any]:
        """Build a net and its data, a tiny one first: what is loaded or compiled at the first use is then there."""
        make = self.peer.TASKS[task]
        make(tiny(SIZES["1x100"]._replace(layer=Size(*size).layer)), **options)(2)
        memory.forget_peak()
        self.after_tiny = memory.now()
        self.run = make(Size(*size), **options)
        return {}

    def play(self, steps: int, untimed: int) -> dict[str, Any]:
        """A turn: some steps that do not count, then those that do; ends when the last result is there."""
        assert self.run, "prepare comes first"
        self.run(untimed)
        began = time.perf_counter()
        result = self.run(steps)
        result = None if result is None else float(result)
        return {"seconds": (time.perf_counter() - began) / steps, "result": result}

    def memory(self) -> dict[str, Any]:
        """The peak since the task was prepared: all of it, above what the imports, and what the tiny net left there."""
        before = 0.0, self.after_imports, self.after_tiny
        return {kind: memory.peak() - start for kind, start in zip(memory.MEMORIES, before, strict=True)}


def main() -> int:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    cores = int(os.environ.get("BENCH_CORES", "0"))
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    player = Player(importlib.import_module(f"peers.{sys.argv[1]}"))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(player, request.pop("do"))(**request)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
