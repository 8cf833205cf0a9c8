"""Whose agent id is whose: restarts, strangers, copies, and executions that outlive a silent link. Real processes."""

from __future__ import annotations

import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import SOURCES
from tests.integration.test_lifecycle import Holding
from tests.integration.test_links import COORDINATOR, EXITS, FAST_AGENT, FAST_PINGS, WEB, Site, site
from tests.support.cluster import Cluster, serving, wait_for_requests
from tests.support.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.targets import Echo

__all__ = ["site"]

AT_ONCE = 15.0
TIMEOUT = 60.0
RECONNECT = ("--reconnect-max", "1")


@pytest.fixture
def held(site: Site) -> Iterator[Holding]:
    """A target beyond the gateway that answers when it is told to."""
    with serving(Holding(WEB)) as made:
        yield made


def refused(agent: Process, why: str) -> None:
    """Wait until an agent ends because the coordinator or this machine does not take it."""
    agent.expect(agent.wait_for_line(why))
    assert 4 == agent.wait(AT_ONCE)


def elsewhere(cluster: Cluster, folder: Path) -> Path:
    """Let the next agents keep their state in `folder`; return where the others do."""
    before, cluster.agent_state_dir = cluster.agent_state_dir, folder
    return before


def test_a_stranger_does_not_get_the_id_of_a_lost_agent_not_even_from_a_restarted_coordinator(
    cluster: Cluster, tmp_path: Path
) -> None:
    coordinator = cluster.coordinator()
    coordinator.expect("agent agent-01 gone")
    cluster.agent("agent-01", SOURCES[:1]).kill()
    cluster.client.wait_for_agent("agent-01", "lost")
    elsewhere(cluster, tmp_path / "stranger")
    refused(cluster.begin_agent("agent-01", SOURCES[1:2]), "agent id agent-01 belongs to another agent")
    coordinator.kill()
    cluster.coordinator(port=cluster.port)
    refused(cluster.begin_agent("agent-01", SOURCES[1:2]), "agent id agent-01 belongs to another agent")
    assert 204 == cluster.client.call("DELETE", "/api/agents/agent-01").status
    cluster.agent("agent-01", SOURCES[1:2])
    cluster.client.wait_for_exits(1)


def test_a_lost_agent_is_gone_for_good_after_a_time_that_can_be_set(cluster: Cluster, tmp_path: Path) -> None:
    cluster.coordinator("--forget-agents-after", "1").expect("agent agent-01 gone")
    cluster.agent("agent-01", SOURCES[:1]).kill()
    cluster.client.wait_for_agent("agent-01", "lost")
    kept = elsewhere(cluster, tmp_path / "stranger")
    deadline = time.monotonic() + TIMEOUT
    while True:
        stranger = cluster.begin_agent("agent-01", SOURCES[1:2])
        stranger.expect("agent id agent-01 belongs to another agent")
        if "connected to" in stranger.wait_for_line("agent-01 "):
            break
        assert 4 == stranger.wait(AT_ONCE)
        assert time.monotonic() < deadline
    elsewhere(cluster, kept)
    refused(cluster.begin_agent("agent-01", SOURCES[:1]), "agent id agent-01 is in use by a connected agent")


def test_a_copy_of_a_living_agent_is_told_and_ends_and_the_first_goes_on(
    cluster: Cluster, target: Echo, tmp_path: Path
) -> None:
    cluster.coordinator()
    first = cluster.agent("agent-01", SOURCES[:1])
    shutil.copytree(elsewhere(cluster, tmp_path / "copy"), tmp_path / "copy")
    refused(cluster.begin_agent("agent-01", SOURCES[:1]), "agent id agent-01 is in use by another copy of this agent")
    cluster.client.wait_for_exits(1)
    cluster.client.configure(target.url())
    assert 200 == cluster.client.execute().status
    assert first.is_running


def test_a_copy_takes_over_from_an_agent_that_hangs_and_that_one_ends_when_it_is_back(
    cluster: Cluster, target: Echo, tmp_path: Path
) -> None:
    coordinator = cluster.coordinator("--takeover-timeout", "0.5")
    coordinator.expect("agent agent-01 gone: it did not answer when an agent of this id came again")
    first = cluster.agent("agent-01", SOURCES[:1])
    first.expect("WARNING", "in use by another copy of this agent")
    shutil.copytree(elsewhere(cluster, tmp_path / "copy"), tmp_path / "copy")
    first.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        cluster.agent("agent-01", SOURCES[1:2])
        assert time.monotonic() - begun < AT_ONCE
        cluster.client.wait_for_exits(1)
    finally:
        first.signal(signal.SIGCONT)
    assert 4 == first.wait(AT_ONCE)
    cluster.client.configure(target.url())
    assert SOURCES[1] == cluster.client.execute().echo["peer"]


def test_two_agents_of_one_id_do_not_start_from_one_state_directory(cluster: Cluster) -> None:
    cluster.coordinator()
    first = cluster.agent("agent-01", SOURCES[:1])
    why = f"agent agent-01 runs on this machine already (process {first.pid}), from {cluster.agent_state_dir}"
    refused(cluster.begin_agent("agent-01", SOURCES[:1]), why)


def test_agents_without_an_id_get_their_old_ones_back(cluster: Cluster) -> None:
    cluster.coordinator().expect("gone")
    arguments = ("--coordinator-url", cluster.url, "--state-dir", str(cluster.agent_state_dir))
    rounds = []
    for _ in range(2):
        agents = [cluster.start("agent", "agent", *arguments, "--address", address) for address in SOURCES[:2]]
        rounds.append({agent.wait_for_line("connected to ").split()[1] for agent in agents})
        for agent in agents:
            agent.kill()
    assert rounds[0] == rounds[1] == set(cluster.client.agents())
    assert 2 == len(rounds[0])


