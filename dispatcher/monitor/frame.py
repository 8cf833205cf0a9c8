"""A panel's frame: a box with its name, what is special about it, and exactly its size. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.monitor.glyphs import Glyphs
from dispatcher.monitor.lines import EMPTY, Line, Span, fitted, line, span, width_of

SHORTEST_NAME = 14
"""Cells of a panel's name that its notes leave to it."""


def framed(  # noqa: PLR0913 (what a box is made of)
    title: str, notes: str, content: Sequence[Line], size: tuple[int, int], glyphs: Glyphs, *, has_focus: bool
) -> list[Line]:
    """Draw a box of `size` (columns, rows) around content; what does not fit is cut. The focus has a bold frame."""
    width, height = size
    style = "focus" if has_focus else "dim"
    side = Span(glyphs.vertical, style)
    filled = [*content[: height - 2], *([EMPTY] * (height - 2 - len(content)))]
    rows = [(side, *fitted(row, width - 2, glyphs.ellipsis), side) for row in filled]
    return [_top(title, notes, width, glyphs, style), *rows, _bottom(width, glyphs, style)]


def _top(title: str, notes: str, width: int, glyphs: Glyphs, style: str) -> Line:
    marker = glyphs.here if style == "focus" else ""
    room = width - 4
    told = span(f" {notes} " if notes else " ", "dim")
    # Where both have no room the name gives way, down to a few letters: the notes say what is not in sight.
    name = line(span(f"{marker}{title}", "title" if style == "focus" else ""))
    name = fitted(name, min(width_of(name), max(SHORTEST_NAME, room - width_of((told,)))), glyphs.ellipsis)
    head = (*name, told)
    head = fitted(head, min(room, width_of(head)), glyphs.ellipsis)
    rule = glyphs.horizontal * (width - 3 - width_of(head))
    left = Span(f"{glyphs.corners[0]}{glyphs.horizontal}", style)
    return (left, *head, Span(f"{rule}{glyphs.corners[1]}", style))


def _bottom(width: int, glyphs: Glyphs, style: str) -> Line:
    return (Span(f"{glyphs.corners[2]}{glyphs.horizontal * (width - 2)}{glyphs.corners[3]}", style),)
