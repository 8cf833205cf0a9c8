"""`AgentRegistry`: which agents are known, and which session opens whose link. Runs on the event loop.

Stands before a request's way: an agent registers here and gets its `AgentConnection`, once. It asks nobody.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher.actors.agent_connection import AgentConnection
from dispatcher.actors.errors import IdInUseError, RegistryFullError
from dispatcher.actors.loop_actor import LoopActor, tell_or_drop
from dispatcher.actors.messages import (
    AgentState,
    AgentStateChanged,
    CountAgents,
    DropAgent,
    FindSession,
    ListAgents,
    RegisterAgent,
    Registered,
    RegistrationExpired,
    RemoveAgent,
)

if TYPE_CHECKING:
    from pykka import ActorRef

logger = logging.getLogger(__name__)

_LIVE = (AgentState.CONNECTED, AgentState.DRAINING)


@dataclass(slots=True)
class _Agent:
    connection: ActorRef[Any]
    session: str
    state: AgentState = AgentState.REGISTERED


class AgentRegistry(LoopActor):
    """The known agents. Its messages stand in `actors/messages.py`."""

    def __init__(
        self,
        *,
        pool: ActorRef[Any],
        max_agents: int,
        registration_timeout: float,
        grace_seconds: float,
        server_version: str,
    ) -> None:
        """Know at most `max_agents`; a registered agent has `registration_timeout` seconds to open its link."""
        super().__init__()
        self._pool = pool
        self._max_agents = max_agents
        self._registration_timeout = registration_timeout
        self._grace_seconds = grace_seconds
        self._server_version = server_version
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
                if message.agent_id in self._agents:
                    self._agents[message.agent_id].state = message.state
            case ListAgents():
                return tuple(agent.connection for agent in self._agents.values())
            case CountAgents():
                return Counter(agent.state for agent in self._agents.values())
            case RemoveAgent():
                return self._remove(message.agent_id)
            case RegistrationExpired():
                self._expire(message)
            case _:
                return super().on_receive(message)
        return None

    def on_stop(self) -> None:
        """Stop the connections of all agents."""
        for agent in self._agents.values():
            agent.connection.stop(block=False)

    def _register(self, asked: RegisterAgent) -> Registered:
        agent_id = asked.agent_id or f"agent-{secrets.token_hex(4)}"
        known = self._agents.get(agent_id)
        if known is not None and known.state in _LIVE:
            raise IdInUseError(f"agent id {agent_id} is in use by a connected agent")
        if known is None:
            self._make_room()
            known = self._agents[agent_id] = _Agent(self._connect(agent_id, asked), "")
        self._by_session.pop(known.session, None)
        known.session = secrets.token_urlsafe(24)
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
            server_version=self._server_version,
        )

    def _make_room(self) -> None:
        if len(self._agents) < self._max_agents:
            return
        lost = next((i for i, agent in self._agents.items() if agent.state is AgentState.LOST), None)
        if lost is None:
            raise RegistryFullError(f"{self._max_agents} agents are known, as many as this coordinator takes")
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
