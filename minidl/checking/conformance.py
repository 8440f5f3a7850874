"""`check_layer`: the conformance suite on any layer, built in or your own.

The tests of minidl run the same checks on every built-in layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.checking.building import check_copy, check_float32, check_rebuild
from minidl.checking.gradcheck import require_layer
from minidl.checking.passes import (
    check_adds,
    check_gradients,
    check_inference,
    check_interleaved,
    check_keeps_inputs,
    check_keeps_self,
    check_linear,
    check_memory_layout,
    check_random,
    check_shapes,
)
from minidl.checking.report import as_text
from minidl.checking.sequences import check_padding, check_start, check_windows
from minidl.checking.subject import Subject
from minidl.escaping import escape
from minidl.inputs import Shape, as_shape, shape_text
from minidl.layer import Layer

# in the order in which to mend what they find
CHECKS: tuple[Callable[[Subject], str | None], ...] = (
    check_copy,
    check_shapes,
    check_keeps_self,
    check_keeps_inputs,
    check_random,
    check_linear,
    check_adds,
    check_gradients,
    check_interleaved,
    check_inference,
    check_float32,
    check_memory_layout,
    check_rebuild,
    check_windows,
    check_start,
    check_padding,
)


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
        first: dict[str, str] = {}  # a crash that hits every check is told once
        for name, message in self.messages.items():
            title = name.removeprefix("check_").replace("_", " ")
            word = message or ("ok" if message is None else "does not apply")
            if message and first.setdefault(message, title) != title:
                word = f"the same as {first[message]}"
            table.add_row(title, Text(escape(word, keep="\n")), style="bold red" if message else None)
        yield Text(escape(self.title), style="bold")
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
        in_shape: the inputs' shape without the batch axis, (None, 8) for sequences of 8 features; a tuple of shapes
            for a layer with several inputs.
        seed: for everything random.

    Returns:
        A report with `.ok`, `.messages` by check (a sentence where it found something, None where all is well,
        "" where it does not apply) and a table when printed.

    Raises:
        ArgumentError: for what is no layer, or no shape.

    Notes:
        The checks, in the order in which to mend what they find, are `minidl.checking.CHECKS`.

    Example:
        >>> report = minidl.checking.check_layer(minidl.LSTM(4, peephole="full"), (None, 3))
        >>> report.ok
        True
    """
    require_layer("check_layer", layer)
    in_shape = as_shape("check_layer", in_shape)
    messages: dict[str, str | None] = {}
    for check in CHECKS:
        try:
            messages[check.__name__] = check(Subject(layer, in_shape, seed=seed))
        except Exception as error:  # a crash of the layer is a finding like any other
            messages[check.__name__] = f"raised {type(error).__name__}: {error}"
    return LayerReport(f"{type(layer).__name__}, {shape_text(in_shape)}", messages)
