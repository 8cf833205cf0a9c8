"""`view(state, width, height)`: the screen as a curtsies array. Pure; here alone styles become attributes.

Blue and orange tell good from bad, never red and green; what a colour says stands there as a glyph and a word too.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from curtsies.formatstring import FmtStr, fmtstr
from curtsies.formatstringarray import FSArray

from dispatcher.monitor.lines import Line, Span
from dispatcher.monitor.screen import compose
from dispatcher.monitor.state import State

ATTRIBUTES: dict[str, dict[str, object]] = {
    "": {},
    "good": {"fg": "cyan"},
    "bad": {"fg": "yellow", "bold": True},
    "warn": {"fg": "yellow"},
    "error": {"fg": "yellow", "bold": True},
    "title": {"bold": True},
    "focus": {"bold": True, "fg": "cyan"},
    "dim": {"dark": True},
    "selected": {"invert": True},
}
"""Styles in the colours that every terminal has; `palette.py` makes them bluer and more orange where there are 256."""


def view(state: State, width: int, height: int) -> FSArray:
    """Draw the state at a size; every row of the array takes exactly `width` cells."""
    array = FSArray(0, width)
    array.rows = [_formatted(row) for row in compose(replace(state, width=width, height=height))]
    return array


def _formatted(row: Line) -> FmtStr:
    parts = [fmtstr("".join(part.text for part in run), **ATTRIBUTES[style]) for style, run in groupby(row, _style)]
    return FmtStr(*(chunk for part in parts for chunk in part.chunks))


def _style(part: Span) -> str:
    return part.style
