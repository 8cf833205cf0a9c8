"""Whose agent id is whose: a plain class that decides and does no I/O. Stands before a request's way.

An id belongs to the first agent that connected under it with a key, until that agent is removed or was lost for so
long that it is gone for good. Used by `AgentRegistry`, on the event loop; times are seconds since 1970, so that they
hold over a restart.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dispatcher.actors.errors import IdInUseError
from dispatcher.actors.messages import AgentOwner

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class OwnershipRules:
    """How long a lost agent's id stays its own, and how many ids are kept."""

    forget_after_seconds: float
    max_owners: int


class Ownership:
    """The ids that have an owner. Changes are returned as the `AgentOwner` that is to be stored."""

    def __init__(self, kept: Iterable[AgentOwner], rules: OwnershipRules, now: float) -> None:
        """Begin with what was stored; who was connected when the coordinator ended counts as lost from `now` on."""
        self._rules = rules
        self._owners = {
            owner.agent_id: owner if owner.lost_at is not None else replace(owner, lost_at=now) for owner in kept
        }

    def check(self, agent_id: str, key_hash: str | None, now: float) -> None:
        """Let the owner of an id pass, and anybody where it has none.

        Raises:
            IdInUseError: the id belongs to another agent, which is not gone for good.
        """
        owner = self._owners.get(agent_id)
        if owner is None or (key_hash is not None and hmac.compare_digest(owner.key_hash, key_hash)):
            return
        lost_for = 0.0 if owner.lost_at is None else max(0.0, now - owner.lost_at)
        if owner.lost_at is None or lost_for <= self._rules.forget_after_seconds:
            raise IdInUseError(
                f"agent id {agent_id} belongs to another agent, which proved it with a key that this one does not "
                f"have; it is free once that agent is removed (DELETE /api/agents/{agent_id}) or was lost for "
                f"{self._rules.forget_after_seconds:g} s (by now {lost_for:.0f} s)"
            )

    def connected(self, agent_id: str, key_hash: str) -> AgentOwner | None:
        """An agent with a key connected: the id is its own. None where that is what was stored already."""
        before = self._owners.get(agent_id)
        owner = AgentOwner(agent_id, key_hash, None)
        self._owners[agent_id] = owner
        return None if before == owner else owner

    def lost(self, agent_id: str, now: float) -> AgentOwner | None:
        """An agent was lost; None where nobody owns its id."""
        owner = self._owners.get(agent_id)
        if owner is None:
            return None
        self._owners[agent_id] = replace(owner, lost_at=now)
        return self._owners[agent_id]

    def forget(self, agent_id: str) -> bool:
        """Free an id; False where nobody owns it."""
        return self._owners.pop(agent_id, None) is not None

    def surplus(self) -> str | None:
        """Return the id that has to be forgotten because too many are kept: the one lost for longest."""
        if len(self._owners) <= self._rules.max_owners:
            return None
        lost = [owner for owner in self._owners.values() if owner.lost_at is not None]
        return min(lost, key=_lost_at).agent_id if lost else None


def _lost_at(owner: AgentOwner) -> float:
    return owner.lost_at or 0.0