def test_an_agent_whose_state_cannot_be_written_says_so_and_works(cluster: Cluster, tmp_path: Path) -> None:
    coordinator = cluster.coordinator()
    coordinator.expect("agent agent-01 gone")
    (tmp_path / "file").touch()
    elsewhere(cluster, tmp_path / "file")
    for _ in range(2):
        agent = cluster.agent("agent-01", SOURCES[:1])
        agent.expect("WARNING dispatcher.agent.identity: cannot keep this agent's id and key")
        cluster.client.wait_for_exits(1)
        agent.kill()
        cluster.client.wait_for_agent("agent-01", "lost")
        assert 1 == sum("cannot keep" in line for line in agent.lines)
        assert [] == agent.alarms()


# Half-open links


def test_an_agent_that_is_started_again_while_its_old_link_is_half_open_is_back_at_once(
    site: Site, cluster: Cluster
) -> None:
    coordinator = cluster.coordinator(host=COORDINATOR)
    coordinator.expect("agent agent-01 gone")
    agent = cluster.agent("agent-01", EXITS[:1], machine=site.gateway)
    cluster.client.wait_for_exits(1)
    site.gateway.link_down("up0")
    agent.kill()
    site.gateway.link_up("up0")
    begun = time.monotonic()
    cluster.agent("agent-01", EXITS[1:2], *RECONNECT, machine=site.gateway)
    cluster.client.wait_for_exits(1)
    assert [EXITS[1]] == list(cluster.client.pool())
    assert time.monotonic() - begun < AT_ONCE


def fast_agent(site: Site, cluster: Cluster) -> Process:
    """Start an agent on the gateway whose pings are 2 s apart, not 10."""
    arguments = ["--coordinator-url", cluster.url, "--agent-id", "agent-01", *RECONNECT, "--address", EXITS[0]]
    arguments += ["--token-file", str(cluster.state_dir / "agent.token")]
    arguments += ["--allow-target", "2001:db8::/32"]
    state = ["--state-dir", str(cluster.agent_state_dir)]
    command = [*FAST_AGENT, "agent", *arguments, *state]
    agent = Process("agent-01", command, machine=site.gateway)
    cluster.processes.append(agent)
    agent.expect("WARNING")
    cluster.client.wait_for_exits(1)
    return agent


def test_results_that_were_finished_while_the_link_was_down_are_delivered_after_it_is_back(
    site: Site, cluster: Cluster, held: Holding
) -> None:
    coordinator = cluster.coordinator(*FAST_PINGS, "--resume-timeout", "60", host=COORDINATOR)
    coordinator.expect("agent agent-01 gone: nothing came for 1 s")
    agent = fast_agent(site, cluster)
    client = cluster.client
    client.configure(held.url(), timeout=TIMEOUT)
    begun = [client.begin() for _ in range(4)]
    wait_for_requests(held, 4)
    site.gateway.link_down("up0")
    held.let_go()
    client.wait_for_agent("agent-01", "lost")
    assert (0, 4) == (client.available(), client.agents()["agent-01"]["in_flight"])
    assert not any(each.done() for each in begun)
    site.gateway.link_up("up0")
    assert [200] * 4 == [each.result(TIMEOUT).status for each in begun]
    agent.wait_for_line("connected to ", times=2)
    client.wait_for_exits(1)
    assert 200 == client.execute().status
    assert 5 == len(held.requests) == client.get("/api/stats")["executions"]["completed"]


def test_an_agent_that_does_not_come_back_in_time_leaves_its_executions_unknown_and_its_late_results_are_dropped(
    site: Site, cluster: Cluster, held: Holding
) -> None:
    coordinator = cluster.coordinator(*FAST_PINGS, "--resume-timeout", "1", host=COORDINATOR)
    coordinator.expect("agent agent-01 gone: nothing came for 1 s")
    fast_agent(site, cluster)
    client = cluster.client
    client.configure(held.url(), timeout=TIMEOUT)
    begun = client.begin()
    wait_for_requests(held, 1)
    site.gateway.link_down("up0")
    held.let_go()
    assert (502, "unknown", "agent_lost", "agent") == begun.result(AT_ONCE).failure
    site.gateway.link_up("up0")
    client.wait_for_exits(1)
    coordinator.wait_for_line(f"answered execution {begun.result().record['id']!r}, which has ended before")
    assert {"unknown": 1, "completed": 0} == {
        name: client.get("/api/stats")["executions"][name] for name in ("unknown", "completed")
    }


# Restarts


def test_a_rolling_restart_of_agents_under_load_loses_no_execution(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator()
    shares = {"agent-01": SOURCES[:2], "agent-02": SOURCES[2:4]}
    agents = {agent_id: cluster.agent(agent_id, share) for agent_id, share in shares.items()}
    client = cluster.client
    client.wait_for_exits(4)
    client.configure(target.url(), timeout=TIMEOUT)
    begun = []
    for agent_id in (*shares, *shares):
        before = len(target.requests)
        begun += [client.begin() for _ in range(100)]
        wait_for_requests(target, before + 20)
        agents[agent_id].signal(signal.SIGTERM)
        assert 0 == agents[agent_id].wait(TIMEOUT)
        agents[agent_id] = cluster.agent(agent_id, shares[agent_id])
        client.wait_for_exits(4)
    assert {(200, "completed")} == {(each.result().status, each.result().record["outcome"]) for each in begun}
    assert 400 == len(target.requests) == client.get("/api/stats")["executions"]["completed"]
