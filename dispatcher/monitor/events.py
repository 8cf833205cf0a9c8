"""What can happen to the monitor, and what it can ask to be done. Events past tense, commands imperative. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Events


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """A key: a character, or a name of `keys.py` such as ``up`` or ``ctrl-c``."""

    key: str


@dataclass(frozen=True, slots=True)
class TextPasted:
    """Text that came in one piece; line breaks are newlines."""

    text: str


@dataclass(frozen=True, slots=True)
class Resized:
    """The terminal has this many columns and rows."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class TimePassed:
    """It is `now`, seconds since 1970."""

    now: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The monitor was asked from outside to end."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The feed is there; its snapshot follows."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The feed is gone or did not come, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """The feed said this."""

    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """The coordinator answered a command: an HTTP status and its JSON, or status 0 and why there is none."""

    command: Command
    status: int
    content: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


Event = KeyPressed | TextPasted | Resized | TimePassed | Ended | LinkUp | LinkDown | Told | Answered

# Commands


@dataclass(frozen=True, slots=True)
class Refresh:
    """Ask the feed for a new snapshot, or connect at once."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Execute the configured request once."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Read the configured request, to edit it."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """Replace the configured request."""

    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """Read a whole record."""

    id: str


@dataclass(frozen=True, slots=True)
class ReadOlder:
    """Read the page of history that starts at this cursor."""

    cursor: str


@dataclass(frozen=True, slots=True)
class RemoveAgent:
    """Remove an agent."""

    agent_id: str


Command = Refresh | Execute | ReadRequest | StoreRequest | ReadRecord | ReadOlder | RemoveAgent
