"""Links that are reset, cut in the middle of a frame, half-open, stalled or slow; all of it by a proxy in between."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration.conftest import SOURCES
from tests.support import altered, invariants, netns
from tests.support.cluster import Cluster, running_cluster, wait_for_requests
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from tests.support.client import Answer, Client
    from tests.support.processes import Process
    from tests.support.targets import Echo

FAST_PINGS = ("--ping-interval", "1", "--ping-timeout", "1", "--resume-timeout", "1")
NOTICED_SECONDS = 10.0
"""Within which a silent link is noticed: 2 s, and what a busy machine adds."""

TIMEOUT = 60.0
"""Of executions that hang: far longer than the loss of their link may take to be noticed."""

IN_A_SNAPSHOT = 100
"""Executions that a monitor is shown when it comes, or comes back."""

EXITS = SOURCES[:4]
OWNERS = dict.fromkeys(EXITS, "agent-01")


class Fleet(NamedTuple):
    """A coordinator, and an agent with `EXITS` behind a proxy; both ends ping each other every second."""

    cluster: Cluster
    proxy: FaultProxy
    agent: Process
    target: Echo

    @property
    def client(self) -> Client:
        return self.cluster.client

    def begin(self, *paths: str) -> list[Future[Answer]]:
        return [self.client.begin(url=self.target.url(path)) for path in paths]

    def wait_for_return(self) -> None:
        """Wait until the agent has come back, and every exit has been used once more."""
        self.agent.wait_for_line("connected to ", times=2)
        self.client.wait_for_exits(len(EXITS))
        answers = [each.result() for each in self.begin(*(f"/back/{number}" for number in range(len(EXITS))))]
        assert set(EXITS) == {answer.echo["peer"] for answer in answers}

    def check(self, answers: list[Answer]) -> None:
        invariants.check(
            self.client, self.cluster.state_dir, answers=answers, requests=self.target.requests, owners=OWNERS
        )


@pytest.fixture
def fleet(tmp_path: Path, target: Echo) -> Iterator[Fleet]:
    with running_cluster(tmp_path, altered.command("dispatcher.agent.link:PING_SECONDS=1")) as cluster:
        coordinator = cluster.coordinator(*FAST_PINGS)
        with FaultProxy("127.0.0.1", cluster.port) as proxy:
            # What hangs goes on at the agent when its link is lost; its end need not wait for that.
            options = ("--reconnect-max", "0.3", "--drain-timeout", "0.2")
            agent = cluster.agent("agent-01", EXITS, *options, url=proxy.url)
            cluster.client.wait_for_exits(len(EXITS))
            cluster.client.configure(target.url("/"), timeout=TIMEOUT)
            coordinator.expect("agent agent-01 gone")
            agent.expect("WARNING")
            yield Fleet(cluster, proxy, agent, target)
            for process in (agent, coordinator):
                assert 0 == process.end()


def lost(answers: list[Answer]) -> set[str]:
    """Assert that these were lost with their agent, and return what was said of it."""
    assert [(502, "unknown", "agent_lost", "agent")] * len(answers) == [answer.failure for answer in answers]
    return {answer.record["error"]["detail"].rpartition(": ")[2] for answer in answers}


def test_a_link_that_is_reset_ends_what_it_carried_at_once_and_the_agent_comes_back(fleet: Fleet) -> None:
    begun = fleet.begin(*(f"/fault/hang?{number}" for number in range(8)))
    wait_for_requests(fleet.target, 8)
    reset_at = time.monotonic()
    fleet.proxy.reset()
    answers = [each.result() for each in begun]
    assert {"the link was closed"} == lost(answers)
    assert max(answer.ended_at for answer in answers) - reset_at < NOTICED_SECONDS
    fleet.wait_for_return()
    fleet.check(answers)


def test_a_half_open_link_is_noticed_by_both_ends_and_ends_what_it_carried(fleet: Fleet) -> None:
    begun = fleet.begin(*(f"/fault/hang?{number}" for number in range(4)))
    wait_for_requests(fleet.target, 4)
    cut_at = time.monotonic()
    fleet.proxy.commit(Fault(delivers=False))
    answers = [each.result() for each in begun]
    assert {"nothing came for 1 s, not even an answer to a ping"} == lost(answers)
    assert max(answer.ended_at for answer in answers) - cut_at < NOTICED_SECONDS
    fleet.agent.wait_for_line("nothing came for 1 s, not even an answer to a ping", seconds=NOTICED_SECONDS)
    assert (503, "failed", "no_exit", "coordinator") == fleet.client.execute(url=fleet.target.url("/none")).failure
    fleet.proxy.heal()
    fleet.wait_for_return()
    assert 4 + len(EXITS) == len(fleet.target.requests)


@pytest.mark.parametrize("after", [1, 600_000])
def test_a_link_that_is_cut_in_the_middle_of_a_frame_gives_no_half_of_an_answer(fleet: Fleet, after: int) -> None:
    fleet.proxy.commit(Fault(cut_after=after))
    (begun,) = fleet.begin("/bytes/1000000?cut")
    assert {"the link was closed"} == lost([begun.result()])
    assert begun.result().record["response"] is None
    fleet.proxy.heal()
    fleet.wait_for_return()
    (whole,) = fleet.begin("/bytes/1000000?whole")
    assert 1_000_000 == whole.result().record["response"]["body"]["size"]
    fleet.check([begun.result(), whole.result()])


def test_an_agent_that_is_cut_off_while_it_registers_or_says_hello_tries_again(fleet: Fleet) -> None:
    for number, after in enumerate((1, 700)):
        fleet.proxy.commit(Fault(cut_after=after))
        fleet.proxy.reset()
        fleet.agent.wait_for_line("connecting again in", times=number + 1)
    fleet.proxy.commit(Fault(passes=False))
    fleet.proxy.reset()
    fleet.agent.wait_for_line("connecting again in", times=4)
    fleet.proxy.heal()
    fleet.wait_for_return()


def test_a_link_that_stalls_for_less_than_its_ping_costs_nothing(fleet: Fleet) -> None:
    fleet.proxy.commit(Fault(reads=False))
    begun = fleet.begin(*(f"/{number}" for number in range(16)))
    fleet.proxy.heal()
    answers = [each.result() for each in begun]
    assert [200] * 16 == [answer.status for answer in answers]
    fleet.check(answers)
    invariants.check_rotation(fleet.client.history(), EXITS)


def test_an_agent_that_does_not_read_is_lost_and_what_waited_for_it_never_left(fleet: Fleet) -> None:
    fleet.proxy.commit(Fault(reads=False))
    body = "x" * 1_000_000
    begun = [fleet.client.begin(url=fleet.target.url(f"/{n}"), method="POST", body=body) for n in range(16)]
    answers = [each.result() for each in begun]
    assert {(502, "agent_lost")} == {(answer.status, answer.record["error"]["kind"]) for answer in answers}
    assert max(answer.seconds for answer in answers) < NOTICED_SECONDS
    never_left = [answer for answer in answers if answer.record["outcome"] == "failed"]
    assert len(never_left) > 8  # what had not left as a whole is known to have failed
    fleet.proxy.heal()
    fleet.wait_for_return()
    assert len(EXITS) == len(fleet.target.requests)


def test_a_link_that_is_slow_changes_nothing_but_the_time(fleet: Fleet) -> None:
    answers = []
    for name, fault in {"b": Fault(piece=1), "d": Fault(delay=0.03), "p": Fault(piece=7, delay=0.0005)}.items():
        fleet.proxy.commit(fault)
        answers += [each.result() for each in fleet.begin(*(f"/{name}{number}" for number in range(8)))]
    assert [200] * 24 == [answer.status for answer in answers]
    fleet.check(answers)
    invariants.check_rotation(fleet.client.history(), EXITS)


def monitor(fleet: Fleet, proxy: FaultProxy) -> Process:
    """Start a monitor behind a proxy, and wait for its snapshot."""
    process = fleet.cluster.start("monitor", "monitor", "--json", "--coordinator-url", proxy.url)
    process.wait_for_line('"type":"snapshot"')
    return process


def heard(process: Process) -> set[str]:
    """The ids of the executions that a monitor has told."""
    return {each["id"] for line in list(process.out) for each in json.loads(line).get("executions", ())}


def test_a_monitor_that_is_cut_off_says_so_and_follows_again_with_a_snapshot(fleet: Fleet) -> None:
    with FaultProxy("127.0.0.1", fleet.cluster.port) as proxy:
        process = monitor(fleet, proxy)
        process.expect("trying again")
        proxy.reset()
        process.wait_for_line("trying again")
        missed = fleet.begin("/missed")[0].result().record
        process.wait_for_line('"type":"snapshot"', times=2)
        assert missed["id"] in heard(process)
        assert 0 == process.end()


@pytest.fixture
def small_buffers(private_network: None) -> Iterator[None]:
    """Let the kernel keep less than 64 KiB for each side of a connection, so that one that is not read is soon full."""
    names = ("ipv4/tcp_rmem", "ipv4/tcp_wmem")
    usual = {name: Path(f"/proc/sys/net/{name}").read_text() for name in names}
    for name in names:
        netns.THIS.run(["tee", f"/proc/sys/net/{name}"], stdin="4096 16384 65536")
    yield
    for name, values in usual.items():
        netns.THIS.run(["tee", f"/proc/sys/net/{name}"], stdin=values)


def test_a_monitor_that_does_not_read_holds_up_nobody_and_then_gets_what_it_missed(
    small_buffers: None, fleet: Fleet
) -> None:
    with FaultProxy("127.0.0.1", fleet.cluster.port) as proxy:
        process = monitor(fleet, proxy)
        proxy.commit(Fault(reads=False))
        long = "x" * 4000  # a monitor is told the URL of each execution
        answers = [each.result() for each in fleet.begin(*(f"/{number}/{long}" for number in range(300)))]
        assert [200] * 300 == [answer.status for answer in answers]
        proxy.heal()
        newest = [record["id"] for record in fleet.cluster.client.history()[-IN_A_SNAPSHOT:]]
        eventually(lambda: set(newest) <= heard(process), "the newest executions at the monitor")
        assert 0 == process.end()
    fleet.check(answers)
