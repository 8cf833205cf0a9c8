"""What the coordinator told, as far as the monitor shows it. Frozen, so that a paused screen is one reference. Pure.

Made of JSON with a default for whatever is missing: an older or newer coordinator must not end the monitor. Texts are
kept as they came and made safe where they are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]
ExitKey = tuple[str, str]

NOTHING: Json = {}


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent; `addresses` are (address, state, reason)."""

    agent_id: str
    hostname: str
    version: str
    state: str
    connected_at: str
    last_seen_at: str
    addresses: tuple[tuple[str, str, str], ...]
    in_flight: int
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Exit:
    """One exit of the pool."""

    agent_id: str
    address: str
    state: str
    reason: str
    in_flight: int
    leased: int
    completed: int
    failed: int
    last_used_at: str

    @property
    def key(self) -> ExitKey:
        """What tells this exit from all others."""
        return self.agent_id, self.address


@dataclass(frozen=True, slots=True)
class Record:
    """One execution as a line of history; the whole record is read when it is asked for. `total_ms` is milliseconds."""

    id: str
    outcome: str
    agent_id: str
    source_ip: str
    method: str
    url: str
    status: int | None
    reason: str
    error_kind: str
    error_detail: str
    total_ms: float
    finished_at: str
    body_size: int

    @property
    def result(self) -> str:
        """The status, or the kind of the error, or the outcome: what a column has room for."""
        return str(self.status) if self.status is not None else self.error_kind or self.outcome


@dataclass(frozen=True, slots=True)
class Model:
    """All that was told. `exits` is in rotation order, `records` newest first; `rate` counts a second each, the last
    one newest; `older` is where history goes on, None where it ends or nobody knows."""

    agents: Mapping[str, Agent] = field(default_factory=dict)
    exits: Mapping[ExitKey, Exit] = field(default_factory=dict)
    size: int = 0
    available: int = 0
    next_exit: ExitKey | None = None
    stats: Json = field(default_factory=dict)
    request: Json | None = None
    records: tuple[Record, ...] = ()
    older: str | None = None
    rate: tuple[int, ...] = ()


def agent(content: Json) -> Agent:
    """Read an agent."""
    return Agent(
        agent_id=_text(content, "agent_id"),
        hostname=_text(content, "hostname"),
        version=_text(content, "version"),
        state=_text(content, "state"),
        connected_at=_text(content, "connected_at"),
        last_seen_at=_text(content, "last_seen_at"),
        addresses=tuple(
            (_text(item, "address"), _text(item, "state"), _text(item, "reason"))
            for item in objects(content, "addresses")
        ),
        in_flight=_whole(content, "in_flight"),
        completed=_whole(content, "completed"),
        failed=_whole(content, "failed"),
    )


def exit_of(content: Json) -> Exit:
    """Read an exit."""
    return Exit(
        agent_id=_text(content, "agent_id"),
        address=_text(content, "address"),
        state=_text(content, "state"),
        reason=_text(content, "reason"),
        in_flight=_whole(content, "in_flight"),
        leased=_whole(content, "leased"),
        completed=_whole(content, "completed"),
        failed=_whole(content, "failed"),
        last_used_at=_text(content, "last_used_at"),
    )


def record(content: Json) -> Record:
    """Read a record."""
    request, response, error = member(content, "request"), member(content, "response"), member(content, "error")
    return Record(
        id=_text(content, "id"),
        outcome=_text(content, "outcome"),
        agent_id=_text(content, "agent_id"),
        source_ip=_text(content, "source_ip"),
        method=_text(request, "method"),
        url=_text(request, "url"),
        status=_whole(response, "status") if response else None,
        reason=_text(response, "reason"),
        error_kind=_text(error, "kind"),
        error_detail=_text(error, "detail"),
        total_ms=number(member(content, "timings"), "total"),
        finished_at=_text(content, "finished_at"),
        body_size=_whole(member(response, "body"), "size"),
    )


def member(content: Json, name: str) -> Json:
    """Return an object's member that is an object; an empty one where it is none."""
    value = content.get(name)
    return value if isinstance(value, dict) else NOTHING


def objects(content: Json, name: str) -> list[Json]:
    """Return the objects of a member that is a list of them."""
    value = content.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number(content: Json, name: str) -> float:
    """Return a member that is a number; 0 where it is none."""
    value = content.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0


def pairs(content: Json, name: str) -> list[tuple[str, str]]:
    """Return a member that is a list of (name, value), such as headers."""
    value = content.get(name)
    listed = value if isinstance(value, list) else []
    return [(str(item[0]), str(item[1])) for item in listed if isinstance(item, list) and len(item) == 2]


def _text(content: Json, name: str) -> str:
    value = content.get(name)
    return value if isinstance(value, str) else ""


def _whole(content: Json, name: str) -> int:
    value = content.get(name)
    return value if isinstance(value, int) else 0
