"""Files that the command writes."""

from __future__ import annotations

from pathlib import Path

from minidl import durable
from minidl.errors import ArgumentError


def try_output(option: str, path: str) -> None:
    """Find out before the work, not after, whether the file that an option names can be written.

    Raises:
        ArgumentError: with what to do.
    """
    try:
        durable.try_replace(Path(path))
    except OSError as error:
        raise ArgumentError(f"{option} must be a file that can be written, got {path}: {error.strerror}.") from None
