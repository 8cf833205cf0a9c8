"""`/api/agents`: register, list, remove."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher.wire.messages import AddressState, Execute, RefusalCode
from tests.support.api import Reply, Served, raw_request, served
from tests.support.scripted_agent import ScriptedAgent, hangs_up, never_answers, ok, wait_for_exits

REGISTER = "/api/agents/register"
AGENT = [
    "agent_id",
    "hostname",
    "version",
    "state",
    "connected_at",
    "last_seen_at",
    "addresses",
    "in_flight",
    "completed",
    "failed",
    "unknown",
]


def agents(api: Served) -> dict[str, Any]:
    return {agent["agent_id"]: agent for agent in api.call("GET", "/api/agents").json["agents"]}


def test_nobody_is_known_at_first(api: Served) -> None:
    assert b'{"agents":[]}' == api.call("GET", "/api/agents").body


def test_an_agent_registers_and_is_told_where_its_link_opens(api: Served) -> None:
    content = {"agent_id": "a", "hostname": "h", "version": "1", "addresses": ["2001:DB8::1"]}
    reply = api.call("POST", REGISTER, content)
    assert (201, ["agent_id", "session", "websocket_url"]) == (reply.status, list(reply.json))
    assert ("a", "ws://test/ws/agent") == (reply.json["agent_id"], reply.json["websocket_url"])
    assert 20 < len(reply.json["session"])
    listed = agents(api)["a"]
    assert AGENT == list(listed)
    assert ("h", "1", "registered", None) == (
        listed["hostname"],
        listed["version"],
        listed["state"],
        listed["connected_at"],
    )
    assert ["2001:db8::1"] == [address["address"] for address in listed["addresses"]]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"agent_id": null}'])
def test_an_agent_without_an_id_gets_one_of_its_own(api: Served, body: bytes) -> None:
    given = [api.call("POST", REGISTER, body=body).json["agent_id"] for _ in range(3)]
    assert 3 == len(set(given))
    assert set(given) == set(agents(api))


def test_the_link_opens_where_the_agent_has_asked(tmp_path: Path) -> None:
    request = raw_request("POST", REGISTER, b"{}", {"Content-Type": "application/json"}, host="gateway.test:8000")
    with served(tmp_path, allow_host=["gateway.test"]) as api:
        assert "ws://gateway.test:8000/ws/agent" == api.raw(request).json["websocket_url"]


def test_an_id_that_a_live_agent_holds_gets_409(api: Served) -> None:
    api.agent(agent_id="a")
    reply = api.call("POST", REGISTER, {"agent_id": "a"})
    assert (409, "urn:http-dispatcher:problem:id_in_use") == (reply.status, reply.json["type"])
    assert "connected" == agents(api)["a"]["state"]


def test_an_id_whose_agent_is_lost_may_be_taken_again(api: Served) -> None:
    api.agent(agent_id="a", answer=hangs_up)
    api.call("GET", "/api/execute")
    assert "lost" == agents(api)["a"]["state"]
    assert 201 == api.call("POST", REGISTER, {"agent_id": "a"}).status


def test_an_id_that_is_only_registered_may_be_taken_again_and_the_older_session_ends(api: Served) -> None:
    sessions = {api.call("POST", REGISTER, {"agent_id": "a"}).json["session"] for _ in range(2)}
    assert 2 == len(sessions)
    assert 1 == len(agents(api))


def test_too_many_agents_get_503(tmp_path: Path) -> None:
    with served(tmp_path, max_agents="2") as api:
        replies = [api.call("POST", REGISTER) for _ in range(3)]
        assert [201, 201, 503] == [reply.status for reply in replies]
        assert "1" == replies[2].headers["retry-after"]


@pytest.mark.parametrize(
    ("content", "pointers"),
    [
        ({"agent_id": "a b"}, ["/agent_id"]),
        ({"agent_id": "register"}, ["/agent_id"]),
        ({"addresses": ["::1", "1.2.3.4", 5]}, ["/addresses/1", "/addresses/2"]),
        ({"hostname": 5, "version": None, "more": 1}, ["/hostname", "/more", "/version"]),
    ],
)
def test_a_wrong_registration_registers_nobody(api: Served, content: dict[str, Any], pointers: list[str]) -> None:
    reply = api.call("POST", REGISTER, content)
    assert (422, pointers) == (reply.status, sorted(reply.pointers))
    assert {} == agents(api)


def test_a_connected_agent_shows_its_addresses_and_what_it_did(api: Served) -> None:
    agent = api.agent("2001:db8::1", agent_id="a")
    agent.report("2001:db8::2", state=AddressState.DADFAILED, reason="somebody else has it")
    api.run(agent.flush())
    assert 200 == api.call("GET", "/api/execute").status
    shown = agents(api)["a"]
    assert ("connected", 0, 1, 0) == (shown["state"], shown["in_flight"], shown["completed"], shown["failed"])
    assert [
        {"address": "2001:db8::1", "state": "preferred"},
        {"address": "2001:db8::2", "state": "dadfailed", "reason": "somebody else has it"},
    ] == shown["addresses"]


def test_many_agents_are_listed_in_the_order_of_their_registration(api: Served) -> None:
    addresses = [f"2001:db8::{number:x}" for number in range(1, 901)]
    names = [f"agent-{number}" for number in range(5)]
    for name in names:
        api.call("POST", REGISTER, {"agent_id": name, "addresses": addresses})
    assert names == list(agents(api))
    assert [900] * 5 == [len(agent["addresses"]) for agent in agents(api).values()]


@pytest.mark.parametrize("count", [999, 1000, 1001, 2500])
def test_thousands_of_addresses_of_one_agent_are_all_listed(api: Served, count: int) -> None:
    addresses = [f"2001:db8::{number:x}" for number in range(1, count + 1)]
    agent = api.agent(addresses[0], agent_id="a")
    for start in range(1, count, 1000):
        agent.report(*addresses[start : start + 1000])
    api.run(agent.flush())
    api.run(wait_for_exits(api.running.url, "a", set(addresses)))
    assert addresses == [each["address"] for each in agents(api)["a"]["addresses"]]


def test_what_an_agent_says_of_itself_cannot_break_the_list(api: Served) -> None:
    hostname = '"addresses":[]'
    api.call("POST", REGISTER, {"agent_id": "a", "hostname": hostname, "addresses": ["::1"]})
    assert (hostname, 1) == (agents(api)["a"]["hostname"], len(agents(api)["a"]["addresses"]))


def test_an_agent_that_is_removed_is_told_and_its_exits_are_gone(api: Served) -> None:
    agent = api.agent(agent_id="a")
    reply = api.call("DELETE", "/api/agents/a")
    assert (204, b"") == (reply.status, reply.body)
    assert "content-type" not in reply.headers
    api.run(agent.closed())
    assert agent.refused is not None
    assert RefusalCode.REMOVED == agent.refused.code
    assert {} == agents(api)
    assert 0 == api.call("GET", "/api/pool/status").json["size"]
    assert 404 == api.call("DELETE", "/api/agents/a").status


def test_what_is_in_flight_finishes_after_its_agent_is_removed(api: Served) -> None:
    agent = api.agent(agent_id="a", answer=never_answers)
    executed, removed = api.run(_remove_in_flight(api, agent))
    assert (200, 204) == (executed.status, removed.status)


async def _remove_in_flight(api: Served, agent: ScriptedAgent) -> tuple[Reply, Reply]:
    running = asyncio.create_task(api.call_async("GET", "/api/execute"))
    execute = await agent.hear(Execute)
    removed = await api.call_async("DELETE", "/api/agents/a")
    agent.send(ok(execute))
    reply = await running
    await agent.closed()
    return reply, removed


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A coordinator that knows sixteen agents, some by odd names."""
    with served(tmp_path_factory.mktemp("state")) as running:
        for number in range(16):
            running.call("POST", REGISTER, {"agent_id": f"a.{number}_-x"})
        yield running


def test_an_unknown_agent_gets_404_and_nobody_else_goes(sixteen: Served) -> None:
    for name in ("a", "a.1_-X", "a.1_-x%20", "%2A", "a.1%5F-x%00"):
        assert 404 == sixteen.call("DELETE", f"/api/agents/{name}").status
    assert 16 == len(agents(sixteen))


def test_a_name_may_be_escaped_in_its_path(sixteen: Served) -> None:
    sixteen.call("POST", REGISTER, {"agent_id": "b.1"})
    assert 204 == sixteen.call("DELETE", "/api/agents/b%2E1").status
