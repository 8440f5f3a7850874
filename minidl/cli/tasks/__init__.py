"""What `minidl train` and `minidl predict` do with each model, one file per model; the contract is `task.py`."""

from __future__ import annotations

import importlib

from minidl.cli.tasks.task import Job, Task

__all__ = ["NAMES", "Job", "Task", "task_of"]

NAMES = "char_lm", "forecaster", "seq2seq", "tagger", "text_classifier", "word_lm"


def task_of(name: str) -> Task:
    """The task of a model, by its name in `minidl.models`.

    Example:
        >>> from minidl.cli.tasks import task_of
        >>> task_of("char_lm").symbols
        'chars'
    """
    task: Task = importlib.import_module(f"minidl.cli.tasks.{name}").TASK
    return task
