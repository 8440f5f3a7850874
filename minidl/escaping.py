"""Text from files made safe to print: `escape` for people, `to_json` for programs, `quote_word` for a shell.

Vocabularies, layer names, labels, column names, table cells, facts and file names may hold anything, and a terminal
obeys what it reads: an escape sequence can move the cursor, change the title or hide text. Whatever minidl prints or
writes into a page passes through `escape`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import unicodedata
from typing import Any

# Letters and emoji of many scripts need the joiners, and the Arabic signs are visible; Python calls both unprintable.
VISIBLE_FORMATS = frozenset("\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")
UNSAFE_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # controls, bidi overrides, surrogates, line separators
NONCHARACTERS = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")  # XML forbids the last two


def is_safe(character: str) -> bool:
    """Return whether a character can be printed as it is, on a terminal as well as in HTML and SVG."""
    if character.isprintable() or character in VISIBLE_FORMATS:
        return True
    return unicodedata.category(character) not in UNSAFE_CATEGORIES and not NONCHARACTERS.match(character)


def escape(text: str, keep: str = "") -> str:
    r"""Escape the characters that a terminal or a browser would obey, in the notation of Python.

    Args:
        text: the text, usually from a file.
        keep: control characters to leave as they are: "\n\t" for generated text, nothing for names and labels.

    Example:
        >>> from minidl.escaping import escape
        >>> print(escape("caf\u00e9\x1b[31m\n"), escape("two\n\x1blines\n", keep="\n"), sep="|")
        café\x1b[31m\n|two
        \x1blines
        <BLANKLINE>
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or is_safe(c) else repr(c)[1:-1] for c in text)


def to_json(value: Any) -> str:
    r"""Return a value as one line of JSON that holds no control character, while letters stay readable.

    JSON itself escapes only those below U+0020; a parser reads the others back as they were.

    Example:
        >>> from minidl.escaping import to_json
        >>> print(to_json({"label": "caf\u00e9\x1b\x9b\u202e"}))
        {"label": "café\u001b\u009b\u202e"}
    """
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return line if line.isprintable() else "".join(c if is_safe(c) else json.dumps(c)[1:-1] for c in line)


def can_be_typed(text: str) -> bool:
    """Return whether a shell can pass a text to a program: NUL and lone surrogates that encode no byte cannot."""
    try:
        return "\0" not in text and bool(os.fsencode(text) or not text)
    except UnicodeEncodeError:
        return False


def can_be_shown(character: str) -> bool:
    """Return whether a character is safe, and known to the encoding of standard output."""
    try:
        character.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return is_safe(character)


def quote_word(text: str) -> str:
    r"""Quote a text as one word of a shell's command line, without control characters.

    What can be shown stands in '...', which every shell reads. Otherwise it is $'...', which bash, zsh and ksh read,
    with the bytes of the characters that cannot be shown as \xHH.

    Example:
        >>> from minidl.escaping import quote_word
        >>> print(quote_word("plain.txt"), quote_word("it's <unk>!"), quote_word("a\x1b\n"))
        plain.txt 'it'"'"'s <unk>!' $'a\x1b\n'
    """
    if all(map(can_be_shown, text)):
        return shlex.quote(text)
    plain = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'", "!": "\\x21"}  # ! recalls the history

    def quoted(character: str) -> str:
        if character in plain:
            return plain[character]
        if can_be_shown(character):
            return character
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))

    return f"$'{''.join(map(quoted, text))}'"


def quote_path(path: str | os.PathLike[str]) -> str:
    """Quote a path as an argument of a command; one that begins with a dash is no option then.

    Example:
        >>> from minidl.escaping import quote_path
        >>> quote_path("model.npz"), quote_path("-x.npz")
        ('model.npz', './-x.npz')
    """
    text = os.fspath(path)
    return quote_word(f"./{text}" if text.startswith("-") else text)


def quote_option(name: str, value: str) -> str:
    """Quote an option with its value; a value that begins with a dash is joined by "=".

    Example:
        >>> from minidl.escaping import quote_option
        >>> print(quote_option("--text", "so it is"), quote_option("--text", "-5 degrees"))
        --text 'so it is' --text='-5 degrees'
    """
    return f"{name}{'=' if value.startswith('-') else ' '}{quote_word(value)}"
