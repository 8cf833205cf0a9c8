"""Links that prove that they are alive, that are given up, and that another link of the same session goes on for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher.web.agent_socket import AgentSocket
from dispatcher.wire.heartbeat import CLOSE_SILENT
from dispatcher.wire.messages import Execute, Holding, Message, Welcome
from tests.support.api import Reply, Served, served
from tests.support.scripted_agent import ScriptedAgent, never_answers, ok

REGISTER = "/api/agents/register"
PATIENT = {"ping_interval": 60, "ping_timeout": 60, "resume_timeout": 60}
"""No link is given up by itself, and what waits for one to come back waits longer than any test."""


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, **PATIENT) as running:
        yield running


def socket_of(api: Served) -> AgentSocket:
    """Return the coordinator's end of the one link."""
    (found,) = [each for each in api.running.services.sockets._sockets if isinstance(each, AgentSocket)]
    return found


def fall_silent(agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Answer no ping any more, as a process that is stopped; the event says that one came."""
    asked = asyncio.Event()
    monkeypatch.setattr(agent._connection.protocol, "_send_pong", lambda _: asked.set())
    return asked


def test_a_link_whose_agent_is_there_proves_it(patient: Served) -> None:
    patient.agent()

    async def test() -> None:
        assert await socket_of(patient).prove_alive(10.0) is True

    patient.run(test())


def test_a_link_whose_agent_is_silent_cannot_prove_that_it_lives(
    patient: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    fall_silent(patient.agent(), monkeypatch)

    async def test() -> None:
        assert await socket_of(patient).prove_alive(0.05) is False

    patient.run(test())


def test_a_link_that_is_gone_says_so_without_waiting(patient: Served) -> None:
    agent = patient.agent()

    async def test() -> None:
        socket = socket_of(patient)
        agent.hang_up()
        await agent.closed()
        await patient.call_async("GET", "/api/agents")
        assert await asyncio.wait_for(socket.prove_alive(60.0), 10) is False

    patient.run(test())


def test_a_link_that_is_given_up_ends_without_a_word_and_its_log_says_why(
    patient: Served, caplog: pytest.LogCaptureFixture
) -> None:
    agent = patient.agent(agent_id="a")
    socket = socket_of(patient)

    async def test() -> None:
        socket.abort("it was given up by a test")
        socket.abort("a second time")
        await agent.closed()

    patient.run(test())
    # 1006: no close frame came (RFC 6455, 7.1.5); Tornado says None.
    assert agent._connection.close_code is None
    assert "lost" == patient.call("GET", "/api/agents").json["agents"][0]["state"]
    assert ["agent a gone: a second time"] == [each for each in caplog.messages if "gone" in each]


class Resumed:
    """An execution that is under way on a link, and another link of the same session that may go on with it."""

    def __init__(self, api: Served, **fields: Any) -> None:
        self.api = api
        self.first = api.agent(agent_id="a", answer=never_answers)
        api.configure(**fields)
        self._running: asyncio.Task[Reply] | None = None

    async def begin(self) -> Execute:
        """Begin the execution, and wait until the first link has it."""
        self._running = asyncio.create_task(self.api.call_async("GET", "/api/execute"))
        execute: Execute = await self.first.hear(Execute)
        return execute

    async def end_first(self, code: int) -> None:
        self.first._connection.close(code, "as the test says")
        await self.first.closed()

    async def open_second(self, *said: Message) -> ScriptedAgent:
        second = ScriptedAgent(never_answers)
        second.session = self.first.session
        await second.connect(f"{self.api.running.url.replace('http', 'ws')}/ws/agent")
        second.say_hello()
        await second.hear(Welcome)
        for message in said:
            second.send(message)
        await second.flush()
        return second

    async def reply(self) -> Reply:
        assert self._running is not None
        return await asyncio.wait_for(self._running, 10)


def run(test: Callable[[], Awaitable[None]], api: Served) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    api.run(bounded())


def test_an_execution_goes_on_over_another_link_where_the_first_was_closed_as_silent(patient: Served) -> None:
    resumed = Resumed(patient)

    async def test() -> None:
        execute = await resumed.begin()
        await resumed.end_first(CLOSE_SILENT)
        second = await resumed.open_second(Holding(frozenset({execute.id})), ok(execute))
        assert 200 == (await resumed.reply()).status
        await second.close()

    run(test, patient)


def test_an_execution_ends_with_a_link_that_its_agent_closed(patient: Served) -> None:
    resumed = Resumed(patient)

    async def test() -> None:
        await resumed.begin()
        await resumed.end_first(1000)
        reply = await resumed.reply()
        assert (502, "agent_lost") == (reply.status, reply.json["execution"]["error"]["kind"])

    run(test, patient)


def test_a_silent_link_that_is_closed_keeps_its_code() -> None:
    # Agents of other versions close with it, so it is part of the wire.
    assert 4000 == CLOSE_SILENT


def test_what_is_wrong_on_the_second_link_ends_an_execution_of_the_first(patient: Served) -> None:
    resumed = Resumed(patient)

    async def test() -> None:
        execute = await resumed.begin()
        await resumed.end_first(CLOSE_SILENT)
        second = await resumed.open_second(Holding(frozenset({execute.id})))
        head = json.dumps([{"t": "result", "id": execute.id, "status": 7}]).encode()
        second.send_raw(len(head).to_bytes(4, "big") + head)
        reply = await resumed.reply()
        assert (502, "invalid_result") == (reply.status, reply.json["execution"]["error"]["kind"])
        await second.close()

    run(test, patient)


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 502)])
def test_the_limit_of_a_body_goes_over_to_the_second_link(patient: Served, size: int, status: int) -> None:
    resumed = Resumed(patient, max_body_bytes=1000)

    async def test() -> None:
        execute = await resumed.begin()
        await resumed.end_first(CLOSE_SILENT)
        answer = ok(execute, body=bytes(size))
        second = await resumed.open_second(Holding(frozenset({execute.id})), answer)
        assert status == (await resumed.reply()).status
        await second.close()

    run(test, patient)


# Registering under an id that has a link


def register(api: Served, **content: Any) -> Reply:
    return api.call("POST", REGISTER, {"agent_id": "a", **content})


def test_a_link_that_proves_itself_keeps_the_id(patient: Served) -> None:
    patient.agent(agent_id="a")
    reply = register(patient)
    assert (409, "agent id a is in use by a connected agent") == (reply.status, reply.json["detail"])


def test_a_silent_link_gives_way_to_who_registers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with served(tmp_path, takeover_timeout=0.1, **PATIENT) as api:
        agent = api.agent(agent_id="a")
        fall_silent(agent, monkeypatch)
        reply = register(api)
        assert (201, "a") == (reply.status, reply.json["agent_id"])
        assert agent.session != reply.json["session"]
        api.run(agent.closed())
        assert 0 == api.call("GET", "/api/pool/status").json["size"]
    reason = "it did not answer when an agent of this id came again"
    assert [f"agent a gone: {reason}"] == [each for each in caplog.messages if "gone" in each]


def test_a_link_that_ends_while_it_is_asked_gives_way_at_once(patient: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = patient.agent(agent_id="a")
    is_asked = fall_silent(agent, monkeypatch)
    monkeypatch.setattr(patient.running.services, "takeover_timeout", 60.0)

    async def test() -> None:
        asked = asyncio.create_task(patient.call_async("POST", REGISTER, {"agent_id": "a"}))
        await is_asked.wait()
        agent.hang_up()
        assert 201 == (await asked).status

    run(test, patient)


def test_an_agent_that_is_removed_while_its_link_is_asked_is_in_nobodys_way(
    patient: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_asked = fall_silent(patient.agent(agent_id="a"), monkeypatch)
    monkeypatch.setattr(patient.running.services, "takeover_timeout", 60.0)

    async def test() -> None:
        asked = asyncio.create_task(patient.call_async("POST", REGISTER, {"agent_id": "a"}))
        await is_asked.wait()
        assert 204 == (await patient.call_async("DELETE", "/api/agents/a")).status
        assert 201 == (await asked).status

    run(test, patient)


def test_a_copy_with_the_same_key_is_told_that_it_is_one(patient: Served) -> None:
    key = "k" * 43
    registered = register(patient, key=key).json

    async def connect() -> ScriptedAgent:
        agent = ScriptedAgent(never_answers)
        agent.session = registered["session"]
        await agent.connect(registered["websocket_url"].replace("//test", f"//127.0.0.1:{patient.running.port}"))
        agent.say_hello()
        await agent.hear(Welcome)
        return agent

    agent = patient.run(connect())
    reply = register(patient, key=key)
    said = "agent id a is in use by another copy of this agent, which has the same key"
    assert (409, said) == (reply.status, reply.json["detail"])
    patient.run(agent.close())
