"""The errors minidl raises: each says what was expected, what came, whose, and what to do.

Each type is also a subclass of the built-in error a Python programmer would catch.
"""

from __future__ import annotations

from minidl.escaping import escape


class MinidlError(Exception):
    """The base of all errors of minidl; containers add the path to the layer that raised it.

    Example:
        >>> try:
        ...     minidl.Dense(-1)
        ... except minidl.MinidlError as error:
        ...     print(error)
        Dense expects units to be a positive integer, got -1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.places: list[str] = []

    def __str__(self) -> str:
        places = f" In {', in '.join(self.places)}." if self.places else ""
        return escape(self.message + places, keep="\n")  # it may quote a file


class ArgumentError(MinidlError, ValueError):
    """An argument that makes no sense: a negative size, an unknown word, a class for an instance."""


class ShapeError(MinidlError, ValueError):
    """An array whose shape does not fit the layer, the loss or the parameter it was given to."""


class IdError(MinidlError, IndexError):
    """An integer id outside of its vocabulary or of the classes."""


class UnknownNameError(MinidlError, KeyError):
    """A name that no layer or parameter has."""


class NotBuiltError(MinidlError, AttributeError):
    """A layer that was used before `build` gave it its parameters."""


class NonFiniteError(MinidlError, ValueError):
    """A NaN or an infinity where training must not go on; the parameter is named."""


class ModelFormatError(MinidlError, ValueError):
    """A file that is no model of minidl, or a damaged one."""

    path: object = None  # the file, where the message names it


def tell_place(error: Exception, place: str) -> None:
    """Let an error say where it was raised; one that is not minidl's gets a note."""
    if isinstance(error, MinidlError):
        error.places.append(place)
    else:
        error.add_note(f"In {place}.")
