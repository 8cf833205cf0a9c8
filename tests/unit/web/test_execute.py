"""`/api/execute`: one execution, its record, and the status of each way in which it can fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import FailureKind
from dispatcher.wire.messages import Execute
from tests.support import scripted_agent as scripted
from tests.support.api import PROBLEM, Reply, Served, raw_request, served
from tests.support.broken_store import REASON, unwritable_history
from tests.support.scripted_agent import Answer, ScriptedAgent, answers, fails, never_answers

PATH = "/api/execute"

RECORD = {
    "id": None,
    "outcome": None,
    "agent_id": None,
    "source_ip": None,
    "request": ["method", "url", "headers"],
    "response": ["status", "reason", "http_version", "remote_ip", "headers", "body"],
    "timings": ["queued", "dns", "connect", "tls", "send", "wait", "receive", "total"],
    "error": None,
    "started_at": None,
    "finished_at": None,
}
"""The contract's record: its members and theirs, in order."""

STATUSES = {
    **dict.fromkeys(("dns", "connect", "tls", "reset", "http_protocol", "target_has_no_ipv6"), 502),
    **dict.fromkeys(("source_address", "source_mismatch", "agent_lost", "invalid_result"), 502),
    **dict.fromkeys(("timeout", "agent_timeout"), 504),
    **dict.fromkeys(("no_exit", "overloaded"), 503),
    "blocked_target": 403,
    "internal": 500,
}
"""The contract's table of outcomes and statuses."""


def names_in(record: dict[str, Any]) -> dict[str, Any]:
    return {name: list(record[name]) if isinstance(wanted, list) else None for name, wanted in RECORD.items()}


def history(api: Served) -> list[Any]:
    items: list[Any] = api.call("GET", "/api/history").json["items"]
    return items


def test_a_success_is_the_record_with_its_members_in_the_contracts_order(api: Served) -> None:
    api.agent()
    for reply in (api.call("GET", PATH), api.call("POST", PATH)):
        assert (200, "no-store", "application/json") == (
            reply.status,
            reply.headers["cache-control"],
            reply.headers["content-type"],
        )
        assert (list(RECORD), RECORD) == (list(reply.json), names_in(reply.json))
        assert ["encoding", "data", "size", "truncated"] == list(reply.json["response"]["body"])
        assert ("completed", "agent-01", "2001:db8::1") == tuple(list(reply.json.values())[1:4])


def test_any_status_of_the_target_is_a_success(api: Served) -> None:
    status = iter((404, 500, 301, 204, 999))
    api.agent(answer=lambda agent, execute: agent.send(scripted.ok(execute, status=next(status))))
    replies = [api.call("GET", PATH) for _ in range(5)]
    assert [200] * 5 == [reply.status for reply in replies]
    assert [404, 500, 301, 204, 999] == [reply.json["response"]["status"] for reply in replies]


def test_a_reply_is_what_history_has(api: Served) -> None:
    api.agent(answer=answers(body='\u00e4\u0000\u2028"\\'.encode()))
    reply = api.call("GET", PATH)
    assert reply.body == api.call("GET", f"/api/history/{reply.json['id']}").body


def test_nothing_configured_gets_409(api: Served) -> None:
    for reply in (api.call("GET", PATH), api.call("POST", PATH), api.call("POST", PATH, {"method": "GET"})):
        assert (409, "urn:http-dispatcher:problem:not_configured") == (reply.status, reply.json["type"])
    assert [] == history(api)


def test_a_whole_request_may_be_sent_where_nothing_is_configured(api: Served) -> None:
    api.agent(configured=False)
    assert "http://once.test/" == api.call("POST", PATH, {"url": "http://once.test/"}).json["request"]["url"]
    assert 409 == api.call("GET", PATH).status


