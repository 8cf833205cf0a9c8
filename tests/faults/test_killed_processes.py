"""Processes that are killed: what the caller is told, what is kept, and who comes back."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import SOURCES
from tests.support import invariants
from tests.support.cluster import Cluster, wait_for_requests
from tests.support.processes import Process, eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.targets import Echo

TIMEOUT = 60.0
"""Of executions that hang: far longer than "at once" may take on a busy machine."""

AT_ONCE = 15.0

OWNERS = dict.fromkeys(SOURCES[:4], "agent-01") | dict.fromkeys(SOURCES[4:8], "agent-02")

RECONNECT = ("--reconnect-max", "1")


@pytest.fixture
def coordinator(cluster: Cluster) -> Process:
    return cluster.coordinator()


def pool_of(cluster: Cluster, *agents: Sequence[str], outlives: bool = False) -> list[Process]:
    """Start an agent for each of these groups of exits, and wait for all; some are to outlive their coordinator."""
    started = [
        cluster.agent(f"agent-{number:02}", exits, *(RECONNECT if outlives else ()))
        for number, exits in enumerate(agents, 1)
    ]
    if outlives:
        for agent in started:
            agent.expect("WARNING")
    cluster.client.wait_for_exits(sum(map(len, agents)))
    return started


def kill(agent: Process, coordinator: Process) -> None:
    """Cut the agent's power; the coordinator says that it is gone."""
    coordinator.expect(f"agent {agent.name} gone")
    agent.kill()


def test_a_killed_agent_ends_its_executions_at_once_as_unknown(
    cluster: Cluster, coordinator: Process, target: Echo
) -> None:
    (agent,) = pool_of(cluster, SOURCES[:4])
    client = cluster.client
    client.configure(target.url("/fault/hang"), timeout=TIMEOUT)
    begun = [client.begin() for _ in range(8)]
    wait_for_requests(target, 8)
    killed_at = time.monotonic()
    kill(agent, coordinator)
    answers = [each.result() for each in begun]
    assert max(answer.ended_at for answer in answers) - killed_at < AT_ONCE
    assert [(502, "unknown", "agent_lost", "agent")] * 8 == [answer.failure for answer in answers]
    assert {"agent agent-01 was lost while it had the request: the link was closed"} == {
        answer.record["error"]["detail"] for answer in answers
    }
    assert [2, 2, 2, 2] == [[a.record["source_ip"] for a in answers].count(address) for address in SOURCES[:4]]
    assert 8 == client.get("/api/stats")["executions"]["unknown"]


def test_the_pool_goes_on_without_a_killed_agent(cluster: Cluster, coordinator: Process, target: Echo) -> None:
    agent, _ = pool_of(cluster, SOURCES[:4], SOURCES[4:8])
    client = cluster.client
    client.configure(target.url())
    kill(agent, coordinator)
    assert client.wait_for_exits(4) < AT_ONCE
    assert [*SOURCES[4:8]] * 2 == [client.execute().echo["peer"] for _ in range(8)]
    assert "lost" == client.agents()["agent-01"]["state"]
    assert [] == client.agents()["agent-01"]["addresses"]


def test_an_agent_killed_under_load_fails_no_execution_but_its_own(
    cluster: Cluster, coordinator: Process, target: Echo
) -> None:
    agent, _ = pool_of(cluster, SOURCES[:4], SOURCES[4:8])
    client = cluster.client
    client.configure(target.url(), timeout=TIMEOUT)
    begun = [client.begin(url=target.url(f"/{number}")) for number in range(200)]
    wait_for_requests(target, 40)
    kill(agent, coordinator)
    answers = [each.result() for each in begun]
    for answer in answers:
        if answer.status != 200:
            assert (502, "agent_lost") == (answer.status, answer.record["error"]["kind"])
            assert "agent-01" == answer.record["agent_id"]
    records = invariants.check(client, cluster.state_dir, answers=answers, requests=target.requests, owners=OWNERS)
    assert sorted(answer.record["id"] for answer in answers) == sorted(record["id"] for record in records)


def test_a_restarted_agent_is_the_same_agent(cluster: Cluster, coordinator: Process, target: Echo) -> None:
    client = cluster.client
    client.configure(target.url())
    for _ in range(2):
        (agent,) = pool_of(cluster, SOURCES[:2])
        assert [*SOURCES[:2]] == sorted(client.execute().echo["peer"] for _ in range(2))
        kill(agent, coordinator)
        client.wait_for_agent("agent-01", "lost")
    pool_of(cluster, SOURCES[:2])
    known = client.agents()
    assert ["agent-01"] == list(known)
    assert "connected" == known["agent-01"]["state"]
    assert 4 == known["agent-01"]["completed"]


