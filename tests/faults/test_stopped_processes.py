"""Processes that are stopped and go on later, as by SIGSTOP or a machine that swaps: who notices, and what is kept."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import SOURCES
from tests.support import altered, invariants
from tests.support.cluster import Cluster, running_cluster, wait_for_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.client import Answer
    from tests.support.processes import Process
    from tests.support.targets import Echo

TIMEOUT = 60.0
AT_ONCE = 15.0
FAST_PINGS = ("--ping-interval", "1", "--ping-timeout", "1", "--resume-timeout", "1")
EXITS = SOURCES[:4]


@pytest.fixture
def pinging(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose agents ping every second, and not every ten."""
    with running_cluster(tmp_path, altered.command("dispatcher.agent.link:PING_SECONDS=1")) as made:
        yield made


@contextlib.contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Stop a process for the length of a block."""
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


def begin(cluster: Cluster, target: Echo, *options: str) -> tuple[Process, Process]:
    """Start a coordinator and an agent with `EXITS`, and configure a request."""
    coordinator = cluster.coordinator(*options)
    agent = cluster.agent("agent-01", EXITS, "--reconnect-max", "0.5", "--drain-timeout", "0.2")
    cluster.client.wait_for_exits(len(EXITS))
    cluster.client.configure(target.url("/"), timeout=TIMEOUT)
    return coordinator, agent


def check(cluster: Cluster, answers: list[Answer], target: Echo) -> None:
    owners = dict.fromkeys(EXITS, "agent-01")
    invariants.check(cluster.client, cluster.state_dir, answers=answers, requests=target.requests, owners=owners)


def test_an_agent_that_is_stopped_is_noticed_by_its_silence(cluster: Cluster, target: Echo) -> None:
    coordinator, agent = begin(cluster, target, *FAST_PINGS)
    client = cluster.client
    begun = client.begin(url=target.url("/fault/hang?1"))
    wait_for_requests(target, 1)
    coordinator.expect("agent agent-01 gone")
    agent.expect("WARNING")
    with stopped(agent):
        answer = begun.result(AT_ONCE)
        assert (502, "unknown", "agent_lost", "agent") == answer.failure
        assert 0 == client.available()
    agent.wait_for_line("connected to ", times=2)
    client.wait_for_exits(len(EXITS))
    answers = [answer, *(client.execute(url=target.url(f"/{number}")) for number in range(8))]
    assert [200] * 8 == [each.status for each in answers[1:]]
    check(cluster, answers, target)


def test_an_agent_that_is_stopped_for_less_than_its_ping_costs_nothing(cluster: Cluster, target: Echo) -> None:
    _, agent = begin(cluster, target)
    client = cluster.client
    with stopped(agent):
        begun = [client.begin(url=target.url(f"/{number}")) for number in range(16)]
    answers = [each.result() for each in begun]
    assert [200] * 16 == [answer.status for answer in answers]
    check(cluster, answers, target)
    invariants.check_rotation(client.history(), EXITS)


def test_a_coordinator_that_is_stopped_is_noticed_by_its_agents_which_come_back_with_what_they_have(
    pinging: Cluster, target: Echo
) -> None:
    coordinator, agent = begin(pinging, target)
    client = pinging.client
    coordinator.expect("agent agent-01 gone")
    agent.expect("WARNING")
    ending = client.begin(url=target.url("/fault/hang?1"), timeout=4)
    wait_for_requests(target, 1)
    with stopped(coordinator):
        waiting = [client.begin(url=target.url(f"/{number}")) for number in range(4)]
        agent.wait_for_line("nothing came for 1 s, not even an answer to a ping", seconds=AT_ONCE)
    # The target is slow, and that is what is told of it; that the link was lost meanwhile is not.
    assert (504, "failed", "timeout", "target") == ending.result(AT_ONCE).failure
    agent.wait_for_line("connected to ", times=2)
    client.wait_for_exits(len(EXITS))
    answers = [ending.result(), *(each.result() for each in waiting)]
    answers += [client.execute(url=target.url(f"/after/{number}")) for number in range(8)]
    assert [200] * 8 == [answer.status for answer in answers[-8:]]
    check(pinging, answers, target)


def test_a_coordinator_that_is_stopped_for_less_than_a_ping_costs_nothing(cluster: Cluster, target: Echo) -> None:
    coordinator, _ = begin(cluster, target)
    client = cluster.client
    with stopped(coordinator):
        begun = [client.begin(url=target.url(f"/{number}")) for number in range(16)]
    answers = [each.result() for each in begun]
    assert [200] * 16 == [answer.status for answer in answers]
    check(cluster, answers, target)


def test_a_monitor_that_is_stopped_holds_up_nobody_costs_no_memory_and_follows_again(
    cluster: Cluster, target: Echo
) -> None:
    coordinator, _ = begin(cluster, target)
    client = cluster.client
    monitor = cluster.start("monitor", "monitor", "--json", "--coordinator-url", cluster.url)
    monitor.wait_for_line('"type":"snapshot"')
    answers = [client.execute(url=target.url(f"/{number}")) for number in range(50)]
    before = resident_bytes(coordinator)
    with stopped(monitor):
        begun = [client.begin(url=target.url(f"/many/{number}")) for number in range(400)]
        answers += [each.result() for each in begun]
        assert [200] * 450 == [answer.status for answer in answers]
        assert resident_bytes(coordinator) - before < 32 * 1024 * 1024
    monitor.wait_for_line(client.history()[-1]["id"])
    assert 0 == monitor.end()
    check(cluster, answers, target)


def resident_bytes(process: Process) -> int:
    """How much memory a process has now."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096
