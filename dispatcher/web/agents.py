"""`/api/agents`: agents register, are listed and removed. Stands before a request's way."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import pykka

from dispatcher.actors.errors import IdInUseError, RegistryFullError
from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import (
    AgentStatus,
    DescribeAgent,
    LinkStands,
    ListAgents,
    ProveAlive,
    RegisterAgent,
    Registered,
    RemoveAgent,
)
from dispatcher.auth.roles import Permission
from dispatcher.record import dump
from dispatcher.timestamps import optional_rfc3339
from dispatcher.web import client_certificate
from dispatcher.web.base import BaseHandler
from dispatcher.web.operations import Operation
from dispatcher.web.problems import Problem
from dispatcher.web.representations import AgentsSchema, RegisteredSchema
from dispatcher.web.schemas import RegisterSchema

if TYPE_CHECKING:
    from dispatcher.wire.messages import AddressReport

SOCKET_PATH = "/ws/agent"
_WRITTEN_A_TURN = 1000
"""How many agents and addresses are encoded before the loop has its turn: about 3 ms."""

_REGISTER = RegisterSchema()


class RegisterHandler(BaseHandler):
    """`POST /api/agents/register`."""

    operations = {
        "POST": Operation(
            "Register an agent",
            {201: RegisteredSchema},
            body=RegisterSchema,
            body_is_required=False,
            problems=(400, 403, 409, 413, 415, 422, 503),
            needs=Permission.CONNECT,
        )
    }

    async def post(self) -> None:
        """Register an agent and tell it where its link opens."""
        client_certificate.check(self.request, self.services)
        asked = self.load(_REGISTER, self.json_body(if_empty={}))
        key = asked.pop("key")
        asked["key_hash"] = None if key is None else hashlib.sha256(key.encode()).hexdigest()
        asked["addresses"] = tuple(asked["addresses"])
        try:
            registered = await self._register(RegisterAgent(**asked))
        except IdInUseError as error:
            raise Problem(409, "id_in_use", str(error)) from error
        except RegistryFullError as error:
            raise Problem(503, "too_many_agents", str(error)) from error
        self.write_json(
            {
                "agent_id": registered.agent_id,
                "session": registered.session,
                "websocket_url": self._websocket_url(),
            },
            201,
        )

    async def _register(self, asked: RegisterAgent) -> Registered:
        """Register; a link that stands in the way has to prove that it is alive.

        Raises:
            IdInUseError: it is, or the id belongs to another agent.
        """
        answer = await ask(self.services.registry, asked)
        if isinstance(answer, LinkStands) and not await self._is_alive(answer):
            answer = await ask(self.services.registry, asked)
        if isinstance(answer, Registered):
            return answer
        whose = "another copy of this agent, which has the same key" if answer.is_same else "a connected agent"
        raise IdInUseError(f"agent id {answer.agent_id} is in use by {whose}")

    async def _is_alive(self, standing: LinkStands) -> bool:
        try:
            return await ask(standing.connection, ProveAlive(self.services.takeover_timeout), timeout=60.0)
        except pykka.ActorDeadError:
            return False

    def _websocket_url(self) -> str:
        scheme = "wss" if self.request.protocol == "https" else "ws"
        return f"{scheme}://{self.request.host}{SOCKET_PATH}"


class AgentsHandler(BaseHandler):
    """`GET /api/agents`."""

    operations = {"GET": Operation("List the agents", {200: AgentsSchema}, needs=Permission.READ)}

    async def get(self) -> None:
        """List the agents."""
        self.set_header("Content-Type", "application/json")
        separator, waiting = b'{"agents":[', 0
        for status in await describe_agents(self.services.registry):
            self.write(separator)
            await self._write_agent(status)
            separator, waiting = b",", waiting + 1
            if waiting > _WRITTEN_A_TURN:
                await self.flush_in_turns()
                waiting = 0
        self.write(b"]}" if separator == b"," else separator + b"]}")

    async def _write_agent(self, status: AgentStatus) -> None:
        """Write one agent; it may have tens of thousands of addresses."""
        # A quote within a text is escaped, so this stands nowhere else.
        place = b'"addresses":[]'
        head, tail = dump(agent_json(dataclasses.replace(status, addresses=()))).split(place)
        self.write(head + place[:-1])
        for start in range(0, len(status.addresses), _WRITTEN_A_TURN):
            part = [_address_json(report) for report in status.addresses[start : start + _WRITTEN_A_TURN]]
            self.write((b"," if start else b"") + dump(part)[1:-1])
            if len(part) == _WRITTEN_A_TURN:
                await self.flush_in_turns()
        self.write(b"]" + tail)


class AgentHandler(BaseHandler):
    """`DELETE /api/agents/{agent_id}`."""

    operations = {
        "DELETE": Operation(
            "Remove an agent",
            {204: None},
            problems=(403, 404),
            path_parameters={"agent_id": "the agent's id"},
            needs=Permission.MANAGE,
        )
    }

    async def delete(self, agent_id: str) -> None:
        """Remove an agent: its exits leave the pool at once."""
        if not await ask(self.services.registry, RemoveAgent(agent_id)):
            raise Problem(404, "not_found", f"there is no agent {agent_id}")
        self.set_status(204)
        self.clear_header("Content-Type")


async def describe_agents(registry: pykka.ActorRef[Any]) -> list[AgentStatus]:
    """Ask every agent's connection what it is; one that stops meanwhile is left out."""
    found = []
    for connection in await ask(registry, ListAgents()):
        try:
            found.append(await ask(connection, DescribeAgent()))
        except pykka.ActorDeadError:
            # It was removed while the list was on its way.
            await asyncio.sleep(0)
    return found


def agent_json(agent: AgentStatus) -> dict[str, Any]:
    """Return an agent as the API shows it."""
    return {
        "agent_id": agent.agent_id,
        "hostname": agent.hostname,
        "version": agent.version,
        "state": str(agent.state),
        "connected_at": optional_rfc3339(agent.connected_at),
        "last_seen_at": optional_rfc3339(agent.last_seen_at),
        "addresses": [_address_json(report) for report in agent.addresses],
        "in_flight": agent.in_flight,
        "completed": agent.completed,
        "failed": agent.failed,
        "unknown": agent.unknown,
    }


def _address_json(report: AddressReport) -> dict[str, str]:
    content = {"address": report.address, "state": str(report.state)}
    return content if report.reason is None else {**content, "reason": report.reason}
