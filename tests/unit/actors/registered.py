"""A registry with a pool, and the shorthand of its tests."""

from __future__ import annotations

import time
from typing import Any

import pykka

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import (
    AgentOwner,
    AgentState,
    CountAgents,
    DescribeAgent,
    FindSession,
    LinkClosed,
    LinkOpened,
    LinkStands,
    ListAgents,
    RegisterAgent,
    Registered,
)
from dispatcher.actors.ownership import Ownership, OwnershipRules
from dispatcher.actors.pool import IpPool
from dispatcher.actors.registry import AgentRegistry
from dispatcher.wire import messages as wire
from tests.unit.actors.linked import Link, Told
from tests.unit.loops import turns

NEVER = 1000.0


class Registry:
    """A registry with a pool, and the shorthand of its tests."""

    def __init__(
        self,
        *,
        max_agents: int = 10,
        registration_timeout: float = NEVER,
        forget_after: float = NEVER,
        kept: tuple[AgentOwner, ...] = (),
    ) -> None:
        self.stored: list[Any] = []
        self.ref = AgentRegistry.start(
            pool=IpPool.start(),
            keys=Told.start(self.stored),
            ownership=Ownership(kept, OwnershipRules(forget_after, max_agents), time.time()),
            max_agents=max_agents,
            registration_timeout=registration_timeout,
            grace_seconds=1.0,
            resume_seconds=1.0,
            server_version="9",
        )

    async def ask_in(
        self, agent_id: str | None = "one", addresses: tuple[str, ...] = (), key: str | None = None
    ) -> Registered | LinkStands:
        return await ask(self.ref, RegisterAgent(agent_id, "gateway", "1.2.3", addresses, key))

    async def register(
        self, agent_id: str | None = "one", addresses: tuple[str, ...] = (), key: str | None = None
    ) -> Registered:
        registered = await self.ask_in(agent_id, addresses, key)
        assert isinstance(registered, Registered)
        return registered

    async def find(self, session: str) -> pykka.ActorRef[Any] | None:
        return await ask(self.ref, FindSession(session))

    async def connect(
        self, agent_id: str = "one", key: str | None = None
    ) -> tuple[Registered, Link, pykka.ActorRef[Any]]:
        """Register and open a link."""
        registered = await self.register(agent_id, key=key)
        connection = await self.find(registered.session)
        assert connection is not None
        link = Link()
        connection.tell(LinkOpened(link, wire.Hello((1, 0), registered.session)))
        await turns()
        return registered, link, connection

    async def lose(self, link: Link, connection: pykka.ActorRef[Any]) -> None:
        connection.tell(LinkClosed(link, "it broke"))
        await turns()

    async def counts(self) -> dict[AgentState, int]:
        return dict(await ask(self.ref, CountAgents()))

    async def ids(self) -> list[str]:
        return [(await ask(ref, DescribeAgent())).agent_id for ref in await ask(self.ref, ListAgents())]
