"""The panel of the agents, and one agent with all its addresses over the whole screen. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dispatcher.monitor import needs, numbers, panel_rows, table
from dispatcher.monitor.glyphs import mark
from dispatcher.monitor.lines import EMPTY, Line, Span, line, span
from dispatcher.monitor.state import Panel
from dispatcher.monitor.table import Column
from dispatcher.monitor.text import cell_width, pad, safe_text

if TYPE_CHECKING:
    from dispatcher.monitor.model import Agent, Model
    from dispatcher.monitor.state import State

COLUMNS = (
    Column("", 1, 1, 0),
    Column("agent", 8, 24, 0, grows=True),
    Column("state", 9, 10, 1),
    Column("addr", 4, 4, 2, to_the_right=True),
    Column("busy", 4, 4, 4, to_the_right=True),
    Column("done", 4, 5, 3, to_the_right=True),
    Column("fail", 4, 5, 3, to_the_right=True),
    Column("seen", 4, 5, 5, to_the_right=True),
    Column("host", 8, 24, 6),
    Column("version", 7, 10, 7),
)


def columns(model: Model) -> tuple[Column, ...]:
    """Return the columns, as wide as the agents' names need."""
    needed = needs.of(model)
    return table.needing(COLUMNS, {"agent": needed.agent, "host": needed.host})


def content(state: State, size: tuple[int, int]) -> list[Line]:
    """Draw the agents in `size` (columns, rows)."""
    empty = "no agent yet: run `dispatcher.pyz agent` on a gateway"
    return panel_rows.content(
        state, Panel.AGENTS, columns(state.shown), lambda agent: _cells(state, agent), size, empty
    )


def notes(state: State) -> str:
    """Return how many are connected of how many."""
    agents = state.shown.agents.values()
    connected = sum(agent.state == "connected" for agent in agents)
    return panel_rows.notes(state, Panel.AGENTS, f"{connected}/{len(agents)} connected" if agents else "")


def _cells(state: State, agent: Agent) -> Sequence[Callable[[], Span]]:
    glyph, style = mark(state.glyphs, agent.state)
    return (
        lambda: Span(glyph, style),
        lambda: span(agent.agent_id),
        lambda: span(agent.state, style),
        lambda: span(numbers.count(len(agent.addresses))),
        lambda: span(numbers.count(agent.in_flight)),
        lambda: span(numbers.count(agent.completed)),
        lambda: span(numbers.count(agent.failed), "bad" if agent.failed else ""),
        lambda: span(_seen(state, agent)),
        lambda: span(agent.hostname),
        lambda: _version(state, agent),
    )


def _seen(state: State, agent: Agent) -> str:
    """A connected agent answers pings all the time, whenever it last had something to say."""
    return "now" if agent.state in ("connected", "draining") else numbers.since(agent.last_seen_at, state.now)


def _version(state: State, agent: Agent) -> Span:
    """A column may be too narrow for what differs, so a mark says that it does; the agent's own screen says more."""
    return span(f"!{agent.version}", "warn") if _difference(state, agent) else span(agent.version)


def _difference(state: State, agent: Agent) -> str:
    ours = state.shown.stats.get("version")
    return f"  (the coordinator runs {ours})" if ours and agent.version and ours != agent.version else ""


def detail_lines(state: State, agent_id: str) -> list[Line]:
    """Draw one agent with its addresses, each with its state and why it is not used."""
    agent = state.shown.agents.get(agent_id)
    if agent is None:
        return [line(span(f"agent {agent_id} is no longer known", "bad"))]
    glyph, style = mark(state.glyphs, agent.state)
    head = [
        line("agent       ", span(agent.agent_id, "title")),
        line("state       ", Span(f"{glyph} ", style), span(agent.state, style)),
        line("host        ", span(agent.hostname or "unknown")),
        line("version     ", span(agent.version or "unknown"), span(_difference(state, agent), "warn")),
        line("connected   ", span(agent.connected_at or "never")),
        line(
            "last seen   ",
            span(f"{numbers.since(agent.last_seen_at, state.now)} ago" if agent.last_seen_at else "never"),
        ),
        line("executions  ", f"{agent.in_flight} in flight, {agent.completed} completed, {agent.failed} failed"),
        EMPTY,
        line(span(f"Addresses ({len(agent.addresses)})", "title")),
    ]
    longest = max((cell_width(safe_text(address)) for address, _, _ in agent.addresses), default=0)
    return head + [_address(state, *address, longest) for address in agent.addresses]


def _address(state: State, address: str, condition: str, reason: str, width: int) -> Line:
    glyph, style = mark(state.glyphs, condition)
    return line(
        Span(f"{glyph} ", style),
        Span(pad(safe_text(address), width)),
        "  ",
        span(condition, style),
        span(f"  {reason}", "dim"),
    )
