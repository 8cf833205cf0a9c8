"""The panel of the executions, newest first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dispatcher.monitor import needs, numbers, panel_rows, table
from dispatcher.monitor.glyphs import mark
from dispatcher.monitor.lines import Line, Span, span
from dispatcher.monitor.state import Panel
from dispatcher.monitor.table import Column

if TYPE_CHECKING:
    from dispatcher.monitor.model import Model, Record
    from dispatcher.monitor.state import State

COLUMNS = (
    Column("UTC", 8, 8, 1),
    Column("", 1, 1, 0),
    Column("result", 9, 18, 0),
    Column("took", 8, 8, 2, to_the_right=True),
    Column("source address", 15, 39, 0, cuts_middle=True),
    Column("agent", 8, 24, 3),
    Column("method", 6, 7, 5),
    Column("URL", 12, 30, 4, grows=True),
    Column("size", 8, 8, 6, to_the_right=True),
)


def columns(model: Model) -> tuple[Column, ...]:
    """Return the columns, as wide as this pool's names need; the URL has the rest."""
    needed = needs.of(model)
    return table.needing(COLUMNS, {"source address": needed.address, "agent": needed.agent, "result": needed.result})


def content(state: State, size: tuple[int, int]) -> list[Line]:
    """Draw the executions in `size` (columns, rows)."""
    empty = "nothing was executed yet: c configures a request, e executes it"
    return panel_rows.content(
        state, Panel.HISTORY, columns(state.shown), lambda record: _cells(state, record), size, empty
    )


def notes(state: State) -> str:
    """Return how many executions there are in all, and whether more of them can be scrolled to."""
    executions = state.shown.stats.get("executions")
    total = executions.get("total") if isinstance(executions, dict) else None
    held = len(state.shown.records)
    if not isinstance(total, int) or not total:
        return panel_rows.notes(state, Panel.HISTORY, "")
    if total <= held:
        return panel_rows.notes(state, Panel.HISTORY, f"{numbers.count(total)} in all")
    return panel_rows.notes(state, Panel.HISTORY, f"newest {held} of {numbers.count(total)}", f"newest {held}")


def _cells(state: State, record: Record) -> Sequence[Callable[[], Span]]:
    glyph, style = mark(state.glyphs, record.outcome)
    style = "warn" if style == "good" and record.status is not None and record.status >= 400 else style
    return (
        lambda: span(numbers.clock(record.finished_at), "dim"),
        lambda: Span(glyph, style),
        lambda: span(record.result, style),
        lambda: span(numbers.duration(record.total_ms) if record.status is not None or record.total_ms else ""),
        lambda: span(record.source_ip or "no exit"),
        lambda: span(record.agent_id),
        lambda: span(record.method),
        lambda: span(record.url),
        lambda: span(numbers.size(record.body_size) if record.status is not None else "", "dim"),
    )
