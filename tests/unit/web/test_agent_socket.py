from __future__ import annotations

import asyncio
import gc
import json
import re
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from dispatcher.web import agent_socket
from dispatcher.wire import limits
from dispatcher.wire.messages import AddressesChanged, Execute, Hello, Holding, RefusalCode, Refused, Result, Welcome
from dispatcher.wire.version import WIRE
from tests.support.coordinator import Running, coordinator_running
from tests.support.scripted_agent import WAIT, ScriptedAgent, never_answers, ok, post_json, scripted_agent
from tests.unit.loops import on_loop

ADDRESS = "2001:db8::1"


@pytest.fixture
def with_coordinator(tmp_path: Path) -> Callable[..., None]:
    """Run a test with a coordinator in its process; options are those of the command line."""

    def run(test: Callable[[Running], Awaitable[None]], **options: object) -> None:
        async def inner() -> None:
            async with coordinator_running(tmp_path, **options) as running:
                await test(running)

        on_loop(inner)

    return run


Runner = Callable[..., None]


async def linked(running: Running, answer: Callable[[ScriptedAgent, Execute], None] = never_answers) -> ScriptedAgent:
    """Register an agent and open its link, without a hello."""
    agent = ScriptedAgent(answer)
    registered = await agent.register(running.url)
    await agent.connect(registered["websocket_url"])
    return agent


async def refused(agent: ScriptedAgent) -> Refused:
    """Wait until the link has been refused, and return what was said."""
    await agent.closed()
    await agent.close()
    assert agent.refused is not None
    return agent.refused


