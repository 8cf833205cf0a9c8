"""The short way of a plain `/api/execute`: it answers as the long one does, and takes nothing that is not plain."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher.auth.roles import Role
from dispatcher.auth.tokens import TokenStore
from dispatcher.errors import FailureKind
from dispatcher.web import execute
from dispatcher.web.record_writer import PIECE_BYTES
from dispatcher.web.short_way import SMALL_BYTES
from dispatcher.wire.messages import Execute
from tests.support.api import PROBLEM, Reply, Served, exchange, raw_request, served
from tests.support.broken_store import unwritable_history
from tests.support.scripted_agent import WAIT, answers, fails, never_answers, ok
from tests.unit.loops import turns

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = execute.PATH
LONG = {"X-Long": "way"}
"""A header that is not known to the short way."""

ARBITRARY = re.compile(rb'"id":"[^"]+"|"[a-z]+_at":"[^"]+"|execution [0-9a-f-]{36}|"total":[0-9.]+')


def content(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    """An answer without what is different each time."""
    headers = {name: value for name, value in reply.headers.items() if name not in ("date", "content-length")}
    return reply.status, headers, ARBITRARY.sub(b"", reply.body)


def both(api: Served, method: str = "GET", asked: Any = None) -> tuple[Reply, Reply]:
    """The answers of the short way and of the long one."""
    return api.call(method, PATH, asked), api.call(method, PATH, asked, headers=LONG)


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that go the long way."""
    seen: list[str] = []

    def watch(verb: str) -> None:
        answer = getattr(execute.ExecuteHandler, verb)

        async def answer_and_tell(handler: execute.ExecuteHandler) -> None:
            seen.append(handler.request.uri or "")
            await answer(handler)

        monkeypatch.setattr(execute.ExecuteHandler, verb, answer_and_tell)

    watch("get")
    watch("post")
    return seen


def conversation(api: Served, *pieces: bytes) -> bytes:
    """What comes on one connection for what is sent there in so many pieces, the last of which ends it."""

    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
        async with asyncio.timeout(WAIT):
            for piece in pieces:
                writer.write(piece)
                await turns(20)  # so that they come one by one
            answer = await reader.read()
        writer.close()
        return answer

    return api.run(talk())


@pytest.mark.parametrize("body", [b"", b"short", b"\xff\x00", b"x" * PIECE_BYTES, b"x" * (3 * PIECE_BYTES + 1)])
def test_an_answer_is_the_same_on_both_ways(api: Served, long_way: list[str], body: bytes) -> None:
    api.agent(answer=answers(body=body))
    short, long = both(api)
    assert [PATH] == long_way
    assert (200, content(long)) == (short.status, content(short))
    assert {"date", "server", "cache-control"} <= set(short.headers)


@pytest.mark.parametrize("asked", [None, {}, {"url": "http://other.test/", "method": "PUT", "body": "sent"}])
def test_a_post_of_one_execution_is_the_same_on_both_ways(api: Served, long_way: list[str], asked: Any) -> None:
    api.agent()
    short, long = both(api, "POST", asked)
    assert [PATH] == long_way
    assert (200, content(long)) == (short.status, content(short))
    wanted = asked or {"url": "http://target.test/", "method": "GET"}
    assert (wanted["url"], wanted["method"]) == (short.json["request"]["url"], short.json["request"]["method"])


@pytest.mark.parametrize("kind", [FailureKind.DNS, FailureKind.TIMEOUT, FailureKind.BLOCKED_TARGET])
def test_a_failure_is_the_same_on_both_ways(api: Served, long_way: list[str], kind: FailureKind) -> None:
    api.agent(answer=fails(kind))
    short, long = both(api)
    assert [PATH] == long_way
    assert (kind.http_status, PROBLEM) == (short.status, short.headers["content-type"])
    assert content(long) == content(short)


def test_no_exit_and_a_coordinator_that_drains_are_the_same_on_both_ways(api: Served, long_way: list[str]) -> None:
    api.configure()
    for name in ("no_exit", "draining"):
        if name == "draining":
            assert api.run(api.running.services.executions.drain(1))
        short, long = both(api)
        assert (503, f"urn:http-dispatcher:problem:{name}", "1") == (
            short.status,
            short.json["type"],
            short.headers["retry-after"],
        )
        assert content(long) == content(short)
    assert [PATH, PATH] == long_way


def test_a_record_that_cannot_be_kept_is_told_on_the_short_way_too(
    api: Served, tmp_path: Path, long_way: list[str]
) -> None:
    agent = api.agent(answer=never_answers)

    async def test() -> Reply:
        asking = asyncio.create_task(api.call_async("GET", PATH))
        given: Execute = await agent.hear(Execute)
        with unwritable_history(tmp_path):
            agent.send(ok(given))
            return await asking

    reply = api.run(test())
    assert [] == long_way
    assert (503, "urn:http-dispatcher:problem:unrecorded", "completed") == (
        reply.status,
        reply.json["type"],
        reply.json["execution"]["outcome"],
    )