def test_a_record_and_the_configuration_outlive_a_coordinator_killed_right_after_the_reply(
    cluster: Cluster, coordinator: Process, target: Echo
) -> None:
    pool_of(cluster, SOURCES[:4], outlives=True)
    client = cluster.client
    stored = client.configure(target.url(), headers=[["X-Kept", "yes"]], timeout=12.5)
    replied = [client.execute().record for _ in range(5)]
    replied.append(client.execute().record)
    os.kill(coordinator.pid, signal.SIGKILL)
    coordinator.wait()
    assert coordinator.alarms() == []
    cluster.coordinator(port=cluster.port)
    client = cluster.client
    assert replied == client.history()
    assert replied[-1] == client.get(f"/api/history/{replied[-1]['id']}")
    assert stored == client.get("/api/config/request")
    assert 6 == client.get("/api/stats")["executions"]["total"]


def test_every_reply_under_load_is_in_the_history_of_a_coordinator_that_was_killed(
    cluster: Cluster, coordinator: Process, target: Echo
) -> None:
    pool_of(cluster, SOURCES[:16], outlives=True)
    client = cluster.client
    client.configure(target.url())
    begun = [client.begin(url=target.url(f"/{number}")) for number in range(400)]
    eventually(lambda: sum(each.done() for each in begun) >= 100, "100 replies")
    os.kill(coordinator.pid, signal.SIGKILL)
    coordinator.wait()
    replied = {}
    for each in begun:
        if each.exception() is None:
            replied[each.result().record["id"]] = each.result().record
    assert len(replied) >= 100
    cluster.coordinator(port=cluster.port)
    kept = {record["id"]: record for record in cluster.client.history()}
    assert replied == {identifier: kept.get(identifier) for identifier in replied}
    invariants.check(
        cluster.client, cluster.state_dir, requests=target.requests, owners=dict.fromkeys(SOURCES[:16], "agent-01")
    )


def test_agents_come_back_by_themselves_to_a_restarted_coordinator_and_rotation_goes_on(
    cluster: Cluster, coordinator: Process, target: Echo
) -> None:
    agents = pool_of(cluster, SOURCES[:4], SOURCES[4:8], outlives=True)
    cluster.client.configure(target.url())
    coordinator.kill()
    cluster.coordinator(port=cluster.port)
    client = cluster.client
    for agent in agents:
        agent.wait_for_line("connected to ", times=2)
    client.wait_for_exits(8)
    assert {"agent-01": "connected", "agent-02": "connected"} == {
        agent_id: agent["state"] for agent_id, agent in client.agents().items()
    }
    seen = [client.execute().echo["peer"] for _ in range(24)]
    assert set(SOURCES[:8]) == set(seen[:8])
    assert seen[:8] * 3 == seen


def test_an_execution_in_flight_when_the_coordinator_dies_is_sent_once(
    cluster: Cluster, coordinator: Process, target: Echo
) -> None:
    (agent,) = pool_of(cluster, SOURCES[:1], outlives=True)
    client = cluster.client
    client.configure(target.url())
    begun = client.begin(url=target.url("/fault/hang"), timeout=TIMEOUT)
    wait_for_requests(target, 1)
    coordinator.kill()
    assert isinstance(begun.exception(AT_ONCE), OSError)
    cluster.coordinator(port=cluster.port)
    agent.wait_for_line("connected to ", times=2)
    cluster.client.wait_for_exits(1)
    assert 200 == cluster.client.execute().status
    assert ["/fault/hang", "/"] == [request.target for request in target.requests]


def test_an_agent_that_starts_before_its_coordinator_waits_for_it(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator().end()
    cluster.client.close()
    agent = cluster.begin_agent("agent-01", SOURCES[:1], *RECONNECT)
    agent.expect("WARNING")
    agent.wait_for_line("cannot register with")
    cluster.coordinator(port=cluster.port)
    agent.wait_for_line("agent agent-01 connected to ")
    cluster.client.wait_for_exits(1)
    cluster.client.configure(target.url())
    assert SOURCES[0] == cluster.client.execute().echo["peer"]
