"""The pages of the codes: a mistake, an example, the right formula, in English, Japanese and Chinese."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from minidl.errors import UnknownNameError

PAGES = Path(__file__).parent / "pages"
LANGUAGES = ("en", "ja", "zh")


def explain(code: str, lang: str = "en") -> str:
    """The page on a code, as Markdown.

    Args:
        code: a code of a finding, such as "G107".
        lang: "en", "ja" or "zh".

    Raises:
        UnknownNameError: for a code or a language that there is none of.

    Example:
        >>> print(minidl.checking.explain("G107").splitlines()[0])
        ## G107 Activation derivative taken on the wrong side
    """
    if lang not in LANGUAGES:
        raise UnknownNameError(f"explain expects a language of {', '.join(LANGUAGES)}, got {lang!r}.")
    text = (PAGES / f"{lang}.md").read_text(encoding="utf-8")
    pages = {page[:4]: f"## {page.rstrip()}" for page in re.split(r"^## ", text, flags=re.M)[1:]}
    if code.upper() not in pages:
        close = difflib.get_close_matches(code.upper(), pages, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(pages)}."
        raise UnknownNameError(f"explain knows no code {code!r}: {hint}")
    return pages[code.upper()]
