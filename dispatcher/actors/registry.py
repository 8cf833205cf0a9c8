"""`AgentRegistry`: which agents are known, and which session opens whose link. Runs on the event loop.

Stands before a request's way: an agent registers here and gets its `AgentConnection`, once. It asks nobody.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher.actors.agent_connection import AgentConnection
from dispatcher.actors.errors import RegistryFullError
from dispatcher.actors.loop_actor import LoopActor, tell_or_drop
from dispatcher.actors.messages import (
    AgentState,
    AgentStateChanged,
    CountAgents,
    DropAgent,
    FindSession,
    ForgetOwner,
    KeepOwner,
    LinkStands,
    ListAgents,
    RegisterAgent,
    Registered,
    RegistrationExpired,
    RemoveAgent,
)

if TYPE_CHECKING:
    from pykka import ActorRef

    from dispatcher.actors.messages import AgentOwner
    from dispatcher.actors.ownership import Ownership

logger = logging.getLogger(__name__)

_LIVE = (AgentState.CONNECTED, AgentState.DRAINING)


@dataclass(slots=True)
class _Agent:
    connection: ActorRef[Any]
    session: str = ""
    key_hash: str | None = None
    state: AgentState = AgentState.REGISTERED


class AgentRegistry(LoopActor):
    """The known agents. Its messages stand in `actors/messages.py`."""

    def __init__(  # noqa: PLR0913 (whom to tell, and the limits)
        self,
        *,
        pool: ActorRef[Any],
        keys: ActorRef[Any],
        ownership: Ownership,
        max_agents: int,
        registration_timeout: float,
        grace_seconds: float,
        resume_seconds: float,
        server_version: str,
        secret_headers: tuple[str, ...] = (),
    ) -> None:
        """Know at most `max_agents`; a registered agent has `registration_timeout` seconds to open its link.

        `keys` is told what becomes of `ownership`, and each agent which headers are secret.
        """
        super().__init__()
        self._pool = pool
        self._keys = keys
        self._ownership = ownership
        self._max_agents = max_agents
        self._registration_timeout = registration_timeout
        self._grace_seconds = grace_seconds
        self._resume_seconds = resume_seconds
        self._server_version = server_version
        self._secret_headers = secret_headers
        self._agents: dict[str, _Agent] = {}
        self._by_session: dict[str, str] = {}

    def on_receive(self, message: Any) -> Any:
        """Handle one message."""
        match message:
            case RegisterAgent():
                return self._register(message)
            case FindSession():
                agent_id = self._by_session.get(message.session)
                return self._agents[agent_id].connection if agent_id is not None else None
            case AgentStateChanged():
                self._change_state(message.agent_id, message.state)
            case ListAgents():
                return tuple(agent.connection for agent in self._agents.values())
            case CountAgents():
                return Counter(agent.state for agent in self._agents.values())
            case RemoveAgent():
                is_owned = self._forget(message.agent_id)
                return self._remove(message.agent_id) or is_owned
            case RegistrationExpired():
                self._expire(message)
            case _:
                return super().on_receive(message)
        return None

    def on_stop(self) -> None:
        """Stop the connections of all agents."""
        for agent in self._agents.values():
            agent.connection.stop(block=False)

    def _register(self, asked: RegisterAgent) -> Registered | LinkStands:
        agent_id = asked.agent_id or f"agent-{secrets.token_hex(4)}"
        known = self._agents.get(agent_id)
        if known is not None and known.state in _LIVE:
            return LinkStands(agent_id, known.connection, known.key_hash == asked.key_hash is not None)
        self._ownership.check(agent_id, asked.key_hash, time.time())
        if known is None:
            self._make_room()
            known = self._agents[agent_id] = _Agent(self._connect(agent_id, asked))
        self._by_session.pop(known.session, None)
        known.session, known.key_hash = secrets.token_urlsafe(24), asked.key_hash
        self._by_session[known.session] = agent_id
        if known.state is AgentState.REGISTERED:
            expired = RegistrationExpired(agent_id, known.session)
            asyncio.get_running_loop().call_later(self._registration_timeout, tell_or_drop, self.actor_ref, expired)
        return Registered(agent_id, known.session)

    def _connect(self, agent_id: str, asked: RegisterAgent) -> ActorRef[Any]:
        return AgentConnection.start(
            agent_id=agent_id,
            hostname=asked.hostname,
            version=asked.version,
            announced=asked.addresses,
            pool=self._pool,
            registry=self.actor_ref,
            grace_seconds=self._grace_seconds,
            resume_seconds=self._resume_seconds,
            server_version=self._server_version,
            secret_headers=self._secret_headers,
        )

    def _change_state(self, agent_id: str, state: AgentState) -> None:
        known = self._agents.get(agent_id)
        if known is None:
            return
        known.state = state
        changed: AgentOwner | None = None
        if state is AgentState.LOST:
            changed = self._ownership.lost(agent_id, time.time())
        elif state is AgentState.CONNECTED and known.key_hash is not None:
            changed = self._ownership.connected(agent_id, known.key_hash)
        elif state is AgentState.CONNECTED:
            # Who let an agent without a key in has seen that the owner is gone for good.
            self._forget(agent_id)
        if changed is not None:
            tell_or_drop(self._keys, KeepOwner(changed))
        if (surplus := self._ownership.surplus()) is not None:
            self._forget(surplus)

    def _forget(self, agent_id: str) -> bool:
        """Free an id; False where nobody owned it."""
        if not self._ownership.forget(agent_id):
            return False
        tell_or_drop(self._keys, ForgetOwner(agent_id))
        return True

    def _make_room(self) -> None:
        if len(self._agents) < self._max_agents:
            return
        lost = next((i for i, agent in self._agents.items() if agent.state is AgentState.LOST), None)
        if lost is None:
            raise RegistryFullError(f"{self._max_agents} agents are known, as many as this coordinator takes")
        self._forget(lost)
        self._remove(lost)

    def _remove(self, agent_id: str) -> bool:
        agent = self._agents.pop(agent_id, None)
        if agent is None:
            return False
        self._by_session.pop(agent.session, None)
        tell_or_drop(agent.connection, DropAgent())
        logger.info("agent %s removed", agent_id)
        return True

    def _expire(self, expired: RegistrationExpired) -> None:
        agent = self._agents.get(expired.agent_id)
        if agent is not None and agent.session == expired.session and agent.state is AgentState.REGISTERED:
            self._remove(expired.agent_id)
