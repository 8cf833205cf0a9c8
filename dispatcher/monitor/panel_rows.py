"""What the three panels with rows share: titles, the rows in sight, the one under the cursor, what is missing. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dispatcher.monitor import browse, table
from dispatcher.monitor.lines import Line, Span, fitted, restyled, span

if TYPE_CHECKING:
    from dispatcher.monitor.state import Panel, State

Cells = Callable[[Any], Sequence[Callable[[], Span]]]


def content(  # noqa: PLR0913, PLR0917 (what a table is made of)
    state: State, panel: Panel, columns: Sequence[table.Column], cells: Cells, size: tuple[int, int], if_empty: str
) -> list[Line]:
    """Draw a table of a panel's rows in `size` (columns, rows)."""
    width, height = size
    looks = state.browsing[panel]
    items = browse.rows(state.shown, panel, looks)
    shown = table.widths(columns, width)
    lines = [table.titles(columns, shown, state.glyphs)]
    if not items:
        text = f"nothing matches {looks.filter}" if looks.filter else if_empty
        return [*lines, (span(text, "dim"),)]
    place = browse.place(items, looks.cursor)
    first = browse.window(len(items), place, height - 1)
    for number, item in enumerate(items[first : first + height - 1], start=first):
        drawn = table.row(columns, shown, cells(item), state.glyphs)
        is_picked = number == place and panel is state.focus
        lines.append(restyled(fitted(drawn, width), "selected") if is_picked else drawn)
    return lines


def notes(state: State, panel: Panel, total: str, held: str = "") -> str:
    """Return what stands beside a panel's name: `total`, or how many of `held` match the filter; and the order."""
    looks = state.browsing[panel]
    parts = [total]
    if looks.filter:
        matches = len(browse.rows(state.shown, panel, looks))
        parts = [f"{matches} of {held or len(browse.everything(state.shown, panel))}", f"/{looks.filter}"]
    if looks.sort:
        parts.append(f"by {browse.order_of(panel, looks).name}")
    return " ".join(part for part in parts if part)
