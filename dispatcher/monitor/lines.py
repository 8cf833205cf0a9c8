"""A line of the screen: spans of safe text, each with a style by name. Pure; `view.py` alone knows colours.

Styles are `good` and `bad` (blue and orange where there is colour), `warn`, `title`, `dim`, `selected`, `error`, and
the empty string for none.
"""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.monitor.text import ascii_only, cell_width, cut, head, pad, safe_text


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line in one style."""

    text: str
    style: str = ""


Line = tuple[Span, ...]

EMPTY: Line = ()


def span(text: str, style: str = "") -> Span:
    """Make a span of any text, from outside or not; every text of the screen comes through here."""
    return Span(safe_text(text), style)


def line(*parts: str | Span) -> Line:
    """Make a line of spans and of plain texts."""
    return tuple(part if isinstance(part, Span) else span(part) for part in parts)


def width_of(spans: Line) -> int:
    """Return how many cells a line takes."""
    return sum(cell_width(part.text) for part in spans)


def fitted(spans: Line, width: int, ellipsis: str = "…") -> Line:
    """Return a line of exactly `width` cells: cut with an ellipsis, or filled with spaces."""
    left = width
    kept: list[Span] = []
    for part in spans:
        shown = cut(part.text, left, ellipsis)
        kept.append(Span(shown, part.style))
        left -= cell_width(shown)
        if shown != part.text:
            break
    if left > 0:
        kept.append(Span(pad("", left), kept[-1].style if kept and kept[-1].style == "selected" else ""))
    return tuple(part for part in kept if part.text)


def restyled(spans: Line, style: str) -> Line:
    """Return the line in one style throughout."""
    return tuple(Span(part.text, style) for part in spans)


def wrapped(spans: Line, width: int, indent: int = 4) -> list[Line]:
    """Break a line into lines of at most `width` cells, anywhere; all but the first begin with `indent` spaces."""
    rows: list[list[Span]] = [[]]
    left = width
    for part in spans:
        start = 0
        while start < len(part.text):
            piece = head(part.text[start : start + left], left)
            if not piece:
                rows.append([Span(" " * indent)])
                left = width - indent
                piece = head(part.text[start : start + left], left) or part.text[start]
            rows[-1].append(Span(piece, part.style))
            left -= cell_width(piece)
            start += len(piece)
    return [tuple(row) for row in rows]


def in_ascii(spans: Line) -> Line:
    """Return the line, as wide as it was, for a terminal that shows nothing but ASCII."""
    return tuple(Span(ascii_only(part.text), part.style) for part in spans)


def plain(spans: Line) -> str:
    """Return the text of a line, without its styles and the spaces at its end."""
    return "".join(part.text for part in spans).rstrip()
