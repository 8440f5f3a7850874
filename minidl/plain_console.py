"""`PlainConsole`: the console of rich that every command and report prints through; it escapes all text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.status import Status
from rich.text import Text

from minidl.escaping import escape


class PlainConsole(Console):
    """A console without markup, emoji codes and highlighting, whose text holds no control character but line breaks.

    Names and labels pass through `escape` before they reach a table, so that its columns are aligned. This class is
    the second line of defense: it escapes whatever a report forgot.

    Example:
        >>> from minidl.plain_console import PlainConsole
        >>> PlainConsole().print("[red]\x1b[31m :smile:")
        [red]\\x1b[31m :smile:
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False} | options)

    def status(self, status: Any, **options: Any) -> Status:
        """Return a spinner with a text, which rich would read as markup."""
        return super().status(Text(escape(status)) if isinstance(status, str) else status, **options)

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a renderable; those that move the cursor are rich's own."""
        for segment in super().render(renderable, options):
            safe = segment.control or segment.text.isprintable()
            yield segment if safe else segment._replace(text=escape(segment.text, keep="\n"))
