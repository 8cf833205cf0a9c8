"""Links between coordinator and agents: cut, half-open, refused and removed. Each machine is a network of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration.conftest import SOURCES, TARGET
from tests.support import altered, netns
from tests.support.cluster import Cluster, serving, wait_for_requests
from tests.support.processes import Process, eventually
from tests.support.targets import Echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


TIMEOUT = 60.0
AT_ONCE = 15.0
FAST_PINGS = ("--ping-interval", "1", "--ping-timeout", "1")

COORDINATOR = "2001:db8:c::1"
GATEWAY = "2001:db8:c::2"
WEB = "2001:db8:e::1"
EXITS = tuple(f"2001:db8:e::1:{number:x}" for number in range(1, 5))


class Site(NamedTuple):
    """A gateway with two links, to the coordinator by its ``up0`` and to the target by its ``wan0``."""

    gateway: netns.Host
    web: str


@pytest.fixture
def site() -> Iterator[Site]:
    with netns.Host() as gateway:
        netns.connect(
            netns.THIS,
            gateway,
            interfaces=("control0", "up0"),
            a_addresses=[f"{COORDINATOR}/64"],
            b_addresses=[f"{GATEWAY}/64"],
            keep_addresses=True,
        )
        netns.connect(
            netns.THIS,
            gateway,
            interfaces=("web0", "wan0"),
            a_addresses=[f"{WEB}/64"],
            b_addresses=[f"{address}/64" for address in EXITS],
            keep_addresses=True,
        )
        yield Site(gateway, "web0")


@pytest.fixture
def web(site: Site) -> Iterator[Echo]:
    with serving(Echo(WEB)) as made:
        yield made


def agent_beyond(site: Site, cluster: Cluster, *options: str) -> Process:
    """Start an agent on the gateway."""
    agent = cluster.agent("agent-01", EXITS, "--reconnect-max", "1", *options, machine=site.gateway)
    cluster.client.wait_for_exits(len(EXITS))
    return agent


def test_executions_leave_from_the_gateway_and_not_from_the_coordinators_machine(
    site: Site, cluster: Cluster, web: Echo
) -> None:
    cluster.coordinator(host=COORDINATOR)
    agent_beyond(site, cluster)
    cluster.client.configure(web.url())
    assert [*EXITS, *EXITS] == [cluster.client.execute().echo["peer"] for _ in range(8)]


FAST_AGENT = altered.command("dispatcher.agent.link:PING_SECONDS=2")
"""An agent whose own pings are 2 s apart, not 10."""


def test_a_link_that_goes_down_is_noticed_by_both_ends_and_comes_back_with_the_network(
    site: Site, cluster: Cluster, web: Echo
) -> None:
    coordinator = cluster.coordinator(*FAST_PINGS, host=COORDINATOR)
    arguments = ["--coordinator-url", cluster.url, "--agent-id", "agent-01", "--reconnect-max", "1"]
    arguments += ["--allow-target", "2001:db8::/32", "--token-file", str(cluster.state_dir / "agent.token")]
    named = [word for address in EXITS for word in ("--address", address)]
    agent = Process("agent-01", [*FAST_AGENT, "agent", *arguments, *named], machine=site.gateway)
    cluster.processes.append(agent)
    client = cluster.client
    client.wait_for_exits(len(EXITS))
    client.configure(web.url("/fault/hang"), timeout=TIMEOUT)
    begun = [client.begin() for _ in range(4)]
    wait_for_requests(web, 4)
    coordinator.expect("agent agent-01 gone")
    agent.expect("WARNING")
    cut_at = time.monotonic()
    site.gateway.link_down("up0")
    answers = [each.result(TIMEOUT) for each in begun]
    assert max(answer.ended_at for answer in answers) - cut_at < 10
    assert [(502, "unknown", "agent_lost", "agent")] * 4 == [answer.failure for answer in answers]
    expected = "agent agent-01 was lost while it had the request: nothing came for 1 s, not even an answer to a ping"
    assert {expected} == {answer.record["error"]["detail"] for answer in answers}
    assert 0 == client.available()
    assert (503, "failed", "no_exit", "coordinator") == client.execute().failure
    agent.wait_for_line("nothing came for 2 s, not even an answer to a ping")
    assert time.monotonic() - cut_at < 14
    site.gateway.link_up("up0")
    agent.wait_for_line("connected to ", times=2)
    client.wait_for_exits(len(EXITS))
    assert set(EXITS) == {client.execute(url=web.url()).echo["peer"] for _ in EXITS}
    assert ["/fault/hang"] * 4 + ["/"] * 4 == [request.target for request in web.requests]


def test_a_short_break_of_the_network_costs_nothing(site: Site, cluster: Cluster, web: Echo) -> None:
    cluster.coordinator(host=COORDINATOR)
    agent_beyond(site, cluster)
    client = cluster.client
    client.configure(web.url(), timeout=TIMEOUT)
    site.gateway.link_down("up0")
    begun = [client.begin() for _ in range(4)]
    eventually(lambda: client.agents()["agent-01"]["in_flight"] == 4, "4 in flight")
    site.gateway.link_up("up0")
    assert set(EXITS) == {each.result().echo["peer"] for each in begun}


def test_the_targets_link_that_goes_down_is_no_fault_of_the_agents_link(
    site: Site, cluster: Cluster, web: Echo
) -> None:
    cluster.coordinator(*FAST_PINGS, host=COORDINATOR)
    agent_beyond(site, cluster)
    client = cluster.client
    client.configure(web.url(), timeout=2)
    assert 200 == client.execute().status
    site.gateway.link_down("wan0")
    record = client.execute().record
    assert record["error"]["kind"] in ("connect", "timeout", "source_address", "no_exit"), record
    assert "connected" == client.agents()["agent-01"]["state"]


LARGE = 20_000_000
SLOW = ("rate", "50mbit", "burst", "64kb", "latency", "50ms")
"""A line on which the large body takes 3.2 s, and what may lie before a small one (a window of 1 MiB) 0.17 s."""


def test_on_a_slow_line_small_results_overtake_a_large_one(site: Site, cluster: Cluster, web: Echo) -> None:
    cluster.coordinator(host=COORDINATOR)
    agent_beyond(site, cluster)
    client = cluster.client
    client.configure(web.url(), timeout=TIMEOUT)
    site.gateway.run(["tc", "qdisc", "add", "dev", "up0", "root", "tbf", *SLOW])
    large = client.begin(url=web.url(f"/bytes/{LARGE}"), max_body_bytes=LARGE)
    wait_for_requests(web, 1)
    small = [begun.result() for _ in range(4) for begun in [client.begin() for _ in range(32)]]
    assert {200} == {answer.status for answer in small}
    assert LARGE == large.result().record["response"]["body"]["size"]
    overtaking = sum(answer.ended_at < large.result().ended_at for answer in small)
    assert overtaking >= 96


# Agents that are not wanted


def test_a_removed_agent_leaves_at_once_finishes_what_it_has_and_ends_with_4(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator()
    agent = cluster.agent("agent-01", SOURCES[:2])
    cluster.agent("agent-02", SOURCES[2:4])
    client = cluster.client
    client.wait_for_exits(4)
    client.configure(target.url("/fault/drip"), timeout=3)
    begun = client.begin()
    wait_for_requests(target, 1)
    assert SOURCES[0] == target.requests[0].peer
    agent.expect("the coordinator refused this agent: this agent was removed from the coordinator")
    assert 204 == client.call("DELETE", "/api/agents/agent-01").status
    assert [*SOURCES[2:4]] == list(client.pool())
    assert ["agent-02"] == list(client.agents())
    assert {*SOURCES[2:4]} == {client.execute(url=target.url()).echo["peer"] for _ in range(4)}
    assert agent.is_running
    assert (504, "failed", "timeout", "target") == begun.result().failure
    assert 4 == agent.wait()
    assert 404 == client.call("DELETE", "/api/agents/agent-01").status


def test_a_removed_agent_that_has_nothing_to_finish_ends_at_once_with_4(cluster: Cluster) -> None:
    cluster.coordinator()
    agent = cluster.agent("agent-01", SOURCES[:2])
    agent.expect("the coordinator refused this agent: this agent was removed from the coordinator")
    assert 204 == cluster.client.call("DELETE", "/api/agents/agent-01").status
    assert 4 == agent.wait(AT_ONCE)
    assert {} == cluster.client.agents()
    cluster.agent("agent-01", SOURCES[:2])
    cluster.client.wait_for_exits(2)


def test_a_second_agent_with_the_same_id_ends_with_4_and_the_first_goes_on(
    cluster: Cluster, target: Echo, tmp_path: Path
) -> None:
    cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:2])
    client = cluster.client
    client.wait_for_exits(2)
    cluster.agent_state_dir = tmp_path / "other"
    second = cluster.begin_agent("agent-01", SOURCES[2:4])
    said = second.wait_for_line("agent id agent-01 is in use by a connected agent")
    second.expect(said)
    assert 4 == second.wait(AT_ONCE)
    client.configure(target.url())
    assert [*SOURCES[:2]] == [client.execute().echo["peer"] for _ in range(2)]


NEWER_AGENT = altered.command("code=from dispatcher.wire import version; version.WIRE = (7, 3)")


def test_an_agent_of_another_wire_version_ends_with_4_and_both_versions_are_named(cluster: Cluster) -> None:
    cluster.coordinator()
    arguments = ["agent", "--coordinator-url", cluster.url, "--agent-id", "agent-07"]
    newer = Process("agent-07", [*NEWER_AGENT, *arguments])
    said = newer.wait_for_line("wire version")
    assert 4 == newer.wait(AT_ONCE)
    assert "the agent speaks wire version 7.3; this coordinator speaks 1.5 and accepts version 1" in said
    assert 0 == cluster.client.available()


@pytest.mark.usefixtures("private_network")
def test_an_agent_without_an_id_is_given_one(cluster: Cluster) -> None:
    cluster.coordinator()
    agent = cluster.start("agent", "agent", "--coordinator-url", cluster.url, "--address", SOURCES[0])
    said = agent.wait_for_line("connected to ")
    cluster.client.wait_for_exits(1)
    assert [said.split()[1]] == list(cluster.client.agents())


# Agents without addresses


def test_an_agent_without_addresses_says_so_stays_connected_and_takes_up_what_comes(
    site: Site, cluster: Cluster, web: Echo
) -> None:
    cluster.coordinator(host=COORDINATOR)
    bare = "2a0b:200::1"
    agent = cluster.agent("agent-01", (), machine=site.gateway)
    agent.expect("no IPv6 address of this machine may be used; addresses are taken up as they come")
    client = cluster.client
    client.wait_for_agent("agent-01", "connected")
    client.configure(web.url())
    answer = client.execute()
    assert (503, "failed", "no_exit", "coordinator") == answer.failure
    expected = "no exit is available: no connected agent has a usable address that is not set aside"
    assert expected == answer.record["error"]["detail"]
    assert answer.headers["Retry-After"]
    assert answer.record["source_ip"] is None
    site.gateway.add_addresses("wan0", [f"{bare}/128"])
    netns.THIS.add_route(f"{bare}/128", dev=site.web)
    try:
        client.wait_for_exits(1)
        assert bare == client.execute().echo["peer"]
        site.gateway.remove_address("wan0", f"{bare}/128")
        client.wait_for_exits(0)
    finally:
        netns.THIS.run(["ip", "-6", "route", "del", f"{bare}/128", "dev", site.web])
    assert "connected" == client.agents()["agent-01"]["state"]


def test_no_agent_at_all_is_no_exit_and_is_recorded(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator()
    client = cluster.client
    assert 409 == client.execute().status
    client.configure(target.url())
    answer = client.execute()
    assert (503, "failed", "no_exit", "coordinator") == answer.failure
    assert [answer.record] == client.history()
    assert TARGET in answer.record["request"]["url"]
