"""The short way of a plain `/api/execute`: it answers as the long one does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import FailureKind
from dispatcher.web.record_writer import PIECE_BYTES
from dispatcher.wire.messages import Execute
from tests.support.api import PROBLEM, Reply, Served
from tests.support.broken_store import unwritable_history
from tests.support.scripted_agent import answers, fails, never_answers, ok
from tests.unit.web.plain import LONG, PATH, content


def both(api: Served, method: str = "GET", asked: Any = None) -> tuple[Reply, Reply]:
    """The answers of the short way and of the long one."""
    return api.call(method, PATH, asked), api.call(method, PATH, asked, headers=LONG)


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