def test_every_kind_of_failure_has_a_status_in_the_contract() -> None:
    assert set(map(str, FailureKind)) == set(STATUSES)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_gets_the_contracts_status_with_its_record(api: Served, kind: FailureKind) -> None:
    api.agent(answer=fails(kind, "so it was"))
    reply = api.call("GET", PATH)
    assert (STATUSES[kind], PROBLEM) == (reply.status, reply.headers["content-type"])
    assert (f"urn:http-dispatcher:problem:{kind}", "so it was") == (reply.json["type"], reply.json["detail"])
    assert ("retry-after" in reply.headers) == (reply.status == 503)
    record = reply.json["execution"]
    assert ("failed", None, str(kind)) == (record["outcome"], record["response"], record["error"]["kind"])
    assert ["kind", "detail", "attributed_to"] == list(record["error"])
    assert [record] == history(api)


def test_no_exit_gets_503_with_a_record_and_retry_after(api: Served) -> None:
    api.configure()
    reply = api.call("GET", PATH)
    assert (503, "1") == (reply.status, reply.headers["retry-after"])
    record = reply.json["execution"]
    assert ("failed", None, None, "no_exit") == (
        record["outcome"],
        record["agent_id"],
        record["source_ip"],
        record["error"]["kind"],
    )
    assert [record] == history(api)


MISBEHAVIOURS: list[tuple[Answer, str, str]] = [
    (scripted.hangs_up, "unknown", "agent_lost"),
    (scripted.answers_with_garbage, "unknown", "agent_lost"),
    (scripted.answers_from_another_source, "failed", "source_mismatch"),
    (scripted.answers_with_status_and_error, "failed", "invalid_result"),
    (scripted.answers_with_too_much, "failed", "invalid_result"),
    (scripted.answers_with_wrong_field, "failed", "invalid_result"),
]


@pytest.mark.parametrize(
    ("answer", "outcome", "kind"), MISBEHAVIOURS, ids=lambda value: getattr(value, "__name__", value)
)
def test_an_agent_that_misbehaves_is_a_failure_that_says_so(
    api: Served, answer: Answer, outcome: str, kind: str
) -> None:
    api.agent(answer=answer)
    reply = api.call("POST", PATH, {"max_body_bytes": 100})
    assert (502, outcome, kind) == (
        reply.status,
        reply.json["execution"]["outcome"],
        reply.json["execution"]["error"]["kind"],
    )
    assert [reply.json["execution"]] == history(api)


def test_a_second_answer_counts_for_nothing(api: Served) -> None:
    api.agent(answer=scripted.answers_twice)
    assert [200, 200] == [api.call("GET", PATH).json["response"]["status"] for _ in range(2)]
    assert 2 == len(history(api))


def test_an_agent_that_does_not_answer_gets_504_within_timeout_and_grace(tmp_path: Path) -> None:
    with served(tmp_path, grace="0.05") as api:
        api.agent(answer=never_answers)
        reply = api.call("POST", PATH, {"timeout": 0.05})
        assert (504, "unknown", "agent_timeout") == (
            reply.status,
            reply.json["execution"]["outcome"],
            reply.json["execution"]["error"]["kind"],
        )


# Secrets, limits, and the end


def test_secrets_are_in_no_record(api: Served) -> None:
    api.agent(answer=answers(headers=(("Set-Cookie", "hidden1"), ("X", "shown"))))
    content = {"url": "http://me:hidden2@target.test/", "headers": {"Authorization": "hidden3", "cookie": "hidden4"}}
    reply = api.call("POST", PATH, content)
    assert b"hidden" not in reply.body
    assert b"hidden" not in api.call("GET", "/api/history").body
    assert b"shown" in reply.body


def test_as_many_executions_as_allowed_are_in_flight_and_the_next_gets_503(tmp_path: Path) -> None:
    with served(tmp_path, max_in_flight="2", max_queue="0") as api:
        agent = api.agent(answer=never_answers)
        replies = api.run(_overload(api, agent))
        assert [200, 200] == [reply.status for reply in replies[:2]]
        assert (503, "urn:http-dispatcher:problem:overloaded", "1") == (
            replies[2].status,
            replies[2].json["type"],
            replies[2].headers["retry-after"],
        )
        assert "execution" not in replies[2].json
        assert 2 == len(history(api))


