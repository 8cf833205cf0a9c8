"""One connection and the short way: what is asked there again, what changed meanwhile, and callers that go away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from dispatcher.auth.roles import Role
from dispatcher.auth.tokens import TokenStore
from dispatcher.web.record_writer import PIECE_BYTES
from dispatcher.wire.messages import Execute
from tests.support.api import Served, exchange, raw_request, served
from tests.support.scripted_agent import WAIT, answers, never_answers, ok
from tests.unit.loops import turns
from tests.unit.web.plain import LAST, LONG, PATH, conversation, one, until


def test_a_connection_is_kept_for_requests_of_either_way(api: Served, long_way: list[str]) -> None:
    api.agent()
    answer = conversation(api, one() + one(**LONG) + one("POST", b"{}") + one("POST", b"{}") + one() + LAST)
    assert 6 == answer.count(b"HTTP/1.1 200 OK\r\n")
    assert 1 == answer.count(b"Connection: close\r\n")
    assert [PATH] == long_way


@pytest.mark.parametrize("again", [one(), one("POST", b'{"timeout": 5.0}')])
def test_what_is_asked_again_on_a_connection_is_executed_as_it_is_configured_by_then(
    api: Served, long_way: list[str], again: bytes
) -> None:
    api.agent()

    async def test() -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
        urls = []
        for name in ("first", "second"):
            await api.call_async("POST", "/api/config/request", {"url": f"http://{name}.test/"})
            for _ in range(2):
                writer.write(again)
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))
                urls.append(json.loads(body)["request"]["url"])
        writer.close()
        return urls

    assert ["http://first.test/"] * 2 + ["http://second.test/"] * 2 == api.run(test())
    assert [] == long_way


@pytest.mark.parametrize("again", [one(), one("POST", b'{"timeout": 5.0}')])
def test_a_token_that_was_revoked_counts_no_more_for_what_is_asked_again(
    tmp_path: Path, long_way: list[str], again: bytes
) -> None:
    store = TokenStore(tmp_path)
    token, secret = store.create(Role.OPERATOR)
    again = again.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {secret}\r\n\r\n".encode(), 1)
    with served(tmp_path) as api:
        api.configure()

        async def test() -> list[bytes]:
            reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
            statuses = []
            for _ in range(3):
                writer.write(again)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))
                statuses.append(head.split()[1])
                if len(statuses) == 2:
                    store.revoke(token.id)
                    await until(lambda: api.running.services.gate.changes > 0)
            writer.close()
            return statuses

        assert [b"503", b"503", b"401"] == api.run(test())
    assert [] == long_way


def test_a_token_that_is_revoked_in_the_midst_of_a_plain_request_cuts_it(tmp_path: Path, long_way: list[str]) -> None:
    store = TokenStore(tmp_path)
    token, secret = store.create(Role.OPERATOR)
    asked = one(Authorization=f"Bearer {secret}")
    with served(tmp_path, max_in_flight=1, max_queue=1) as api:
        agent = api.agent(answer=never_answers)

        async def test() -> None:
            executions = api.running.services.executions
            writers = []
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
                writer.write(asked)
                writers.append(writer)
            given = await agent.hear(Execute)
            await until(lambda: executions.queued == 1)
            store.revoke(token.id)
            assert b"" == await reader.read()
            await until(lambda: executions.queued == 0)
            assert 1 == executions.in_flight
            agent.send(ok(given))
            assert await executions.drain(WAIT)
            for writer in writers:
                writer.close()

        api.run(test())
    assert [] == long_way


def test_a_caller_that_goes_away_while_it_waits_in_the_queue_leaves_it(tmp_path: Path, long_way: list[str]) -> None:
    with served(tmp_path, max_in_flight=1, max_queue=1) as api:
        agent = api.agent(answer=never_answers)

        async def test() -> None:
            executions = api.running.services.executions
            _, first = await asyncio.open_connection("127.0.0.1", api.running.port)
            first.write(one())
            given = await agent.hear(Execute)
            _, second = await asyncio.open_connection("127.0.0.1", api.running.port)
            second.write(one() + one())
            await until(lambda: executions.queued == 1)
            second.close()
            await until(lambda: executions.queued == 0)
            assert 1 == executions.in_flight
            agent.send(ok(given))
            assert await executions.drain(WAIT)
            first.close()

        api.run(test())
        assert 1 == len(api.call("GET", "/api/history").json["items"])
    assert [] == long_way


def test_refusals_of_what_has_come_already_leave_others_their_turn(api: Served) -> None:
    api.configure()
    assert api.run(api.running.services.executions.drain(1))

    async def test() -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
        writer.write(one() * 200 + LAST)
        reading = asyncio.create_task(reader.read())
        turned = 0
        while not reading.done():
            turned += 1
            await turns(1)
        writer.close()
        return turned, await reading

    turned, answer = api.run(test())
    assert 201 == answer.count(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert turned > 200


def test_a_caller_that_goes_away_in_the_midst_of_a_large_answer_harms_nobody(
    api: Served, caplog: pytest.LogCaptureFixture
) -> None:
    api.agent(answer=answers(body=b"x" * (40 * PIECE_BYTES)))

    async def test() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
        writer.write(raw_request("GET", PATH))
        assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
        writer.transport.abort()

    api.run(test())
    assert 200 == api.call("GET", PATH).status
    assert [] == [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]


def test_callers_that_go_away_free_their_connections_while_their_executions_go_on(tmp_path: Path) -> None:
    most = 16
    # The agent's link is the one more.
    with served(tmp_path, max_connections=most + 1) as api:
        api.configure()
        agent = api.agent(answer=never_answers, configured=False)

        async def test() -> None:
            given: list[Execute] = []
            writers = []
            for _ in range(most):
                writers.append((await asyncio.open_connection("127.0.0.1", api.running.port))[1])
                writers[-1].write(one())
                given.append(await agent.hear(Execute))
            for writer in writers:
                writer.transport.abort()
            async with asyncio.timeout(WAIT):
                while 200 != (await exchange(api.running.port, raw_request("GET", "/livez"))).status:
                    await turns()
            assert most == api.running.services.executions.in_flight
            for each in given:
                agent.send(ok(each))
            assert await api.running.services.executions.drain(WAIT)

        api.run(test())
        outcomes = [record["outcome"] for record in api.call("GET", "/api/history").json["items"]]
        assert ["completed"] * most == outcomes
