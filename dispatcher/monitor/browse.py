"""Which rows a panel shows and in which order: filter, sort, cursor. Pure, used by `update` and by the panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dispatcher.monitor.model import Exit, Record
from dispatcher.monitor.state import Browsing, Panel

if TYPE_CHECKING:
    from dispatcher.monitor.model import Agent, Model

Item = Any
"""An `Agent`, an `Exit` or a `Record`."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a panel's rows; `key` None is the order in which the coordinator tells them."""

    name: str
    key: Callable[[Item], Any] | None = None
    largest_first: bool = False


ORDERS: dict[Panel, tuple[Order, ...]] = {
    Panel.AGENTS: (
        Order("id", lambda agent: agent.agent_id),
        Order("in flight", lambda agent: agent.in_flight, largest_first=True),
        Order("failed", lambda agent: agent.failed, largest_first=True),
        Order("completed", lambda agent: agent.completed, largest_first=True),
        Order("state", lambda agent: agent.state),
    ),
    Panel.POOL: (
        Order("rotation"),
        Order("agent", lambda exit_: exit_.agent_id),
        Order("failed", lambda exit_: exit_.failed, largest_first=True),
        Order("used", lambda exit_: exit_.leased, largest_first=True),
        Order("state", lambda exit_: exit_.state, largest_first=True),
    ),
    Panel.HISTORY: (
        Order("newest"),
        Order("slowest", lambda record: record.total_ms, largest_first=True),
        Order("result", lambda record: record.result, largest_first=True),
        Order("agent", lambda record: record.agent_id),
        Order("source", lambda record: record.source_ip),
    ),
}
"""What `s` goes through, in this order."""

NO_ORDER = Order("")

ROWS_REMEMBERED = 32_768
"""Rows whose text for filters is kept: a frame with a filter looks at all of them, eight times a second."""


def order_of(panel: Panel, browsing: Browsing) -> Order:
    """Return the order in which a panel is looked at."""
    orders = ORDERS.get(panel, (NO_ORDER,))
    return orders[browsing.sort % len(orders)]


def rows(model: Model, panel: Panel, browsing: Browsing) -> Sequence[Item]:
    """Return what a panel shows, filtered and sorted. Panels without rows have none.

    A filter is a part of the row, whatever the case, or with `=` before it all of a column; one that starts with `!`
    leaves out what has it.
    """
    items = everything(model, panel)
    if browsing.filter.strip("!= "):
        wanted, is_inverse = browsing.filter.removeprefix("!").strip().lower(), browsing.filter.startswith("!")
        looked_at = columns_of if wanted.startswith("=") else text_of
        wanted = wanted.removeprefix("=")
        items = [item for item in items if (wanted in looked_at(item)) is not is_inverse]
    chosen = order_of(panel, browsing)
    if chosen.key is None:
        return items
    return sorted(items, key=chosen.key, reverse=chosen.largest_first)


def everything(model: Model, panel: Panel) -> Sequence[Item]:
    """Return all rows of a panel, as the coordinator tells them; a panel without rows has none."""
    match panel:
        case Panel.AGENTS:
            return list(model.agents.values())
        case Panel.POOL:
            return list(model.exits.values())
        case Panel.HISTORY:
            return model.records
    return ()


@lru_cache(maxsize=ROWS_REMEMBERED)
def text_of(item: Agent | Exit | Record) -> str:
    """Return all that a filter looks at: every text and number of the row, in lower case."""
    return " ".join(columns_of(item))


@lru_cache(maxsize=ROWS_REMEMBERED)
def columns_of(item: Agent | Exit | Record) -> tuple[str, ...]:
    """Return every text and number of the row by itself, in lower case."""
    fields = (getattr(item, name) for name in item.__slots__)
    return tuple(str(field).lower() for field in fields if field not in ("", None))


def key_of(item: Agent | Exit | Record) -> str:
    """Return what tells a row from all others of its panel."""
    if isinstance(item, Record):
        return item.id
    return "|".join(item.key) if isinstance(item, Exit) else item.agent_id


def place(items: Sequence[Item], cursor: str | None) -> int:
    """Return the number of the row under the cursor: the first where its row is gone or it follows the first."""
    if cursor is None:
        return 0
    return next((number for number, item in enumerate(items) if key_of(item) == cursor), 0)


def cursor_at(items: Sequence[Item], number: int) -> str | None:
    """Return the cursor for the row with this number, or the nearest there is; the first row is followed."""
    number = min(number, len(items) - 1)
    return key_of(items[number]) if number > 0 else None


def window(count: int, place_: int, height: int) -> int:
    """Return the first row to draw, so that the row at the cursor is in sight and the window is full."""
    return max(0, min(place_ - height // 2, count - height))
