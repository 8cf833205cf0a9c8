"""What `AgentKeys` is told and asked: whose agent id is whose. Stands before a request's way."""

from __future__ import annotations

from dataclasses import dataclass, field

from dispatcher.actors.messages.base import Message


@dataclass(frozen=True, slots=True)
class AgentOwner:
    """An id and who owns it: the SHA-256 of its key in hex. `lost_at` is seconds since 1970, None while connected."""

    agent_id: str
    key_hash: str = field(repr=False)
    lost_at: float | None


@dataclass(frozen=True, slots=True)
class KeepOwner(Message[None]):
    """Store an owner in place of what was stored for its id."""

    owner: AgentOwner


@dataclass(frozen=True, slots=True)
class ForgetOwner(Message[None]):
    """Store that nobody owns this id any more."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class ReadOwners(Message[tuple[AgentOwner, ...]]):
    """Read the owners as they were stored when the coordinator was started."""
