"""`tokenize`: the words and the punctuation marks of a text, for word vocabularies."""

from __future__ import annotations

import unicodedata

from minidl.arguments import with_argument_help
from minidl.text import check_text


@with_argument_help
def tokenize(text: str) -> list[str]:
    """The words of a text, and the marks before and behind each of them as words of their own.

    Words are what stands between blanks; marks inside of one stay there. A script that has no blanks between its words
    is better read by characters.

    Args:
        text: a text in any script.

    Raises:
        ArgumentError: for what is no text.

    Notes:
        Joined by blanks, the words are a text for `WordVocab`; whether "The" is "the" is for the caller to say.

    Example:
        >>> minidl.tokenize('"It\\'s well-known, isn\\'t it?!"')
        ['"', "It's", 'well-known', ',', "isn't", 'it', '?', '!', '"']
    """
    found: list[str] = []
    for word in check_text("tokenize", text).split():
        left, right = 0, len(word)
        while left < right and is_mark(word[left]):
            left += 1
        while right > left and is_mark(word[right - 1]):
            right -= 1
        found += [*word[:left], *([word[left:right]] if left < right else ()), *word[right:]]
    return found


def is_mark(character: str) -> bool:
    """Whether it is punctuation or a symbol."""
    return not character.isalnum() and unicodedata.category(character)[0] in "PS"
