"""The panel of the exits in rotation order, the one that the next lease takes marked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dispatcher.monitor import needs, numbers, panel_rows, table
from dispatcher.monitor.glyphs import mark
from dispatcher.monitor.lines import Line, Span, span
from dispatcher.monitor.state import Panel
from dispatcher.monitor.table import Column

if TYPE_CHECKING:
    from dispatcher.monitor.model import Exit, Model
    from dispatcher.monitor.state import State

COLUMNS = (
    Column("", 1, 1, 0),
    Column("source address", 14, 39, 0, grows=True, cuts_middle=True),
    Column("agent", 8, 24, 3),
    Column("", 1, 1, 2),
    Column("state", 10, 34, 2),
    Column("used", 4, 5, 4, to_the_right=True),
    Column("fail", 4, 5, 5, to_the_right=True),
    Column("busy", 4, 5, 6, to_the_right=True),
    Column("last", 5, 5, 7, to_the_right=True),
)


def columns(model: Model) -> tuple[Column, ...]:
    """Return the columns, as wide as this pool's names need."""
    needed = needs.of(model)
    return table.needing(COLUMNS, {"source address": needed.address, "agent": needed.agent, "state": needed.condition})


def content(state: State, size: tuple[int, int]) -> list[Line]:
    """Draw the exits in `size` (columns, rows)."""
    empty = "no exit: no connected agent has a usable address"
    return panel_rows.content(state, Panel.POOL, columns(state.shown), lambda exit_: _cells(state, exit_), size, empty)


def notes(state: State) -> str:
    """Return how many exits are available of how many."""
    model = state.shown
    return panel_rows.notes(
        state, Panel.POOL, f"{model.available}/{model.size} available, {state.glyphs.next} next" if model.size else ""
    )


def _cells(state: State, exit_: Exit) -> Sequence[Callable[[], Span]]:
    glyph, style = mark(state.glyphs, exit_.state)
    is_next = exit_.key == state.shown.next_exit
    condition = f"{exit_.state}: {exit_.reason}" if exit_.reason else exit_.state
    return (
        lambda: Span(state.glyphs.next if is_next else "", "title"),
        lambda: span(exit_.address, "title" if is_next else ""),
        lambda: span(exit_.agent_id),
        lambda: Span(glyph, style),
        lambda: span(condition, style),
        lambda: span(numbers.count(exit_.leased)),
        lambda: span(numbers.count(exit_.failed), "bad" if exit_.failed else ""),
        lambda: span(numbers.count(exit_.in_flight)),
        lambda: span(numbers.since(exit_.last_used_at, state.now)),
    )