async def _overload(api: Served, agent: ScriptedAgent) -> list[Reply]:
    running = [asyncio.create_task(api.call_async("GET", PATH)) for _ in range(2)]
    given_out = [await agent.hear(Execute) for _ in range(2)]
    refused = await api.call_async("GET", PATH)
    for execute in given_out:
        agent.send(scripted.ok(execute))
    return [*[await task for task in running], refused]


def test_a_caller_that_goes_away_while_it_waits_leaves_the_queue(tmp_path: Path) -> None:
    with served(tmp_path, max_in_flight="1", max_queue="1") as api:
        agent = api.agent(answer=never_answers)
        replies = api.run(_leave_the_queue(api, agent))
        assert [200, 200] == [reply.status for reply in replies]
        assert ["http://target.test/", "http://patient.test/"] == [
            item["request"]["url"] for item in history(api)[::-1]
        ]


async def _leave_the_queue(api: Served, agent: ScriptedAgent) -> list[Reply]:
    executions = api.running.services.executions
    running = asyncio.create_task(api.call_async("GET", PATH))
    first = await agent.hear(Execute)
    _, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
    writer.write(raw_request("GET", PATH))
    await _until(lambda: executions.queued == 1)
    writer.close()
    await _until(lambda: executions.queued == 0)
    patient = asyncio.create_task(api.call_async("POST", PATH, {"url": "http://patient.test/"}))
    await _until(lambda: executions.queued == 1)
    agent.send(scripted.ok(first))
    agent.send(scripted.ok(await agent.hear(Execute)))
    return [await running, await patient]


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 (a count of the coordinator has no event)
            await asyncio.sleep(0.001)


def test_a_coordinator_that_drains_takes_nothing_new_and_finishes_what_it_has(api: Served) -> None:
    agent = api.agent(answer=never_answers)
    first, refused = api.run(_drain(api, agent))
    assert (200, 503, "urn:http-dispatcher:problem:draining") == (first.status, refused.status, refused.json["type"])


async def _drain(api: Served, agent: ScriptedAgent) -> tuple[Reply, Reply]:
    running = asyncio.create_task(api.call_async("GET", PATH))
    execute = await agent.hear(Execute)
    draining = asyncio.create_task(api.running.services.executions.drain(10))
    refused = await api.call_async("GET", PATH)
    agent.send(scripted.ok(execute))
    assert await draining
    return await running, refused


def test_a_caller_that_goes_away_leaves_a_record(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    agent = api.agent(answer=never_answers)
    identifier = api.run(_go_away(api, agent))
    assert [identifier] == [record["id"] for record in history(api)]
    assert [] == [record for record in caplog.records if record.levelname == "ERROR"]


async def _go_away(api: Served, agent: ScriptedAgent) -> str:
    _, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
    writer.write(raw_request("GET", PATH))
    execute: Execute = await agent.hear(Execute)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    agent.send(scripted.ok(execute))
    await api.running.services.executions.drain(10)
    return execute.id


def test_an_execution_that_cannot_be_recorded_says_so_and_then_none_is_begun(
    api: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    agent = api.agent()
    with unwritable_history(tmp_path):
        unrecorded = api.call("GET", PATH)
        assert (503, "urn:http-dispatcher:problem:unrecorded") == (unrecorded.status, unrecorded.json["type"])
        assert REASON in unrecorded.json["detail"]
        assert "completed" == unrecorded.json["execution"]["outcome"]
        refused = api.call("GET", PATH)
        assert (503, "urn:http-dispatcher:problem:store_unavailable") == (refused.status, refused.json["type"])
        assert "execution" not in refused.json
    recorded = api.call("GET", PATH)
    assert 200 == recorded.status
    assert 2 == sum(isinstance(heard, Execute) for heard in _all(agent))
    assert [recorded.json, unrecorded.json["execution"]] == history(api)
    assert any(REASON in record.getMessage() for record in caplog.records if record.levelname == "ERROR")


def _all(agent: ScriptedAgent) -> list[object]:
    return [agent.heard.get_nowait() for _ in range(agent.heard.qsize())]
