"""`check_layer`: the conformance suite on any layer, built in or your own.

The tests of minidl run the same checks on every built-in layer.
"""

from __future__ import annotations

from typing import Any

from minidl.checking.checks import CHECKS
from minidl.checking.report import as_text
from minidl.checking.subject import Subject
from minidl.inputs import Shape, shape_text
from minidl.layer import Layer


class LayerReport:
    """The result of `check_layer`: `.ok`, `.messages` by check, and a table when printed."""

    def __init__(self, title: str, messages: dict[str, str | None]) -> None:
        self.title = title
        self.messages = messages

    @property
    def ok(self) -> bool:
        return not any(self.messages.values())

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        for name, message in self.messages.items():
            word = message or ("ok" if message is None else "does not apply")
            table.add_row(name.removeprefix("check_").replace("_", " "), word, style="bold red" if message else None)
        yield Text(self.title, style="bold")
        yield table
        broken = sum(1 for message in self.messages.values() if message)
        yield Text(f"{broken} of {len(self.messages)} checks found something" if broken else "everything holds")

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__


def check_layer(layer: Layer, in_shape: Shape, seed: int = 0) -> LayerReport:
    """Run the conformance suite on a layer, built in or your own, and say in words what is broken.

    Args:
        layer: a layer or net, built or not; it is copied and stays as it is.
        in_shape: the inputs' shape without the batch axis, (None, 8) for sequences of 8 features.
        seed: for everything random.

    Returns:
        A report with `.ok`, `.messages` by check (a sentence where it found something, None where all is well,
        "" where it does not apply) and a table when printed.

    Notes:
        The checks, in the order in which to mend what they find, are `minidl.checking.CHECKS`.

    Example:
        >>> report = minidl.checking.check_layer(minidl.LSTM(4, peephole="full"), (None, 3))
        >>> report.ok
        True
    """
    messages: dict[str, str | None] = {}
    for check in CHECKS:
        try:
            messages[check.__name__] = check(Subject(layer, in_shape, seed=seed))
        except Exception as error:  # a crash of the layer is a finding like any other
            messages[check.__name__] = f"raised {type(error).__name__}: {error}"
    return LayerReport(f"{type(layer).__name__}, {shape_text(tuple(in_shape))}", messages)
