"""A table in a given width: which columns have room, how wide each is, and the rows drawn. Pure.

Columns go by priority: where the width is not enough for all, the least important goes first. Widths depend on the
window and on the longest names, never on the rows in sight, so nothing jumps while numbers change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dispatcher.monitor.glyphs import Glyphs
from dispatcher.monitor.lines import Line, Span, span
from dispatcher.monitor.text import cut, cut_middle, pad

GAP = " "


@dataclass(frozen=True, slots=True)
class Column:
    """A column: at least `low` cells, `best` where there is room, and all that is left where it `grows`."""

    title: str
    low: int
    best: int
    priority: int
    grows: bool = False
    to_the_right: bool = False
    cuts_middle: bool = False


def needing(columns: Sequence[Column], cells: Mapping[str, int]) -> tuple[Column, ...]:
    """Return the columns, those that are named here no wider than they need; a column that grows still may."""
    return tuple(
        replace(column, best=max(column.low, min(column.best, cells.get(column.title, column.best))))
        for column in columns
    )


def wanted(columns: Sequence[Column]) -> int:
    """Return how many cells the columns take where all are as wide as is good for them."""
    return sum(column.best for column in columns) + len(columns) - 1


def widths(columns: Sequence[Column], room: int) -> dict[int, int]:
    """Return the width of each column that has a place in `room` cells, by its number."""
    shown = {number: column.low for number, column in _by_priority(columns)}
    while len(shown) > 1 and sum(shown.values()) + len(shown) - 1 > room:
        del shown[max(shown, key=lambda number: columns[number].priority)]
    spare = room - sum(shown.values()) - len(shown) + 1
    for number, column in _by_priority(columns):
        if number in shown and spare > 0:
            more = min(spare, column.best - column.low)
            shown[number] += more
            spare -= more
    growing = next((number for number in shown if columns[number].grows), None)
    if growing is not None:
        shown[growing] += spare
    return {number: shown[number] for number in sorted(shown)}


def _by_priority(columns: Sequence[Column]) -> list[tuple[int, Column]]:
    return sorted(enumerate(columns), key=lambda item: item[1].priority)


def titles(columns: Sequence[Column], shown: dict[int, int], glyphs: Glyphs) -> Line:
    """Draw the row of the columns' titles."""
    cells = [
        _cell(columns[number], span(columns[number].title, "dim"), width, glyphs) for number, width in shown.items()
    ]
    return _joined(cells)


def row(columns: Sequence[Column], shown: dict[int, int], cells: Sequence[Callable[[], Span]], glyphs: Glyphs) -> Line:
    """Draw a row; only the cells that have a place are made."""
    return _joined([_cell(columns[number], cells[number](), width, glyphs) for number, width in shown.items()])


def _cell(column: Column, content: Span, width: int, glyphs: Glyphs) -> Span:
    shorten = cut_middle if column.cuts_middle else cut
    text = shorten(content.text, width, glyphs.ellipsis)
    return Span(pad(text, width, to_the_right=column.to_the_right), content.style)


def _joined(cells: list[Span]) -> Line:
    spans: list[Span] = []
    for cell in cells:
        if spans:
            spans.append(Span(GAP))
        spans.append(cell)
    return tuple(spans)
