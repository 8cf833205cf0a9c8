"""All that the screen depends on, in one frozen value. Pure: `update.py` makes the next one, `view.py` draws it.

What would surprise: a panel's cursor is the key of a row and not its number, so a row that was picked stays picked
while new ones push it down; None is the first row, whichever that is, and follows what is new.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dispatcher.monitor.glyphs import UNICODE, Glyphs
from dispatcher.monitor.model import Json, Model, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.monitor.events import Command, KeyPressed, TextPasted
    from dispatcher.monitor.form import Form

MESSAGE_SECONDS = 8.0
"""How long a message stays in the last row; a failure stays until the next key."""


REFRESHING = "refreshing"
"""Said until a snapshot comes, or it is known that nobody gives one."""


class Panel(StrEnum):
    """The panels in the order of Tab."""

    AGENTS = "Agents"
    POOL = "Pool"
    STATS = "Stats"
    REQUEST = "Request"
    HISTORY = "History"


@dataclass(frozen=True, slots=True)
class Browsing:
    """How one panel is looked at: `sort` numbers its orders in `browse.py`; `filter` is what was typed after `/`."""

    cursor: str | None = None
    filter: str = ""
    sort: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """The feed: `since` is when it went to this condition, `heard` when it last said something (0: never)."""

    is_up: bool = False
    since: float = 0.0
    heard: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """What the last row says; `until` is None where it stays until a key is pressed."""

    text: str
    style: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """One record or agent over the whole screen. `whole` is the record as the coordinator has it, once it came."""

    record: Record | None = None
    whole: Json | None = None
    problem: str = ""
    agent_id: str = ""
    scroll: int = 0


@dataclass(frozen=True, slots=True)
class Help:
    """The keys over the whole screen."""

    scroll: int = 0


@dataclass(frozen=True, slots=True)
class Confirm:
    """A question in the last row about removing an agent."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class FilterPrompt:
    """A filter being typed for the panel in focus; `before` comes back when it is given up."""

    before: str


@dataclass(frozen=True, slots=True)
class State:
    """All of it. `commands` is what is to be done now; whoever does it empties it.

    `held` is what was typed for the form while its request is on the way; None while no form is to open.
    """

    url: str = ""
    glyphs: Glyphs = UNICODE
    now: float = 0.0
    width: int = 80
    height: int = 24
    model: Model = field(default_factory=Model)
    paused: Model | None = None
    link: Link = field(default_factory=Link)
    focus: Panel = Panel.HISTORY
    browsing: Mapping[Panel, Browsing] = field(default_factory=lambda: dict.fromkeys(Panel, Browsing()))
    is_zoomed: bool = False
    overlay: Any = None
    draft: Form | None = None
    held: tuple[KeyPressed | TextPasted, ...] | None = None
    message: Message | None = None
    executing: int = 0
    last: Detail | None = None
    is_reading_older: bool = False
    commands: tuple[Command, ...] = ()
    has_ended: bool = False

    @property
    def shown(self) -> Model:
        """The model on the screen."""
        return self.paused or self.model

    @property
    def looks(self) -> Browsing:
        """How the panel in focus is looked at."""
        return self.browsing[self.focus]


def look(state: State, **changes: Any) -> State:
    """Return the state with the panel in focus looked at in another way."""
    return replace(state, browsing={**state.browsing, state.focus: replace(state.looks, **changes)})


def say(state: State, text: str, style: str = "") -> State:
    """Return the state with a message; an error stays until a key is pressed."""
    return replace(state, message=Message(text, style, None if style == "error" else state.now + MESSAGE_SECONDS))


def order(state: State, *commands: Command) -> State:
    """Return the state with commands to be done."""
    return replace(state, commands=(*state.commands, *commands))