def test_what_nobody_foresaw_is_told_on_both_ways(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    api.agent()

    def fail(**_: Any) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("dispatcher.execution.make_record", fail)
    short, long = both(api)
    assert (500, "urn:http-dispatcher:problem:internal") == (short.status, short.json["type"])
    assert content(long) == content(short)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"{PATH}?a=1", {}, 200),
        (PATH, {"Origin": "http://evil.test"}, 403),
        (PATH, {"Sec-Fetch-Site": "cross-site"}, 403),
        (PATH, {"Idempotency-Key": '"1"'}, 400),
        (PATH, {"Content-Length": "0"}, 200),
        (PATH, {"Authorization": "Bearer wrong"}, 401),
        (PATH, {"Host": "evil.test"}, 421),
        (PATH, {"Host": "test,test"}, 400),
        (PATH, {"Host": "t est"}, 400),
        (PATH, {"Cookie": "a=b"}, 200),
    ],
)
def test_what_is_not_plain_goes_the_long_way(
    api: Served, long_way: list[str], path: str, headers: dict[str, str], status: int
) -> None:
    api.agent()
    assert 200 == api.raw(raw_request("GET", PATH)).status
    assert [] == long_way
    assert status == api.raw(raw_request("GET", path, headers=headers)).status
    assert [path] * ("Idempotency-Key" in headers or status == 200) == long_way


def test_where_other_sites_are_allowed_every_request_goes_the_long_way(tmp_path: Path, long_way: list[str]) -> None:
    with served(tmp_path, allow_origin=["http://friend.test"]) as api:
        api.agent()
        assert "Origin" == api.raw(raw_request("GET", PATH)).headers["vary"]
        assert [PATH] == long_way


def one(method: str = "GET", body: bytes = b"", **headers: str) -> bytes:
    """A request that lets its connection be kept."""
    lines = {"Connection": "keep-alive"} | ({"Content-Type": "application/json"} if body else {}) | headers
    return raw_request(method, PATH, body, lines)


LAST = raw_request("GET", PATH)
"""A plain request that ends its connection."""


def test_a_connection_is_kept_for_requests_of_either_way(api: Served, long_way: list[str]) -> None:
    api.agent()
    answer = conversation(api, one() + one(**LONG) + one("POST", b"{}") + one("POST", b"{}") + one() + LAST)
    assert 6 == answer.count(b"HTTP/1.1 200 OK\r\n")
    assert 1 == answer.count(b"Connection: close\r\n")
    assert [PATH] == long_way


@pytest.mark.parametrize("cut", [1, 30, len(one("POST", b"{}")) - 1])
def test_what_comes_in_pieces_goes_the_long_way(api: Served, long_way: list[str], cut: int) -> None:
    api.agent()
    whole = one("POST", b"{}")
    assert 3 == conversation(api, one(), whole[:cut], whole[cut:] + LAST).count(b"HTTP/1.1 200 OK\r\n")
    assert [PATH] == long_way


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"count": 1}, 200),
        ({"url": "no URL"}, 422),
        ({"unknown": 1}, 422),
        ([], 422),
        ({"headers": [["a", "b"]] * 3000}, 422),
        ({"body": "x" * 4096}, 200),
        ({"body": "x" * 70_000}, 200),
    ],
)
def test_a_post_that_is_a_batch_or_not_right_goes_the_long_way(
    api: Served, long_way: list[str], asked: Any, status: int
) -> None:
    api.agent()
    assert status == api.call("POST", PATH, asked).status
    assert [PATH] == long_way


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({"Content-Encoding": "gzip"}, b"{}", 415),
        ({"Idempotency-Key": '"1"'}, b"{}", 200),
        ({}, b"{", 400),
        ({}, b'{"url": 1, "url": 2}', 400),
        ({"Content-Length": "2,2"}, b"{}", 200),
        ({"Expect": "100-continue"}, b"{}", 200),
    ],
)
def test_a_post_that_is_not_plain_goes_the_long_way(
    api: Served, long_way: list[str], headers: dict[str, str], body: bytes, status: int
) -> None:
    api.agent()
    answer = api.raw(raw_request("POST", PATH, body, {"Content-Type": "application/json"} | headers), method="POST")
    # Python's reader passes over what is said before an answer.
    assert status == answer.status
    assert [PATH] == long_way


def test_a_body_over_the_limit_goes_the_long_way(tmp_path: Path, long_way: list[str]) -> None:
    with served(tmp_path, max_request_bytes=1024) as api:
        api.agent()
        assert 413 == api.call("POST", PATH, {"body": "x" * 1024}).status
        assert [PATH] == long_way


def test_beside_a_large_body_that_is_configured_a_post_goes_the_long_way(api: Served, long_way: list[str]) -> None:
    api.agent(configured=False)
    api.configure(method="POST", body="x" * SMALL_BYTES)
    assert 200 == api.call("POST", PATH, {"timeout": 5.0}).status
    assert [PATH] == long_way
    assert 200 == api.call("POST", PATH).status
    assert [PATH] == long_way


def test_where_nothing_is_configured_a_post_with_a_url_needs_no_more(api: Served, long_way: list[str]) -> None:
    api.agent(configured=False)
    assert 409 == api.call("POST", PATH).status
    assert [PATH] == long_way
    assert 200 == api.call("POST", PATH, {"url": "http://target.test/"}).status
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


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so of which nobody is told."""
    async with asyncio.timeout(WAIT):
        while not is_so():  # noqa: ASYNC110 (nobody is told)
            await asyncio.sleep(0.001)


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


def test_a_head_ends_where_it_does_on_the_long_way(api: Served, long_way: list[str]) -> None:
    api.agent()
    start = f"GET {PATH} HTTP/1.1\r\nHost: test\r\nConnection: close".encode()
    for end in (b"\r\n\r\n", b"\r\n\n", b"\n\nAccept: a\r\n\r\n"):
        assert 200 == api.raw(start + end).status
    assert [] == long_way
    assert 400 == api.raw(start + b"\r\n folded: no\rname\r\n\r\n").status


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