def test_a_hello_with_a_session_is_welcome(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        agent = await linked(running)
        agent.say_hello()
        welcome = await agent.hear(Welcome)
        assert (WIRE, agent.agent_id) == (welcome.wire, welcome.agent_id)
        await agent.close()

    with_coordinator(test)


def test_a_welcome_says_which_headers_are_secret(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        agent = await linked(running)
        agent.say_hello()
        assert ("X-Token", "x-other") == (await agent.hear(Welcome)).secret_headers
        await agent.close()

    with_coordinator(test, redact_header=["X-Token", "x-other"])


def test_a_session_that_nobody_knows_is_to_be_renewed(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        agent = await linked(running)
        agent.say_hello(session="made up")
        refusal = await refused(agent)
        assert (RefusalCode.SESSION, "the session is not known here; register again") == (refusal.code, refusal.detail)

    with_coordinator(test)


def test_another_wire_version_is_refused_with_the_versions_of_both_sides(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        agent = await linked(running)
        agent.say_hello(wire=(9, 4))
        refusal = await refused(agent)
        assert (RefusalCode.VERSION, ("1",)) == (refusal.code, refusal.accepted_versions)
        assert "the agent speaks wire version 9.4; this coordinator speaks 1.5" in refusal.detail

    with_coordinator(test)


def test_a_newer_revision_of_the_same_version_is_welcome(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        agent = await linked(running)
        agent.say_hello(wire=(WIRE[0], WIRE[1] + 7))
        await agent.hear(Welcome)
        await agent.close()

    with_coordinator(test)


def test_a_link_that_begins_with_something_else_is_refused(
    with_coordinator: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(running: Running) -> None:
        agent = await linked(running)
        agent.send(AddressesChanged(gone=(ADDRESS,)))
        refusal = await refused(agent)
        assert (RefusalCode.PROTOCOL, "the first message is no valid hello") == (refusal.code, refusal.detail)

    with_coordinator(test)
    assert ["refused an agent's link: the first message is no valid hello"] == caplog.messages


def test_a_hello_that_is_not_valid_is_refused(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        agent = await linked(running)
        head = json.dumps([{"t": "hello", "wire": "1.0", "session": agent.session}]).encode()
        agent.send_raw(len(head).to_bytes(4, "big") + head)
        assert RefusalCode.PROTOCOL == (await refused(agent)).code

    with_coordinator(test)


def test_a_link_without_a_hello_is_ended(with_coordinator: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_socket, "HELLO_SECONDS", 0.1)

    async def test(running: Running) -> None:
        assert "no hello came" == (await refused(await linked(running))).detail

    with_coordinator(test)


async def answer_to_a_frame_of(size: int, agent: ScriptedAgent) -> tuple[int, str]:
    """Begin a frame of `size` bytes; return how the link is closed."""
    agent._connection.protocol.stream.write(b"\x82\xff" + size.to_bytes(8, "big"))
    await agent.closed()
    code, reason = agent._connection.close_code, agent._connection.close_reason
    await agent.close()
    assert agent.refused is None
    return code, reason


def test_before_its_hello_an_agent_may_send_64_kib_and_then_4_mib(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        stranger = await linked(running)
        expected = (1009, "a message of more than 65536 bytes")
        assert expected == await answer_to_a_frame_of(agent_socket.HELLO_BYTES + 1, stranger)
        agent = await linked(running)
        head = json.dumps([{"t": "hello", "wire": list(WIRE), "session": agent.session}]).encode()
        head += b" " * (agent_socket.HELLO_BYTES - 4 - len(head))
        agent.send_raw(len(head).to_bytes(4, "big") + head)
        await agent.hear(Welcome)
        head = b"[]" + b" " * (limits.MAX_FRAME_BYTES - 6)
        agent.send_raw(len(head).to_bytes(4, "big") + head)
        await agent.drain()
        expected = (1009, "a message of more than 4194304 bytes")
        assert expected == await answer_to_a_frame_of(limits.MAX_FRAME_BYTES + 1, agent)

    with_coordinator(test)


@pytest.mark.parametrize("frame", ["text", b"", b"\xff\xff\xff\xff", b"\0\0\0\2{}", b"\0\0\0\2[]more"])
def test_a_frame_that_cannot_be_read_ends_its_link_and_no_other(with_coordinator: Runner, frame: bytes | str) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, [ADDRESS]) as honest:
            agent = await linked(running)
            agent.say_hello()
            await agent.hear(Welcome)
            agent.send_raw(frame)
            assert RefusalCode.PROTOCOL == (await refused(agent)).code
            configured = await post_json(f"{running.url}/api/config/request", {"url": "http://[2001:db8::80]/"})
            assert 1 == configured["revision"]
            record = await post_json(f"{running.url}/api/execute", {})
            assert honest.agent_id == record["agent_id"]

    with_coordinator(test)


def test_an_agent_that_falls_silent_is_lost_within_interval_and_timeout(
    with_coordinator: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, [ADDRESS], answer=never_answers) as agent:
            monkeypatch.setattr(agent._connection.protocol, "_send_pong", lambda _: None)
            begun = time.monotonic()
            await agent.closed()
            # Tornado alone would wait five seconds more for a goodbye.
            assert time.monotonic() - begun < 4
            pool = await get(running, "/api/pool/status")
            assert 0 == pool["size"]

    with_coordinator(test, ping_interval=0.2, ping_timeout=0.2)


async def get(running: Running, path: str) -> dict[str, object]:
    client = SimpleAsyncHTTPClient(force_instance=True)
    try:
        found: dict[str, object] = json.loads((await client.fetch(running.url + path)).body)
    finally:
        client.close()
    return found


def test_an_agent_that_answers_pings_stays(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        async with scripted_agent(running.url, [ADDRESS]) as agent:
            closed = asyncio.create_task(agent.closed())
            _, still_open = await asyncio.wait([closed], timeout=0.6)
            assert {closed} == still_open

    with_coordinator(test, ping_interval=0.1, ping_timeout=0.1)


def test_a_result_that_is_not_valid_ends_its_execution(with_coordinator: Runner) -> None:
    def wrong(agent: ScriptedAgent, execute: Execute) -> None:
        head = json.dumps([{"t": "result", "id": execute.id, "status": 7}]).encode()
        agent.send_raw(len(head).to_bytes(4, "big") + head)

    async def test(running: Running) -> None:
        await post_json(f"{running.url}/api/config/request", {"url": "http://[2001:db8::80]/"})
        async with scripted_agent(running.url, [ADDRESS], answer=wrong):
            with pytest.raises(Exception, match="502"):
                await post_json(f"{running.url}/api/execute", {})
            history = await get(running, "/api/history")
            assert "invalid_result" in json.dumps(history)

    with_coordinator(test)


def test_a_body_larger_than_asked_for_is_not_kept_but_ends_its_execution(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        await post_json(f"{running.url}/api/config/request", {"url": "http://[2001:db8::80]/", "max_body_bytes": 1000})
        large = bytes(limits.CHUNK_BYTES * 3)

        def answer(agent: ScriptedAgent, execute: Execute) -> None:
            agent.send(ok(execute, body=large))

        async with scripted_agent(running.url, [ADDRESS], answer=answer):
            with pytest.raises(Exception, match="502"):
                await post_json(f"{running.url}/api/execute", {})
            assert "more than the 1000 bytes allowed" in json.dumps(await get(running, "/api/history"))

    with_coordinator(test)


def test_an_agent_that_has_more_said_to_it_than_it_reads_loses_its_link(
    with_coordinator: Runner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUED_MESSAGES", 10)

    async def test(running: Running) -> None:
        agent = await linked(running)
        agent.say_hello()
        await agent.hear(Welcome)
        agent.send(Holding(frozenset(f"x{number}" for number in range(100))))
        await agent.closed()
        await ended(running)
        await agent.close()

    with_coordinator(test)
    full = "10 messages wait to be sent"
    expected = [f"the link of an agent is full: {full}", f"agent {{}} gone: it does not read: {full}"]
    assert expected == [re.sub(r"agent-\w+", "{}", each) for each in caplog.messages]


def test_another_link_of_the_same_session_replaces_the_first(with_coordinator: Runner) -> None:
    """A hello of the same session opens another link, and the older one is told so."""

    async def test(running: Running) -> None:
        async with scripted_agent(running.url, [ADDRESS]) as agent:
            second = ScriptedAgent(never_answers)
            second.session = agent.session
            await second.connect(f"{running.url.replace('http', 'ws')}/ws/agent")
            second.send(Hello(wire=WIRE, session=agent.session))
            await second.hear(Welcome)
            assert RefusalCode.REPLACED == (await refused(agent)).code
            second.send(Result(id="nobody's", status=200))
            await second.close()

    with_coordinator(test)


def test_a_link_that_ends_is_freed_without_the_garbage_collector(with_coordinator: Runner) -> None:
    async def test(running: Running) -> None:
        freed: asyncio.Queue[weakref.ref[Any]] = asyncio.Queue()
        opened: list[weakref.ref[Any]] = []
        gc.disable()
        try:
            for end in (ScriptedAgent.close, hang_up, break_protocol):
                agent = await linked(running)
                agent.say_hello()
                await agent.hear(Welcome)
                opened += [weakref.ref(socket, freed.put_nowait) for socket in running.services.sockets._sockets]
                await end(agent)
                await ended(running)
            assert 3 == len(opened)
            assert {id(link) for link in opened} == {id(await asyncio.wait_for(freed.get(), WAIT)) for _ in opened}
        finally:
            gc.enable()

    with_coordinator(test)


async def hang_up(agent: ScriptedAgent) -> None:
    agent.hang_up()
    await agent.close()


async def break_protocol(agent: ScriptedAgent) -> None:
    agent.send_raw("text")
    await agent.close()


async def ended(running: Running) -> None:
    """Wait until the coordinator has no link any more."""
    async with asyncio.timeout(WAIT):
        await running.services.sockets._none.wait()
