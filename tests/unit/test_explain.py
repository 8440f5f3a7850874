"""The pages of the codes: each mistake has one in each language, and their code is the same and is Python."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from rich.cells import cell_len

import minidl.checking
from minidl.checking.naming.findings import CODES

PAGES = Path(minidl.checking.__file__).parent / "pages"
MARKS = {"en": ("# wrong", "# right"), "ja": ("# 誤り", "# 正しい"), "zh": ("# 错误", "# 正确")}
KANA, HAN = re.compile(r"[\u3041-\u30ff]"), re.compile(r"[\u4e00-\u9fff]")
PAGE = re.compile(
    r"\n(?P<before>.+?)\n\n```python\n(?P<wrong>.+?)```\n\n```python\n(?P<right>.+?)```\n\n(?P<after>.+)", re.S
)


def pages(lang: str) -> dict[str, tuple[str, str]]:
    """code -> (title, what stands under it), in the order of the file; a code that comes twice is an error."""
    head, *rest = re.split(r"^## ", (PAGES / f"{lang}.md").read_text(encoding="utf-8"), flags=re.M)
    assert re.fullmatch(r"# \S.*\n\n", head)
    found = [re.fullmatch(r"(\S+) ([^\n]+)\n(.*)", page, re.S).groups() for page in rest]
    assert len({code for code, _, _ in found}) == len(found)
    return {code: (title, body) for code, title, body in found}


def parts(lang: str, code: str) -> dict[str, str]:
    """The four parts of a page by name: before, wrong, right, after."""
    page = PAGE.fullmatch(pages(lang)[code][1])
    assert page, f"{lang} {code} is not of the form text, two blocks, text"
    return page.groupdict()


def bare(block: str) -> list[str]:
    """The lines of a block without its comments."""
    return [line.split("#")[0].rstrip() for line in block.splitlines()]


def test_no_other_pages():
    assert sorted(path.name for path in PAGES.iterdir()) == sorted(f"{lang}.md" for lang in MARKS)


@pytest.mark.parametrize("lang", MARKS)
def test_each_code_has_its_page(lang):
    assert list(pages(lang)) == list(CODES)
    assert all(title == title.strip() and title[-1] not in ".。" for title, _ in pages(lang).values())


@pytest.mark.parametrize("lang", MARKS)
@pytest.mark.parametrize("code", CODES)
def test_a_page_has_words_and_two_blocks_of_python(lang, code):
    page = parts(lang, code)
    assert "```" not in page["before"] + page["after"]
    for name, mark in zip(("wrong", "right"), MARKS[lang], strict=True):
        assert page[name].splitlines()[0] == mark
        compile(page[name], f"{code}, {name}", "exec")
    assert bare(page["wrong"]) != bare(page["right"])


@pytest.mark.parametrize("code", CODES)
def test_the_code_is_the_same_in_all_languages(code):
    for one, other in pairwise([parts(lang, code) for lang in MARKS]):
        assert bare(one["wrong"]) == bare(other["wrong"])
        assert bare(one["right"]) == bare(other["right"])


@pytest.mark.parametrize("lang", MARKS)
def test_lines_fit_on_a_screen(lang):
    lines = (PAGES / f"{lang}.md").read_text(encoding="utf-8").splitlines()
    wide = [line for line in lines if cell_len(line) > 100]
    assert not wide


@pytest.mark.parametrize("code", CODES)
def test_pages_are_in_their_language(code):
    texts = {lang: "\n".join([pages(lang)[code][0], *parts(lang, code).values()]) for lang in MARKS}
    for name in "before", "after":
        assert KANA.search(parts("ja", code)[name])
        assert HAN.search(parts("zh", code)[name])
    assert not KANA.search(texts["zh"])
    assert not KANA.search(texts["en"]) and not HAN.search(texts["en"])
