"""Where the panels stand at each size. Pure.

80x24 is the size that this is made for. Smaller than `FOR_ALL` there is one panel at a time and Tab goes through them;
from `FOR_COLUMNS` on the panels stand in columns, so that history gets the height of the window.
"""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.monitor import panel_agents, panel_pool, table
from dispatcher.monitor.state import Panel, State

SMALLEST = (40, 10)
FOR_ALL = (72, 20)
FOR_COLUMNS = (150, 30)
LEFT_COLUMNS = 60
"""Of agents and pool beside the other panels at least; what they do not need beyond is history's, for its URLs."""

HISTORY_COLUMNS = 110
"""Of history at least, where agents and pool need more than two fifths of the window."""


@dataclass(frozen=True, slots=True)
class Area:
    """A panel's place: its first column and row, and its size with its frame."""

    panel: Panel
    x: int
    y: int
    width: int
    height: int

    @property
    def rows(self) -> int:
        """How many rows of a table have room: all but the frame and the column titles."""
        return self.height - 3


def areas(state: State) -> tuple[Area, ...]:
    """Return the places of the panels that are shown, between the first row and the last."""
    width, height = state.width, state.height - 2
    if state.is_zoomed or width < FOR_ALL[0] or height + 2 < FOR_ALL[1]:
        return (Area(state.focus, 0, 1, width, height),)
    if width >= FOR_COLUMNS[0] and height + 2 >= FOR_COLUMNS[1]:
        return _columns(state, width, height)
    return _stacked(state, width, height)


def _stacked(state: State, width: int, height: int) -> tuple[Area, ...]:
    """Agents and pool at the left, stats and request at the right, history below over the whole width."""
    upper = max(12, height * 11 // 20)
    right = max(33, min(width * 2 // 5, 56))
    left = width - right
    agents = min(max(5, len(state.shown.agents) + 3), upper - 6)
    request = 6 if upper >= 16 else 4
    return (
        Area(Panel.AGENTS, 0, 1, left, agents),
        Area(Panel.POOL, 0, 1 + agents, left, upper - agents),
        Area(Panel.STATS, left, 1, right, upper - request),
        Area(Panel.REQUEST, left, 1 + upper - request, right, request),
        Area(Panel.HISTORY, 0, 1 + upper, width, height - upper),
    )


def _columns(state: State, width: int, height: int) -> tuple[Area, ...]:
    """Agents and pool in the left column, stats and request beside each other at the right, history below them."""
    wanted = max(table.wanted(panel.columns(state.shown)) for panel in (panel_agents, panel_pool)) + 2
    left = min(max(wanted, LEFT_COLUMNS), max(width * 2 // 5, width - HISTORY_COLUMNS))
    right = width - left
    agents = min(max(6, len(state.shown.agents) + 3), height // 3)
    top = 15 if height >= 40 else 12
    stats = right // 2
    return (
        Area(Panel.AGENTS, 0, 1, left, agents),
        Area(Panel.POOL, 0, 1 + agents, left, height - agents),
        Area(Panel.STATS, left, 1, stats, top),
        Area(Panel.REQUEST, left + stats, 1, right - stats, top),
        Area(Panel.HISTORY, left, 1 + top, right, height - top),
    )


def area_of(state: State, panel: Panel) -> Area:
    """Return a panel's place; the whole window where it is not shown."""
    return next(
        (area for area in areas(state) if area.panel is panel), Area(panel, 0, 1, state.width, state.height - 2)
    )
