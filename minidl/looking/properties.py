"""What can be said of each character of a text as it is read: whether it stands in quotes, where in the line, ...

Each property is a small function, text -> numbers [T]. It says what is known once the character has been read, so the
first quotation mark is inside and the last one is not; only `line_ends_soon` looks ahead, as a net has to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from minidl.inputs import Array

QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』"}  # opening and closing
OPENING, CLOSING = "([{（【", ")]}）】"
ENDS = ".!?。！？…"
SOON = 5  # characters before a line break


def inside_quotes(text: str) -> Array:
    """Between quotation marks, "..." or '...' or “…”; an apostrophe is none, and a blank line closes all.

    Example:
        >>> from minidl.looking.properties import inside_quotes
        >>> inside_quotes('a "b" it\\'s').astype(int).tolist()
        [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    """
    closing = ""
    inside = np.zeros(len(text))
    for t, c in enumerate(text):
        before = text[t - 1] if t else " "
        if closing:
            apostrophe = c == "'" and text[t + 1 : t + 2].isalnum()
            if (c == closing and not apostrophe) or c == before == "\n":
                closing = ""
        elif c in QUOTES:
            closing = QUOTES[c]
        elif c == "'" and not before.isalnum():
            closing = "'"
        inside[t] = bool(closing)
    return inside


def depth_of_brackets(text: str) -> Array:
    """How many round, square or curly brackets are open; a blank line closes all."""
    depth = 0
    depths = np.zeros(len(text))
    for t, c in enumerate(text):
        if c in OPENING:
            depth += 1
        elif c in CLOSING:
            depth = max(0, depth - 1)
        elif c == "\n" and text[t - 1 : t] == "\n":
            depth = 0
        depths[t] = depth
    return depths


def inside_brackets(text: str) -> Array:
    """Whether any bracket is open."""
    return np.minimum(depth_of_brackets(text), 1)


def inside_comment(text: str) -> Array:
    """From # to the end of the line, where a blank or the line's beginning stands before it; or from such a //."""
    inside = False
    comment = np.zeros(len(text))
    for t, c in enumerate(text):
        if c == "\n":
            inside = False
        elif text[t - 1 : t] in ("", " ", "\n", "\t") and (c == "#" or text[t : t + 2] == "//"):
            inside = True
        comment[t] = inside
    return comment


def position_in_line(text: str) -> Array:
    """How many characters since the last line break, which itself counts as 0."""
    return since(c == "\n" for c in text)


def indentation(text: str) -> Array:
    """How many blanks the line begins with, as far as it has been read."""
    count, beginning = 0, True
    widths = np.zeros(len(text))
    for t, c in enumerate(text):
        if c == "\n":
            count, beginning = 0, True
        elif beginning and c in " \t":
            count += 1
        else:
            beginning = False
        widths[t] = count
    return widths


def line_ends_soon(text: str) -> Array:
    """Whether one of the next 5 characters is a line break."""
    return np.array([float("\n" in text[t + 1 : t + 1 + SOON]) for t in range(len(text))])


def position_in_word(text: str) -> Array:
    """How many letters and digits the word has so far; 0 between words."""
    return since(not c.isalnum() for c in text)


def inside_number(text: str) -> Array:
    """Digits."""
    return np.array([float(c.isdigit()) for c in text])


def upper_case(text: str) -> Array:
    """Capital letters."""
    return np.array([float(c.isupper()) for c in text])


def blank(text: str) -> Array:
    """Blanks and line breaks."""
    return np.array([float(c.isspace()) for c in text])


def between_sentences(text: str) -> Array:
    """From the end of a sentence to the next letter: . ! ? and the blanks and marks behind it."""
    between = False
    found = np.zeros(len(text))
    for t, c in enumerate(text):
        if c in ENDS:
            between = not text[t + 1 : t + 2].isalnum()  # else it is a point within a name or a number
        elif c.isalnum():
            between = False
        found[t] = between
    return found


def since(begins: Iterable[bool]) -> Array:
    """How many steps ago something was true last."""
    count = 0
    counts = []
    for begin in begins:
        count = 0 if begin else count + 1
        counts.append(float(count))
    return np.array(counts)


# those that a net has to remember first; the others show in the last character or two
REMEMBERED: dict[str, Callable[[str], Array]] = {
    "inside quotes": inside_quotes,
    "inside brackets": inside_brackets,
    "depth of brackets": depth_of_brackets,
    "inside a comment": inside_comment,
    "position in the line": position_in_line,
    "indentation": indentation,
}
PROPERTIES: dict[str, Callable[[str], Array]] = REMEMBERED | {
    "line ends soon": line_ends_soon,
    "position in the word": position_in_word,
    "between sentences": between_sentences,
    "blank": blank,
    "capital letter": upper_case,
    "digit": inside_number,
}


def properties(symbols: Iterable[str]) -> dict[str, Array]:
    """All properties of a text by name, [T] each.

    Args:
        symbols: a text, whose characters are the steps; or the pieces that it is made of, words for one: then each
            step is what can be said of the last character of its piece.

    Example:
        >>> from minidl.looking import properties
        >>> properties("f(x)")["inside brackets"]
        array([0., 1., 1., 0.])
        >>> properties(["f", "(x", ")"])["position in the word"]
        array([1., 1., 0.])
    """
    pieces = list(symbols)
    text = "".join(pieces)
    last = np.cumsum([len(piece) for piece in pieces], dtype=int) - 1
    return {name: of(text)[np.maximum(last, 0)] for name, of in PROPERTIES.items()}
