"""`Idempotency-Key` on `POST /api/execute`: one execution a key, whatever happens in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import FailureKind
from dispatcher.wire.messages import Execute
from tests.support import scripted_agent as scripted
from tests.support.api import Reply, Served, served
from tests.support.broken_store import unwritable
from tests.support.scripted_agent import ScriptedAgent, answers, fails, never_answers

PATH = "/api/execute"
PROBLEM = "urn:http-dispatcher:problem:"
REPLAYED = "idempotent-replayed"


def post(api: Served, key: str = '"k"', content: Any = None) -> Reply:
    return api.call("POST", PATH, content, headers={"Idempotency-Key": key})


def sent(agent: ScriptedAgent) -> int:
    return sum(isinstance(agent.heard.get_nowait(), Execute) for _ in range(agent.heard.qsize()))


def test_the_same_key_gives_the_same_record_and_nothing_is_sent_again(api: Served) -> None:
    agent = api.agent(answer=answers(body='\u00e4\u0000"'.encode()))
    first, second, bare = post(api), post(api), post(api, "k")
    assert [200] * 3 == [reply.status for reply in (first, second, bare)]
    assert first.body == second.body == bare.body
    assert [None, "true", "true"] == [reply.headers.get(REPLAYED) for reply in (first, second, bare)]
    assert "no-store" == second.headers["cache-control"]
    assert 1 == sent(agent)
    assert post(api, "another").json["id"] != first.json["id"]
    assert api.call("POST", PATH).json["id"] != first.json["id"]


def test_a_failure_is_answered_again_as_it_was(api: Served) -> None:
    agent = api.agent(answer=fails(FailureKind.TIMEOUT, "so it was"))
    first, second = post(api), post(api)
    assert (504, 504, "true") == (first.status, second.status, second.headers[REPLAYED])
    assert first.json == second.json
    assert 1 == sent(agent)


def test_another_payload_under_the_same_key_gets_422_and_is_not_sent(api: Served) -> None:
    agent = api.agent()
    post(api, content={"method": "PUT"})
    reply = post(api, content={"method": "DELETE"})
    assert (422, PROBLEM + "idempotency_key_reused") == (reply.status, reply.json["type"])
    api.configure("http://changed.test/")
    assert 422 == post(api, content={"method": "PUT"}).status
    assert 1 == sent(agent)


def test_the_key_gets_409_while_the_first_runs_though_its_caller_has_gone(api: Served) -> None:
    agent = api.agent(answer=never_answers)
    first, meanwhile, other, after = api.run(_meanwhile(api, agent))
    assert (409, PROBLEM + "idempotency_key_running", "1") == (
        meanwhile.status,
        meanwhile.json["type"],
        meanwhile.headers["retry-after"],
    )
    assert (422, 200) == (other.status, first.status)
    assert (first.body, "true") == (after.body, after.headers[REPLAYED])


async def _meanwhile(api: Served, agent: ScriptedAgent) -> tuple[Reply, ...]:
    key = {"Idempotency-Key": "k"}
    first = asyncio.create_task(api.call_async("POST", PATH, headers=key))
    execute = await agent.hear(Execute)
    meanwhile = await api.call_async("POST", PATH, headers=key)
    other = await api.call_async("POST", PATH, {"method": "PUT"}, headers=key)
    agent.send(scripted.ok(execute))
    return await first, meanwhile, other, await api.call_async("POST", PATH, headers=key)


def test_a_key_is_known_after_a_restart(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        api.agent()
        first = post(api)
    with served(tmp_path) as api:
        again = post(api)
        assert (first.body, "true") == (again.body, again.headers[REPLAYED])
        assert 422 == post(api, content={"method": "PUT"}).status


def test_a_key_whose_record_is_no_longer_kept_is_new(tmp_path: Path) -> None:
    with served(tmp_path, history_max_records="1") as api:
        api.agent()
        first = post(api)
        api.call("GET", PATH)
        again = post(api)
        assert (200, None) == (again.status, again.headers.get(REPLAYED))
        assert first.json["id"] != again.json["id"]


def test_what_found_no_exit_leaves_its_key_unused(api: Served) -> None:
    api.configure()
    assert 503 == post(api).status
    api.agent(configured=False)
    assert (200, None) == ((reply := post(api)).status, reply.headers.get(REPLAYED))


def test_what_was_not_accepted_leaves_its_key_unused(tmp_path: Path) -> None:
    with served(tmp_path, max_in_flight="1", max_queue="0") as api:
        agent = api.agent(answer=never_answers)
        assert [503, 200, 200] == api.run(_refused_then_taken(api, agent))


async def _refused_then_taken(api: Served, agent: ScriptedAgent) -> list[int]:
    key = {"Idempotency-Key": "k"}
    running = asyncio.create_task(api.call_async("GET", PATH))
    first = await agent.hear(Execute)
    refused = await api.call_async("POST", PATH, headers=key)
    agent.send(scripted.ok(first))
    await running
    taken = asyncio.create_task(api.call_async("POST", PATH, headers=key))
    agent.send(scripted.ok(await agent.hear(Execute)))
    return [reply.status for reply in (refused, await taken, await api.call_async("POST", PATH, headers=key))]


@pytest.mark.parametrize("key", ["", '"', "a b", "x" * 256])
def test_what_is_no_key_gets_400_and_is_not_sent(api: Served, key: str) -> None:
    agent = api.agent()
    reply = post(api, key)
    assert (400, PROBLEM + "malformed_idempotency_key") == (reply.status, reply.json["type"])
    assert 0 == sent(agent)


def test_a_get_refuses_a_key_rather_than_execute_twice(api: Served) -> None:
    agent = api.agent()
    assert 400 == api.call("GET", PATH, headers={"Idempotency-Key": "k"}).status
    assert 0 == sent(agent)


def test_the_targets_header_of_that_name_is_no_key_of_the_callers(api: Served) -> None:
    agent = api.agent()
    replies = [api.call("POST", PATH, {"headers": {"Idempotency-Key": "k"}}) for _ in range(2)]
    assert [None, None] == [reply.headers.get(REPLAYED) for reply in replies]
    told = [
        heard for heard in (agent.heard.get_nowait() for _ in range(agent.heard.qsize())) if isinstance(heard, Execute)
    ]
    assert [(("Idempotency-Key", "k"),)] * 2 == [execute.headers for execute in told]
    post(api, "mine")
    assert () == api.run(agent.hear(Execute)).headers


def test_a_key_that_cannot_be_written_down_gets_503_and_nothing_is_sent(api: Served, tmp_path: Path) -> None:
    agent = api.agent()
    with unwritable(tmp_path / "history.sqlite3", "idempotency"):
        reply = post(api)
        assert (503, PROBLEM + "store_unavailable") == (reply.status, reply.json["type"])
    assert 0 == sent(agent)
    assert 200 == post(api).status
