"""`/api/pool/status`: the exits in the order in which they are leased."""

from __future__ import annotations

from typing import Any

from dispatcher.wire.messages import AddressState
from tests.support.api import Served
from tests.support.scripted_agent import wait_for_exits

EXIT = ["agent_id", "address", "state", "in_flight", "leased", "completed", "failed", "unknown", "last_used_at"]


def pool(api: Served) -> Any:
    return api.call("GET", "/api/pool/status").json


def test_an_empty_pool_has_no_next(api: Served) -> None:
    assert b'{"size":0,"available":0,"next":null,"exits":[]}' == api.call("GET", "/api/pool/status").body


def test_next_is_the_exit_that_the_next_lease_takes(api: Served) -> None:
    api.agent("2001:db8::1", "2001:db8::2", agent_id="one")
    api.agent("2001:db8::3", agent_id="two")
    used = []
    for _ in range(6):
        upcoming = pool(api)["next"]
        assert ["agent_id", "address"] == list(upcoming)
        record = api.call("GET", "/api/execute").json
        assert (upcoming["agent_id"], upcoming["address"]) == (record["agent_id"], record["source_ip"])
        used.append(record["source_ip"])
    assert used[:3] == used[3:]
    assert 3 == len(set(used))


def test_exits_stand_in_the_order_of_rotation(api: Served) -> None:
    api.agent("2001:db8::1", "2001:db8::2", "2001:db8::3")
    order = [each["address"] for each in pool(api)["exits"]]
    assert order == [api.call("GET", "/api/execute").json["source_ip"] for _ in order]
    assert order == [each["address"] for each in pool(api)["exits"]]


def test_an_exit_shows_what_it_did(api: Served) -> None:
    api.agent("2001:db8::1")
    (fresh,) = pool(api)["exits"]
    assert EXIT == list(fresh)
    assert (0, None) == (fresh["leased"], fresh["last_used_at"])
    record = api.call("GET", "/api/execute").json
    (used,) = pool(api)["exits"]
    assert (0, 1) == (used["in_flight"], used["leased"])
    assert (1, 0, 0) == (used["completed"], used["failed"], used["unknown"])
    assert record["started_at"][:16] == used["last_used_at"][:16]


def test_an_exit_that_cannot_be_used_says_why_and_is_not_available(api: Served) -> None:
    agent = api.agent("2001:db8::1")
    agent.report("2001:db8::2", state=AddressState.DADFAILED, reason="somebody else has it")
    api.run(agent.flush())
    api.run(wait_for_exits(api.running.url, "agent-01", {"2001:db8::1", "2001:db8::2"}))
    found = pool(api)
    assert (2, 1) == (found["size"], found["available"])
    bad = next(each for each in found["exits"] if each["address"] == "2001:db8::2")
    assert ("dadfailed", "somebody else has it") == (bad["state"], bad["reason"])


def test_thousands_of_exits_are_all_there_once(api: Served) -> None:
    addresses = [f"2001:db8::{number:x}" for number in range(1, 2501)]
    agent = api.agent(addresses[0])
    for start in range(1, 2500, 1000):
        agent.report(*addresses[start : start + 1000])
    api.run(agent.flush())
    api.run(wait_for_exits(api.running.url, "agent-01", set(addresses)))
    assert addresses == [each["address"] for each in pool(api)["exits"]]
