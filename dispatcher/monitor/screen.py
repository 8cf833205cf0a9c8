"""The whole screen as lines of exactly its size: the first row, the panels or what covers them, the last row. Pure.

What every painter owes is its size: each takes columns and rows and fills them, no more and no less.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from dispatcher.monitor import (
    form_view,
    frame,
    help,  # noqa: A004 (the module of the help)
    layout,
    numbers,
    panel_agents,
    panel_history,
    panel_pool,
    panel_request,
    panel_stats,
    record_view,
)
from dispatcher.monitor.form import Form
from dispatcher.monitor.glyphs import ASCII
from dispatcher.monitor.lines import EMPTY, Line, Span, fitted, in_ascii, line, span, width_of
from dispatcher.monitor.state import Confirm, Detail, FilterPrompt, Help, Panel, State

PAINTERS: dict[Panel, ModuleType] = {
    Panel.AGENTS: panel_agents,
    Panel.POOL: panel_pool,
    Panel.STATS: panel_stats,
    Panel.REQUEST: panel_request,
    Panel.HISTORY: panel_history,
}
"""Each has `content(state, (columns, rows))` and `notes(state)`."""

SILENCE_SECONDS = 3.0
"""The feed says something every second; after this long without, the age of what is shown is said."""


def compose(state: State) -> list[Line]:
    """Draw the whole screen, `state.height` lines of `state.width` cells."""
    if state.width < layout.SMALLEST[0] or state.height < layout.SMALLEST[1]:
        return _too_small(state)
    rows = [
        fitted(row, state.width, state.glyphs.ellipsis)
        for row in (_first_row(state), *_middle(state), _last_row(state))
    ]
    return [in_ascii(row) for row in rows] if state.glyphs is ASCII else rows


def _too_small(state: State) -> list[Line]:
    needed = f"{layout.SMALLEST[0]}x{layout.SMALLEST[1]}"
    told = [f"The window is too small: {state.width}x{state.height}.", f"{needed} is needed.", "q quits."]
    lines = [line(text) for text in told][: max(0, state.height)]
    return [fitted(row, state.width) for row in [*lines, *([EMPTY] * (state.height - len(lines)))]]


def _first_row(state: State) -> Line:
    name = span(" HTTP Dispatcher ", "title")
    parts = [_link(state), span(f"  {_counts(state)}")]
    if state.paused is not None:
        parts.insert(0, span(" PAUSED ", "selected"))
    room = state.width - sum(width_of((part,)) for part in (name, *parts)) - 1
    if room < 0:
        return line(" ", *parts)
    url = span(f"{state.url}  ") if room > len(state.url) + 2 else Span("")
    return line(name, url, *parts)


def _link(state: State) -> Span:
    link, glyphs = state.link, state.glyphs
    if link.is_up and state.now - link.heard < SILENCE_SECONDS:
        return span(f"{glyphs.good} live", "good")
    if link.is_up:
        return span(f"{glyphs.waiting} silent for {numbers.age(state.now - link.heard)}", "warn")
    if not link.since:
        return span(f"{glyphs.waiting} connecting", "warn")
    shown = f", shown as of {numbers.age(state.now - link.heard)} ago" if link.heard else ""
    return span(f"{glyphs.bad} no coordinator for {numbers.age(state.now - link.since)}{shown}", "bad")


def _counts(state: State) -> str:
    rate = state.shown.stats.get("rate_per_second")
    agents = sum(agent.state == "connected" for agent in state.shown.agents.values())
    per_second = f"  {rate:.1f}/s" if isinstance(rate, (int, float)) else ""
    return f"{agents} agents  {state.shown.available}/{state.shown.size} exits{per_second}"


def _middle(state: State) -> Sequence[Line]:
    size = (state.width, state.height - 2)
    match state.overlay:
        case Form():
            content = form_view.lines(state.overlay, size[0] - 2, size[1] - 2, state.glyphs)
            notes = form_view.notes(state.overlay, size[0] - 2, size[1] - 2)
            return frame.framed("Configure the request", notes, content, size, state.glyphs, has_focus=True)
        case Detail():
            return _scrolled(
                record_view.title(state.overlay), record_view.lines(state, state.overlay, size[0] - 2), state
            )
        case Help():
            return _scrolled("Keys", help.rows(size[0] - 2), state)
    return _panels(state)


def _scrolled(title: str, content: list[Line], state: State) -> list[Line]:
    scroll = state.overlay.scroll
    height = state.height - 4
    notes = f"{scroll + 1}-{min(scroll + height, len(content))} of {len(content)}" if len(content) > height else ""
    size = (state.width, state.height - 2)
    return frame.framed(title, notes, content[scroll:], size, state.glyphs, has_focus=True)


def _panels(state: State) -> list[Line]:
    rows: list[list[tuple[int, Line]]] = [[] for _ in range(state.height - 2)]
    places = layout.areas(state)
    for area in places:
        painter = PAINTERS[area.panel]
        content = painter.content(state, (area.width - 2, area.height - 2))
        size = (area.width, area.height)
        name = _name(area.panel, is_alone=len(places) == 1)
        has_focus = area.panel is state.focus
        drawn = frame.framed(name, painter.notes(state), content, size, state.glyphs, has_focus=has_focus)
        for number, row in enumerate(drawn, start=area.y - 1):
            rows[number].append((area.x, row))
    return [tuple(part for _, row in sorted(pieces, key=lambda piece: piece[0]) for part in row) for pieces in rows]


def _name(panel: Panel, *, is_alone: bool) -> str:
    number = tuple(Panel).index(panel) + 1
    return f"{number} {panel} (Tab)" if is_alone else f"{number} {panel}"


def _last_row(state: State) -> Line:
    match state.overlay:
        case Confirm():
            return _question(state, state.overlay.agent_id)
        case FilterPrompt():
            return line(
                span(f" /{state.looks.filter}"),
                Span(" ", "selected"),
                span("  Enter keeps it, Esc gives it up, ! leaves out", "dim"),
            )
    if state.message is not None and state.message.text:
        return _with_reminders(state, span(f" {state.message.text}", state.message.style))
    if not state.link.is_up and state.link.reason:
        return _with_reminders(state, span(f" {state.link.reason}; trying again", "warn"))
    return _with_reminders(state)


def _question(state: State, agent_id: str) -> Line:
    agent = state.shown.agents.get(agent_id)
    loses = f" ({len(agent.addresses)} addresses, {agent.in_flight} in flight)" if agent else ""
    return line(span(f" y removes agent {agent_id}{loses}, any other key does not", "warn"))


def _with_reminders(state: State, *said: Span) -> Line:
    """Draw what is to be said, and behind it as many of the keys as have room."""
    room = state.width - width_of(said) - 1
    shown = "  " if said else ""
    for word in _reminders(state):
        if len(shown) + len(word) + 2 > room:
            break
        shown += f" {word} "
    return line(*said, span(shown, "dim"))


def _reminders(state: State) -> Sequence[str]:
    match state.overlay:
        case Form():
            return help.FORM_REMINDERS
        case Detail():
            return help.DETAIL_REMINDERS
        case Help():
            return help.HELP_REMINDERS
    return help.REMINDERS
