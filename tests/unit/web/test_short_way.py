"""The short way of a plain `GET /api/execute`: it answers as the long one does, and takes nothing that is not plain."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import FailureKind
from dispatcher.web import execute
from dispatcher.web.record_writer import PIECE_BYTES
from dispatcher.wire.messages import Execute
from tests.support.api import PROBLEM, Reply, Served, raw_request, served
from tests.support.broken_store import unwritable_history
from tests.support.scripted_agent import answers, fails, never_answers, ok

PATH = execute.PATH
LONG = {"X-Long": "way"}
"""A header that is not known to the short way."""

ARBITRARY = re.compile(rb'"id":"[^"]+"|"[a-z]+_at":"[^"]+"|execution [0-9a-f-]{36}|"total":[0-9.]+')


def content(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    """An answer without what is different each time."""
    headers = {name: value for name, value in reply.headers.items() if name not in ("date", "content-length")}
    return reply.status, headers, ARBITRARY.sub(b"", reply.body)


def both(api: Served) -> tuple[Reply, Reply]:
    """The answers of the short way and of the long one."""
    return api.call("GET", PATH), api.call("GET", PATH, headers=LONG)


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that go the long way."""
    seen: list[str] = []
    answer = execute.ExecuteHandler.get

    async def get(handler: execute.ExecuteHandler) -> None:
        seen.append(handler.request.uri or "")
        await answer(handler)

    monkeypatch.setattr(execute.ExecuteHandler, "get", get)
    return seen


@pytest.mark.parametrize("body", [b"", b"short", b"\xff\x00", b"x" * PIECE_BYTES, b"x" * (3 * PIECE_BYTES + 1)])
def test_an_answer_is_the_same_on_both_ways(api: Served, long_way: list[str], body: bytes) -> None:
    api.agent(answer=answers(body=body))
    short, long = both(api)
    assert [PATH] == long_way
    assert (200, content(long)) == (short.status, content(short))
    assert {"date", "server", "cache-control"} <= set(short.headers)


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


def test_a_connection_is_kept_for_requests_of_either_way(api: Served, long_way: list[str]) -> None:
    api.agent()
    keep, close = {"Connection": "keep-alive"}, {"Connection": "close"}
    requests = [raw_request("GET", PATH, headers=each) for each in (keep, {**LONG, **keep}, keep, close)]

    async def test() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
        writer.write(b"".join(requests))
        answer = await reader.read()
        writer.close()
        return answer

    assert 4 == api.run(test()).count(b"HTTP/1.1 200 OK\r\n")
    assert [PATH] == long_way


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
