"""Pictures made of characters: a text coloured by numbers, or with marks below it where there are no colours; bars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minidl.inputs import Array

if TYPE_CHECKING:
    from rich.text import Text

MARKS = "▁▂▃▄▅▆▇█"
DIGITS = "01234567"  # the same where the output knows ASCII alone
LEVELS = 10  # of colour on each side of 0: equal neighbours make one span
PAPER = (247, 247, 247)
# the diverging RdBu and the sequential Oranges of ColorBrewer (Harrower & Brewer 2003), from the middle outwards
REDS = (PAPER, (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43))
BLUES = (PAPER, (209, 229, 240), (146, 197, 222), (67, 147, 195), (33, 102, 172))
ORANGES = (PAPER, (253, 208, 162), (253, 141, 60), (217, 72, 1), (140, 45, 4))

Colour = tuple[int, int, int]


class Scale(NamedTuple):
    """From which number to which the colours go, and the words below them."""

    low: float
    high: float
    below: str
    above: str


SIGNED = Scale(-1, 1, "-1", "+1")
SHARE = Scale(0, 1, "0 shut", "1 open")


def shade(value: float, scale: Scale) -> Colour:
    """The colour of a number: blue below 0, red above it; on a scale that is never below 0, orange.

    Example:
        >>> from minidl.looking.pictures import SIGNED, shade
        >>> shade(0.0, SIGNED), shade(-1.0, SIGNED)
        ((247, 247, 247), (33, 102, 172))
    """
    if scale.low >= 0:
        tones, size = ORANGES, (value - scale.low) / (scale.high - scale.low)
    else:
        tones, size = BLUES if value < 0 else REDS, abs(value) / max(-scale.low, scale.high)
    size = max(0.0, min(1.0, size))
    place = round(size * LEVELS) / LEVELS * (len(tones) - 1)
    k = min(int(place), len(tones) - 2)
    r, g, b = (round(x + (place - k) * (y - x)) for x, y in zip(tones[k], tones[k + 1], strict=True))
    return r, g, b


def mark(value: float, scale: Scale, marks: str = MARKS) -> str:
    """The same as a character: the lowest mark is `scale.low`, the highest `scale.high`."""
    share = (value - scale.low) / (scale.high - scale.low)
    return marks[min(len(marks) - 1, max(0, int(share * len(marks))))]


def style_of(value: float, scale: Scale) -> str:
    """Colours for rich: of the paper, and of the letters on it."""
    r, g, b = shade(value, scale)
    ink = "rgb(255,255,255)" if 0.299 * r + 0.587 * g + 0.114 * b < 140 else "rgb(40,40,40)"
    return f"{ink} on rgb({r},{g},{b})"


# -- text ---------------------------------------------------------------------------------------------


def visible(piece: str) -> str:
    """A piece of text as it is shown: a line break as ↵, a tab as →, what else would move the cursor as ·."""
    return "".join("↵" if c == "\n" else "→" if c == "\t" else c if c.isprintable() else "·" for c in piece)


def lines_of(pieces: Sequence[str], width: int) -> Iterator[tuple[int, int]]:
    """Where the lines of a text begin and end, [from, to): after a line break, or at a blank before `width` is full.

    Example:
        >>> from minidl.looking.pictures import lines_of
        >>> list(lines_of("one two\\nthree", 6))
        [(0, 4), (4, 8), (8, 13)]
    """
    from rich.cells import cell_len

    begin = at = used = 0
    while at < len(pieces):
        size = cell_len(visible(pieces[at]))
        if used + size > width and at > begin:
            blanks = [k for k in range(begin, at) if pieces[k][-1:].isspace()]
            cut = blanks[-1] + 1 if blanks else at
            yield begin, cut
            begin = at = cut
            used = 0
            continue
        used, at = used + size, at + 1
        if pieces[at - 1].endswith("\n"):
            yield begin, at
            begin, used = at, 0
    if begin < len(pieces):
        yield begin, len(pieces)


def coloured(pieces: Sequence[str], values: Array, scale: Scale, width: int) -> Iterator[Text]:
    """A text line by line, each piece on the colour of its value; the lines are filled up to the width."""
    from rich.text import Text

    dim = f"rgb(160,160,160) on rgb{str(PAPER).replace(' ', '')}"
    for begin, end in lines_of(pieces, width):
        line = Text(no_wrap=True)
        for piece, value in zip(pieces[begin:end], values[begin:end], strict=True):
            line.append(visible(piece), style_of(float(value), scale))
        line.append(" " * max(0, width - line.cell_len), dim)
        yield line


def marked(
    pieces: Sequence[str], values: Array, scale: Scale, width: int, marks: str = MARKS
) -> Iterator[tuple[str, str]]:
    """A text line by line, each with a line of marks to go below it, aligned to the column.

    Example:
        >>> from minidl.looking.pictures import SHARE, marked
        >>> list(marked("ab\\n", np.array([0.0, 0.5, 1.0]), SHARE, 40))
        [('ab↵', '▁▅█')]
    """
    from rich.cells import cell_len

    for begin, end in lines_of(pieces, width):
        shown = [visible(piece) for piece in pieces[begin:end]]
        below = (mark(float(v), scale, marks) for v in values[begin:end])
        yield "".join(shown), "".join(m * cell_len(one) for one, m in zip(shown, below, strict=True))


# -- figures ------------------------------------------------------------------------------------------


def bar(share: float, width: int, marks: str = MARKS) -> str:
    """A bar of a share of the width, to an eighth of a column; whatever is not 0 shows.

    Example:
        >>> from minidl.looking.pictures import bar
        >>> bar(0.5, 5)
        '██▌'
    """
    if marks == DIGITS:
        return "#" * round(share * width)
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    eighths = max(eighths, 1) if share > 0 else 0
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def falling(norms: Array, width: int, rows: int = 3, decades: int = 4, marks: str = MARKS) -> list[str]:
    """Norms by lag as an area on a logarithmic scale, from that at lag 0 down to 10^-4 of it, the top row first.

    Example:
        >>> from minidl.looking.pictures import falling
        >>> print("\\n".join(falling(np.array([1.0, 0.1, 0.01, 0.001, 0.0]), 5, rows=2)))
        █▄
        ███▄▁
    """
    if not len(norms) or not norms[0]:
        return []
    logs = 1 + np.log10(np.maximum(norms / norms[0], 10.0**-decades)) / decades  # 1 at lag 0, 0 at the floor
    heights = [part.mean() * rows for part in np.array_split(logs, min(width, len(logs)))]
    full = len(marks)
    lines = []
    for row in reversed(range(rows)):
        filled = (round((height - row) * full) for height in heights)
        line = (marks[min(n, full) - 1] if n > 0 else marks[0] if not row else " " for n in filled)
        lines.append("".join(line).rstrip())
    return lines


def histogram(means: Array, bins: int = 10) -> Array:
    """How many of some shares lie in each of equal parts of [0, 1]; 1 belongs to the last."""
    return np.bincount(np.minimum((np.asarray(means) * bins).astype(int), bins - 1), minlength=bins)


def figure(value: float) -> str:
    """A small number in few characters: 0.25, 3e-04, 0."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.2g}" if abs(value) >= 0.01 else f"{value:.0e}"
